//! Specs that a spec includes: their tables are merged below its own, and paths in them are relative to them.
//!
//! Who reads files is none of this crate's business: a text that is not there yet is named in [`ast::Module::includes`],
//! and the spec is read again with it. What a spec says stays; of two that it includes, the later one wins.

use std::collections::BTreeSet;

use ast::{FileId, Include, Span};

use super::model::{Cache, CacheUse, Image, Spec, Stage, Var};
use super::read::{Map, Reader, Text};
use super::results::{Files, Matrix, Test};
use crate::Included;

/// Files of one spec, at the most.
const MAX_FILES: usize = 256;
/// Files in files, at the most.
const MAX_DEPTH: usize = 32;

/// What includes gave.
pub(super) struct Gathered {
    /// Everything that is said.
    pub(super) spec: Spec,
    /// Texts that are not there yet.
    pub(super) missing: Vec<Include>,
}

/// The spec with everything that it includes.
pub(super) fn gather(spec: Spec, included: &[Included<'_>], reader: &mut Reader) -> Gathered {
    let mut walk =
        Walk { included, reader, open: Vec::new(), seen: BTreeSet::new(), missing: Vec::new(), is_full: false };
    let spec = walk.with_includes(spec, "");
    Gathered { spec, missing: walk.missing }
}

struct Walk<'w> {
    included: &'w [Included<'w>],
    reader: &'w mut Reader,
    /// The way to the text at hand.
    open: Vec<String>,
    /// Every text so far: one that is included twice is taken once.
    seen: BTreeSet<String>,
    missing: Vec<Include>,
    /// Whether the limit was told.
    is_full: bool,
}

impl Walk<'_> {
    fn with_includes(&mut self, mut spec: Spec, directory: &str) -> Spec {
        // The later one wins, so it is the first to say anything.
        for wanted in spec.include.take().unwrap_or_default().into_iter().rev() {
            let Some(path) = self.path(&wanted, directory) else { continue };
            if let Some(below) = self.include(&path, wanted.span) {
                spec = merge(spec, below);
            }
        }
        spec
    }

    fn path(&mut self, wanted: &Text, directory: &str) -> Option<String> {
        if wanted.value.contains("://") {
            self.reader.error("an address cannot be included", wanted.span).help =
                Some("fetch the file, put it beside the spec, and include that".to_owned());
            return None;
        }
        let path = join(directory, &wanted.value);
        if path.as_ref().is_none_or(String::is_empty) {
            self.reader.error("only files below the directory of the spec can be included", wanted.span).help =
                Some("write a path as in include = [\"./build/common.toml\"]".to_owned());
        }
        path.filter(|path| !path.is_empty())
    }

    fn include(&mut self, path: &str, at: Span) -> Option<Spec> {
        if let Some(start) = self.open.iter().position(|open| open == path) {
            let circle: Vec<&str> = self.open[start..].iter().map(String::as_str).chain([path]).collect();
            self.reader.error(format!("files include each other in a circle: {}", circle.join(" → ")), at).help =
                Some("move what both need into a third file".to_owned());
            return None;
        }
        if !self.seen.insert(path.to_owned()) {
            return None;
        }
        if self.seen.len() > MAX_FILES || self.open.len() >= MAX_DEPTH {
            if !std::mem::replace(&mut self.is_full, true) {
                let message = format!("more than {MAX_FILES} files, or files in files more than {MAX_DEPTH} deep");
                self.reader.error(message, at);
            }
            return None;
        }
        let Some(found) = self.included.iter().find(|included| included.path == path) else {
            self.missing.push(Include { path: path.to_owned(), span: at });
            return None;
        };
        let Some(bytes) = found.bytes else {
            self.reader.error(format!("there is no file {path} to include"), at).help =
                Some("paths are relative to the file they stand in".to_owned());
            return None;
        };
        let mut spec = self.read(bytes, found.file, at)?;
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        move_paths(&mut spec, directory);
        self.open.push(path.to_owned());
        let spec = self.with_includes(spec, directory);
        self.open.pop();
        Some(spec)
    }

    fn read(&mut self, bytes: &[u8], file: FileId, at: Span) -> Option<Spec> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            self.reader.error("the file is not UTF-8", at).help = Some("TOML is always UTF-8".to_owned());
            return None;
        };
        let mut reader = Reader::new(file, None);
        let spec = super::read(text, &mut reader);
        self.reader.diagnostics.append(&mut reader.diagnostics);
        Some(spec)
    }
}

/// A path from a directory, without `.` and `..`; `None` when it leads out of the top.
fn join(directory: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// What a spec says, and below it what another one says.
fn merge(spec: Spec, below: Spec) -> Spec {
    Spec {
        version: spec.version.or(below.version),
        include: None,
        var: maps(spec.var, below.var, Var::or),
        default: match (spec.default, below.default) {
            (Some(own), Some(usual)) => Some(own.or(usual)),
            (own, usual) => own.or(usual),
        },
        source: maps(spec.source, below.source, |own, _| own),
        cache: maps(spec.cache, below.cache, Cache::or),
        stage: maps(spec.stage, below.stage, Stage::or),
        image: maps(spec.image, below.image, Image::or),
        test: maps(spec.test, below.test, Test::or),
        files: maps(spec.files, below.files, Files::or),
        matrix: maps(spec.matrix, below.matrix, Matrix::or),
        group: maps(spec.group, below.group, |own, _| own),
        lint: match (spec.lint, below.lint) {
            (Some(own), Some(usual)) => Some(own.or(usual)),
            (own, usual) => own.or(usual),
        },
        span: spec.span,
    }
}

/// The entries of both; `both` makes one of two that have one name.
fn maps<T: Default>(own: Option<Map<T>>, below: Option<Map<T>>, both: fn(T, T) -> T) -> Option<Map<T>> {
    let Some(below) = below else { return own };
    let mut own = own.unwrap_or(Map(Vec::new()));
    for (name, value) in below.0 {
        match own.0.iter_mut().find(|(known, _)| known.value == name.value) {
            Some((_, known)) => *known = both(std::mem::take(known), value),
            None => own.0.push((name, value)),
        }
    }
    Some(own)
}

/// Makes paths of the build context relative to its top, where they are relative to a directory of it.
fn move_paths(spec: &mut Spec, directory: &str) {
    if directory.is_empty() {
        return;
    }
    for (_, source) in spec.source.iter_mut().flat_map(|sources| &mut sources.0) {
        source.local.iter_mut().for_each(|path| path.value = below(directory, &path.value));
        // These may lead out of the top, or begin at the root.
        let beside = source.path.iter_mut().chain(&mut source.oci_layout).filter(|path| !path.value.starts_with('/'));
        beside.for_each(|path| path.value = format!("{directory}/{}", path.value));
    }
    for (_, cache) in spec.cache.iter_mut().flat_map(|caches| &mut caches.0) {
        cache.seed.iter_mut().for_each(|path| move_reference(path, directory));
    }
    for (_, stage) in spec.stage.iter_mut().flat_map(|stages| &mut stages.0) {
        move_stage(stage, directory);
    }
    for (_, test) in spec.test.iter_mut().flat_map(|tests| &mut tests.0) {
        move_stage(&mut test.stage, directory);
    }
    for (_, image) in spec.image.iter_mut().flat_map(|images| &mut images.0) {
        move_stage(&mut image.stage, directory);
        image
            .file
            .iter_mut()
            .flatten()
            .filter_map(|file| file.from.as_mut())
            .for_each(|from| move_reference(from, directory));
        move_project(image, directory);
    }
    for (_, files) in spec.files.iter_mut().flat_map(|files| &mut files.0) {
        files.from.iter_mut().for_each(|from| move_reference(from, directory));
        files.to.iter_mut().for_each(|to| to.value = below(directory, &to.value));
    }
}

fn move_stage(stage: &mut Stage, directory: &str) {
    let caches = stage.cache.iter_mut().flatten();
    let mut references: Vec<&mut Text> = caches.filter_map(seed).collect();
    references.extend(stage.pip.iter_mut().filter_map(|pip| pip.requirements.as_mut()));
    for step in stage.step.iter_mut().flatten() {
        references.extend(step.copy.iter_mut().flat_map(|texts| &mut texts.0));
        references.extend(&mut step.unpack);
        references.extend(step.mount.iter_mut().flatten().filter_map(|mount| mount.from.as_mut()));
        references.extend(step.cache.iter_mut().flatten().filter_map(seed));
    }
    references.into_iter().for_each(|reference| move_reference(reference, directory));
}

fn seed(cache: &mut CacheUse) -> Option<&mut Text> {
    match cache {
        CacheUse::Here(cache) => cache.seed.as_mut(),
        CacheUse::Named(_) => None,
    }
}

/// The project of a preset is beside the spec that names it.
fn move_project(image: &mut Image, directory: &str) {
    if image.preset.is_none() || image.source.is_some() {
        return;
    }
    let dir = image.dir.take().unwrap_or(Text { value: String::new(), span: image.span });
    image.dir = Some(Text { value: below(directory, &dir.value), span: dir.span });
}

/// References to the build context begin with `./`; all others are to names.
fn move_reference(reference: &mut Text, directory: &str) {
    if reference.value == "." || reference.value.starts_with("./") {
        reference.value = format!("./{}", below(directory, &reference.value));
    }
}

/// A path below a directory. One that leads out of the top stays for the planner to refuse.
fn below(directory: &str, path: &str) -> String {
    join(directory, path).unwrap_or_else(|| path.to_owned())
}
