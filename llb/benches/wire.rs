//! Encoding, decoding and optimizing against the floor, one SHA-256 of the bytes: `cargo bench -p llb`. Of samples of three
//! sizes, and of the largest definition of the conformance corpus.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::expect_used,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a measurement"
)]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use llb::Graph;

fn main() {
    println!("vertices    what                   total      a vertex   MB/s of definition");
    let corpus = [largest_of_the_corpus()];
    for graph in [20, 1_000, 100_000].map(llb::sample::build).into_iter().chain(corpus) {
        let definition = llb::encode(&graph).expect("a sample can be encoded");
        let bytes = definition.to_bytes();
        let count = definition.vertices.len();
        let report = |what: &str, time: Duration| {
            let nanoseconds = time.as_nanos() as f64;
            let rate = bytes.len() as f64 * 1e3 / nanoseconds;
            println!(
                "{count:<10}  {what:<20} {:>8.1} µs {:>8.0} ns {rate:>8.0}",
                nanoseconds / 1e3,
                nanoseconds / count as f64
            );
        };
        report(
            "SHA-256 of each",
            best(|| definition.vertices.iter().for_each(|v| drop(black_box(oci::Digest::sha256(&v.bytes))))),
        );
        report("encode", best(|| llb::encode(&graph)));
        report("encode to bytes", best(|| llb::encode_to_bytes(&graph)));
        report("definition to bytes", best(|| definition.to_bytes()));
        report("decode", best(|| llb::decode(&bytes)));
        report("verify", best(|| llb::verify::verify(&graph)));
        // A graph that has been optimized has nothing to do left, so each run takes a copy, whose cost is its own line.
        report("clone", best(|| graph.clone()));
        let options = llb::passes::Options { level: llb::passes::Level::O2, ..Default::default() };
        report("clone and optimize", best(|| llb::passes::optimize(&mut graph.clone(), options)));
    }
}

/// The graph of the largest definition of the conformance corpus.
fn largest_of_the_corpus() -> Graph {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/dockerfile");
    let folders = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = folders(&root).flat_map(|group| folders(&group)).map(|case| case.join("expect.pb"));
    let definitions = files.filter_map(|file| std::fs::read(file).ok());
    let largest = definitions.max_by_key(Vec::len).expect("the corpus has definitions");
    llb::decode(&largest).expect("the corpus can be decoded").graph
}

/// The best of several runs; the time to drop the result counts too.
fn best<T>(mut run: impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    let mut best = Duration::MAX;
    while start.elapsed() < Duration::from_millis(1500) {
        let start = Instant::now();
        drop(black_box(run()));
        best = best.min(start.elapsed());
    }
    best
}
