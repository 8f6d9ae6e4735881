//! A JSON text as a tree that borrows from it.
//!
//! `serde_json::Value` copies every text and hashes every key: of a config that is read once, field by field, that is most
//! of the time. Here texts are copied only where they hold escapes, and members of objects are found by looking.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// A value.
#[derive(Debug)]
pub(crate) enum Json<'t> {
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'t, str>),
    Array(Vec<Json<'t>>),
    /// **Shape**: in the order of the text; a key that is there twice is there twice.
    Object(Vec<(Cow<'t, str>, Json<'t>)>),
}

/// A key: of what a visitor is lent, `Cow` itself always makes a copy.
struct Key<'t>(Cow<'t, str>);

struct Read;

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read)
    }
}

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(ReadKey).map(Self)
    }
}

impl<'de> Visitor<'de> for Read {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::String(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::String(text.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut object = Vec::new();
        while let Some((Key(key), value)) = members.next_entry()? {
            object.push((key, value));
        }
        Ok(Json::Object(object))
    }
}

struct ReadKey;

impl<'de> Visitor<'de> for ReadKey {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(text.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text.to_owned().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_escapes_are_borrowed() {
        let json: Json<'_> = serde_json::from_str(r#"{"a": ["x", "\n"], "a": -1}"#).unwrap();
        let Json::Object(members) = &json else { panic!("{json:?}") };
        assert!(members.iter().all(|(key, _)| matches!(key, Cow::Borrowed("a"))));
        let (Json::Array(items), Json::Number(number)) = (&members[0].1, &members[1].1) else { panic!("{json:?}") };
        assert!(matches!(&items[0], Json::String(Cow::Borrowed("x"))), "{items:?}");
        assert!(matches!(&items[1], Json::String(Cow::Owned(text)) if text == "\n"), "{items:?}");
        assert_eq!(number.as_i64(), Some(-1));
    }

    #[test]
    fn what_is_wrong_is_told_as_of_any_value() {
        for text in ["", "{", "[1,]", r#"{"a"}"#, "nul", "\"\u{1}\"", "1 2"] {
            let of_value = serde_json::from_str::<serde_json::Value>(text).unwrap_err();
            assert_eq!(serde_json::from_str::<Json<'_>>(text).unwrap_err().to_string(), of_value.to_string(), "{text}");
        }
    }
}
