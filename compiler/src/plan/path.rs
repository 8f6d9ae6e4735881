//! Paths in images, of Linux or Windows. Mirrors `util/system` of BuildKit v0.32: slashes inside, drive letters gone.

use std::borrow::Cow;

use super::go;

/// The path made absolute against `parent`.
///
/// **Errors**: Windows paths that no build can mean.
pub(super) fn normalize(parent: &str, path: &str, os: &str, keep_slash: bool) -> Result<String, String> {
    let original = to_slash(path, os);
    let parent = to_slash(parent, os);
    let parent = if parent.is_empty() { Cow::Borrowed("/") } else { parent };
    let mut parent = strip_drive(&parent, os, keep_slash).map_err(removing)?;
    if !is_absolute(&parent, os) {
        parent = go::join("/", &parent).into();
    }
    let path = if original.is_empty() { &parent } else { &original };
    let path = strip_drive(path, os, keep_slash).map_err(removing)?;
    let mut path = if is_absolute(&path, os) { path.into_owned() } else { go::join(&parent, &path) };
    if keep_slash {
        keep_end(&original, &mut path);
    }
    Ok(if os == "windows" { to_slash(&path, os).into_owned() } else { path })
}

/// Keeps `/` and `/.` at the end, which mean that a destination is a directory.
pub(super) fn keep_end(original: &str, path: &mut String) {
    if original.ends_with('/') && !path.ends_with('/') {
        path.push('/');
    } else if original.ends_with("/.") {
        path.push_str(if path == "/" { "." } else { "/." });
    }
}

fn removing(message: String) -> String {
    format!("removing drive letter: {message}")
}

/// Whether a path is absolute in an image.
pub(super) fn is_absolute(path: &str, os: &str) -> bool {
    strip_drive(path, os, false).is_ok_and(|path| to_slash(&path, os).starts_with('/'))
}

/// With slashes, whatever the system writes.
pub(super) fn to_slash<'p>(path: &'p str, os: &str) -> Cow<'p, str> {
    if os == "windows" { path.replace('\\', "/").into() } else { path.into() }
}

/// As the system writes it.
pub(super) fn from_slash(path: &str, os: &str) -> String {
    if os == "windows" { path.replace('/', "\\") } else { path.to_owned() }
}

/// A Windows path without its drive, which must be the system's.
pub(super) fn strip_drive<'p>(path: &'p str, os: &str, keep_slash: bool) -> Result<Cow<'p, str>, String> {
    if os != "windows" {
        return Ok(path.into());
    }
    if path.len() == 2 && path.ends_with(':') {
        return Err(format!("No relative path specified in {}", ast::quote(path.as_bytes())));
    }
    if to_slash(path, os).starts_with("//") {
        return Err("UNC paths are not supported".to_owned());
    }
    match path.split_once(':') {
        None => Ok(clean_slashes(path, os, keep_slash).into()),
        Some((drive, rest)) if drive.eq_ignore_ascii_case("c") => Ok(clean_slashes(rest, os, keep_slash).into()),
        Some(_) => Err("The specified path is not on the system drive (C:)".to_owned()),
    }
}

fn clean_slashes(path: &str, os: &str, keep_slash: bool) -> String {
    let path = to_slash(path, os);
    let mut cleaned = go::clean(&path).into_owned();
    if keep_slash && cleaned.len() > 1 && path.ends_with('/') {
        cleaned.push('/');
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(parent: &str, path: &str, os: &str, keep: bool, expected: &str) {
        assert_eq!(normalize(parent, path, os, keep).unwrap_or_else(|error| error), expected, "{parent} {path}");
    }

    #[test]
    fn linux() {
        check("/a", "b", "linux", false, "/a/b");
        check("", "b/", "linux", true, "/b/");
        check("/a", "", "linux", false, "/a");
        check("/a", "/b/../c", "linux", false, "/b/../c");
        check("/a", "./", "linux", true, "/a/");
        check("/", "/.", "linux", true, "/./.");
        check("a", "b", "", false, "/a/b");
    }

    #[test]
    fn windows() {
        check("C:\\app", "x\\y", "windows", false, "/app/x/y");
        check("", "C:\\a\\", "windows", true, "/a/");
        check(
            "/",
            "D:\\a",
            "windows",
            false,
            "removing drive letter: The specified path is not on the system drive (C:)",
        );
        check("/", "C:", "windows", false, r#"removing drive letter: No relative path specified in "C:""#);
        assert!(is_absolute("C:\\a", "windows") && !is_absolute("a", "windows") && is_absolute("/a", "linux"));
        assert_eq!(from_slash("/a/b", "windows"), "\\a\\b");
    }
}
