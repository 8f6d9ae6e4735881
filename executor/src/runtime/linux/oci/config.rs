//! The configuration of an OCI runtime: the same container as ours, in its words (runtime-spec 1.0.2).

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::plan::{self, Plan, Source};
use super::super::shim::Container;
use super::super::{caps, init, limits, mounts, seccomp, user};
use crate::runtime::{Device, DeviceKind, Hook};
use crate::userns;

/// The text of `config.json`. `sources` are the paths of the plan's mounts.
pub(super) fn text(container: &Container, bundle: &Path, sources: &[PathBuf]) -> String {
    let plan = &container.plan;
    let mut value = json!({
        "ociVersion": "1.0.2",
        "process": process(container),
        "root": { "path": super::ROOT, "readonly": plan.readonly_root },
        "hostname": plan.hostname,
        "mounts": mounts(plan, bundle, sources),
        "linux": linux(container),
    });
    for hook in &plan.hooks {
        let Hook { point, path, args, env, timeout } = hook;
        let mut hook = json!({ "path": path, "args": args, "env": env });
        if let Some(timeout) = timeout {
            hook["timeout"] = json!(timeout);
        }
        match value["hooks"][point].as_array_mut() {
            Some(hooks) => hooks.push(hook),
            None => value["hooks"][point] = json!([hook]),
        }
    }
    value.to_string()
}

fn process(container: &Container) -> Value {
    let plan = &container.plan;
    let identity = &container.identity;
    let env = user::environment(&plan.env, &container.root, identity.uid);
    let (all, none) = (caps::names(if plan.insecure { u64::MAX } else { caps::DEFAULT }), Vec::new());
    let more = if plan.insecure { &all } else { &none };
    // Not every runtime looks at the terminal it is started on before that one changes.
    let size = plan.terminal.and_then(|_| rustix::termios::tcgetwinsize(rustix::stdio::stdin()).ok());
    let (rows, columns) = size.map_or((0, 0), |size| (size.ws_row, size.ws_col));
    json!({
        "terminal": plan.terminal.is_some(),
        "consoleSize": { "height": rows, "width": columns },
        "user": { "uid": identity.uid, "gid": identity.gid, "additionalGids": identity.groups },
        "args": plan.args,
        "env": env,
        "cwd": if plan.cwd.is_empty() { "/" } else { &plan.cwd },
        "capabilities": {
            "bounding": all, "permitted": all, "effective": all, "inheritable": more, "ambient": more,
        },
        "rlimits": plan.rlimits.iter().map(rlimit).collect::<Vec<_>>(),
        "noNewPrivileges": false,
    })
}

fn rlimit((number, soft, hard): &(u32, u64, u64)) -> Value {
    json!({ "type": format!("RLIMIT_{}", limits::name(*number).to_uppercase()), "soft": soft, "hard": hard })
}

fn mounts(plan: &Plan, bundle: &Path, sources: &[PathBuf]) -> Vec<Value> {
    let access = if plan.insecure { "rw" } else { "ro" };
    let pts: &[&str] = &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    // The group of terminals is not among the ids of everybody.
    let pts = &pts[..if userns::has_one_id() { 5 } else { 6 }];
    let mut all = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", pts),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    if userns::is_confined() {
        // A new one belongs to the owner of the network, and there are no groups to show.
        all.push(mount("/sys", "bind", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"]));
    } else {
        all.push(mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]));
        all.push(mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", access]));
    }
    for (name, dest) in [(init::RESOLV_CONF, "/etc/resolv.conf"), (init::HOSTS, "/etc/hosts")] {
        let source = bundle.join(name);
        all.push(mount(dest, "bind", &source.to_string_lossy(), &["bind", "nosuid", "noexec", "nodev", "ro"]));
    }
    all.retain(|mount| !mount["destination"].as_str().is_some_and(|dest| mounts::is_replaced(dest, plan)));
    all.extend(plan.mounts.iter().zip(sources).map(|(own, source)| own_mount(own, source)));
    all
}

fn own_mount(own: &plan::Mount, source: &Path) -> Value {
    let access = if own.readonly { "ro" } else { "rw" };
    let mut options = vec!["bind", access];
    if matches!(own.source, Source::Tmpfs { .. }) {
        options.push("nosuid");
    }
    if let Source::Host(_, host) = &own.source {
        let bind = if host.recursive { "rbind" } else { "bind" };
        options = [bind].into_iter().chain(host.options.iter().map(String::as_str)).collect();
    }
    if let Source::Secret { owner, .. } = own.source {
        options = vec!["bind", "ro", "nosuid", "nodev"];
        if owner.mode & 0o111 == 0 {
            options.push("noexec");
        }
    }
    mount(&own.dest, "bind", &source.to_string_lossy(), &options)
}

fn mount(dest: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": dest, "type": kind, "source": source, "options": options })
}

fn linux(container: &Container) -> Value {
    let plan = &container.plan;
    let mut namespaces = vec!["pid", "ipc", "uts", "mount"];
    if plan.network == plan::Network::Loopback {
        namespaces.push("network");
    }
    let namespaces: Vec<Value> = namespaces.into_iter().map(|kind| json!({ "type": kind })).collect();
    let mut linux = json!({ "namespaces": namespaces });
    if !userns::is_confined() {
        let id = plan.oci.as_ref().map_or("", |oci| &oci.id);
        linux["cgroupsPath"] = json!(Path::new("/").join(&plan.cgroup.parent).join(id));
        linux["resources"] = resources(plan);
    }
    if let Some(rdt) = &plan.intel_rdt {
        linux["intelRdt"] = rdt.clone();
    }
    if plan.insecure {
        linux["devices"] = json!(devices());
    } else {
        linux["maskedPaths"] = json!(mounts::MASKED);
        linux["readonlyPaths"] = json!(mounts::READONLY);
        linux["seccomp"] = seccomp::oci();
    }
    linux
}

fn resources(plan: &Plan) -> Value {
    let limits = &plan.cgroup;
    let allowed = plan.devices.iter().filter(|device| device.kind != DeviceKind::Pipe).map(|device| {
        let Device { kind, major, minor, access, .. } = device;
        json!({ "allow": true, "type": kind.letter(), "major": major, "minor": minor, "access": access.letters() })
    });
    let devices: Vec<Value> = [json!({ "allow": plan.insecure, "access": "rwm" })].into_iter().chain(allowed).collect();
    let mut resources = json!({ "devices": devices });
    let mut set = |section: &str, name: &str, value: Value| resources[section][name] = value;
    for (section, name, value) in [
        ("memory", "limit", limits.memory),
        ("memory", "swap", limits.memory_swap),
        ("cpu", "shares", limits.cpu_shares),
        ("cpu", "period", limits.cpu_period),
        ("cpu", "quota", limits.cpu_quota),
    ] {
        if value != 0 {
            set(section, name, json!(value));
        }
    }
    for (name, list) in [("cpus", &limits.cpuset_cpus), ("mems", &limits.cpuset_mems)] {
        if !list.is_empty() {
            set("cpu", name, json!(list));
        }
    }
    resources
}

/// Devices of the host that an insecure container gets.
fn devices() -> Vec<Value> {
    let all = super::super::devices::insecure();
    let device = |(path, kind, major, minor): (String, &str, u32, u32)| json!({ "path": format!("/dev/{path}"), "type": kind, "major": major, "minor": minor, "fileMode": 0o666 });
    all.into_iter().map(device).collect()
}
