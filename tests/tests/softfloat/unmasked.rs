//! SSE with unmasked exceptions: which instructions fault, and with which flags.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use hokku_ir::softfloat::{self as sf, Exceptions, F32, F64, FloatEnv, Inexact};

use crate::cases::{Differences, Rng, count};
use crate::native_sse as native;
use crate::sse::Lane;

/// MXCSR of the last `#XM`; 0 if there was none.
static FAULTED_WITH: AtomicU32 = AtomicU32::new(0);

/// Notes MXCSR and masks everything, so that the instruction runs through when it is tried again.
extern "C" fn on_sigfpe(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `ucontext_t` to an SA_SIGINFO handler, with floating-point state.
    unsafe {
        let context = context.cast::<libc::ucontext_t>();
        let float = (*context).uc_mcontext.fpregs;
        FAULTED_WITH.store((*float).mxcsr, Ordering::Relaxed);
        (*float).mxcsr |= 0x1f80;
    }
}

fn install_handler() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_sigfpe;
        // SAFETY: `action` is fully initialised; the handler touches only its arguments and an atomic.
        let result = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(libc::SIGFPE, &raw const action, std::ptr::null_mut())
        };
        assert_eq!(result, 0, "sigaction(SIGFPE)");
    });
}

/// Runs random pairs under random masks.
fn binary<A: Lane, R: Lane>(
    name: &str,
    native: fn(u64, u64, u32) -> (u64, u32),
    ours: impl Fn(A, A, &mut FloatEnv) -> R,
) {
    let mut rng = Rng(0xfa017);
    let mut differences = Differences::of(name);
    for _ in 0..count(40_000) {
        let (a, b) = A::pair(&mut rng);
        let mode = rng.next() as u32 & 0xffc0;
        FAULTED_WITH.store(0, Ordering::Relaxed);
        let (bits, raised) = native(a.bits(), b.bits(), mode);
        let faulted_with = FAULTED_WITH.load(Ordering::Relaxed);
        let mut env = FloatEnv::from_mxcsr(mode);
        let result = ours(a, b, &mut env);
        let settled = env.settle();
        let flags = u32::from((settled.flags & Exceptions::ALL).bits());
        let seen = if faulted_with == 0 { (Some(R::from_bits(bits)), raised) } else { (None, faulted_with & 0x3f) };
        let ours = (settled.writes_vector().then_some(result), flags);
        differences.check(&seen, &ours, || format!("a {a:x?} b {b:x?} mxcsr {mode:#x}"));
    }
    differences.finish();
}

/// One test, since they share what the handler writes.
#[test]
fn faults() {
    install_handler();
    binary::<F32, F32>("addss", native::addss, sf::add);
    binary::<F64, F64>("addsd", native::addsd, sf::add);
    binary::<F64, F64>("subsd", native::subsd, sf::sub);
    binary::<F32, F32>("mulss", native::mulss, sf::mul);
    binary::<F64, F64>("mulsd", native::mulsd, sf::mul);
    binary::<F32, F32>("divss", native::divss, sf::div);
    binary::<F64, F64>("divsd", native::divsd, sf::div);
    binary::<F64, F64>("sqrtsd", native::sqrtsd, |_, b, env| sf::sqrt(b, env));
    binary::<F64, F64>("minsd", native::minsd, sf::min);
    binary::<F32, F64>("cvtss2sd", native::cvtss2sd, |_, b, env| sf::convert(b, env));
    binary::<F64, F32>("cvtsd2ss", native::cvtsd2ss, |_, b, env| sf::convert(b, env));
    binary::<F64, F64>("roundsd", native::roundsd_4, |_, b, env| {
        sf::round_to_integral(b, env.rounding, Inexact::Report, env)
    });
    let integer = |_, b: F64, env: &mut FloatEnv| F64(u64::from(sf::to_i32(b, env.rounding, env) as u32));
    binary::<F64, F64>("cvtsd2si", |_, b, mode| native::cvtsd2si32(b, mode), integer);
}
