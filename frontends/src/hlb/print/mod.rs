//! A module of stages as a program: what `llbc convert --to hlb` writes.
//!
//! A stage is a function, the arguments it and those below it use are its parameters, and what stands in words is put in where
//! it is used: a program has no environment to look names up in. Variables of a base image are therefore not to be had.

mod steps;
mod words;

use std::collections::BTreeMap;

use ast::{Def, Module, Op, OptKind, Param, Step, Str};

use crate::Unsaid;
use words::{Template, identifier, string};

/// The module as a program, or everything in it that there is no word for.
pub(super) fn module(module: &Module, lossy: bool) -> Result<String, Vec<Unsaid>> {
    let mut printer = Printer { module, unsaid: Vec::new(), functions: Vec::new() };
    printer.unsaid.extend(crate::dockerfile::print::unsayable_contexts(module));
    if let Some(goal) = module.goals.iter().find(|goal| crate::dockerfile::print::unsayable_goal(goal).is_some()) {
        printer.unsaid(goal.name.span, "what is said of results");
    }
    let mut text = String::new();
    for (at, def) in module.defs.iter().enumerate() {
        let function = printer.function(at, def);
        text += &function.text();
        text.push('\n');
        printer.functions.push(function);
    }
    if !printer.unsaid.is_empty() && !lossy {
        return Err(printer.unsaid);
    }
    if let Some(last) = printer.functions.last().filter(|last| last.name != DEFAULT) {
        let call = last.call();
        text += &format!("fs {DEFAULT}({}) {{\n\t{call}\n}}\n\n", last.parameters());
    }
    text += "# Files of the client's directory. No ignore file is looked at: name patterns with excludePatterns.\n\
             fs context() {\n\tlocal \".\"\n}\n\n\
             # What COPY of a Dockerfile does.\n\
             option::copy asCopy() {\n\tfollowSymlinks\n\tcontentsOnly\n\tcreateDestPath\n\tallowWildcard\n\
             \tallowEmptyWildcard\n}\n";
    Ok(text)
}

/// The function that is built when nothing is asked for.
const DEFAULT: &str = "default";

/// Where programs are in an image that does not say so.
const NOTHING_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A function being written.
#[derive(Clone, Default)]
struct Function {
    name: String,
    /// Parameters with their defaults, in order.
    params: Vec<(String, String)>,
    statements: Vec<String>,
    /// What names stand for at its end.
    scope: Scope,
}

/// What names stand for.
#[derive(Clone, Default)]
struct Scope {
    /// Variables, which processes have, and arguments that are not hidden by them.
    values: BTreeMap<String, Template>,
    /// Arguments that processes see, in order.
    args: Vec<String>,
    /// Whether a base image may have set more.
    open: bool,
    /// The working directory, if it is known.
    dir: Option<Template>,
    /// The user that owns what is made, if it is not root.
    user: Option<Template>,
    /// Whether there is no stage yet.
    is_global: bool,
}

impl Scope {
    /// The same of where something is copied to: what ends like a directory stays one.
    fn beneath(&self, path: &Template) -> Option<Template> {
        let text = path.constant();
        let is_directory = text.as_ref().is_some_and(|text| text.ends_with('/') || text == "." || text.ends_with("/."));
        let inside = self.inside(path)?;
        let is_root = inside.constant().is_some_and(|path| path.ends_with('/'));
        if !is_directory || is_root || path.begins_with('/') {
            return Some(inside);
        }
        Some(Template::text(&format!("{}/", inside.constant()?)))
    }

    /// A path as one that begins at the root; `None` when nobody knows where it is.
    fn inside(&self, path: &Template) -> Option<Template> {
        if path.begins_with('/') {
            return Some(path.clone());
        }
        let (dir, path) = (self.dir.as_ref()?.constant()?, path.constant()?);
        let mut parts: Vec<&str> = Vec::new();
        for part in dir.split('/').chain(path.split('/')) {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        Some(Template::text(&format!("/{}", parts.join("/"))))
    }
}

impl Function {
    fn parameters(&self) -> String {
        let params = self.params.iter().map(|(name, default)| format!("string {name} = {}", string(default)));
        params.collect::<Vec<_>>().join(", ")
    }

    /// A call with the parameters of the same names.
    fn call(&self) -> String {
        let words = std::iter::once(&self.name).chain(self.params.iter().map(|(name, _)| name));
        words.map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// The same where a value is wanted.
    fn value(&self) -> String {
        let args: Vec<&str> = self.params.iter().map(|(name, _)| name.as_str()).collect();
        if args.is_empty() { self.name.clone() } else { format!("{}({})", self.name, args.join(", ")) }
    }

    fn text(&self) -> String {
        let body: String = self.statements.iter().map(|statement| format!("\t{statement}\n")).collect();
        format!("fs {}({}) {{\n{body}}}\n", self.name, self.parameters())
    }
}

struct Printer<'m> {
    module: &'m Module,
    unsaid: Vec<Unsaid>,
    /// Those of the definitions before.
    functions: Vec<Function>,
}

impl Printer<'_> {
    fn unsaid(&mut self, at: ast::Span, what: &'static str) {
        if !self.unsaid.contains(&(at, what)) {
            self.unsaid.push((at, what));
        }
    }

    /// Whether a stage has the name of what is built when nothing is asked for, and is not that.
    fn is_first_default(&self, at: usize, def: &Def) -> bool {
        let is_named = |def: &Def| def.name.as_ref().is_some_and(|name| identifier(&name.text) == DEFAULT);
        is_named(def) && !self.module.defs.last().is_some_and(is_named) && at + 1 < self.module.defs.len()
    }

    fn name_of(&self, at: usize, def: &Def) -> String {
        let is_later = |name: &str| {
            let later = self.module.defs[at + 1..].iter().filter_map(|def| def.name.as_ref());
            later.into_iter().any(|own| own.text.eq_ignore_ascii_case(name))
        };
        let mut name = match &def.name {
            Some(name) if is_later(&name.text) => identifier(&format!("{}_{at}", name.text)),
            Some(_) if self.is_first_default(at, def) => format!("{DEFAULT}_{at}"),
            Some(name) => identifier(&name.text),
            None if at + 1 == self.module.defs.len() => DEFAULT.to_owned(),
            None => format!("stage_{at}"),
        };
        while ["context", "asCopy"].contains(&name.as_str()) || self.functions.iter().any(|known| known.name == name) {
            name.push('_');
        }
        name
    }

    /// The function of an earlier definition.
    fn earlier(&self, name: &str) -> Option<usize> {
        let is_named = |def: &Def| def.name.as_ref().is_some_and(|own| own.text.eq_ignore_ascii_case(name));
        let before = self.functions.len();
        let by_name = self.module.defs[..before].iter().rposition(is_named);
        by_name.or_else(|| name.parse().ok().filter(|at| *at < before))
    }

    /// The value of an earlier definition; its parameters are then those of the function that uses it.
    fn used(&mut self, at: usize, function: &mut Function, span: ast::Span) -> Function {
        let known = self.functions[at].clone();
        for (name, default) in &known.params {
            self.parameter(function, name, default, span);
        }
        known
    }

    fn parameter(&mut self, function: &mut Function, name: &str, default: &str, span: ast::Span) {
        match function.params.iter().find(|(known, _)| known == name) {
            Some((_, known)) if known != default => self.unsaid(span, "an argument with different defaults"),
            Some(_) => {}
            None => function.params.push((name.to_owned(), default.to_owned())),
        }
    }

    fn function(&mut self, at: usize, def: &Def) -> Function {
        if let Some(name) = def.name.as_ref().filter(|_| self.is_first_default(at, def)) {
            self.unsaid(name.span, "a stage named default that is not the last");
        }
        let mut function = Function { name: self.name_of(at, def), ..Function::default() };
        for step in def.body.steps() {
            match &step.op {
                Op::From(base) => self.base(&mut function, step, base),
                Op::Arg(params) => {
                    let is_exported =
                        self.module.dialect.exports_args || step.opts.iter().any(|opt| opt.kind == OptKind::Exported);
                    params.iter().for_each(|param| self.argument(&mut function, param, is_exported));
                }
                _ => self.step(&mut function, step),
            }
        }
        function
    }

    fn base(&mut self, function: &mut Function, step: &Step, base: &Str) {
        let name = base.raw().lossy().into_owned();
        if let Some(at) = self.earlier(&name) {
            let known = self.used(at, function, base.span);
            function.statements.push(known.call());
            function.scope = Scope { args: Vec::new(), ..known.scope.clone() };
            for arg in &known.scope.args {
                function.scope.values.remove(arg);
            }
            return;
        }
        if name == "scratch" {
            // What a Dockerfile, and a spec, give to an image that is made of nothing.
            let path = format!("env \"PATH\" {}", string(NOTHING_PATH));
            function.scope.values.insert("PATH".to_owned(), Template::text(NOTHING_PATH));
            function.scope.dir = Some(Template::text("/"));
            return function.statements.extend(["scratch".to_owned(), path, "dir \"/\"".to_owned()]);
        }
        let earlier = self.module.defs[..self.functions.len()].iter().filter_map(|def| def.name.as_ref());
        if crate::may_name(&name, earlier.map(|name| &name.text)) {
            return self.unsaid(base.span, "a stage whose name has an argument in it");
        }
        let mut head = Function::default();
        head.scope.is_global = true;
        for (_, param) in self.module.params() {
            self.argument(&mut head, param, false);
        }
        let reference = self.text(base, &head.scope);
        for (name, default) in head.params.iter().filter(|(name, _)| reference.mentions(name)) {
            self.parameter(function, name, default, base.span);
        }
        let platform = step.opts.iter().find_map(|opt| match &opt.kind {
            OptKind::Platform(platform) => Some(platform),
            _ => None,
        });
        let mut statement = format!("image {}", reference.print());
        if let Some(platform) = platform {
            match &platform.raw().lossy().split('/').collect::<Vec<_>>()[..] {
                [os, arch] if !os.contains('$') && !arch.contains('$') => {
                    statement += &format!(" with platform({}, {})", string(os), string(arch));
                }
                _ => self.unsaid(platform.span, "a platform that depends on the build"),
            }
        }
        function.statements.push(statement);
        function.scope.open = true;
    }

    /// Declares an argument: its value here, or that of the module.
    fn argument(&mut self, function: &mut Function, param: &Param, is_exported: bool) {
        let name = &param.name.text;
        let module = self.module;
        let global = || module.params().map(|(_, param)| param).find(|known| known.name.text == *name);
        let Some(default) = param.default.as_ref().or_else(|| global()?.default.as_ref()) else {
            return self.unsaid(param.name.span, "an argument without a value: give it a default");
        };
        let default = self.text(default, &Scope { open: true, ..Scope::default() });
        let Some(default) = default.constant() else {
            return self.unsaid(param.name.span, "an argument whose default mentions another");
        };
        if identifier(name) != *name {
            return self.unsaid(param.name.span, "an argument with such a name");
        }
        self.parameter(function, name, &default, param.name.span);
        let is_hidden = function.scope.values.contains_key(name);
        function.scope.values.entry(name.clone()).or_insert_with(|| Template::of(name));
        if is_exported && !is_hidden && !function.scope.args.contains(name) {
            function.scope.args.push(name.clone());
        }
    }

    fn text(&mut self, value: &Str, scope: &Scope) -> Template {
        Template::read(value, scope).unwrap_or_else(|what| {
            self.unsaid(value.span, what);
            Template::default()
        })
    }
}
