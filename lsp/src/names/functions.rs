//! Names of functional languages: functions, parameters, effects and what calls bind.
//!
//! Parameters and effects are known in their function, everything else in the whole module; a parameter hides what the
//! module calls so. What is no name of the module may be a primitive ([`ast::builtin`]), which has no place in it.

use std::collections::BTreeMap;

use ast::{Block, Body, Call, Def, Expr, ExprKind, Module, Name, Op, Piece, Step};

use super::{Kind, Names, Role, Symbol, Use};

/// Adds the names of a module's functions.
pub(super) fn collect(module: &Module, names: &mut Names) {
    let mut collector = Collector { names, module: BTreeMap::new(), params: BTreeMap::new(), local: BTreeMap::new() };
    for import in &module.imports {
        collector.declare(&import.name, Kind::Import);
    }
    let functions = || module.defs.iter().enumerate().filter(|(_, def)| def.signature.is_some());
    for (at, def) in functions() {
        if let Some(name) = &def.name {
            collector.declare(name, Kind::Function(at));
        }
    }
    for (at, def) in functions() {
        calls(def, &mut |call| {
            call.bind.iter().for_each(|bind| {
                bind.names.iter().for_each(|bound| collector.declare(&bound.name, Kind::Bound(at)));
            })
        });
    }
    for (at, def) in functions() {
        collector.params(at, def);
    }
    for (at, def) in functions() {
        collector.function(at, def);
    }
    for export in &module.exports {
        collector.mention(export);
    }
}

/// Visits every call of a function, also those in arguments, options and texts.
pub(crate) fn calls<'d>(def: &'d Def, visit: &mut impl FnMut(&'d Call)) {
    if let Body::Block(block) = &def.body {
        block_calls(block, visit);
    }
}

fn block_calls<'d>(block: &'d Block, visit: &mut impl FnMut(&'d Call)) {
    block.steps.iter().for_each(|step| step_calls(step, visit));
}

fn step_calls<'d>(step: &'d Step, visit: &mut impl FnMut(&'d Call)) {
    match &step.op {
        Op::Call(call) => call_calls(call, visit),
        Op::Value(expr) => expr_calls(expr, visit),
        _ => {}
    }
}

fn call_calls<'d>(call: &'d Call, visit: &mut impl FnMut(&'d Call)) {
    visit(call);
    call.args.iter().chain(call.with.as_deref()).for_each(|expr| expr_calls(expr, visit));
}

fn expr_calls<'d>(expr: &'d Expr, visit: &mut impl FnMut(&'d Call)) {
    match &expr.kind {
        ExprKind::Call(call) => call_calls(call, visit),
        ExprKind::Block(block) => block_calls(block, visit),
        ExprKind::Text(template) => {
            for piece in &template.pieces {
                if let Piece::Expr(expr) = piece {
                    expr_calls(expr, visit);
                }
            }
        }
        ExprKind::Choice(choice) => {
            choice.operands().for_each(|operand| expr_calls(operand, visit));
            choice.blocks().for_each(|block| block_calls(block, visit));
        }
        ExprKind::Int(_) | ExprKind::Bool(_) | ExprKind::Hole => {}
    }
}

struct Collector<'m, 'n> {
    names: &'n mut Names,
    module: BTreeMap<&'m str, usize>,
    /// Parameters and effects of the definition of a number.
    params: BTreeMap<(usize, &'m str), usize>,
    local: BTreeMap<&'m str, usize>,
}

impl<'m> Collector<'m, '_> {
    fn symbol(&mut self, name: &Name, kind: Kind) -> usize {
        self.names.symbols.push(Symbol { name: name.text.clone(), kind });
        let symbol = self.names.symbols.len() - 1;
        self.names.uses.push(Use { span: name.span, symbol, role: Role::Definition });
        symbol
    }

    /// The first of several equal names counts.
    fn declare(&mut self, name: &'m Name, kind: Kind) {
        let symbol = self.symbol(name, kind);
        self.module.entry(&name.text).or_insert(symbol);
    }

    fn params(&mut self, at: usize, def: &'m Def) {
        let effects = def.signature.iter().flat_map(|signature| &signature.effects);
        for param in def.params.iter().chain(effects) {
            let symbol = self.symbol(&param.name, Kind::Variable);
            self.params.insert((at, &param.name.text), symbol);
        }
    }

    fn function(&mut self, at: usize, def: &'m Def) {
        let own = self.params.range((at, "")..(at + 1, ""));
        self.local = own.map(|((_, name), symbol)| (*name, *symbol)).collect();
        let mut called: Vec<&Call> = Vec::new();
        calls(def, &mut |call| called.push(call));
        for call in called {
            self.mention(&call.name);
            call.names.iter().for_each(|name| self.argument(call, name));
        }
    }

    /// The name of an argument is that of a parameter of what is called.
    fn argument(&mut self, call: &Call, name: &Name) {
        let callee = call.name.text.as_str();
        let Some(function) = self.module.get(callee).filter(|_| !self.local.contains_key(callee)) else { return };
        let (Kind::Function(at) | Kind::Bound(at)) = self.names.symbols[*function].kind else { return };
        if let Some(symbol) = self.params.get(&(at, name.text.as_str())) {
            self.names.uses.push(Use { span: name.span, symbol: *symbol, role: Role::Reference });
        }
    }

    fn mention(&mut self, name: &Name) {
        let found = self.local.get(name.text.as_str()).or_else(|| self.module.get(name.text.as_str()));
        if let Some(symbol) = found {
            self.names.uses.push(Use { span: name.span, symbol: *symbol, role: Role::Reference });
        }
    }
}
