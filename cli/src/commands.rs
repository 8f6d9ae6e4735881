//! One module a command. A command takes what was typed, turns it into settings, and runs on those.

mod build;
pub(crate) mod check;
mod compile;
mod completions;
mod describe;
mod dump;
mod explain;
mod fmt;
mod lookup;
mod lsp;
mod opt;

use std::process::ExitCode;

use crate::args::{Cli, Command, ErrorFormat};
use crate::failure::{Failure, Result};
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
        Command::Opt(args) => opt::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Outline(args) => describe::outline(&args),
        Command::Targets(args) => describe::targets(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Frontend => Ok(buildkit_frontend::run()?),
        Command::Completions(args) => completions::shell(args.shell),
        Command::Man => completions::manual(),
        Command::Fmt(args) => fmt::run(&args),
        Command::Convert(_) => Err(Failure::unsupported("`llbc convert`", "there is one language so far, Dockerfile")),
        Command::Lsp(args) => lsp::run(&args),
        Command::Hlb(_) => Err(Failure::unsupported("`llbc hlb`", "HLB has no frontend yet; write a Dockerfile")),
    }
}

fn error_format(command: &Command) -> ErrorFormat {
    match command {
        Command::Compile(args) => args.options.error_format,
        Command::Dump(args) => args.options.error_format,
        Command::Opt(args) => args.options.error_format,
        Command::Build(args) => args.options.error_format,
        Command::Check(args) => args.options.error_format,
        Command::Outline(args) | Command::Targets(args) => args.options.error_format,
        _ => ErrorFormat::Human,
    }
}
