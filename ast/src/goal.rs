//! What can be asked for by name beside the definitions themselves: images with where they go, tests, files, groups.
//!
//! A goal says which definition is built, with which arguments, and what is done with the result. It never changes what a
//! definition is: two goals of one definition with equal arguments are one build.

use crate::{Name, Pair, Span, Str};

/// Something that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// What it is asked for by.
    pub name: Name,
    /// What it is.
    pub kind: GoalKind,
}

/// What a [`Goal`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GoalKind {
    /// One result.
    Result(Box<Wanted>),
    /// Other goals and definitions, by their names; patterns are matched already.
    Group(Vec<Name>),
}

/// One result, and what is done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The definition.
    pub def: String,
    /// Arguments with the values that they have here, whatever else is said.
    pub args: Vec<(String, String)>,
    /// Platforms to build for when nobody says otherwise, as written.
    pub platforms: Vec<Name>,
    /// Where it goes.
    pub delivery: Delivery,
    /// Goals that must succeed before it goes anywhere.
    pub requires: Vec<Name>,
    /// What its files must be like.
    pub expected: Expected,
}

/// Where a result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is an image.
    Image(ImageDelivery),
    /// Its files go to a directory of the client; relative to that of the text.
    Files(Str),
    /// Nowhere: that it can be built is all.
    Test,
}

/// What an image is told on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageDelivery {
    /// Its names.
    pub tags: Vec<Str>,
    /// Its annotations; a key may begin with what is annotated, as in `index:KEY`.
    pub annotations: Vec<Pair>,
    /// Attestations, as `type=TYPE[,KEY=VALUE]`, each with its place.
    pub attestations: Vec<Name>,
}

/// What the files of a result must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Most bytes of all files together.
    pub max_bytes: Option<u64>,
    /// Most layers.
    pub max_layers: Option<u64>,
    /// Patterns that nothing may match.
    pub absent: Vec<String>,
    /// Patterns that something must match.
    pub present: Vec<String>,
    /// Variables that the image may not have.
    pub env_absent: Vec<String>,
    /// Whether its user must not be root.
    pub not_root: bool,
    /// The user it must have.
    pub user: Option<String>,
    /// Whether no file may run as another user than the one who starts it.
    pub no_setuid: bool,
}

impl Expected {
    /// Whether anything is expected.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Something beside the text that is a named context, unless whoever builds gives another of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The name of the context.
    pub name: Name,
    /// What it is. Paths are from the directory of the text that everything begins with.
    pub place: Place,
}

/// What is beside a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory.
    Directory(String),
    /// An image in an OCI layout: `DIRECTORY[:TAG][@DIGEST]`.
    Layout(String),
}

/// Another text whose tables are taken, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// Its path, from the directory of the text that everything begins with.
    pub path: String,
    /// Where it is named.
    pub span: Span,
}
