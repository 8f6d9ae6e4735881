//! The outside, as far as the comparison of two texts needs it.

use crate::{Answer, AskError, ImageAnswer, LocalPath, Lock, Question, World};

/// Stand-ins for images; no file of a context is there, texts beside the text are, and times are what they are. What the
/// client is (its architecture, its variables), it says itself, unless nobody is to be asked that.
pub(super) struct StandIns<'w> {
    images: Lock,
    files: &'w dyn World,
    asks_client: bool,
}

impl<'w> StandIns<'w> {
    pub(super) fn beside(files: &'w dyn World) -> Self {
        Self { images: Lock::parse(br#"{"images": "synthetic"}"#).expect("a facts file"), files, asks_client: true }
    }

    /// The same, but the client says nothing.
    pub(super) fn without_client(&self) -> Self {
        Self { asks_client: false, ..Self::beside(self.files) }
    }

    fn of_files(&self, question: &Question) -> Result<Answer, AskError> {
        let answers = self.files.answer(std::slice::from_ref(question));
        answers.into_iter().next().unwrap_or_else(|| Err(AskError::default()))
    }
}

fn unanswered() -> Result<Answer, AskError> {
    Err(AskError::default())
}

/// What only a build knows.
fn unknown(what: &str) -> Result<Answer, AskError> {
    let help = Some("write what it is, or build the program as it is".to_owned());
    Err(AskError { message: format!("{what} is not known without building"), help, ..AskError::default() })
}

/// An image without its digest.
fn undated(answer: Answer) -> Answer {
    match answer {
        Answer::Image(image) => Answer::Image(ImageAnswer { digest: None, ..image }),
        other => other,
    }
}

impl World for StandIns<'_> {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let answer = |question: &Question| match question {
            Question::ContextFile { context, path } if context == "dockerfile" && !path.ends_with(".dockerignore") => {
                self.of_files(question)
            }
            Question::Module { .. } => self.of_files(question),
            Question::ContextFile { .. } => Ok(Answer::ContextFile(None)),
            // Only some languages look what an image's name means today; what is in a layout has no other name.
            Question::Image { reference, .. } => {
                let answer = self.images.answer(question).unwrap_or_else(unanswered);
                if reference.starts_with("oci-layout://") { answer } else { answer.map(undated) }
            }
            Question::LocalPath { .. } => {
                Ok(Answer::LocalPath(Some(LocalPath { directory: true, id: String::new(), context: None })))
            }
            Question::Timestamp { .. } => Ok(Answer::Timestamp(Some(0))),
            Question::Host(_) | Question::HostEnv(_) | Question::HostRun { .. } => {
                if self.asks_client {
                    self.of_files(question)
                } else {
                    unanswered()
                }
            }
            // There is no word for either; each is named where it is used.
            Question::SecretFiles { path, .. } => Ok(Answer::Files(Some(vec![path.clone()]))),
            Question::Nonce { number } => Ok(Answer::Text(Some(number.to_string()))),
            Question::Frontend { .. } => unknown("what a frontend image makes"),
            Question::Pushed(_) => unknown("the digest of what is pushed"),
            Question::Manifest { .. } => unknown("the manifest of an image"),
        };
        questions.iter().map(answer).collect()
    }
}
