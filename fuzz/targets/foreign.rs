//! Any bytes are a Mockerfile and a Gockerfile: reading and planning never panic, and places lie in the text.
#![no_main]

use ast::{FileId, Source};
use compiler::{Answer, AskError, Facts, Lock, Options, Question, World};

/// Stand-ins for images, nothing else.
struct StandIns(Lock);

impl World for StandIns {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        questions.iter().map(|question| self.0.answer(question).unwrap_or_else(|| Err(AskError::default()))).collect()
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for name in ["Mockerfile.yaml", "Gockerfile.yaml"] {
        let source = Source::new(name, bytes.to_vec());
        let module = compiler::parse(&source);
        for at in module.diagnostics.iter().filter_map(|found| found.at) {
            assert!(at.file == FileId(0) && at.start <= at.end && at.end as usize <= bytes.len(), "{at:?}");
        }
        let lock = Lock::parse(br#"{"images": "synthetic"}"#).expect("a facts file");
        let outcome = compiler::compile(&source, &Options::default(), Facts::default(), &StandIns(lock));
        assert!(outcome.plan.is_some() || !outcome.diagnostics.is_empty(), "a refusal has a reason");
    }
});
