//! A module of steps as a build spec: what `llbc convert --to toml` writes.
//!
//! A stage of a spec has its settings first and then its steps, so a definition whose settings change on the way becomes
//! several, each based on the one before: that adds nothing to what is built. What only an image is told (its command, its
//! ports) goes to the last of them, where it means the same.

pub mod several;
mod step;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use ast::{Def, Module, Op, OptKind, Pair, Param, Span, Step};

use crate::Unsaid;
use words::Words;

use several::{Named, Stages};

/// The module as a spec, or everything in it that a spec has no word for.
///
/// With `lossy`, what cannot be said is left out: a step as a whole, or what is special about it.
pub(super) fn module(module: &Module, lossy: bool) -> Result<String, Vec<Unsaid>> {
    let last = module.defs.len().saturating_sub(1);
    let names = (0..module.defs.len()).map(|at| name_of(module, at)).collect();
    let images = module.defs.iter().enumerate().map(|(at, def)| at == last || tells(def)).collect();
    let mut shared = Shared::default();
    let mut printer = Printer::new(module, names, images, &mut shared);
    for (_, param) in module.params() {
        printer.var(param);
    }
    let parts: Vec<Vec<Part>> = module.defs.iter().enumerate().map(|(at, def)| printer.def(at, def)).collect();
    if !shared.unsaid.is_empty() && !lossy {
        return Err(shared.unsaid);
    }
    // The first image is what is built when nothing is asked for.
    let (default, others) = parts.split_last().map_or((None, &parts[..]), |(default, others)| (Some(default), others));
    let all = others.iter().flatten().chain(default.into_iter().flatten());
    let (images, stages): (Vec<&Part>, Vec<&Part>) = all.partition(|part| part.is_image);
    let mut text = shared.head();
    stages.iter().for_each(|part| text += &part.text());
    images.iter().rev().for_each(|part| text += &part.text());
    Ok(text)
}

/// A stage or an image being written.
#[derive(Default)]
struct Part {
    name: String,
    comment: Option<String>,
    is_image: bool,
    settings: Vec<String>,
    /// How far the settings are: they come in one order, each once.
    reached: usize,
    steps: Vec<String>,
    /// What an image is told.
    told: BTreeMap<&'static str, String>,
    labels: Vec<String>,
}

impl Part {
    fn table(&self) -> String {
        format!("{}.{}", if self.is_image { "image" } else { "stage" }, words::key(&self.name))
    }

    /// Tells the image a label, in the place of another of its key.
    fn label(&mut self, entry: String) {
        let key = entry.split(" = ").next().unwrap_or_default().to_owned() + " = ";
        self.labels.retain(|known| !known.starts_with(&key));
        self.labels.push(entry);
    }

    /// Tells the image entries of a list, after those it has.
    fn list(&mut self, key: &'static str, entries: &[String]) {
        tell(&mut self.told, key, format!("[{}]", entries.join(", ")));
    }

    fn text(&self) -> String {
        let table = self.table();
        let mut text = self.comment.as_deref().map_or_else(|| "\n".to_owned(), comment);
        text += &format!("[{table}]\n{}", self.settings.concat());
        text.extend(self.told.iter().map(|(key, value)| format!("{key} = {value}\n")));
        if !self.labels.is_empty() {
            text += &format!("labels = {{ {} }}\n", self.labels.join(", "));
        }
        text.extend(self.steps.iter().map(|step| format!("\n[[{table}.step]]\n{step}")));
        text
    }
}

/// What an image is told in lists: one after another is both.
const LISTS: [&str; 3] = ["expose", "volumes", "onbuild"];

/// Tells an image something, in the place of what was told under that key before unless that is a list.
fn tell(told: &mut BTreeMap<&'static str, String>, key: &'static str, value: String) {
    let known = told.get(key).filter(|_| LISTS.contains(&key));
    let both = known.map(|known| [known.trim_end_matches(']'), value.trim_start_matches('[')].join(", "));
    told.insert(key, both.unwrap_or(value));
}

/// What all stages of a spec have together.
#[derive(Default)]
struct Shared {
    unsaid: Vec<Unsaid>,
    /// Variables with their defaults as text, and their lines.
    vars: Vec<(String, Option<String>, String)>,
    sources: Vec<(String, String)>,
    /// How things stand at the end of stages, by name.
    ends: BTreeMap<String, Scope>,
    /// Values that arguments have somewhere, where nobody can give others.
    constants: BTreeMap<String, BTreeSet<String>>,
    /// Those of them that are variables all the same.
    variables: BTreeSet<String>,
    /// How results are referred to.
    results: BTreeMap<String, String>,
}

impl Shared {
    fn unsaid(&mut self, at: Span, what: &'static str) {
        if !self.unsaid.contains(&(at, what)) {
            self.unsaid.push((at, what));
        }
    }

    /// A text with the values of variables in the place of references to them.
    fn constant(&self, text: &str) -> String {
        let named = |name: &&String| text.contains(&format!("${{var.{name}}}"));
        let known =
            self.variables.iter().filter(named).filter_map(|name| Some((name, self.constants.get(name)?.first()?)));
        known.fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{var.{name}}}"), value))
    }

    /// Everything before the stages.
    fn head(&self) -> String {
        let mut text = String::from("spec = 1\n");
        if !self.vars.is_empty() {
            text += "\n[var]\n";
            text.extend(self.vars.iter().map(|(_, _, line)| line.as_str()));
        }
        text += "\n[default]\nnetwork = \"default\"\n";
        if !self.sources.is_empty() {
            text += "\n[source]\n";
            text.extend(self.sources.iter().map(|(name, line)| format!("{} = {line}\n", words::key(name))));
        }
        text
    }
}

struct Printer<'m> {
    module: &'m Module,
    /// What definitions are called. **Shape**: one entry a definition, as is that of the next.
    names: Vec<String>,
    /// Which of them are images.
    images: Vec<bool>,
    /// What the text is told by whoever builds it, if that is known.
    told: Option<&'m Stages<'m>>,
    /// Which of them say what arguments are for all processes: those where no step can say it by itself.
    exporting: Vec<bool>,
    shared: &'m mut Shared,
}

/// What is known where a step stands.
#[derive(Clone, Default)]
struct Scope {
    /// Arguments that are declared, in order.
    args: Vec<String>,
    /// Their values as strings of a spec, where nobody can give others.
    values: Option<BTreeMap<String, String>>,
    /// Arguments that are told to all processes.
    exported: BTreeSet<String>,
    /// Variables that the stage or those below it set.
    env: BTreeSet<String>,
    /// Whether there is no stage yet, whose variables could be meant.
    is_global: bool,
}

/// The name of a definition, which need not have one, and may have that of a later one.
fn name_of(module: &Module, at: usize) -> String {
    let defs = &module.defs;
    let has_name = |def: &Def, name: &str| def.name.as_ref().is_some_and(|own| words::stage(&own.text) == name);
    let own = defs.get(at).and_then(|def| def.name.as_ref()).map(|own| words::stage(&own.text));
    let name = match own {
        Some(own) if !defs[at + 1..].iter().any(|later| has_name(later, &own)) => return own,
        Some(own) => format!("{own}-{at}"),
        None if at + 1 == defs.len() => "image".to_owned(),
        None => format!("stage-{at}"),
    };
    crate::free_name(name, |name| defs.iter().any(|def| has_name(def, name)))
}

/// Whether a definition says what only an image is told.
fn tells(def: &Def) -> bool {
    def.body.steps().iter().any(|step| {
        matches!(
            step.op,
            Op::Cmd(_)
                | Op::Entrypoint(_)
                | Op::Expose(_)
                | Op::Volume(_)
                | Op::StopSignal(_)
                | Op::Maintainer(_)
                | Op::Healthcheck(_)
                | Op::OnBuild(_)
                | Op::Label(_)
        )
    })
}

/// Definitions whose arguments are told to all processes: those on which others are based, which have their arguments first
/// of all variables, and those whose arguments have no value or come before variables.
fn exporting(module: &Module) -> Vec<bool> {
    let mut exporting = vec![false; module.defs.len()];
    if !module.dialect.exports_args {
        return exporting;
    }
    let valued: BTreeSet<&str> = module
        .params()
        .filter(|(_, param)| param.default.is_some())
        .map(|(_, param)| param.name.text.as_str())
        .collect();
    let mut bases = vec![None; module.defs.len()];
    for (at, def) in module.defs.iter().enumerate() {
        let mut has_args = false;
        for step in def.body.steps() {
            match &step.op {
                Op::From(base) => {
                    bases[at] = earlier(module, &base.raw().lossy(), at);
                }
                Op::Arg(params) => {
                    has_args = true;
                    let has_value = |param: &Param| {
                        let name = param.name.text.as_str();
                        param.default.is_some() || valued.contains(name) || words::is_known(name)
                    };
                    exporting[at] |= !params.iter().all(has_value);
                }
                Op::Env(_) => exporting[at] |= has_args,
                _ => {}
            }
        }
    }
    let has_args = |def: &Def| def.body.steps().iter().any(|step| matches!(step.op, Op::Arg(_)));
    for at in 0..bases.len() {
        let mut below = bases[at];
        while let Some(base) = below {
            exporting[base] |= has_args(&module.defs[base]);
            below = bases[base];
        }
    }
    exporting
}

/// The definition that a name means to one of those after it.
fn earlier(module: &Module, name: &str, before: usize) -> Option<usize> {
    let is_named = |def: &Def| def.name.as_ref().is_some_and(|own| own.text.eq_ignore_ascii_case(name));
    let by_name = module.defs[..before].iter().rposition(is_named);
    by_name.or_else(|| name.parse().ok().filter(|at| *at < before))
}

impl<'m> Printer<'m> {
    fn new(module: &'m Module, names: Vec<String>, images: Vec<bool>, shared: &'m mut Shared) -> Self {
        Self { module, names, images, told: None, exporting: exporting(module), shared }
    }

    fn unsaid(&mut self, at: Span, what: &'static str) {
        self.shared.unsaid(at, what);
    }

    /// Declares a variable; one of a stage that is declared elsewhere with another default has no word here.
    fn var(&mut self, param: &Param) {
        let name = param.name.text.clone();
        if words::is_known(&name) {
            return;
        }
        if !words::is_name(&name) {
            return self.unsaid(param.name.span, "an argument with such a name");
        }
        let default = param.default.as_ref().map(|default| self.text(default, &Scope::default()));
        if default.as_ref().is_some_and(|default| default.contains("${")) {
            return self.unsaid(param.name.span, "an argument whose default mentions a variable");
        }
        match self.shared.vars.iter().position(|(known, ..)| *known == name) {
            Some(at) if default.is_none() || self.shared.vars[at].1 == default => {}
            Some(_) => self.unsaid(param.name.span, "an argument with different defaults"),
            None => {
                let value = default.as_ref().map_or_else(String::new, |default| format!(" default = {default} "));
                let line = format!("{} = {{{value}}}\n", words::key(&name));
                self.shared.vars.push((name, default, line));
            }
        }
    }

    /// How another definition is referred to; only earlier ones can be.
    fn reference(&self, name: &str, before: usize) -> Option<String> {
        let at = earlier(self.module, name, before)?;
        Some(format!("{}.{}", if self.images[at] { "image" } else { "stage" }, self.names[at]))
    }

    /// What stands before all definitions, where the next step stands in none.
    fn global(&mut self) -> Scope {
        let mut scope = Scope { is_global: true, ..self.scope() };
        let module = self.module;
        module.params().for_each(|(_, param)| self.declare(param, None, &mut scope));
        scope
    }

    fn scope(&self) -> Scope {
        Scope { values: self.told.map(|_| BTreeMap::new()), ..Scope::default() }
    }

    /// Declares an argument of a stage, or of the module.
    fn declare(&mut self, param: &Param, global: Option<&Scope>, scope: &mut Scope) {
        let name = &param.name.text;
        if let Some(told) = self.told {
            if let Some(value) = self.value(told, param, global, scope) {
                let value = self.shared.variable(name, value);
                scope.values.get_or_insert_default().insert(name.clone(), value);
            }
        } else if global.is_some() {
            self.var(param);
        }
        scope.args.push(name.clone());
    }

    /// The value of an argument that nobody can give another: what is told, its default, that of the module.
    fn value(&mut self, told: &Stages<'_>, param: &Param, global: Option<&Scope>, scope: &Scope) -> Option<String> {
        let name = &param.name.text;
        if words::is_known(name) {
            return None;
        }
        if let Some(value) = told.args.get(name) {
            return Some(value.clone());
        }
        match &param.default {
            Some(default) => Some(words::unquoted(&self.text(default, scope))),
            None => global?.values.as_ref()?.get(name).cloned(),
        }
    }

    fn def(&mut self, at: usize, def: &Def) -> Vec<Part> {
        let (name, is_image) = (self.names[at].clone(), self.images[at]);
        let mut scope = self.scope();
        let global = self.global();
        let mut parts: Vec<Part> = Vec::new();
        let mut part = Part { name: name.clone(), is_image, ..Part::default() };
        for step in def.body.steps() {
            if let Op::From(base) = &step.op {
                let value = self.base(base, at, &global, &mut scope);
                part.settings.push(format!("from = {value}\n"));
                self.platform(step, &global, &mut part);
                continue;
            }
            let rank = if matches!(step.op, Op::Arg(_)) && !self.exporting[at] { 0 } else { rank(&step.op) };
            if rank > 0 && (rank < part.reached || rank == part.reached && rank < STEP) {
                parts.push(part);
                part = Part { name: name.clone(), is_image, ..Part::default() };
            }
            part.reached = part.reached.max(rank);
            self.step(step, at, &global, &mut scope, &mut part);
        }
        self.shared.ends.insert(name.clone(), scope);
        parts.push(part);
        chain(&name, parts)
    }

    fn base(&mut self, base: &ast::Str, at: usize, global: &Scope, scope: &mut Scope) -> String {
        let mut raw = base.raw().lossy().into_owned();
        if self.told.is_some() {
            raw = words::unquoted(&self.text(base, global));
            if raw.is_empty() {
                // What it says was left out.
                return words::string("scratch");
            }
        }
        if let Some(named) = self.told.and_then(|told| told.contexts.get(&raw.to_lowercase())) {
            return match named {
                Named::Image(reference) => words::string(reference),
                Named::Result(name) => {
                    let base = self.based_on(&self.shared.result(name), scope);
                    // Arguments stay in their text.
                    *scope = Scope { env: std::mem::take(&mut scope.env), ..self.scope() };
                    base
                }
                Named::Directory(_) => {
                    self.unsaid(base.span, "a directory as what a stage starts from");
                    words::string("scratch")
                }
            };
        }
        if let Some(reference) = self.reference(&self.shared.constant(&raw), at) {
            return self.based_on(&reference, scope);
        }
        let earlier = self.module.defs[..at].iter().filter_map(|def| def.name.as_ref());
        if crate::may_name(&raw, earlier.map(|name| &name.text)) {
            self.unsaid(base.span, "a stage whose name has a variable in it");
            if !raw.starts_with('$') {
                // What is left out leaves nothing to start from: no image is called like that.
                return words::string("scratch");
            }
        }
        if self.module.defs.iter().any(|def| def.name.as_ref().is_some_and(|own| own.text == raw)) {
            // An image that has the name of a later definition.
            return words::string(&format!("docker.io/library/{raw}"));
        }
        self.text(base, global)
    }

    fn based_on(&self, reference: &str, scope: &mut Scope) -> String {
        let name = reference.split_once('.').map_or("", |(_, name)| name);
        *scope = self.shared.ends.get(name).cloned().unwrap_or_default();
        words::string(reference)
    }

    fn platform(&mut self, step: &Step, global: &Scope, part: &mut Part) {
        let platform =
            step.opts.iter().find_map(|opt| if let OptKind::Platform(value) = &opt.kind { Some(value) } else { None });
        let Some(platform) = platform else { return };
        let value = match &*platform.raw().lossy() {
            "$BUILDPLATFORM" | "${BUILDPLATFORM}" => words::string("build"),
            _ => self.text(platform, global),
        };
        part.settings.push(format!("platform = {value}\n"));
    }

    fn step(&mut self, step: &Step, at: usize, global: &Scope, scope: &mut Scope, part: &mut Part) {
        match &step.op {
            Op::Arg(params) => {
                params.iter().for_each(|param| self.declare(param, Some(global), scope));
                if self.exporting[at] {
                    // In processes it takes the place of what was set; in words it does not.
                    for param in params.iter().filter(|param| scope.env.contains(&param.name.text)) {
                        self.unsaid(param.name.span, "an argument that has the name of a variable");
                    }
                    let names = params.iter().map(|param| &param.name.text).filter(|name| !scope.env.contains(*name));
                    let entries: Vec<String> = names.filter_map(|name| self.argument(name, scope)).collect();
                    scope.exported.extend(params.iter().map(|param| param.name.text.clone()));
                    if !entries.is_empty() {
                        part.settings.push(format!("args = {{ {} }}\n", entries.join(", ")));
                    }
                }
            }
            Op::Shell(values) => {
                let values: Vec<String> = values.iter().map(|value| words::string(&value.raw().lossy())).collect();
                part.settings.push(format!("shell = [{}]\n", values.join(", ")));
            }
            Op::Env(pairs) if has_twice(pairs) => self.unsaid(step.span, "a variable that is set twice at once"),
            Op::Env(pairs) => {
                let entries = self.pairs(pairs, scope);
                if let Some(pair) = pairs.iter().find(|pair| self.is_taken(pair, scope)) {
                    self.unsaid(pair.key.span, "a variable that has the name of an argument");
                }
                scope.env.extend(pairs.iter().map(|pair| pair.key.raw().lossy().into_owned()));
                part.settings.push(format!("env = {{ {} }}\n", entries.join(", ")));
            }
            Op::Dir(value) => part.settings.push(format!("workdir = {}\n", self.text(value, scope))),
            Op::User(value) => part.settings.push(format!("user = {}\n", self.text(value, scope))),
            Op::Label(pairs) => {
                self.pairs(pairs, scope).into_iter().for_each(|entry| part.label(entry));
            }
            Op::Cmd(command) => drop(part.told.insert("cmd", words::command(command))),
            Op::Entrypoint(command) => drop(part.told.insert("entrypoint", words::command(command))),
            Op::Expose(values) => self.list("expose", values, scope, part),
            Op::Volume(values) => self.list("volumes", values, scope, part),
            Op::StopSignal(value) => drop(part.told.insert("stop-signal", self.text(value, scope))),
            Op::Maintainer(name) => drop(part.told.insert("author", words::string(&name.raw().lossy()))),
            Op::Healthcheck(check) => match words::healthcheck(check) {
                Some(text) => drop(part.told.insert("healthcheck", text)),
                None => self.unsaid(step.span, "a health check of a kind of its own"),
            },
            Op::OnBuild(text) => part.list("onbuild", &[words::string(&text.lossy())]),
            Op::Call(_) | Op::Value(_) => self.unsaid(step.span, "a call of a function"),
            Op::From(_) | Op::Hole => self.unsaid(step.span, "what could not be read"),
            Op::Run(_) | Op::Copy(_) | Op::Add(_) | Op::Mkdir(_) | Op::Remove(_) => {
                let texts = self.action(step, at, scope);
                part.steps.extend(texts);
            }
        }
    }

    /// Whether a variable takes the name of an argument for a value of its own.
    fn is_taken(&self, pair: &Pair, scope: &Scope) -> bool {
        let (key, value) = (pair.key.raw().lossy(), pair.value.raw().lossy());
        let is_itself = value == format!("${key}") || value == format!("${{{key}}}");
        self.told.is_none() && scope.args.iter().any(|arg| *arg == key) && !scope.env.contains(&*key) && !is_itself
    }

    fn pairs(&mut self, pairs: &[Pair], scope: &Scope) -> Vec<String> {
        let mut entry = |pair: &Pair| {
            let key = words::unquoted(&self.text(&pair.key, scope));
            if key.contains("${") {
                self.unsaid(pair.key.span, "a name with a variable in it");
            }
            format!("{} = {}", words::key(&key), self.text(&pair.value, scope))
        };
        pairs.iter().map(&mut entry).collect()
    }

    fn list(&mut self, key: &'static str, values: &[ast::Str], scope: &Scope, part: &mut Part) {
        let values: Vec<String> = values.iter().map(|value| self.text(value, scope)).collect();
        part.list(key, &values);
    }

    fn text(&mut self, value: &ast::Str, scope: &Scope) -> String {
        match Words::of(value, scope) {
            Ok(text) => words::string(&text),
            Err(what) => {
                self.unsaid(value.span, what);
                words::string("")
            }
        }
    }
}

/// A text as lines of a comment, after a blank one.
fn comment(text: &str) -> String {
    let lines = text.lines().map(|line| format!("# {}\n", line.replace(char::is_control, " ")));
    std::iter::once("\n".to_owned()).chain(lines).collect()
}

/// Whether a key is there twice.
fn has_twice(pairs: &[Pair]) -> bool {
    let keys: BTreeSet<_> = pairs.iter().map(|pair| pair.key.raw()).collect();
    keys.len() < pairs.len()
}

/// Rank of what is a step.
const STEP: usize = 6;

/// In which order settings come; 0 is what has no place in it.
fn rank(op: &Op) -> usize {
    match op {
        Op::Shell(_) => 1,
        Op::Arg(_) => 2,
        Op::Env(_) => 3,
        Op::Dir(_) => 4,
        Op::User(_) => 5,
        Op::Run(_) | Op::Copy(_) | Op::Add(_) | Op::Mkdir(_) | Op::Remove(_) => STEP,
        _ => 0,
    }
}

/// Bases each part on the one before. The last has the name, and says what an image is told.
fn chain(name: &str, mut parts: Vec<Part>) -> Vec<Part> {
    let count = parts.len();
    let (mut told, mut labels) = (BTreeMap::new(), Vec::new());
    for part in &mut parts {
        std::mem::take(&mut part.told).into_iter().for_each(|(key, value)| tell(&mut told, key, value));
        labels.append(&mut part.labels);
    }
    for (at, part) in parts.iter_mut().enumerate() {
        if at + 1 < count {
            part.name = format!("{name}.{}", at + 1);
            part.is_image = false;
        }
        if at > 0 {
            part.settings.insert(0, format!("from = {}\n", words::string(&format!("stage.{name}.{at}"))));
        }
    }
    if let Some(last) = parts.last_mut() {
        (last.told, last.labels) = (told, labels);
    }
    parts
}
