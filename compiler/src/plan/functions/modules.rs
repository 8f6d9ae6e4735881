//! Modules: the one that was asked for, and those that it imports, as the driver loads them.

use ast::check::{Scope, check_import};
use ast::{Import, Module, Severity, Source};
use llb::{Edge, Graph};
use oci::Digest;

use super::super::Request as Asked;
use super::super::notes::Finding;
use super::super::stop::{Done, Stop};
use super::super::{Imported, build, go};
use super::value::{Trace, Value};
use super::{Evaluator, Frame, traced};
use crate::{Agent, Answer, ModuleSource, Needs, Question, TreeFile};

/// A module with its names.
pub(super) struct Loaded<'a> {
    pub(super) module: &'a Module,
    pub(super) source: &'a Source,
    pub(super) scope: Scope<'a>,
    /// Where it came from; `None` for the one that was asked for.
    origin: Option<&'a ModuleSource>,
}

impl Loaded<'_> {
    /// The directory of the client that its paths start from. A module of a filesystem has none there: what it names of
    /// the client's is relative to where the program runs.
    pub(super) fn directory(&self) -> &str {
        match self.origin {
            None => directory_of(&self.source.name),
            Some(ModuleSource::File(path)) => directory_of(path),
            Some(ModuleSource::Imported(_) | ModuleSource::Built(_)) => "",
        }
    }

    /// The filesystem that it is a file of, if it is one.
    pub(super) fn tree(&self) -> Option<&TreeFile> {
        match self.origin {
            Some(ModuleSource::Imported(file) | ModuleSource::Built(file)) => Some(file),
            Some(ModuleSource::File(_)) | None => None,
        }
    }
}

fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| if directory.is_empty() { "/" } else { directory })
}

/// A path that a file of a filesystem names; none leads out of it.
pub(super) fn inside(file: &TreeFile, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { go::join(directory_of(&file.path), path) };
    go::clean(&format!("/{whole}")).trim_start_matches('/').to_owned()
}

/// The file that an imported filesystem is read from.
const MODULE: &str = "module.hlb";

/// The file that a repository is read from, unless its address says otherwise.
const REPOSITORY_MODULE: &str = "build.hlb";

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
                let file = tree_file(&self.shared.graph, fs.edge, &fs.needs, MODULE);
                let nothing = || Stop::error("the empty filesystem holds no module").point(import.from.span);
                ModuleSource::Imported(file?.ok_or_else(nothing)?)
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
        let beside = |path: &str| match self.modules[importer].tree() {
            Some(file) => ModuleSource::Imported(TreeFile { path: inside(file, path), ..file.clone() }),
            None => ModuleSource::File(self.beside(importer, path)),
        };
        match text.split_once("://") {
            None => Ok(beside(text)),
            Some(("file", path)) => Ok(beside(path)),
            Some((scheme @ ("git" | "git+https" | "git+http" | "git+ssh"), rest)) => {
                repository_file(scheme, rest).map(ModuleSource::Imported)
            }
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
            Ok(Ok(Answer::File(Some(_)) | Answer::Kept(Some(_)))) => Stop::Unknown,
            Ok(Ok(Answer::Kept(None))) => {
                let message = format!(
                    "missing module {} from vendor, run `hlb mod vendor --target {name} main.hlb` to vendor module",
                    ast::quote(name.as_bytes())
                );
                Stop::error(message).point(import.from.span).help("here, that is `llbc hlb vendor`")
            }
            Ok(Ok(_)) => match source {
                ModuleSource::File(path) => Stop::error(format!("open {path}: no such file or directory"))
                    .help("a path is relative to the file that imports it")
                    .point(import.from.span),
                ModuleSource::Imported(file) | ModuleSource::Built(file) => {
                    let message = format!("module {} has no file {}", ast::quote(name.as_bytes()), file.path);
                    let help = if file.path == MODULE {
                        "a filesystem that is imported holds its module in `module.hlb`"
                    } else {
                        "a repository holds its module in `build.hlb`, unless its address ends with `:FILE`"
                    };
                    Stop::error(message).point(import.from.span).help(help)
                }
            },
            Ok(Err(error)) => {
                let message = match source {
                    ModuleSource::File(_) => error.message.clone(),
                    _ => format!("importing {}: {}", ast::quote(name.as_bytes()), error.message),
                };
                let stop = Stop::error(message).point(import.from.span);
                error.help.iter().fold(stop, |stop, help| stop.help(help.clone()))
            }
        }
    }

    /// Everything that modules import, in the order of the texts.
    pub(super) fn imports(&mut self) -> Vec<Imported> {
        let mut found = Vec::new();
        for importer in 0..self.modules.len() {
            let module = self.modules[importer].module;
            for import in &module.imports {
                match self.module(importer, import) {
                    Ok(imported) => found.extend(self.modules[imported].origin.map(|source| Imported {
                        importer: module.file,
                        name: import.name.text.clone(),
                        module: self.modules[imported].module.file,
                        source: source.clone(),
                    })),
                    Err(stop) => self.report(stop),
                }
            }
        }
        found
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
            .filter(|error| !known.iter().any(|known| matches!(known, Finding::Error(known) if **known == *error)))
            .collect();
        self.shared.findings.extend(fresh.into_iter().map(|error| Finding::Error(Box::new(error))));
        // The text of the error is said once, however often the import is used.
        self.checked.remove(&(importer, import.name.text.as_str()));
        Err(Stop::Error(Box::new(first)))
    }
}

/// A file of a filesystem; `None` of the empty one.
pub(super) fn tree_file(graph: &Graph, edge: Option<Edge>, needs: &Needs, path: &str) -> Done<Option<TreeFile>> {
    let Some(edge) = edge else { return Ok(None) };
    let definition = definition_of(graph, Some(edge))?;
    let digest = digest_of(graph, edge)?;
    Ok(Some(TreeFile { digest, definition, needs: needs.clone(), path: path.to_owned() }))
}

/// `HOST/PATH[@BRANCH][:FILE]`, as imports name files of repositories.
///
/// parity: `git` is `https`; what `.git` holds is kept, since that is part of what is called by the digest.
fn repository_file(scheme: &str, rest: &str) -> Done<TreeFile> {
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (path, file) = path.split_once(':').unwrap_or((path, REPOSITORY_MODULE));
    let (path, reference) = path.split_once('@').unwrap_or((path, ""));
    let file = go::clean(&format!("/{file}")).trim_start_matches('/').to_owned();
    if host.is_empty() || path.is_empty() || file.is_empty() {
        let message = format!("{} is not the address of a module", ast::quote(format!("{scheme}://{rest}").as_bytes()));
        return Err(Stop::error(message).help("git+https://HOST/PATH[@BRANCH][:FILE]"));
    }
    let scheme = scheme.rsplit_once('+').map_or("https", |(_, transport)| transport);
    let user = if scheme == "ssh" && !host.contains('@') { "git@" } else { "" };
    let source = build::Git {
        remote: format!("{scheme}://{user}{host}/{path}"),
        scheme: scheme.to_owned(),
        host: host.to_owned(),
        path: path.to_owned(),
        reference: reference.to_owned(),
        keep_git_dir: true,
        ..build::Git::default()
    };
    let mut graph = Graph::default();
    let edge = build::git(&mut graph, &source, build::Said::default());
    let mut needs = Needs::default();
    if scheme == "ssh" {
        needs.agents.insert("default".to_owned(), Agent { ssh: true, paths: Vec::new() });
    }
    tree_file(&graph, Some(edge), &needs, &file)?.ok_or(Stop::Unknown)
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
