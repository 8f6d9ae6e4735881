//! Shows events on standard error, in one of the ways there are.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use super::plain::Plain;
use super::raw::Raw;
use super::style::Style;
use super::tty::{Size, Tty};
use super::visible::tame;
use super::{Event, Silent, Sink};

/// How often a screen is drawn: ten times a second is smooth, and costs nothing.
const INTERVAL: Duration = Duration::from_millis(100);
/// The size of a terminal that does not tell its own.
const USUAL_SIZE: Size = Size { width: 80, height: 10 };

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A screen on a terminal, else lines.
    #[default]
    Auto,
    /// A screen that is drawn again and again.
    Tty,
    /// Lines that stay.
    Plain,
    /// BuildKit's status as JSON lines.
    RawJson,
    /// Nothing.
    Quiet,
}

/// Who shows events in a way, on standard error.
pub fn renderer(mode: Mode) -> Box<dyn Sink> {
    let is_terminal = std::io::stderr().is_terminal();
    let var = |name: &str| std::env::var(name).ok();
    let view = match mode {
        Mode::Quiet => return Box::new(Silent),
        Mode::RawJson => View::Raw(Raw::default()),
        Mode::Tty => View::Tty(Tty::new(Style::from_environment(var))),
        Mode::Auto if is_terminal => View::Tty(Tty::new(Style::from_environment(var))),
        Mode::Auto | Mode::Plain => View::Plain(Plain::default(), is_terminal),
    };
    let interval = var("TTY_DISPLAY_RATE").and_then(|rate| rate.parse().ok()).map_or(INTERVAL, Duration::from_millis);
    Box::new(Display::start(view, interval.max(Duration::from_millis(1))))
}

enum View {
    Tty(Tty),
    /// Whether it is on a terminal.
    Plain(Plain, bool),
    Raw(Raw),
}

/// A view, and a thread that lets time pass for it.
struct Display {
    shared: Arc<Shared>,
    clock: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

struct State {
    view: View,
    /// What was said of the build as a whole.
    notices: BTreeSet<String>,
    has_ended: bool,
}

impl Display {
    fn start(view: View, interval: Duration) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { view, notices: BTreeSet::new(), has_ended: false }),
            ended: Condvar::new(),
        });
        let ticking = shared.clone();
        let clock = std::thread::spawn(move || tick(&ticking, interval));
        Self { shared, clock: Mutex::new(Some(clock)) }
    }
}

impl Sink for Display {
    fn event(&self, event: Event) {
        let mut state = self.shared.state();
        if state.has_ended {
            return;
        }
        if let Event::Warning { digest: None, message, about: None } = &event
            && !state.notices.insert(message.clone())
        {
            return;
        }
        let now = SystemTime::now();
        match &mut state.view {
            // Drawn when the clock says so.
            View::Tty(tty) => tty.event(&event),
            View::Plain(plain, is_terminal) => write_lines(&plain.event(&event, now), *is_terminal),
            View::Raw(raw) => write(&raw.event(&event, now)),
        }
    }

    fn finish(&self) {
        let clock = self.clock.lock().expect("no panic while the clock is held").take();
        let Some(clock) = clock else { return };
        {
            let mut state = self.shared.state();
            state.has_ended = true;
            let now = SystemTime::now();
            match &mut state.view {
                View::Tty(tty) => write(&tty.draw(now, terminal_size(), true)),
                View::Plain(plain, is_terminal) => write_lines(&plain.finish(now), *is_terminal),
                View::Raw(_) => {}
            }
        }
        self.shared.ended.notify_all();
        // A clock that panicked has shown what it could.
        let _ = clock.join();
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the view is held")
    }
}

fn tick(shared: &Shared, interval: Duration) {
    let mut state = shared.state();
    while !state.has_ended {
        let now = SystemTime::now();
        match &mut state.view {
            View::Tty(tty) => write(&tty.draw(now, terminal_size(), false)),
            View::Plain(plain, is_terminal) => write_lines(&plain.tick(now), *is_terminal),
            View::Raw(_) => return,
        }
        let waited = shared.ended.wait_timeout_while(state, interval, |state| !state.has_ended);
        state = waited.expect("no panic while the view is held").0;
    }
}

/// The one place that progress goes to. Nothing can be done when standard error is closed.
fn write(text: &str) {
    if !text.is_empty() {
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}

/// Lines of processes are bytes in a file, and no commands to a terminal.
fn write_lines(text: &str, is_terminal: bool) {
    if is_terminal { write(&tame(text)) } else { write(text) }
}

fn terminal_size() -> Size {
    // SAFETY: zero is a valid winsize, and the call fills it or leaves it.
    let size = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        libc::ioctl(libc::STDERR_FILENO, libc::TIOCGWINSZ, &raw mut size);
        size
    };
    match (usize::from(size.ws_col), usize::from(size.ws_row)) {
        (0, _) | (_, 0) => USUAL_SIZE,
        (width, height) => Size { width, height },
    }
}
