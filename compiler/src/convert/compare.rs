//! What builds come to, and in what two of them differ.

use std::collections::BTreeMap;

use ast::{FileId, Severity, Source, Span};
use llb::Graph;
use oci::Digest;

use super::StandIns;
use super::difference::{self, Part};
use super::unfold::settings::NOTHING_PATH;
use crate::{Facts, Options, Plan};

/// Directories of the client by the names they have in a definition; those that are not there are the one it is built in.
pub(super) type Directories = BTreeMap<String, String>;

/// A vertex with its digest and its place.
struct Vertex {
    digest: Digest,
    place: Option<Span>,
    node: llb::Node,
}

/// What a target comes to: its vertices with their places, and what containers of its images are told.
pub(super) struct Built {
    vertices: Vec<Vertex>,
    told: Vec<(String, serde_json::Value)>,
}

impl Built {
    /// The first thing that another one has not, or has otherwise, with its place.
    pub(super) fn unlike(&self, other: &Self) -> Option<(Part, Option<Span>)> {
        let has = |of: &Self, vertex: &Vertex| of.vertices.iter().any(|known| known.digest == vertex.digest);
        let fresh = other.vertices.iter().filter(|vertex| !has(self, vertex));
        if let Some(less) = self.vertices.iter().find(|vertex| !has(other, vertex)) {
            // The first of those that are most like it is what became of it.
            let more = fresh.rev().max_by_key(|more| difference::likeness(&less.node.op, &more.node.op));
            let part = more.map_or(Part::Missing, |more| Part::between(&less.node, &more.node));
            return Some((part, less.place));
        }
        let more = fresh.into_iter().next();
        if let Some(more) = more {
            return Some((Part::More(difference::kind(&more.node.op)), None));
        }
        let platforms = |of: &Self| of.told.iter().map(|(platform, _)| platform.clone()).collect::<Vec<_>>().join(", ");
        let (own, others) = (platforms(self), platforms(other));
        if own != others {
            return Some((Part::Platforms(others), None));
        }
        let (told, other) = self.told.iter().zip(&other.told).find(|(told, other)| told != other)?;
        Some((Part::told(&told.1, &other.1), None))
    }
}

/// What a build comes to, and its plan. **Errors**: why it cannot be built.
pub(super) fn built(
    source: &Source,
    options: &Options,
    directories: &Directories,
    world: &StandIns<'_>,
) -> Result<(Built, Plan), String> {
    let outcome = crate::compile(source, options, Facts::default(), world);
    let refused = || {
        let error = outcome.diagnostics.iter().find(|found| found.severity == Severity::Error);
        error.map_or_else(String::new, |error| error.message.clone())
    };
    let mut plan = outcome.plan.clone().ok_or_else(refused)?;
    same_contexts(&mut plan.graph, directories);
    let (_, digests) = llb::encode_traced(&plan.graph).map_err(|error| error.to_string())?;
    let vertex = |(node, digest): (&llb::Node, Option<Digest>)| {
        Some(Vertex { digest: digest?, place: place(node, source), node: node.clone() })
    };
    let vertices = plan.graph.nodes.iter().zip(digests).filter_map(vertex).collect();
    let told = plan.outputs.iter().map(|output| (output.platform.to_string(), told(&output.image)));
    let built = Built { vertices, told: told.collect() };
    Ok((built, plan))
}

/// What containers of an image are told, with what they have when it says nothing.
fn told(image: &[u8]) -> serde_json::Value {
    let mut image: serde_json::Value = serde_json::from_slice(image).unwrap_or_default();
    let mut told = image["config"].take();
    if told.is_null() {
        told = serde_json::json!({});
    }
    if let Some(told) = told.as_object_mut() {
        // A mark of one language's own, for commands that are escaped on Windows.
        told.remove("ArgsEscaped");
        told.entry("WorkingDir").or_insert_with(|| "/".into());
        let env = told.entry("Env").or_insert_with(|| serde_json::json!([]));
        let has_path = |env: &[serde_json::Value]| {
            env.iter().any(|entry| entry.as_str().is_some_and(|entry| entry.starts_with("PATH=")))
        };
        if let Some(env) = env.as_array_mut().filter(|env| !has_path(env)) {
            env.push(format!("PATH={}", NOTHING_PATH).into());
        }
    }
    told
}

/// The innermost place of a vertex in a text.
pub(super) fn place(node: &llb::Node, source: &Source) -> Option<Span> {
    let location = node.locations.iter().find(|location| location.source == 0 && !location.ranges.is_empty())?;
    let (first, last) = (location.ranges.first()?, location.ranges.last()?);
    let offset = |position: llb::Position| {
        let start = source.lines.start_of(u32::try_from(position.line).ok()?)?;
        let line = &source.bytes[start as usize..];
        let line = String::from_utf8_lossy(&line[..line.iter().position(|b| *b == b'\n').unwrap_or(line.len())]);
        let mut units = usize::try_from(position.character).ok()?;
        let before = line.chars().take_while(|c| {
            let is_before = units > 0;
            units = units.saturating_sub(c.len_utf16());
            is_before
        });
        Some((start + before.map(char::len_utf8).sum::<usize>() as u32, start + line.trim_end().len() as u32))
    };
    let ((start, _), (end, line_end)) = (offset(first.start)?, offset(last.end)?);
    // Of steps only the lines are known.
    let end = if end > start { end } else { line_end.max(start) };
    Some(Span::new(FileId(0), start, end))
}

/// Calls directories of the client by what they are: each language has another name for the one it is built in, and what of
/// it is sent is no part of what is meant.
fn same_contexts(graph: &mut Graph, directories: &Directories) {
    for node in &mut graph.nodes {
        if let llb::Op::Source(source) = &mut node.op
            && let Some(name) = source.identifier.strip_prefix("local://")
            && !name.starts_with(SAME)
        {
            let directory = directories.get(name).map_or("", String::as_str);
            source.identifier = format!("local://{SAME}{directory}");
            source.attrs.clear();
        }
    }
}

/// What names of directories begin with once they are called by what they are.
const SAME: &str = "same:";
