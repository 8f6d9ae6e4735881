//! Triggers that only the config of an image can hold: its own instructions are checked when they are written.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use ast::Source;
use compiler::{Answer, AskError, Facts, ImageAnswer, Options, Plan, Question, World};

/// Every image has these triggers.
struct Triggers(&'static str);

impl World for Triggers {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"OnBuild":{}}},"rootfs":{{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}}}"#,
            self.0
        );
        let answer = |question: &Question| match question {
            Question::Image { .. } => {
                Ok(Answer::Image(ImageAnswer { digest: None, config: config.clone().into_bytes() }))
            }
            Question::ContextFile { .. } => Ok(Answer::ContextFile(None)),
            _ => Err(AskError::default()),
        };
        questions.iter().map(answer).collect()
    }
}

fn compile(text: &str, triggers: &'static str) -> Plan {
    let source = Source::new("Dockerfile", text.as_bytes());
    let outcome = compiler::compile(&source, &Options::default(), Facts::default(), &Triggers(triggers));
    outcome.plan.unwrap_or_else(|| panic!("{:?}", outcome.diagnostics))
}

/// The commands of the image's history that are not of its base, and the triggers it has.
fn made(plan: &Plan) -> (Vec<String>, Vec<String>) {
    let image = oci::ImageConfig::from_json(&plan.outputs[0].image).unwrap();
    let commands = image.history.iter().map(|step| step.created_by.clone()).collect();
    (commands, image.config.on_build.clone())
}

#[test]
fn a_trigger_in_a_trigger_is_one_of_the_image_that_is_built() {
    let (commands, triggers) = made(&compile("FROM a\nRUN own\n", r#"["ONBUILD RUN inner", "RUN outer"]"#));
    assert_eq!(commands, ["RUN /bin/sh -c outer # buildkit", "RUN /bin/sh -c own # buildkit"]);
    assert_eq!(triggers, ["RUN inner"]);
}

#[test]
fn a_trigger_in_a_trigger_runs_in_the_stage_on_the_stage_that_has_it() {
    // BuildKit goes over stages in no order here, and runs it or does not.
    let text = "FROM a AS b\nFROM b\nRUN own\n";
    let (commands, triggers) = made(&compile(text, r#"["ONBUILD RUN inner"]"#));
    assert_eq!(commands, ["RUN /bin/sh -c inner # buildkit", "RUN /bin/sh -c own # buildkit"]);
    assert!(triggers.is_empty(), "{triggers:?}");
}
