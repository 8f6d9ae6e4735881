//! What HLB's own linter finds: forms of old, each with the edit that mends it.

use ast::{Diagnostic, Edit, FileId, Fix, Span};

use super::syntax::*;

/// What `pipeline` was called.
pub(super) const OLD_TYPE: &str = "group";
/// What [`NEW_FUNCTION`] was called.
pub(super) const OLD_FUNCTION: &str = "parallel";
/// The function that makes a stage.
pub(super) const NEW_FUNCTION: &str = "stage";

/// The findings of a file, in its order.
pub(super) fn lint(text: &str, file: &File, id: FileId) -> Vec<Diagnostic> {
    let mut linter = Linter { text, id, found: Vec::new() };
    for item in &file.items {
        match item {
            Item::Import(import) => linter.import(import),
            Item::Function(function) => linter.function(function),
            _ => {}
        }
    }
    linter.found
}

struct Linter<'t> {
    text: &'t str,
    id: FileId,
    found: Vec<Diagnostic>,
}

impl Linter<'_> {
    fn report(&mut self, code: &'static str, message: &str, at: &At, fix: (&str, At, &str)) {
        let (title, edited, new) = fix;
        let span = |at: &At| Span::new(self.id, at.start, at.end);
        let mut finding = Diagnostic::warning(code, message, span(at));
        let edits = vec![Edit { span: span(&edited), text: new.to_owned() }];
        finding.fix = Some(Fix { title: title.to_owned(), safe: true, edits });
        self.found.push(finding);
    }

    fn import(&mut self, import: &Import) {
        if !import.keyword {
            let at = &import.from.at;
            let fix = ("write `from`", at.start..at.start, "from ");
            self.report("DeprecatedImport", "import path without keyword \"from\" is deprecated", at, fix);
        }
        self.expr(&import.from);
    }

    fn ty(&mut self, at: &At) {
        if &self.text[at.start as usize..at.end as usize] == OLD_TYPE {
            let message = "type `group` is deprecated, use `pipeline` instead";
            self.report("DeprecatedType", message, at, ("write `pipeline`", at.clone(), ast::types::PIPELINE));
        }
    }

    fn reference(&mut self, name: &Ref) {
        let at = &name.name;
        if name.member.is_none() && &self.text[at.start as usize..at.end as usize] == OLD_FUNCTION {
            let message = "function `parallel` is deprecated, use `stage` instead";
            self.report("DeprecatedFunction", message, at, ("write `stage`", at.clone(), NEW_FUNCTION));
        }
    }

    fn function(&mut self, function: &Function) {
        self.ty(&function.ty);
        function.params.items().for_each(|field| self.ty(&field.ty));
        if let Some(block) = &function.block {
            self.block(block);
        }
    }

    fn block(&mut self, block: &Block) {
        for statement in &block.items {
            match statement {
                Statement::Call(call, _) => {
                    self.reference(&call.name);
                    call.args.iter().map(|arg| &arg.value).chain(&call.with).for_each(|value| self.expr(value));
                }
                Statement::Expr(expr, _) => self.expr(expr),
                _ => {}
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Block(ty, block) => {
                self.ty(ty);
                self.block(block);
            }
            ExprKind::Call(name, args) => {
                self.reference(name);
                args.iter().flat_map(List::items).for_each(|arg| self.expr(&arg.value));
            }
            ExprKind::Text(_, parts) => {
                for part in parts {
                    if let Part::Hole(Some(expr), _) = part {
                        self.expr(expr);
                    }
                }
            }
            ExprKind::Choice(choice) => self.choice(choice),
            ExprKind::Decimal(_) | ExprKind::Numeric(_) | ExprKind::Bool(_) => {}
        }
    }

    fn choice(&mut self, choice: &Choice) {
        self.expr(&choice.condition.left);
        choice.condition.right.iter().for_each(|(_, right)| self.expr(right));
        self.block(&choice.then);
        match &choice.otherwise {
            Some(Otherwise::Block(block)) => self.block(block),
            Some(Otherwise::Choice(choice)) => self.choice(choice),
            None => {}
        }
    }
}
