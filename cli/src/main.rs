//! `llbc`: build files in, LLB out, and images when it builds.
//!
//! Arguments ([`args`]) become settings ([`settings`]), a command runs on settings ([`commands`]), and its end becomes
//! an exit code. All talk and all data go through [`printer`].

mod allocator;
mod args;
mod bake;
mod commands;
mod definition;
mod failure;
mod files;
mod kept;
mod layout;
mod needs;
mod pipeline;
mod printer;
mod remote;
mod settings;
mod stdin;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: this process may be the inside of a container in the making.
    executor::runtime::enter_shim_if_asked();
    commands::run(args::parse(std::env::args_os()))
}
