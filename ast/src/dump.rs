//! A module as data: what snapshots hold and `llbc dump` shows. The same text always gives the same dump.
//!
//! Empty lists and absent values are left out, so that a dump shows what there is.

use serde_json::{Map, Value, json};

use crate::visit::def_steps;
use crate::{
    Block, BoundName, Call, Checks, Choice, Command, Condition, Copy, Def, Delivery, Diagnostic, Document, Expr,
    ExprKind, Goal, GoalKind, Healthcheck, Layout, Module, Mount, Name, Op, Opt, OptKind, Pair, Param, Piece, Place,
    Signature, Span, Step, Str, StrKind, Template, Text,
};

/// The module as JSON.
pub fn json(module: &Module) -> Value {
    let mut out = Object::new();
    out.add("dialect", module.dialect.id);
    out.some("syntax", module.syntax.as_ref().map(|syntax| syntax.command.as_str()));
    match &module.checks {
        Ok(checks) => out.some("checks", some_checks(checks)),
        Err(error) => out.add("checks", json!({ "error": error })),
    }
    out.list(
        "imports",
        module.imports.iter().map(|import| json!({ "name": import.name.text, "from": expr(&import.from) })),
    );
    out.list("exports", module.exports.iter().map(|name| name.text.as_str().into()));
    out.list("head", module.head.iter().map(step));
    out.list("defs", module.defs.iter().map(def));
    out.list("goals", module.goals.iter().map(goal));
    let place = |place: &Place| match place {
        Place::Directory(path) => json!(path),
        Place::Layout(place) => json!(format!("oci-layout://{place}")),
    };
    out.list("contexts", module.contexts.iter().map(|own| json!([own.name.text, place(&own.place)])));
    out.list("includes", module.includes.iter().map(|include| include.path.as_str().into()));
    out.list("diagnostics", module.diagnostics.iter().map(diagnostic));
    out.into()
}

fn goal(goal: &Goal) -> Value {
    let names = |names: &[Name]| names.iter().map(|name| Value::from(name.text.as_str())).collect::<Vec<_>>();
    let mut out = Object::new();
    out.add("name", goal.name.text.as_str());
    match &goal.kind {
        GoalKind::Group(members) => out.list("group", names(members).into_iter()),
        GoalKind::Result(wanted) => {
            out.add("def", wanted.def.as_str());
            out.list("args", wanted.args.iter().map(|(key, value)| json!([key, value])));
            out.list("platforms", names(&wanted.platforms).into_iter());
            out.list("requires", names(&wanted.requires).into_iter());
            out.add("delivery", delivery(&wanted.delivery));
            if !wanted.expected.is_empty() {
                out.add("expected", format!("{:?}", wanted.expected));
            }
        }
    }
    out.into()
}

fn delivery(delivery: &Delivery) -> Value {
    match delivery {
        Delivery::Test => "test".into(),
        Delivery::Files(to) => json!({ "files": string(to) }),
        Delivery::Image(image) => {
            let mut out = Object::new();
            out.list("tags", image.tags.iter().map(string));
            out.list("annotations", image.annotations.iter().map(pair));
            out.list("attestations", image.attestations.iter().map(|name| name.text.as_str().into()));
            json!({ "image": Value::from(out) })
        }
    }
}

/// The module as text: the JSON, indented, without its punctuation.
pub fn text(module: &Module) -> String {
    let mut out = String::new();
    write_value(&json(module), 0, &mut out);
    out
}

fn write_value(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| write_field(key, value, depth, out)),
        Value::Array(items) => items.iter().for_each(|item| write_field("-", item, depth, out)),
        scalar => write_field("", scalar, depth, out),
    }
}

fn write_field(key: &str, value: &Value, depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
    out.push_str(key);
    if let Value::Object(_) | Value::Array(_) = value {
        out.push('\n');
        return write_value(value, depth + 1, out);
    }
    out.push(' ');
    out.push_str(&value.to_string());
    out.push('\n');
}

/// An object under construction.
struct Object(Map<String, Value>);

impl Object {
    fn new() -> Self {
        Self(Map::new())
    }

    fn add(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    fn some<V: Into<Value>>(&mut self, key: &str, value: Option<V>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }

    fn list(&mut self, key: &str, values: impl Iterator<Item = Value>) {
        let values: Vec<Value> = values.collect();
        if !values.is_empty() {
            self.add(key, values);
        }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}

fn def(def: &Def) -> Value {
    let mut out = Object::new();
    out.some("name", def.name.as_ref().map(|name| name.text.as_str()));
    out.some("doc", def.doc.as_ref().map(text_of));
    out.add("span", span(def.span));
    out.list("params", def.params.iter().map(param));
    out.some("signature", def.signature.as_ref().map(signature));
    out.list("steps", def_steps(def).iter().map(step));
    out.into()
}

fn signature(signature: &Signature) -> Value {
    let mut out = Object::new();
    out.add("gives", signature.gives.text.as_str());
    out.list("effects", signature.effects.iter().map(param));
    out.some("body", (!signature.body).then_some(false));
    out.into()
}

fn step(step: &Step) -> Value {
    let mut out = Object::new();
    let (name, value) = op(&step.op);
    out.add("op", name);
    out.some("value", value);
    out.list("opts", step.opts.iter().map(opt));
    out.add("text", text_of(&step.text));
    out.add("span", span(step.span));
    out.list("comments", step.comments.iter().map(|comment| text_of(&comment.text)));
    out.some("checks", step.checks.as_deref().and_then(some_checks));
    out.some("blank", step.blank.map(|blank| span(blank.first)));
    out.into()
}

fn op(op: &Op) -> (&'static str, Option<Value>) {
    let strings = |values: &[Str]| Some(Value::from(values.iter().map(string).collect::<Vec<_>>()));
    let pairs = |pairs: &[Pair]| Some(Value::from(pairs.iter().map(pair).collect::<Vec<_>>()));
    match op {
        Op::From(value) => ("from", Some(string(value))),
        Op::Run(value) => ("run", Some(command(value))),
        Op::Copy(value) => ("copy", Some(copy(value))),
        Op::Add(value) => ("add", Some(copy(value))),
        Op::Dir(value) => ("dir", Some(string(value))),
        Op::Arg(params) => ("arg", Some(params.iter().map(param).collect::<Vec<_>>().into())),
        Op::Env(values) => ("env", pairs(values)),
        Op::Label(values) => ("label", pairs(values)),
        Op::User(value) => ("user", Some(string(value))),
        Op::Shell(values) => ("shell", strings(values)),
        Op::Cmd(value) => ("cmd", Some(command(value))),
        Op::Entrypoint(value) => ("entrypoint", Some(command(value))),
        Op::Expose(values) => ("expose", strings(values)),
        Op::Volume(values) => ("volume", strings(values)),
        Op::StopSignal(value) => ("stop-signal", Some(string(value))),
        Op::Healthcheck(value) => ("healthcheck", Some(healthcheck(value))),
        Op::Maintainer(value) => ("maintainer", Some(string(value))),
        Op::OnBuild(value) => ("on-build", Some(text_of(value))),
        Op::Mkdir(value) => ("mkdir", Some(string(value))),
        Op::Remove(values) => ("remove", Some(values.iter().map(string).collect::<Vec<_>>().into())),
        Op::Call(value) => ("call", Some(call(value))),
        Op::Value(value) => ("value", Some(expr(value))),
        Op::Hole => ("hole", None),
    }
}

fn call(call: &Call) -> Value {
    let mut out = Object::new();
    out.add("name", call.name.text.as_str());
    out.some("member", call.member.as_ref().map(|member| member.text.as_str()));
    out.list("args", call.args.iter().map(expr));
    out.list("names", call.names.iter().map(|name| name.text.as_str().into()));
    out.some("with", call.with.as_deref().map(expr));
    out.list("binds", call.bind.iter().flat_map(|bind| &bind.names).map(bound));
    out.into()
}

fn bound(bound: &BoundName) -> Value {
    let mut out = Object::new();
    out.some("effect", bound.effect.as_ref().map(|effect| effect.text.as_str()));
    out.add("name", bound.name.text.as_str());
    out.into()
}

fn expr(expr: &Expr) -> Value {
    match &expr.kind {
        ExprKind::Text(template) => self::template(template),
        ExprKind::Int(value) => (*value).into(),
        ExprKind::Bool(value) => (*value).into(),
        ExprKind::Block(value) => json!({ "block": block(value) }),
        ExprKind::Call(value) => json!({ "call": call(value) }),
        ExprKind::Choice(value) => json!({ "choice": choice(value) }),
        ExprKind::Hole => Value::Null,
    }
}

fn choice(choice: &Choice) -> Value {
    let mut out = Object::new();
    out.add("if", expr(&choice.condition.left));
    if let Some((same, right)) = &choice.condition.right {
        out.add(if *same { "is" } else { "is-not" }, expr(right));
    }
    out.add("then", block(&choice.then));
    out.some("else", choice.otherwise.as_ref().map(block));
    out.into()
}

/// A text without holes as itself.
fn template(template: &Template) -> Value {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.as_str().into(),
        Piece::Expr(value) => expr(value),
        Piece::BadEscape(at) => json!({ "bad-escape": span(*at) }),
    };
    match (&template.pieces[..], template.layout) {
        ([], Layout::Plain) => "".into(),
        ([Piece::Text(text)], Layout::Plain) => text.as_str().into(),
        (pieces, layout) => {
            let mut out = Object::new();
            out.some("layout", (layout != Layout::Plain).then(|| format!("{layout:?}").to_lowercase()));
            out.list("pieces", pieces.iter().map(piece));
            out.into()
        }
    }
}

fn block(block: &Block) -> Value {
    let mut out = Object::new();
    out.add("gives", block.gives.text.as_str());
    out.list("steps", block.steps.iter().map(step));
    out.into()
}

fn opt(opt: &Opt) -> Value {
    let (name, value) = match &opt.kind {
        OptKind::Platform(value) => ("platform", string(value)),
        OptKind::From(value) => ("from", string(value)),
        OptKind::Chown(value) => ("chown", string(value)),
        OptKind::Chmod(value) => ("chmod", string(value)),
        OptKind::Link(value) => ("link", (*value).into()),
        OptKind::Parents(value) => ("parents", (*value).into()),
        OptKind::Exclude(value) => ("exclude", string(value)),
        OptKind::Include(value) => ("include", string(value)),
        OptKind::Env(pairs) => ("env", pairs.iter().map(pair).collect::<Vec<_>>().into()),
        OptKind::Dir(value) => ("dir", string(value)),
        OptKind::User(value) => ("user", string(value)),
        OptKind::Exported => ("exported", true.into()),
        OptKind::When(value) => ("when", condition(value)),
        OptKind::KeepGitDir(value) => ("keep-git-dir", (*value).into()),
        OptKind::Checksum(value) => ("checksum", string(value)),
        OptKind::Unpack(value) => ("unpack", (*value).into()),
        OptKind::Mount(value) => ("mount", mount(value)),
        OptKind::Network(value) => ("network", string(value)),
        OptKind::Security(value) => ("security", string(value)),
        OptKind::Device { name, required } => ("device", json!({ "name": name, "required": required })),
    };
    let mut out = Object::new();
    out.add(name, value);
    out.add("span", span(opt.span));
    out.into()
}

fn condition(condition: &Condition) -> Value {
    let list = |parts: &[Condition]| parts.iter().map(self::condition).collect::<Vec<_>>();
    match condition {
        Condition::True(value) => json!({ "true": string(value) }),
        Condition::Equal(left, right) => json!({ "equal": [string(left), string(right)] }),
        Condition::In(value, options) => {
            json!({ "in": string(value), "options": options.iter().map(string).collect::<Vec<_>>() })
        }
        Condition::Not(inner) => json!({ "not": self::condition(inner) }),
        Condition::All(parts) => json!({ "all": list(parts) }),
        Condition::Any(parts) => json!({ "any": list(parts) }),
    }
}

fn mount(mount: &Mount) -> Value {
    let field = |field: &crate::MountField| {
        let mut out = Object::new();
        out.add("key", field.key.as_str());
        out.some("value", field.value.as_ref().map(string));
        out.into()
    };
    mount.fields.iter().map(field).collect::<Vec<Value>>().into()
}

fn command(command: &Command) -> Value {
    let mut out = Object::new();
    let args: Vec<Value> = command.args.iter().map(text_of).collect();
    out.add(if command.shell { "shell" } else { "exec" }, args);
    out.list("documents", command.documents.iter().map(document));
    out.into()
}

fn copy(copy: &Copy) -> Value {
    let mut out = Object::new();
    out.list("sources", copy.sources.iter().map(string));
    out.list("documents", copy.documents.iter().map(document));
    out.add("dest", string(&copy.dest));
    out.into()
}

fn document(document: &Document) -> Value {
    json!({
        "name": document.name,
        "expand": document.expand,
        "chomp": document.chomp,
        "content": text_of(&document.content),
        "span": span(document.span),
    })
}

fn healthcheck(check: &Healthcheck) -> Value {
    let mut out = Object::new();
    out.list("test", check.test.iter().map(text_of));
    let numbers = [
        ("interval", check.interval),
        ("timeout", check.timeout),
        ("start-period", check.start_period),
        ("start-interval", check.start_interval),
        ("retries", check.retries),
    ];
    for (name, value) in numbers {
        out.some(name, (value != 0).then_some(value));
    }
    out.into()
}

fn pair(pair: &Pair) -> Value {
    let mut out = Object::new();
    out.add("key", string(&pair.key));
    out.add("value", string(&pair.value));
    out.some("legacy", pair.legacy.then_some(true));
    out.into()
}

fn param(param: &Param) -> Value {
    let mut out = Object::new();
    out.add("name", param.name.text.as_str());
    out.some("type", param.ty.as_ref().map(|ty| ty.text.as_str()));
    out.some("variadic", param.variadic.then_some(true));
    out.some("default", param.default.as_ref().map(string));
    out.some("doc", param.doc.as_ref().map(text_of));
    out.into()
}

/// A template as its text; what is taken as it is, in an object.
fn string(string: &Str) -> Value {
    match &string.kind {
        StrKind::Word { raw, .. } => text_of(raw),
        StrKind::Lit(raw) => json!({ "literal": text_of(raw) }),
    }
}

fn diagnostic(diagnostic: &Diagnostic) -> Value {
    let mut out = Object::new();
    out.add("code", diagnostic.code);
    out.add("message", diagnostic.message.as_str());
    out.some("span", diagnostic.at.map(span));
    out.into()
}

fn some_checks(checks: &Checks) -> Option<Value> {
    let mut out = Object::new();
    out.list("skip", checks.skip.iter().map(|rule| rule.as_str().into()));
    out.some("skip-all", checks.skip_all.then_some(true));
    out.list("experimental", checks.experimental.iter().map(|rule| rule.as_str().into()));
    out.some("experimental-all", checks.experimental_all.then_some(true));
    out.some("error", checks.error.then_some(true));
    (!out.0.is_empty()).then(|| out.into())
}

fn span(span: Span) -> Value {
    format!("{}..{}", span.start, span.end).into()
}

fn text_of(text: &Text) -> Value {
    text.lossy().into()
}
