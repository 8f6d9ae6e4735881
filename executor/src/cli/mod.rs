//! The command line of running a definition: shared by the `executor` binary and by `llbc build`.
//!
//! What was typed ([`RunArgs`]) becomes what it means ([`Settings`]); [`run`] hands that to the engine and says how it
//! went. Standard output is data (`-o …,dest=-`, the image id of `--quiet`), standard error is talk.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted. A step that fails makes it 1 whatever its own code was, as
//! with Docker and BuildKit's client; the message holds that code.

mod args;
mod attest;
mod begun;
mod failure;
mod images;
mod misspelt;
mod output;
mod prune;
mod run;
mod session;
mod settings;
mod shell;
mod signals;
mod unreadable;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

pub use args::{Network, OnError, Progress, RunArgs, StoreArgs};
pub use attest::{asked, attestations, attested, of_all, parse as parse_attestation};
pub use begun::begun;
pub use misspelt::misspelt;
pub use run::{Console, run, run_frontend};
pub use session::directories;
pub use settings::Settings;
pub use unreadable::named;

use crate::progress::visible;
use crate::{Error, Result, stdout, text, userns};

/// Exit code of a build that somebody interrupted.
pub const INTERRUPTED: u8 = 130;

/// What names standard input.
const STDIN: &str = "-";

/// Runs LLB definitions into images and trees. No daemon.
#[derive(clap::Parser)]
#[command(name = "executor", version, subcommand_precedence_over_arg = true, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    store: StoreArgs,
    /// Local directory of the build, by name; `context` is the working directory unless said otherwise
    #[arg(long = "local", value_name = "NAME=DIR")]
    locals: Vec<String>,
    /// OCI layout directory, by name
    #[arg(long = "oci-layout", value_name = "NAME=DIR")]
    oci_layouts: Vec<String>,
    /// Network of steps that leave it open
    #[arg(long, value_enum, default_value = "default")]
    network: Network,
    /// Image of a frontend that makes the definition, as `# syntax=` names it; the build file is in the local directory
    /// `dockerfile`, or in the context
    #[arg(long, value_name = "IMAGE", conflicts_with = "file")]
    frontend: Option<String>,
    /// Option of the frontend, by BuildKit's name
    #[arg(long = "opt", value_name = "KEY=VALUE", requires = "frontend")]
    opts: Vec<String>,
    /// Encoded definition; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: String,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Manage the images of the store
    Images(images::Args),
    /// Show what the store holds: layers, blobs, cache mounts, git repositories
    Du(prune::DuArgs),
    /// Remove what can be made again
    Prune(prune::PruneArgs),
}

const EXAMPLES: &str = "\
Examples:
  llbc Dockerfile | executor -t app
  llbc Dockerfile | executor -o type=oci,dest=app.tar
  executor --frontend docker/dockerfile:1 --opt target=app --local context=. -t app
  executor images ls
  executor prune --keep-duration=24h --max-used-space=20GB";

/// The `executor` binary, from arguments to exit code.
pub fn main() -> ExitCode {
    let args = Args::typed();
    let done = match args.command {
        Some(Command::Images(images)) => {
            // Lists can be read without; what cannot be done without says so by itself.
            let _ = userns::enter();
            images::run(&images)
        }
        Some(Command::Du(du)) => prune::du(&du),
        Some(Command::Prune(prune)) => userns::enter().and_then(|()| prune::run(&prune)),
        None => run_definition(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

impl Args {
    /// What was typed; says what is wrong with it and ends the program if need be.
    fn typed() -> Self {
        let words: Vec<_> = std::env::args_os().collect();
        let matches = Self::command().try_get_matches_from(&words);
        let parsed = matches.map_err(|error| named(error, Self::command(), &words)).and_then(Self::checked);
        parsed.unwrap_or_else(|error| error.exit())
    }

    /// Flags of a run and a command exclude each other; those that say where the store is may stand before both.
    fn checked(matches: ArgMatches) -> std::result::Result<Self, clap::Error> {
        if let Some((command, _)) = matches.subcommand() {
            let definition = Self::command();
            let is_of_run = |id: &&clap::Id| {
                let typed = matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
                typed && definition.get_arguments().any(|arg| arg.get_id() == *id && !arg.is_global_set())
            };
            if let Some(id) = matches.ids().find(is_of_run) {
                let name = id.as_str().replace('_', "-");
                let message = format!("--{name} says how a definition is run; `{command}` runs none");
                return Err(Self::command().error(clap::error::ErrorKind::ArgumentConflict, message));
            }
        }
        Self::from_arg_matches(&matches)
    }
}

fn run_definition(args: Args) -> Result<()> {
    userns::enter()?;
    let runtime = begun(&args.run, &args.store, args.network)?;
    // A frontend makes its definition itself.
    let definition = if args.frontend.is_some() { Vec::new() } else { read_definition(&args.file)? };
    let mut settings = Settings::new(&args.run, &args.store)?;
    settings.runtime = runtime;
    settings.stdin_is_taken = args.frontend.is_none() && args.file == STDIN;
    settings.network = args.network.mode(&settings.allow)?;
    settings.session.locals.insert("context".into(), ".".into());
    settings.session.locals.extend(session::directories(&args.locals)?);
    settings.session.oci_layouts.extend(session::directories(&args.oci_layouts)?);
    match &args.frontend {
        Some(source) => {
            let context = settings.session.locals["context"].clone();
            settings.session.locals.entry("dockerfile".into()).or_insert(context);
            let mut opts = options(&args.opts)?;
            opts.keys().filter_map(|name| misspelt(name)).for_each(|warning| say(&format!("warning: {warning}")));
            opts.extend(attestations(&args.run)?);
            run_frontend(source, opts, settings)
        }
        None => {
            let opts = attestations(&args.run)?;
            settings.attest = of_all(asked("", &opts)?, Vec::new(), BTreeSet::new());
            run::run_scanned(definition, attest::scanner(&opts)?, settings)
        }
    }
}

/// `KEY=VALUE`; without a value it is empty.
fn options(opts: &[String]) -> Result<BTreeMap<String, String>> {
    let option = |text: &String| match text.split_once('=') {
        Some(("", _)) => Err(Error::Invalid(format!("--opt {text}: expected KEY=VALUE"))),
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Ok((text.clone(), String::new())),
    };
    opts.iter().map(option).collect()
}

/// **Errors**: nothing to read. BuildKit takes no bytes for a definition of scratch; here they mean that the program
/// before the pipe has failed, since `llbc` always writes an image config.
fn read_definition(file: &str) -> Result<Vec<u8>> {
    let bytes = if file == STDIN { read_stdin()? } else { text::file(file).map_err(Error::io("read", file))? };
    if bytes.is_empty() {
        return Err(Error::Invalid("no definition came in: the program that should have written it has failed".into()));
    }
    Ok(bytes)
}

fn read_stdin() -> Result<Vec<u8>> {
    let stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        return Err(Error::Invalid(
            "no definition: pipe one in (`llbc Dockerfile | executor`) or name a file (see `executor --help`)".into(),
        ));
    }
    text::all(stdin, text::LONGEST).map_err(Error::io("read", "standard input"))
}

/// Says what went wrong, in one line, and returns the exit code for it.
pub fn report(error: &Error) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    // Nothing can be done about a closed standard error.
    let _ = writeln!(stderr, "error: {}", visible(&error.to_string()));
    match error {
        Error::Cancelled => ExitCode::from(INTERRUPTED),
        _ => ExitCode::FAILURE,
    }
}

/// Says something to whoever looks.
fn say(line: &str) {
    // Nothing can be done about a closed standard error.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes a line of data to standard output.
fn print(line: &str) -> Result<()> {
    print_bytes(format!("{line}\n").as_bytes())
}

/// Writes data to standard output; a reader that went away is no failure.
fn print_bytes(bytes: &[u8]) -> Result<()> {
    stdout::write(bytes).map_err(Error::io("write to", "standard output"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_have_an_end() {
        let error = read_definition("/dev/zero").unwrap_err().to_string();
        assert_eq!(error, "cannot read /dev/zero: it is longer than 64 MiB");
    }

    fn typed(line: &str) -> std::result::Result<Args, String> {
        let matches = Args::command().try_get_matches_from(line.split(' ')).map_err(|error| error.to_string())?;
        Args::checked(matches).map_err(|error| error.to_string())
    }

    #[test]
    fn the_store_is_named_before_or_after_a_command() {
        for line in
            ["executor --root there images ls", "executor images ls --root there", "executor images --root there ls"]
        {
            let Some(Command::Images(images)) = typed(line).unwrap_or_else(|why| panic!("{why}")).command else {
                panic!("{line}");
            };
            assert_eq!(images.store.root, Some("there".into()), "{line}");
        }
        assert!(matches!(typed("executor --root there du").unwrap().command, Some(Command::Du(_))));
        assert!(matches!(typed("executor --root=there prune").unwrap().command, Some(Command::Prune(_))));
        let run = typed("executor --root there --no-cache ./definition").unwrap();
        assert!(run.command.is_none() && run.run.no_cache);
        assert_eq!((run.store.root, run.file.as_str()), (Some("there".into()), "./definition"));
    }

    #[test]
    fn flags_of_a_run_are_none_of_a_command() {
        for line in ["executor --no-cache images ls", "executor -t app du", "executor --local a=b --root c prune"] {
            let why = typed(line).err().unwrap();
            assert!(why.contains("says how a definition is run"), "{line}: {why}");
        }
    }
}
