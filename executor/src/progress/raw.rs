//! Progress for programs: one JSON object a line, in the shape of BuildKit's `SolveStatus` (client/graph.go).

use std::collections::HashMap;
use std::time::SystemTime;

use oci::{Digest, base64};
use serde::Serialize;

use super::{About, Event};
use crate::clock;

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
    #[serde(skip_serializing_if = "is_level_zero")]
    level: i64,
    short: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    detail: Vec<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    url: &'a str,
    #[serde(rename = "sourceInfo", skip_serializing_if = "Option::is_none")]
    source: Option<Source<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    range: Vec<Range>,
}

#[derive(Serialize)]
struct Source<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    filename: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    data: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    language: &'a str,
}

#[derive(Serialize)]
struct Range {
    start: Position,
    end: Position,
}

#[derive(Serialize)]
struct Position {
    #[serde(skip_serializing_if = "is_nought")]
    line: i32,
    #[serde(skip_serializing_if = "is_nought")]
    character: i32,
}

impl<'a> Warning<'a> {
    fn of(digest: Option<&'a Digest>, message: &str, about: Option<&'a About>) -> Self {
        let vertex = digest.or(about.and_then(|about| about.vertex.as_ref())).map(Digest::as_str);
        let Some(about) = about else {
            let short = base64::encode(message.as_bytes());
            return Self { vertex, level: WARNING_LEVEL, short, detail: vec![], url: "", source: None, range: vec![] };
        };
        let position = |at: llb::Position| Position { line: at.line, character: at.character };
        let range = |range: &llb::Range| Range { start: position(range.start), end: position(range.end) };
        let (source, ranges) = about.source.as_ref().map(|(source, ranges)| (source, ranges.as_slice())).unzip();
        Self {
            vertex,
            level: about.level,
            short: base64::encode(&about.short),
            detail: about.detail.iter().map(|detail| base64::encode(detail)).collect(),
            url: &about.url,
            source: source.map(|source| Source {
                filename: &source.filename,
                data: base64::encode(&source.data),
                language: &source.language,
            }),
            range: ranges.unwrap_or_default().iter().map(range).collect(),
        }
    }
}

/// The level of BuildKit's own warnings.
const WARNING_LEVEL: i64 = 1;

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
            Event::Warning { digest, message, about } => {
                status.warnings.push(Warning::of(digest.as_ref(), message, about.as_deref()));
            }
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

fn is_nought(number: &i32) -> bool {
    *number == 0
}

fn is_level_zero(level: &i64) -> bool {
    *level == 0
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// RFC 3339, as Go writes it.
fn time(at: SystemTime) -> String {
    clock::time(at).to_string()
}
