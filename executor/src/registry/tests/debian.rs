//! The client against Debian's `docker-registry`, filled by `skopeo`.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oci::{Descriptor, Digest, Document, Index, Platform, media};

use super::{client, image, reference};
use crate::registry::credentials::Place;
use crate::registry::{Client, Config, Push};
use crate::store::{Blobs, MemoryBlobs, read_blob, write_blob};
use crate::{Cancel, Error, Result, progress};

/// `docker-registry` on a free port, its data in a directory of its own.
struct Registry {
    host: String,
    child: Child,
    _directory: tempfile::TempDir,
}

/// bcrypt of `secret`, cost 5.
const HTPASSWD: &str = "me:$2y$05$jwYNlVQ8tH2IKy7wOeU2t.SV3zn3mrdGXfXdWSX6vViOrS.Xm2PCG";

impl Registry {
    fn start(with_password: bool) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), with_password, "")
    }

    /// One whose data and password file are in a directory; `more` is of its settings.
    fn start_in(directory: tempfile::TempDir, with_password: bool, more: &str) -> Self {
        let root = directory.path();
        fs::write(root.join("htpasswd"), HTPASSWD).unwrap();
        // The port is free now and most likely still is in a moment.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{host}'{more}}}\n",
            root.join("data").display()
        );
        if with_password {
            config += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", root.join("htpasswd").display());
        }
        fs::write(root.join("config.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(root.join("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need Debian's docker-registry: apt-get install docker-registry skopeo");
        let registry = Self { host, child, _directory: directory };
        let started = Instant::now();
        while TcpStream::connect(&registry.host).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "docker-registry does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes an OCI layout with one image and returns its manifest.
fn layout(directory: &Path, layer: &[u8]) -> Vec<u8> {
    let (manifest, config, layer) = image(layer);
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    for bytes in [&manifest, &config, &layer] {
        fs::write(blobs.join(Digest::sha256(bytes).hex()), bytes).unwrap();
    }
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let mut entry = Descriptor::of(media::OCI_MANIFEST, &manifest);
    entry.annotations.insert("org.opencontainers.image.ref.name".into(), "latest".into());
    fs::write(directory.join("index.json"), Index::new(vec![entry]).to_json()).unwrap();
    manifest
}

fn skopeo(arguments: &[&str]) {
    let output = Command::new("skopeo").args(arguments).output().expect("these tests need skopeo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn fill(registry: &Registry, name: &str, credentials: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let layer: Vec<u8> = (0..50_000u32).flat_map(u32::to_le_bytes).collect();
    let manifest = layout(directory.path(), &layer);
    let source = format!("oci:{}:latest", directory.path().display());
    let target = format!("docker://{}/{name}", registry.host);
    let mut arguments = vec!["copy", "--quiet", "--insecure-policy", "--preserve-digests", "--dest-tls-verify=false"];
    arguments.extend(credentials);
    arguments.extend([source.as_str(), target.as_str()]);
    skopeo(&arguments);
    manifest
}

/// Fetches an image whole and checks every byte of it.
fn pull(client: &Client, name: &str, manifest: &[u8]) {
    let cancel = Cancel::default();
    let name = reference(name);
    let head = client.head(&name, &cancel).unwrap();
    assert_eq!(head, Descriptor::of(media::OCI_MANIFEST, manifest));
    let fetched = client.manifest(&name.clone().with_digest(head.digest.clone()), &cancel).unwrap();
    assert_eq!((fetched.descriptor, fetched.bytes.as_slice()), (head, manifest));
    let Document::Manifest(parsed) = Document::parse(manifest).unwrap() else { panic!("no manifest") };
    let blobs = MemoryBlobs::default();
    for descriptor in std::iter::once(&parsed.config).chain(&parsed.layers) {
        client.download(&name, descriptor, &blobs, &cancel).unwrap();
        assert_eq!(blobs.size(&descriptor.digest).unwrap(), Some(descriptor.size));
    }
}

#[test]
fn pull_without_password() {
    let registry = Registry::start(false);
    let manifest = fill(&registry, "team/app:1", &[]);
    pull(&client(), &format!("{}/team/app:1", registry.host), &manifest);
    let repository = reference(&format!("{}/team/app", registry.host));
    assert_eq!(client().tags(&repository, &Cancel::default()).unwrap(), ["1"]);
    let missing = format!("{}/team/app:2", registry.host);
    let error = client().head(&reference(&missing), &Cancel::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("{missing}: not found"));
    assert!(matches!(error, Error::NotFound(_)));
}

/// Makes a certificate that `ca` vouches for, or one that vouches for itself.
fn certify(directory: &Path, name: &str, ca: Option<&str>, extension: &str) {
    let leaf = "-addext basicConstraints=critical,CA:FALSE";
    let sign = ca.map_or(String::new(), |ca| format!("{leaf} -CA {ca}.pem -CAkey {ca}.key"));
    let script = format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.pem \
         -subj /CN={name} -days 2 -addext {extension} {sign}"
    );
    let made = Command::new("sh").args(["-c", &script]).current_dir(directory).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn push_and_pull_with_a_certificate_of_ones_own() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    certify(&root, "ca", None, "keyUsage=keyCertSign");
    certify(&root, "server", Some("ca"), "subjectAltName=IP:127.0.0.1");
    certify(&root, "me", Some("ca"), "extendedKeyUsage=clientAuth");
    let at = |name: &str| root.join(name).display().to_string();
    let (cert, key, ca) = (at("server.pem"), at("server.key"), at("ca.pem"));
    let tls = format!(", tls: {{certificate: '{cert}', key: '{key}', clientcas: ['{ca}']}}");
    let registry = Registry::start_in(directory, false, &tls);
    let client = |keypair: &str| {
        let text = format!(r#"{{"registry": {{"{}": {{"http": false, "ca": ["{ca}"]{keypair}}}}}}}"#, registry.host);
        Client::new(Config { hosts: serde_json::from_str(&text).unwrap(), ..Config::default() })
    };
    let name = format!("{}/app:1", registry.host);
    let pair = |key: &str| format!(r#", "keypair": [{{"key": "{}", "cert": "{}"}}]"#, at(key), at("me.pem"));
    let mine = client(&pair("me.key"));
    let manifest = push_image(&mine, &name).unwrap();
    pull(&mine, &name, &manifest);
    let refused = push_image(&client(""), &name).unwrap_err().to_string();
    assert!(refused.to_lowercase().contains("certificate"), "{refused}");
    let missing = push_image(&client(&pair("nosuch.key")), &name).unwrap_err().to_string();
    assert_eq!(missing, format!("cannot read {}: No such file or directory (os error 2)", at("nosuch.key")));
}

#[test]
fn registries_on_loopback_that_may_speak_either() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    for name in ["ca", "other"] {
        certify(&root, name, None, "keyUsage=keyCertSign");
    }
    certify(&root, "server", Some("ca"), "subjectAltName=IP:127.0.0.1");
    let at = |name: &str| root.join(name).display().to_string();
    let tls = format!(", tls: {{certificate: '{}', key: '{}'}}", at("server.pem"), at("server.key"));
    let encrypted = Registry::start_in(directory, false, &tls);
    let plain = Registry::start(false);
    let pushed = |registry: &Registry, said: &str| {
        let text = format!(r#"{{"registry": {{"{}": {{{said}}}}}}}"#, registry.host);
        let client = Client::new(Config { hosts: serde_json::from_str(&text).unwrap(), ..Config::default() });
        let name = format!("{}/app:1", registry.host);
        push_image(&client, &name).map(|manifest| pull(&client, &name, &manifest))
    };
    let (ca, other) = (format!(r#""ca": ["{}"]"#, at("ca.pem")), format!(r#""ca": ["{}"]"#, at("other.pem")));
    for said in [r#""insecure": true"#, &ca] {
        pushed(&encrypted, said).unwrap();
        pushed(&plain, said).unwrap();
    }
    let untrusted = pushed(&encrypted, &other).unwrap_err().to_string();
    assert!(untrusted.contains("UnknownIssuer"), "{untrusted}");
    let surprised = pushed(&plain, r#""http": false"#).unwrap_err().to_string();
    assert!(surprised.contains("the server speaks plain HTTP"), "{surprised}");
}

#[test]
fn pull_with_password() {
    let registry = Registry::start(true);
    let manifest = fill(&registry, "app:1", &["--dest-creds=me:secret"]);
    let name = format!("{}/app:1", registry.host);
    let error = client().head(&reference(&name), &Cancel::default()).unwrap_err().to_string();
    assert!(error.contains("pull access denied"), "{error}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.json");
    fs::write(&file, format!(r#"{{"auths": {{"{}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#, registry.host)).unwrap();
    pull(&Client::new(Config { credentials: Place::file(file), ..Config::default() }), &name, &manifest);
}

/// Pushes the blobs below `root`, which may be in the repositories of `origins` already.
fn push(client: &Client, blobs: &dyn Blobs, root: &Descriptor, target: &str, origins: &[oci::Reference]) {
    try_push(client, blobs, root, target, origins).unwrap();
}

fn try_push(
    client: &Client,
    blobs: &dyn Blobs,
    root: &Descriptor,
    target: &str,
    origins: &[oci::Reference],
) -> Result<()> {
    let sink = progress::Silent;
    let vertex = progress::Vertex { sink: &sink, digest: Digest::sha256(b"") };
    let target = reference(target);
    let tags = target.tag();
    let push = Push {
        repository: &target.clone().without_object(),
        tags: tags.as_slice(),
        blobs,
        origins: &|_| origins.to_vec(),
        progress: &vertex,
        cancel: &Cancel::default(),
    };
    client.push(root, &push).map(drop)
}

/// Pushes a small image, and gives its manifest.
fn push_image(client: &Client, target: &str) -> Result<Vec<u8>> {
    let (manifest, config, layer) = image(b"layer");
    let blobs = MemoryBlobs::default();
    for bytes in [&manifest, &config, &layer] {
        write_blob(&blobs, &mut bytes.as_slice(), None)?;
    }
    try_push(client, &blobs, &Descriptor::of(media::OCI_MANIFEST, &manifest), target, &[]).map(|()| manifest)
}

#[test]
fn push_then_pull() {
    let registry = Registry::start(false);
    let blobs = MemoryBlobs::default();
    let mut entries = Vec::new();
    for (architecture, layer) in [("amd64", &b"layer one"[..]), ("arm64", b"layer two")] {
        let (manifest, config, layer) = image(layer);
        for bytes in [&manifest, &config, &layer] {
            write_blob(&blobs, &mut bytes.as_slice(), None).unwrap();
        }
        let platform = Some(Platform::new("linux", architecture));
        entries.push(Descriptor { platform, ..Descriptor::of(media::OCI_MANIFEST, &manifest) });
    }
    let index = Index::new(entries.clone()).to_json();
    write_blob(&blobs, &mut index.as_slice(), None).unwrap();
    let root = Descriptor::of(media::OCI_INDEX, &index);
    let client = client();
    push(&client, &blobs, &root, &format!("{}/multi:1", registry.host), &[]);
    // Again: everything is there.
    push(&client, &blobs, &root, &format!("{}/multi:1", registry.host), &[]);

    let fetched = client.manifest(&reference(&format!("{}/multi:1", registry.host)), &Cancel::default()).unwrap();
    assert_eq!((fetched.descriptor, fetched.bytes), (root, index));
    let arm = read_blob(&blobs, &entries[1].digest, 1 << 20).unwrap();
    let by_digest = format!("{}/multi@{}", registry.host, entries[1].digest);
    pull_by_digest(&client, &by_digest, &arm);
}

fn pull_by_digest(client: &Client, name: &str, manifest: &[u8]) {
    assert_eq!(client.manifest(&reference(name), &Cancel::default()).unwrap().bytes, manifest);
}

#[test]
fn push_mounts_and_copies_what_is_elsewhere() {
    let registry = Registry::start(false);
    let other = Registry::start(false);
    let manifest = fill(&registry, "base:1", &[]);
    let root = Descriptor::of(media::OCI_MANIFEST, &manifest);
    // Only the manifest is here: its blobs are mounted in one registry and copied to the other.
    let blobs = MemoryBlobs::default();
    write_blob(&blobs, &mut manifest.as_slice(), None).unwrap();
    let origins = [reference(&format!("{}/base", registry.host))];
    let client = client();
    let mounted = format!("{}/copy:1", registry.host);
    push(&client, &blobs, &root, &mounted, &origins);
    assert_eq!(blobs.size(&root.digest).unwrap(), Some(manifest.len() as u64));
    let Document::Manifest(parsed) = Document::parse(&manifest).unwrap() else { panic!("no manifest") };
    assert_eq!(blobs.size(&parsed.layers[0].digest).unwrap(), None, "a mounted blob is not downloaded");
    pull(&client, &mounted, &manifest);
    let copied = format!("{}/copy:1", other.host);
    push(&client, &blobs, &root, &copied, &origins);
    pull(&client, &copied, &manifest);
}

#[test]
fn a_big_blob_goes_and_comes_back() {
    let registry = Registry::start(false);
    let blobs = MemoryBlobs::default();
    let mut layer = Vec::new();
    layer.write_all(&vec![5; 20 << 20]).unwrap();
    let (manifest, config, layer) = image(&layer);
    for bytes in [&manifest, &config, &layer] {
        write_blob(&blobs, &mut bytes.as_slice(), None).unwrap();
    }
    let name = format!("{}/big:1", registry.host);
    push(&client(), &blobs, &Descriptor::of(media::OCI_MANIFEST, &manifest), &name, &[]);
    pull(&client(), &name, &manifest);
}
