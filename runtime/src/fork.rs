//! Forking a team's process: the child has one thread, and translations of its own.

use crate::host::arch;
use crate::jit::HostCode;
use crate::team::Team;
use crate::thread::Thread;

impl Thread {
    /// Calls `fork`, which forks the host process and gives the child's id, or zero in the child, with everything of the runtime in a state
    /// that the child can go on from.
    pub fn fork<E>(&mut self, fork: impl FnOnce() -> Result<i32, E>) -> Result<i32, E> {
        self.team.memory.prepare_fork();
        let result = {
            let team = &self.team;
            // In the order in which they are taken elsewhere. What another thread holds when the process is copied stays locked in the child.
            let _world = team.world.hold();
            let _tables = team.code.lock();
            let _disk = team.disk_cache.as_ref().map(|disk| disk.hold());
            let _rewritten = team.rewritten.hold();
            let _memory = team.memory.hold();
            let _threads = team.threads.hold();
            let _optimiser = team.optimiser.hold();
            let _accesses = arch::guest_access::hold();
            fork()
        };
        if let Ok(0) = result {
            self.after_fork_in_child();
        }
        result
    }

    /// Makes this thread the team's only one, with new memory for translations: for a child process after a fork that [`Self::fork`] did not
    /// make.
    pub fn after_fork_in_child(&mut self) {
        self.sync_x87();
        let team = &self.team;
        team.memory.forget_loans();
        team.threads.keep_only(&self.shared);
        self.shared.moved_to_child();
        team.optimiser.renew();
        team.renew_code();
        if let Some(jit) = &self.jit {
            jit.renew();
        }
    }
}

impl Team {
    /// Drops all translations and puts the memory for host code, which is shared with the parent process, out of use.
    fn renew_code(&self) {
        {
            let mut tables = self.code.lock();
            if let Some(backend) = self.backend.as_deref() {
                tables.host = match HostCode::new(backend, self.mode, self.code_cache_bytes, self.perf_map.is_some()) {
                    Ok(host) => Some(host),
                    Err(error) => {
                        tracing::error!("no memory for translated code: {error}; the program goes on slowly");
                        None
                    }
                };
            }
        }
        self.code.flush(&self.memory);
        if let Some(disk) = &self.disk_cache {
            disk.moved_to_child();
        }
        if let Some(map) = &self.perf_map {
            map.renew();
        }
    }
}
