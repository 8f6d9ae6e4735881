//! The build tree: a small functional language of filesystems.
//!
//! Total by construction: no loops, acyclic calls, so planning is a bounded walk. What one language has and another has
//! not is data on the node, never a test for the language's name.

use smallvec::SmallVec;

use crate::{
    Beside, Block, Call, Checks, Condition, Diagnostic, Expr, FileId, Goal, Import, Include, Signature, Span, Text,
};

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
    pub syntax: Option<Syntax>,
    /// Modules it uses, in file order.
    pub imports: Vec<Import>,
    /// Names that modules which use it may call, in file order.
    pub exports: Vec<Name>,
    /// Instructions before the first definition, all of them [`Op::Arg`], in file order: they declare the
    /// [`Module::params`].
    pub head: Vec<Step>,
    /// Stages, functions, targets; in file order.
    pub defs: Vec<Def>,
    /// What can be asked for beside the definitions, in file order; a goal hides a definition of its name.
    pub goals: Vec<Goal>,
    /// Directories that the text has as contexts.
    pub contexts: Vec<Beside>,
    /// Texts whose tables belong to this one and are not there yet: what is said here may be incomplete.
    pub includes: Vec<Include>,
    /// Lint configuration in the text; what is wrong with it matters only when nothing overrides it.
    pub checks: Result<Checks, String>,
    /// What parsing and lowering found. The first is the one to report when only one is wanted: errors of
    /// [`code::SYNTAX`] first, those of [`code::INSTRUCTION`] after them, each in file order.
    /// An error here stops `plan`.
    pub diagnostics: Vec<Diagnostic>,
}

impl Module {
    /// The goal of a name.
    pub fn goal(&self, name: &str) -> Option<&Goal> {
        self.goals.iter().find(|goal| goal.name.text == name)
    }

    /// Arguments of the module with the instruction that declares each, in file order.
    pub fn params(&self) -> impl Iterator<Item = (&Step, &Param)> {
        self.head.iter().flat_map(|step| {
            let params = if let Op::Arg(params) = &step.op { params.as_slice() } else { &[] };
            params.iter().map(move |param| (step, param))
        })
    }
}

/// The frontend that a text asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// Its image.
    pub reference: Name,
    /// The image and the arguments after it, as written.
    pub command: String,
    /// The line to report, from 1; parity: for a text that is a JSON object, BuildKit counts from 0.
    pub line: u32,
}

/// The classes of errors ([`Diagnostic::code`]) that parsing finds, in the order in which they are reported.
pub mod code {
    /// The text as such: directives, unterminated documents, malformed lists.
    pub const SYNTAX: &str = "syntax";
    /// One instruction: its name, flags, arguments.
    pub const INSTRUCTION: &str = "instruction";
    /// The file as a whole: nothing to build in it.
    pub const MODULE: &str = "module";
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
    /// Whether arguments are variables of processes, too.
    pub exports_args: bool,
    /// Whether definitions are functions: looked up by name, called with arguments.
    pub functions: bool,
}

/// An argument: of a module, of a stage, of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: Name,
    /// Its type, where the language has types.
    pub ty: Option<Name>,
    /// Whether it takes all arguments that are left.
    pub variadic: bool,
    /// Its value when none is given.
    pub default: Option<Str>,
    /// Which values it takes, where the language says so.
    pub domain: Option<Domain>,
    /// What it is for.
    pub doc: Option<Text>,
}

/// The values that an argument takes; all of them are texts in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// `bool` or `int`, if it is no text.
    pub kind: Option<&'static str>,
    /// The only ones, if there are any here.
    pub one_of: Vec<String>,
    /// Whether one must be given.
    pub required: bool,
}

impl Domain {
    /// What of it a value breaks, in words.
    pub fn refuses(&self, value: &str) -> Option<String> {
        match self.kind {
            Some("bool") if !matches!(value, "true" | "false") => return Some("it is true or false".to_owned()),
            Some("int") if value.parse::<i64>().is_err() => return Some("it is a whole number".to_owned()),
            _ => {}
        }
        let is_known = self.one_of.is_empty() || self.one_of.iter().any(|known| known == value);
        (!is_known).then(|| format!("it is one of {}", self.one_of.join(", ")))
    }
}

/// A named value: a Dockerfile stage, an HLB function, a TOML target.
#[derive(Clone, Debug)]
pub struct Def {
    /// Its name, if it has one, in the form it is looked up by (a Dockerfile's stages: lower case).
    pub name: Option<Name>,
    /// How the name was written, where the language leaves the writer a choice.
    pub alias: Option<Alias>,
    /// Its documentation.
    pub doc: Option<Text>,
    /// Its parameters.
    pub params: Vec<Param>,
    /// What it gives and binds, if it is a function.
    pub signature: Option<Signature>,
    /// Its value.
    pub body: Body,
    /// All of it.
    pub span: Span,
}

/// `AS name`, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The word that introduces the name.
    pub keyword: Written,
    /// The name; `None` when what follows the keyword is no single word.
    pub name: Option<Written>,
}

/// A word as written, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// It.
    pub text: Text,
    /// Where.
    pub span: Span,
}

/// What a [`Def`] is.
#[derive(Clone, Debug)]
pub enum Body {
    /// A filesystem: steps that fold over one value, the first of which replaces it.
    Fs(Vec<Step>),
    /// A value of any type: statements that fold over the value the caller has.
    Block(Block),
}

impl Body {
    /// Its steps or statements, in order.
    pub fn steps(&self) -> &[Step] {
        match self {
            Self::Fs(steps) | Self::Block(Block { steps, .. }) => steps,
        }
    }

    /// The same, to be changed.
    pub fn steps_mut(&mut self) -> &mut Vec<Step> {
        match self {
            Self::Fs(steps) | Self::Block(Block { steps, .. }) => steps,
        }
    }
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
    /// The comments above it, one entry a line, without the comment sign.
    pub comments: Vec<Comment>,
    /// Lint configuration in those comments, for this step alone.
    pub checks: Option<Box<Checks>>,
    /// Blank lines inside it, if there are any.
    pub blank: Option<Blank>,
    /// The keyword, for highlighting.
    pub keyword: Span,
    /// All of it, documents included. Its lines are what BuildKit reports for errors and warnings of the step.
    pub span: Span,
}

impl Step {
    /// The keyword as written: the first word of the text.
    pub fn keyword_text(&self) -> std::borrow::Cow<'_, str> {
        crate::word::decode(self.keyword_bytes())
    }

    /// The bytes of the keyword as written.
    pub fn keyword_bytes(&self) -> &[u8] {
        let text = &self.text;
        let end = text.iter().position(|byte| ends_keyword(*byte)).unwrap_or(text.len());
        &text[..end]
    }
}

/// Whether a byte of a step's text is behind its keyword.
pub fn ends_keyword(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// One comment line above a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// The text after the comment sign, trimmed.
    pub text: Text,
    /// The line from the comment sign on.
    pub span: Span,
}

/// Blank lines between the continued lines of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blank {
    /// The first of them.
    pub first: Span,
    /// The last line that is continued: BuildKit reports this one.
    pub last: Span,
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
    /// Publishes ports; in the order of their unexpanded text.
    Expose(Vec<Str>),
    /// Marks mount points.
    Volume(Vec<Str>),
    /// Sets the signal that stops the container.
    StopSignal(Str),
    /// Sets or disables the health check.
    Healthcheck(Healthcheck),
    /// Names the author.
    Maintainer(Str),
    /// Keeps an instruction for images built on this one: its text, documents included.
    OnBuild(Text),
    /// Makes a directory, and those above it; owner and mode are in the options.
    Mkdir(Str),
    /// Removes what the patterns match.
    Remove(Vec<Str>),
    /// Applies a function to the value so far.
    Call(Box<Call>),
    /// Replaces the value; options are added to it.
    Value(Expr),
    /// Could not be parsed; a diagnostic says why.
    Hole,
}

/// A process to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Arguments of the exec form, or the one command line of the shell form, unexpanded.
    pub args: SmallVec<[Text; 1]>,
    /// Whether it is the shell form.
    pub shell: bool,
    /// Here-documents, in order. Those of an `Op::Run` keep their tabs even where [`Document::chomp`] is set.
    pub documents: Vec<Document>,
    /// All words.
    pub span: Span,
}

/// A here-document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The delimiter, which is also the file name in `COPY`.
    pub name: String,
    /// The body as written; [`Document::chomped`] is what `<<-` makes of it.
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

impl Document {
    /// The body, without the tabs at the start of lines if `<<-` asks for that.
    pub fn chomped(&self) -> std::borrow::Cow<'_, [u8]> {
        let body = &self.content;
        if !self.chomp {
            return body[..].into();
        }
        let lines = body.split_inclusive(|b| *b == b'\n');
        let strip = |line: &'_ [u8]| line.iter().position(|b| *b != b'\t').unwrap_or(line.len());
        lines.flat_map(|line| &line[strip(line)..]).copied().collect::<Vec<_>>().into()
    }
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
    /// Pattern of paths to take, and no others.
    Include(Str),
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
    /// Variables of this process alone.
    Env(Vec<Pair>),
    /// The working directory of this process alone.
    Dir(Str),
    /// The user of this process alone.
    User(Str),
    /// Whether arguments are variables of processes, in a language where they are none by themselves. One with a default has
    /// that value, whatever whoever builds says.
    Exported,
    /// When the step is taken at all; otherwise it does nothing.
    When(Condition),
    /// A device.
    Device {
        /// Its name as the runtime knows it.
        name: String,
        /// Whether its absence is an error.
        required: bool,
    },
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
