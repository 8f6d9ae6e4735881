//! Files in directories, names of devices, who may have them, what they change.

use std::sync::Mutex;

use super::*;
use crate::runtime::{Access, DeviceKind, MountSource};

/// Remembers what was warned of.
#[derive(Default)]
struct Said(Mutex<Vec<String>>);

impl Sink for Said {
    fn event(&self, event: Event) {
        if let Event::Warning { message, .. } = event {
            self.0.lock().unwrap().push(message);
        }
    }

    fn finish(&self) {}
}

/// Directories with files, by `directory/name`.
fn directories(files: &[(&str, &str)]) -> (tempfile::TempDir, Devices) {
    let temp = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = temp.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let devices = Devices::new(["one", "two", "none"].map(|name| temp.path().join(name)).to_vec());
    (temp, devices)
}

/// A file of a kind; devices are `name` or `name@class`, and each sets a variable to its name.
fn file(kind: &str, annotations: &str, devices: &str) -> String {
    let device = |device: &str| {
        let (name, class) = device.split_once('@').unwrap_or((device, ""));
        let class = if class.is_empty() { String::new() } else { format!("  annotations: {{{CLASS}: {class}}}\n") };
        format!("- name: {name}\n{class}  containerEdits: {{env: [D{name}={name}]}}\n")
    };
    let devices: String = devices.split_whitespace().map(device).collect();
    format!(
        "cdiVersion: 0.6.0\nkind: {kind}\nannotations: {annotations}\ndevices:\n{devices}containerEdits: {{env: [ALL=1]}}\n"
    )
}

fn exec(devices: &[&str]) -> llb::Exec {
    let device =
        |name: &&str| llb::CdiDevice { name: name.trim_start_matches('?').to_owned(), optional: name.starts_with('?') };
    llb::Exec { cdi_devices: devices.iter().map(device).collect(), ..llb::Exec::default() }
}

/// What an exec with these devices (`?` before optional ones) has of them, joined with blanks, and what was warned of.
fn admit(devices: &Devices, wanted: &[&str], allow: &[&str]) -> std::result::Result<(String, Vec<String>), String> {
    let said = Said::default();
    let allow: Vec<String> = allow.iter().map(|entry| (*entry).to_owned()).collect();
    let mut exec = exec(wanted);
    devices.admit(&mut exec, &allow, &said).map_err(|error| error.to_string())?;
    let names: Vec<String> = exec.cdi_devices.into_iter().map(|device| device.name).collect();
    Ok((names.join(" "), said.0.into_inner().unwrap()))
}

#[test]
fn names_of_devices() {
    let (_temp, devices) = directories(&[
        ("one/a.yaml", &file("v.com/gpu", "{}", "foo@fast bar@fast baz@slow 0")),
        ("one/b.yaml", &file("v.com/gpus", "{}", "x")),
    ]);
    let check = |wanted: &[&str], want: &str| {
        assert_eq!(
            admit(&devices, wanted, &["device=v.com/gpu=*", "device=v.com/gpus"]).unwrap().0,
            want,
            "{wanted:?}"
        );
    };
    check(&["v.com/gpu=foo"], "v.com/gpu=foo");
    check(&["v.com/gpu"], "v.com/gpu=0");
    check(&["v.com/gpu="], "v.com/gpu=0");
    check(&["v.com/gpu=*"], "v.com/gpu=0 v.com/gpu=bar v.com/gpu=baz v.com/gpu=foo");
    check(&["fast"], "v.com/gpu=bar v.com/gpu=foo");
    check(&["v.com/gpu=foo", "fast", "v.com/gpus"], "v.com/gpu=foo v.com/gpu=bar v.com/gpus=x");
    check(&[], "");
}

#[test]
fn a_required_device_that_is_missing_ends_the_build_and_an_optional_one_is_left_out() {
    let (temp, devices) = directories(&[("one/a.yaml", &file("v.com/gpu", "{}", "foo@fast bar"))]);
    let missing = |wanted: &str| admit(&devices, &[wanted], &["device"]).unwrap_err();
    assert_eq!(
        missing("v.com/gpu=fooo"),
        "required device \"v.com/gpu=fooo\" is not registered: did you mean v.com/gpu=foo? there are fast, \
         v.com/gpu=bar, v.com/gpu=foo"
    );
    assert!(missing("v.com/gpux").contains("did you mean v.com/gpu? there are"));
    assert!(missing("else.org/net=*").contains("is not registered: there are fast"));
    let nvidia = missing("nvidia.com/gpu=all");
    assert!(nvidia.contains("on demand") && nvidia.contains("not supported") && nvidia.contains("nvidia-ctk cdi"));

    let (names, said) = admit(&devices, &["?v.com/gpu=baz", "?v.com/gpu=foo"], &["device=fast"]).unwrap();
    assert_eq!(names, "v.com/gpu=foo");
    assert!(said.len() == 1 && said[0].contains("optional device \"v.com/gpu=baz\" is not registered"), "{said:?}");

    let none = Devices::new(vec![temp.path().join("none")]);
    let missing = admit(&none, &["v.com/gpu"], &["device"]).unwrap_err();
    assert!(missing.contains("there are no devices in") && missing.contains("none"), "{missing}");
    let off = admit(&Devices::off(), &["v.com/gpu"], &["device"]).unwrap_err();
    assert!(off.contains("switched off by --cdi-disabled"), "{off}");
    assert_eq!(admit(&Devices::off(), &["?v.com/gpu"], &[]).unwrap().0, "");
}

#[test]
fn devices_need_leave() {
    let free = format!("{{{AUTO_ALLOW}: true}}");
    let (_temp, devices) = directories(&[
        ("one/a.yaml", &file("v.com/gpu", "{}", "foo bar")),
        ("one/b.yaml", &file("w.com/net", &free, "x")),
    ]);
    assert_eq!(
        admit(&devices, &["v.com/gpu=foo", "w.com/net"], &["network.host"]).unwrap_err(),
        "device v.com/gpu=foo is requested by the build but not allowed: grant it with --allow device=v.com/gpu=foo"
    );
    assert_eq!(
        admit(&devices, &["v.com/gpu=*"], &["device=v.com/gpu=baz"]).unwrap_err(),
        "devices v.com/gpu=bar, v.com/gpu=foo are requested by the build but not allowed: grant them with \
         --allow device=v.com/gpu=bar --allow device=v.com/gpu=foo"
    );
    let admitted = |wanted: &[&str], allow: &[&str]| admit(&devices, wanted, allow).unwrap().0;
    assert_eq!(admitted(&["w.com/net"], &[]), "w.com/net=x");
    assert_eq!(admitted(&["v.com/gpu"], &["device=v.com/gpu"]), "v.com/gpu=bar");
    assert!(admit(&devices, &["v.com/gpu=foo"], &["device=v.com/gpu"]).is_err(), "only the first was granted");
    // As they are written: what BuildKit has in the cache key then.
    assert_eq!(admitted(&["v.com/gpu=*", "?else.com/x"], &["device"]), "v.com/gpu=* else.com/x");
    // What is asked for by the other name is taken as granted, whatever it is.
    assert_eq!(admitted(&["mine", "w.com/net"], &["device=v.com/gpu=foo,alias=mine"]), "v.com/gpu=foo w.com/net=x");
    let unknown = admit(&devices, &["mine"], &["device=v.com/gpu=fo,alias=mine"]).unwrap_err();
    assert!(unknown.contains("\"v.com/gpu=fo\" is not registered: did you mean v.com/gpu=foo?"), "{unknown}");
}

#[test]
fn a_later_directory_counts_and_equal_ones_contradict_each_other() {
    let foo = file("v.com/gpu", "{}", "foo bar");
    let (_temp, devices) = directories(&[
        ("one/a.yaml", &foo),
        ("two/z.yaml", &foo.replace("Dfoo=foo", "Dfoo=later").replace("bar", "other")),
    ]);
    let env = |name: &str| devices.edits(&exec(&[name]).cdi_devices).unwrap().env;
    assert_eq!(env("v.com/gpu=foo"), ["ALL=1", "Dfoo=later"]);
    assert_eq!(env("v.com/gpu=bar"), ["ALL=1", "Dbar=bar"]);

    let (_temp, devices) =
        directories(&[("one/a.yaml", &foo), ("one/b.yaml", &file("v.com/gpu", "{}", "foo")), ("two/c.yaml", &foo)]);
    let error = admit(&devices, &["v.com/gpu=foo"], &["device"]).unwrap_err();
    assert!(error.contains("\"v.com/gpu=foo\" is not registered"), "{error}");
    let (_, said) = admit(&devices, &["v.com/gpu=bar"], &["device"]).unwrap();
    assert!(said[0].contains("device v.com/gpu=foo cannot be used: both") && said[0].contains("b.yaml"), "{said:?}");
}

#[test]
fn a_broken_file_is_named_and_takes_nothing_else_with_it() {
    let (temp, devices) = directories(&[
        ("one/a.yaml", "kind: ["),
        ("one/b.json", &"[".repeat(100_000)),
        ("one/c.yaml", &file("v.com/gpu", "{}", "foo")),
        ("one/d.yml", "no file of ours"),
        ("one/e.yaml/f.yaml", "nor this"),
    ]);
    std::fs::write(temp.path().join("one/g.yaml"), b"\xff").unwrap();
    let (names, said) = admit(&devices, &["v.com/gpu"], &["device=v.com/gpu"]).unwrap();
    assert_eq!((names.as_str(), said.len()), ("v.com/gpu=foo", 3), "{said:?}");
    assert!(said[0].contains("one/a.yaml can be used: line "), "{said:?}");
    assert!(said[1].contains("one/b.json") && said[2].contains("one/g.yaml"), "{said:?}");
}

/// What a device with these edits changes.
fn edits(text: &str) -> Result<Edits> {
    let file = format!("cdiVersion: 1.1.0\nkind: v.com/gpu\ndevices:\n- name: a\n  containerEdits:\n    {text}\n");
    let (_temp, devices) = directories(&[("one/a.yaml", &file)]);
    let edits = devices.edits(&exec(&["v.com/gpu"]).cdi_devices);
    assert!(devices.found().flaws.is_empty(), "{:?}", devices.found().flaws);
    edits
}

#[test]
fn each_file_adds_what_its_devices_share_once() {
    let (_temp, devices) = directories(&[("one/a.yaml", &file("v.com/gpu", "{}", "foo bar"))]);
    let env = devices.edits(&exec(&["v.com/gpu=*", "v.com/gpu=foo", "?x"]).cdi_devices).unwrap().env;
    assert_eq!(env, ["ALL=1", "Dbar=bar", "Dfoo=foo"]);
    assert!(devices.edits(&exec(&["x"]).cdi_devices).unwrap_err().to_string().contains("not registered"));
}

#[test]
fn what_is_not_said_of_a_device_is_looked_up() {
    let devices = edits("deviceNodes: [{path: dev/../dev/mine, hostPath: /dev/zero}]").unwrap().devices;
    let [device] = &devices[..] else { panic!("{devices:?}") };
    assert_eq!((device.path.as_str(), device.host.as_path()), ("/dev/mine", Path::new("/dev/zero")));
    assert_eq!((device.kind, device.major, device.minor), (DeviceKind::Character, 1, 5));
    assert_eq!((device.access, device.uid, device.gid), (Access::ALL, None, None));
    let said = "{path: /dev/x, type: b, major: 7, minor: 9, fileMode: 0640, permissions: r, uid: 3, gid: 4}";
    let device = edits(&format!("deviceNodes: [{said}, {said}]")).unwrap().devices.remove(0);
    assert_eq!((device.kind, device.major, device.minor, device.mode), (DeviceKind::Block, 7, 9, 0o640));
    assert_eq!((device.access.letters().as_str(), device.uid, device.gid), ("r", Some(3), Some(4)));
    let twice = edits("deviceNodes: [{path: /dev/zero}, {path: /dev/full, hostPath: /dev/full}, {path: /dev/zero}]");
    assert_eq!(twice.unwrap().devices.len(), 2);
    for (node, words) in [
        ("{path: /dev/not-there}", "device /dev/not-there of the host: No such file"),
        ("{path: /dev/x, hostPath: /etc/passwd}", "it is not a device"),
        ("{path: /dev/x, hostPath: /dev/zero, type: b}", "of type c, not b"),
    ] {
        let error = edits(&format!("deviceNodes: [{node}]")).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("device v.com/gpu=a (") && error.contains("a.yaml"), "{error}");
    }
}

#[test]
fn mounts_have_options_and_stay_in_the_container() {
    let mounts = edits(
        "mounts: [{hostPath: /a, containerPath: /y/../../../b, options: [ro, nosuid, rbind, rprivate]}, \
         {hostPath: /c, containerPath: /a, type: bind}, {hostPath: /d, containerPath: /b}]",
    );
    let mounts = mounts.unwrap().mounts;
    let places: Vec<_> = mounts.iter().map(|mount| (mount.dest.as_str(), mount.readonly)).collect();
    assert_eq!(places, [("/a", false), ("/b", false)]);
    assert!(matches!(&mounts[1].source, MountSource::Host(host) if host.path == Path::new("/d")));
    for (mount, words) in [
        ("{hostPath: none, containerPath: /t, type: tmpfs}", "the tmpfs mount at /t of device v.com/gpu=a"),
        ("{hostPath: /a, containerPath: /t, options: [rshared]}", "option \"rshared\" of the mount at /t"),
        ("{hostPath: a, containerPath: /t}", "\"a\" of a mount is not absolute"),
    ] {
        let error = edits(&format!("mounts: [{mount}]")).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("a.yaml"), "{error}");
    }
}

#[test]
fn groups_hooks_and_caches_are_handed_on_and_interfaces_refused() {
    let all = edits(
        "additionalGids: [0, 4, 4, 5]\n    \
         hooks: [{hookName: createContainer, path: /bin/x, args: [x, y], timeout: 2}]\n    \
         intelRdt: {closID: c, schemata: [a], enableMonitoring: true}",
    );
    let all = all.unwrap();
    assert_eq!(all.gids, [4, 5]);
    assert_eq!((all.hooks[0].point.as_str(), all.hooks[0].timeout), ("createContainer", Some(2)));
    let rdt = all.intel_rdt.unwrap().to_string();
    assert_eq!(rdt, r#"{"closID":"c","schemata":["a"],"enableMonitoring":true}"#);
    let error = edits("netDevices: [{hostInterfaceName: eth9, name: x}]").unwrap_err().to_string();
    assert!(error.contains("network interface eth9 of device v.com/gpu=a") && error.contains("not supported"));
}
