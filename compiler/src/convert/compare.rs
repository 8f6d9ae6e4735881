//! What builds come to, and in what two of them differ.

use std::collections::BTreeMap;

use ast::{FileId, Severity, Source, Span};
use llb::Graph;
use oci::Digest;

use super::StandIns;
use super::settings::NOTHING_PATH;
use crate::{Facts, Options, Plan};

/// Directories of the client by the names they have in a definition; those that are not there are the one it is built in.
pub(super) type Directories = BTreeMap<String, String>;

/// A vertex with its digest and its place.
struct Vertex {
    digest: Digest,
    place: Option<Span>,
    op: llb::Op,
}

/// In what two vertices differ, as far as it has a name.
fn unlike_op(one: &llb::Op, other: &llb::Op) -> &'static str {
    match (one, other) {
        (llb::Op::Exec(one), llb::Op::Exec(other)) => {
            let alike = [
                (one.meta.args == other.meta.args, "the command"),
                (one.meta.env == other.meta.env, "the variables of the process, or their order"),
                (one.meta.cwd == other.meta.cwd, "the working directory of the process"),
                (one.meta.user == other.meta.user, "the user of the process"),
                (one.mounts == other.mounts, "the mounts of the process"),
            ];
            alike.iter().find(|(is_alike, _)| !is_alike).map_or("how the process runs", |(_, what)| what)
        }
        (llb::Op::File(one), llb::Op::File(other)) => match (&one[..], &other[..]) {
            ([one], [other]) => match (&one.kind, &other.kind) {
                (llb::FileActionKind::Copy(one), llb::FileActionKind::Copy(other)) => {
                    let alike = [
                        (one.src == other.src, "the path that is copied"),
                        (one.dest == other.dest, "where it is copied to"),
                        (one.owner == other.owner, "the owner of what is copied"),
                        (one.mode == other.mode && one.mode_str == other.mode_str, "the mode of what is copied"),
                    ];
                    alike.iter().find(|(is_alike, _)| !is_alike).map_or("how it is copied", |(_, what)| what)
                }
                _ => "what becomes of files",
            },
            _ => "several changes of files in one",
        },
        (llb::Op::Source(one), llb::Op::Source(other)) if one.identifier != other.identifier => "what is fetched",
        (llb::Op::Source(_), llb::Op::Source(_)) => "how it is fetched",
        _ => "what is done",
    }
}

/// What a target comes to: its vertices with their places, and what containers of its images are told.
pub(super) struct Built {
    vertices: Vec<Vertex>,
    told: Vec<(String, serde_json::Value)>,
}

impl Built {
    /// The first thing that another one has not, or has otherwise.
    pub(super) fn unlike(&self, other: &Self) -> Option<(String, Option<Span>)> {
        let has = |of: &Self, vertex: &Vertex| of.vertices.iter().any(|known| known.digest == vertex.digest);
        let more = other.vertices.iter().find(|vertex| !has(self, vertex));
        if let Some(less) = self.vertices.iter().find(|vertex| !has(other, vertex)) {
            let what = more.map_or("it is not there", |more| unlike_op(&less.op, &more.op));
            return Some((format!("of the steps that differ, this is the first ({what})"), less.place));
        }
        if more.is_some() {
            return Some(("it has more steps".to_owned(), None));
        }
        if self.told.len() != other.told.len() {
            return Some(("it is for other platforms".to_owned(), None));
        }
        let of_each = self.told.iter().zip(&other.told).find(|(told, other)| told != other);
        let ((platform, told), (other_platform, other)) = of_each?;
        if platform != other_platform {
            return Some((format!("it is for {other_platform}"), None));
        }
        let keys = told.as_object().into_iter().chain(other.as_object()).flat_map(serde_json::Map::keys);
        let key = keys.into_iter().find(|key| told[key.as_str()] != other[key.as_str()]);
        Some((format!("its image is told another {}", key.map_or("config", String::as_str)), None))
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
        Some(Vertex { digest: digest?, place: place(node, source), op: node.op.clone() })
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
