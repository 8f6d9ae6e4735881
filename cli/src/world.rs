//! The outside, as the compiler may see it: files of local contexts, and images by whoever knows them first.
//!
//! All questions of one round are answered at once, each in a thread of its own when it may wait for a network. For an
//! image the order is: facts files, OCI layouts named on the command line, the executor's store, the registry. Nothing
//! is cached here; the compiler never asks twice.

use std::path::PathBuf;

use compiler::{Answer, AskError, Lock, Question, ResolveMode, World};

use crate::failure::{Failure, Result};
use crate::images;
use crate::settings::Settings;

type Answered = std::result::Result<Answer, AskError>;

/// What this machine and its network know.
pub(crate) struct Host<'s> {
    settings: &'s Settings,
    lock: Lock,
}

impl<'s> Host<'s> {
    /// Reads the facts files.
    pub(crate) fn new(settings: &'s Settings) -> Result<Self> {
        let mut lock = Lock::default();
        for path in &settings.facts {
            let text = std::fs::read(path).map_err(Failure::io("read the facts file", path))?;
            lock.merge(Lock::parse(&text).map_err(|error| {
                Failure::message("facts", format!("{}: {error}", path.display()), "see `llbc compile --write-facts`")
            })?);
        }
        Ok(Self { settings, lock })
    }

    /// The facts files and what was answered beside them, as text.
    pub(crate) fn record(mut self, facts: &compiler::Facts) -> String {
        self.lock.record(facts);
        self.lock.print()
    }

    fn ask(&self, question: &Question) -> Answered {
        if let Some(answer) = self.lock.answer(question) {
            return answer;
        }
        match question {
            Question::ContextFile { context, path } => self.file(context, path),
            Question::Image { reference, platform, mode } => {
                if let Some(answer) = self.image_here(reference, platform, *mode)? {
                    return Ok(answer);
                }
                // In the words of a registry that does not have it: for this build there is nobody else to ask.
                self.online(format!("failed to resolve source metadata for {reference}: {reference}: not found"))?;
                images::from_registry(reference, platform)
            }
            Question::Timestamp { source } => {
                self.online(format!("the time of {source} is not known"))?;
                Err(AskError {
                    message: format!("cannot tell the time of {source}: asking servers for times is not supported yet"),
                    help: Some("set SOURCE_DATE_EPOCH to a number, or give the time in a facts file".into()),
                })
            }
        }
    }

    /// A missing file is an answer, and so is one of a directory that only the one who runs the definition has.
    fn file(&self, context: &str, path: &str) -> Answered {
        let Some(directory) = self.settings.locals.get(context) else { return Ok(Answer::ContextFile(None)) };
        let file = directory.join(path);
        match std::fs::read(&file) {
            Ok(bytes) => Ok(Answer::ContextFile(Some(bytes))),
            Err(error) if is_absent(error.kind()) => Ok(Answer::ContextFile(None)),
            Err(error) => Err(AskError { message: format!("cannot read {}: {error}", file.display()), help: None }),
        }
    }

    fn image_here(
        &self,
        reference: &str,
        platform: &oci::Platform,
        mode: ResolveMode,
    ) -> std::result::Result<Option<Answer>, AskError> {
        if let Some(layout) = reference.strip_prefix("oci-layout://") {
            return images::from_layout(&self.settings.layouts, layout, platform).map(Some);
        }
        if mode == ResolveMode::Pull {
            return Ok(None);
        }
        images::from_store(&self.settings.store, reference, platform)
    }

    fn online(&self, missing: String) -> std::result::Result<(), AskError> {
        if !self.settings.offline {
            return Ok(());
        }
        let help = "nobody is asked with --offline; compile once without it and with --write-facts FILE, then pass --facts FILE";
        Err(AskError { message: missing, help: Some(help.into()) })
    }
}

fn is_absent(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(kind, NotFound | NotADirectory | IsADirectory)
}

impl World for Host<'_> {
    fn answer(&self, questions: &[Question]) -> Vec<Answered> {
        let waits = |question: &Question| {
            !matches!(question, Question::ContextFile { .. }) && self.lock.answer(question).is_none()
        };
        if questions.iter().filter(|question| waits(question)).count() < 2 {
            return questions.iter().map(|question| self.ask(question)).collect();
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> = questions.iter().map(|question| scope.spawn(|| self.ask(question))).collect();
            threads.into_iter().map(|thread| thread.join().expect("answering does not panic")).collect()
        })
    }
}

/// Reads a whole text from where the settings say.
pub(crate) fn read(input: &crate::settings::Input) -> Result<Vec<u8>> {
    use std::io::{IsTerminal, Read};

    use crate::settings::Input;

    match input {
        Input::File(path) => std::fs::read(path).map_err(Failure::io("read", path)),
        Input::Stdin => {
            let mut stdin = std::io::stdin().lock();
            if stdin.is_terminal() {
                return Err(Failure::usage(
                    "standard input is a terminal",
                    "pipe a build file in, or name one".to_owned(),
                ));
            }
            let mut bytes = Vec::new();
            stdin.read_to_end(&mut bytes).map_err(Failure::io("read", PathBuf::from("standard input")))?;
            Ok(bytes)
        }
    }
}
