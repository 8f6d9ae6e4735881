//! No function may need itself: there is no condition that could end that.

use std::collections::{BTreeMap, BTreeSet};

use super::CODE;
use super::scope::{Object, Place, Scope, is_breakpoint};
use crate::{Block, Body, Call, Def, Diagnostic, Expr, ExprKind, Module, Name, Op, Piece, Span};

/// A function as a number.
type Id = usize;

/// The first cycle of every function that is in one.
pub(super) fn check<'m>(module: &'m Module, scope: &Scope<'m>) -> Vec<Diagnostic> {
    let defs: Vec<&Def> = module.defs.iter().collect();
    let ids: BTreeMap<Span, Id> = defs.iter().enumerate().map(|(id, def)| (def.span, id)).collect();
    let uses: Vec<Vec<(Id, Span)>> = defs.iter().map(|def| uses(def, scope, &ids)).collect();
    let mut search = Search { uses: &uses, done: BTreeSet::new(), errors: Vec::new() };
    for id in 0..defs.len() {
        search.from(id, &defs);
    }
    search.errors
}

/// The functions that a function calls, each with a place.
fn uses<'m>(def: &'m Def, scope: &Scope<'m>, ids: &BTreeMap<Span, Id>) -> Vec<(Id, Span)> {
    let mut calls = Vec::new();
    if let Body::Block(block) = &def.body {
        in_block(block, &mut calls);
    }
    let place = Place { scope, function: Some(def) };
    let called = |name: &Name| match place.find(&name.text)? {
        Object::Function(def) | Object::Bound { function: def, .. } => ids.get(&def.span).copied(),
        _ => None,
    };
    calls.into_iter().filter_map(|name| Some((called(name)?, name.span))).collect()
}

fn in_block<'m>(block: &'m Block, calls: &mut Vec<&'m Name>) {
    for step in &block.steps {
        match &step.op {
            Op::Call(call) => in_call(call, calls),
            Op::Value(expr) => in_expr(expr, calls),
            _ => {}
        }
    }
}

fn in_call<'m>(call: &'m Call, calls: &mut Vec<&'m Name>) {
    if is_breakpoint(call) {
        return;
    }
    if call.member.is_none() {
        calls.push(&call.name);
    }
    call.args.iter().chain(call.with.as_deref()).for_each(|arg| in_expr(arg, calls));
}

fn in_expr<'m>(expr: &'m Expr, calls: &mut Vec<&'m Name>) {
    match &expr.kind {
        ExprKind::Call(call) => in_call(call, calls),
        ExprKind::Block(block) => in_block(block, calls),
        ExprKind::Text(template) => {
            for piece in &template.pieces {
                if let Piece::Expr(expr) = piece {
                    in_expr(expr, calls);
                }
            }
        }
        ExprKind::Choice(choice) => {
            choice.operands().for_each(|operand| in_expr(operand, calls));
            choice.blocks().for_each(|block| in_block(block, calls));
        }
        ExprKind::Int(_) | ExprKind::Bool(_) | ExprKind::Hole => {}
    }
}

struct Search<'u> {
    uses: &'u [Vec<(Id, Span)>],
    done: BTreeSet<Id>,
    errors: Vec<Diagnostic>,
}

impl Search<'_> {
    /// Depth first, without recursion: a text may have any number of functions.
    fn from(&mut self, start: Id, defs: &[&Def]) {
        if !self.done.insert(start) {
            return;
        }
        // The functions on the way here, each with its next call to look at.
        let mut path: Vec<(Id, usize)> = vec![(start, 0)];
        while let Some((id, next)) = path.last_mut() {
            let Some((called, _)) = self.uses[*id].get(*next) else {
                path.pop();
                continue;
            };
            *next += 1;
            let called = *called;
            if let Some(begin) = path.iter().position(|(id, _)| *id == called) {
                self.report(&path[begin..], defs);
            } else if self.done.insert(called) {
                path.push((called, 0));
            }
        }
    }

    fn report(&mut self, cycle: &[(Id, usize)], defs: &[&Def]) {
        let name = |id: Id| defs[id].name.as_ref().map_or("?", |name| name.text.as_str());
        let steps: Vec<Span> = cycle.iter().map(|(id, next)| self.uses[*id][next - 1].1).collect();
        let mut names: Vec<&str> = cycle.iter().map(|(id, _)| name(*id)).collect();
        names.push(names[0]);
        let message = format!("`{}` needs itself: {}", names[0], names.join(" → "));
        let mut error = Diagnostic::error(CODE, message, steps[0]);
        for (span, called) in steps.iter().zip(&names[1..]).skip(1) {
            error = error.also(*span, format!("which needs `{called}`"));
        }
        self.errors
            .push(error.help("a function cannot call itself, nor use what is bound in it: nothing would end that"));
    }
}
