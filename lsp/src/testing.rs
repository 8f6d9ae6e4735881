//! Fixtures: a text with `┃` where the cursor stands.

use std::time::Duration;

use compiler::{Answer, Facts, ImageAnswer, Options, Question, ResolveMode};
use oci::{Digest, Platform};

use crate::File;
use crate::file::{Entry, Run, Surroundings, View};

/// The cursor in fixtures.
pub(crate) const CURSOR: char = '┃';

/// A Dockerfile and the place of the cursor in it (0 when there is none).
pub(crate) fn file(marked: &str) -> (File, u32) {
    named("Dockerfile", marked)
}

/// A text under the name of its file, and the place of the cursor in it.
pub(crate) fn named(name: &str, marked: &str) -> (File, u32) {
    let offset = marked.find(CURSOR).unwrap_or(0) as u32;
    let text = marked.replace(CURSOR, "");
    let language = frontends::detect(name).unwrap();
    (File::new(name, text, language), offset)
}

/// A small build context.
pub(crate) struct Context;

impl Surroundings for Context {
    fn list(&self, directory: &str) -> Vec<Entry> {
        let names: &[&str] = match directory.trim_end_matches('/') {
            "" | "." => &["Dockerfile", "package.json", "src/"],
            "src" => &["main.rs", "lib/"],
            _ => &[],
        };
        let entry = |name: &&str| Entry { name: name.trim_end_matches('/').to_owned(), directory: name.ends_with('/') };
        names.iter().map(entry).collect()
    }

    fn images(&self) -> Vec<String> {
        vec!["alpine:3.20".to_owned(), "golang:1.23".to_owned()]
    }

    /// Everything was built, in one and a half seconds.
    fn runs(&self, vertices: &[Digest]) -> Vec<Option<Run>> {
        vertices.iter().map(|_| Some(Run { took: Duration::from_millis(1500), bytes: Some(12_345_678) })).collect()
    }

    fn tags(&self, repository: &str) -> Vec<String> {
        let known: &[&str] = if repository == "debian" { &["bookworm", "trixie"] } else { &[] };
        known.iter().map(|tag| (*tag).to_owned()).collect()
    }
}

/// A digest for an image of tests.
pub(crate) const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// Options of a build for linux/amd64.
pub(crate) fn options() -> Options {
    Options { build_platforms: vec![Platform::new("linux", "amd64")], ..Options::default() }
}

/// `alpine:3.20` is known, with a variable and a directory.
pub(crate) fn facts() -> Facts {
    let mut facts = Facts::default();
    let question = Question::Image {
        reference: "docker.io/library/alpine:3.20".to_owned(),
        platform: Platform::new("linux", "amd64"),
        mode: ResolveMode::Default,
    };
    let config = br#"{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin","GREETING=hello"],"WorkingDir":"/srv"},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    let digest = Digest::parse(DIGEST).unwrap();
    facts.answers.insert(question, Ok(Answer::Image(ImageAnswer { digest: Some(digest), config: config.to_vec() })));
    for path in ["Dockerfile.dockerignore", ".dockerignore"] {
        for context in ["context", "dockerfile"] {
            let question = Question::ContextFile { context: context.to_owned(), path: path.to_owned() };
            facts.answers.insert(question, Ok(Answer::ContextFile(None)));
        }
    }
    facts
}

/// Calls `check` with a Dockerfile in its small world, and the place of the cursor.
pub(crate) fn with<T>(marked: &str, check: impl FnOnce(&View<'_>, u32) -> T) -> T {
    with_named("Dockerfile", marked, check)
}

/// The same with a text under the name of its file.
pub(crate) fn with_named<T>(name: &str, marked: &str, check: impl FnOnce(&View<'_>, u32) -> T) -> T {
    let (file, offset) = named(name, marked);
    let (options, facts) = (options(), facts());
    check(&View { file: &file, options: &options, facts: &facts, surroundings: &Context, stopped: &|| false }, offset)
}
