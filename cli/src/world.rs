//! The outside, as the compiler may see it: files of local contexts, and images by whoever knows them first.
//!
//! All questions of one round are answered at once, each in a thread of its own when it may wait for a network. For an
//! image the order is: facts files, OCI layouts, the executor's store, the registry. Nothing
//! is cached here; the compiler never asks twice.

mod client;
mod engine;
mod manifest;
mod patience;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use compiler::{Answer, AskError, ImageAnswer, Lock, ModuleSource, Question, ResolveMode, World};
use executor::cli::StoreArgs;
use executor::registry::{Asking, Client};
use executor::session::{Session, Uploads};
use executor::sources::{Images, Mode};
use executor::store::Store;
use executor::{Cancel, Engine, Error};
use llb::Source;
use oci::{Platform, Reference};

pub(crate) use patience::Patience;

use crate::failure::{Failure, Result};
use crate::settings::{Input, LOCK, Settings, is_web};
use crate::stdin;
use crate::{layout, remote};

type Answered = std::result::Result<Answer, AskError>;

/// What to do about something that nobody may be asked.
const OFFLINE: &str =
    "nobody is asked with --offline; compile once without it and with --write-facts FILE, then pass --facts FILE";
/// What to do about something that must be written down and is not.
const UNLOCKED: &str = "write it down with `llbc lock`, for the same --platform; or build without --locked";
/// What names of images in layouts begin with.
const LAYOUT: &str = "oci-layout://";
/// What to do about an image that nobody has.
const NO_IMAGE: &str = "check the name; `executor images ls` lists the images of the store";

/// What this machine and its network know.
pub(crate) struct Host<'s> {
    settings: &'s Settings,
    lock: Lock,
    network: Arc<Network>,
    /// Held by who builds to answer: one build is shown at a time.
    building: Mutex<()>,
}

/// Who knows of images and times: the executor's store, layouts, registries.
struct Network {
    place: StoreArgs,
    layouts: BTreeMap<String, PathBuf>,
    uploads: Uploads,
    asking: Asking,
    client: OnceLock<std::result::Result<Client, AskError>>,
    /// The store, or why there is none: `None` where there is no such directory.
    store: OnceLock<std::result::Result<Store, Option<String>>>,
    /// Whether a store that is not there is made: what is asked for here is kept for the build that follows.
    makes_store: bool,
    cancel: Cancel,
}

/// What was opened to answer, for the build that follows.
#[derive(Default)]
pub(crate) struct Opened {
    /// The executor's store, if it was looked in and nobody still does.
    pub(crate) store: Option<Store>,
    /// Who talks to registries, with the tokens that it got.
    pub(crate) registries: Option<Client>,
}

impl<'s> Host<'s> {
    /// Reads the facts files.
    pub(crate) fn new(settings: &'s Settings) -> Result<Self> {
        let mut lock = Lock::default();
        for path in &settings.facts {
            let text = executor::text::file(path).map_err(Failure::io("read the facts file", path))?;
            lock.merge(Lock::parse(&text).map_err(|error| {
                Failure::message("facts", format!("{}: {error}", path.display()), "see `llbc compile --write-facts`")
            })?);
        }
        Ok(Self::with(settings, lock))
    }

    /// A host that knows what a lock file says, and no facts files.
    pub(crate) fn with(settings: &'s Settings, lock: Lock) -> Self {
        let network = Network {
            place: settings.store.clone(),
            layouts: settings.layouts.clone(),
            uploads: settings.uploads.clone(),
            asking: match (settings.offline, &settings.patience) {
                (true, _) => Asking::Never,
                (false, Some(_)) => Asking::Once,
                (false, None) => Asking::Repeatedly,
            },
            client: OnceLock::new(),
            store: OnceLock::new(),
            makes_store: settings.run.is_some(),
            cancel: Cancel::default(),
        };
        Self { settings, lock, network: Arc::new(network), building: Mutex::default() }
    }

    /// What was opened to answer, unless somebody still waits for an answer.
    pub(crate) fn into_opened(self) -> Opened {
        let Some(network) = Arc::into_inner(self.network) else { return Opened::default() };
        let store = network.store.into_inner().and_then(std::result::Result::ok);
        let registries = network.client.into_inner().and_then(std::result::Result::ok);
        Opened { store, registries: registries.map(|client| client.asking(Asking::Repeatedly)) }
    }

    /// Makes the sources of a graph those that are written down.
    ///
    /// **Errors**: one that is not, where everything must be.
    pub(crate) fn pin(&self, graph: &mut llb::Graph) -> Result<()> {
        // A facts file that is no lock file is what was answered, and changes nothing that is built.
        if self.settings.locked || self.settings.facts.iter().any(|file| file.ends_with(LOCK)) {
            self.lock.pin_images(graph);
        }
        let open = self.lock.pin(graph);
        let Some(first) = open.first().filter(|_| self.settings.locked) else { return Ok(()) };
        let text = match open.len() {
            1 => format!("{first} is not in the lock file"),
            count => format!("{first} and {} more are not in the lock file", count - 1),
        };
        Err(Failure::message("lock", text, UNLOCKED))
    }

    /// The facts files and what was answered beside them, as text.
    pub(crate) fn record(&mut self, facts: &compiler::Facts) -> String {
        self.lock.record(facts);
        self.lock.print()
    }

    fn ask(&self, question: &Question) -> Answered {
        if let Some(answer) = self.lock.answer(question) {
            return answer;
        }
        if self.settings.locked && !Lock::is_pinned(question) {
            let what = match question {
                Question::Image { reference, .. } => reference,
                Question::Timestamp { source, .. } => source,
                _ => "it",
            };
            let message = format!("{what} is not in the lock file");
            return Err(AskError { message, help: Some(UNLOCKED.into()), ..AskError::default() });
        }
        match question {
            Question::ContextFile { context, .. } if self.is_elsewhere(context) => self.web_file(context),
            Question::ContextFile { context, path } => self.file(context, path),
            Question::Image { reference, platform, mode } => {
                let (name, platform, mode) = (reference.clone(), platform.clone(), *mode);
                let server =
                    Reference::parse(reference).map_or_else(|_| reference.clone(), |name| name.domain().to_owned());
                self.wait(&server, reference, move |network| network.image(&name, &platform, mode))
            }
            Question::Timestamp { source, remote } => {
                let attrs = remote.iter().map(|remote| ("git.fullurl".to_owned(), remote.clone()));
                let dated = Source { identifier: source.clone(), attrs: attrs.collect() };
                let server = source.split('/').nth(2).unwrap_or(source);
                self.wait(server, source, move |network| network.time(&dated))
            }
            Question::Module { source: ModuleSource::File(path) } => client::file(path),
            Question::Module { source: ModuleSource::Imported(file) } => self.imported(file),
            Question::Module { source: ModuleSource::Built(file) } => self.built(file),
            Question::HostEnv(key) => client::variable(key),
            Question::Host(value) => client::value(*value),
            Question::HostRun { argv, directory, output } => {
                client::process(self.settings.allow_local_run, argv, directory, *output)
            }
            Question::LocalPath { path } => client::local_path(path),
            Question::SecretFiles { path, include, exclude } => client::secret_files(path, include, exclude),
            Question::Nonce { number } => client::nonce(*number),
            Question::Frontend { opts, inputs, needs } => self.frontend(opts, inputs, needs),
            Question::Pushed(push) => self.pushed(push),
            Question::Manifest { reference, platform } => {
                let (name, platform) = (reference.clone(), platform.clone());
                let server =
                    Reference::parse(reference).map_or_else(|_| reference.clone(), |name| name.domain().to_owned());
                self.wait(&server, reference, move |network| network.manifest(&name, &platform))
            }
        }
    }

    /// A missing file is an answer, and so is one of a directory that only the one who runs the definition has.
    fn file(&self, context: &str, path: &str) -> Answered {
        let Some(directory) = self.settings.locals.get(context) else { return Ok(Answer::ContextFile(None)) };
        let file = directory.join(path);
        let is_special = std::fs::metadata(&file).is_ok_and(|found| !found.is_file() && !found.is_dir());
        if is_special {
            // Who waits for a pipe may wait forever.
            return Err(AskError { message: format!("{} is no regular file", file.display()), ..AskError::default() });
        }
        match executor::text::file(&file) {
            Ok(bytes) => Ok(Answer::ContextFile(Some(bytes))),
            Err(error) if is_absent(error.kind()) => Ok(Answer::ContextFile(None)),
            Err(error) => {
                Err(AskError { message: format!("cannot read {}: {error}", file.display()), ..AskError::default() })
            }
        }
    }

    /// Whether a context is on the web, and may be looked at there.
    fn is_elsewhere(&self, context: &str) -> bool {
        let may_ask = !self.settings.offline || self.settings.uploads.contains_key(context);
        is_web(context) && may_ask && !self.settings.locals.contains_key(context)
    }

    /// The start of what is on the web: it tells an archive from a build file.
    fn web_file(&self, address: &str) -> Answered {
        remote::start(self.settings, address).map(Answer::ContextFile)
    }

    /// Asks about something of a server, with the patience that the settings say.
    fn wait(&self, server: &str, what: &str, ask: impl FnOnce(&Network) -> Answered + Send + 'static) -> Answered {
        match &self.settings.patience {
            Some(patience) if !self.settings.offline => {
                let network = self.network.clone();
                patience.ask(server, what, move || ask(&network))
            }
            _ => ask(&self.network),
        }
    }
}

impl Network {
    fn image(&self, reference: &str, platform: &Platform, mode: ResolveMode) -> Answered {
        let mode = match mode {
            ResolveMode::Default => Mode::Default,
            ResolveMode::Local => Mode::Local,
            // What may not be asked for anew is taken as it is.
            ResolveMode::Pull if self.is_offline() => Mode::Local,
            ResolveMode::Pull => Mode::Pull,
        };
        let reference = self.with_digest(reference)?;
        let store = self.store();
        let images =
            Images { store: store.ok(), registries: self.client()?, layouts: &self.layouts, cancel: &self.cancel };
        match images.resolve(&reference, platform, mode) {
            Ok(found) => Ok(Answer::Image(ImageAnswer { digest: Some(found.digest), config: found.config })),
            Err(error) => {
                let help = matches!(error, Error::NotFound(_)).then_some(NO_IMAGE);
                let unanswered = self.unanswered(&error, help);
                // The image may well be where nobody could look.
                let help = store.err().flatten().map(str::to_owned).or(unanswered.help);
                Err(AskError { help, ..unanswered })
            }
        }
    }

    /// The reference as it is; of an image in a layout, with the digest that is meant.
    fn with_digest<'r>(&self, reference: &'r str) -> std::result::Result<Cow<'r, str>, AskError> {
        let layout = reference.strip_prefix(LAYOUT).filter(|layout| !layout.contains('@'));
        let Some(layout) = layout else { return Ok(reference.into()) };
        let (store, tag) = oci::layout::split(layout);
        let Some(directory) = self.layouts.get(store) else { return Ok(reference.into()) };
        let wrong = |why| AskError {
            message: format!("failed to resolve source metadata for {reference}: {why}"),
            help: Some(format!(
                "the layout is a directory beside the build file; --build-context {store}={LAYOUT}DIRECTORY gives another"
            )),
            ..AskError::default()
        };
        let digest = layout::digest(directory, tag).map_err(wrong)?;
        Ok(format!("{LAYOUT}{store}@{digest}").into())
    }

    fn time(&self, source: &Source) -> Answered {
        if self.is_offline() {
            let message = format!("the time of {} is not known", source.identifier);
            return Err(AskError { message, help: Some(OFFLINE.into()), unreachable: true, ..AskError::default() });
        }
        let uploads = self.uploads.clone();
        let session = Session { registries: self.client()?.clone(), uploads, ..Session::default() };
        let asked =
            Engine::open(self.place.directory()).and_then(|engine| engine.timestamp(source, &session, &self.cancel));
        asked.map(Answer::Timestamp).map_err(|error| self.unanswered(&error, None))
    }

    fn unanswered(&self, error: &Error, help: Option<&str>) -> AskError {
        let help = if self.is_offline() { Some(OFFLINE) } else { help };
        let unreachable = self.is_offline() || !matches!(error, Error::NotFound(_));
        AskError { message: error.to_string(), help: help.map(str::to_owned), unreachable, ..AskError::default() }
    }

    fn is_offline(&self) -> bool {
        self.asking == Asking::Never
    }

    fn client(&self) -> std::result::Result<&Client, AskError> {
        let made = self.client.get_or_init(|| {
            let made = self.place.client(self.asking);
            made.map_err(|error| AskError { message: error.to_string(), ..AskError::default() })
        });
        made.as_ref().map_err(Clone::clone)
    }

    /// The executor's store, if there is one: who only looks must not make it, and one that cannot be opened is not ours.
    /// **Errors**: why it cannot; `None` where there is none.
    fn store(&self) -> std::result::Result<&Store, Option<&str>> {
        let open = || {
            let directory = self.place.directory();
            let shown = directory.display().to_string();
            match directory.join("blobs-v1").symlink_metadata() {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.makes_store => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(None),
                Err(error) => return Err(Some(format!("the store {shown} was not looked in: {error}"))),
            }
            Store::open(directory).map_err(|error| Some(format!("the store {shown} was not looked in: {error}")))
        };
        self.store.get_or_init(open).as_ref().map_err(|why| why.as_deref())
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
pub(crate) fn read(input: &Input) -> Result<Vec<u8>> {
    match input {
        Input::File(path) => executor::text::file(path).map_err(Failure::io("read", path)),
        Input::Remote(address) => {
            Err(Failure::unsupported(&format!("reading {address} here"), "fetch the file, and name it"))
        }
        Input::Stdin => stdin::text(),
        Input::Piped(bytes) => Ok(bytes.to_vec()),
    }
}
