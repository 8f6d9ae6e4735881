//! What functional languages need of their own for features that others have from instructions: calls and their arguments.

pub(super) mod actions;
pub(super) mod completion;
pub(super) mod images;
pub(super) mod lens;
pub(super) mod signature;
pub(super) mod tokens;

use ast::{Block, Body, Call, Expr, ExprKind, Module, Op, Piece, Span};

use crate::File;

/// Sees everything in the functions of a module.
pub(super) trait Visit<'m> {
    /// A call.
    fn call(&mut self, _: &'m Call) {}
    /// A value.
    fn expr(&mut self, _: &'m Expr) {}
}

/// Walks through a module, outer things first.
pub(super) fn walk<'m>(module: &'m Module, visit: &mut impl Visit<'m>) {
    for import in &module.imports {
        expr(&import.from, visit);
    }
    for def in &module.defs {
        if let Body::Block(body) = &def.body {
            block(body, visit);
        }
    }
}

fn block<'m>(of: &'m Block, visit: &mut impl Visit<'m>) {
    for step in &of.steps {
        match &step.op {
            Op::Call(of) => call(of, visit),
            Op::Value(of) => expr(of, visit),
            _ => {}
        }
    }
}

fn call<'m>(of: &'m Call, visit: &mut impl Visit<'m>) {
    visit.call(of);
    of.args.iter().for_each(|arg| expr(arg, visit));
    if let Some(with) = &of.with {
        expr(with, visit);
    }
}

fn expr<'m>(of: &'m Expr, visit: &mut impl Visit<'m>) {
    visit.expr(of);
    match &of.kind {
        ExprKind::Call(of) => call(of, visit),
        ExprKind::Block(of) => block(of, visit),
        ExprKind::Text(template) => {
            for piece in &template.pieces {
                if let Piece::Expr(of) = piece {
                    expr(of, visit);
                }
            }
        }
        ExprKind::Choice(choice) => {
            choice.operands().for_each(|operand| expr(operand, visit));
            choice.blocks().for_each(|inner| block(inner, visit));
        }
        ExprKind::Int(_) | ExprKind::Bool(_) | ExprKind::Hole => {}
    }
}

/// What stands between the quotes of a text in which nothing is replaced.
pub(super) fn literal<'f>(file: &'f File, expr: &Expr) -> Option<(&'f str, Span)> {
    let ExprKind::Text(_) = expr.kind else { return None };
    let written = file.slice(expr.span);
    let inner = ['"', '`'].iter().find_map(|quote| written.strip_prefix(*quote)?.strip_suffix(*quote))?;
    let is_plain = !inner.contains(['\\', '\n']) && !inner.contains("${");
    is_plain.then(|| (inner, Span { start: expr.span.start + 1, end: expr.span.end - 1, ..expr.span }))
}
