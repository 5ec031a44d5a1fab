//! Where the evaluator keeps a region's values.

use std::ops::{Index, IndexMut};

use super::{MAX_ARGS, Val};
use crate::region::{MAX_VALUES, Value};

/// Values by number.
pub(super) trait Values: Index<Value, Output = Val> + IndexMut<Value> {}

/// Room for the values of any region, and small constants behind them. It is as large as a number of 16 bits can tell, so that looking one up checks nothing.
#[derive(Debug)]
pub(super) struct Table(Box<[Val; SLOTS]>);

/// How many small constants there are.
const CONSTANTS: u32 = 256;

const _: () = assert!(MAX_VALUES + CONSTANTS == SLOTS as u32);

/// What a number of 16 bits can tell.
const SLOTS: usize = 1 << 16;

/// Where a [`Table`] always holds `v`, if it does.
pub(super) fn constant(v: u64) -> Option<Value> {
    (v < u64::from(CONSTANTS)).then(|| Value(MAX_VALUES + v as u32))
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

impl Values for OpenTable<'_> {}

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

impl Values for Operands {}
