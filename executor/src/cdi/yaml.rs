//! YAML as JSON: what a plain scalar is, is told as Go's YAML package does it, which reads these files elsewhere.

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};

/// Deeper nests are no file of this kind.
const MOST_NESTED: usize = 64;

/// A list or map that is being read.
enum Open {
    List(Vec<Value>),
    /// With the key whose value comes next.
    Map(Map<String, Value>, Option<String>),
}

/// The first document of a text.
///
/// **Errors**: what is no YAML, or none of this kind, with its line.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))?;
        let here = |message: &str| format!("line {}: {message}", span.start.line());
        let done = match event {
            Event::Scalar(text, style, _, tag) => scalar(&text, style, tag.as_deref()),
            Event::Alias(_) => return Err(here("aliases are not supported: write it out")),
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == MOST_NESTED => {
                return Err(here("this is nested too deep"));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Value::Array(items),
                Some(Open::Map(entries, _)) => Value::Object(entries),
                None => continue,
            },
            Event::DocumentEnd => break,
            _ => continue,
        };
        match open.last_mut() {
            None => return Ok(done),
            Some(Open::List(items)) => items.push(done),
            Some(Open::Map(entries, key)) => match key.take() {
                None => *key = Some(text_of(done).ok_or_else(|| here("a key is a list or a map"))?),
                Some(key) if entries.contains_key(&key) => return Err(here(&format!("{key:?} is there twice"))),
                Some(key) => drop(entries.insert(key, done)),
            },
        }
    }
    Err("there is nothing in it".to_owned())
}

/// A scalar as the text that Go makes of it where a text is wanted.
pub(super) fn text_of(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    if style != ScalarStyle::Plain || is_text {
        return text.into();
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => true.into(),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => false.into(),
        _ => number(text).map_or_else(|| text.into(), Value::Number),
    }
}

/// The number that a plain scalar is. A leading zero makes it octal, as in YAML 1.1: modes are written so.
fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let plain = digits.replace('_', "");
    let in_base = |prefix: &str, base| u64::from_str_radix(plain.strip_prefix(prefix)?, base).ok();
    let octal = || if plain.len() > 1 { in_base("0", 8) } else { None };
    let found = in_base("0x", 16).or_else(|| in_base("0b", 2)).or_else(|| in_base("0o", 8)).or_else(octal);
    match found.or_else(|| plain.parse().ok()) {
        Some(whole) if text.starts_with('-') => i64::try_from(whole).ok().map(|whole| Number::from(-whole)),
        Some(whole) => Some(whole.into()),
        None => text.replace('_', "").parse().ok().and_then(Number::from_f64),
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    fn check(text: &str, want: &str) {
        let got = read(text).map_or_else(|error| error, |value| value.to_string());
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn scalars_are_what_go_takes_them_for() {
        check("[a b, 1, -2, 0x1F, 0666, 0o17, 1_000, 1.5, 0]", r#"["a b",1,-2,31,438,15,1000,1.5,0]"#);
        check("[true, Yes, off, ~, null, ]", "[true,true,false,null,null]");
        check("['1', \"true\", !!str 2, 1.2.3, 09x, +1]", r#"["1","true","2","1.2.3","09x",1]"#);
    }

    #[test]
    fn maps_and_lists_of_both_styles() {
        check("a:\n- b: 1\n  c: {d: e}\n- [f]\n1: g\n", r#"{"a":[{"b":1,"c":{"d":"e"}},["f"]],"1":"g"}"#);
        check("---\na: 1\n---\nb: 2\n", r#"{"a":1}"#);
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        check("a: 1\nb: 2\na: 3\n", "line 3: \"a\" is there twice");
        check("a: &x 1\nb: *x\n", "line 2: aliases are not supported: write it out");
        check("[[]]: 1\n", "line 1: a key is a list or a map");
        check("# nothing\n", "there is nothing in it");
        assert!(read("a: [").unwrap_err().starts_with("line "));
        assert!(read(&"[".repeat(100)).unwrap_err().contains("nested too deep"));
    }
}
