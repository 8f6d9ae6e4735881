//! `llbc lsp`: the language server on standard input and output, with this machine as its outside.

use std::path::PathBuf;
use std::sync::Arc;

use ::lsp::{Outside, Place, Run, Told};
use compiler::{Question, World as _};
use executor::Cancel;
use executor::registry::Asking;
use executor::store::{StepRun, Store};
use oci::{Digest, Platform, Reference};

use crate::args::{CompileOptions, Lsp};
use crate::failure::{Failure, Result};
use crate::settings::{Input, Settings};
use crate::world::Host;

pub(super) fn run(args: &Lsp) -> Result<()> {
    let outside = Arc::new(Machine { store: args.store.clone() });
    ::lsp::serve(outside).map_err(|error| Failure::message("lsp", error.to_string(), "the editor's log may say more"))
}

/// What this machine knows.
struct Machine {
    store: executor::cli::StoreArgs,
}

impl Machine {
    /// A compilation of a file at a place.
    fn settings(&self, place: &Place) -> Result<Settings> {
        let options = CompileOptions {
            context_dir: Some(place.context.clone()),
            facts: place.facts.iter().filter(|path| path.is_file()).cloned().collect(),
            offline: !place.registry,
            store: self.store.clone(),
            ..CompileOptions::default()
        };
        // Only the directory of the file counts.
        Settings::new(Input::File(place.directory.join("Dockerfile")), &options)
    }
}

impl Machine {
    /// The executor's store, if there is one: a look must not make it.
    fn look(&self) -> Option<Store> {
        let directory = self.store.directory();
        directory.join("blobs-v1").is_dir().then(|| Store::open(&directory).ok()).flatten()
    }
}

impl Outside for Machine {
    fn platform(&self) -> Platform {
        executor::host_platform()
    }

    fn answer(&self, place: &Place, questions: &[Question]) -> Vec<Told> {
        let open = || questions.iter().map(|_| None).collect();
        // Whether there is a file in a context or not is known; a context that is not known has none.
        if place.context == PathBuf::new() {
            return open();
        }
        let Ok(settings) = self.settings(place) else { return open() };
        let Ok(host) = Host::new(&settings) else { return open() };
        // What cannot be answered is no error of the text.
        host.answer(questions).into_iter().map(|answer| answer.ok().map(Ok)).collect()
    }

    fn tags(&self, repository: &str) -> Vec<String> {
        let Ok(repository) = Reference::parse(repository) else { return Vec::new() };
        let client = self.store.client(Asking::Once);
        client.and_then(|client| client.tags(&repository, &Cancel::default())).unwrap_or_default()
    }

    fn runs(&self, vertices: &[Digest]) -> Vec<Option<Run>> {
        let known = self.look().and_then(|store| store.steps(vertices).ok()).unwrap_or_default();
        let run = |run: &StepRun| Run { took: run.took, bytes: run.bytes };
        vertices.iter().map(|vertex| known.get(vertex).map(run)).collect()
    }

    fn images(&self) -> Vec<String> {
        let images = self.look().and_then(|store| store.images().ok()).unwrap_or_default();
        let mut names: Vec<String> = images.into_iter().map(|image| image.name.familiar()).collect();
        names.sort();
        names
    }
}
