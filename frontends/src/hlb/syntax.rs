//! The syntax tree: what is written, comments and line breaks included, for printing it again and for lowering it.

use std::ops::Range;

/// A piece of the text, in bytes.
pub(super) type At = Range<u32>;

/// A file: declarations, line breaks and comments, in order.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) items: Vec<Item>,
}

#[derive(Debug)]
pub(super) enum Item {
    Import(Import),
    Export(Export),
    Function(Function),
    Newline,
    /// With its line break, as every comment.
    Comment(At),
}

impl Item {
    /// Where it stands; a line break is no more than what is between others.
    pub(super) fn at(&self) -> Option<&At> {
        match self {
            Self::Import(import) => Some(&import.at),
            Self::Export(export) => Some(&export.at),
            Self::Function(function) => Some(&function.at),
            Self::Comment(at) => Some(at),
            Self::Newline => None,
        }
    }
}

/// `import name from expr`.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) name: At,
    pub(super) from: Expr,
    /// Whether the word `from` is there.
    pub(super) keyword: bool,
    pub(super) at: At,
}

/// `export name`.
#[derive(Debug)]
pub(super) struct Export {
    pub(super) name: At,
    pub(super) at: At,
}

/// `type name(params) binds (effects) { … }`.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) ty: At,
    pub(super) name: At,
    pub(super) params: List<Field>,
    pub(super) effects: Option<List<Field>>,
    pub(super) block: Option<Block>,
    pub(super) at: At,
}

/// Something in parentheses.
#[derive(Debug)]
pub(super) struct List<T> {
    pub(super) entries: Vec<Entry<T>>,
    pub(super) at: At,
}

impl<T> List<T> {
    pub(super) fn items(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(|entry| if let Entry::Item(item) = entry { Some(item) } else { None })
    }
}

#[derive(Debug)]
pub(super) enum Entry<T> {
    Item(T),
    Newline,
    Comment(At),
}

/// `variadic type name`, or `type name = literal`.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) variadic: bool,
    pub(super) ty: At,
    pub(super) name: At,
    pub(super) default: Option<Expr>,
}

/// `{ … }`.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) items: Vec<Statement>,
    pub(super) at: At,
}

#[derive(Debug)]
pub(super) enum Statement {
    Call(Call, End),
    Expr(Expr, End),
    Newline,
    Comment(At),
    /// What could not be parsed.
    Hole(At),
}

/// What ends a statement.
#[derive(Debug)]
pub(super) enum End {
    None,
    Semicolon,
    Newline,
    Comment(At),
}

/// `name args with options as names`.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: Ref,
    pub(super) args: Vec<Arg>,
    pub(super) with: Option<Expr>,
    pub(super) bind: Option<Bind>,
}

/// `value`, or `name=value`.
#[derive(Debug)]
pub(super) struct Arg {
    pub(super) name: Option<At>,
    pub(super) value: Expr,
}

/// `name` or `module.name`.
#[derive(Debug)]
pub(super) struct Ref {
    pub(super) name: At,
    pub(super) member: Option<At>,
}

impl Ref {
    pub(super) fn at(&self) -> At {
        self.name.start..self.member.as_ref().unwrap_or(&self.name).end
    }
}

/// `as name`, `as (effect name, …)`, or only `as`.
#[derive(Debug)]
pub(super) struct Bind {
    pub(super) keyword: At,
    pub(super) names: BindNames,
}

#[derive(Debug)]
pub(super) enum BindNames {
    None,
    One(At),
    List(List<(At, At)>),
}

#[derive(Debug)]
pub(super) struct Expr {
    pub(super) kind: ExprKind,
    pub(super) at: At,
}

impl Expr {
    /// Whether it is a block without statements: as options it says nothing.
    pub(super) fn is_empty_block(&self) -> bool {
        let is_code = |statement: &Statement| !matches!(statement, Statement::Newline | Statement::Comment(_));
        matches!(&self.kind, ExprKind::Block(_, block) if !block.items.iter().any(is_code))
    }
}

#[derive(Debug)]
pub(super) enum ExprKind {
    /// `type { … }`.
    Block(At, Block),
    /// `name` or `name(args)`.
    Call(Ref, Option<List<Arg>>),
    Decimal(i64),
    /// Its base is in the text.
    Numeric(i64),
    Bool(bool),
    /// All of its parts.
    Text(Form, Vec<Part>),
    /// `if condition { … } else { … }`.
    Choice(Box<Choice>),
}

/// One block or another.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) condition: Condition,
    pub(super) then: Block,
    pub(super) otherwise: Option<Otherwise>,
}

/// `value`, `left == right`, or `left != right`.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) left: Expr,
    /// What it is compared with, and whether it must be the same.
    pub(super) right: Option<(bool, Expr)>,
}

/// What follows `else`.
#[derive(Debug)]
pub(super) enum Otherwise {
    Block(Block),
    Choice(Box<Choice>),
}

/// How a string is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Quoted,
    Raw,
    /// Opener and terminator; whether it has no holes.
    Heredoc(At, At, bool),
}

#[derive(Debug)]
pub(super) enum Part {
    Text(At),
    Escaped(At),
    /// `${expr}`; empty where there is none.
    Hole(Option<Box<Expr>>, At),
}
