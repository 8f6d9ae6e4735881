//! What the compiler does not know: questions as data, answers as data.

use std::collections::BTreeMap;

use oci::{Digest, Platform};

/// Something only the outside knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Digest and config of an image.
    Image {
        /// Canonical reference with tag or digest; `oci-layout://store@digest` for a layout.
        reference: String,
        /// The platform wanted.
        platform: Platform,
        /// Where to look.
        mode: ResolveMode,
    },
    /// The bytes of a file of a local context, `None` when there is none.
    ContextFile {
        /// Name of the local source (`context`, `dockerfile`).
        context: String,
        /// Path in it.
        path: String,
    },
    /// Time of a remote source: git commit time, HTTP `Last-Modified`.
    Timestamp {
        /// The source identifier as in LLB.
        source: String,
    },
}

/// Where an image is looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResolveMode {
    /// As the engine thinks.
    #[default]
    Default,
    /// In the registry.
    Pull,
    /// In the store, if it is there.
    Local,
}

/// An answer to a [`Question`] of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An image.
    Image(ImageAnswer),
    /// A file, if there is one.
    ContextFile(Option<Vec<u8>>),
    /// Seconds since the epoch, if known.
    Timestamp(Option<i64>),
}

/// What is known of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageAnswer {
    /// Digest of the index, or of the manifest when there is no index; `None` where an engine has the image in a store
    /// of its own that knows no digests of manifests. Then the image is used by its name.
    pub digest: Option<Digest>,
    /// The image config for the platform: the exact JSON bytes.
    pub config: Vec<u8>,
}

/// Why a question has no answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskError {
    /// What happened, on what.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Whether nobody could be asked (no network, no permission), so that nothing is known of the thing itself. A build
    /// fails all the same; a look at the text ([`crate::check`]) says so and goes on with what is certain.
    pub unreachable: bool,
}

/// Questions and their answers. A test fixture and a lock file at once.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The answers.
    pub answers: BTreeMap<Question, Result<Answer, AskError>>,
}

/// The outside, as the compiler may see it.
pub trait World {
    /// Answers every question, in the order given; they may be worked on in parallel.
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>>;
}
