//! What `attest:provenance=KEY=VALUE[,…]` asks for.
//!
//! An unknown key is an error: BuildKit takes a mistyped one and says nothing.

use crate::suggest::nearest;
use crate::{Error, Result, csv};

/// The keys there are.
const KEYS: [&str; 7] =
    ["mode", "version", "builder-id", "reproducible", "inline-only", "filename", "complete-materials"];

/// How a provenance is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attrs {
    /// Whether all is told: steps, sources, layers, arguments. Else no values of the build's are.
    pub max: bool,
    /// Of the predicate.
    pub version: Version,
    /// Who built.
    pub builder_id: String,
    /// Whether the user says that the build is reproducible.
    pub reproducible: bool,
    /// Whether only images have it that go to a store or a registry.
    pub inline_only: bool,
    /// The file that it is beside trees.
    pub filename: String,
    /// Whether a build fails that used something that the provenance cannot name.
    pub complete_materials: bool,
}

/// Versions of predicates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// SLSA 1.
    #[default]
    V1,
    /// SLSA 0.2.
    V02,
}

impl Default for Attrs {
    /// What BuildKit's daemon takes for what is not said.
    fn default() -> Self {
        Self {
            max: true,
            version: Version::default(),
            builder_id: String::new(),
            reproducible: false,
            inline_only: false,
            filename: "provenance.json".to_owned(),
            complete_materials: false,
        }
    }
}

impl Attrs {
    /// Reads the attributes.
    pub fn parse(text: &str) -> Result<Self> {
        let mut read = Self::default();
        for field in csv::split(text).iter().filter(|field| !field.is_empty()) {
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            match key {
                "mode" => {
                    read.max = match value {
                        "min" => false,
                        "max" | "full" => true,
                        _ => return Err(invalid(format!("invalid mode {value:?}: it is min or max"))),
                    }
                }
                "version" => {
                    read.version = match value {
                        "v1" => Version::V1,
                        "v0.2" => Version::V02,
                        _ => {
                            return Err(invalid(format!("invalid provenance SLSA version: {value}: it is v1 or v0.2")));
                        }
                    }
                }
                "builder-id" => read.builder_id = value.to_owned(),
                "reproducible" => read.reproducible = boolean(key, value)?,
                "inline-only" => read.inline_only = boolean(key, value)?,
                "complete-materials" => read.complete_materials = boolean(key, value)?,
                "filename" => read.filename = file_name(value)?,
                "capture-usage" => {
                    return Err(Error::Unsupported {
                        what: "capture-usage of a provenance".into(),
                        why: "what steps use of processors and memory is not recorded; leave it out".into(),
                    });
                }
                _ => return Err(unknown(key)),
            }
        }
        Ok(read)
    }
}

/// Nothing but a name: it must not lead out of the result.
fn file_name(value: &str) -> Result<String> {
    let name = value.rsplit('/').next().unwrap_or_default();
    match name {
        "" | "." | ".." => Err(invalid(format!("invalid filename of a provenance: {value:?}"))),
        name => Ok(name.to_owned()),
    }
}

fn unknown(key: &str) -> Error {
    let advice = nearest(key, KEYS).map_or_else(String::new, |known| format!(" (did you mean {known}?)"));
    invalid(format!("unknown attribute {key:?} of a provenance{advice}"))
}

fn boolean(key: &str, value: &str) -> Result<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(invalid(format!("failed to parse {key} flag {value:?}: it is true or false"))),
    }
}

fn invalid(message: String) -> Error {
    Error::Invalid(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let error = Attrs::parse(text).err().map(|error| error.to_string());
        assert_eq!(error.unwrap_or_default(), expected, "{text}");
    }

    #[test]
    fn attributes() {
        check("", "");
        check("mode=full,version=v0.2,builder-id=me,reproducible=true,inline-only=false,filename=a.json", "");
        check("mode=some", "invalid mode \"some\": it is min or max");
        check("version=v2", "invalid provenance SLSA version: v2: it is v1 or v0.2");
        check("reproducible=", "failed to parse reproducible flag \"\": it is true or false");
        check("builder=x", "unknown attribute \"builder\" of a provenance");
        check("modes=max", "unknown attribute \"modes\" of a provenance (did you mean mode?)");
        check("filename=../..", "invalid filename of a provenance: \"../..\"");
        check(
            "capture-usage=true",
            "capture-usage of a provenance is not supported: what steps use of processors and memory is not recorded; \
             leave it out",
        );
    }

    #[test]
    fn what_is_not_said() {
        assert!(Attrs::parse("builder-id=\"a,b\"").unwrap().max);
        assert_eq!(Attrs::parse("\"builder-id=a,b\"").unwrap().builder_id, "a,b");
        assert_eq!(Attrs::parse("filename=../x/p.json").unwrap().filename, "p.json");
    }
}
