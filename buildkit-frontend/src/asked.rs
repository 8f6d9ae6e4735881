//! What llbc itself is asked to do, by options of the build. A client that can only set build arguments sets one of those.

use std::collections::BTreeMap;

use gateway::Status;
use llb::passes::{Level, Options};

use crate::status;

/// Options that say how much is optimized, the first that is there.
const LEVEL: &[&str] = &["optimize", "build-arg:LLBC_OPT"];
/// Options that say whether each layer stays a layer of its own, the first that is there.
const PRESERVE_LAYERS: &[&str] = &["preserve-layers", "build-arg:LLBC_PRESERVE_LAYERS"];

/// Options that say which channel of the Dockerfile language it is, the first that is there.
const CHANNEL: &[&str] = &["channel", "build-arg:LLBC_CHANNEL"];

/// Whether the labs channel of the Dockerfile language is on.
///
/// **Errors**: a value that means nothing.
pub(crate) fn labs(opts: &BTreeMap<String, String>) -> Result<bool, Status> {
    match first(opts, CHANNEL) {
        None | Some((_, "stable")) => Ok(false),
        Some((_, "labs")) => Ok(true),
        Some((name, other)) => Err(status::unknown(&format!("invalid {name} {other}: say stable or labs"))),
    }
}

/// Options of the optimizer among those of a build.
///
/// **Errors**: a value that means nothing.
pub(crate) fn optimizer(opts: &BTreeMap<String, String>) -> Result<Options, Status> {
    Ok(Options { level: level(opts)?, preserve_layers: preserve_layers(opts)? })
}

fn level(opts: &BTreeMap<String, String>) -> Result<Level, Status> {
    match first(opts, LEVEL) {
        Some((_, "0")) => Ok(Level::O0),
        // What never repeats work is done where nobody says how much.
        None | Some((_, "1")) => Ok(Level::O1),
        Some((_, "2")) => Ok(Level::O2),
        Some((name, other)) => Err(status::unknown(&format!("invalid {name} {other}: the levels are 0, 1 and 2"))),
    }
}

fn preserve_layers(opts: &BTreeMap<String, String>) -> Result<bool, Status> {
    let Some((name, value)) = first(opts, PRESERVE_LAYERS) else { return Ok(false) };
    ast::parse_bool(value).ok_or_else(|| status::unknown(&format!("invalid {name} {value}: say true or false")))
}

fn first<'o>(opts: &'o BTreeMap<String, String>, names: &[&'static str]) -> Option<(&'static str, &'o str)> {
    names.iter().find_map(|&name| Some((name, opts.get(name)?.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(opts: &[(&str, &str)]) -> Result<Options, Status> {
        optimizer(&opts.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn options_and_build_arguments_say_the_same() {
        for (opts, level, preserve_layers) in [
            (&[][..], Level::O1, false),
            (&[("optimize", "0")], Level::O0, false),
            (&[("build-arg:LLBC_OPT", "2")], Level::O2, false),
            (&[("optimize", "1"), ("build-arg:LLBC_OPT", "2")], Level::O1, false),
            (&[("optimize", "2"), ("preserve-layers", "true")], Level::O2, true),
            (&[("build-arg:LLBC_PRESERVE_LAYERS", "1")], Level::O1, true),
            (&[("preserve-layers", "false"), ("build-arg:LLBC_PRESERVE_LAYERS", "1")], Level::O1, false),
        ] {
            assert_eq!(read(opts), Ok(Options { level, preserve_layers }), "{opts:?}");
        }
    }

    #[test]
    fn the_channel_is_the_stable_one_unless_another_is_asked_for() {
        let read = |opts: &[(&str, &str)]| {
            labs(&opts.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
        };
        assert_eq!((read(&[]), read(&[("channel", "stable")])), (Ok(false), Ok(false)));
        assert_eq!((read(&[("channel", "labs")]), read(&[("build-arg:LLBC_CHANNEL", "labs")])), (Ok(true), Ok(true)));
        let said = "invalid build-arg:LLBC_CHANNEL beta: say stable or labs";
        assert_eq!(read(&[("build-arg:LLBC_CHANNEL", "beta")]), Err(status::unknown(&said)));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for (name, value, said) in [
            ("optimize", "3", "invalid optimize 3: the levels are 0, 1 and 2"),
            ("build-arg:LLBC_PRESERVE_LAYERS", "yes", "invalid build-arg:LLBC_PRESERVE_LAYERS yes: say true or false"),
        ] {
            assert_eq!(read(&[(name, value)]), Err(status::unknown(&said)));
        }
    }
}
