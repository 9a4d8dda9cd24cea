//! The switchover program.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchover::process::run(std::env::args_os())
}
