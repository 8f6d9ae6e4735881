//! Progress for programs: one JSON object a line, in the shape of BuildKit's `SolveStatus` (client/graph.go).

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use oci::{Digest, base64};
use serde::Serialize;

use super::Event;

/// Turns events into lines.
#[derive(Default)]
pub(super) struct Raw {
    vertices: HashMap<Digest, Vertex>,
}

#[derive(Default, Serialize)]
struct SolveStatus<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vertexes: Vec<&'a Vertex>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    statuses: Vec<Status<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logs: Vec<Log<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning<'a>>,
}

#[derive(Serialize)]
struct Vertex {
    digest: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(rename = "progressGroup", skip_serializing_if = "Option::is_none")]
    group: Option<Group>,
}

#[derive(Serialize)]
struct Group {
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    weak: bool,
}

#[derive(Serialize)]
struct Status<'a> {
    id: &'a str,
    vertex: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    total: u64,
    current: u64,
    timestamp: String,
    started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<String>,
}

#[derive(Serialize)]
struct Log<'a> {
    vertex: &'a str,
    stream: u8,
    data: String,
    timestamp: String,
}

#[derive(Serialize)]
struct Warning<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    vertex: Option<&'a str>,
    level: u8,
    short: String,
}

/// The level of BuildKit's own warnings.
const WARNING_LEVEL: u8 = 1;

impl Raw {
    /// The line of an event.
    pub(super) fn event(&mut self, event: &Event, now: SystemTime) -> String {
        self.remember(event);
        let mut status = SolveStatus::default();
        match event {
            Event::Vertex { digest, .. } | Event::Started { digest, .. } | Event::Completed { digest, .. } => {
                status.vertexes.extend(self.vertices.get(digest));
            }
            Event::Status { digest, id, current, total, started, completed } => status.statuses.push(Status {
                id,
                vertex: digest.as_str(),
                name: action(id),
                total: *total,
                current: *current,
                timestamp: time(now),
                started: time(*started),
                completed: completed.map(time),
            }),
            Event::Log { digest, stream, data, at } => status.logs.push(Log {
                vertex: digest.as_str(),
                stream: *stream,
                data: base64::encode(data),
                timestamp: time(*at),
            }),
            Event::Warning { digest, message } => status.warnings.push(Warning {
                vertex: digest.as_ref().map(Digest::as_str),
                level: WARNING_LEVEL,
                short: base64::encode(message.as_bytes()),
            }),
        }
        let mut line = serde_json::to_string(&status).expect("strings and numbers are valid JSON");
        line.push('\n');
        line
    }

    fn remember(&mut self, event: &Event) {
        match event {
            Event::Vertex { digest, name, inputs, group } => {
                let group = group.as_ref();
                let vertex = Vertex {
                    digest: digest.as_str().to_owned(),
                    inputs: inputs.iter().map(|input| input.as_str().to_owned()).collect(),
                    name: name.clone(),
                    started: None,
                    completed: None,
                    cached: false,
                    error: None,
                    group: group.map(|g| Group { id: g.id.clone(), name: g.name.clone(), weak: g.weak }),
                };
                self.vertices.insert(digest.clone(), vertex);
            }
            Event::Started { digest, at } => {
                if let Some(vertex) = self.vertices.get_mut(digest) {
                    vertex.started = Some(time(*at));
                    vertex.completed = None;
                }
            }
            Event::Completed { digest, at, cached, error } => {
                if let Some(vertex) = self.vertices.get_mut(digest) {
                    vertex.completed = Some(time(*at));
                    vertex.cached = *cached;
                    vertex.error.clone_from(error);
                }
            }
            Event::Status { .. } | Event::Log { .. } | Event::Warning { .. } => {}
        }
    }
}

/// What BuildKit calls what is done, where it says so.
fn action(id: &str) -> Option<&str> {
    id.split(' ').next().filter(|word| ["extracting", "transferring"].contains(word))
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// RFC 3339, as Go writes it.
fn time(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    oci::Time::from_unix(seconds, since.subsec_nanos()).to_string()
}
