//! One line of comma-separated values, as BuildKit's options are written. Mirrors `go-csvvalue` with its errors.

/// The fields of a line.
///
/// **Errors**: what is wrong, with its column.
pub(super) fn fields(line: &str) -> Result<Vec<String>, String> {
    let line = line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() {
        return Err("EOF".to_owned());
    }
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let column = |rest: &str| line.len() - rest.len() + 1;
        let after = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (field, after) =
                    quoted_field(quoted).map_err(|at| bad(column(at), "extraneous or missing \" in quoted-field"))?;
                fields.push(field);
                after
            }
            None => {
                let (field, after) = rest.split_once(',').map_or((rest, None), |(field, after)| (field, Some(after)));
                if let Some(quote) = field.find('"') {
                    return Err(bad(column(rest) + quote, "bare \" in non-quoted-field"));
                }
                fields.push(field.to_owned());
                after
            }
        };
        let Some(after) = after else { return Ok(fields) };
        rest = after;
    }
}

/// Reads what follows an opening quote. The rest is `None` at the end of the line.
///
/// **Errors**: the text from the bad place on.
fn quoted_field(text: &str) -> Result<(String, Option<&str>), &str> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let Some((before, after)) = rest.split_once('"') else { return Err(rest) };
        field.push_str(before);
        match after.as_bytes().first() {
            None => return Ok((field, None)),
            Some(b',') => return Ok((field, Some(&after[1..]))),
            Some(b'"') => field.push('"'),
            Some(_) => return Err(&rest[before.len()..]),
        }
        rest = &after[1..];
    }
}

fn bad(column: usize, what: &str) -> String {
    format!("parse error on line 1, column {column}: {what}")
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn quotes_and_errors() {
        assert_eq!(fields("a,b=c,"), Ok(vec!["a".into(), "b=c".into(), String::new()]));
        assert_eq!(fields(r#""a,""b",c"#), Ok(vec![r#"a,"b"#.into(), "c".into()]));
        assert_eq!(fields(""), Err("EOF".into()));
        assert_eq!(fields(r#"a"b"#), Err("parse error on line 1, column 2: bare \" in non-quoted-field".into()));
        assert_eq!(
            fields(r#""a"b"#),
            Err("parse error on line 1, column 3: extraneous or missing \" in quoted-field".into())
        );
    }
}
