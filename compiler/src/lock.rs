//! The facts file: answers written down. A test fixture and the lock file of a hermetic build at once.
//!
//! A JSON object. A key is an image reference (`alpine:3.20`, `oci-layout://store@sha256:…`) or the identifier of a
//! remote source (`https://…`, `git://…`):
//!
//! ```json
//! {
//!   "alpine:3.20": {"linux/amd64": {"digest": "sha256:…", "config": {…}}},
//!   "acme/old:1": {"single": true, "linux/amd64": {"digest": "sha256:…", "config": {…}}},
//!   "git://example.com/app.git#main": {"commitTime": 1710000000, "commit": "0123…"},
//!   "https://example.com/a.tar": {"lastModified": 1720000000, "checksum": "sha256:…"}
//! }
//! ```
//!
//! `commit` and `checksum` pin a source ([`Lock::pin`]): what a definition asks for is then that very thing, or nothing.
//!
//! References are compared in canonical form; one with a digest finds any image of its repository that has the digest.
//! `single` marks an image that is no index: its config answers for every platform. The two kinds may also stand in
//! sections, `{"images": {…}, "sources": {…}}`, where `"images": "synthetic"` gives every unknown image a stand-in
//! (digest of its name, an environment with `PATH` alone): enough to lint and to draw graphs where no registry is.
//!
//! Configs keep their exact bytes. This is text in and out; who reads and writes the file is the driver's business.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use llb::{Graph, Op, Source, Words};
use oci::{Digest, Matcher, Platform, Reference};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Answer, AskError, Facts, ImageAnswer, Question};

const LAYOUT: &str = "oci-layout://";
const IMAGE: &str = "docker-image://";

/// Answers by name.
#[derive(Clone, Debug, Default)]
pub struct Lock {
    /// By canonical reference, or `oci-layout://…` as it is.
    images: BTreeMap<String, Image>,
    /// What is known of remote sources, by identifier.
    sources: BTreeMap<String, Remote>,
    /// Whether images that are not listed get a stand-in.
    synthetic: bool,
}

#[derive(Clone, Debug, Default)]
struct Image {
    single: bool,
    platforms: Vec<(Platform, ImageAnswer)>,
}

#[derive(Clone, Debug, Default)]
struct Remote {
    /// Seconds since the epoch.
    time: Option<i64>,
    /// A commit, or the digest of a file.
    pin: Option<String>,
}

/// Why a text is no facts file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockError(String);

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LockError {}

type Entries<'a> = BTreeMap<String, &'a RawValue>;

#[derive(Deserialize)]
struct WrittenImage<'a> {
    digest: String,
    #[serde(borrow)]
    config: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenSource {
    commit_time: Option<i64>,
    commit: Option<String>,
    last_modified: Option<i64>,
    checksum: Option<String>,
}

impl Lock {
    /// Reads a facts file.
    pub fn parse(text: &[u8]) -> Result<Self, LockError> {
        let mut lock = Self::default();
        for (key, value) in entries(text).map_err(|error| LockError(format!("not a facts file: {error}")))? {
            match key.as_str() {
                "images" if value.get() == r#""synthetic""# => lock.synthetic = true,
                "images" | "sources" if is_section(value) => {
                    for (key, value) in entries(value.get().as_bytes()).unwrap_or_default() {
                        lock.add(&key, value)?;
                    }
                }
                _ => lock.add(&key, value)?,
            }
        }
        Ok(lock)
    }

    /// Adds what another file says; it wins where both say something.
    pub fn merge(&mut self, other: Self) {
        self.images.extend(other.images);
        self.sources.extend(other.sources);
        self.synthetic |= other.synthetic;
    }

    /// The answer to a question; `None` when the file says nothing on it.
    pub fn answer(&self, question: &Question) -> Option<Result<Answer, AskError>> {
        match question {
            Question::Image { reference, platform, .. } => self.image(reference, platform),
            Question::Timestamp { source, .. } => {
                self.sources.get(source)?.time.map(|time| Ok(Answer::Timestamp(Some(time))))
            }
            // The rest is the client's own, and not the same tomorrow.
            _ => None,
        }
    }

    /// Writes down what was answered from outside the build's own files.
    pub fn record(&mut self, facts: &Facts) {
        for (question, answer) in &facts.answers {
            match (question, answer) {
                (Question::Image { reference, platform, .. }, Ok(Answer::Image(answer))) => {
                    self.record_image(reference, platform, answer);
                }
                (Question::Timestamp { source, .. }, Ok(Answer::Timestamp(Some(time)))) => {
                    self.sources.entry(source.clone()).or_default().time = Some(*time);
                }
                _ => {}
            }
        }
    }

    /// Writes down what a remote source is: a commit, or the digest of a file.
    pub fn record_pin(&mut self, source: &str, pin: String) {
        self.sources.entry(source.to_owned()).or_default().pin = Some(pin);
    }

    /// What a remote source is pinned to.
    pub fn pin_of(&self, source: &str) -> Option<&str> {
        self.sources.get(source)?.pin.as_deref()
    }

    /// Makes the remote sources of a graph those that are written down, and names those that are neither pinned by the
    /// text nor written down. **Shape**: each once, sorted.
    pub fn pin(&self, graph: &mut Graph) -> BTreeSet<String> {
        let mut open = BTreeSet::new();
        for node in &mut graph.nodes {
            let Op::Source(source) = &mut node.op else { continue };
            let Some(kind) = Pinning::of(source) else { continue };
            match self.pin_of(&source.identifier) {
                Some(pin) => kind.set(source, &mut node.meta.caps, pin),
                None => drop(open.insert(source.identifier.clone())),
            }
        }
        open
    }

    /// Makes images that a graph names without a digest those that are written down. Some languages leave it to the builder
    /// what a name means today, and so do named contexts: parity holds only where this is not called.
    pub fn pin_images(&self, graph: &mut Graph) {
        for node in &mut graph.nodes {
            let Op::Source(source) = &mut node.op else { continue };
            if let Some(pinned) = self.pinned_image(source, node.platform.as_deref()) {
                source.identifier = pinned;
            }
        }
    }

    /// The identifier of an image with the digest that is written down; `None` when it has one, or none is written down.
    fn pinned_image(&self, source: &Source, platform: Option<&Platform>) -> Option<String> {
        let reference = Reference::parse(source.identifier.strip_prefix(IMAGE)?).ok()?.or_latest();
        if reference.digest().is_some() || !self.images.contains_key(&reference.to_string()) {
            return None;
        }
        match self.image(&reference.to_string(), platform?)? {
            Ok(Answer::Image(image)) => Some(format!("{IMAGE}{}", reference.with_digest(image.digest?))),
            _ => None,
        }
    }

    /// Forgets what a name means, so that it is asked for anew: an image by its name, with or without a tag; a source by
    /// its address, or the start of that. Returns whether anything is called so.
    pub fn forget(&mut self, name: &str) -> bool {
        let before = self.images.len() + self.sources.len();
        let reference = Reference::parse(name).ok();
        let is_image = |known: &str| {
            let Some(wanted) = &reference else { return false };
            let whole = wanted.clone().or_latest().to_string();
            known == whole
                || wanted.is_name_only() && Reference::parse(known).is_ok_and(|known| known.name() == wanted.name())
        };
        self.images.retain(|known, _| known != name && !is_image(known));
        let (_, bare) = name.split_once("://").unwrap_or(("", name));
        let is_source = |known: &str| known.split_once("://").is_some_and(|(_, known)| known.starts_with(bare));
        self.sources.retain(|known, _| !is_source(known));
        before > self.images.len() + self.sources.len()
    }

    /// The names of everything that is written down, as messages show them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.images.keys().chain(self.sources.keys()).map(String::as_str)
    }

    /// Whether the answer to a question may be asked for where everything must be written down: it is pinned by itself.
    pub fn is_pinned(question: &Question) -> bool {
        match question {
            Question::Image { reference, .. } => {
                let name = reference.strip_prefix(LAYOUT).unwrap_or(reference);
                Reference::parse(name).is_ok_and(|name| name.digest().is_some())
            }
            Question::Timestamp { .. } => false,
            _ => true,
        }
    }

    /// The text of the file: keys sorted, one platform a line.
    pub fn print(&self) -> String {
        let images = self.images.iter().map(|(reference, image)| (reference, image.print()));
        let sources = self.sources.iter().map(|(source, remote)| (source, remote.print(source)));
        let entries: Vec<String> =
            images.chain(sources).map(|(key, value)| format!("  {}: {value}", json_string(key))).collect();
        if entries.is_empty() { "{}\n".to_owned() } else { format!("{{\n{}\n}}\n", entries.join(",\n")) }
    }

    fn add(&mut self, key: &str, value: &RawValue) -> Result<(), LockError> {
        let wrong = |error: &dyn fmt::Display| LockError(format!("{key}: {error}"));
        if let Some(remote) = Remote::read(value) {
            self.sources.insert(key.to_owned(), remote);
            return Ok(());
        }
        let name = canonical(key).ok_or_else(|| wrong(&"not an image reference"))?;
        let fields = entries(value.get().as_bytes()).map_err(|error| wrong(&error))?;
        let image = Image::read(&fields).map_err(|error| wrong(&error))?;
        self.images.insert(name, image);
        Ok(())
    }

    fn image(&self, reference: &str, platform: &Platform) -> Option<Result<Answer, AskError>> {
        let canonical = canonical(reference)?;
        let Some(image) = self.find(&canonical) else {
            return self.synthetic.then(|| Ok(Answer::Image(stand_in(&canonical, platform))));
        };
        let found = image.best(platform).map(|answer| Answer::Image(answer.clone()));
        Some(found.ok_or_else(|| AskError {
            message: format!(
                "failed to resolve source metadata for {canonical}: no match for platform in manifest: not found"
            ),
            help: Some(format!("the facts file has {canonical} for {} only", image.offered())),
            ..AskError::default()
        }))
    }

    fn find(&self, canonical: &str) -> Option<&Image> {
        if let Some(image) = self.images.get(canonical) {
            return Some(image);
        }
        let wanted = Reference::parse(canonical).ok()?;
        let digest = wanted.digest()?;
        let of_repository = |name: &str| Reference::parse(name).is_ok_and(|found| found.name() == wanted.name());
        self.images
            .iter()
            .filter(|(name, _)| of_repository(name))
            .map(|(_, image)| image)
            .find(|image| image.platforms.iter().any(|(_, answer)| answer.digest.as_ref() == Some(digest)))
    }

    fn record_image(&mut self, reference: &str, platform: &Platform, answer: &ImageAnswer) {
        // Without a digest nothing would be locked.
        let (Some(name), Some(_)) = (canonical(reference), &answer.digest) else { return };
        let image = self.images.entry(name).or_default();
        image.platforms.retain(|(known, _)| known != platform);
        image.platforms.push((platform.clone(), answer.clone()));
        image.platforms.sort_by_cached_key(|(platform, _)| platform.to_string());
    }
}

impl Image {
    fn read(fields: &Entries<'_>) -> Result<Self, String> {
        let mut image = Self::default();
        for (key, value) in fields {
            if key == "single" {
                image.single = value.get() == "true";
                continue;
            }
            let platform = Platform::parse(key, &Platform::new("linux", "amd64")).map_err(|error| error.to_string())?;
            let written: WrittenImage<'_> =
                serde_json::from_str(value.get()).map_err(|error| format!("{key}: {error}"))?;
            let digest = Digest::parse(&written.digest).map_err(|error| format!("{}: {error}", written.digest))?;
            image.platforms.push((platform, ImageAnswer { digest: Some(digest), config: written.config.get().into() }));
        }
        Ok(image)
    }

    fn best(&self, platform: &Platform) -> Option<&ImageAnswer> {
        if self.single {
            return self.platforms.first().map(|(_, answer)| answer);
        }
        let best = Matcher::only(platform).best(self.platforms.iter().map(|(offered, _)| offered))?;
        Some(&self.platforms[best].1)
    }

    fn offered(&self) -> String {
        let names: Vec<String> = self.platforms.iter().map(|(platform, _)| platform.to_string()).collect();
        names.join(", ")
    }

    fn print(&self) -> String {
        let single = self.single.then(|| r#""single": true"#.to_owned());
        let platforms = self.platforms.iter().map(|(platform, answer)| {
            let config = String::from_utf8_lossy(&answer.config);
            format!(
                r#"{}: {{"digest": "{}", "config": {}}}"#,
                json_string(&platform.to_string()),
                answer.digest.as_ref().map_or("", Digest::as_str),
                config
            )
        });
        format!("{{\n    {}\n  }}", single.into_iter().chain(platforms).collect::<Vec<_>>().join(",\n    "))
    }
}

fn entries(text: &[u8]) -> Result<Entries<'_>, serde_json::Error> {
    serde_json::from_slice(text)
}

/// A section holds entries, an image holds platforms: the former's values hold objects, the latter's hold digests.
fn is_section(value: &RawValue) -> bool {
    entries(value.get().as_bytes()).is_ok_and(|entries| {
        let is_leaf = |value: &&RawValue| serde_json::from_str::<WrittenImage<'_>>(value.get()).is_ok();
        !entries.values().any(is_leaf)
    })
}

impl Remote {
    fn read(value: &RawValue) -> Option<Self> {
        let written: WrittenSource = serde_json::from_str(value.get()).ok()?;
        let remote =
            Self { time: written.commit_time.or(written.last_modified), pin: written.commit.or(written.checksum) };
        (remote.time.is_some() || remote.pin.is_some()).then_some(remote)
    }

    fn print(&self, source: &str) -> String {
        let (time, pin) =
            if source.starts_with("git://") { ("commitTime", "commit") } else { ("lastModified", "checksum") };
        let time = self.time.map(|value| format!(r#""{time}": {value}"#));
        let pin = self.pin.as_ref().map(|value| format!(r#""{pin}": {}"#, json_string(value)));
        format!("{{{}}}", time.into_iter().chain(pin).collect::<Vec<_>>().join(", "))
    }
}

/// How a source that is not pinned is.
#[derive(Clone, Copy)]
enum Pinning {
    Git,
    Web,
}

impl Pinning {
    /// How a source could be pinned; `None` when it is, or is of another kind.
    fn of(source: &Source) -> Option<Self> {
        let pinned = |key: &str| source.attrs.get(key).is_some_and(|value| !value.is_empty());
        let (scheme, rest) = source.identifier.split_once("://")?;
        match scheme {
            "git" => {
                let reference =
                    rest.split_once('#').map_or("", |(_, fragment)| fragment.split(':').next().unwrap_or_default());
                let is_commit = matches!(reference.len(), 40 | 64) && reference.bytes().all(|b| b.is_ascii_hexdigit());
                (!pinned("git.checksum") && !is_commit).then_some(Self::Git)
            }
            "http" | "https" => (!pinned("http.checksum")).then_some(Self::Web),
            _ => None,
        }
    }

    fn set(self, source: &mut Source, caps: &mut Words, pin: &str) {
        let mut set = |key: &str, value: &str, cap: &'static str| {
            source.attrs.insert(key.to_owned(), value.to_owned());
            caps.insert(cap);
        };
        match self {
            // A branch has moved on, mostly: its commit is fetched by itself.
            Self::Git => {
                set("git.checksum", pin, "source.git.checksum");
                set("git.fetchbycommit", "true", "source.git.fetchbycommit");
            }
            Self::Web => set("http.checksum", pin, "source.http.checksum"),
        }
    }
}

fn canonical(reference: &str) -> Option<String> {
    if reference.starts_with(LAYOUT) {
        return Some(reference.to_owned());
    }
    Reference::parse(reference).ok().map(|reference| reference.or_latest().to_string())
}

/// What an unknown image is taken for: the digest of its name (or the one it is asked by) and a plain environment.
fn stand_in(canonical: &str, platform: &Platform) -> ImageAnswer {
    let asked = Reference::parse(canonical).ok().and_then(|reference| reference.digest().cloned());
    let digest = asked.unwrap_or_else(|| Digest::sha256(canonical.as_bytes()));
    let variant = match platform.variant.as_str() {
        "" => String::new(),
        variant => format!(r#","variant":{}"#, json_string(variant)),
    };
    let config = format!(
        r#"{{"architecture":{},"os":{}{variant},"config":{{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        json_string(&platform.architecture),
        json_string(&platform.os),
        Digest::sha256(format!("layer {canonical}").as_bytes()),
    );
    ImageAnswer { digest: Some(digest), config: config.into_bytes() }
}

fn json_string(text: &str) -> String {
    serde_json::to_string(text).expect("a string is valid JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ResolveMode;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn file() -> String {
        format!(
            r#"{{
  "docker.io/library/alpine:3": {{
    "linux/amd64": {{"digest": "{A}", "config": {{"a":  1}}}},
    "linux/arm64": {{"digest": "{A}", "config": {{"b": 2}}}}
  }},
  "docker.io/library/old:latest": {{
    "single": true,
    "linux/amd64": {{"digest": "{B}", "config": {{}}}}
  }},
  "git://example.com/r.git#main": {{"commitTime": 17}},
  "https://example.com/a": {{"lastModified": 18}}
}}
"#
        )
    }

    fn ask(lock: &Lock, reference: &str, platform: &str) -> String {
        let platform = Platform::parse(platform, &Platform::new("linux", "amd64")).unwrap();
        let question = Question::Image { reference: reference.into(), platform, mode: ResolveMode::Default };
        match lock.answer(&question) {
            None => "nothing".into(),
            Some(Ok(Answer::Image(answer))) => {
                format!("{} {}", &answer.digest.unwrap().hex()[..2], String::from_utf8(answer.config).unwrap())
            }
            Some(Ok(other)) => format!("{other:?}"),
            Some(Err(error)) => error.message,
        }
    }

    #[test]
    fn a_reference_is_found_by_its_canonical_form_with_its_exact_config() {
        let lock = Lock::parse(file().as_bytes()).unwrap();
        assert_eq!(ask(&lock, "alpine:3", "linux/amd64"), r#"aa {"a":  1}"#);
        assert_eq!(ask(&lock, "docker.io/library/alpine:3", "linux/arm64"), r#"aa {"b": 2}"#);
        assert_eq!(ask(&lock, "alpine", "linux/amd64"), "nothing");
    }

    #[test]
    fn an_image_that_the_builder_would_look_up_is_the_one_that_is_written_down() {
        let pinned = |lock: &str, name: &str, architecture: &str| {
            let source = Source { identifier: format!("docker-image://{name}"), ..Source::default() };
            let node = llb::Node {
                platform: Some(Platform::new("linux", architecture).into()),
                ..llb::Node::new(Op::Source(source), Vec::new())
            };
            let mut graph = Graph { nodes: vec![node], ..Graph::default() };
            Lock::parse(lock.as_bytes()).unwrap().pin_images(&mut graph);
            match &graph.nodes[0].op {
                Op::Source(source) => source.identifier.clone(),
                _ => String::new(),
            }
        };
        let alpine = "docker.io/library/alpine:3";
        assert_eq!(pinned(&file(), alpine, "arm64"), format!("docker-image://{alpine}@{A}"));
        let with_digest = format!("{alpine}@{B}");
        assert_eq!(pinned(&file(), &with_digest, "arm64"), format!("docker-image://{with_digest}"));
        assert_eq!(pinned(&file(), "docker.io/library/x:1", "arm64"), "docker-image://docker.io/library/x:1");
        // A stand-in is none that could be had.
        assert_eq!(pinned(r#"{"images": "synthetic"}"#, alpine, "arm64"), format!("docker-image://{alpine}"));
    }

    #[test]
    fn a_digest_finds_any_image_of_the_repository() {
        let lock = Lock::parse(file().as_bytes()).unwrap();
        assert_eq!(ask(&lock, &format!("alpine@{A}"), "linux/amd64"), r#"aa {"a":  1}"#);
        assert_eq!(ask(&lock, &format!("alpine:9@{A}"), "linux/amd64"), r#"aa {"a":  1}"#);
        assert_eq!(ask(&lock, &format!("alpine@{B}"), "linux/amd64"), "nothing");
    }

    #[test]
    fn a_single_image_answers_for_every_platform_and_an_index_does_not() {
        let lock = Lock::parse(file().as_bytes()).unwrap();
        assert_eq!(ask(&lock, "old", "linux/riscv64"), "bb {}");
        assert_eq!(
            ask(&lock, "alpine:3", "linux/riscv64"),
            "failed to resolve source metadata for docker.io/library/alpine:3: no match for platform in manifest: not found"
        );
    }

    #[test]
    fn times_of_sources() {
        let lock = Lock::parse(file().as_bytes()).unwrap();
        let ask = |source: &str| lock.answer(&Question::Timestamp { source: source.into(), remote: None });
        assert_eq!(ask("git://example.com/r.git#main"), Some(Ok(Answer::Timestamp(Some(17)))));
        assert_eq!(ask("https://example.com/a"), Some(Ok(Answer::Timestamp(Some(18)))));
        assert_eq!(ask("https://example.com/b"), None);
    }

    #[test]
    fn sections_mean_the_same() {
        let sections = format!(
            r#"{{"images": {{"a": {{"linux/amd64": {{"digest": "{A}", "config": {{}}}}}}}}, "sources": {{"https://x/": {{"lastModified": 1}}}}}}"#
        );
        let lock = Lock::parse(sections.as_bytes()).unwrap();
        assert_eq!(ask(&lock, "a", "linux/amd64"), "aa {}");
        assert_eq!(lock.sources.len(), 1);
        let image = format!(r#"{{"images": {{"linux/amd64": {{"digest": "{A}", "config": {{}}}}}}}}"#);
        assert_eq!(ask(&Lock::parse(image.as_bytes()).unwrap(), "images", "linux/amd64"), "aa {}");
    }

    #[test]
    fn a_stand_in_is_named_by_its_reference() {
        let lock = Lock::parse(br#"{"images": "synthetic"}"#).unwrap();
        let digest = Digest::sha256(b"docker.io/library/x:latest");
        assert!(ask(&lock, "x", "linux/arm/v7").starts_with(&digest.hex()[..2]));
        assert!(ask(&lock, "x", "linux/arm/v6").contains(r#""os":"linux","variant":"v6","config""#));
        assert!(ask(&lock, &format!("x@{A}"), "linux/amd64").starts_with("aa "));
    }

    #[test]
    fn what_is_printed_reads_the_same() {
        let lock = Lock::parse(file().as_bytes()).unwrap();
        assert_eq!(lock.print(), file());
        assert_eq!(Lock::default().print(), "{}\n");
    }

    #[test]
    fn answers_are_recorded_by_platform() {
        let image = |platform: &str| Question::Image {
            reference: "docker.io/library/alpine:3".into(),
            platform: Platform::parse(platform, &Platform::new("linux", "amd64")).unwrap(),
            mode: ResolveMode::Default,
        };
        let answer =
            |config: &str| Ok(Answer::Image(ImageAnswer { digest: Digest::parse(A).ok(), config: config.into() }));
        let mut facts = Facts::default();
        facts.answers.insert(image("linux/amd64"), answer(r#"{"a":  1}"#));
        facts.answers.insert(image("linux/arm64"), answer(r#"{"b": 2}"#));
        let mut lock = Lock::default();
        lock.record(&facts);
        assert_eq!(
            lock.print(),
            file().split("  \"docker.io/library/old").next().unwrap().trim_end().trim_end_matches(',').to_owned()
                + "\n}\n"
        );
    }

    const SOURCES: &str = "%0 = source \"git://h/a.git#main\"\n%1 = source \"https://h/f\"\n\
                           %2 = source \"https://h/g\" attrs={\"http.checksum\": \"sha256:00\"}\n%3 = source \"docker-image://x\"";

    #[test]
    fn sources_become_those_that_are_written_down() {
        let mut graph = llb::text::parse(SOURCES).unwrap();
        assert_eq!(Vec::from_iter(Lock::default().pin(&mut graph)), ["git://h/a.git#main", "https://h/f"]);
        let text =
            r#"{"git://h/a.git#main": {"commit": "c0"}, "https://h/f": {"lastModified": 1, "checksum": "sha256:11"}}"#;
        let lock = Lock::parse(text.as_bytes()).unwrap();
        assert!(lock.pin(&mut graph).is_empty());
        let Op::Source(git) = &graph.nodes[0].op else { panic!("a source") };
        assert_eq!((git.attrs["git.checksum"].as_str(), git.attrs["git.fetchbycommit"].as_str()), ("c0", "true"));
        let Op::Source(web) = &graph.nodes[1].op else { panic!("a source") };
        assert_eq!(web.attrs["http.checksum"], "sha256:11");
        assert_eq!(Lock::parse(lock.print().as_bytes()).unwrap().print(), lock.print());
    }

    #[test]
    fn names_are_forgotten_one_by_one() {
        let forgotten = |name: &str| {
            let mut lock = Lock::parse(file().as_bytes()).unwrap();
            let known = lock.forget(name);
            (known, lock.names().count())
        };
        assert_eq!(forgotten("alpine"), (true, 3));
        assert_eq!(forgotten("alpine:3"), (true, 3));
        assert_eq!(forgotten("alpine:4"), (false, 4));
        assert_eq!(forgotten("https://example.com/r.git"), (true, 3));
    }

    #[test]
    fn errors_name_the_entry() {
        for (text, expected) in [
            ("[]", "not a facts file: "),
            (r#"{"a": {"linux/amd64": {}}}"#, "a: linux/amd64: missing field `digest`"),
            (r#"{"a": {"linux/amd64": {"digest": "x", "config": {}}}}"#, "a: x: "),
            (r#"{"a": {"nosuch": {}}}"#, "a: \"nosuch\": unknown operating system"),
            (r#"{"A B": {}}"#, "A B: not an image reference"),
        ] {
            let error = Lock::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
