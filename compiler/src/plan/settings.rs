//! The frontend options, typed: what [`crate::Options`] means, and what is wrong with it.
//!
//! Mirrors `frontend/dockerui` of BuildKit v0.32: names, order of checks and messages. Options that concern only
//! sending the result on (cache imports, provenance) are checked and then left alone.

mod attributes;
mod csv;

pub use attributes::{CacheImport, cache_imports};

use std::collections::BTreeMap;
use std::ops::Bound;

use ast::{Checks, Diagnostic, parse_bool};
use llb::{HostIp, LinuxResources, NetMode, Ulimit};
use oci::Platform;

use super::go;
use crate::{Options, ResolveMode};

/// What only a client can be told to do, by name, without touching the plan.
const FRONTEND_CAPS: &[&str] = &[
    "moby.buildkit.frontend.inputs",
    "moby.buildkit.frontend.subrequests",
    "moby.buildkit.frontend.contexts",
    "moby.buildkit.frontend.gitquerystring",
];

/// Build arguments by name.
pub(super) type BuildArgs<'o> = BTreeMap<&'o str, &'o str>;

/// The options of a build, typed.
pub(super) struct Settings<'o> {
    /// Filesystems that a client hands in.
    pub(super) inputs: &'o BTreeMap<String, llb::Graph>,
    /// All options as given, for look-ups by composed names.
    pub(super) opts: &'o BTreeMap<String, String>,
    /// Id of the client's session; empty when there is none.
    pub(super) session: &'o str,
    /// Platforms of the worker, the default build platform first; never empty.
    pub(super) build_platforms: Vec<Platform>,
    /// Platforms to build for; empty: the build platform, without saying so.
    pub(super) target_platforms: Vec<Platform>,
    /// Whether the result is an index, and step names show the platform.
    pub(super) multi_platform: bool,
    /// Stage to build; empty is the last.
    pub(super) target: &'o str,
    /// Build arguments.
    pub(super) build_args: BuildArgs<'o>,
    /// Labels to add.
    pub(super) labels: BTreeMap<&'o str, &'o str>,
    /// Where images are looked up.
    pub(super) resolve_mode: ResolveMode,
    /// Prefix of ids of cache mounts.
    pub(super) cache_namespace: &'o str,
    /// Stages whose cache is not asked; `None`: no stage, empty: all.
    pub(super) no_cache: Option<Vec<&'o str>>,
    /// Whether there are named contexts at all.
    pub(super) has_contexts: bool,
    /// What every process gets.
    pub(super) process: ProcessSettings,
    /// What makes a bill of materials, if one is wanted.
    pub(super) scanner: Option<Scanner>,
}

/// What makes a bill of materials: an image whose process looks at trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanner {
    /// Its image, and what it is told.
    pub(super) step: llb::scan::Scanner,
    /// Where the image is looked up.
    pub(super) mode: ResolveMode,
}

/// What every process gets.
#[derive(Default)]
pub(super) struct ProcessSettings {
    /// Network of processes that do not choose one.
    pub(super) network: NetMode,
    /// Further lines of /etc/hosts.
    pub(super) hosts: Vec<HostIp>,
    /// Host name; empty is the engine's choice.
    pub(super) hostname: String,
    /// Bytes of /dev/shm; 0 or less is the engine's choice.
    pub(super) shm_size: i64,
    /// Limits.
    pub(super) ulimits: Vec<Ulimit>,
    /// Parent of the control group.
    pub(super) cgroup_parent: String,
    /// Limits of the control group.
    pub(super) resources: Option<LinuxResources>,
}

/// Reads the options. The first thing wrong is the error.
pub(super) fn parse(options: &Options) -> Result<Settings<'_>, Box<Diagnostic>> {
    read(options).map_err(|Bad { message, help }| {
        let diagnostic = Diagnostic::error("option", message, None);
        Box::new(Diagnostic { locations: Some(Vec::new()), help, ..diagnostic })
    })
}

/// What is wrong with an option.
struct Bad {
    message: String,
    help: Option<String>,
}

impl Bad {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    fn context(self, what: &str) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}

fn read(options: &Options) -> Result<Settings<'_>, Bad> {
    let opts = Lookup(&options.opts);
    refuse_removed(opts)?;
    let build_platforms = match options.build_platforms.as_slice() {
        [] => vec![Platform::new("linux", "amd64")],
        platforms => platforms.to_vec(),
    };
    let target_platforms = attributes::platforms(opts.text("platform"), &build_platforms[0])?;
    let resolve_mode = attributes::resolve_mode(opts.text("image-resolve-mode"))?;
    let hosts =
        attributes::hosts(opts.text("add-hosts")).map_err(|bad| bad.context("failed to parse additional hosts"))?;
    let shm_size = attributes::size(opts.text("shm-size")).map_err(|bad| bad.context("failed to parse shm size"))?;
    let ulimits = attributes::ulimits(opts.text("ulimit")).map_err(|bad| bad.context("failed to parse ulimit"))?;
    let resources = attributes::resources(opts).map_err(|bad| bad.context("failed to parse resource limits"))?;
    let network = attributes::network(opts.text("force-network-mode"))?;
    let no_cache = opts.0.get("no-cache").map(|stages| match stages.as_str() {
        "" => Vec::new(),
        stages => stages.split(',').collect(),
    });
    let multi_platform = multi_platform(opts, target_platforms.len())?;
    attributes::check_cache_imports(opts.text("cache-imports"))?;
    let scanner = attributes::scanner(opts, &build_platforms[0])?.map(|step| Scanner { step, mode: resolve_mode });
    check_checks(opts)?;
    check_frontend_caps(opts.text("frontend.caps"))?;
    Ok(Settings {
        inputs: &options.inputs,
        opts: &options.opts,
        session: options.session.as_deref().unwrap_or_default(),
        build_platforms,
        target_platforms,
        multi_platform,
        target: opts.text("target"),
        build_args: opts.with_prefix("build-arg:"),
        labels: opts.with_prefix("label:"),
        resolve_mode,
        cache_namespace: opts.text("build-arg:BUILDKIT_CACHE_MOUNT_NS"),
        no_cache,
        has_contexts: opts.each_with_prefix("context:").next().is_some(),
        process: ProcessSettings {
            network,
            hosts,
            hostname: opts.first_text("build-arg:BUILDKIT_SANDBOX_HOSTNAME", "hostname").to_owned(),
            shm_size,
            ulimits,
            cgroup_parent: opts.text("cgroup-parent").to_owned(),
            resources,
        },
        scanner,
    })
}

/// Options by name.
#[derive(Clone, Copy)]
struct Lookup<'o>(&'o BTreeMap<String, String>);

impl<'o> Lookup<'o> {
    /// The value; empty when not given.
    fn text(self, name: &str) -> &'o str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The value of the first that is not empty.
    fn first_text(self, first: &str, second: &str) -> &'o str {
        match self.text(first) {
            "" => self.text(second),
            text => text,
        }
    }

    fn with_prefix(self, prefix: &str) -> BTreeMap<&'o str, &'o str> {
        self.each_with_prefix(prefix).collect()
    }

    fn each_with_prefix(self, prefix: &str) -> impl Iterator<Item = (&'o str, &'o str)> {
        let from = self.0.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.map_while(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}

fn refuse_removed(opts: Lookup<'_>) -> Result<(), Bad> {
    if !opts.text("override-copy-image").is_empty() {
        return Err(Bad::new(r#"support for "override-copy-image" was removed in BuildKit 0.11"#));
    }
    if parse_bool(opts.text("build-arg:BUILDKIT_DISABLE_FILEOP")) == Some(true) {
        return Err(Bad::new(r#"support for "BUILDKIT_DISABLE_FILEOP" build-arg was removed in BuildKit 0.11"#));
    }
    Ok(())
}

fn multi_platform(opts: Lookup<'_>, platforms: usize) -> Result<bool, Bad> {
    let text = opts.first_text("build-arg:BUILDKIT_MULTI_PLATFORM", "multi-platform");
    if text.is_empty() {
        return Ok(platforms > 1);
    }
    match parse_bool(text) {
        None => Err(Bad::new(format!("invalid boolean value for multi-platform: {text}"))),
        Some(false) if platforms > 1 => {
            Err(Bad::new("conflicting config: returning multiple target platforms is not allowed"))
        }
        Some(value) => Ok(value),
    }
}

/// What it says is the lints' business.
fn check_checks(opts: Lookup<'_>) -> Result<(), Bad> {
    let name = "build-arg:BUILDKIT_DOCKERFILE_CHECK";
    match opts.0.get(name).map(|text| Checks::parse(text)) {
        Some(Err(error)) => Err(Bad::new(format!("failed to parse {name}: {error}"))),
        _ => Ok(()),
    }
}

fn check_frontend_caps(text: &str) -> Result<(), Bad> {
    match unsupported_cap(text) {
        Some(UnsupportedCap { name, .. }) => Err(Bad::new(format!("unsupported frontend capability {name}"))
            .help("the text asks for a newer frontend; drop the option frontend.caps to try without")),
        None => Ok(()),
    }
}

/// A capability that a client asks for and that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsupportedCap<'t> {
    /// Its name.
    pub name: &'t str,
    /// Whether a frontend that the text names may have it.
    pub may_forward: bool,
}

/// The first capability of a list (`frontend.caps`) that is not there; one that may not be forwarded comes first.
pub fn unsupported_cap(list: &str) -> Option<UnsupportedCap<'_>> {
    let cap = |text| {
        let name = str::split(text, '+').next().unwrap_or_default();
        UnsupportedCap { name, may_forward: text.contains("+forward") }
    };
    let unknown = list.split(',').map(cap).filter(|cap| !list.is_empty() && !FRONTEND_CAPS.contains(&cap.name));
    unknown.min_by_key(|cap| cap.may_forward)
}

impl Settings<'_> {
    /// Whether the cache is not asked for the stage of this name.
    pub(super) fn ignores_cache(&self, stage: &str) -> bool {
        let all_or_named = |names: &Vec<&str>| names.is_empty() || names.iter().any(|name| go::equal_fold(name, stage));
        self.no_cache.as_ref().is_some_and(all_or_named)
    }

    /// The session that serves a local source.
    pub(super) fn session_of(&self, local: &str) -> &str {
        self.opts.get(&["local-sessionid:", local].concat()).map_or(self.session, String::as_str)
    }

    /// An option's value; `None` when not given.
    pub(super) fn opt(&self, name: &str) -> Option<&str> {
        self.opts.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(opts: &[(&str, &str)]) -> Options {
        let opts = opts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Options { opts, ..Options::default() }
    }

    #[track_caller]
    fn error(opts: &[(&str, &str)], expected: &str) {
        assert_eq!(parse(&options(opts)).err().map(|error| error.message).as_deref(), Some(expected));
    }

    #[test]
    fn messages() {
        error(&[("image-resolve-mode", "always")], "invalid image-resolve-mode: always");
        error(&[("add-hosts", "db")], "failed to parse additional hosts: invalid key-value pair db");
        error(&[("add-hosts", "db=nowhere")], "failed to parse additional hosts: failed to parse IP nowhere");
        error(&[("shm-size", "64m")], r#"failed to parse shm size: strconv.ParseInt: parsing "64m": invalid syntax"#);
        error(&[("ulimit", "nofile")], "failed to parse ulimit: invalid ulimit argument: nofile");
        error(&[("memory", "0")], "failed to parse resource limits: invalid memory value: 0: must be > 0");
        error(&[("force-network-mode", "bridge")], "invalid netmode bridge");
        error(&[("multi-platform", "x")], "invalid boolean value for multi-platform: x");
        error(
            &[("multi-platform", "0"), ("platform", "linux/amd64,linux/arm64")],
            "conflicting config: returning multiple target platforms is not allowed",
        );
        error(
            &[("build-arg:BUILDKIT_DOCKERFILE_CHECK", "bogus")],
            r#"failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK: invalid check option "bogus""#,
        );
        error(&[("frontend.caps", "a.b+forward")], "unsupported frontend capability a.b");
        error(&[("attest:nosuch", "")], r#"unknown attestation type "nosuch""#);
    }

    #[test]
    fn prefixes_and_precedence() {
        let options = options(&[
            ("build-arg:A", "1"),
            ("build-arg:BUILDKIT_SANDBOX_HOSTNAME", "box"),
            ("build-argument", "x"),
            ("hostname", "other"),
            ("label:l", ""),
            ("no-cache", "a,B"),
        ]);
        let settings = parse(&options).map_err(|error| error.message).unwrap();
        assert_eq!(settings.build_args.get("A"), Some(&"1"));
        assert_eq!(settings.build_args.len(), 2);
        assert_eq!(settings.labels.get("l"), Some(&""));
        assert_eq!(settings.process.hostname, "box");
        assert!(settings.ignores_cache("b") && !settings.ignores_cache("c"));
    }
}
