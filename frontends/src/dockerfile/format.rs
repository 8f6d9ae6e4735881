//! Formatting: the layout of a Dockerfile, and nothing that reaches a build.
//!
//! The rule is what a build can see. A step's text goes into names, descriptions and histories as it is written, and the
//! blanks at the start of a continued line are part of the command; so keywords, blanks between words, and the
//! indentation of continued lines stay. What nothing can see is put in order:
//!
//! - instructions and comments between them start in the first column;
//! - lines do not end in blanks (after an escape character neither);
//! - one blank line at most stands between instructions, none at the start and the end, none inside an instruction;
//! - lines end alike: as the first one does; the last one ends too.
//!
//! Documents stay byte for byte. A comment stays where it is if moving it would make it say something: a directive,
//! settings of rules, a description. Every edit keeps the meaning by itself, so any part of them may be applied.

use ast::{Edit, FileId, Span, Text};

use super::directives::{self, Directives};
use super::heredoc;
use super::keyword::Keyword;
use super::scan::{BYTE_ORDER_MARK, Buffer, Line, Scanner, continued};
use super::syntax::{self, Instruction};
use super::text::{trim_start, trimmed};
use crate::Input;

/// The edits that put a text in order.
pub(super) fn format(input: &Input<'_>) -> Vec<Edit> {
    let mut formatter = Formatter::new(input);
    let mut scanner = Scanner::of(input);
    let mut buffer = Buffer::default();
    let mut done = start_of_text(input.bytes);
    while let Some(line) = scanner.line(&mut buffer) {
        let parsed = syntax::instruction(line.text, 0..line.text.len(), scanner.escape).ok();
        let start = formatter.start_of_line(line.start() as usize);
        formatter.gap(done, start, parsed.as_ref());
        formatter.instruction(start, scanner.position(), &line, parsed.as_ref(), scanner.escape);
        done = formatter.documents(parsed.as_ref(), &line, &mut scanner);
    }
    if !scanner.too_long {
        formatter.gap(done, input.bytes.len(), None);
        formatter.end();
    }
    formatter.finish()
}

fn start_of_text(bytes: &[u8]) -> usize {
    if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 }
}

struct Formatter<'s> {
    file: FileId,
    source: &'s [u8],
    /// How lines end.
    line_end: &'static [u8],
    edits: Vec<(usize, usize, &'static [u8])>,
    /// End of the last line that is settled; only blank ones may follow it.
    end: usize,
}

/// A physical line: what it holds without its line end, and where the next one starts.
#[derive(Clone, Copy)]
struct Physical {
    start: usize,
    content_end: usize,
    next: usize,
}

impl<'s> Formatter<'s> {
    fn new(input: &Input<'s>) -> Self {
        let first = memchr::memchr(b'\n', input.bytes);
        let carriage = first.is_some_and(|at| at > 0 && input.bytes[at - 1] == b'\r');
        let line_end: &[u8] = if carriage { b"\r\n" } else { b"\n" };
        Self { file: input.file, source: input.bytes, line_end, edits: Vec::new(), end: 0 }
    }

    fn start_of_line(&self, at: usize) -> usize {
        let start = memchr::memrchr(b'\n', &self.source[..at]).map_or(0, |newline| newline + 1);
        start.max(start_of_text(&self.source[..at]))
    }

    fn lines(&self, start: usize, end: usize) -> Vec<Physical> {
        let mut lines = Vec::new();
        let mut at = start;
        while at < end {
            let next = memchr::memchr(b'\n', &self.source[at..end]).map_or(end, |length| at + length + 1);
            let content = self.source[at..next].iter().rposition(|b| !matches!(b, b'\r' | b'\n'));
            lines.push(Physical { start: at, content_end: content.map_or(at, |last| at + last + 1), next });
            at = next;
        }
        lines
    }

    /// Lines before an instruction, or after the last: blank ones, comments, directives.
    fn gap(&mut self, start: usize, end: usize, parsed: Option<&Instruction<'_>>) {
        let mut blanks: Vec<Physical> = Vec::new();
        for line in self.lines(start, end) {
            if self.visible(line).is_empty() {
                blanks.push(line);
                continue;
            }
            self.blank_lines(&blanks, line);
            blanks.clear();
            self.comment(line, parsed);
        }
        if end < self.source.len() {
            let line = Physical { start: end, content_end: end, next: end };
            self.blank_lines(&blanks, line);
        }
    }

    /// Leaves one of several blank lines before `next`, and none at the start of the text.
    fn blank_lines(&mut self, blanks: &[Physical], next: Physical) {
        let Some((first, rest)) = blanks.split_first() else { return };
        let at_start = first.start == start_of_text(self.source);
        if at_start && !self.is_other_at_start(next.start) {
            return self.replace(first.start, blanks[blanks.len() - 1].next, b"");
        }
        self.replace(first.start, first.next, self.line_end);
        if let Some(last) = rest.last() {
            self.replace(first.next, last.next, b"");
        }
    }

    /// Whether the line would be read as another one if it were the first: a directive, or one that decides where those
    /// are looked for.
    fn is_other_at_start(&self, at: usize) -> bool {
        let end = memchr::memchr(b'\n', &self.source[at..]).map_or(self.source.len(), |length| at + length);
        let line = trimmed(&self.source[at..end]);
        let directive = |sign: &[u8]| !matches!(Directives::default().read(line, sign), Ok(None));
        line.starts_with(b"#!")
            || line.starts_with(b"{")
            || line.starts_with(BYTE_ORDER_MARK)
            || directive(b"#")
            || directive(b"//")
    }

    fn comment(&mut self, line: Physical, next: Option<&Instruction<'_>>) {
        let content = trim_start(self.source, line.start..line.content_end);
        if content.start > line.start && !self.would_speak(&self.source[content.clone()], next) {
            self.replace(line.start, content.start, b"");
        }
        // An empty value is a value of blanks; without them there would be no value at all.
        let ends_in_equals = self.without_blanks(line) > 0 && self.source[self.without_blanks(line) - 1] == b'=';
        self.line_end_of(line, !ends_in_equals);
    }

    /// Whether a comment would say something in the first column that it does not say where it stands.
    fn would_speak(&self, comment: &[u8], next: Option<&Instruction<'_>>) -> bool {
        let text = trimmed(comment.get(1..).unwrap_or_default());
        let directive = !matches!(Directives::default().read(comment, b"#"), Ok(None));
        let settings = directives::check_in_comment(text).is_some();
        text.is_empty() || comment.starts_with(b"#!") || directive || settings || describes(text, next)
    }

    /// The physical lines of an instruction.
    fn instruction(&mut self, start: usize, end: usize, line: &Line<'_>, parsed: Option<&Instruction<'_>>, escape: u8) {
        // An image keeps the text of a trigger with the blanks at its end.
        let keeps_end = parsed.is_some_and(|parsed| parsed.keyword == Some(Keyword::OnBuild));
        // What looks like a byte order mark is one at the start of the text alone.
        if !line.text.starts_with(BYTE_ORDER_MARK) {
            self.replace(start, line.start() as usize, b"");
        }
        for physical in self.lines(start, end) {
            let visible = self.visible(physical);
            if visible.is_empty() && physical.start != start {
                self.replace(physical.start, physical.next, b"");
                self.end = physical.next;
                continue;
            }
            let is_comment = visible.starts_with(b"#") && physical.start != start;
            self.line_end_of(physical, is_comment || !keeps_end || continued(visible, escape).is_some());
        }
    }

    /// Passes over the documents of an instruction; returns where the next line starts.
    fn documents(&mut self, parsed: Option<&Instruction<'_>>, line: &Line<'_>, scanner: &mut Scanner<'_>) -> usize {
        let openers = match parsed {
            Some(parsed) if parsed.takes_documents() => heredoc::openers(line.text).unwrap_or_default(),
            _ => Vec::new(),
        };
        for (opener, _) in openers {
            let document = scanner.document(opener.name.as_bytes(), opener.chomp);
            let end = scanner.position();
            self.end = end;
            if !document.terminated {
                break;
            }
            for line in self.lines(document.body.end, end) {
                self.line_end_of(line, false);
            }
        }
        scanner.position()
    }

    /// Ends a line as all do, and takes the blanks at its end away if they mean nothing.
    fn line_end_of(&mut self, line: Physical, strip: bool) {
        let end = if strip { self.without_blanks(line) } else { line.content_end };
        self.replace(end, line.next, self.line_end);
        self.end = line.next;
    }

    /// Where the line ends without the blanks that the scanner passes over at the end of a line. A carriage return before
    /// them would become a part of the line end.
    fn without_blanks(&self, line: Physical) -> usize {
        let content = &self.source[line.start..line.content_end];
        match content.iter().rposition(|b| !matches!(b, b' ' | b'\t')) {
            Some(last) if content[last] == b'\r' => line.content_end,
            Some(last) => line.start + last + 1,
            None => line.start,
        }
    }

    fn visible(&self, line: Physical) -> &'s [u8] {
        &self.source[trim_start(self.source, line.start..line.content_end)]
    }

    /// No blank lines at the end.
    fn end(&mut self) {
        let end = self.end;
        if end > 0 {
            self.replace(end, self.source.len(), b"");
        }
    }

    fn replace(&mut self, start: usize, end: usize, text: &'static [u8]) {
        if self.source[start..end] != *text {
            self.edits.push((start, end, text));
        }
    }

    fn finish(self) -> Vec<Edit> {
        let edit = |(start, end, text): (usize, usize, &[u8])| Edit {
            span: Span::new(self.file, start as u32, end as u32),
            text: Text::from(text).lossy().into_owned(),
        };
        self.edits.into_iter().map(edit).collect()
    }
}

/// Whether a comment may be the description of what the instruction declares: it begins with a word of it.
fn describes(text: &[u8], next: Option<&Instruction<'_>>) -> bool {
    let Some(next) = next.filter(|next| matches!(next.keyword, Some(Keyword::From | Keyword::Arg))) else {
        return false;
    };
    let first = text.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let syntax::Args::Words(words) = &next.args else { return false };
    words.iter().any(|word| word.text.len() >= first.len() && word.text[..first.len()].eq_ignore_ascii_case(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let formatted = |text: &str| {
            let edits = format(&Input::new(FileId(0), text.as_bytes()));
            String::from_utf8(ast::apply(text.as_bytes(), &edits)).unwrap_or_default()
        };
        assert_eq!(formatted(text), expected);
        assert_eq!(formatted(expected), expected, "formatting again changes nothing");
    }

    #[test]
    fn instructions_and_comments_start_in_the_first_column() {
        check("  FROM a\n\t# note\n  RUN b\n", "FROM a\n# note\nRUN b\n");
    }

    #[test]
    fn continued_lines_keep_their_indentation() {
        check("FROM a\nRUN b \\  \n      && c\t\n", "FROM a\nRUN b \\\n      && c\n");
    }

    #[test]
    fn blank_lines() {
        check("\n\nFROM a\n\n \n\nRUN b\n\n\n", "FROM a\n\nRUN b\n");
        check("FROM a\nRUN b \\\n\n  # c \n\n  d", "FROM a\nRUN b \\\n  # c\n  d\n");
    }

    #[test]
    fn line_ends_are_those_of_the_first_line() {
        check("FROM a\r\nRUN b\n", "FROM a\r\nRUN b\r\n");
        check("FROM a\nRUN b\r\n", "FROM a\nRUN b\n");
    }

    #[test]
    fn documents_stay() {
        check("FROM a\nRUN <<E \n x \n\n\n y\r\nE\n\n\nUSER u", "FROM a\nRUN <<E\n x \n\n\n y\r\nE\n\nUSER u\n");
        check("FROM a\nRUN <<E  \n x \n", "FROM a\nRUN <<E\n x \n");
    }

    #[test]
    fn comments_that_would_say_something_stay() {
        check("FROM a\n # check=skip=all\nRUN b\n", "FROM a\n # check=skip=all\nRUN b\n");
        check("FROM a\n # V is it\n # it is\nARG V\n", "FROM a\n # V is it\n# it is\nARG V\n");
        check("\n\n# syntax=x\nFROM a\n", "\n# syntax=x\nFROM a\n");
        check(" # syntax=x\nFROM a\n", " # syntax=x\nFROM a\n");
        check("FROM a\n # b\n #\nRUN c\n", "FROM a\n# b\n #\nRUN c\n");
    }

    #[test]
    fn triggers_keep_the_blanks_at_their_end() {
        check("FROM a\nONBUILD RUN b  \n", "FROM a\nONBUILD RUN b  \n");
        check("FROM a\nONBUILD RUN b \\  \n c \n", "FROM a\nONBUILD RUN b \\\n c \n");
        // Two escape characters continue nothing.
        check("FROM a\nONBUILD RUN b\\\\ \n", "FROM a\nONBUILD RUN b\\\\ \n");
    }

    #[test]
    fn nothing_at_all() {
        check("", "");
        check("\n\n", "\n\n");
        check("\u{feff}  FROM a\n", "\u{feff}FROM a\n");
    }
}
