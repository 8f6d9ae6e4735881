//! Every file of the conformance corpora in every other language: what is written builds the same, and what is not written
//! is named with its place.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads its cases from files")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ast::{Severity, Source};
use compiler::{Answer, AskError, Facts, ImageAnswer, LocalPath, Lock, Options, Question, World};

/// Stand-ins for images, and nothing else.
struct StandIns(Lock);

impl World for StandIns {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let answer = |question: &Question| match question {
            Question::ContextFile { .. } => Ok(Answer::ContextFile(None)),
            Question::LocalPath { .. } => {
                Ok(Answer::LocalPath(Some(LocalPath { directory: true, id: String::new(), context: None })))
            }
            // Without a digest: only some languages look what a name means today.
            Question::Image { .. } => match self.0.answer(question) {
                Some(Ok(Answer::Image(image))) => Ok(Answer::Image(ImageAnswer { digest: None, ..image })),
                _ => Err(AskError::default()),
            },
            _ => self.0.answer(question).unwrap_or_else(|| Err(AskError::default())),
        };
        questions.iter().map(answer).collect()
    }
}

fn world() -> StandIns {
    StandIns(Lock::parse(br#"{"images": "synthetic"}"#).unwrap())
}

/// Digests of all vertices, or nothing when it cannot be built.
fn digests(source: &Source, options: &Options) -> Option<BTreeSet<String>> {
    let outcome = compiler::compile(source, options, Facts::default(), &world());
    let mut graph = outcome.plan?.graph;
    // Each language has another name for the directory it is built in.
    for node in &mut graph.nodes {
        if let llb::Op::Source(source) = &mut node.op
            && source.identifier.starts_with("local://")
        {
            "local://context".clone_into(&mut source.identifier);
            source.attrs.clear();
        }
    }
    let definition = llb::encode(&graph).ok()?;
    Some(definition.vertices.iter().map(|vertex| vertex.digest.to_string()).collect())
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

/// The texts of a corpus, with the build arguments of their cases.
fn corpus(language: &str, file: &str) -> Vec<(Source, Options)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance").join(language);
    let groups = entries(&root).into_iter().filter(|path| path.is_dir());
    let cases = groups.flat_map(|group| entries(&group)).filter(|case| case.join(file).is_file());
    let read = |case: PathBuf| {
        let name = case.strip_prefix(&root).unwrap().join(file).display().to_string();
        let source = Source::new(name, std::fs::read(case.join(file)).unwrap());
        let said = std::fs::read(case.join("case.json")).unwrap_or_default();
        let said: serde_json::Value = serde_json::from_slice(&said).unwrap_or_default();
        let mut options = Options::default();
        for (key, value) in said["buildArgs"].as_object().into_iter().flatten() {
            options.opts.insert(format!("build-arg:{key}"), value.as_str().unwrap_or_default().to_owned());
        }
        (source, options)
    };
    cases.map(read).collect()
}

/// Converts all of a corpus; the number of those that could be.
fn convert_all(cases: &[(Source, Options)], to: &str, file: &str) -> usize {
    let language = frontends::by_id(to).unwrap();
    let mut written = 0;
    for (source, options) in cases {
        let Some(wanted) = digests(source, options) else { continue };
        match compiler::convert(source, language, false, &world()) {
            Ok(text) => {
                let converted = Source::new(file, text.clone().into_bytes());
                // A program refuses arguments that it has no parameters for.
                let mut options = options.clone();
                let is_known = |key: &str| {
                    to != "HLB" || text.contains(&format!("string {} = ", key.trim_start_matches("build-arg:")))
                };
                options.opts.retain(|key, _| is_known(key));
                let wanted = if options.opts.is_empty() { digests(source, &options) } else { Some(wanted) };
                assert_eq!(digests(&converted, &options), wanted, "{}\n{text}", source.name);
                written += 1;
            }
            Err((unsaid, _)) => {
                assert!(!unsaid.is_empty(), "{}", source.name);
                for found in &unsaid {
                    assert_eq!(
                        (found.code, found.severity),
                        ("convert", Severity::Error),
                        "{}: {found:?}",
                        source.name
                    );
                }
            }
        }
        // Leaving things out never fails, whatever there is.
        compiler::convert(source, language, true, &world()).unwrap();
    }
    written
}

#[test]
fn dockerfiles_as_specs_build_the_same_or_say_why_not() {
    let written = convert_all(&corpus("dockerfile", "Dockerfile"), "TOML", "build.toml");
    assert!(written >= 470, "only {written}");
}

#[test]
fn dockerfiles_as_programs_build_the_same_or_say_why_not() {
    let written = convert_all(&corpus("dockerfile", "Dockerfile"), "HLB", "main.hlb");
    assert!(written >= 300, "only {written}");
}
