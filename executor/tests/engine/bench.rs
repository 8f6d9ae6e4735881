//! A store with a base image, builds in it, and what they did.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use executor::progress::{Event, Sink};
use executor::runtime::Embedded;
use executor::{Cancel, Engine, Error, Output, Request, Response, exporters, import};
use oci::{Digest, Reference};

/// Programs of the base image; all are busybox.
const PROGRAMS: &[&str] = &[
    "sh", "cat", "echo", "ls", "sleep", "touch", "mkdir", "rm", "true", "false", "find", "stat", "ln", "kill", "date",
];

/// A store directory, removed afterwards.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
}

/// How a build went.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) result: Result<Response, Error>,
    /// Lines the steps printed, by name of the vertex.
    pub(crate) lines: BTreeMap<String, Vec<String>>,
    /// How each vertex ended, by name: `ran`, `cached`, or the error.
    pub(crate) ends: BTreeMap<String, String>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests make containers: run them as root");
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        let tar = bench.path("base.tar");
        write_base(&tar);
        let engine = bench.engine();
        import::import(engine.store(), &tar, Some(&Reference::parse("base").unwrap())).unwrap();
        bench
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// A fresh executor, as a new process would open it.
    pub(crate) fn engine(&self) -> Engine {
        let runtime = Embedded::with_shim(env!("CARGO_BIN_EXE_executor"));
        Engine::with_runtime(self.path("store"), Arc::new(runtime)).unwrap()
    }

    pub(crate) fn build(&self, graph: &str) -> Built {
        self.request(Request { definition: definition(graph), ..Request::default() })
    }

    /// Builds with a directory as `local://context`.
    pub(crate) fn build_context(&self, graph: &str, context: &Path) -> Built {
        let mut request = Request { definition: definition(graph), ..Request::default() };
        request.session.locals.insert("context".into(), context.to_owned());
        self.request(request)
    }

    pub(crate) fn request(&self, mut request: Request) -> Built {
        if request.outputs.is_empty() {
            let kind = exporters::Kind::CacheOnly;
            request.outputs.push(Output { kind, dest: None, attrs: BTreeMap::new(), part: None });
        }
        let recorder = Recorder::default();
        let result = self.engine().solve(&request, &recorder);
        recorder.into_inner().built(result)
    }

    /// Nothing a build made on the way is left: no mount, no temporary file, a moment later.
    #[track_caller]
    pub(crate) fn expect_clean(&self) {
        let store = self.path("store");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(store.to_str().unwrap()), "a mount is left:\n{mounts}");
        for dir in ["tmp", "staging-v1"] {
            let left =
                || -> Vec<_> { std::fs::read_dir(store.join(dir)).unwrap().map(|e| e.unwrap().file_name()).collect() };
            let deadline = Instant::now() + Duration::from_secs(20);
            while left() != ["lock"] && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            assert_eq!(left(), ["lock"], "in {dir}");
        }
    }
}

impl Built {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!(self.result.is_ok(), "{:#?}", self);
        self
    }

    #[track_caller]
    pub(crate) fn error(&self) -> String {
        match &self.result {
            Err(error) => error.to_string(),
            Ok(_) => panic!("the build should fail: {self:#?}"),
        }
    }

    /// What the steps printed, whichever it was.
    pub(crate) fn output(&self) -> String {
        self.lines.values().flatten().map(|line| format!("{line}\n")).collect()
    }

    /// `name: end` for each vertex, sorted by name.
    pub(crate) fn summary(&self) -> String {
        self.ends.iter().map(|(name, end)| format!("{name}: {end}\n")).collect()
    }
}

/// The wire form of a graph in text form.
pub(crate) fn definition(graph: &str) -> Vec<u8> {
    let graph = llb::text::parse(graph).unwrap_or_else(|error| panic!("{error}\n{graph}"));
    llb::encode_to_bytes(&graph).unwrap()
}

/// A graph on the base image, which is vertex 0; `run` lines become shell steps on the vertex above.
///
/// `%1 = sh(%0) "echo hi"` stands for an exec with the shell.
pub(crate) fn graph(text: &str) -> String {
    let mut out =
        String::from("%0 = source \"docker-image://docker.io/library/base:latest\" platform(\"linux\", \"amd64\")\n");
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_once(" = sh(") {
            Some((id, rest)) => {
                let (inputs, rest) = rest.split_once(") ").unwrap();
                let (script, rest) = rest.strip_prefix('"').unwrap().split_once('"').unwrap();
                out += &format!("{id} = exec({inputs}) args=[\"/bin/sh\", \"-c\", \"{script}\"] cwd=\"/\" ");
                out +=
                    &format!("env=[\"PATH=/bin\"] bind(\"/\", from=0, to=0) {rest} platform(\"linux\", \"amd64\")\n");
            }
            None => out += &format!("{line}\n"),
        }
    }
    out
}

pub(crate) fn cancel_after(delay: std::time::Duration) -> Cancel {
    let cancel = Cancel::default();
    let clone = cancel.clone();
    std::thread::spawn(move || {
        std::thread::sleep(delay);
        clone.cancel();
    });
    cancel
}

fn write_base(path: &Path) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (dir, mode) in [("bin/", 0o755), ("etc/", 0o755), ("tmp/", 0o1777)] {
        let mut header = header(tar::EntryType::Directory, mode);
        tar.append_data(&mut header, dir, std::io::empty()).unwrap();
    }
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static is installed");
    let mut file = |name: &str, mode, data: &[u8]| {
        let mut header = header(tar::EntryType::Regular, mode);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, name, data).unwrap();
    };
    file("bin/busybox", 0o755, &busybox);
    file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\nme:x:1000:1000::/:/bin/sh\n");
    file("etc/group", 0o644, b"root:x:0:\nme:x:1000:\n");
    for program in PROGRAMS {
        let mut header = header(tar::EntryType::Symlink, 0o777);
        tar.append_link(&mut header, format!("bin/{program}"), "busybox").unwrap();
    }
    tar.finish().unwrap();
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header.set_size(0);
    header
}

/// Remembers events.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<Record>);

#[derive(Default)]
pub(crate) struct Record {
    names: BTreeMap<Digest, String>,
    output: BTreeMap<String, Vec<u8>>,
    ends: BTreeMap<String, String>,
}

impl Recorder {
    pub(crate) fn into_inner(self) -> Record {
        self.0.into_inner().unwrap()
    }
}

impl Record {
    pub(crate) fn built(self, result: Result<Response, Error>) -> Built {
        let lines = |text: Vec<u8>| String::from_utf8(text).unwrap().lines().map(str::to_owned).collect();
        let lines = self.output.into_iter().map(|(name, text)| (name, lines(text))).collect();
        Built { result, lines, ends: self.ends }
    }
}

impl Sink for Recorder {
    fn event(&self, event: Event) {
        let mut record = self.0.lock().unwrap();
        match event {
            Event::Vertex { digest, name, .. } => drop(record.names.insert(digest, name)),
            Event::Log { digest, data, .. } => {
                let name = record.names[&digest].clone();
                record.output.entry(name).or_default().extend(data);
            }
            Event::Completed { digest, cached, error, .. } => {
                let name = record.names[&digest].clone();
                let end = error.unwrap_or_else(|| if cached { "cached" } else { "ran" }.to_owned());
                record.ends.insert(name, end);
            }
            Event::Started { .. } | Event::Status { .. } | Event::Warning { .. } => {}
        }
    }
}
