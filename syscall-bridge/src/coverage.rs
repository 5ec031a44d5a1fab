//! How far the system calls are supported, from the table itself: `hokku syscalls` and `docs/syscalls.md`.

use std::fmt::Write;

use crate::declare::Syscall;
use crate::table::TABLE;

/// How many calls have each support level, in one line.
pub fn summary() -> String {
    let count = |word: &str| TABLE.iter().filter(|c| c.support.word() == word).count();
    format!(
        "{} calls: {} full, {} partial, {} stub, {} missing",
        TABLE.len(),
        count("full"),
        count("partial"),
        count("stub"),
        count("missing")
    )
}

/// The table in Markdown.
pub fn markdown() -> String {
    let mut out = format!(
        "# Haiku's system calls\n\n\
         Printed from the table of calls in `syscall-bridge/src/table.rs` (`hokku syscalls` prints it too); a test keeps it so. A call that is missing returns\n\
         an error and is named once on stderr.\n\n\
         {}\n\n| call | support | what it does |\n|---|---|---|\n",
        summary()
    );
    for call in TABLE {
        let _ = writeln!(out, "| `{}` | {} | {} |", signature(call), support(call), call.doc.trim());
    }
    out
}

fn signature(call: &Syscall) -> String {
    let args: Vec<String> = call.args.iter().map(|a| a.name.to_string()).collect();
    format!("{}({})", call.name, args.join(", "))
}

fn support(call: &Syscall) -> String {
    match call.support.reason() {
        "" => call.support.word().into(),
        reason => format!("{}: {reason}", call.support.word()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_row_and_a_reason_where_it_is_not_full() {
        assert_eq!(markdown().matches("\n| `").count(), TABLE.len());
        for call in TABLE {
            let word = call.support.word();
            assert_eq!(call.support.reason().is_empty(), word == "full" || word == "missing", "{}", call.name);
            assert!(!call.doc.trim().is_empty(), "{}", call.name);
        }
    }
}
