//! A team forks: stands here because forking is not safe.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use hokku_ir::{CpuMode, CpuState, Gpr, GuestAddr, SyscallKind};

use crate::{Engine, GuestFault, Personality, Placement, Prot, Resume, Team, TeamConfig, Thread};

/// eax 0: ends the thread. 1: forks, eax becomes zero in the child. 2: adds ebx to the sum. 3: in the child, ends the process with the sum.
#[derive(Default)]
struct Forking {
    child: AtomicI32,
    sum: AtomicU64,
}

impl Personality for Forking {
    fn syscall(&self, thread: &mut Thread, _kind: SyscallKind, _at: GuestAddr) -> Resume {
        match thread.cpu.get(Gpr::Rax) {
            1 => {
                // SAFETY: the child goes on in the code that `Thread::fork` has prepared, and ends by `_exit`.
                let pid = thread.fork(|| match unsafe { libc::fork() } {
                    -1 => Err(std::io::Error::last_os_error()),
                    pid => Ok(pid),
                });
                let pid = pid.expect("fork");
                self.child.store(pid, Ordering::SeqCst);
                thread.cpu.set(Gpr::Rax, u64::from(pid != 0));
            }
            2 => {
                self.sum.fetch_add(thread.cpu.get(Gpr::Rbx), Ordering::SeqCst);
            }
            3 if self.child.load(Ordering::SeqCst) == 0 => {
                // SAFETY: ends the process at once, as a forked child must.
                unsafe { libc::_exit(self.sum.load(Ordering::SeqCst) as i32) }
            }
            3 => {}
            _ => return Resume::LeaveThread,
        }
        Resume::Continue
    }

    fn fault(&self, _thread: &mut Thread, fault: GuestFault) -> Resume {
        panic!("{fault:?}");
    }

    fn interrupted(&self, _thread: &mut Thread) -> Resume {
        Resume::Continue
    }
}

#[test]
fn a_forked_child_goes_on_with_translations_of_its_own() {
    // Above 4 GiB, which another test has as a whole.
    let at = GuestAddr(0xc_0000_0000);
    #[rustfmt::skip]
    let code = [
        0xe8, 37, 0, 0, 0,          // call answer
        0xb8, 2, 0, 0, 0, 0x0f, 5,  // sum += ebx
        0xb8, 1, 0, 0, 0, 0x0f, 5,  // fork
        0xe8, 18, 0, 0, 0,          // call answer
        0xb8, 2, 0, 0, 0, 0x0f, 5,  // sum += ebx
        0xb8, 3, 0, 0, 0, 0x0f, 5,  // end the child
        0x31, 0xc0, 0x0f, 5,        // end the thread
        0xbb, 21, 0, 0, 0, 0xc3,    // answer: mov ebx, 21; ret
    ];
    for engine in [Engine::Interp, Engine::best()] {
        let forking = Arc::new(Forking::default());
        let team = Team::new(&TeamConfig::new(CpuMode::Long64, engine), Arc::clone(&forking) as _).unwrap();
        team.memory.map_anonymous(Placement::Exactly(at), 0x2000, Prot::all(), false).unwrap();
        team.memory.write_bytes(at, &code).unwrap();
        let mut cpu = CpuState::new(CpuMode::Long64);
        cpu.rip = at.0;
        cpu.set(Gpr::Rsp, at.0 + 0x2000);
        team.attach(cpu, Box::new(())).unwrap().run();
        assert_eq!(forking.sum.load(Ordering::SeqCst), 42);
        let mut status = 0;
        let pid = forking.child.load(Ordering::SeqCst);
        // SAFETY: the status is ours to write.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 42));
    }
}
