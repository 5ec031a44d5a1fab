//! Guest programs, assembled here, under a tiny system of their own and on every engine.

mod changing;
mod code;
mod debug;
mod faults;
mod floats;
mod system;
mod threads;
mod x87;
