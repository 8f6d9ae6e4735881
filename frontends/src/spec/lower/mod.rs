//! What a build spec means: stages and images as definitions of the shared tree, each after those it needs.
//!
//! Everything becomes the steps that a Dockerfile has: the planner knows nothing of this language. The image that is
//! built when none is asked for comes last.

mod copy;
mod image;
mod order;
mod packages;
mod results;
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use ast::{Body, Checks, Def, Dialect, Domain, FileId, Module, Name, Op, Opt, OptKind, Param, Span, Step, Str};

use super::model::{Image, Spec, Stage, Var, VarType};
use super::read::{Reader, Text};
use super::results::{Files, Test};
use super::text::{Names, literal};
use crate::dockerfile::print;

/// What planning must know of the language.
pub(super) const DIALECT: Dialect = Dialect {
    id: "TOML",
    description_key: "com.docker.dockerfile.v1.command",
    numbered_steps: true,
    history: true,
    exports_args: false,
    functions: false,
};

/// What becomes a definition.
#[derive(Clone, Copy)]
enum Target<'s> {
    Stage(&'s Stage),
    Image(&'s Image),
    Test(&'s Test),
    Files(&'s Files),
}

impl<'s> Target<'s> {
    /// What it is built in, if it is more than files of something else.
    fn stage(self) -> Option<&'s Stage> {
        match self {
            Self::Stage(stage) => Some(stage),
            Self::Image(image) => Some(&image.stage),
            Self::Test(test) => Some(&test.stage),
            Self::Files(_) => None,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Stage(_) => "stage",
            Self::Image(_) => "image",
            Self::Test(_) => "test",
            Self::Files(_) => "files",
        }
    }
}

/// A definition being made.
struct Lowering<'l, 's> {
    spec: &'s Spec,
    names: Names<'s>,
    reader: &'l mut Reader,
    steps: Vec<Step>,
    /// The stage whose steps are being made.
    stage_name: &'s str,
    /// Sources that need a stage of their own, because only a part of them is copied.
    fetched: Vec<Def>,
    /// The names of all of these.
    fetched_names: BTreeSet<String>,
    /// Variables that stages and those below them set to something of their own, by the names of the stages.
    set: BTreeMap<String, BTreeMap<String, Span>>,
    /// Arguments that processes of stages see, by the names of the stages.
    exported: BTreeMap<String, BTreeSet<String>>,
}

/// The module of a spec.
pub(super) fn module(file: FileId, spec: &Spec, reader: &mut Reader) -> Module {
    let mut lowering = Lowering {
        spec,
        names: Names::new(spec.vars()),
        reader,
        steps: Vec::new(),
        stage_name: "",
        fetched: Vec::new(),
        fetched_names: BTreeSet::new(),
        set: BTreeMap::new(),
        exported: BTreeMap::new(),
    };
    let head = lowering.head();
    let mut defs = Vec::new();
    for (name, target) in order::targets(spec, lowering.reader) {
        let def = lowering.def(name, target);
        defs.append(&mut lowering.fetched);
        defs.push(def);
    }
    let goals = lowering.goals();
    Module {
        file,
        dialect: DIALECT,
        syntax: None,
        imports: Vec::new(),
        exports: Vec::new(),
        head,
        defs,
        goals,
        contexts: copy::contexts(spec),
        includes: Vec::new(),
        checks: Ok(checks(spec)),
        diagnostics: Vec::new(),
    }
}

impl<'s> Lowering<'_, 's> {
    /// Variables are arguments of the module.
    fn head(&mut self) -> Vec<Step> {
        let spec = self.spec;
        for (name, var) in spec.vars() {
            let doc = var.help.as_ref().map(|help| ast::Text::from(help.value.as_str()));
            let default = var.default.as_ref().map(|default| literal(&default.0.value, default.0.span));
            let domain = self.domain(name, var);
            let param = Param { default, domain, doc, ..parameter(name) };
            self.push(Op::Arg(vec![param]), Vec::new(), name.span.to(var.span));
        }
        std::mem::take(&mut self.steps)
    }

    /// The values that a variable takes; its default is one of them.
    fn domain(&mut self, name: &'s Text, var: &'s Var) -> Option<Domain> {
        let kind =
            var.kind.or(var.default.as_ref().and_then(|default| default.1)).filter(|kind| *kind != VarType::String);
        let one_of = var.one_of.iter().flatten().map(|value| value.0.value.clone()).collect();
        let required = var.required.is_some_and(|required| required.value);
        let domain = Domain { kind: kind.map(VarType::word), one_of, required };
        if let Some(default) = &var.default {
            if let Some(why) = domain.refuses(&default.0.value) {
                let message = format!("the default of `{}` is no value of it", name.value);
                self.error(message, default.0.span, why);
            }
            if let Some(required) = var.required.filter(|required| required.value) {
                let message = format!("`{}` is required, and has a default", name.value);
                self.error(message, required.span, "leave one of them out");
            }
        }
        (domain != Domain::default()).then_some(domain)
    }

    fn def(&mut self, name: &'s Text, target: Target<'s>) -> Def {
        let span = match target {
            Target::Files(files) => files.span,
            Target::Stage(stage) => stage.span,
            Target::Image(image) => image.stage.span,
            Target::Test(test) => test.span,
        };
        match target.stage() {
            Some(stage) => self.stage(name, stage, target),
            None => {
                let base = if let Target::Files(files) = target { copy::whole(files) } else { None };
                self.push(Op::From(literal(base.unwrap_or("scratch"), span)), Vec::new(), span);
            }
        }
        match target {
            Target::Stage(_) => {}
            Target::Image(image) => {
                self.files(image);
                self.config(image);
            }
            Target::Test(test) => self.test(test),
            Target::Files(files) => self.taken(files),
        }
        self.names.in_stage = false;
        let mut steps = std::mem::take(&mut self.steps);
        self.check_hidden(name, &steps);
        let exported = self.exported(&steps);
        let used = self.names.take_used();
        self.names.put_used(used.into_iter().filter(|used| !exported.contains(used)).collect());
        self.exported.insert(name.value.clone(), exported);
        self.declare(&mut steps, name.span);
        Def {
            name: Some(Name { text: name.value.clone(), span: name.span }),
            alias: None,
            doc: None,
            params: Vec::new(),
            signature: None,
            body: Body::Fs(steps),
            span,
        }
    }

    fn stage(&mut self, name: &'s Text, stage: &'s Stage, target: Target<'s>) {
        self.from(name, stage);
        self.names.in_stage = true;
        let _ = self.names.take_used();
        self.stage_name = &name.value;
        self.settings(stage, if let Target::Image(image) = target { Some(image) } else { None });
        self.packages(stage);
        self.user(stage);
        self.stage_steps(stage);
    }

    /// Refuses `${var.NAME}` where a variable of the stage has that name and another value: it would be that one's.
    fn check_hidden(&mut self, name: &'s Text, steps: &[Step]) {
        let mut set = BTreeMap::new();
        for step in steps {
            match &step.op {
                Op::From(base) => set.extend(self.set.get(&*base.raw().lossy()).cloned().unwrap_or_default()),
                Op::Env(pairs) => {
                    let is_itself = |pair: &&ast::Pair| {
                        let (key, value) = (pair.key.raw().lossy(), pair.value.raw().lossy());
                        value == format!("${{{key}}}")
                    };
                    let own = pairs.iter().filter(|pair| !is_itself(pair));
                    set.extend(own.map(|pair| (pair.key.raw().lossy().into_owned(), pair.key.span)));
                }
                Op::Arg(params) => {
                    let own = params.iter().filter(|param| param.default.is_some());
                    set.extend(own.map(|param| (param.name.text.clone(), param.name.span)));
                }
                _ => {}
            }
        }
        let used = self.names.take_used();
        for (key, at) in set.iter().filter(|(key, _)| used.contains(*key)) {
            let message = format!("`{key}` is a variable of the stage, too, and `${{var.{key}}}` would be its value");
            self.error(message, *at, format!("call one of them otherwise, or write ${{env.{key}}}"));
        }
        self.names.put_used(used);
        self.set.insert(name.value.clone(), set);
    }

    /// The arguments that processes see after the steps, and that are declared by that.
    fn exported(&self, steps: &[Step]) -> BTreeSet<String> {
        let mut exported = BTreeSet::new();
        for step in steps {
            match &step.op {
                Op::From(base) => exported.extend(self.exported.get(&*base.raw().lossy()).cloned().unwrap_or_default()),
                Op::Arg(params) => {
                    let own = params.iter().filter(|param| param.default.is_none());
                    exported.extend(own.map(|param| param.name.text.clone()));
                }
                _ => {}
            }
        }
        exported
    }

    /// Declares the arguments that the steps use, after the first.
    fn declare(&mut self, steps: &mut Vec<Step>, span: Span) {
        let used = self.names.take_used();
        if !used.is_empty() && !steps.is_empty() {
            let params = used.into_iter().map(|value| parameter(&Text { value, span }));
            steps.insert(1, make(Op::Arg(params.collect()), Vec::new(), span));
        }
    }

    fn push(&mut self, op: Op, opts: Vec<OptKind>, span: Span) {
        self.steps.push(make(op, opts, span));
    }

    fn template(&mut self, text: &Text) -> Str {
        self.names.template(text, self.reader)
    }

    fn error(&mut self, message: impl Into<String>, at: Span, help: impl Into<String>) {
        self.reader.error(message, at).help = Some(help.into());
    }
}

/// Which rules look at the spec. Rules whose findings are errors run even where nobody asks for them.
fn checks(spec: &Spec) -> Checks {
    let words = |texts: &Option<Vec<Text>>| texts.iter().flatten().map(|text| text.value.clone()).collect::<Vec<_>>();
    let Some(lint) = &spec.lint else { return Checks::default() };
    let fatal = words(&lint.error);
    Checks { skip: words(&lint.ignore), requested: fatal.clone(), fatal, ..Checks::default() }
}

fn parameter(name: &Text) -> Param {
    Param {
        name: Name { text: name.value.clone(), span: name.span },
        ty: None,
        variadic: false,
        default: None,
        domain: None,
        doc: None,
    }
}

/// A step, with the text that names and history show.
fn make(op: Op, opts: Vec<OptKind>, span: Span) -> Step {
    let opts: Vec<Opt> = opts.into_iter().map(|kind| Opt { kind, span }).collect();
    let text = print::instruction(&op, &opts);
    Step { op, opts, text: text.as_str().into(), comments: Vec::new(), checks: None, blank: None, keyword: span, span }
}
