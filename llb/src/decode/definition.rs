//! The message of a definition → [`Definition`].

use oci::Digest;

use super::{DecodeError, MAX_VERTICES};
use crate::hash::DigestMap;
use crate::{
    Definition, LinuxResources, Location, Metadata, Position, ProgressGroup, Range, SourceMap, SourceText, Vertex,
    proto,
};

/// Takes a message apart. Repeated vertices are dropped, and so is what is said of things that are no digests.
pub(super) fn read(message: proto::Definition) -> Result<Definition, DecodeError> {
    if message.def.len() > MAX_VERTICES {
        return Err(DecodeError::TooManyVertices { count: message.def.len() });
    }
    let mut vertices = DigestMap::with_capacity_and_hasher(message.def.len(), Default::default());
    for bytes in message.def {
        vertices.entry(Digest::sha256(&bytes)).or_insert(bytes);
    }
    let vertices = vertices.into_iter().map(|(digest, bytes)| Vertex { digest, bytes }).collect();
    let metadata =
        message.metadata.into_iter().filter_map(|(key, value)| Some((Digest::parse(&key).ok()?, metadata(value))));
    Ok(Definition { vertices, metadata: metadata.collect(), source: message.source.map(source).transpose()? })
}

/// What is said of a vertex. parity: a capability that maps to `false` is not asked for.
fn metadata(message: proto::OpMetadata) -> Metadata {
    Metadata {
        ignore_cache: message.ignore_cache,
        description: message.description.into_iter().collect(),
        export_cache: message.export_cache.map(|export| export.value),
        caps: message.caps.into_iter().filter_map(|(cap, asked)| asked.then_some(cap)).collect(),
        progress_group: message
            .progress_group
            .map(|group| Box::new(ProgressGroup { id: group.id, name: group.name, weak: group.weak })),
        linux_resources: message.linux_resources.map(|resources| {
            Box::new(LinuxResources {
                memory: resources.memory,
                memory_swap: resources.memory_swap,
                cpu_shares: resources.cpu_shares.cast_signed(),
                cpu_period: resources.cpu_period.cast_signed(),
                cpu_quota: resources.cpu_quota,
                cpuset_cpus: resources.cpuset_cpus,
                cpuset_mems: resources.cpuset_mems,
            })
        }),
    }
}

fn source(message: proto::Source) -> Result<SourceMap, DecodeError> {
    let texts = message.infos.into_iter().map(text).collect::<Result<_, _>>()?;
    let locations = message.locations.into_iter().filter_map(|(key, value)| {
        Some((Digest::parse(&key).ok()?, value.locations.into_iter().filter_map(location).collect()))
    });
    Ok(SourceMap { texts, locations: locations.collect() })
}

fn text(message: proto::SourceInfo) -> Result<SourceText, DecodeError> {
    let definition = message.definition.map(|nested| read(nested).map(Box::new)).transpose()?;
    Ok(SourceText { filename: message.filename, data: message.data.into(), definition, language: message.language })
}

/// A place in a text; `None` when the text has a negative index.
fn location(message: proto::Location) -> Option<Location> {
    let range = |range: proto::Range| Range { start: position(range.start), end: position(range.end) };
    let ranges = message.ranges.into_iter().map(range).collect();
    Some(Location { source: u32::try_from(message.source_index).ok()?, ranges })
}

fn position(message: Option<proto::Position>) -> Position {
    message.map(|position| Position { line: position.line, character: position.character }).unwrap_or_default()
}
