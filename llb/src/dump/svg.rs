//! The drawing of a graph as SVG: a column a stage, a row for each vertex that must be done before, the longest way
//! through it marked.
//!
//! A layered layout of our own: the row of a vertex is its depth, its column that of its stage (from the name a frontend
//! gave it; a vertex without one stands with whoever uses it first), and vertices of one stage and depth stand side by
//! side. Rows keep every arrow going down, which is what a reader needs, and stages stand in the order in which they are
//! done, so that most go to the right; crossings are not minimised.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::name;
use crate::{Edge, Graph, NodeId, Op, shape};

/// Width and height of a box, and the room around it, in pixels.
const BOX: (usize, usize) = (230, 34);
const GAP: (usize, usize) = (22, 34);
/// Room for the name of a stage above its column, and around everything.
const HEAD: usize = 34;
const MARGIN: usize = 16;
/// Characters of a name that fit into a box.
const FITS: usize = 29;

/// Where a vertex is drawn: its upper left corner.
type Place = (usize, usize);

/// Draws what the outputs of a graph need. The classes of its parts are for a style sheet, which is put in if it is not
/// empty: `source`, `exec`, `file`, `other`, `critical`, `edge`, `stage`, `output`.
pub fn svg(graph: &Graph, style: &str) -> String {
    let layout = Layout::new(graph);
    let path = shape::critical_path(graph);
    let critical: BTreeSet<NodeId> = path.iter().copied().collect();
    let on_path: BTreeSet<(NodeId, NodeId)> = path.iter().copied().zip(path.iter().copied().skip(1)).collect();
    let mut text = String::new();
    let (width, height) = layout.size;
    let _ = writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">"
    );
    if !style.is_empty() {
        let _ = writeln!(text, "<style>\n{style}</style>");
    }
    for (stage, x, span) in &layout.columns {
        let _ =
            writeln!(text, "<rect class=\"column\" x=\"{x}\" y=\"0\" width=\"{span}\" height=\"{height}\" rx=\"8\"/>");
        let _ = writeln!(text, "<text class=\"stage\" x=\"{}\" y=\"22\">{}</text>", x + 10, escaped(stage));
    }
    for (&node, &place) in &layout.places {
        let inputs: BTreeSet<NodeId> = graph.nodes[node.0 as usize].inputs.iter().map(|edge| edge.node).collect();
        for input in inputs {
            write_edge(&mut text, layout.places[&input], place, on_path.contains(&(input, node)));
        }
    }
    let outputs: BTreeSet<NodeId> =
        graph.outputs.iter().filter_map(|output| output.edge).map(|edge| edge.node).collect();
    for (&node, &place) in &layout.places {
        let mut classes = class(&graph.nodes[node.0 as usize].op).to_owned();
        classes += if critical.contains(&node) { " critical" } else { "" };
        classes += if outputs.contains(&node) { " output" } else { "" };
        write_box(&mut text, &name(&graph.nodes[node.0 as usize]), place, &classes);
    }
    text.push_str("</svg>\n");
    text
}

struct Layout {
    places: BTreeMap<NodeId, Place>,
    /// Name, left edge and width of each stage.
    columns: Vec<(String, usize, usize)>,
    size: (usize, usize),
}

impl Layout {
    fn new(graph: &Graph) -> Self {
        let (needed, depths, stages) = (shape::needed(graph), shape::depths(graph), stages(graph));
        let needed = || (0..graph.nodes.len()).filter(|&index| needed[index]);
        let mut deepest: BTreeMap<&str, u32> = BTreeMap::new();
        for index in needed() {
            let deep = deepest.entry(&stages[index]).or_default();
            *deep = depths[index].max(*deep);
        }
        let mut names: Vec<&str> = deepest.keys().copied().collect();
        names.sort_by_key(|name| deepest[name]);
        let columns: BTreeMap<&str, usize> = names.iter().copied().zip(0..).collect();
        // Cells: the vertices of a stage at a depth.
        let mut cells: BTreeMap<(usize, u32), Vec<NodeId>> = BTreeMap::new();
        for index in needed() {
            let column = columns[&*stages[index]];
            cells.entry((column, depths[index])).or_default().push(NodeId(u32::try_from(index).unwrap_or(u32::MAX)));
        }
        let mut layout = Self { places: BTreeMap::new(), columns: Vec::new(), size: (0, 0) };
        let mut x = MARGIN;
        for (column, name) in names.iter().enumerate() {
            let of_column = cells.range((column, 0)..(column + 1, 0));
            let widest = of_column.clone().map(|(_, nodes)| nodes.len()).max().unwrap_or(1);
            let span = widest * (BOX.0 + GAP.0) + GAP.0;
            layout.columns.push(((*name).to_owned(), x, span));
            for ((_, depth), nodes) in of_column {
                let y = HEAD + MARGIN / 2 + *depth as usize * (BOX.1 + GAP.1);
                let row = nodes.iter().enumerate();
                layout.places.extend(row.map(|(at, node)| (*node, (x + GAP.0 + at * (BOX.0 + GAP.0), y))));
            }
            x += span + MARGIN;
        }
        let deepest = layout.places.values().map(|(_, y)| *y).max().unwrap_or_default();
        layout.size = (x.max(BOX.0), deepest + BOX.1 + MARGIN);
        layout
    }
}

/// The stage of each vertex; that of its first user where its name tells none.
fn stages(graph: &Graph) -> Vec<String> {
    let mut stages: Vec<Option<String>> =
        graph.nodes.iter().map(|node| stage(&name(node)).map(str::to_owned)).collect();
    for index in (0..graph.nodes.len()).rev() {
        let Some(stage) = stages[index].clone() else { continue };
        for Edge { node, .. } in &graph.nodes[index].inputs {
            stages[node.0 as usize].get_or_insert_with(|| stage.clone());
        }
    }
    stages.into_iter().map(Option::unwrap_or_default).collect()
}

/// `build` of `[build 2/4] RUN make`, `internal` of `[internal] load build context`.
fn stage(name: &str) -> Option<&str> {
    let (inside, _) = name.strip_prefix('[')?.split_once(']')?;
    match inside.rsplit_once(' ') {
        // Numbers are padded: `[build  6/10]`.
        Some((stage, number)) if number.contains('/') => Some(stage.trim_end()),
        None if inside.contains('/') => Some(""),
        _ => Some(inside),
    }
}

fn class(op: &Op) -> &'static str {
    match op {
        Op::Source(_) => "source",
        Op::Exec(_) => "exec",
        Op::File(_) => "file",
        Op::Build(_) | Op::Merge(_) | Op::Diff(_) | Op::Passthrough(_) => "other",
    }
}

fn write_edge(text: &mut String, from: Place, to: Place, on_path: bool) {
    let ((x1, y1), (x2, y2)) = ((from.0 + BOX.0 / 2, from.1 + BOX.1), (to.0 + BOX.0 / 2, to.1));
    let bend = (y2 - y1) / 2;
    let class = if on_path { "edge critical" } else { "edge" };
    let (c1, c2) = (y1 + bend, y2 - bend);
    let _ = writeln!(text, "<path class=\"{class}\" d=\"M{x1} {y1}C{x1} {c1} {x2} {c2} {x2} {y2}\"/>");
}

fn write_box(text: &mut String, name: &str, (x, y): Place, classes: &str) {
    let short = short(name);
    let mut shown: String = short.chars().take(FITS).collect();
    if short.chars().count() > FITS {
        shown.pop();
        shown.push('…');
    }
    let (width, height) = BOX;
    let _ = writeln!(
        text,
        "<g class=\"{classes}\"><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"5\"/>\
         <text x=\"{}\" y=\"{}\">{}</text></g>",
        escaped(name),
        x + 9,
        y + 22,
        escaped(&shown)
    );
}

/// What tells a step from others in few characters: without its number, its flags, the registry that nobody writes, digests.
fn short(name: &str) -> String {
    let step = name.split_once("] ").filter(|_| name.starts_with('[')).map_or(name, |(_, step)| step);
    let mut words: Vec<&str> = step.split(' ').collect();
    // `RUN --mount=… make` has flags behind its first word, `LINK COPY --from=…` behind its second.
    let first = words.iter().take_while(|word| word.chars().all(|c| c.is_ascii_uppercase())).count();
    let flags = words.iter().skip(first).take_while(|word| word.starts_with("--")).count();
    if first > 0 && flags > 0 && first + flags < words.len() {
        words.splice(first..first + flags, ["…"]);
    }
    if let ["FROM", image, ..] = &mut words[..] {
        let plain = image.strip_prefix("docker.io/").unwrap_or(image);
        let plain = plain.strip_prefix("library/").unwrap_or(plain);
        *image = plain.split('@').next().unwrap_or(plain);
    }
    words.join(" ")
}

/// Text between the tags of XML or HTML. Characters that XML cannot hold become spaces.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_told_by_names() {
        for (name, expected) in [
            ("[build 2/4] RUN make", Some("build")),
            ("[build  2/10] RUN make", Some("build")),
            ("[2/4] RUN make", Some("")),
            ("[linux/arm64 build 2/4] RUN make", Some("linux/arm64 build")),
            ("[internal] load build context", Some("internal")),
            ("FROM x", None),
        ] {
            assert_eq!(stage(name), expected, "{name}");
        }
    }

    #[test]
    fn arrows_go_down_and_boxes_do_not_meet() {
        let mut graph = crate::sample::build(200);
        graph.nodes[3].meta.description.insert("llb.customname", "[a 1/2] RUN <x> && \u{1}");
        let layout = Layout::new(&graph);
        let places: BTreeSet<&Place> = layout.places.values().collect();
        assert_eq!(places.len(), layout.places.len());
        for (node, place) in &layout.places {
            for edge in &graph.nodes[node.0 as usize].inputs {
                assert!(layout.places[&edge.node].1 < place.1);
            }
            assert!(place.0 + BOX.0 <= layout.size.0 && place.1 + BOX.1 <= layout.size.1);
        }
        assert!(svg(&graph, "").contains("<title>[a 1/2] RUN &lt;x&gt; &amp;&amp;  </title>"));
    }

    #[test]
    fn stages_stand_in_the_order_in_which_they_are_done() {
        let graph = crate::text::parse(
            r#"
            %0 = source "docker-image://base" platform("linux", "amd64")
              ! description={"llb.customname": "[last 1/2] FROM base"}
            %1 = exec(%0) args=["a"] cwd="/" bind("/", from=0, to=0)
              ! description={"llb.customname": "[first 1/1] RUN a"}
            %2 = file(%0, %1) copy("/a", "/", base=0, from=1, to=0)
              ! description={"llb.customname": "[last 2/2] COPY --from=first /a /"}
            output %2"#,
        );
        let graph = graph.unwrap();
        let columns: Vec<String> = Layout::new(&graph).columns.into_iter().map(|(name, ..)| name).collect();
        assert_eq!(columns, ["first", "last"]);
        // The way from the first to the last is not the longest, though both are on that.
        assert_eq!(svg(&graph, "").matches("edge critical").count(), 2);
    }

    #[test]
    fn boxes_say_what_is_done() {
        for (name, shown) in [
            ("[build 2/4] RUN --mount=type=cache,target=/c --network=none make -j", "RUN … make -j"),
            ("[a 2/2] LINK COPY --from=b --link /x /y", "LINK COPY … /x /y"),
            ("[a 1/2] FROM docker.io/library/debian:12@sha256:00", "FROM debian:12"),
            ("[a 1/2] FROM registry.test/a/b:12@sha256:00", "FROM registry.test/a/b:12"),
            ("[a 2/2] HEALTHCHECK --interval=1s", "HEALTHCHECK --interval=1s"),
            ("[internal] load build context", "load build context"),
            ("sh -c make", "sh -c make"),
        ] {
            assert_eq!(short(name), shown);
        }
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert!(svg(&Graph::default(), "").starts_with("<svg "));
    }
}
