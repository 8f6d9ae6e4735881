//! One module a command. A command takes what was typed, turns it into settings, and runs on those.

mod build;
pub(crate) mod check;
mod compile;
mod completions;
mod convert;
mod describe;
mod diff;
mod dump;
mod expand;
mod explain;
mod fmt;
mod graph;
mod hlb;
mod init;
mod lock;
mod lookup;
mod lsp;
mod opt;
mod program;
mod walk;

use std::process::ExitCode;

use crate::args::{Cli, Command, ErrorFormat};
use crate::failure::Result;
use crate::printer;

/// Runs a command and says how it ended.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let format = error_format(&cli.command);
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            printer::failure(format, &failure);
            failure.code()
        }
    }
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Compile(args) => compile::run(&args),
        Command::Dump(args) => dump::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::Opt(args) => opt::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Test(args) => build::test(&args),
        Command::Check(args) => check::run(&args),
        Command::Outline(args) => describe::outline(&args),
        Command::Targets(args) => describe::targets(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Frontend => Ok(buildkit_frontend::run()?),
        Command::Completions(args) => completions::shell(args.shell),
        Command::Man => completions::manual(),
        Command::Fmt(args) => fmt::run(&args),
        Command::Lock(args) => lock::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Expand(args) => expand::run(&args),
        Command::Lsp(args) => lsp::run(&args),
        Command::Hlb(args) => hlb::run(&args),
    }
}

fn error_format(command: &Command) -> ErrorFormat {
    match command {
        Command::Compile(args) => args.options.error_format,
        Command::Dump(args) => args.options.error_format,
        Command::Diff(args) => args.options.error_format,
        Command::Graph(args) => args.options.error_format,
        Command::Opt(args) => args.options.error_format,
        Command::Build(args) | Command::Test(args) => args.options.error_format,
        Command::Check(args) => args.options.error_format,
        Command::Lock(args) => args.options.error_format,
        Command::Outline(args) | Command::Targets(args) => args.options.error_format,
        _ => ErrorFormat::Human,
    }
}
