//! Finding build files below a directory, by the names that people give them.
//!
//! Directories whose name begins with a dot and `node_modules` are passed over, and so are links: what they point to is
//! found where it is, or is not the user's.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::settings::Input;

/// Ends of names that are about a build file and are none: ignore files, templates, notes, leftovers of editors.
const OTHER: [&str; 16] = [
    "dockerignore",
    "md",
    "txt",
    "erb",
    "j2",
    "jinja",
    "jinja2",
    "tmpl",
    "tpl",
    "template",
    "in",
    "bak",
    "orig",
    "rej",
    "swp",
    "json",
];

/// Directories that hold the files of others.
const FOREIGN: [&str; 1] = ["node_modules"];

/// What a word of a command line names: a build file wherever it is, or all of those below a directory.
///
/// **Errors**: a directory cannot be read, or there is none in it.
pub(super) fn inputs(word: &str) -> Result<Vec<Input>> {
    let directory = Path::new(word);
    if !directory.is_dir() {
        return Ok(vec![Input::new(word)]);
    }
    let found = build_files(directory)?;
    if found.is_empty() {
        let help = "they are named Dockerfile, Containerfile, Dockerfile.NAME or NAME.Dockerfile; name others by path";
        return Err(Failure::message("io", format!("there is no build file in {word}"), help));
    }
    Ok(found.into_iter().map(Input::File).collect())
}

/// Every build file below a directory, sorted by path.
///
/// **Errors**: a directory cannot be read.
fn build_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = std::fs::read_dir(&directory).map_err(Failure::io("look into", &directory))?;
        for entry in entries {
            let entry = entry.map_err(Failure::io("look into", &directory))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let kind = entry.file_type().map_err(Failure::io("look at", entry.path()))?;
            if kind.is_dir() && !name.starts_with('.') && !FOREIGN.contains(&&*name) {
                open.push(entry.path());
            } else if kind.is_file() && is_build_file(&name) {
                found.push(tidy(entry.path()));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// `./a` is `a`.
fn tidy(path: PathBuf) -> PathBuf {
    path.strip_prefix(".").map(Path::to_owned).unwrap_or(path)
}

fn is_build_file(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let ending = lower.rsplit_once('.').map_or("", |(_, ending)| ending);
    if OTHER.contains(&ending) || lower.ends_with('~') || lower.starts_with('.') {
        return false;
    }
    // `Dockerfile-dev`, `Dockerfile_dev`: a habit that the languages' own names do not cover.
    let habit = |stem: &str| lower.strip_prefix(stem).is_some_and(|rest| rest.starts_with(['-', '_']));
    frontends::detect(&lower).is_some() || habit("dockerfile") || habit("containerfile")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_give() {
        for name in [
            "Dockerfile",
            "dockerfile",
            "Containerfile",
            "Dockerfile.prod",
            "web.Dockerfile",
            "Dockerfile-dev",
            "Dockerfile_ci",
        ] {
            assert!(is_build_file(name), "{name}");
        }
        for name in [
            "Dockerfile.dockerignore",
            "Dockerfile.md",
            "Dockerfile.erb",
            "Dockerfile~",
            ".Dockerfile",
            "Dockerfiles",
            "a.c",
        ] {
            assert!(!is_build_file(name), "{name}");
        }
    }

    #[test]
    fn a_tree() {
        let root = tempfile::tempdir().unwrap();
        for path in
            ["b/Dockerfile", "a/x/web.Dockerfile", "a/.git/Dockerfile", "node_modules/Dockerfile", "a/README.md"]
        {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "FROM scratch\n").unwrap();
        }
        std::os::unix::fs::symlink(root.path(), root.path().join("loop")).unwrap();
        let found = build_files(root.path()).unwrap();
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(root.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a/x/web.Dockerfile", "b/Dockerfile"]);
    }
}
