//! The conformance runner: every case of the corpus compiled in process, and held against what BuildKit makes of it.
//!
//! A *case* is a folder with a Dockerfile, options (`case.json`) and the expected result (`expect.json`, `expect.pb`); see
//! `tests/conformance/README.md`. Bytes of definitions are compared first; what differs is then shown for people.

mod actual;
mod case;
mod compare;
pub mod hlb;
mod world;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use compiler::Lock;

pub use case::Case;
pub use world::CorpusWorld;

/// What came of the cases.
#[derive(Debug, Default)]
pub struct Report {
    /// Names of cases that came out as expected, sorted.
    pub passed: Vec<String>,
    /// The others with what differs, sorted.
    pub failed: Vec<(String, String)>,
}

impl Report {
    /// Everything for people: a diff for each failure, then the sums.
    pub fn print(&self) -> String {
        let mut text = String::new();
        for (name, difference) in &self.failed {
            let _ = writeln!(text, "--- {name}\n{difference}");
        }
        let _ = writeln!(text, "{} passed, {} failed", self.passed.len(), self.failed.len());
        text
    }
}

/// The corpus of the project.
pub fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance")
}

/// Images that every case of a corpus may use.
///
/// **Errors**: the file cannot be read.
pub fn images(corpus: &Path) -> Result<Lock, String> {
    let path = corpus.join("images.json");
    let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Lock::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Folders of all cases of a corpus whose name holds `filter`, sorted.
pub fn cases(corpus: &Path, filter: &str) -> Result<Vec<PathBuf>, String> {
    let root = corpus.join("dockerfile");
    let mut found = Vec::new();
    for group in folders(&root)? {
        for case in folders(&group)? {
            if Case::name_of(&case).contains(filter) {
                found.push(case);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn folders(path: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

/// Runs all cases of a corpus whose name holds `filter`, on all processors.
pub fn run(corpus: &Path, filter: &str) -> Result<Report, String> {
    let images = Arc::new(images(corpus)?);
    let mut cases = cases(corpus, filter)?;
    if corpus.join("hlb").is_dir() {
        cases.extend(hlb::cases(corpus, filter)?);
    }
    let next = AtomicUsize::new(0);
    let report = Mutex::new(Report::default());
    let work = || {
        while let Some(folder) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let is_hlb = folder.join("main.hlb").is_file();
            let name = if is_hlb { hlb::name_of(folder) } else { Case::name_of(folder) };
            let difference = run_case(folder, &images);
            let quirk = hlb::QUIRKS.contains(&name.as_str());
            let difference = match difference {
                Ok(()) if quirk => Err("is as HLB has it now: take it off the list of quirks".to_owned()),
                Err(_) if quirk => Ok(()),
                other => other,
            };
            let mut report = report.lock().expect("no worker panics while it holds the report");
            match difference {
                Ok(()) => report.passed.push(name),
                Err(difference) => report.failed.push((name, difference)),
            }
        }
    };
    std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        (0..workers).for_each(|_| drop(scope.spawn(work)));
    });
    let mut report = report.into_inner().expect("workers are gone");
    report.passed.sort();
    report.failed.sort();
    Ok(report)
}

/// Runs one case, of either language; what differs is the error.
pub fn run_case(folder: &Path, images: &Arc<Lock>) -> Result<(), String> {
    let result = std::panic::catch_unwind(|| {
        if folder.join("main.hlb").is_file() {
            return hlb::run_case(folder);
        }
        let case = Case::read(folder)?;
        let world = CorpusWorld::new(&case, images.clone())?;
        compare::compare(&case, &world)
    });
    result.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().cloned();
        let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", message.unwrap_or_default()))
    })
}

/// The task: `conformance [DIR] [--filter F]`.
///
/// **Errors**: cases failed, or could not be run; the text says which.
pub fn task(arguments: &[String], print: &mut dyn FnMut(&str)) -> Result<(), String> {
    let mut corpus = corpus();
    let mut filter = String::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--filter" => filter = rest.next().ok_or("--filter takes a part of case names")?.clone(),
            option if option.starts_with("--") => return Err(format!("unknown option {option}; there is --filter")),
            folder => corpus = PathBuf::from(folder),
        }
    }
    let report = run(&corpus, &filter)?;
    print(&report.print());
    match report.failed.len() {
        0 if report.passed.is_empty() => Err(format!("no case matches {filter}")),
        0 => Ok(()),
        failed => Err(format!("{failed} cases failed")),
    }
}
