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

/// What the results are called where something is said of them, in their order.
pub(super) fn ids(returned: &Returned) -> Result<Vec<String>> {
    let listed = of(returned)?;
    if !listed.is_empty() {
        return Ok(listed.into_iter().map(|named| named.id).collect());
    }
    let host = crate::host_platform();
    Ok(said_by_config(returned, &host)?.iter().map(ToString::to_string).collect())
}

/// What there is to say when results are not of the platforms that `opts` ask for, or not of the host's when they ask for
/// none.
pub(super) fn warning(opts: &BTreeMap<String, String>, returned: &Returned) -> Result<Option<String>> {
    let host = crate::host_platform();
    let wanted = opts.get("platform").cloned().unwrap_or_else(|| host.to_string());
    // parity: of nothing nobody says what it is for; requests that are no builds are answered so.
    let is_nothing = match &returned.results {
        Results::None => true,
        Results::One(definition) => definition.is_empty() && !returned.metadata.contains_key(PLATFORMS),
        Results::Many(_) => false,
    };
    if is_nothing {
        return Ok(None);
    }
    let mut asked = BTreeSet::new();
    for text in wanted.split(',') {
        let Ok(platform) = Platform::parse(text, &host) else {
            return Ok(Some(format!("Invalid platform result requested {text:?}")));
        };
        if !asked.insert(platform.normalize()) {
            return Ok(Some(format!("Duplicate platform result requested {text:?}")));
        }
    }
    let given: Vec<_> = match of(returned)?.into_iter().map(|named| named.platform.normalize()).collect::<Vec<_>>() {
        none if none.is_empty() => said_by_config(returned, &host)?,
        given => given,
    };
    Ok(mismatch(&wanted, &asked, &given, matches!(returned.results, Results::Many(_))))
}

/// The platform of a result nobody lists: what its image config says, else the host's.
fn said_by_config(returned: &Returned, host: &Platform) -> Result<Vec<Platform>> {
    let Some(config) = returned.metadata.get("containerimage.config") else { return Ok(vec![host.clone()]) };
    let platform: Platform =
        serde_json::from_slice(config).map_err(|error| Error::Invalid(format!("image config of a result: {error}")))?;
    match (platform.os.is_empty(), platform.architecture.is_empty()) {
        (false, false) => Ok(vec![platform.normalize()]),
        (true, true) => Ok(vec![host.clone()]),
        _ => Err(Error::Invalid("invalid image config: os and architecture must be specified together".into())),
    }
}

/// What there is to say of two sets of platforms; `wanted` is how the first was written.
fn mismatch(wanted: &str, asked: &BTreeSet<Platform>, given: &[Platform], has_many: bool) -> Option<String> {
    if let (1, [given]) = (asked.len(), given) {
        let versionless = Platform { os_version: String::new(), ..given.clone() };
        // A version nobody asked for is no difference.
        let shown = if asked.iter().any(|asked| asked.os_version.is_empty()) { &versionless } else { given };
        let matches = asked.contains(given) || asked.contains(shown);
        return (!matches)
            .then(|| format!("Requested platform {wanted:?} does not match result platform {:?}", shown.to_string()));
    }
    if !has_many && asked.len() > 1 {
        return Some("Multiple platforms requested but result is not multi-platform".to_owned());
    }
    let same = asked.len() == given.len() && given.iter().all(|platform| asked.contains(platform));
    let listed = |all: &mut dyn Iterator<Item = &Platform>| {
        let mut all: Vec<_> = all.map(ToString::to_string).collect();
        all.sort();
        all.join(",")
    };
    (!same).then(|| {
        let (asked, given) = (listed(&mut asked.iter()), listed(&mut given.iter()));
        format!("Requested platforms {asked} do not match result platforms {given}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returned(results: Results, platforms: Option<&str>) -> Returned {
        let metadata = platforms.map(|json| (PLATFORMS.to_owned(), json.as_bytes().to_vec()));
        Returned { results, metadata: metadata.into_iter().collect(), ..Returned::default() }
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
            let opts = (!wanted.is_empty()).then(|| ("platform".to_owned(), wanted.to_owned()));
            let opts = opts.into_iter().collect();
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
        check(
            "",
            returned(many(), Some(&both)),
            Some("Requested platforms linux/amd64 do not match result platforms linux/amd64,linux/arm64"),
        );
        let arm = list(&[("a", "linux/arm64")]);
        let differs = "Requested platform \"linux/amd64\" does not match result platform \"linux/arm64\"";
        check("linux/amd64", returned(one(), Some(&arm)), Some(differs));
        let mut told = returned(one(), None);
        told.metadata.insert("containerimage.config".into(), br#"{"os":"linux","architecture":"arm64"}"#.to_vec());
        check("linux/amd64", told.clone(), Some(differs));
        check("linux/arm64", told.clone(), None);
        let twice = "Duplicate platform result requested \"linux/x86_64\"";
        check("linux/amd64,linux/x86_64", returned(many(), Some(&both)), Some(twice));
    }
}
