//! A module of steps as a build spec: what `llbc convert --to toml` writes.
//!
//! A stage of a spec has its settings first and then its steps, so a definition whose settings change on the way becomes
//! several, each based on the one before: that adds nothing to what is built. What only an image is told (its command, its
//! ports) goes to the last of them, where it means the same.

mod step;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use ast::{Def, Module, Op, OptKind, Pair, Param, Span, Step};

use crate::Unsaid;
use words::Words;

/// The module as a spec, or everything in it that a spec has no word for.
///
/// With `lossy`, what cannot be said is left out: a step as a whole, or what is special about it.
pub(super) fn module(module: &Module, lossy: bool) -> Result<String, Vec<Unsaid>> {
    let mut printer =
        Printer { module, unsaid: Vec::new(), vars: Vec::new(), sources: Vec::new(), envs: BTreeMap::new() };
    for (_, param) in module.params() {
        printer.var(param);
    }
    let last = module.defs.len().saturating_sub(1);
    let parts: Vec<Vec<Part>> =
        module.defs.iter().enumerate().map(|(at, def)| printer.def(at, def, at == last)).collect();
    if !printer.unsaid.is_empty() && !lossy {
        return Err(printer.unsaid);
    }
    let mut text = String::from("spec = 1\n");
    if !printer.vars.is_empty() {
        text += "\n[var]\n";
        text.extend(printer.vars.iter().map(|(_, _, line)| line.as_str()));
    }
    text += "\n[default]\nnetwork = \"default\"\n";
    if !printer.sources.is_empty() {
        text += "\n[source]\n";
        text.extend(printer.sources.iter().map(|(name, line)| format!("{} = {line}\n", words::key(name))));
    }
    // The first image is what is built when nothing is asked for.
    let (default, others) = parts.split_last().map_or((None, &parts[..]), |(default, others)| (Some(default), others));
    let all = others.iter().flatten().chain(default.into_iter().flatten());
    let (images, stages): (Vec<&Part>, Vec<&Part>) = all.partition(|part| part.is_image);
    stages.iter().for_each(|part| text += &part.text());
    images.iter().rev().for_each(|part| text += &part.text());
    Ok(text)
}

/// A stage or an image being written.
#[derive(Default)]
struct Part {
    name: String,
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

    fn text(&self) -> String {
        let table = self.table();
        let mut text = format!("\n[{table}]\n{}", self.settings.concat());
        text.extend(self.told.iter().map(|(key, value)| format!("{key} = {value}\n")));
        if !self.labels.is_empty() {
            text += &format!("labels = {{ {} }}\n", self.labels.join(", "));
        }
        text.extend(self.steps.iter().map(|step| format!("\n[[{table}.step]]\n{step}")));
        text
    }
}

struct Printer<'m> {
    module: &'m Module,
    unsaid: Vec<Unsaid>,
    /// Variables with their defaults as text, and their lines.
    vars: Vec<(String, Option<String>, String)>,
    sources: Vec<(String, String)>,
    /// Variables that stages set, by name.
    envs: BTreeMap<String, BTreeSet<String>>,
}

/// What is known where a step stands.
#[derive(Default)]
struct Scope {
    /// Arguments that are declared, in order.
    args: Vec<String>,
    /// Variables that the stage or those below it set.
    env: BTreeSet<String>,
}

impl Printer<'_> {
    fn unsaid(&mut self, at: Span, what: &'static str) {
        if !self.unsaid.contains(&(at, what)) {
            self.unsaid.push((at, what));
        }
    }

    /// Declares a variable; one of a stage that is declared elsewhere with another default has no word here.
    fn var(&mut self, param: &Param) {
        let name = param.name.text.clone();
        if words::is_known(&name) {
            return;
        }
        let default = param.default.as_ref().map(|default| self.text(default, &Scope::default()));
        match self.vars.iter().position(|(known, ..)| *known == name) {
            Some(at) if default.is_none() || self.vars[at].1 == default => {}
            Some(_) => self.unsaid(param.name.span, "an argument with different defaults"),
            None => {
                let value = default.as_ref().map_or_else(String::new, |default| format!(" default = {default} "));
                let line = format!("{} = {{{value}}}\n", words::key(&name));
                self.vars.push((name, default, line));
            }
        }
    }

    /// The name of a definition, which need not have one, and may have that of a later one.
    fn name_of(&self, at: usize) -> String {
        let defs = &self.module.defs;
        let has_name = |def: &Def, name: &str| def.name.as_ref().is_some_and(|own| own.text == name);
        let mut name = match defs.get(at).and_then(|def| def.name.as_ref()) {
            Some(own) if !defs[at + 1..].iter().any(|later| has_name(later, &own.text)) => return own.text.clone(),
            Some(own) => format!("{}-{at}", own.text),
            None if at + 1 == defs.len() => "image".to_owned(),
            None => format!("stage-{at}"),
        };
        while defs.iter().any(|def| has_name(def, &name)) {
            name.push('-');
        }
        name
    }

    /// How another definition is referred to; only earlier ones can be.
    fn reference(&self, name: &str, before: usize) -> Option<String> {
        let defs = &self.module.defs[..before];
        let by_name =
            defs.iter().rposition(|def| def.name.as_ref().is_some_and(|own| own.text.eq_ignore_ascii_case(name)));
        let at = by_name.or_else(|| name.parse().ok().filter(|at| *at < before))?;
        let kind = if self.tells(&self.module.defs[at]) { "image" } else { "stage" };
        Some(format!("{kind}.{}", self.name_of(at)))
    }

    /// Whether a definition says what only an image is told.
    fn tells(&self, def: &Def) -> bool {
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
                    | Op::Label(_)
            )
        })
    }

    fn def(&mut self, at: usize, def: &Def, is_default: bool) -> Vec<Part> {
        let name = self.name_of(at);
        let mut scope = Scope::default();
        let mut parts: Vec<Part> = Vec::new();
        let mut part = Part { name: name.clone(), is_image: is_default || self.tells(def), ..Part::default() };
        for step in def.body.steps() {
            if let Op::From(base) = &step.op {
                let value = self.base(base, at, &mut scope);
                part.settings.push(format!("from = {value}\n"));
                self.platform(step, &mut part);
                continue;
            }
            let rank = rank(&step.op);
            if rank > 0 && (rank < part.reached || rank == part.reached && rank < STEP) {
                parts.push(part);
                part = Part { name: name.clone(), is_image: is_default || self.tells(def), ..Part::default() };
            }
            part.reached = part.reached.max(rank);
            self.step(step, at, &mut scope, &mut part);
        }
        self.envs.insert(name.clone(), scope.env);
        parts.push(part);
        chain(&name, parts)
    }

    fn base(&mut self, base: &ast::Str, at: usize, scope: &mut Scope) -> String {
        let raw = base.raw().lossy().into_owned();
        if let Some(reference) = self.reference(&raw, at) {
            let name = reference.split_once('.').map_or("", |(_, name)| name);
            scope.env = self.envs.get(name).cloned().unwrap_or_default();
            return words::string(&reference);
        }
        if self.module.defs.iter().any(|def| def.name.as_ref().is_some_and(|own| own.text == raw)) {
            // An image that has the name of a later definition.
            return words::string(&format!("docker.io/library/{raw}"));
        }
        let head: Vec<String> = self.module.params().map(|(_, param)| param.name.text.clone()).collect();
        self.text(base, &Scope { args: head, ..Scope::default() })
    }

    fn platform(&mut self, step: &Step, part: &mut Part) {
        let platform =
            step.opts.iter().find_map(|opt| if let OptKind::Platform(value) = &opt.kind { Some(value) } else { None });
        let Some(platform) = platform else { return };
        let value = match &*platform.raw().lossy() {
            "$BUILDPLATFORM" | "${BUILDPLATFORM}" => words::string("build"),
            _ => {
                let head: Vec<String> = self.module.params().map(|(_, param)| param.name.text.clone()).collect();
                self.text(platform, &Scope { args: head, ..Scope::default() })
            }
        };
        part.settings.push(format!("platform = {value}\n"));
    }

    fn step(&mut self, step: &Step, at: usize, scope: &mut Scope, part: &mut Part) {
        match &step.op {
            Op::Arg(params) => {
                for param in params {
                    self.var(param);
                    scope.args.push(param.name.text.clone());
                }
            }
            Op::Shell(values) => {
                let values: Vec<String> = values.iter().map(|value| words::string(&value.raw().lossy())).collect();
                part.settings.push(format!("shell = [{}]\n", values.join(", ")));
            }
            Op::Env(pairs) if has_twice(pairs) => self.unsaid(step.span, "a variable that is set twice at once"),
            Op::Env(pairs) => {
                let entries = self.pairs(pairs, scope);
                scope.env.extend(pairs.iter().map(|pair| pair.key.raw().lossy().into_owned()));
                part.settings.push(format!("env = {{ {} }}\n", entries.join(", ")));
            }
            Op::Dir(value) => part.settings.push(format!("workdir = {}\n", self.text(value, scope))),
            Op::User(value) => part.settings.push(format!("user = {}\n", self.text(value, scope))),
            Op::Label(pairs) => {
                for entry in self.pairs(pairs, scope) {
                    let key = entry.split(" = ").next().unwrap_or_default().to_owned() + " = ";
                    part.labels.retain(|known| !known.starts_with(&key));
                    part.labels.push(entry);
                }
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
            Op::OnBuild(_) => self.unsaid(step.span, "instructions that are kept for images built on this one"),
            Op::Call(_) | Op::Value(_) => self.unsaid(step.span, "a call of a function"),
            Op::From(_) | Op::Hole => self.unsaid(step.span, "what could not be read"),
            Op::Run(_) | Op::Copy(_) | Op::Add(_) | Op::Mkdir(_) | Op::Remove(_) => {
                let texts = self.action(step, at, scope);
                part.steps.extend(texts);
            }
        }
    }

    fn pairs(&mut self, pairs: &[Pair], scope: &Scope) -> Vec<String> {
        let entry =
            |pair: &Pair| format!("{} = {}", words::key(&pair.key.raw().lossy()), self.text(&pair.value, scope));
        pairs.iter().map(entry).collect()
    }

    fn list(&mut self, key: &'static str, values: &[ast::Str], scope: &Scope, part: &mut Part) {
        let values: Vec<String> = values.iter().map(|value| self.text(value, scope)).collect();
        let text = format!("[{}]", values.join(", "));
        // Ports and volumes are sets: one list after another is both.
        let both = match part.told.get(key) {
            Some(known) => [known.trim_end_matches(']'), text.trim_start_matches('[')].join(", "),
            None => text,
        };
        part.told.insert(key, both);
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

/// Whether a key is there twice.
fn has_twice(pairs: &[Pair]) -> bool {
    let keys: BTreeSet<_> = pairs.iter().map(|pair| pair.key.raw()).collect();
    keys.len() < pairs.len()
}

/// Rank of what is a step.
const STEP: usize = 5;

/// In which order settings come; 0 is what has no place in it.
fn rank(op: &Op) -> usize {
    match op {
        Op::Shell(_) => 1,
        Op::Env(_) => 2,
        Op::Dir(_) => 3,
        Op::User(_) => 4,
        Op::Run(_) | Op::Copy(_) | Op::Add(_) | Op::Mkdir(_) | Op::Remove(_) => STEP,
        _ => 0,
    }
}

/// Bases each part on the one before. The last has the name, and says what an image is told.
fn chain(name: &str, mut parts: Vec<Part>) -> Vec<Part> {
    let count = parts.len();
    let (mut told, mut labels) = (BTreeMap::new(), Vec::new());
    for part in &mut parts {
        told.append(&mut part.told);
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
