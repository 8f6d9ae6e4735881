//! The words of `llbc build`: the context, as `docker build` has it, and names of what is built.

use std::path::Path;

use ast::Source;

use crate::args::Build;
use crate::failure::Result;
use crate::settings::{Input, is_address};
use crate::world;

/// What the words are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// The context.
    pub(super) context: Option<String>,
    /// Names.
    pub(super) names: Vec<String>,
}

/// Tells the context from names: the first word is the context if it can be one, or stands alone. A name of the build file
/// that `--file` names is a name, even where a directory is called so; `./NAME` is the directory.
pub(super) fn read(args: &Build) -> Result<Words> {
    let Some((first, rest)) = args.words.split_first() else { return Ok(Words::default()) };
    let is_context = first == "-" || is_address(first) || Path::new(first).is_dir();
    if (is_context || rest.is_empty()) && !is_name(args, first)? {
        return Ok(Words { context: Some(first.clone()), names: rest.to_vec() });
    }
    Ok(Words { context: None, names: args.words.clone() })
}

/// Whether the build file that is named has something of this name, or may have it by what it includes.
fn is_name(args: &Build, word: &str) -> Result<bool> {
    let Some(file) = args.file.as_deref().filter(|file| *file != "-" && !is_address(file)) else { return Ok(false) };
    if word.contains(['/', '.']) || word == "-" {
        return Ok(false);
    }
    let input = Input::new(file);
    let module = compiler::parse(&Source::new(input.name(), world::read(&input)?));
    let is_def = module.defs.iter().filter_map(|def| def.name.as_ref()).any(|name| name.text == word);
    Ok(is_def || module.goal(word).is_some() || !module.includes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], file: Option<&str>, expected: (Option<&str>, &[&str])) {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let arguments: Vec<&str> = ["llbc", "build"].into_iter().chain(words.iter().copied()).collect();
        let arguments =
            arguments.into_iter().chain(file.iter().flat_map(|file| ["-f", file])).map(std::ffi::OsString::from);
        let crate::args::Command::Build(args) = crate::args::parse(arguments).command else { panic!("a build") };
        let expected = Words { context: expected.0.map(str::to_owned), names: owned(expected.1) };
        assert_eq!(read(&args).unwrap(), expected);
    }

    #[test]
    fn the_first_word_may_be_the_context() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("build.toml");
        std::fs::write(&file, "[image.proc]\nfrom = \"x\"\n").unwrap();
        let file = file.to_str();
        check(&[], None, (None, &[]));
        check(&["/proc"], None, (Some("/proc"), &[]));
        check(&["nosuch"], None, (Some("nosuch"), &[]));
        check(&["/proc", "a", "b"], None, (Some("/proc"), &["a", "b"]));
        check(&["a", "b"], file, (None, &["a", "b"]));
        check(&["proc"], file, (None, &["proc"]));
        check(&["nosuch"], file, (Some("nosuch"), &[]));
        check(&["-", "a"], None, (Some("-"), &["a"]));
    }
}
