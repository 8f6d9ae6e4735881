//! Devices by name: what the files of this machine say of them, who may have them, what a step then has, as root and as an
//! ordinary user, with the embedded runtime and with another one.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::process::Command;

use e2e::user::{self, Ids, User};
use e2e::{Sandbox, process};

const RUNTIMES: [&str; 3] = ["", "--oci-runtime=crun", "--oci-runtime=runc"];

/// Variables, a device, a mount, a group; two of a class, one that everybody may have.
const SPEC: &str = "
cdiVersion: 0.7.0
kind: vendor.com/thing
devices:
- name: one
  annotations: {org.mobyproject.buildkit.device.class: things}
  containerEdits:
    env: [ONE=1, BASE=changed]
    additionalGids: [44]
- name: two
  annotations: {org.mobyproject.buildkit.device.class: things}
  containerEdits:
    env: [TWO=2]
    deviceNodes: [{path: /dev/mydev, hostPath: /dev/zero}]
    mounts: [{hostPath: DIR/files, containerPath: /opt/thing, options: [ro, bind]}]
- name: free
  annotations: {org.mobyproject.buildkit.device.autoallow: true}
  containerEdits: {env: [FREE=1]}
containerEdits: {env: [ANY=1]}
";

/// What a step has of the devices.
const LOOK: &str = "(env | grep -E '^(ONE|TWO|FREE|ANY|BASE)=' | sort; id -G; \
                    test -c /dev/mydev && head -c 3 /dev/mydev | wc -c; cat /opt/thing/lib; true) > /got 2>/dev/null";

fn prepare(sandbox: &Sandbox) {
    write_spec(sandbox, SPEC);
    sandbox.write("files/lib", "library\n");
}

fn write_spec(sandbox: &Sandbox, text: &str) {
    sandbox.write("cdi/thing.yaml", &text.replace("DIR", sandbox.directory().to_str().unwrap()));
}

/// A line that builds with these devices.
fn build(sandbox: &Sandbox, devices: &str, flags: &str) -> String {
    let run = format!("FROM base\nENV BASE=1\nRUN {devices} {LOOK}\n");
    sandbox.write("Dockerfile", &run);
    format!("llbc build --channel labs --progress=plain --network=none --cdi-spec-dir cdi {flags} -o tree .")
}

#[test]
fn a_step_has_what_its_devices_say() {
    let sandbox = Sandbox::with_base();
    prepare(&sandbox);
    let one = "ANY=1\nBASE=changed\nONE=1\n0 44\n";
    for (devices, allow, want) in [
        ("--device=vendor.com/thing=one", "device=vendor.com/thing=one", one.to_owned()),
        ("--device=vendor.com/thing=one", "device", one.to_owned()),
        ("--device=mine", "device=vendor.com/thing=one,alias=mine", one.to_owned()),
        ("--device=vendor.com/thing", "network.host", "ANY=1\nBASE=1\nFREE=1\n0\n".into()),
        ("--device=vendor.com/thing=two", "device=vendor.com/thing=two", {
            "ANY=1\nBASE=1\nTWO=2\n0\n3\nlibrary\n".into()
        }),
        ("--device=things", "device=things", "ANY=1\nBASE=changed\nONE=1\nTWO=2\n0 44\n3\nlibrary\n".into()),
        ("--device=vendor.com/thing=*", "device=vendor.com/thing=*", {
            "ANY=1\nBASE=changed\nFREE=1\nONE=1\nTWO=2\n0 44\n3\nlibrary\n".into()
        }),
    ] {
        for runtime in RUNTIMES {
            let line = build(&sandbox, devices, &format!("--no-cache --allow {allow} {runtime}"));
            sandbox.succeed(&mut sandbox.shell(&line));
            assert_eq!(sandbox.read("tree/got"), want, "{devices} {runtime}");
            assert!(!sandbox.has("tree/opt") && !sandbox.has("tree/dev/mydev"), "{devices} {runtime}: it stays");
        }
    }
}

#[test]
fn devices_that_are_missing_or_not_allowed() {
    let sandbox = Sandbox::with_base();
    prepare(&sandbox);
    let fail = |devices: &str, flags: &str| sandbox.fail(1, &mut sandbox.shell(&build(&sandbox, devices, flags)));
    let said = fail("--device=vendor.com/thing=ome,required", "--allow device");
    assert!(said.contains("required device \"vendor.com/thing=ome\" is not registered"), "{said}");
    assert!(said.contains("did you mean vendor.com/thing=one?") && said.contains("vendor.com/thing=free"), "{said}");
    let said = fail("--device=vendor.com/thing=one", "--allow network.host");
    assert!(said.contains("device vendor.com/thing=one is requested by the build but not allowed"), "{said}");
    assert!(said.contains("--allow device=vendor.com/thing=one"), "{said}");
    let said = fail("--device=vendor.com/thing=one,required", "--allow device=vendor.com/thing=one,alias=");
    assert!(said.contains("the alias has no name"), "{said}");

    // Optional devices are the usual ones.
    let line = build(&sandbox, "--device=vendor.com/thing=ome --device=vendor.com/thing=free", "");
    let said = sandbox.succeed(&mut sandbox.shell(&line)).err();
    assert!(said.contains("optional device \"vendor.com/thing=ome\" is not registered"), "{said}");
    assert!(sandbox.read("tree/got").contains("FREE=1"));
    // What is not there is in no key, and what a device changes is in none either.
    write_spec(&sandbox, &SPEC.replace("FREE=1", "FREE=2"));
    let line = build(&sandbox, "--device=vendor.com/thing=free", "");
    let said = sandbox.succeed(&mut sandbox.shell(&line)).err();
    assert!(said.contains("CACHED") && sandbox.read("tree/got").contains("FREE=1"), "{said}");

    let line = build(&sandbox, "--device=vendor.com/thing=free,required", "").replace("--cdi-spec-dir cdi", "");
    let said = sandbox.fail(1, &mut sandbox.shell(&line.replace("build ", "build --cdi-disabled ")));
    assert!(said.contains("is not registered: devices are switched off by --cdi-disabled"), "{said}");
}

#[test]
fn a_file_that_is_broken_is_named() {
    let sandbox = Sandbox::with_base();
    prepare(&sandbox);
    sandbox.write("cdi/broken.json", "{\"cdiVersion\": \"0.6.0\", \"kind\": 1");
    let line = build(&sandbox, "--device=vendor.com/thing=free,required", "");
    let said = sandbox.succeed(&mut sandbox.shell(&line)).err();
    assert!(said.contains("no device of cdi/broken.json can be used: ") && said.contains("line 1"), "{said}");
    assert!(sandbox.read("tree/got").contains("FREE=1"));
    // What the embedded runtime cannot do is not left out without a word.
    sandbox.write("cdi/cached.yaml", &one_edit("cached", "intelRdt: {closID: x}"));
    let line = build(&sandbox, "--device=vendor.com/cached", "--allow device");
    let said = sandbox.fail(1, &mut sandbox.shell(&line));
    assert!(said.contains("intelRdt of a device is not supported") && said.contains("--oci-runtime=runc"), "{said}");
}

/// A file of one device of a class, with one edit.
fn one_edit(class: &str, edit: &str) -> String {
    format!("cdiVersion: 0.7.0\nkind: vendor.com/{class}\ndevices:\n- name: x\n  containerEdits:\n    {edit}\n")
}

/// A hook that leaves a file in the root of the container, where it finds that in its bundle.
const HOOK: &str = "hooks: [{hookName: createContainer, path: /bin/sh, args: [sh, -c, \
                    'b=$(sed \"s/.*\\\"bundle\\\": *.\\([^\\\"]*\\).*/\\1/\"); echo hooked > $b/rootfs/hooked']}]";

#[test]
fn hooks_of_devices_run_for_root_and_users() {
    let check = |sandbox: &Sandbox, shell: &dyn Fn(&str) -> Command| {
        prepare(sandbox);
        sandbox.write("cdi/hooked.yaml", &one_edit("hooked", HOOK));
        for runtime in RUNTIMES {
            let line = build(sandbox, "--device=vendor.com/hooked", &format!("--no-cache --allow device {runtime}"));
            sandbox.succeed(&mut shell(&line));
            assert_eq!(sandbox.read("tree/hooked"), "hooked\n", "{runtime}");
        }
    };
    let root = Sandbox::with_base();
    check(&root, &|line| root.shell(line));
    root.write("cdi/hooked.yaml", &one_edit("hooked", "hooks: [{hookName: prestart, path: /bin/false}]"));
    let line = build(&root, "--device=vendor.com/hooked", "--no-cache --allow device");
    let said = root.fail(1, &mut root.shell(&line));
    assert!(said.contains("the prestart hook /bin/false of a device failed: exit status: 1"), "{said}");
    if e2e::have(user::PROGRAMS) {
        let user = User::new(Ids::Range);
        check(user.sandbox(), &|line| user.shell(line));
    }
}

#[test]
fn the_executor_takes_a_definition_with_devices() {
    let sandbox = Sandbox::with_base();
    prepare(&sandbox);
    build(&sandbox, "--device=vendor.com/thing=two", "");
    let run = |flags: &str| {
        format!("llbc --channel labs Dockerfile | executor --network=none --cdi-spec-dir=cdi {flags} -o tree")
    };
    let said = sandbox.fail(1, &mut sandbox.shell(&run("")));
    assert!(said.contains("requested by the build but not allowed"), "{said}");
    sandbox.succeed(&mut sandbox.shell(&run("--allow device=vendor.com/thing=two")));
    assert!(sandbox.read("tree/got").ends_with("3\nlibrary\n"));
}

#[test]
fn an_ordinary_user_has_the_hosts_own_devices() {
    if !e2e::have(user::PROGRAMS) {
        return;
    }
    let user = User::new(Ids::Range);
    let sandbox = user.sandbox();
    prepare(sandbox);
    process::succeed(Command::new("chmod").args(["-R", "a+rX", "cdi", "files"]).current_dir(sandbox.directory()))
        .unwrap();
    for runtime in RUNTIMES {
        let line = build(sandbox, "--device=things", &format!("--no-cache --allow device=things {runtime}"));
        sandbox.succeed(&mut user.shell(&line));
        let want = "ANY=1\nBASE=changed\nONE=1\nTWO=2\n0 44\n3\nlibrary\n";
        assert_eq!(sandbox.read("tree/got"), want, "{runtime}");
    }
    // One that the host does not have cannot be made.
    let made = "deviceNodes: [{path: /dev/mydev, hostPath: /dev/zero, type: c, major: 1, minor: 7}]";
    write_spec(sandbox, &SPEC.replace("deviceNodes: [{path: /dev/mydev, hostPath: /dev/zero}]", made));
    let line = build(sandbox, "--device=vendor.com/thing=two", "--allow device");
    let said = sandbox.fail(1, &mut user.shell(&line));
    assert!(said.contains("device 1:7 as /dev/mydev is not supported: an ordinary user cannot make devices"), "{said}");
}
