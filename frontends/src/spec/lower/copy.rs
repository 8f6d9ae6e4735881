//! What is copied: from sources, from stages, from the build context.

use ast::{Beside, Body, Copy, Def, Document, Name, Op, OptKind, Place, Span, Step, Str};

use super::super::model::{Checksum, Source, Spec};
use super::super::read::{At, Text};
use super::super::results::Files;
use super::super::text::literal;
use super::{Lowering, make, order};
use crate::dockerfile::print;

/// Directories at the top of an archive that may be left out: archives have one, seldom two.
const MAX_STRIP: usize = 16;

/// Where something is copied from.
pub(super) enum Origin<'s> {
    /// A path of the build context.
    Context,
    /// A stage or an image of the file.
    Defined(&'s str),
    /// A source.
    Source(&'s Text, &'s Source),
}

/// The directories and layouts that sources are where nobody gives another context of their name.
pub(super) fn contexts(spec: &Spec) -> Vec<Beside> {
    let beside = |(name, source): &(Text, Source)| {
        if let Some(layout) = &source.oci_layout {
            let name = Name { text: made_of(name), span: name.span };
            return Some(Beside { name, place: Place::Layout(layout.value.clone()) });
        }
        let (name, path) = (source.context.as_ref()?, source.path.as_ref()?);
        let name = Name { text: name.value.clone(), span: name.span };
        Some(Beside { name, place: Place::Directory(path.value.clone()) })
    };
    spec.sources().iter().filter_map(beside).collect()
}

/// What a stage or a context is called that is there for a source.
fn made_of(name: &Text) -> String {
    format!("{}{}", order::SOURCE, name.value)
}

/// The stage or image that files are all of: they are its own, and no copy.
pub(super) fn whole(files: &Files) -> Option<&str> {
    let from = files.from.as_ref()?;
    let is_all = files.only.is_none() && files.except.is_none() && !from.value.contains(':');
    order::defined(&from.value).filter(|_| is_all)
}

/// How it is copied.
#[derive(Clone, Default)]
pub(super) struct How<'s> {
    pub(super) only: &'s [Text],
    pub(super) except: &'s [Text],
    pub(super) owner: Option<&'s Text>,
    pub(super) mode: Option<&'s Text>,
    /// The mode where neither step nor source says one; `None` is that of what is copied.
    pub(super) usual_mode: Option<&'static str>,
    pub(super) link: bool,
    pub(super) parents: bool,
    pub(super) unpack: bool,
    /// What else the step says: conditions.
    pub(super) opts: Vec<OptKind>,
    pub(super) span: Span,
}

impl<'s> Lowering<'_, 's> {
    /// What a reference means, and the path in it.
    pub(super) fn origin(&mut self, reference: &'s Text) -> Option<(Origin<'s>, Option<Text>)> {
        let text = reference.value.as_str();
        if text == "." || text.starts_with("./") {
            let path = Text { value: text.trim_start_matches("./").to_owned(), span: reference.span };
            let path = if path.value.is_empty() { Text { value: ".".to_owned(), ..path } } else { path };
            return Some((Origin::Context, Some(path)));
        }
        let (name, path) = match text.split_once(':') {
            Some((name, path)) => (name, Some(Text { value: path.to_owned(), span: reference.span })),
            None => (text, None),
        };
        if let Some(defined) = order::defined(name) {
            let table = if name.starts_with("stage.") { "stage" } else { "image" };
            return self.is_defined(table, defined, reference.span).then_some((Origin::Defined(defined), path));
        }
        let (name, source) = self.source(name, reference.span)?;
        Some((Origin::Source(name, source), path))
    }

    /// The source of a name; says so when there is none.
    pub(super) fn source(&mut self, name: &str, at: Span) -> Option<(&'s Text, &'s Source)> {
        let sources = self.spec.sources();
        if let Some((name, source)) = sources.iter().find(|(key, _)| key.value == name) {
            return Some((name, source));
        }
        let message = format!("there is no source {}", ast::quote(name.as_bytes()));
        let names = sources.iter().map(|(name, _)| name.value.as_str());
        let message = ast::with_suggestion(message, ast::suggest(name, names));
        let help = "sources are declared: [source.NAME]; stage.NAME is a stage, and a path of the build context begins with ./";
        self.error(message, at, help);
        None
    }

    /// Whether there is a stage or image of a name; says so when there is not.
    pub(super) fn is_defined(&mut self, table: &str, name: &str, at: Span) -> bool {
        let spec = self.spec;
        let names: Vec<&str> = match table {
            "stage" => spec.stages().iter().map(|(name, _)| name.value.as_str()).collect(),
            _ => spec.images().iter().map(|(name, _)| name.value.as_str()).collect(),
        };
        if names.contains(&name) {
            return true;
        }
        let message = format!("there is no {table} {}", ast::quote(name.as_bytes()));
        let message = ast::with_suggestion(message, ast::suggest(name, names));
        self.error(message, at, format!("declare it: [{table}.{name}]"));
        false
    }

    /// The steps of one copy.
    pub(super) fn copy(&mut self, reference: &'s Text, to: &Str, how: &How<'s>) {
        self.copy_part(reference, None, to, how);
    }

    /// The steps of one copy, of a part of what is referred to.
    pub(super) fn copy_part(&mut self, reference: &'s Text, part: Option<&'s Text>, to: &Str, how: &How<'s>) {
        let Some((origin, path)) = self.origin(reference) else { return };
        let path = match part {
            Some(part) => {
                let value = join(path.as_ref().map_or("", |path| &path.value), Some(part));
                Some(Text { value, span: part.span })
            }
            None => path,
        };
        match origin {
            Origin::Context => self.copy_path(None, path.as_ref(), to, how, &[]),
            Origin::Defined(name) => {
                let from = literal(name, reference.span);
                self.copy_path(Some(from), path.as_ref(), to, how, &[]);
            }
            Origin::Source(name, source) => self.copy_source(name, source, path, to, how),
        }
    }

    fn copy_source(&mut self, name: &'s Text, source: &'s Source, path: Option<Text>, to: &Str, how: &How<'s>) {
        if !self.check_source(name, source) {
            return;
        }
        if let Some(local) = &source.local {
            let path = Text { value: join(&local.value, path.as_ref()), span: local.span };
            let filters = [(source.include.as_deref(), true), (source.exclude.as_deref(), false)];
            return self.copy_path(None, Some(&path), to, how, &filters);
        }
        if let Some(from) = self.filesystem(name, source) {
            return self.copy_path(Some(from), path.as_ref(), to, how, &[]);
        }
        let path = self.below_stripped(source, path);
        match path {
            None if how.only.is_empty() && how.except.is_empty() => self.fetch(name, source, to, how),
            path => {
                let path = path.unwrap_or_else(|| Text { value: "/".to_owned(), span: how.span });
                let from = self.fetch_apart(name, source);
                self.copy_path(Some(literal(&from, name.span)), Some(&path), to, how, &[]);
            }
        }
    }

    /// What a source is called that is a file system of its own.
    pub(super) fn filesystem(&mut self, name: &'s Text, source: &'s Source) -> Option<Str> {
        if let Some(image) = &source.image {
            // Only what a stage starts from may have references in it.
            return Some(match image.value.contains('$') {
                true => literal(&self.fetch_apart(name, source), name.span),
                false => self.template(image),
            });
        }
        if let Some(stage) = &source.stage {
            let defined = order::defined(&stage.value).unwrap_or(&stage.value);
            self.is_defined("stage", defined, stage.span);
            return Some(literal(defined, stage.span));
        }
        if source.oci_layout.is_some() {
            return Some(literal(&made_of(name), name.span));
        }
        source.context.as_ref().map(|context| literal(&context.value, context.span))
    }

    /// The path in an archive whose directories at the top are left out: whatever they are called.
    fn below_stripped(&mut self, source: &Source, path: Option<Text>) -> Option<Text> {
        let Some(strip) = source.strip else { return path };
        if source.http.is_none() || !source.unpack.is_some_and(|unpack| unpack.value) {
            self.error("`strip` means nothing here", strip.span, "it is for an archive of `http` with unpack = true");
            return path;
        }
        let Ok(1..=MAX_STRIP) = usize::try_from(strip.value) else {
            self.error("`strip` is out of range", strip.span, format!("write a number from 1 to {MAX_STRIP}"));
            return path;
        };
        let above = "/*".repeat(strip.value as usize);
        let span = path.as_ref().map_or(strip.span, |path| path.span);
        let below = path.map_or_else(String::new, |path| format!("/{}", path.value.trim_start_matches('/')));
        Some(Text { value: above + &below, span })
    }

    /// Whether a source says exactly one thing, and what goes with it.
    pub(super) fn check_source(&mut self, name: &Text, source: &Source) -> bool {
        let kinds = [
            ("local", source.local.as_ref()),
            ("http", source.http.as_ref()),
            ("git", source.git.as_ref()),
            ("image", source.image.as_ref()),
            ("oci-layout", source.oci_layout.as_ref()),
            ("inline", source.inline.as_ref()),
            ("stage", source.stage.as_ref()),
            ("context", source.context.as_ref()),
        ];
        if let Some(path) = source.path.as_ref().filter(|_| source.context.is_none()) {
            self.error(
                "`path` means nothing here",
                path.span,
                "it is the directory of a `context`; one of the build context is `local`",
            );
            return false;
        }
        if source.oci_layout.is_some() && !order::is_name(&name.value) {
            let message = format!("source {} has a bad name for a layout", ast::quote(name.value.as_bytes()));
            self.error(message, name.span, order::NAMES);
            return false;
        }
        let said: Vec<(&str, Span)> =
            kinds.iter().filter_map(|(kind, text)| Some((*kind, text.as_ref()?.span))).collect();
        match said[..] {
            [_] => true,
            [] => {
                let kinds: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
                let message = format!("source `{}` does not say where it is", name.value);
                self.error(message, name.span, format!("give it one of {}", kinds.join(", ")));
                false
            }
            [(first, at), (second, also), ..] => {
                let message = format!("source `{}` has both `{first}` and `{second}`", name.value);
                let error = self.reader.error(message, at);
                error.also.push(ast::Label { span: also, message: "the other is here".to_owned() });
                error.help = Some("make two sources of them".to_owned());
                false
            }
        }
    }

    /// A copy of paths, with patterns of what is taken and what is not.
    fn copy_path(
        &mut self,
        from: Option<Str>,
        path: Option<&Text>,
        to: &Str,
        how: &How<'s>,
        filters: &[(Option<&'s [Text]>, bool)],
    ) {
        let mut opts: Vec<OptKind> = from.into_iter().map(OptKind::From).collect();
        opts.extend(self.permissions(how, None));
        let own = [(Some(how.only), true), (Some(how.except), false)];
        for (patterns, taken) in filters.iter().chain(&own) {
            for pattern in patterns.iter().flat_map(|patterns| patterns.iter()) {
                let pattern = literal(&pattern.value, pattern.span);
                opts.push(if *taken { OptKind::Include(pattern) } else { OptKind::Exclude(pattern) });
            }
        }
        opts.extend(how.link.then_some(OptKind::Link(true)));
        opts.extend(how.parents.then_some(OptKind::Parents(true)));
        opts.extend(how.unpack.then_some(OptKind::Unpack(true)));
        opts.extend(how.opts.iter().cloned());
        let source = match path {
            Some(path) => self.template(path),
            None => literal("/", how.span),
        };
        let copy = Copy { sources: vec![source], documents: Vec::new(), dest: to.clone() };
        let op = if how.unpack { Op::Add(copy) } else { Op::Copy(copy) };
        self.push(op, opts, how.span);
    }

    /// Makes one step of the copies from the `first` step on that differ in nothing but what they copy.
    pub(super) fn join_copies(&mut self, first: usize) {
        let mut joined: Vec<Step> = Vec::new();
        for step in self.steps.split_off(first) {
            match (joined.last_mut(), &step.op) {
                (Some(Step { op: Op::Copy(before), opts, span, .. }), Op::Copy(copy))
                    // Paths come before documents, whatever the order they are written in.
                    if print::flags(opts) == print::flags(&step.opts) && (before.documents.is_empty() || copy.sources.is_empty()) =>
                {
                    let mut whole = before.clone();
                    whole.sources.extend(copy.sources.iter().cloned());
                    whole.documents.extend(copy.documents.iter().cloned());
                    let (opts, span) = (opts.iter().map(|opt| opt.kind.clone()).collect(), *span);
                    joined.pop();
                    joined.push(make(Op::Copy(whole), opts, span));
                }
                _ => joined.push(step),
            }
        }
        self.steps.append(&mut joined);
    }

    /// Owner and mode of what is copied, of a source that may say a mode itself.
    fn permissions(&mut self, how: &How<'s>, of_source: Option<&Text>) -> Vec<OptKind> {
        let mode = how.mode.or(of_source);
        let usual = how.usual_mode.filter(|_| mode.is_none());
        let mut opts = self.attributes(how.owner, mode);
        opts.extend(usual.map(|mode| OptKind::Chmod(literal(mode, how.span))));
        opts
    }

    /// Owner and mode of what is made.
    pub(super) fn attributes(&mut self, owner: Option<&Text>, mode: Option<&Text>) -> Vec<OptKind> {
        let owner = owner.map(|owner| OptKind::Chown(self.names.template(owner, self.reader)));
        let mode = mode.map(|mode| OptKind::Chmod(self.names.template(mode, self.reader)));
        owner.into_iter().chain(mode).collect()
    }

    /// What the stage of a source is called: sources have names that stages cannot have, as files are called by them.
    fn apart_name(&self, name: &Text) -> String {
        if order::is_name(&name.value) {
            return made_of(name);
        }
        let number = self.spec.sources().iter().position(|(known, _)| known.value == name.value);
        format!("{}-{}", order::SOURCE, number.unwrap_or_default() + 1)
    }

    /// A stage that holds what a source is, so that a part of it can be copied or that it has a name; its name.
    pub(super) fn fetch_apart(&mut self, name: &'s Text, source: &'s Source) -> String {
        let def_name = self.apart_name(name);
        let outer = std::mem::take(&mut self.steps);
        let used = self.names.take_used();
        let in_stage = std::mem::replace(&mut self.names.in_stage, false);
        let base = source.image.as_ref().map_or_else(|| literal("scratch", name.span), |image| self.template(image));
        self.push(Op::From(base), Vec::new(), name.span);
        // Variables that it starts from are those of the spec.
        let _ = self.names.take_used();
        let how = How { span: name.span, ..How::default() };
        self.fetch(name, source, &literal("/", name.span), &how);
        let mut steps = std::mem::replace(&mut self.steps, outer);
        self.declare(&mut steps, name.span);
        self.names.put_used(used);
        self.names.in_stage = in_stage;
        let is_new = self.fetched_names.insert(def_name.clone());
        if is_new {
            self.fetched.push(Def {
                name: Some(Name { text: def_name.clone(), span: name.span }),
                alias: None,
                doc: None,
                params: Vec::new(),
                signature: None,
                body: Body::Fs(steps),
                span: source.span,
            });
        }
        def_name
    }

    /// The steps that bring in a file, a repository or a text.
    fn fetch(&mut self, name: &'s Text, source: &'s Source, to: &Str, how: &How<'s>) {
        let mut opts = self.permissions(how, source.mode.as_ref());
        opts.extend(how.link.then_some(OptKind::Link(true)));
        opts.extend(how.opts.iter().cloned());
        if let Some(text) = &source.inline {
            return self.write(&name.value, &text.value, text.span, to, opts, how.span);
        }
        if let Some(git) = &source.git {
            let address = self.repository(git, source);
            opts.extend(source.keep_git.map(|keep: At<bool>| OptKind::KeepGitDir(keep.value)));
            let copy = Copy { sources: vec![address], documents: Vec::new(), dest: to.clone() };
            return self.push(Op::Add(copy), opts, how.span);
        }
        let Some(http) = &source.http else { return };
        let unpack = how.unpack || source.unpack.is_some_and(|unpack| unpack.value);
        opts.extend(unpack.then_some(OptKind::Unpack(true)));
        let address = self.template(http);
        for (condition, sum) in self.checksums(source) {
            let mut opts = opts.clone();
            opts.extend(sum.map(OptKind::Checksum));
            opts.extend(condition);
            let copy = Copy { sources: vec![address.clone()], documents: Vec::new(), dest: to.clone() };
            self.push(Op::Add(copy), opts, how.span);
        }
    }

    /// The address of a repository with what of it is wanted.
    fn repository(&mut self, git: &Text, source: &Source) -> Str {
        let mut address = git.value.clone();
        if source.reference.is_some() || source.subdir.is_some() {
            address.push('#');
            address.push_str(source.reference.as_ref().map_or("", |reference| &reference.value));
        }
        if let Some(subdir) = &source.subdir {
            address.push(':');
            address.push_str(&subdir.value);
        }
        self.template(&Text { value: address, span: git.span })
    }

    /// The checksums of a file, each with the condition under which it holds.
    fn checksums(&mut self, source: &'s Source) -> Vec<(Option<OptKind>, Option<Str>)> {
        match &source.sha256 {
            None => vec![(None, None)],
            Some(Checksum::Any(sum)) => vec![(None, self.checksum(sum))],
            Some(Checksum::PerArchitecture(sums)) => sums
                .0
                .iter()
                .map(|(arch, sum)| {
                    let span = arch.span;
                    let target = self.template(&Text { value: "${target.arch}".to_owned(), span });
                    let condition = ast::Condition::Equal(target, literal(&arch.value, span));
                    (Some(OptKind::When(condition)), self.checksum(sum))
                })
                .collect(),
        }
    }

    fn checksum(&mut self, sum: &Text) -> Option<Str> {
        let hex = sum.value.strip_prefix("sha256:").unwrap_or(&sum.value);
        if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            let help = "a SHA-256 checksum is 64 digits and letters from a to f, as sha256sum prints it";
            self.error("not a SHA-256 checksum", sum.span, help);
            return None;
        }
        Some(literal(&format!("sha256:{hex}"), sum.span))
    }

    /// Writes a file.
    pub(super) fn write(&mut self, name: &str, content: &str, at: Span, to: &Str, opts: Vec<OptKind>, span: Span) {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
        let document = Document { name, content: content.into(), expand: false, chomp: false, opener: at, span: at };
        let copy = Copy { sources: Vec::new(), documents: vec![document], dest: to.clone() };
        self.push(Op::Copy(copy), opts, span);
    }
}

/// A path below another.
fn join(base: &str, path: Option<&Text>) -> String {
    let path = path.map_or("", |path| path.value.trim_start_matches('/'));
    match (base, path) {
        (base, "") => base.to_owned(),
        ("." | "./", path) => path.to_owned(),
        (base, path) => format!("{}/{path}", base.trim_end_matches('/')),
    }
}
