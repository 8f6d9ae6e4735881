//! The build specs of `examples/` are right: every target of each is planned, and every preset has one.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads its cases from files")]

use std::path::Path;

use ast::Source;
use compiler::{Answer, AskError, Facts, Lock, Options, Question, World};

/// Stand-ins for images, and files beside the spec.
struct Beside<'d>(Lock, &'d Path);

impl World for Beside<'_> {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let answer = |question: &Question| match question {
            Question::ContextFile { path, .. } => Ok(Answer::ContextFile(std::fs::read(self.1.join(path)).ok())),
            _ => self.0.answer(question).unwrap_or_else(|| Err(AskError::default())),
        };
        questions.iter().map(answer).collect()
    }
}

#[test]
fn every_target_of_every_example_is_planned() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut directories: Vec<_> = std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path()).collect();
    directories.sort();
    let mut presets = Vec::new();
    for directory in directories.iter().filter(|directory| directory.join("build.toml").is_file()) {
        let text = std::fs::read_to_string(directory.join("build.toml")).unwrap();
        presets
            .extend(text.lines().filter_map(|line| Some(line.strip_prefix("preset = ")?.trim_matches('"').to_owned())));
        let source = Source::new("build.toml", text.into_bytes());
        let world = Beside(Lock::parse(br#"{"images": "synthetic"}"#).unwrap(), directory);
        let (module, _) = compiler::load(&source, &Options::default(), &mut Facts::default(), &world);
        assert!(!module.defs.is_empty(), "{}", directory.display());
        let is_several =
            |name: &str| module.goal(name).is_some_and(|goal| matches!(goal.kind, ast::GoalKind::Group(_)));
        let names = module.defs.iter().filter_map(|def| def.name.as_ref());
        for name in names.filter(|name| !is_several(&name.text)) {
            let mut options = Options::default();
            options.opts.insert("target".to_owned(), name.text.clone());
            let outcome = compiler::compile(&source, &options, Facts::default(), &world);
            assert!(outcome.plan.is_some(), "{} {}: {:?}", directory.display(), name.text, outcome.diagnostics);
        }
    }
    presets.sort();
    assert_eq!(presets, ["cmake", "go", "java", "node", "python", "rust", "static"]);
    assert!(directories.len() >= 10, "{directories:?}");
}
