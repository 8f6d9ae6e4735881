//! Diagnostics with their source lines.

use std::ops::Range;

use ariadne::{CharSet, Color, Config, IndexType, Label, Report, ReportKind};
use ast::{Diagnostic, FileId, Severity, Source, Sources, Span};

use executor::progress::visible;

use crate::failure::Message;

/// One finding: message, place with a caret, help, address.
pub(super) fn diagnostic(sources: &Sources, diagnostic: &Diagnostic, colour: bool) -> String {
    let Some(at) = diagnostic.at else {
        let text = visible(&diagnostic.message);
        return headline(diagnostic.severity, diagnostic.code, &text, diagnostic.help.as_deref(), colour);
    };
    let mut report = Report::build(kind(diagnostic.severity), place(sources, at))
        .with_config(
            Config::default().with_color(colour).with_index_type(IndexType::Byte).with_char_set(CharSet::Unicode),
        )
        .with_code(diagnostic.code)
        .with_message(visible(&diagnostic.message))
        .with_label(
            Label::new(place(sources, at)).with_message("here").with_color(tint(diagnostic.severity)).with_order(-1),
        );
    for label in &diagnostic.also {
        report = report.with_label(
            Label::new(place(sources, label.span)).with_message(visible(&label.message)).with_color(Color::Cyan),
        );
    }
    if let Some(help) = &diagnostic.help {
        report = report.with_help(visible(help));
    }
    if let Some(url) = diagnostic.url {
        report = report.with_note(url);
    }
    let mut out = Vec::new();
    report.finish().write(Cache::new(sources), &mut out).expect("writing to memory does not fail");
    String::from_utf8_lossy(&out).into_owned()
}

/// A failure that has no place in a text.
pub(super) fn message(message: &Message, colour: bool) -> String {
    let red = if colour { "\x1b[31merror\x1b[0m" } else { "error" };
    let help = message.help.as_ref().map(|help| format!("  help: {}\n", visible(help))).unwrap_or_default();
    format!("{red}: {}\n{help}", visible(&message.to_string()))
}

fn headline(severity: Severity, code: &str, text: &str, help: Option<&str>, colour: bool) -> String {
    let (word, number) = match severity {
        Severity::Error => ("Error", 31),
        Severity::Warning => ("Warning", 33),
        Severity::Info => ("Info", 34),
    };
    let head = format!("[{code}] {word}");
    let head = if colour { format!("\x1b[{number}m{head}\x1b[0m") } else { head };
    let help = help.map(|help| format!("  help: {help}\n")).unwrap_or_default();
    format!("{head}: {text}\n{help}")
}

fn kind(severity: Severity) -> ReportKind<'static> {
    match severity {
        Severity::Error => ReportKind::Error,
        Severity::Warning => ReportKind::Warning,
        Severity::Info => ReportKind::Advice,
    }
}

fn tint(severity: Severity) -> Color {
    match severity {
        Severity::Error => Color::Red,
        Severity::Warning => Color::Yellow,
        Severity::Info => Color::Blue,
    }
}

type Place = (FileId, Range<usize>);

/// A span as the drawing wants it: one line at least one byte wide, without the line break at its end.
fn place(sources: &Sources, span: Span) -> Place {
    let bytes = &sources.get(span.file).bytes;
    let (start, mut end) = (span.start as usize, (span.end as usize).min(bytes.len()));
    while end > start + 1 && matches!(bytes[end - 1], b'\n' | b'\r') {
        end -= 1;
    }
    (span.file, start.min(bytes.len())..end.max(start.min(bytes.len())))
}

/// Texts for drawing: what is not UTF-8, and what a terminal would take as a command, becomes `?`, byte for byte, so that
/// offsets stay.
struct Cache<'s> {
    sources: &'s Sources,
    texts: Vec<(FileId, ariadne::Source<String>)>,
}

impl<'s> Cache<'s> {
    fn new(sources: &'s Sources) -> Self {
        Self { sources, texts: Vec::new() }
    }
}

impl ariadne::Cache<FileId> for Cache<'_> {
    type Storage = String;

    fn fetch(&mut self, id: &FileId) -> Result<&ariadne::Source<String>, impl std::fmt::Debug> {
        let position = match self.texts.iter().position(|(known, _)| known == id) {
            Some(position) => position,
            None => {
                self.texts.push((*id, ariadne::Source::from(drawable(self.sources.get(*id)))));
                self.texts.len() - 1
            }
        };
        Ok::<_, std::convert::Infallible>(&self.texts[position].1)
    }

    fn display<'a>(&self, id: &'a FileId) -> Option<impl std::fmt::Display + 'a> {
        Some(self.sources.get(*id).name.clone())
    }
}

fn drawable(source: &Source) -> String {
    let mut text = String::with_capacity(source.bytes.len());
    for chunk in source.bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\r' | '\n' | '\t' => text.push(c),
                c if visible(c.encode_utf8(&mut [0; 4])).len() > c.len_utf8() => {
                    text.extend(std::iter::repeat_n('?', c.len_utf8()));
                }
                c => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], start: u32, end: u32, expected: &str) {
        let mut sources = Sources::default();
        let file = sources.add(Source::new("Dockerfile", text));
        let finding = Diagnostic::error("parse", "unknown instruction: RUM", Span::new(file, start, end))
            .help("did you mean RUN?");
        let shown = diagnostic(&sources, &finding, false);
        let shown: Vec<&str> = shown.lines().map(str::trim_end).collect();
        assert_eq!(shown.join("\n"), expected.trim_start_matches('\n'));
    }

    #[test]
    fn the_caret_stands_under_the_word() {
        check(
            b"FROM a\nRUM x\n",
            7,
            10,
            "
[parse] Error: unknown instruction: RUM
   ╭─[ Dockerfile:2:1 ]
   │
 2 │ RUM x
   │ ─┬─
   │  ╰─── here
   │
   │ Help: did you mean RUN?
───╯",
        );
    }

    #[test]
    fn other_bytes_before_it_do_not_move_it() {
        let shown = |text: &[u8], start| {
            let mut sources = Sources::default();
            let file = sources.add(Source::new("f", text));
            diagnostic(&sources, &Diagnostic::error("parse", "m", Span::new(file, start, start + 1)), false)
        };
        assert!(shown("# ü€\nX".as_bytes(), 8).contains("f:2:1"));
        assert!(shown(b"# \xff\xfe\nX", 5).contains("f:2:1"));
    }

    #[test]
    fn nothing_in_a_text_commands_a_terminal() {
        let mut sources = Sources::default();
        let file = sources.add(Source::new("f", "FOO\u{1b}[2J\u{202e} x\n".as_bytes()));
        let finding = Diagnostic::error("parse", "unknown: FOO\u{1b}[2J", Span::new(file, 0, 3)).help("\u{7}");
        let shown = diagnostic(&sources, &finding, false);
        assert!(shown.contains("unknown: FOO\\u{1b}[2J") && shown.contains("FOO?[2J??? x"), "{shown}");
        assert!(!shown.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{shown:?}");
    }

    #[test]
    fn without_a_place_there_is_one_line() {
        let finding = Diagnostic::error("plan", "no such platform", None).help("try linux/amd64");
        assert_eq!(
            diagnostic(&Sources::default(), &finding, false),
            "[plan] Error: no such platform\n  help: try linux/amd64\n"
        );
    }

    #[test]
    fn a_place_at_the_end_of_the_text() {
        check(
            b"FROM",
            4,
            4,
            "
[parse] Error: unknown instruction: RUM
   ╭─[ Dockerfile:1:5 ]
   │
 1 │ FROM
   │     │
   │     ╰─ here
   │
   │ Help: did you mean RUN?
───╯",
        );
    }
}
