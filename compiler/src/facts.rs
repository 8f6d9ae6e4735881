//! What the compiler does not know: questions as data, answers as data.

use std::collections::BTreeMap;

use oci::{Digest, Platform};

use crate::output::Needs;

/// Something only the outside knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Digest and config of an image.
    Image {
        /// Canonical reference with tag or digest; `oci-layout://store@digest` for a layout, and `oci-layout://store[:tag]` for
        /// one beside the text.
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
        /// Of a repository, the address for git: the identifier does not say the protocol.
        remote: Option<String>,
    },
    /// The text of a module, `None` when there is none.
    Module {
        /// Where it is.
        source: ModuleSource,
    },
    /// A variable of the client's environment.
    HostEnv(String),
    /// Something the client is.
    Host(HostValue),
    /// What a process on the client prints. Needs permission.
    HostRun {
        /// The process.
        argv: Vec<String>,
        /// Where it runs; empty is the client's directory.
        directory: String,
        /// What is wanted of it.
        output: RunOutput,
    },
    /// What is at a path of the client.
    LocalPath {
        /// The path.
        path: String,
    },
    /// The regular files at a path of the client: the file itself, or those of a directory that match.
    SecretFiles {
        /// The path.
        path: String,
        /// Patterns of what is wanted; all, if there are none.
        include: Vec<String>,
        /// Patterns of what is not.
        exclude: Vec<String>,
    },
    /// A text that nobody had before.
    Nonce {
        /// Which of the build's, from 1.
        number: u32,
    },
    /// What a frontend image makes.
    Frontend {
        /// Its options; `source` is its image.
        opts: BTreeMap<String, String>,
        /// Encoded definitions; an empty one is the empty filesystem.
        inputs: BTreeMap<String, Vec<u8>>,
        /// What the inputs need.
        needs: Needs,
    },
    /// The digest that an image has in its registry: it is pushed to know it.
    Pushed(Push),
    /// The manifest of an image.
    Manifest {
        /// Canonical reference.
        reference: String,
        /// The platform wanted.
        platform: Platform,
    },
}

/// An image that is pushed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Push {
    /// Its name.
    pub reference: String,
    /// Whether its layers can be read before they are complete.
    pub stargz: bool,
    /// Its filesystem, as an encoded definition.
    pub definition: Vec<u8>,
    /// Its config.
    pub image: Vec<u8>,
    /// What it runs on.
    pub platform: Platform,
    /// What the definition needs.
    pub needs: Needs,
}

/// Where a module is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModuleSource {
    /// A file of the client.
    File(String),
    /// A file of a filesystem that is imported. What is kept of it beside the program stands for it.
    Imported(TreeFile),
    /// A file of a filesystem that is used as a source.
    Built(TreeFile),
}

/// A file of a filesystem, which is built to read it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TreeFile {
    /// The digest of the vertex that makes the filesystem, as HLB's BuildKit computes it.
    pub digest: Digest,
    /// The filesystem, as an encoded definition.
    pub definition: Vec<u8>,
    /// What the definition needs.
    pub needs: Needs,
    /// The path of the file in it, without a slash at its start.
    pub path: String,
}

impl TreeFile {
    /// What it is called in messages: the start of the digest, and the path.
    pub fn shown(&self) -> String {
        format!("{}:{}/{}", self.digest.algorithm().as_str(), &self.digest.hex()[..SHORT], self.path)
    }

    /// Where it is kept, below the client's directory.
    pub fn vendored_path(&self) -> String {
        let hex = self.digest.hex();
        format!("{VENDORED}/{}/{}/{hex}/{}", self.digest.algorithm().as_str(), &hex[..2], self.path)
    }
}

/// The directory of the client that imported filesystems are kept in.
pub const VENDORED: &str = ".hlb/modules";

/// How many characters of a digest are shown, as HLB does.
const SHORT: usize = 7;

/// Something a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostValue {
    /// Its operating system, by Go's name.
    Os,
    /// Its architecture, by Go's name.
    Architecture,
    /// Its working directory.
    Directory,
}

/// What is wanted of the output of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunOutput {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Both, in the order written.
    Both,
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
    /// The text of a module, if there is one.
    File(Option<Vec<u8>>),
    /// The text of a module as it is kept beside the program, where modules are kept; `None` when this one is not.
    Kept(Option<Vec<u8>>),
    /// A text, if there is one.
    Text(Option<String>),
    /// What a process printed.
    Run {
        /// It.
        output: String,
        /// How it failed, if it did: `exit status 7`.
        failure: Option<String>,
    },
    /// What is at a path, if there is anything.
    LocalPath(Option<LocalPath>),
    /// Paths of files, if there is something at the path asked for.
    Files(Option<Vec<String>>),
    /// What a frontend made.
    Frontend {
        /// An encoded definition; an empty one is the empty filesystem.
        definition: Vec<u8>,
        /// The image config, if there is one.
        config: Option<Vec<u8>>,
    },
    /// A manifest.
    Manifest(ManifestAnswer),
}

/// What is at a path of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPath {
    /// Whether it is a directory.
    pub directory: bool,
    /// Names its contents: other contents, or another client, have another id.
    pub id: String,
    /// The local source it is in, where the client sends no paths but a build context.
    pub context: Option<String>,
}

/// A manifest and what it names, as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestAnswer {
    /// Of the manifest.
    pub digest: Digest,
    /// The manifest.
    pub manifest: String,
    /// The image config.
    pub config: String,
    /// The index that names the manifest, if there is one.
    pub index: Option<String>,
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
    /// What a builder takes instead of an image by its source policy: the identifier of a source that is none. A named
    /// context becomes it.
    pub instead: Option<String>,
}

/// Questions and their answers. A test fixture and a lock file at once.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The answers.
    pub answers: BTreeMap<Question, Result<Answer, AskError>>,
}

impl Facts {
    /// Encoded definitions that were built to answer: filesystems of modules that are not kept beside the program, and what
    /// frontends were given.
    pub fn definitions(&self) -> impl Iterator<Item = &[u8]> {
        let asked = self.answers.iter().filter(|(_, answer)| !matches!(answer, Ok(Answer::Kept(_))));
        asked.flat_map(|(question, _)| question.definitions()).filter(|definition| !definition.is_empty())
    }
}

impl Question {
    /// Encoded definitions that must be built to answer.
    fn definitions(&self) -> Vec<&[u8]> {
        match self {
            Self::Module { source: ModuleSource::Imported(file) | ModuleSource::Built(file) } => vec![&file.definition],
            Self::Frontend { inputs, .. } => inputs.values().map(Vec::as_slice).collect(),
            _ => Vec::new(),
        }
    }
}

/// The outside, as the compiler may see it.
pub trait World {
    /// Answers every question, in the order given; they may be worked on in parallel.
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>>;
}
