//! The first pass: what a module declares and binds, and what of it is declared twice.

use std::collections::BTreeMap;

use super::CODE;
use super::scope::{Object, Place, Scope};
use super::types::{Kinds, Typer};
use crate::{
    Bind, Block, Body, Call, Def, Diagnostic, Expr, ExprKind, Label, Module, Name, Op, Piece, Span, builtin, types,
};

/// The names of a module, and the errors among them.
pub(super) fn register(module: &Module) -> (Scope<'_>, Vec<Diagnostic>) {
    let mut registrar = Registrar { scope: Scope::default(), seen: BTreeMap::new(), errors: Vec::new() };
    let imports = module.imports.iter().map(|import| (&import.name, Object::Import(import)));
    let functions = module.defs.iter().filter_map(|def| Some((def.name.as_ref()?, Object::Function(def))));
    let mut declared: Vec<_> = imports.chain(functions).collect();
    declared.sort_by_key(|(name, _)| name.span.start);
    for (name, object) in declared {
        registrar.declare(name, object);
    }
    for def in module.defs.iter().filter(|def| matches!(def.body, Body::Block(_))) {
        registrar.function(def);
    }
    let errors = registrar.finish();
    (registrar.scope, errors)
}

/// Where the names of effects go: a function, or none.
type Closure<'m> = Option<&'m Def>;

struct Registrar<'m> {
    scope: Scope<'m>,
    /// Every place a name is declared at, if there are several.
    seen: BTreeMap<&'m str, Vec<Span>>,
    errors: Vec<Diagnostic>,
}

impl<'m> Registrar<'m> {
    fn declare(&mut self, name: &'m Name, object: Object<'m>) {
        match self.scope.find(&name.text) {
            // What HLB does not know hides nothing that its programs define.
            Some(Object::Builtin(rows)) if rows.iter().all(|row| row.builtin.is_beyond()) => {
                self.scope.names.insert(&name.text, object);
            }
            Some(known) => self.seen.entry(&name.text).or_insert_with(|| vec![known.span()]).push(name.span),
            None => drop(self.scope.names.insert(&name.text, object)),
        }
    }

    fn finish(&mut self) -> Vec<Diagnostic> {
        let mut seen: Vec<_> = std::mem::take(&mut self.seen).into_iter().collect();
        // Builtins come before everything in the file.
        seen.sort_by_key(|(_, spans)| (spans[0].file != builtin::FILE, spans[0].start));
        let mut errors = std::mem::take(&mut self.errors);
        errors.extend(seen.into_iter().map(|(name, spans)| redefined(name, &spans)));
        errors
    }

    fn function(&mut self, def: &'m Def) {
        let Body::Block(block) = &def.body else { return };
        let closure = (!types::is_options(&block.gives.text)).then_some(def);
        self.block(block, &block.gives.text, def, closure);
    }

    /// The statements of a block that gives a type.
    fn block(&mut self, block: &'m Block, gives: &str, def: &'m Def, closure: Closure<'m>) {
        for step in &block.steps {
            match &step.op {
                Op::Call(call) => self.call(call, (block, gives), def, closure),
                // Its blocks are this one, going on.
                Op::Value(Expr { kind: ExprKind::Choice(choice), .. }) => {
                    choice.operands().for_each(|operand| self.expr(operand, def));
                    choice.blocks().for_each(|inner| self.block(inner, gives, def, closure));
                }
                Op::Value(expr) => self.expr(expr, def),
                _ => {}
            }
        }
    }

    fn call(&mut self, call: &'m Call, (block, gives): (&Block, &str), def: &'m Def, closure: Closure<'m>) {
        match (&call.bind, closure) {
            (None, _) => {}
            (Some(bind), Some(function)) => {
                if let Err(error) = self.bind(call, bind, gives, function) {
                    self.errors.push(*error);
                }
            }
            (Some(bind), None) => self.errors.push(no_closure(bind, block)),
        }
        call.args.iter().for_each(|arg| self.expr(arg, def));
        match call.with.as_deref() {
            Some(Expr { kind: ExprKind::Block(options), .. }) => {
                self.block(options, &types::of_options(options, call), def, Some(def));
            }
            Some(with) => self.expr(with, def),
            None => {}
        }
    }

    /// What stands in an argument has nowhere to put the names of effects.
    fn expr(&mut self, expr: &'m Expr, def: &'m Def) {
        match &expr.kind {
            ExprKind::Block(block) => self.block(block, &block.gives.text, def, None),
            ExprKind::Call(call) => call.args.iter().for_each(|arg| self.expr(arg, def)),
            ExprKind::Text(template) => {
                for piece in &template.pieces {
                    if let Piece::Expr(expr) = piece {
                        self.expr(expr, def);
                    }
                }
            }
            _ => {}
        }
    }

    fn bind(&mut self, call: &'m Call, bind: &'m Bind, gives: &str, def: &'m Def) -> Result<(), Box<Diagnostic>> {
        if bind.names.is_empty() && !bind.list {
            let error = Diagnostic::error(CODE, "cannot bind, has no target", bind.keyword);
            return Err(Box::new(error.help("write `as NAME`, or leave out `as`")));
        }
        // What a module gives is known only when it is there, and none of it has effects.
        if call.member.is_some() {
            return Ok(());
        }
        let place = Place { scope: &self.scope, function: None };
        let kinds = Kinds::one(gives);
        let found = Typer::new(place).callee(&kinds, call)?;
        let effects = match found.object {
            Object::Builtin(_) => found.row.map_or(&[][..], |row| &row.effects),
            _ => &[],
        };
        if effects.is_empty() {
            return Err(Box::new(no_effects(call, bind, found.span)));
        }
        for bound in &bind.names {
            let wanted = bound.effect.as_ref();
            let effect = wanted.map_or(effects.first(), |name| effects.iter().find(|effect| effect.name == name.text));
            let Some(effect) = effect else { return Err(Box::new(no_such_effect(call, wanted, effects))) };
            self.declare(&bound.name, Object::Bound { name: &bound.name, function: def, gives: effect.ty });
        }
        Ok(())
    }
}

fn redefined(name: &str, spans: &[Span]) -> Diagnostic {
    let times = if spans.len() > 2 { format!(" {} times ", spans.len() - 1) } else { " ".to_owned() };
    let mut error = Diagnostic::error(CODE, format!("`{name}` is redefined{times}in this scope"), spans[1]);
    error.also.push(Label { span: spans[0], message: "defined here".to_owned() });
    error.also.extend(spans[2..].iter().map(|span| Label { span: *span, message: "duplicate".to_owned() }));
    error
}

/// The same name twice in a list of parameters.
pub(super) fn check_fields(fields: &[crate::Param]) -> Result<(), Box<Diagnostic>> {
    let mut spans: Vec<(&str, Span)> = Vec::new();
    let mut twice: Vec<(&str, Span)> = Vec::new();
    for field in fields {
        let name = field.name.text.as_str();
        match spans.iter().find(|(known, _)| *known == name) {
            Some(first) => {
                if twice.is_empty() {
                    twice.push(*first);
                }
                twice.push((name, field.name.span));
            }
            None => spans.push((name, field.name.span)),
        }
    }
    match twice.first() {
        None => Ok(()),
        Some((name, _)) => Err(Box::new(redefined(name, &twice.iter().map(|(_, span)| *span).collect::<Vec<_>>()))),
    }
}

fn no_closure(bind: &Bind, block: &Block) -> Diagnostic {
    let what = "option blocks have no closures outside of \"with option {...}\"";
    Diagnostic::error(CODE, "cannot bind, no closure in option blocks", bind.keyword).also(block.gives.span, what)
}

fn no_effects(call: &Call, bind: &Bind, defined: Span) -> Diagnostic {
    let message = format!("cannot bind, `{}` has no function effects", call.name.text);
    Diagnostic::error(CODE, message, bind.keyword)
        .also(defined, "defined here")
        .help("`mount` binds a target, `dockerPush` a digest, `manifest` its parts")
}

fn no_such_effect(call: &Call, wanted: Option<&Name>, effects: &[builtin::Field]) -> Diagnostic {
    let (name, at) = wanted.map_or(("", call.name.span), |name| (name.text.as_str(), name.span));
    let message = format!("cannot bind, `{name}` is an undefined effect of `{}`", call.name.text);
    let known: Vec<_> = effects.iter().map(|effect| format!("`{}`", effect.name)).collect();
    Diagnostic::error(CODE, message, at).help(format!("it has {}", known.join(", ")))
}
