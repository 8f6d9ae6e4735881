//! Definitions in an order in which each comes after those it needs; the image that is built by default is the last.

use std::collections::{BTreeMap, BTreeSet};

use super::super::model::{self, CacheUse, MAX_DEFINITIONS, Spec, Stage};
use super::super::read::{Reader, Text};
use super::Target;

/// All stages and images, each after those it starts or copies from.
pub(super) fn targets<'s>(spec: &'s Spec, reader: &mut Reader) -> Vec<(&'s Text, Target<'s>)> {
    let mut all: BTreeMap<&str, (&Text, Target<'s>)> = BTreeMap::new();
    let stages = spec.stages().iter().map(|(name, stage)| (name, Target::Stage(stage)));
    let images = spec.images().iter().map(|(name, image)| (name, Target::Image(image)));
    let files = spec.files().iter().map(|(name, files)| (name, Target::Files(files)));
    let tests = spec.tests().iter().map(|(name, test)| (name, Target::Test(test)));
    let written: Vec<_> = tests.chain(files).chain(stages).chain(images).collect();
    for (name, target) in &written {
        check_name(name, *target, spec, reader);
        if let Some((first, other)) = all.insert(&name.value, (name, *target)) {
            let message = format!("{} and {} are both called `{}`", other.kind(), target.kind(), name.value);
            let error = reader.error(message, name.span);
            error.also.push(ast::Label { span: first.span, message: "the first is here".to_owned() });
            error.help = Some("rename one of them: both can be targets of a build".to_owned());
        }
    }
    if written.len() > MAX_DEFINITIONS {
        let message = format!("more than {MAX_DEFINITIONS} stages and images");
        reader.error(message, written[MAX_DEFINITIONS].0.span);
        return Vec::new();
    }
    let mut walk = Walk { spec, all, done: BTreeSet::new(), open: Vec::new(), order: Vec::new(), reader };
    // The first image is the default, so it is visited last; without one, what there is of files.
    let first = spec.images().first().map(|(name, _)| name).or(spec.files().first().map(|(name, _)| name));
    let default = first.map(|name| name.value.as_str());
    for (name, _) in &written {
        if Some(name.value.as_str()) != default {
            walk.visit(&name.value);
        }
    }
    default.into_iter().for_each(|name| walk.visit(name));
    walk.order
}

/// What names of stages and contexts begin with that are there for a source.
pub(super) const SOURCE: &str = "source-";

/// What names of stages and contexts are like.
pub(super) const NAMES: &str = "names are of lower-case letters and digits, with `-`, `_` or `.` between them";

/// Whether something can be the name of a stage or a context.
pub(super) fn is_name(name: &str) -> bool {
    crate::stage_name(name) == name
}

fn check_name(name: &Text, target: Target<'_>, spec: &Spec, reader: &mut Reader) {
    if !is_name(&name.value) {
        let message = format!("{} {} has a bad name", target.kind(), ast::quote(name.value.as_bytes()));
        reader.error(message, name.span).help = Some(NAMES.to_owned());
    }
    if matches!(name.value.as_str(), "scratch" | "context") {
        let message = format!("`{}` means something else: no {} can be called that", name.value, target.kind());
        reader.error(message, name.span);
    }
    let source = name.value.strip_prefix(SOURCE).and_then(|source| spec.source(source));
    if source.is_some_and(|source| source.local.is_none() && source.stage.is_none()) {
        let message = format!("`{}` is what is made of a source: no {} can be called that", name.value, target.kind());
        reader.error(message, name.span).help = Some("call one of them otherwise".to_owned());
    }
}

struct Walk<'w, 's> {
    spec: &'s Spec,
    all: BTreeMap<&'s str, (&'s Text, Target<'s>)>,
    done: BTreeSet<&'s str>,
    /// The way from the first definition to the one at hand.
    open: Vec<&'s str>,
    order: Vec<(&'s Text, Target<'s>)>,
    reader: &'w mut Reader,
}

impl<'s> Walk<'_, 's> {
    /// Recursion is as deep as the longest chain of stages: [`MAX_DEFINITIONS`] bounds it.
    fn visit(&mut self, name: &'s str) {
        if self.done.contains(name) {
            return;
        }
        let Some((_, (written, target))) = self.all.get_key_value(name).map(|(key, found)| (*key, *found)) else {
            return;
        };
        let name = written.value.as_str();
        self.open.push(name);
        for needed in needs(self.spec, target) {
            let Some(dep) = defined(&needed.value) else { continue };
            if let Some(at) = self.open.iter().position(|open| *open == dep) {
                let circle: Vec<&str> = self.open[at..].iter().copied().chain([dep]).collect();
                self.reader.error(format!("stages need each other in a circle: {}", circle.join(" → ")), needed.span);
                continue;
            }
            self.visit(dep);
        }
        self.open.pop();
        if self.done.insert(name) {
            self.order.push((written, target));
        }
    }
}

/// The name of the stage or image that a reference begins with.
pub(super) fn defined(reference: &str) -> Option<&str> {
    let name = reference.split(':').next().unwrap_or(reference);
    name.strip_prefix("stage.").or_else(|| name.strip_prefix("image."))
}

/// Every reference of a definition that may be to another.
fn needs<'s>(spec: &'s Spec, target: Target<'s>) -> Vec<&'s Text> {
    let mut found: Vec<&Text> = target.stage().map_or_else(Vec::new, |stage| needs_of_stage(spec, stage));
    match target {
        Target::Image(image) => found.extend(image.file.iter().flatten().filter_map(|file| file.from.as_ref())),
        Target::Files(files) => found.extend(&files.from),
        Target::Stage(_) | Target::Test(_) => {}
    }
    let sources = found.clone();
    for reference in sources {
        let name = reference.value.split(':').next().unwrap_or_default();
        let name = name.strip_prefix("source.").unwrap_or(name);
        found.extend(spec.source(name).and_then(|source| source.stage.as_ref()));
    }
    found
}

fn needs_of_stage<'s>(spec: &'s Spec, stage: &'s Stage) -> Vec<&'s Text> {
    let mut found: Vec<&Text> = stage.from.iter().collect();
    let mut caches: Vec<&CacheUse> = stage.cache.iter().flatten().collect();
    for step in stage.step.iter().flatten() {
        found.extend(step.copy.iter().flat_map(|texts| &texts.0));
        found.extend(&step.unpack);
        found.extend(step.mount.iter().flatten().filter_map(|mount| mount.from.as_ref()));
        caches.extend(step.cache.iter().flatten());
    }
    found.extend(stage.pip.iter().filter_map(|pip| pip.requirements.as_ref()));
    let cache = |cache: &'s CacheUse| match cache {
        CacheUse::Here(cache) => Some(&**cache),
        CacheUse::Named(name) => model::find(spec.caches(), &name.value),
    };
    found.extend(caches.into_iter().filter_map(cache).filter_map(|cache| cache.seed.as_ref()));
    found
}
