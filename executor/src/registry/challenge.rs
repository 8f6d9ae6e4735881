//! `WWW-Authenticate`: what a server says when it wants to know who asks (RFC 9110, section 11).

/// One way to prove who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with every request.
    Basic,
    /// A token from somebody the registry trusts.
    Bearer {
        /// Where to get it.
        realm: String,
        /// For whom it is.
        service: String,
        /// What it must permit; may be empty.
        scope: String,
        /// Why the last token did not do; may be empty.
        error: String,
    },
}

/// The challenges of all `WWW-Authenticate` headers that are understood, in order.
pub(super) fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    headers.into_iter().flat_map(parse_header).collect()
}

fn parse_header(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            break;
        }
        let spaces = after.trim_start_matches([' ', '\t']);
        match spaces.strip_prefix('=') {
            Some(value) => {
                let (value, after) = parse_value(value.trim_start());
                if let Some((_, parameters)) = challenges.last_mut() {
                    parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = after;
            }
            None => {
                challenges.push((word.to_ascii_lowercase(), Vec::new()));
                rest = spaces;
            }
        }
    }
    challenges.into_iter().filter_map(|(scheme, parameters)| understand(&scheme, parameters)).collect()
}

/// A token or a quoted string, and what follows it.
fn parse_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[index + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    (value, "")
}

fn understand(scheme: &str, parameters: Vec<(String, String)>) -> Option<Challenge> {
    let get =
        |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default();
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" if !get("realm").is_empty() => Some(Challenge::Bearer {
            realm: get("realm"),
            service: get("service"),
            scope: get("scope"),
            error: get("error"),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: &str, scope: &str, error: &str) -> Challenge {
        let [realm, service, scope, error] = [realm, service, scope, error].map(str::to_owned);
        Challenge::Bearer { realm, service, scope, error }
    }

    fn check(header: &str, expected: &[Challenge]) {
        assert_eq!(parse([header]), expected, "{header}");
    }

    #[test]
    fn headers() {
        check(r#"Basic realm="x""#, &[Challenge::Basic]);
        check("basic", &[Challenge::Basic]);
        check(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
            &[bearer("https://auth.docker.io/token", "registry.docker.io", "repository:a/b:pull,push", "")],
        );
        check(
            r#"Bearer realm=https://a/t , error = "insufficient_scope", Basic realm="a, \"b\"""#,
            &[bearer("https://a/t", "", "", "insufficient_scope"), Challenge::Basic],
        );
        check(r#"Negotiate, Bearer service="x""#, &[]);
        check(r#"Bearer realm="unterminated"#, &[bearer("unterminated", "", "", "")]);
        check("", &[]);
        check("= , =", &[]);
    }
}
