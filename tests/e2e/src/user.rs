//! An ordinary user for a test: known to the system in a private mount namespace only, so that nothing of the machine
//! changes, with copies of the programs that it may execute and a place of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Binaries, Sandbox, base, process, sandbox};

/// Number of the user and its group: nobody else's.
pub const ID: u32 = 12_345;
/// Its name.
const NAME: &str = "llbc-tester";
/// Programs beside the system's own that users need.
pub const PROGRAMS: &[&str] = &["unshare", "setpriv", "newuidmap", "newgidmap", "slirp4netns"];

/// Which ids the user may map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// Its own and 65,536 others, by `newuidmap`.
    Range,
    /// Its own.
    One,
}

/// The user, with a sandbox that is its own.
pub struct User {
    sandbox: Sandbox,
    ids: Ids,
}

impl User {
    /// One whose store has busybox as image [`sandbox::BASE`].
    pub fn new(ids: Ids) -> Self {
        let user = Self { sandbox: Sandbox::new(), ids };
        let tar = base::busybox().unwrap_or_else(|error| panic!("{error}"));
        for file in [&Binaries::get().llbc, &Binaries::get().executor, &tar] {
            let copy = user.place().join(file.file_name().expect("a file has a name"));
            std::fs::copy(file, copy).expect("files can be copied");
        }
        user.describe();
        let owned = process::succeed(Command::new("chown").arg("-R").arg(format!("{ID}:{ID}")).arg(user.place()));
        // Root's, so that nobody else may open it.
        let tun =
            Command::new("mknod").arg("--mode=600").arg(user.place().join("tun")).args(["c", "10", "200"]).status();
        assert!(owned.is_ok() && tun.is_ok_and(|status| status.success()), "{owned:?}");
        let tar = tar.file_name().expect("a file has a name").to_string_lossy();
        user.sandbox.succeed(&mut user.shell(&format!(
            "{}={} executor images import ../{tar} {}",
            sandbox::EPOCH.0,
            sandbox::EPOCH.1,
            sandbox::BASE
        )));
        user
    }

    /// Lets the user make network devices, as most systems let everybody.
    #[must_use]
    pub fn with_tun(self) -> Self {
        let changed = Command::new("chmod").arg("666").arg(self.place().join("tun")).status();
        assert!(changed.is_ok_and(|status| status.success()), "chmod fails");
        self
    }

    /// Its files: written as root, so it may read them.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// A line for the shell, run by the user, in which `llbc` and `executor` are the programs under test.
    pub fn shell(&self, script: &str) -> Command {
        self.shell_as(&["setpriv", &format!("--reuid={ID}"), &format!("--regid={ID}"), "--clear-groups"], script)
    }

    /// The same by root without the right to mount, as in a container that is not privileged.
    pub fn weak_root_shell(&self, script: &str) -> Command {
        self.shell_as(&["setpriv", "--bounding-set=-sys_admin,-mknod", "--inh-caps=-all"], script)
    }

    fn shell_as(&self, become_it: &[&str], script: &str) -> Command {
        let mut binds = vec!["passwd", "group"];
        if self.ids == Ids::Range {
            binds.extend(["subuid", "subgid"]);
        }
        let place = self.place();
        let bind = |name: &str| format!("mount --bind {}/{name} /etc/{name} && ", place.display());
        let mut binds: String = binds.into_iter().map(bind).collect();
        binds.push_str(&format!("mount --bind {}/tun /dev/net/tun && ", place.display()));
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &format!("{binds}exec \"$@\""), "sh"]).args(become_it);
        command.args(["bash", "-c", &format!("set -o pipefail; {script}")]);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(place.clone()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(path).expect("directories of a path have no colons"));
        command.env("LLBC_ROOT", self.sandbox.store()).env("HOME", &place).current_dir(self.sandbox.directory());
        command.env_remove("SOURCE_DATE_EPOCH").env_remove("BUILDKIT_PROGRESS");
        command
    }

    fn place(&self) -> PathBuf {
        self.sandbox.directory().parent().expect("the directory lies in the place").to_owned()
    }

    /// Writes what the system says of users, with this one.
    fn describe(&self) {
        let write = |name: &str, text: String| {
            std::fs::write(self.place().join(name), text).expect("files can be written");
        };
        let host = |name: &str| std::fs::read_to_string(Path::new("/etc").join(name)).unwrap_or_default();
        write("passwd", format!("{}{NAME}:x:{ID}:{ID}::/:/bin/sh\n", host("passwd")));
        write("group", format!("{}{NAME}:x:{ID}:\n", host("group")));
        // Existing ranges may overlap with these; nobody else is in this namespace.
        write("subuid", format!("{NAME}:200000:65536\n"));
        write("subgid", format!("{NAME}:300000:65536\n"));
    }
}
