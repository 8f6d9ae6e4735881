//! Where `llbc build` finds the build file and the context, as `docker build` does.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::settings::{Input, is_address};
use crate::stdin::{self, Piped, Upload};

/// What is built from what.
#[derive(Debug)]
pub(super) struct Found {
    /// The build file.
    pub(super) input: Input,
    /// The context.
    pub(super) context: Context,
}

/// The files a build may copy.
#[derive(Debug)]
pub(super) enum Context {
    /// A directory.
    Directory(PathBuf),
    /// A git or http address, which the solver fetches.
    Remote {
        /// It.
        address: String,
        /// The build file in there, if one is named.
        file: Option<String>,
    },
    /// An archive that came by standard input.
    Archive {
        /// It.
        upload: Upload,
        /// The build file in there, if one is named.
        file: Option<String>,
    },
    /// No files.
    Empty,
}

/// Finds both from `[CONTEXT]` and `--file`.
pub(super) fn find(context: Option<&str>, file: Option<&str>) -> Result<Found> {
    match (context, file) {
        (Some("-"), Some("-")) => {
            Err(Failure::usage("both the context and the build file cannot be standard input", None))
        }
        (Some("-"), file) => piped(stdin::read()?, file),
        (Some(address), Some("-")) if is_address(address) => {
            Ok(Found { input: Input::Stdin, context: Context::Remote { address: address.to_owned(), file: None } })
        }
        // parity: the build file is one of the context's.
        (Some(address), file) if is_address(address) => {
            let (address, file) = (address.to_owned(), file.map(str::to_owned));
            Ok(Found { input: Input::Remote(address.clone()), context: Context::Remote { address, file } })
        }
        (Some(directory), file) => local(Path::new(directory), file),
        (None, Some("-")) => local(Path::new("."), file),
        (None, Some(file)) => {
            let input = Input::new(file);
            let directory = input.directory().unwrap_or_else(|| ".".into());
            Ok(Found { input, context: Context::Directory(directory) })
        }
        (None, None) => local(Path::new("."), None),
    }
}

/// parity: what comes is the context if it is an archive, else the build file.
fn piped(piped: Piped, file: Option<&str>) -> Result<Found> {
    match (piped, file) {
        (Piped::Archive(upload), file) => {
            let (input, file) = (Input::Remote(upload.address.clone()), file.map(str::to_owned));
            Ok(Found { input, context: Context::Archive { upload, file } })
        }
        (Piped::Text(bytes), None) => Ok(Found { input: Input::Piped(bytes.into()), context: Context::Empty }),
        (Piped::Text(_), Some(file)) => Err(Failure::usage(
            format!("both standard input, which is no archive, and --file {file} are the build file"),
            "leave one of them out, or pipe an archive in".to_owned(),
        )),
    }
}

fn local(directory: &Path, file: Option<&str>) -> Result<Found> {
    let metadata = std::fs::metadata(directory).map_err(Failure::io("open the context", directory))?;
    if !metadata.is_dir() {
        return Err(Failure::usage(
            format!("the context {} is not a directory", directory.display()),
            format!("pass the directory, and the build file with -f {}", directory.display()),
        ));
    }
    let input = match file {
        Some(file) => Input::new(file),
        None => Input::File(default_file(directory)?),
    };
    Ok(Found { input, context: Context::Directory(directory.to_owned()) })
}

/// `Dockerfile`, else `dockerfile`, else `build.toml`.
fn default_file(directory: &Path) -> Result<PathBuf> {
    let candidates = ["Dockerfile", "dockerfile", "build.toml"].map(|name| directory.join(name));
    for path in &candidates {
        match std::fs::metadata(path) {
            Ok(found) if found.is_file() => return Ok(path.clone()),
            // It may be there.
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Failure::io("read", path)(error)),
            _ => {}
        }
    }
    Err(Failure::message(
        "io",
        format!("there is no {}", candidates[0].display()),
        "name the build file with -f FILE (`-` is standard input)",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(context: Option<&str>, file: Option<&str>, expected: &str) {
        shows(find(context, file), expected);
    }

    fn shows(found: Result<Found>, expected: &str) {
        let shown = match found {
            Ok(found) => format!("{} in {:?}", found.input.name(), found.context),
            Err(Failure::Message(message)) => message.text,
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn directories() {
        check(Some("/"), Some("x/Dockerfile"), r#"x/Dockerfile in Directory("/")"#);
        check(None, Some("x/Dockerfile"), r#"x/Dockerfile in Directory("x")"#);
        check(None, Some("Dockerfile.dev"), r#"Dockerfile.dev in Directory(".")"#);
        check(Some("/proc"), None, "there is no /proc/Dockerfile");
        check(Some("/etc/passwd"), None, "the context /etc/passwd is not a directory");
        check(Some("/nosuch"), None, "cannot open the context /nosuch: No such file or directory (os error 2)");
    }

    #[test]
    fn a_file_that_may_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("Dockerfile");
        std::os::unix::fs::symlink("Dockerfile", &file).unwrap();
        let expected = format!("cannot read {}: Too many levels of symbolic links (os error 40)", file.display());
        check(directory.path().to_str(), None, &expected);
    }

    #[test]
    fn standard_input() {
        check(Some("/"), Some("-"), r#"- in Directory("/")"#);
        check(None, Some("-"), r#"- in Directory(".")"#);
        check(Some("-"), Some("-"), "both the context and the build file cannot be standard input");
        let text = || Piped::Text(b"FROM a".to_vec());
        shows(piped(text(), None), "- in Empty");
        let both = "both standard input, which is no archive, and --file x are the build file";
        shows(piped(text(), Some("x")), both);
    }

    #[test]
    fn addresses() {
        let remote = |file: &str| format!(r#" in Remote {{ address: "https://x/a.git", file: {file} }}"#);
        check(Some("https://x/a.git"), Some("-"), &format!("-{}", remote("None")));
        check(Some("https://x/a.git"), None, &format!("https://x/a.git{}", remote("None")));
        check(Some("https://x/a.git"), Some("b/c"), &format!("https://x/a.git{}", remote(r#"Some("b/c")"#)));
    }
}
