//! What becomes of an exec operation: the spec a runtime gets, and the outputs.

use llb::{CacheSharing, Exec, ExecMeta, Mount, MountKind, SecretMount};

use super::*;
use crate::ops::tests::tree;
use crate::runtime::{Exit, MountSource, Scripted};
use crate::session::{Secret, Session};
use crate::snapshot::Snapshots;
use crate::{Cancel, progress, snapshot, store};

/// Runs an exec over the inputs `a` and `b`; the runtime ends with `exit`.
fn run_with(
    exec: Exec,
    exit: Exit,
    edit: impl FnOnce(&mut llb::Node, &mut Session),
) -> (Result<Vec<Committed>>, Vec<Spec>) {
    let temp = tempfile::tempdir().unwrap();
    let store = store::Store::open(temp.path().join("store")).unwrap();
    let snapshots = snapshot::Scripted::new(temp.path()).unwrap();
    let inputs = [0, 1].map(|_| snapshots.commit(snapshots.prepare(&Committed::default()).unwrap()).unwrap());
    let runtime = Scripted::new(move |_, _| exit);
    let mut node = llb::Node::new(llb::Op::Exec(Box::new(exec.clone())), Vec::new());
    let mut session = Session::default();
    edit(&mut node, &mut session);
    let vertex = progress::Vertex { sink: &progress::Silent, digest: oci::Digest::sha256(b"") };
    let context = Context {
        store: &store,
        snapshots: &snapshots,
        runtime: &runtime,
        session: &session,
        allow: &[],
        node: &node,
        progress: &vertex,
        cancel: &Cancel::default(),
    };
    let result = super::run(&exec, &inputs, context);
    let seen = std::mem::take(&mut *runtime.seen());
    (result, seen)
}

fn run_well(exec: Exec) -> (Vec<Committed>, Spec) {
    let (result, mut seen) = run_with(exec, Exit { code: 0, out_of_memory: false }, |_, _| ());
    (result.unwrap(), seen.remove(0))
}

fn error(exec: Exec, code: i32) -> String {
    run_with(exec, Exit { code, out_of_memory: false }, |_, _| ()).0.unwrap_err().to_string()
}

fn exec(mounts: Vec<Mount>) -> Exec {
    let root = Mount { input: 0, output: 0, dest: "/".into(), ..Mount::default() };
    let meta = ExecMeta {
        args: vec!["/bin/sh".into(), "-c".into(), "a \"b\"".into()],
        cwd: "/w".into(),
        ..ExecMeta::default()
    };
    Exec { meta, mounts: [root].into_iter().chain(mounts).collect(), ..Exec::default() }
}

fn bind(dest: &str, input: i64, output: i64, readonly: bool) -> Mount {
    Mount { input, output, dest: dest.into(), readonly, ..Mount::default() }
}

#[test]
fn the_root_is_changed_and_becomes_the_output() {
    let (outputs, spec) = run_well(exec(vec![]));
    assert_eq!(outputs, [tree("layer0 layer2")]);
    assert_eq!(spec.cwd, "/w");
    assert_eq!(spec.env, [DEFAULT_PATH]);
}

#[test]
fn a_readonly_mount_hands_its_input_through() {
    let (outputs, spec) = run_well(exec(vec![bind("/src", 1, 1, true)]));
    assert_eq!(outputs, [tree("layer0 layer2"), tree("layer1")]);
    assert!(spec.mounts[0].readonly);
}

#[test]
fn a_writable_mount_is_a_copy_kept_only_as_an_output() {
    assert_eq!(run_well(exec(vec![bind("/src", 1, -1, false)])).0, [tree("layer0 layer2")]);
    assert_eq!(run_well(exec(vec![bind("/src", 1, 1, false)])).0, [tree("layer0 layer2"), tree("layer1 layer3")]);
}

#[test]
fn outputs_are_in_the_order_of_their_numbers() {
    let mut exec = exec(vec![bind("/src", 1, 0, true)]);
    exec.mounts[0].output = 1;
    assert_eq!(run_well(exec).0, [tree("layer1"), tree("layer0 layer2")]);
}

#[test]
fn mounts_are_sorted_absolute_and_the_last_of_a_place_counts() {
    let tmpfs = |dest: &str, size| Mount {
        kind: MountKind::Tmpfs { size: Some(size) },
        dest: dest.into(),
        input: -1,
        output: -1,
        ..Mount::default()
    };
    let (_, spec) = run_well(exec(vec![tmpfs("/z", 1), tmpfs("x/../y", 2), tmpfs("/a", 3), tmpfs("/z", 4)]));
    let sizes: Vec<_> = spec
        .mounts
        .iter()
        .map(|mount| match mount.source {
            MountSource::Tmpfs { size } => (mount.dest.as_str(), size),
            _ => panic!("{mount:?}"),
        })
        .collect();
    assert_eq!(sizes, [("/a", 3), ("/w/y", 2), ("/z", 4)]);
}

#[test]
fn a_cache_mounted_twice_is_one_directory() {
    let cache = |dest: &str| {
        let kind = MountKind::Cache { id: "c".into(), sharing: CacheSharing::Locked };
        Mount { kind, dest: dest.into(), input: -1, output: -1, ..Mount::default() }
    };
    let (_, spec) = run_well(exec(vec![cache("/a"), cache("/b")]));
    let roots: Vec<_> = spec
        .mounts
        .iter()
        .map(|mount| match &mount.source {
            MountSource::Bind { root, .. } => root,
            _ => panic!("{mount:?}"),
        })
        .collect();
    assert_eq!(roots[0], roots[1]);
}

#[test]
fn secrets_are_files_and_variables() {
    let options = SecretMount { id: "s".into(), mode: 0o100_400, uid: 7, ..SecretMount::default() };
    let missing = SecretMount { id: "none".into(), optional: true, ..SecretMount::default() };
    let mount = |options, dest: &str| Mount { kind: MountKind::Secret(options), ..bind(dest, -1, -1, false) };
    let mut exec = exec(vec![mount(options, "/run/secrets/s"), mount(missing, "/run/secrets/none")]);
    exec.secret_env = vec![llb::SecretEnv { id: "s".into(), name: "TOKEN".into(), optional: false }];
    exec.meta.proxy_env = Some(llb::ProxyEnv { no_proxy: "host".into(), ..llb::ProxyEnv::default() });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "value").unwrap();
    let (result, seen) = run_with(exec, Exit { code: 0, out_of_memory: false }, |_, session| {
        session.secrets.insert("s".into(), Secret::File(file.path().into()));
    });
    result.unwrap();
    let [mount] = seen[0].mounts.as_slice() else { panic!("{:?}", seen[0].mounts) };
    assert!(matches!(&mount.source, MountSource::Secret { data, uid: 7, gid: 0, mode: 0o400 } if data == b"value"));
    assert_eq!(seen[0].env, ["NO_PROXY=host", "no_proxy=host", DEFAULT_PATH, "TOKEN=value"]);
}

#[test]
fn exit_codes_decide() {
    let want = r#"process "/bin/sh -c a \"b\"" did not complete successfully: exit code: 7"#;
    assert_eq!(error(exec(vec![]), 7), want);
    let mut lenient = exec(vec![]);
    lenient.meta.valid_exit_codes = vec![7];
    assert!(run_with(lenient.clone(), Exit { code: 7, out_of_memory: false }, |_, _| ()).0.is_ok());
    assert!(run_with(lenient, Exit { code: 0, out_of_memory: false }, |_, _| ()).0.is_err());
    let killed = run_with(exec(vec![]), Exit { code: 137, out_of_memory: true }, |_, _| ()).0.unwrap_err().to_string();
    assert!(killed.ends_with("exit code: 137: cannot allocate memory"), "{killed}");
}

#[test]
fn what_is_not_granted_is_refused() {
    let network = Exec { network: llb::NetMode::Host, ..exec(vec![]) };
    assert_eq!(error(network, 0), "network.host is not allowed");
    let insecure = Exec { security: llb::SecurityMode::Insecure, ..exec(vec![]) };
    assert_eq!(error(insecure.clone(), 0), "security.insecure is not allowed");
    assert!(check_entitlements(&insecure, &["security.insecure".into()]).is_ok());
}

#[test]
fn bad_definitions_are_refused() {
    assert_eq!(error(exec(vec![bind("/x", 9, -1, true)]), 0), "invalid definition: missing input 9");
    let rootless = Exec { mounts: vec![], ..exec(vec![]) };
    assert_eq!(error(rootless, 0), "invalid definition: no root mount for the process");
    let mut odd = exec(vec![]);
    odd.mounts[0].kind = MountKind::Tmpfs { size: None };
    assert!(error(odd, 0).starts_with("invalid definition: invalid mount type for /"));
}
