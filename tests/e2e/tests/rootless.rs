//! Building as an ordinary user: the same images as root's, and plain words where the system does not let it.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use e2e::user::{self, Ids, User};
use e2e::{Sandbox, process};

/// Owners, set-id bits, links, deletions, mounts: what a namespace could get wrong.
const OWNERS: &str = "\
FROM base
RUN touch /x && mkdir -p /home/b && chown 1000:100 /home/b && echo hi > /home/b/f && chmod 4755 /home/b/f && \\
    rm -rf /etc/group && ln -s x /l && ln /x /x2
RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t rm /x2 && touch /c/a /t/b && mkdir /home/b/d
COPY --chown=7:8 file /y
";

/// Builds the file to an image whose digest depends on nothing but what is in it, and prints that.
fn digest(flags: &str) -> String {
    format!(
        "llbc --build-arg SOURCE_DATE_EPOCH=1700000000 Dockerfile | executor --progress=quiet --metadata-file meta.json \
         -o type=oci,dest=image.tar,rewrite-timestamp=true {flags} && grep -o 'image.digest\": \"sha256:[0-9a-f]*' meta.json"
    )
}

/// A user whose directory holds a Dockerfile, unless programs are missing.
fn with_file(ids: Ids, dockerfile: &str) -> Option<User> {
    if !e2e::have(user::PROGRAMS) {
        return None;
    }
    let user = User::new(ids);
    user.sandbox().write("Dockerfile", dockerfile);
    user.sandbox().write("file", "content");
    Some(user)
}

#[test]
fn an_ordinary_user_builds_the_image_that_root_builds() {
    let Some(user) = with_file(Ids::Range, OWNERS) else { return };
    let root = Sandbox::with_base();
    root.write("Dockerfile", OWNERS);
    root.write("file", "content");
    let want = root.succeed(&mut root.shell(&digest(""))).out();
    assert!(want.contains("sha256:"), "{want}");
    for flags in ["", "--no-cache --oci-runtime=crun", "--no-cache --oci-runtime=runc"] {
        assert_eq!(user.sandbox().succeed(&mut user.shell(&digest(flags))).out(), want, "{flags}");
    }
    let (key, value) = e2e::sandbox::EPOCH;
    let import = format!("{key}={value} executor images import ../busybox*.tar base");
    let weak = format!("export LLBC_ROOT=$PWD/weak; {import} && {}", digest(""));
    let weak = user.sandbox().succeed(&mut user.weak_root_shell(&weak)).out();
    assert!(weak.ends_with(&want), "root without the right to mount: {weak}");
}

#[test]
fn files_that_come_out_are_the_users() {
    let Some(user) = with_file(Ids::Range, OWNERS) else { return };
    user.sandbox().succeed(&mut user.shell("llbc build -o tree . && touch tree/home/b/mine && rm -r tree/home"));
    assert!(!user.sandbox().has("tree/home"));
}

#[test]
fn with_one_id_it_builds_and_says_what_is_missing() {
    let Some(user) = with_file(Ids::One, "FROM base\nRUN id -u > /id\nCOPY file /y\n") else { return };
    let said = user.sandbox().succeed(&mut user.shell("llbc build -o tree .")).err();
    assert!(said.contains("one user id") && said.contains("uidmap") && said.contains("--add-subuids"), "{said}");
    assert_eq!(user.sandbox().read("tree/id"), "0\n");
    for (line, words) in [
        ("COPY --chown=7:8 file /y", "its owner is beyond the ids of this user namespace"),
        ("USER 7\nRUN true", "user 7 is beyond the ids of this user namespace"),
    ] {
        user.sandbox().write("Dockerfile", &format!("FROM base\n{line}\n"));
        let said = user.sandbox().fail(1, &mut user.shell("llbc build -o other ."));
        assert!(said.contains(words) && said.contains("/etc/subuid"), "{said}");
        assert!(!user.sandbox().has("other"), "a failed build left an output");
    }
}

#[test]
fn limits_that_nobody_handed_on_are_said_not_to_hold() {
    let Some(user) = with_file(Ids::Range, "FROM base\nRUN ulimit -n > /files\n") else { return };
    let limits = "--opt memory=33554432 --ulimit nofile=100:200";
    let said =
        user.sandbox().succeed(&mut user.shell(&format!("llbc build --progress=plain {limits} -o tree ."))).err();
    assert!(said.contains("the container has no control group (") && said.contains("limits are not applied"), "{said}");
    // Limits of the process need nobody's leave.
    assert_eq!(user.sandbox().read("tree/files"), "100\n");
    let said = user.sandbox().succeed(&mut user.shell("llbc build --no-cache --progress=plain -o tree .")).err();
    assert!(!said.contains("control group"), "nothing is said where nothing is missed: {said}");
}

/// Runs a command in control groups that were handed on to a user with those above them.
fn in_groups(command: &Command, user: u32) -> Command {
    // The unified hierarchy, and the old one for memory where there is one.
    let enter = format!(
        "for h in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/memory; do test -e $h/cgroup.procs || continue; \
         g=$h/llbc-e2e-$$; mkdir -p $g/own; chown -R {user}:{user} $g; echo $$ > $g/own/cgroup.procs; done; exec \"$@\""
    );
    let mut inside = Command::new("sh");
    inside.args(["-c", &enter, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    inside.current_dir(command.get_current_dir().unwrap());
    inside
}

#[test]
fn limits_that_were_handed_on_hold() {
    let steps = "FROM base\nRUN exec dd if=/dev/zero of=/dev/null bs=300M count=1\n";
    let Some(user) = with_file(Ids::Range, steps) else { return };
    let limits = "--opt memory=33554432 --opt memswap=33554432";
    let build = user.shell(&format!("exec llbc build --progress=plain {limits} -o tree ."));
    let child = in_groups(&build, user::ID).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let name = format!("llbc-e2e-{}", child.id());
    let run = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    let groups = ["", "unified", "memory"].map(|hierarchy| Path::new("/sys/fs/cgroup").join(hierarchy).join(&name));
    let goes = |group: &Path| !group.exists() || std::fs::remove_dir(group).is_ok();
    let all_go = || groups.iter().all(|group| goes(&group.join("own")) && goes(group));
    assert!(process::wait_until(Duration::from_secs(10), all_go), "something is left in {groups:?}");
    assert!(said.ends_with("exit code: 137: cannot allocate memory\n"), "{said}");
}

#[test]
fn what_forbids_namespaces_is_named() {
    let Some(user) = with_file(Ids::One, "FROM base\nRUN true\n") else { return };
    // The switch is one of each namespace: inside a namespace it can be turned off for this test alone.
    let off = "unshare --user --map-root-user sh -c 'echo 0 > /proc/sys/user/max_user_namespaces; \
               exec setpriv --bounding-set=-sys_admin --inh-caps=-all llbc build -o tree .'";
    let said = user.sandbox().fail(1, &mut user.shell(off));
    for words in ["ordinary user", "sysctl user.max_user_namespaces", "run it as root"] {
        assert!(said.contains(words), "{words} is missing in\n{said}");
    }
}

#[test]
fn a_sandbox_of_an_ordinary_user_reaches_the_outside() {
    let Some(user) = with_file(Ids::Range, "") else { return };
    let user = user.with_tun();
    // Loopback must be hidden; the host's own address is what the outside is. Nothing is sent to the other one.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.250:9").unwrap();
    let listener = std::net::TcpListener::bind((socket.local_addr().unwrap().ip(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut &client, b"outside\n");
        }
    });
    let (ip, port) = (address.ip(), address.port());
    let run = format!("FROM base\nRUN nc -w 5 {ip} {port} < /dev/null > /got; ip -o link | wc -l > /links\n");
    user.sandbox().write("Dockerfile", &run);
    for flags in ["", "--no-cache --oci-runtime=crun"] {
        let build = format!("llbc build --network=sandbox {flags} --progress=plain -o tree .");
        let said = user.sandbox().succeed(&mut user.shell(&build)).err();
        assert!(!said.contains("WARN"), "{said}");
        assert_eq!(user.sandbox().read("tree/got"), "outside\n", "{flags}");
        assert_eq!(user.sandbox().read("tree/links").trim(), "2", "{flags}: loopback and its own");
    }
}

#[test]
fn a_network_that_cannot_be_had_is_said() {
    let Some(user) = with_file(Ids::One, "FROM base\nRUN true\n") else { return };
    let said = user.sandbox().succeed(&mut user.shell("llbc build --progress=plain -o tree .")).err();
    assert!(said.contains("use the host's network") && said.contains("/dev/net/tun"), "{said}");
    let said = user.sandbox().fail(1, &mut user.shell("llbc build --no-cache --network=sandbox -o tree ."));
    assert!(said.contains("sandbox") && said.contains("/dev/net/tun") && said.contains("--network=none"), "{said}");
    for flags in ["--network=none", "--network=host --allow=network.host"] {
        let said = user.sandbox().succeed(&mut user.shell(&format!("llbc build {flags} -o tree ."))).err();
        assert!(!said.contains("use the host's network"), "{flags}: {said}");
    }
    let said = user.sandbox().fail(1, &mut user.shell("llbc Dockerfile | executor --network=host -o tree"));
    assert!(said.contains("--allow network.host"), "{said}");
}

#[test]
fn a_user_who_is_killed_leaves_nothing() {
    /// No other process of the machine has this command line.
    const MARK: &str = "sleep 300.0815";
    let Some(user) = with_file(Ids::Range, &format!("FROM base\nRUN echo started; {MARK}; true\n")) else { return };
    let pids = |pattern: &str| process::run(Command::new("pgrep").args(["-fx", pattern])).unwrap().out();
    let mut build = user.shell("exec llbc build --progress=plain -o tree .").spawn().unwrap();
    assert!(process::wait_until(Duration::from_secs(60), || !pids(MARK).is_empty()), "the step never started");
    build.kill().unwrap();
    build.wait().unwrap();
    assert!(process::wait_until(Duration::from_secs(20), || pids(MARK).is_empty()), "a process is left behind");
    user.sandbox().write("Dockerfile", "FROM base\nRUN true\n");
    user.sandbox().succeed(&mut user.shell("llbc build -o tree ."));
    let left = user.sandbox().left_behind();
    assert!(left.is_empty(), "files are left behind: {left:?}");
}

#[test]
fn without_home_the_store_is_where_the_system_has_the_user() {
    let Some(user) = with_file(Ids::One, "FROM base\n") else { return };
    let said = user.sandbox().fail(1, &mut user.shell("env -u HOME -u LLBC_ROOT executor images ls"));
    assert!(said.contains("cannot make /.local/share/llbc/"), "{said}");
}
