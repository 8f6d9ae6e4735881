//! Where a finding stands, in the units of other formats.

use ast::{Diagnostic, Source, Sources, Span};

/// First and last place of a finding: lines from 1, columns from 1 in code points, the end behind the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) start: (u32, u32),
    pub(super) end: (u32, u32),
}

/// The place of a finding; `None` when no text is to blame.
pub(super) fn region(sources: &Sources, diagnostic: &Diagnostic) -> Option<Region> {
    diagnostic.at.map(|span| of_span(sources.get(span.file), span))
}

/// The place of a span.
pub(super) fn of_span(source: &Source, span: Span) -> Region {
    Region { start: point(source, span.start), end: point(source, span.end) }
}

fn point(source: &Source, offset: u32) -> (u32, u32) {
    let place = source.lines.position(offset);
    let from = (offset + 1 - place.column) as usize;
    let before = &source.bytes[from..(offset as usize).min(source.bytes.len())];
    (place.line, String::from_utf8_lossy(before).chars().count() as u32 + 1)
}

#[cfg(test)]
mod tests {
    use ast::FileId;

    use super::*;

    #[test]
    fn columns_are_code_points() {
        let source = Source::new("f", "# ü€x\nab".as_bytes());
        let region = of_span(&source, Span::new(FileId(0), 7, 11));
        assert_eq!(region, Region { start: (1, 5), end: (2, 3) });
    }
}
