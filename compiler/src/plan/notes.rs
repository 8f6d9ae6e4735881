//! What planning noticed and a lint may want to say: facts with values, never judgements.
//!
//! Notes come in the order in which BuildKit v0.32 would report them, mixed with the errors ([`Finding`]), so that a
//! reader may stop at the first error. Only what is certain is noted: nothing is, where a value depends on an answer
//! that is missing.

use std::rc::Rc;

use ast::{Diagnostic, Span};

/// One thing found, in the order of discovery.
#[derive(Clone, Debug)]
pub enum Finding {
    /// The build cannot be.
    Error(Box<Diagnostic>),
    /// Something a rule may look at.
    Note(Note),
    /// Nobody could be asked: what depends on the answer is not looked at. Only for [`Purpose::Lint`](super::Purpose).
    Unknown(Box<Diagnostic>),
}

/// One thing noticed at an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What.
    pub kind: NoteKind,
    /// The instruction to show. An `ONBUILD` trigger stands at the `FROM` that brought it in.
    pub at: Span,
    /// The instruction whose comments may switch rules off; `None` for triggers, whose comments are gone.
    pub step: Option<Span>,
}

/// What was noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// With the defaults of all arguments, a base name is no valid reference.
    InvalidDefaultBase {
        /// The name as written.
        base: String,
    },
    /// A variable in `FROM` that no argument declares.
    UndefinedInFrom {
        /// The variable.
        name: String,
        /// A declared name that looks like it.
        suggestion: Option<String>,
    },
    /// `--platform` says nothing but the target platform.
    RedundantPlatform {
        /// As written.
        written: String,
    },
    /// `--platform` is the same for every build.
    ConstantPlatform {
        /// The value.
        value: String,
    },
    /// A base image is for another platform than the one wanted.
    BasePlatform {
        /// The base as named.
        name: String,
        /// The platform wanted.
        wanted: String,
        /// The platform of the image.
        found: String,
    },
    /// `KEY value` without `=`.
    LegacyPair {
        /// The keyword as written.
        keyword: String,
    },
    /// A variable or argument is set.
    Sets {
        /// `ENV` or `ARG`.
        instruction: &'static str,
        /// The variable.
        key: Rc<str>,
    },
    /// A path copied from the main context is left out by the ignore file.
    IgnoredSource {
        /// `Copy` or `Add`.
        instruction: &'static str,
        /// The path, cleaned.
        path: String,
    },
    /// The first working directory of a chain of stages is relative.
    RelativeWorkdir {
        /// The path.
        path: String,
    },
    /// A variable that is set nowhere.
    UndefinedVariable {
        /// The variable.
        name: String,
        /// A variable that looks like it.
        suggestion: Option<String>,
    },
    /// A shell-form command that becomes the container's process, with the default shell.
    ShellForm {
        /// The keyword as written.
        keyword: String,
    },
    /// An instruction that a later one of the same stage replaces; the note shows the earlier, and the later's comments
    /// count.
    Replaced {
        /// The keyword of the later one as written.
        keyword: String,
    },
    /// A port whose protocol has upper-case letters.
    PortProtocolCase {
        /// As given.
        port: String,
    },
    /// A port with a host part.
    PortMapping {
        /// As given.
        port: String,
    },
}
