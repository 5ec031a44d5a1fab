//! Where the evaluator keeps a region's values.

use std::ops::{Index, IndexMut};

use super::{MAX_ARGS, Val};
use crate::guest::{CpuState, Gpr};
use crate::region::{MAX_VALUES, Value};

/// Values by number, and general registers wherever they stand meanwhile.
pub(super) trait Values: Index<Value, Output = Val> + IndexMut<Value> {
    /// General register `reg`.
    fn gpr<'a>(&'a mut self, cpu: &'a mut CpuState, reg: Gpr) -> &'a mut u64;
    /// Copies the general registers to `cpu`, if they do not stand there anyway.
    fn give_registers(&self, cpu: &mut CpuState);
    /// Copies them from `cpu`.
    fn take_registers(&mut self, cpu: &CpuState);
}

/// Room for the values of any region, and behind them small constants and, during a run, the general registers. It is as large as a number of 16
/// bits can tell, so that looking one up checks nothing.
#[derive(Debug)]
pub(super) struct Table(Box<[Val; SLOTS]>);

/// How many small constants there are.
const CONSTANTS: u32 = 256;

/// Where the general registers stand.
const REGISTERS: u32 = MAX_VALUES + CONSTANTS;

const _: () = assert!(REGISTERS + 16 <= SLOTS as u32);

/// What a number of 16 bits can tell.
const SLOTS: usize = 1 << 16;

/// Where a [`Table`] always holds `v`, if it does.
pub(super) fn constant(v: u64) -> Option<Value> {
    (v < u64::from(CONSTANTS)).then(|| Value(MAX_VALUES + v as u32))
}

/// Where general register `reg` stands during a run.
pub(super) fn register(reg: Gpr) -> Value {
    Value(REGISTERS + reg.index() as u32)
}

impl Default for Table {
    fn default() -> Self {
        // Made on the heap, where pages that are never used cost nothing.
        let mut values = vec![Val::default(); SLOTS].into_boxed_slice();
        for v in 0..CONSTANTS {
            values[(MAX_VALUES + v) as usize] = Val::int(v.into());
        }
        Table(values.try_into().unwrap_or_else(|_| unreachable!("the length is the one that was asked for")))
    }
}

impl Table {
    /// The values of the region that runs.
    pub(super) fn open(&mut self) -> OpenTable<'_> {
        OpenTable(&mut self.0)
    }
}

/// [`Table`] while a region runs.
pub(super) struct OpenTable<'a>(&'a mut [Val; SLOTS]);

impl Index<Value> for OpenTable<'_> {
    type Output = Val;

    #[inline(always)]
    fn index(&self, v: Value) -> &Val {
        &self.0[usize::from(v.0 as u16)]
    }
}

impl IndexMut<Value> for OpenTable<'_> {
    #[inline(always)]
    fn index_mut(&mut self, v: Value) -> &mut Val {
        &mut self.0[usize::from(v.0 as u16)]
    }
}

impl Values for OpenTable<'_> {
    #[inline(always)]
    fn gpr<'a>(&'a mut self, _cpu: &'a mut CpuState, reg: Gpr) -> &'a mut u64 {
        &mut self[register(reg)].0[0]
    }

    #[inline(always)]
    fn give_registers(&self, cpu: &mut CpuState) {
        for reg in Gpr::ALL {
            cpu.gpr[reg.index()] = self[register(*reg)].low();
        }
    }

    #[inline(always)]
    fn take_registers(&mut self, cpu: &CpuState) {
        for reg in Gpr::ALL {
            self[register(*reg)].0[0] = cpu.gpr[reg.index()];
        }
    }
}

/// The operands of one op, and after them its result.
#[derive(Default)]
pub(super) struct Operands(pub(super) [Val; MAX_ARGS + 1]);

impl Index<Value> for Operands {
    type Output = Val;

    fn index(&self, v: Value) -> &Val {
        &self.0[v.0 as usize]
    }
}

impl IndexMut<Value> for Operands {
    fn index_mut(&mut self, v: Value) -> &mut Val {
        &mut self.0[v.0 as usize]
    }
}

impl Values for Operands {
    fn gpr<'a>(&'a mut self, cpu: &'a mut CpuState, reg: Gpr) -> &'a mut u64 {
        &mut cpu.gpr[reg.index()]
    }

    fn give_registers(&self, _cpu: &mut CpuState) {}

    fn take_registers(&mut self, _cpu: &CpuState) {}
}
