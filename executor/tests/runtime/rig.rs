//! A root file system of busybox, and `check` functions that run one command line in it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use executor::Cancel;
use executor::runtime::{Embedded, Exit, OciRuntime, Root, Runtime, Spec};

/// A root with busybox, users and little else; removed when dropped.
pub(crate) struct Rig {
    temp: Option<tempfile::TempDir>,
    root: PathBuf,
}

/// What a run gave.
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The runtime under test.
pub(crate) fn embedded() -> Embedded {
    Embedded::with_shim(env!("CARGO_BIN_EXE_executor"))
}

impl Rig {
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        for dir in ["bin", "etc", "tmp", "old"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
        for applet in [
            "sh", "cat", "true", "false", "id", "ls", "stat", "env", "sleep", "mount", "mknod", "head", "hostname",
            "touch", "grep", "kill", "pwd", "readlink", "ip", "wget", "nc", "dd", "mkdir", "rm", "echo", "test",
            "chroot", "unshare", "dmesg", "df", "awk", "sort", "ps", "tr", "wc", "yes",
        ] {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:100::/home/build:/bin/sh\n")
            .unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\nusers:x:100:build\nwheel:x:10:root,build\n").unwrap();
        Self { temp: Some(temp), root }
    }

    /// The root that another process made.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { temp: None, root }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.root.clone()
    }

    /// A directory beside the root.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        let path = self.temp.as_ref().expect("made here").path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// A spec that runs a shell script.
    pub(crate) fn sh(&self, script: &str) -> Spec {
        self.command(&["/bin/sh", "-c", script])
    }

    pub(crate) fn command(&self, args: &[&str]) -> Spec {
        Spec {
            root: Root::Dir(self.root()),
            args: args.iter().map(|arg| arg.to_string()).collect(),
            env: vec!["PATH=/bin".into()],
            cwd: "/".into(),
            ..Spec::default()
        }
    }
}

/// Runs a check on every runtime there is.
pub(crate) fn each(check: impl Fn(&dyn Runtime)) {
    for name in ["embedded", "runc", "crun"] {
        check(&*named(name));
    }
}

/// A runtime by its name.
pub(crate) fn named(name: &str) -> Box<dyn Runtime> {
    if name == "embedded" {
        return Box::new(embedded());
    }
    let runtime = OciRuntime::with_shim(Path::new(name), env!("CARGO_BIN_EXE_executor"));
    Box::new(runtime.expect("runc and crun are installed"))
}

/// Runs to the end.
pub(crate) fn run(runtime: &dyn Runtime, spec: &Spec) -> executor::Result<Ran> {
    run_until(runtime, spec, &Cancel::default())
}

pub(crate) fn run_until(runtime: &dyn Runtime, spec: &Spec, cancel: &Cancel) -> executor::Result<Ran> {
    let streams = Mutex::new([Vec::new(), Vec::new()]);
    let output = |stream: u8, data: &[u8]| streams.lock().unwrap()[usize::from(stream) - 1].extend_from_slice(data);
    let exit = runtime.run(spec, &output, cancel)?;
    let [stdout, stderr] = streams.into_inner().unwrap().map(|data| String::from_utf8_lossy(&data).into_owned());
    Ok(Ran { exit, stdout, stderr })
}

/// What a run writes on its standard output, when it ends well.
pub(crate) fn stdout(runtime: &dyn Runtime, spec: &Spec) -> String {
    let ran = run(runtime, spec).unwrap_or_else(|e| panic!("{:?}: {e}", spec.args));
    assert_eq!((ran.exit.code, ran.stderr.as_str()), (0, ""), "{:?}: {}", spec.args, ran.stdout);
    ran.stdout
}

/// Whether anything below a directory is mounted in this namespace.
pub(crate) fn is_mounted_below(dir: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().any(|line| line.contains(dir.to_str().unwrap()))
}
