//! The outside, as the server may see it, and what it has told so far.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use compiler::{Answer, AskError, Facts, Question};
use oci::{Digest, Platform};

use super::server::Event;
use crate::{Entry, Run};

/// Answer to a question; `None` leaves it open.
pub type Told = Option<Result<Answer, AskError>>;

/// How questions about a file are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Directory of the file.
    pub directory: PathBuf,
    /// Directory of the build context.
    pub context: PathBuf,
    /// Lock files.
    pub facts: Vec<PathBuf>,
    /// Whether registries may be asked.
    pub registry: bool,
}

/// What the server cannot do itself: the program that runs it brings this along. Called from several threads.
pub trait Outside: Send + Sync {
    /// The platform that steps run on.
    fn platform(&self) -> Platform;
    /// Answers questions; may take its time. Where nothing is known the question stays open.
    fn answer(&self, place: &Place, questions: &[Question]) -> Vec<Told>;
    /// References of images at hand, as people write them, sorted.
    fn images(&self) -> Vec<String>;
    /// Tags of a repository by its registry; may take its time. Nothing where nobody answers.
    fn tags(&self, repository: &str) -> Vec<String>;
    /// How vertices went when they were last built here. **Shape**: one entry a vertex, `None` where nothing is known.
    fn runs(&self, vertices: &[Digest]) -> Vec<Option<Run>>;
}

/// Tags of repositories, as far as registries were asked. Each is asked once until someone saves.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    known: BTreeMap<String, Vec<String>>,
    asked: BTreeSet<String>,
    wanted: BTreeSet<String>,
}

impl Tags {
    /// The tags that are known; asked for later when they are not.
    pub(crate) fn of(&mut self, repository: &str) -> Vec<String> {
        if let Some(known) = self.known.get(repository) {
            return known.clone();
        }
        if !self.asked.contains(repository) {
            self.wanted.insert(repository.to_owned());
        }
        Vec::new()
    }

    /// Asks in the background for what was wanted; the answers come back as events.
    pub(crate) fn ask(&mut self, outside: &Arc<dyn Outside>, events: &Sender<Event>) {
        if self.asked.len() > MOST_IMAGES {
            self.forget();
        }
        for repository in std::mem::take(&mut self.wanted) {
            self.asked.insert(repository.clone());
            let (outside, events) = (outside.clone(), events.clone());
            std::thread::spawn(move || {
                let tags = outside.tags(&repository);
                let _ = events.send(Event::Tags(repository, tags));
            });
        }
    }

    /// Whether an answer is on its way.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.wanted.is_empty() || self.asked.iter().any(|asked| !self.known.contains_key(asked))
    }

    /// Remembers an answer.
    pub(crate) fn learn(&mut self, repository: String, tags: Vec<String>) {
        self.known.insert(repository, tags);
    }

    /// Lets everything be asked again.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// So many images are remembered; then all are forgotten.
const MOST_IMAGES: usize = 4096;

/// Answers about images, shared by all files. Questions that had no answer are not asked again until someone saves.
#[derive(Debug, Default)]
pub(crate) struct Knowledge {
    images: BTreeMap<Question, Result<Answer, AskError>>,
    asked: BTreeSet<Question>,
}

impl Knowledge {
    /// Puts into `facts` what is known of the questions, and returns those that may be asked.
    pub(crate) fn fill(&self, questions: &BTreeSet<Question>, facts: &mut Facts) -> Vec<Question> {
        let mut open = Vec::new();
        for question in questions {
            match self.images.get(question) {
                Some(answer) => drop(facts.answers.insert(question.clone(), answer.clone())),
                None if !self.asked.contains(question) => open.push(question.clone()),
                None => {}
            }
        }
        open
    }

    /// Remembers answers.
    pub(crate) fn learn(&mut self, told: Vec<(Question, Told)>) {
        if self.images.len() + told.len() > MOST_IMAGES {
            self.images.clear();
        }
        for (question, answer) in told {
            // That an image could not be had is no fact about the text: the network may be away.
            if let Some(Ok(answer)) = answer {
                self.images.insert(question, Ok(answer));
            }
        }
    }

    /// Lets questions be asked again.
    pub(crate) fn forget_failures(&mut self) {
        self.asked.clear();
    }

    /// Asks in the background; the answers come back as an event.
    pub(crate) fn ask(
        &mut self,
        outside: &Arc<dyn Outside>,
        place: Place,
        questions: Vec<Question>,
        events: &Sender<Event>,
    ) {
        if self.asked.len() + questions.len() > MOST_IMAGES {
            self.asked.clear();
        }
        self.asked.extend(questions.iter().cloned());
        let (outside, events) = (outside.clone(), events.clone());
        std::thread::spawn(move || {
            let told = outside.answer(&place, &questions);
            // A server that is gone wants no answers.
            let _ = events.send(Event::Told(questions.into_iter().zip(told).collect()));
        });
    }
}

/// Names in a directory of a context, without those its ignore file leaves out; nothing outside the context.
pub(crate) fn list(context: &Path, directory: &str) -> Vec<Entry> {
    let parts = directory.split('/').filter(|part| !part.is_empty() && *part != ".");
    let parts: Vec<&str> = parts.collect();
    if parts.contains(&"..") {
        return Vec::new();
    }
    let folder = parts.iter().fold(context.to_owned(), |path, part| path.join(part));
    let patterns = std::fs::read(context.join(".dockerignore")).ok();
    let patterns = patterns.and_then(|bytes| oci::ignore::read(&bytes).ok()).unwrap_or_default();
    let ignored = oci::ignore::Patterns::lenient(&patterns).ok();
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<Entry> = entries
        .flatten()
        .take(MOST_ENTRIES)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let path = parts.iter().copied().chain([name.as_str()]).collect::<Vec<_>>().join("/");
            let directory = entry.path().is_dir();
            let hidden = ignored
                .as_ref()
                .is_some_and(|patterns| patterns.matches(&path) && !(directory && patterns.may_take_back_below(&path)));
            (!hidden).then_some(Entry { name, directory })
        })
        .collect();
    names.sort();
    names
}

/// More names of one directory are not offered.
const MOST_ENTRIES: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_without_what_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("src/lib")).unwrap();
        std::fs::create_dir_all(folder.path().join("node_modules")).unwrap();
        for (name, text) in [("a", ""), ("b.log", ""), ("src/c", ""), (".dockerignore", "*.log\nnode_modules\n")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let names = |directory: &str| -> Vec<String> {
            list(folder.path(), directory).into_iter().map(|entry| entry.name).collect()
        };
        assert_eq!(names(""), [".dockerignore", "a", "src"]);
        assert_eq!(names("./src"), ["c", "lib"]);
        assert_eq!(names("../"), [""; 0]);
    }
}
