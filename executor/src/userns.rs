//! Root for an ordinary user: a user namespace that this process enters once, at its start.
//!
//! Mounts, owners of files and namespaces need rights that only root has. Where the process lacks them, it makes a user
//! namespace with itself as root of it, and from then on everything else is the same code as root's: trees are written,
//! compared, exported and removed inside, where ids read as they will in the image. What a namespace cannot give (devices,
//! `trusted.*` attributes) is asked of [`is_confined`] where it matters.
//!
//! Ids come from, in this order: the outer namespace, when this process may hand out all of them (root in a container that
//! is not privileged); `newuidmap` and `newgidmap` with the ranges of /etc/subuid and /etc/subgid; else only its own.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use rustix::thread::{CapabilitySet, UnshareFlags};

use crate::{Error, Result};

/// The name of the initial user namespace, the same on every kernel (`PROC_USER_INIT_INO`).
const INITIAL: &str = "user:[4026531837]";

/// What was found and done at the start.
static ENTERED: OnceLock<Entered> = OnceLock::new();

struct Entered {
    /// Effective user before.
    user: u32,
    /// What the user should know of the namespace.
    notice: Option<String>,
}

/// Ids that a namespace has: a line a range, `inside outside count`, as the kernel takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ranges(Vec<[u64; 3]>);

/// Becomes root in a user namespace, unless this process can mount already. Call while it has one thread. **Errors**: the
/// system does not let ordinary users make namespaces; the message names what to change.
pub fn enter() -> Result<()> {
    // Asked before: inside, ids are nobody's until they are mapped.
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if has(CapabilitySet::SYS_ADMIN) {
        let _ = ENTERED.set(Entered { user, notice: None });
        return Ok(());
    }
    let helper = Helper::start().map_err(Error::io("start", "the helper that maps user ids"))?;
    // SAFETY: this process has one thread, and none of its descriptors depends on the namespaces it leaves.
    let unshared = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) };
    unshared.map_err(|errno| refused(errno.into()))?;
    let notice = match helper.map() {
        Ok(()) => None,
        Err(reason) => {
            map_own_id(user, group).map_err(refused)?;
            Some(only_one_id(&reason))
        }
    };
    // What is mounted later outside is still seen; nothing that is mounted here is seen outside.
    let follow = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", follow).map_err(|errno| refused(errno.into()))?;
    let _ = ENTERED.set(Entered { user, notice });
    Ok(())
}

/// The user who started this process, whoever it became.
pub fn user() -> u32 {
    ENTERED.get().map_or_else(|| rustix::process::geteuid().as_raw(), |entered| entered.user)
}

/// What the user should know of the namespace.
pub fn notice() -> Option<&'static str> {
    ENTERED.get()?.notice.as_deref()
}

/// Whether this process is root of a user namespace only: it cannot make devices nor set `trusted.*` attributes.
pub fn is_confined() -> bool {
    found().confined
}

/// Whether this namespace has one user and nobody else: files cannot be given to others.
pub fn has_one_id() -> bool {
    found().ids == 1
}

/// User and group to give something to. The highest number is nobody: to the kernel it means to leave it as it is, and so it
/// does here.
pub fn owner(uid: u32, gid: u32) -> (Option<Uid>, Option<Gid>) {
    let is_somebody = |id: &u32| *id != u32::MAX;
    (Some(uid).filter(is_somebody).map(Uid::from_raw), Some(gid).filter(is_somebody).map(Gid::from_raw))
}

/// An error of giving something to somebody, in words for ids that this namespace does not have.
pub fn explain(errno: Errno) -> io::Error {
    match errno {
        Errno::INVAL if is_confined() => io::Error::new(
            io::ErrorKind::InvalidInput,
            "its owner is beyond the ids of this user namespace; give yourself more in /etc/subuid and /etc/subgid",
        ),
        errno => errno.into(),
    }
}

/// What there is to know of the namespace this process is in.
struct Found {
    confined: bool,
    /// How many users it has.
    ids: u64,
}

/// Looked up once: a container in the making cannot see /proc, so its maker looks before.
fn found() -> &'static Found {
    static FOUND: OnceLock<Found> = OnceLock::new();
    FOUND.get_or_init(|| Found {
        confined: std::fs::read_link("/proc/self/ns/user").is_ok_and(|link| link != Path::new(INITIAL)),
        ids: own_ranges("uid_map").0.iter().map(|[_, _, count]| count).sum(),
    })
}

/// Notes what [`is_confined`] and [`has_one_id`] say, for processes that are forked from this one.
pub(crate) fn look() {
    found();
}

fn has(capability: CapabilitySet) -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

fn own_ranges(file: &str) -> Ranges {
    // A kernel without user namespaces has no such file.
    Ranges::parse(&std::fs::read_to_string(Path::new("/proc/self").join(file)).unwrap_or_default())
}

impl Ranges {
    fn parse(text: &str) -> Self {
        let range = |line: &str| {
            let mut words = line.split_whitespace().map(|word| word.parse().ok());
            Some([words.next()??, words.next()??, words.next()??])
        };
        Self(text.lines().filter_map(range).collect())
    }

    /// The ids there are, each mapped to itself.
    fn identity(&self) -> Self {
        Self(self.0.iter().map(|[inside, _, count]| [*inside, *inside, *count]).collect())
    }

    /// Root inside is `own`; the others follow, in the order of the lines for the user in a file like /etc/subuid.
    fn of_user(own: u32, name: &str, user: u32, subids: &str) -> Self {
        let user = user.to_string();
        let mut ranges = vec![[0, u64::from(own), 1]];
        let mut next = 1;
        for line in subids.lines() {
            let mut fields = line.trim().split(':');
            let (Some(who), Some(Ok(start)), Some(Ok(count))) =
                (fields.next(), fields.next().map(str::parse::<u64>), fields.next().map(str::parse::<u64>))
            else {
                continue;
            };
            if count > 0 && (who == user || (who == name && !name.is_empty())) {
                ranges.push([next, start, count]);
                next += count;
            }
        }
        Self(ranges)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for [inside, outside, count] in &self.0 {
            writeln!(text, "{inside} {outside} {count}").expect("writing to a string does not fail");
        }
        text
    }

    fn arguments(&self) -> Vec<String> {
        self.0.iter().flatten().map(u64::to_string).collect()
    }
}

/// A process that stays outside and writes the maps of this one from there.
struct Helper {
    go: io::PipeWriter,
    /// Brings nothing when it went well, else why not.
    answer: io::PipeReader,
    process: i32,
}

impl Helper {
    fn start() -> io::Result<Self> {
        let (wait, go) = io::pipe()?;
        let (answer, tell) = io::pipe()?;
        let whom = std::process::id();
        // SAFETY: this process has one thread, so the child may do what any process may.
        match unsafe { libc::fork() } {
            0 => {
                drop((go, answer));
                help(whom, wait, tell);
            }
            process if process > 0 => Ok(Self { go, answer, process }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Lets it write the maps. **Errors**: why it could not.
    fn map(self) -> std::result::Result<(), String> {
        let Self { mut go, mut answer, process } = self;
        let mut reason = String::new();
        let asked = go.write_all(&[0]).and_then(|()| answer.read_to_string(&mut reason));
        let mut status = 0;
        // SAFETY: waits for a child of ours that nobody else waits for.
        unsafe { libc::waitpid(process, &raw mut status, 0) };
        let ended_well = std::process::ExitStatus::from_raw(status).success();
        match asked {
            Ok(_) if reason.is_empty() && ended_well => Ok(()),
            Ok(_) if reason.is_empty() => Err("the helper that maps user ids was killed".into()),
            Ok(_) => Err(reason),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What the helper does; it ends with it.
fn help(whom: u32, mut wait: io::PipeReader, mut tell: io::PipeWriter) -> ! {
    let mapped = match wait.read(&mut [0]) {
        Ok(1) => map(whom),
        // The namespace could not be made.
        _ => Ok(()),
    };
    if let Err(reason) = mapped {
        let _ = tell.write_all(reason.as_bytes());
    }
    std::process::exit(0)
}

fn map(whom: u32) -> std::result::Result<(), String> {
    if has(CapabilitySet::SETUID) && has(CapabilitySet::SETGID) && map_all(whom).is_ok() {
        return Ok(());
    }
    let user = rustix::process::geteuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = name_of(&passwd, user);
    let own = [user, rustix::process::getegid().as_raw()];
    for ((program, file), own) in [("newuidmap", "/etc/subuid"), ("newgidmap", "/etc/subgid")].into_iter().zip(own) {
        let subids = std::fs::read_to_string(file).unwrap_or_default();
        let ranges = Ranges::of_user(own, name, user, &subids);
        if ranges.0.len() < 2 {
            return Err(format!("{file} has no line for {}", if name.is_empty() { "the user" } else { name }));
        }
        let ran = Command::new(program).arg(whom.to_string()).args(ranges.arguments()).output();
        match ran {
            Ok(output) if output.status.success() => {}
            Ok(output) => return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(format!("{program} is not installed")),
            Err(error) => return Err(format!("cannot run {program}: {error}")),
        }
    }
    Ok(())
}

/// Maps every id there is to itself.
fn map_all(whom: u32) -> io::Result<()> {
    for file in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{whom}/{file}"), own_ranges(file).identity().text())?;
    }
    Ok(())
}

/// Maps root to the one id that everybody may map.
fn map_own_id(user: u32, group: u32) -> io::Result<()> {
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1\n"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {group} 1\n"))
}

fn name_of(passwd: &str, user: u32) -> &str {
    let user = user.to_string();
    let entry =
        passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.get(2) == Some(&&*user));
    entry.map_or("", |fields| fields[0])
}

fn only_one_id(reason: &str) -> String {
    format!(
        "there is one user id to build with ({reason}): files of other owners become root's, and programs cannot change \
         users; install the package uidmap and give yourself ids: \
         usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"
    )
}

/// Why a namespace could not be made or used, and what to change.
fn refused(error: io::Error) -> Error {
    let is = |file: &str, value: &str| std::fs::read_to_string(file).is_ok_and(|text| text.trim() == value);
    let why = if is("/proc/sys/user/max_user_namespaces", "0") {
        "user namespaces are switched off; set `sysctl user.max_user_namespaces=28633`".to_owned()
    } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "user namespaces are for root only; set `sysctl kernel.unprivileged_userns_clone=1`".to_owned()
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "AppArmor restricts user namespaces; set `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or give this \
         program a profile with `userns,`"
            .to_owned()
    } else {
        match error.raw_os_error() {
            Some(libc::ENOSPC) => "too many user namespaces; raise `sysctl user.max_user_namespaces`".to_owned(),
            Some(libc::EINVAL | libc::ENOSYS) => "the kernel has no user namespaces (CONFIG_USER_NS)".to_owned(),
            _ => "something refuses a user namespace, often the seccomp profile of a container: run it with \
                  `--security-opt seccomp=unconfined` (Docker) or `seccompProfile: {type: Unconfined}` (Kubernetes)"
                .to_owned(),
        }
    };
    Error::Unsupported {
        what: "running containers as an ordinary user".into(),
        why: format!("{why} ({error}); or run it as root"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_user_follow_each_other() {
        let subids = "other:1:2\nme:100000:65536\n1000:300000:10\nme:5:0\nme:x:1\n";
        assert_eq!(
            Ranges::of_user(1000, "me", 1000, subids).arguments().join(" "),
            "0 1000 1 1 100000 65536 65537 300000 10"
        );
        assert_eq!(Ranges::of_user(7, "", 7, ":1:2\n").arguments().join(" "), "0 7 1");
    }

    #[test]
    fn the_outer_ids_are_kept() {
        let ranges = Ranges::parse("         0     100000      65536\n     65536 1 1\n");
        assert_eq!(ranges.identity().text(), "0 0 65536\n65536 65536 1\n");
    }

    #[test]
    fn names_are_found_by_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\nme:x:1000:7::/:/bin/sh\n";
        assert_eq!((name_of(passwd, 1000), name_of(passwd, 7)), ("me", ""));
    }

    #[test]
    fn a_process_that_can_mount_stays_where_it_is() {
        let before = std::fs::read_link("/proc/self/ns/user").unwrap();
        if has(CapabilitySet::SYS_ADMIN) {
            enter().unwrap();
            assert_eq!(std::fs::read_link("/proc/self/ns/user").unwrap(), before);
            assert_eq!(notice(), None);
        }
    }
}
