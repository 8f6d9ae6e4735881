//! Who a process runs as: names looked up in the container's own /etc/passwd and /etc/group.
//!
//! parity: BuildKit v0.32, executor/oci/user.go, and moby/sys/user: numeric `uid:gid` is taken as it is; everything else
//! is looked up, numbers first as numbers; supplementary groups only when no group is named; their error texts. Of home
//! directories, runc's `prepareEnv`.

use std::io;
use std::path::Path;

use crate::rootfs::Tree;
use crate::{Error, Result};

/// Longest passwd or group file that is read, in bytes; BuildKit's limit.
const MAX_FILE: u64 = 10 << 20;
/// Largest id that may be written as a number.
const MAX_ID: u32 = i32::MAX as u32;

/// Ids of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// User.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// All groups, the own one first.
    pub(crate) groups: Vec<u32>,
}

/// Looks up `user[:group]`; empty is root.
pub(crate) fn lookup(tree: &Tree, user: &str) -> Result<Identity> {
    if let Some((uid, gid)) = numeric_pair(user) {
        return Ok(Identity { uid, gid, groups: vec![gid] });
    }
    let passwd = read(tree, "/etc/passwd");
    let group = read(tree, "/etc/group");
    if user.is_empty() {
        let root = resolve("0", passwd, group);
        return Ok(root.unwrap_or(Identity { groups: vec![0], ..Identity::default() }));
    }
    resolve(user, passwd, group)
}

/// The environment of a user's process: `HOME` is looked up where it is not set, or set to nothing.
pub(crate) fn environment(env: &[String], tree: &Tree, uid: u32) -> Vec<String> {
    let is_home = |entry: &&String| entry.starts_with("HOME=");
    if env.iter().rfind(is_home).is_some_and(|home| home != "HOME=") {
        return env.to_vec();
    }
    let others = env.iter().filter(|entry| !is_home(entry)).cloned();
    others.chain([format!("HOME={}", home(tree, uid))]).collect()
}

/// The home directory that a user's line says, be it none; `/` when there is no such line.
fn home(tree: &Tree, uid: u32) -> String {
    let passwd = read(tree, "/etc/passwd").ok().flatten().unwrap_or_default();
    let user = users(&passwd).find(|user| user.uid == uid);
    user.map_or("/", |user| user.home).to_owned()
}

/// Text of a file; `None` when it is missing or unreadable, an error when it is too long.
type Source = Result<Option<String>>;

fn read(tree: &Tree, path: &str) -> Source {
    match tree.read(Path::new(path), MAX_FILE) {
        Ok(data) => Ok(Some(String::from_utf8_lossy(&data).into_owned())),
        Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
            Err(Error::Invalid(format!("{path:?} exceeds {MAX_FILE} bytes")))
        }
        // parity: a file that cannot be opened or is not regular is as good as none.
        Err(_) => Ok(None),
    }
}

fn numeric_pair(user: &str) -> Option<(u32, u32)> {
    let id = |text: &str| if text == "root" { Some(0) } else { decimal(text) };
    let (uid, gid) = user.split_once(':')?;
    Some((id(uid)?, id(gid)?))
}

fn resolve(spec: &str, passwd: Source, group: Source) -> Result<Identity> {
    let mut parts = spec.split(':');
    let (wanted_user, wanted_group) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let (user_id, group_id) = (number(wanted_user)?, number(wanted_group)?);

    let passwd = passwd.map_err(|e| Error::Invalid(format!("unable to find user {wanted_user}: {e}")))?;
    let passwd = passwd.unwrap_or_default();
    let found = users(&passwd).find(|user| match user_id {
        Some(id) => user.uid == id,
        None if wanted_user.is_empty() => user.uid == 0,
        None => user.name == wanted_user,
    });
    let (mut identity, name) = match (found, user_id) {
        (Some(user), _) => (Identity { uid: user.uid, gid: user.gid, groups: Vec::new() }, user.name),
        (None, Some(uid)) => (Identity { uid, ..Identity::default() }, ""),
        (None, None) if wanted_user.is_empty() => (Identity::default(), ""),
        (None, None) => {
            let reason = "no matching entries in passwd file";
            return Err(Error::Invalid(format!("unable to find user {wanted_user}: {reason}")));
        }
    };

    let needs_groups = !wanted_group.is_empty() || !name.is_empty();
    let group = match group {
        Err(e) if needs_groups => return Err(Error::Invalid(format!("unable to find groups for spec {name}: {e}"))),
        other => other.ok().flatten().unwrap_or_default(),
    };
    if wanted_group.is_empty() {
        if !name.is_empty() {
            identity.groups = groups(&group).filter(|group| group.has(name)).map(|group| group.gid).collect();
        }
    } else {
        let found = groups(&group).find(|group| match group_id {
            Some(id) => group.gid == id,
            None => group.name == wanted_group,
        });
        identity.gid = found.map(|group| group.gid).or(group_id).ok_or_else(|| {
            Error::Invalid(format!("unable to find group {wanted_group}: no matching entries in group file"))
        })?;
    }
    if !identity.groups.contains(&identity.gid) {
        identity.groups.insert(0, identity.gid);
    }
    Ok(identity)
}

/// The number a text is, `None` when it is none.
fn number(text: &str) -> Result<Option<u32>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    let out_of_range = || Error::Invalid(format!("uids and gids must be in range 0-{MAX_ID}"));
    decimal(text.strip_prefix('+').unwrap_or(text)).filter(|id| *id <= MAX_ID).map(Some).ok_or_else(out_of_range)
}

fn decimal(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl Group<'_> {
    fn has(&self, user: &str) -> bool {
        self.members.split(',').any(|member| member == user)
    }
}

/// Entries of a passwd file. A field that is missing is empty or 0, as in moby/sys/user.
fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    lines(passwd).map(|line| {
        let mut fields = line.split(':');
        let mut field = || fields.next().unwrap_or("");
        let (name, _, uid, gid, _, home) = (field(), field(), field(), field(), field(), field());
        User { name, uid: uid.parse().unwrap_or(0), gid: gid.parse().unwrap_or(0), home }
    })
}

/// Entries of a group file.
fn groups(group: &str) -> impl Iterator<Item = Group<'_>> {
    lines(group).map(|line| {
        let mut fields = line.split(':');
        let mut field = || fields.next().unwrap_or("");
        let (name, _, gid, members) = (field(), field(), field(), field());
        Group { name, gid: gid.parse().unwrap_or(0), members }
    })
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:100:,,:/home/build:/bin/sh\n1337:x:7:7::/:\n";
    const GROUP: &str = "root:x:0:\nusers:x:100:build\nwheel:x:10:root,build\n";

    fn check(user: &str, want: std::result::Result<(u32, u32, &[u32]), &str>) {
        let source = |text: &str| Ok(Some(text.to_owned()));
        let got = resolve(user, source(PASSWD), source(GROUP));
        let want = want.map(|(uid, gid, groups)| Identity { uid, gid, groups: groups.to_vec() });
        assert_eq!(got.map_err(|e| e.to_string()), want.map_err(str::to_owned), "{user}");
    }

    #[test]
    fn names_numbers_and_groups() {
        check("build", Ok((1000, 100, &[100, 10])));
        check("1000", Ok((1000, 100, &[100, 10])));
        check("build:wheel", Ok((1000, 10, &[10])));
        check("build:55", Ok((1000, 55, &[55])));
        check("root", Ok((0, 0, &[0, 10])));
        check("4000", Ok((4000, 0, &[0])));
        check("1337", Ok((1337, 0, &[0])));
        check(":wheel", Ok((0, 10, &[10])));
    }

    #[test]
    fn what_is_not_there_is_named() {
        check("nobody", Err("unable to find user nobody: no matching entries in passwd file"));
        check("build:nogroup", Err("unable to find group nogroup: no matching entries in group file"));
        check("2147483648", Err("uids and gids must be in range 0-2147483647"));
        check("-1", Err("uids and gids must be in range 0-2147483647"));
    }

    #[test]
    fn a_pair_of_numbers_is_not_looked_up() {
        let temp = tempfile::tempdir().unwrap();
        let tree = Tree::open(temp.path()).unwrap();
        assert_eq!(lookup(&tree, "1000:7").unwrap(), Identity { uid: 1000, gid: 7, groups: vec![7] });
        assert_eq!(lookup(&tree, "root:root").unwrap(), Identity { groups: vec![0], ..Identity::default() });
        assert_eq!(lookup(&tree, "").unwrap(), Identity { groups: vec![0], ..Identity::default() });
        assert!(lookup(&tree, "build").is_err());
    }

    #[test]
    fn files_are_read_inside_the_tree() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/real", temp.path().join("etc/passwd")).unwrap();
        std::fs::write(temp.path().join("real"), PASSWD).unwrap();
        let tree = Tree::open(temp.path()).unwrap();
        assert_eq!(lookup(&tree, "build").unwrap().uid, 1000);
        assert_eq!(home(&tree, 1000), "/home/build");
        assert_eq!(home(&tree, 4000), "/");
        std::fs::write(temp.path().join("real"), "short:x:5:5\n").unwrap();
        assert_eq!(home(&tree, 5), "");
    }

    #[test]
    fn a_home_that_is_nothing_is_looked_up() {
        let temp = tempfile::tempdir().unwrap();
        let tree = Tree::open(temp.path()).unwrap();
        let check = |env: &[&str], want: &[&str]| {
            let env: Vec<_> = env.iter().map(ToString::to_string).collect();
            assert_eq!(environment(&env, &tree, 0), want, "{env:?}");
        };
        check(&["A=b"], &["A=b", "HOME=/"]);
        check(&["HOME=/h", "A=b"], &["HOME=/h", "A=b"]);
        check(&["HOME=", "A=b"], &["A=b", "HOME=/"]);
        check(&["HOME=/h", "HOME="], &["HOME=/"]);
        check(&["HOME=", "HOME=/h"], &["HOME=", "HOME=/h"]);
    }
}
