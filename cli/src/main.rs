//! The `llbc` binary.
fn main() {}
