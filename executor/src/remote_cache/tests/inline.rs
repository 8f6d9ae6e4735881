//! Caches inside images.

use oci::{Index, Manifest, base64};
use serde_json::json;

use super::*;

/// The layers of an image.
fn layers() -> Vec<Descriptor> {
    [b"one".as_slice(), b"two"].map(|bytes| Descriptor::of(media::OCI_LAYER_GZIP, bytes)).to_vec()
}

fn diff_ids() -> [Digest; 2] {
    [Digest::sha256(b"tar one"), Digest::sha256(b"tar two")]
}

/// The config of an image with a cache inside, or with something else.
fn image_config(cache: Option<&str>) -> serde_json::Value {
    let mut config = json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids()},
        "history": [
            {"created": "2026-01-01T00:00:00Z", "created_by": "COPY"},
            {"created": "2026-01-02T00:00:00Z", "created_by": "ENV", "empty_layer": true},
            {"created_by": "RUN"},
        ],
    });
    if let Some(cache) = cache {
        config["moby.buildkit.cache.v0"] = cache.into();
    }
    config
}

fn records() -> String {
    let layers = layers();
    let config = config(&layers.iter().collect::<Vec<_>>());
    base64::encode(&oci::json::to_vec(&config.records))
}

/// Puts an image; without a tag it is had by its digest.
fn put_image(registry: &Registry, tag: &str, config: &serde_json::Value) -> Descriptor {
    let config = registry.put_blob("app", media::OCI_CONFIG, &serde_json::to_vec(config).unwrap());
    registry.put_manifest("app", tag, media::OCI_MANIFEST, &Manifest::new(config, layers()).to_json())
}

fn check(remote: &Remote, host: &str) {
    let layers = layers();
    assert_eq!(remote.config, config(&layers.iter().collect::<Vec<_>>()));
    let blobs: Vec<_> =
        remote.blobs.iter().map(|blob| (&blob.descriptor.digest, blob.diff_id.clone().unwrap())).collect();
    let [one, two] = diff_ids();
    assert_eq!(blobs, [(&layers[0].digest, one.clone()), (&layers[1].digest, two)]);
    assert_eq!(remote.blobs[0].created, Some(Time::parse("2026-01-01T00:00:00Z").unwrap()));
    assert_eq!(remote.blobs[1].created, None);
    let said = &remote.blobs[0].descriptor.annotations;
    let said = ["buildkit/createdat", "buildkit/description", UNCOMPRESSED].map(|key| said[key].as_str());
    assert_eq!(said, ["2026-01-01T00:00:00Z", "COPY", one.as_str()]);
    assert!(remote.blobs.iter().all(|blob| blob.origin == format!("docker-image://{host}/app")));
}

#[test]
fn of_one_image() {
    let registry = Registry::default();
    let server = registry.serve();
    put_image(&registry, "1", &image_config(Some(&records())));
    check(&Site::new().read_one(&format!("{}/app:1", server.host)), &server.host);
}

#[test]
fn of_the_images_of_an_index() {
    let registry = Registry::default();
    let server = registry.serve();
    let mut other = image_config(Some(&records()));
    other["architecture"] = "arm64".into();
    let with = [image_config(Some(&records())), other].map(|config| put_image(&registry, "x", &config));
    let without = put_image(&registry, "x", &image_config(None));
    let null = put_image(&registry, "x", &json!({"moby.buildkit.cache.v0": null, "rootfs": null, "history": null}));
    let inner = registry.put_manifest("app", "x", media::OCI_INDEX, &Index::new(vec![with[1].clone()]).to_json());
    let entries = vec![with[0].clone(), without, null, inner.clone(), inner, with[0].clone()];
    registry.put_manifest("app", "1", media::OCI_INDEX, &Index::new(entries).to_json());
    let read = Site::new().read(&format!("{}/app:1", server.host)).unwrap();
    assert_eq!(read.len(), 2, "each image once");
    read.iter().for_each(|remote| check(remote, &server.host));
}

#[test]
fn of_an_image_in_a_directory() {
    let site = Site::new();
    let dir = site.path("image");
    let put = |media_type: &str, bytes: &[u8]| {
        let blob = Descriptor::of(media_type, bytes);
        fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
        fs::write(dir.join("blobs/sha256").join(blob.digest.hex()), bytes).unwrap();
        blob
    };
    let config = put(media::OCI_CONFIG, &serde_json::to_vec(&image_config(Some(&records()))).unwrap());
    let mut manifest = put(media::OCI_MANIFEST, &Manifest::new(config, layers()).to_json());
    manifest.annotations.insert("io.containerd.image.name".into(), "docker.io/library/app:1".into());
    fs::write(dir.join("index.json"), Index::new(vec![manifest]).to_json()).unwrap();
    let read = site.read_one(&format!("type=local,src={},tag=docker.io/library/app:1", dir.display()));
    assert_eq!(read.blobs[1].origin, format!("oci-layout://cache:{}", dir.display()));
}

#[test]
fn an_image_without_a_cache_has_none() {
    let registry = Registry::default();
    let server = registry.serve();
    put_image(&registry, "1", &image_config(None));
    assert!(Site::new().read(&format!("{}/app:1", server.host)).unwrap().is_empty());
}

#[test]
fn a_layer_that_an_image_has_twice_is_one_blob() {
    let registry = Registry::default();
    let server = registry.serve();
    let layers = vec![layers().remove(0); 2];
    let records = base64::encode(&oci::json::to_vec(&config(&layers.iter().collect::<Vec<_>>()).records));
    let config = serde_json::to_vec(&image_config(Some(&records))).unwrap();
    let config = registry.put_blob("app", media::OCI_CONFIG, &config);
    registry.put_manifest("app", "1", media::OCI_MANIFEST, &Manifest::new(config, layers).to_json());
    let read = Site::new().read_one(&format!("{}/app:1", server.host));
    assert_eq!((read.config.layers.len(), read.blobs.len()), (2, 1));
}

#[test]
fn what_is_wrong_inside() {
    let check = |config: serde_json::Value, expected: &str| {
        let registry = Registry::default();
        let server = registry.serve();
        put_image(&registry, "1", &config);
        let site = Site::new();
        let read = site.read(&format!("{}/app:1", server.host));
        let mut said: Vec<_> = read.err().map(|error| error.to_string()).into_iter().chain(site.shown()).collect();
        said.retain(|text| text.contains(expected));
        assert_eq!(said.len(), 1, "{expected}");
    };
    check(image_config(Some("???")), "its cache is not base64");
    check(image_config(Some(&base64::encode(b"["))), "EOF while parsing");
    let record = |record: &str| image_config(Some(&base64::encode(format!("[{record}]").as_bytes())));
    let digest = Digest::sha256(b"");
    let far = format!(r#"{{"digest":"{digest}","layers":[{{"layer":2,"createdAt":"2026-01-01T00:00:00Z"}}]}}"#);
    check(record(&far), "invalid layer index 2 of record 0");
    check(record(&format!(r#"{{"digest":"{digest}","inputs":[[{{"link":0}}]]}}"#)), "record 0 needs itself");
    let mut fewer = image_config(Some(&records()));
    fewer["rootfs"]["diff_ids"] = json!([diff_ids()[0]]);
    check(fewer, "invalid image with mismatching manifest and config");
}
