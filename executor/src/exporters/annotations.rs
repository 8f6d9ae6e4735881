//! Annotations from output attributes: `annotation[-TYPE][\[PLATFORM\]].KEY`.

use std::collections::BTreeMap;

use oci::Platform;

use crate::{Error, Result};

type Map = BTreeMap<String, String>;

/// What annotations are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum On {
    Manifest,
    ManifestDescriptor,
    Index,
    IndexDescriptor,
}

/// Annotations by what they are on and the platform they are for (empty: all).
#[derive(Clone, Debug, Default)]
pub(super) struct Annotations(BTreeMap<(On, String), Map>);

/// Whether an attribute of an output, or what is said of a result, is an annotation.
pub(crate) fn is_annotation(attr: &str) -> bool {
    let rest = attr.strip_prefix("annotation").filter(|rest| rest.starts_with(['-', '[', '.']));
    rest.is_some_and(|rest| split_key(rest).is_some())
}

impl Annotations {
    /// Adds an attribute, or replaces what it says; `false` when it is none.
    pub(super) fn add(&mut self, attr: &str, value: &str) -> Result<bool> {
        let Some(rest) = attr.strip_prefix("annotation") else { return Ok(false) };
        let Some((head, key)) = split_key(rest) else { return Ok(false) };
        let (kind, platform) = match head.split_once('[') {
            Some((kind, platform)) => (kind, platform.strip_suffix(']').unwrap_or(platform)),
            None => (head, ""),
        };
        let platform = if platform.is_empty() { String::new() } else { normal(platform)? };
        let on = match kind {
            "" | "-manifest" => On::Manifest,
            "-manifest-descriptor" => On::ManifestDescriptor,
            "-index" => On::Index,
            "-index-descriptor" => On::IndexDescriptor,
            other => {
                let other = other.trim_start_matches('-');
                return Err(Error::Invalid(format!("unrecognized annotation type {other}")));
            }
        };
        self.0.entry((on, platform)).or_default().insert(key.to_owned(), value.to_owned());
        Ok(true)
    }

    /// Checks that manifests of a family have what they are on.
    pub(super) fn check_types(&self, docker_types: bool) -> Result<()> {
        if docker_types && self.0.keys().any(|(on, _)| *on != On::Manifest) {
            return Err(Error::Invalid("cannot export annotations with \"oci-mediatypes=false\"".into()));
        }
        Ok(())
    }

    /// Checks that there is what they are on: the `platforms` of the results, an index where they are a `list`.
    pub(super) fn check(&self, platforms: &[&Platform], list: bool) -> Result<()> {
        for (on, platform) in self.0.keys() {
            if !platform.is_empty() && !platforms.iter().any(|of| names(of).contains(platform)) {
                return Err(Error::Invalid(format!("invalid annotation: no platform {platform} found in source")));
            }
            if !list && matches!(on, On::Index | On::IndexDescriptor) {
                return Err(Error::Invalid("index annotations not supported for single platform export".into()));
            }
        }
        Ok(())
    }

    pub(super) fn manifest(&self, platform: &Platform) -> Map {
        self.of(On::Manifest, names(platform))
    }

    pub(super) fn manifest_descriptor(&self, platform: &Platform) -> Map {
        self.of(On::ManifestDescriptor, names(platform))
    }

    pub(super) fn index(&self) -> Map {
        self.of_any(On::Index)
    }

    pub(super) fn index_descriptor(&self) -> Map {
        self.of_any(On::IndexDescriptor)
    }

    /// Those of what all platforms share, whichever a platform is named for them: that comes later than none.
    fn of_any(&self, on: On) -> Map {
        let found = self.0.iter().filter(|((of, _), _)| *of == on).flat_map(|(_, map)| map);
        found.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Those for all platforms, then those for one, by each of its names.
    fn of<const N: usize>(&self, on: On, platform: [String; N]) -> Map {
        let names = std::iter::once(String::new()).chain(platform);
        let found = names.filter_map(|name| self.0.get(&(on, name))).flatten();
        found.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

/// What a platform of a result is called: without the version of its system, and with it.
fn names(platform: &Platform) -> [String; 2] {
    [platform.short(), platform.to_string()]
}

/// A platform as results name theirs: `linux/arm64` for `linux/arm64/v8`.
fn normal(text: &str) -> Result<String> {
    let parsed = Platform::parse(text, &Platform::new("linux", "amd64"));
    let parsed = parsed.map_err(|error| Error::Invalid(format!("invalid annotation: platform {text}: {error}")))?;
    Ok(parsed.normalize().to_string())
}

/// Splits `-type[platform].key` at the first dot outside brackets.
fn split_key(rest: &str) -> Option<(&str, &str)> {
    let dot = match rest.find('[') {
        Some(open) if !rest[..open].contains('.') => open + rest[open..].find(']')? + 1,
        _ => rest.find('.')?,
    };
    let key = rest[dot..].strip_prefix('.')?;
    (!key.is_empty()).then(|| (&rest[..dot], key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(attrs: &[&str]) -> Annotations {
        let mut annotations = Annotations::default();
        for attr in attrs {
            assert!(annotations.add(attr, attr).unwrap(), "{attr}");
        }
        annotations
    }

    #[test]
    fn kinds_and_platforms() {
        let annotations = parsed(&[
            "annotation.a.b",
            "annotation-manifest[linux/amd64].c",
            "annotation-index.d",
            "annotation-index[linux/arm64].of-one",
            "annotation-index-descriptor[linux/amd64].of-one",
            "annotation-manifest-descriptor.e",
            "annotation[linux/arm64/v8].f",
        ]);
        let keys = |map: Map| map.into_keys().collect::<Vec<_>>();
        let amd64 = Platform::new("linux", "amd64");
        let arm64 = Platform::new("linux", "arm64");
        assert_eq!(keys(annotations.manifest(&amd64)), ["a.b", "c"]);
        assert_eq!(keys(annotations.manifest(&arm64)), ["a.b", "f"]);
        assert_eq!(keys(annotations.manifest_descriptor(&arm64)), ["e"]);
        assert_eq!(keys(annotations.index()), ["d", "of-one"], "there is one index of all platforms");
        assert_eq!(keys(annotations.index_descriptor()), ["of-one"]);
        assert!(!Annotations::default().add("annotation", "x").unwrap());
        assert!(!Annotations::default().add("name", "x").unwrap());
        assert!(Annotations::default().add("annotation-foo.k", "x").is_err());
    }

    #[test]
    fn versions_of_a_system() {
        let annotations = parsed(&["annotation[windows/amd64].any", "annotation[windows(10.0.26100)/amd64].new"]);
        let of = |version: &str| {
            let platform = Platform { os_version: version.to_owned(), ..Platform::new("windows", "amd64") };
            annotations.manifest(&platform).into_keys().collect::<Vec<_>>()
        };
        assert_eq!(of("10.0.26100"), ["any", "new"]);
        assert_eq!([of("10.0.20348"), of("")], [["any"], ["any"]]);
    }

    #[test]
    fn what_they_are_on_must_exist() {
        let both = [&Platform::new("linux", "amd64"), &Platform::new("linux", "arm64")];
        let check = |attr: &str, platforms: &[&Platform]| {
            parsed(&[attr])
                .check(platforms, platforms.len() > 1)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert_eq!(check("annotation-index.k", &both), "");
        assert_eq!(
            check("annotation-index.k", &both[..1]),
            "index annotations not supported for single platform export"
        );
        assert_eq!(
            check("annotation[linux/s390x].k", &both),
            "invalid annotation: no platform linux/s390x found in source"
        );
        let refused = parsed(&["annotation-index.k"]).check_types(true).err().map(|error| error.to_string());
        assert_eq!(refused.as_deref(), Some("cannot export annotations with \"oci-mediatypes=false\""));
        assert!(parsed(&["annotation.k"]).check_types(true).is_ok());
    }
}
