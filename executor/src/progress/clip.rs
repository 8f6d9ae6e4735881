//! Keeps a step that writes without end from flooding whoever follows the build.
//!
//! parity: BuildKit v0.32, util/progress/logs: 2 MiB a stream in all, 200 KiB for each second begun; what is beyond is left
//! out and said so; the last 256 KiB are shown all the same when the step fails. The variables are BuildKit's, too.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::Vertex;

/// Bytes of a stream in all.
const MAX_SIZE: i64 = 2 << 20;
/// Bytes of a stream a second.
const MAX_SPEED: i64 = 200 << 10;
/// Bytes that are kept of what is left out.
const KEPT: usize = 256 << 10;
/// A limit that is none.
const UNLIMITED: i64 = -1;

/// The output of one process on its way to the progress of a vertex.
pub struct Clipped<'a> {
    vertex: &'a Vertex<'a>,
    streams: [Mutex<Stream>; 2],
}

impl<'a> Clipped<'a> {
    /// With the limits of the environment.
    pub fn new(vertex: &'a Vertex<'a>) -> Self {
        let set = |name, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
        let limits = Limits {
            size: set("BUILDKIT_STEP_LOG_MAX_SIZE", MAX_SIZE),
            speed: set("BUILDKIT_STEP_LOG_MAX_SPEED", MAX_SPEED),
        };
        let stream = || Mutex::new(Stream { limits, started: Instant::now(), written: 0, clipping: false, kept: None });
        Self { vertex, streams: [stream(), stream()] }
    }

    /// Hands on what stream 1 or 2 wrote.
    pub fn write(&self, stream: u8, data: &[u8]) {
        let shown = {
            let mut state = self.stream(stream);
            let elapsed = state.started.elapsed();
            state.write(data, elapsed)
        };
        if !shown.is_empty() {
            self.vertex.log(stream, &shown);
        }
    }

    /// Shows the end of what was left out.
    pub fn flush(&self) {
        for stream in [1, 2] {
            let kept = self.stream(stream).kept.take();
            if let Some(kept) = kept {
                self.vertex.log(stream, &Vec::from(kept));
            }
        }
    }

    fn stream(&self, stream: u8) -> MutexGuard<'_, Stream> {
        let index = usize::from(stream == 2);
        self.streams[index].lock().expect("no panic while a stream is held")
    }
}

#[derive(Clone, Copy)]
struct Limits {
    size: i64,
    speed: i64,
}

struct Stream {
    limits: Limits,
    started: Instant,
    written: i64,
    clipping: bool,
    /// The end of the output, once something was left out.
    kept: Option<VecDeque<u8>>,
}

impl Stream {
    /// What is shown of some output after `elapsed` time.
    fn write(&mut self, data: &[u8], elapsed: Duration) -> Vec<u8> {
        let (room, limit) = self.room(data.len(), elapsed);
        if room < data.len() && self.kept.is_none() {
            self.kept = Some(VecDeque::new());
        }
        if let Some(kept) = &mut self.kept {
            kept.extend(data);
            kept.drain(..kept.len().saturating_sub(KEPT));
        }
        let mut shown = data[..room].to_vec();
        if room < data.len() && !self.clipping {
            shown.extend_from_slice(format!("\n[output clipped, log limit {limit} reached]\n").as_bytes());
        }
        self.clipping = room < data.len();
        shown
    }

    /// How many of `length` bytes are shown, and the limit that says so.
    fn room(&mut self, length: usize, elapsed: Duration) -> (usize, String) {
        let before = self.written;
        self.written += length as i64;
        let Limits { size, speed } = self.limits;
        let by_now = (speed != UNLIMITED).then(|| (elapsed.as_secs_f64().ceil() as i64).saturating_mul(speed));
        let (limit, text) = match by_now {
            Some(by_now) if size == UNLIMITED || by_now <= size => (by_now, format!("{}/s", units(speed))),
            _ if size == UNLIMITED => return (length, String::new()),
            _ => (size, units(size)),
        };
        let room = (limit - before).clamp(0, length as i64);
        (room as usize, text)
    }
}

/// Bytes in the largest unit that gives a short number.
fn units(bytes: i64) -> String {
    match bytes {
        _ if bytes >= 1 << 20 && bytes % (1 << 20) == 0 => format!("{}MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes % (1 << 10) == 0 => format!("{}KiB", bytes >> 10),
        _ => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(size: i64, speed: i64) -> Stream {
        let limits = Limits { size, speed };
        Stream { limits, started: Instant::now(), written: 0, clipping: false, kept: None }
    }

    fn check(stream: &mut Stream, data: &str, seconds: f64, want: &str) {
        let shown = stream.write(data.as_bytes(), Duration::from_secs_f64(seconds));
        assert_eq!(String::from_utf8(shown).unwrap(), want);
    }

    #[test]
    fn the_size_is_limited_and_it_is_said_once() {
        let mut stream = stream(6, UNLIMITED);
        check(&mut stream, "1234", 0.1, "1234");
        check(&mut stream, "5678", 0.1, "56\n[output clipped, log limit 6B reached]\n");
        check(&mut stream, "9", 100.0, "");
        assert_eq!(stream.kept.map(Vec::from), Some(b"56789".to_vec()));
    }

    #[test]
    fn the_speed_is_limited_and_recovers() {
        let mut stream = stream(MAX_SIZE, 1 << 10);
        let long = "x".repeat(1100);
        check(&mut stream, &long, 0.5, &format!("{}\n[output clipped, log limit 1KiB/s reached]\n", "x".repeat(1024)));
        check(&mut stream, "later", 1.5, "later");
    }

    #[test]
    fn without_limits_all_is_shown() {
        let mut stream = stream(UNLIMITED, UNLIMITED);
        check(&mut stream, "1234", 0.0, "1234");
        assert!(stream.kept.is_none());
    }
}
