//! Caches on their way out and back: through a registry, through directories, inside images.

mod hostile;
mod inline;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use oci::{Descriptor, Digest, Time, media};

use super::{Blob, Export, Import, Remote, read, write};
use crate::cache::config::{Config, Layer, MEDIA_TYPE, Outcome, Record};
use crate::layer::UNCOMPRESSED;
use crate::progress::{Event, Sink, Vertex};
use crate::registry::tests::server::{Asked, Reply, Server};
use crate::session::Session;
use crate::snapshot::Native;
use crate::sources::Context;
use crate::store::{self, Store, write_blob};
use crate::{Cancel, Result};

/// The names of parts.
#[derive(Default)]
struct Parts(Mutex<Vec<String>>);

impl Sink for Parts {
    fn event(&self, event: Event) {
        let shown = match event {
            Event::Status { id, completed: Some(_), .. } => id,
            Event::Warning { message, .. } => message,
            _ => return,
        };
        self.0.lock().unwrap().push(shown);
    }
}

/// A store and what goes with it.
struct Site {
    dir: tempfile::TempDir,
    store: Store,
    snapshots: Native,
    session: Session,
    parts: Parts,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        let snapshots = Native::open(store.root()).unwrap();
        let registries = crate::registry::Client::new(crate::registry::Config::default());
        let session = Session { registries, ..Session::default() };
        Self { dir, store, snapshots, session, parts: Parts::default() }
    }

    fn with<T>(&self, act: impl FnOnce(Context<'_>) -> T) -> T {
        let vertex = Vertex { sink: &self.parts, digest: Digest::sha256(b"") };
        let (store, snapshots, session) = (&self.store, &self.snapshots, &self.session);
        act(Context { store, snapshots, session, progress: &vertex, cancel: &Cancel::default() })
    }

    fn put(&self, media_type: &str, bytes: &[u8]) -> Descriptor {
        write_blob(self.store.blobs(), &mut &*bytes, None).unwrap();
        Descriptor::of(media_type, bytes)
    }

    fn write(&self, to: &str, config: &Config, blobs: &[Descriptor]) -> Result<Option<Descriptor>> {
        let export = Export::parse(to).unwrap().remove(0);
        self.with(|context| write(&export, config, blobs, context))
    }

    fn read(&self, from: &str) -> Result<Vec<Remote>> {
        let import = Import::parse(from).unwrap().remove(0);
        self.with(|context| read(&import, context))
    }

    fn read_one(&self, from: &str) -> Remote {
        let mut read = self.read(from).unwrap();
        assert_eq!(read.len(), 1);
        read.remove(0)
    }

    /// What was shown since the last time, sorted.
    fn shown(&self) -> Vec<String> {
        let mut shown = std::mem::take(&mut *self.parts.0.lock().unwrap());
        shown.sort();
        shown
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A media type and bytes.
type Object = (String, Vec<u8>);

/// A registry in memory, by what stands behind `/v2/`.
#[derive(Clone, Default)]
struct Registry(Arc<Mutex<BTreeMap<String, Object>>>);

impl Registry {
    fn serve(&self) -> Server {
        let registry = self.clone();
        Server::start(move |asked| registry.answer(asked))
    }

    /// Puts a blob, or a manifest under a tag and its digest.
    fn put(&self, path: &str, media_type: &str, bytes: &[u8]) {
        self.0.lock().unwrap().insert(path.to_owned(), (media_type.to_owned(), bytes.to_vec()));
    }

    fn put_blob(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Descriptor {
        let blob = Descriptor::of(media_type, bytes);
        self.put(&format!("{repository}/blobs/{}", blob.digest), "application/octet-stream", bytes);
        blob
    }

    fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> Descriptor {
        let manifest = Descriptor::of(media_type, bytes);
        for object in [tag, manifest.digest.as_str()] {
            self.put(&format!("{repository}/manifests/{object}"), media_type, bytes);
        }
        manifest
    }

    fn get(&self, path: &str) -> Option<Object> {
        self.0.lock().unwrap().get(path).cloned()
    }

    fn answer(&self, asked: &Asked) -> Reply {
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let path = path.trim_start_matches("/v2/");
        let query = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{key}=")));
        let (repository, object) = match path.split_once("/manifests/").or_else(|| path.split_once("/blobs/")) {
            Some((repository, object)) => (repository, object),
            None => return Reply::status(404),
        };
        match asked.method.as_str() {
            "POST" => {
                let from = query("mount").and_then(|digest| self.get(&format!("{}/blobs/{digest}", query("from")?)));
                if let Some((_, bytes)) = from {
                    self.put_blob(repository, "", &bytes);
                    return Reply::status(201);
                }
                Reply::Full(202, vec![("Location", format!("/v2/{repository}/blobs/uploads/1"))], vec![])
            }
            "PUT" if path.contains("/manifests/") => {
                self.put_manifest(repository, object, asked.header("content-type"), &asked.body);
                Reply::status(201)
            }
            "PUT" => {
                let digest = query("digest").unwrap().parse::<Digest>().unwrap();
                assert!(digest.verifies(&asked.body));
                self.put_blob(repository, "", &asked.body);
                Reply::status(201)
            }
            _ => match self.get(path) {
                None => Reply::status(404),
                Some((media_type, bytes)) => {
                    let digest = ("Docker-Content-Digest", Digest::sha256(&bytes).to_string());
                    let length = ("Content-Length", bytes.len().to_string());
                    Reply::Full(200, vec![("Content-Type", media_type), digest, length], bytes)
                }
            },
        }
    }
}

/// A layer as a builder describes it; nobody unpacks it here.
fn layer(bytes: &[u8]) -> Descriptor {
    let mut layer = Descriptor::of(media::OCI_LAYER_GZIP, bytes);
    let said = [
        (UNCOMPRESSED, Digest::sha256(b"tar").to_string()),
        ("buildkit/createdat", "2026-01-02T03:04:05Z".to_owned()),
        ("llbc/converted", "true".to_owned()),
        ("containerd.io/distribution.source.docker.io", "library/x".to_owned()),
        ("org.example", "kept".to_owned()),
    ];
    layer.annotations = said.map(|(key, value)| (key.to_owned(), value)).into();
    layer
}

/// A cache of one step, whose result has these layers on top of each other.
fn config(layers: &[&Descriptor]) -> Config {
    let created = Time::from_unix(7, 0);
    let record = |name: &str, results| Record {
        results,
        chains: Vec::new(),
        digest: Digest::sha256(name.as_bytes()),
        inputs: Vec::new(),
    };
    let layer = |(parent, blob): (i64, &&Descriptor)| Layer { blob: blob.digest.clone(), parent };
    Config {
        layers: (-1..).zip(layers).map(layer).collect(),
        records: vec![record("run", vec![Outcome { layer: layers.len() - 1, created }])],
    }
}

/// A site with two layers, and a cache of them.
fn sample() -> (Site, Config, Vec<Descriptor>) {
    let site = Site::new();
    let blobs = [b"one".as_slice(), b"two"].map(|bytes| {
        site.put("", bytes);
        layer(bytes)
    });
    (site, config(&blobs.iter().collect::<Vec<_>>()), blobs.to_vec())
}

/// What is read of a cache of such layers.
fn expected(blobs: &[Descriptor], docker: bool, origin: &str) -> Vec<Blob> {
    let blob = |blob: &Descriptor| {
        let mut descriptor = blob.clone();
        descriptor
            .annotations
            .retain(|key, _| ["containerd.io/uncompressed", "buildkit/createdat", "org.example"].contains(&&**key));
        descriptor.media_type = if docker { media::DOCKER_LAYER_GZIP } else { media::OCI_LAYER_GZIP }.into();
        let (diff_id, created) = (Some(Digest::sha256(b"tar")), Some(Time::parse("2026-01-02T03:04:05Z").unwrap()));
        Blob { descriptor, diff_id, created, origin: origin.to_owned() }
    };
    blobs.iter().map(blob).collect()
}

const FORMS: [(&str, &str); 3] = [
    ("", media::OCI_MANIFEST),
    (",image-manifest=false", media::OCI_INDEX),
    (",oci-mediatypes=false", media::DOCKER_INDEX),
];

#[test]
fn through_a_registry_and_back() {
    for (form, media_type) in FORMS {
        let (site, config, blobs) = sample();
        let registry = Registry::default();
        let server = registry.serve();
        let name = format!("{}/team/cache:1", server.host);
        let root = site.write(&format!("type=registry,ref={name}{form}"), &config, &blobs).unwrap().unwrap();
        assert_eq!(root.media_type, media_type);
        let (put_as, bytes) = registry.get("team/cache/manifests/1").unwrap();
        assert_eq!((put_as.as_str(), Digest::sha256(&bytes)), (media_type, root.digest.clone()));
        let mut words = vec![
            format!("writing layer {}", blobs[0].digest),
            format!("writing layer {}", blobs[1].digest),
            format!("writing config {}", Digest::sha256(&config.to_json())),
            format!("writing cache {}manifest {}", if form.is_empty() { "image " } else { "" }, root.digest),
        ];
        words.sort();
        assert_eq!(site.shown(), words);
        let origin = format!("docker-image://{}/team/cache", server.host);
        for from in [name, format!("{}/team/cache@{}", server.host, root.digest)] {
            let reader = Site::new();
            let read = reader.read_one(&format!("type=registry,ref={from}"));
            assert_eq!(read.config, config);
            assert_eq!(read.blobs, expected(&blobs, media_type == media::DOCKER_INDEX, &origin));
            assert_eq!(reader.shown(), [format!("inferred cache manifest type: {media_type}")]);
        }
    }
}

#[test]
fn through_a_directory_and_back() {
    for (form, media_type) in FORMS {
        let (site, config, blobs) = sample();
        let dir = site.path("cache/below");
        let root = site.write(&format!("type=local,dest={}{form}", dir.display()), &config, &blobs).unwrap().unwrap();
        let reader = Site::new();
        let read = reader.read_one(&format!("type=local,src={}", dir.display()));
        assert_eq!(read.config, config);
        let origin = format!("oci-layout://cache:{}", dir.display());
        assert_eq!(read.blobs, expected(&blobs, media_type == media::DOCKER_INDEX, &origin));
        let by_digest = reader.read_one(&format!("type=local,src={},tag=x,digest={}", dir.display(), root.digest));
        assert_eq!(by_digest.config, config);
        assert_eq!(fs::read(dir.join("oci-layout")).unwrap(), br#"{"imageLayoutVersion":"1.0.0"}"#);
        assert!(!dir.join("index.json.lock").exists());
    }
}

#[test]
fn the_bytes_are_those_of_buildkit() {
    let (site, mut cache, mut blobs) = sample();
    cache.layers.truncate(1);
    cache.records.clear();
    blobs.truncate(1);
    blobs[0].annotations.retain(|key, _| key == UNCOMPRESSED);
    let dir = site.path("cache");
    let text = |form: &str| {
        let to = format!("type=local,dest={}{form}", dir.display());
        let root = site.write(&to, &cache, &blobs).unwrap().unwrap();
        fs::read_to_string(dir.join("blobs/sha256").join(root.digest.hex())).unwrap()
    };
    let json = cache.to_json();
    let described = |media_type: &str| {
        let annotations = format!(r#"{{"containerd.io/uncompressed":"{}"}}"#, Digest::sha256(b"tar"));
        let digest = &blobs[0].digest;
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":3,"annotations":{annotations}}}"#)
    };
    let config =
        format!(r#"{{"mediaType":"{MEDIA_TYPE}","digest":"{}","size":{}}}"#, Digest::sha256(&json), json.len());
    let manifest = media::OCI_MANIFEST;
    assert_eq!(
        text(""),
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{manifest}","config":{config},"layers":[{}]}}"#,
            described(media::OCI_LAYER_GZIP)
        )
    );
    let list = media::DOCKER_INDEX;
    assert_eq!(
        text(",oci-mediatypes=false"),
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{list}","manifests":[{},{config}]}}"#,
            described(media::DOCKER_LAYER_GZIP)
        )
    );
}

#[test]
fn what_has_no_layers_is_not_written() {
    let site = Site::new();
    let dir = site.path("cache");
    let written = site.write(&format!("type=local,dest={}", dir.display()), &Config::default(), &[]).unwrap();
    assert_eq!((written, dir.exists()), (None, false));
    assert_eq!(site.shown(), ["skipping cache export for empty result"]);
}

#[test]
fn a_layer_without_its_blob_is_refused() {
    let (site, config, blobs) = sample();
    let dir = site.path("cache");
    let written = site.write(&format!("type=local,dest={}", dir.display()), &config, &blobs[..1]);
    assert_eq!(written.unwrap_err().to_string(), format!("missing blob {}", blobs[1].digest));
}

fn blob_names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("blobs/sha256")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_directory_has_many_caches_until_it_is_reset() {
    let (site, both, blobs) = sample();
    let dir = site.path("cache");
    let to = |rest: &str| format!("type=local,dest={}{rest}", dir.display());
    let one = config(&[&blobs[0]]);
    site.write(&to(""), &both, &blobs).unwrap();
    let tagged = site.write(&to(",tag=one"), &one, &blobs[..1]).unwrap().unwrap();
    let from = |tag: &str| format!("type=local,src={},tag={tag}", dir.display());
    assert_eq!(site.read_one(&from("latest")).config, both);
    assert_eq!(site.read_one(&from("one")).config, one);
    // Another cache of the same name: what the first consisted of stays.
    let before = blob_names(&dir);
    assert_eq!(before.len(), 2 + 2 + 2);
    let newest = fs::metadata(dir.join("blobs/sha256").join(blobs[0].digest.hex())).unwrap().modified().unwrap();
    site.write(&to(""), &one, &blobs[..1]).unwrap();
    assert_eq!(blob_names(&dir), before);
    assert_eq!(site.read_one(&from("latest")).config, one);
    let again = fs::metadata(dir.join("blobs/sha256").join(blobs[0].digest.hex())).unwrap().modified().unwrap();
    assert_eq!(again, newest, "what is there is not written again");
    // Files that are no blobs stay, too.
    fs::write(dir.join("blobs/sha256/README"), "").unwrap();
    site.write(&to(",reset=true"), &one, &blobs[..1]).unwrap();
    let mut left = vec![blobs[0].digest.hex().to_owned(), Digest::sha256(&one.to_json()).hex().to_owned()];
    left.extend([tagged.digest.hex().to_owned(), "README".to_owned()]);
    left.sort();
    assert_eq!(blob_names(&dir), left);
    assert_eq!(site.read_one(&from("one")).config, one);
}

#[test]
fn a_reset_that_cannot_follow_the_index_removes_nothing() {
    let (site, both, blobs) = sample();
    let dir = site.path("cache");
    let to = |rest: &str| format!("type=local,dest={}{rest}", dir.display());
    let lost = site.write(&to(",tag=lost"), &both, &blobs).unwrap().unwrap();
    fs::remove_file(dir.join("blobs/sha256").join(lost.digest.hex())).unwrap();
    let before = blob_names(&dir);
    site.shown();
    site.write(&to(",reset=true"), &config(&[&blobs[0]]), &blobs[..1]).unwrap();
    assert!(before.iter().all(|name| blob_names(&dir).contains(name)));
    let warned = site.shown().into_iter().find(|shown| shown.starts_with("failed to reset cache store: "));
    assert!(warned.unwrap().contains(lost.digest.as_str()));
}

/// A site that knows two layers, but not their bytes, which are at an origin.
fn knows(origin: &str, blobs: &[Descriptor]) -> Site {
    let site = Site::new();
    let known =
        store::Layer { diff_id: Some(Digest::sha256(b"tar")), blobs: blobs.to_vec(), origins: vec![origin.to_owned()] };
    site.store.put_layer("l", &known).unwrap();
    site
}

#[test]
fn layers_that_are_elsewhere_are_fetched_only_where_they_must_be() {
    let (_, config, blobs) = sample();
    let registry = Registry::default();
    let server = registry.serve();
    for bytes in [b"one", b"two"] {
        registry.put_blob("base", "", bytes);
    }
    let origin = format!("docker-image://{}/base", server.host);
    let site = knows(&origin, &blobs);
    // The registry has them in another repository.
    site.write(&format!("type=registry,ref={}/cache", server.host), &config, &blobs).unwrap();
    let layer_of = |line: &&String| blobs.iter().any(|blob| line.contains(blob.digest.as_str()));
    let (log, verbs) = (server.log(), |verb: &str| {
        let log = server.log();
        log.iter().filter(layer_of).filter(|line| line.starts_with(verb)).count()
    });
    assert_eq!((verbs("GET"), verbs("PUT"), verbs("POST")), (0, 0, 2), "{log:?}");
    assert!(registry.get(&format!("cache/blobs/{}", blobs[1].digest)).is_some());
    assert!(site.store.blobs().size(&blobs[0].digest).unwrap().is_none());
    // A directory needs them.
    let dir = site.path("cache");
    site.write(&format!("type=local,dest={}", dir.display()), &config, &blobs).unwrap();
    assert_eq!(fs::read(dir.join("blobs/sha256").join(blobs[0].digest.hex())).unwrap(), b"one");
    // Another registry, too: those of a directory are nowhere else.
    let mut site = knows("oci-layout://cache:x", &blobs);
    site.session.oci_layouts.insert("cache:x".into(), dir);
    let other = Registry::default();
    let server = other.serve();
    site.write(&format!("type=registry,ref={}/cache", server.host), &config, &blobs).unwrap();
    assert_eq!(other.get(&format!("cache/blobs/{}", blobs[1].digest)).unwrap().1, b"two");
    assert_eq!(site.store.pushed_to(&blobs[0].digest).unwrap()[0].to_string(), format!("{}/cache", server.host));
}

#[test]
fn layers_that_are_nowhere_are_an_error() {
    let (_, config, blobs) = sample();
    let site = Site::new();
    let written = site.write(&format!("type=local,dest={}", site.path("cache").display()), &config, &blobs);
    let error = written.unwrap_err().to_string();
    assert!(error.ends_with("is neither here nor known elsewhere"), "{error}");
    assert!(!site.path("cache/index.json").exists());
}

#[test]
fn a_document_that_is_in_the_store_is_not_asked_for_again() {
    let (site, config, blobs) = sample();
    let registry = Registry::default();
    let server = registry.serve();
    let name = format!("type=registry,ref={}/cache", server.host);
    site.write(&name, &config, &blobs).unwrap();
    let reader = Site::new();
    let asked = |site: &Site| {
        let before = server.log().len();
        site.read_one(&name);
        server.log()[before..].iter().map(|line| line.replace(&server.host, "")).collect::<Vec<_>>()
    };
    let get = "GET /v2/cache/manifests/latest".to_owned();
    let first = asked(&reader);
    assert!(first.contains(&get) && first.iter().any(|line| line.contains("/blobs/")), "{first:?}");
    assert_eq!(asked(&reader), [get]);
}
