//! A client of language servers: speaks the protocol over the standard streams of a process, one message at a time.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Error, Result};

/// So long may an answer take if nobody says otherwise.
const LIMIT: Duration = Duration::from_secs(60);

/// A connection to a running server.
pub struct Client {
    child: Child,
    stdin: ChildStdin,
    messages: Receiver<(Instant, Value)>,
    /// Notifications that came while something else was waited for, with the time they came.
    kept: VecDeque<(Instant, Value)>,
    /// When what was waited for last was there, before it was read: how long reading takes is the client's own.
    pub arrived: Instant,
    /// So long may an answer take.
    pub patience: Duration,
    requests: u64,
    /// What the server said of itself.
    pub capabilities: Value,
}

impl Client {
    /// Starts a server and says hello.
    ///
    /// **Errors**: it cannot be started, or does not answer.
    pub fn start(command: &mut Command, options: Value) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::when(format!("start {command:?}")))?;
        let stdin = child.stdin.take().expect("a piped stream is there");
        let stdout = child.stdout.take().expect("a piped stream is there");
        let (sender, messages) = mpsc::channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            while let Some(message) = read(&mut stdout) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let kept = VecDeque::new();
        let (arrived, capabilities) = (Instant::now(), Value::Null);
        let mut client = Self { child, stdin, messages, kept, arrived, patience: LIMIT, requests: 0, capabilities };
        let params = json!({
            "processId": std::process::id(),
            "rootUri": null,
            "capabilities": {"textDocument": {"publishDiagnostics": {"versionSupport": true}}},
            "initializationOptions": options,
        });
        let hello = client.request("initialize", params)?;
        client.capabilities = hello["capabilities"].clone();
        client.notify("initialized", json!({}))?;
        Ok(client)
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn send(&mut self, message: &Value) -> Result<()> {
        let text = message.to_string();
        let sent = write!(self.stdin, "Content-Length: {}\r\n\r\n{text}", text.len());
        sent.and_then(|()| self.stdin.flush()).map_err(Error::when("write to the language server"))
    }

    /// Says something that needs no answer.
    pub fn notify(&mut self, method: &str, params: Value) -> Result<()> {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
    }

    /// Asks, and waits for the result.
    ///
    /// **Errors**: the server refuses, or does not answer in time.
    pub fn request(&mut self, method: &str, params: Value) -> Result<Value> {
        self.requests += 1;
        let id = self.requests;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        loop {
            let (at, message) = self.receive(method)?;
            if message.get("method").is_some() {
                self.keep(at, message)?;
            } else if message["id"] == json!(id) {
                self.arrived = at;
                return match message.get("error") {
                    Some(error) => Err(Error(format!("{method}: {error}"))),
                    None => Ok(message["result"].clone()),
                };
            }
        }
    }

    /// Keeps what will be asked for; answers what the server asks with nothing.
    fn keep(&mut self, at: Instant, message: Value) -> Result<()> {
        match message.get("id") {
            Some(id) => self.send(&json!({"jsonrpc": "2.0", "id": id, "result": null})),
            None => {
                if message["method"] == "textDocument/publishDiagnostics" {
                    self.kept.push_back((at, message["params"].clone()));
                }
                Ok(())
            }
        }
    }

    fn receive(&mut self, what: &str) -> Result<(Instant, Value)> {
        self.messages.recv_timeout(self.patience).map_err(Error::when(format!("wait for the language server ({what})")))
    }

    /// The findings of a version of a document; those of older versions are passed over.
    pub fn findings(&mut self, uri: &str, version: i64) -> Result<Vec<Value>> {
        let start = Instant::now();
        loop {
            while let Some((at, params)) = self.kept.pop_front() {
                // Not every server says which version it speaks of.
                let is_wanted = params["version"].as_i64().is_none_or(|found| found == version);
                if params["uri"] == uri && is_wanted {
                    self.arrived = at;
                    return Ok(params["diagnostics"].as_array().cloned().unwrap_or_default());
                }
            }
            if start.elapsed() > self.patience {
                return Err(Error(format!("no findings for version {version} of {uri}")));
            }
            let (at, message) = self.receive("findings")?;
            if message.get("method").is_some() {
                self.keep(at, message)?;
            }
        }
    }

    /// Forgets findings that nobody asked for.
    pub fn forget_findings(&mut self) {
        while let Ok(message) = self.messages.try_recv() {
            drop(message);
        }
        self.kept.clear();
    }

    /// Opens a Dockerfile.
    pub fn open(&mut self, uri: &str, text: &str) -> Result<()> {
        self.open_as("dockerfile", uri, text)
    }

    /// Opens a document in the language that an editor calls so.
    pub fn open_as(&mut self, language: &str, uri: &str, text: &str) -> Result<()> {
        let document = json!({"uri": uri, "languageId": language, "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}))
    }

    /// Replaces a range: lines and UTF-16 columns from 0, end exclusive.
    pub fn edit(
        &mut self,
        uri: &str,
        version: i64,
        start: (usize, usize),
        end: (usize, usize),
        text: &str,
    ) -> Result<()> {
        let position = |(line, character): (usize, usize)| json!({"line": line, "character": character});
        let change = json!({"range": {"start": position(start), "end": position(end)}, "text": text});
        let document = json!({"uri": uri, "version": version});
        self.notify("textDocument/didChange", json!({"textDocument": document, "contentChanges": [change]}))
    }

    /// Ends the session as the protocol has it; returns the exit code.
    pub fn end(mut self) -> Result<Option<i32>> {
        self.request("shutdown", Value::Null)?;
        self.notify("exit", Value::Null)?;
        let status = self.child.wait().map_err(Error::when("wait for the language server to exit"))?;
        Ok(status.code())
    }

    /// The most memory the process has had, in KiB.
    pub fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // After a proper end there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next message, and when all of it was there; `None` at the end or when it is none.
fn read(stream: &mut impl BufRead) -> Option<(Instant, Value)> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("Content-Length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((Instant::now(), serde_json::from_slice(&body).ok()?))
}
