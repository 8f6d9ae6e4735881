//! `executor`: an LLB definition in, images and trees out.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: this process may be the inside of a container in the making.
    executor::runtime::enter_shim_if_asked();
    executor::cli::main()
}
