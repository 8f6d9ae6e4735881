//! `dockerfile`: a Dockerfile as a source. The planner of stages plans it, with filesystems of the program as its contexts.
//!
//! Its text is asked for and parsed as a module's is. Of a directory of the client it is a file; any other filesystem is
//! built to read it.

use std::collections::BTreeMap;

use ast::builtin::Builtin;
use llb::{Edge, Graph};
use oci::ImageConfig;

use super::super::notes::Finding;
use super::super::stop::{Done, Stop};
use super::super::{Purpose, Request, go};
use super::call::Application;
use super::value::{Fs, Value};
use super::{Evaluator, modules};
use crate::{Answer, ModuleSource, Options, Question};

/// The name of the file when nothing is said.
const DOCKERFILE: &str = "Dockerfile";

/// The name of the main context.
const CONTEXT: &str = "context";

impl<'a> Evaluator<'a> {
    pub(super) fn dockerfile(&mut self, call: &Application<'_>) -> Done<Value> {
        let context = call.fs(0)?;
        let file = call.last(Builtin::DockerfileFile).map(|option| option.text(0)).transpose()?;
        let file = file.unwrap_or_else(|| DOCKERFILE.to_owned());
        let source = match directory(&self.shared.graph, context.edge) {
            Some(directory) => ModuleSource::File(go::join(&directory, &file)),
            None => {
                let path = go::clean(&format!("/{file}")).trim_start_matches('/').to_owned();
                let nothing = || Stop::error("the empty filesystem holds no Dockerfile").point(call.span(0));
                let file = modules::tree_file(&self.shared.graph, context.edge, &context.needs, &path)?;
                ModuleSource::Built(file.ok_or_else(nothing)?)
            }
        };
        let mut fs = Fs::scratch(self.platform.clone());
        let options = self.options_of(call, &file, &context, &mut fs)?;
        let Some(loaded) = self.asked.modules.get(&source) else { return Err(self.no_dockerfile(source, call)) };
        if loaded.module.dialect.functions {
            let message = format!("{} is no Dockerfile", loaded.source.name);
            return Err(Stop::error(message).help("its name begins or ends with Dockerfile").point(call.at()));
        }
        let (module, source) = (&loaded.module, &loaded.source);
        let purpose = Purpose::Build;
        let request = Request { module, source, options: &options, purpose, watch: None, included: &[], ..self.asked };
        let draft = super::super::plan(&request, self.facts);
        self.shared.asks.extend(draft.asks);
        let errors = draft.findings.into_iter().filter_map(|found| match found {
            Finding::Error(error) => Some(*error),
            _ => None,
        });
        let parsed = module.diagnostics.iter().filter(|found| found.severity == ast::Severity::Error).cloned();
        let mut errors = draft.refused.into_iter().chain(parsed).chain(errors);
        if let Some(first) = errors.next() {
            self.shared.findings.extend(errors.map(|error| Finding::Error(Box::new(error))));
            return Err(Stop::Error(Box::new(first)));
        }
        let plan = draft.plan.ok_or(Stop::Unknown)?;
        fs.edge = self.shared.graph.graft(&plan.graph);
        let image = ImageConfig::from_json(&plan.outputs[0].image);
        fs.adopt(image.map_err(|error| Stop::error(format!("failed to parse image config: {error}")))?);
        Ok(Value::Fs(Box::new(fs)))
    }

    /// The options of the build, by the names that frontends have for them. What its inputs need is what the result needs.
    fn options_of(&self, call: &Application<'_>, file: &str, context: &Fs, fs: &mut Fs) -> Done<Options> {
        let mut opts = BTreeMap::from([
            ("platform".to_owned(), self.platform.to_string()),
            ("filename".to_owned(), file.to_owned()),
        ]);
        let mut inputs = BTreeMap::from([(CONTEXT.to_owned(), self.alone(context.edge))]);
        fs.inherit(context);
        for option in &call.options {
            let first = option.text(0)?;
            match option.builtin {
                Builtin::DockerfileTarget => drop(opts.insert("target".to_owned(), first)),
                Builtin::DockerfileArg => drop(opts.insert(format!("build-arg:{first}"), option.text(1)?)),
                Builtin::DockerfileInput => {
                    let input = option.args.get(1).cloned().ok_or(Stop::Unknown)?.fs()?;
                    fs.inherit(&input);
                    opts.insert(format!("context:{first}"), format!("input:{first}"));
                    inputs.insert(first, self.alone(input.edge));
                }
                _ => {}
            }
        }
        Ok(Options { opts, inputs, ..self.asked.options.clone() })
    }

    /// A graph of which a vertex is the result. The places of its vertices are those of other texts.
    fn alone(&self, edge: Option<Edge>) -> Graph {
        let mut nodes = self.shared.graph.nodes.clone();
        nodes.iter_mut().for_each(|node| node.locations.clear());
        Graph { nodes, outputs: vec![llb::Output { edge, ..llb::Output::default() }], sources: Vec::new() }
    }

    fn no_dockerfile(&mut self, source: ModuleSource, call: &Application<'_>) -> Stop {
        let path = match &source {
            ModuleSource::File(path) => path.clone(),
            ModuleSource::Imported(file) | ModuleSource::Built(file) => file.path.clone(),
        };
        match self.need(Question::Module { source }, call.at()) {
            Err(stop) => stop,
            // There is an answer, but the driver has not parsed it yet.
            Ok(Answer::File(Some(_))) => Stop::Unknown,
            Ok(_) => Stop::error(format!("open {path}: no such file or directory"))
                .help("another name is given with the option `file`, relative to the context")
                .point(call.at()),
        }
    }
}

/// The directory of the client that a vertex sends.
fn directory(graph: &Graph, edge: Option<Edge>) -> Option<String> {
    match &graph.nodes[edge?.node.0 as usize].op {
        llb::Op::Source(source) => source.identifier.strip_prefix("local://").map(str::to_owned),
        _ => None,
    }
}
