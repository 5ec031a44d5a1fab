//! The op table as a page: `docs/ir.md`.

use std::fmt::Write;

macro_rules! define_reference {
    ($($(#[doc = $doc:literal])* $method:ident = $Op:ident { $($arg:ident: $Ty:ty),* } -> $res:expr, [$($fx:ident),*];)*) => {
        /// Name, operands, result type and effects as the table writes them, and the specification of each op.
        const ROWS: &[(&str, &str, &str, &[&str], &str)] = &[$((
            stringify!($method),
            concat!($(stringify!($arg), ": ", stringify!($Ty), ", "),*),
            stringify!($res),
            &[$(stringify!($fx)),*],
            concat!($($doc),*),
        )),*];
    };
}
crate::for_each_op!(define_reference);

/// The page in Markdown.
pub fn markdown() -> String {
    let mut out = String::from(
        "# The operations of hokku's IR\n\n\
         Printed from the op table in `ir/src/ops.rs`; a test keeps it so (`UPDATE_EXPECT=1 cargo test` rewrites it). How regions, blocks, values\n\
         and exits fit together stands at the head of `ir/src/lib.rs`; `ir::eval` is these specifications executed.\n\n\
         | op | operands | result | effects | meaning |\n|---|---|---|---|---|\n",
    );
    for (name, operands, result, effects, doc) in ROWS {
        let operands = operands.trim_end_matches(", ").replace('|', "\\|");
        let result = match *result {
            "Type :: Void" => "",
            other => other,
        }
        .replace("Type :: ", "");
        let _ = writeln!(
            out,
            "| `{name}` | {operands} | {result} | {} | {} |",
            effects.join(" "),
            doc.trim().replace('|', "\\|")
        );
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_op_has_a_row_and_a_specification() {
        assert_eq!(super::ROWS.len(), crate::Op::NAMES.len());
        for (name, _, _, _, doc) in super::ROWS {
            assert!(!doc.trim().is_empty(), "{name} has no doc comment");
        }
    }
}
