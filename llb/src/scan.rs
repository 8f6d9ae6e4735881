//! The step that makes a bill of materials: a process of a scanner's image that looks at trees and leaves documents.
//!
//! parity: `frontend/attestations/sbom` of BuildKit v0.32, whose `docs/attestations/sbom-protocol.md` is what scanners know.

use std::collections::BTreeMap;
use std::sync::Arc;

use oci::text::clean_path;
use oci::{ImageConfig, Platform, Reference};

use crate::{Edge, Exec, ExecMeta, Graph, Mount, MountKind, Node, NodeId, Op, Source, Words};

/// The image of the scanner when nothing else is named.
const GENERATOR: &str = "docker/buildkit-syft-scanner:stable-1";
/// What says of a bill of materials what it is: the documents are SPDX.
pub const PREDICATE: &str = "https://spdx.dev/Document";
/// The name of what is scanned: the file that is about the result itself is called so.
pub const CORE_NAME: &str = "sbom";

/// Where the scanner finds the result.
const CORE: &str = "/run/src/core/sbom";
/// Where it finds everything else.
const EXTRAS: &str = "/run/src/extras";
/// Where it writes what it found.
const DESTINATION: &str = "/run/out/";
/// Files that it makes on the way.
const TEMPORARY: &str = "/tmp";
/// The output of the process that [`DESTINATION`] becomes: the root is the one before.
const FOUND: u32 = 1;

/// What makes bills of materials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanner {
    /// Its image: a canonical reference.
    pub image: String,
    /// Where it runs.
    pub platform: Arc<Platform>,
    /// What it is told, by name.
    pub parameters: BTreeMap<String, String>,
}

/// What is scanned.
#[derive(Clone, Copy, Debug)]
pub struct Scanned<'a> {
    /// What the result runs on.
    pub platform: &'a Platform,
    /// The result; `None` is scratch.
    pub core: Option<Edge>,
    /// Trees beside it, by name.
    pub extras: &'a BTreeMap<String, Option<Edge>>,
    /// Whether it is scanned again, whatever a cache knows.
    pub ignore_cache: bool,
}

impl Scanner {
    /// What the fields of `attest:sbom=KEY=VALUE,…` ask for.
    ///
    /// **Errors**: a generator that is no name of an image.
    pub fn parse<T: AsRef<str>>(fields: &[T], platform: Arc<Platform>) -> Result<Self, String> {
        let pair = |field: &T| {
            let (name, value) = field.as_ref().split_once('=').unwrap_or((field.as_ref(), ""));
            (name.to_owned(), value.to_owned())
        };
        let mut parameters: BTreeMap<String, String> = fields.iter().map(pair).collect();
        let name = parameters.remove("generator").unwrap_or_else(|| GENERATOR.to_owned());
        let image = Reference::parse(&name).map_err(|error| format!("failed to parse sbom scanner {name}: {error}"))?;
        Ok(Self { image: image.or_latest().to_string(), platform, parameters })
    }

    /// Adds the step to a graph, and gives the tree of documents that it leaves. `config` is that of the scanner's image.
    ///
    /// **Errors**: an image that starts no process.
    pub fn add(&self, graph: &mut Graph, scanned: Scanned<'_>, config: &[u8]) -> Result<Edge, String> {
        let config = ImageConfig::from_json(config).map_err(|error| error.to_string())?.config;
        let args: Vec<String> = config.entrypoint.iter().chain(&config.cmd).cloned().collect();
        if args.is_empty() {
            return Err(format!("scanner {} does not have cmd", self.image));
        }
        let root = self.root(graph);
        let (mounts, inputs) = mounts(root, scanned);
        let caps = Words::from(["exec.meta.base", "exec.mount.bind", "exec.mount.tmpfs"]);
        let exec = Exec {
            meta: ExecMeta {
                args,
                env: self.environment(&config.env, !scanned.extras.is_empty()).into(),
                cwd: clean_path(&format!("/{}", config.working_dir)),
                remove_mount_stubs_recursive: true,
                ..ExecMeta::default()
            },
            mounts,
            ..Exec::default()
        };
        let mut node = Node::new(Op::Exec(Box::new(exec)), inputs);
        node.platform = Some(self.platform.clone());
        node.meta.caps = caps;
        node.meta.ignore_cache = scanned.ignore_cache;
        let name = format!("[{}] generating sbom using {}", scanned.platform, self.image);
        node.meta.description.insert("llb.customname", name);
        Ok(graph.add(node).output(FOUND))
    }

    fn root(&self, graph: &mut Graph) -> NodeId {
        let source = Source { identifier: format!("docker-image://{}", self.image), ..Source::default() };
        let mut node = Node::new(Op::Source(source), Vec::new());
        node.platform = Some(self.platform.clone());
        node.meta.caps = ["source.image"].into();
        graph.add(node)
    }

    /// Variables of the process: those of its image, where it reads and writes, and the parameters.
    fn environment(&self, of_image: &[String], has_extras: bool) -> Vec<String> {
        let mut env = of_image.to_vec();
        let mut set = |name: &str, value: &str| {
            env.retain(|entry| entry.split('=').next() != Some(name));
            env.push(format!("{name}={value}"));
        };
        set("BUILDKIT_SCAN_DESTINATION", DESTINATION);
        set("BUILDKIT_SCAN_SOURCE", CORE);
        if has_extras {
            set("BUILDKIT_SCAN_SOURCE_EXTRAS", EXTRAS);
        }
        self.parameters.iter().for_each(|(name, value)| set(&format!("BUILDKIT_SCAN_{name}"), value));
        env
    }
}

/// Mounts by target, and what they are from.
fn mounts(root: NodeId, Scanned { core, extras, .. }: Scanned<'_>) -> (Vec<Mount>, Vec<Edge>) {
    let bind = |dest: &str, source: Option<Edge>, output: Option<u32>| {
        let readonly = output.is_none();
        (source, Mount { dest: dest.to_owned(), output: output.map_or(-1, i64::from), readonly, ..Mount::default() })
    };
    let temporary = bind(TEMPORARY, None, None).1;
    let temporary = Mount { readonly: false, kind: MountKind::Tmpfs { size: Some(0) }, ..temporary };
    let mut mounts = vec![
        bind("/", Some(root.output(0)), Some(0)),
        bind(DESTINATION, None, Some(FOUND)),
        bind(CORE, core, None),
        (None, temporary),
    ];
    mounts.extend(extras.iter().map(|(name, tree)| bind(&format!("{EXTRAS}/{CORE_NAME}-{name}"), *tree, None)));
    mounts.sort_by(|(_, one), (_, other)| one.dest.cmp(&other.dest));
    let mut inputs = Vec::new();
    let numbered = mounts.into_iter().map(|(source, mount)| {
        let input = source.map_or(-1, |edge| {
            let known = inputs.iter().position(|known| *known == edge).unwrap_or_else(|| {
                inputs.push(edge);
                inputs.len() - 1
            });
            known as i64
        });
        Mount { input, ..mount }
    });
    (numbered.collect(), inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &[u8] = br#"{"os":"linux","architecture":"amd64","config":{"Entrypoint":["/scan"],"Cmd":["all"],
                              "Env":["A=1","BUILDKIT_SCAN_SOURCE=x"],"WorkingDir":"w/./x"}}"#;

    fn scanner(fields: &[&str]) -> Result<Scanner, String> {
        Scanner::parse(fields, Arc::new(Platform::new("linux", "amd64")))
    }

    #[test]
    fn a_process_of_the_scanner_looks_at_trees_that_it_cannot_change() {
        let mut graph = crate::text::parse("%0 = source \"local://a\"\n%1 = source \"local://b\"").unwrap();
        let extras = BTreeMap::from([("context".to_owned(), Some(NodeId(0).output(0))), ("none".to_owned(), None)]);
        let platform = Platform::new("linux", "arm64");
        let core = Some(NodeId(1).output(0));
        let scanned = Scanned { platform: &platform, core, extras: &extras, ignore_cache: true };
        let found = scanner(&["generator=scanner", "DEPTH=2"]).unwrap().add(&mut graph, scanned, CONFIG).unwrap();
        graph.outputs.push(crate::Output { edge: Some(found), ..crate::Output::default() });
        assert_eq!(crate::verify::verify(&graph), []);
        let text = crate::text::print(&graph);
        for part in [
            "= exec(%2, %1, %0) args=[\"/scan\", \"all\"] env=[\"A=1\", \"BUILDKIT_SCAN_DESTINATION=/run/out/\"",
            "\"BUILDKIT_SCAN_SOURCE=/run/src/core/sbom\", \"BUILDKIT_SCAN_SOURCE_EXTRAS=/run/src/extras\", \"BUILDKIT_SCAN_DEPTH=2\"]",
            "cwd=\"/w/x\" bind(\"/\", from=0, to=0) bind(\"/run/out/\", to=1) bind(\"/run/src/core/sbom\", from=1, readonly)",
            "bind(\"/run/src/extras/sbom-context\", from=2, readonly) bind(\"/run/src/extras/sbom-none\", readonly) tmpfs(\"/tmp\"",
            "ignore_cache description={\"llb.customname\": \"[linux/arm64] generating sbom using docker.io/library/scanner:latest\"}",
            "output %3.1",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn what_is_asked_for() {
        let shown = |fields: &[&str]| scanner(fields).map(|found| (found.image, found.parameters.len()));
        assert_eq!(shown(&[]), Ok(("docker.io/docker/buildkit-syft-scanner:stable-1".to_owned(), 0)));
        assert_eq!(
            shown(&["generator=a/b@x", "c"]).unwrap_err(),
            "failed to parse sbom scanner a/b@x: invalid reference format"
        );
        assert_eq!(shown(&["generator=a/b", "c", "d=e=f"]), Ok(("docker.io/a/b:latest".to_owned(), 2)));
        let (mut graph, platform, extras) = (Graph::default(), Platform::new("linux", "amd64"), BTreeMap::new());
        let scanned = Scanned { platform: &platform, core: None, extras: &extras, ignore_cache: false };
        let silent = scanner(&[]).unwrap().add(&mut graph, scanned, br#"{"os":"linux"}"#);
        assert_eq!(silent.unwrap_err(), "scanner docker.io/docker/buildkit-syft-scanner:stable-1 does not have cmd");
    }
}
