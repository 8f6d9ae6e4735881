//! How long compiling takes, in process: the corpus (or the files that are named), and builds of growing size.
#![allow(clippy::print_stdout)] // What it measured is what it prints.

use std::hint::black_box;
use std::time::{Duration, Instant};

use xtask::frontend::{self, Text};

/// That of `llbc`.
#[path = "../../cli/src/allocator.rs"]
mod allocator;

/// Runs of each text; the median counts.
const RUNS: usize = 15;

fn main() {
    let paths = frontend::paths_of(std::env::args().skip(1));
    let mut texts = frontend::texts(&paths).expect("the texts can be read");
    let mut times: Vec<(Duration, usize)> = (0..texts.len()).map(|at| (time(&mut texts[at]), at)).collect();
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    println!("{} texts: median {}, p99 {}", texts.len(), shown(at(50).0), shown(at(99).0));
    for (took, index) in times.iter().rev().take(3) {
        row(&mut texts[*index], *took);
    }
    for &stages in frontend::sizes(&paths) {
        let mut text = frontend::generated(stages);
        let took = time(&mut text);
        row(&mut text, took);
    }
}

/// The median of some runs.
fn time(text: &mut Text) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS).map(|_| timed(|| drop(black_box(text.compile())))).collect();
    times.sort();
    times[RUNS / 2]
}

fn row(text: &mut Text, took: Duration) {
    let definition = text.compile();
    let vertices = text.vertices();
    let mut limits: Vec<Duration> =
        (0..RUNS).map(|_| timed(|| frontend::limit(text.bytes(), &vertices, &definition))).collect();
    limits.sort();
    let limit = limits[RUNS / 2];
    println!(
        "{:40} {:9} bytes, {:6} vertices: {}, {:.1} us a vertex; limit {}",
        text.name,
        text.bytes().len(),
        vertices.len(),
        shown(took),
        took.as_secs_f64() * 1e6 / vertices.len().max(1) as f64,
        shown(limit),
    );
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn shown(time: Duration) -> String {
    format!("{:.4} ms", time.as_secs_f64() * 1000.0)
}
