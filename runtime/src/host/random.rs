//! Random numbers from the host's kernel.

use super::system::random_bytes;

/// 64 bits that nobody can predict.
///
/// # Panics
/// Where the host's kernel has none: Linux has them since 3.17.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    loop {
        match random_bytes(&mut bytes) {
            Ok(8) => return u64::from_ne_bytes(bytes),
            // Interrupted by a signal.
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the host gives no random numbers: {error}"),
        }
    }
}
