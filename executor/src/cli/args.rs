//! What is typed to run a definition, as `docker build` and `buildctl` spell it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::progress::{self, Sink};
use crate::registry::credentials::Place;
use crate::registry::hosts::Hosts;
use crate::registry::{Asking, Client, Config};
use crate::temp::make_private;
use crate::{Error, Result};

/// Flags of a run.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Run options")]
pub struct RunArgs {
    /// Name of the image (`name[:tag]`); may be repeated
    #[arg(short = 't', long = "tag", value_name = "NAME")]
    pub tags: Vec<String>,
    /// Where the result goes: `type=image|registry|oci|docker|tar|local[,dest=PATH][,KEY=VALUE…]`, or a directory; `-` as
    /// dest is standard output; may be repeated [default: the image store]
    #[arg(short = 'o', long = "output", value_name = "OUTPUT")]
    pub outputs: Vec<String>,
    /// Push the image to the registries its names are of
    #[arg(long)]
    pub push: bool,
    /// Load the image into Docker, Podman or containerd on this machine
    #[arg(long)]
    pub load: bool,
    /// Annotation of the image: `[TYPE[PLATFORM]:]KEY=VALUE`, TYPE being `manifest`, `index`, `manifest-descriptor` or
    /// `index-descriptor`; may be repeated
    #[arg(long = "annotation", value_name = "ANNOTATION")]
    pub annotations: Vec<String>,
    /// Secret for steps that ask for it: `id=ID[,src=PATH|,env=VARIABLE]`
    #[arg(long = "secret", value_name = "SECRET")]
    pub secrets: Vec<String>,
    /// SSH agent for steps that ask for one: `default`, `ID=SOCKET`, or `ID=KEYFILE[,KEYFILE…]`; with
    /// `ID=SOCKET,raw=true` any other socket
    #[arg(long = "ssh", value_name = "AGENT")]
    pub ssh: Vec<String>,
    /// Grant what a step may ask for: `network.host`, `security.insecure`, `device` (any device),
    /// `device=vendor.com/class=name[,alias=OTHER]`
    #[arg(long = "allow", value_name = "ENTITLEMENT", value_delimiter = ',')]
    pub allow: Vec<String>,
    /// Do not read the cache
    #[arg(long)]
    pub no_cache: bool,
    /// Look in the cache of others, too: `type=registry,ref=NAME` (of a cache, or of an image that holds its own),
    /// `type=local,src=DIR[,tag=TAG]`, or NAME; may be repeated
    #[arg(long = "cache-from", visible_alias = "import-cache", value_name = "CACHE")]
    pub cache_from: Vec<String>,
    /// Hand the cache to others: `type=registry,ref=NAME`, `type=local,dest=DIR`, `type=inline` (in the image), or NAME; with
    /// `mode=max` all of it, not only what the results are made of; may be repeated
    #[arg(long = "cache-to", visible_alias = "export-cache", value_name = "CACHE")]
    pub cache_to: Vec<String>,
    /// Say of the result how it was made, beside it: `type=provenance[,mode=min|max][,builder-id=ID][,version=v1|v0.2]`
    /// `[,inline-only=true][,filename=NAME][,reproducible=true][,complete-materials=true]`, or what is in it:
    /// `type=sbom[,generator=IMAGE][,NAME=VALUE]`; with `disabled=true` do not
    #[arg(long, value_name = "ATTESTATION")]
    pub attest: Vec<String>,
    /// `--attest type=provenance` in short: `true`, `false`, `min`, `max`, or its attributes
    #[arg(long, value_name = "MODE", num_args = 0..=1, default_missing_value = "true")]
    pub provenance: Option<String>,
    /// Directory of JSON files (`*.json`) with what every provenance says of this machine, among its internal parameters
    /// [default: /etc/buildkit/provenance.d]
    #[arg(long, value_name = "DIR")]
    pub provenance_env_dir: Option<PathBuf>,
    /// `--attest type=sbom` in short: `true`, `false`, or `generator=IMAGE`, the image that scans the result [default image:
    /// docker/buildkit-syft-scanner:stable-1]
    #[arg(long, value_name = "MODE", num_args = 0..=1, default_missing_value = "true")]
    pub sbom: Option<String>,
    /// Leave the store as it is when its cache takes more than three quarters of the disk (see `executor prune`)
    #[arg(long)]
    pub no_gc: bool,
    /// How progress is shown
    #[arg(long, value_enum, default_value = "auto", env = "BUILDKIT_PROGRESS", hide_env = true)]
    pub progress: Progress,
    /// Show nothing but the id of the image, on standard output
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// Write what is known of the result (digests, names) to a JSON file
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Write the image id to a file
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Most steps at once; 0 leaves it to the executor
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_parallelism: usize,
    /// What is done when a step fails
    #[arg(long, value_enum, default_value = "fail", value_name = "ACTION")]
    pub on_error: OnError,
    /// Directory of CDI specification files, which say what a step needs for a device; may be repeated, later ones count more
    /// [default: /etc/cdi, /var/run/cdi, /etc/buildkit/cdi]
    #[arg(long = "cdi-spec-dir", value_name = "DIR")]
    pub cdi_spec_dirs: Vec<PathBuf>,
    /// Let no step have a CDI device
    #[arg(long, conflicts_with = "cdi_spec_dirs")]
    pub cdi_disabled: bool,
    /// Run steps with an OCI runtime (crun, runc) instead of the built-in one
    #[arg(long, value_name = "PATH")]
    pub oci_runtime: Option<PathBuf>,
}

/// Where images are: the store, and how registries are reached.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct StoreArgs {
    /// Directory of the store [default: /var/lib/llbc as root, else $XDG_DATA_HOME/llbc]
    #[arg(long, value_name = "DIR", env = "LLBC_ROOT", hide_env_values = true, global = true)]
    pub root: Option<PathBuf>,
    /// What there is to say about registries: mirrors, plain HTTP, certificates (JSON) [default: /etc/llbc/registries.json,
    /// if it exists]
    #[arg(long, value_name = "FILE", env = "LLBC_REGISTRIES", hide_env_values = true, global = true)]
    pub registries: Option<PathBuf>,
}

/// The network of steps that leave it open.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// A sandbox where there can be one, else the host's, with a warning.
    #[default]
    Default,
    /// A network of their own with a way to the outside, or an error.
    Sandbox,
    /// The host's; needs `--allow network.host`.
    Host,
    /// None but loopback.
    None,
}

/// What is done when a step fails.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The build ends.
    #[default]
    Fail,
    /// A shell opens in what the step left, reading standard input; when it ends, the build does, failed.
    Shell,
}

/// How progress is shown.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// `tty` on a terminal, else `plain`.
    #[default]
    Auto,
    /// Lines that are redrawn.
    Tty,
    /// Lines that stay.
    Plain,
    /// BuildKit's status as JSON lines.
    #[value(name = "rawjson")]
    RawJson,
    /// Nothing.
    Quiet,
}

impl Progress {
    /// Who shows events in this way.
    pub(super) fn renderer(self) -> Box<dyn Sink> {
        progress::renderer(match self {
            Self::Auto => progress::Mode::Auto,
            Self::Tty => progress::Mode::Tty,
            Self::Plain => progress::Mode::Plain,
            Self::RawJson => progress::Mode::RawJson,
            Self::Quiet => progress::Mode::Quiet,
        })
    }
}

/// Mode of directories that everybody may read.
const EVERYBODY: u32 = 0o755;
/// Where an administrator says something about registries.
const REGISTRIES: &str = "/etc/llbc/registries.json";

impl StoreArgs {
    /// Who talks to registries, with the user's credentials; `offline` it talks to none.
    pub fn client(&self, asking: Asking) -> Result<Client> {
        let usual = || Some(PathBuf::from(REGISTRIES)).filter(|path| path.exists());
        let hosts =
            self.registries.clone().or_else(usual).map(|path| Hosts::read(&path)).transpose()?.unwrap_or_default();
        Ok(Client::new(Config { hosts, credentials: Place::of_user(), asking, ..Config::default() }))
    }

    /// The directory: as said, else root's place, else the user's data directory.
    pub fn directory(&self) -> PathBuf {
        if let Some(root) = &self.root {
            return root.clone();
        }
        if crate::userns::user() == 0 {
            return "/var/lib/llbc".into();
        }
        let absolute = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || absolute("HOME").or_else(home_of_user).map(|home| home.join(".local/share"));
        // Nowhere that others may write to: where there is no such place, what is said is that root's cannot be made.
        absolute("XDG_DATA_HOME").or_else(home).unwrap_or_else(|| "/var/lib".into()).join("llbc")
    }

    /// A directory without files in the store, for builds without a context. One for all: nothing is ever written there.
    pub fn empty_directory(&self) -> Result<PathBuf> {
        let path = self.directory().join("empty-v1");
        // Copies of it have its mode. Who made it may have been stopped before it had that.
        if !fs::metadata(&path).is_ok_and(|found| found.is_dir() && found.permissions().mode() & 0o777 == EVERYBODY) {
            make_private(&self.directory())?;
            let made = match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                made => made,
            };
            let opened = made.and_then(|()| fs::set_permissions(&path, Permissions::from_mode(EVERYBODY)));
            opened.map_err(Error::io("make", &path))?;
        }
        Ok(path)
    }
}

/// The home directory that /etc/passwd has for the user.
fn home_of_user() -> Option<PathBuf> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let number = crate::userns::user().to_string();
    let user =
        users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|user| user.get(2) == Some(&&*number));
    user.and_then(|user| user.get(5).map(PathBuf::from)).filter(|home| home.is_absolute())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_empty_directory_is_for_everybody_to_read() {
        let root = tempfile::tempdir().unwrap();
        let store = StoreArgs { root: Some(root.path().join("store")), ..StoreArgs::default() };
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for _ in 0..2 {
            let empty = store.empty_directory().unwrap();
            assert_eq!((mode(&empty), mode(&store.directory())), (EVERYBODY, 0o700));
            // As who was stopped while it was made leaves it.
            fs::set_permissions(&empty, Permissions::from_mode(0o700)).unwrap();
        }
    }
}
