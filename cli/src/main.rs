//! The `hokku` command.
fn main() {}
