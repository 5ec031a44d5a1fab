//! The evaluator's x87 and MMX instructions against the processor: stack, tags, condition codes, exceptions, images.
//!
//! What `tests/softfloat` checks is the arithmetic; here whole instructions start from random states of the unit. Debug builds run a
//! sample; release builds (`cargo test --release -p hokku-tests --test eval_x87`) run many more.
#![cfg(target_arch = "x86_64")]

#[path = "../softfloat/cases.rs"]
#[expect(dead_code, reason = "the softfloat tests use the rest")]
mod cases;
mod instructions;
mod native;

use hokku_ir::eval::{EvalFault, FixedSystem, FlatMemory, Machine, Val, eval_op};
use hokku_ir::guest::{CpuState, F80, FlagSet, GuestAddr};
use hokku_ir::{CpuMode, Op, X87Arithmetic};

use cases::{Rng, count};
use instructions::{Instruction, MEMORY, Values};
use native::{Area, Image};

/// Where the guest sees the memory operand.
const AT: GuestAddr = GuestAddr(0x5000);

/// A state of the unit and of what surrounds it, as the tests compare it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct State {
    control: u16,
    status: u16,
    tags: u8,
    /// Physical registers.
    regs: [(u16, u64); 8],
    memory: Area,
    flags: u32,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let State { control, status, tags, regs, memory, flags } = self;
        write!(f, "control {control:x} status {status:x} tags {tags:x} flags {flags:x} memory {:x?}", &memory.0[..10])?;
        (0..8).try_for_each(|i| write!(f, "\n    st{i} {:x?}", regs[(self.top() + i) & 7]))
    }
}

impl State {
    /// A random one with nothing pending.
    fn random(rng: &mut Rng) -> State {
        // Mostly masked, so that results are delivered.
        let masked = if rng.below(3) == 0 { rng.next() } else { 0x3f } as u16 & 0x3f;
        let control = (rng.next() as u16 & 0x1f00) | 0x40 | masked;
        // The stack fault bit stands with the invalid one alone.
        let exceptions = rng.next() as u16 & masked;
        let fault = (exceptions & 1) << 6 & rng.next() as u16;
        let status = (rng.next() as u16 & 0x7f00) | exceptions | fault;
        let tags = match rng.below(4) {
            0 => rng.next() as u8,
            1 => 0xff,
            2 => 0xff >> rng.below(8) << rng.below(8),
            _ => (rng.next() | rng.next()) as u8,
        };
        let regs = std::array::from_fn(|_| {
            let v = cases::f80(rng);
            (v.sign_exponent, v.significand)
        });
        let memory = instructions::memory(rng);
        State { control, status, tags, regs, memory, flags: rng.next() as u32 & FlagSet::STATUS.bits() }
    }

    /// Whether ST(i) is empty.
    pub(crate) fn is_empty(&self, i: usize) -> bool {
        self.tags >> ((self.top() + i) & 7) & 1 == 0
    }

    fn top(&self) -> usize {
        usize::from(self.status >> 11 & 7)
    }

    /// Names of the fields that differ, native value first.
    fn differences(&self, ours: &Result<State, EvalFault>) -> String {
        let ours = match ours {
            Ok(ours) => ours,
            Err(fault) => return format!("the fault {fault:?}"),
        };
        let mut list = String::new();
        macro_rules! field {
            ($($name:ident)*) => { $(if self.$name != ours.$name {
                list += &format!(" {}: {:x?} {:x?}", stringify!($name), self.$name, ours.$name);
            })* };
        }
        field!(control status tags regs memory flags);
        list
    }

    /// What an instruction of the processor makes of it.
    fn natively(&self, instruction: &Instruction) -> State {
        let mut image = Image::default();
        image.put(0, &self.control.to_le_bytes());
        image.put(2, &self.status.to_le_bytes());
        image.put(4, &[self.tags]);
        image.put(24, &hokku_ir::guest::MXCSR_START.to_le_bytes());
        for i in 0..8 {
            let (sign_exponent, significand) = self.regs[(self.top() + i) & 7];
            image.put(32 + 16 * i, &significand.to_le_bytes());
            image.put(40 + 16 * i, &sign_exponent.to_le_bytes());
        }
        let mut memory = self.memory.clone();
        let flags = (instruction.native)(&mut image, &mut memory, self.flags);
        let mut after = State {
            control: u16::from_le_bytes(image.get(0)),
            status: u16::from_le_bytes(image.get(2)),
            tags: image.get::<1>(4)[0],
            regs: [(0, 0); 8],
            memory,
            flags: flags & FlagSet::STATUS.bits(),
        };
        for i in 0..8 {
            let place = (after.top() + i) & 7;
            after.regs[place] =
                (u16::from_le_bytes(image.get(40 + 16 * i)), u64::from_le_bytes(image.get(32 + 16 * i)));
        }
        after
    }

    /// What the evaluator makes of it.
    fn evaluated(&self, instruction: &Instruction) -> Result<State, EvalFault> {
        let mut cpu = CpuState::new(CpuMode::Long64);
        cpu.x87.control = self.control;
        cpu.x87.status = self.status;
        cpu.x87.tags = self.tags;
        cpu.status_flags = self.flags;
        for (place, (sign_exponent, significand)) in cpu.x87.regs.iter_mut().zip(self.regs) {
            *place = F80 { significand, sign_exponent, padding: [0; 3] };
        }
        let memory = FlatMemory::with(AT, &self.memory.0);
        let system = FixedSystem::default();
        let (mode, x87) = (CpuMode::Long64, X87Arithmetic::Exact);
        let machine = &mut Machine { cpu: &mut cpu, memory: &memory, system: &system, mode, x87, pc: AT };
        let mut values = Values::default();
        for op in (instruction.ops)(self.flags) {
            run(op, &mut values, machine)?;
        }
        let mut bytes = Area::default();
        bytes.0.copy_from_slice(&memory.contents()[0].1);
        Ok(State {
            control: cpu.x87.control,
            status: cpu.x87.status,
            tags: cpu.x87.tags,
            regs: cpu.x87.regs.map(|r| (r.sign_exponent, r.significand)),
            memory: bytes,
            flags: cpu.status_flags,
        })
    }
}

/// Runs one op: value 0 is the memory operand's address, value 1 the last result.
fn run(op: Op, values: &mut Values, machine: &mut Machine<'_, FlatMemory>) -> Result<(), EvalFault> {
    values.last = eval_op(&op, &[Val::int(AT.0), values.last], machine)?;
    Ok(())
}

#[test]
fn instructions_leave_the_processor_s_state() {
    let mut failed = 0;
    for instruction in instructions::all() {
        let mut rng = Rng(0x8087);
        let mut shown = 0;
        for _ in 0..count(20_000) {
            let before = State::random(&mut rng);
            if !(instruction.applies)(&before) {
                continue;
            }
            let mut native = before.natively(&instruction);
            let mut ours = before.evaluated(&instruction);
            if let Ok(ours) = &mut ours {
                (instruction.forget)(&mut native.memory);
                (instruction.forget)(&mut ours.memory);
            }
            if ours.as_ref() != Ok(&native) && shown < 3 {
                shown += 1;
                eprintln!("{}: differ in {}", instruction.name, native.differences(&ours));
                eprintln!("  before {before:x?}");
            }
        }
        failed += u32::from(shown != 0);
    }
    assert_eq!(failed, 0, "instructions differ");
    assert_eq!(MEMORY % 16, 0);
}
