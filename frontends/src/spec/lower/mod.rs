//! What a build spec means: stages and images as definitions of the shared tree, each after those it needs.
//!
//! Everything becomes the steps that a Dockerfile has: the planner knows nothing of this language. The image that is
//! built when none is asked for comes last.

mod copy;
mod image;
mod order;
mod packages;
mod stage;

use std::collections::BTreeSet;

use ast::{Body, Checks, Def, Dialect, FileId, Module, Name, Op, Opt, OptKind, Param, Span, Step, Str};

use super::model::{Image, Spec, Stage};
use super::read::{Reader, Text};
use super::text::Names;
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

/// A stage or an image.
#[derive(Clone, Copy)]
enum Target<'s> {
    Stage(&'s Stage),
    Image(&'s Image),
}

impl<'s> Target<'s> {
    fn stage(self) -> &'s Stage {
        match self {
            Self::Stage(stage) => stage,
            Self::Image(image) => &image.stage,
        }
    }

    fn image(self) -> Option<&'s Image> {
        match self {
            Self::Stage(_) => None,
            Self::Image(image) => Some(image),
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Stage(_) => "stage",
            Self::Image(_) => "image",
        }
    }
}

/// A definition being made.
struct Lowering<'l, 's> {
    spec: &'s Spec,
    names: Names<'s>,
    reader: &'l mut Reader,
    steps: Vec<Step>,
    /// Sources that need a stage of their own, because only a part of them is copied.
    fetched: Vec<Def>,
    /// The names of all of these.
    fetched_names: BTreeSet<String>,
}

/// The module of a spec.
pub(super) fn module(file: FileId, spec: &Spec, reader: &mut Reader) -> Module {
    let mut lowering = Lowering {
        spec,
        names: Names::new(spec.vars()),
        reader,
        steps: Vec::new(),
        fetched: Vec::new(),
        fetched_names: BTreeSet::new(),
    };
    let head = lowering.head();
    let mut defs = Vec::new();
    for (name, target) in order::targets(spec, lowering.reader) {
        let def = lowering.def(name, target);
        defs.append(&mut lowering.fetched);
        defs.push(def);
    }
    Module {
        file,
        dialect: DIALECT,
        syntax: None,
        imports: Vec::new(),
        exports: Vec::new(),
        head,
        defs,
        checks: Ok(Checks::default()),
        diagnostics: Vec::new(),
    }
}

impl<'s> Lowering<'_, 's> {
    /// Variables are arguments of the module.
    fn head(&mut self) -> Vec<Step> {
        let spec = self.spec;
        for (name, var) in spec.vars() {
            let doc = var.help.as_ref().map(|help| ast::Text::from(help.value.as_str()));
            let default = var.default.as_ref().map(|default| super::text::literal(&default.0.value, default.0.span));
            self.push(Op::Arg(vec![parameter(name, default, doc)]), Vec::new(), name.span.to(var.span));
        }
        std::mem::take(&mut self.steps)
    }

    fn def(&mut self, name: &'s Text, target: Target<'s>) -> Def {
        let stage = target.stage();
        self.from(name, stage);
        let _ = self.names.take_used();
        self.settings(stage, target.image());
        self.packages(stage);
        self.user(stage);
        self.stage_steps(stage);
        if let Some(image) = target.image() {
            self.files(image);
            self.config(image);
        }
        let mut steps = std::mem::take(&mut self.steps);
        self.declare(&mut steps, name.span);
        Def {
            name: Some(Name { text: name.value.clone(), span: name.span }),
            alias: None,
            doc: None,
            params: Vec::new(),
            signature: None,
            body: Body::Fs(steps),
            span: stage.span,
        }
    }

    /// Declares the arguments that the steps use, after the first.
    fn declare(&mut self, steps: &mut Vec<Step>, span: Span) {
        let used = self.names.take_used();
        if !used.is_empty() && !steps.is_empty() {
            let params = used.into_iter().map(|value| parameter(&Text { value, span }, None, None));
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

fn parameter(name: &Text, default: Option<Str>, doc: Option<ast::Text>) -> Param {
    Param { name: Name { text: name.value.clone(), span: name.span }, ty: None, variadic: false, default, doc }
}

/// A step, with the text that names and history show.
fn make(op: Op, opts: Vec<OptKind>, span: Span) -> Step {
    let opts: Vec<Opt> = opts.into_iter().map(|kind| Opt { kind, span }).collect();
    let text = print::instruction(&op, &opts);
    Step { op, opts, text: text.as_str().into(), comments: Vec::new(), checks: None, blank: None, keyword: span, span }
}
