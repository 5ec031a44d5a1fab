//! Counters of what the runtime did, for `--stats`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use hokku_ir::backend::Tier;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident $text:literal;)*) => {
        /// Counters that all threads of a team add to.
        #[derive(Debug, Default)]
        pub struct Stats {
            $($(#[$doc])* pub(crate) $name: AtomicU64,)*
            /// Callouts by op.
            callouts: Mutex<BTreeMap<&'static str, u64>>,
        }

        /// The counters at one moment.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct StatsReport {
            $($(#[$doc])* pub $name: u64,)*
            /// Callouts by op.
            pub callouts: BTreeMap<&'static str, u64>,
        }

        impl Stats {
            /// The counters now.
            pub fn report(&self) -> StatsReport {
                StatsReport {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    callouts: self.lock().clone(),
                }
            }
        }

        impl StatsReport {
            /// Names and values of the plain counters, in order.
            pub fn lines(&self) -> Vec<(&'static str, u64)> {
                vec![$(($text, self.$name)),*]
            }
        }
    };
}

counters! {
    /// Regions translated for the first time.
    regions "regions translated";
    /// Guest code bytes in them, counted once per region.
    guest_bytes "guest code bytes";
    /// Guest instructions in them.
    guest_instructions "guest instructions";
    /// Host code bytes made of them.
    host_bytes "host code bytes";
    /// Regions taken from the cache on disk.
    disk_regions "regions from disk";
    /// Guest code bytes in them.
    disk_guest_bytes "guest code bytes from disk";
    /// Host code bytes of those.
    disk_host_bytes "host code bytes from disk";
    /// Nanoseconds spent on looking for them and reading them.
    disk_ns "nanoseconds reading translations";
    /// Nanoseconds that this took.
    translation_ns "nanoseconds translating";
    /// Regions of the second tier.
    hot_regions "regions, second tier";
    /// Guest code bytes in them.
    hot_guest_bytes "guest code bytes, second tier";
    /// Guest instructions in them.
    hot_guest_instructions "guest instructions, second tier";
    /// Host code bytes made of them.
    hot_host_bytes "host code bytes, second tier";
    /// Nanoseconds that this took, beside the guest.
    hot_translation_ns "nanoseconds translating, second tier";
    /// Bytes of what the runtime remembers of all host code.
    table_bytes "bytes of tables about host code";
    /// Direct jumps linked.
    links "direct jumps linked";
    /// Returns to the dispatcher for a direct jump that was not linked.
    link_exits "exits at unlinked jumps";
    /// Returns to the dispatcher for a computed jump that was not in the jump cache.
    indirect_exits "exits at computed jumps";
    /// System calls.
    syscalls "system calls";
    /// Guest exceptions.
    faults "guest exceptions";
    /// Interrupts delivered.
    interrupts "interrupts delivered";
    /// Times that the code cache was full and its oldest part, or all of it, was emptied.
    evictions "code cache evictions";
    /// Regions that were dropped then, where it was not all.
    evicted_regions "  regions evicted";
    /// Times that translated code was dropped because its pages were written, remapped or protected.
    invalidations "code invalidations";
    /// Those because the guest stored to a page with translated code.
    store_invalidations "  by stores";
    /// Those because a system call wrote to one.
    host_invalidations "  by system calls";
    /// Those because memory was mapped, unmapped or protected.
    mapping_invalidations "  by changes of the memory map";
    /// Those because a mapped file was written.
    file_invalidations "  by writes to mapped files";
    /// Times that checked code was found to have changed.
    stale_code "changes found by checked code";
    /// Regions translated that check their code.
    checked_regions "regions that check their code";
    /// Blocks of rewritten code that were evaluated instead of translated.
    evaluated_blocks "rewritten blocks evaluated";
    /// Regions dropped.
    invalidated_regions "regions invalidated";
}

/// The counters of one tier's translations.
pub(crate) struct TierCounters<'a> {
    pub(crate) regions: &'a AtomicU64,
    pub(crate) guest_bytes: &'a AtomicU64,
    pub(crate) guest_instructions: &'a AtomicU64,
    pub(crate) host_bytes: &'a AtomicU64,
    pub(crate) translation_ns: &'a AtomicU64,
}

impl Stats {
    /// The counters of `tier`.
    pub(crate) fn tier(&self, tier: Tier) -> TierCounters<'_> {
        match tier {
            Tier::First { .. } => TierCounters {
                regions: &self.regions,
                guest_bytes: &self.guest_bytes,
                guest_instructions: &self.guest_instructions,
                host_bytes: &self.host_bytes,
                translation_ns: &self.translation_ns,
            },
            Tier::Second => TierCounters {
                regions: &self.hot_regions,
                guest_bytes: &self.hot_guest_bytes,
                guest_instructions: &self.hot_guest_instructions,
                host_bytes: &self.hot_host_bytes,
                translation_ns: &self.hot_translation_ns,
            },
        }
    }

    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn time(counter: &AtomicU64, spent: Duration) {
        Self::add(counter, u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Keeps callouts from being counted until the guard is dropped.
    pub(crate) fn hold(&self) -> impl Drop + '_ {
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.callouts.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Adds a thread's callouts.
    pub(crate) fn add_callouts(&self, counts: &BTreeMap<&'static str, u64>) {
        let mut all = self.lock();
        for (op, n) in counts {
            *all.entry(op).or_default() += n;
        }
    }
}

impl StatsReport {
    /// Bytes of memory, host code and tables about it, that a byte of guest code has cost.
    pub fn bytes_per_guest_byte(&self) -> f64 {
        let host = self.host_bytes + self.hot_host_bytes + self.disk_host_bytes + self.table_bytes;
        let guest = self.guest_bytes + self.hot_guest_bytes + self.disk_guest_bytes;
        host as f64 / guest.max(1) as f64
    }

    /// Guest code bytes that the first and the second tier translate in a second.
    pub fn translation_speeds(&self) -> [f64; 2] {
        [(self.guest_bytes, self.translation_ns), (self.hot_guest_bytes, self.hot_translation_ns)]
            .map(|(bytes, ns)| bytes as f64 * 1e9 / ns.max(1) as f64)
    }

    /// Bytes of host code that a byte of guest code becomes in the first and the second tier.
    pub fn code_growth(&self) -> [f64; 2] {
        [(self.host_bytes, self.guest_bytes), (self.hot_host_bytes, self.hot_guest_bytes)]
            .map(|(host, guest)| host as f64 / guest.max(1) as f64)
    }
}

impl fmt::Display for StatsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.lines() {
            writeln!(f, "{value:>14}  {name}")?;
        }
        for (op, n) in &self.callouts {
            writeln!(f, "{n:>14}  callouts: {op}")?;
        }
        Ok(())
    }
}
