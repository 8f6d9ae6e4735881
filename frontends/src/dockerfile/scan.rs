//! Lines: physical ones, and the logical ones that continuations make of them.
//!
//! A logical line that is one physical line is a slice of the source; otherwise its parts are joined in a buffer and a
//! table of splices keeps where each came from, so that every word has the exact place it was typed at.
//!
//! Mirrors the line handling of BuildKit v0.32's Dockerfile parser: what ends a line, what continues it, which comments
//! and blank lines inside it vanish, and how long a line may be.

use std::ops::Range;

use ast::{Comment, Diagnostic, FileId, LineIndex, Span, code};

use super::directives::{Directives, Name};
use super::text::{trim, trim_start};
use crate::Input;

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes of a physical line without its `\n`; a longer one cannot be read. BuildKit's line buffer.
const LONGEST_LINE: usize = 65535;

/// Where spans point.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// Into the text that is scanned.
    File(FileId),
    /// To one place, whatever is scanned.
    Fixed(Span),
}

/// Walks a text line by line.
pub(super) struct Scanner<'s> {
    source: &'s [u8],
    /// Where its lines start, if that is known.
    lines: Option<&'s LineIndex>,
    origin: Origin,
    /// Start of the next physical line.
    next: usize,
    /// Physical lines read so far: also the number (from 1) of the last one read.
    pub(super) lines_read: u32,
    directives: Directives,
    /// The escape character, `\` or a backtick.
    pub(super) escape: u8,
    /// Whether reading stopped at a line that is too long.
    pub(super) too_long: bool,
    /// Comments since the last instruction.
    pub(super) comments: Vec<Comment>,
    /// What is wrong with directives.
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Memory for joined lines, kept from line to line.
pub(super) struct Buffer {
    text: Vec<u8>,
    splices: Vec<Splice>,
}

impl Default for Buffer {
    /// With room for most lines.
    fn default() -> Self {
        Self { text: Vec::with_capacity(1024), splices: Vec::with_capacity(32) }
    }
}

/// From `at` in the joined text on, the text stands in the source from `source` on.
#[derive(Clone, Copy, Debug)]
struct Splice {
    at: u32,
    source: u32,
}

/// A logical line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'b> {
    /// Its text: continuations joined, comments inside left out, no blanks at the start, no line end.
    pub(super) text: &'b [u8],
    splices: &'b [Splice],
    origin: Origin,
    /// Number of its first physical line.
    pub(super) first: u32,
    /// Number of its last physical line.
    pub(super) last: u32,
    /// First and last byte in the source.
    extent: (u32, u32),
    /// The first blank line inside, if there is one.
    pub(super) blank: Option<Span>,
}

/// A physical line: where it starts, and its bytes with the line end.
#[derive(Clone, Copy)]
struct Physical<'s> {
    start: usize,
    bytes: &'s [u8],
}

impl Physical<'_> {
    /// Without the line end; any number of `\r` and `\n` count as one.
    fn content(&self) -> Range<usize> {
        let end = self.bytes.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
        self.start..self.start + end
    }
}

/// How long a line is without what says that the next one continues it: one escape character that none precedes, then
/// blanks. `None` if it does not say so.
pub(super) fn continued(line: &[u8], escape: u8) -> Option<usize> {
    let last = line.iter().rposition(|b| !matches!(b, b' ' | b'\t'))?;
    let escaped = last > 0 && line[last - 1] == escape;
    (line[last] == escape && !escaped).then_some(last)
}

impl<'s> Scanner<'s> {
    /// Of a text of its own.
    pub(super) fn of(input: &Input<'s>) -> Self {
        Self { lines: input.lines, ..Self::new(input.bytes, Origin::File(input.file)) }
    }

    /// Of a text that may be part of another.
    pub(super) fn new(source: &'s [u8], origin: Origin) -> Self {
        Self {
            source,
            lines: None,
            origin,
            next: 0,
            lines_read: 0,
            directives: Directives::default(),
            escape: b'\\',
            too_long: false,
            comments: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    fn physical(&mut self) -> Option<Physical<'s>> {
        let start = self.next;
        let rest = self.source.get(start..).filter(|rest| !rest.is_empty())?;
        let newline = self.newline(rest);
        if !self.too_long && newline.unwrap_or(rest.len()) > LONGEST_LINE {
            self.too_long = true;
            // parity: what was read of it is the last line for whoever goes on, as after a continued one.
            self.source = &self.source[..start + LONGEST_LINE + 1];
            return None;
        }
        let bytes = &rest[..newline.map_or(rest.len(), |at| at + 1)];
        self.next = start + bytes.len();
        self.lines_read += 1;
        Some(Physical { start, bytes })
    }

    /// Where the first newline of what is left is.
    fn newline(&self, rest: &[u8]) -> Option<usize> {
        let Some(lines) = self.lines else { return memchr::memchr(b'\n', rest) };
        // The next line is the second from the last that was read: lines count from 1.
        let end = lines.start_of(self.lines_read + 2)? as usize - self.next;
        Some(end - 1).filter(|newline| *newline < rest.len())
    }

    /// The next logical line that is not empty.
    pub(super) fn line<'b>(&mut self, buffer: &'b mut Buffer) -> Option<Line<'b>>
    where
        's: 'b,
    {
        loop {
            let physical = self.physical()?;
            let content = self.first_content(physical);
            if content.is_empty() {
                continue;
            }
            let first = self.lines_read;
            let Some(end) = self.continued(&content) else {
                return Some(self.single(content, first, buffer));
            };
            buffer.text.clear();
            buffer.splices.clear();
            buffer.push(self.source, content.start..end);
            return Some(self.joined(content.start, first, buffer));
        }
    }

    /// What the line holds: nothing if it is a comment, which is kept, or a directive.
    fn first_content(&mut self, physical: Physical<'_>) -> Range<usize> {
        let mut content = physical.content();
        let mut line_start = content.start;
        if self.lines_read == 1 && self.source[content.clone()].starts_with(BYTE_ORDER_MARK) {
            content.start += BYTE_ORDER_MARK.len();
            line_start = content.start;
        }
        let content = trim_start(self.source, content);
        let is_comment = self.source[content.clone()].first() == Some(&b'#');
        let is_directive = !self.directives.done() && self.directive(content.clone());
        if !is_comment {
            return content;
        }
        if !is_directive {
            self.comment(line_start, content.clone());
        }
        content.end..content.end
    }

    /// parity: of an indented comment not the sign but the first blank is cut off, so it documents nothing.
    fn comment(&mut self, line_start: usize, content: Range<usize>) {
        let text = trim(self.source, line_start + 1..content.end);
        if text.is_empty() {
            self.comments.clear();
        } else {
            let span = self.span(content);
            self.comments.push(Comment { text: self.source[text].into(), span });
        }
    }

    /// Obeys the line if it is a directive.
    fn directive(&mut self, content: Range<usize>) -> bool {
        let line = &self.source[content.clone()];
        match self.directives.read(line, b"#") {
            Ok(None) => false,
            Ok(Some((Name::Escape, value))) => match &line[value.clone()] {
                [sign @ (b'\\' | b'`')] => {
                    self.escape = *sign;
                    true
                }
                other => {
                    let other = ast::word::decode(other).into_owned();
                    let at = content.start + value.start..content.start + value.end;
                    self.complain(format!("invalid escape token '{other}' does not match ` or \\"), at);
                    true
                }
            },
            Ok(Some(_)) => true,
            Err(message) => {
                self.complain(message, content);
                true
            }
        }
    }

    /// parity: the line that is reported is the one before.
    fn complain(&mut self, message: String, at: Range<usize>) {
        let line = self.lines_read - 1;
        let mut diagnostic = Diagnostic::error(code::SYNTAX, message, self.span(at));
        diagnostic.locations = Some(vec![vec![(line, line)]]);
        self.diagnostics.push(diagnostic);
    }

    /// Where the content ends if the next line continues it.
    fn continued(&self, content: &Range<usize>) -> Option<usize> {
        continued(&self.source[content.clone()], self.escape).map(|length| content.start + length)
    }

    fn single<'b>(&self, content: Range<usize>, line: u32, buffer: &'b mut Buffer) -> Line<'b>
    where
        's: 'b,
    {
        buffer.splices.clear();
        buffer.splices.push(Splice { at: 0, source: content.start as u32 });
        Line {
            text: &self.source[content.clone()],
            splices: &buffer.splices,
            origin: self.origin,
            first: line,
            last: line,
            extent: (content.start as u32, content.end as u32),
            blank: None,
        }
    }

    /// Joins the lines that follow a first one, which is in the buffer already.
    fn joined<'b>(&mut self, start: usize, first: u32, buffer: &'b mut Buffer) -> Line<'b> {
        let mut blank = None;
        let mut end = self.next;
        while let Some(physical) = self.physical() {
            let content = physical.content();
            let visible = trim_start(self.source, content.clone());
            // An empty line is its line end, so that the line counts as part of the instruction.
            end = if content.is_empty() { self.next } else { content.end };
            if visible.is_empty() {
                blank = blank.or_else(|| Some(self.span(physical.start..self.next)));
                continue;
            }
            if self.source[visible.start] == b'#' {
                continue;
            }
            let continued = self.continued(&content);
            buffer.push(self.source, content.start..continued.unwrap_or(content.end));
            if continued.is_none() {
                break;
            }
        }
        Line {
            text: &buffer.text,
            splices: &buffer.splices,
            origin: self.origin,
            first,
            last: self.lines_read,
            extent: (start as u32, end as u32),
            blank,
        }
    }

    /// Reads the body of a document up to the line that is its name.
    ///
    /// Returns the range of the body and the end of the last line; the name may be missing.
    pub(super) fn document(&mut self, name: &[u8], chomp: bool) -> Document {
        let start = self.next;
        while let Some(physical) = self.physical() {
            let content = physical.content();
            let mut line = &self.source[content.clone()];
            while chomp && line.first() == Some(&b'\t') {
                line = &line[1..];
            }
            if line == name {
                let end = if content.is_empty() { self.next } else { content.end };
                return Document { body: start..physical.start, end: end as u32, terminated: true };
            }
        }
        Document { body: start..self.next, end: self.next as u32, terminated: false }
    }

    /// Where the next physical line starts.
    pub(super) fn position(&self) -> usize {
        self.next
    }

    /// The bytes of a range of the source.
    pub(super) fn bytes(&self, range: &Range<usize>) -> &'s [u8] {
        &self.source[range.clone()]
    }

    /// The place of a range of the source.
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        match self.origin {
            Origin::File(file) => Span::new(file, range.start as u32, range.end as u32),
            Origin::Fixed(span) => span,
        }
    }
}

/// What [`Scanner::document`] read.
pub(super) struct Document {
    pub(super) body: Range<usize>,
    /// End of the last line, in the source.
    pub(super) end: u32,
    pub(super) terminated: bool,
}

impl Buffer {
    fn push(&mut self, source: &[u8], range: Range<usize>) {
        self.splices.push(Splice { at: self.text.len() as u32, source: range.start as u32 });
        self.text.extend_from_slice(&source[range]);
    }
}

impl Line<'_> {
    /// The place of a range of the line's text.
    pub(super) fn span(&self, range: Range<u32>) -> Span {
        let Origin::File(file) = self.origin else {
            return self.whole(0);
        };
        let start = self.source_offset(range.start);
        let end = if range.is_empty() { start } else { self.source_offset(range.end - 1) + 1 };
        Span::new(file, start, end)
    }

    /// Where its first byte stands in the source.
    pub(super) fn start(&self) -> u32 {
        self.extent.0
    }

    /// The place of all of it, up to `end` in the source if that is further.
    pub(super) fn whole(&self, end: u32) -> Span {
        match self.origin {
            Origin::File(file) => Span::new(file, self.extent.0, self.extent.1.max(end)),
            Origin::Fixed(span) => span,
        }
    }

    fn source_offset(&self, at: u32) -> u32 {
        if let [splice] = self.splices {
            return splice.source + at;
        }
        let after = self.splices.partition_point(|splice| splice.at <= at);
        let splice = self.splices[after.saturating_sub(1)];
        splice.source + (at - splice.at)
    }
}

#[cfg(test)]
mod tests {
    use ast::Source;

    use super::*;

    /// Scans a text as it is, and with the places where its lines start.
    fn scan(source: &str, check: impl Fn(Scanner<'_>)) {
        check(Scanner::new(source.as_bytes(), Origin::File(FileId(0))));
        check(Scanner::of(&Input::of(FileId(0), &Source::new("Dockerfile", source.as_bytes()))));
    }

    /// Every logical line with its line numbers.
    #[track_caller]
    fn check(source: &str, expected: &[(&str, u32, u32)]) {
        scan(source, |mut scanner| {
            let mut buffer = Buffer::default();
            let mut found = Vec::new();
            while let Some(line) = scanner.line(&mut buffer) {
                found.push((String::from_utf8_lossy(line.text).into_owned(), line.first, line.last));
            }
            let found: Vec<_> = found.iter().map(|(text, first, last)| (text.as_str(), *first, *last)).collect();
            assert_eq!(found, expected, "{source:?}");
        });
    }

    #[test]
    fn lines_and_line_ends() {
        check("a\n\n  b\r\nc", &[("a", 1, 1), ("b", 3, 3), ("c", 4, 4)]);
        check("\u{feff}a\n", &[("a", 1, 1)]);
        check("", &[]);
    }

    #[test]
    fn continuations() {
        check("a \\\n  b\n", &[("a   b", 1, 2)]);
        check("a \\ \t\nb", &[("a b", 1, 2)]);
        check("a \\\\\nb", &[("a \\\\", 1, 1), ("b", 2, 2)]);
        check("\\\na", &[("a", 1, 2)]);
        check("a \\", &[("a ", 1, 1)]);
        check("a \\\n", &[("a ", 1, 1)]);
    }

    #[test]
    fn comments_and_blank_lines_inside() {
        check("a \\\n  # no \\\n\n b\nc", &[("a  b", 1, 4), ("c", 5, 5)]);
        check("# x\n#y\na", &[("a", 3, 3)]);
        check("a \\\n# end", &[("a ", 1, 2)]);
    }

    #[test]
    fn the_escape_directive() {
        check("# escape=`\na `\nb \\\nc", &[("a b \\", 2, 3), ("c", 4, 4)]);
        check("# note\n# escape=`\na `\nb", &[("a `", 3, 3), ("b", 4, 4)]);
    }

    #[test]
    fn spans_survive_splices() {
        let source = "RUN a \\\n # c\n  bc d\n";
        let mut scanner = Scanner::new(source.as_bytes(), Origin::File(FileId(0)));
        let mut buffer = Buffer::default();
        let Some(line) = scanner.line(&mut buffer) else { panic!("a line") };
        assert_eq!(line.text, b"RUN a   bc d");
        let at = |range: Range<u32>| {
            let span = line.span(range);
            &source[span.start as usize..span.end as usize]
        };
        assert_eq!((at(4..5), at(8..10), at(11..12)), ("a", "bc", "d"));
        assert_eq!(at(0..12), "RUN a \\\n # c\n  bc d");
    }

    #[test]
    fn a_line_that_is_too_long_ends_the_text() {
        for (more, ends) in [(0, (false, 3)), (1, (true, 1))] {
            scan(&format!("a\n{}\nb", "x".repeat(LONGEST_LINE + more)), |mut scanner| {
                let mut buffer = Buffer::default();
                while scanner.line(&mut buffer).is_some() {}
                assert_eq!((scanner.too_long, scanner.lines_read), ends);
            });
        }
    }

    #[test]
    fn a_line_that_is_too_long_after_a_continued_one_is_read_in_part() {
        scan(&format!("a \\\n{}\nb", "x".repeat(LONGEST_LINE + 7)), |mut scanner| {
            let mut buffer = Buffer::default();
            let mut lines = Vec::new();
            while let Some(line) = scanner.line(&mut buffer) {
                lines.push((line.text.len(), line.first, line.last));
            }
            assert_eq!(lines, [("a ".len(), 1, 1), (LONGEST_LINE + 1, 2, 2)]);
            assert!(scanner.too_long);
        });
    }

    #[test]
    fn comments_are_kept_for_the_next_instruction() {
        let mut scanner = Scanner::new(b"# a\n#\n# b c \n  # d\nx", Origin::File(FileId(0)));
        scanner.line(&mut Buffer::default());
        let texts: Vec<_> = scanner.comments.iter().map(|comment| comment.text.lossy().into_owned()).collect();
        assert_eq!(texts, ["b c", "# d"]);
    }
}
