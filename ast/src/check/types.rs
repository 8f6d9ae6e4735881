//! The second pass: every call against what it calls.

use super::CODE;
use super::names::check_fields;
use super::scope::{Object, Place, Scope, gives, is_breakpoint, kind_of, type_of};
use crate::{
    Block, Body, Call, Choice, Def, Diagnostic, Expr, ExprKind, Label, Module, Name, Op, Param, Piece, Premise, Span,
    Template,
};
use crate::{builtin, types};

type Checked<T = ()> = Result<T, Box<Diagnostic>>;

/// Types that are welcome, in the order of their names.
#[derive(Clone, Debug)]
pub(super) struct Kinds<'t>(Vec<&'t str>);

impl<'t> Kinds<'t> {
    pub(super) fn one(kind: &'t str) -> Self {
        Self(vec![kind])
    }

    fn of(kinds: &[&'t str]) -> Self {
        let mut kinds = kinds.to_vec();
        kinds.sort_unstable();
        Self(kinds)
    }

    /// Options whose function nobody named are options of every function.
    fn has(&self, kind: &str) -> bool {
        self.0.contains(&kind) || kind == types::OPTION && self.0.iter().any(|known| types::is_options(known))
    }

    /// What is welcome where a pipeline is: everything that can be solved, or has nothing to solve.
    fn widened(&self) -> Self {
        if !self.0.contains(&types::PIPELINE) {
            return self.clone();
        }
        let more = [types::STRING, types::INT, types::BOOL, types::FS];
        Self::of(
            &self.0.iter().copied().chain(more.into_iter().filter(|kind| !self.0.contains(kind))).collect::<Vec<_>>(),
        )
    }

    fn wrong(&self, found: &str, at: Span, mut also: Vec<Label>) -> Box<Diagnostic> {
        let expected = match &self.0[..] {
            [one] => format!("type {one}"),
            several => format!("one of types [{}]", several.join(" ")),
        };
        let mut error = Diagnostic::error(CODE, format!("cannot use {found} as {expected}"), at);
        error.also.append(&mut also);
        Box::new(error)
    }

    fn check(&self, found: &str, at: Span, also: Vec<Label>) -> Checked {
        if self.has(found) { Ok(()) } else { Err(self.wrong(found, at, also)) }
    }
}

/// A module that is imported, with its names.
pub(super) type Imported<'s, 'm> = Option<(&'s str, &'m Module, &'s Scope<'m>)>;

/// Checks a module. What it calls of other modules is passed over, but for one that is given.
pub(super) fn check<'m>(module: &'m Module, scope: &Scope<'m>, imported: Imported<'_, 'm>) -> Vec<Diagnostic> {
    let typer = Typer { place: Place { scope, function: None }, imported };
    let mut errors: Vec<(u32, Box<Diagnostic>)> = Vec::new();
    let mut keep = |at: u32, checked: Checked| errors.extend(checked.err().map(|error| (at, error)));
    for import in &module.imports {
        keep(import.span.start, typer.expr(&Kinds::of(&[types::FS, types::STRING]), &import.from));
    }
    for export in &module.exports {
        keep(export.span.start, typer.export(export));
    }
    for def in module.defs.iter().filter(|def| matches!(def.body, Body::Block(_))) {
        let typer = Typer { place: Place { scope, function: Some(def) }, imported };
        keep(def.span.start, typer.function(def));
    }
    errors.sort_by_key(|(at, _)| *at);
    errors.into_iter().map(|(_, error)| *error).collect()
}

/// Checks what stands in one place.
#[derive(Clone, Copy)]
pub(super) struct Typer<'s, 'm> {
    place: Place<'s, 'm>,
    imported: Imported<'s, 'm>,
}

/// What a call calls.
pub(super) struct Callee<'m> {
    pub(super) object: Object<'m>,
    /// The primitive, if it is one.
    pub(super) row: Option<&'static builtin::Row>,
    /// Where it is declared.
    pub(super) span: Span,
    /// The types of its parameters, and whether the last takes all that is left.
    params: Vec<&'m str>,
    /// Their names.
    names: Vec<&'m str>,
    /// How many of them must be given.
    required: usize,
    variadic: bool,
    /// Whether nothing more can be said of it now.
    open: bool,
}

impl<'s, 'm> Typer<'s, 'm> {
    pub(super) fn new(place: Place<'s, 'm>) -> Self {
        Self { place, imported: None }
    }

    fn export(&self, name: &Name) -> Checked {
        match self.place.find(&name.text) {
            Some(_) => Ok(()),
            None => Err(self.undefined(name, None, Vec::new(), self.place)),
        }
    }

    fn function(&self, def: &'m Def) -> Checked {
        check_fields(&def.params)?;
        check_fields(def.signature.as_ref().map_or(&[], |signature| &signature.effects))?;
        let Body::Block(block) = &def.body else { return Ok(()) };
        self.block(block, &block.gives.text)
    }

    fn block(&self, block: &'m Block, gives: &str) -> Checked {
        let kinds = Kinds::one(gives);
        block.steps.iter().try_for_each(|step| match &step.op {
            Op::Call(call) => self.call(&kinds, call),
            Op::Value(Expr { kind: ExprKind::Choice(choice), .. }) => self.choice(choice, gives),
            Op::Value(expr) => self.expr(&kinds, expr),
            _ => Ok(()),
        })
    }

    fn call(&self, kinds: &Kinds<'_>, call: &'m Call) -> Checked {
        if is_breakpoint(call) {
            return Ok(());
        }
        let callee = self.callee(kinds, call)?;
        if callee.open {
            return Ok(());
        }
        let mut params = callee.params;
        let mut names = callee.names;
        if let Some(last) = params.pop_if(|_| callee.variadic) {
            params.resize(call.args.len().max(params.len()), last);
            names.pop();
        }
        let required = callee.required.min(params.len());
        if !(required..=params.len()).contains(&call.args.len()) {
            return Err(self.wrong_count(call, (required, params.len()), callee.span));
        }
        check_names(call, &names, callee.span)?;
        let slots = call.slots(&names);
        if let Some(missing) = (0..required).find(|at| slots.get(*at).is_none_or(Option::is_none)) {
            let message = format!("`{}` is not given `{}`", call.name.text, names[missing]);
            return Err(Box::new(Diagnostic::error(CODE, message, call.name.span).also(callee.span, "defined here")));
        }
        let given = params.into_iter().zip(slots).filter_map(|(kind, arg)| Some((kind, arg?)));
        given.into_iter().try_for_each(|(kind, arg)| self.expr(&Kinds::one(kind), arg))?;
        match call.with.as_deref() {
            Some(with) => self.options(&call.name.text, with),
            None => Ok(()),
        }
    }

    /// A block of options takes its type from what is called.
    fn options(&self, function: &str, with: &'m Expr) -> Checked {
        let kind = types::options_of(function);
        match &with.kind {
            ExprKind::Block(block) if block.gives.text == types::OPTION => self.block(block, &kind),
            _ => self.expr(&Kinds::one(&kind), with),
        }
    }

    fn wrong_count(&self, call: &Call, (least, most): (usize, usize), defined: Span) -> Box<Diagnostic> {
        let expected = if least == most { most.to_string() } else { format!("{least} to {most}") };
        let message = format!("`{}` expected {expected} args, found {}", call.name.text, call.args.len());
        let mut error = Diagnostic::error(CODE, message, call.name.span).also(defined, "defined here");
        if let (Some(_), Some(import)) = (&call.member, self.place.find(&call.name.text)) {
            error = error.also(import.span(), "imported here");
        }
        if call.args.len() < least {
            error = error.help("arguments stand on the line of the call");
        }
        Box::new(error)
    }

    fn expr(&self, kinds: &Kinds<'_>, expr: &'m Expr) -> Checked {
        let kinds = kinds.widened();
        match &expr.kind {
            ExprKind::Block(block) => {
                kinds.check(&block.gives.text, block.gives.span, Vec::new())?;
                // The function that plain options are for is known only after `with`.
                let gives = if block.gives.text == types::OPTION { types::NONE } else { &block.gives.text };
                self.block(block, gives)
            }
            ExprKind::Call(call) => self.call(&kinds, call),
            // A choice is a statement, and looked at as such.
            ExprKind::Choice(_) | ExprKind::Hole => Ok(()),
            ExprKind::Text(template) if kinds.has(types::STRING) => self.template(template),
            ExprKind::Text(_) | ExprKind::Int(_) | ExprKind::Bool(_) => self.literal(&kinds, expr),
        }
    }

    /// Comparing needs two values of the type that the first one has.
    fn choice(&self, choice: &'m Choice, gives: &str) -> Checked {
        match &choice.condition {
            Premise { left, right: None } => self.expr(&Kinds::one(types::BOOL), left)?,
            Premise { left, right: Some((_, right)) } => {
                let comparable = [types::STRING, types::INT, types::BOOL];
                self.expr(&Kinds::of(&comparable), left)?;
                let fits = |ty: &&&str| self.expr(&Kinds::one(ty), left).is_ok();
                let ty = comparable.iter().find(fits).copied().unwrap_or(types::STRING);
                self.expr(&Kinds::one(ty), right)?;
            }
        }
        choice.blocks().try_for_each(|block| self.block(block, gives))
    }

    fn literal(&self, kinds: &Kinds<'_>, expr: &Expr) -> Checked {
        let kind = kind_of(expr);
        if kinds.has(kind) {
            return Ok(());
        }
        // parity: the last of several types is the one that is named.
        Err(Kinds(kinds.0.last().copied().into_iter().collect()).wrong(kind, expr.span, Vec::new()))
    }

    fn template(&self, template: &'m Template) -> Checked {
        let kinds = Kinds::of(&[types::STRING, types::INT, types::BOOL]);
        template.pieces.iter().try_for_each(|piece| match piece {
            Piece::Expr(Expr { kind: ExprKind::Hole, span }) => {
                let error = Diagnostic::error(CODE, "there is nothing in `${}`", *span);
                Err(Box::new(error.help("write `\\${}` if that is what the text holds")))
            }
            Piece::Expr(expr) => self.expr(&kinds, expr),
            Piece::Text(_) => Ok(()),
            Piece::BadEscape(span) => {
                let error = Diagnostic::error(CODE, "invalid syntax", *span).also(*span, "no such escape");
                Err(Box::new(error.help("escapes are \\$ \\\" \\\\ \\a \\b \\f \\n \\r \\t \\v; a backslash is \\\\")))
            }
        })
    }

    /// What a call calls, if that gives a type that is welcome.
    pub(super) fn callee(&self, kinds: &Kinds<'_>, call: &Call) -> Checked<Callee<'m>> {
        let Some(object) = self.place.find(&call.name.text) else {
            return Err(self.undefined(&call.name, Some(&kinds.0), Vec::new(), self.place));
        };
        match (&call.member, object) {
            (Some(member), Object::Import(import)) => self.imported(kinds, call, member, import.name.span, object),
            (Some(member), _) => {
                let message = "cannot use dot notation with non-import";
                // The place is that of the dot and what follows it.
                let at = Span { start: call.name.span.end, ..member.span };
                Err(Box::new(Diagnostic::error(CODE, message, at).also(object.span(), "defined here")))
            }
            (None, Object::Import(import)) => {
                let error = Diagnostic::error(CODE, "cannot call an imported module", call.name.span);
                Err(Box::new(error.also(import.name.span, "use dot notation to call exported functions")))
            }
            (None, _) => self.resolve(kinds, object, call.name.span, Vec::new()),
        }
    }

    fn imported(
        &self,
        kinds: &Kinds<'_>,
        call: &Call,
        member: &Name,
        import: Span,
        object: Object<'m>,
    ) -> Checked<Callee<'m>> {
        let known = self.imported.filter(|(name, ..)| *name == call.name.text);
        let Some((_, module, scope)) = known else {
            let (params, names, span) = (Vec::new(), Vec::new(), object.span());
            return Ok(Callee { object, row: None, span, params, names, required: 0, variadic: false, open: true });
        };
        let also = vec![Label { span: import, message: "imported here".to_owned() }];
        let place = Place { scope, function: None };
        let Some(found) = place.find(&member.text).filter(|found| !matches!(found, Object::Builtin(_))) else {
            return Err(self.undefined(member, Some(&kinds.0), also, place));
        };
        if !module.exports.iter().any(|name| name.text == member.text) {
            let message = format!("cannot call unexported function `{}`", member.text);
            let mut error = Diagnostic::error(CODE, message, member.span);
            error.also = also;
            return Err(Box::new(error.help(format!("add `export {}` to the module", member.text))));
        }
        self.resolve(kinds, found, member.span, also)
    }

    fn resolve(&self, kinds: &Kinds<'_>, object: Object<'m>, at: Span, mut also: Vec<Label>) -> Checked<Callee<'m>> {
        let mut row = None;
        let (gives, params, names, variadic): (&str, Vec<&'m str>, Vec<&'m str>, bool) = match object {
            Object::Builtin(rows) => {
                let found = self.overload(kinds, rows, at)?;
                row = Some(found);
                let variadic = found.params.last().is_some_and(|param| param.variadic);
                let names = found.params.iter().map(|param| param.name).collect();
                (found.gives, found.params.iter().map(|param| param.ty).collect(), names, variadic)
            }
            Object::Function(def) => (gives(def), params(&def.params), names(&def.params), is_variadic(&def.params)),
            Object::Bound { function: def, gives, .. } => {
                (gives, params(&def.params), names(&def.params), is_variadic(&def.params))
            }
            Object::Field(param) => (type_of(param), Vec::new(), Vec::new(), false),
            Object::Import(import) => (kind_of(&import.from), Vec::new(), Vec::new(), false),
        };
        let span = row.map_or(object.span(), |row| row.span);
        also.push(Label { span, message: "defined here".to_owned() });
        kinds.check(gives, at, also)?;
        let required = match object {
            Object::Function(def) | Object::Bound { function: def, .. } => required(&def.params),
            _ => params.len(),
        };
        Ok(Callee { object, row, span, params, names, required, variadic, open: false })
    }

    /// The primitive of a name that gives what is welcome; if there is one primitive only, that.
    fn overload(&self, kinds: &Kinds<'_>, rows: &[&'static builtin::Row], at: Span) -> Checked<&'static builtin::Row> {
        let fitting = kinds.0.iter().find_map(|kind| rows.iter().find(|row| row.gives == *kind));
        match (fitting, rows) {
            (Some(row), _) | (None, [row]) => Ok(row),
            (None, _) => {
                let first = rows.iter().map(|row| row.gives).min().unwrap_or(types::NONE);
                Err(kinds.wrong(first, at, Vec::new()))
            }
        }
    }

    fn undefined(
        &self,
        name: &Name,
        wanted: Option<&[&str]>,
        also: Vec<Label>,
        place: Place<'_, 'm>,
    ) -> Box<Diagnostic> {
        let message = format!("`{}` is undefined or not in scope", name.text);
        let mut error = Diagnostic::error(CODE, message, name.span);
        error.also = also;
        if let Some((meant, span)) = place.scope.suggest(place.function, &name.text, wanted) {
            error.also.push(Label { span, message: format!("did you mean `{meant}`?") });
        } else {
            let meant = crate::suggest(&name.text, builtin::names());
            error.help = meant.map(|meant| format!("did you mean the builtin `{meant}`?"));
        }
        Box::new(error)
    }
}

fn params(params: &[Param]) -> Vec<&str> {
    params.iter().map(type_of).collect()
}

fn names(params: &[Param]) -> Vec<&str> {
    params.iter().map(|param| param.name.text.as_str()).collect()
}

/// Arguments with names: each names a parameter that nothing else is given to.
fn check_names(call: &Call, params: &[&str], defined: Span) -> Checked {
    let (places, _) = call.split_args();
    for (at, name) in call.names.iter().enumerate() {
        let is_known = |known: &Name| known.text == name.text;
        let message = match params.iter().position(|param| *param == name.text) {
            Some(param) if param < places.len() || call.names[..at].iter().any(is_known) => {
                format!("`{}` is given twice", name.text)
            }
            Some(_) => continue,
            None => {
                let message = format!("`{}` has no parameter `{}` to be given by name", call.name.text, name.text);
                crate::with_suggestion(message, crate::suggest(&name.text, params.iter().copied()))
            }
        };
        return Err(Box::new(Diagnostic::error(CODE, message, name.span).also(defined, "defined here")));
    }
    Ok(())
}

/// How many arguments must be given.
fn required(params: &[Param]) -> usize {
    params.iter().take_while(|param| param.default.is_none()).count()
}

fn is_variadic(params: &[Param]) -> bool {
    params.last().is_some_and(|param| param.variadic)
}
