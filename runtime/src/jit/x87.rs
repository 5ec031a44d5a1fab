//! The x87 instruction that the host's unit ran last, as the guest knows it.

use hokku_ir::eval::X87Code;

use crate::host::arch::x87::GuestInstruction;
use crate::team::Team;

impl Team {
    /// What the x87 instruction at host address `host` was translated from, if that is in translated code.
    pub(crate) fn x87_instruction(&self, host: u64) -> Option<GuestInstruction> {
        let pc = self.code.lock().code_at(host)?.guest_instruction(host)?;
        Some(GuestInstruction { pc, mode: self.mode, code: X87Code::at(&self.memory, self.mode, pc) })
    }
}
