//! A bench apart from the machine: in namespaces of its own, with a directory of its own. Whatever ends it, its daemons and
//! mounts go with it; its directory goes at its end, or, when it was killed, at the start of the next.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use super::group::Group;
use crate::shell::{self, Result};

/// Set in a bench that is apart.
const INSIDE: &str = "LLBC_BENCH_APART";
/// How the directories begin.
const PREFIX: &str = "llbc-bench-";
/// What makes the namespaces, and ends what is in them when who started them ends.
const FENCE: [&str; 9] =
    ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Whether this is a bench that is apart.
pub(super) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs `cargo xtask bench WORDS` apart.
pub(super) fn run(words: &[String]) -> Result<()> {
    let parent = std::env::temp_dir();
    sweep(&parent);
    let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
    // Held as long as this process lives.
    let lock = File::open(dir.path())?;
    lock.lock()?;
    let mut bench = fenced(dir.path());
    let group = Group::make();
    bench.envs(group.as_ref().map(Group::variable));
    bench.arg(std::env::current_exe()?).arg("bench").args(words);
    shell::run(&mut bench)
}

/// What starts a program apart; the program is still to be added.
fn fenced(dir: &Path) -> Command {
    let mut command = Command::new(FENCE[0]);
    command.args(&FENCE[1..]).env("TMPDIR", dir).env(INSIDE, "1");
    command
}

/// Removes the directories of benches that were killed.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_of_a_bench = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_of_a_bench && File::open(entry.path()).is_ok_and(|dir| dir.try_lock().is_ok()) {
            // What stays takes room, and the next bench tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    use super::*;

    #[test]
    fn what_is_apart_mounts_nothing_outside_and_ends_with_who_started_it() {
        if !e2e::have(&["setpriv", "unshare"]) || !crate::setup::is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let fenced = fenced(dir.path());
        // Like a daemon, what sleeps first is nobody's child any more; it keeps the output open.
        let inside =
            "mount -t tmpfs x \"$TMPDIR\" && touch \"$TMPDIR/inside\" && (sleep 600 &) && echo up && sleep 600";
        let mut owner = Command::new("sh");
        owner.args(["-c", "\"$@\" & wait", "sh"]).arg(fenced.get_program()).args(fenced.get_args());
        owner.args(["sh", "-c", inside]).env("TMPDIR", dir.path()).stdout(Stdio::piped());
        let mut owner = owner.spawn().unwrap();
        let mut output = BufReader::new(owner.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        assert!(!dir.path().join("inside").exists(), "the mount is seen outside");
        owner.kill().unwrap();
        owner.wait().unwrap();
        // Read to the end once everybody is gone who could write.
        assert_eq!(output.read_to_string(&mut line).unwrap(), 0);
    }

    #[test]
    fn what_killed_benches_left_goes_and_what_a_living_one_has_stays() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let dir = parent.path().join(name);
            fs::create_dir_all(dir.join("full")).unwrap();
            dir
        };
        let (left, lives, other) = (make("llbc-bench-left"), make("llbc-bench-lives"), make("other"));
        let lock = File::open(&lives).unwrap();
        lock.lock().unwrap();
        sweep(parent.path());
        assert_eq!([left, lives, other].map(|dir| dir.exists()), [false, true, true]);
    }
}
