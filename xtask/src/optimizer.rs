//! What the optimizer gains, counted: vertices, the longest way through them, what runs again after a change of one file.
//!
//! Counted on the graph, without running anything: a vertex runs again when something it depends on does. Copies and mounts
//! of other files of the context do not (the cache knows contents), everything behind a changed copy does.

use std::fmt::Write as _;
use std::sync::Arc;

use compiler::{Facts, compile};
use llb::passes::{Level, Options, layers};
use llb::{ContentCache, Edge, FileActionKind, Graph, Mount, Node, Op, shape};

use crate::conformance::{self, Case, CorpusWorld};

/// The context of a build, as sources name it.
const CONTEXT: &str = "local://context";

/// Counts of one build at one level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Vertices that run when nothing is cached.
    pub vertices: usize,
    /// The most that must run one after the other.
    pub path: usize,
    /// Vertices that run again after a source file of the context changed; 0 where none is used.
    pub rerun: usize,
    /// Layers of the results made again after that.
    pub layers: usize,
}

/// One build at `-O0`, `-O1`, `-O2`.
#[derive(Clone, Debug)]
pub struct Row {
    /// `group/case`.
    pub name: String,
    /// Counts by level.
    pub counts: [Counts; 3],
}

/// Counts every case of the corpus that can be built and whose name holds `filter`.
pub fn rows(filter: &str) -> Result<Vec<Row>, String> {
    let corpus = conformance::corpus();
    let images = Arc::new(conformance::images(&corpus)?);
    let mut rows = Vec::new();
    for folder in conformance::cases(&corpus, filter)? {
        let case = Case::read(&folder)?;
        let world = CorpusWorld::new(&case, images.clone())?;
        let Some(plan) = compile(&case.source, &case.options, Facts::default(), &world).plan else { continue };
        let changed = changed_file(&plan.graph);
        let at = |level| {
            let mut plan = plan.clone();
            plan.optimize(Options { level, preserve_layers: false });
            counts(&plan.graph, changed.as_deref())
        };
        rows.push(Row { name: Case::name_of(&folder), counts: [Level::O0, Level::O1, Level::O2].map(at) });
    }
    Ok(rows)
}

/// A table of the rows, and what was gained at the median.
pub fn table(rows: &[Row]) -> String {
    let mut text = "| build | vertices | longest way | run again | layers again |\n|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let cell =
            |count: fn(&Counts) -> usize| row.counts.each_ref().map(|counts| count(counts).to_string()).join(" / ");
        let cells = [cell(|c| c.vertices), cell(|c| c.path), cell(|c| c.rerun), cell(|c| c.layers)];
        let _ = writeln!(text, "| {} | {} |", row.name, cells.join(" | "));
    }
    for (name, count) in [
        ("vertices", (|c| c.vertices) as fn(&Counts) -> usize),
        ("longest way", |c| c.path),
        ("run again", |c| c.rerun),
        ("layers again", |c| c.layers),
    ] {
        let medians = [1, 2].map(|level| format!("{:.0}%", median(rows, level, count) * 100.0));
        let _ = writeln!(text, "\n{name}: {} fewer at -O1, {} at -O2, at the median", medians[0], medians[1]);
    }
    text
}

/// By how much a count is less than at `-O0`, at the median of the rows that have any.
pub fn median(rows: &[Row], level: usize, count: fn(&Counts) -> usize) -> f64 {
    let gain = |row: &Row| 1.0 - count(&row.counts[level]) as f64 / count(&row.counts[0]) as f64;
    let mut gains: Vec<f64> = rows.iter().filter(|row| count(&row.counts[0]) > 0).map(gain).collect();
    gains.sort_by(f64::total_cmp);
    gains.get(gains.len() / 2).copied().unwrap_or_default()
}

fn counts(graph: &Graph, changed: Option<&str>) -> Counts {
    let needed = shape::needed(graph);
    let again = changed.map(|path| run_again(graph, path)).unwrap_or_default();
    let layers = graph.outputs.iter().filter_map(|output| output.edge).flat_map(|edge| layers(graph, edge));
    Counts {
        vertices: needed.iter().filter(|needed| **needed).count(),
        path: shape::critical_path(graph).len(),
        rerun: again.iter().zip(&needed).filter(|(again, needed)| **again && **needed).count(),
        layers: layers.filter(|node| again.get(node.0 as usize).copied().unwrap_or_default()).count(),
    }
}

/// A source file as somebody edits it, where the build file tells: one of the directory that the most is read from, else
/// the last that is read.
fn changed_file(graph: &Graph) -> Option<String> {
    let read: Vec<&str> = graph.nodes.iter().flat_map(|node| read(graph, node)).collect();
    let file = |src: &str| {
        let plain = src.split(['*', '?', '[']).next().unwrap_or_default();
        format!("{}/main", plain.trim_end_matches('/'))
    };
    let widest = read.iter().find(|src| **src == "/").map(|_| "/src/main".to_owned());
    widest.or_else(|| read.last().map(|src| file(src)))
}

/// Paths of the context whose content a vertex depends on; of everything else there it does not.
fn read<'g>(graph: &'g Graph, node: &'g Node) -> Vec<&'g str> {
    let from_context = |position: i64| {
        let edge = usize::try_from(position).ok().and_then(|position| node.inputs.get(position));
        edge.is_some_and(|edge| is_context(&graph.nodes[edge.node.0 as usize]))
    };
    match &node.op {
        Op::File(actions) => {
            let copies = actions.iter().filter(|action| from_context(action.secondary_input));
            copies
                .filter_map(
                    |action| if let FileActionKind::Copy(copy) = &action.kind { Some(&*copy.src) } else { None },
                )
                .collect()
        }
        Op::Exec(exec) => {
            let mounts = exec.mounts.iter().filter(|mount| from_context(mount.input) && is_read_by_content(mount));
            mounts.map(|mount| if mount.selector.is_empty() { "/" } else { &*mount.selector }).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether the cache looks at what is in a mount, rather than at where it came from; as BuildKit v0.32 decides it.
fn is_read_by_content(mount: &Mount) -> bool {
    let is_whole = matches!(&*mount.selector, "" | "/");
    let is_safe = mount.output < 0 || mount.readonly || is_whole;
    let is_root = mount.dest == "/" && mount.content_cache == ContentCache::Default;
    is_safe && !is_root && mount.content_cache != ContentCache::Off
}

fn is_context(node: &Node) -> bool {
    matches!(&node.op, Op::Source(source) if source.identifier == CONTEXT)
}

/// Whether each vertex runs again when a file of the context changed.
fn run_again(graph: &Graph, path: &str) -> Vec<bool> {
    let mut again: Vec<bool> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let sources = read(graph, node);
        let changed = |edge: &Edge| {
            let input = &graph.nodes[edge.node.0 as usize];
            let read_only = is_context(input) && !sources.is_empty();
            again[edge.node.0 as usize] && !read_only
        };
        again.push(is_context(node) || node.inputs.iter().any(changed) || sources.iter().any(|src| covers(src, path)));
    }
    again
}

/// Whether a file is among what a path or pattern copies.
fn covers(src: &str, path: &str) -> bool {
    let plain = src.split(['*', '?', '[']).next().unwrap_or_default();
    let directory = if plain == src { format!("{}/", src.trim_end_matches('/')) } else { plain.to_owned() };
    path == src || path.starts_with(&directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_change_reaches_runs_again() {
        let graph = r#"
            %0 = source "local://context"
            %1 = source "local://base"
            %2 = file(%1, %0) copy("/package.json", "/", base=0, from=1, to=0)
            %3 = exec(%2) args=["install"] cwd="/" bind("/", from=0, to=0)
            %4 = file(%3, %0) copy("/src", "/src", base=0, from=1, to=0)
            %5 = exec(%4) args=["make"] cwd="/" bind("/", from=0, to=0)
            %6 = file(%1, %5) copy("/out", "/", base=0, from=1, to=0)
            output %6"#;
        let graph = llb::text::parse(graph).unwrap();
        assert_eq!(changed_file(&graph).as_deref(), Some("/src/main"));
        assert_eq!(run_again(&graph, "/src/main"), [true, false, false, false, true, true, true]);
        let counted = counts(&graph, Some("/src/main"));
        assert_eq!(counted, Counts { vertices: 7, path: 6, rerun: 4, layers: 1 });
    }

    #[test]
    fn a_mount_is_read_where_it_is_selected() {
        let graph = r#"
            %0 = source "local://context"
            %1 = source "local://base"
            %2 = exec(%1, %0) args=["install"] cwd="/" bind("/", from=0, to=0) bind("/lock", from=1, selector="/lock", readonly)
            %3 = exec(%2, %0) args=["make"] cwd="/" bind("/", from=0, to=0) bind("/src", from=1, selector="/src", readonly)
            output %3"#;
        let graph = llb::text::parse(graph).unwrap();
        assert_eq!(changed_file(&graph).as_deref(), Some("/src/main"));
        assert_eq!(run_again(&graph, "/src/main"), [true, false, false, true]);
    }
}
