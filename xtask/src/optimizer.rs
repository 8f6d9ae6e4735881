//! What the optimizer gains, counted: vertices, the longest way through them, what runs again after a change of one file.
//!
//! Counted on the graph, without running anything: a vertex runs again when something it depends on does. Copies and mounts
//! of other files of the context do not (the cache knows contents), everything behind a changed copy does.

mod again;
mod least;
mod sent;

use std::fmt::Write as _;
use std::sync::Arc;

use compiler::{Facts, compile};
use llb::passes::{Level, Options, layers};
use llb::{Graph, shape};

use again::{changed_file, run_again};
use least::{Least, least};
use sent::Context;

use crate::conformance::{self, Case, CorpusWorld};

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
    /// Bytes of the context that are sent, of one that is made up.
    pub sent: usize,
}

/// One build at `-O0`, `-O1`, `-O2`.
#[derive(Clone, Debug)]
pub struct Row {
    /// `group/case`.
    pub name: String,
    /// The file of the context that is changed; `None` where none is used.
    pub file: Option<String>,
    /// Counts by level.
    pub counts: [Counts; 3],
    /// Vertices that run again whatever a pass does: local directories, processes, one vertex for each tree they take.
    pub least: usize,
    /// The same if one vertex made all trees that do not wait for each other.
    pub least_at_once: usize,
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
        let graphs = [Level::O0, Level::O1, Level::O2].map(|level| {
            let mut plan = plan.clone();
            plan.optimize(Options { level, preserve_layers: false });
            plan.graph
        });
        let fewest = |count: fn(&Least) -> usize| {
            graphs.iter().map(|graph| count(&least(graph, changed.as_deref()))).min().unwrap_or_default()
        };
        let context = Context::of(&graphs[0]);
        let counts = graphs.each_ref().map(|graph| counts(graph, changed.as_deref(), &context));
        rows.push(Row {
            name: Case::name_of(&folder),
            counts,
            least: fewest(Least::one_by_one),
            least_at_once: fewest(Least::at_once),
            file: changed,
        });
    }
    Ok(rows)
}

/// A table of the rows, and what was gained at the median.
pub fn table(rows: &[Row]) -> String {
    let mut text =
        "| build | vertices | longest way | changed file | run again | cannot be less | layers again | MB sent |\n"
            .to_owned();
    text += "|---|---|---|---|---|---|---|---|\n";
    for row in rows {
        let cell =
            |count: fn(&Counts) -> usize| row.counts.each_ref().map(|counts| count(counts).to_string()).join(" / ");
        let file = row.file.as_deref().map_or("none", |file| file.trim_start_matches('/')).to_owned();
        let least = row.least.to_string();
        let sent = cell(|c| c.sent / 1_000_000);
        let cells = [cell(|c| c.vertices), cell(|c| c.path), file, cell(|c| c.rerun), least, cell(|c| c.layers), sent];
        let _ = writeln!(text, "| {} | {} |", row.name, cells.join(" | "));
    }
    for (name, count) in [
        ("vertices", (|c| c.vertices) as fn(&Counts) -> usize),
        ("longest way", |c| c.path),
        ("run again", |c| c.rerun),
        ("layers again", |c| c.layers),
        ("bytes sent", |c| c.sent),
    ] {
        let medians = [1, 2].map(|level| format!("{:.0}%", median(rows, level, count) * 100.0));
        let _ = writeln!(text, "\n{name}: {} fewer at -O1, {} at -O2, at the median", medians[0], medians[1]);
    }
    let bound = |least: fn(&Row) -> usize| {
        median_of(rows.iter().filter(|row| row.file.is_some()).map(|row| possible(row, least(row)))) * 100.0
    };
    let shares = [1, 2].map(|level| format!("{:.0}%", share(rows, level) * 100.0));
    let _ = writeln!(
        text,
        "\nrun again: no pass could do better than {:.0}% at the median; of what is possible in a build {} is gained at -O1, {} at -O2",
        bound(|row| row.least),
        shares[0],
        shares[1]
    );
    let _ = writeln!(
        text,
        "run again: {:.0}% at the median if one vertex made every tree that waits for no other",
        bound(|row| row.least_at_once)
    );
    text
}

/// The part of the vertices that run again at `-O0` which need not, where `least` must.
fn possible(row: &Row, least: usize) -> f64 {
    1.0 - least as f64 / row.counts[0].rerun as f64
}

/// What part of the vertices that need not run again does not, at the median of the rows that have any.
pub fn share(rows: &[Row], level: usize) -> f64 {
    let has_any = |row: &&Row| row.counts[0].rerun > row.least;
    let gained = |row: &Row| {
        let [given, now] = [row.counts[0].rerun, row.counts[level].rerun];
        (given as f64 - now as f64) / (given - row.least) as f64
    };
    median_of(rows.iter().filter(has_any).map(gained))
}

/// By how much a count is less than at `-O0`, at the median of the rows that have any.
pub fn median(rows: &[Row], level: usize, count: fn(&Counts) -> usize) -> f64 {
    let gain = |row: &Row| 1.0 - count(&row.counts[level]) as f64 / count(&row.counts[0]) as f64;
    median_of(rows.iter().filter(|row| count(&row.counts[0]) > 0).map(gain))
}

fn median_of(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn counts(graph: &Graph, changed: Option<&str>, context: &Context) -> Counts {
    let needed = shape::needed(graph);
    let again = changed.map(|path| run_again(graph, path)).unwrap_or_default();
    let layers = graph.outputs.iter().filter_map(|output| output.edge).flat_map(|edge| layers(graph, edge));
    Counts {
        vertices: needed.iter().filter(|needed| **needed).count(),
        path: shape::critical_path(graph).len(),
        rerun: again.iter().zip(&needed).filter(|(again, needed)| **again && **needed).count(),
        layers: layers.filter(|node| again.get(node.0 as usize).copied().unwrap_or_default()).count(),
        sent: context.sent(graph),
    }
}
