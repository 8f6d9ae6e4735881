//! Any bytes are a text of a language, which its first byte chooses: writing it in the others never panics, a refusal has
//! places, and nothing that is left out makes it fail.
#![no_main]

use ast::{Severity, Source};
use compiler::{Answer, AskError, Facts, LocalPath, Lock, Options, Question, World};

/// Stand-ins for images and directories, nothing else.
struct StandIns(Lock);

impl World for StandIns {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let answer = |question: &Question| match question {
            Question::LocalPath { .. } => {
                Ok(Answer::LocalPath(Some(LocalPath { directory: true, id: String::new(), context: None })))
            }
            other => self.0.answer(other).unwrap_or_else(|| Err(AskError::default())),
        };
        questions.iter().map(answer).collect()
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((first, text)) = bytes.split_first() else { return };
    let name = ["Dockerfile", "main.hlb", "build.toml"][usize::from(*first) % 3];
    let source = Source::new(name, text.to_vec());
    let world = StandIns(Lock::parse(br#"{"images": "synthetic"}"#).expect("a facts file"));
    let outcome = compiler::compile(&source, &Options::default(), Facts::default(), &world);
    for to in ["Dockerfile", "HLB", "TOML"] {
        let language = frontends::by_id(to).expect("it is a language");
        if let Err((found, _)) = compiler::convert(&source, language, false, &world) {
            assert!(found.iter().any(|found| found.severity == Severity::Error), "{found:?}");
        }
        let lossy = compiler::convert(&source, language, true, &world);
        let own = frontends::choose(name, text, None).is_ok_and(|own| own.id == to);
        assert!(own || lossy.is_ok() || outcome.plan.is_none(), "{lossy:?}");
    }
});
