//! The text form of regions: what `hokku dump` prints, and what filetests are written in.
//!
//! ```text
//! region 0x1000 long64
//! range 0x1000 4
//! block b0 0x1000
//!   insn 0x1000, #4
//!   %1 = get_gpr rax, w64
//!   set_gpr rcx, w64, %1
//!   jump b0
//! ```
//! One op or exit a line; `;` starts a comment; operands in the order of the op table, separated by commas. [`parse::region`] reads what
//! [`print::region`] writes.

pub mod parse;
pub mod print;
pub mod reference;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::*;

    /// Operands of every kind, every exit, and that what is printed reads back as the same region.
    #[test]
    fn prints_and_reads_back() {
        let text = "\
region 0x1000 long64 ordered step top=3
range 0x1000 12
block b0 0x1000
  insn 0x1000, #4
  %1 = get_gpr rax, w64
  %2 = iconst w32, 0xffffffff
  %3 = load i32, unaligned, [w64 fs: + %1 + %2 * 8 - 0x10]
  %4 = add_flags w32, %3, %2
  store i32, unaligned, [w32 + 0x0], %3
  set_flags {cz}, %4
  set_vec #3, f64, zero128, %3
  string movs, w8, rep, w64, no, ds
  x87_arith subr, #0, #1, yes
  %10 = condition le, %4
  branch %10, b0, 0x2000
block b1 0x1004
  %11 = get_gpr rcx, w64
  call 0x5000, 0x1009, b0
block b2 0x1005
  jump b1
block b3 0x1006
  %12 = get_gpr rcx, w64
  indirect_call %12, 0x1009
block b4 0x1007
  syscall int 99, 0x1007, 0x1009
block b5 0x1009
  trap invalid_opcode, 0x1009, 0x100b
block b6 0x100b
  %13 = get_gpr rcx, w64
  return %13
";
        let region = parse::region(text).unwrap();
        let printed = print::region(&region);
        assert_eq!(parse::region(&printed).unwrap(), region);
        for inst in region.blocks.iter().flat_map(|b| &b.insts) {
            assert_eq!(parse::op_alone(&print::op(&inst.op)), Ok(inst.op));
        }
        assert_eq!(region.blocks.len(), 7);
        assert_eq!(region.value_count, 20);
        assert!(matches!(region.blocks[1].exit, Exit::Call { ret_block: Some(BlockId(0)), .. }));
        assert_eq!(printed.lines().next(), text.lines().next());
        assert!(printed.contains("%3 = load i32, unaligned, [w64 fs: + %1 + %2 * 8 - 0x10]"), "{printed}");
    }

    /// Each mistake is reported with its line, none panics.
    #[test]
    fn reports_mistakes_by_line() {
        for (text, line, what) in [
            ("", 1, "region"),
            ("region 0x1000 real16\n", 1, "real16"),
            ("region 0x1000 long64\nblock b0 0x1000\n  frobnicate\n", 3, "frobnicate"),
            ("region 0x1000 long64\nblock b0 0x1000\n  %0 = add w64, %1\n", 3, "add"),
            ("region 0x1000 long64\nblock b0 0x1000\n  %0 = get_gpr eax, w64\n", 3, "eax"),
            ("region 0x1000 long64\nblock b0 0x1000\n  %0 = iconst w64, 0x1\n", 3, "exit"),
            ("region 0x1000 long64\nblock b0 0x1000\n  jump b1\n", 3, "b1"),
            ("region 0x1000 long64\nblock b0 0x1000\n  %700000000 = iconst w64, 0x1\n", 3, "beyond"),
            ("region 0x1000 long64\nblock b0 0x1000\n  return %4294967295\n", 3, "beyond"),
            ("region 0x1000 long64\nblock b0 0x1000\n  jump b0\n  jump b0\n", 4, "after"),
            ("region 0x1000 long64\nblock b0 0x1000\n  %0 = lea w64, [w64 + %1 * 3]\n  jump b0\n", 3, "3"),
        ] {
            let error = parse::region(text).unwrap_err();
            assert_eq!(error.line, line, "{text:?}: {error}");
            assert!(error.to_string().contains(what), "{text:?}: {error}");
        }
    }
}
