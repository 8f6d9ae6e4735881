//! The main context: a directory of the client, a repository, or something on the web; and where the text is read from.
//!
//! What is used of a local context is known only at the end, so its vertex is completed last. Mirrors
//! `dockerui/context.go` of BuildKit v0.32.

use std::borrow::Cow;

use ast::{Diagnostic, parse_bool};
use llb::{CopyAction, Edge, Graph, Output};
use oci::ignore;

use super::build::{self, FileChain, Local, Said};
use super::git::{self, GitRef};
use super::paths::PathsId;
use super::planner::Planner;
use super::settings::Settings;
use super::stop::{CODE, Done, Stop};
use crate::{Answer, Question};

const CONTEXT: &str = "context";
const DOCKERFILE_LOCAL: &str = "dockerfile";
const DOCKERFILE: &str = "Dockerfile";
const IGNORE: &str = ".dockerignore";

/// File that something on the web is stored as.
pub const WEB_FILE: &str = "context";

/// What the options say of the main context and of the text's place.
#[derive(Clone, Debug)]
pub(super) struct ContextPlan {
    remote: Option<Remote>,
    /// Directory of a remote context to use.
    subdir: Option<String>,
    /// What holds the text when a client hands that in.
    text_input: Option<Graph>,
    /// Name of the local source that holds the text.
    text_local: String,
    /// Whether the text is local though the context is not.
    text_is_local: bool,
    /// Name of the text in there.
    pub(super) filename: String,
}

#[derive(Clone, Debug)]
enum Remote {
    Git { name: String, source: Box<build::Git> },
    Web { url: String, is_archive: bool },
    Input(Graph),
}

/// The main context while planning.
pub(super) struct MainContext {
    /// Its vertex.
    edge: Option<Edge>,
    /// What of it is used; unused when it is remote.
    pub(super) paths: PathsId,
    /// What is left out of it.
    pub(super) excludes: Vec<String>,
    /// The same, to match paths with; `None` when nothing is left out.
    pub(super) ignored: Option<ignore::Patterns>,
}

impl ContextPlan {
    /// Reads the options. What is on the web must be looked at: its start is asked for.
    pub(super) fn read(
        settings: &Settings<'_>,
        ask: &mut dyn FnMut(Question) -> Option<Answer>,
    ) -> Result<Self, Box<Diagnostic>> {
        let key = settings.opt("contextkey").unwrap_or(CONTEXT);
        let address = settings.opt(key).unwrap_or_default();
        let remote = read_remote(settings, address, ask).map_err(|message| {
            let diagnostic = Diagnostic::error(CODE, message, None);
            Box::new(Diagnostic { locations: Some(Vec::new()), ..diagnostic })
        })?;
        let text_local = settings.opt("dockerfilekey");
        let text_name = text_local.unwrap_or(DOCKERFILE_LOCAL);
        let handed_in = |name: &str| settings.inputs.get(name).filter(|_| remote.is_none()).cloned();
        let text_input = handed_in(text_name).filter(|_| text_local.is_none());
        let context_input = handed_in(CONTEXT);
        let remote = remote.or(context_input.map(Remote::Input));
        let is_single_file = matches!(remote, Some(Remote::Web { is_archive: false, .. }));
        let filename = settings.opt("filename").unwrap_or(DOCKERFILE);
        Ok(Self {
            subdir: settings.opt("contextsubdir").filter(|_| remote.is_some()).map(str::to_owned),
            remote,
            text_input,
            text_local: text_name.to_owned(),
            text_is_local: text_local.is_some(),
            filename: if is_single_file { WEB_FILE } else { filename }.to_owned(),
        })
    }

    /// A graph that reads the text: for the source map.
    pub(super) fn text_source(&self, settings: &Settings<'_>) -> Graph {
        let mut graph = Graph::default();
        let edge = match &self.remote {
            _ if let Some(input) = &self.text_input => graph.graft(input),
            Some(remote @ (Remote::Git { .. } | Remote::Web { .. })) if !self.text_is_local => remote.add(&mut graph),
            _ => Some(self.local_text(settings, &mut graph)),
        };
        graph.outputs.push(Output { edge, ..Output::default() });
        graph
    }

    /// The local source that holds the text, unless it is elsewhere.
    pub(super) fn text_local(&self) -> &str {
        &self.text_local
    }

    /// Names the text may have, the likelier first.
    pub(super) fn text_names(&self) -> Vec<String> {
        std::iter::once(self.filename.clone()).chain(self.lower_name()).collect()
    }

    /// parity: a lower-case name is found too.
    fn lower_name(&self) -> Option<String> {
        let directory =
            self.filename.strip_suffix(DOCKERFILE).filter(|_| super::go::base(&self.filename) == DOCKERFILE)?;
        Some(super::go::join(directory, "dockerfile"))
    }

    fn local_text(&self, settings: &Settings<'_>, graph: &mut Graph) -> Edge {
        let mut followed = Vec::with_capacity(3);
        followed.extend([self.filename.as_str().into(), [&self.filename, IGNORE].concat().into()]);
        followed.extend(self.lower_name().map(Cow::Owned));
        let local = Local {
            name: self.text_local.as_str().into(),
            session: settings.session_of(&self.text_local).into(),
            shared_key: self.text_local.as_str().into(),
            followed,
            no_diff: true,
            ..Local::default()
        };
        build::local(graph, local, internal(&["load build definition from ", &self.filename].concat()))
    }

    /// Adds the vertex of a remote context.
    fn add_remote(&self, graph: &mut Graph) -> Option<Edge> {
        let edge = self.remote.as_ref()?.add(graph)?;
        let Some(subdir) = &self.subdir else { return Some(edge) };
        let copy = CopyAction { dir_copy_contents: true, ..plain_copy(subdir, "/") };
        let mut chain = FileChain::on(None);
        chain.copy(Some(edge), copy);
        Some(chain.finish(graph, Said::default()))
    }

    fn is_remote(&self) -> bool {
        self.remote.is_some()
    }
}

impl Remote {
    /// Its vertices; `None` is scratch.
    fn add(&self, graph: &mut Graph) -> Option<Edge> {
        Some(match self {
            Self::Input(input) => return graph.graft_fixed(input),
            Self::Git { name, source } => build::git(graph, source, internal(&format!("load git source {name}"))),
            Self::Web { url, is_archive } => {
                let edge = build::http(graph, url, WEB_FILE, "", internal("load remote build context"));
                if !is_archive {
                    return Some(edge);
                }
                let copy = CopyAction { attempt_unpack: true, ..plain_copy(&format!("/{WEB_FILE}"), "/") };
                let mut chain = FileChain::on(None);
                chain.copy(Some(edge), copy);
                chain.finish(graph, Said::default())
            }
        })
    }

    /// What to ask for its time.
    fn time(&self) -> Option<Question> {
        match self {
            Self::Git { source, .. } => Some(source.time()),
            Self::Web { url, .. } => Some(Question::Timestamp { source: url.clone(), remote: None }),
            Self::Input(_) => None,
        }
    }
}

/// A copy without any option.
pub(super) fn plain_copy(src: &str, dest: &str) -> CopyAction {
    CopyAction {
        src: super::go::join("/", src),
        dest: dest.to_owned(),
        mode: -1,
        timestamp: -1,
        ..CopyAction::default()
    }
}

/// A vertex that users did not ask for.
pub(super) fn internal(name: &str) -> Said {
    Said::named(["[internal] ", name].concat())
}

fn read_remote(
    settings: &Settings<'_>,
    address: &str,
    ask: &mut dyn FnMut(Question) -> Option<Answer>,
) -> Result<Option<Remote>, String> {
    match git::parse(address) {
        GitRef::Bad(message) => return Err(message),
        GitRef::Repository(repository) => {
            let keep = settings.opt("build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR").and_then(parse_bool);
            let mut source = repository.source;
            source.keep_git_dir = repository.keep_git_dir == Some(true) || keep == Some(true);
            let has_epoch = settings.build_args.get("SOURCE_DATE_EPOCH").is_some_and(|epoch| !epoch.is_empty());
            if source.mtime.is_empty() && has_epoch {
                source.mtime = "commit".to_owned();
            }
            return Ok(Some(Remote::Git { name: address.to_owned(), source: Box::new(source) }));
        }
        GitRef::Other => {}
    }
    if !(address.starts_with("http://") || address.starts_with("https://")) {
        return Ok(None);
    }
    let question = Question::ContextFile { context: address.to_owned(), path: WEB_FILE.to_owned() };
    let is_archive = match ask(question) {
        Some(Answer::ContextFile(Some(bytes))) => is_archive(&bytes),
        _ => false,
    };
    Ok(Some(Remote::Web { url: address.to_owned(), is_archive }))
}

/// Whether bytes start as bzip2, gzip, xz or tar do.
pub fn is_archive(bytes: &[u8]) -> bool {
    const MAGIC: [&[u8]; 3] = [b"BZh", &[0x1f, 0x8b, 0x08], &[0xfd, b'7', b'z', b'X', b'Z', 0]];
    MAGIC.iter().any(|magic| bytes.starts_with(magic)) || is_tar_header(bytes)
}

/// Whether the checksum of a first tar header is right.
fn is_tar_header(bytes: &[u8]) -> bool {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    let Some(header) = bytes.get(..512) else { return false };
    let written = String::from_utf8_lossy(&header[CHECKSUM]);
    let written = i64::from_str_radix(written.trim_matches([' ', '\0']), 8);
    let field = |at: usize| if CHECKSUM.contains(&at) { b' ' } else { header[at] };
    let unsigned: i64 = (0..512).map(|at| i64::from(field(at))).sum();
    let signed: i64 = (0..512).map(|at| i64::from(field(at) as i8)).sum();
    written.is_ok_and(|sum| sum == unsigned || sum == signed) && header.iter().any(|b| *b != 0)
}

impl MainContext {
    /// A context of which nothing is used yet.
    pub(super) fn new(paths: PathsId) -> Self {
        Self { edge: None, paths, excludes: Vec::new(), ignored: None }
    }
}

impl Planner<'_> {
    /// The vertex of the main context.
    pub(super) fn context_edge(&mut self) -> Edge {
        if let Some(edge) = self.context.edge {
            return edge;
        }
        let plan = self.context_plan;
        let graph = &mut self.shared.graph;
        let edge = plan
            .add_remote(graph)
            .unwrap_or_else(|| build::local(graph, Local::default(), internal("load build context")));
        self.context.edge = Some(edge);
        edge
    }

    /// Completes the main context with what was used of it.
    pub(super) fn complete_context(&mut self) {
        let Some(edge) = self.context.edge.filter(|_| !self.context_plan.is_remote()) else { return };
        let local = Local {
            name: CONTEXT.into(),
            session: self.settings.session_of(CONTEXT).into(),
            shared_key: CONTEXT.into(),
            excludes: std::mem::take(&mut self.context.excludes),
            followed: self.paths.followed(self.context.paths),
            no_diff: false,
        };
        local.complete(&mut self.shared.graph, edge);
    }

    /// Reads the ignore file of the main context: the one beside the text, else the one in the context.
    pub(super) fn read_ignore_file(&mut self) -> Done {
        if self.context_plan.is_remote() {
            return Ok(());
        }
        let own_name = [&self.context_plan.filename, IGNORE].concat();
        let own = self.ask_file(&self.context_plan.text_local, &own_name);
        let general = self.ask_file(CONTEXT, IGNORE);
        let (name, bytes) = match own? {
            Some(bytes) => (own_name.as_str(), bytes),
            None => (IGNORE, general?.unwrap_or_default()),
        };
        let excludes = ignore::read(&bytes);
        let excludes =
            excludes.map_err(|error| Stop::error(format!("failed parsing {name}: {error}")).nowhere(None))?;
        if !excludes.is_empty() {
            let patterns = ignore::Patterns::lenient(&excludes);
            self.context.ignored = Some(patterns.map_err(|error| Stop::error(error.to_string()).nowhere(None))?);
        }
        self.context.excludes = excludes;
        Ok(())
    }

    /// The bytes of a file of a local context.
    pub(super) fn ask_file(&mut self, context: &str, path: &str) -> Done<Option<Vec<u8>>> {
        let question = Question::ContextFile { context: context.to_owned(), path: path.to_owned() };
        match self.ask(question)? {
            Ok(Answer::ContextFile(bytes)) => Ok(bytes.clone()),
            Ok(_) => Ok(None),
            // Not as if it was not there: what it excludes would be built.
            Err(error) => {
                let stop = Stop::error(error.message.clone());
                Err(error.help.iter().fold(stop, |stop, help| stop.help(help)).nowhere(None))
            }
        }
    }

    /// What to ask for the time of the main context; `None`: it has none.
    pub(super) fn context_time(&self) -> Option<Question> {
        self.context_plan.remote.as_ref().and_then(Remote::time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives() {
        assert!(is_archive(b"\x1f\x8b\x08rest") && is_archive(b"BZh9"));
        assert!(!is_archive(b"FROM alpine\n") && !is_archive(&[0; 1024]));
        let mut header = [0u8; 512];
        header[0] = b'a';
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert!(is_archive(&header));
    }
}
