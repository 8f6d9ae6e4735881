//! What the generated messages do not say of their JSON.
//!
//! BuildKit writes the three messages with a oneof by hand: the member stands in an object named after the oneof, which
//! is always there. Its form of a file action lacks `symlink`, whose object stays empty.

use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::proto::{self, file_action::Action, op, user_opt::User};
use crate::{LinuxResources, Metadata, ProgressGroup};

/// Whether a value is what a message without the field has.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(crate) fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&oci::base64::encode(bytes))
}

pub(crate) fn base64_option<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    bytes.as_deref().map(oci::base64::encode).serialize(serializer)
}

pub(crate) fn base64_list<S: Serializer>(list: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|bytes| oci::base64::encode(bytes)))
}

/// An object with at most one field.
struct OneOf<'m, T>(Option<(&'static str, &'m T)>);

impl<T: Serialize> Serialize for OneOf<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0)
    }
}

impl Serialize for proto::Op {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.inputs.is_empty() {
            map.serialize_entry("inputs", &self.inputs)?;
        }
        match &self.op {
            None => map.serialize_entry("Op", &OneOf::<()>(None)),
            Some(op::Op::Exec(exec)) => map.serialize_entry("Op", &OneOf(Some(("exec", exec)))),
            Some(op::Op::Source(source)) => map.serialize_entry("Op", &OneOf(Some(("source", source)))),
            Some(op::Op::File(file)) => map.serialize_entry("Op", &OneOf(Some(("file", file)))),
            Some(op::Op::Build(build)) => map.serialize_entry("Op", &OneOf(Some(("build", build)))),
            Some(op::Op::Merge(merge)) => map.serialize_entry("Op", &OneOf(Some(("merge", merge)))),
            Some(op::Op::Diff(diff)) => map.serialize_entry("Op", &OneOf(Some(("diff", diff)))),
            Some(op::Op::Passthrough(pass)) => map.serialize_entry("Op", &OneOf(Some(("passthrough", pass)))),
        }?;
        if let Some(platform) = &self.platform {
            map.serialize_entry("platform", platform)?;
        }
        if let Some(constraints) = &self.constraints {
            map.serialize_entry("constraints", constraints)?;
        }
        map.end()
    }
}

impl Serialize for proto::FileAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("input", &self.input)?;
        map.serialize_entry("secondaryInput", &self.secondary_input)?;
        map.serialize_entry("output", &self.output)?;
        match &self.action {
            Some(Action::Copy(copy)) => map.serialize_entry("Action", &OneOf(Some(("copy", copy)))),
            Some(Action::Mkfile(file)) => map.serialize_entry("Action", &OneOf(Some(("mkfile", file)))),
            Some(Action::Mkdir(dir)) => map.serialize_entry("Action", &OneOf(Some(("mkdir", dir)))),
            Some(Action::Rm(rm)) => map.serialize_entry("Action", &OneOf(Some(("rm", rm)))),
            // parity: BuildKit's form does not know symlinks.
            Some(Action::Symlink(_)) | None => map.serialize_entry("Action", &OneOf::<()>(None)),
        }?;
        map.end()
    }
}

impl Serialize for proto::UserOpt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match &self.user {
            Some(User::ByName(named)) => map.serialize_entry("User", &OneOf(Some(("byName", named)))),
            // parity: number 0 is left out like any default.
            Some(User::ById(id)) if *id != 0 => map.serialize_entry("User", &OneOf(Some(("byId", id)))),
            Some(User::ById(_)) | None => map.serialize_entry("User", &OneOf::<()>(None)),
        }?;
        map.end()
    }
}

/// The message of what is said of a vertex.
pub(super) fn metadata(metadata: &Metadata) -> proto::OpMetadata {
    proto::OpMetadata {
        ignore_cache: metadata.ignore_cache,
        description: metadata.description.iter().map(|(key, text)| (key.to_string(), text.clone())).collect(),
        export_cache: metadata.export_cache.map(|value| proto::ExportCache { value }),
        caps: metadata.caps.iter().map(|cap| (cap.to_string(), true)).collect::<BTreeMap<_, _>>(),
        progress_group: metadata.progress_group.as_deref().map(progress_group),
        linux_resources: metadata.linux_resources.as_deref().map(linux_resources),
    }
}

fn progress_group(group: &ProgressGroup) -> proto::ProgressGroup {
    proto::ProgressGroup { id: group.id.clone(), name: group.name.clone(), weak: group.weak }
}

fn linux_resources(resources: &LinuxResources) -> proto::LinuxResources {
    proto::LinuxResources {
        memory: resources.memory,
        memory_swap: resources.memory_swap,
        cpu_shares: resources.cpu_shares.cast_unsigned(),
        cpu_period: resources.cpu_period.cast_unsigned(),
        cpu_quota: resources.cpu_quota,
        cpuset_cpus: resources.cpuset_cpus.clone(),
        cpuset_mems: resources.cpuset_mems.clone(),
    }
}
