//! Places in the text, as BuildKit reports them: whole lines, one range each.

use ast::{Diagnostic, LineIndex};
use gateway::message::{Position, Range};
use serde_json::{Value, json};

/// The places of a diagnostic. **Shape**: one list of ranges per location, in order.
pub(crate) fn locations(diagnostic: &Diagnostic, lines: &LineIndex) -> Vec<Vec<Range>> {
    let locations = match (&diagnostic.locations, diagnostic.at) {
        (Some(locations), _) => locations.clone(),
        (None, Some(span)) => vec![vec![lines.lines_of(span)]],
        (None, None) => Vec::new(),
    };
    locations.iter().map(|location| location.iter().copied().flat_map(ranges).collect()).collect()
}

/// All places of a diagnostic as one list.
pub(crate) fn all(diagnostic: &Diagnostic, lines: &LineIndex) -> Vec<Range> {
    locations(diagnostic, lines).into_iter().flatten().collect()
}

fn ranges((first, last): (u32, u32)) -> impl Iterator<Item = Range> {
    (first..=last).map(line)
}

/// A whole line.
pub(crate) fn line(line: u32) -> Range {
    let position = Some(Position { line: line as i32, character: 0 });
    Range { start: position, end: position }
}

/// Ranges as Go prints them in JSON.
pub(crate) fn json(ranges: &[Range]) -> Value {
    let position = |position: &Option<Position>| match position {
        Some(Position { line: 0, .. }) | None => json!({}),
        Some(Position { line, .. }) => json!({ "line": line }),
    };
    ranges.iter().map(|range| json!({ "start": position(&range.start), "end": position(&range.end) })).collect()
}
