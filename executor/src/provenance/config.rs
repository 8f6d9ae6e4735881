//! The source of the build file, where it is at an address.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Capture;
use crate::url;

/// Takes the source out of the options of a frontend.
pub(super) fn source(args: &mut BTreeMap<String, String>, capture: &Capture) -> Map<String, Value> {
    let mut source = Map::new();
    let key = key(args);
    if let Some(address) = args.remove(&key).filter(|address| !address.is_empty()) {
        let Shown { whole, repository } = Shown::of(&address);
        source.insert("uri".into(), url::redact_login(&whole).into());
        if let Some(digest) = capture.digest_of(&url::redact_login(&repository)) {
            source.insert("digest".into(), digest);
        }
    }
    if let Some(path) = args.remove("filename").filter(|path| !path.is_empty()) {
        source.insert("path".into(), path.into());
    }
    source
}

/// The option that the context is in.
pub(super) fn key(args: &BTreeMap<String, String>) -> String {
    match args.get("contextkey").filter(|key| !key.is_empty()) {
        Some(key) => key.clone(),
        None if args.get("input:context").is_some_and(|input| !input.is_empty()) => "input:context".to_owned(),
        None => "context".to_owned(),
    }
}

/// An address of git as materials have it: what is wanted of the repository behind `#`.
struct Shown {
    whole: String,
    repository: String,
}

impl Shown {
    fn of(address: &str) -> Self {
        let plain = || Self { whole: address.to_owned(), repository: address.to_owned() };
        let (base, fragment) = address.split_once('#').unwrap_or((address, ""));
        let (base, query) = base.split_once('?').unwrap_or((base, ""));
        let base = if base.starts_with("github.com/") { format!("https://{base}") } else { base.to_owned() };
        let by_scheme = ["git://", "ssh://", "git@"].iter().any(|scheme| base.starts_with(scheme));
        let on_web = base.starts_with("http://") || base.starts_with("https://");
        if !by_scheme && !(on_web && (base.ends_with(".git") || address.starts_with("github.com/"))) {
            return plain();
        }
        let (mut name, mut below) = fragment.split_once(':').unwrap_or((fragment, ""));
        for (key, value) in query.split('&').filter_map(|field| field.split_once('=')) {
            match key {
                "ref" | "tag" | "branch" => name = value,
                "subdir" => below = value,
                _ => {}
            }
        }
        let below = below.trim_matches('/');
        let behind = |below: &str| match (name, below) {
            ("", "") => base.clone(),
            (name, "") => format!("{base}#{name}"),
            (name, below) => format!("{base}#{name}:{below}"),
        };
        Self { whole: behind(below), repository: behind("") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories() {
        let check = |address: &str, whole: &str, repository: &str| {
            let shown = Shown::of(address);
            assert_eq!((&*shown.whole, &*shown.repository), (whole, repository));
        };
        let git = "https://example.com/a.git";
        check(git, git, git);
        check(&format!("{git}#main:/sub"), &format!("{git}#main:sub"), &format!("{git}#main"));
        check(&format!("{git}?ref=v1&subdir=x"), &format!("{git}#v1:x"), &format!("{git}#v1"));
        check("github.com/a/b", "https://github.com/a/b", "https://github.com/a/b");
        check("https://example.com/a.tar?x=1#y", "https://example.com/a.tar?x=1#y", "https://example.com/a.tar?x=1#y");
    }
}
