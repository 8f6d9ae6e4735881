//! How many allocations compiling makes, in process, and how much memory it holds at its peak. Counting takes time, so
//! time is measured by another program (`frontend`).
#![allow(clippy::print_stdout)] // What it measured is what it prints.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use xtask::frontend::{self, Text};

/// Hands everything to the system's allocator, and counts.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grow(bytes: usize) {
    COUNT.fetch_add(1, Relaxed);
    PEAK.fetch_max(LIVE.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

// SAFETY: every call is handed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let paths = frontend::paths_of(std::env::args().skip(1));
    let mut texts = frontend::texts(&paths).expect("the texts can be read");
    let mut counts: Vec<(usize, usize, usize)> =
        (0..texts.len()).map(|at| (count(&mut texts[at]), at)).map(|((count, peak), at)| (count, peak, at)).collect();
    counts.sort_unstable();
    let (count, peak, _) = counts[counts.len() / 2];
    println!("{} texts: median {count} allocations; peak {} KB", texts.len(), peak / 1000);
    for (count, peak, at) in counts.iter().rev().take(3) {
        row(&mut texts[*at], *count, *peak);
    }
    for &stages in frontend::sizes(&paths) {
        let mut text = frontend::generated(stages);
        let (count, peak) = self::count(&mut text);
        row(&mut text, count, peak);
    }
}

/// Allocations of one compilation, and the most bytes it held at once.
fn count(text: &mut Text) -> (usize, usize) {
    let (before, live) = (COUNT.load(Relaxed), LIVE.load(Relaxed));
    PEAK.store(live, Relaxed);
    drop(black_box(text.compile()));
    (COUNT.load(Relaxed) - before, PEAK.load(Relaxed) - live)
}

fn row(text: &mut Text, count: usize, peak: usize) {
    let vertices = text.vertices().len();
    let each = count / vertices.max(1);
    println!("{:40} {vertices:6} vertices: {count} allocations, {each} a vertex; peak {} KB", text.name, peak / 1000);
}
