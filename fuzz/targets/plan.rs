//! Any Dockerfile with any options and synthetic images plans into a graph that encodes and reads back, or is refused.
//!
//! The input is lines `KEY=VALUE` (frontend options), a line `---`, and the Dockerfile.
#![no_main]

use std::collections::BTreeMap;

use ast::Source;
use compiler::{Answer, AskError, Facts, ImageAnswer, Options, Question, World};
use oci::Digest;

/// Knows every image but those named `nosuch`. What an image brings in follows from its name, so that inputs reach it.
struct Synthetic;

impl World for Synthetic {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        questions.iter().map(answer).collect()
    }
}

fn answer(question: &Question) -> Result<Answer, AskError> {
    match question {
        Question::Image { reference, .. } if reference.contains("nosuch") => {
            Err(AskError { message: format!("{reference}: not found"), ..AskError::default() })
        }
        Question::Image { reference, platform, .. } => {
            let digest = Digest::sha256(reference.as_bytes());
            Ok(Answer::Image(ImageAnswer { digest: Some(digest), config: config(reference, &platform.to_string()) }))
        }
        Question::ContextFile { path, .. } => Ok(Answer::ContextFile(Some(format!("*.o\n!{path}\n").into_bytes()))),
        Question::Timestamp { .. } => Ok(Answer::Timestamp(Some(1_000_000_000))),
        other => Err(AskError { message: format!("{other:?}: not for a Dockerfile"), ..AskError::default() }),
    }
}

fn config(reference: &str, platform: &str) -> Vec<u8> {
    let mut parts = platform.split('/');
    let (os, architecture) = (parts.next().unwrap_or("linux"), parts.next().unwrap_or("amd64"));
    let triggers = match (reference.contains("onbuild"), reference.contains("copies")) {
        (true, true) => r#""COPY --from=trigger /a /b","ENV T=$PATH""#,
        (true, false) => r#""RUN x $T","WORKDIR y""#,
        _ => "",
    };
    let layer = Digest::sha256(b"layer");
    format!(
        r#"{{"architecture":"{architecture}","os":"{os}","config":{{"Env":["PATH=/bin","T=t"],"WorkingDir":"/w","User":"u","OnBuild":[{triggers}]}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#
    )
    .into_bytes()
}

fn options(text: &[u8]) -> Options {
    let mut opts = BTreeMap::new();
    for line in String::from_utf8_lossy(text).lines() {
        if let Some((key, value)) = line.split_once('=') {
            opts.insert(key.to_owned(), value.to_owned());
        }
    }
    let rules = compiler::lint::RULES.iter().map(|rule| rule.name.to_owned()).collect();
    Options { opts, rules, labs: text.len() % 2 == 1, ..Options::default() }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let at = bytes.windows(5).position(|window| window == b"\n---\n");
    let (head, text) = at.map_or((&b""[..], bytes), |at| (&bytes[..at], &bytes[at + 5..]));
    let options = options(head);
    let source = Source::new("Dockerfile", text);
    let built = compiler::compile(&source, &options, Facts::default(), &Synthetic);
    for diagnostic in &built.diagnostics {
        assert!(diagnostic.at.is_none_or(|at| at.start <= at.end && at.end as usize <= text.len()), "{diagnostic:?}");
    }
    let Some(plan) = built.plan else {
        assert!(built.diagnostics.iter().any(|found| found.severity == ast::Severity::Error), "a refusal has a reason");
        return;
    };
    let encoded = llb::encode(&plan.graph);
    // What is not UTF-8 is refused by the encoder, as it is by BuildKit's.
    if let Ok(definition) = encoded {
        let bytes = definition.to_bytes();
        let decoded = llb::decode(&bytes).expect("what is written can be read");
        assert_eq!(decoded.definition.to_bytes(), bytes);
    }
    let looked = compiler::check(&source, &options, Facts::default(), &Synthetic);
    let fixes = looked.diagnostics.iter().filter_map(|found| found.fix.as_ref());
    ast::apply_fixes(text, fixes);
    let surveyed = compiler::survey(&source, &options, Facts::default(), &Synthetic);
    if !surveyed.failed() {
        compiler::outline::outline(&surveyed.module, &source.lines, &surveyed.captures);
    }
});
