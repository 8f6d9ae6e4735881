//! The digests of vertices as BuildKit up to v0.15 computes them: there the fields of an operation go on the wire in the
//! order of their numbers, later the operation itself goes last. HLB names vendored modules by those digests.

use std::collections::BTreeMap;

use oci::Digest;

use crate::Definition;

/// Field of `pb.Op` that holds an input.
const INPUTS: u64 = 1;

/// The older digest of every vertex of a definition.
pub fn ascending_digests(definition: &Definition) -> BTreeMap<Digest, Digest> {
    let mut digests: BTreeMap<Digest, Digest> = BTreeMap::new();
    for vertex in &definition.vertices {
        let mut fields = fields(&vertex.bytes);
        fields.sort_by_key(|(number, _)| *number);
        let bytes: Vec<u8> = fields
            .into_iter()
            .flat_map(|(number, bytes)| if number == INPUTS { renamed(bytes, &digests) } else { bytes.to_vec() })
            .collect();
        digests.insert(vertex.digest.clone(), Digest::sha256(&bytes));
    }
    digests
}

/// An input under the digest that its vertex had: of the same length, so nothing else changes.
fn renamed(input: &[u8], digests: &BTreeMap<Digest, Digest>) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for (newer, older) in digests {
        let at = bytes.windows(newer.as_str().len()).position(|window| window == newer.as_str().as_bytes());
        if let Some(at) = at {
            bytes[at..at + older.as_str().len()].copy_from_slice(older.as_str().as_bytes());
            break;
        }
    }
    bytes
}

/// The fields of a message, each whole, with their numbers. What is no message has none.
fn fields(bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut fields = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((number, length)) = field(rest).filter(|(_, length)| *length <= rest.len()) else { return fields };
        fields.push((number, &rest[..length]));
        rest = &rest[length..];
    }
    fields
}

/// Number and length of the first field.
fn field(bytes: &[u8]) -> Option<(u64, usize)> {
    let (key, header) = varint(bytes)?;
    let length = match key & 7 {
        0 => header + varint(&bytes[header..])?.1,
        1 => header + 8,
        2 => {
            let (length, size) = varint(&bytes[header..])?;
            header + size + usize::try_from(length).ok()?
        }
        5 => header + 4,
        _ => return None,
    };
    Some((key >> 3, length))
}

fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{encode, text};

    #[test]
    fn digests_that_were_recorded_of_v0_15() {
        let graph = text::parse(
            r#"
            %0 = source "docker-image://docker.io/library/a:latest" platform("linux", "amd64")
            %1 = exec(%0) args=["/bin/sh", "-c", "make"] cwd="/" bind("/", from=0, to=0) bind("/out", to=1) platform("linux", "amd64")
            output %1.1"#,
        );
        let Ok(graph) = graph else { panic!("{graph:?}") };
        let definition = encode(&graph).unwrap();
        let digests = ascending_digests(&definition);
        let shown: Vec<&str> =
            definition.vertices.iter().map(|vertex| &digests[&vertex.digest].as_str()[7..15]).collect();
        assert_eq!(shown, ["3f58433b", "e78c3de5", "ad731f88"]);
    }
}
