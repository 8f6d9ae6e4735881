//! Templates as trees.

use std::collections::BTreeMap;

/// How deep actions and parentheses may be nested.
const MOST_NESTED: usize = 64;

/// Lists of nodes by name; the main one has none.
pub(super) type Templates = BTreeMap<String, Vec<Node>>;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    /// Prints its value, unless it sets a variable.
    Action(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    /// What goes over elements is never used, since no value has any.
    Range(Pipeline, Vec<Node>),
    Template(String, Option<Pipeline>),
}

/// Commands, each of which gets the value of the one before as its last argument.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipeline {
    /// Variables that it sets, and whether they are new.
    pub(super) variables: Vec<String>,
    pub(super) declares: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

#[derive(Clone, Debug)]
pub(super) enum Operand {
    Text(String),
    Int(i64),
    Bool(bool),
    Nil,
    /// A function, by name.
    Function(String),
    /// Names after dots; none is the dot itself.
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Pipeline(Box<Pipeline>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Field(String),
    Variable(String),
    Text(String),
    Number(i64),
    Dot,
    Pipe,
    Open,
    Close,
    Declare,
    Assign,
    Comma,
}

/// A stretch of the template.
enum Piece {
    Text(String),
    Action(Vec<Token>, usize),
}

/// Reads a template.
pub(super) fn parse(text: &str) -> Result<Templates, String> {
    let pieces = pieces(text)?;
    let mut parser = Parser { pieces: pieces.into_iter(), templates: Templates::new(), line: 1, depth: 0 };
    let (main, end) = parser.nodes()?;
    if end != End::Text {
        return Err(parser.error(&format!("unexpected {{{{{}}}}}", end.word())));
    }
    parser.templates.insert(String::new(), main);
    Ok(parser.templates)
}

/// The functions of Go's templates.
const FUNCTIONS: &[&str] = &[
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print", "printf",
    "println", "slice", "urlquery",
];

fn at_line(line: usize, message: &str) -> String {
    format!("template: :{line}: {message}")
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut line = 1;
    let mut trim = false;
    loop {
        let start = rest.find("{{");
        let before = &rest[..start.unwrap_or(rest.len())];
        let shown = if trim { before.trim_start() } else { before };
        let Some(start) = start else {
            pieces.push(Piece::Text(shown.to_owned()));
            return Ok(pieces);
        };
        line += before.matches('\n').count();
        let mut action = &rest[start + 2..];
        let trims_before = action.starts_with('-') && action[1..].starts_with([' ', '\t', '\n', '\r']);
        pieces.push(Piece::Text(if trims_before { shown.trim_end() } else { shown }.to_owned()));
        if trims_before {
            action = &action[1..];
        }
        let (tokens, length, trims_after) = self::action(action).map_err(|message| at_line(line, &message))?;
        if let Some(tokens) = tokens {
            pieces.push(Piece::Action(tokens, line));
        }
        line += action[..length].matches('\n').count();
        rest = &action[length..];
        trim = trims_after;
    }
}

/// The tokens of an action (none of a comment), its length with the braces, and whether it trims what follows.
fn action(text: &str) -> Result<(Option<Vec<Token>>, usize, bool), String> {
    if let Some(comment) = text.trim_start().strip_prefix("/*") {
        let start = text.len() - comment.len();
        let end = comment.find("*/").ok_or("unclosed comment")?;
        let after = &comment[end + 2..];
        let close = after.find("}}").ok_or("comment ends before closing delimiter")?;
        return Ok((None, start + end + 2 + close + 2, after[..close].trim_start().starts_with('-')));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let Some(c) = rest.chars().next() else { return Err("unclosed action".to_owned()) };
        if rest.starts_with("}}") {
            return Ok((Some(tokens), at + 2, false));
        }
        if c.is_whitespace() {
            let blank = rest.len() - rest.trim_start().len();
            if rest[blank..].starts_with("-}}") {
                return Ok((Some(tokens), at + blank + 3, true));
            }
            at += blank;
            continue;
        }
        let (token, length) = token(rest)?;
        tokens.push(token);
        at += length;
    }
}

fn token(text: &str) -> Result<(Token, usize), String> {
    let word = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let first = text.chars().next().unwrap_or_default();
    Ok(match first {
        '|' => (Token::Pipe, 1),
        '(' => (Token::Open, 1),
        ')' => (Token::Close, 1),
        ',' => (Token::Comma, 1),
        ':' if text.starts_with(":=") => (Token::Declare, 2),
        '=' => (Token::Assign, 1),
        '.' => match word(&text[1..]) {
            0 => (Token::Dot, 1),
            length => (Token::Field(text[1..=length].to_owned()), length + 1),
        },
        '$' => {
            let length = word(&text[1..]) + 1;
            (Token::Variable(text[..length].to_owned()), length)
        }
        '"' => quoted(text)?,
        '`' => {
            let end = text[1..].find('`').ok_or("unterminated raw quoted string")?;
            (Token::Text(text[1..=end].to_owned()), end + 2)
        }
        '0'..='9' | '-' | '+' => {
            let length = 1 + text[1..].bytes().take_while(u8::is_ascii_digit).count();
            let number = text[..length].parse().map_err(|_| format!("bad number syntax: {:?}", &text[..length]))?;
            (Token::Number(number), length)
        }
        c if c.is_alphabetic() || c == '_' => {
            let length = word(text);
            (Token::Word(text[..length].to_owned()), length)
        }
        c => return Err(format!("unexpected {c:?} in command")),
    })
}

fn quoted(text: &str) -> Result<(Token, usize), String> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Text(out), at + 1)),
            '\n' => break,
            '\\' => out.push(match chars.next().map(|(_, c)| c) {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(c @ ('\\' | '"' | '\'')) => c,
                _ => return Err("invalid syntax in a quoted string".to_owned()),
            }),
            c => out.push(c),
        }
    }
    Err("unterminated quoted string".to_owned())
}

/// What ended a list of nodes.
#[derive(Clone, PartialEq)]
enum End {
    Text,
    Closed,
    Else(Vec<Token>),
}

impl End {
    fn word(&self) -> &'static str {
        match self {
            Self::Text => "EOF",
            Self::Closed => "end",
            Self::Else(_) => "else",
        }
    }
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    templates: Templates,
    line: usize,
    depth: usize,
}

impl Parser {
    fn error(&self, message: &str) -> String {
        at_line(self.line, message)
    }

    fn nodes(&mut self) -> Result<(Vec<Node>, End), String> {
        self.depth += 1;
        if self.depth > MOST_NESTED {
            return Err(self.error("nested too deeply"));
        }
        let mut nodes = Vec::new();
        let end = loop {
            match self.pieces.next() {
                None => break End::Text,
                Some(Piece::Text(text)) if text.is_empty() => {}
                Some(Piece::Text(text)) => nodes.push(Node::Text(text)),
                Some(Piece::Action(tokens, line)) => {
                    self.line = line;
                    let keyword = if let Some(Token::Word(word)) = tokens.first() { word.as_str() } else { "" };
                    match keyword {
                        "end" => break End::Closed,
                        "else" => break End::Else(tokens[1..].to_vec()),
                        _ => nodes.extend(self.action(keyword.to_owned(), &tokens)?),
                    }
                }
            }
        };
        self.depth -= 1;
        Ok((nodes, end))
    }

    fn action(&mut self, keyword: String, tokens: &[Token]) -> Result<Option<Node>, String> {
        let make: fn(Pipeline, Vec<Node>, Vec<Node>) -> Node = match keyword.as_str() {
            "if" => Node::If,
            "with" => Node::With,
            "range" => |over, _, otherwise| Node::Range(over, otherwise),
            "define" => return self.define(tokens).map(|_| None),
            "block" => {
                let name = self.define(tokens)?;
                return self.pipeline(&tokens[2..]).map(|value| Some(Node::Template(name, Some(value))));
            }
            "template" => return self.template(tokens).map(Some),
            "break" | "continue" => return Err(self.error(&format!("{{{{{keyword}}}}} has nothing to go over"))),
            _ => return self.pipeline(tokens).map(|value| Some(Node::Action(value))),
        };
        self.branch(make, &tokens[1..]).map(Some)
    }

    fn branch(&mut self, make: fn(Pipeline, Vec<Node>, Vec<Node>) -> Node, tokens: &[Token]) -> Result<Node, String> {
        let condition = self.pipeline(tokens)?;
        let (then, end) = self.nodes()?;
        let otherwise = match end {
            End::Text => return Err(self.error("unexpected EOF")),
            End::Closed => Vec::new(),
            End::Else(tokens) => match tokens.split_first() {
                None => match self.nodes()? {
                    (nodes, End::Closed) => nodes,
                    _ => return Err(self.error("expected end")),
                },
                Some((Token::Word(word), rest)) if word == "if" => vec![self.branch(Node::If, rest)?],
                Some((Token::Word(word), rest)) if word == "with" => vec![self.branch(Node::With, rest)?],
                Some(_) => return Err(self.error("unexpected token in else")),
            },
        };
        Ok(make(condition, then, otherwise))
    }

    fn name(&self, tokens: &[Token]) -> Result<String, String> {
        match tokens.get(1) {
            Some(Token::Text(name)) => Ok(name.clone()),
            _ => Err(self.error("expected the name of a template in quotes")),
        }
    }

    fn define(&mut self, tokens: &[Token]) -> Result<String, String> {
        let name = self.name(tokens)?;
        match self.nodes()? {
            (nodes, End::Closed) => drop(self.templates.insert(name.clone(), nodes)),
            _ => return Err(self.error("unexpected EOF in a template")),
        }
        Ok(name)
    }

    fn template(&mut self, tokens: &[Token]) -> Result<Node, String> {
        let name = self.name(tokens)?;
        let value = if tokens.len() > 2 { Some(self.pipeline(&tokens[2..])?) } else { None };
        Ok(Node::Template(name, value))
    }

    fn pipeline(&mut self, tokens: &[Token]) -> Result<Pipeline, String> {
        self.depth += 1;
        if self.depth > MOST_NESTED {
            return Err(self.error("nested too deeply"));
        }
        let mut pipeline = Pipeline::default();
        let mut rest = tokens;
        let set = tokens.iter().position(|token| matches!(token, Token::Declare | Token::Assign));
        if let (Some(Token::Variable(_)), Some(set)) = (tokens.first(), set) {
            pipeline.declares = tokens[set] == Token::Declare;
            let names = tokens[..set].iter();
            pipeline.variables = names
                .filter_map(|token| if let Token::Variable(name) = token { Some(name.clone()) } else { None })
                .collect();
            rest = &tokens[set + 1..];
        }
        let mut command = Vec::new();
        let mut at = 0;
        while let Some(token) = rest.get(at) {
            at += 1;
            match token {
                Token::Pipe => pipeline.commands.push(std::mem::take(&mut command)),
                Token::Open => {
                    let close = closing(&rest[at..]).ok_or_else(|| self.error("unclosed left paren"))?;
                    command.push(Operand::Pipeline(Box::new(self.pipeline(&rest[at..at + close])?)));
                    at += close + 1;
                }
                other => command.push(self.operand(other, rest, &mut at)?),
            }
        }
        pipeline.commands.push(command);
        if pipeline.commands.iter().any(Vec::is_empty) {
            return Err(self.error("missing value for command"));
        }
        self.depth -= 1;
        Ok(pipeline)
    }

    fn operand(&self, token: &Token, rest: &[Token], at: &mut usize) -> Result<Operand, String> {
        let mut fields = || {
            let mut names = Vec::new();
            while let Some(Token::Field(name)) = rest.get(*at) {
                names.push(name.clone());
                *at += 1;
            }
            names
        };
        Ok(match token {
            Token::Text(text) => Operand::Text(text.clone()),
            Token::Number(number) => Operand::Int(*number),
            Token::Dot => Operand::Field(Vec::new()),
            Token::Field(name) => Operand::Field(std::iter::once(name.clone()).chain(fields()).collect()),
            Token::Variable(name) => Operand::Variable(name.clone(), fields()),
            Token::Word(word) => match word.as_str() {
                "true" | "false" => Operand::Bool(word == "true"),
                "nil" => Operand::Nil,
                name if FUNCTIONS.contains(&name) => Operand::Function(word.clone()),
                name => return Err(self.error(&format!("function {} not defined", ast::quote(name.as_bytes())))),
            },
            _ => return Err(self.error("unexpected token in operand")),
        })
    }
}

/// Where the parenthesis closes that is open.
fn closing(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0_usize;
    tokens.iter().position(|token| match token {
        Token::Open => {
            depth += 1;
            false
        }
        Token::Close if depth == 0 => true,
        Token::Close => {
            depth -= 1;
            false
        }
        _ => false,
    })
}
