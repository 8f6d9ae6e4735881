//! Progress as lines that stay: for logs and pipes.
//!
//! ```text
//! #1 [2/3] RUN make
//! #1 0.123 cc -o x x.c
//! #1 DONE 0.2s
//! ```
//!
//! One step has the word at a time, so that lines of parallel steps do not mix: what others say waits until that step
//! ends, or has kept the word for five seconds while others wait. Amounts are told when time passes, as they are then: what
//! begins and ends in between is one line. parity: BuildKit v0.32, util/progress/progressui/printer.go: the format, and how
//! often amounts are repeated.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::trace::{End, Status, Step, Trace};
use super::{Event, visible};

/// How long a step keeps the word while others wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// What an amount must have grown by to be printed again: part of the whole, or time.
const MIN_GROWTH: f64 = 0.05;
const MIN_TIME: Duration = Duration::from_secs(5);

/// Turns events into lines.
#[derive(Default)]
pub(super) struct Plain {
    trace: Trace,
    voices: HashMap<usize, Voice>,
    /// The step that has the word, and since when.
    speaker: Option<(usize, SystemTime)>,
    numbered: usize,
    has_spoken: bool,
    out: String,
}

/// What a step has to say.
#[derive(Default)]
struct Voice {
    /// Its number, once it was shown.
    number: Option<usize>,
    /// Lines that wait.
    pending: Vec<String>,
    /// Begin of a line that has no end yet, by stream.
    partial: [Vec<u8>; 2],
    /// Amounts that changed since time passed.
    changed: Vec<String>,
    /// Amounts as last printed.
    printed: HashMap<String, (u64, SystemTime)>,
    warned: usize,
    is_done: bool,
    /// Whether its end waits: that others let pass.
    is_ending: bool,
}

impl Plain {
    /// Takes an event at a time; returns what to print.
    pub(super) fn event(&mut self, event: &Event, now: SystemTime) -> String {
        if let Event::Warning { digest: None, message, .. } = event {
            self.say(&format!("WARN: {}\n", visible(message)));
            return std::mem::take(&mut self.out);
        }
        if let Some(position) = self.trace.take(event) {
            self.listen(position, event, now);
            if !matches!(event, Event::Status { .. }) {
                self.speak(position, now);
            }
        }
        std::mem::take(&mut self.out)
    }

    /// Lets those speak who have waited long enough; returns what to print.
    pub(super) fn tick(&mut self, now: SystemTime) -> String {
        for position in self.tell_amounts(now) {
            self.speak(position, now);
        }
        if self.speaker.is_none_or(|(_, since)| elapsed(since, now) > PATIENCE)
            && let Some(next) = self.waiting()
        {
            self.hand_over(next, now);
        }
        std::mem::take(&mut self.out)
    }

    /// Prints all that still waits.
    pub(super) fn finish(&mut self, now: SystemTime) -> String {
        self.tell_amounts(now);
        while let Some(next) = self.waiting() {
            self.hand_over(next, now);
        }
        std::mem::take(&mut self.out)
    }

    /// Has all steps tell what their amounts are; returns those that had something to tell.
    fn tell_amounts(&mut self, now: SystemTime) -> Vec<usize> {
        let (shown, steps, voices) = (&self.trace.shown, &self.trace.steps, &mut self.voices);
        let mut tells = |position: &&usize| {
            let voice = voices.get_mut(position).filter(|voice| !voice.changed.is_empty());
            voice.map(|voice| voice.amounts(&steps[**position], now)).is_some()
        };
        shown.iter().filter(|position| tells(position)).copied().collect()
    }

    /// Notes what an event lets a step say.
    fn listen(&mut self, position: usize, event: &Event, now: SystemTime) {
        let step = &self.trace.steps[position];
        let voice = self.voices.entry(position).or_default();
        if let Event::Status { id, .. } = event {
            let id = visible(id).into_owned();
            if !voice.changed.contains(&id) {
                voice.changed.push(id);
            }
            return;
        }
        voice.amounts(step, now);
        if let Event::Log { stream, data, at, .. } = event {
            voice.log(*stream, data, since(step, *at));
        }
        for warning in &step.warnings[voice.warned..] {
            voice.pending.push(format!("WARN: {warning}"));
        }
        voice.warned = step.warnings.len();
        match step.end() {
            Some(end) if !voice.is_done => {
                voice.end_lines(since(step, now));
                voice.pending.push(closing(&end, step, now));
                (voice.is_done, voice.is_ending) = (true, true);
            }
            // It has started again.
            None => voice.is_done = false,
            Some(_) => {}
        }
    }

    /// Lets a step speak when it may.
    fn speak(&mut self, position: usize, now: SystemTime) {
        let may = match self.speaker {
            None => true,
            Some((speaker, since)) => speaker == position || elapsed(since, now) > PATIENCE,
        };
        if may || self.voices[&position].is_ending {
            self.hand_over(position, now);
        }
        if self.speaker.is_none()
            && let Some(next) = self.waiting()
        {
            self.hand_over(next, now);
        }
    }

    fn hand_over(&mut self, position: usize, now: SystemTime) {
        if self.speaker.is_none_or(|(speaker, _)| speaker != position) {
            if let Some((old, _)) = self.speaker
                && let Some(number) = self.voices.get(&old).and_then(|voice| voice.number)
            {
                self.say(&format!("#{number} ...\n"));
            }
            self.introduce(position);
            self.speaker = Some((position, now));
        }
        let Some(voice) = self.voices.get_mut(&position) else { return };
        let number = voice.number.unwrap_or_default();
        let pending = std::mem::take(&mut voice.pending);
        voice.is_ending = false;
        let is_done = voice.is_done && !self.trace.steps[position].is_open();
        for line in pending {
            self.say(&format!("#{number} {line}\n"));
        }
        if is_done {
            self.speaker = None;
        }
    }

    fn introduce(&mut self, position: usize) {
        let voice = self.voices.entry(position).or_default();
        let number = *voice.number.get_or_insert_with(|| {
            self.numbered += 1;
            self.numbered
        });
        let gap = if self.has_spoken { "\n" } else { "" };
        self.has_spoken = true;
        let introduction = format!("{gap}#{number} {}\n", self.trace.steps[position].name);
        self.say(&introduction);
    }

    /// A step that waits to speak, the earliest started first.
    fn waiting(&self) -> Option<usize> {
        let waits = |position: &&usize| {
            let is_speaker = self.speaker.is_some_and(|(speaker, _)| speaker == **position);
            !is_speaker && self.voices.get(position).is_some_and(|voice| !voice.pending.is_empty())
        };
        self.trace.shown.iter().find(waits).copied()
    }

    fn say(&mut self, text: &str) {
        self.out.push_str(text);
    }
}

impl Voice {
    fn log(&mut self, stream: u8, data: &[u8], at: Duration) {
        let index = usize::from(stream == 2);
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            self.partial[index].extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial[index]);
                self.pending.push(log_line(&line, at));
            }
        }
    }

    /// Shows lines that will have no end.
    fn end_lines(&mut self, at: Duration) {
        for index in [0, 1] {
            if !self.partial[index].is_empty() {
                let line = std::mem::take(&mut self.partial[index]);
                self.pending.push(log_line(&line, at));
            }
        }
    }

    /// Tells the amounts that changed.
    fn amounts(&mut self, step: &Step, now: SystemTime) {
        for id in std::mem::take(&mut self.changed) {
            if let Some(status) = step.statuses.iter().find(|status| status.id == id) {
                self.amount(status, now);
            }
        }
    }

    fn amount(&mut self, status: &Status, now: SystemTime) {
        let last = self.printed.get(&status.id);
        let is_news = last.is_none_or(|(current, at)| {
            let growth = status.current.saturating_sub(*current) as f64 / status.total.max(1) as f64;
            growth >= MIN_GROWTH && status.total > 0 || elapsed(*at, now) >= MIN_TIME
        });
        if !is_news && status.completed.is_none() {
            return;
        }
        self.printed.insert(status.id.clone(), (status.current, now));
        let mut line = status.id.clone();
        if let Some(amount) = status.amount() {
            write!(line, " {amount}").expect("writing to a string does not fail");
        }
        let seconds = elapsed(status.started, status.completed.unwrap_or(now)).as_secs_f64();
        if seconds > 0.01 {
            write!(line, " {seconds:.1}s").expect("writing to a string does not fail");
        }
        if status.completed.is_some() {
            line.push_str(" done");
        }
        self.pending.push(line);
    }
}

fn log_line(line: &[u8], at: Duration) -> String {
    let seconds = at.as_secs_f64();
    let digits = if seconds < 10.0 { 3 } else { 2 - usize::from(seconds >= 100.0) };
    let text = String::from_utf8_lossy(line);
    format!("{seconds:.digits$} {}", text.trim_end_matches('\n').trim_end_matches('\r'))
}

fn closing(end: &End, step: &Step, now: SystemTime) -> String {
    match end {
        End::Done => format!("DONE {:.1}s", step.duration(now).as_secs_f64()),
        End::Cached => "CACHED".into(),
        End::Cancelled => "CANCELED".into(),
        End::Failed(error) => format!("ERROR: {error}"),
    }
}

fn since(step: &Step, at: SystemTime) -> Duration {
    step.started().map_or(Duration::ZERO, |started| elapsed(started, at))
}

fn elapsed(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}
