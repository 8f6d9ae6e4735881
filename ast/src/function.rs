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
    /// The parameters that the last of the arguments name. **Shape**: one for each of those; the arguments before them go by
    /// their place.
    pub names: Vec<Name>,
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

    /// The arguments that go by their place, and those that go by the name of their parameter.
    pub fn split_args(&self) -> (&[Expr], impl Iterator<Item = (&Name, &Expr)>) {
        // An argument without a name among the last is an error of the syntax; what is left is looked at all the same.
        let (places, named) = self.args.split_at(self.args.len().saturating_sub(self.names.len()));
        (places, self.names.iter().zip(named))
    }

    /// The arguments in the order of the parameters. **Shape**: one entry a parameter up to the last that is given
    /// something, and what is left of the arguments after them; names that no parameter has are passed over.
    pub fn slots(&self, params: &[&str]) -> Vec<Option<&Expr>> {
        let (places, named) = self.split_args();
        let mut slots: Vec<Option<&Expr>> = places.iter().map(Some).collect();
        for (name, value) in named {
            let Some(at) = params.iter().position(|param| *param == name.text) else { continue };
            if slots.len() <= at {
                slots.resize(at + 1, None);
            }
            slots[at].get_or_insert(value);
        }
        slots
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
    /// One block or another, each of which goes on with the value that the block around it has.
    Choice(Box<Choice>),
    /// Could not be parsed; a diagnostic says why.
    Hole,
}

/// One block or another.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What decides.
    pub condition: Premise,
    /// What is taken if it holds.
    pub then: Block,
    /// What is taken if it does not.
    pub otherwise: Option<Block>,
}

impl Choice {
    /// The values that decide.
    pub fn operands(&self) -> impl Iterator<Item = &Expr> {
        std::iter::once(&self.condition.left).chain(self.condition.right.iter().map(|(_, right)| right))
    }

    /// The blocks, one of which is taken.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        std::iter::once(&self.then).chain(&self.otherwise)
    }
}

/// A truth value, or a comparison of strings, numbers or truth values.
#[derive(Clone, Debug)]
pub struct Premise {
    /// What is true, or is compared.
    pub left: Expr,
    /// What it is compared with, and whether it must be the same.
    pub right: Option<(bool, Expr)>,
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
