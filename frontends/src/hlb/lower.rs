//! What is written means: the syntax tree as the shared tree.
//!
//! Names stay names: [`ast::check`] looks them up.

use ast::{
    Bind, Block, Body, BoundName, Call, Choice, Comment, Def, Expr, ExprKind, FileId, Import, Layout, Module, Name, Op,
    Param, Piece, Premise, Signature, Span, Step, Str, StrKind, Template, Text,
};

use super::syntax::{self as syntax, *};

/// Lowers a file into a module without diagnostics.
pub(super) fn lower(text: &str, file: &File, id: FileId) -> Module {
    let lowering = Lowering { text, id };
    let mut module = Module {
        file: id,
        dialect: super::DIALECT,
        syntax: None,
        imports: Vec::new(),
        exports: Vec::new(),
        head: Vec::new(),
        defs: Vec::new(),
        goals: Vec::new(),
        contexts: Vec::new(),
        includes: Vec::new(),
        checks: Ok(ast::Checks::default()),
        diagnostics: Vec::new(),
    };
    let mut comments: Vec<Comment> = Vec::new();
    for item in &file.items {
        match item {
            Item::Comment(at) => {
                comments.push(lowering.comment(at));
                continue;
            }
            Item::Newline => {}
            Item::Import(import) => module.imports.push(lowering.import(import)),
            Item::Export(export) => module.exports.push(lowering.name(&export.name)),
            Item::Function(function) => module.defs.push(lowering.function(function, &comments)),
        }
        comments.clear();
    }
    module
}

struct Lowering<'t> {
    text: &'t str,
    id: FileId,
}

impl<'t> Lowering<'t> {
    fn slice(&self, at: &At) -> &'t str {
        &self.text[at.start as usize..at.end as usize]
    }

    fn span(&self, at: &At) -> Span {
        Span::new(self.id, at.start, at.end)
    }

    fn name(&self, at: &At) -> Name {
        Name { text: self.slice(at).to_owned(), span: self.span(at) }
    }

    /// A type; one of a name of old is the one it has now.
    fn ty(&self, at: &At) -> Name {
        let mut name = self.name(at);
        if name.text == super::lint::OLD_TYPE {
            name.text = ast::types::PIPELINE.to_owned();
        }
        name
    }

    fn comment(&self, at: &At) -> Comment {
        let line = self.slice(at).trim_end_matches('\n');
        let end = at.start + line.len() as u32;
        Comment { text: line.trim_start_matches('#').trim().into(), span: self.span(&(at.start..end)) }
    }

    fn import(&self, import: &syntax::Import) -> Import {
        Import { name: self.name(&import.name), from: self.expr(&import.from), span: self.span(&import.at) }
    }

    fn function(&self, function: &Function, comments: &[Comment]) -> Def {
        let gives = self.ty(&function.ty);
        let lines: Vec<_> = comments.iter().map(|comment| comment.text.lossy()).collect();
        let fields = |list: &List<Field>| list.items().map(|field| self.field(field)).collect();
        let (steps, span) = match &function.block {
            Some(block) => (self.steps(block, &gives), self.span(&block.at)),
            None => (Vec::new(), self.span(&function.at)),
        };
        Def {
            name: Some(self.name(&function.name)),
            alias: None,
            doc: (!lines.is_empty()).then(|| Text::from(lines.join("\n").as_str())),
            params: fields(&function.params),
            signature: Some(Signature {
                gives: gives.clone(),
                effects: function.effects.as_ref().map(fields).unwrap_or_default(),
                body: function.block.is_some(),
            }),
            body: Body::Block(Block { gives, steps, span }),
            span: self.span(&function.at),
        }
    }

    fn field(&self, field: &Field) -> Param {
        let (name, ty) = (self.name(&field.name), Some(self.ty(&field.ty)));
        let default = field.default.as_ref().map(|value| self.constant(value));
        Param { name, ty, variadic: field.variadic, default, domain: None, doc: None }
    }

    /// A literal as text; its type is that of the parameter.
    fn constant(&self, value: &syntax::Expr) -> Str {
        let text = match &value.kind {
            syntax::ExprKind::Decimal(number) | syntax::ExprKind::Numeric(number) => number.to_string(),
            syntax::ExprKind::Bool(truth) => truth.to_string(),
            syntax::ExprKind::Text(form, parts) => {
                let template = self.template(form, parts);
                let pieces = template.pieces.iter().map(|piece| if let Piece::Text(text) = piece { text } else { "" });
                pieces.collect()
            }
            _ => String::new(),
        };
        Str { kind: StrKind::Lit(text.as_str().into()), span: self.span(&value.at) }
    }

    fn block(&self, ty: &At, block: &syntax::Block) -> Block {
        let gives = self.ty(ty);
        Block { steps: self.steps(block, &gives), gives, span: self.span(&(ty.start..block.at.end)) }
    }

    /// A block that goes on with the value of the one around it.
    fn branch(&self, gives: &Name, block: &syntax::Block) -> Block {
        Block { gives: gives.clone(), steps: self.steps(block, gives), span: self.span(&block.at) }
    }

    fn choice(&self, gives: &Name, choice: &syntax::Choice) -> Choice {
        let condition = &choice.condition;
        Choice {
            condition: Premise {
                left: self.expr(&condition.left),
                right: condition.right.as_ref().map(|(same, right)| (*same, self.expr(right))),
            },
            then: self.branch(gives, &choice.then),
            otherwise: choice.otherwise.as_ref().map(|otherwise| match otherwise {
                Otherwise::Block(block) => self.branch(gives, block),
                Otherwise::Choice(inner) => self.nested_choice(gives, inner),
            }),
        }
    }

    /// `else if`: a block whose only statement is the choice.
    fn nested_choice(&self, gives: &Name, choice: &syntax::Choice) -> Block {
        let choice = self.choice(gives, choice);
        let otherwise = choice.otherwise.as_ref();
        let span = otherwise.map_or(choice.then.span, |block| choice.then.span.to(block.span));
        let span = choice.condition.left.span.to(span);
        let expr = Expr { kind: ExprKind::Choice(Box::new(choice)), span };
        Block { gives: gives.clone(), steps: vec![step(Op::Value(expr), "", span, span)], span }
    }

    /// The statements of a block that gives a type.
    fn steps(&self, block: &syntax::Block, gives: &Name) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut comments = Vec::new();
        for statement in &block.items {
            let (op, at, keyword, text) = match statement {
                Statement::Comment(at) => {
                    comments.push(self.comment(at));
                    continue;
                }
                Statement::Newline => {
                    comments.clear();
                    continue;
                }
                Statement::Call(call, _) => {
                    (Op::Call(Box::new(self.call(call))), call_at(call), call.name.at(), self.callee(&call.name))
                }
                Statement::Expr(expr, _) => {
                    let value = match &expr.kind {
                        syntax::ExprKind::Choice(choice) => {
                            let kind = ExprKind::Choice(Box::new(self.choice(gives, choice)));
                            Expr { kind, span: self.span(&expr.at) }
                        }
                        _ => self.expr(expr),
                    };
                    (Op::Value(value), expr.at.clone(), expr.at.clone(), String::new())
                }
                Statement::Hole(at) => (Op::Hole, at.clone(), at.clone(), String::new()),
            };
            let step = step(op, &text, self.span(&keyword), self.span(&at));
            steps.push(Step { comments: std::mem::take(&mut comments), ..step });
        }
        steps
    }

    fn call(&self, call: &syntax::Call) -> Call {
        let (name, member) = self.reference(&call.name);
        let end = call.args.last().map_or(call.name.at().end, |arg| arg.value.at.end);
        Call {
            name: self.current(name),
            member,
            args: call.args.iter().map(|arg| self.expr(&arg.value)).collect(),
            names: self.names(call.args.iter()),
            with: call.with.as_ref().filter(|with| !with.is_empty_block()).map(|with| Box::new(self.expr(with))),
            bind: call.bind.as_ref().map(|bind| self.bind(bind)),
            span: self.span(&(call.name.name.start..end)),
        }
    }

    /// The names of the arguments that have one: the last ones.
    fn names<'s>(&self, args: impl Iterator<Item = &'s Arg>) -> Vec<Name> {
        args.filter_map(|arg| arg.name.as_ref()).map(|name| self.name(name)).collect()
    }

    /// A function of a name of old is the one it has now.
    fn current(&self, mut name: Name) -> Name {
        if name.text == super::lint::OLD_FUNCTION {
            name.text = super::lint::NEW_FUNCTION.to_owned();
        }
        name
    }

    /// What is called, as it is printed: a space may stand behind the dot.
    fn callee(&self, name: &Ref) -> String {
        let member = name.member.as_ref().map(|member| format!(".{}", self.slice(member)));
        self.slice(&name.name).to_owned() + &member.unwrap_or_default()
    }

    fn reference(&self, name: &Ref) -> (Name, Option<Name>) {
        (self.name(&name.name), name.member.as_ref().map(|member| self.name(member)))
    }

    fn bind(&self, bind: &syntax::Bind) -> Bind {
        let names = match &bind.names {
            BindNames::None => Vec::new(),
            BindNames::One(name) => vec![BoundName { effect: None, name: self.name(name) }],
            BindNames::List(list) => list
                .items()
                .map(|(effect, name)| BoundName { effect: Some(self.name(effect)), name: self.name(name) })
                .collect(),
        };
        Bind { keyword: self.span(&bind.keyword), names, list: matches!(bind.names, BindNames::List(_)) }
    }

    fn expr(&self, expr: &syntax::Expr) -> Expr {
        let kind = match &expr.kind {
            syntax::ExprKind::Block(ty, block) => ExprKind::Block(self.block(ty, block)),
            syntax::ExprKind::Call(name, args) => {
                ExprKind::Call(Box::new(self.call_expr(name, args.as_ref(), &expr.at)))
            }
            syntax::ExprKind::Decimal(value) | syntax::ExprKind::Numeric(value) => ExprKind::Int(*value),
            syntax::ExprKind::Bool(value) => ExprKind::Bool(*value),
            syntax::ExprKind::Text(form, parts) => ExprKind::Text(self.template(form, parts)),
            // It is a statement; the parser makes it nothing else.
            syntax::ExprKind::Choice(_) => ExprKind::Hole,
        };
        Expr { kind, span: self.span(&expr.at) }
    }

    fn call_expr(&self, name: &Ref, args: Option<&List<Arg>>, at: &At) -> Call {
        let (name, member) = self.reference(name);
        let args = || args.into_iter().flat_map(List::items);
        let names = self.names(args());
        let args = args().map(|arg| self.expr(&arg.value)).collect();
        Call { name: self.current(name), member, args, names, with: None, bind: None, span: self.span(at) }
    }

    fn template(&self, form: &Form, parts: &[Part]) -> Template {
        let mut pieces: Vec<Piece> = Vec::new();
        let push = |pieces: &mut Vec<Piece>, text: &str| match pieces.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => pieces.push(Piece::Text(text.to_owned())),
        };
        for part in parts {
            match part {
                Part::Text(at) => push(&mut pieces, self.slice(at)),
                Part::Escaped(at) => match unescape(self.slice(at), *form == Form::Quoted) {
                    Some(text) => push(&mut pieces, &text),
                    None => pieces.push(Piece::BadEscape(self.span(at))),
                },
                Part::Hole(Some(expr), _) => pieces.push(Piece::Expr(self.expr(expr))),
                Part::Hole(None, at) => pieces.push(Piece::Expr(Expr { kind: ExprKind::Hole, span: self.span(at) })),
            }
        }
        if let Form::Heredoc(..) = form {
            // Its layout drops them anyway, and the terminator may be indented as one likes.
            if let Some(Piece::Text(first)) = pieces.first_mut() {
                first.drain(..first.len() - first.trim_start_matches('\n').len());
            }
            if let Some(Piece::Text(last)) = pieces.last_mut() {
                last.truncate(last.trim_end_matches(['\n', '\t']).len());
            }
        }
        Template { pieces, layout: self.layout(form) }
    }

    fn layout(&self, form: &Form) -> Layout {
        let Form::Heredoc(opener, ..) = form else { return Layout::Plain };
        match self.slice(opener).as_bytes().get(2) {
            Some(b'-') => Layout::Dedent,
            Some(b'~') => Layout::Fold,
            _ => Layout::Document,
        }
    }
}

fn step(op: Op, text: &str, keyword: Span, span: Span) -> Step {
    Step { op, opts: Vec::new(), text: text.into(), comments: Vec::new(), checks: None, blank: None, keyword, span }
}

/// What a backslash and a character stand for; in a document only the dollar sign needs one.
fn unescape(escape: &str, quoted: bool) -> Option<String> {
    let known = match &escape[1..] {
        "$" => "$",
        _ if !quoted => escape,
        "a" => "\x07",
        "b" => "\x08",
        "f" => "\x0c",
        "n" => "\n",
        "r" => "\r",
        "t" => "\t",
        "v" => "\x0b",
        "\\" => "\\",
        "\"" => "\"",
        _ => return None,
    };
    Some(known.to_owned())
}

fn call_at(call: &syntax::Call) -> At {
    let end = call.args.last().map_or(call.name.at().end, |arg| arg.value.at.end);
    let end = call.with.as_ref().map_or(end, |with| with.at.end);
    let end = call.bind.as_ref().map_or(end, |bind| match &bind.names {
        BindNames::None => bind.keyword.end,
        BindNames::One(name) => name.end,
        BindNames::List(list) => list.at.end,
    });
    call.name.name.start..end
}
