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

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
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

/// Writes a file as a whole or not at all; a link stays one, and the permissions of a file that is there stay.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let attempt = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".llbc-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        let permissions = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.permissions(),
            Err(_) => std::fs::Permissions::from_mode(0o644),
        };
        file.as_file().set_permissions(permissions)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    };
    attempt().map_err(Failure::io("write", &path))
}
