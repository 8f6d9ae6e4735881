//! Errors, warnings and names, between this crate's form and the protocol's.

use ::gateway::message::{
    self, ResolveSourceGitResponse, ResolveSourceHttpResponse, ResolveSourceMetaResponse, Timestamp, WarnRequest,
};
use ::gateway::{Code, Detail, Status};
use llb::{Position, Range, SourceInfo};
use oci::Digest;
use serde::Deserialize;

use crate::Error;
use crate::progress::{About, Event};
use crate::sources::Meta;

/// Type of the detail that holds a place in a text.
const SOURCE: &str = "github.com/moby/buildkit/errdefs.Source+json";

/// An error as a frontend gets it. It learns what failed, and nothing of where things lie.
pub(super) fn status(error: Error) -> Status {
    let code = match &error {
        Error::NotFound(_) => Code::NotFound,
        Error::Denied(_) => Code::PermissionDenied,
        Error::Unsupported { .. } => Code::Unimplemented,
        Error::Cancelled => Code::Cancelled,
        _ => Code::Unknown,
    };
    Status::new(code, error.to_string())
}

/// What a frontend returned as its error, with the places it names.
pub(super) fn error(status: Status) -> Error {
    let places = status.details.iter().filter_map(place).collect();
    Error::Frontend { message: status.message, places }
}

/// A place in a text.
#[derive(Deserialize)]
struct Place {
    #[serde(default)]
    info: Info,
    #[serde(default)]
    ranges: Vec<WireRange>,
}

#[derive(Default, Deserialize)]
struct Info {
    #[serde(default)]
    filename: String,
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct WireRange {
    #[serde(default)]
    start: WirePosition,
    #[serde(default)]
    end: WirePosition,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct WirePosition {
    #[serde(default)]
    line: i32,
}

fn place(detail: &Detail) -> Option<(SourceInfo, Vec<Range>)> {
    if detail.type_url != SOURCE {
        return None;
    }
    let place: Place = serde_json::from_slice(&detail.value).ok()?;
    let data = oci::base64::decode(&place.info.data)?;
    let info = SourceInfo { filename: place.info.filename, data: data.into(), ..SourceInfo::default() };
    let position = |position: WirePosition| Position { line: position.line, character: 0 };
    let ranges = place.ranges.iter().map(|range| Range { start: position(range.start), end: position(range.end) });
    Some((info, ranges.collect()))
}

/// A warning: one line for people, all of it for programs.
pub(super) fn warning(request: &WarnRequest) -> Event {
    let text = String::from_utf8_lossy(&request.short);
    let line = text.lines().next().unwrap_or_default();
    let message = if request.url.is_empty() { line.to_owned() } else { format!("{line}: {}", request.url) };
    let position = |at: Option<message::Position>| {
        let at = at.unwrap_or_default();
        Position { line: at.line, character: at.character }
    };
    let ranges = request.ranges.iter().map(|range| Range { start: position(range.start), end: position(range.end) });
    let source = request.info.as_ref().map(|info| SourceInfo {
        filename: info.filename.clone(),
        data: info.data.clone().into(),
        language: info.language.clone(),
        ..SourceInfo::default()
    });
    let about = About {
        vertex: Digest::parse(&request.digest).ok(),
        level: request.level,
        short: request.short.clone(),
        detail: request.detail.clone(),
        url: request.url.clone(),
        source: source.map(|source| (source, ranges.collect())),
    };
    Event::Warning { digest: None, message, about: Some(Box::new(about)) }
}

/// What is known of a source, for a frontend.
pub(super) fn put_meta(meta: Meta, response: &mut ResolveSourceMetaResponse) {
    match meta {
        Meta::Commit { name, object, tagged, commit, tag } => {
            response.git = Some(ResolveSourceGitResponse {
                checksum: object,
                r#ref: name,
                commit_checksum: tagged,
                commit_object: commit,
                tag_object: tag,
            });
        }
        Meta::File { digest, name, modified } => {
            response.http = Some(ResolveSourceHttpResponse {
                checksum: digest.to_string(),
                filename: name,
                last_modified: modified.map(|seconds| Timestamp { seconds, nanos: 0 }),
            });
        }
    }
}

/// The image of a layout by the layout's name and the digest of a reference.
pub(super) fn layout(store: &str, reference: &str) -> String {
    let digest = reference.rsplit_once('@').map_or("", |(_, digest)| digest);
    format!("oci-layout://{store}@{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_an_error_is_kept() {
        let json =
            r#"{"info":{"filename":"Dockerfile","data":"RlJPTSBh"},"ranges":[{"start":{"line":2},"end":{"line":3}}]}"#;
        let detail = |kind: &str| Detail { type_url: kind.to_owned(), value: json.as_bytes().to_vec() };
        let status = Status::new(Code::Unknown, "bad").detail(detail("other")).detail(detail(SOURCE));
        let Error::Frontend { message, places } = error(status) else { panic!("an error of a frontend") };
        assert_eq!((message.as_str(), places.len()), ("bad", 1));
        assert_eq!((&*places[0].0.data, places[0].1[0].end.line), (&b"FROM a"[..], 3));
    }

    #[test]
    fn names_of_images_in_layouts() {
        assert_eq!(layout("store", "docker.io/library/a@sha256:00"), "oci-layout://store@sha256:00");
    }
}
