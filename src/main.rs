//! The switchover program.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    switchover::process::run(std::env::args_os())
}
