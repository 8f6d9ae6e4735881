//! JSON in the bytes Go's `encoding/json` writes, because digests are taken of them.
//!
//! Go escapes `<`, `>`, `&`, U+2028 and U+2029, prints struct fields in their order and maps sorted by key. Types here
//! get the first by serialising through [`to_vec`], the second by field order, the third by `BTreeMap`;
//! `serde_json::Value` keeps insertion order (sort it with `Value::sort_all_objects` where Go had a map).

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use serde_json::value::RawValue;

/// `json.Marshal`. Panics when a map key is no string: a mistake in a type, not in data.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    write(value, CompactFormatter)
}

/// `json.MarshalIndent(value, "", "  ")`.
pub fn to_vec_indented<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    write(value, PrettyFormatter::new())
}

fn write<T: Serialize + ?Sized, F: Formatter>(value: &T, formatter: F) -> Vec<u8> {
    let mut serializer = Serializer::with_formatter(Vec::with_capacity(512), GoFormatter(formatter));
    value.serialize(&mut serializer).expect("types of this crate have string keys, and memory does not fail");
    serializer.into_inner()
}

/// An object that is written member by member, in the order of the calls. What serialises through [`to_vec`] has its bytes
/// looked at one by one; a config is mostly long texts, and here those are copied from one special character to the next.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Object<'o> {
    /// Appends an object with the members that `write` adds.
    pub(crate) fn write(out: &'o mut Vec<u8>, write: impl FnOnce(&mut Self)) {
        out.push(b'{');
        let mut object = Self { out, is_empty: true };
        write(&mut object);
        object.out.push(b'}');
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
    }

    /// A key of ours: there is nothing in it to escape.
    fn key(&mut self, key: &'static str) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn foreign_key(&mut self, key: &str) {
        self.separate();
        push_text(self.out, key);
        self.out.push(b':');
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &'static str, text: &str) {
        self.key(key);
        push_text(self.out, text);
    }

    /// A text under a key that may be any.
    pub(crate) fn foreign_text(&mut self, key: &str, text: &str) {
        self.foreign_key(key);
        push_text(self.out, text);
    }

    /// An object without members under a key that may be any.
    pub(crate) fn foreign_mark(&mut self, key: &str) {
        self.foreign_key(key);
        self.out.extend_from_slice(b"{}");
    }

    /// A text, left out when it is empty.
    pub(crate) fn some_text(&mut self, key: &'static str, text: &str) {
        if !text.is_empty() {
            self.text(key, text);
        }
    }

    /// A list of texts.
    pub(crate) fn texts<'t>(&mut self, key: &'static str, texts: impl Iterator<Item = &'t str>) {
        self.key(key);
        push_list(self.out, texts, push_text);
    }

    /// A list of texts, left out when it is empty.
    pub(crate) fn some_texts(&mut self, key: &'static str, texts: &[String]) {
        if !texts.is_empty() {
            self.texts(key, texts.iter().map(String::as_str));
        }
    }

    /// A number, left out when it is 0.
    pub(crate) fn some_number(&mut self, key: &'static str, number: i64) {
        if number != 0 {
            self.key(key);
            self.out.extend_from_slice(number.to_string().as_bytes());
        }
    }

    /// A flag, left out when it is not set.
    pub(crate) fn set_flag(&mut self, key: &'static str, flag: bool) {
        if flag {
            self.key(key);
            self.out.extend_from_slice(b"true");
        }
    }

    /// Nothing, said.
    pub(crate) fn null(&mut self, key: &'static str) {
        self.key(key);
        self.out.extend_from_slice(b"null");
    }

    /// An object with the members that `write` adds.
    pub(crate) fn object(&mut self, key: &'static str, write: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        Object::write(self.out, write);
    }

    /// A list of objects, each with the members that `write` adds.
    pub(crate) fn objects<T>(
        &mut self,
        key: &'static str,
        items: impl Iterator<Item = T>,
        write: impl Fn(&mut Object<'_>, T),
    ) {
        self.key(key);
        push_list(self.out, items, |out, item| Object::write(out, |object| write(object, item)));
    }
}

/// A list of texts.
pub fn texts(texts: &[impl AsRef<str>]) -> String {
    let mut out = Vec::with_capacity(texts.iter().map(|text| text.as_ref().len() + 3).sum::<usize>() + 2);
    push_list(&mut out, texts, |out, text| push_text(out, text.as_ref()));
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// Appends a list whose items `write` appends.
pub(crate) fn push_list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// Whether a byte may have to be escaped, or begin what may: U+2028 and U+2029 begin with 0xe2.
const fn may_escape(byte: u8) -> bool {
    // Without short cuts, so that many are compared at once.
    (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte == b'<') | (byte == b'>') | (byte == b'&') | (byte == 0xe2)
}

/// The same of every byte, for those that are looked at one by one.
static MAY_ESCAPE: [bool; 256] = {
    let mut may = [false; 256];
    let mut byte = 0;
    while byte < may.len() {
        may[byte] = may_escape(byte as u8);
        byte += 1;
    }
    may
};

/// Calls `found` with the place of each byte that may have to be escaped. Of 32 bytes a loop is made that looks at many at
/// once; of 16 it is not.
fn each_special(text: &[u8], mut found: impl FnMut(usize)) {
    let (chunks, rest) = text.as_chunks::<32>();
    for (index, chunk) in chunks.iter().enumerate() {
        let mut flags = [0; 32];
        flags.iter_mut().zip(chunk).for_each(|(flag, byte)| *flag = u8::from(may_escape(*byte)));
        for (at, eight) in flags.as_chunks::<8>().0.iter().enumerate() {
            let mut flags = u64::from_le_bytes(*eight);
            while flags != 0 {
                found(32 * index + 8 * at + flags.trailing_zeros() as usize / 8);
                flags &= flags - 1;
            }
        }
    }
    let start = text.len() - rest.len();
    rest.iter().enumerate().filter(|(_, byte)| MAY_ESCAPE[usize::from(**byte)]).for_each(|(at, _)| found(start + at));
}

/// Appends a text in quotes.
fn push_text(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut written = 0;
    each_special(text.as_bytes(), |at| {
        out.extend_from_slice(&text.as_bytes()[written..at]);
        let letter = text[at..].chars().next().unwrap_or_default();
        push_special(out, letter);
        written = at + letter.len_utf8();
    });
    out.extend_from_slice(&text.as_bytes()[written..]);
    out.push(b'"');
}

/// Appends a character that may have to be escaped.
fn push_special(out: &mut Vec<u8>, letter: char) {
    let escaped = match letter {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        _ => match escape(letter) {
            Some(escaped) => escaped,
            None if letter < ' ' => {
                return out.extend_from_slice(format!("\\u{:04x}", u32::from(letter)).as_bytes());
            }
            None => return out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        },
    };
    out.extend_from_slice(escaped.as_bytes());
}

/// Text with each invalid byte replaced by U+FFFD, as Go reads it (`from_utf8_lossy` replaces whole sequences).
pub fn lossy(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// A JSON object whose values are not interpreted: Go's `map[string]json.RawMessage`.
///
/// Keys come out sorted, values as they were but for blanks and escapes. So unknown fields survive with their bytes.
#[derive(Clone, Debug, Default)]
pub struct RawObject(BTreeMap<String, Box<RawValue>>);

impl RawObject {
    /// Parses an object. **Errors**: not an object, not JSON.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes).map(Self)
    }

    /// The bytes of a value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|value| value.get())
    }

    /// Sets a value.
    pub fn set<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) {
        self.set_json(key, to_vec(value));
    }

    /// Sets a value that is written already.
    pub(crate) fn set_json(&mut self, key: &str, json: Vec<u8>) {
        let text = String::from_utf8(json).expect("JSON is UTF-8");
        self.0.insert(key.to_owned(), RawValue::from_string(text).expect("what was serialised parses"));
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// The object as Go marshals it.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = vec![b'{'];
        for (index, (key, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&to_vec(key));
            out.push(b':');
            compact(value.get(), &mut out);
        }
        out.push(b'}');
        out
    }
}

/// Appends valid JSON without blanks and with the characters of [`escape`] escaped; numbers keep their digits.
fn compact(json: &str, out: &mut Vec<u8>) {
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        match c {
            ' ' | '\t' | '\n' | '\r' if !in_string => continue,
            '"' if !escaped => in_string = !in_string,
            _ => {}
        }
        escaped = in_string && c == '\\' && !escaped;
        match escape(c) {
            Some(escape) => out.extend_from_slice(escape.as_bytes()),
            None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// What Go escapes beyond JSON's needs, so that the text can stand in HTML and JavaScript.
fn escape(c: char) -> Option<&'static str> {
    Some(match c {
        '<' => "\\u003c",
        '>' => "\\u003e",
        '&' => "\\u0026",
        '\u{2028}' => "\\u2028",
        '\u{2029}' => "\\u2029",
        _ => return None,
    })
}

/// Writes a text with what Go escapes escaped, where it may have to be.
fn write_escaped<W: ?Sized + Write>(
    writer: &mut W,
    text: &str,
    specials: impl Iterator<Item = usize>,
) -> io::Result<()> {
    let mut start = 0;
    for at in specials {
        let letter = text[at..].chars().next().unwrap_or_default();
        if let Some(escape) = escape(letter) {
            writer.write_all(&text.as_bytes()[start..at])?;
            writer.write_all(escape.as_bytes())?;
            start = at + letter.len_utf8();
        }
    }
    writer.write_all(&text.as_bytes()[start..])
}

struct GoFormatter<F>(F);

/// Below this many bytes a plain loop is done before a search has started.
const SHORT: usize = 48;

impl<F: Formatter> Formatter for GoFormatter<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let bytes = fragment.as_bytes();
        // U+2028 and U+2029 begin with 0xe2.
        let is_special = |byte: &u8| matches!(byte, b'<' | b'>' | b'&' | 0xe2);
        if bytes.len() < SHORT && !bytes.iter().any(is_special) {
            return writer.write_all(bytes);
        }
        if fragment.is_ascii() {
            return write_escaped(writer, fragment, memchr::memchr3_iter(b'<', b'>', b'&', bytes));
        }
        let specials = bytes.iter().enumerate().filter(|(_, byte)| is_special(byte));
        write_escaped(writer, fragment, specials.map(|(at, _)| at))
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(String::from_utf8(to_vec(&value)).unwrap(), expected);
    }

    #[test]
    fn escapes() {
        check(
            r#""<a> && \u2028\u2029 é\u0001\u0008\f\u007f\"\\/""#,
            concat!(r#""\u003ca\u003e \u0026\u0026 \u2028\u2029 é\u0001\b\f"#, "\u{7f}", r#"\"\\/""#),
        );
        check(r#"{"<": "b&"}"#, r#"{"\u003c":"b\u0026"}"#);
    }

    #[test]
    fn escapes_in_long_texts() {
        for at in 0..100 {
            let text = format!("{}&{}", "é".repeat(at), "x".repeat(100));
            let value = serde_json::Value::String(text.clone());
            let expected = format!("\"{}\"", text.replace('&', "\\u0026"));
            assert_eq!(String::from_utf8(to_vec(&value)).unwrap(), expected);
        }
    }

    #[test]
    fn objects_written_by_hand_are_as_those_that_are_serialised() {
        let every: String = (0..0x250_u32).chain(0x2000..0x2040).filter_map(char::from_u32).collect();
        let long = "x".repeat(100) + "&" + &"y".repeat(40);
        for text in ["", "plain", "a && b", &long, &long[85..], "\u{2028}", "é<", "\n", "\u{7f}\"", &every] {
            let mut out = Vec::new();
            Object::write(&mut out, |object| {
                object.foreign_text(text, text);
                object.text("text", text);
                object.null("null");
                object.some_text("-", "");
                object.texts("texts", [text, "x"].into_iter());
                object.some_texts("-", &[]);
                object.object("object", |object| object.foreign_mark(text));
                object.objects("objects", [1, 0].into_iter(), |object, number| object.some_number("n", number));
                object.set_flag("flag", true);
                object.set_flag("-", false);
                object.some_number("number", i64::MIN);
            });
            let value = serde_json::json!({
                text: text, "text": text, "null": null, "texts": [text, "x"], "object": {text: {}}, "objects": [{"n": 1}, {}],
                "flag": true, "number": i64::MIN,
            });
            assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(to_vec(&value)).unwrap());
            let list = [text.to_owned(), String::new()];
            assert_eq!(texts(&list), String::from_utf8(to_vec(&list)).unwrap());
        }
    }

    #[test]
    fn order_of_keys_is_kept() {
        check(r#"{"b": 1, "a": [1, {}, []]}"#, r#"{"b":1,"a":[1,{},[]]}"#);
    }

    #[test]
    fn indented() {
        let value = serde_json::json!({"a": [1, "<"], "b": {}, "c": []});
        let expected = "{\n  \"a\": [\n    1,\n    \"\\u003c\"\n  ],\n  \"b\": {},\n  \"c\": []\n}";
        assert_eq!(String::from_utf8(to_vec_indented(&value)).unwrap(), expected);
    }

    #[test]
    fn raw_values_keep_their_bytes() {
        let mut object = RawObject::parse(br#"{ "z": {"b": 1.50, "a": "x <\" y" }, "a": [ 1e5 ], "m": 0 }"#).unwrap();
        object.set("k", &["&"]);
        object.remove("m");
        assert_eq!(object.get("a"), Some("[ 1e5 ]"));
        let expected = r#"{"a":[1e5],"k":["\u0026"],"z":{"b":1.50,"a":"x \u003c\" y"}}"#;
        assert_eq!(String::from_utf8(object.to_vec()).unwrap(), expected);
        assert!(RawObject::parse(b"[]").is_err());
    }

    #[test]
    fn each_invalid_byte_is_replaced() {
        assert_eq!(lossy(b"a\xe2\x82b\xff"), "a\u{fffd}\u{fffd}b\u{fffd}");
        assert_eq!(lossy("é".as_bytes()), "é");
    }
}
