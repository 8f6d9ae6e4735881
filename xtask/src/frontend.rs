//! What compiling alone costs, in process, with all facts given: the texts, and the work that is measured.
//!
//! Two programs use it (`xtask/benches`): one for time, one that counts allocations, because counting takes time. The work
//! is what a builder does for each build: find the lines, parse, plan, look at it with the rules, encode.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ast::Source;
use compiler::{Answer, AskError, Facts, ImageAnswer, Options, Question, World};
use oci::Digest;

use crate::conformance::{self, Case, CorpusWorld};

/// A text with everything that compiling it needs.
#[derive(Debug)]
pub struct Text {
    /// What it is called in tables.
    pub name: String,
    bytes: Arc<[u8]>,
    filename: String,
    options: Options,
    facts: Facts,
}

impl Text {
    /// A text with the facts that its compilation asks a world for; `None` if it cannot be compiled.
    fn new(name: String, source: &Source, options: Options, world: &dyn World) -> Option<Self> {
        let outcome = compiler::compile(source, &options, Facts::default(), world);
        llb::encode_to_bytes(&outcome.plan?.graph).ok()?;
        let (bytes, filename) = (source.bytes.clone(), source.name.clone());
        Some(Self { name, bytes, filename, options, facts: outcome.facts })
    }

    /// The measured work: from bytes to bytes. Facts are lent, and given back.
    pub fn compile(&mut self) -> Vec<u8> {
        let source = Source::new(self.filename.as_str(), self.bytes.clone());
        let outcome = compiler::compile(&source, &self.options, std::mem::take(&mut self.facts), &Nobody);
        let plan = outcome.plan.expect("it was compiled before");
        let bytes = llb::encode_to_bytes(&plan.graph).expect("it was encoded before");
        self.facts = outcome.facts;
        bytes
    }

    /// The vertices of the definition, each encoded.
    pub fn vertices(&mut self) -> Vec<Vec<u8>> {
        let source = Source::new(self.filename.as_str(), self.bytes.clone());
        let outcome = compiler::compile(&source, &self.options, self.facts.clone(), &Nobody);
        let definition = llb::encode(&outcome.plan.expect("it was compiled before").graph);
        definition.expect("it was encoded before").vertices.into_iter().map(|vertex| vertex.bytes).collect()
    }

    /// The text itself.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What no compiler can do without: the text is read once, each vertex hashed, and the definition written once.
pub fn limit(text: &[u8], vertices: &[Vec<u8>], definition: &[u8]) {
    black_box(black_box(text).iter().filter(|byte| **byte == b'\n').count());
    for vertex in vertices {
        black_box(Digest::sha256(black_box(vertex)));
    }
    black_box(black_box(definition).to_vec());
}

/// Asked when all is answered: never.
struct Nobody;

impl World for Nobody {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        unreachable!("all facts are given, but {questions:?} are asked")
    }
}

/// Any image has a digest and a small config; there are no ignore files.
struct Plain;

impl World for Plain {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let answer = |question: &Question| match question {
            Question::Image { reference, platform, .. } => Ok(Answer::Image(ImageAnswer {
                digest: Some(Digest::sha256(reference.as_bytes())),
                config: config(reference, &platform.architecture),
            })),
            Question::ContextFile { .. } => Ok(Answer::ContextFile(None)),
            Question::Timestamp { .. } => Ok(Answer::Timestamp(None)),
            _ => Err(AskError { message: "no Dockerfile asks this".to_owned(), ..AskError::default() }),
        };
        questions.iter().map(answer).collect()
    }
}

fn config(reference: &str, architecture: &str) -> Vec<u8> {
    let layer = Digest::sha256(reference.as_bytes());
    let env = r#"{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}"#;
    let layers = format!(r#"{{"type":"layers","diff_ids":["{layer}"]}}"#);
    format!(r#"{{"architecture":"{architecture}","os":"linux","config":{env},"rootfs":{layers}}}"#).into_bytes()
}

/// The texts to measure: the files that are named, or the corpus.
///
/// **Errors**: one cannot be read.
pub fn texts(paths: &[PathBuf]) -> Result<Vec<Text>, String> {
    if paths.is_empty() { corpus() } else { files(paths) }
}

/// How many stages generated builds have; none are measured where files are named. The cost of a stage must not grow
/// with their number.
pub fn sizes(paths: &[PathBuf]) -> &'static [usize] {
    if paths.is_empty() { &[20, 100, 1000, 5000] } else { &[] }
}

/// The cases of the corpus that compile.
fn corpus() -> Result<Vec<Text>, String> {
    let root = conformance::corpus();
    let images = Arc::new(conformance::images(&root)?);
    let mut texts = Vec::new();
    for folder in conformance::cases(&root, "")? {
        let case = Case::read(&folder)?;
        let world = CorpusWorld::new(&case, images.clone())?;
        texts.extend(Text::new(Case::name_of(&folder), &case.source, case.options, &world));
    }
    Ok(texts)
}

/// Files that compile when every image exists and no option is given.
fn files(paths: &[PathBuf]) -> Result<Vec<Text>, String> {
    let mut texts = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| format!("{name}: {error}"))?;
        let options = Options { session: Some("bench".to_owned()), ..Options::default() };
        texts.extend(Text::new(name, &Source::new("Dockerfile", bytes), options, &Plain));
    }
    Ok(texts)
}

/// A generated build of so many stages: each has a base, arguments, a variable, a copy from the stage before, and a
/// process with a cache; the last copies from some of them.
pub fn generated(stages: usize) -> Text {
    let mut text = String::from("# syntax=docker/dockerfile:1\nARG VERSION=1.26\nFROM golang:${VERSION} AS base\n");
    text.push_str("RUN apt-get update && apt-get install -y git make\n");
    for stage in 0..stages {
        let previous = if stage == 0 { "base".to_owned() } else { format!("part{}", stage - 1) };
        let _ = write!(
            text,
            "\n# part{stage} is built beside the others.\nFROM base AS part{stage}\nARG TARGETARCH\nARG NAME=part{stage}\n\
             ENV PART=$NAME GOFLAGS=-mod=vendor\nWORKDIR /src/$NAME\nCOPY --from={previous} /src /src/previous\n\
             COPY cmd/{stage}/ ./cmd\nRUN --mount=type=cache,target=/root/.cache/go-build \\\n    --mount=type=bind,target=.,rw \\\n    \
             go build -o /out/${{NAME}} ./cmd && \\\n    echo \"$PART for $TARGETARCH\" > /out/name\n",
        );
    }
    let _ = write!(text, "\nFROM debian:12\nCOPY --from=part{} /out /usr/bin\nCMD [\"part0\"]\n", stages - 1);
    let options = Options { session: Some("bench".to_owned()), ..Options::default() };
    let source = Source::new("Dockerfile", text.into_bytes());
    Text::new(format!("{stages} stages"), &source, options, &Plain).expect("the generated text is right")
}

/// The files that the arguments of a program name: all of them but what cargo adds.
pub fn paths_of(arguments: impl Iterator<Item = String>) -> Vec<PathBuf> {
    arguments.filter(|argument| !argument.starts_with("--")).map(|path| Path::new(&path).to_owned()).collect()
}
