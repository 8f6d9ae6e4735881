//! Blocks and calls: what names stand for, and what statements do to a value.

use ast::builtin::Row;
use ast::check::Object;
use ast::{
    Block, Body, Call, Choice, Def, Expr, ExprKind, Name, Op, Param, Piece, Span, Step, Template, builtin, types,
};

use super::super::settings::Settings;
use super::super::stop::{Done, Stop};
use super::value::{Applied, Trace, Value};
use super::{Arg, Evaluator, Fault, Frame, MOST_CALLS, MOST_DEPTH, MOST_TEXT, layout, traced};

/// A builtin that is applied.
pub(super) struct Application<'f> {
    pub(super) row: &'static Row,
    pub(super) args: Vec<Value>,
    /// Where the arguments stand.
    pub(super) spans: Vec<Span>,
    pub(super) options: Vec<Applied>,
    /// The effect that is wanted in place of the value, and the word `as`.
    pub(super) effect: Option<(&'static str, Span)>,
    /// The module of the call.
    pub(super) module: usize,
    pub(super) trace: &'f Trace,
}

impl<'a> Evaluator<'a> {
    /// Evaluates a function of the main module that nobody calls.
    pub(super) fn run_target(&mut self, object: Object<'a>, settings: &Settings<'_>) -> Done<Value> {
        let (def, selected) = match object {
            Object::Function(def) => (def, None),
            Object::Bound { name, function, .. } => (function, Some(name.span)),
            _ => return Err(Stop::Unknown),
        };
        if def.signature.as_ref().is_some_and(|signature| !signature.body) {
            return Ok(Value::Request(super::value::Request::Nothing));
        }
        let args = self.target_args(def, settings)?;
        let gives = object.gives().unwrap_or(types::FS);
        let zero = Value::zero(gives, &self.platform);
        self.function(0, def, &args, selected, Trace::default(), zero)
    }

    /// Parameters of a target are build arguments.
    fn target_args(&self, def: &Def, settings: &Settings<'_>) -> Done<Vec<Arg>> {
        let given = |param: &Param| settings.build_args.get(param.name.text.as_str()).map(|text| (*text).to_owned());
        let value = |param: &Param| given(param).or_else(|| default_of(param));
        let values: Vec<Option<String>> = def.params.iter().map(value).collect();
        if let Some(missing) = values.iter().position(Option::is_none) {
            let name = def.name.as_ref().map_or("", |name| name.text.as_str());
            let found = values.iter().flatten().count();
            let message = format!("`{name}` expected {} args, got {found}", def.params.len());
            let param = &def.params[missing].name;
            let help = format!("give it a value: --build-arg {}=VALUE", param.text);
            return Err(Stop::error(message).help(help).point(def.name.as_ref().map_or(def.span, |name| name.span)));
        }
        let typed = def.params.iter().zip(values.into_iter().flatten()).map(|(param, text)| {
            let wrong = || {
                let ty = type_of(param);
                Stop::error(format!("a build argument cannot be a value of type {ty}")).point(param.name.span)
            };
            typed(param, &text).map(|value| Arg { value: Ok(value) }).ok_or_else(wrong)
        });
        typed.collect()
    }

    /// Evaluates the body of a function on a value.
    pub(super) fn function(
        &mut self,
        module: usize,
        def: &'a Def,
        args: &[Arg],
        selected: Option<Span>,
        trace: Trace,
        value: Value,
    ) -> Done<Value> {
        let Body::Block(block) = &def.body else { return Ok(value) };
        self.enter(def, &trace)?;
        let frame = Frame { module, def: Some(def), args, selected, trace };
        let result = self.block(&frame, block, &block.gives.text, value);
        self.active.pop();
        self.depth -= 1;
        result
    }

    /// Counts a call. A function that is being evaluated needs itself: modules may import each other.
    fn enter(&mut self, def: &Def, trace: &Trace) -> Done {
        let name = def.name.as_ref().map_or("", |name| name.text.as_str());
        self.calls += 1;
        let stop = if self.active.contains(&def.span) {
            Stop::error(format!("`{name}` needs itself")).help("a function cannot call itself: nothing would end that")
        } else if self.depth == MOST_DEPTH {
            Stop::error(format!("calls are nested more than {MOST_DEPTH} levels deep"))
        } else if self.calls > MOST_CALLS {
            Stop::error(format!("there are more than {MOST_CALLS} calls"))
                .help("functions call others several times, over and over")
        } else {
            self.active.push(def.span);
            self.depth += 1;
            return Ok(());
        };
        Err(traced(stop, trace))
    }

    /// Folds the statements of a block over a value. One whose value is unknown is passed over, so that all questions are
    /// found at once.
    pub(super) fn block(&mut self, frame: &Frame<'a, '_>, block: &'a Block, gives: &str, value: Value) -> Done<Value> {
        let mut value = value;
        let mut unknown = false;
        for step in &block.steps {
            let before = value.clone();
            match self.statement(frame, step, gives, value) {
                Ok(after) => value = after,
                Err(Stop::Unknown) => {
                    unknown = true;
                    value = before;
                }
                Err(error) => return Err(error),
            }
        }
        if unknown { Err(Stop::Unknown) } else { Ok(value) }
    }

    fn statement(&mut self, frame: &Frame<'a, '_>, step: &'a Step, gives: &str, value: Value) -> Done<Value> {
        match &step.op {
            Op::Call(call) => self.call(frame, call, gives, value),
            Op::Value(Expr { kind: ExprKind::Choice(choice), .. }) => match self.choose(frame, choice)? {
                Some(block) => self.block(frame, block, gives, value),
                None => Ok(value),
            },
            Op::Value(expr) => {
                let new = self.expr(frame, expr, gives)?;
                Ok(replace(value, new))
            }
            _ => Ok(value),
        }
    }

    /// The value of an expression, which starts from nothing.
    pub(super) fn expr(&mut self, frame: &Frame<'a, '_>, expr: &'a Expr, gives: &str) -> Done<Value> {
        match &expr.kind {
            ExprKind::Int(value) => Ok(Value::Int(*value)),
            ExprKind::Bool(value) => Ok(Value::Bool(*value)),
            ExprKind::Text(template) => self.template(frame, template).map(Value::Text),
            ExprKind::Block(block) => {
                let zero = Value::zero(&block.gives.text, &self.platform);
                self.block(frame, block, &block.gives.text, zero)
            }
            ExprKind::Call(call) => {
                let zero = self.zero_of(frame, call, gives);
                self.call(frame, call, gives, zero)
            }
            // A choice is a statement.
            ExprKind::Choice(_) | ExprKind::Hole => Err(Stop::Unknown),
        }
    }

    /// The block of a choice that is taken, if there is one.
    fn choose(&mut self, frame: &Frame<'a, '_>, choice: &'a Choice) -> Done<Option<&'a Block>> {
        let left = self.expr(frame, &choice.condition.left, types::STRING)?;
        let holds = match &choice.condition.right {
            None => left.bool().map_err(|stop| stop.point(choice.condition.left.span))?,
            Some((same, right)) => (left.text()? == self.expr(frame, right, types::STRING)?.text()?) == *same,
        };
        let otherwise = choice.otherwise.as_ref();
        let (taken, left_out) = if holds { (Some(&choice.then), otherwise) } else { (otherwise, Some(&choice.then)) };
        // What is bound in the other block is not there.
        let is_in = |block: &&Block| {
            frame.selected.is_some_and(|name| block.span.start <= name.start && name.end <= block.span.end)
        };
        match (left_out.filter(is_in), frame.selected) {
            (Some(_), Some(name)) => Err(Stop::error("what is bound here is in a block that is not taken").point(name)),
            _ => Ok(taken),
        }
    }

    /// What a call that is an argument starts from: the zero of what it gives, which may be less than what is welcome.
    fn zero_of(&mut self, frame: &Frame<'a, '_>, call: &Call, gives: &str) -> Value {
        let ty = match self.find(frame, &call.name) {
            Some(Object::Builtin(rows)) => row(rows, gives).map(|row| row.gives),
            Some(Object::Import(import)) => self.module(frame.module, import).ok().and_then(|module| {
                let member = call.member.as_ref()?;
                self.modules[module].scope.find(&member.text)?.gives()
            }),
            Some(object) => object.gives(),
            None => None,
        };
        Value::zero(ty.unwrap_or(gives), &self.platform)
    }

    fn template(&mut self, frame: &Frame<'a, '_>, template: &'a Template) -> Done<String> {
        let mut text = String::new();
        for piece in &template.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Expr(expr) => {
                    let value = self.expr(frame, expr, types::STRING)?;
                    text.push_str(&value.text().map_err(|stop| stop.point(expr.span))?);
                }
                Piece::BadEscape(at) => return Err(Stop::error("invalid syntax").point(*at)),
            }
        }
        let text = layout::lay_out(text, template.layout);
        self.grow(text.len())?;
        Ok(text)
    }

    /// Counts the bytes of a string that was made.
    pub(super) fn grow(&mut self, by: usize) -> Done {
        self.text = self.text.saturating_add(by);
        if self.text <= MOST_TEXT {
            return Ok(());
        }
        let message = format!("strings come to more than {} MiB", MOST_TEXT >> 20);
        Err(Stop::error(message).help("a string is put into others, over and over: keep long texts in files"))
    }

    /// What a name stands for in a frame.
    fn find(&self, frame: &Frame<'a, '_>, name: &Name) -> Option<Object<'a>> {
        self.modules[frame.module].scope.find_in(frame.def, &name.text)
    }

    /// Applies what is called to a value.
    pub(super) fn call(&mut self, frame: &Frame<'a, '_>, call: &'a Call, gives: &str, value: Value) -> Done<Value> {
        if call.name.text == "breakpoint" && call.member.is_none() {
            return Ok(value);
        }
        let unknown =
            || Stop::error(format!("`{}` is undefined or not in scope", call.name.text)).point(call.name.span);
        let object = self.find(frame, &call.name).ok_or_else(unknown)?;
        let trace = frame.trace.call(call.callee());
        match object {
            Object::Field(_) => self.parameter(frame, &call.name, value).map_err(|stop| traced(stop, &trace)),
            Object::Builtin(rows) => match row(rows, gives) {
                Some(row) => self.builtin(frame, call, row, &trace, value).map_err(|stop| traced(stop, &trace)),
                None => Err(unknown()),
            },
            Object::Import(import) => {
                let member = call.member.as_ref().ok_or_else(unknown)?;
                let module = self.module(frame.module, import)?;
                let object = self.modules[module].scope.find(&member.text).ok_or_else(unknown)?;
                self.user(frame, call, module, object, trace, value)
            }
            Object::Function(_) | Object::Bound { .. } => self.user(frame, call, frame.module, object, trace, value),
        }
    }

    fn parameter(&mut self, frame: &Frame<'a, '_>, name: &Name, value: Value) -> Done<Value> {
        let params = frame.def.map_or(&[][..], |def| &def.params);
        let Some(at) = params.iter().position(|param| param.name.text == name.text) else { return Ok(value) };
        let Some(arg) = frame.args.get(at) else { return Err(Stop::Unknown) };
        match &arg.value {
            Ok(given) => Ok(replace(value, given.clone())),
            Err(fault) => Err(fault.into()),
        }
    }

    fn user(
        &mut self,
        frame: &Frame<'a, '_>,
        call: &'a Call,
        module: usize,
        object: Object<'a>,
        trace: Trace,
        value: Value,
    ) -> Done<Value> {
        let (def, selected) = match object {
            Object::Function(def) => (def, None),
            Object::Bound { name, function, .. } => (function, Some(name.span)),
            _ => return Err(Stop::Unknown),
        };
        let types: Vec<&str> = def.params.iter().map(type_of).collect();
        let names: Vec<&str> = def.params.iter().map(|param| param.name.text.as_str()).collect();
        let args = self.args(frame, &call.slots(&names), &types, false);
        let args = gather(def, args);
        self.function(module, def, &args, selected, trace, value)
    }

    /// All arguments, each in the frame of the caller; `None` is for what is given nothing.
    fn args(
        &mut self,
        frame: &Frame<'a, '_>,
        slots: &[Option<&'a Expr>],
        types: &[&str],
        in_bound_mount: bool,
    ) -> Vec<Option<Arg>> {
        let last = types.last().copied().unwrap_or(types::STRING);
        let mut args = Vec::with_capacity(slots.len());
        for (at, expr) in slots.iter().enumerate() {
            let Some(expr) = expr else {
                args.push(None);
                continue;
            };
            let ty = types.get(at).copied().unwrap_or(last);
            let value = match &expr.kind {
                ExprKind::Call(call) if in_bound_mount => self.bound_mount_input(frame, call, ty),
                _ => self.expr(frame, expr, ty),
            };
            match value {
                Ok(Value::Several(values)) => {
                    args.extend(values.into_iter().map(|value| Some(Arg { value: Ok(value) })));
                }
                value => args.push(Some(Arg { value: value.map_err(Fault::from) })),
            }
        }
        args
    }

    fn builtin(
        &mut self,
        frame: &Frame<'a, '_>,
        call: &'a Call,
        row: &'static Row,
        trace: &Trace,
        value: Value,
    ) -> Done<Value> {
        let wanted = call.bind.iter().flat_map(|bind| bind.names.iter().map(move |name| (bind, name)));
        let selected = wanted.into_iter().find(|(_, bound)| Some(bound.name.span) == frame.selected);
        let effect = selected.and_then(|(bind, bound)| {
            let named = bound.effect.as_ref();
            let found = row.effects.iter().find(|effect| named.is_none_or(|name| name.text == effect.name))?;
            Some((found.name, bind.keyword))
        });
        let types: Vec<&str> = row.params.iter().map(|param| param.ty).collect();
        let names: Vec<&str> = row.params.iter().map(|param| param.name).collect();
        let slots = call.slots(&names);
        let args = self.args(frame, &slots, &types, effect.is_some_and(|(name, _)| name == "target"));
        let mut values = Vec::with_capacity(args.len());
        let mut unknown = false;
        for arg in args.into_iter().flatten() {
            match arg.value {
                Ok(value) => values.push(value),
                Err(Fault(None)) => unknown = true,
                Err(Fault(Some(error))) => return Err(Stop::Error(error)),
            }
        }
        let options = self.options(frame, call, row, trace);
        if unknown {
            return Err(Stop::Unknown);
        }
        let application = Application {
            row,
            args: values,
            spans: slots.iter().flatten().map(|arg| arg.span).collect(),
            options: options?,
            effect,
            module: frame.module,
            trace,
        };
        self.apply(application, value)
    }

    fn options(&mut self, frame: &Frame<'a, '_>, call: &'a Call, row: &Row, trace: &Trace) -> Done<Vec<Applied>> {
        let Some(with) = call.with.as_deref() else { return Ok(Vec::new()) };
        let inner = Frame { trace: trace.clone(), ..frame.clone() };
        let ty = types::options_of(row.name);
        let value = match &with.kind {
            ExprKind::Block(block) => {
                let gives = types::of_options(block, call);
                self.block(&inner, block, &gives, Value::Options(Vec::new()))?
            }
            _ => self.expr(&inner, with, &ty)?,
        };
        value.options().map_err(|stop| stop.point(with.span))
    }

    /// parity: a local directory that is the input of a bound mount is copied first.
    fn bound_mount_input(&mut self, frame: &Frame<'a, '_>, call: &'a Call, ty: &str) -> Done<Value> {
        let is_local = matches!(self.find(frame, &call.name), Some(Object::Builtin(rows)) if rows[0].builtin == builtin::Builtin::Local);
        let zero = self.zero_of(frame, call, ty);
        let value = self.call(frame, call, ty, zero)?;
        if is_local { self.copied(value) } else { Ok(value) }
    }
}

/// The primitive that gives what is welcome; the only one, if there is one only.
fn row(rows: &[&'static Row], gives: &str) -> Option<&'static Row> {
    let fitting = rows.iter().find(|row| row.gives == gives).copied();
    fitting.or(if let [only] = rows {
        Some(only)
    } else {
        rows.iter().find(|row| !types::is_options(row.gives)).copied()
    })
}

/// A new value in place of another; options are added.
fn replace(old: Value, new: Value) -> Value {
    match (old, new) {
        (Value::Options(mut all), Value::Options(more)) => {
            all.extend(more);
            Value::Options(all)
        }
        (_, new) => new,
    }
}

fn type_of(param: &Param) -> &str {
    param.ty.as_ref().map_or(types::STRING, |ty| ty.text.as_str())
}

/// What a parameter is when nothing is given, as text.
fn default_of(param: &Param) -> Option<String> {
    param.default.as_ref().map(|default| default.raw().lossy().into_owned())
}

/// A text as a value of a parameter's type.
fn typed(param: &Param, text: &str) -> Option<Value> {
    match type_of(param) {
        types::STRING => Some(Value::Text(text.to_owned())),
        types::INT => text.parse().ok().map(Value::Int),
        types::BOOL => text.parse().ok().map(Value::Bool),
        _ => None,
    }
}

/// Adds the defaults of parameters that were given nothing; what a variadic parameter takes is one argument.
fn gather(def: &Def, args: Vec<Option<Arg>>) -> Vec<Arg> {
    let mut args: Vec<Option<Arg>> = args;
    args.resize_with(args.len().max(def.params.len()), || None);
    let default = |param: &Param| Some(Arg { value: Ok(typed(param, &default_of(param)?)?) });
    let filled = args.into_iter().enumerate().map(|(at, arg)| arg.or_else(|| default(def.params.get(at)?)));
    let mut args: Vec<Arg> = filled.flatten().collect();
    if !def.params.last().is_some_and(|param| param.variadic) {
        return args;
    }
    let rest = args.split_off(args.len().min(def.params.len() - 1));
    let value = rest.into_iter().map(|arg| arg.value).collect::<Result<Vec<_>, _>>().map(Value::Several);
    args.push(Arg { value });
    args
}
