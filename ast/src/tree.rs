//! The build tree: a small functional language of filesystems.
//!
//! Total by construction: no loops, acyclic calls, so planning is a bounded walk. What one language has and another has
//! not is data on the node, never a test for the language's name.

use std::fmt;

use crate::{Diagnostic, FileId, Span};

/// Text of the user's: bytes, because a Dockerfile need not be UTF-8.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(pub Vec<u8>);

impl Text {
    /// The text for people; invalid UTF-8 becomes U+FFFD.
    pub fn lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.lossy())
    }
}

/// A name with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// As written.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// One file of one language.
#[derive(Clone, Debug)]
pub struct Module {
    /// The file.
    pub file: FileId,
    /// What planning must know of the language, as data.
    pub dialect: Dialect,
    /// What `# syntax=` names.
    pub syntax: Option<Name>,
    /// Arguments of the module, in file order (a Dockerfile's `ARG` before the first `FROM`).
    pub params: Vec<Param>,
    /// Stages, functions, targets; in file order.
    pub defs: Vec<Def>,
    /// Lint configuration in the text.
    pub checks: Checks,
    /// What parsing and lowering found, in the order of discovery.
    /// An error here stops `plan`; warnings precede it.
    pub diagnostics: Vec<Diagnostic>,
}

/// What planning must know of a language. Data, never compared by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// For people and source maps: `Dockerfile`.
    pub id: &'static str,
    /// Key of the vertex description that holds the instruction.
    pub description_key: &'static str,
    /// Whether steps are named `[stage 2/5]`.
    pub numbered_steps: bool,
    /// Whether steps write image history.
    pub history: bool,
}

/// Lint configuration: `# check=skip=…;error=true`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Rules not to run.
    pub skip: Vec<String>,
    /// Whether to run none.
    pub skip_all: bool,
    /// Experimental rules to run.
    pub experimental: Vec<String>,
    /// Whether to run all experimental ones.
    pub experimental_all: bool,
    /// Whether a finding fails the build.
    pub error: bool,
}

/// An argument: of a module, of a stage, of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: Name,
    /// Its value when none is given.
    pub default: Option<Str>,
    /// What it is for.
    pub doc: Option<Text>,
    /// The whole instruction it stands in.
    pub step: Span,
    /// The instruction as its language prints it.
    pub text: Text,
}

/// A named value: a Dockerfile stage, an HLB function, a TOML target.
#[derive(Clone, Debug)]
pub struct Def {
    /// Its name, if it has one.
    pub name: Option<Name>,
    /// Its documentation.
    pub doc: Option<Text>,
    /// Its parameters.
    pub params: Vec<Param>,
    /// Its value.
    pub body: Body,
    /// All of it.
    pub span: Span,
}

/// What a [`Def`] is.
#[derive(Clone, Debug)]
pub enum Body {
    /// A filesystem: steps that fold over one value, the first of which replaces it.
    Fs(Vec<Step>),
}

/// One transformation of the filesystem value or of its image metadata.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it does.
    pub op: Op,
    /// How; in the order written.
    pub opts: Vec<Opt>,
    /// As its language prints it: one logical line, documents not included.
    pub text: Text,
    /// The comment above it.
    pub doc: Option<Text>,
    /// The keyword, for highlighting and for rules on casing.
    pub keyword: Span,
    /// All of it, documents included.
    pub span: Span,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Op {
    /// Starts from a stage, else a named context, else an image, else (`scratch`) nothing.
    From(Str),
    /// Runs a process.
    Run(Command),
    /// Copies files; `--from` is in the options.
    Copy(Copy),
    /// Copies files, addresses and repositories; unpacks archives.
    Add(Copy),
    /// Makes a directory the working directory.
    Dir(Str),
    /// Declares arguments.
    Arg(Vec<Param>),
    /// Sets variables.
    Env(Vec<Pair>),
    /// Sets labels.
    Label(Vec<Pair>),
    /// Sets the user.
    User(Str),
    /// Sets the shell of shell-form commands.
    Shell(Vec<Str>),
    /// Sets the default arguments.
    Cmd(Command),
    /// Sets the process.
    Entrypoint(Command),
    /// Publishes ports.
    Expose(Vec<Str>),
    /// Marks mount points.
    Volume(Vec<Str>),
    /// Sets the signal that stops the container.
    StopSignal(Str),
    /// Sets or disables the health check.
    Healthcheck(Healthcheck),
    /// Names the author.
    Maintainer(Str),
    /// Keeps an instruction for images built on this one.
    OnBuild(Text),
    /// Could not be parsed; a diagnostic says why.
    Hole,
}

/// A process to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Arguments of the exec form, or the one command line of the shell form, unexpanded.
    pub args: Vec<Text>,
    /// Whether it is the shell form.
    pub shell: bool,
    /// Here-documents, in order.
    pub documents: Vec<Document>,
    /// All words.
    pub span: Span,
}

/// A here-document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The delimiter, which is also the file name in `COPY`.
    pub name: String,
    /// The body, tabs chomped where `<<-` says so.
    pub content: Text,
    /// Whether variables are expanded (the delimiter was not quoted).
    pub expand: bool,
    /// Whether `<<-`.
    pub chomp: bool,
    /// The word `<<NAME`.
    pub opener: Span,
    /// The body.
    pub span: Span,
}

/// Sources and destination of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Paths, patterns or addresses, documents not included.
    pub sources: Vec<Str>,
    /// Documents to write as files.
    pub documents: Vec<Document>,
    /// Where to.
    pub dest: Str,
}

/// `key=value`, or the old `key value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: Str,
    /// The value.
    pub value: Str,
    /// Whether it was written without `=`.
    pub legacy: bool,
}

/// A health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    /// As stored in the image: `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", line]`.
    pub test: Vec<Text>,
    /// Nanoseconds.
    pub interval: i64,
    /// Nanoseconds.
    pub timeout: i64,
    /// Nanoseconds.
    pub start_period: i64,
    /// Nanoseconds.
    pub start_interval: i64,
    /// Count.
    pub retries: i64,
}

/// An option of a step, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opt {
    /// Which.
    pub kind: OptKind,
    /// The whole flag.
    pub span: Span,
}

/// The options there are. Values are templates: they are typed after expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptKind {
    /// Platform of a base.
    Platform(Str),
    /// Where to copy from: a stage, else a named context, else an image.
    From(Str),
    /// Owner of what is written.
    Chown(Str),
    /// Mode of what is written.
    Chmod(Str),
    /// Whether the layer is independent of its base.
    Link(bool),
    /// Whether parent directories are kept.
    Parents(bool),
    /// Pattern of paths to leave out.
    Exclude(Str),
    /// Whether `.git` is kept; `None` when not said.
    KeepGitDir(bool),
    /// Digest the source must have.
    Checksum(Str),
    /// Whether to unpack archives.
    Unpack(bool),
    /// A mount.
    Mount(Mount),
    /// Network mode.
    Network(Str),
    /// Security mode.
    Security(Str),
    /// A device.
    Device(Str),
}

/// A mount of a `Run`: fields in the order written, typed after expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The flag's value as written.
    pub raw: Text,
    /// Its fields.
    pub fields: Vec<MountField>,
}

/// `key` or `key=value` in a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountField {
    /// As written.
    pub key: String,
    /// The template after `=`, if there is an `=`.
    pub value: Option<Str>,
    /// Key and value.
    pub span: Span,
}

/// A string that is not expanded yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Str {
    /// How it is to be read.
    pub kind: StrKind,
    /// Where it stands.
    pub span: Span,
}

/// How a string gets its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StrKind {
    /// As it is.
    Lit(Text),
    /// A shell word in the dynamic scope of the step: `$X` is a variable of the step's environment.
    Word {
        /// As written.
        raw: Text,
        /// The escape character.
        escape: u8,
    },
}

impl Str {
    /// The text as written, unexpanded.
    pub fn raw(&self) -> &Text {
        match &self.kind {
            StrKind::Lit(text) | StrKind::Word { raw: text, .. } => text,
        }
    }
}
