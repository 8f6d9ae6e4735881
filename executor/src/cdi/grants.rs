//! Which devices a build was granted: `--allow device`, `--allow device=NAME`, `--allow device=NAME,alias=OTHER`.
//!
//! parity: BuildKit v0.32, util/entitlements. Better than there: a grant of a device that is not there is no error.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Error, Result};

/// The entitlement.
const DEVICE: &str = "device";
/// How a field of it begins that gives a device another name.
const ALIAS: &str = "alias=";

/// What was granted.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Grants {
    /// Whether all devices were.
    pub(super) all: bool,
    /// Devices, as a build may name them.
    pub(super) names: BTreeSet<String>,
    /// Devices by the names that a build has for them.
    pub(super) aliases: BTreeMap<String, String>,
}

impl Grants {
    /// Reads entitlements; an alias may have been cut off from its device at the comma.
    ///
    /// **Errors**: a field that a device does not have.
    pub(super) fn parse(allow: &[String]) -> Result<Self> {
        let mut grants = Self::default();
        let mut fields = allow.iter().flat_map(|entry| entry.split(',')).peekable();
        while let Some(field) = fields.next() {
            let (key, name) = field.split_once('=').unwrap_or((field, ""));
            match (key, name) {
                (DEVICE, "") => grants.all = true,
                (DEVICE, name) => {
                    let alias = fields.peek().and_then(|next| next.strip_prefix(ALIAS));
                    match alias {
                        Some("") => return Err(invalid(&format!("{field},{ALIAS}"), "the alias has no name")),
                        Some(alias) => drop(grants.aliases.insert(alias.to_owned(), name.to_owned())),
                        None => drop(grants.names.insert(name.to_owned())),
                    }
                    if alias.is_some() {
                        fields.next();
                    }
                }
                ("alias", _) => return Err(invalid(field, "an alias comes right after its device")),
                _ => {}
            }
        }
        Ok(grants)
    }
}

fn invalid(field: &str, why: &str) -> Error {
    Error::Invalid(format!("--allow {field}: {why}: --allow device=vendor.com/class=name,alias=other"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(allow: &[&str]) -> std::result::Result<Grants, String> {
        let allow: Vec<String> = allow.iter().map(|entry| (*entry).to_owned()).collect();
        Grants::parse(&allow).map_err(|error| error.to_string())
    }

    #[test]
    fn all_some_and_by_another_name() {
        assert_eq!(parse(&["network.host", "security.insecure"]).unwrap(), Grants::default());
        assert!(parse(&["network.host", "device"]).unwrap().all);
        let some = parse(&["device=a/b=c", "device=a/b"]).unwrap();
        assert_eq!((some.all, some.names.into_iter().collect::<Vec<_>>()), (false, vec!["a/b".into(), "a/b=c".into()]));
        for allow in [&["device=a/b=c,alias=x"][..], &["network.host", "device=a/b=c", "alias=x"]] {
            let aliased = parse(allow).unwrap();
            assert_eq!((aliased.names.len(), aliased.aliases["x"].as_str()), (0, "a/b=c"), "{allow:?}");
        }
    }

    #[test]
    fn an_alias_without_a_device_is_refused() {
        assert!(parse(&["network.host", "alias=x"]).unwrap_err().contains("right after its device"));
        assert!(parse(&["device=a,alias="]).unwrap_err().contains("no name"));
    }
}
