//! How a call ended, other than well: gRPC's status, with the details BuildKit puts into it.

use std::fmt;

use http::HeaderMap;
use prost::Message;

use crate::message::{Any, RpcStatus};

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
const DETAILS: &str = "grpc-status-details-bin";

/// Longest text that is sent in a header, in bytes. Peers stop reading headers at some length (Go: 16 MiB, h2: 16 KiB
/// unless told otherwise) and drop the connection; what is longer goes without details and with the text cut.
const MAX_HEADER: usize = 1 << 20;

/// A code of gRPC. Only those that are told apart here have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Given up.
    Cancelled,
    /// Nothing closer is known; what a failed build has.
    Unknown,
    /// The request makes no sense.
    InvalidArgument,
    /// Not in time.
    DeadlineExceeded,
    /// What was asked for is not there.
    NotFound,
    /// Not allowed.
    PermissionDenied,
    /// A limit was reached.
    ResourceExhausted,
    /// Not in this state.
    FailedPrecondition,
    /// There is no such method or capability.
    Unimplemented,
    /// The protocol was broken.
    Internal,
    /// The other side is gone.
    Unavailable,
    /// Any other number.
    Other(i32),
}

/// Codes and their numbers.
const CODES: &[(Code, i32)] = &[
    (Code::Cancelled, 1),
    (Code::Unknown, 2),
    (Code::InvalidArgument, 3),
    (Code::DeadlineExceeded, 4),
    (Code::NotFound, 5),
    (Code::PermissionDenied, 7),
    (Code::ResourceExhausted, 8),
    (Code::FailedPrecondition, 9),
    (Code::Unimplemented, 12),
    (Code::Internal, 13),
    (Code::Unavailable, 14),
];

impl Code {
    /// Its number.
    pub fn number(self) -> i32 {
        match self {
            Self::Other(number) => number,
            named => CODES.iter().find(|(code, _)| *code == named).map_or(2, |(_, number)| *number),
        }
    }

    /// The code of a number that is not 0.
    pub fn of(number: i32) -> Self {
        CODES.iter().find(|(_, known)| *known == number).map_or(Self::Other(number), |(code, _)| *code)
    }
}

/// More of an error, for programs: the name of its type and its encoding.
pub type Detail = Any;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The kind.
    pub code: Code,
    /// For people.
    pub message: String,
    /// For programs; passed on as they are.
    pub details: Vec<Detail>,
}

impl Status {
    /// A status without details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    /// The same with a detail.
    #[must_use]
    pub fn detail(mut self, detail: Detail) -> Self {
        self.details.push(detail);
        self
    }

    /// The same with words before its message.
    #[must_use]
    pub fn context(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// As a message, for `Return`.
    pub fn into_message(self) -> RpcStatus {
        RpcStatus { code: self.code.number(), message: self.message, details: self.details }
    }

    /// From a message.
    pub fn from_message(status: RpcStatus) -> Self {
        Self { code: Code::of(status.code), message: status.message, details: status.details }
    }

    /// What headers or trailers say: `Ok` for success.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<(), Self> {
        let number = text(headers, STATUS).and_then(|number| number.parse::<i32>().ok());
        let Some(number) = number else {
            return Err(Self::new(Code::Internal, "a response ended without a status"));
        };
        if number == 0 {
            return Ok(());
        }
        let message = text(headers, MESSAGE).map(percent_decode).unwrap_or_default();
        let details =
            text(headers, DETAILS).and_then(oci::base64::decode).and_then(|bytes| RpcStatus::decode(&*bytes).ok());
        Err(Self { code: Code::of(number), message, details: details.map(|all| all.details).unwrap_or_default() })
    }

    /// The trailers that end a response with it.
    pub(crate) fn to_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(STATUS, self.code.number().into());
        let mut put = |name: &'static str, value: String| {
            if value.len() <= MAX_HEADER {
                headers.insert(name, value.try_into().expect("encoded texts are ASCII"));
            }
        };
        put(MESSAGE, percent_encode(cut(&self.message, MAX_HEADER / 3)));
        if !self.details.is_empty() {
            put(DETAILS, oci::base64::encode(&self.clone().into_message().encode_to_vec()));
        }
        headers
    }
}

/// The trailers of success.
pub(crate) fn success() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(STATUS, 0.into());
    headers
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn cut(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length.min(text.len()))]
}

/// Printable ASCII but `%` stays, all else becomes `%XX`.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits =
            bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = digits.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        decoded.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_travels_in_headers() {
        let detail = Detail { type_url: "a/b".into(), value: vec![0, 255] };
        let status = Status::new(Code::NotFound, "100 % of \"ö\"\nare gone").detail(detail);
        assert_eq!(Status::from_headers(&status.to_headers()), Err(status));
        assert_eq!(Status::from_headers(&success()), Ok(()));
        assert_eq!(Status::from_headers(&HeaderMap::new()).unwrap_err().code, Code::Internal);
    }

    #[test]
    fn messages_of_others_are_read_leniently() {
        assert_eq!(percent_decode("a%2"), "a%2");
        assert_eq!(percent_decode("a%zz%41"), "a%zzA");
    }

    #[test]
    fn codes() {
        for number in 1..20 {
            assert_eq!(Code::of(number).number(), number);
        }
    }

    #[test]
    fn what_does_not_fit_a_header_is_cut() {
        let long = Status::new(Code::Unknown, "x".repeat(MAX_HEADER));
        let long = long.detail(Detail { type_url: "t".into(), value: vec![0; MAX_HEADER] });
        let read = Status::from_headers(&long.to_headers()).unwrap_err();
        assert_eq!((read.code, read.message.len(), read.details.len()), (Code::Unknown, MAX_HEADER / 3, 0));
    }
}
