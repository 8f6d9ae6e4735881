//! Source policies of a builder: what it takes instead of an image is what a named context becomes.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use ast::Source;
use compiler::{Answer, AskError, Facts, Options, Outcome, Question, World};

/// No image is one: each is this source by a policy.
struct Policy(&'static str);

impl World for Policy {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let answer = |question: &Question| match question {
            Question::Image { reference, .. } => Err(AskError {
                message: format!("{reference} is no image"),
                instead: Some(self.0.to_owned()),
                ..AskError::default()
            }),
            Question::ContextFile { .. } => Ok(Answer::ContextFile(None)),
            _ => Err(AskError::default()),
        };
        questions.iter().map(answer).collect()
    }
}

fn compile(text: &str, source: &'static str) -> Outcome {
    let text = Source::new("Dockerfile", text.as_bytes());
    let opts = [("context:a".to_owned(), "docker-image://b".to_owned())];
    let options = Options { opts: opts.into(), ..Options::default() };
    compiler::compile(&text, &options, Facts::default(), &Policy(source))
}

#[test]
fn a_context_becomes_what_the_policy_says() {
    for (source, identifier) in [("local://x", "local://x"), ("https://h/x.tar", "https://h/x.tar")] {
        let plan = compile("FROM scratch\nCOPY --from=a /f /\n", source).plan.unwrap();
        let graph = llb::text::print(&plan.graph);
        assert!(graph.contains(&format!("source \"{identifier}\"")), "{graph}");
    }
}

#[test]
fn policies_in_a_circle_end() {
    let outcome = compile("FROM scratch\nCOPY --from=a /f /\n", "docker-image://b");
    let said: Vec<_> = outcome.diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
    let expected = "context recursion limit exceeded; this may indicate a cycle in the provided source policies: ";
    assert!(said.iter().any(|message| message.starts_with(expected)), "{said:?}");
}

#[test]
fn an_image_that_is_none_is_an_error() {
    let outcome = compile("FROM b\n", "local://x");
    assert!(outcome.plan.is_none());
    assert!(outcome.diagnostics.iter().any(|found| found.message.contains("is no image")), "{:?}", outcome.diagnostics);
}
