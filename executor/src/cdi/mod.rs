//! Devices by name, as the Container Device Interface has them: whoever runs the machine writes files that say what a
//! container needs for a device (variables, device nodes, mounts, …), and a step names the device.
//!
//! | file | what it is |
//! |---|---|
//! | `spec` | one file: what it says, and whether it may |
//! | `yaml` | its text |
//! | `grants` | what a build was granted |
//! | `edits` | what devices change of a process |
//!
//! Everything is decided before a build runs ([`Devices::admit`]): names of a definition become names of devices, those
//! that are not there or not allowed end it. So a cache key has the devices that a step really gets, and nothing of what
//! they change.
//!
//! parity: BuildKit v0.32, solver/llbsolver/cdidevices and vertex.go, over the library of the interface (v1.1.0).

mod edits;
mod grants;
mod spec;
mod yaml;

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub use edits::Edits;

use crate::progress::{Event, Sink};
use crate::suggest::nearest;
use crate::{Error, Result};
use grants::Grants;
use spec::Spec;

/// Where files of specifications are, if nobody says; what a later directory says of a device counts.
pub const DIRECTORIES: [&str; 3] = ["/etc/cdi", "/var/run/cdi", "/etc/buildkit/cdi"];

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Annotation: another name, which several devices may have.
const CLASS: &str = "org.mobyproject.buildkit.device.class";
/// Annotation: whether every build may have it.
const AUTO_ALLOW: &str = "org.mobyproject.buildkit.device.autoallow";

/// Devices that BuildKit makes when somebody asks for them, and what makes their file.
const ON_DEMAND: [(&str, &str); 2] = [
    (
        "nvidia.com/gpu",
        "install NVIDIA's container toolkit, and write the file with `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`",
    ),
    ("docker.com/gpu", "BuildKit does that in Docker Desktop only; write the file to /etc/cdi yourself"),
];

/// The devices of this machine. They are looked for when a build asks for one first.
#[derive(Debug)]
pub struct Devices {
    /// None of them: devices are switched off.
    directories: Vec<PathBuf>,
    found: OnceLock<Found>,
}

/// What is in the directories.
#[derive(Debug, Default)]
struct Found {
    /// By qualified name, `vendor/class=name`.
    devices: BTreeMap<String, Device>,
    /// What cannot be used, and why.
    flaws: Vec<String>,
}

/// A device: its place in a file.
#[derive(Clone, Debug)]
struct Device {
    file: Arc<File>,
    position: usize,
}

/// A file.
#[derive(Debug)]
struct File {
    path: PathBuf,
    /// Which directory it is in: a later one counts more.
    rank: usize,
    spec: Spec,
}

impl Default for Devices {
    fn default() -> Self {
        Self::new(DIRECTORIES.map(PathBuf::from).to_vec())
    }
}

impl Devices {
    /// The devices that the files of these directories say something about.
    pub fn new(directories: Vec<PathBuf>) -> Self {
        Self { directories, found: OnceLock::new() }
    }

    /// No devices: they are switched off.
    pub fn off() -> Self {
        Self::new(Vec::new())
    }

    /// Puts the devices of this machine in the place of those that an exec names, if a build with these entitlements may
    /// have them. Optional ones that are not there are left out; what there is to say of that is said once a build.
    ///
    /// parity: with a grant of all devices, the names stay as they are, and so are in the cache key.
    pub fn admit(&self, exec: &mut llb::Exec, allow: &[String], sink: &dyn Sink) -> Result<()> {
        if exec.cdi_devices.is_empty() {
            return Ok(());
        }
        let grants = Grants::parse(allow)?;
        let found = self.found();
        let warn = |message: String| sink.event(Event::Warning { digest: None, message, about: None });
        found.flaws.iter().for_each(|flaw| warn(flaw.clone()));
        let mut admitted = Vec::new();
        let mut named = Vec::new();
        for device in &exec.cdi_devices {
            let alias = grants.aliases.get(&device.name).filter(|_| !grants.all);
            let device = llb::CdiDevice { name: alias.unwrap_or(&device.name).clone(), ..*device };
            let names = found.find(&device.name);
            if names.is_empty() {
                if !device.optional {
                    return Err(self.missing(&device.name));
                }
                warn(format!("a step runs without one of its devices: optional {}", self.not_registered(&device.name)));
            }
            match alias {
                Some(_) => admitted.push(device),
                None => named.extend(names),
            }
        }
        if grants.all {
            return Ok(());
        }
        let granted: BTreeSet<&str> = grants.names.iter().flat_map(|name| found.find(name)).collect();
        let mut seen = BTreeSet::new();
        named.retain(|name| seen.insert(*name));
        let denied: Vec<&str> =
            named.iter().copied().filter(|name| !granted.contains(name) && !found.is_for_all(name)).collect();
        if !denied.is_empty() {
            return Err(not_allowed(&denied));
        }
        admitted.extend(named.into_iter().map(|name| llb::CdiDevice { name: name.to_owned(), optional: false }));
        exec.cdi_devices = admitted;
        Ok(())
    }

    /// What the devices of an exec that was admitted change of its process.
    pub fn edits(&self, wanted: &[llb::CdiDevice]) -> Result<Edits> {
        let mut edits = Edits::default();
        if wanted.is_empty() {
            return Ok(edits);
        }
        let found = self.found();
        let (mut devices, mut files) = (BTreeSet::new(), Vec::new());
        for device in wanted {
            let names = found.find(&device.name);
            if names.is_empty() && !device.optional {
                return Err(self.missing(&device.name));
            }
            for name in names.into_iter().filter(|name| devices.insert(name.to_owned())) {
                let device = &found.devices[name];
                let of = |path: &Path| format!("device {name} ({})", path.display());
                if !files.iter().any(|file| Arc::ptr_eq(file, &device.file)) {
                    files.push(device.file.clone());
                    edits.add(&device.file.spec.container_edits, &of(&device.file.path))?;
                }
                edits.add(&device.said().container_edits, &of(&device.file.path))?;
            }
        }
        edits.sort();
        Ok(edits)
    }

    fn found(&self) -> &Found {
        self.found.get_or_init(|| Found::read(&self.directories))
    }

    /// parity: BuildKit's words, and the way on.
    fn missing(&self, name: &str) -> Error {
        Error::NotFound(format!("required {}", self.not_registered(name)))
    }

    /// That a device is not there, and why.
    fn not_registered(&self, name: &str) -> String {
        let found = self.found();
        let kind = name.split('=').next().unwrap_or(name);
        let way_on = match ON_DEMAND.iter().find(|(on_demand, _)| *on_demand == kind) {
            _ if self.directories.is_empty() => "devices are switched off by --cdi-disabled".to_owned(),
            Some((_, way)) if !found.devices.keys().any(|device| is_of_kind(device, kind)) => {
                format!("making its file on demand, as BuildKit does, is not supported: {way}")
            }
            _ if found.devices.is_empty() => {
                let directories: Vec<_> = self.directories.iter().map(|dir| dir.display().to_string()).collect();
                format!("there are no devices in {}", directories.join(", "))
            }
            _ => {
                let classes = found.devices.values().filter_map(|device| device.annotation(CLASS));
                let names: BTreeSet<&str> = found.devices.keys().map(String::as_str).chain(classes).collect();
                let kinds = names.iter().map(|name| name.split('=').next().unwrap_or(name));
                let guess = nearest(name, names.iter().copied().chain(kinds));
                let guess = guess.map_or_else(String::new, |guess| format!("did you mean {guess}? "));
                format!("{guess}there are {}", names.into_iter().collect::<Vec<_>>().join(", "))
            }
        };
        format!("device {name:?} is not registered: {way_on}")
    }
}

/// parity: BuildKit's words, and the way on.
fn not_allowed(devices: &[&str]) -> Error {
    let (devices_are, them) = if devices.len() == 1 { ("device", "it") } else { ("devices", "them") };
    let are = if devices.len() == 1 { "is" } else { "are" };
    let flags: Vec<String> = devices.iter().map(|device| format!("--allow device={device}")).collect();
    Error::Denied(format!(
        "{devices_are} {} {are} requested by the build but not allowed: grant {them} with {}",
        devices.join(", "),
        flags.join(" ")
    ))
}

fn is_of_kind(device: &str, kind: &str) -> bool {
    device.strip_prefix(kind).is_some_and(|rest| rest.starts_with('='))
}

impl Device {
    fn said(&self) -> &spec::Device {
        &self.file.spec.devices[self.position]
    }

    /// The device's own, else its file's.
    fn annotation(&self, key: &str) -> Option<&str> {
        self.said().annotations.get(key).or_else(|| self.file.spec.annotations.get(key)).map(String::as_str)
    }
}

impl Found {
    /// Reads the files of directories, those of each in the order of their names.
    fn read(directories: &[PathBuf]) -> Self {
        let mut found = Self::default();
        let mut conflicts = BTreeSet::new();
        for (rank, directory) in directories.iter().enumerate() {
            match files(directory) {
                Ok(files) => files.into_iter().for_each(|path| match read(&path) {
                    Ok(spec) => found.add(File { path, rank, spec }, &mut conflicts),
                    Err(why) => found.flaws.push(format!("no device of {} can be used: {why}", path.display())),
                }),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => found.flaws.push(format!("no device of {} can be used: {error}", directory.display())),
            }
        }
        // parity: not even one of a later directory counts then.
        found.devices.retain(|name, _| !conflicts.contains(name));
        found
    }

    fn add(&mut self, file: File, conflicts: &mut BTreeSet<String>) {
        let file = Arc::new(file);
        for (position, said) in file.spec.devices.iter().enumerate() {
            let name = format!("{}={}", file.spec.kind, said.name);
            let device = Device { file: file.clone(), position };
            match self.devices.entry(name) {
                btree_map::Entry::Vacant(free) => drop(free.insert(device)),
                btree_map::Entry::Occupied(mut taken) if taken.get().file.rank < file.rank => {
                    drop(taken.insert(device))
                }
                btree_map::Entry::Occupied(taken) => {
                    let name = taken.key().clone();
                    let (one, other) = (taken.get().file.path.display(), file.path.display());
                    self.flaws.push(format!("device {name} cannot be used: both {one} and {other} have it"));
                    conflicts.insert(name);
                }
            }
        }
    }

    /// The devices that a name is of: one by its qualified name, with `=*` all of a kind, without `=` the first one; else
    /// those of a class. **Shape**: qualified names, in their order.
    fn find(&self, name: &str) -> Vec<&str> {
        let (kind, of_kind) = name.split_once('=').unwrap_or((name, ""));
        let all = || self.devices.keys().map(String::as_str);
        let has_vendor = kind.split_once('/').is_some_and(|(vendor, class)| !vendor.is_empty() && !class.is_empty());
        let found: Vec<&str> = match of_kind {
            _ if !has_vendor => Vec::new(),
            "" => all().find(|device| is_of_kind(device, kind)).into_iter().collect(),
            "*" => all().filter(|device| is_of_kind(device, kind)).collect(),
            _ => all().filter(|device| *device == name).collect(),
        };
        if !found.is_empty() {
            return found;
        }
        let is_of_class = |device: &&Device| device.annotation(CLASS) == Some(name);
        self.devices.iter().filter(|(_, device)| is_of_class(device)).map(|(name, _)| name.as_str()).collect()
    }

    /// Whether every build may have a device.
    fn is_for_all(&self, name: &str) -> bool {
        let said = self.devices.get(name).and_then(|device| device.annotation(AUTO_ALLOW));
        // What Go takes for true.
        said.is_some_and(|said| ["1", "t", "T", "true", "True", "TRUE"].contains(&said))
    }
}

/// The files of a directory that are named like specifications.
fn files(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path()));
    let mut files = entries.collect::<std::io::Result<Vec<_>>>()?;
    let is_named =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json" || extension == "yaml");
    files.retain(|path| is_named(path) && !path.is_dir());
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> std::result::Result<Spec, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let length = file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if length as u64 > MAX_FILE {
        return Err(format!("it is longer than {MAX_FILE} bytes"));
    }
    spec::read(path, &text)
}

#[cfg(test)]
mod tests;
