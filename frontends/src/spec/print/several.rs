//! Builds of several texts as one spec: what `llbc convert` makes of a bake file.
//!
//! What a text is told by its build (values of arguments, contexts) is said in its stages, so that texts that are told
//! different things stand side by side. A value that is the same for all who have an argument of that name is a variable.

use std::collections::{BTreeMap, BTreeSet};

use ast::{Def, Module, Op, OptKind, Step};

use super::{Part, Printer, Shared, earlier, tells, words};
use crate::Unsaid;

/// What becomes one spec.
#[derive(Clone, Debug, Default)]
pub struct Several<'m> {
    /// Variables with their defaults.
    pub vars: Vec<(String, String)>,
    /// Directories that are contexts of their own: a name, and the directory.
    pub directories: Vec<(String, String)>,
    /// The texts; one on which others are based comes before them.
    pub stages: Vec<Stages<'m>>,
    /// Groups with their members.
    pub groups: Vec<(String, Vec<String>)>,
    /// Whether all processes of a stage are told its arguments, as in languages that know no others.
    pub exporting: bool,
}

/// A text of stages, with what its build tells it.
#[derive(Clone, Debug)]
pub struct Stages<'m> {
    /// The text.
    pub module: &'m Module,
    /// Values of arguments, as strings of a spec: they may have references in them.
    pub args: BTreeMap<String, String>,
    /// The directory it is built in, if that is not the one of the spec.
    pub context: Option<String>,
    /// What takes the place of images and stages, by their names in lower case.
    pub contexts: BTreeMap<String, Named>,
    /// What is built of it.
    pub results: Vec<Wanted>,
}

/// What a named context is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// An image.
    Image(String),
    /// Another result.
    Result(String),
    /// One of the directories.
    Directory(String),
}

/// A result.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub comment: Option<String>,
    /// The stage that it is: a position among the definitions.
    pub stage: usize,
    /// What becomes of it.
    pub kind: Kind,
    /// Platforms it is built for.
    pub platforms: Vec<String>,
}

/// What becomes of a result.
#[derive(Clone, Debug)]
pub enum Kind {
    /// An image; texts may have references in them.
    Image {
        /// Its names.
        tags: Vec<String>,
        /// Labels beside those of the stage.
        labels: Vec<(String, String)>,
        /// Its annotations.
        annotations: Vec<(String, String)>,
        /// What is attested of it: keys with their values.
        attest: Vec<(&'static str, String)>,
    },
    /// Files for a directory.
    Files(String),
}

/// All of it as a spec, or everything that a spec has no word for.
///
/// With `lossy`, that is left out.
pub fn spec(whole: &Several<'_>, lossy: bool) -> Result<String, Vec<Unsaid>> {
    let names = named(whole);
    // What each argument is has to be known of all texts before the first can be written.
    let results = results(whole, &names);
    let mut look = Shared { results: results.clone(), ..Shared::default() };
    for (stages, names) in whole.stages.iter().zip(&names) {
        printed(stages, names, whole.exporting, &mut look);
    }
    let mut shared = Shared { variables: variables(whole, &look), results, ..Shared::default() };
    for (name, default) in &whole.vars {
        shared.declare(name, default);
    }
    for (name, path) in &whole.directories {
        let line = format!("{{ context = {}, path = {} }}", words::string(name), words::string(path));
        shared.sources.push((name.clone(), line));
    }
    let (mut stages, mut images, mut files) = (String::new(), String::new(), String::new());
    for (text, names) in whole.stages.iter().zip(&names) {
        let parts = printed(text, names, whole.exporting, &mut shared);
        for part in parts {
            *if part.is_image { &mut images } else { &mut stages } += &part.text();
        }
        files.extend(text.results.iter().filter_map(|result| result.files(text, names)));
    }
    if !shared.unsaid.is_empty() && !lossy {
        return Err(shared.unsaid);
    }
    let mut text = shared.head() + &stages + &images + &files;
    if !whole.groups.is_empty() {
        text += "\n[group]\n";
        let group = |(name, members): &(String, Vec<String>)| format!("{} = {}\n", words::key(name), list(members));
        text.extend(whole.groups.iter().map(group));
    }
    Ok(text)
}

/// What a definition is called, if it is needed at all.
#[derive(Clone, Debug, Default)]
struct Called {
    name: String,
    is_image: bool,
    is_needed: bool,
}

impl Shared {
    fn declare(&mut self, name: &str, default: &str) {
        let default = words::string(default);
        self.vars.push((name.to_owned(), None, format!("{} = {{ default = {default} }}\n", words::key(name))));
    }

    /// How a result is referred to.
    pub(super) fn result(&self, name: &str) -> String {
        self.results.get(name).cloned().unwrap_or_else(|| format!("image.{name}"))
    }

    /// What an argument is called where it has a value: a variable, if all have that value.
    pub(super) fn variable(&mut self, name: &str, value: String) -> String {
        self.constants.entry(name.to_owned()).or_default().insert(value.clone());
        // The default of a variable has no references in it.
        if !self.variables.contains(name) || value.contains("${") {
            return value;
        }
        if !self.vars.iter().any(|(known, ..)| known == name) {
            self.declare(name, &value);
        }
        format!("${{var.{name}}}")
    }
}

/// Arguments that are variables: of one value, not called like anything else.
fn variables(whole: &Several<'_>, look: &Shared) -> BTreeSet<String> {
    let is_taken = |name: &String| {
        let sets = |step: &Step| matches!(&step.op, Op::Env(pairs) if pairs.iter().any(|pair| *pair.key.raw().lossy() == **name));
        let is_set = |def: &Def| def.body.steps().iter().any(sets);
        whole.vars.iter().any(|(known, _)| known == name)
            || whole.stages.iter().any(|stages| stages.module.defs.iter().any(is_set))
    };
    let is_one = |values: &BTreeSet<String>| values.len() == 1 && values.iter().all(|value| !value.contains("${"));
    let alike = look.constants.iter().filter(|(name, values)| is_one(values) && !is_taken(name));
    alike.map(|(name, _)| name.clone()).collect()
}

/// How results are referred to: files by the stage they are all of.
fn results(whole: &Several<'_>, names: &[Vec<Called>]) -> BTreeMap<String, String> {
    let all =
        whole.stages.iter().zip(names).flat_map(|(stages, names)| stages.results.iter().map(move |own| (own, names)));
    let reference = |(own, names): (&Wanted, &Vec<Called>)| match own.kind {
        Kind::Files(_) => (own.name.clone(), names.get(own.stage).map(Called::reference).unwrap_or_default()),
        Kind::Image { .. } => (own.name.clone(), format!("image.{}", own.name)),
    };
    all.map(reference).collect()
}

/// What all definitions are called. **Shape**: one entry a text, each with one a definition.
fn named(whole: &Several<'_>) -> Vec<Vec<Called>> {
    let results = whole.stages.iter().flat_map(|stages| &stages.results).map(|result| result.name.clone());
    let mut taken: BTreeSet<String> = results.chain(whole.groups.iter().map(|(name, _)| name.clone())).collect();
    whole.stages.iter().map(|stages| called(stages, &mut taken)).collect()
}

fn called(stages: &Stages<'_>, taken: &mut BTreeSet<String>) -> Vec<Called> {
    let defs = &stages.module.defs;
    let mut all = vec![Called::default(); defs.len()];
    let (mut open, mut uses) = (Vec::new(), vec![0usize; defs.len()]);
    open.extend(stages.results.iter().map(|result| result.stage).filter(|at| *at < defs.len()));
    while let Some(at) = open.pop() {
        uses[at] += 1;
        if !std::mem::replace(&mut all[at].is_needed, true) {
            open.extend(needs(stages, at));
        }
    }
    for at in (0..defs.len()).filter(|at| all[*at].is_needed).collect::<Vec<_>>() {
        let own = stages.results.iter().find(|result| result.stage == at && uses[at] == 1);
        let is_own_image = own.is_some_and(|own| matches!(own.kind, Kind::Image { .. }));
        all[at].is_image = is_own_image || tells(&defs[at]);
        let prefix = stages.results.first().map_or("", |result| result.name.as_str());
        all[at].name = match own {
            Some(own) if is_own_image => own.name.clone(),
            Some(own) => free(format!("{}-files", own.name), prefix, taken),
            None => {
                let stem = defs[at].name.as_ref().map_or_else(|| format!("stage-{at}"), |name| name.text.clone());
                free(stem, prefix, taken)
            }
        };
    }
    all
}

/// A name that nothing has.
fn free(stem: String, prefix: &str, taken: &mut BTreeSet<String>) -> String {
    let name = if taken.contains(&stem) { format!("{prefix}-{stem}") } else { stem };
    let name = crate::free_name(name, |name| taken.contains(name));
    taken.insert(name.clone());
    name
}

/// Definitions that one starts, copies or mounts from.
fn needs(stages: &Stages<'_>, at: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let mut name = |name: &str| {
        if name.contains('$') {
            // What it means is known later.
            found.extend(0..at);
        } else if !stages.contexts.contains_key(&name.to_lowercase()) {
            found.extend(earlier(stages.module, name, at));
        }
    };
    for step in stages.module.defs[at].body.steps() {
        if let Op::From(base) = &step.op {
            name(&base.raw().lossy());
        }
        for opt in &step.opts {
            match &opt.kind {
                OptKind::From(from) => name(&from.raw().lossy()),
                OptKind::Mount(mount) => {
                    let from = mount.fields.iter().filter(|field| field.key.eq_ignore_ascii_case("from"));
                    from.filter_map(|field| field.value.as_ref()).for_each(|from| name(&from.raw().lossy()));
                }
                _ => {}
            }
        }
    }
    found
}

/// The stages and images of a text.
fn printed(stages: &Stages<'_>, names: &[Called], exporting: bool, shared: &mut Shared) -> Vec<Part> {
    let all_names = names.iter().map(|called| called.name.clone()).collect();
    let images = names.iter().map(|called| called.is_image).collect();
    let mut printer = Printer { told: Some(stages), ..Printer::new(stages.module, all_names, images, shared) };
    if exporting {
        printer.exporting.fill(true);
    }
    let mut parts = Vec::new();
    for (at, def) in stages.module.defs.iter().enumerate().filter(|(at, _)| names[*at].is_needed) {
        parts.extend(printer.def(at, def));
    }
    for result in &stages.results {
        let Kind::Image { tags, labels, annotations, attest } = &result.kind else { continue };
        let at = match parts.iter().position(|part| part.name == result.name) {
            Some(at) => at,
            None => {
                let from = format!("from = {}\n", words::string(&names[result.stage].reference()));
                parts.push(Part { name: result.name.clone(), is_image: true, settings: vec![from], ..Part::default() });
                parts.len() - 1
            }
        };
        let part = &mut parts[at];
        part.comment.clone_from(&result.comment);
        for (key, texts) in [("tags", tags), ("platforms", &result.platforms)] {
            if !texts.is_empty() {
                part.told.insert(key, list(texts));
            }
        }
        if !annotations.is_empty() {
            part.told.insert("annotations", format!("{{ {} }}", pairs(annotations).join(", ")));
        }
        if !attest.is_empty() {
            let said: Vec<String> = attest.iter().map(|(key, value)| format!("{key} = {value}")).collect();
            part.told.insert("attest", format!("{{ {} }}", said.join(", ")));
        }
        pairs(labels).into_iter().for_each(|label| part.label(label));
    }
    parts
}

impl Called {
    fn reference(&self) -> String {
        format!("{}.{}", if self.is_image { "image" } else { "stage" }, self.name)
    }
}

impl Wanted {
    /// The table of files, if it is some.
    fn files(&self, stages: &Stages<'_>, names: &[Called]) -> Option<String> {
        let Kind::Files(to) = &self.kind else { return None };
        let from = names.get(self.stage).filter(|_| stages.results.iter().any(|known| known.name == self.name))?;
        let mut text = self.comment.as_deref().map_or_else(|| "\n".to_owned(), super::comment);
        text += &format!("[files.{}]\n", words::key(&self.name));
        text += &format!("from = {}\nto = {}\n", words::string(&from.reference()), words::string(to));
        if !self.platforms.is_empty() {
            text += &format!("platforms = {}\n", list(&self.platforms));
        }
        Some(text)
    }
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| words::string(text)).collect::<Vec<_>>().join(", "))
}

fn pairs(pairs: &[(String, String)]) -> Vec<String> {
    pairs.iter().map(|(key, value)| format!("{} = {}", words::key(key), words::string(value))).collect()
}
