//! Text to regions.

use std::fmt;

use crate::exit::{Exit, SyscallKind, Target};
use crate::features::CpuFeatures;
use crate::guest::{FlagSet, Gpr, GuestAddr, Seg};
use crate::key::{BlockKey, CpuMode, X87Arithmetic};
use crate::operand::*;
use crate::ops::Op;
use crate::region::{Block, BlockId, Inst, Region, Value};

/// What is wrong with a text, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line, counted from one.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

type Parsed<T> = Result<T, String>;

/// Reads a region.
///
/// # Errors
/// The first line that is not in the text form (see [`super`]).
pub fn region(text: &str) -> Result<Region, ParseError> {
    let mut reader = Reader { key: None, blocks: Vec::new(), open: None, ranges: Vec::new(), next: 0 };
    let mut last = 1;
    for (number, line) in text.lines().enumerate() {
        last = number + 1;
        let line = line.split(';').next().unwrap_or_default().trim();
        if !line.is_empty() {
            reader.line(line).map_err(|message| ParseError { line: last, message })?;
        }
    }
    reader.finish().map_err(|message| ParseError { line: last, message })
}

/// Reads one op, without the value that it gives.
///
/// # Errors
/// What is not in the text form.
pub fn op_alone(text: &str) -> Result<Op, ParseError> {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    op(name, &mut Fields { rest: rest.trim(), name }).map_err(|message| ParseError { line: 1, message })
}

/// Stands for the value of an op without result until all written numbers are known.
const UNNUMBERED: Value = Value(u32::MAX);

struct Reader {
    key: Option<BlockKey>,
    blocks: Vec<Block>,
    open: Option<(GuestAddr, Vec<Inst>)>,
    ranges: Vec<(GuestAddr, u32)>,
    next: u32,
}

impl Reader {
    fn line(&mut self, line: &str) -> Parsed<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "region" => {
                self.key = Some(key(rest)?);
                Ok(())
            }
            "range" => {
                let (at, len) = rest.split_once(' ').ok_or("range needs an address and a length")?;
                self.ranges.push((GuestAddr(number(at)?), len.trim().parse().map_err(|_| format!("length {len}"))?));
                Ok(())
            }
            "block" => {
                self.no_open_block()?;
                let (id, pc) = rest.split_once(' ').ok_or("block needs an id and an address")?;
                if block_id(id)?.0 as usize != self.blocks.len() {
                    return Err(format!("blocks are numbered in order: {id} is not b{}", self.blocks.len()));
                }
                self.open = Some((GuestAddr(number(pc)?), Vec::new()));
                Ok(())
            }
            _ => self.op_or_exit(line, word, rest),
        }
    }

    fn op_or_exit(&mut self, line: &str, word: &str, rest: &str) -> Parsed<()> {
        let Some((pc, mut insts)) = self.open.take() else {
            return Err(format!("`{line}` stands outside of a block, or after its exit"));
        };
        if let Some(exit) = exit(word, rest)? {
            exit.values(&mut |v| self.next = self.next.max(v.0 + 1));
            self.blocks.push(Block { pc, insts, exit });
            return Ok(());
        }
        let (value, name, rest) = match line.split_once(" = ") {
            Some((value, op)) => {
                let (name, rest) = op.split_once(' ').unwrap_or((op, ""));
                (Some(Value::read(value)?), name, rest)
            }
            None => (None, word, rest),
        };
        let op = op(name, &mut Fields { rest: rest.trim(), name })?;
        match (value, op.result_type()) {
            (Some(_), Type::Void) => return Err(format!("{name} gives no value")),
            (None, ty) if ty != Type::Void => return Err(format!("{name} gives a value: write `%n = {name} ...`")),
            _ => {}
        }
        let value = value.unwrap_or(UNNUMBERED);
        if value != UNNUMBERED {
            self.next = self.next.max(value.0 + 1);
        }
        insts.push(Inst { value, op });
        self.open = Some((pc, insts));
        Ok(())
    }

    fn no_open_block(&self) -> Parsed<()> {
        if self.open.is_some() { Err(format!("block b{} has no exit", self.blocks.len())) } else { Ok(()) }
    }

    fn finish(mut self) -> Parsed<Region> {
        self.no_open_block()?;
        for inst in self.blocks.iter_mut().flat_map(|b| &mut b.insts).filter(|i| i.value == UNNUMBERED) {
            inst.value = Value(self.next);
            self.next += 1;
        }
        let key = self.key.ok_or("a text starts with `region ADDRESS MODE`")?;
        for block in &self.blocks {
            let mut wrong = None;
            let mut check = |b: BlockId| {
                if b.0 as usize >= self.blocks.len() {
                    wrong = Some(b);
                }
            };
            block.exit.successors(&mut check);
            if let Exit::Call { ret_block: Some(b), .. } | Exit::IndirectCall { ret_block: Some(b), .. } = block.exit {
                check(b);
            }
            if let Some(b) = wrong {
                return Err(format!("there is no block b{}", b.0));
            }
        }
        Ok(Region { key, blocks: self.blocks, value_count: self.next, ranges: self.ranges })
    }
}

fn key(rest: &str) -> Parsed<BlockKey> {
    let mut words = rest.split_whitespace();
    let pc = GuestAddr(number(words.next().ok_or("region needs an address")?)?);
    let mode = match words.next() {
        Some("long64") => CpuMode::Long64,
        Some("protected32") => CpuMode::Protected32,
        other => return Err(format!("mode {} is neither long64 nor protected32", other.unwrap_or("(none)"))),
    };
    let mut key = BlockKey::new(pc, mode);
    for word in words {
        match word {
            "ordered" => key.ordered = true,
            "step" => key.single_step = true,
            _ => match word.split_once('=') {
                Some(("top", top)) => {
                    key.x87_top = Some(top.parse().ok().filter(|t| *t < 8).ok_or("top of stack is not below 8")?);
                }
                Some(("x87", name)) => {
                    key.x87 = X87Arithmetic::from_name(name).ok_or("x87 is neither exact nor f64")?;
                }
                Some(("features", bits)) => {
                    key.features = CpuFeatures::from_bits(number(bits)?).ok_or("unknown features")?;
                }
                _ => return Err(format!("unknown word {word}")),
            },
        }
    }
    Ok(key)
}

fn exit(word: &str, rest: &str) -> Parsed<Option<Exit>> {
    let fields: Vec<&str> = rest.split(',').map(str::trim).filter(|f| !f.is_empty()).collect();
    let ret_block = |n: usize| fields.get(n).map(|b| block_id(b)).transpose();
    let addr = |s: &str| number(s).map(GuestAddr);
    Ok(Some(match (word, fields.as_slice()) {
        ("jump", [to]) => Exit::Jump { to: target(to)? },
        ("branch", [cond, taken, next]) => {
            Exit::Branch { cond: Value::read(cond)?, taken: target(taken)?, next: target(next)? }
        }
        ("indirect", [to]) => Exit::Indirect { target: Value::read(to)? },
        ("dispatch", [to]) => Exit::Dispatch { target: Value::read(to)? },
        ("call", [to, ret] | [to, ret, _]) => Exit::Call { to: target(to)?, ret: addr(ret)?, ret_block: ret_block(2)? },
        ("indirect_call", [to, ret] | [to, ret, _]) => {
            Exit::IndirectCall { target: Value::read(to)?, ret: addr(ret)?, ret_block: ret_block(2)? }
        }
        ("return", [to]) => Exit::Return { target: Value::read(to)? },
        ("syscall", [kind, at, next]) => {
            let kind = match kind.split_once(' ') {
                None if *kind == "syscall" => SyscallKind::Syscall,
                None if *kind == "sysenter" => SyscallKind::Sysenter,
                Some(("int", n)) => SyscallKind::Int(n.parse().map_err(|_| format!("interrupt {n}"))?),
                _ => return Err(format!("syscall kind {kind}")),
            };
            Exit::Syscall { kind, at: addr(at)?, next: addr(next)? }
        }
        ("trap", [trap, at, next]) => {
            let found = super::print::TRAPS.iter().find(|(_, name)| name == trap);
            Exit::Trap { trap: found.ok_or(format!("trap {trap}"))?.0, at: addr(at)?, next: addr(next)? }
        }
        ("jump" | "branch" | "indirect" | "dispatch" | "call" | "indirect_call" | "return" | "syscall" | "trap", _) => {
            return Err(format!("wrong operands for {word}"));
        }
        _ => return Ok(None),
    }))
}

fn target(s: &str) -> Parsed<Target> {
    if s.starts_with('b') { block_id(s).map(Target::Block) } else { number(s).map(|a| Target::Guest(GuestAddr(a))) }
}

fn block_id(s: &str) -> Parsed<BlockId> {
    s.trim().strip_prefix('b').and_then(|n| n.parse().ok()).map(BlockId).ok_or(format!("{s} is not a block"))
}

fn number(s: &str) -> Parsed<u64> {
    let s = s.trim();
    match s.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => s.parse(),
    }
    .map_err(|_| format!("{s} is not a number"))
}

/// The comma-separated operands of one op.
struct Fields<'a> {
    rest: &'a str,
    name: &'a str,
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Parsed<&'a str> {
        if self.rest.is_empty() {
            return Err(format!("{} needs more operands", self.name));
        }
        let (field, rest) = self.rest.split_once(',').unwrap_or((self.rest, ""));
        self.rest = rest.trim_start();
        Ok(field.trim())
    }
}

/// An operand that can be read back from its `Display` text.
trait Read: Sized {
    fn read(s: &str) -> Parsed<Self>;
}

macro_rules! read_by_name {
    ($($Name:ident)*) => { $(
        impl Read for $Name {
            fn read(s: &str) -> Parsed<Self> {
                $Name::from_name(s).ok_or_else(|| format!("{s} is not a {}", stringify!($Name)))
            }
        }
    )* };
}
read_by_name!(Width Type Cond IntCmp AtomicOp Fence StringOp Rep BcdOp CheckedTrap Upper Align FpOp FpRound VecBin VecUn VecTer FmaOp VecTest VecShift
    VecShuffle VecImm MaskOp X87Format X87Op X87Const X87Unary X87Control StateImage XsaveForm StateDirection Gpr Seg);

/// First number that no value may have: what describes values by number is as long as the highest.
const VALUES: u32 = 1 << 20;

impl Read for Value {
    fn read(s: &str) -> Parsed<Self> {
        let number = s.trim().strip_prefix('%').and_then(|n| n.parse().ok()).ok_or(format!("{s} is not a value"))?;
        if number < VALUES { Ok(Value(number)) } else { Err(format!("{s} is beyond %{}", VALUES - 1)) }
    }
}

impl Read for Imm {
    fn read(s: &str) -> Parsed<Self> {
        number(s).map(Imm)
    }
}

impl Read for GuestAddr {
    fn read(s: &str) -> Parsed<Self> {
        number(s).map(GuestAddr)
    }
}

impl Read for Num {
    fn read(s: &str) -> Parsed<Self> {
        s.strip_prefix('#').and_then(|n| n.parse().ok()).map(Num).ok_or(format!("{s} is not a #number"))
    }
}

impl Read for Flag {
    fn read(s: &str) -> Parsed<Self> {
        match s {
            "yes" => Ok(Flag(true)),
            "no" => Ok(Flag(false)),
            _ => Err(format!("{s} is neither yes nor no")),
        }
    }
}

impl Read for FlagSet {
    fn read(s: &str) -> Parsed<Self> {
        let inner = s.strip_prefix('{').and_then(|s| s.strip_suffix('}')).ok_or(format!("{s} is not a flag set"))?;
        inner.chars().try_fold(FlagSet::empty(), |set, c| {
            Ok(set
                | match c {
                    'c' => FlagSet::CF,
                    'p' => FlagSet::PF,
                    'a' => FlagSet::AF,
                    'z' => FlagSet::ZF,
                    's' => FlagSet::SF,
                    'o' => FlagSet::OF,
                    _ => return Err(format!("{c} is not a flag")),
                })
        })
    }
}

impl Read for Addr {
    fn read(s: &str) -> Parsed<Self> {
        let wrong = || format!("{s} is not an address");
        let inner = s.strip_prefix('[').and_then(|s| s.strip_suffix(']')).ok_or_else(wrong)?;
        let (width, mut rest) = inner.split_once(' ').ok_or_else(wrong)?;
        let mut addr = Addr { base: None, index: None, scale: 0, disp: 0, seg: None, width: Width::read(width)? };
        if let Some((seg, after)) = rest.split_once(": ") {
            addr.seg = Some(Seg::read(seg)?);
            rest = after;
        }
        let mut words = rest.split_whitespace().peekable();
        while let Some(sign) = words.next() {
            let term = words.next().ok_or_else(wrong)?;
            if sign != "+" && sign != "-" {
                return Err(wrong());
            }
            if !term.starts_with('%') {
                let n = number(term)? as i64;
                addr.disp = if sign == "-" { n.wrapping_neg() } else { n };
            } else if words.next_if_eq(&"*").is_some() {
                let factor = words.next().ok_or_else(wrong)?;
                addr.index = Some(Value::read(term)?);
                addr.scale = match factor {
                    "1" => 0,
                    "2" => 1,
                    "4" => 2,
                    "8" => 3,
                    _ => return Err(format!("factor {factor} is not 1, 2, 4 or 8")),
                };
            } else {
                addr.base = Some(Value::read(term)?);
            }
        }
        Ok(addr)
    }
}

macro_rules! define_parse {
    ($($(#[$doc:meta])* $method:ident = $Op:ident { $($arg:ident: $Ty:ty),* } -> $res:expr, [$($fx:ident),*];)*) => {
        fn op(name: &str, fields: &mut Fields<'_>) -> Parsed<Op> {
            let op = match name {
                $(stringify!($method) => Op::$Op { $($arg: <$Ty as Read>::read(fields.next()?)?),* },)*
                _ => return Err(format!("there is no op {name}")),
            };
            if fields.rest.is_empty() { Ok(op) } else { Err(format!("{name} has too many operands: {}", fields.rest)) }
        }
    };
}
crate::for_each_op!(define_parse);
