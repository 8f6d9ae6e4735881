//! Any bytes are a spec: reading, expanding, formatting and planning never panic, and places lie in the texts.
//!
//! Input: a spec, a line `---`, and the spec that any `include` means.
#![no_main]

use ast::{FileId, Module, Source};
use compiler::{Facts, Lock, Options, Question, World};
use frontends::{Included, Input};

/// Everything that is asked for is there: stand-ins for images, nothing else.
struct StandIns(Lock);

impl World for StandIns {
    fn answer(&self, questions: &[Question]) -> Vec<Result<compiler::Answer, compiler::AskError>> {
        let nothing = || Err(compiler::AskError::default());
        questions.iter().map(|question| self.0.answer(question).unwrap_or_else(nothing)).collect()
    }
}

fn check_places(module: &Module, texts: &[&[u8]]) {
    for found in &module.diagnostics {
        let Some(at) = found.at else { continue };
        let text = texts.get(at.file.0 as usize).expect("the file is one of those that were given");
        assert!(at.start <= at.end && at.end as usize <= text.len(), "{found:?}");
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let separator = b"\n---\n";
    let cut = bytes.windows(separator.len()).position(|window| window == separator);
    let (text, other) = cut.map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + separator.len()..]));
    let language = frontends::detect("build.toml").expect("specs are a language");
    let input = Input::new(FileId(0), text);

    let mut module = (language.parse)(&input);
    let mut paths: Vec<String> = Vec::new();
    for _ in 0..40 {
        if module.includes.is_empty() {
            break;
        }
        paths.extend(module.includes.iter().map(|include| include.path.clone()));
        let files: Vec<Included<'_>> = paths
            .iter()
            .zip(1..)
            .map(|(path, file)| Included { path, file: FileId(file), bytes: Some(other) })
            .collect();
        module = (language.parse_with.expect("specs include others"))(&input, &files);
    }
    let texts: Vec<&[u8]> = std::iter::once(text).chain(paths.iter().map(|_| other)).collect();
    check_places(&module, &texts);

    if let Some(expand) = language.expand {
        let _ = expand(&input);
    }
    if let Some(format) = language.format {
        let once = ast::apply(text, &format(&input));
        assert!(format(&Input::new(FileId(0), &once)).is_empty(), "order is reached at once");
    }
    let source = Source::new("build.toml", text.to_vec());
    let lock = Lock::parse(br#"{"images": "synthetic"}"#).expect("a facts file");
    let outcome = compiler::compile(&source, &Options::default(), Facts::default(), &StandIns(lock));
    assert!(outcome.plan.is_some() || !outcome.diagnostics.is_empty(), "a refusal has a reason");
});
