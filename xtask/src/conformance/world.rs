//! The outside as a case describes it.

use std::sync::Arc;

use compiler::{Answer, AskError, Lock, Question, World};
use oci::Reference;
use serde_json::{Value, json};

use super::Case;

/// Answers from a case and the images of its corpus.
#[derive(Debug)]
pub struct CorpusWorld {
    shared: Arc<Lock>,
    own: Lock,
    settings: Value,
    text_ignore: String,
}

impl CorpusWorld {
    /// The world of a case.
    pub fn new(case: &Case, shared: Arc<Lock>) -> Result<Self, String> {
        let settings = case.settings.clone();
        let images = settings.get("images").cloned().unwrap_or_else(|| json!({}));
        let sources = settings.get("sources").cloned().unwrap_or_else(|| json!({}));
        let own = json!({"images": images, "sources": sources}).to_string();
        let own = Lock::parse(own.as_bytes()).map_err(|error| error.to_string())?;
        let text_ignore = format!("{}.dockerignore", case.source.name);
        Ok(Self { shared, own, settings, text_ignore })
    }

    fn answer_one(&self, question: &Question) -> Result<Answer, AskError> {
        match question {
            Question::ContextFile { context, path } => Ok(Answer::ContextFile(self.file(context, path))),
            Question::Timestamp { .. } => self.own.answer(question).unwrap_or(Ok(Answer::Timestamp(None))),
            Question::Image { reference, .. } => {
                // An image both know is the case's; stand-ins come last.
                let known = self.shared.answer(question).filter(|_| !self.knows(reference));
                known.or_else(|| self.own.answer(question)).unwrap_or_else(|| Err(not_found(reference)))
            }
            _ => Err(AskError { message: "no Dockerfile asks this".to_owned(), ..AskError::default() }),
        }
    }

    fn knows(&self, reference: &str) -> bool {
        let canonical = |name: &str| Reference::parse(name).ok().map(|name| name.or_latest().to_string());
        let images = self.settings["images"].as_object();
        images.is_some_and(|images| images.keys().any(|key| canonical(key).as_deref() == Some(reference)))
    }

    fn file(&self, context: &str, path: &str) -> Option<Vec<u8>> {
        let lines = match (context, path) {
            (_, path) if path == self.text_ignore => &self.settings["dockerfileIgnore"],
            ("context", ".dockerignore") => &self.settings["dockerignore"],
            (_, ".dockerignore") => &self.settings["contextIgnores"][context],
            _ => return None,
        };
        let lines = lines.as_array()?.iter().filter_map(Value::as_str);
        Some(lines.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes())
    }
}

fn not_found(reference: &str) -> AskError {
    AskError {
        message: format!("failed to resolve source metadata for {reference}: {reference}: not found"),
        ..AskError::default()
    }
}

impl World for CorpusWorld {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        questions.iter().map(|question| self.answer_one(question)).collect()
    }
}
