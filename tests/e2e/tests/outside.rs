//! What goes wrong outside. Each row of the table is one failure: what is said, the exit code, and that nothing is lost or
//! left: no output, nothing half made in the store, and the next build succeeds.
//!
//! Elsewhere, because they take more than a line: disks that are full, executors that are killed, stores that are shared or
//! pruned meanwhile (`store.rs`); registries that break off, lie about digests and lengths, or never answer
//! (`executor/src/registry/tests`, `attacks.rs`); pushes to registries that are down (`push.rs`); interrupts (`build.rs`).
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use e2e::{Sandbox, process};

/// One failure.
struct Row {
    what: &'static str,
    dockerfile: &'static str,
    /// Flags and context of `llbc build`.
    arguments: &'static str,
    /// Part of what is said.
    said: &'static str,
    /// What is done around the build: `BUILD` is the build.
    around: &'static str,
}

const ROW: Row =
    Row { what: "", dockerfile: "FROM base\nRUN true\n", arguments: "-o tree .", said: "", around: "BUILD" };

const FAILURES: &[Row] = &[
    Row {
        what: "a registry that is down",
        dockerfile: "FROM 127.0.0.1:1/app\n",
        said: "failed to resolve source metadata for 127.0.0.1:1/app:latest: HEAD http://127.0.0.1:1/v2/app/manifests/latest: io: Connection refused",
        ..ROW
    },
    Row {
        what: "a name that does not exist",
        dockerfile: "FROM scratch\nADD https://nosuch.invalid/x /\n",
        said: "GET https://nosuch.invalid/x: io: failed to lookup address information",
        ..ROW
    },
    Row {
        what: "a repository that is down",
        dockerfile: "FROM scratch\nADD http://127.0.0.1:1/x.git /\n",
        said: "failed to fetch remote http://127.0.0.1:1/x.git",
        ..ROW
    },
    Row {
        what: "a secret that was not given",
        dockerfile: "FROM base\nRUN --mount=type=secret,id=key,required=true true\n",
        said: "error: secret key: not found\n",
        ..ROW
    },
    Row {
        what: "a secret whose file is gone",
        arguments: "--secret id=key,src=nosuch -o tree .",
        said: "error: --secret id=key,src=nosuch: cannot read nosuch: No such file or directory",
        ..ROW
    },
    Row {
        what: "an agent that is not there",
        dockerfile: "FROM base\nRUN --mount=type=ssh,required=true true\n",
        said: "no SSH key \"default\" forwarded from the client",
        ..ROW
    },
    Row {
        what: "a context that is not there",
        arguments: "-f Dockerfile -o tree nosuch",
        said: "error: cannot open the context nosuch: No such file or directory",
        ..ROW
    },
    Row {
        what: "an output where no directory is",
        arguments: "-o type=oci,dest=nosuch/tree .",
        said: "error: cannot write nosuch/tree: No such file or directory",
        ..ROW
    },
    Row {
        what: "an output where nothing can be written",
        arguments: "-o type=oci,dest=fixed/tree .",
        said: "error: cannot write fixed/tree: Read-only file system",
        around: "mkdir -p fixed; unshare -m sh -c 'mount -t tmpfs -o ro none fixed; BUILD'",
        ..ROW
    },
    Row {
        what: "a runtime that is not there",
        arguments: "--oci-runtime ./nosuch -o tree .",
        said: "error: no OCI runtime at ./nosuch\n",
        ..ROW
    },
    Row {
        what: "a store on a read-only file system",
        said: "Read-only file system",
        around: "unshare -m sh -c 'mount --bind $LLBC_ROOT $LLBC_ROOT; mount -o remount,bind,ro $LLBC_ROOT; BUILD'",
        ..ROW
    },
    Row {
        what: "a store that belongs to somebody else",
        said: "was not looked in: ",
        around: "chmod 755 . .. ; setpriv --reuid 65534 --regid 65534 --clear-groups BUILD",
        ..ROW
    },
    Row {
        what: "a store that is a file",
        said: "was not looked in: Not a directory",
        around: "touch file; LLBC_ROOT=$PWD/file BUILD",
        ..ROW
    },
    Row {
        what: "a database that is damaged",
        said: "was not looked in: cannot open the database: file is not a database",
        around: "mkdir -p broken/blobs-v1; echo garbage garbage garbage > broken/db-v1.sqlite; LLBC_ROOT=$PWD/broken BUILD",
        ..ROW
    },
];

#[test]
fn failures_are_named_and_nothing_is_lost_or_left() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Fine", "FROM base\nRUN echo fine > /fine\n");
    for Row { what, dockerfile, arguments, said, around } in FAILURES {
        sandbox.write("Dockerfile", dockerfile);
        let build = around.replace("BUILD", &format!("llbc build --progress=plain --no-cache {arguments}"));
        let run = process::run(&mut sandbox.shell(&build)).unwrap();
        assert_eq!(run.status.code(), Some(1), "{what}: {}", run.err());
        // Diagnostics are folded to the width of the screen.
        let flat = run.err().split_whitespace().collect::<Vec<_>>().join(" ");
        let expected = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&expected), "{what}: {expected:?} is not in\n{}", run.err());
        assert!(!run.err().contains("panicked"), "{what}: {}", run.err());
        for output in ["tree", "nosuch", "fixed/tree"] {
            assert!(!sandbox.has(output), "{what} left {output}");
        }
        let left = sandbox.left_behind();
        assert!(left.is_empty(), "{what} left {left:?}");
        sandbox.succeed(&mut sandbox.shell("llbc build --progress=plain --no-cache -f Fine -o fine ."));
        assert_eq!(sandbox.read("fine/fine"), "fine\n", "{what}");
        std::fs::remove_dir_all(sandbox.directory().join("fine")).unwrap();
    }
}
