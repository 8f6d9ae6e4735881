//! What makes work worthless while it runs: the client takes a request back, or has changed the text.
//!
//! The thread that reads messages notes both before it passes them on, so that the thread that works sees them at once. Work
//! looks now and then ([`Errand::is_over`]) and stops by itself; what it has by then is thrown away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lsp_server::{Message, RequestId};
use lsp_types as lsp;
use lsp_types::notification::{self, Notification as _};
use serde_json::Value;

/// Something that is worked out for the client.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    pub(super) interrupts: Arc<Interrupts>,
    /// The request, if the client asked for it.
    pub(super) request: Option<RequestId>,
    /// The document that it tells about as a whole: once that has changed, the client asks again.
    pub(super) document: Option<String>,
}

impl Errand {
    /// Whether nobody waits for it any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_cancelled() || self.is_stale()
    }

    /// Whether the client took it back.
    pub(super) fn is_cancelled(&self) -> bool {
        self.request.as_ref().is_some_and(|id| self.interrupts.is_cancelled(id))
    }

    /// Whether the text has changed.
    pub(super) fn is_stale(&self) -> bool {
        self.document.as_ref().is_some_and(|uri| self.interrupts.is_stale(uri))
    }
}

/// What was read and is not worked on yet, as far as it concerns what is.
#[derive(Debug, Default)]
pub(super) struct Interrupts {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Requests without an answer; whether each was taken back.
    requests: BTreeMap<String, bool>,
    /// How many changes of each document wait.
    changes: BTreeMap<String, usize>,
}

impl Interrupts {
    /// Notes a message that was read.
    pub(super) fn read(&self, message: &Message) {
        match message {
            Message::Request(request) => drop(self.lock().requests.insert(request.id.to_string(), false)),
            Message::Notification(note) if note.method == notification::Cancel::METHOD => {
                let Some(id) = cancelled(&note.params) else { return };
                // One that was answered already is none any more.
                if let Some(is_cancelled) = self.lock().requests.get_mut(&id.to_string()) {
                    *is_cancelled = true;
                }
            }
            Message::Notification(note) if note.method == notification::DidChangeTextDocument::METHOD => {
                *self.lock().changes.entry(document(&note.params)).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Whether a request was taken back.
    fn is_cancelled(&self, id: &RequestId) -> bool {
        self.lock().requests.get(&id.to_string()).copied().unwrap_or(false)
    }

    /// Whether a change of a document waits.
    fn is_stale(&self, uri: &str) -> bool {
        self.lock().changes.contains_key(uri)
    }

    /// A request is done.
    pub(super) fn answered(&self, id: &RequestId) {
        self.lock().requests.remove(&id.to_string());
    }

    /// A change of a document is made.
    pub(super) fn changed(&self, params: &Value) {
        let mut waiting = self.lock();
        let uri = document(params);
        match waiting.changes.get_mut(&uri) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(waiting.changes.remove(&uri)),
        }
    }

    /// A thread that panicked held no half-made change: each is one step.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cancelled(params: &Value) -> Option<RequestId> {
    let cancel: lsp::CancelParams = serde_json::from_value(params.clone()).ok()?;
    Some(match cancel.id {
        lsp::NumberOrString::Number(number) => RequestId::from(number),
        lsp::NumberOrString::String(text) => RequestId::from(text),
    })
}

fn document(params: &Value) -> String {
    params["textDocument"]["uri"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsp_server::{Notification, Request};
    use serde_json::json;

    fn note(method: &str, params: Value) -> Message {
        Message::Notification(Notification::new(method.to_owned(), params))
    }

    #[test]
    fn a_request_is_taken_back_between_its_arrival_and_its_answer() {
        let interrupts = Interrupts::default();
        let id = RequestId::from(1);
        let cancel = note("$/cancelRequest", json!({"id": 1}));
        interrupts.read(&cancel);
        assert!(!interrupts.is_cancelled(&id));
        interrupts.read(&Message::Request(Request::new(id.clone(), "x".to_owned(), Value::Null)));
        interrupts.read(&cancel);
        assert!(interrupts.is_cancelled(&id));
        interrupts.answered(&id);
        interrupts.read(&cancel);
        assert!(!interrupts.is_cancelled(&id), "nothing is kept of what is done");
    }

    #[test]
    fn a_text_is_stale_until_all_its_changes_are_made() {
        let interrupts = Interrupts::default();
        let change = json!({"textDocument": {"uri": "a", "version": 2}, "contentChanges": []});
        for _ in 0..2 {
            interrupts.read(&note("textDocument/didChange", change.clone()));
        }
        interrupts.changed(&change);
        assert!(interrupts.is_stale("a") && !interrupts.is_stale("b"));
        interrupts.changed(&change);
        assert!(!interrupts.is_stale("a"));
    }
}
