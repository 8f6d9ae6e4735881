//! `executor`: an LLB definition in, images and trees out.

use std::process::ExitCode;

fn main() -> ExitCode {
    executor::cli::main()
}
