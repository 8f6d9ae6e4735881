//! Costs side by side, as a Markdown table: the first builder's own, the others' as multiples of it too.

use std::fmt::Write as _;

use e2e::measure::Cost;

/// Rows of costs, one column a builder.
pub(super) struct Table {
    builders: Vec<&'static str>,
    rows: Vec<(&'static str, Vec<Cost>)>,
}

impl Table {
    pub(super) fn new(builders: impl Iterator<Item = &'static str>) -> Self {
        Self { builders: builders.collect(), rows: Vec::new() }
    }

    pub(super) fn add(&mut self, workload: &'static str, costs: Vec<Cost>) {
        self.rows.push((workload, costs));
    }

    /// Wall ms / processor ms / peak MB, and how many times the first builder's wall time.
    pub(super) fn print(&self) -> String {
        let mut text = String::from("\nwall ms / processor ms / peak MB (× wall of the first)\n\n");
        let rule = "|---".repeat(self.builders.len() + 1);
        let line = |text: &mut String, cells: &mut dyn Iterator<Item = String>| {
            let cells: Vec<String> = cells.collect();
            writeln!(text, "| {} |", cells.join(" | ")).expect("writing to a string does not fail");
        };
        line(
            &mut text,
            &mut std::iter::once("workload".to_owned()).chain(self.builders.iter().map(|name| (*name).to_owned())),
        );
        text.push_str(&rule);
        text.push_str("|\n");
        for (workload, costs) in &self.rows {
            let first = costs.first().copied().unwrap_or_default();
            let cells = costs.iter().map(|cost| cell(*cost, first));
            line(&mut text, &mut std::iter::once((*workload).to_owned()).chain(cells));
        }
        text
    }
}

fn cell(cost: Cost, first: Cost) -> String {
    let milliseconds = |duration: std::time::Duration| duration.as_secs_f64() * 1000.0;
    let ratio = cost.wall.as_secs_f64() / first.wall.as_secs_f64().max(f64::MIN_POSITIVE);
    let (wall, cpu) = (milliseconds(cost.wall), milliseconds(cost.cpu));
    format!("{wall:.0} / {cpu:.0} / {} ({ratio:.1}×)", cost.peak / 1_000_000)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ratios_are_to_the_first() {
        let cost = |wall| Cost { wall: Duration::from_millis(wall), cpu: Duration::from_millis(3), peak: 9_000_000 };
        let mut table = Table::new(["a", "b"].into_iter());
        table.add("w", vec![cost(10), cost(25)]);
        let expected = "| workload | a | b |\n|---|---|---|\n| w | 10 / 3 / 9 (1.0×) | 25 / 3 / 9 (2.5×) |\n";
        assert!(table.print().ends_with(expected), "{}", table.print());
    }
}
