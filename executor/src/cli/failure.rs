//! Why a build failed, for people: the step, its last lines of output, its place in the source text.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use oci::Digest;

use crate::Error;
use crate::progress::{Event, Sink, tame, visible};

/// Lines of output shown of a failed step: what fits a screen with the rest of the message.
const LINES: usize = 20;
/// Lines of source shown around an instruction.
const AROUND: i32 = 2;

/// Hands events on and remembers the last lines that each step wrote.
pub(super) struct Tail {
    inner: Box<dyn Sink>,
    lines: Mutex<BTreeMap<Digest, Lines>>,
    /// Whether the failure was explained.
    is_explained: AtomicBool,
}

#[derive(Default)]
struct Lines {
    whole: VecDeque<String>,
    open: Vec<u8>,
}

impl Tail {
    pub(super) fn new(inner: Box<dyn Sink>) -> Self {
        Self { inner, lines: Mutex::default(), is_explained: AtomicBool::new(false) }
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<Digest, Lines>> {
        self.lines.lock().expect("no panic while lines are held")
    }
}

impl Sink for Tail {
    fn event(&self, event: Event) {
        match &event {
            Event::Log { digest, data, .. } => self.lines().entry(digest.clone()).or_default().push(data),
            Event::Completed { digest, error: None, .. } => drop(self.lines().remove(digest)),
            _ => {}
        }
        self.inner.event(event);
    }

    fn finish(&self) {
        self.inner.finish();
    }
}

impl Lines {
    fn push(&mut self, data: &[u8]) {
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            self.open.extend_from_slice(piece);
            if self.open.ends_with(b"\n") {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.open)).trim_end().to_owned();
                self.whole.push_back(line);
            }
        }
        while self.whole.len() > LINES {
            self.whole.pop_front();
        }
    }

    fn last(&self) -> Vec<String> {
        let open = (!self.open.is_empty()).then(|| String::from_utf8_lossy(&self.open).into_owned());
        self.whole.iter().cloned().chain(open).collect()
    }
}

/// Prints the failed step's last output and its place in the source, as far as they are known; once.
pub(super) fn explain(error: &Error, definition: &[u8], tail: &Tail) {
    if tail.is_explained.swap(true, Ordering::Relaxed) {
        return;
    }
    if let Error::Frontend { places, .. } = error {
        let frames: String = places.iter().map(|(source, ranges)| print_frame(source, ranges)).collect();
        // Nothing can be done about a closed standard error.
        let _ = std::io::stderr().lock().write_all(frames.as_bytes());
    }
    let Error::Step { name, digest, .. } = error else { return };
    let last = tail.lines().get(digest).map(Lines::last).unwrap_or_default();
    let mut text = output(name, &last);
    if let Ok(decoded) = llb::decode(definition) {
        text.push_str(&frame(&decoded, digest));
    }
    // Nothing can be done about a closed standard error.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn output(name: &str, lines: &[String]) -> String {
    let name = visible(name);
    if lines.is_empty() {
        return format!("------\n > {name}:\n------\n");
    }
    format!("------\n > {name}:\n{}\n------\n", tame(&lines.join("\n")))
}

/// The lines of the instruction a vertex comes from, marked, with some around them.
fn frame(decoded: &llb::Decoded, digest: &Digest) -> String {
    let found = decoded.digests.iter().position(|known| known == digest);
    let locations = found.map(|index| &decoded.graph.nodes[index].locations);
    let location = locations.and_then(|all| all.iter().find(|location| !location.ranges.is_empty()));
    let source = location.and_then(|location| Some((location, decoded.graph.sources.get(location.source as usize)?)));
    source.map(|(location, source)| print_frame(source, &location.ranges)).unwrap_or_default()
}

fn print_frame(source: &llb::SourceInfo, ranges: &[llb::Range]) -> String {
    let first = ranges.iter().map(|range| range.start.line).min().unwrap_or(1);
    let last = ranges.iter().map(|range| range.end.line.max(range.start.line)).max().unwrap_or(first);
    let text = String::from_utf8_lossy(&source.data);
    let rule = "-".repeat(20);
    let mut out = format!("{}:{first}\n{rule}\n", visible(&source.filename));
    for (line, number) in text.lines().zip(1..) {
        if number < first - AROUND || number > last + AROUND {
            continue;
        }
        let marked = ranges.iter().any(|range| (range.start.line..=range.end.line).contains(&number));
        let mark = if marked { ">>>" } else { "   " };
        writeln!(out, "{number:4} | {mark} {}", visible(line)).expect("writing to a string does not fail");
    }
    writeln!(out, "{rule}").expect("writing to a string does not fail");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_a_line_may_come_in_pieces() {
        let mut lines = Lines::default();
        for number in 0..30 {
            lines.push(b"line ");
            lines.push(format!("{number}\n").as_bytes());
        }
        lines.push(b"open");
        let last = lines.last();
        assert_eq!((last.len(), last[0].as_str(), last[20].as_str()), (21, "line 10", "open"));
    }

    #[test]
    fn what_a_step_wrote_is_no_command_to_the_terminal() {
        let lines = ["a\u{1b}]52;c;eA==\u{7}b".to_owned(), "\u{1b}[2Jc\u{1b}[31mred\u{1b}[0m".to_owned()];
        assert_eq!(
            output("RUN \u{1b}[2J", &lines),
            "------\n > RUN \\u{1b}[2J:\nab\nc\u{1b}[31mred\u{1b}[0m\n------\n"
        );
    }

    #[test]
    fn the_frame_marks_the_instruction() {
        let position = |line| llb::Position { line, character: 0 };
        let source = llb::SourceInfo {
            filename: "Dockerfile".into(),
            data: (*b"FROM a\nCOPY b c\n\nRUN x \\\n  y\nENV z=1\n\nCMD w\n").into(),
            ..llb::SourceInfo::default()
        };
        let ranges = [llb::Range { start: position(4), end: position(5) }];
        let expected = "\
Dockerfile:4
--------------------
   2 |     COPY b c
   3 |     \n   4 | >>> RUN x \\
   5 | >>>   y
   6 |     ENV z=1
   7 |     \n--------------------
";
        assert_eq!(print_frame(&source, &ranges), expected);
    }
}
