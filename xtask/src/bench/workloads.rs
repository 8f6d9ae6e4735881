//! What is built.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// A build to measure.
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) dockerfile: fn() -> String,
    /// Fills the context before the first run.
    pub(super) prepare: fn(&Path) -> io::Result<()>,
    /// Whether it takes the context of the workload before it, filled and built, when that shares it too. All that do so
    /// fill it in the same way.
    pub(super) shares_context: bool,
    pub(super) start: Start,
    pub(super) output: Output,
    /// Where the cache is handed out to, if it is.
    pub(super) cache_to: Option<Place>,
    /// Runs of each builder, at most; the median counts.
    pub(super) runs: usize,
    /// What the machine cannot do without, as a line for the shell that runs in the context; its wall time is the limit.
    /// What it writes lies beside the context, on the same file system as everything else.
    pub(super) limit: &'static str,
}

impl Workload {
    pub(super) fn needs_registry(&self) -> bool {
        self.output == Output::Registry
            || self.cache_to == Some(Place::Registry)
            || matches!(self.start, Start::Pulled | Start::Imported(Place::Registry))
    }
}

/// What a run finds.
#[derive(Clone, Copy)]
pub(super) enum Start {
    /// No step is taken from the cache.
    NoCache,
    /// All of it was built before.
    Cached,
    /// It was built before, and this was done to the context since, for the nth time.
    Changed(fn(&Path, usize) -> io::Result<()>),
    /// Its base is in a registry and nowhere else.
    Pulled,
    /// It was built before by a builder that has forgotten everything since, but for the cache that it handed out there. The
    /// last step is another one each time.
    Imported(Place),
}

/// Where a cache is that is handed out, whole.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    Directory,
    /// A registry, in a repository of its own.
    Registry,
}

/// Where the result goes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Output {
    Nowhere,
    Store,
    Local,
    Tar,
    DockerArchive,
    /// An OCI archive with its layers compressed so.
    Oci(&'static str),
    /// A registry, into a repository of its own.
    Registry,
}

/// The image they all build on.
pub(super) const BASE: &str = "bench-base";

/// Files of the large context, in directories of a hundred.
const FILES: usize = 20_000;
/// Bytes of each: a hundred megabytes together.
const FILE: usize = 5_000;
/// Bytes of the one large file.
const LARGE: usize = 1 << 30;

/// What writes the files of a step, into the working directory: a hundred texts in turn that compress as those of contexts do,
/// each far past the window of gzip when it comes again.
macro_rules! writer {
    () => {
        concat!(
            "busybox awk 'BEGIN { srand(1); for (k = 0; k < 100; k++) while (length(t[k]) < 15000) t[k] = t[k] ",
            r#"sprintf("let value_%d = compute(%d, \"%x\");\n", rand() * 97, rand() * 16384, rand() * 2147483647); "#,
            r#"for (i = 0; i < 20000; i++) { printf "%d %s", i, t[i % 100] > i; close(i) } }'"#
        )
    };
}

const NOTHING: Workload = Workload {
    name: "",
    dockerfile: String::new,
    prepare: |_| Ok(()),
    shares_context: false,
    start: Start::NoCache,
    output: Output::Nowhere,
    cache_to: None,
    runs: 5,
    limit: "true",
};

pub(super) const ALL: &[Workload] = &[
    Workload { name: "30 instructions, all cached", dockerfile: || runs(29), start: Start::Cached, ..NOTHING },
    Workload { name: "one RUN step", dockerfile: || runs(1), limit: "unshare -mpf true", ..NOTHING },
    Workload { name: "20 RUN steps", dockerfile: || runs(20), limit: TWENTY, ..NOTHING },
    Workload { name: "20 RUN steps, store", dockerfile: || runs(20), output: Output::Store, limit: TWENTY, ..NOTHING },
    Workload {
        name: "20 RUN steps, OCI gzip",
        dockerfile: || runs(20),
        output: Output::Oci("gzip"),
        limit: TWENTY,
        ..NOTHING
    },
    Workload { name: "16 stages of `sleep 0.5`", dockerfile: || stages("sleep 0.5"), limit: "sleep 0.5", ..NOTHING },
    Workload {
        name: "16 stages of work",
        dockerfile: || stages("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"),
        runs: 3,
        limit: "for j in 1 2 3 4 5 6 7 8; do for k in 1 2; do busybox sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done' & done; wait; done",
        ..NOTHING
    },
    Workload {
        name: "20,000 files, cold",
        start: Start::Changed(rewrite_all),
        limit: "cp -r . ../bench-limit; rm -r ../bench-limit",
        ..CONTEXT
    },
    Workload { name: "20,000 files, unchanged", start: Start::Cached, limit: "find . -newermt 2100-01-01", ..CONTEXT },
    Workload {
        name: "20,000 files, one changed",
        start: Start::Changed(rewrite_one),
        limit: "cp -r . ../bench-limit; rm -r ../bench-limit",
        ..CONTEXT
    },
    Workload {
        name: "20,000 files, all touched",
        start: Start::Changed(touch_all),
        limit: "cat */* | sha256sum",
        ..CONTEXT
    },
    Workload {
        name: "20,000 files, push to a new repository",
        start: Start::Cached,
        output: Output::Registry,
        limit: "true",
        ..CONTEXT
    },
    Workload {
        name: "20,000 files, one changed, cache to a directory",
        cache_to: Some(Place::Directory),
        ..SHARED_CACHE
    },
    Workload {
        name: "20,000 files, one changed, cache to a registry",
        cache_to: Some(Place::Registry),
        ..SHARED_CACHE
    },
    Workload {
        name: "20,000 files, cache from a directory, last step changed",
        start: Start::Imported(Place::Directory),
        ..TAKEN_OVER
    },
    Workload {
        name: "20,000 files, cache from a registry, last step changed",
        start: Start::Imported(Place::Registry),
        ..TAKEN_OVER
    },
    Workload {
        name: "20,000 files, all but one ignored",
        dockerfile: || format!("FROM {BASE}\nCOPY . /context/\n"),
        prepare: |context| {
            make_files(context)?;
            fs::write(context.join(".dockerignore"), "*\n!0/0\n")
        },
        ..NOTHING
    },
    Workload { name: "1 GB file", limit: "cp large ../bench-limit; rm ../bench-limit", ..LARGE_FILE },
    Workload {
        name: "1 GB file, local directory",
        output: Output::Local,
        limit: "cp large ../bench-limit; rm ../bench-limit",
        ..LARGE_FILE
    },
    Workload {
        name: "1 GB file, OCI gzip",
        output: Output::Oci("gzip"),
        limit: "cat large | gzip -6 > /dev/null",
        ..LARGE_FILE
    },
    Workload {
        name: "1 GB file, OCI uncompressed",
        output: Output::Oci("uncompressed"),
        limit: "cp large ../bench-limit; rm ../bench-limit",
        ..LARGE_FILE
    },
    Workload {
        name: "1 GB file, OCI zstd",
        output: Output::Oci("zstd"),
        limit: "zstd -q -3 -T0 < large > /dev/null",
        ..LARGE_FILE
    },
    Workload { name: "RUN writes 20,000 files", dockerfile: writer, runs: 3, limit: WRITE, ..NOTHING },
    Workload {
        name: "RUN writes 20,000 files, OCI gzip",
        dockerfile: writer,
        output: Output::Oci("gzip"),
        runs: 3,
        limit: WRITE,
        ..NOTHING
    },
    // The image that is pulled has the files; what is built on it has its Dockerfile alone.
    Workload {
        name: "20,000 files, pulled as a base",
        start: Start::Pulled,
        limit: "true",
        shares_context: false,
        ..CONTEXT
    },
    Workload { name: "base and one layer, docker archive", output: Output::DockerArchive, ..SMALL },
    Workload { name: "base and one layer, tar", output: Output::Tar, ..SMALL },
    Workload { name: "base and one layer, local directory", output: Output::Local, ..SMALL },
];

/// Twenty processes in namespaces of their own.
const TWENTY: &str = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do unshare -mpf true; done";
/// The same files, written beside the context.
const WRITE: &str = concat!("mkdir ../bench-limit; cd ../bench-limit; ", writer!(), "; cd ..; rm -r bench-limit");
const WRITER: &str = writer!();

const CONTEXT: Workload = Workload {
    dockerfile: || format!("FROM {BASE}\nCOPY . /context/\n"),
    prepare: make_files,
    shares_context: true,
    runs: 3,
    ..NOTHING
};
const SHARED_CACHE: Workload =
    Workload { start: Start::Changed(rewrite_one), limit: "tar c . | gzip -6 > /dev/null", ..CONTEXT };
const TAKEN_OVER: Workload = Workload {
    // The Dockerfile is in the context and changes; the layer of the context must not.
    prepare: |context| {
        make_files(context)?;
        fs::write(context.join(".dockerignore"), "Dockerfile\n")
    },
    shares_context: false,
    limit: "cp -r . ../bench-limit; rm -r ../bench-limit",
    ..CONTEXT
};
const LARGE_FILE: Workload =
    Workload { dockerfile: || format!("FROM {BASE}\nCOPY large /\n"), prepare: make_large, runs: 1, ..NOTHING };
const SMALL: Workload = Workload { dockerfile: || runs(1), limit: "unshare -mpf true", ..NOTHING };

fn runs(count: usize) -> String {
    let steps = (0..count).map(|step| format!("RUN echo {step} > /file-{step}\n"));
    format!("FROM {BASE}\n{}", steps.collect::<String>())
}

fn stages(command: &str) -> String {
    let stages = (0..16).map(|stage| format!("FROM {BASE} AS s{stage}\nRUN {command}; echo {stage} > /out\n"));
    let copies = (0..16).map(|stage| format!("COPY --from=s{stage} /out /out-{stage}\n"));
    format!("{}FROM {BASE}\n{}", stages.collect::<String>(), copies.collect::<String>())
}

/// A step that writes 300 MB in 20,000 files, by one process: starting one for each would be nearly all of the time.
fn writer() -> String {
    format!("FROM {BASE}\nRUN mkdir /d && cd /d && {WRITER}\n")
}

fn make_files(context: &Path) -> io::Result<()> {
    rewrite_all(context, 0)
}

/// Text that compresses as source code does, another in every round.
fn text(number: usize, round: usize) -> String {
    let mut text = String::with_capacity(FILE + 80);
    let mut state = (number as u64 + 1) * 0x9e37_79b9 + round as u64;
    while text.len() < FILE {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        writeln!(text, "let value_{} = compute({}, \"{:x}\");", state % 97, state >> 50, state >> 20)
            .expect("writing to a string does not fail");
    }
    text.truncate(FILE);
    text
}

fn file(context: &Path, number: usize) -> std::path::PathBuf {
    context.join((number / 100).to_string()).join((number % 100).to_string())
}

fn rewrite_all(context: &Path, round: usize) -> io::Result<()> {
    for number in 0..FILES {
        let path = file(context, number);
        if number % 100 == 0 {
            fs::create_dir_all(path.parent().unwrap_or(context))?;
        }
        fs::write(path, text(number, round))?;
    }
    Ok(())
}

fn rewrite_one(context: &Path, round: usize) -> io::Result<()> {
    fs::write(file(context, FILES / 2), text(FILES, round + 1))
}

fn touch_all(context: &Path, _: usize) -> io::Result<()> {
    let now = std::time::SystemTime::now();
    (0..FILES).try_for_each(|number| fs::File::options().write(true).open(file(context, number))?.set_modified(now))
}

fn make_large(context: &Path) -> io::Result<()> {
    let mut large = io::BufWriter::new(fs::File::create(context.join("large"))?);
    (0..LARGE / FILE).try_for_each(|number| io::Write::write_all(&mut large, text(number, 0).as_bytes()))
}
