//! What follows the vertices: what is said of them, and where they come from.

use oci::Digest;

use super::walk::{Encoded, Encoding};
use super::{EncodeError, encode, encode_to_bytes};
use crate::definition::{Definition, SourceMap, SourceText, Vertex, write_locations, write_metadata, write_text};
use crate::hash::{DigestMap, sort_key};
use crate::keyed::Words;
use crate::wire::Writer;
use crate::{Location, Metadata, SourceInfo};

/// Bytes of most vertices' places in the source texts.
const TYPICAL_PLACE: usize = 100;

impl Encoding<'_> {
    pub(super) fn into_definition(self) -> Result<Definition, EncodeError> {
        let texts = self.texts.used.iter().map(|&index| text(&self.graph.sources[index])).collect::<Result<_, _>>()?;
        let mut definition = Definition::default();
        for (digest, encoded) in &self.vertices {
            let bytes = self.bytes[encoded.bytes.clone()].to_vec();
            definition.vertices.push(Vertex { digest: digest.clone(), bytes });
        }
        let sorted = sorted(&self.vertices);
        if !sorted.is_empty() {
            let renumber =
                |location: &Location| Location { source: self.texts.new_index(location.source), ..location.clone() };
            let located = sorted.iter().filter_map(|(digest, encoded)| {
                Some(((*digest).clone(), encoded.locations.as_ref()?.iter().map(renumber).collect()))
            });
            definition.source = Some(SourceMap { texts, locations: located.collect() });
        }
        definition.metadata =
            sorted.iter().map(|(digest, encoded)| ((*digest).clone(), encoded.meta.as_ref().clone())).collect();
        Ok(definition)
    }

    pub(super) fn into_bytes(mut self) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = std::mem::take(&mut self.bytes);
        let writer = &mut Writer(&mut bytes);
        let sorted = sorted(&self.vertices);
        let said = self.said.as_deref().unwrap_or_default();
        for (digest, encoded) in &sorted {
            match &encoded.written {
                Some(written) => writer.raw(&said[written.meta.clone()]),
                None => write_metadata(writer, digest, &encoded.meta),
            }
        }
        let texts = self.texts.used.iter().map(|&index| &self.graph.sources[index]);
        let nested = |text: &SourceInfo| text.definition.as_deref().map(encode_to_bytes).transpose();
        let texts = texts.map(|text| Ok((text, nested(text)?))).collect::<Result<Vec<_>, _>>()?;
        if !sorted.is_empty() {
            let roughly = texts.iter().map(|(text, _)| text.data.len()).sum::<usize>() + sorted.len() * TYPICAL_PLACE;
            writer.message_of(3, roughly, |w| {
                for (digest, encoded) in &sorted {
                    match (&encoded.written, &encoded.locations) {
                        (Some(written), _) => w.raw(&said[written.locations.clone()]),
                        (None, Some(locations)) => {
                            write_locations(w, digest, locations, |source| self.texts.new_index(source));
                        }
                        (None, None) => {}
                    }
                }
                for (text, nested) in &texts {
                    write_text(w, &text.filename, &text.data, nested.as_deref(), &text.language);
                }
            });
        }
        Ok(bytes)
    }
}

/// Vertices in the order of their digests, in which maps are written.
fn sorted<'e, 'g>(vertices: &'e DigestMap<Encoded<'g>>) -> Vec<(&'e Digest, &'e Encoded<'g>)> {
    let mut keyed: Vec<_> = vertices.iter().map(|(digest, encoded)| (sort_key(digest), digest, encoded)).collect();
    keyed.sort_unstable_by(|(left_key, left, _), (right_key, right, _)| {
        left_key.cmp(right_key).then_with(|| left.cmp(right))
    });
    keyed.into_iter().map(|(_, digest, encoded)| (digest, encoded)).collect()
}

fn text(source: &SourceInfo) -> Result<SourceText, EncodeError> {
    Ok(SourceText {
        filename: source.filename.clone(),
        data: source.data.clone(),
        definition: source.definition.as_deref().map(encode).transpose()?.map(Box::new),
        language: source.language.clone(),
    })
}

/// Adds what a later node says of the same vertex.
pub(crate) fn merge(meta: &mut Metadata, later: &Metadata) {
    meta.ignore_cache |= later.ignore_cache;
    meta.description.extend(later.description.iter().map(|(key, value)| (key.clone(), value.clone())));
    meta.export_cache = later.export_cache.or(meta.export_cache);
    meta.caps.extend(later.caps.iter().cloned());
    if later.progress_group.is_some() {
        meta.progress_group.clone_from(&later.progress_group);
    }
    if later.linux_resources.is_some() {
        meta.linux_resources.clone_from(&later.linux_resources);
    }
}

/// Gives terminal vertices that do not name their capabilities those that the definition needs.
pub(super) fn complete_terminals(vertices: &mut DigestMap<Encoded<'_>>) {
    let caps = capabilities(vertices.values());
    for vertex in vertices.values_mut() {
        if vertex.locations.is_none() && vertex.meta.caps.is_empty() {
            vertex.meta.to_mut().caps.clone_from(&caps);
        }
    }
}

/// What a daemon must support to read the metadata of these vertices.
fn capabilities<'v>(vertices: impl Iterator<Item = &'v Encoded<'v>>) -> Words {
    let mut caps = Words::from_iter(["constraints", "platform"]);
    let (mut ignores, mut describes, mut exports) = (false, false, false);
    for Encoded { meta, .. } in vertices.filter(|vertex| vertex.locations.is_some()) {
        ignores |= meta.ignore_cache;
        describes |= !meta.description.is_empty();
        exports |= meta.export_cache.is_some();
    }
    let used = [(ignores, "meta.ignorecache"), (describes, "meta.description"), (exports, "meta.exportcache")];
    caps.extend(used.into_iter().filter(|(used, _)| *used).map(|(_, cap)| cap));
    caps
}
