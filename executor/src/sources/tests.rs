//! Images from a registry, a layout directory and the store, down to the files.

mod attributes;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use oci::{Descriptor, Digest, ImageConfig, Index, Manifest, Platform, Reference, RootFs, media};

use super::{Context, Fetching, Images, Key, Mode, Pins, find};
use crate::registry::tests::server::{Reply, Server};
use crate::session::Session;
use crate::snapshot::{Native, Snapshots};
use crate::store::{self, MemoryBlobs, Store, read_blob, write_blob};
use crate::{Cancel, Error, Result, progress};

/// Blobs of an image with an index, and what its parts are called.
struct Sample {
    blobs: MemoryBlobs,
    root: Descriptor,
    layers: Vec<Descriptor>,
    config: Vec<u8>,
}

fn amd64() -> Platform {
    Platform::new("linux", "amd64")
}

fn tar(name: &str, content: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    builder.append_data(&mut header, name, content.as_bytes()).unwrap();
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

impl Sample {
    /// Two layers, one compressed; `wrong` puts another diff id into the config.
    fn new(wrong: bool) -> Self {
        let blobs = MemoryBlobs::default();
        let put = |media_type: &str, bytes: &[u8]| {
            write_blob(&blobs, &mut &*bytes, None).unwrap();
            Descriptor::of(media_type, bytes)
        };
        let tars = [tar("one", "first"), tar("two", "second")];
        let layers = vec![put(media::OCI_LAYER_GZIP, &gzip(&tars[0])), put(media::OCI_LAYER, &tars[1])];
        let mut diff_ids: Vec<_> = tars.iter().map(|tar| Digest::sha256(tar)).collect();
        if wrong {
            diff_ids[0] = Digest::sha256(b"wrong");
        }
        let rootfs = RootFs { kind: "layers".into(), diff_ids: Some(diff_ids) };
        let config = ImageConfig { rootfs, ..ImageConfig::empty(amd64()) }.to_json();
        let manifest = Manifest::new(put(media::OCI_CONFIG, &config), layers.clone()).to_json();
        let entry = Descriptor { platform: Some(amd64()), ..put(media::OCI_MANIFEST, &manifest) };
        let root = put(media::OCI_INDEX, &Index::new(vec![entry]).to_json());
        Self { blobs, root, layers, config }
    }

    /// A registry that has it as `team/app:1`.
    fn serve(&self) -> Server {
        self.serve_on("127.0.0.1:0")
    }

    fn serve_on(&self, address: &str) -> Server {
        let (blobs, root) = (self.blobs.clone(), self.root.clone());
        Server::start_on(address, move |asked| {
            let object = asked.target.rsplit('/').next().unwrap_or_default();
            let digest = if object == "1" {
                root.digest.clone()
            } else {
                object.parse().unwrap_or_else(|_| Digest::sha256(b"none"))
            };
            let Ok(bytes) = read_blob(&blobs, &digest, 1 << 20) else { return Reply::status(404) };
            let kind = if digest == root.digest { media::OCI_INDEX } else { media::OCI_MANIFEST };
            let mut headers = vec![("Content-Type", kind.to_owned()), ("Docker-Content-Digest", digest.to_string())];
            if asked.method == "HEAD" {
                headers.push(("Content-Length", bytes.len().to_string()));
            }
            Reply::Full(200, headers, bytes)
        })
    }

    fn write_layout(&self, dir: &Path) {
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        let index = read_blob(&self.blobs, &self.root.digest, 1 << 20).unwrap();
        let oci::Document::Index(parsed) = oci::Document::parse(&index).unwrap() else { panic!("no index") };
        let others = [self.root.digest.clone(), parsed.manifests[0].digest.clone(), Digest::sha256(&self.config)];
        for digest in others.into_iter().chain(self.layers.iter().map(|layer| layer.digest.clone())) {
            let bytes = read_blob(&self.blobs, &digest, 1 << 20).unwrap();
            fs::write(blobs.join(digest.hex()), bytes).unwrap();
        }
    }
}

/// A store and what goes with it.
pub(super) struct Place {
    pub(super) dir: tempfile::TempDir,
    store: Store,
    snapshots: Arc<dyn Snapshots>,
    pub(super) session: Session,
    cancel: Cancel,
}

impl Place {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        let snapshots = Arc::new(Native::open(store.root()).unwrap());
        let registries = crate::registry::Client::new(crate::registry::Config::default());
        let session = Session { registries, ..Session::default() };
        Self { dir, store, snapshots, session, cancel: Cancel::default() }
    }

    /// Another store with the same session.
    pub(super) fn elsewhere(&self) -> Self {
        Self { session: self.session.clone(), ..Self::new() }
    }

    fn images(&self) -> Images<'_> {
        Images {
            store: Some(&self.store),
            registries: &self.session.registries,
            layouts: &self.session.oci_layouts,
            cancel: &self.cancel,
        }
    }

    /// One build.
    pub(super) fn with<T>(&self, act: impl FnOnce(Context<'_>) -> T) -> T {
        let session = Session { pins: Pins::default(), ..self.session.clone() };
        let vertex = progress::Vertex { sink: &progress::Silent, digest: Digest::sha256(b"") };
        act(Context {
            store: &self.store,
            snapshots: &*self.snapshots,
            session: &session,
            progress: &vertex,
            cancel: &self.cancel,
        })
    }

    /// Keys of a source, and the files of its tree: `name=content`.
    fn build(&self, identifier: &str, attrs: &[(&str, &str)]) -> Result<(Vec<String>, Vec<String>)> {
        let attrs = attrs.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        let source = llb::Source { identifier: identifier.to_owned(), attrs };
        self.with(|context| {
            let pinned = find(identifier)?.pin(&source, &amd64(), context)?;
            let mut keys = Vec::new();
            while let Some(Key::Stable(key)) = pinned.key(keys.len(), context)? {
                keys.push(key);
            }
            let tree = pinned.fetch(context)?;
            Fetching::default().materialise(std::slice::from_ref(&tree), context)?;
            let view = self.snapshots.view(&tree)?;
            let mut files: Vec<_> = fs::read_dir(view.path())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .map(|path| format!("{}={}", path.file_name().unwrap().display(), fs::read_to_string(&path).unwrap()))
                .collect();
            files.sort();
            Ok((keys, files))
        })
    }
}

/// parity: what BuildKit makes of the same parts.
fn expected_keys(sample: &Sample, limit: &str) -> String {
    Digest::sha256(format!(r#"{{"Digest":"{}","OS":"linux","Arch":"amd64"{limit}}}"#, sample.root.digest).as_bytes())
        .to_string()
}

#[test]
fn from_a_registry_to_files() {
    let sample = Sample::new(false);
    let server = sample.serve();
    let place = Place::new();
    let identifier = format!("docker-image://{}/team/app:1@{}", server.host, sample.root.digest);
    let (keys, files) = place.build(&identifier, &[]).unwrap();
    assert_eq!(files, ["one=first", "two=second"]);
    assert_eq!(keys[0], expected_keys(&sample, ""));
    assert_eq!(keys.len(), 2);
    let asked = server.log().len();
    assert_eq!(asked, 6, "{:?}", server.log());
    // All of it is in the store now.
    place.build(&identifier, &[]).unwrap();
    assert_eq!(server.log().len(), asked);
    for layer in &sample.layers {
        assert_eq!(place.store.blobs().size(&layer.digest).unwrap(), Some(layer.size));
    }
}

#[test]
fn over_ipv6() {
    let (sample, place) = (Sample::new(false), Place::new());
    let registry = sample.serve_on("[::1]:0");
    assert!(registry.host.starts_with("[::1]:"), "{}", registry.host);
    let (_, files) = place.build(&format!("docker-image://{}/team/app:1", registry.host), &[]).unwrap();
    assert_eq!(files, ["one=first", "two=second"]);
    let web = Server::start_on("[::1]:0", |_| Reply::Full(200, vec![], b"six".to_vec()));
    let (_, files) = place.build(&format!("http://{}/f", web.host), &[]).unwrap();
    assert_eq!(files, ["f=six"]);
}

#[test]
fn layers_are_lazy_and_come_from_blobs_that_are_there() {
    let sample = Sample::new(false);
    let server = sample.serve();
    let place = Place::new();
    let name = format!("{}/team/app:1", server.host);
    let image =
        place.with(|context| place.images().pull(&Reference::parse(&name).unwrap(), &amd64(), context)).unwrap();
    assert_eq!(image.manifest.layers, sample.layers);
    let asked = server.log();
    let (_, files) = place.build(&format!("docker-image://{name}"), &[]).unwrap();
    assert_eq!(files, ["one=first", "two=second"]);
    assert_eq!(server.log()[asked.len()..], ["HEAD /v2/team/app/manifests/1"]);
}

#[test]
fn a_limit_of_layers() {
    let sample = Sample::new(false);
    let server = sample.serve();
    let place = Place::new();
    let identifier = format!("docker-image://{}/team/app:1", server.host);
    let (keys, files) = place.build(&identifier, &[("image.layerlimit", "1")]).unwrap();
    assert_eq!(files, ["one=first"]);
    assert_eq!(keys[0], expected_keys(&sample, r#","Limit":1"#));
    assert_eq!(keys[1], Digest::sha256(&tar("one", "first")).to_string());
    let error = place.build(&identifier, &[("image.layerlimit", "3")]).unwrap_err().to_string();
    assert_eq!(error, "layer limit 3 is greater than the number of layers in the image 2");
}

#[test]
fn checksums() {
    let sample = Sample::new(false);
    let server = sample.serve();
    let identifier = format!("docker-image://{}/team/app:1", server.host);
    let digest = sample.root.digest.to_string();
    Place::new().build(&identifier, &[("image.checksum", &digest)]).unwrap();
    let other = Digest::sha256(b"other").to_string();
    let error = Place::new().build(&identifier, &[("image.checksum", &other)]).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("image digest {digest} for {}/team/app:1 does not match expected checksum {other}", server.host)
    );
}

#[test]
fn a_layer_that_is_not_what_the_config_says() {
    let sample = Sample::new(true);
    let server = sample.serve();
    let place = Place::new();
    let error = place.build(&format!("docker-image://{}/team/app:1", server.host), &[]).unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    assert_eq!(place.snapshots.list().unwrap().len(), 1, "only the good layer is there");
}

#[test]
fn from_a_layout_to_files() {
    let sample = Sample::new(false);
    let mut place = Place::new();
    let layout = place.dir.path().join("layout");
    sample.write_layout(&layout);
    place.session.oci_layouts.insert("store-1".into(), layout);
    let identifier = format!("oci-layout://docker.io/library/base@{}", sample.root.digest);
    let (keys, files) = place.build(&identifier, &[("oci.store", "store-1")]).unwrap();
    assert_eq!(files, ["one=first", "two=second"]);
    assert_eq!(keys[0], expected_keys(&sample, ""));

    let resolved =
        place.images().resolve(&format!("oci-layout://store-1@{}", sample.root.digest), &amd64(), Mode::Default);
    assert_eq!(resolved.unwrap().config, sample.config);
    for (reference, expected) in [
        (
            format!("oci-layout://nosuch@{}", sample.root.digest),
            "no OCI layout \"nosuch\" was given (there are: store-1)",
        ),
        ("oci-layout://store-1".to_owned(), "reference \"store-1\" must have digest"),
        (format!("oci-layout://store-1@{}", Digest::sha256(b"none")), "not found"),
    ] {
        let error = place.images().resolve(&reference, &amd64(), Mode::Default).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn resolving_for_a_compiler() {
    let sample = Sample::new(false);
    let server = sample.serve();
    let place = Place::new();
    let without_store = Images { store: None, ..place.images() };
    let name = format!("{}/team/app:1", server.host);
    for images in [place.images(), without_store] {
        let resolved = images.resolve(&name, &amd64(), Mode::Default).unwrap();
        assert_eq!((resolved.digest, resolved.config), (sample.root.digest.clone(), sample.config.clone()));
    }
    let check = |name: &str, architecture: &str, expected: &str| {
        let error = place.images().resolve(name, &Platform::new("linux", architecture), Mode::Default).unwrap_err();
        assert_eq!(error.to_string(), format!("failed to resolve source metadata for {name}: {expected}"));
    };
    let missing = format!("{}/team/app:2", server.host);
    check(&missing, "amd64", &format!("{missing}: not found"));
    check(&name, "s390x", "no match for platform in manifest: not found");

    let private = Server::start(|_| Reply::status(401));
    check(
        &format!("{}/app:1", private.host),
        "amd64",
        "pull access denied, repository does not exist or may require authorization: authorization failed",
    );
}

#[test]
fn modes() {
    let sample = Sample::new(false);
    let server = sample.serve();
    let place = Place::new();
    let name = |tag: &str| Reference::parse(&format!("{}/team/app:{tag}", server.host)).unwrap();
    // An image of the store's own under a name that the registry does not have.
    for digest in [&sample.root.digest].into_iter().chain(sample.layers.iter().map(|layer| &layer.digest)) {
        let bytes = read_blob(&sample.blobs, digest, 1 << 20).unwrap();
        write_blob(place.store.blobs(), &mut bytes.as_slice(), None).unwrap();
    }
    place.images().find(&name("1"), &amd64(), Mode::Pull).unwrap();
    place.store.put_image(&store::Image { name: name("own"), target: sample.root.clone(), created: 0 }).unwrap();
    let asked = server.log().len();
    place.images().find(&name("own"), &amd64(), Mode::Local).unwrap();
    place.images().find(&name("own"), &amd64(), Mode::Default).unwrap();
    assert_eq!(server.log().len(), asked, "nobody is asked for what has a name in the store");
    let other = place.images().find(&name("own"), &Platform::new("linux", "s390x"), Mode::Default);
    assert!(matches!(other, Err(Error::NotFound(_))));
    assert_eq!(server.log().len(), asked + 1, "for another platform the registry is asked");
    assert!(matches!(place.images().find(&name("own"), &amd64(), Mode::Pull), Err(Error::NotFound(_))));
    place.images().find(&name("1"), &amd64(), Mode::Local).unwrap();
}
