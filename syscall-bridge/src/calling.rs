//! Where system call numbers, arguments and results stand: the only place that knows one word size from the other in this respect.
//!
//! | | x86_64 | x86 |
//! |---|---|---|
//! | instruction | `syscall` | `int 99` (in the commpage) |
//! | number | `rax` | `eax` |
//! | arguments | `rdi rsi rdx r10 r8 r9`, then `[rsp + 8]` and on | `[esp + 4]` and on |
//! | 64-bit integer argument | one word | two words, low one first, not aligned |
//! | result | `rax` | `eax`; 64-bit ones `edx:eax` |
//! | changed besides | `rcx` (return address) and `r11` (flags), by the instruction itself | nothing |

use hokku_ir::{CpuMode, CpuState, Gpr, GuestAddr};
use hokku_runtime::{GuestMemory, MemoryFault};

/// Most words that a call takes. Haiku allows 80 bytes on x86; its longest call takes 44.
pub const MAX_WORDS: usize = 12;
/// Length of the instructions that enter the kernel.
pub const SYSCALL_BYTES: u64 = 2;
/// The interrupt vector of 32-bit system calls.
pub const X86_VECTOR: u8 = 99;

/// The registers that carry the first six arguments on x86_64.
const ARGUMENT_REGISTERS: [Gpr; 6] = [Gpr::Rdi, Gpr::Rsi, Gpr::Rdx, Gpr::R10, Gpr::R8, Gpr::R9];

/// The argument words of one call, taken in order.
#[derive(Clone, Copy, Debug)]
pub struct ArgWords {
    words: [u64; MAX_WORDS],
    next: usize,
    mode: CpuMode,
}

impl ArgWords {
    /// Collects the arguments of a call whose arguments take `count` of them on x86_64 and `words_32` words on x86.
    pub fn collect(
        cpu: &CpuState,
        memory: &GuestMemory,
        mode: CpuMode,
        count: usize,
        words_32: usize,
    ) -> Result<Self, MemoryFault> {
        let mut words = [0; MAX_WORDS];
        match mode {
            CpuMode::Long64 => {
                for (word, reg) in words.iter_mut().zip(ARGUMENT_REGISTERS) {
                    *word = cpu.get(reg);
                }
                if count > ARGUMENT_REGISTERS.len() {
                    let mut bytes = [0; 8 * MAX_WORDS];
                    let on_stack = &mut bytes[..8 * (count - ARGUMENT_REGISTERS.len())];
                    memory.read_bytes(GuestAddr(cpu.get(Gpr::Rsp).wrapping_add(8)), on_stack)?;
                    for (word, raw) in words[ARGUMENT_REGISTERS.len()..].iter_mut().zip(on_stack.chunks_exact(8)) {
                        *word = u64::from_le_bytes([raw[0], raw[1], raw[2], raw[3], raw[4], raw[5], raw[6], raw[7]]);
                    }
                }
            }
            CpuMode::Protected32 => {
                let mut bytes = [0; 4 * MAX_WORDS];
                let on_stack = &mut bytes[..4 * words_32];
                let esp = cpu.get(Gpr::Rsp) as u32;
                memory.read_bytes(GuestAddr(esp.wrapping_add(4).into()), on_stack)?;
                for (word, raw) in words.iter_mut().zip(on_stack.chunks_exact(4)) {
                    *word = u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]).into();
                }
            }
        }
        Ok(ArgWords { words, next: 0, mode })
    }

    /// The next word, zero-extended.
    pub fn word(&mut self) -> u64 {
        let word = self.words.get(self.next).copied().unwrap_or(0);
        self.next += 1;
        word
    }

    /// The next word, sign-extended from the guest's word size.
    pub fn signed_word(&mut self) -> i64 {
        let word = self.word();
        match self.mode {
            CpuMode::Protected32 => (word as i32).into(),
            CpuMode::Long64 => word as i64,
        }
    }

    /// The next 64-bit integer.
    pub fn long(&mut self) -> u64 {
        match self.mode {
            CpuMode::Protected32 => {
                let low = self.word();
                low | self.word() << 32
            }
            CpuMode::Long64 => self.word(),
        }
    }
}

/// The number of the call that `cpu` makes.
pub fn number(cpu: &CpuState) -> u32 {
    cpu.get(Gpr::Rax) as u32
}

/// What a call gives back, ready for the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetWord {
    /// The value; errors and 32-bit values are sign-extended.
    pub value: i64,
    /// Whether it fills `edx:eax` in a 32-bit program.
    pub wide: bool,
}

/// Registers that a restarted call needs as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Entry {
    /// `rax` at entry: the call's number.
    pub rax: u64,
    /// `rdx` at entry.
    pub rdx: u64,
}

impl Entry {
    /// What `cpu` holds as it enters the kernel.
    pub fn of(cpu: &CpuState) -> Self {
        Entry { rax: cpu.get(Gpr::Rax), rdx: cpu.get(Gpr::Rdx) }
    }

    /// As the `syscall_restart_return_value` of a signal frame.
    pub fn pack(self, mode: CpuMode) -> u64 {
        match mode {
            CpuMode::Protected32 => self.rdx << 32 | self.rax & 0xffff_ffff,
            CpuMode::Long64 => self.rax,
        }
    }

    /// The reverse of [`Self::pack`]; `rdx` is the one of now where the word does not hold it.
    pub fn unpack(word: u64, cpu: &CpuState, mode: CpuMode) -> Self {
        match mode {
            CpuMode::Protected32 => Entry { rax: word & 0xffff_ffff, rdx: word >> 32 },
            CpuMode::Long64 => Entry { rax: word, rdx: cpu.get(Gpr::Rdx) },
        }
    }
}

/// Puts a result into its registers.
pub fn set_result(cpu: &mut CpuState, mode: CpuMode, result: RetWord) {
    match mode {
        CpuMode::Long64 => cpu.set(Gpr::Rax, result.value as u64),
        CpuMode::Protected32 => {
            cpu.set(Gpr::Rax, result.value as u64 & 0xffff_ffff);
            if result.wide {
                cpu.set(Gpr::Rdx, result.value as u64 >> 32);
            }
        }
    }
}

/// Makes the call run again: the thread goes back onto the instruction that made it.
pub fn rewind(cpu: &mut CpuState, mode: CpuMode, entry: Entry) {
    cpu.set(Gpr::Rax, entry.rax);
    if mode == CpuMode::Protected32 {
        cpu.set(Gpr::Rdx, entry.rdx);
    }
    cpu.rip = cpu.rip.wrapping_sub(SYSCALL_BYTES);
}

#[cfg(test)]
mod tests {
    use hokku_runtime::{Placement, Prot};

    use super::*;
    use crate::team::testing::{TestMemory, guest_memory};

    fn stack(mode: CpuMode) -> (TestMemory, CpuState, u64) {
        let memory = guest_memory(mode);
        let place = Placement::Lowest { low: GuestAddr(0x10_0000), high: GuestAddr(0x7000_0000), align: 4096 };
        let page = memory.map_anonymous(place, 4096, Prot::READ | Prot::WRITE, false).expect("a page").0;
        let mut cpu = CpuState::new(mode);
        cpu.set(Gpr::Rsp, page + 0x100);
        (memory, cpu, page + 0x100)
    }

    #[test]
    fn six_arguments_are_in_registers_and_the_rest_above_the_return_address() {
        let (memory, mut cpu, sp) = stack(CpuMode::Long64);
        for (i, reg) in ARGUMENT_REGISTERS.into_iter().enumerate() {
            cpu.set(reg, 10 + i as u64);
        }
        for i in 0..3 {
            memory.write_u64(GuestAddr(sp + 8 + 8 * i), 16 + i).expect("mapped");
        }
        let mut words = ArgWords::collect(&cpu, &memory, CpuMode::Long64, 9, 0).expect("readable");
        for expected in 10..19 {
            assert_eq!(words.long(), expected);
        }
        assert_eq!(words.word(), 0, "more than there are");
    }

    #[test]
    fn words_of_32_bit_programs_are_on_the_stack_and_long_ones_are_two() {
        let (memory, cpu, sp) = stack(CpuMode::Protected32);
        for (i, word) in [3u32, 0xffff_fffe, 0xffff_ffff, 7].into_iter().enumerate() {
            memory.write_u32(GuestAddr(sp + 4 + 4 * i as u64), word).expect("mapped");
        }
        let mut words = ArgWords::collect(&cpu, &memory, CpuMode::Protected32, 3, 4).expect("readable");
        assert_eq!((words.word(), words.long() as i64, words.signed_word()), (3, -2, 7));
        let mut negative = ArgWords::collect(&cpu, &memory, CpuMode::Protected32, 2, 4).expect("readable");
        negative.word();
        assert_eq!(negative.signed_word(), -2);
    }

    #[test]
    fn arguments_beyond_the_stack_are_a_fault() {
        for mode in [CpuMode::Long64, CpuMode::Protected32] {
            let (memory, mut cpu, sp) = stack(mode);
            cpu.set(Gpr::Rsp, (sp & !0xfff) + 0xffc);
            assert!(ArgWords::collect(&cpu, &memory, mode, 9, 9).is_err());
        }
    }

    #[test]
    fn results_change_their_registers_only() {
        let error = RetWord { value: -0x7fff_ffff, wide: false };
        let mut cpu = CpuState::new(CpuMode::Long64);
        set_result(&mut cpu, CpuMode::Long64, error);
        assert_eq!(cpu.get(Gpr::Rax), 0xffff_ffff_8000_0001);
        let mut cpu = CpuState::new(CpuMode::Protected32);
        cpu.set(Gpr::Rdx, 5);
        set_result(&mut cpu, CpuMode::Protected32, error);
        assert_eq!((cpu.get(Gpr::Rax), cpu.get(Gpr::Rdx)), (0x8000_0001, 5));
        set_result(&mut cpu, CpuMode::Protected32, RetWord { value: 0x1_0000_0002, wide: true });
        assert_eq!((cpu.get(Gpr::Rax), cpu.get(Gpr::Rdx)), (2, 1));
    }

    #[test]
    fn a_call_that_runs_again_has_its_registers_back() {
        for mode in [CpuMode::Long64, CpuMode::Protected32] {
            let mut cpu = CpuState::new(mode);
            (cpu.rip, cpu.gpr[Gpr::Rax.index()], cpu.gpr[Gpr::Rdx.index()]) = (0x1002, 149, 8);
            let entry = Entry::of(&cpu);
            set_result(&mut cpu, mode, RetWord { value: -1, wide: true });
            let packed = Entry::unpack(entry.pack(mode), &cpu, mode);
            rewind(&mut cpu, mode, packed);
            assert_eq!((cpu.rip, cpu.get(Gpr::Rax)), (0x1000, 149));
            // On x86_64 the third argument's register is never written.
            assert_eq!(cpu.get(Gpr::Rdx), 8);
        }
    }
}
