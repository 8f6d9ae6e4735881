//! Modules: the one that was asked for, and those that it imports, as the driver loads them.

use ast::check::{Scope, check_import};
use ast::{Import, Module, Severity, Source};
use llb::{Edge, Graph};
use oci::Digest;

use super::super::Request as Asked;
use super::super::go;
use super::super::notes::Finding;
use super::super::stop::{Done, Stop};
use super::value::{Trace, Value};
use super::{Evaluator, Frame, traced};
use crate::{Answer, ModuleSource, Question};

/// A module with its names.
pub(super) struct Loaded<'a> {
    pub(super) module: &'a Module,
    pub(super) source: &'a Source,
    pub(super) scope: Scope<'a>,
    /// Where it came from; `None` for the one that was asked for.
    origin: Option<&'a ModuleSource>,
}

impl Loaded<'_> {
    /// The directory that its paths start from.
    pub(super) fn directory(&self) -> &str {
        let path = match self.origin {
            None => &self.source.name,
            Some(ModuleSource::File(path)) => path,
            Some(ModuleSource::Vendored(_) | ModuleSource::Git(_)) => return "/",
        };
        path.rsplit_once('/').map_or("", |(directory, _)| if directory.is_empty() { "/" } else { directory })
    }
}

/// The modules that are there, by file.
pub(super) fn all<'a>(asked: &Asked<'a>) -> Vec<Loaded<'a>> {
    let load = |module, source, origin| Loaded { module, source, scope: Scope::of(module), origin };
    let main = load(asked.module, asked.source, None);
    let mut all: Vec<Loaded<'a>> = vec![main];
    let mut imported: Vec<_> = asked.modules.iter().collect();
    imported.sort_by_key(|(_, loaded)| loaded.module.file);
    all.extend(imported.into_iter().map(|(origin, loaded)| load(&loaded.module, &loaded.source, Some(origin))));
    all
}

impl<'a> Evaluator<'a> {
    /// The module that an import of a module stands for. Its uses are checked when it is first there.
    pub(super) fn module(&mut self, importer: usize, import: &'a Import) -> Done<usize> {
        let frame = Frame { module: importer, def: None, args: &[], selected: None, trace: Trace::default() };
        let from = self.expr(&frame, &import.from, ast::types::STRING).map_err(|stop| traced(stop, &frame.trace))?;
        let source = match from {
            Value::Fs(fs) => {
                let edge = fs
                    .edge
                    .ok_or_else(|| Stop::error("the empty filesystem holds no module").point(import.from.span))?;
                ModuleSource::Vendored(digest_of(&self.shared.graph, edge)?)
            }
            other => self.address(importer, &other.text()?).map_err(|stop| stop.point(import.from.span))?,
        };
        let loaded = self.modules.iter().position(|loaded| loaded.origin == Some(&source));
        let Some(module) = loaded else { return Err(self.missing(import, source)) };
        self.check_import(importer, import, module)?;
        Ok(module)
    }

    /// What a string names: a file beside the importing one, or a file of a repository.
    fn address(&self, importer: usize, text: &str) -> Done<ModuleSource> {
        match text.split_once("://") {
            None => Ok(ModuleSource::File(self.beside(importer, text))),
            Some(("file", path)) => Ok(ModuleSource::File(self.beside(importer, path))),
            Some(("git" | "git+https" | "git+http" | "git+ssh", _)) => Ok(ModuleSource::Git(text.to_owned())),
            Some((scheme, _)) => {
                Err(Stop::error(format!("{} is not a valid module uri scheme", ast::quote(scheme.as_bytes())))
                    .help("a path, or git://, git+https://, git+ssh://HOST/PATH[@BRANCH][:FILE]"))
            }
        }
    }

    /// A path that is written in a module.
    pub(super) fn beside(&self, module: usize, path: &str) -> String {
        if path.starts_with('/') {
            return go::clean(path).into_owned();
        }
        go::join(self.modules[module].directory(), path)
    }

    fn missing(&mut self, import: &Import, source: ModuleSource) -> Stop {
        let question = Question::Module { source: source.clone() };
        let name = &import.name.text;
        match self.ask(question) {
            Err(stop) => stop,
            // There is an answer, but the driver has no module of it.
            Ok(Ok(Answer::File(Some(_)))) => Stop::Unknown,
            Ok(Ok(_)) => match source {
                ModuleSource::File(path) => Stop::error(format!("open {path}: no such file or directory"))
                    .help("a path is relative to the file that imports it")
                    .point(import.from.span),
                ModuleSource::Git(address) => Stop::error(format!("{address} holds no module")).point(import.from.span),
                ModuleSource::Vendored(_) => {
                    let message = format!(
                        "missing module {} from vendor, run `hlb mod vendor --target {name} main.hlb` to vendor module",
                        ast::quote(name.as_bytes())
                    );
                    Stop::error(message).point(import.from.span).help("here, that is `llbc hlb vendor`")
                }
            },
            Ok(Err(error)) => {
                let stop = Stop::error(error.message.clone()).point(import.from.span);
                error.help.iter().fold(stop, |stop, help| stop.help(help.clone()))
            }
        }
    }

    fn check_import(&mut self, importer: usize, import: &'a Import, module: usize) -> Done {
        let errors: Vec<_> = {
            let found = self.modules[module].module.diagnostics.iter();
            found.filter(|found| found.severity == Severity::Error).cloned().collect()
        };
        let errors = if !errors.is_empty() {
            errors
        } else if self.checked.insert((importer, import.name.text.as_str())) {
            check_import(self.modules[importer].module, &import.name.text, self.modules[module].module)
        } else {
            return Ok(());
        };
        let mut errors = errors.into_iter();
        let Some(first) = errors.next() else { return Ok(()) };
        let known = &self.shared.findings;
        let fresh: Vec<_> = errors
            .filter(|error| !known.iter().any(|known| matches!(known, Finding::Error(known) if known == error)))
            .collect();
        self.shared.findings.extend(fresh.into_iter().map(Finding::Error));
        // The text of the error is said once, however often the import is used.
        self.checked.remove(&(importer, import.name.text.as_str()));
        Err(Stop::Error(Box::new(first)))
    }
}

/// The digest of the vertex that makes a filesystem, as HLB's BuildKit computes it.
pub(super) fn digest_of(graph: &Graph, edge: Edge) -> Done<Digest> {
    let alone = Graph {
        nodes: graph.nodes.clone(),
        outputs: vec![llb::Output { edge: Some(edge), ..llb::Output::default() }],
        sources: Vec::new(),
    };
    let (definition, digests) = llb::encode_traced(&strip(alone)).map_err(|error| Stop::error(error.to_string()))?;
    let digest = digests.get(edge.node.0 as usize).cloned().flatten().ok_or(Stop::Unknown)?;
    llb::ascending_digests(&definition).remove(&digest).ok_or(Stop::Unknown)
}

/// A graph without places, which point into texts that are not there.
fn strip(mut graph: Graph) -> Graph {
    graph.nodes.iter_mut().for_each(|node| node.locations.clear());
    graph
}

/// The bytes of the definition of a filesystem; none of the empty one.
pub(super) fn definition_of(graph: &Graph, edge: Option<Edge>) -> Done<Vec<u8>> {
    let alone = strip(Graph {
        nodes: graph.nodes.clone(),
        outputs: vec![llb::Output { edge, ..llb::Output::default() }],
        sources: Vec::new(),
    });
    llb::encode_to_bytes(&alone).map_err(|error| Stop::error(error.to_string()))
}
