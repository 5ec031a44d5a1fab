//! The x87's transcendental functions, rounded from results with some 120 correct bits.
//!
//! So results are correctly rounded but for about one in `2^55`; processors promise an error below one unit in the last
//! place, and theirs differ from these now and then in that place. Rounding control applies, precision control does not.

mod arctangent;
mod exponential;
mod series;
mod trigonometric;
mod wide;

pub use arctangent::arctangent;
pub use exponential::{exp2_minus_1, log2_plus_1_times, log2_times};
pub use trigonometric::{SineCosine, cosine, sine, sine_cosine, tangent};
