//! Build files that are somewhere else: in a git repository, in an archive on the web, or alone there.
//!
//! The executor fetches them as it fetches contexts, so that a build that follows has them in its store. Which of the three
//! an address is, the compiler says: an archive is told from a file by its first bytes, as BuildKit v0.32 does.

use ast::{Diagnostic, Source};
use compiler::plan::{self, Entry, Found};
use compiler::{AskError, Facts, World as _};
use executor::progress::Silent;
use executor::registry::Asking;
use executor::session::Session;
use executor::{Engine, Request, text};
use llb::Graph;

use crate::failure::{Failure, Message, Result};
use crate::settings::{Input, Settings, is_web};
use crate::world::Host;

/// Bytes at the start of a file that tell an archive.
const START: u64 = 512;

/// Sets up what fetching takes. Call while there is one thread.
pub(crate) fn prepare(settings: &Settings) -> Result<()> {
    let is_fetched = matches!(settings.input, Input::Remote(_)) || settings.context().is_some_and(is_web);
    if is_fetched && !settings.offline {
        executor::userns::enter().map_err(Failure::Build)?;
    }
    Ok(())
}

/// Reads the build file that the remote context has.
pub(crate) fn source(settings: &Settings, address: &str) -> Result<Source> {
    let is_piped = settings.uploads.contains_key(address);
    if settings.offline && !is_piped {
        let text = format!("cannot read {address}: nobody is asked with --offline");
        return Err(Failure::message("offline", text, "fetch the build file, and name it"));
    }
    let place = if is_piped { "the archive" } else { address };
    let Entry { graph, names, .. } = entry(settings)?;
    let Some((name, bytes)) = read(settings, &graph, &names, text::LONGEST + 1)? else {
        let text = format!("there is no {} in {place}", names[0]);
        return Err(Failure::message(
            "io",
            text,
            "name the build file with --opt filename=FILE (`llbc build`: -f FILE)",
        ));
    };
    if bytes.len() as u64 > text::LONGEST {
        let text = format!("{name} in {place} is longer than {} MiB", text::LONGEST >> 20);
        return Err(Failure::message("io", text, "name another build file"));
    }
    // A file that is alone has the name that the address gives it.
    let is_alone = names == [WEB_FILE];
    let shown = match (is_alone, is_piped) {
        (true, _) => place.to_owned(),
        (false, true) => name,
        (false, false) => format!("{address}/{name}"),
    };
    Ok(Source::new(shown, bytes))
}

/// The name under which a file of the web is stored.
const WEB_FILE: &str = "context";

/// The start of what is at an address of the web.
pub(crate) fn start(settings: &Settings, address: &str) -> std::result::Result<Option<Vec<u8>>, AskError> {
    let refused = |error: Box<Diagnostic>| AskError { message: error.message, help: error.help, ..AskError::default() };
    let graph = plan::file_source(&settings.options, address).map_err(refused)?;
    let failed = |error: executor::Error| AskError {
        message: error.to_string(),
        help: Some("check the address; what is on this machine can be named by its path".to_owned()),
        ..AskError::default()
    };
    let found = read(settings, &graph, &[WEB_FILE.to_owned()], START).map_err(failed)?;
    Ok(found.map(|(_, bytes)| bytes))
}

/// Where the build file is, once what is on the web was looked at.
fn entry(settings: &Settings) -> Result<Entry> {
    let host = Host::new(settings)?;
    let mut facts = Facts::default();
    loop {
        match plan::entry(&settings.options, &facts) {
            Found::Entry(entry) => return Ok(entry),
            Found::Refused(error) => return Err(told("option", error.message, error.help)),
            Found::Open(questions) => {
                let questions: Vec<_> = questions.into_iter().collect();
                let answers = host.answer(&questions);
                if let Some(error) = answers.iter().find_map(|answer| answer.as_ref().err()) {
                    return Err(told("io", error.message.clone(), error.help.clone()));
                }
                facts.answers.extend(questions.into_iter().zip(answers));
            }
        }
    }
}

fn told(code: &'static str, text: String, help: Option<String>) -> Failure {
    Failure::Message(Message { code, text, help })
}

/// The first of some files in what a graph makes, and its first bytes.
fn read(
    settings: &Settings,
    graph: &Graph,
    names: &[String],
    most: u64,
) -> executor::Result<Option<(String, Vec<u8>)>> {
    let definition = llb::encode_to_bytes(graph).expect("the graph of a build file is sound");
    let (registries, uploads) = (settings.store.client(Asking::Repeatedly)?, settings.uploads.clone());
    let session = Session { registries, uploads, ..Session::default() };
    let request = Request { definition, session, ..Request::default() };
    let engine = Engine::open(settings.store.directory())?;
    engine.read_file(&request, names, most, &Silent)
}
