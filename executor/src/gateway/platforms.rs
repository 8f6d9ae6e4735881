//! Which platforms a frontend says its results are of, and whether they are those that were asked for.
//!
//! parity: BuildKit v0.32, exporter/containerimage/exptypes/parse.go (messages) and exporter/verifier/platforms.go.

use std::collections::{BTreeMap, BTreeSet};

use oci::Platform;
use serde::Deserialize;

use super::{Results, Returned};
use crate::{Error, Result};

/// Key of the list of platforms.
pub(super) const PLATFORMS: &str = "refs.platforms";

/// A platform, and the name of its result.
#[derive(Deserialize)]
pub(super) struct Named {
    #[serde(rename = "ID", default)]
    pub(super) id: String,
    #[serde(rename = "Platform")]
    pub(super) platform: Platform,
}

/// What is said under [`PLATFORMS`].
#[derive(Default, Deserialize)]
struct List {
    #[serde(rename = "Platforms")]
    platforms: Option<Vec<Named>>,
}

/// The platforms of results, in the frontend's order; none where it says nothing of them.
///
/// **Errors**: a list that cannot be read, an empty one, a platform without a name, a system or an architecture.
pub(super) fn of(returned: &Returned) -> Result<Vec<Named>> {
    let Some(json) = returned.metadata.get(PLATFORMS) else { return Ok(Vec::new()) };
    let list: Option<List> = serde_json::from_slice(json)
        .map_err(|error| Error::Invalid(format!("failed to parse platforms passed to exporter: {error}")))?;
    let platforms = list.and_then(|list| list.platforms).unwrap_or_default();
    let invalid = |what: &str| Err(Error::Invalid(format!("invalid {what} for exporter")));
    if platforms.is_empty() {
        return invalid("empty platforms index");
    }
    for Named { id, platform } in &platforms {
        if id.is_empty() {
            return invalid("empty platform key");
        }
        if platform.os.is_empty() || platform.architecture.is_empty() {
            return invalid(&format!("platform value of {id}"));
        }
    }
    Ok(platforms)
}

/// What there is to say when results are not of the platforms that `opts` ask for.
pub(super) fn warning(opts: &BTreeMap<String, String>, returned: &Returned) -> Result<Option<String>> {
    let wanted = opts.get("platform").map(String::as_str).unwrap_or_default();
    // parity: of nothing nobody says what it is for; requests that are no builds are answered so.
    let is_nothing = match &returned.results {
        Results::None => true,
        Results::One(definition) => definition.is_empty() && !returned.metadata.contains_key(PLATFORMS),
        Results::Many(_) => false,
    };
    if wanted.is_empty() || is_nothing {
        return Ok(None);
    }
    let mut asked = BTreeSet::new();
    for text in wanted.split(',') {
        let Ok(platform) = Platform::parse(text, &crate::host_platform()) else {
            return Ok(Some(format!("Invalid platform result requested {text:?}")));
        };
        if !asked.insert(platform.normalize().to_string()) {
            return Ok(Some(format!("Duplicate platform result requested {text:?}")));
        }
    }
    let named = of(returned)?;
    let has_many = matches!(returned.results, Results::Many(_));
    if !has_many && asked.len() > 1 {
        return Ok(Some("Multiple platforms requested but result is not multi-platform".to_owned()));
    }
    // One result whose platform nobody says is taken for what was asked for.
    let given: BTreeSet<_> = named.into_iter().map(|named| named.platform.normalize().to_string()).collect();
    let listed = |all: &BTreeSet<String>| all.iter().map(String::as_str).collect::<Vec<_>>().join(",");
    Ok((!given.is_empty() && given != asked)
        .then(|| format!("Requested platforms {} do not match result platforms {}", listed(&asked), listed(&given))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returned(results: Results, platforms: Option<&str>) -> Returned {
        let metadata = platforms.map(|json| (PLATFORMS.to_owned(), json.as_bytes().to_vec()));
        Returned { results, metadata: metadata.into_iter().collect() }
    }

    fn list(platforms: &[(&str, &str)]) -> String {
        let platforms = platforms.iter().map(|(id, platform)| {
            let (os, architecture) = platform.split_once('/').unwrap();
            serde_json::json!({"ID": id, "Platform": {"os": os, "architecture": architecture}})
        });
        serde_json::json!({"Platforms": platforms.collect::<Vec<_>>()}).to_string()
    }

    #[test]
    fn lists_that_say_too_little() {
        let check = |json: &str, expected: &str| {
            let error = of(&returned(Results::One(Vec::new()), Some(json))).err().unwrap().to_string();
            assert!(error.starts_with(expected), "{json}: {error}");
        };
        for empty in ["null", "{}", r#"{"Platforms":null}"#, r#"{"Platforms":[]}"#] {
            check(empty, "invalid empty platforms index for exporter");
        }
        check("[", "failed to parse platforms passed to exporter");
        check(&list(&[("", "linux/amd64")]), "invalid empty platform key for exporter");
        check(&list(&[("foo", "linux/")]), "invalid platform value of foo for exporter");
    }

    #[test]
    fn what_was_asked_for_and_what_came() {
        let one = || Results::One(b"x".to_vec());
        let check = |wanted: &str, returned: Returned, expected: Option<&str>| {
            let opts = [("platform".to_owned(), wanted.to_owned())].into();
            assert_eq!(warning(&opts, &returned).unwrap().as_deref(), expected, "{wanted}");
        };
        let both = list(&[("a", "linux/amd64"), ("b", "linux/arm64")]);
        let many = || Results::Many([("a".to_owned(), Vec::new()), ("b".to_owned(), Vec::new())].into());
        check("", returned(one(), None), None);
        check("linux/amd64", returned(one(), None), None);
        check("linux/amd64,linux/arm64", returned(Results::None, None), None);
        check("linux/amd64,linux/arm64", returned(Results::One(Vec::new()), None), None);
        check("linux/amd64,linux/arm64", returned(many(), Some(&both)), None);
        let single = "Multiple platforms requested but result is not multi-platform";
        check("linux/amd64,linux/arm64", returned(one(), None), Some(single));
        let other = "Requested platforms linux/amd64 do not match result platforms linux/amd64,linux/arm64";
        check("linux/amd64", returned(many(), Some(&both)), Some(other));
        let twice = "Duplicate platform result requested \"linux/x86_64\"";
        check("linux/amd64,linux/x86_64", returned(many(), Some(&both)), Some(twice));
    }
}
