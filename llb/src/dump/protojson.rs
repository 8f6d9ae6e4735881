//! JSON as protobuf's own rules have it (Go's `protojson`), from bytes and a description of the messages.
//!
//! Fields stand in the order of their declaration, 64-bit numbers are strings, enumerations are names, bytes are base64,
//! and what is not on the wire is left out. The description is generated from `proto/llb.proto`.

use prost::DecodeError;
use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use serde_json::{Map, Value};

#[rustfmt::skip]
mod schema;

/// A message.
struct Message {
    name: &'static str,
    /// In the order of their declaration.
    fields: &'static [Field],
}

/// A field.
struct Field {
    number: u32,
    name: &'static str,
    kind: Kind,
    repeated: bool,
}

/// What a field holds.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bytes,
    Bool,
    /// 32 bits with a sign.
    Int32,
    Uint32,
    Int64,
    Uint64,
    /// Names by number.
    Enum(&'static [(i32, &'static str)]),
    /// The name of its message.
    Message(&'static str),
    /// Texts to what a message of two fields holds.
    Map(&'static str),
}

/// The bytes of a message as JSON.
///
/// **Errors**: bytes that are no such message.
pub(super) fn value(name: &str, bytes: &[u8]) -> Result<Value, DecodeError> {
    let message = find(name);
    let mut found: Vec<Vec<Value>> = message.fields.iter().map(|_| Vec::new()).collect();
    let mut bytes = bytes;
    while bytes.has_remaining() {
        let (number, wire) = decode_key(&mut bytes)?;
        let raw = match wire {
            WireType::Varint => Raw::Number(decode_varint(&mut bytes)?),
            WireType::LengthDelimited => {
                let mut value = Vec::new();
                prost::encoding::bytes::merge(wire, &mut value, &mut bytes, DecodeContext::default())?;
                Raw::Bytes(value)
            }
            other => {
                skip_field(other, number, &mut bytes, DecodeContext::default())?;
                continue;
            }
        };
        let Some(at) = message.fields.iter().position(|field| field.number == number) else { continue };
        found[at].extend(message.fields[at].read(raw)?);
    }
    let fields = message.fields.iter().zip(found).filter(|(_, values)| !values.is_empty());
    Ok(fields.map(|(field, values)| (field.name.to_owned(), field.put_together(values))).collect::<Map<_, _>>().into())
}

fn find(name: &str) -> &'static Message {
    let message = schema::MESSAGES.iter().find(|message| message.name == name);
    message.expect("the description names messages it holds")
}

/// What stands on the wire.
enum Raw {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Field {
    fn read(&self, raw: Raw) -> Result<Vec<Value>, DecodeError> {
        match (self.kind, raw) {
            (Kind::Text, Raw::Bytes(bytes)) => Ok(vec![oci::json::lossy(&bytes).into()]),
            (Kind::Bytes, Raw::Bytes(bytes)) => Ok(vec![oci::base64::encode(&bytes).into()]),
            (Kind::Message(name), Raw::Bytes(bytes)) => Ok(vec![value(name, &bytes)?]),
            (Kind::Map(entry), Raw::Bytes(bytes)) => Ok(vec![value(entry, &bytes)?]),
            // Numbers in a row.
            (kind, Raw::Bytes(bytes)) => {
                let mut bytes = bytes.as_slice();
                let mut numbers = Vec::new();
                while bytes.has_remaining() {
                    numbers.push(number(kind, decode_varint(&mut bytes)?));
                }
                Ok(numbers)
            }
            (kind, Raw::Number(raw)) => Ok(vec![number(kind, raw)]),
        }
    }

    fn put_together(&self, mut values: Vec<Value>) -> Value {
        match self.kind {
            Kind::Map(entry) => {
                let mut entries: Vec<_> = values.into_iter().map(|value| map_entry(entry, value)).collect();
                entries.sort_by(|(one, _), (other, _)| one.cmp(other));
                entries.into_iter().collect::<Map<_, _>>().into()
            }
            _ if self.repeated => values.into(),
            // The last one counts.
            _ => values.pop().unwrap_or_default(),
        }
    }
}

/// Key and value of an entry; what is not on the wire is the default.
fn map_entry(entry: &str, mut fields: Value) -> (String, Value) {
    let mut take = |name: &str| fields.get_mut(name).map(Value::take);
    let key = take("key").and_then(|key| key.as_str().map(str::to_owned)).unwrap_or_default();
    let value = take("value").unwrap_or_else(|| {
        let value = find(entry).fields.iter().find(|field| field.name == "value");
        value.map_or(Value::Null, |field| field.kind.default())
    });
    (key, value)
}

impl Kind {
    fn default(self) -> Value {
        match self {
            Self::Text | Self::Bytes => "".into(),
            Self::Message(_) | Self::Map(_) => Map::new().into(),
            number_kind => number(number_kind, 0),
        }
    }
}

fn number(kind: Kind, raw: u64) -> Value {
    match kind {
        Kind::Bool => (raw != 0).into(),
        Kind::Int32 => (raw as i32).into(),
        Kind::Int64 => (raw as i64).to_string().into(),
        Kind::Uint64 => raw.to_string().into(),
        Kind::Enum(names) => {
            let number = raw as i32;
            let name = names.iter().find(|(known, _)| *known == number);
            name.map_or_else(|| number.into(), |(_, name)| (*name).into())
        }
        Kind::Uint32 | Kind::Text | Kind::Bytes | Kind::Message(_) | Kind::Map(_) => (raw as u32).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, bytes: &[u8], expected: &str) {
        assert_eq!(value(name, bytes).unwrap().to_string(), expected);
    }

    #[test]
    fn numbers_names_and_texts() {
        check("Mount", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x02/x\x30\x03", MOUNT);
        check("Range", b"\x0a\x02\x08\x07\x12\x00", r#"{"start":{"line":7},"end":{}}"#);
        check("SourceInfo", b"\x12\x02ab", r#"{"data":"YWI="}"#);
    }

    const MOUNT: &str = r#"{"input":"-1","dest":"/x","mountType":"CACHE"}"#;

    #[test]
    fn maps_are_sorted_and_default_values_are_there() {
        let bytes = b"\x0a\x01x\x12\x06\x0a\x01b\x12\x01c\x12\x03\x0a\x01a";
        check("SourceOp", bytes, r#"{"identifier":"x","attrs":{"a":"","b":"c"}}"#);
    }

    #[test]
    fn numbers_in_a_row() {
        check("PassthroughOp", b"\x0a\x01p\x12\x02\x00\x01", r#"{"id":"p","outputs":["0","1"]}"#);
    }

    #[test]
    fn what_is_broken_is_refused() {
        assert!(value("Op", b"\x0a\x05\x0a").is_err());
        assert!(value("Op", b"\xff").is_err());
    }
}
