//! What is typed: one struct a command. What it means is [`crate::settings`]' business.

use std::ffi::OsString;
use std::ops::Deref;
use std::path::PathBuf;

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use executor::cli::Network;

/// Compiles Dockerfiles to BuildKit LLB and builds them into images.
#[derive(Parser)]
#[command(name = "llbc", version, after_help = NOTES, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const NOTES: &str = "\
`llbc FILE` is short for `llbc compile FILE`.

Exit codes: 0 done, 1 failed (errors in the build file, a missing image, a failed step; of `llbc check`, findings of at
least the severity given with --fail-on), 2 wrong usage, 130 interrupted.

Examples:
  llbc Dockerfile | executor -t app
  llbc build -t app .
  llbc dump --json Dockerfile | jq .Op
  llbc check Dockerfile
  llbc check --rules all --format sarif .";

/// What `llbc check` says of its waiting.
const CHECK_NOTES: &str = "\
Images are looked up to know the variables and platforms they bring. A registry is asked once and has a second to answer:
what is not known then is a note, and what depends on it is not looked at. --offline asks nobody, --facts FILE knows.";

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Compile to an LLB definition on standard output
    Compile(Named<Compile>),
    /// Show the LLB of a build file or of an encoded definition
    Dump(Named<Dump>),
    /// Say what changed between two builds, and what runs again because of it
    Diff(Named<Diff>),
    /// Draw a build as a page to look at, as it is and optimized
    Graph(Named<GraphArgs>),
    /// Optimize LLB, or say what the optimizer does and what stands in its way
    Opt(Named<Opt>),
    /// Compile and build an image in one go
    Build(Named<Build>),
    /// Run the tests of a build spec: all of them, or those named
    Test(Named<Build>),
    /// Show errors and warnings of build files
    Check(Named<Check>),
    /// Show arguments, secrets, agents and caches that a build file uses
    Outline(Named<Describe>),
    /// Show the targets of a build file
    Targets(Named<Describe>),
    /// Explain a warning: what it means, why, what to write instead
    Explain(Named<Explain>),
    /// Serve a build to BuildKit over standard input and output: what the frontend image runs
    Frontend,
    /// Format build files
    Fmt(Named<Fmt>),
    /// Write down what a build takes from outside: image digests, commits, checksums
    Lock(Named<LockArgs>),
    /// Look at a project and write a build file for it
    Init(Named<Init>),
    /// Write a build file in another language
    Convert(Named<Convert>),
    /// Write the presets of a build spec out as plain stages
    Expand(Named<Expand>),
    /// Run the language server on standard input and output
    Lsp(Named<Lsp>),
    /// Work with HLB modules
    Hlb(Hlb),
    /// Print the completion script of a shell
    Completions(Named<Completions>),
    /// Print the manual page
    Man,
}

/// The arguments of a command, which are defined once the command is named: defining those of all takes longer than compiling.
pub(crate) struct Named<T>(Box<T>);

impl<T> Deref for Named<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Args> Args for Named<T> {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.defer(|command| {
            // What the list of commands says of it stays.
            let about = command.get_about().cloned().unwrap_or_default();
            T::augment_args(command).about(about).long_about(None)
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<T: FromArgMatches> FromArgMatches for Named<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(|args| Self(Box::new(args)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// `llbc compile`.
#[derive(Args)]
pub(crate) struct Compile {
    /// Build file, or the address of a remote context that holds it; `-` is standard input
    pub(crate) file: String,
    #[command(flatten)]
    pub(crate) options: CompileOptions,
    /// Write the definition here instead
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `llbc dump`.
#[derive(Args)]
pub(crate) struct Dump {
    /// Build file or encoded definition; `-` is standard input
    pub(crate) file: String,
    #[command(flatten)]
    pub(crate) format: DumpFormat,
    #[command(flatten)]
    pub(crate) options: CompileOptions,
}

/// `llbc diff`.
#[derive(Args)]
pub(crate) struct Diff {
    /// Build file, encoded definition, or LLB as text (`*.llb`)
    pub(crate) first: String,
    /// What it has become; `-` is standard input
    pub(crate) second: String,
    #[command(flatten)]
    pub(crate) options: CompileOptions,
}

/// `llbc graph`.
#[derive(Args)]
pub(crate) struct GraphArgs {
    /// Build file, encoded definition, or LLB as text (`*.llb`); `-` is standard input
    pub(crate) file: String,
    #[command(flatten)]
    pub(crate) options: CompileOptions,
    /// Only the drawing, as SVG
    #[arg(long)]
    pub(crate) svg: bool,
    /// Write the page here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `llbc opt`.
#[derive(Args)]
pub(crate) struct Opt {
    /// Build file, encoded definition, or LLB as text (`*.llb`); `-` is standard input
    pub(crate) file: String,
    #[command(flatten)]
    pub(crate) options: CompileOptions,
    /// Say what each pass does and why, and what it leaves alone and why
    #[arg(long, conflicts_with_all = ["text", "output"])]
    pub(crate) explain: bool,
    /// Print LLB as text
    #[arg(long)]
    pub(crate) text: bool,
    /// Write the definition here instead
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What `llbc dump` prints.
#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct DumpFormat {
    /// One JSON object a vertex, as `buildctl debug dump-llb` prints them
    #[arg(long)]
    pub(crate) json: bool,
    /// LLB as text (this is the default)
    #[arg(long)]
    pub(crate) text: bool,
    /// A graph for Graphviz
    #[arg(long)]
    pub(crate) dot: bool,
    /// The image config
    #[arg(long)]
    pub(crate) image: bool,
    /// LLB as text before the optimizer and after each pass that changes it
    #[arg(long)]
    pub(crate) passes: bool,
}

/// `llbc build`.
#[derive(Args, Clone)]
pub(crate) struct Build {
    /// Directory or address of the build context, `-` for standard input: an archive of the context, or the build file
    /// and no context [default: the directory of the build file]; then names of what is built: targets, groups, tests
    #[arg(value_name = "CONTEXT | NAME")]
    pub(crate) words: Vec<String>,
    /// Build file, in a remote context if that is one; `-` is standard input [default: CONTEXT/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<String>,
    #[command(flatten)]
    pub(crate) options: CompileOptions,
    #[command(flatten)]
    pub(crate) frontend: BuildFlags,
    #[command(flatten)]
    pub(crate) run: executor::cli::RunArgs,
}

/// Flags of `docker build` that are frontend options of another name.
#[derive(Args, Clone)]
pub(crate) struct BuildFlags {
    /// Line for /etc/hosts of steps: `NAME:ADDRESS`
    #[arg(long = "add-host", value_name = "HOST")]
    pub(crate) add_hosts: Vec<String>,
    /// Parent control group of steps
    #[arg(long, value_name = "CGROUP")]
    pub(crate) cgroup_parent: Option<String>,
    /// Network of steps
    #[arg(long, value_enum, default_value = "default")]
    pub(crate) network: Network,
    /// Stages not to take from the cache
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(crate) no_cache_filter: Vec<String>,
    /// Always ask registries for base images
    #[arg(long)]
    pub(crate) pull: bool,
    /// Size of /dev/shm: `64m`
    #[arg(long, value_name = "BYTES")]
    pub(crate) shm_size: Option<String>,
    /// Limit of steps: `NAME=SOFT[:HARD]`
    #[arg(long = "ulimit", value_name = "LIMIT")]
    pub(crate) ulimits: Vec<String>,
    /// Only show errors and warnings, build nothing
    #[arg(long)]
    pub(crate) check: bool,
    /// Only print what would be built, as `docker buildx bake --print` does
    #[arg(long)]
    pub(crate) print: bool,
    /// Of a bake file: what targets say instead, or with `+=` as well; `app.args.V=1`, `*.platform=linux/arm64`
    #[arg(long, value_name = "TARGET.KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// `llbc check`.
#[derive(Args)]
#[command(after_help = CHECK_NOTES)]
pub(crate) struct Check {
    /// Build files, and directories to look for build files in; `-` is standard input
    #[arg(default_value = ".", value_name = "FILE")]
    pub(crate) files: Vec<String>,
    /// Rules to run besides BuildKit's; several with commas, or `all` (`llbc explain` lists them)
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub(crate) rules: Vec<String>,
    /// How findings are printed
    #[arg(long, value_enum, default_value = "human")]
    pub(crate) format: CheckFormat,
    /// Mend what can be mended without changing what is built
    #[arg(long)]
    pub(crate) fix: bool,
    /// The least severity that makes the exit code 1
    #[arg(long, value_enum, default_value = "error", value_name = "SEVERITY")]
    pub(crate) fail_on: FailOn,
    #[command(flatten)]
    pub(crate) options: CompileOptions,
}

/// The least severity that fails a check.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailOn {
    /// Errors only.
    Error,
    /// Errors and warnings.
    Warning,
    /// Everything that is found.
    Info,
    /// Nothing.
    Never,
}

/// How findings are printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckFormat {
    /// With the source lines.
    Human,
    /// One JSON object a line, on standard output.
    Json,
    /// SARIF for code scanners.
    Sarif,
    /// Annotations of GitHub workflows.
    Github,
    /// `file:line:column: severity: message`.
    Gcc,
}

/// `llbc outline`, `llbc targets`.
#[derive(Args)]
pub(crate) struct Describe {
    /// Build file, or the address of a remote context that holds it; `-` is standard input
    pub(crate) file: String,
    /// As JSON, in BuildKit's form
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) options: CompileOptions,
}

/// `llbc explain`.
#[derive(Args)]
pub(crate) struct Explain {
    /// Name of the rule
    pub(crate) rule: Option<String>,
}

/// `llbc fmt`.
#[derive(Args)]
#[command(after_help = "Only the layout changes: a build gets the same definition before and after.")]
pub(crate) struct Fmt {
    /// Build files, or directories of them, written in place; `-` reads standard input and writes standard output
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<String>,
    /// Write nothing; name the files that are not in order, and fail if there are any
    #[arg(long)]
    pub(crate) check: bool,
    /// Write nothing; show what would change
    #[arg(long)]
    pub(crate) diff: bool,
    /// Only these lines, both counted from 1
    #[arg(long, value_name = "FIRST:LAST", value_parser = line_range)]
    pub(crate) lines: Option<LineRange>,
    /// Name of the file that standard input is: it decides the language
    #[arg(long, value_name = "NAME", default_value = "Dockerfile")]
    pub(crate) stdin_name: String,
}

/// First and last line, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineRange {
    /// First.
    pub(crate) first: u32,
    /// Last.
    pub(crate) last: u32,
}

fn line_range(text: &str) -> Result<LineRange, String> {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    let number = |text: &str| text.parse().ok().filter(|line| *line > 0);
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(LineRange { first, last }),
        _ => Err("expected FIRST:LAST, as in 3:9".to_owned()),
    }
}

/// `llbc lsp`.
#[derive(Args)]
#[command(after_help = "Set up in editors: docs/editors.md.")]
pub(crate) struct Lsp {
    /// Accepted, as editors pass it: there is no other way
    #[arg(long, hide = true)]
    pub(crate) stdio: bool,
    #[command(flatten)]
    pub(crate) store: executor::cli::StoreArgs,
}

/// `llbc completions`.
#[derive(Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// `llbc lock`.
#[derive(Args)]
#[command(after_help = LOCK_NOTES)]
pub(crate) struct LockArgs {
    /// Build file [default: Dockerfile or build.toml]
    pub(crate) file: Option<String>,
    /// Ask anew for an image (`alpine`, `alpine:3.20`) or a source (its address), or for everything; may be repeated
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub(crate) update: Vec<String>,
    #[command(flatten)]
    pub(crate) options: CompileOptions,
    /// The lock file [default: llbc.lock beside the build file]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What `llbc lock` says of the file it writes.
const LOCK_NOTES: &str = "\
Every command reads llbc.lock beside the build file: what it says is not asked for, and sources are what it says. With
--locked, what it does not say is an error. Lock once for each set of platforms: llbc lock --platform linux/amd64,linux/arm64";

/// `llbc init`.
#[derive(Args)]
pub(crate) struct Init {
    /// The project's directory
    #[arg(default_value = ".", hide_default_value = true)]
    pub(crate) directory: PathBuf,
    /// What to write
    #[arg(long, value_name = "FORMAT", default_value = "toml")]
    pub(crate) format: InitFormat,
    /// What the project is, instead of what its files tell
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<ProjectKind>,
    /// What the image is called
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Image to build in, instead of the usual one of the language
    #[arg(long, value_name = "IMAGE")]
    pub(crate) builder: Option<String>,
    /// Image to run in, instead of the usual one
    #[arg(long, value_name = "IMAGE")]
    pub(crate) from: Option<String>,
    /// Write here [default: build.toml or Dockerfile in the directory]; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// What `llbc init` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InitFormat {
    /// A build spec
    Toml,
    /// A Dockerfile
    Dockerfile,
}

/// Kinds of projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProjectKind {
    /// `go.mod`
    Go,
    /// `Cargo.toml`
    Rust,
    /// `package.json`
    Node,
    /// `pyproject.toml` or `requirements.txt`
    Python,
    /// `pom.xml` or `build.gradle`
    Java,
    /// Files for a web server
    Static,
    /// `CMakeLists.txt`
    Cmake,
}

/// `llbc convert`.
#[derive(Args)]
pub(crate) struct Convert {
    /// Build file; `-` is standard input
    pub(crate) file: String,
    /// The language to write
    #[arg(long, value_name = "LANGUAGE")]
    pub(crate) to: Target,
    /// Leave out what the other language has no word for, instead of failing
    #[arg(long)]
    pub(crate) lossy: bool,
    /// Write here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Languages to convert to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// A Dockerfile
    Dockerfile,
    /// A program of HLB
    Hlb,
    /// A build spec
    Toml,
}

/// `llbc expand`.
#[derive(Args)]
pub(crate) struct Expand {
    /// Build spec; `-` is standard input [default: build.toml]
    #[arg(default_value = "build.toml", hide_default_value = true)]
    pub(crate) file: String,
    /// Change the file instead of writing to standard output
    #[arg(short, long)]
    pub(crate) write: bool,
}

/// `llbc hlb`.
#[derive(Args)]
#[command(after_help = HLB_NOTES)]
pub(crate) struct Hlb {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: HlbCommand,
}

/// What `llbc hlb` says of modules.
const HLB_NOTES: &str = "\
Modules lie in .hlb/modules of the working directory, as HLB keeps them: what is there is compiled, and nothing else is. Their
digests are in .hlb/modules.sum; a text that has changed is refused.";

/// Commands of `llbc hlb`.
#[derive(Subcommand)]
pub(crate) enum HlbCommand {
    /// Keep the modules that a program imports from filesystems and repositories
    Vendor(Named<Vendor>),
    /// Keep what is missing, and remove what is not imported any more
    Tidy(Named<ModuleArgs>),
    /// Print the tree of imports
    Tree(Named<TreeArgs>),
}

/// `llbc hlb vendor`.
#[derive(Args)]
pub(crate) struct Vendor {
    /// Only this import (`--target` is the same); may be repeated
    #[arg(short = 't', long = "import", value_name = "NAME")]
    pub(crate) targets: Vec<String>,
    #[command(flatten)]
    pub(crate) module: ModuleArgs,
}

/// `llbc hlb tree`.
#[derive(Args)]
pub(crate) struct TreeArgs {
    /// Digests in full
    #[arg(long)]
    pub(crate) long: bool,
    #[command(flatten)]
    pub(crate) module: ModuleArgs,
}

/// A program whose imports are wanted.
#[derive(Args)]
pub(crate) struct ModuleArgs {
    /// Program, or the digest of a module that is kept
    #[arg(default_value = "build.hlb", value_name = "FILE")]
    pub(crate) file: String,
    #[command(flatten)]
    pub(crate) options: CompileOptions,
}

/// Options of everything that compiles.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Compile options")]
pub(crate) struct CompileOptions {
    /// Stage to build
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,
    /// Platform to build for; several with commas
    #[arg(long = "platform", value_name = "PLATFORM", value_delimiter = ',')]
    pub(crate) platforms: Vec<String>,
    /// Build argument; without a value it is taken from the environment
    #[arg(long = "build-arg", value_name = "KEY[=VALUE]")]
    pub(crate) build_args: Vec<String>,
    /// Label of the image
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
    /// Named context: a directory, `docker-image://…`, `oci-layout://DIR[:TAG][@DIGEST]`, a git or http address
    #[arg(long = "build-context", value_name = "NAME=SOURCE")]
    pub(crate) build_contexts: Vec<String>,
    /// Frontend option, by BuildKit's name
    #[arg(long = "opt", value_name = "KEY=VALUE")]
    pub(crate) opts: Vec<String>,
    /// Directory of the build context, for its ignore file
    #[arg(id = "context_dir", long = "context", value_name = "DIR")]
    pub(crate) context_dir: Option<PathBuf>,
    /// Local directory, by name
    #[arg(long = "local", value_name = "NAME=DIR")]
    pub(crate) locals: Vec<String>,
    /// File that answers for registries (a lock file); may be repeated
    #[arg(long = "facts", value_name = "FILE")]
    pub(crate) facts: Vec<PathBuf>,
    /// Take nothing from outside that is not in the lock file (or a facts file), or pinned by the text itself
    #[arg(long)]
    pub(crate) locked: bool,
    /// Let `localRun` of a program run processes on this machine
    #[arg(long)]
    pub(crate) allow_local_run: bool,
    /// Ask no registry and no server; what no file answers is an error
    #[arg(long)]
    pub(crate) offline: bool,
    /// Write what was asked and answered to a file, for `--facts`
    #[arg(long, value_name = "FILE")]
    pub(crate) write_facts: Option<PathBuf>,
    /// Id of the client session in the definition
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// Platform that build stages run on [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) build_platform: Option<String>,
    /// Of several platforms, write only this one
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) only_platform: Option<String>,
    /// Channel of the Dockerfile language
    #[arg(long, value_enum, default_value = "stable")]
    pub(crate) channel: Channel,
    /// Optimization: 0 (BuildKit's own graph), 1 (less work) or 2 (also fewer, bigger layers) [default: 1 for build, test and
    /// opt, else 0]
    #[arg(short = 'O', value_name = "LEVEL")]
    pub(crate) optimize: Option<String>,
    /// Optimize without changing the layers of the image
    #[arg(long)]
    pub(crate) preserve_layers: bool,
    /// How errors and warnings are printed
    #[arg(long, value_enum, default_value = "human")]
    pub(crate) error_format: ErrorFormat,
    #[command(flatten)]
    pub(crate) store: executor::cli::StoreArgs,
}

/// Channel of the Dockerfile language.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Channel {
    /// What every BuildKit takes.
    #[default]
    Stable,
    /// What `docker/dockerfile:labs` takes.
    Labs,
}

/// How errors and warnings are printed.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ErrorFormat {
    /// With the source lines.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Reads the command line; a first argument that is no command is the file of `compile`.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Cli {
    let words = with_command(arguments.into_iter().collect());
    let parsed = Cli::try_parse_from(&words);
    parsed.unwrap_or_else(|error| executor::cli::named(error, Cli::command(), &words).exit())
}

/// Names of the commands; a list, because building clap's own takes longer than compiling.
const COMMANDS: &[&str] = &[
    "compile",
    "dump",
    "diff",
    "graph",
    "opt",
    "build",
    "test",
    "check",
    "outline",
    "targets",
    "explain",
    "frontend",
    "fmt",
    "lock",
    "init",
    "convert",
    "expand",
    "lsp",
    "hlb",
    "completions",
    "man",
];

fn with_command(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let Some(first) = arguments.get(1) else { return arguments };
    let known = |word: &str| COMMANDS.contains(&word) || ["-h", "--help", "-V", "--version", "help"].contains(&word);
    if !first.to_str().is_some_and(known) {
        arguments.insert(1, "compile".into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], expected: &[&str]) {
        let words = std::iter::once("llbc").chain(words.iter().copied()).map(OsString::from).collect();
        assert_eq!(with_command(words)[1..], *expected);
    }

    #[test]
    fn ranges_of_lines() {
        assert_eq!(line_range("3:9"), Ok(LineRange { first: 3, last: 9 }));
        assert_eq!(line_range("4"), Ok(LineRange { first: 4, last: 4 }));
        for wrong in ["", "0:1", "9:3", "a:b", "1-2"] {
            assert!(line_range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn compile_may_be_left_out() {
        check(&["Dockerfile"], &["compile", "Dockerfile"]);
        check(&["--target", "x", "-"], &["compile", "--target", "x", "-"]);
        check(&["-O0", "Dockerfile"], &["compile", "-O0", "Dockerfile"]);
        check(&["dump", "Dockerfile"], &["dump", "Dockerfile"]);
        check(&["--help"], &["--help"]);
        check(&[], &[]);
    }

    #[test]
    fn the_list_of_commands_is_complete() {
        let command = Cli::command();
        let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(names, COMMANDS);
    }

    #[test]
    fn the_definition_of_arguments_is_sound() {
        Cli::command().debug_assert();
    }
}
