//! Damaged definitions: whatever arrives, decoding answers, and what it lets through everything else can handle.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads its cases from files")]

use std::fs;
use std::path::Path;

use llb::{Definition, Vertex};
use oci::Digest;

/// A generator of numbers that is the same on every run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) as usize % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        // Bytes that mean something on the wire come up more often than chance would have it.
        *[0x00, 0x01, 0x0a, 0x12, 0x7f, 0x80, 0xff, self.below(256) as u8].get(self.below(8)).unwrap()
    }
}

/// A definition of every case of a few groups that together have every operation of the corpus.
fn corpus() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/dockerfile");
    let mut files = Vec::new();
    for group in ["basic", "copy", "link", "mount", "run", "heredoc"] {
        for case in fs::read_dir(root.join(group)).unwrap() {
            files.extend(fs::read(case.unwrap().path().join("expect.pb")));
        }
    }
    assert!(files.len() > 100, "the corpus is there: {} files", files.len());
    files.sort();
    files
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(6) {
            _ if bytes.is_empty() => bytes.push(random.byte()),
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.byte()),
            2 => drop(bytes.remove(at)),
            3 => bytes[at] ^= 1 << random.below(8),
            4 => {
                let end = (at + random.below(32)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => {
                bytes.splice(at..at + 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, random.byte(), 0x01]);
            }
        }
    }
}

/// Puts what decoding lets through to every use.
fn use_up(decoded: &llb::Decoded) {
    let findings = llb::verify::verify(&decoded.graph);
    let text = llb::text::print(&decoded.graph);
    assert_eq!(llb::text::parse(&text).as_ref(), Ok(&decoded.graph), "{text}");
    llb::dump::json(&decoded.definition).unwrap();
    llb::dump::dot(&decoded.definition).unwrap();
    if let Ok(definition) = llb::encode(&decoded.graph) {
        assert!(llb::encode_to_bytes(&decoded.graph).unwrap() == definition.to_bytes());
        assert!(findings.iter().any(|finding| finding.flaw.is_fatal()) || llb::understand(definition).is_ok());
    }
    let mut graph = decoded.graph.clone();
    let options = llb::passes::Options { level: llb::passes::Level::O2, ..Default::default() };
    llb::passes::optimize(&mut graph, options);
}

#[test]
fn any_bytes_are_a_definition_or_an_error() {
    let mut random = Random(1);
    let (mut accepted, mut refused) = (0, 0);
    for original in corpus() {
        for _ in 0..20 {
            let mut bytes = original.clone();
            mutate(&mut bytes, &mut random);
            match llb::decode(&bytes) {
                Ok(decoded) => {
                    accepted += 1;
                    use_up(&decoded);
                }
                Err(error) => {
                    refused += 1;
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }
    assert!(accepted > 100 && refused > 1000, "both happen: {accepted} accepted, {refused} refused");
}

/// Damage to one operation, with digests made to fit, so that it is looked at and not merely missed.
#[test]
fn any_operation_is_understood_or_an_error() {
    let mut random = Random(2);
    let (mut accepted, mut refused) = (0, 0);
    for original in corpus() {
        let Definition { mut vertices, .. } = llb::decode(&original).unwrap().definition;
        vertices.pop();
        for at in 0..vertices.len() {
            for _ in 0..8 {
                let mut bytes = vertices[at].bytes.clone();
                mutate(&mut bytes, &mut random);
                let definition = with_result(&vertices[..at], bytes);
                match llb::understand(definition) {
                    Ok(decoded) => {
                        accepted += 1;
                        use_up(&decoded);
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(accepted > 100 && refused > 3000, "both happen: {accepted} accepted, {refused} refused");
}

/// The definition of an operation whose inputs are there.
fn with_result(inputs: &[Vertex], op: Vec<u8>) -> Definition {
    let digest = Digest::sha256(&op);
    let terminal = [b"\x0a\x49\x0a\x47", digest.as_str().as_bytes()].concat();
    let mut vertices = inputs.to_vec();
    vertices.push(Vertex { digest, bytes: op });
    vertices.push(Vertex { digest: Digest::sha256(&terminal), bytes: terminal });
    Definition { vertices, ..Definition::default() }
}

#[test]
fn a_definition_that_is_cut_off_is_refused() {
    let bytes = corpus().into_iter().max_by_key(Vec::len).unwrap();
    let whole = llb::decode(&bytes).unwrap();
    for end in 0..bytes.len() {
        let Ok(decoded) = llb::decode(&bytes[..end]) else { continue };
        // Not to be told from a definition without metadata or without a source map, both of which are sound.
        let Definition { vertices, metadata, source } = &decoded.definition;
        assert!(
            source.is_none() && (metadata.is_empty() || metadata.len() == whole.definition.metadata.len()),
            "{end}"
        );
        assert!(vertices.is_empty() || vertices.len() == whole.definition.vertices.len(), "{end}");
    }
}

/// Positions, outputs, modes and sizes that no frontend writes.
#[test]
fn any_number_is_handled() {
    const NUMBERS: [&str; 8] = ["-9223372036854775808", "9223372036854775807", "4294967295", "-2", "-1", "0", "1", "7"];
    let mut random = Random(3);
    let (mut accepted, mut refused) = (0, 0);
    for original in corpus() {
        let text = llb::text::print(&llb::decode(&original).unwrap().graph);
        let places: Vec<usize> = text.match_indices('=').map(|(place, _)| place + 1).collect();
        for _ in 0..6 {
            let Some(&place) = places.get(random.below(places.len())) else { continue };
            let old = text[place..].trim_start_matches(|c: char| c == '-' || c == '#' || c.is_ascii_alphanumeric());
            let text = format!("{}{}{old}", &text[..place], NUMBERS[random.below(NUMBERS.len())]);
            match llb::text::parse(&text) {
                Ok(graph) => {
                    accepted += 1;
                    llb::verify::verify(&graph);
                    if let Ok(bytes) = llb::encode_to_bytes(&graph) {
                        use_up(&llb::decode(&bytes).unwrap());
                    }
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(accepted > 100 && refused > 100, "both happen: {accepted} accepted, {refused} refused");
}
