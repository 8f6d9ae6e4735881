//! What every runtime must do.

use crate::rig::{Rig, embedded, run, stdout};

#[test]
fn a_process_runs() {
    let rig = Rig::new();
    assert_eq!(stdout(&embedded(), &rig.sh("echo hello")), "hello\n");
}
