//! A file on its way from a server. Where it breaks off, the rest is asked for.
//!
//! What came is kept where the server has said what tells this file from what may take its place, and sends the rest of the
//! same one; else all of it is sent again. Either way whoever keeps the file has hashed what it keeps, from the first byte.

use std::io;

use oci::Digest;
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Body, BodyReader};

use super::{date, text_of};
use crate::registry::{self, range_start};
use crate::store::Blobs;
use crate::{Cancel, Error, Result};

/// Times in a row that a file may break off before there is a byte that had not come yet.
const BREAKS: u32 = 5;
/// **Unit**: seconds that a file must have been as it is for its time to tell it from others: less than that later it may
/// have changed without another time.
const SETTLED: i64 = 60;

/// Asks for the file, with these headers.
pub(super) type Ask<'a> = &'a dyn Fn(Vec<(String, String)>) -> Result<Response<Body>>;

/// Why a file did not come.
pub(super) enum Broken {
    /// It broke off once too often: where, and how.
    Off {
        got: u64,
        total: Option<u64>,
        why: String,
    },
    Other(Error),
}

/// Keeps a file, whose answer has begun, as a blob. Gives what the server said of the file that is kept.
pub(super) fn keep(
    response: Response<Body>,
    ask: Ask<'_>,
    blobs: &dyn Blobs,
    cancel: &Cancel,
    at: &mut dyn FnMut(u64),
) -> std::result::Result<(Digest, HeaderMap), Broken> {
    let (mut coming, mut body) = Coming::new(response);
    let mut writer = blobs.write().map_err(Broken::Other)?;
    let (mut furthest, mut breaks) = (0, 0);
    loop {
        let broken = match copy(&mut body, &mut writer, cancel, &mut coming.got, at) {
            Ok(()) => return Ok((writer.commit(None).map_err(Broken::Other)?.0, coming.headers)),
            Err(Stopped::Read(error)) => error,
            Err(Stopped::Other(error)) => return Err(Broken::Other(error)),
        };
        breaks = if coming.got > furthest { 1 } else { breaks + 1 };
        furthest = furthest.max(coming.got);
        if breaks == BREAKS {
            let why = registry::broke_off(&broken);
            return Err(Broken::Off { got: coming.got, total: coming.total, why });
        }
        let response = ask(coming.range()).map_err(Broken::Other)?;
        if coming.is_rest(&response) {
            body = response.into_body().into_reader();
            continue;
        }
        let is_whole = !matches!(response.status(), StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE);
        let whole = if is_whole { response } else { ask(Vec::new()).map_err(Broken::Other)? };
        (coming, body) = Coming::new(whole);
        writer = blobs.write().map_err(Broken::Other)?;
    }
}

/// A file of which a part has come.
struct Coming {
    headers: HeaderMap,
    got: u64,
    /// Bytes in all, if the server has said.
    total: Option<u64>,
}

impl Coming {
    fn new(response: Response<Body>) -> (Self, BodyReader<'static>) {
        let (parts, body) = response.into_parts();
        (Self { headers: parts.headers, got: 0, total: body.content_length() }, body.into_reader())
    }

    /// Asks for the rest of the same file, or for all of another; for all of it where nothing tells the two apart.
    fn range(&self) -> Vec<(String, String)> {
        let Some(validator) = validator(&self.headers).filter(|_| self.got > 0) else { return Vec::new() };
        let header = |name: header::HeaderName, value: String| (name.to_string(), value);
        vec![header(header::RANGE, format!("bytes={}-", self.got)), header(header::IF_RANGE, validator)]
    }

    /// Whether an answer goes on where this one ended.
    fn is_rest(&self, response: &Response<Body>) -> bool {
        let length = response.body().content_length();
        response.status() == StatusCode::PARTIAL_CONTENT
            && range_start(response.headers()) == Some(self.got)
            && self.total.zip(length).is_none_or(|(total, length)| self.got + length == total)
    }
}

/// What no other file at the address has: a strong tag, or a time that is long enough ago.
fn validator(headers: &HeaderMap) -> Option<String> {
    if let Some(tag) = text_of(headers, &header::ETAG) {
        return tag.starts_with('"').then_some(tag);
    }
    let modified = text_of(headers, &header::LAST_MODIFIED)?;
    let now = date::parse(&text_of(headers, &header::DATE)?)?;
    (date::parse(&modified)? + SETTLED <= now).then_some(modified)
}

/// Why a file was not copied whole.
pub(super) enum Stopped {
    /// It could not be read.
    Read(io::Error),
    Other(Error),
}

/// Copies all there is; counts the bytes on from what is `done`.
pub(super) fn copy(
    from: &mut dyn io::Read,
    to: &mut dyn io::Write,
    cancel: &Cancel,
    done: &mut u64,
    at: &mut dyn FnMut(u64),
) -> std::result::Result<(), Stopped> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        cancel.check().map_err(Stopped::Other)?;
        let length = from.read(&mut buffer).map_err(Stopped::Read)?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length]).map_err(Error::io("write", "a download")).map_err(Stopped::Other)?;
        *done += length as u64;
        at(*done);
    }
}
