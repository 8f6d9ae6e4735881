//! `COPY` and `ADD`: one file operation with an action for every source; with `--link` on a layer of its own.

use std::borrow::Cow;

use ast::word::Mode as WordMode;
use ast::{Copy, Document, OptKind, Step, Str};
use llb::{CopyAction, Edge, FileActionKind, ProgressGroup};

use super::mode::{self, Mode};
use crate::plan::build::{self, FileChain, Said};
use crate::plan::context::internal;
use crate::plan::expand::{self, Expanded, Uses};
use crate::plan::git::{self, GitRef};
use crate::plan::go;
use crate::plan::history::Layer;
use crate::plan::notes::NoteKind;
use crate::plan::path;
use crate::plan::planner::Planner;
use crate::plan::stages::{Command, StageId};
use crate::plan::state::State;
use crate::plan::stop::{Done, Stop};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Kind {
    /// Local files only.
    Copy,
    /// Also addresses and repositories; archives are unpacked.
    Add,
}

impl Kind {
    /// Its keyword.
    fn keyword(self) -> &'static str {
        match self {
            Self::Copy => "COPY",
            Self::Add => "ADD",
        }
    }

    /// As the rule on ignored files names it.
    fn title(self) -> &'static str {
        match self {
            Self::Copy => "Copy",
            Self::Add => "Add",
        }
    }
}

/// The flags and words of one instruction, expanded.
pub(super) struct Words {
    pub(super) kind: Kind,
    pub(super) chown: String,
    pub(super) checksum: String,
    pub(super) keep_git_dir: Option<bool>,
    pub(super) unpack: Option<bool>,
    chmod: String,
    parents: bool,
    link: bool,
    includes: Vec<String>,
    excludes: Vec<String>,
    sources: Vec<String>,
    documents: Vec<(String, Vec<u8>)>,
    dest: String,
}

/// What all actions of one instruction share.
pub(super) struct Target {
    dest: String,
    mode: Mode,
    os: String,
}

impl Planner<'_> {
    pub(in crate::plan) fn copy(
        &mut self,
        id: StageId,
        state: &mut State,
        command: &Command<'_>,
        copy: &Copy,
        kind: Kind,
    ) -> Done {
        let mut words = self.words(state, command, copy, kind)?;
        let from = command.sources.first().copied();
        if let Some(from) = from.filter(|from| !self.stages[*from].dispatched) {
            // Of a circle, and of stages that may be others, enough is said.
            if self.shared.circular {
                return Err(Stop::Unknown);
            }
            return Err(self.not_yet_built(id, from, &command.step));
        }
        let os = state.platform.os.clone();
        let target = Target { dest: destination(&state.dir, &words.dest, &os)?, mode: mode::parse(&words.chmod)?, os };
        check_checksum(&words)?;
        let created_by = if self.records(state) { created_by(&words) } else { String::new() };
        let text = if self.draws() { self.shown_words(&command.step.text, &state.env) } else { Cow::Borrowed("") };
        let number = self.next_step(id);
        let name = self.step_name(number, command.trigger, &text, Some(&state.platform), Some(&state.env));

        let linked = words.link && words.chmod.is_empty() && self.request.options.supports("mergeop");
        let mut chain = FileChain::on(state.root.filter(|_| !linked));
        for source in std::mem::take(&mut words.sources) {
            self.add_source(&mut chain, command, &mut words, &target, &source, &name, from)?;
            self.mark_used(&words, &source, from);
        }
        for (file, content) in std::mem::take(&mut words.documents) {
            self.add_document(&mut chain, &words, &target, &file, content)?;
        }
        if !self.draws() {
            state.root = Some(build::UNDRAWN);
            return Ok(());
        }
        let said = self.said(id, &name, command);
        if linked {
            let linked = ["LINK ", &text].concat();
            let linked = self.step_name(number, command.trigger, &linked, Some(&state.platform), Some(&state.env));
            self.link(state, chain, said, name, linked);
        } else {
            state.root = Some(chain.finish(&mut self.shared.graph, said));
        }
        self.commit(state, |_| created_by, Layer::Solved);
        Ok(())
    }

    fn not_yet_built(&self, id: StageId, from: StageId, step: &Step) -> Stop {
        let written = step.opts.iter().find_map(|opt| match &opt.kind {
            OptKind::From(from) => Some((from.raw().lossy(), opt.span)),
            _ => None,
        });
        let (written, span) = written.map_or((self.stages[from].label.as_ref().into(), step.span), |found| found);
        let here = &self.stages[id].label;
        Stop::error(format!(
            "cannot copy from stage \"{written}\", it needs to be defined before current stage \"{here}\""
        ))
        .help("move that stage above this one")
        .point(span)
    }

    fn words(&mut self, state: &State, command: &Command<'_>, copy: &Copy, kind: Kind) -> Done<Words> {
        let step = &command.step;
        let scope = Self::scope(state, command);
        let mut text = |wanted: fn(&OptKind) -> Option<&Str>| match step.opts.iter().find_map(|opt| wanted(&opt.kind)) {
            Some(value) => self.text(value, scope),
            None => Ok(String::new()),
        };
        let chown = text(|kind| if let OptKind::Chown(value) = kind { Some(value) } else { None })?;
        let chmod = text(|kind| if let OptKind::Chmod(value) = kind { Some(value) } else { None })?;
        let checksum = text(|kind| if let OptKind::Checksum(value) = kind { Some(value) } else { None })?;
        let sources = copy.sources.iter().map(|source| self.text(source, scope)).collect::<Done<Vec<_>>>()?;
        let dest = self.text(&copy.dest, scope)?;
        let documents = copy.documents.iter().map(|document| self.document(document, state, command));
        let documents = documents.collect::<Done<Vec<_>>>()?;
        let mut words = Words {
            kind,
            chown,
            checksum,
            keep_git_dir: None,
            unpack: None,
            chmod,
            parents: false,
            link: false,
            includes: Vec::new(),
            excludes: Vec::new(),
            sources,
            documents,
            dest,
        };
        for opt in &step.opts {
            match &opt.kind {
                OptKind::KeepGitDir(value) => words.keep_git_dir = Some(*value),
                OptKind::Unpack(value) => words.unpack = Some(*value),
                OptKind::Parents(value) => words.parents = *value,
                OptKind::Link(value) => words.link = *value,
                OptKind::Include(pattern) => words.includes.push(oci::json::lossy(pattern.raw())),
                OptKind::Exclude(pattern) => words.excludes.push(oci::json::lossy(pattern.raw())),
                _ => {}
            }
        }
        Ok(words)
    }

    /// Name and content of a document.
    fn document(&mut self, document: &Document, state: &State, command: &Command<'_>) -> Done<(String, Vec<u8>)> {
        let content = document.chomped();
        if !document.expand {
            return Ok((document.name.clone(), content.into_owned()));
        }
        let mut uses = Uses::of_unset();
        // parity: whatever the file's escape character, in documents it is the backslash.
        let value = expand::expand(&content, b'\\', WordMode::Document, &state.env, &mut uses);
        self.note_unmatched(&uses.unmatched, Self::scope(state, command));
        match value.map_err(|fault| Stop::from(fault).point(document.span))? {
            Expanded::Known(value) => {
                self.grow(value.len().saturating_sub(content.len()))?;
                Ok((document.name.clone(), value.into_owned().into_bytes()))
            }
            Expanded::Unknown => Err(Stop::Unknown),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn add_source(
        &mut self,
        chain: &mut FileChain,
        command: &Command<'_>,
        words: &mut Words,
        target: &Target,
        source: &str,
        name: &str,
        from: Option<StageId>,
    ) -> Done {
        match git::parse(source) {
            GitRef::Bad(message) => return Err(Stop::error(message)),
            GitRef::Repository(repository) if !repository.may_be_path => {
                let edge = self.add_repository(words, *repository, name)?;
                chain.copy(Some(edge), copy_action(chain, words, target, "/"));
                return Ok(());
            }
            _ => {}
        }
        if git::is_web_file(source) {
            let (edge, file) = self.add_web_file(words, source, name)?;
            let action = copy_action(chain, words, target, &file);
            chain.copy(Some(edge), CopyAction { attempt_unpack: words.unpack == Some(true), ..action });
            return Ok(());
        }
        if from.is_none() {
            self.note_ignored(command, words.kind, source);
        }
        let action = local_action(chain, words, target, source)?;
        let edge = match from {
            Some(from) => self.stages[from].root,
            None => Some(self.context_edge()),
        };
        chain.copy(edge, action);
        Ok(())
    }

    fn add_document(
        &mut self,
        chain: &mut FileChain,
        words: &Words,
        target: &Target,
        name: &str,
        data: Vec<u8>,
    ) -> Done {
        let name = path::strip_drive(name, &target.os, false)
            .map_err(|message| Stop::error(format!("removing drive letter: {message}")))?;
        let edge = self.inline_document(&name, 0o644, data);
        chain.copy(Some(edge), copy_action(chain, words, target, &path::to_slash(&name, &target.os)));
        Ok(())
    }

    /// A filesystem with one file.
    pub(super) fn inline_document(&mut self, name: &str, mode: i32, data: Vec<u8>) -> Edge {
        let mut file = FileChain::on(None);
        let path = go::join("/", name);
        file.act(FileActionKind::Mkfile { path, mode, data, owner: None, timestamp: -1 });
        file.finish(&mut self.shared.graph, internal("preparing inline document"))
    }

    fn mark_used(&mut self, words: &Words, source: &str, from: Option<StageId>) {
        let set = match from {
            Some(from) => self.stages[from].paths,
            None => self.context.paths,
        };
        // parity: only addresses of the web are known not to be paths.
        let is_web = source.starts_with("http://") || source.starts_with("https://");
        if words.kind == Kind::Copy || !is_web {
            self.paths.mark(set, source);
        }
    }

    fn note_ignored(&mut self, command: &Command<'_>, kind: Kind, source: &str) {
        let Some(patterns) = self.context.ignored.as_ref().filter(|patterns| !patterns.has_exclusions()) else {
            return;
        };
        let path = go::clean(source);
        let is_root = matches!(&*path, "." | "/");
        let ignores_root = || patterns.iter().any(|pattern| matches!(pattern.as_str(), "*" | "**" | "**/*"));
        if (!is_root || ignores_root()) && patterns.matches(path.as_bytes()) {
            let kind = NoteKind::IgnoredSource { instruction: kind.title(), path: path.into_owned() };
            self.note_at(command, kind);
        }
    }

    fn said(&self, id: StageId, name: &str, command: &Command<'_>) -> Said {
        let mut said = Said::named(name).at(self.location(Some(command.span())));
        said.meta.ignore_cache = self.stages[id].ignore_cache;
        said
    }

    /// Lays the copied files over the stage; both operations show as one, by the name of the first.
    fn link(&mut self, state: &mut State, chain: FileChain, mut copied: Said, name: String, linked: String) {
        self.shared.groups += 1;
        let group = ProgressGroup { id: format!("pg-{}", self.shared.groups), name, weak: false };
        let weak = ProgressGroup { weak: true, ..group.clone() };
        let mut merged = Said { locations: copied.locations.clone(), ..Said::named(linked) };
        merged.meta.ignore_cache = copied.meta.ignore_cache;
        merged.meta.progress_group = Some(group.into());
        copied.meta.progress_group = Some(weak.into());
        let upper = chain.finish(&mut self.shared.graph, copied);
        state.root = Some(build::merge(&mut self.shared.graph, state.root, upper, merged));
    }
}

/// A destination made absolute; what says that it is a directory is kept.
fn destination(dir: &str, dest: &str, os: &str) -> Done<String> {
    let wrong = |message: String| Stop::error(format!("removing drive letter: {message}"));
    let stripped = path::strip_drive(dest, os, true).map_err(wrong)?;
    let (parent, stripped) = match &*stripped {
        dest if path::is_absolute(dest, os) => ("/", dest),
        "" | "." => (dir, "./"),
        dest => (dir, dest),
    };
    let absolute = path::normalize(parent, stripped, os, true).map_err(Stop::error)?;
    let mut cleaned = match go::clean(&absolute) {
        Cow::Borrowed(_) => return Ok(absolute),
        Cow::Owned(cleaned) => cleaned,
    };
    path::keep_end(&absolute, &mut cleaned);
    Ok(cleaned)
}

fn check_checksum(words: &Words) -> Done {
    let [source] = &words.sources[..] else {
        return if words.checksum.is_empty() {
            Ok(())
        } else {
            Err(Stop::error("checksum can't be specified for multiple sources"))
        };
    };
    let is_repository = || matches!(git::parse(source), GitRef::Repository(_));
    if words.checksum.is_empty() || git::is_web_file(source) || is_repository() {
        return Ok(());
    }
    Err(Stop::error("checksum requires HTTP(S) or Git sources"))
}

/// Bytes of most entries of history.
const CREATED_BY: usize = 96;

/// The instruction as history keeps it.
fn created_by(words: &Words) -> String {
    let mut text = String::with_capacity(CREATED_BY);
    text.push_str(words.kind.keyword());
    if words.parents {
        text.push_str(" --parents");
    }
    for (flag, value) in [(" --chown=", &words.chown), (" --chmod=", &words.chmod)] {
        if !value.is_empty() {
            text.extend([flag, value]);
        }
    }
    for source in &words.sources {
        text.extend([" ", source]);
    }
    for (name, _) in &words.documents {
        text.extend([" <<", name]);
    }
    text.extend([" ", &words.dest]);
    text
}

/// A copy of one file or tree as it is.
fn copy_action(chain: &FileChain, words: &Words, target: &Target, src: &str) -> CopyAction {
    let (mode, mode_str) = match &target.mode {
        Mode::Keep => (-1, String::new()),
        Mode::Bits(bits) => (*bits, String::new()),
        Mode::Symbolic(text) => (0, text.clone()),
    };
    CopyAction {
        src: go::join("/", src),
        dest: target.dest.clone(),
        owner: (!words.chown.is_empty()).then(|| chain.owner(&words.chown)),
        mode,
        mode_str,
        create_dest_path: true,
        exclude_patterns: words.excludes.clone(),
        timestamp: -1,
        ..CopyAction::default()
    }
}

/// A copy of what a path or pattern names.
fn local_action(chain: &FileChain, words: &Words, target: &Target, source: &str) -> Done<CopyAction> {
    let normalize = |path: &str| {
        path::normalize("/", path, &target.os, false)
            .map_err(|message| Stop::error(format!("removing drive letter: {message}")))
    };
    let (source, include, required) = if words.parents {
        let (parent, pattern) = source.split_once("/./").unwrap_or(("/", source));
        let pattern = normalize(pattern)?;
        let is_plain = !has_wildcards(parent) && !has_wildcards(&pattern);
        let required = if is_plain { vec![normalize(&go::join(parent, &pattern))?] } else { Vec::new() };
        let include = pattern.strip_prefix('/').unwrap_or(&pattern).to_owned();
        (parent, vec![include], required)
    } else {
        (source, words.includes.clone(), Vec::new())
    };
    Ok(CopyAction {
        follow_symlink: true,
        dir_copy_contents: true,
        attempt_unpack: words.unpack.unwrap_or(words.kind == Kind::Add),
        allow_wildcard: true,
        allow_empty_wildcard: true,
        include_patterns: include,
        required_paths: required,
        ..copy_action(chain, words, target, &normalize(source)?)
    })
}

fn has_wildcards(path: &str) -> bool {
    let mut bytes = path.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'*' | b'?' | b'[' => return true,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        for (dir, dest, expected) in [
            ("/", "a", "/a"),
            ("/app", ".", "/app/"),
            ("/app", "", "/app/"),
            ("/app", "./", "/app/"),
            ("/app", "x/", "/app/x/"),
            ("/app", "/x/.", "/x/."),
            ("/app", "../x", "/x"),
            ("/", "/", "/"),
            ("/", "/.", "/."),
        ] {
            assert_eq!(destination(dir, dest, "linux").unwrap(), expected, "{dir} {dest}");
        }
    }

    #[test]
    fn wildcards() {
        assert!(has_wildcards("a*") && has_wildcards("[a]") && has_wildcards(r"\**"));
        assert!(!has_wildcards(r"\*a") && !has_wildcards("a"));
    }
}
