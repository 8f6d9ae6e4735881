//! A vertex that changes files as a step of a stage.

use ast::{Copy, Document, Op, Opt, OptKind, Span, Step, Str};
use llb::{CopyAction, FileActionKind, NodeId, Owner, UserOpt};

use super::settings::{Settings, Wanted};
use super::steps::step;
use super::{Place, Unfolding};

impl Unfolding<'_> {
    pub(super) fn files(
        &mut self,
        id: NodeId,
        actions: &[llb::FileAction],
        linked: bool,
        next: Option<&Wanted>,
        settings: &mut Settings,
        steps: &mut Vec<Step>,
    ) {
        let at = self.span(id);
        match actions {
            [action] => match &action.kind {
                FileActionKind::Copy(_) => self.copies(id, actions, linked, settings, steps),
                kind => self.file(at, kind, next, settings, steps),
            },
            several if several.iter().all(|action| matches!(action.kind, FileActionKind::Copy(_))) => {
                self.copies(id, several, linked, settings, steps);
            }
            _ => self.say_not(at, "several changes of files at once"),
        }
    }

    fn file(
        &mut self,
        at: Span,
        kind: &FileActionKind,
        next: Option<&Wanted>,
        settings: &mut Settings,
        steps: &mut Vec<Step>,
    ) {
        match kind {
            FileActionKind::Mkdir { path, mode: 0o755, make_parents: true, owner: None, timestamp: -1 }
                if next.is_some_and(|next| next.dir == *path) && path != "/" =>
            {
                let (text, params) = self.text(path, at);
                settings.declare(self, &params, at, steps);
                steps.push(step(Op::Dir(text), Vec::new(), at));
                settings.dir.clone_from(path);
            }
            FileActionKind::Mkdir { path, mode, make_parents, owner, timestamp: -1 } => {
                if !make_parents {
                    return self.say_not(at, "a directory that is made only if the one above it is there");
                }
                let (text, params) = self.text(path, at);
                settings.declare(self, &params, at, steps);
                let mode = (*mode != 0o755).then(|| OptKind::Chmod(self.text(&format!("{mode:04o}"), at).0));
                let owner = self.owner(owner.as_ref(), at).map(OptKind::Chown);
                let opts = mode.into_iter().chain(owner).map(|kind| Opt { kind, span: at });
                steps.push(step(Op::Mkdir(text), opts.collect(), at));
            }
            FileActionKind::Rm { path, allow_not_found: true, allow_wildcard: true } => {
                let (text, params) = self.text(path, at);
                settings.declare(self, &params, at, steps);
                steps.push(step(Op::Remove(vec![text]), Vec::new(), at));
            }
            FileActionKind::Rm { .. } => {
                self.say_not(at, "a removal of what must be there, or whose name is no pattern");
            }
            FileActionKind::Mkfile { path, mode, data, owner, .. } => {
                self.say_not(at, "a file that is written, and not copied");
                let document = self.as_document(path, data, at);
                let (dest, params) = self.text(path, at);
                settings.declare(self, &params, at, steps);
                let mode = OptKind::Chmod(self.text(&format!("{mode:04o}"), at).0);
                let owner = self.owner(owner.as_ref(), at).map(OptKind::Chown);
                let opts = std::iter::once(mode).chain(owner).map(|kind| Opt { kind, span: at }).collect();
                let copy = Copy { sources: Vec::new(), documents: vec![document], dest };
                steps.push(step(Op::Copy(copy), opts, at));
            }
            FileActionKind::Symlink { .. } => self.say_not(at, "a symbolic link"),
            FileActionKind::Mkdir { .. } => self.say_not(at, "the time of a directory"),
            FileActionKind::Copy(_) => {}
        }
    }

    /// A file as a document, of a name that no line of it is.
    fn as_document(&self, path: &str, data: &[u8], at: Span) -> Document {
        let content = String::from_utf8_lossy(data);
        let last = path.rsplit('/').next().unwrap_or_default();
        let mut name: String = last.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
        while name.is_empty() || content.lines().any(|line| line == name) {
            name.push_str("EOF");
        }
        let content = data.into();
        Document { name, content, expand: false, chomp: false, opener: at, span: at }
    }

    fn owner(&self, owner: Option<&Owner>, at: Span) -> Option<Str> {
        let shown = |opt: &UserOpt| match opt {
            UserOpt::Name { name, .. } => name.clone(),
            UserOpt::Id(id) => id.to_string(),
        };
        let owner = owner?;
        let user = owner.user.as_ref().map(shown).unwrap_or_default();
        let text = owner.group.as_ref().map_or(user.clone(), |group| format!("{user}:{}", shown(group)));
        Some(self.text(&text, at).0)
    }

    /// A copy of what is at an address.
    fn address_added(
        &mut self,
        edge: llb::Edge,
        copy: &CopyAction,
        linked: bool,
        settings: &mut Settings,
        steps: &mut Vec<Step>,
    ) {
        let llb::Op::Source(source) = &self.node(edge.node).op else { return };
        let (address, checksum) = (source.identifier.clone(), source.attrs.get("http.checksum").cloned());
        let at = self.span(edge.node);
        let (address, params) = self.text(&address, at);
        settings.declare(self, &params, at, steps);
        let (dest, params) = self.text(&copy.dest, at);
        settings.declare(self, &params, at, steps);
        let mut opts: Vec<OptKind> = checksum.map(|sum| OptKind::Checksum(self.text(&sum, at).0)).into_iter().collect();
        opts.extend(self.attributes(copy, linked, at));
        opts.extend(copy.attempt_unpack.then_some(OptKind::Unpack(true)));
        let opts = opts.into_iter().map(|kind| Opt { kind, span: at }).collect();
        steps.push(step(Op::Add(Copy { sources: vec![address], documents: Vec::new(), dest }), opts, at));
    }

    /// Owner, mode and patterns of a copy, and whether it stands by itself.
    fn attributes(&self, copy: &CopyAction, linked: bool, at: Span) -> Vec<OptKind> {
        let mut opts: Vec<OptKind> = self.owner(copy.owner.as_ref(), at).map(OptKind::Chown).into_iter().collect();
        if copy.mode >= 0 {
            opts.push(OptKind::Chmod(self.text(&format!("{:o}", copy.mode), at).0));
        } else if !copy.mode_str.is_empty() {
            opts.push(OptKind::Chmod(self.text(&copy.mode_str, at).0));
        }
        opts.extend(copy.include_patterns.iter().map(|pattern| OptKind::Include(self.text(pattern, at).0)));
        opts.extend(copy.exclude_patterns.iter().map(|pattern| OptKind::Exclude(self.text(pattern, at).0)));
        opts.extend(linked.then_some(OptKind::Link(true)));
        opts
    }

    /// Copies that are one step: equal but for what is copied.
    fn copies(
        &mut self,
        id: NodeId,
        actions: &[llb::FileAction],
        linked: bool,
        settings: &mut Settings,
        steps: &mut Vec<Step>,
    ) {
        let at = self.span(id);
        let input = |unfolding: &Self, action: &llb::FileAction| {
            let position = usize::try_from(action.secondary_input).ok()?;
            unfolding.node(id).inputs.get(position).copied()
        };
        let mut all: Vec<(&CopyAction, Option<llb::Edge>)> = Vec::new();
        for action in actions {
            if let FileActionKind::Copy(copy) = &action.kind {
                all.push((copy, input(self, action)));
            }
        }
        let Some((first, _)) = all.first().copied() else { return };
        let alike = |copy: &CopyAction| CopyAction { src: String::new(), ..copy.clone() };
        if all.iter().any(|(copy, _)| alike(copy) != alike(first)) {
            return self.say_not(at, "several copies at once that differ");
        }
        if let Some(what) = unlike_copy(first) {
            self.say_not(at, what);
        }
        let (mut sources, mut documents, mut from) = (Vec::new(), Vec::new(), None);
        for (copy, edge) in &all {
            let document = edge.and_then(|edge| self.document(edge)).filter(|(name, _)| copy.src == format!("/{name}"));
            if let Some((name, content)) = document {
                documents.push(Document {
                    name: name.to_owned(),
                    content: content.into(),
                    expand: false,
                    chomp: false,
                    opener: at,
                    span: at,
                });
                continue;
            }
            if edge.is_none() {
                return self.say_not(at, "a copy of nothing");
            }
            if let Some(edge) = edge.filter(|edge| self.is_address(*edge)) {
                return self.address_added(edge, first, linked, settings, steps);
            }
            let Some(place) = self.place(*edge, id) else { return };
            let path = match &place {
                Place::Context if copy.src == "/" => ".",
                Place::Context => copy.src.trim_start_matches('/'),
                Place::Named(_) => &copy.src,
            };
            let (path, params) = self.text(path, at);
            settings.declare(self, &params, at, steps);
            sources.push(path);
            if let Place::Named(name) = place {
                if from.as_ref().is_some_and(|known| *known != name) {
                    return self.say_not(at, "copies from several places at once");
                }
                from = Some(name);
            }
        }
        let (dest, params) = self.text(&first.dest, at);
        settings.declare(self, &params, at, steps);
        let mut opts: Vec<OptKind> = from.iter().map(|name| OptKind::From(self.text(name, at).0)).collect();
        opts.extend(self.attributes(first, linked, at));
        let opts = opts.into_iter().map(|kind| Opt { kind, span: at }).collect();
        let copy = Copy { sources, documents, dest };
        let unpacks = first.attempt_unpack;
        if unpacks && from.is_some() {
            self.say_not(at, "unpacking what is copied from a stage");
        }
        steps.push(step(if unpacks { Op::Add(copy) } else { Op::Copy(copy) }, opts, at));
    }
}

/// What of a copy is not as the copies of stages are.
fn unlike_copy(copy: &CopyAction) -> Option<&'static str> {
    let asked = [
        (copy.follow_symlink, "a copy that does not follow links (option followSymlinks)"),
        (copy.dir_copy_contents, "a copy of a directory itself (option contentsOnly copies what is in it)"),
        (copy.create_dest_path, "a copy that does not make the directories above (option createDestPath)"),
        (copy.allow_wildcard, "a copy of a name that is no pattern (option allowWildcard)"),
        (copy.allow_empty_wildcard, "a copy whose pattern must match something (option allowEmptyWildcard)"),
        (copy.timestamp == -1, "the time of what is copied"),
        (!copy.always_replace_existing_dest_paths, "a copy that replaces what is in its way"),
    ];
    asked.iter().find(|(is_so, _)| !is_so).map(|(_, what)| *what)
}
