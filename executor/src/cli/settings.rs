//! What the flags mean.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::args::{Network, OnError, Progress, RunArgs, StoreArgs};
use super::{output, session};
use crate::cdi::Devices;
use crate::exporters::Attached;
use crate::exporters::Kind;
use crate::registry::Asking;
use crate::remote_cache::{Export, Import};
use crate::runtime::{Network as StepNetwork, NetworkMode, Runtime};
use crate::session::Session;
use crate::store::Store;
use crate::{Attest, CacheOutput, Cancel, Error, Expectation, Output, Result};

/// What every provenance says of this machine. parity: where BuildKit's daemon has it.
const PROVENANCE_DIR: &str = "/etc/buildkit/provenance.d";

/// A run, ready for the engine.
pub struct Settings {
    /// The store.
    pub root: PathBuf,
    /// The same, when it is open already.
    pub store: Option<Store>,
    /// What the build may read.
    pub session: Session,
    /// Where results go.
    pub outputs: Vec<Output>,
    /// What they must be like before they go anywhere.
    pub expected: Vec<Expectation>,
    /// Entitlements granted.
    pub allow: Vec<String>,
    /// Devices of this machine.
    pub devices: Devices,
    /// The network of steps that leave it open.
    pub network: NetworkMode,
    /// Whether the cache is not read.
    pub no_cache: bool,
    /// Caches of others that are looked in, too.
    pub cache_from: Vec<Import>,
    /// Where the cache goes for others.
    pub cache_to: Vec<CacheOutput>,
    /// What is said of how results were made. Not read from flags: that is up to who knows what made the definition.
    pub attest: Vec<Attest>,
    /// A directory of JSON files that say more of the machine, if there is one.
    pub provenance_dir: Option<PathBuf>,
    /// What others say of results, in outputs of the definition behind them.
    pub attached: Vec<Attached>,
    /// Most steps at once; 0 leaves it to the executor.
    pub max_parallelism: usize,
    /// What runs steps, when it was begun with already ([`super::begun`]).
    pub runtime: Option<Arc<dyn Runtime>>,
    /// An OCI runtime to use.
    pub oci_runtime: Option<PathBuf>,
    /// What is done when a step fails.
    pub on_error: OnError,
    /// Whether the build itself was read from standard input, so that nothing else can be.
    pub stdin_is_taken: bool,
    /// How progress is shown.
    pub progress: Progress,
    /// Where metadata is written.
    pub metadata_file: Option<PathBuf>,
    /// Where the image id is written.
    pub iidfile: Option<PathBuf>,
    /// Whether the store is pruned afterwards when it takes too much of the disk.
    pub collect: bool,
    /// Whether the image id is the only thing to say.
    pub quiet: bool,
}

impl Settings {
    /// Reads the flags; local directories are up to the caller.
    pub fn new(args: &RunArgs, store: &StoreArgs) -> Result<Self> {
        let cache_from = all(&args.cache_from, Import::parse)?;
        let cache_to = all(&args.cache_to, Export::parse)?;
        let mut registries = store.client(Asking::Repeatedly)?;
        for domain in cache_from.iter().filter_map(Import::insecure) {
            registries = registries.trusting(domain, &Cancel::default());
        }
        Ok(Self {
            root: store.directory(),
            store: None,
            session: Session {
                secrets: session::secrets(&args.secrets)?,
                ssh: session::agents(&args.ssh)?,
                registries,
                oci_layouts: cache_from.iter().filter_map(Import::layout).collect(),
                ..Session::default()
            },
            outputs: outputs(args)?,
            expected: Vec::new(),
            allow: args.allow.clone(),
            devices: devices(args),
            network: NetworkMode::Auto,
            no_cache: args.no_cache,
            cache_from,
            cache_to: cache_to.into_iter().map(|to| CacheOutput { to, part: None }).collect(),
            attest: Vec::new(),
            attached: Vec::new(),
            provenance_dir: Some(args.provenance_env_dir.clone().unwrap_or_else(|| PROVENANCE_DIR.into())),
            max_parallelism: args.max_parallelism,
            runtime: None,
            oci_runtime: args.oci_runtime.clone(),
            on_error: args.on_error,
            stdin_is_taken: false,
            progress: if args.quiet { Progress::Quiet } else { args.progress },
            metadata_file: args.metadata_file.clone(),
            iidfile: args.iidfile.clone(),
            collect: !args.no_gc,
            quiet: args.quiet,
        })
    }
}

impl Network {
    /// What steps that leave it open get. **Errors**: the host's network, and nobody allowed it.
    pub fn mode(self, allow: &[String]) -> Result<NetworkMode> {
        const ENTITLEMENT: &str = "network.host";
        match self {
            Self::Default => Ok(NetworkMode::Auto),
            Self::Sandbox => Ok(NetworkMode::Always(StepNetwork::Sandbox)),
            Self::None => Ok(NetworkMode::Always(StepNetwork::None)),
            Self::Host if allow.iter().any(|allowed| allowed == ENTITLEMENT) => {
                Ok(NetworkMode::Always(StepNetwork::Host))
            }
            Self::Host => Err(Error::Denied(format!(
                "--network=host: {ENTITLEMENT} is not allowed: grant it with --allow {ENTITLEMENT}"
            ))),
        }
    }
}

/// All that texts name, each once.
fn all<T: PartialEq>(texts: &[String], parse: impl Fn(&str) -> Result<Vec<T>>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for text in texts {
        for one in parse(text)? {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    Ok(all)
}

fn devices(args: &RunArgs) -> Devices {
    match args.cdi_spec_dirs.as_slice() {
        _ if args.cdi_disabled => Devices::off(),
        [] => Devices::default(),
        directories => Devices::new(directories.to_vec()),
    }
}

/// Outputs as typed, the store when there are none; tags name every image among them that has no name of its own.
fn outputs(args: &RunArgs) -> Result<Vec<Output>> {
    let mut outputs = args.outputs.iter().map(|text| output::parse(text)).collect::<Result<Vec<_>>>()?;
    if args.load && !outputs.iter().any(|output| output.kind == Kind::Load) {
        outputs.push(Output { kind: Kind::Load, dest: None, attrs: BTreeMap::new(), part: None });
    }
    if args.push && !outputs.iter().any(|output| output.kind == Kind::Image) {
        outputs.push(output::parse("type=registry")?);
    }
    if outputs.is_empty() {
        outputs.push(Output { kind: Kind::Image, dest: None, attrs: BTreeMap::new(), part: None });
    }
    for output in &mut outputs {
        if args.push && output.kind == Kind::Image {
            output.attrs.insert("push".to_owned(), "true".to_owned());
        }
        let named = matches!(output.kind, Kind::Image | Kind::Oci | Kind::Docker | Kind::Load);
        if named {
            for annotation in &args.annotations {
                for (key, value) in output::annotations(annotation)? {
                    output.attrs.entry(key).or_insert(value);
                }
            }
        }
        if named && !args.tags.is_empty() {
            output.attrs.entry("name".to_owned()).or_insert_with(|| args.tags.join(","));
        }
    }
    output::check_stdout(&outputs)?;
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(outputs: &[&str], tags: &[&str], expected: &str) {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let args = RunArgs { outputs: owned(outputs), tags: owned(tags), ..RunArgs::default() };
        let shown = match super::outputs(&args) {
            Ok(outputs) => outputs
                .iter()
                .map(|o| format!("{:?} {:?} {:?}", o.kind, o.dest, o.attrs))
                .collect::<Vec<_>>()
                .join("; "),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_store_is_the_default() {
        check(&[], &[], "Image None {}");
        check(&[], &["a", "b:2"], r#"Image None {"name": "a,b:2"}"#);
    }

    #[test]
    fn tags_name_images_without_a_name() {
        check(
            &["type=oci,dest=a.tar", "type=docker,name=x,dest=b.tar", "out"],
            &["t"],
            r#"Oci Some("a.tar") {"name": "t"}; Docker Some("b.tar") {"name": "x"}; Local Some("out") {}"#,
        );
    }
}
