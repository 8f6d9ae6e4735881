//! Runs a definition and says how it went.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use llb::scan::Scanner;

use super::args::Progress;
use super::failure::{self, Tail};
use super::images::bytes;
use super::shell::Shell;
use super::{OnError, Settings, attest, begun, print, print_bytes, say, signals};
use crate::gateway::{self, Frontend, Returned, Seen};
use crate::progress::{Event, Sink};
use crate::prune::{self, Policy};
use crate::runtime::Embedded;
use crate::sources::Mode;
use crate::store::Store;
use crate::{Cancel, Engine, Error, Request, Response, Result, userns};

/// The option of a request that is no build.
const REQUEST: &str = "requestid";

/// Where the builds of a command are shown, and how they are stopped. Several may run at once: a step that two of them
/// have is shown once.
pub struct Console {
    tail: Tail,
    cancel: Cancel,
}

impl Console {
    /// Starts to show.
    ///
    /// **Errors**: signals cannot be caught.
    pub fn new(progress: Progress) -> Result<Self> {
        let cancel = Cancel::default();
        signals::cancel_on_signal(&cancel)?;
        let tail = Tail::new(progress.renderer());
        if let Some(notice) = userns::notice() {
            tail.event(Event::Warning { digest: None, message: notice.into(), about: None });
        }
        Ok(Self { tail, cancel })
    }

    /// Stops every build that is shown here.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Builds what an encoded definition asks for, and gives what is known of it.
    ///
    /// **Errors**: it was explained, to whoever looks, what failed.
    pub fn build(&self, definition: Vec<u8>, settings: Settings) -> Result<Response> {
        let done = self.start(settings, |_, request, _| {
            request.definition = definition;
            Ok(Next::Build(BTreeMap::new()))
        })?;
        Ok(match done {
            Done::Built(response) => response,
            Done::Answered(_) => Response::default(),
        })
    }

    /// Tells the caller what is known of what was built, if all of it was, in the ways that the settings say.
    pub fn tell(&self, done: Option<&Response>, settings: &Settings) -> Result<()> {
        let aside = Aside::of(settings);
        let told = done.map_or(Ok(()), |response| aside.hand_over(response));
        aside.collect();
        told
    }

    /// The definition that the frontend of an image makes of options and of encoded definitions, with the image configs.
    pub fn frontend(
        &self,
        source: &str,
        opts: BTreeMap<String, String>,
        inputs: BTreeMap<String, Vec<u8>>,
        settings: Settings,
    ) -> Result<Vec<u8>> {
        self.engine(settings, |engine, request| {
            let mut frontend = Frontend::new(engine, request, source.to_owned(), opts);
            frontend.inputs = inputs;
            let made = frontend.run(&self.tail).and_then(|returned| gateway::compose(&returned));
            engine.close(&request.session);
            made
        })
    }

    /// A file of what a definition makes, at most so many of its bytes; `None` when it is not there.
    pub fn read(&self, definition: Vec<u8>, path: &str, most: u64, settings: Settings) -> Result<Option<Vec<u8>>> {
        self.engine(settings, |engine, request| {
            request.definition = definition;
            let found = engine.read_file(request, &[path.to_owned()], most, &self.tail)?;
            Ok(found.map(|(_, bytes)| bytes))
        })
    }

    /// Works with an engine, without outputs.
    fn engine<T>(&self, mut settings: Settings, work: impl FnOnce(&Engine, &mut Request) -> Result<T>) -> Result<T> {
        let engine = engine(&mut settings)?;
        let mut request = request(settings, &self.cancel);
        request.outputs.clear();
        let done = work(&engine, &mut request);
        done.inspect_err(|error| self.explain(error, &request.definition))
    }

    /// Nothing more is to be shown.
    pub fn finish(&self) {
        self.tail.finish();
    }

    /// A failure ends the show: a build that was stopped by another one's failure has nothing to tell.
    fn explain(&self, error: &Error, definition: &[u8]) {
        if matches!(error, Error::Cancelled) {
            return;
        }
        self.tail.finish();
        failure::explain(error, definition, &self.tail);
    }

    fn start(
        &self,
        mut settings: Settings,
        prepare: impl FnOnce(&Engine, &mut Request, &dyn Sink) -> Result<Next>,
    ) -> Result<Done> {
        let shell = match settings.on_error {
            OnError::Fail => None,
            OnError::Shell => Some(Shell::new(settings.stdin_is_taken)?),
        };
        let engine = engine(&mut settings)?;
        let mut request = request(settings, &self.cancel);
        let done = work(&engine, &mut request, &self.tail, shell.as_ref(), prepare);
        done.inspect_err(|error| self.explain(error, &request.definition))
    }
}

fn request(settings: Settings, cancel: &Cancel) -> Request {
    Request {
        session: settings.session,
        outputs: settings.outputs,
        expected: settings.expected,
        no_cache: settings.no_cache,
        cache_from: settings.cache_from,
        cache_to: settings.cache_to,
        attest: settings.attest,
        provenance_dir: settings.provenance_dir,
        attached: settings.attached,
        allow: settings.allow,
        devices: settings.devices,
        network: settings.network,
        max_parallelism: settings.max_parallelism,
        cancel: cancel.clone(),
        ..Request::default()
    }
}

/// Builds what an encoded definition asks for. Whatever is said on the way goes to standard error.
pub fn run(definition: Vec<u8>, settings: Settings) -> Result<()> {
    run_scanned(definition, None, settings)
}

/// The same with bills of materials of the results, if there is something that makes them.
pub(super) fn run_scanned(definition: Vec<u8>, scanner: Option<Scanner>, settings: Settings) -> Result<()> {
    start(settings, |engine, request, _| {
        request.definition = definition;
        scanner.iter().try_for_each(|scanner| engine.scan(request, scanner, Mode::Default, false))?;
        Ok(Next::Build(BTreeMap::new()))
    })
}

/// Builds what the frontend of an image returns, or prints what it answers to a request.
pub fn run_frontend(source: &str, opts: BTreeMap<String, String>, settings: Settings) -> Result<()> {
    let is_request = opts.contains_key(REQUEST);
    let named = [("source".to_owned(), source.to_owned())].into_iter().chain(opts.clone()).collect();
    let asked = attest::asked("gateway.v0", &named)?;
    let scanner = attest::scanner(&named)?;
    let mode = Mode::named(opts.get("image-resolve-mode").map_or("", String::as_str));
    let ignore_cache = opts.get("no-cache").is_some_and(String::is_empty);
    start(settings, |engine, request, sink| {
        let mut returned = Frontend::new(engine, request, source.to_owned(), opts).run(sink)?;
        if is_request {
            return Ok(Next::Print(Answer::of(&returned)));
        }
        (request.definition, request.attached) = gateway::compose_attested(&returned)?;
        let Seen { images, locals } = std::mem::take(&mut returned.seen);
        request.attest = attest::of_all(asked, images, locals);
        scanner.iter().try_for_each(|scanner| engine.scan(request, scanner, mode, ignore_cache))?;
        Ok(Next::Build(returned.said()))
    })
}

/// What is done with what was prepared.
enum Next {
    /// The request's definition is built; a frontend has something to say of it, for the metadata.
    Build(BTreeMap<String, serde_json::Value>),
    /// A request that is no build was answered.
    Print(Answer),
}

fn start(settings: Settings, prepare: impl FnOnce(&Engine, &mut Request, &dyn Sink) -> Result<Next>) -> Result<()> {
    let console = Console::new(settings.progress)?;
    let aside = Aside::of(&settings);
    let done = console.start(settings, prepare);
    console.finish();
    let handed_over = done.and_then(|done| match done {
        Done::Built(response) => aside.hand_over(&response),
        Done::Answered(answer) => {
            aside.hand_over(&answer.response)?;
            print_bytes(&answer.text)
        }
    });
    aside.collect();
    handed_over
}

/// What is done after a build, whatever came of it.
struct Aside {
    root: PathBuf,
    metadata_file: Option<PathBuf>,
    iidfile: Option<PathBuf>,
    quiet: bool,
    collect: bool,
}

impl Aside {
    fn of(settings: &Settings) -> Self {
        Self {
            root: settings.root.clone(),
            metadata_file: settings.metadata_file.clone(),
            iidfile: settings.iidfile.clone(),
            quiet: settings.quiet,
            collect: settings.collect,
        }
    }

    fn hand_over(&self, response: &Response) -> Result<()> {
        hand_over(response, self.metadata_file.as_deref(), self.iidfile.as_deref(), self.quiet)
    }

    /// Keeps the store to the policy.
    fn collect(&self) {
        if self.collect
            && prune::is_due(&self.root, &Policy::default()).is_ok_and(|is_due| is_due)
            && let Ok(store) = Store::open_when_full(&self.root)
            && let Ok(engine) = Engine::over(store, Arc::new(Embedded::new()))
        {
            collect(&engine);
        }
    }
}

/// What came of it.
enum Done {
    Built(Response),
    Answered(Answer),
}

fn work(
    engine: &Engine,
    request: &mut Request,
    tail: &Tail,
    shell: Option<&Shell>,
    prepare: impl FnOnce(&Engine, &mut Request, &dyn Sink) -> Result<Next>,
) -> Result<Done> {
    match prepare(engine, request, tail).inspect_err(|_| engine.close(&request.session))? {
        Next::Print(answer) => {
            engine.close(&request.session);
            Ok(Done::Answered(answer))
        }
        Next::Build(said) => {
            let built = match shell {
                None => engine.solve(request, tail),
                Some(shell) => engine.solve_or_look(request, tail, &|step| {
                    tail.finish();
                    failure::explain(step.error, &request.definition, tail);
                    shell.open(step);
                }),
            };
            built.map(|mut response| {
                response.metadata.extend(said);
                Done::Built(response)
            })
        }
    }
}

/// What a request gave.
struct Answer {
    /// For standard output: a text for people, if there is one.
    text: Vec<u8>,
    /// All of it, for the metadata.
    response: Response,
}

impl Answer {
    fn of(returned: &Returned) -> Self {
        let text = ["result.txt", "result.json"].into_iter().find_map(|key| returned.metadata.get(key));
        let said =
            |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into());
        let metadata = returned.metadata.iter().map(|(key, value)| (key.clone(), said(value))).collect();
        Self { text: text.cloned().unwrap_or_default(), response: Response { metadata } }
    }
}

/// Keeps the store to the policy. Whatever goes wrong with it, the build went as it went.
fn collect(engine: &Engine) {
    match engine.collect(&Policy::default()) {
        Ok(removed) if removed.is_empty() => {}
        Ok(removed) => {
            let size = removed.iter().map(|record| record.size).sum();
            say(&format!("pruned {} that was not used for longest, since the disk is short of space", bytes(size)));
        }
        Err(error) => say(&format!("WARN: cannot prune the store: {error}")),
    }
}

/// An engine over the store, with the runtime asked for.
fn engine(settings: &mut Settings) -> Result<Engine> {
    let runtime = settings.runtime.take().map_or_else(|| begun::runtime(settings.oci_runtime.as_deref()), Ok)?;
    match settings.store.take() {
        Some(store) => Engine::over(store, runtime),
        None => Engine::with_runtime(&settings.root, runtime),
    }
}

/// Gives the caller what is known of the result, in the ways asked for.
fn hand_over(response: &Response, metadata: Option<&Path>, iidfile: Option<&Path>, quiet: bool) -> Result<()> {
    if let Some(path) = metadata {
        let mut text = serde_json::to_vec_pretty(&response.metadata).expect("JSON values are valid JSON");
        text.push(b'\n');
        write_aside(path, &text)?;
    }
    let id = image_id(response);
    if let (Some(path), Some(id)) = (iidfile, &id) {
        write_aside(path, id.as_bytes())?;
    }
    match (quiet, id) {
        (true, Some(id)) => print(&id),
        _ => Ok(()),
    }
}

/// What Docker calls the id of an image: its config's digest, or the index's when there are several platforms.
fn image_id(response: &Response) -> Option<String> {
    let digest = |key: &str| response.metadata.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    digest("containerimage.config.digest").or_else(|| digest("containerimage.digest"))
}

/// Writes a file so that it is whole or not there.
fn write_aside(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let aside = path.with_file_name(name);
    let written = std::fs::File::create(&aside).and_then(|mut file| file.write_all(bytes));
    written.and_then(|()| std::fs::rename(&aside, path)).map_err(|error| {
        // The first failure is the one to tell; the file may not even exist.
        let _ = std::fs::remove_file(&aside);
        Error::io("write", path)(error)
    })
}
