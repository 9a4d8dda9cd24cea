//! The switchover program.

fn main() {}
