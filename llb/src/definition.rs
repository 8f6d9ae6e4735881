//! A definition: the vertices of a build as wire bytes, and what is said of them beside their digests.
//!
//! What `llbc` writes and the executor reads. The bytes of a vertex are its identity: they are kept as received or as
//! [`crate::encode`] made them and never written anew, so a digest cannot change on the way.

use std::collections::BTreeMap;
use std::sync::Arc;

use oci::Digest;

use crate::wire::Writer;
use crate::{LinuxResources, Location, Locations, Metadata, Position, ProgressGroup, Range};

/// The vertices of a build in the order of the wire: inputs first, each output's subgraph ended by a terminal vertex.
#[derive(Clone, Debug, Default)]
pub struct Definition {
    /// The vertices; empty for scratch.
    pub vertices: Vec<Vertex>,
    /// What is said of the vertices.
    pub metadata: BTreeMap<Digest, Metadata>,
    /// Where the vertices come from.
    pub source: Option<SourceMap>,
}

/// Digest and bytes of a vertex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vertex {
    /// SHA-256 of `bytes`.
    pub digest: Digest,
    /// The encoded operation.
    pub bytes: Vec<u8>,
}

/// Source texts and the places in them that vertices come from.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    /// The texts.
    pub texts: Vec<SourceText>,
    /// **Shape**: an entry for each vertex but the terminal ones, empty where nothing is known.
    pub locations: BTreeMap<Digest, Locations>,
}

/// A source text.
#[derive(Clone, Debug, Default)]
pub struct SourceText {
    /// Its name.
    pub filename: String,
    /// The text.
    pub data: Arc<[u8]>,
    /// The definition that reads it.
    pub definition: Option<Box<Definition>>,
    /// Its language: `Dockerfile`.
    pub language: String,
}

impl Definition {
    /// The wire form, map keys in byte order: equal definitions give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_definition(&mut Writer(&mut bytes), self);
        bytes
    }

    /// What is said of a vertex.
    pub fn metadata_of(&self, digest: &Digest) -> Option<&Metadata> {
        self.metadata.get(digest)
    }
}

fn write_definition(writer: &mut Writer<'_>, definition: &Definition) {
    for vertex in &definition.vertices {
        writer.bytes_always(1, &vertex.bytes);
    }
    for (digest, metadata) in &definition.metadata {
        write_metadata(writer, digest, metadata);
    }
    if let Some(source) = &definition.source {
        writer.message(3, |w| {
            for (digest, locations) in &source.locations {
                write_locations(w, digest, locations, |source| source);
            }
            for text in &source.texts {
                let nested = text.definition.as_deref().map(Definition::to_bytes);
                write_text(w, &text.filename, &text.data, nested.as_deref(), &text.language);
            }
        });
    }
}

/// Writes a source text; `nested` is the encoded definition that reads it.
pub(crate) fn write_text(writer: &mut Writer<'_>, filename: &str, data: &[u8], nested: Option<&[u8]>, language: &str) {
    let roughly = filename.len() + data.len() + nested.map_or(0, <[u8]>::len) + language.len();
    writer.message_of(2, roughly, |w| {
        w.string(1, filename);
        w.bytes(2, data);
        if let Some(nested) = nested {
            w.bytes_always(3, nested);
        }
        w.string(4, language);
    });
}

/// Bytes of most capabilities on the wire.
const TYPICAL_CAP: usize = 24;

/// Writes what is said of a vertex.
pub(crate) fn write_metadata(writer: &mut Writer<'_>, digest: &Digest, metadata: &Metadata) {
    let texts: usize = metadata.description.iter().map(|(key, text)| key.len() + text.len()).sum();
    let roughly = texts + metadata.caps.iter().len() * TYPICAL_CAP;
    writer.message_of(2, digest.as_str().len() + roughly, |entry| {
        entry.string(1, digest.as_str());
        entry.message_of(2, roughly, |w| write_metadata_fields(w, metadata));
    });
}

fn write_metadata_fields(writer: &mut Writer<'_>, metadata: &Metadata) {
    writer.bool(1, metadata.ignore_cache);
    writer.string_map(2, metadata.description.iter());
    if let Some(value) = metadata.export_cache {
        writer.message(4, |w| w.bool(1, value));
    }
    metadata.caps.iter().for_each(|cap| writer.mark(5, cap));
    if let Some(group) = &metadata.progress_group {
        writer.message(6, |w| write_progress_group(w, group));
    }
    if let Some(resources) = &metadata.linux_resources {
        writer.message(7, |w| write_linux_resources(w, resources));
    }
}

fn write_progress_group(writer: &mut Writer<'_>, group: &ProgressGroup) {
    writer.string(1, &group.id);
    writer.string(2, &group.name);
    writer.bool(3, group.weak);
}

fn write_linux_resources(writer: &mut Writer<'_>, resources: &LinuxResources) {
    writer.int(1, resources.memory);
    writer.int(2, resources.memory_swap);
    writer.int(3, resources.cpu_shares);
    writer.int(4, resources.cpu_period);
    writer.int(5, resources.cpu_quota);
    writer.string(6, &resources.cpuset_cpus);
    writer.string(7, &resources.cpuset_mems);
}

/// Bytes of most ranges on the wire.
const TYPICAL_RANGE: usize = 10;

/// Writes where a vertex comes from; `index` maps the index of a text to the one on the wire.
pub(crate) fn write_locations(
    writer: &mut Writer<'_>,
    digest: &Digest,
    locations: &[Location],
    index: impl Fn(u32) -> u32,
) {
    let ranges: usize = locations.iter().map(|location| location.ranges.len()).sum();
    let roughly = ranges * TYPICAL_RANGE;
    writer.message_of(1, digest.as_str().len() + roughly, |entry| {
        entry.string(1, digest.as_str());
        entry.message_of(2, roughly, |w| {
            for Location { source, ranges } in locations {
                w.message_of(1, ranges.len() * TYPICAL_RANGE, |w| {
                    w.int(1, i64::from(index(*source)));
                    ranges.iter().for_each(|range| w.message(2, |w| write_range(w, *range)));
                });
            }
        });
    });
}

fn write_range(writer: &mut Writer<'_>, range: Range) {
    for (field, Position { line, character }) in [(1, range.start), (2, range.end)] {
        if character == 0 && line > 0 {
            // As a text of lines has it.
            writer.message_of_number(field, line.cast_unsigned());
            continue;
        }
        writer.message(field, |w| {
            w.int(1, i64::from(line));
            w.int(2, i64::from(character));
        });
    }
}
