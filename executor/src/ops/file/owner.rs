//! Who owns what an action makes: numbers, or names looked up in an input's /etc/passwd and /etc/group.
//!
//! A name is a name, though it may look like a number: who means a number says so. `root` is 0 where the file does not have
//! it; any other name that is not there is an error. BuildKit takes root instead, which gives files to root that were meant
//! for somebody else and says nothing; a mistyped `--chown` should not pass.

use std::io;
use std::path::Path;

use llb::{Owner, UserOpt};

use crate::snapshot::{Files, is_missing};
use crate::{Error, Result};

/// Longest file of users or groups that is read, in bytes.
const MAX_FILE: u64 = 10 << 20;

/// Finds user and group. `files` opens the input at a position.
pub(super) fn find<'a>(owner: Option<&Owner>, files: &dyn Fn(i64) -> Result<&'a Files>) -> Result<Option<(u32, u32)>> {
    let Some(owner) = owner else { return Ok(None) };
    let (mut uid, mut gid) = (0, 0);
    match &owner.user {
        None => {}
        Some(UserOpt::Id(id)) => (uid, gid) = (*id, *id),
        Some(UserOpt::Name { name, input }) => {
            if let Some(fields) = look_up(files(*input)?, "/etc/passwd", name)? {
                let number = |index| number(&fields, index).ok_or_else(|| malformed("/etc/passwd", name));
                (uid, gid) = (number(2)?, number(3)?);
            }
        }
    }
    match &owner.group {
        None => {}
        Some(UserOpt::Id(id)) => gid = *id,
        Some(UserOpt::Name { name, input }) => {
            let fields = look_up(files(*input)?, "/etc/group", name)?;
            gid = match fields {
                Some(fields) => number(&fields, 2).ok_or_else(|| malformed("/etc/group", name))?,
                None => 0,
            };
        }
    }
    Ok(Some((uid, gid)))
}

/// The fields of the line that starts with a name, `None` for a root that is not there.
fn look_up(files: &Files, path: &str, name: &str) -> Result<Option<Vec<String>>> {
    let text = read(files, path)?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && line.split(':').next() == Some(name));
    match line {
        Some(line) => Ok(Some(line.split(':').map(str::to_owned).collect())),
        None if name == "root" => Ok(None),
        None => Err(unknown(path, name)),
    }
}

fn read(files: &Files, path: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let file = match files.open_file(Path::new(path)) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(String::new()),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE + 1), &mut bytes).map_err(Error::io("read", path))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::Invalid(format!("{path} of the image is longer than {MAX_FILE} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The number in a field; `None` is what is none. parity: what a line leaves out is 0, as it is for steps.
fn number(fields: &[String], index: usize) -> Option<u32> {
    fields.get(index).filter(|field| !field.is_empty()).map_or(Some(0), |field| field.parse().ok())
}

fn unknown(path: &str, name: &str) -> Error {
    let (kind, list) = if path == "/etc/passwd" { ("user", "users") } else { ("group", "groups") };
    Error::NotFound(format!(
        "{kind} {name:?} is not in {path} of the image: add it first, use its number, or one of its {list}"
    ))
}

fn malformed(path: &str, name: &str) -> Error {
    Error::Invalid(format!("the line of {name:?} in {path} of the image has no numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(user: Option<UserOpt>, group: Option<UserOpt>, expected: std::result::Result<(u32, u32), &str>) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let passwd = "# c\nweb:x:33:34::/:/bin/sh\nbad:x:y:1:\n77:x:78:79::/:\nbare\nshort:x:5\nblank:x:::\n";
        std::fs::write(root.path().join("etc/passwd"), passwd).unwrap();
        std::fs::write(root.path().join("etc/group"), "root:x:9:\nstaff:x:50:web\n12:x:13:\nbare\n").unwrap();
        let files = Files::at(root.path()).unwrap();
        let found = find(Some(&Owner { user, group }), &|_| Ok(&files));
        let found = found.map(|owner| owner.unwrap()).map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    fn name(name: &str) -> Option<UserOpt> {
        Some(UserOpt::Name { name: name.to_owned(), input: 0 })
    }

    #[test]
    fn names_and_numbers() {
        check(name("web"), None, Ok((33, 34)));
        check(name("web"), name("staff"), Ok((33, 50)));
        check(Some(UserOpt::Id(7)), None, Ok((7, 7)));
        check(Some(UserOpt::Id(7)), Some(UserOpt::Id(8)), Ok((7, 8)));
        check(None, name("staff"), Ok((0, 50)));
        check(None, None, Ok((0, 0)));
        check(name("77"), None, Ok((78, 79)));
        check(name("root"), name("12"), Ok((0, 13)));
        check(name("root"), name("root"), Ok((0, 9)));
    }

    #[test]
    fn what_a_line_leaves_out_is_zero() {
        check(name("short"), None, Ok((5, 0)));
        check(name("bare"), name("bare"), Ok((0, 0)));
        check(name("blank"), None, Ok((0, 0)));
    }

    #[test]
    fn unknown_names_are_errors() {
        let hint = "of the image: add it first, use its number, or one of its";
        check(name("nobody"), None, Err(&format!("user \"nobody\" is not in /etc/passwd {hint} users")));
        check(name("33"), None, Err(&format!("user \"33\" is not in /etc/passwd {hint} users")));
        check(None, name("web"), Err(&format!("group \"web\" is not in /etc/group {hint} groups")));
        check(name("bad"), None, Err("the line of \"bad\" in /etc/passwd of the image has no numbers"));
    }
}
