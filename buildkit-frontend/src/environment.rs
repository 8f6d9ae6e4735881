//! What a builder tells a frontend when it starts it: variables of the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;

use oci::Platform;
use serde::Deserialize;

/// Prefix of the variables that hold an option each, as `NAME=VALUE`.
const OPTION: &str = "BUILDKIT_FRONTEND_OPT_";
const SESSION: &str = "BUILDKIT_SESSION_ID";
const WORKERS: &str = "BUILDKIT_WORKERS";

/// What a builder tells.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Environment {
    /// Frontend options.
    pub(crate) opts: BTreeMap<String, String>,
    /// Id of the client's session.
    pub(crate) session: Option<String>,
    /// Platforms of the first worker, the default one first.
    pub(crate) platforms: Vec<Platform>,
}

/// A worker, as far as it is read.
#[derive(Deserialize)]
struct Worker {
    #[serde(rename = "Platforms", default)]
    platforms: Option<Vec<Platform>>,
}

impl Environment {
    /// Reads variables. What cannot be read is as if it were not there, as in BuildKit's own client.
    pub(crate) fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else { continue };
            if name.starts_with(OPTION) {
                let (key, value) = value.split_once('=').unwrap_or((&value, ""));
                environment.opts.insert(key.to_owned(), value.to_owned());
            } else if name == SESSION {
                environment.session = Some(value);
            } else if name == WORKERS {
                environment.platforms = platforms(&value);
            }
        }
        environment
    }
}

fn platforms(workers: &str) -> Vec<Platform> {
    let workers: Vec<Worker> = serde_json::from_str(workers).unwrap_or_default();
    workers.into_iter().next().and_then(|worker| worker.platforms).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        let workers =
            r#"[{"ID":"w","Labels":null,"Platforms":[{"architecture":"arm64","os":"linux","variant":"v8"}]}]"#;
        let variables = [
            ("BUILDKIT_FRONTEND_OPT_0", "build-arg:A=b=c"),
            ("BUILDKIT_FRONTEND_OPT_17", "no-cache"),
            ("BUILDKIT_SESSION_ID", "s"),
            ("BUILDKIT_WORKERS", workers),
            ("PATH", "/bin"),
        ];
        let read = Environment::read(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        let opts = [("build-arg:A", "b=c"), ("no-cache", "")];
        let arm = Platform { variant: "v8".into(), ..Platform::new("linux", "arm64") };
        assert_eq!(
            read,
            Environment {
                opts: opts.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                session: Some("s".to_owned()),
                platforms: vec![arm],
            }
        );
        assert_eq!(platforms("[]"), []);
        assert_eq!(platforms("{"), []);
        assert_eq!(platforms(r#"[{"Platforms":null}]"#), []);
    }
}
