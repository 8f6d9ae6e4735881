//! What functional languages add to the tree: typed functions, calls, blocks as values, imports.
//!
//! A function is a [`crate::Def`] whose body is a [`Block`]: statements that fold over one value, as the steps of a stage
//! fold over a filesystem. Calls name what they call; [`crate::check`] says whether there is such a thing, planning applies
//! it. Primitives ([`crate::builtin`]) are called like functions, so that there is one kind of call.

use crate::{Name, Param, Span, Step};

/// Types that are known to everybody. A type is any name: `option::run`, or one nobody knows.
pub mod types {
    /// Text.
    pub const STRING: &str = "string";
    /// A number.
    pub const INT: &str = "int";
    /// A truth value.
    pub const BOOL: &str = "bool";
    /// A filesystem with its image metadata.
    pub const FS: &str = "fs";
    /// Solves in an order.
    pub const PIPELINE: &str = "pipeline";
    /// Options of the function that is called; of which one is known only there.
    pub const OPTION: &str = "option";
    /// What has no value.
    pub const NONE: &str = "none";

    /// The type of options of a function.
    pub fn options_of(function: &str) -> String {
        format!("{OPTION}::{function}")
    }

    /// The type of a block of options of a call, which may leave it to the call to say what they are for.
    pub fn of_options(block: &super::Block, call: &super::Call) -> String {
        if block.gives.text == OPTION { options_of(&call.name.text) } else { block.gives.text.clone() }
    }

    /// Whether a type is one of options.
    pub fn is_options(name: &str) -> bool {
        name.strip_prefix(OPTION).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

/// The type, effects and parameters of a [`crate::Def`] are its signature; stages have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What it gives.
    pub gives: Name,
    /// What it can bind beside its value.
    pub effects: Vec<Param>,
    /// Whether it has a body; one without gives the empty value.
    pub body: bool,
}

/// A module that a module uses.
#[derive(Clone, Debug)]
pub struct Import {
    /// What it is called here.
    pub name: Name,
    /// Where it is: a string (an address) or a filesystem that holds it.
    pub from: Expr,
    /// All of it.
    pub span: Span,
}

/// Statements that fold over one value.
#[derive(Clone, Debug)]
pub struct Block {
    /// The type of the value.
    pub gives: Name,
    /// The statements: [`crate::Op::Call`], [`crate::Op::Value`] and holes.
    pub steps: Vec<Step>,
    /// All of it, the type included where it is written.
    pub span: Span,
}

/// A function applied to arguments.
#[derive(Clone, Debug)]
pub struct Call {
    /// A parameter, function, bound name, builtin, or an import.
    pub name: Name,
    /// What of the import.
    pub member: Option<Name>,
    /// The arguments.
    pub args: Vec<Expr>,
    /// The options.
    pub with: Option<Box<Expr>>,
    /// What its effects are called.
    pub bind: Option<Bind>,
    /// Name, member and arguments, in whatever form the language gives them.
    pub span: Span,
}

impl Call {
    /// Name and member.
    pub fn callee(&self) -> Span {
        self.member.as_ref().map_or(self.name.span, |member| self.name.span.to(member.span))
    }
}

/// Names for the effects of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The word `as`.
    pub keyword: Span,
    /// The names.
    pub names: Vec<BoundName>,
    /// Whether it is a list, which may be empty.
    pub list: bool,
}

/// A name for an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundName {
    /// Which effect; `None` is the first.
    pub effect: Option<Name>,
    /// The name, which is that of a function with the parameters of the one it stands in.
    pub name: Name,
}

/// A value to be.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Which.
    pub kind: ExprKind,
    /// Where.
    pub span: Span,
}

/// What values are made of.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A text with holes.
    Text(Template),
    /// A number.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A function without a name, called where it stands.
    Block(Block),
    /// What a call gives.
    Call(Box<Call>),
    /// Could not be parsed; a diagnostic says why.
    Hole,
}

/// A text whose pieces are put together and then laid out.
#[derive(Clone, Debug)]
pub struct Template {
    /// The pieces, in order.
    pub pieces: Vec<Piece>,
    /// What is done with the whole.
    pub layout: Layout,
}

/// A piece of a text.
#[derive(Clone, Debug)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// A string, a number or a truth value.
    Expr(Expr),
    /// An escape that does not exist.
    BadEscape(Span),
}

/// What is done with a text once its pieces are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Nothing.
    #[default]
    Plain,
    /// Line breaks around it go, and tabs after it.
    Document,
    /// The same, then the margin that all its lines have goes.
    Dedent,
    /// The same, then its lines are one line.
    Fold,
}
