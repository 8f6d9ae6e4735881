//! What devices change of a process: from the words of a specification to what a runtime takes, with what the host knows.
//!
//! parity: the library of the interface, pkg/cdi/container-edits.go: what is looked up of the host's devices, which of
//! several edits counts.

use std::path::Path;

use rustix::fs::{FileType, Mode};

use super::spec;
use crate::runtime::{Access, Device, DeviceKind, Hook, HostMount, Mount, MountSource};
use crate::{Error, Result, rootfs};

/// The bits of a device that nobody knows the bits of.
const MODE: u32 = 0o666;

/// What changes.
#[derive(Debug, Default)]
pub struct Edits {
    /// Variables, in the place of those with the same name.
    pub env: Vec<String>,
    /// Devices; each path once.
    pub devices: Vec<Device>,
    /// Mounts, parents first; each place once.
    pub mounts: Vec<Mount>,
    /// Groups of the user.
    pub gids: Vec<u32>,
    /// Programs around the process.
    pub hooks: Vec<Hook>,
    /// Part of the processor's caches.
    pub intel_rdt: Option<serde_json::Value>,
}

impl Edits {
    /// Adds what a specification says; `of` names it in errors.
    ///
    /// **Errors**: devices that the host does not have, and what no runtime can do.
    pub(super) fn add(&mut self, said: &spec::Edits, of: &str) -> Result<()> {
        if let Some(interface) = said.net_devices.first() {
            return Err(Error::Unsupported {
                what: format!("network interface {} of {of}", interface.host_interface_name),
                why: "a step has the network of the build; --network=host shows it the host's interfaces".into(),
            });
        }
        self.env.extend(said.env.iter().cloned());
        for node in &said.device_nodes {
            let device = device(node).map_err(|why| Error::Invalid(format!("{of}: {why}")))?;
            self.devices.retain(|other| other.path != device.path);
            self.devices.push(device);
        }
        for mount in &said.mounts {
            let mount = self::mount(mount, of)?;
            self.mounts.retain(|other| other.dest != mount.dest);
            self.mounts.push(mount);
        }
        for gid in said.additional_gids.iter().filter(|gid| **gid != 0) {
            if !self.gids.contains(gid) {
                self.gids.push(*gid);
            }
        }
        self.hooks.extend(said.hooks.iter().map(hook));
        if let Some(rdt) = &said.intel_rdt {
            self.intel_rdt = Some(intel_rdt(rdt));
        }
        Ok(())
    }

    pub(super) fn sort(&mut self) {
        self.mounts.sort_by(|a, b| a.dest.cmp(&b.dest));
    }
}

/// A path of a container, absolute and without `..`.
fn absolute(path: &str) -> String {
    format!("/{}", rootfs::below(Path::new(path)).display())
}

/// A device node, with what is left open looked up.
fn device(node: &spec::Node) -> std::result::Result<Device, String> {
    let host = node.host();
    let shown = host.display();
    let kind = match node.kind.as_str() {
        "b" => Some(DeviceKind::Block),
        // `u` is one that does not buffer, which no kernel tells apart.
        "c" | "u" => Some(DeviceKind::Character),
        "p" => Some(DeviceKind::Pipe),
        _ => None,
    };
    let looked_up = look_up(&host);
    let is_complete = kind.is_some_and(|kind| kind == DeviceKind::Pipe || node.major != 0);
    let (kind, major, minor, mode) = match (kind, looked_up) {
        (Some(kind), found) if is_complete => (kind, node.major, node.minor, found.ok().map(|found| found.3)),
        (_, Err(why)) => return Err(format!("device {shown} of the host: {why}")),
        (Some(kind), Ok((found, ..))) if kind != found => {
            let (letter, found) = (kind.letter(), found.letter());
            return Err(format!("device {shown} of the host is of type {found}, not {letter}"));
        }
        // A major number alone is completed by its minor one.
        (_, Ok((kind, _, _, mode))) if node.major != 0 => (kind, node.major, node.minor, Some(mode)),
        (_, Ok((kind, major, minor, mode))) => (kind, major, minor, Some(mode)),
    };
    let may = |letter| node.permissions.contains(letter);
    let access = match node.permissions.as_str() {
        "" => Access::ALL,
        _ => Access { read: may('r'), write: may('w'), make: may('m') },
    };
    let mode = node.file_mode.or(mode).unwrap_or(MODE) & 0o7777;
    Ok(Device { path: absolute(&node.path), host, kind, major, minor, mode, uid: node.uid, gid: node.gid, access })
}

/// Kind, numbers and bits of a device of the host.
fn look_up(path: &Path) -> std::result::Result<(DeviceKind, u32, u32, u32), String> {
    let stat = rustix::fs::lstat(path).map_err(|errno| std::io::Error::from(errno).to_string())?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::BlockDevice => DeviceKind::Block,
        FileType::CharacterDevice => DeviceKind::Character,
        FileType::Fifo => DeviceKind::Pipe,
        FileType::Symlink => return Err("it is a link, not a device".to_owned()),
        _ => return Err("it is not a device".to_owned()),
    };
    let bits = Mode::from_raw_mode(stat.st_mode).bits();
    Ok((kind, rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev), bits))
}

fn mount(mount: &spec::Mount, of: &str) -> Result<Mount> {
    let spec::Mount { host_path, container_path, options, kind } = mount;
    let refused = |what: String, why: &str| Error::Unsupported { what: format!("{what} of {of}"), why: why.into() };
    if !["", "bind", "none"].contains(&kind.as_str()) {
        return Err(refused(
            format!("the {kind} mount at {container_path}"),
            "files and directories of the host can be mounted, no other file systems; mount it on the host, and name that",
        ));
    }
    if !host_path.starts_with('/') {
        return Err(Error::Invalid(format!("{of}: hostPath {host_path:?} of a mount is not absolute")));
    }
    let source = HostMount::new(host_path.into(), options).map_err(|option| {
        refused(
            format!("option {option:?} of the mount at {container_path}"),
            "mounts of devices take ro, rw, (no)suid, (no)dev, (no)exec, access times, (r)bind, (r)private and (r)slave",
        )
    })?;
    let readonly = source.is_readonly();
    Ok(Mount { dest: absolute(container_path), source: MountSource::Host(source), readonly })
}

fn hook(said: &spec::Hook) -> Hook {
    let spec::Hook { hook_name, path, args, env, timeout } = said;
    Hook { point: hook_name.clone(), path: path.clone(), args: args.clone(), env: env.clone(), timeout: *timeout }
}

/// In the words of the OCI's runtime specification, without what is not said.
fn intel_rdt(said: &spec::IntelRdt) -> serde_json::Value {
    let mut rdt = serde_json::json!({});
    for (key, value) in
        [("closID", &said.clos_id), ("l3CacheSchema", &said.l3_cache_schema), ("memBwSchema", &said.mem_bw_schema)]
    {
        if !value.is_empty() {
            rdt[key] = value.as_str().into();
        }
    }
    if let Some(schemata) = said.schemata.as_ref().filter(|schemata| !schemata.is_empty()) {
        rdt["schemata"] = schemata.clone().into();
    }
    if said.enable_monitoring {
        rdt["enableMonitoring"] = true.into();
    }
    rdt
}
