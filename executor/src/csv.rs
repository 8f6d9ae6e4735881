//! Flags of comma-separated fields, as Docker has them.

/// Splits at commas; a field in double quotes keeps them (CSV, as the flags of Docker are).
pub(crate) fn split(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields.last_mut().expect("there is always one field").push(c),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    #[test]
    fn commas_in_quotes_are_kept() {
        assert_eq!(super::split(r#"a,"b,c",d="#), ["a", "b,c", "d="]);
        assert_eq!(super::split(""), [""]);
    }
}
