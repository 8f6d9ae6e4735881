//! Names of frontend options that look like a misspelling: a frontend passes over those that it does not know.

use crate::suggest::nearest;

/// Options of BuildKit's Dockerfile frontend and of this compiler, by name.
const NAMES: [&str; 28] = [
    "add-hosts",
    "cache-from",
    "cache-imports",
    "cgroup-parent",
    "cmdline",
    "context",
    "contextkey",
    "contextsubdir",
    "cpuperiod",
    "cpuquota",
    "cpusetcpus",
    "cpusetmems",
    "cpushares",
    "dockerfilekey",
    "filename",
    "force-network-mode",
    "frontend.caps",
    "hostname",
    "image-resolve-mode",
    "language",
    "memory",
    "memswap",
    "multi-platform",
    "no-cache",
    "platform",
    "shm-size",
    "target",
    "ulimit",
];

/// What stands before `:` in the names of options of which there may be many.
const FAMILIES: [&str; 7] = ["attest", "build-arg", "context", "input", "input-metadata", "label", "vcs"];

/// Says so of the name of an `--opt`.
///
/// What is near no known name may be an option of a frontend that only an image has.
pub fn misspelt(name: &str) -> Option<String> {
    let meant = meant(name)?;
    Some(format!("--opt {name}: no such option is known (did you mean {meant}?)"))
}

/// The option that is probably meant, if it is another.
fn meant(key: &str) -> Option<String> {
    let near = |word: &str, known: &[&'static str]| nearest(word, known.iter().copied()).filter(|near| *near != word);
    match key.split_once(':') {
        Some((family, rest)) => near(family, &FAMILIES).map(|meant| format!("{meant}:{rest}")),
        None => near(key, &NAMES).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_meant() {
        let check = |key: &str, expected: Option<&str>| assert_eq!(meant(key).as_deref(), expected, "{key}");
        check("tarket", Some("target"));
        check("filname", Some("filename"));
        check("buildarg:A", Some("build-arg:A"));
        check("target", None);
        check("source", None);
        check("requestid", None);
        check("build-arg:tarket", None);
        check("colour", None);
        check("com.example:x", None);
    }

    #[test]
    fn every_name_is_itself() {
        for name in NAMES {
            assert_eq!(meant(name), None);
        }
        for family in FAMILIES {
            assert_eq!(meant(&format!("{family}:x")), None);
        }
    }
}
