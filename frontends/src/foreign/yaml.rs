//! YAML as a tree of nodes with their places; scalars are texts, as the files that are read have nothing else.

use std::ops::Range;

use saphyr_parser::{Event, Parser};

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Bytes of the text.
    pub(super) at: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        if let Kind::Text(text) = &self.kind { Some(text) } else { None }
    }

    pub(super) fn items(&self) -> Option<&[Node]> {
        if let Kind::List(items) = &self.kind { Some(items) } else { None }
    }

    pub(super) fn entries(&self) -> Option<&[(Node, Node)]> {
        if let Kind::Map(entries) = &self.kind { Some(entries) } else { None }
    }
}

/// Deeper nests are no file of these tools.
const MOST_NESTED: usize = 64;

/// The first document of a text.
///
/// **Errors**: where it stops being YAML, and how.
pub(super) fn read(text: &str) -> Result<Node, (Range<usize>, String)> {
    // Places are counted in characters.
    let bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let byte = |index: usize| bytes.get(index).copied().unwrap_or(text.len());
    let mut open: Vec<(bool, Vec<Node>, usize)> = Vec::new();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let at = byte(error.marker().index());
            (at..at, error.info().to_owned())
        })?;
        let (start, end) = (byte(span.start.index()), byte(span.end.index()));
        let done = match event {
            Event::Scalar(value, ..) => Node { kind: Kind::Text(value.into_owned()), at: start..end },
            Event::Alias(_) => return Err((start..end, "aliases are not supported: write it out".to_owned())),
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() == MOST_NESTED {
                    return Err((start..end, "this is nested too deep".to_owned()));
                }
                open.push((matches!(event, Event::MappingStart(..)), Vec::new(), start));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some((is_map, nodes, start)) = open.pop() else { continue };
                let last = nodes.last().map_or(end, |node| node.at.end).max(start);
                let kind = if is_map { Kind::Map(pairs(nodes)) } else { Kind::List(nodes) };
                // A block ends where the next thing begins; what it holds ends before.
                Node { kind, at: start..if last == start { end } else { last } }
            }
            Event::DocumentEnd => break,
            _ => continue,
        };
        match open.last_mut() {
            Some((_, nodes, _)) => nodes.push(done),
            None => return Ok(done),
        }
    }
    Err((0..text.len(), "there is nothing in it".to_owned()))
}

fn pairs(nodes: Vec<Node>) -> Vec<(Node, Node)> {
    let mut nodes = nodes.into_iter();
    std::iter::from_fn(|| Some((nodes.next()?, nodes.next()?))).collect()
}
