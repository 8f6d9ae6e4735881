//! What becomes of an exec operation: the spec a runtime gets, and the outputs.

use llb::{CacheSharing, Exec, ExecMeta, Mount, MountKind, SecretMount};

use super::*;
use crate::cdi::Devices;
use crate::ops::tests::tree;
use crate::runtime::{Exit, MountSource, Scripted};
use crate::session::{Secret, Session};
use crate::snapshot::Snapshots;
use crate::{Cancel, progress, snapshot, store};

/// Remembers what was logged, and what was warned of.
#[derive(Default)]
struct Said(std::sync::Mutex<(Vec<u8>, String)>);

impl Said {
    fn warnings(&self) -> String {
        self.0.lock().unwrap().1.clone()
    }

    fn log(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
    }
}

impl progress::Sink for Said {
    fn event(&self, event: progress::Event) {
        let mut said = self.0.lock().unwrap();
        match event {
            progress::Event::Log { data, .. } => said.0.extend_from_slice(&data),
            progress::Event::Warning { message, .. } => said.1.push_str(&message),
            _ => {}
        }
    }

    fn finish(&self) {}
}

/// Calls `act` with a context that has a network mode.
fn with_context(network: NetworkMode, act: impl FnOnce(Context<'_>, &Said)) {
    let temp = tempfile::tempdir().unwrap();
    let store = store::Store::open(temp.path().join("store")).unwrap();
    let snapshots = snapshot::Scripted::new(temp.path()).unwrap();
    let runtime = Scripted::exiting(0);
    let (said, session) = (Said::default(), Session::default());
    let node = llb::Node::new(llb::Op::Exec(Box::default()), Vec::new());
    let vertex = progress::Vertex { sink: &said, digest: oci::Digest::sha256(b"") };
    let (store, snapshots, runtime, session, node) = (&store, &snapshots, &runtime, &session, &node);
    let (progress, cancel) = (&vertex, &Cancel::default());
    act(
        Context {
            store,
            snapshots,
            runtime,
            session,
            allow: &[],
            devices: &Devices::default(),
            network,
            node,
            progress,
            failures: None,
            cancel,
        },
        &said,
    );
}

/// Runs an exec whose process does what `script` does; returns what is shown of its output.
fn run_and_show(
    exec: Exec,
    script: impl Fn(&Spec, crate::runtime::Output<'_>) + Send + Sync + 'static,
    edit: impl FnOnce(&mut Session),
) -> String {
    let mut shown = String::new();
    with_context(NetworkMode::Auto, |context, said| {
        let runtime = Scripted::new(move |spec, output| {
            script(spec, output);
            Exit { code: 0, out_of_memory: false }
        });
        let mut session = Session::default();
        edit(&mut session);
        let input = context.snapshots.commit(context.snapshots.prepare(&Committed::default()).unwrap()).unwrap();
        super::run(&exec, &[input], Context { runtime: &runtime, session: &session, ..context }).unwrap();
        shown = said.log();
    });
    shown
}

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
        devices: &Devices::default(),
        network: NetworkMode::Auto,
        node: &node,
        progress: &vertex,
        failures: None,
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
    assert_eq!(error(network, 0), "network.host is not allowed: grant it with --allow network.host");
    let insecure = Exec { security: llb::SecurityMode::Insecure, ..exec(vec![]) };
    assert_eq!(error(insecure.clone(), 0), "security.insecure is not allowed: grant it with --allow security.insecure");
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

#[test]
fn what_a_process_writes_of_its_secrets_is_hidden() {
    let mount = Mount {
        kind: MountKind::Secret(SecretMount { id: "s".into(), ..SecretMount::default() }),
        ..bind("/s", -1, -1, false)
    };
    let mut exec = exec(vec![mount]);
    exec.secret_env = vec![llb::SecretEnv { id: "e".into(), name: "TOKEN".into(), optional: false }];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2\n").unwrap();
    let shown = run_and_show(
        exec,
        |spec, output| {
            let token = spec.env.iter().find(|entry| entry.starts_with("TOKEN=")).unwrap();
            output(1, b"file hun");
            output(1, b"ter2, ");
            output(2, format!("{token}\n").as_bytes());
            output(1, b"end hunt");
        },
        |session| {
            session.secrets.insert("s".into(), Secret::File(file.path().into()));
            session.secrets.insert("e".into(), Secret::File(file.path().into()));
        },
    );
    assert_eq!(shown, "file ***, TOKEN=***\n\nend hunt");
}

#[test]
fn a_network_that_is_not_what_was_asked_for_is_said_or_refused() {
    // What a process ran with, if it did, and the warnings.
    let network = |network, has_sandbox, of_build| {
        let (mut got, mut warned) = (Ok(Vec::new()), String::new());
        with_context(of_build, |context, said| {
            let runtime = Scripted::exiting(0);
            let runtime = if has_sandbox { runtime } else { runtime.without_sandbox() };
            let input = context.snapshots.commit(context.snapshots.prepare(&Committed::default()).unwrap()).unwrap();
            let exec = Exec { network, ..exec(vec![]) };
            let allow = ["network.host".to_owned()];
            let ran = super::run(&exec, &[input], Context { runtime: &runtime, allow: &allow, ..context });
            got = ran.map_err(|error| error.to_string()).map(|_| runtime.seen().iter().map(|s| s.network).collect());
            warned = said.warnings();
        });
        (got, warned)
    };
    use llb::NetMode::{Host, None, Unset};
    let always = NetworkMode::Always;
    let silent = |network| (Ok(vec![network]), String::new());
    assert_eq!(network(Unset, true, NetworkMode::Auto), silent(Network::Sandbox));
    assert_eq!(network(Host, true, NetworkMode::Auto), silent(Network::Host));
    assert_eq!(network(None, false, NetworkMode::Auto), silent(Network::None));
    assert_eq!(network(Unset, false, always(Network::None)), silent(Network::None));
    let (got, warned) = network(Unset, false, NetworkMode::Auto);
    assert_eq!(got, Ok(vec![Network::Host]));
    assert!(warned.contains("host's network") && warned.contains("there is none in this test"), "{warned}");
    let (got, warned) = network(Unset, false, always(Network::Sandbox));
    let refused = got.unwrap_err();
    assert!(refused.contains("not supported") && refused.contains("there is none in this test"), "{refused}");
    assert_eq!(warned, "");
}
