//! What the options of a compilation mean: frontend options by BuildKit's names, and where the outside is found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compiler::Options;
use executor::cli::RunArgs;
use executor::session::Uploads;
use llb::passes::{self, Level};
use oci::{Digest, Platform};

use crate::args::{Channel, CompileOptions, ErrorFormat};
use crate::failure::{Failure, Result};
use crate::world::Patience;
use crate::{layout, printer};

/// The lock file beside a build file.
pub(crate) const LOCK: &str = "llbc.lock";

/// A compilation, ready to run.
pub(crate) struct Settings {
    /// The build file.
    pub(crate) input: Input,
    /// What the user asked for.
    pub(crate) options: Options,
    /// Local directories by name: `context`, `dockerfile`, named contexts.
    pub(crate) locals: BTreeMap<String, PathBuf>,
    /// OCI layout directories by store name.
    pub(crate) layouts: BTreeMap<String, PathBuf>,
    /// What came by standard input and is the context.
    pub(crate) uploads: Uploads,
    /// Facts files, a later one wins.
    pub(crate) facts: Vec<PathBuf>,
    /// Whether programs may run processes on this machine.
    pub(crate) allow_local_run: bool,
    /// Whether no registry and no server is asked.
    pub(crate) offline: bool,
    /// Whether nothing is taken that is not written down.
    pub(crate) locked: bool,
    /// Whether those that are asked may not take long.
    pub(crate) patience: Option<Arc<Patience>>,
    /// What imported modules are taken from.
    pub(crate) modules: Modules,
    /// How builds are run. What is asked while compiling may only push where this is a build.
    pub(crate) run: Option<RunArgs>,
    /// Where answers are written down.
    pub(crate) write_facts: Option<PathBuf>,
    /// Of several platforms, the one to write.
    pub(crate) only_platform: Option<Platform>,
    /// What the optimizer is asked to do.
    pub(crate) passes: passes::Options,
    /// How diagnostics are printed.
    pub(crate) error_format: ErrorFormat,
    /// The executor's store, and registries.
    pub(crate) store: executor::cli::StoreArgs,
}

/// What modules that are imported from filesystems are taken from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Modules {
    /// From what is kept beside the program, where there is such a directory.
    #[default]
    Kept,
    /// From what is kept; what is not is built.
    KeptOrBuilt,
    /// Those of the filesystems with these digests are built, all without digests; else as [`Modules::KeptOrBuilt`].
    Built(Option<BTreeSet<Digest>>),
}

/// Where the build file is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// Standard input, read already.
    Piped(Arc<[u8]>),
    /// A context somewhere else that holds it: an address of git or of the web.
    Remote(String),
}

impl Input {
    /// `-` is standard input, and an address is one.
    pub(crate) fn new(file: &str) -> Self {
        match file {
            "-" => Self::Stdin,
            address if is_address(address) => Self::Remote(address.to_owned()),
            path => Self::File(path.into()),
        }
    }

    /// The name to show, as typed.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin | Self::Piped(_) => "-".to_owned(),
            Self::Remote(address) => address.clone(),
        }
    }

    /// Whether it is standard input.
    pub(crate) fn is_stdin(&self) -> bool {
        matches!(self, Self::Stdin | Self::Piped(_))
    }

    /// The directory a file lies in.
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        let Self::File(path) = self else { return None };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Some(parent.unwrap_or(Path::new(".")).to_owned())
    }
}

impl Settings {
    /// Reads the options of a compilation of `input`. The context is the working directory unless said otherwise.
    pub(crate) fn new(input: Input, args: &CompileOptions) -> Result<Self> {
        let host = executor::host_platform();
        let mut settings = Self {
            options: Options {
                opts: frontend_options(args)?,
                build_platforms: platforms(args.build_platform.as_deref(), &host)?,
                session: args.session.clone(),
                labs: args.channel == Channel::Labs,
                ..Options::default()
            },
            locals: BTreeMap::new(),
            layouts: BTreeMap::new(),
            uploads: Uploads::new(),
            facts: args.facts.clone(),
            allow_local_run: args.allow_local_run,
            offline: args.offline,
            locked: args.locked,
            patience: None,
            modules: Modules::default(),
            run: None,
            write_facts: args.write_facts.clone(),
            only_platform: platforms(args.only_platform.as_deref(), &host)?.pop(),
            passes: passes::Options {
                level: args.optimize.as_deref().map_or(Ok(Level::O0), level)?,
                preserve_layers: args.preserve_layers,
            },
            error_format: args.error_format,
            store: args.store.clone(),
            input,
        };
        settings.find_lock()?;
        if let Input::Remote(address) = &settings.input {
            settings.options.opts.insert("context".to_owned(), address.clone());
        }
        settings.name_file();
        settings.find_locals(args)?;
        for context in &args.build_contexts {
            settings.add_context(context)?;
        }
        Ok(settings)
    }

    /// Finds the lock file beside the build file; facts files win over it.
    fn find_lock(&mut self) -> Result<()> {
        let beside = self.input.directory().map(|directory| directory.join(LOCK)).filter(|path| path.is_file());
        if self.locked && beside.is_none() && self.facts.is_empty() {
            return Err(Failure::message(
                "lock",
                format!("there is no {LOCK} beside the build file"),
                "make it with `llbc lock`",
            ));
        }
        self.facts.splice(..0, beside);
        Ok(())
    }

    /// The main context, where it is somewhere else.
    pub(crate) fn context(&self) -> Option<&str> {
        self.options.opts.get("context").map(String::as_str)
    }

    /// parity: clients send the directory of the file as local source and its base name as `filename`.
    fn name_file(&mut self) {
        let Input::File(path) = &self.input else { return };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name != "Dockerfile" && !self.options.opts.contains_key("filename") {
            self.options.opts.insert("filename".into(), name.into_owned());
        }
    }

    fn find_locals(&mut self, args: &CompileOptions) -> Result<()> {
        let context = args.context_dir.clone().unwrap_or_else(|| ".".into());
        self.locals.insert("context".into(), context);
        if let Some(directory) = self.input.directory() {
            self.locals.insert("dockerfile".into(), directory);
        }
        self.locals.extend(executor::cli::directories(&args.locals)?);
        Ok(())
    }

    fn add_context(&mut self, text: &str) -> Result<()> {
        let Some((name, source)) = text.split_once('=') else {
            return Err(Failure::usage(format!("--build-context {text}: expected NAME=SOURCE"), None));
        };
        let value = if let Some(place) = source.strip_prefix("oci-layout://") {
            let (directory, digest) = layout::find(place)?;
            self.layouts.insert(name.to_owned(), directory);
            format!("oci-layout://{name}@{digest}")
        } else if is_remote(source) {
            source.to_owned()
        } else {
            self.locals.extend(executor::cli::directories(&[text.to_owned()])?);
            format!("local:{name}")
        };
        self.options.opts.insert(format!("context:{name}"), value);
        Ok(())
    }
}

/// Whether a named context is no directory.
fn is_remote(source: &str) -> bool {
    let schemes = ["docker-image://", "input:", "target:", "local:"];
    schemes.iter().any(|scheme| source.starts_with(scheme)) || is_address(source)
}

/// Whether something is at an address of git or of the web: by scheme, or as git writes hosts.
pub(crate) fn is_address(text: &str) -> bool {
    is_web(text) || ["git://", "ssh://", "git@", "github.com/"].iter().any(|start| text.starts_with(start))
}

/// Whether something is at an address of the web.
pub(crate) fn is_web(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

fn level(text: &str) -> Result<Level> {
    match text {
        "0" => Ok(Level::O0),
        "1" => Ok(Level::O1),
        "2" => Ok(Level::O2),
        _ => Err(Failure::usage(format!("-O{text}: the levels are 0, 1 and 2"), None)),
    }
}

fn platforms(list: Option<&str>, host: &Platform) -> Result<Vec<Platform>> {
    let specifiers = list.into_iter().flat_map(|list| list.split(','));
    specifiers
        .map(|text| Platform::parse(text.trim(), host).map_err(|error| Failure::usage(error.to_string(), None)))
        .collect()
}

fn frontend_options(args: &CompileOptions) -> Result<BTreeMap<String, String>> {
    let mut opts = BTreeMap::new();
    // parity: docker and buildctl send it without being told.
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        opts.insert("build-arg:SOURCE_DATE_EPOCH".to_owned(), epoch);
    }
    for opt in &args.opts {
        let option = option(opt)?;
        if let Some(warning) = option.as_ref().and_then(|(name, _)| executor::cli::misspelt(name)) {
            printer::note(&format!("warning: {warning}"));
        }
        opts.extend(option);
    }
    for arg in &args.build_args {
        opts.extend(build_arg(arg, &format!("build-arg:{arg}")));
    }
    for label in &args.labels {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        opts.insert(format!("label:{key}"), value.to_owned());
    }
    if let Some(target) = &args.target {
        opts.insert("target".to_owned(), target.clone());
    }
    if !args.platforms.is_empty() {
        opts.insert("platform".to_owned(), args.platforms.join(","));
    }
    Ok(opts)
}

/// What is limited by other names elsewhere: as Docker's flags, and as BuildKit's options. A frontend passes over options that
/// it does not know, so that nothing would be limited.
const LIMITS: [(&str, &str); 6] = [
    ("memory-swap", "memswap"),
    ("cpu-shares", "cpushares"),
    ("cpu-period", "cpuperiod"),
    ("cpu-quota", "cpuquota"),
    ("cpuset-cpus", "cpusetcpus"),
    ("cpuset-mems", "cpusetmems"),
];

/// `KEY=VALUE`; a build argument may leave the value to the environment, `no-cache` needs none.
fn option(text: &str) -> Result<Option<(String, String)>> {
    if let Some((key, value)) = text.split_once('=') {
        if let Some((_, name)) = LIMITS.iter().find(|(flag, _)| *flag == key) {
            return Err(Failure::usage(format!("--opt {text}: the option is called {name}"), None));
        }
        return Ok(Some((key.to_owned(), value.to_owned())));
    }
    if let Some(name) = text.strip_prefix("build-arg:") {
        return Ok(build_arg(name, text));
    }
    match text {
        "no-cache" => Ok(Some((text.to_owned(), String::new()))),
        _ => Err(Failure::usage(format!("--opt {text}: expected KEY=VALUE"), None)),
    }
}

/// parity: an argument without a value that the environment does not have is not sent.
pub(crate) fn build_arg(arg: &str, option: &str) -> Option<(String, String)> {
    match option.split_once('=') {
        Some((key, value)) => Some((key.to_owned(), value.to_owned())),
        None => Some((option.to_owned(), std::env::var(arg).ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, args: CompileOptions, expected: &str) {
        let shown = match Settings::new(Input::new(file), &args) {
            Ok(settings) => format!("{:?} {:?}", settings.options.opts, settings.locals),
            Err(Failure::Message(message)) => format!("{message}"),
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(shown, expected);
    }

    fn some(text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    #[test]
    fn a_file_gives_its_name_and_directory() {
        check("Dockerfile", CompileOptions::default(), r#"{} {"context": ".", "dockerfile": "."}"#);
        check("-", CompileOptions::default(), r#"{} {"context": "."}"#);
        check(
            "a/b.Dockerfile",
            CompileOptions { context_dir: Some("c".into()), ..CompileOptions::default() },
            r#"{"filename": "b.Dockerfile"} {"context": "c", "dockerfile": "a"}"#,
        );
        check(
            "a/b",
            CompileOptions { opts: some("filename=x/y"), ..CompileOptions::default() },
            r#"{"filename": "x/y"} {"context": ".", "dockerfile": "a"}"#,
        );
    }

    #[test]
    fn a_limit_by_another_name_is_refused() {
        let options = CompileOptions { opts: some("memory-swap=1"), ..CompileOptions::default() };
        let failure = Settings::new(Input::new("a"), &options).err().map(|failure| format!("{failure:?}"));
        let failure = failure.unwrap_or_default();
        assert!(failure.contains("--opt memory-swap=1: the option is called memswap"), "{failure}");
    }

    #[test]
    fn an_address_is_the_context() {
        let address = "https://h/a.git#v1";
        check(address, CompileOptions::default(), r#"{"context": "https://h/a.git#v1"} {"context": "."}"#);
        check("git@h:a", CompileOptions::default(), r#"{"context": "git@h:a"} {"context": "."}"#);
    }

    #[test]
    fn flags_are_frontend_options() {
        let args = CompileOptions {
            target: Some("t".into()),
            platforms: vec!["linux/amd64".into(), "linux/arm64".into()],
            build_args: vec!["A=1=2".into(), "LLBC_NO_SUCH_VARIABLE".into()],
            labels: some("l=v"),
            opts: some("hostname=h"),
            ..CompileOptions::default()
        };
        let expected = r#"{"build-arg:A": "1=2", "hostname": "h", "label:l": "v", "platform": "linux/amd64,linux/arm64", "target": "t"} {"context": "."}"#;
        check("-", args, expected);
    }

    #[test]
    fn named_contexts_are_directories_or_addresses() {
        let context = |text: &str| CompileOptions { build_contexts: some(text), ..CompileOptions::default() };
        check("-", context("n=/"), r#"{"context:n": "local:n"} {"context": ".", "n": "/"}"#);
        check("-", context("n=docker-image://a"), r#"{"context:n": "docker-image://a"} {"context": "."}"#);
        check("-", context("n"), "--build-context n: expected NAME=SOURCE");
    }

    #[test]
    fn levels() {
        let shown = |text: &str| match level(text) {
            Ok(level) => level.to_string(),
            Err(Failure::Message(message)) => message.text,
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(shown("1"), "-O1");
        assert_eq!(shown("9"), "-O9: the levels are 0, 1 and 2");
    }
}
