//! `llbc fmt` from outside: what it writes, what it leaves alone, how it exits.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::os::unix::fs::PermissionsExt as _;

use e2e::{Sandbox, process};

const DISORDER: &str = "  FROM scratch  \n\n\n# note \n COPY a b\n";
const ORDER: &str = "FROM scratch\n\n# note\nCOPY a b\n";

#[test]
fn files_are_written_in_place() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", DISORDER);
    let path = sandbox.directory().join("Dockerfile");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("Dockerfile", sandbox.directory().join("link.Dockerfile")).unwrap();
    let run = sandbox.succeed(sandbox.llbc().args(["fmt", "link.Dockerfile"]));
    assert_eq!((run.out(), run.err()), (String::new(), String::new()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), ORDER);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(std::fs::symlink_metadata(sandbox.directory().join("link.Dockerfile")).unwrap().is_symlink());
    assert_eq!(std::fs::read_dir(sandbox.directory()).unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn standard_input_goes_to_standard_output() {
    let sandbox = Sandbox::new();
    let run = process::succeed_with_input(sandbox.llbc().args(["fmt", "-"]), DISORDER.as_bytes()).unwrap();
    assert_eq!(run.out(), ORDER);
}

#[test]
fn a_check_writes_nothing_and_fails() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", DISORDER);
    sandbox.write("b.Dockerfile", ORDER);
    let run = process::run(sandbox.llbc().args(["fmt", "--check", "Dockerfile", "b.Dockerfile"])).unwrap();
    assert_eq!((run.status.code(), run.out()), (Some(1), "Dockerfile\n".to_owned()));
    assert!(run.err().contains("1 file is not in order"), "{}", run.err());
    assert_eq!(std::fs::read_to_string(sandbox.directory().join("Dockerfile")).unwrap(), DISORDER);
    sandbox.succeed(sandbox.llbc().args(["fmt", "--check", "b.Dockerfile"]));
}

#[test]
fn a_directory_is_walked() {
    let sandbox = Sandbox::new();
    for (file, text) in [("Dockerfile", ORDER), ("a/Dockerfile", DISORDER), ("a/notes.md", " x\n")] {
        sandbox.write(file, text);
    }
    let run = process::run(sandbox.llbc().args(["fmt", "--check", "."])).unwrap();
    assert_eq!((run.status.code(), run.out()), (Some(1), "a/Dockerfile\n".to_owned()));
    sandbox.succeed(sandbox.llbc().args(["fmt", "."]));
    assert_eq!(std::fs::read_to_string(sandbox.directory().join("a/Dockerfile")).unwrap(), ORDER);
}

#[test]
fn a_difference_can_be_applied() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", DISORDER);
    sandbox
        .succeed(&mut sandbox.shell("llbc fmt --diff Dockerfile > change && git apply -p0 --whitespace=nowarn change"));
    assert_eq!(std::fs::read_to_string(sandbox.directory().join("Dockerfile")).unwrap(), ORDER);
}

#[test]
fn a_range_of_lines() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", DISORDER);
    sandbox.succeed(sandbox.llbc().args(["fmt", "--lines", "5:5", "Dockerfile"]));
    let text = std::fs::read_to_string(sandbox.directory().join("Dockerfile")).unwrap();
    assert_eq!(text, "  FROM scratch  \n\n\n# note \nCOPY a b\n");
}

#[test]
fn a_file_with_errors_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", " FROM a\n RUNN b\n");
    let run = process::run(sandbox.llbc().args(["fmt", "Dockerfile"])).unwrap();
    assert_eq!(run.status.code(), Some(1));
    assert!(run.err().contains("unknown instruction: RUNN"), "{}", run.err());
    assert_eq!(std::fs::read_to_string(sandbox.directory().join("Dockerfile")).unwrap(), " FROM a\n RUNN b\n");
}
