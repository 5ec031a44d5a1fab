//! The loop that runs a guest thread.

use std::sync::atomic::Ordering;

use hokku_ir::GuestAddr;

use crate::personality::{FaultKind, GuestFault, Resume};
use crate::thread::Thread;

/// Length of the longest x86 instruction.
const LONGEST_INSTRUCTION: usize = 15;

impl Thread {
    /// Runs the guest from `cpu.rip` on until the personality lets the thread leave.
    pub fn run(&mut self) {
        while self.step() == Resume::Continue {}
    }

    fn step(&mut self) -> Resume {
        let personality = std::sync::Arc::clone(&self.team.personality);
        if self.shared.interrupted.swap(false, Ordering::SeqCst) {
            return personality.interrupted(self);
        }
        let at = GuestAddr(self.cpu.rip);
        let kind = FaultKind::Untranslated(self.instruction_bytes(at));
        personality.fault(self, GuestFault { at, kind })
    }

    /// As many bytes of the instruction at `at` as can be read.
    fn instruction_bytes(&self, at: GuestAddr) -> Vec<u8> {
        (0..LONGEST_INSTRUCTION as u64).map_while(|i| self.team.memory.read_u8(at.offset(i)).ok()).collect()
    }
}
