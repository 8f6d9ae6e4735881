//! Recursive descent with recovery: every error is reported, and there is always a tree.
//!
//! Mirrors HLB's parser in what is accepted and in where the first error is: an optional part that fails after one token was
//! not meant, one that fails later is an error where it fails.

use super::lex::{Kind, Token, lex};
use super::syntax::*;

/// How deep blocks, arguments and holes may be nested: far more than people write, far less than the stack holds.
const MOST_NESTED: u32 = 128;

/// An error of the syntax.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: At,
    pub(super) message: String,
    pub(super) help: Option<&'static str>,
}

/// Where parsing failed; the error is recorded.
struct Failed;

type Parsed<T> = Result<T, Failed>;

/// Parses a text. The first fault is the one to report when only one is wanted.
pub(super) fn parse(text: &str) -> (File, Vec<Fault>) {
    let tokens = lex(text);
    let invalid = invalid_tokens(text, &tokens);
    let mut parser = Parser { text, tokens: &tokens, at: 0, depth: 0, too_deep: false, faults: Vec::new() };
    let file = parser.file();
    // HLB reads all tokens before it parses, so what is no token is its first error.
    let mut faults = invalid;
    faults.extend(parser.faults);
    (file, faults)
}

fn invalid_tokens(text: &str, tokens: &[Token]) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for token in tokens.iter().filter(|token| token.kind == Kind::Invalid) {
        match faults.last_mut() {
            // A run of them is one mistake.
            Some(last) if last.at.end == token.range.start => last.at.end = token.range.end,
            _ => faults.push(Fault { at: token.range.clone(), message: String::new(), help: None }),
        }
    }
    for fault in &mut faults {
        let found = &text[fault.at.start as usize..fault.at.end as usize];
        fault.message = format!("invalid input text {found:?}");
        fault.help = match found.chars().next() {
            Some('\'') => Some("strings stand in double quotes, or in backticks"),
            Some('\\') => Some("a statement ends with its line; arguments in parentheses or braces may go on"),
            Some('}') => Some("there is no `{` that it closes"),
            Some(')') => Some("there is no `(` that it closes"),
            Some('.') => Some("a dot stands between a module and a name, without spaces"),
            Some(',') => Some("arguments of a statement have spaces between them"),
            _ => None,
        };
    }
    faults
}

struct Parser<'t> {
    text: &'t str,
    tokens: &'t [Token],
    at: usize,
    depth: u32,
    /// Whether something was nested too deeply: what follows is no news.
    too_deep: bool,
    faults: Vec<Fault>,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Kind {
        self.tokens[self.at].kind
    }

    fn peek_after(&self, count: usize) -> Kind {
        self.tokens.get(self.at + count).map_or(Kind::Eof, |token| token.kind)
    }

    fn range(&self) -> At {
        self.tokens[self.at].range.clone()
    }

    fn slice(&self, at: &At) -> &'t str {
        &self.text[at.start as usize..at.end as usize]
    }

    /// The end of the token before.
    fn end(&self) -> u32 {
        self.at.checked_sub(1).map_or(0, |before| self.tokens[before].range.end)
    }

    fn next(&mut self) -> At {
        let range = self.range();
        if self.peek() != Kind::Eof {
            self.at += 1;
        }
        range
    }

    fn eat(&mut self, kind: Kind) -> Option<At> {
        (self.peek() == kind).then(|| self.next())
    }

    fn expect(&mut self, kind: Kind, what: &str) -> Parsed<At> {
        match self.eat(kind) {
            Some(range) => Ok(range),
            None => Err(self.unexpected(what)),
        }
    }

    fn unexpected(&mut self, expected: &str) -> Failed {
        self.unexpected_at(self.at, expected)
    }

    fn unexpected_at(&mut self, at: usize, expected: &str) -> Failed {
        let token = &self.tokens[at];
        // What is no token was reported as such.
        if token.kind != Kind::Invalid && !self.too_deep {
            let found = match token.kind {
                Kind::Eof => "end of file".to_owned(),
                Kind::Newline => "end of line".to_owned(),
                _ => format!("{:?}", self.slice(&token.range)),
            };
            let message = format!("unexpected {found} (expected {expected})");
            let help = (token.kind == Kind::OpenParen && expected == STATEMENT)
                .then_some("a statement takes its arguments without parentheses");
            self.faults.push(Fault { at: token.range.clone(), message, help });
        }
        Failed
    }

    /// Parses something nested, unless it is nested too deeply.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MOST_NESTED {
            let message = format!("nested more than {MOST_NESTED} levels deep");
            let help = Some("give the inner part a name: make it a function");
            self.faults.push(Fault { at: self.range(), message, help });
            // Nothing after this can be told apart from what is inside: one error is enough.
            self.too_deep = true;
            self.at = self.tokens.len() - 1;
            return Err(Failed);
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn file(&mut self) -> File {
        let mut file = File::default();
        while self.peek() != Kind::Eof {
            match self.item() {
                Ok(item) => file.items.push(item),
                Err(Failed) => self.skip_declaration(),
            }
        }
        file
    }

    fn item(&mut self) -> Parsed<Item> {
        match self.peek() {
            Kind::Newline => {
                self.next();
                Ok(Item::Newline)
            }
            Kind::Comment => Ok(Item::Comment(self.next())),
            Kind::Import => self.import().map(Item::Import),
            Kind::Export => {
                let start = self.next().start;
                let name = self.expect(Kind::Ident, "a name")?;
                Ok(Item::Export(Export { at: start..name.end, name }))
            }
            Kind::Ident => self.function().map(Item::Function),
            _ => Err(self.unexpected("a function, an import or an export")),
        }
    }

    /// Goes on at the next line outside of brackets.
    fn skip_declaration(&mut self) {
        let mut depth = 0_u32;
        loop {
            match self.peek() {
                Kind::Eof => return,
                Kind::Newline if depth == 0 => return,
                // A brace at the start of a line ends a function, whatever is open.
                Kind::CloseBrace if self.starts_line() => {
                    self.next();
                    return;
                }
                Kind::OpenBrace | Kind::OpenParen | Kind::OpenHole => depth += 1,
                Kind::CloseBrace | Kind::CloseParen | Kind::CloseHole => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.next();
        }
    }

    fn starts_line(&self) -> bool {
        let start = self.range().start as usize;
        start == 0 || self.text.as_bytes()[start - 1] == b'\n'
    }

    fn import(&mut self) -> Parsed<Import> {
        let start = self.next().start;
        let name = self.expect(Kind::Ident, "a name")?;
        let keyword = self.peek() == Kind::Ident && self.slice(&self.range()) == "from";
        if keyword {
            self.next();
        } else if self.peek() != Kind::OpenQuote {
            return Err(self.unexpected("`from` and the module"));
        }
        let from = self.expr("the module: a path in quotes, or a filesystem")?;
        Ok(Import { name, from, keyword, at: start..self.end() })
    }

    fn function(&mut self) -> Parsed<Function> {
        let ty = self.next();
        let name = self.expect(Kind::Ident, "a type, a name and parameters")?;
        let params = self.fields()?;
        self.check_defaults(&params);
        let has_effects =
            self.peek() == Kind::Ident && self.slice(&self.range()) == "binds" && self.peek_after(1) == Kind::OpenParen;
        let effects = if has_effects {
            self.next();
            Some(self.fields()?)
        } else {
            None
        };
        let block = if self.peek() == Kind::OpenBrace { Some(self.block()?) } else { None };
        Ok(Function { at: ty.start..self.end(), ty, name, params, effects, block })
    }

    fn fields(&mut self) -> Parsed<List<Field>> {
        let start = self.expect(Kind::OpenParen, "parameters in parentheses")?.start;
        let entries = self.entries(Self::field)?;
        self.expect(Kind::CloseParen, "a type and a name, or `)`")?;
        Ok(List { entries, at: start..self.end() })
    }

    /// `None`: there is no further field here.
    fn field(&mut self) -> Parsed<Option<Field>> {
        let variadic =
            self.peek() == Kind::Ident && self.slice(&self.range()) == "variadic" && self.peek_after(1) == Kind::Ident;
        if !variadic && (self.peek() != Kind::Ident || self.peek_after(1) != Kind::Ident) {
            // A type without a name: the name is what is missing.
            return Ok(None);
        }
        if variadic {
            self.next();
        }
        let ty = self.next();
        let name = self.expect(Kind::Ident, "a type and a name")?;
        let default = if self.peek() == Kind::Equals && !variadic { Some(self.default(&ty)?) } else { None };
        Ok(Some(Field { variadic, ty, name, default }))
    }

    /// `= literal`, of the type of the parameter.
    fn default(&mut self, ty: &At) -> Parsed<Expr> {
        self.next();
        let is_literal = starts_expr(self.peek()) && self.peek() != Kind::Ident;
        if !is_literal {
            return Err(self.unexpected("a string, a number, or true or false"));
        }
        let value = self.expr("a default")?;
        let (kind, constant) = match &value.kind {
            ExprKind::Text(_, parts) => (ast::types::STRING, !parts.iter().any(|part| matches!(part, Part::Hole(..)))),
            ExprKind::Bool(_) => (ast::types::BOOL, true),
            _ => (ast::types::INT, true),
        };
        let ty = self.slice(ty);
        if !constant {
            self.fault(&value.at, "a default is a text without `${}`".to_owned(), "put it together in the function");
        } else if kind != ty {
            let message = format!("a default of type {kind} for a parameter of type {ty}");
            self.fault(&value.at, message, "strings, ints and bools can have defaults");
        }
        Ok(value)
    }

    /// Records what is wrong with something that could be parsed.
    fn fault(&mut self, at: &At, message: String, help: &'static str) {
        self.faults.push(Fault { at: at.clone(), message, help: Some(help) });
    }

    /// A call leaves out arguments from the end on.
    fn check_defaults(&mut self, params: &List<Field>) {
        let without = params
            .items()
            .skip_while(|field| field.default.is_none())
            .find(|field| field.default.is_none() && !field.variadic);
        if let Some(field) = without {
            let message = format!("`{}` has no default, and a parameter before it has", self.slice(&field.name));
            self.fault(&field.name, message, "parameters with defaults come last");
        }
    }

    /// What stands in parentheses, up to what is none of it.
    fn entries<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<Option<T>>) -> Parsed<Vec<Entry<T>>> {
        let mut entries = Vec::new();
        loop {
            match self.peek() {
                Kind::Newline => {
                    self.next();
                    entries.push(Entry::Newline);
                }
                Kind::Comment => entries.push(Entry::Comment(self.next())),
                _ => {
                    let Some(item) = item(self)? else { return Ok(entries) };
                    entries.push(Entry::Item(item));
                    self.eat(Kind::Comma);
                }
            }
        }
    }

    fn block(&mut self) -> Parsed<Block> {
        self.nested(|parser| {
            let start = parser.expect(Kind::OpenBrace, "a block")?.start;
            let mut items = Vec::new();
            loop {
                match parser.peek() {
                    Kind::CloseBrace => break,
                    Kind::Eof => return Err(parser.unexpected("`}`")),
                    _ => {}
                }
                let from = parser.at;
                match parser.statement() {
                    Ok(statement) => items.push(statement),
                    Err(Failed) => {
                        parser.skip_statement();
                        let end = parser.end().max(parser.tokens[from].range.start);
                        items.push(Statement::Hole(parser.tokens[from].range.start..end));
                    }
                }
            }
            parser.next();
            Ok(Block { items, at: start..parser.end() })
        })
    }

    /// Goes on after the statement that failed: at the end of its line or of its block.
    fn skip_statement(&mut self) {
        let mut depth = 0_u32;
        loop {
            match self.peek() {
                Kind::Eof => return,
                Kind::Newline | Kind::Semicolon if depth == 0 => {
                    self.next();
                    return;
                }
                Kind::CloseBrace if depth == 0 || self.starts_line() => return,
                Kind::OpenBrace | Kind::OpenParen | Kind::OpenHole => depth += 1,
                Kind::CloseBrace | Kind::CloseParen | Kind::CloseHole => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.next();
        }
    }

    fn statement(&mut self) -> Parsed<Statement> {
        match self.peek() {
            Kind::Newline => {
                self.next();
                Ok(Statement::Newline)
            }
            Kind::Comment => Ok(Statement::Comment(self.next())),
            Kind::Ident if self.is_word(IF) && !self.is_called() => {
                let expr = self.choice_expr()?;
                self.statement_end().map(|end| Statement::Expr(expr, end))
            }
            Kind::Ident => {
                let call = self.call()?;
                self.statement_end().map(|end| Statement::Call(call, end))
            }
            kind if starts_expr(kind) => {
                let expr = self.expr(STATEMENT)?;
                self.statement_end().map(|end| Statement::Expr(expr, end))
            }
            _ => Err(self.unexpected(STATEMENT)),
        }
    }

    fn is_word(&self, word: &str) -> bool {
        self.peek() == Kind::Ident && self.slice(&self.range()) == word
    }

    /// Whether nothing follows that a condition could be: then the word is a name as any other.
    fn is_called(&self) -> bool {
        matches!(self.peek_after(1), Kind::Newline | Kind::Semicolon | Kind::Comment | Kind::CloseBrace | Kind::Dot)
    }

    fn choice_expr(&mut self) -> Parsed<Expr> {
        let start = self.range().start;
        let choice = self.nested(Self::choice)?;
        Ok(Expr { kind: ExprKind::Choice(Box::new(choice)), at: start..self.end() })
    }

    fn choice(&mut self) -> Parsed<Choice> {
        self.next();
        let condition = self.condition()?;
        let then = self.block()?;
        let otherwise = if self.is_word(ELSE) {
            self.next();
            Some(match self.is_word(IF) {
                true => Otherwise::Choice(Box::new(self.nested(Self::choice)?)),
                false => Otherwise::Block(self.block()?),
            })
        } else {
            None
        };
        Ok(Choice { condition, then, otherwise })
    }

    fn condition(&mut self) -> Parsed<Condition> {
        let left = self.operand("a condition")?;
        let same = match self.peek() {
            Kind::Same => true,
            Kind::Different => false,
            _ => return Ok(Condition { left, right: None }),
        };
        self.next();
        Ok(Condition { left, right: Some((same, self.operand("what it is compared with")?)) })
    }

    /// A value before a brace that is not its own.
    fn operand(&mut self, expected: &str) -> Parsed<Expr> {
        let start = self.range().start;
        match self.peek() {
            Kind::Ident => {
                let kind = self.call_expr()?;
                Ok(Expr { kind, at: start..self.end() })
            }
            _ => self.expr(expected),
        }
    }

    fn statement_end(&mut self) -> Parsed<End> {
        Ok(match self.peek() {
            Kind::Semicolon => {
                self.next();
                End::Semicolon
            }
            Kind::Newline => {
                self.next();
                End::Newline
            }
            Kind::Comment => End::Comment(self.next()),
            Kind::CloseBrace => End::None,
            kind if starts_expr(kind) => End::None,
            _ => return Err(self.unexpected(STATEMENT)),
        })
    }

    fn call(&mut self) -> Parsed<Call> {
        let name = self.reference()?;
        let mut args = Vec::new();
        while starts_expr(self.peek()) {
            args.push(self.argument()?);
        }
        self.check_order(&args.iter().collect::<Vec<_>>());
        let with = if self.peek() == Kind::With { Some(self.with()?) } else { None };
        let bind = if self.peek() == Kind::As { Some(self.bind()?) } else { None };
        Ok(Call { name, args, with, bind })
    }

    fn argument(&mut self) -> Parsed<Arg> {
        let is_named = self.peek() == Kind::Ident && self.peek_after(1) == Kind::Equals;
        let name = is_named.then(|| {
            let name = self.next();
            self.next();
            name
        });
        Ok(Arg { name, value: self.expr("an argument")? })
    }

    /// Arguments without a name go by their place, which those with one do not have.
    fn check_order(&mut self, args: &[&Arg]) {
        let after = args.iter().skip_while(|arg| arg.name.is_none()).find(|arg| arg.name.is_none());
        if let Some(arg) = after {
            let message = "an argument without a name after one with a name".to_owned();
            self.fault(&arg.value.at, message, "arguments with names come last");
        }
    }

    fn with(&mut self) -> Parsed<Expr> {
        let keyword = self.at;
        self.next();
        if !starts_expr(self.peek()) {
            return Err(self.unexpected_at(keyword, "`with` and options"));
        }
        self.expr("options")
    }

    fn bind(&mut self) -> Parsed<Bind> {
        let keyword = self.next();
        let names = match self.peek() {
            Kind::Ident => BindNames::One(self.next()),
            Kind::OpenParen => BindNames::List(self.bind_list()?),
            _ => BindNames::None,
        };
        Ok(Bind { keyword, names })
    }

    fn bind_list(&mut self) -> Parsed<List<(At, At)>> {
        let opener = self.at;
        let start = self.next().start;
        let pair = |parser: &mut Self| {
            let both = parser.peek() == Kind::Ident && parser.peek_after(1) == Kind::Ident;
            Ok(both.then(|| (parser.next(), parser.next())))
        };
        let entries = self.entries(pair)?;
        self.close_list(opener, "an effect and a name, or `)`")?;
        Ok(List { entries, at: start..self.end() })
    }

    /// Ends a list that is optional: if nothing of it was right, it is its beginning that is wrong.
    fn close_list(&mut self, opener: usize, expected: &str) -> Parsed<()> {
        if self.peek() == Kind::CloseParen {
            self.next();
            return Ok(());
        }
        let at = if self.at == opener + 1 { opener } else { self.at };
        Err(self.unexpected_at(at, expected))
    }

    fn reference(&mut self) -> Parsed<Ref> {
        let name = self.expect(Kind::Ident, "a name")?;
        let has_member = self.peek() == Kind::Dot && self.peek_after(1) == Kind::Ident;
        let member = has_member.then(|| {
            self.next();
            self.next()
        });
        Ok(Ref { name, member })
    }

    fn expr(&mut self, expected: &str) -> Parsed<Expr> {
        let start = self.range().start;
        let kind = match self.peek() {
            Kind::Ident if self.peek_after(1) == Kind::OpenBrace => {
                let ty = self.next();
                ExprKind::Block(ty, self.block()?)
            }
            Kind::Ident => self.call_expr()?,
            Kind::Decimal | Kind::Numeric => self.number()?,
            Kind::Bool => {
                let at = self.next();
                ExprKind::Bool(self.slice(&at) == "true")
            }
            Kind::OpenQuote => self.string()?,
            Kind::OpenRaw => self.raw()?,
            Kind::OpenHeredoc | Kind::OpenRawHeredoc => self.heredoc()?,
            _ => return Err(self.unexpected(expected)),
        };
        Ok(Expr { kind, at: start..self.end() })
    }

    fn call_expr(&mut self) -> Parsed<ExprKind> {
        let name = self.reference()?;
        if self.peek() != Kind::OpenParen {
            return Ok(ExprKind::Call(name, None));
        }
        self.nested(|parser| {
            let opener = parser.at;
            let start = parser.next().start;
            let argument = |parser: &mut Self| match starts_expr(parser.peek()) {
                true => parser.argument().map(Some),
                false => Ok(None),
            };
            let entries = parser.entries(argument)?;
            parser.close_list(opener, "an argument or `)`")?;
            let list = List { entries, at: start..parser.end() };
            parser.check_order(&list.items().collect::<Vec<_>>());
            Ok(ExprKind::Call(name, Some(list)))
        })
    }

    fn number(&mut self) -> Parsed<ExprKind> {
        let text = self.slice(&self.range());
        let (digits, base) = match text.as_bytes() {
            [b'0', b'b' | b'B', ..] => (&text[2..], 2),
            [b'0', b'o' | b'O', ..] => (&text[2..], 8),
            [b'0', b'x' | b'X', ..] => (&text[2..], 16),
            _ => (text, 10),
        };
        let Ok(value) = i64::from_str_radix(digits, base) else {
            return Err(self.unexpected(&format!("a number of base {base} below 2^63")));
        };
        self.next();
        Ok(if base == 10 { ExprKind::Decimal(value) } else { ExprKind::Numeric(value) })
    }

    fn string(&mut self) -> Parsed<ExprKind> {
        self.next();
        let parts = self.parts()?;
        self.expect(Kind::CloseQuote, "the end of the string, `\"`")?;
        Ok(ExprKind::Text(Form::Quoted, parts))
    }

    fn raw(&mut self) -> Parsed<ExprKind> {
        self.next();
        // parity: a raw string is not empty.
        let text = self.expect(Kind::Text, "text; an empty string is `\"\"`")?;
        self.expect(Kind::CloseRaw, "the end of the string, a backtick")?;
        Ok(ExprKind::Text(Form::Raw, vec![Part::Text(text)]))
    }

    fn heredoc(&mut self) -> Parsed<ExprKind> {
        let raw = self.peek() == Kind::OpenRawHeredoc;
        let opener = self.next();
        let parts = self.parts()?;
        let word = self.slice(&opener).trim_start_matches(['<', '-', '~', '`']).trim_end_matches('`').to_owned();
        let end = self.expect(Kind::CloseHeredoc, &format!("the end of the document, `{word}`"))?;
        Ok(ExprKind::Text(Form::Heredoc(opener, end, raw), parts))
    }

    fn parts(&mut self) -> Parsed<Vec<Part>> {
        let mut parts = Vec::new();
        loop {
            match self.peek() {
                Kind::Text => parts.push(Part::Text(self.next())),
                Kind::Escaped => parts.push(Part::Escaped(self.next())),
                Kind::OpenHole => parts.push(self.nested(Self::hole)?),
                _ => return Ok(parts),
            }
        }
    }

    fn hole(&mut self) -> Parsed<Part> {
        let start = self.next().start;
        let expr = if starts_expr(self.peek()) { Some(Box::new(self.expr("a value")?)) } else { None };
        self.expect(Kind::CloseHole, "`}`")?;
        Ok(Part::Hole(expr, start..self.end()))
    }
}

/// Begins a choice, where it begins a statement.
const IF: &str = "if";
/// Begins its second block.
const ELSE: &str = "else";

/// What a block consists of.
const STATEMENT: &str = "a statement or `}`";

fn starts_expr(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Ident
            | Kind::Decimal
            | Kind::Numeric
            | Kind::Bool
            | Kind::OpenQuote
            | Kind::OpenRaw
            | Kind::OpenHeredoc
            | Kind::OpenRawHeredoc
    )
}
