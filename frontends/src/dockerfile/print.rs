//! Steps as a Dockerfile writes them: what other languages show of their steps, and what `llbc convert` writes.
//!
//! What a Dockerfile cannot say (a variable of one process, a condition) is written as a flag that no Dockerfile has, but
//! not into a Dockerfile: who writes one is told of it.

use std::collections::BTreeMap;

use ast::{
    Command, Condition, Copy, Delivery, Document, Goal, GoalKind, Healthcheck, ImageDelivery, Module, Mount, Op, Opt,
    OptKind, Pair, Param, Place, Step, Str, StrKind, Wanted,
};

use super::readback;
use crate::Unsaid;

/// An instruction on one logical line, documents not included.
pub fn instruction(op: &Op, opts: &[Opt]) -> String {
    let mut text = String::from(keyword(op)) + &flags(opts);
    let rest = arguments(op);
    if !rest.is_empty() {
        // What looks like a flag comes after the sign that there are no more.
        let is_flag = rest.starts_with("--") && !matches!(op, Op::Healthcheck(_));
        text.push_str(if is_flag { " -- " } else { " " });
        text.push_str(&rest);
    }
    text
}

/// Options as flags, each after a blank.
pub fn flags(opts: &[Opt]) -> String {
    opts.iter().map(|opt| flag(&opt.kind)).filter(|flag| !flag.is_empty()).map(|flag| format!(" {flag}")).collect()
}

/// What of a step as a whole a Dockerfile has no word for.
fn unsayable(op: &Op, opts: &[Opt]) -> Option<&'static str> {
    match op {
        Op::Mkdir(_) => Some("a directory that is made without going there"),
        Op::Remove(_) => Some("a removal without a process"),
        Op::Add(_) if opts.iter().any(|opt| matches!(opt.kind, OptKind::From(_))) => {
            Some("an archive that is unpacked from a stage or an image")
        }
        Op::Shell(words) if words.is_empty() => Some("a shell of no words"),
        Op::Call(_) | Op::Value(_) => Some("a call of a function"),
        Op::Hole => Some("what could not be read"),
        _ => None,
    }
}

fn unsayable_option(kind: &OptKind) -> Option<&'static str> {
    match kind {
        OptKind::Env(_) => Some("variables of one process"),
        OptKind::Dir(_) => Some("the working directory of one process"),
        OptKind::User(_) => Some("the user of one process"),
        OptKind::Include(_) => Some("patterns of what is copied"),
        OptKind::When(_) => Some("a condition"),
        _ => None,
    }
}

fn keyword(op: &Op) -> &'static str {
    match op {
        Op::From(_) => "FROM",
        Op::Run(_) => "RUN",
        Op::Copy(_) => "COPY",
        Op::Add(_) => "ADD",
        Op::Dir(_) => "WORKDIR",
        Op::Arg(_) => "ARG",
        Op::Env(_) => "ENV",
        Op::Label(_) => "LABEL",
        Op::User(_) => "USER",
        Op::Shell(_) => "SHELL",
        Op::Cmd(_) => "CMD",
        Op::Entrypoint(_) => "ENTRYPOINT",
        Op::Expose(_) => "EXPOSE",
        Op::Volume(_) => "VOLUME",
        Op::StopSignal(_) => "STOPSIGNAL",
        Op::Healthcheck(_) => "HEALTHCHECK",
        Op::Maintainer(_) => "MAINTAINER",
        Op::OnBuild(_) => "ONBUILD",
        Op::Mkdir(_) => "MKDIR",
        Op::Remove(_) => "REMOVE",
        Op::Call(_) | Op::Value(_) | Op::Hole => "",
    }
}

fn flag(kind: &OptKind) -> String {
    let with = |name: &str, value: &Str| format!("--{name}={}", raw(value));
    let switch = |name: &str, on: bool| if on { format!("--{name}") } else { format!("--{name}=false") };
    match kind {
        OptKind::Platform(value) => with("platform", value),
        OptKind::From(value) => with("from", value),
        OptKind::Chown(value) => with("chown", value),
        OptKind::Chmod(value) => with("chmod", value),
        OptKind::Exclude(value) => with("exclude", value),
        OptKind::Include(value) => with("include", value),
        OptKind::Checksum(value) => with("checksum", value),
        OptKind::Network(value) => with("network", value),
        OptKind::Security(value) => with("security", value),
        OptKind::Dir(value) => with("workdir", value),
        OptKind::User(value) => with("user", value),
        OptKind::Link(on) => switch("link", *on),
        OptKind::Parents(on) => switch("parents", *on),
        OptKind::KeepGitDir(on) => switch("keep-git-dir", *on),
        OptKind::Unpack(on) => switch("unpack", *on),
        OptKind::Mount(mount) => format!("--mount={}", fields(mount)),
        OptKind::Device { name, required } => {
            format!("--device={name}{}", if *required { ",required" } else { "" })
        }
        OptKind::Env(values) => {
            values.iter().map(|value| format!("--env={}", pair(value))).collect::<Vec<_>>().join(" ")
        }
        // It is what ARG of a Dockerfile does.
        OptKind::Exported => String::new(),
        OptKind::When(condition) => format!("--when={}", self::condition(condition)),
    }
}

fn fields(mount: &Mount) -> String {
    let field = |field: &ast::MountField| match &field.value {
        Some(value) => format!("{}={}", field.key, raw(value)),
        None => field.key.clone(),
    };
    mount.fields.iter().map(field).collect::<Vec<_>>().join(",")
}

fn condition(condition: &Condition) -> String {
    let join = |parts: &[Condition], sign: &str| {
        let parts: Vec<_> = parts.iter().map(self::condition).collect();
        format!("({})", parts.join(sign))
    };
    match condition {
        Condition::True(value) => raw(value),
        Condition::Equal(left, right) => format!("{}=={}", raw(left), raw(right)),
        Condition::In(value, options) => {
            format!("{}=={}", raw(value), options.iter().map(raw).collect::<Vec<_>>().join("|"))
        }
        Condition::Not(inner) => format!("!{}", self::condition(inner)),
        Condition::All(parts) => join(parts, "&&"),
        Condition::Any(parts) => join(parts, "||"),
    }
}

fn arguments(op: &Op) -> String {
    match op {
        Op::From(value) | Op::Dir(value) | Op::User(value) | Op::StopSignal(value) | Op::Mkdir(value) => raw(value),
        Op::Maintainer(value) => plain(value),
        Op::Run(value) | Op::Cmd(value) | Op::Entrypoint(value) => command(value),
        Op::Copy(value) | Op::Add(value) => copy(value),
        Op::Arg(params) => params.iter().map(param).collect::<Vec<_>>().join(" "),
        Op::Env(pairs) | Op::Label(pairs) => pairs.iter().map(pair).collect::<Vec<_>>().join(" "),
        Op::Shell(values) => list(values.iter().map(plain)),
        Op::Volume(values) => list(values.iter().map(raw)),
        Op::Expose(values) | Op::Remove(values) => values.iter().map(raw).collect::<Vec<_>>().join(" "),
        Op::Healthcheck(check) => healthcheck(check),
        Op::OnBuild(text) => text.lossy().into_owned(),
        Op::Call(_) | Op::Value(_) | Op::Hole => String::new(),
    }
}

fn command(command: &Command) -> String {
    let args = command.args.iter().map(|arg| arg.lossy().into_owned());
    if command.shell { args.collect::<Vec<_>>().join(" ") } else { list(args) }
}

fn copy(copy: &Copy) -> String {
    let documents = copy.documents.iter().map(opener);
    let words: Vec<String> = copy.sources.iter().map(raw).chain(documents).chain([raw(&copy.dest)]).collect();
    if words.iter().any(|word| word.is_empty() || word.contains(char::is_whitespace)) {
        return list(words.into_iter());
    }
    words.join(" ")
}

/// The word that opens a document.
pub fn opener(document: &Document) -> String {
    let quote = if document.expand { "" } else { "'" };
    format!("<<{}{quote}{}{quote}", if document.chomp { "-" } else { "" }, document.name)
}

/// A line for the shell, with the documents that it reads: as it is when a shell reads it.
pub(crate) fn with_documents(command: &Command, documents: &[Document]) -> String {
    let line = command.args.iter().map(|arg| arg.lossy()).collect::<Vec<_>>().join(" ");
    let texts = documents.iter().map(|document| format!("\n{}{}", document.content.lossy(), document.name));
    line + &texts.collect::<String>()
}

fn param(param: &Param) -> String {
    match &param.default {
        Some(default) => format!("{}={}", param.name.text, blanks_escaped(&raw(default))),
        None => param.name.text.clone(),
    }
}

fn pair(pair: &Pair) -> String {
    let between = if pair.legacy { " " } else { "=" };
    let key = if pair.legacy { raw(&pair.key) } else { blanks_escaped(&raw(&pair.key)) };
    format!("{key}{between}{}", blanks_escaped(&raw(&pair.value)))
}

fn healthcheck(check: &Healthcheck) -> String {
    let texts: Vec<String> = check.test.iter().map(|text| text.lossy().into_owned()).collect();
    let Some((kind, rest)) = texts.split_first() else { return String::new() };
    let mut text = String::new();
    let times = [
        ("interval", check.interval),
        ("timeout", check.timeout),
        ("start-period", check.start_period),
        ("start-interval", check.start_interval),
    ];
    for (name, value) in times.iter().filter(|(_, value)| *value != 0) {
        text += &format!("--{name}={value}ns ");
    }
    if check.retries != 0 {
        text += &format!("--retries={} ", check.retries);
    }
    match kind.as_str() {
        "NONE" => "NONE".to_owned(),
        "CMD-SHELL" => text + "CMD " + &rest.join(" "),
        _ => text + "CMD " + &list(rest.iter().cloned()),
    }
}

/// The JSON form.
fn list(words: impl Iterator<Item = String>) -> String {
    serde_json::Value::from(words.collect::<Vec<_>>()).to_string()
}

/// A string where nothing is replaced.
fn plain(value: &Str) -> String {
    let (StrKind::Lit(text) | StrKind::Word { raw: text, .. }) = &value.kind;
    text.lossy().into_owned()
}

/// A string as a word that expands to it.
fn raw(value: &Str) -> String {
    match &value.kind {
        StrKind::Word { raw, .. } if !raw.is_empty() => raw.lossy().into_owned(),
        StrKind::Word { .. } => "\"\"".to_owned(),
        StrKind::Lit(text) if text.is_empty() => "\"\"".to_owned(),
        StrKind::Lit(text) => {
            let mut word = String::new();
            for c in text.lossy().chars() {
                if matches!(c, '\\' | '$' | '"' | '\'') {
                    word.push('\\');
                }
                word.push(c);
            }
            word
        }
    }
}

/// Blanks outside quotes would end the word.
fn blanks_escaped(raw: &str) -> String {
    if raw.starts_with('"') || !raw.contains(char::is_whitespace) {
        return raw.to_owned();
    }
    let mut word = String::new();
    for c in raw.chars() {
        if c.is_whitespace() {
            word.push('\\');
        }
        word.push(c);
    }
    word
}

/// A module as a Dockerfile, or everything in it that a Dockerfile has no word for, in file order.
///
/// With `lossy`, what cannot be said is left out: a step as a whole, or what is special about it.
pub(crate) fn module(module: &Module, lossy: bool) -> Result<String, Vec<Unsaid>> {
    let mut printer = Printer { text: String::new(), unsaid: unsayable_goals(module), names: names(module) };
    printer.unsaid.extend(unsayable_contexts(module));
    module.head.iter().for_each(|step| printer.step(step, None));
    for def in &module.defs {
        if !printer.text.is_empty() {
            printer.text.push('\n');
        }
        let name = def.name.as_ref().map(|name| printer.name(&name.text).to_owned());
        for (at, step) in def.body.steps().iter().enumerate() {
            printer.step(step, name.as_deref().filter(|_| at == 0));
        }
    }
    if printer.unsaid.is_empty() || lossy { Ok(printer.text) } else { Err(printer.unsaid) }
}

/// What of goals and arguments a Dockerfile has no word for.
fn unsayable_goals(module: &Module) -> Vec<Unsaid> {
    let mut unsaid = Vec::new();
    for (_, param) in module.params() {
        if param.domain.as_ref().is_some_and(|domain| domain.required || !domain.one_of.is_empty()) {
            unsaid.push((param.name.span, "which values a variable takes"));
        }
    }
    for goal in &module.goals {
        unsaid.extend(unsayable_goal(goal).map(|what| (goal.name.span, what)));
    }
    unsaid
}

/// Contexts that a text has by itself, where others are always given them.
pub(crate) fn unsayable_contexts(module: &Module) -> impl Iterator<Item = Unsaid> + '_ {
    let what = |place: &Place| match place {
        Place::Directory(_) => "the directory that a context is: give it with `--build-context`",
        Place::Layout(_) => "a source in an OCI layout: give it with `--build-context`",
    };
    module.contexts.iter().map(move |own| (own.name.span, what(&own.place)))
}

/// What of a goal is more than a definition.
pub(crate) fn unsayable_goal(goal: &Goal) -> Option<&'static str> {
    match &goal.kind {
        GoalKind::Group(_) => Some("a group"),
        GoalKind::Result(wanted) => unsayable_result(wanted),
    }
}

fn unsayable_result(wanted: &Wanted) -> Option<&'static str> {
    match &wanted.delivery {
        Delivery::Files(_) => return Some("where files go"),
        Delivery::Image(image) if *image != ImageDelivery::default() => {
            return Some("the names, annotations and attestations of an image");
        }
        Delivery::Image(_) | Delivery::Test => {}
    }
    let said = [
        (!wanted.args.is_empty(), "an image with values of its own for variables"),
        (!wanted.platforms.is_empty(), "the platforms of an image"),
        (!wanted.requires.is_empty(), "tests that an image requires"),
        (!wanted.expected.is_empty(), "what an image must be like"),
    ];
    said.iter().find(|(is_said, _)| *is_said).map(|(_, what)| *what)
}

/// Names that a stage of a Dockerfile cannot have, with those that it gets instead.
fn names(module: &Module) -> BTreeMap<String, String> {
    let all = || module.defs.iter().filter_map(|def| def.name.as_ref()).map(|name| name.text.as_str());
    let named = |name: &str| {
        let is_taken = |new: &str| all().any(|other| other.eq_ignore_ascii_case(new));
        (name.to_owned(), crate::free_name(format!("stage-{name}"), is_taken))
    };
    all().filter(|name| !name.starts_with(|c: char| c.is_ascii_alphabetic())).map(named).collect()
}

struct Printer {
    text: String,
    unsaid: Vec<Unsaid>,
    names: BTreeMap<String, String>,
}

impl Printer {
    fn name<'n>(&'n self, name: &'n str) -> &'n str {
        self.names.get(name).map_or(name, String::as_str)
    }

    /// The step with the names that stages have here.
    fn renamed(&self, mut step: Step) -> Step {
        let rename = |value: &mut Str| {
            if let StrKind::Lit(text) | StrKind::Word { raw: text, .. } = &mut value.kind
                && let Some(new) = self.names.get(text.lossy().as_ref())
            {
                *text = new.as_str().into();
            }
        };
        if let Op::From(value) = &mut step.op {
            rename(value);
        }
        for opt in &mut step.opts {
            match &mut opt.kind {
                OptKind::From(value) => rename(value),
                OptKind::Mount(mount) => {
                    let from = mount.fields.iter_mut().filter(|field| field.key == "from");
                    from.filter_map(|field| field.value.as_mut()).for_each(rename);
                }
                _ => {}
            }
        }
        step
    }

    fn step(&mut self, step: &Step, stage: Option<&str>) {
        let unsayable = unsayable(&step.op, &step.opts);
        let special = step.opts.iter().find_map(|opt| unsayable_option(&opt.kind));
        if let Some(what) = unsayable.or(special) {
            self.unsaid.push((step.span, what));
        }
        if unsayable.is_some() {
            return;
        }
        let is_said = |opt: &&Opt| unsayable_option(&opt.kind).is_none();
        let said = Step { opts: step.opts.iter().filter(is_said).cloned().collect(), ..step.clone() };
        let said = self.renamed(said);
        let text = written(&said, stage);
        let misread = readback::misread(&said, &text);
        self.unsaid.extend(misread.map(|what| (step.span, what)));
        // What follows needs the stage that it is in.
        if misread.is_none() || stage.is_some() {
            self.text.push_str(&text);
        }
    }
}

/// The lines of a step.
fn written(step: &Step, stage: Option<&str>) -> String {
    let mut text = instruction(&step.op, &step.opts);
    if let (Op::From(_), Some(stage)) = (&step.op, stage) {
        text.extend([" AS ", stage]);
    }
    text.push('\n');
    for document in ast::visit::documents(step) {
        text.extend([&document.content.lossy(), document.name.as_str(), "\n"]);
    }
    text
}
