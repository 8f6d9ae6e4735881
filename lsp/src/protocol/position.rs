//! Positions on the wire: lines from 0, columns in UTF-16 units or in bytes, as the client wants them.
//!
//! To the protocol `\n`, `\r\n` and a lone `\r` end lines, so its lines are not always those of the compiler.

use ast::Span;
use lsp_types::{Position, PositionEncodingKind, Range};

/// What columns count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Units of UTF-16: what every client knows.
    #[default]
    Utf16,
    /// Bytes.
    Utf8,
}

impl Encoding {
    /// The best one the client offers.
    pub(crate) fn choose(offered: Option<&[PositionEncodingKind]>) -> Self {
        let bytes = offered.is_some_and(|offered| offered.contains(&PositionEncodingKind::UTF8));
        if bytes { Self::Utf8 } else { Self::Utf16 }
    }

    /// Its name.
    pub(crate) fn kind(self) -> PositionEncodingKind {
        match self {
            Self::Utf16 => PositionEncodingKind::UTF16,
            Self::Utf8 => PositionEncodingKind::UTF8,
        }
    }

    fn width(self, text: &str) -> u32 {
        match self {
            Self::Utf8 => text.len() as u32,
            Self::Utf16 if text.is_ascii() => text.len() as u32,
            Self::Utf16 => text.chars().map(|c| c.len_utf16() as u32).sum(),
        }
    }
}

/// Where the lines of a text start, to the protocol.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    starts: Vec<u32>,
    encoding: Encoding,
}

impl Lines {
    pub(crate) fn new(text: &str, encoding: Encoding) -> Self {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(at, b)| match b {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at as u32 + 1)).collect();
        Self { starts, encoding }
    }

    /// The byte of a position; one that is too far right is at the end of its line, one below the text at its end.
    pub(crate) fn offset(&self, text: &str, position: Position) -> u32 {
        let Some(start) = self.starts.get(position.line as usize).copied() else { return text.len() as u32 };
        let next = self.starts.get(position.line as usize + 1).map_or(text.len(), |next| *next as usize);
        let line = text[start as usize..next].trim_end_matches(['\r', '\n']);
        let mut left = position.character;
        for (at, c) in line.char_indices() {
            let width = self.encoding.width(&line[at..at + c.len_utf8()]);
            if left < width {
                return start + at as u32;
            }
            left -= width;
        }
        start + line.len() as u32
    }

    /// The position of a byte.
    pub(crate) fn position(&self, text: &str, offset: u32) -> Position {
        let mut offset = (offset as usize).min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start as usize <= offset) - 1;
        let column = self.encoding.width(&text[self.starts[line] as usize..offset]);
        Position { line: line as u32, character: column }
    }

    /// The same for a byte in a line or after it: what comes in order needs no search.
    pub(crate) fn position_after(&self, text: &str, offset: u32, line: u32) -> Position {
        let rest = self.starts.get(line as usize + 1..).unwrap_or_default();
        let line = line as usize + rest.iter().take_while(|start| **start <= offset).count();
        let start = self.starts[line] as usize;
        match text.get(start..offset as usize) {
            Some(before) => Position { line: line as u32, character: self.encoding.width(before) },
            None => self.position(text, offset),
        }
    }

    pub(crate) fn range(&self, text: &str, span: Span) -> Range {
        Range { start: self.position(text, span.start), end: self.position(text, span.end) }
    }

    pub(crate) fn span(&self, text: &str, range: Range) -> Span {
        let (start, end) = (self.offset(text, range.start), self.offset(text, range.end));
        Span::new(ast::FileId(0), start.min(end), start.max(end))
    }

    /// The columns that a piece of one line takes.
    pub(crate) fn width(&self, text: &str, span: Span) -> u32 {
        self.encoding.width(text.get(span.start as usize..span.end as usize).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_there_and_back() {
        let text = "a\n\r\nä€𐍈x\rz\r\n\n";
        for encoding in [Encoding::Utf8, Encoding::Utf16] {
            let lines = Lines::new(text, encoding);
            // Between `\r` and `\n` no position points.
            let inside =
                |at: usize| text.as_bytes().get(at) == Some(&b'\n') && at > 0 && text.as_bytes()[at - 1] == b'\r';
            for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at) && !inside(*at)) {
                let position = lines.position(text, at as u32);
                assert_eq!(lines.offset(text, position), at as u32, "{position:?} {encoding:?}");
                for line in 0..=position.line {
                    assert_eq!(lines.position_after(text, at as u32, line), position);
                }
            }
        }
    }

    #[test]
    fn columns() {
        let text = "ä𐍈x";
        let column = |encoding, at| Lines::new(text, encoding).position(text, at).character;
        assert_eq!((column(Encoding::Utf8, 6), column(Encoding::Utf16, 6)), (6, 3));
        let lines = Lines::new("ab\ncd", Encoding::Utf16);
        let offset = |line, character| lines.offset("ab\ncd", Position { line, character });
        assert_eq!((offset(0, 99), offset(1, 1), offset(9, 0)), (2, 4, 5));
    }
}
