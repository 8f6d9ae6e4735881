//! The server over a connection in memory: what an outside adds, and cancellation. Scripts over a real connection are
//! end-to-end tests.

use std::sync::{Arc, Mutex};

use compiler::{Answer, ImageAnswer, Question};
use lsp_server::{Connection, Message, Notification, Request, RequestId, Response};
use oci::{Digest, Platform};
use serde_json::{Value, json};

use super::wire::Outgoing;
use super::{Outside, Place, Told, serve_connection};

/// Knows `alpine:3.20`, and remembers what it was asked.
#[derive(Default)]
struct World {
    asked: Mutex<Vec<(bool, Question)>>,
    tags: Mutex<Vec<String>>,
}

impl Outside for World {
    fn platform(&self) -> Platform {
        Platform::new("linux", "amd64")
    }

    fn answer(&self, place: &Place, questions: &[Question]) -> Vec<Told> {
        self.asked.lock().unwrap().extend(questions.iter().map(|question| (place.registry, question.clone())));
        questions.iter().map(answer).collect()
    }

    fn images(&self) -> Vec<String> {
        Vec::new()
    }

    fn runs(&self, vertices: &[Digest]) -> Vec<Option<crate::Run>> {
        vertices.iter().map(|_| None).collect()
    }

    fn tags(&self, repository: &str) -> Vec<String> {
        self.tags.lock().unwrap().push(repository.to_owned());
        vec!["3.20".to_owned(), "edge".to_owned()]
    }
}

fn answer(question: &Question) -> Told {
    match question {
        Question::ContextFile { .. } => Some(Ok(Answer::ContextFile(None))),
        Question::Image { reference, .. } if reference == "docker.io/library/alpine:3.20" => {
            let config = br#"{"architecture":"amd64","os":"linux","config":{"Env":["A=1"]},"rootfs":{"type":"layers","diff_ids":[]}}"#;
            let digest = Digest::parse(crate::testing::DIGEST).unwrap();
            Some(Ok(Answer::Image(ImageAnswer { digest: Some(digest), config: config.to_vec() })))
        }
        _ => None,
    }
}

/// A client that has said hello.
struct Client {
    connection: Connection,
    thread: std::thread::JoinHandle<Result<(), super::Error>>,
    requests: i32,
}

const URI: &str = "file:///nowhere/Dockerfile";

impl Client {
    fn new(options: Value, world: Arc<World>) -> Self {
        let (server, connection) = Connection::memory();
        let sender = server.sender.clone();
        let send = move |message| {
            let message = match message {
                Outgoing::Message(message) => message,
                Outgoing::Result { id, json } => {
                    Message::Response(Response::new_ok(id, serde_json::from_str::<Value>(&json).unwrap()))
                }
            };
            drop(sender.send(message));
        };
        let thread = std::thread::spawn(move || serve_connection(server, send, world));
        let mut client = Self { connection, thread, requests: 0 };
        client.request("initialize", json!({"capabilities": {}, "initializationOptions": options}));
        client.notify("initialized", json!({}));
        client
    }

    fn send_request(&mut self, method: &str, params: Value) -> RequestId {
        self.requests += 1;
        let id = RequestId::from(self.requests);
        self.connection.sender.send(Message::Request(Request::new(id.clone(), method.to_owned(), params))).unwrap();
        id
    }

    fn request(&mut self, method: &str, params: Value) -> Response {
        let id = self.send_request(method, params);
        self.response(&id)
    }

    fn response(&self, id: &RequestId) -> Response {
        loop {
            match self.connection.receiver.recv().unwrap() {
                Message::Response(response) if response.id == *id => return response,
                _ => {}
            }
        }
    }

    fn notify(&self, method: &str, params: Value) {
        self.connection.sender.send(Message::Notification(Notification::new(method.to_owned(), params))).unwrap();
    }

    fn open(&self, text: &str) {
        let document = json!({"uri": URI, "languageId": "dockerfile", "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}));
    }

    /// The codes of the next findings.
    fn findings(&self) -> Vec<String> {
        loop {
            let Message::Notification(note) = self.connection.receiver.recv().unwrap() else { continue };
            if note.method == "textDocument/publishDiagnostics" {
                let found = note.params["diagnostics"].as_array().unwrap();
                return found.iter().map(|found| found["code"].as_str().unwrap().to_owned()).collect();
            }
        }
    }

    fn end(mut self) {
        self.request("shutdown", Value::Null);
        self.notify("exit", Value::Null);
        self.thread.join().unwrap().unwrap();
    }
}

#[test]
fn facts_add_findings_as_they_arrive() {
    let world = Arc::new(World::default());
    let client = Client::new(json!({}), world.clone());
    client.open("FROM alpine:3.20\nRUN echo $A\nWORKDIR $B\nFROM debian\nWORKDIR $C\n");
    assert_eq!(client.findings(), [""; 0], "as long as the bases are unknown, nothing is certain");
    assert_eq!(
        client.findings(),
        ["UndefinedVar", "WorkdirRelativePath"],
        "then what depends on the one that is known"
    );
    client.end();
    let asked = world.asked.lock().unwrap();
    let images: Vec<_> = asked.iter().filter(|(_, question)| matches!(question, Question::Image { .. })).collect();
    assert_eq!(images.len(), 2, "each image is asked for once: {images:?}");
    assert!(images.iter().all(|(registry, _)| !registry), "no registry is asked unless that is wanted");
}

#[test]
fn nobody_is_asked_when_facts_are_off() {
    let world = Arc::new(World::default());
    let mut client = Client::new(json!({"facts": {"enabled": false}}), world.clone());
    client.open("FROM alpine:3.20\nRUN a\n");
    assert_eq!(client.findings(), [""; 0]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    client.request("llbc/text", json!({"textDocument": {"uri": URI}}));
    client.end();
    assert!(world.asked.lock().unwrap().iter().all(|(_, question)| !matches!(question, Question::Image { .. })));
}

/// The labels that are offered at the end of a line, and whether there may be more in a moment.
fn completions(client: &mut Client, character: usize) -> (Vec<String>, bool) {
    let params = json!({"textDocument": {"uri": URI}, "position": {"line": 0, "character": character}});
    let list = client.request("textDocument/completion", params).response_result.unwrap();
    let labels = list["items"].as_array().unwrap().iter().map(|item| item["label"].as_str().unwrap().to_owned());
    (labels.collect(), list["isIncomplete"].as_bool().unwrap())
}

#[test]
fn tags_come_from_registries_when_those_may_be_asked() {
    let world = Arc::new(World::default());
    let mut client = Client::new(json!({"facts": {"registry": true}}), world.clone());
    client.open("FROM alpine:");
    assert_eq!(completions(&mut client, 12), (vec![], true), "nobody waits for a registry");
    let start = std::time::Instant::now();
    let (mut found, mut more) = (Vec::new(), true);
    while more && start.elapsed() < std::time::Duration::from_secs(20) {
        (found, more) = completions(&mut client, 12);
    }
    assert_eq!(found, ["alpine:3.20", "alpine:edge"]);
    assert_eq!(*world.tags.lock().unwrap(), ["alpine"], "each repository is asked for once");
    client.end();

    let world = Arc::new(World::default());
    let mut client = Client::new(json!({}), world.clone());
    client.open("FROM alpine:");
    assert_eq!(completions(&mut client, 12), (vec![], false));
    assert_eq!(*world.tags.lock().unwrap(), [""; 0], "no registry is asked unless that is wanted");
    client.end();
}

#[test]
fn a_request_that_waits_can_be_cancelled() {
    let mut client = Client::new(json!({}), Arc::default());
    client.open(&format!("FROM a\n{}", "RUN x && y\n".repeat(1000)));
    let params = json!({"textDocument": {"uri": URI}});
    let ids: Vec<RequestId> =
        (0..30).map(|_| client.send_request("textDocument/semanticTokens/full", params.clone())).collect();
    let last = ids.last().unwrap().clone();
    client.notify("$/cancelRequest", json!({"id": client.requests}));
    let response = client.response(&last);
    let error = response.response_result.err().map(|error| error.code);
    assert_eq!(error, Some(lsp_server::ErrorCode::RequestCanceled as i32));
    client.end();
}

#[test]
fn a_request_that_runs_can_be_cancelled() {
    let mut client = Client::new(json!({}), Arc::default());
    let stages: String = (0..4000).map(|at| format!("FROM a AS s{at}\nENV A=$B C=$A\nRUN $A\n")).collect();
    client.open(&stages);
    // It is first in the queue, so that nothing but the work itself can notice.
    let params = json!({"textDocument": {"uri": URI}});
    let id = client.send_request("textDocument/diagnostic", params);
    client.notify("$/cancelRequest", json!({"id": client.requests}));
    let error = client.response(&id).response_result.err().map(|error| error.code);
    assert_eq!(error, Some(lsp_server::ErrorCode::RequestCanceled as i32));
    client.end();
}

#[test]
fn what_tells_of_a_text_that_has_changed_is_not_worked_out() {
    let mut client = Client::new(json!({}), Arc::default());
    client.open("FROM a\n");
    let params = json!({"textDocument": {"uri": URI}});
    let ids: Vec<RequestId> =
        (0..100).map(|_| client.send_request("textDocument/semanticTokens/full", params.clone())).collect();
    let change = json!({"text": "FROM b\n"});
    client.notify(
        "textDocument/didChange",
        json!({"textDocument": {"uri": URI, "version": 2}, "contentChanges": [change]}),
    );
    let error = client.response(ids.last().unwrap()).response_result.err().map(|error| error.code);
    assert_eq!(error, Some(lsp_server::ErrorCode::ContentModified as i32));
    assert!(client.request("textDocument/semanticTokens/full", params).response_result.is_ok());
    client.end();
}

#[test]
fn a_client_that_leaves_without_a_word_is_an_error() {
    let client = Client::new(json!({}), Arc::default());
    client.notify("exit", Value::Null);
    assert!(client.thread.join().unwrap().is_err());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut client = Client::new(json!({"target": 1}), Arc::default());
    client.open("FROM a\n");
    for (method, params) in [
        ("textDocument/hover", json!({})),
        (
            "textDocument/hover",
            json!({"textDocument": {"uri": "file:///other"}, "position": {"line": 0, "character": 0}}),
        ),
        ("textDocument/hover", json!({"textDocument": {"uri": URI}, "position": "here"})),
        ("textDocument/nothing", json!(null)),
    ] {
        assert!(client.request(method, params.clone()).response_result.is_err(), "{method} {params}");
    }
    client.notify("textDocument/didChange", json!({"textDocument": 1}));
    let hover = json!({"textDocument": {"uri": URI}, "position": {"line": 0, "character": 1}});
    assert!(client.request("textDocument/hover", hover).response_result.is_ok());
    client.end();
}
