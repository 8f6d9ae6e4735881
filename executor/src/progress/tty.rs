//! Progress on a terminal: one screen that is drawn again and again.
//!
//! ```text
//! [+] Building 1.2s (5/7)
//!  => CACHED [1/2] FROM docker.io/library/alpine            0.0s
//!  => [2/2] RUN make                                        1.1s
//!  => => # cc -o x x.c
//! ```
//!
//! parity: BuildKit v0.32, util/progress/progressui: layout, colours and what is left out when the screen is small. The
//! last lines of output of running steps are shown without emulating a terminal: control sequences are dropped.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::time::SystemTime;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::style::Style;
use super::trace::{End, Status, Step, Trace};
use super::visible::spoken;
use super::{Event, visible};

/// Bytes of an unfinished line that are looked at.
const MAX_LINE: usize = 4096;
/// Narrowest name that is worth a line, in columns.
const MIN_NAME: usize = 12;
/// Columns left free at the right of output lines.
const PAD: usize = 10;
/// Lines that a log needs beside its own.
const LOG_MARGIN: usize = 3;

/// Size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: usize,
    pub(super) height: usize,
}

/// Turns events into screens.
pub(super) struct Tty {
    trace: Trace,
    tails: HashMap<usize, Tail>,
    notices: Vec<String>,
    style: Style,
    /// Lines on the screen that are ours.
    drawn: usize,
}

/// The last lines of a step's output.
#[derive(Default)]
struct Tail {
    lines: VecDeque<String>,
    open: Vec<u8>,
}

/// One line of a screen.
struct Line {
    name: String,
    /// How much of it is done, the longest way to say it first.
    amounts: Vec<String>,
    seconds: f64,
    end: Option<End>,
    /// The step whose output may follow.
    log_of: Option<usize>,
}

impl Tty {
    pub(super) fn new(style: Style) -> Self {
        Self { trace: Trace::default(), tails: HashMap::new(), notices: Vec::new(), style, drawn: 0 }
    }

    /// Takes an event.
    pub(super) fn event(&mut self, event: &Event) {
        if let Event::Warning { digest: None, message, .. } = event {
            self.notices.push(visible(message).into_owned());
        }
        let Some(position) = self.trace.take(event) else { return };
        if let Event::Log { data, .. } = event {
            let limit = self.style.log_lines;
            self.tails.entry(position).or_default().push(data, limit);
        }
    }

    /// The bytes that replace the last screen by one of `now`; `last` leaves nothing out.
    pub(super) fn draw(&mut self, now: SystemTime, size: Size, last: bool) -> String {
        let screen = self.screen(now, size, last);
        let mut out = String::from("\x1b[?25l");
        if self.drawn > 0 {
            write!(out, "\x1b[{}A", self.drawn).expect("writing to a string does not fail");
        }
        out.push('\r');
        for line in &screen {
            // Cleared first: after a full line the cursor still stands on its last character.
            writeln!(out, "\x1b[K{line}").expect("writing to a string does not fail");
        }
        out.push_str("\x1b[J\x1b[?25h");
        self.drawn = if last { 0 } else { screen.len() };
        out
    }

    fn screen(&self, now: SystemTime, size: Size, last: bool) -> Vec<String> {
        let mut lines = self.lines(now);
        let width = size.width.saturating_sub(PAD).max(1);
        let rows = |step: usize| (step, self.tails[&step].rows(width, self.style.log_lines));
        let shown = if size.width > PAD { self.logs_to_show(&lines, size, last) } else { Vec::new() };
        let logs: HashMap<_, _> = shown.into_iter().map(rows).collect();
        let log_height: usize = logs.values().map(Vec::len).sum();
        if !last {
            lines = fit(lines, size.height.saturating_sub(2 + log_height + self.notices.len()));
        }
        let mut screen = vec![cut(&self.headline(now, last), size.width).to_owned()];
        // The last ones, as far as there is room.
        let hidden = if last { 0 } else { (self.notices.len() + 2).saturating_sub(size.height) };
        screen.extend(self.notices.iter().skip(hidden).map(|notice| {
            let text = format!(" => WARN: {}", notice.replace(['\n', '\t'], " "));
            self.style.paint(cut(&text, size.width), self.style.cancel)
        }));
        for line in &lines {
            screen.extend(self.print(line, size.width));
            let rows = line.log_of.and_then(|step| logs.get(&step)).into_iter().flatten();
            screen.extend(rows.map(|text| self.style.faint(&format!(" => => # {text}"))));
        }
        screen
    }

    fn headline(&self, now: SystemTime, last: bool) -> String {
        let seconds =
            self.trace.started.map_or(0.0, |start| now.duration_since(start).unwrap_or_default().as_secs_f64());
        let (ended, all) = self.trace.counts();
        let finished = if last && ended == all && all > 0 { " FINISHED" } else { "" };
        format!("[+] Building {seconds:.1}s ({ended}/{all}){finished}")
    }

    fn lines(&self, now: SystemTime) -> Vec<Line> {
        let mut lines = Vec::new();
        for position in &self.trace.shown {
            let step = &self.trace.steps[*position];
            lines.push(Line {
                name: named(step),
                amounts: Vec::new(),
                seconds: step.duration(now).as_secs_f64(),
                end: step.end(),
                log_of: Some(*position),
            });
            lines.extend(step.statuses.iter().map(|status| status_line(status, now)));
            lines.extend(step.warnings.iter().map(|warning| Line {
                name: format!("WARN: {warning}"),
                amounts: Vec::new(),
                seconds: 0.0,
                end: Some(End::Cancelled),
                log_of: None,
            }));
        }
        lines
    }

    /// Running steps whose output is shown, as far as there is room.
    fn logs_to_show(&self, lines: &[Line], size: Size, last: bool) -> Vec<usize> {
        let running = lines.iter().filter(|line| line.end.is_none()).count();
        let height = self.style.log_lines + LOG_MARGIN;
        let mut room = size.height.saturating_sub(2 + running + self.notices.len());
        let mut shown = Vec::new();
        let talking =
            |line: &&Line| line.end.is_none() && line.log_of.is_some_and(|step| self.tails.contains_key(&step));
        for line in lines.iter().filter(talking).filter(|_| !last) {
            if room <= height {
                break;
            }
            room -= height;
            shown.extend(line.log_of);
        }
        shown
    }

    fn print(&self, line: &Line, width: usize) -> Option<String> {
        let seconds = if line.seconds < 0.05 { 0.0 } else { line.seconds };
        let (prefix, timer) = (" => ", format!(" {seconds:3.1}s"));
        let mut left = width.checked_sub(prefix.len() + timer.len() + 1)?;
        let amount = line.amounts.iter().find(|amount| left > amount.len() + MIN_NAME);
        left -= amount.map_or(0, |amount| amount.len() + 1);
        if left < MIN_NAME {
            return None;
        }
        let mut text = format!("{prefix}{}", cut(&line.name, left));
        if let Some(amount) = amount {
            write!(text, " {amount}").expect("writing to a string does not fail");
        }
        let gap = width.saturating_sub(text.width() + timer.len());
        write!(text, "{:gap$}{timer}", "").expect("writing to a string does not fail");
        let colour = match line.end {
            None => return Some(text),
            Some(End::Done | End::Cached) => self.style.run,
            Some(End::Cancelled) => self.style.cancel,
            Some(End::Failed(_)) => self.style.error,
        };
        Some(self.style.paint(&text, colour))
    }
}

impl Tail {
    fn push(&mut self, data: &[u8], limit: usize) {
        for piece in data.split_inclusive(|byte| matches!(*byte, b'\n' | b'\r')) {
            // What follows a carriage return is written over what is there.
            if self.open.ends_with(b"\r") && piece != b"\n" {
                self.open.clear();
            }
            let room = MAX_LINE.saturating_sub(self.open.len());
            self.open.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                let line = last_words(&std::mem::take(&mut self.open));
                if !line.trim().is_empty() {
                    self.lines.push_back(line);
                }
            }
        }
        while self.lines.len() > limit {
            self.lines.pop_front();
        }
    }

    /// The last lines as a terminal of a width shows them: the unfinished one, too, and long ones over several rows.
    fn rows(&self, width: usize, limit: usize) -> Vec<String> {
        let open = last_words(&self.open);
        let open = (!open.trim().is_empty()).then_some(&open);
        let mut rows = Vec::new();
        for line in self.lines.iter().chain(open) {
            let mut rest = line.as_str();
            while !rest.is_empty() {
                let row = cut(rest, width);
                // A character that is wider than the row is left out.
                let end = if row.is_empty() { rest.chars().next().map_or(0, char::len_utf8) } else { row.len() };
                rows.push(row.to_owned());
                rest = &rest[end..];
            }
        }
        rows.split_off(rows.len().saturating_sub(limit))
    }
}

fn named(step: &Step) -> String {
    let name = step.name.replace(['\t', '\n'], " ");
    match step.end() {
        Some(End::Cached) => format!("CACHED {name}"),
        Some(End::Cancelled) => format!("CANCELED {name}"),
        Some(End::Failed(_)) => format!("ERROR {name}"),
        Some(End::Done) | None => name,
    }
}

fn status_line(status: &Status, now: SystemTime) -> Line {
    let until = status.completed.unwrap_or(now);
    let amount = status.amount();
    let with_rate = amount.as_ref().zip(status.rate(now)).map(|(amount, rate)| format!("{amount} {rate}"));
    Line {
        name: format!("=> {}", status.id),
        amounts: with_rate.into_iter().chain(amount).collect(),
        seconds: until.duration_since(status.started).unwrap_or_default().as_secs_f64(),
        end: status.completed.map(|_| End::Done),
        log_of: None,
    }
}

/// As many lines as fit, in order: running ones first, then those that ended last.
fn fit(lines: Vec<Line>, height: usize) -> Vec<Line> {
    let Some(mut excess) = lines.len().checked_sub(height) else { return lines };
    let mut keep = vec![true; lines.len()];
    for is_running in [false, true] {
        for (line, keep) in lines.iter().zip(&mut keep) {
            if excess > 0 && *keep && line.end.is_none() == is_running {
                *keep = false;
                excess -= 1;
            }
        }
    }
    lines.into_iter().zip(keep).filter_map(|(line, keep)| keep.then_some(line)).collect()
}

/// As much of a text as fits into so many columns.
fn cut(text: &str, width: usize) -> &str {
    let mut columns = 0;
    let end = text.char_indices().find(|(_, c)| {
        columns += c.width().unwrap_or(0);
        columns > width
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

/// What a terminal would show of a line: nothing of control sequences, and only what follows the last carriage return.
fn last_words(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\n', '\r']);
    let text = text.rsplit('\r').next().unwrap_or(text);
    spoken(text, false).replace('\t', " ")
}
