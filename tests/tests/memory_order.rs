//! What hosts whose memory order is weaker than x86's put into code: order where others see a team's accesses, none in programs of one thread.

use hokku_ir::{CpuMode, GuestAddr};
use hokku_tests::hosts::{self, Ordering};

/// Guest code, and how often it needs order: after each load and before each store, where one is as good as two. x86 lets later loads pass earlier stores,
/// and nothing else pass anything.
const CODE: [(&str, &[u8], usize); 8] = [
    // mov eax, [rdi]; mov ecx, [rsi]
    ("two loads", &[0x8b, 0x07, 0x8b, 0x0e], 2),
    // mov [rdi], eax; mov [rsi], ecx
    ("two stores", &[0x89, 0x07, 0x89, 0x0e], 2),
    // mov eax, [rdi]; mov [rsi], ecx
    ("a load and a store", &[0x8b, 0x07, 0x89, 0x0e], 1),
    // mov [rdi], eax; mov ecx, [rsi]
    ("a store and a load", &[0x89, 0x07, 0x8b, 0x0e], 2),
    // add [rdi], eax
    ("a load and a store of one instruction", &[0x01, 0x07], 1),
    // push rax
    ("a push", &[0x50], 1),
    // movups xmm0, [rdi]; movups [rsi], xmm0
    ("vectors", &[0x0f, 0x10, 0x07, 0x0f, 0x11, 0x06], 1),
    // mov al, [rdi]; mov [rsi], ax
    ("narrow ones", &[0x8a, 0x07, 0x66, 0x89, 0x06], 1),
];

/// Barriers of the guest.
const FULL: [(&str, &[u8]); 3] = [
    // mov [rdi], eax; mfence; mov ecx, [rsi]
    ("mfence", &[0x89, 0x07, 0x0f, 0xae, 0xf0, 0x8b, 0x0e]),
    // xchg [rdi], eax; mov ecx, [rsi]
    ("xchg", &[0x87, 0x07, 0x8b, 0x0e]),
    // lock add dword [rdi], 1; mov ecx, [rsi]
    ("lock add", &[0xf0, 0x83, 0x07, 0x01, 0x8b, 0x0e]),
];

/// How code orders its accesses on each host that is weaker than x86; and the number of its callouts, which the evaluator orders.
fn on_weak_hosts(mode: CpuMode, code: &[u8], ordered: bool) -> Vec<(&'static str, Vec<Ordering>, usize)> {
    let region = hosts::region(mode, GuestAddr(0x1000), code, ordered);
    let weak = hosts::all().into_iter().filter(|(_, host)| host.needs_order());
    weak.map(|(name, host)| {
        let compiled = hosts::compile(&*host, &region);
        (name, hosts::orderings(name, &compiled.code), compiled.callouts.len())
    })
    .collect()
}

#[test]
fn programs_of_one_thread_pay_nothing() {
    for (what, code, _) in CODE {
        for mode in [CpuMode::Long64, CpuMode::Protected32] {
            for (host, orderings, _) in on_weak_hosts(mode, code, false) {
                assert_eq!(orderings, [], "{what} on {host} ({mode:?})");
            }
        }
    }
}

#[test]
fn accesses_that_others_see_are_ordered() {
    for (what, code, accesses) in CODE {
        for mode in [CpuMode::Long64, CpuMode::Protected32] {
            for (host, orderings, callouts) in on_weak_hosts(mode, code, true) {
                let found = orderings.len() + callouts;
                assert!(found >= accesses, "{what} on {host} ({mode:?}): {orderings:?}, {callouts} callouts");
            }
        }
    }
}

#[test]
fn the_guest_s_barriers_are_barriers() {
    for (what, code) in FULL {
        for mode in [CpuMode::Long64, CpuMode::Protected32] {
            for (host, orderings, callouts) in on_weak_hosts(mode, code, true) {
                let holds = orderings.contains(&Ordering::Full) || callouts > 0 || orderings.len() >= 2;
                assert!(holds, "{what} on {host} ({mode:?}): {orderings:?}");
                // An exchange that acquires and releases, and the load after it that acquires, do as well.
                assert!(what != "mfence" || orderings.contains(&Ordering::Full), "{what} on {host}: {orderings:?}");
            }
        }
    }
}
