//! Time to parse a Dockerfile: `cargo run --release -p frontends --example parse_speed -- FILE`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measuring tool"
)]

use std::time::Instant;

fn main() {
    let path = std::env::args().nth(1).expect("a file to parse");
    let bytes = std::fs::read(&path).unwrap();
    let input = frontends::Input::new(ast::FileId(0), &bytes);
    let language = frontends::detect("Dockerfile").unwrap();
    let rounds = (20_000_000 / bytes.len().max(1)).clamp(3, 20_000);
    let mut times: Vec<_> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            let module = (language.parse)(&input);
            let elapsed = start.elapsed();
            drop(module);
            elapsed
        })
        .collect();
    times.sort_unstable();
    println!("{} bytes: median {:?}, fastest {:?} of {rounds}", bytes.len(), times[rounds / 2], times[0]);
}
