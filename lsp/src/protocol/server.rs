//! The state of a session, and the loop that works on messages.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use compiler::{Answer, Question};
use lsp_server::{ErrorCode, Message, Notification, Request, RequestId};
use lsp_types as lsp;
use lsp_types::notification::{self, Notification as _};

use super::convert::Places;
use super::documents::{Document, path_of};
use super::interrupts::{Errand, Interrupts};
use super::outside::{Knowledge, Outside, Place, Tags, Told};
use super::position::Encoding;
use super::settings::Settings;
use super::wire::Outgoing;
use super::{Error, capabilities, workspace};
use crate::View;

/// Something to work on.
pub(super) enum Event {
    /// The client says something.
    Client(Message),
    /// The client is gone.
    Gone,
    /// Answers to questions.
    Told(Vec<(Question, Told)>),
    /// The tags of a repository.
    Tags(String, Vec<String>),
    /// A request was answered elsewhere.
    Answered(Outgoing),
}

/// So long must nobody type before the outside is asked: half a name is no name.
const QUIET: Duration = Duration::from_millis(300);

/// The longest text that is taken, in bytes; over a hundred times what people write, and what a compiler's spans hold.
const LONGEST_TEXT: usize = 64 << 20;

/// A session.
pub(super) struct Server {
    pub(super) documents: BTreeMap<String, Document>,
    pub(super) folders: Vec<PathBuf>,
    pub(super) client_settings: Settings,
    pub(super) outside: Arc<dyn Outside>,
    pub(super) knowledge: Knowledge,
    pub(super) tags: Rc<RefCell<Tags>>,
    pub(super) events: Sender<Event>,
    sender: Box<dyn Fn(Outgoing) + Send>,
    inbox: Option<Receiver<Event>>,
    queue: VecDeque<Message>,
    interrupts: Arc<Interrupts>,
    /// The request that is worked on.
    pub(super) errand: Errand,
    encoding: Encoding,
    /// Whether the client asks for findings, so that none are sent.
    pulls: bool,
    shut_down: bool,
    requests: i32,
}

/// Why a request has no result.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: ErrorCode,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl Server {
    pub(super) fn new(
        client: &lsp::InitializeParams,
        sender: impl Fn(Outgoing) + Send + 'static,
        outside: Arc<dyn Outside>,
    ) -> Self {
        let (events, inbox) = mpsc::channel();
        let interrupts = Arc::<Interrupts>::default();
        let options = client.initialization_options.clone().unwrap_or_default();
        let mut server = Self {
            documents: BTreeMap::new(),
            folders: workspace::folders(client),
            client_settings: Settings::default(),
            outside,
            knowledge: Knowledge::default(),
            tags: Rc::default(),
            events,
            sender: Box::new(sender),
            inbox: Some(inbox),
            queue: VecDeque::new(),
            errand: Errand { interrupts: interrupts.clone(), request: None, document: None },
            interrupts,
            encoding: capabilities::encoding(client),
            pulls: capabilities::pulls(client),
            shut_down: false,
            requests: 0,
        };
        server.set_client_settings(options);
        server
    }

    /// Works until the client is done.
    pub(super) fn run(
        mut self,
        messages: impl IntoIterator<Item = Message, IntoIter: Send + 'static>,
    ) -> Result<(), Error> {
        let inbox = self.inbox.take().expect("a server runs once");
        let events = self.events.clone();
        let interrupts = self.interrupts.clone();
        let messages = messages.into_iter();
        std::thread::spawn(move || {
            for message in messages {
                interrupts.read(&message);
                if events.send(Event::Client(message)).is_err() {
                    return;
                }
            }
            let _ = events.send(Event::Gone);
        });
        loop {
            while let Ok(event) = inbox.try_recv() {
                self.take(event)?;
            }
            let Some(message) = self.queue.pop_front() else {
                self.send_findings();
                match inbox.recv_timeout(QUIET) {
                    Ok(event) => self.take(event)?,
                    Err(RecvTimeoutError::Timeout) => {
                        self.ask_outside();
                        let event = inbox.recv().map_err(|_| Error::Disconnected)?;
                        self.take(event)?;
                    }
                    Err(RecvTimeoutError::Disconnected) => return Err(Error::Disconnected),
                }
                continue;
            };
            if self.work(message) {
                return if self.shut_down { Ok(()) } else { Err(Error::Disconnected) };
            }
        }
    }

    /// Puts a message in the queue, or learns from an event.
    fn take(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Client(message) => self.queue.push_back(message),
            Event::Gone if self.shut_down => {}
            Event::Gone => return Err(Error::Disconnected),
            Event::Told(told) => self.told(told),
            Event::Tags(repository, tags) => self.tags.borrow_mut().learn(repository, tags),
            Event::Answered(response) => (self.sender)(response),
        }
        Ok(())
    }

    /// Works on a message; returns whether it was the last.
    fn work(&mut self, message: Message) -> bool {
        match message {
            Message::Request(request) => {
                let response = self.answer(request);
                if let Some(response) = response {
                    (self.sender)(response);
                }
            }
            Message::Notification(note) if note.method == notification::Exit::METHOD => return true,
            Message::Notification(note) => {
                let method = note.method.clone();
                if std::panic::catch_unwind(AssertUnwindSafe(|| self.notice(note))).is_err() {
                    self.log(format!("a defect: {method} could not be worked on"));
                }
            }
            // What the server asks for needs no answer.
            Message::Response(_) => {}
        }
        false
    }

    /// The answer to a request; `None` when it is answered later.
    fn answer(&mut self, request: Request) -> Option<Outgoing> {
        let id = request.id.clone();
        self.errand.request = Some(id.clone());
        self.errand.document = super::dispatch::tells_of(&request);
        let result = self.result(request);
        let answer = match result {
            _ if self.errand.is_cancelled() => Outgoing::refusal(id.clone(), ErrorCode::RequestCanceled, "cancelled"),
            Ok(None) => return None,
            _ if self.errand.is_stale() => {
                Outgoing::refusal(id.clone(), ErrorCode::ContentModified, "the text has changed")
            }
            Ok(Some(json)) => Outgoing::Result { id: id.clone(), json },
            Err(failure) => Outgoing::refusal(id.clone(), failure.code, failure.message),
        };
        self.interrupts.answered(&id);
        Some(answer)
    }

    fn result(&mut self, request: Request) -> Result<Option<String>, Failure> {
        if self.errand.is_over() {
            return Ok(Some(String::new()));
        }
        if request.method == "shutdown" {
            self.shut_down = true;
            return Ok(Some("null".to_owned()));
        }
        if self.shut_down {
            return Err(Failure::new(ErrorCode::InvalidRequest, "the server is shutting down"));
        }
        let method = request.method.clone();
        // A defect in one feature is no reason to lose the others.
        std::panic::catch_unwind(AssertUnwindSafe(|| super::dispatch::request(self, request))).unwrap_or_else(|_| {
            Err(Failure::new(ErrorCode::InternalError, format!("a defect: {method} could not be answered")))
        })
    }

    fn notice(&mut self, note: Notification) {
        match note.method.as_str() {
            notification::DidOpenTextDocument::METHOD => {
                self.with(note, |server, params: lsp::DidOpenTextDocumentParams| server.open(params.text_document));
            }
            notification::DidChangeTextDocument::METHOD => {
                self.interrupts.changed(&note.params);
                self.with(note, |server, params: lsp::DidChangeTextDocumentParams| {
                    let version = params.text_document.version;
                    if let Some(document) = server.documents.get_mut(params.text_document.uri.as_str()) {
                        document.edit(version, params.content_changes);
                        server.refuse_long(params.text_document.uri.as_str());
                    }
                });
            }
            notification::DidCloseTextDocument::METHOD => {
                self.with(note, |server, params: lsp::DidCloseTextDocumentParams| {
                    if server.documents.remove(params.text_document.uri.as_str()).is_some() && !server.pulls {
                        server.publish(params.text_document.uri, None, Vec::new());
                    }
                });
            }
            notification::DidSaveTextDocument::METHOD | notification::DidChangeWatchedFiles::METHOD => self.refresh(),
            notification::DidChangeConfiguration::METHOD => {
                self.with(note, |server, params: lsp::DidChangeConfigurationParams| {
                    server.set_client_settings(params.settings);
                });
            }
            notification::DidChangeWorkspaceFolders::METHOD => {
                self.with(note, |server, params: lsp::DidChangeWorkspaceFoldersParams| {
                    let gone: Vec<_> = params.event.removed.iter().filter_map(|folder| path_of(&folder.uri)).collect();
                    server.folders.retain(|folder| !gone.contains(folder));
                    server.folders.extend(params.event.added.iter().filter_map(|folder| path_of(&folder.uri)));
                    server.refresh();
                });
            }
            _ => {}
        }
    }

    fn with<P: serde::de::DeserializeOwned>(&mut self, note: Notification, work: impl FnOnce(&mut Self, P)) {
        match serde_json::from_value(note.params) {
            Ok(params) => work(self, params),
            Err(error) => self.log(format!("{}: {error}", note.method)),
        }
    }

    fn open(&mut self, item: lsp::TextDocumentItem) {
        let key = item.uri.as_str().to_owned();
        let opened = Document::open(item.uri, &item.language_id, item.version, item.text, self.encoding);
        if let Some(mut document) = opened {
            self.configure(&mut document);
            self.documents.insert(key.clone(), document);
            self.refuse_long(&key);
        }
    }

    /// A text that is too long to be looked at is forgotten.
    fn refuse_long(&mut self, key: &str) {
        if self.documents.get(key).is_some_and(|document| document.text.len() > LONGEST_TEXT) {
            self.documents.remove(key);
            self.log(format!("{key} is longer than {} MiB and is not looked at", LONGEST_TEXT >> 20));
        }
    }

    /// Settings, options and place of a document, from the client and the folder it lies in.
    fn configure(&self, document: &mut Document) {
        let path = document.path();
        let folder = path.as_deref().and_then(|path| {
            self.folders.iter().filter(|folder| path.starts_with(folder)).max_by_key(|folder| folder.as_os_str().len())
        });
        let of_folder = folder.map_or(Ok(Settings::default()), |folder| workspace::settings(folder));
        let of_folder = of_folder.unwrap_or_else(|error| {
            self.log(error);
            Settings::default()
        });
        let settings = self.client_settings.over(&of_folder);
        document.options = settings.options(&document.name, &self.outside.platform());
        document.place = match &path {
            Some(path) => Place {
                directory: path.parent().unwrap_or(Path::new("/")).to_owned(),
                context: settings.context_of(path, folder.map(PathBuf::as_path)),
                facts: settings.facts.files.iter().map(|file| folder.map_or(file.clone(), |f| f.join(file))).collect(),
                registry: settings.facts.registry.unwrap_or(false),
            },
            None => Place::default(),
        };
        document.settings = settings;
        document.facts.answers.clear();
        document.changed();
    }

    fn set_client_settings(&mut self, value: serde_json::Value) {
        match Settings::from_client(value) {
            Ok(settings) => self.client_settings = settings,
            Err(error) => return self.log(format!("the settings cannot be read: {error}")),
        }
        self.refresh();
    }

    /// Reads everything around the documents again.
    fn refresh(&mut self) {
        self.knowledge.forget_failures();
        self.tags.borrow_mut().forget();
        let mut documents = std::mem::take(&mut self.documents);
        documents.values_mut().for_each(|document| self.configure(document));
        self.documents = documents;
    }

    /// Works out what is to be said of a document, with what is known by now; nothing when the errand is over before.
    pub(super) fn find(&mut self, key: &str, errand: &Errand) {
        let Some(document) = self.documents.get_mut(key).filter(|document| document.findings.is_none()) else { return };
        let file = document.file();
        let surroundings = workspace::Around { outside: &*self.outside, place: &document.place, tags: &self.tags };
        let stopped = || errand.is_over();
        loop {
            let view = View {
                file: &file,
                options: &document.options,
                facts: &document.facts,
                surroundings: &surroundings,
                stopped: &stopped,
            };
            let Some(glance) = view.glance() else { return };
            let known = document.facts.answers.len();
            self.knowledge.fill(&glance.asks, &mut document.facts);
            files(&*self.outside, &document.place, &glance.asks, &mut document.facts);
            document.asks = glance.asks;
            // What was answered may raise further questions.
            if document.facts.answers.len() == known {
                document.findings = Some(glance.diagnostics.into());
                return;
            }
        }
    }

    /// Sends the findings of documents that changed.
    fn send_findings(&mut self) {
        let dirty: Vec<String> =
            self.documents.iter().filter(|(_, document)| document.dirty).map(|(key, _)| key.clone()).collect();
        for key in dirty {
            let errand = Errand { interrupts: self.interrupts.clone(), request: None, document: Some(key.clone()) };
            let found = std::panic::catch_unwind(AssertUnwindSafe(|| self.find(&key, &errand)));
            if errand.is_over() {
                continue;
            }
            if found.is_err() {
                self.log(format!("a defect: {key} could not be checked"));
            }
            let Some(document) = self.documents.get_mut(&key) else { continue };
            document.dirty = false;
            if self.pulls {
                continue;
            }
            let places = Places::new(document);
            let findings = document.findings.clone().unwrap_or_default();
            let shown = findings.iter().map(|found| places.diagnostic(found)).collect();
            let (uri, version) = (document.uri.clone(), document.version);
            self.publish(uri, Some(version), shown);
        }
    }

    fn publish(&self, uri: lsp::Uri, version: Option<i32>, diagnostics: Vec<lsp::Diagnostic>) {
        let params = lsp::PublishDiagnosticsParams { uri, diagnostics, version };
        self.notify::<notification::PublishDiagnostics>(params);
    }

    /// Asks the outside what no document's facts say; called when nobody types.
    fn ask_outside(&mut self) {
        for document in self.documents.values_mut() {
            if document.settings.facts.enabled == Some(false) {
                continue;
            }
            let images: BTreeSet<Question> =
                document.asks.iter().filter(|question| matches!(question, Question::Image { .. })).cloned().collect();
            let open = self.knowledge.fill(&images, &mut document.facts);
            if !open.is_empty() {
                self.knowledge.ask(&self.outside, document.place.clone(), open, &self.events);
            }
        }
    }

    fn told(&mut self, told: Vec<(Question, Told)>) {
        self.knowledge.learn(told);
        let mut news = false;
        for document in self.documents.values_mut() {
            let known = document.facts.answers.len();
            self.knowledge.fill(&document.asks, &mut document.facts);
            if document.facts.answers.len() > known {
                document.changed();
                news = true;
            }
        }
        if news && self.pulls {
            self.requests += 1;
            let id = RequestId::from(self.requests);
            let request = Request::new(id, "workspace/diagnostic/refresh".to_owned(), serde_json::Value::Null);
            self.send(Message::Request(request));
        }
    }

    fn log(&self, message: String) {
        self.notify::<notification::LogMessage>(lsp::LogMessageParams { typ: lsp::MessageType::WARNING, message });
    }

    fn notify<N: notification::Notification>(&self, params: N::Params) {
        self.send(Message::Notification(Notification::new(N::METHOD.to_owned(), params)));
    }

    fn send(&self, message: Message) {
        (self.sender)(Outgoing::Message(message));
    }
}

/// Answers questions about files of the context at once: they are at hand.
fn files(outside: &dyn Outside, place: &Place, asks: &BTreeSet<Question>, facts: &mut compiler::Facts) {
    let files: Vec<Question> =
        asks.iter().filter(|question| matches!(question, Question::ContextFile { .. })).cloned().collect();
    if files.is_empty() {
        return;
    }
    let told = outside.answer(place, &files);
    for (question, answer) in files.into_iter().zip(told) {
        facts.answers.insert(question, answer.unwrap_or(Ok(Answer::ContextFile(None))));
    }
}
