//! Costs side by side, as a Markdown table: the first builder's own, the others' as multiples of it too.

use std::fmt::Write as _;
use std::time::Duration;

use e2e::measure::Cost;

/// Rows of costs, one column a builder, and the limit of each.
pub(super) struct Table {
    builders: Vec<&'static str>,
    rows: Vec<Row>,
}

struct Row {
    workload: &'static str,
    costs: Vec<Option<Cost>>,
    limit: Cost,
}

impl Table {
    pub(super) fn new(builders: impl Iterator<Item = &'static str>) -> Self {
        Self { builders: builders.collect(), rows: Vec::new() }
    }

    /// Adds a row; returns it as it will be printed.
    pub(super) fn add(&mut self, workload: &'static str, costs: Vec<Option<Cost>>, limit: Cost) -> String {
        let row = Row { workload, costs, limit };
        let text = line(row.cells());
        self.rows.push(row);
        text
    }

    /// Wall ms / processor ms / peak MB, and how many times the first builder's of each.
    pub(super) fn print(&self) -> String {
        let mut text = String::from(
            "\nwall ms / processor ms / peak MB (each as a multiple of the first); the limit is wall ms (the first as a multiple)\n\n",
        );
        let heads = std::iter::once("workload").chain(self.builders.iter().copied()).chain(["limit"]);
        let rules = vec!["---".to_owned(); self.builders.len() + 2];
        writeln!(text, "{}\n|{}|", line(heads.map(str::to_owned).collect()), rules.join("|"))
            .expect("writing to a string does not fail");
        for row in &self.rows {
            writeln!(text, "{}", line(row.cells())).expect("writing to a string does not fail");
        }
        text
    }
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let first = self.costs.first().copied().flatten();
        let mut cells = vec![self.workload.to_owned()];
        cells.extend(self.costs.iter().map(|cost| cost.map_or("–".to_owned(), |cost| cell(cost, first))));
        let own = first.map_or(Duration::ZERO, |first| first.wall);
        cells.push(format!("{:.0} ({:.1}×)", milliseconds(self.limit.wall), ratio(own, self.limit.wall)));
        cells
    }
}

fn line(cells: Vec<String>) -> String {
    format!("| {} |", cells.join(" | "))
}

fn cell(cost: Cost, first: Option<Cost>) -> String {
    let own = format!("{:.0} / {:.0} / {}", milliseconds(cost.wall), milliseconds(cost.cpu), cost.peak / 1_000_000);
    let Some(first) = first.filter(|first| *first != cost) else { return own };
    let peak = cost.peak as f64 / (first.peak as f64).max(1.0);
    format!("{own} ({:.1}× / {:.1}× / {peak:.1}×)", ratio(cost.wall, first.wall), ratio(cost.cpu, first.cpu))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64().max(0.001)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_the_first() {
        let cost = |wall| Cost { wall: Duration::from_millis(wall), cpu: Duration::from_millis(3), peak: 9_000_000 };
        let mut table = Table::new(["a", "b", "c"].into_iter());
        table.add("w", vec![Some(cost(10)), Some(cost(25)), None], cost(5));
        let expected = "| workload | a | b | c | limit |\n|---|---|---|---|---|\n| w | 10 / 3 / 9 | 25 / 3 / 9 (2.5× / 1.0× / 1.0×) | – | 5 (2.0×) |\n";
        assert!(table.print().ends_with(expected), "{}", table.print());
    }
}
