//! What only a build can tell while a program is compiled: files of filesystems, what a frontend image makes, the digest
//! that a registry has for what is pushed.
//!
//! What is imported may be kept beside the program; then nothing is built for it. A push is done for builds alone: whoever
//! only looks at a program must not send anything away.

use std::collections::BTreeMap;

use compiler::{Answer, AskError, ExportKind, Needs, Push, TreeFile};
use executor::Error;
use executor::cli::{Console, Settings as RunSettings};
use executor::registry::Asking;
use llb::Op;

use super::{Answered, Host, OFFLINE};
use crate::failure::{Failure, Result};
use crate::settings::Modules;
use crate::{kept, needs};

/// Longest file that is read of a filesystem, in bytes: programs are written by people.
const MOST_FILE: u64 = 16 << 20;

/// What an exporter says of an image that it has pushed.
const DIGEST: &str = "containerimage.digest";

/// Keys of the description of a result.
const CONFIG: &str = "containerimage.config";
const PLATFORM: &str = "platform";

fn no(message: impl Into<String>, help: impl Into<String>) -> AskError {
    AskError { message: message.into(), help: Some(help.into()), ..AskError::default() }
}

impl Host<'_> {
    /// A file of a filesystem that is imported.
    pub(super) fn imported(&self, file: &TreeFile) -> Answered {
        let build = match &self.settings.modules {
            Modules::Kept if kept::exists() => return kept::read(file).map(Answer::Kept),
            Modules::Kept => true,
            Modules::KeptOrBuilt => false,
            Modules::Built(digests) => digests.as_ref().is_none_or(|digests| digests.contains(&file.digest)),
        };
        match kept::read(file) {
            Ok(Some(text)) if !build => Ok(Answer::Kept(Some(text))),
            // One that was changed is none.
            _ => self.built(file),
        }
    }

    /// A file of a filesystem.
    pub(super) fn built(&self, file: &TreeFile) -> Answered {
        let definition = self.pinned(&file.definition)?;
        let read = self.engine(&file.needs, None, |console, settings| {
            console.read(definition, &file.path, MOST_FILE + 1, settings)
        })?;
        match read {
            Some(text) if text.len() as u64 > MOST_FILE => Err(no(
                format!("{} is longer than {} MiB", file.path, MOST_FILE >> 20),
                "programs that are imported are texts that people write",
            )),
            text => Ok(Answer::File(text)),
        }
    }

    /// What a frontend image makes of options and inputs.
    pub(super) fn frontend(
        &self,
        opts: &BTreeMap<String, String>,
        inputs: &BTreeMap<String, Vec<u8>>,
        needs: &Needs,
    ) -> Answered {
        let source = opts.get("source").cloned().unwrap_or_default();
        let inputs = inputs.iter().map(|(name, input)| Ok((name.clone(), self.pinned(input)?)));
        let inputs = inputs.collect::<std::result::Result<BTreeMap<_, _>, AskError>>()?;
        let made =
            self.engine(needs, None, |console, settings| console.frontend(&source, opts.clone(), inputs, settings))?;
        let wrong = |error: &dyn std::fmt::Display| no(format!("{source}: {error}"), "another frontend may do");
        let graph = llb::decode(&made).map_err(|error| wrong(&error))?.graph;
        // parity: one result is all that a program has room for.
        let [output] = &graph.outputs[..] else {
            return Err(no(
                format!("{source} made results for several platforms, and a program takes one"),
                "leave out the option `platform`, or name one platform",
            ));
        };
        let config = output.meta.description.get(CONFIG).map(|config| config.as_bytes().to_vec());
        if output.edge.is_none() {
            return Ok(Answer::Frontend { definition: Vec::new(), config });
        }
        let definition = llb::encode_to_bytes(&graph).map_err(|error| wrong(&error))?;
        Ok(Answer::Frontend { definition, config })
    }

    /// The digest of an image, once it is pushed.
    pub(super) fn pushed(&self, push: &Push) -> Answered {
        if self.settings.run.is_none() {
            return Err(no(
                format!("the digest of {} is not known before it is pushed, and only a build pushes", push.reference),
                "`llbc build` does",
            ));
        }
        let wrong = |error: &dyn std::fmt::Display| no(format!("{}: {error}", push.reference), "report this");
        let mut graph = match &push.definition[..] {
            [] => llb::Graph { outputs: vec![llb::Output::default()], ..llb::Graph::default() },
            bytes => llb::decode(bytes).map_err(|error| wrong(&error))?.graph,
        };
        self.pin_all(&mut graph)?;
        for output in &mut graph.outputs {
            let description = &mut output.meta.description;
            description.insert(CONFIG.to_owned(), String::from_utf8_lossy(&push.image).into_owned());
            description.insert(PLATFORM.to_owned(), push.platform.to_string());
        }
        let definition = llb::encode_to_bytes(&graph).map_err(|error| wrong(&error))?;
        let kind = ExportKind::Push { reference: push.reference.clone(), stargz: push.stargz };
        let output = needs::destination(&kind);
        let response =
            self.engine(&push.needs, Some(output), |console, settings| console.build(definition, settings))?;
        match response.metadata.get(DIGEST).and_then(|digest| digest.as_str()) {
            Some(digest) => Ok(Answer::Text(Some(digest.to_owned()))),
            None => Err(no(format!("the registry did not say the digest of {}", push.reference), "push it again")),
        }
    }

    /// A definition whose sources are those that are written down. **Errors**: one that nobody may be asked for.
    fn pinned(&self, definition: &[u8]) -> std::result::Result<Vec<u8>, AskError> {
        if definition.is_empty() {
            return Ok(Vec::new());
        }
        let wrong = |error: &dyn std::fmt::Display| no(format!("a definition: {error}"), "report this");
        let mut graph = llb::decode(definition).map_err(|error| wrong(&error))?.graph;
        self.pin_all(&mut graph)?;
        llb::encode_to_bytes(&graph).map_err(|error| wrong(&error))
    }

    fn pin_all(&self, graph: &mut llb::Graph) -> std::result::Result<(), AskError> {
        if self.settings.offline {
            let is_far = |node: &&llb::Node| match &node.op {
                Op::Source(source) => {
                    ["git://", "http://", "https://"].iter().any(|s| source.identifier.starts_with(s))
                }
                _ => false,
            };
            if let Some(llb::Node { op: Op::Source(source), .. }) = graph.nodes.iter().find(is_far) {
                let message = format!("{} is not asked for with --offline", source.identifier);
                let help = "modules are kept beside the program with `llbc hlb vendor`; or build without --offline";
                return Err(AskError { unreachable: true, ..no(message, help) });
            }
        }
        self.pin(graph).map_err(|failure| said(&failure))
    }

    /// Works with an engine, which has what the work needs of the client; `output` is where its result goes.
    fn engine<T>(
        &self,
        wanted: &Needs,
        output: Option<String>,
        work: impl FnOnce(&Console, RunSettings) -> executor::Result<T>,
    ) -> std::result::Result<T, AskError> {
        let _one = self.building.lock().expect("no panic while something is built");
        let mut forwards = Vec::new();
        let settings = self.run_settings(wanted, output, &mut forwards).map_err(|failure| said(&failure))?;
        let failed = |error: Error| {
            let unreachable = self.settings.offline;
            AskError {
                message: error.to_string(),
                help: unreachable.then(|| OFFLINE.to_owned()),
                unreachable,
                ..AskError::default()
            }
        };
        let console = Console::new(settings.progress).map_err(failed)?;
        let done = work(&console, settings);
        console.finish();
        done.map_err(failed)
    }

    fn run_settings(
        &self,
        wanted: &Needs,
        output: Option<String>,
        forwards: &mut Vec<needs::Forward>,
    ) -> Result<RunSettings> {
        let mut run = self.settings.run.clone().unwrap_or_default();
        run.tags.clear();
        (run.load, run.push) = (false, false);
        // Without an output nothing is exported.
        run.outputs = output.into_iter().collect();
        (run.iidfile, run.metadata_file) = (None, None);
        let mut settings = RunSettings::new(&run, &self.settings.store)?;
        if self.settings.offline {
            settings.session.registries = self.settings.store.client(Asking::Never)?;
        }
        needs::provide(wanted, &mut settings, forwards)?;
        Ok(settings)
    }
}

fn said(failure: &Failure) -> AskError {
    match failure {
        Failure::Message(message) => no(message.text.clone(), message.help.clone().unwrap_or_default()),
        other => AskError { message: format!("{other:?}"), ..AskError::default() },
    }
}
