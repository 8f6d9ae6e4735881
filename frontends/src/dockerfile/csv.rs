//! One line of comma-separated values: the fields of a mount or a device.
//!
//! Mirrors the CSV reader BuildKit uses: quotes only at the start of a field, doubled inside.

use std::borrow::Cow;
use std::ops::Range;

/// A field and where it stands in the text.
pub(super) type Field<'t> = (Cow<'t, [u8]>, Range<usize>);

/// The fields of a text.
///
/// **Errors**: what is wrong, in Go's words.
pub(super) fn fields(text: &[u8]) -> Result<Vec<Field<'_>>, String> {
    let text = text.strip_suffix(b"\n").map_or(text, |text| text.strip_suffix(b"\r").unwrap_or(text));
    if text.is_empty() {
        return Err("EOF".to_owned());
    }
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let start = at;
        let value =
            if text.get(at) == Some(&b'"') { quoted(text, &mut at)?.into() } else { bare(text, &mut at)?.into() };
        fields.push((value, start..at));
        if at == text.len() {
            return Ok(fields);
        }
        // Both readers stop at a comma or at the end.
        at += 1;
    }
}

fn bare<'t>(text: &'t [u8], at: &mut usize) -> Result<&'t [u8], String> {
    let start = *at;
    let length = text[start..].iter().position(|b| *b == b',').unwrap_or(text.len() - start);
    let field = &text[start..start + length];
    if let Some(quote) = field.iter().position(|b| *b == b'"') {
        return Err(error(start + quote, "bare \" in non-quoted-field"));
    }
    *at = start + length;
    Ok(field)
}

fn quoted(text: &[u8], at: &mut usize) -> Result<Vec<u8>, String> {
    const WRONG: &str = "extraneous or missing \" in quoted-field";
    let mut value = Vec::new();
    *at += 1;
    loop {
        let Some(length) = text[*at..].iter().position(|b| *b == b'"') else {
            return Err(error(*at, WRONG));
        };
        value.extend_from_slice(&text[*at..*at + length]);
        *at += length + 1;
        match text.get(*at) {
            None | Some(b',') => return Ok(value),
            Some(b'"') => {
                value.push(b'"');
                *at += 1;
            }
            Some(_) => return Err(error(*at - 1, WRONG)),
        }
    }
}

fn error(at: usize, what: &str) -> String {
    format!("parse error on line 1, column {}: {what}", at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], &str>) {
        let found = fields(text.as_bytes());
        let found = found.map(|fields| {
            fields.into_iter().map(|(value, _)| String::from_utf8_lossy(&value).into_owned()).collect::<Vec<_>>()
        });
        let expected = expected.map(|fields| fields.iter().map(|f| (*f).to_owned()).collect()).map_err(str::to_owned);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn plain_and_quoted() {
        check("a=b,c", Ok(&["a=b", "c"]));
        check("a,,", Ok(&["a", "", ""]));
        check(r#""a,b","c""d""#, Ok(&["a,b", "c\"d"]));
        check(r#""a","#, Ok(&["a", ""]));
    }

    #[test]
    fn what_is_wrong() {
        check("", Err("EOF"));
        check(r#"a"b"#, Err("parse error on line 1, column 2: bare \" in non-quoted-field"));
        check(r#"a,"b"#, Err("parse error on line 1, column 4: extraneous or missing \" in quoted-field"));
        check(r#""a"b"#, Err("parse error on line 1, column 3: extraneous or missing \" in quoted-field"));
    }
}
