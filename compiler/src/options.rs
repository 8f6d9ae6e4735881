//! What the user asked for.

use std::collections::{BTreeMap, BTreeSet};

use oci::Platform;
use serde_json::json;

use crate::Plan;

/// Options of a build. The command line, `--opt` and a gateway's options all end here.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Frontend options by BuildKit's names: `target`, `platform`, `build-arg:K`, `label:K`, `context:NAME`, ….
    pub opts: BTreeMap<String, String>,
    /// Platforms of the worker, the default build platform first; empty is the host's.
    pub build_platforms: Vec<Platform>,
    /// Id of the client session, for the attributes of local sources; none are written without it.
    pub session: Option<String>,
    /// Whether the labs channel of the Dockerfile language is on.
    pub labs: bool,
    /// Names of rules to run that BuildKit does not have; see [`crate::lint`].
    pub rules: Vec<String>,
    /// What the daemon takes, by BuildKit's names of capabilities; `None`: everything.
    pub llb_caps: Option<BTreeSet<String>>,
    /// Filesystems that a client hands in, by name: `context`, `dockerfile`, and what `context:NAME=input:…` names.
    pub inputs: BTreeMap<String, llb::Graph>,
}

impl Options {
    /// Makes the images of another build a named context, one for each platform.
    pub fn lend(&mut self, context: &str, build: &str, plan: &Plan) {
        for (at, output) in plan.outputs.iter().enumerate() {
            let names = [format!("{context}::{}", output.platform), context.to_owned()];
            let names = if at == 0 { &names[..] } else { &names[..1] };
            let input = format!("{build}::{}", output.platform);
            for name in names {
                self.opts.insert(format!("context:{name}"), format!("input:{input}"));
            }
            let config = oci::base64::encode(&output.image);
            let metadata = json!({ "containerimage.config": config }).to_string();
            self.opts.insert(format!("input-metadata:{input}"), metadata);
            let result = llb::Output { edge: output.edge, ..llb::Output::default() };
            let mut graph = llb::Graph { outputs: vec![result], ..plan.graph.clone() };
            // They are places of another text.
            graph.nodes.iter_mut().for_each(|node| node.locations.clear());
            self.inputs.insert(input, graph);
        }
    }

    /// Whether the daemon has a capability.
    pub fn supports(&self, cap: &str) -> bool {
        self.llb_caps.as_ref().is_none_or(|caps| caps.contains(cap))
    }
}
