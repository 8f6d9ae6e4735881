//! Registries and directories that lie, or have not what they promise.

use oci::{Index, Manifest};

use super::*;
use crate::Error;

/// The error of reading `app:1` from a registry that answers so.
fn refused(registry: &Registry) -> Error {
    let server = registry.serve();
    Site::new().read(&format!("{}/app:1", server.host)).unwrap_err()
}

/// A registry with a cache of one layer under `app:1` whose config is told by `config`.
fn with_config(config: &Descriptor) -> Registry {
    let registry = Registry::default();
    let layer = Descriptor::of(media::OCI_LAYER, b"x");
    let manifest = Manifest::new(config.clone(), vec![layer]).to_json();
    registry.put_manifest("app", "1", media::OCI_MANIFEST, &manifest);
    registry
}

#[test]
fn what_is_not_there_yet() {
    assert!(matches!(refused(&Registry::default()), Error::NotFound(_)));
    let site = Site::new();
    let dir = site.path("cache");
    let from = format!("type=local,src={}", dir.display());
    let missing = |from: &str| match site.read(from).unwrap_err() {
        Error::NotFound(message) => message.replace(dir.to_str().unwrap(), "DIR"),
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(&from), "local cache import at DIR: no index.json: not found");
    let (other, config, blobs) = sample();
    let root = other.write(&format!("type=local,dest={}", dir.display()), &config, &blobs).unwrap().unwrap();
    let tag = "local cache import at DIR: no digest found for tag other: not found";
    assert_eq!(missing(&format!("{from},tag=other")), tag);
    fs::remove_file(dir.join("blobs/sha256").join(root.digest.hex())).unwrap();
    assert!(missing(&from).starts_with(&format!("blob {} is not in the OCI layout DIR", root.digest)));
}

#[test]
fn a_config_that_is_not_there() {
    let error = refused(&with_config(&Descriptor::of(MEDIA_TYPE, b"{}")));
    assert!(matches!(&error, Error::Invalid(what) if what.contains("/app:1 is not whole: ")), "{error:?}");
}

#[test]
fn a_config_of_other_bytes() {
    let config = Descriptor::of(MEDIA_TYPE, b"{}");
    let registry = with_config(&config);
    registry.put(&format!("app/blobs/{}", config.digest), "", b"[]");
    assert!(matches!(refused(&registry), Error::DigestMismatch { .. }));
}

#[test]
fn a_config_without_end() {
    let config = Descriptor::of(MEDIA_TYPE, b"{}");
    for (size, expected) in [(2, "sends more than 2 bytes"), (1 << 40, "is longer than 4194304 bytes")] {
        let registry = with_config(&Descriptor { size, ..config.clone() });
        let served = registry.clone();
        let server = Server::start(move |asked| match asked.target.contains("/blobs/") {
            true => Reply::Endless,
            false => served.answer(asked),
        });
        let error = Site::new().read(&format!("{}/app:1", server.host)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_manifest_without_end() {
    let server = Server::start(|_| Reply::Endless);
    let error = Site::new().read(&format!("{}/app:1", server.host)).unwrap_err().to_string();
    assert!(error.contains("manifest is longer than 4194304 bytes"), "{error}");
}

#[test]
fn a_manifest_of_another_digest() {
    let registry = Registry::default();
    let server = registry.serve();
    let digest = Digest::sha256(b"promised");
    registry.put(&format!("app/manifests/{digest}"), media::OCI_INDEX, &Index::new(vec![]).to_json());
    let read = Site::new().read(&format!("{}/app@{digest}", server.host));
    assert!(matches!(read, Err(Error::DigestMismatch { .. })));
}

#[test]
fn a_config_that_points_at_itself_or_nowhere() {
    let digest = Digest::sha256(b"");
    let looping = format!(r#"{{"records":[{{"digest":"{digest}","inputs":[[{{"link":0}}]]}}]}}"#);
    let circle = format!(r#"{{"layers":[{{"blob":"{digest}","parent":0}}]}}"#);
    for (config, expected) in [
        (looping.as_str(), "record 0 needs itself"),
        (circle.as_str(), "invalid parent of layer 0"),
        ("7", "invalid type"),
    ] {
        let registry = with_config(&Descriptor::of(MEDIA_TYPE, config.as_bytes()));
        registry.put_blob("app", MEDIA_TYPE, config.as_bytes());
        let error = refused(&registry).to_string();
        assert!(error.contains("/app:1 cannot be read: ") && error.contains(expected), "{error}");
    }
}

#[test]
fn layers_whose_blobs_are_not_named_are_the_callers_to_leave_out() {
    let config = config(&[&Descriptor::of(media::OCI_LAYER, b"another")]).to_json();
    let registry = with_config(&Descriptor::of(MEDIA_TYPE, &config));
    registry.put_blob("app", MEDIA_TYPE, &config);
    let server = registry.serve();
    let read = Site::new().read_one(&format!("{}/app:1", server.host));
    assert_eq!(read.blobs.len(), 1);
    assert_ne!(read.config.layers[0].blob, read.blobs[0].descriptor.digest);
}

#[test]
fn what_others_say_of_a_blob_is_not_what_the_store_says() {
    let registry = Registry::default();
    let config = Config::default().to_json();
    let mut layer = Descriptor::of(media::OCI_LAYER, b"x");
    let said = [("llbc/converted", "true"), (UNCOMPRESSED, "no digest"), ("buildkit/createdat", "yesterday")];
    layer.annotations = said.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    layer.data = b"x".to_vec();
    let config = registry.put_blob("app", MEDIA_TYPE, &config);
    registry.put_manifest("app", "1", media::OCI_MANIFEST, &Manifest::new(config, vec![layer]).to_json());
    let server = registry.serve();
    let blob = Site::new().read_one(&format!("{}/app:1", server.host)).blobs.remove(0);
    assert_eq!((blob.diff_id, blob.created, blob.descriptor.data), (None, None, vec![]));
    assert!(!blob.descriptor.annotations.contains_key("llbc/converted"));
}

#[test]
fn indexes_without_end() {
    let registry = Registry::default();
    let mut root = Descriptor::of(media::OCI_INDEX, b"");
    for _ in 0..10 {
        root = registry.put_manifest("app", "1", media::OCI_INDEX, &Index::new(vec![root]).to_json());
    }
    assert!(refused(&registry).to_string().ends_with("indexes are nested too deep"));
    let entry = |number: usize| Descriptor::of(media::OCI_MANIFEST, &number.to_le_bytes());
    registry.put_manifest("app", "1", media::OCI_INDEX, &Index::new((0..2000).map(entry).collect()).to_json());
    assert!(refused(&registry).to_string().ends_with("it has more than 1024 manifests"));
}

#[test]
fn a_directory_that_lies() {
    let (site, config, blobs) = sample();
    let dir = site.path("cache");
    let root = site.write(&format!("type=local,dest={}", dir.display()), &config, &blobs).unwrap().unwrap();
    let path = dir.join("blobs/sha256").join(root.digest.hex());
    fs::remove_file(&path).unwrap();
    fs::write(&path, Index::new(vec![]).to_json()).unwrap();
    let from = format!("type=local,src={}", dir.display());
    assert!(matches!(site.read(&from), Err(Error::DigestMismatch { .. })));
    fs::write(dir.join("index.json"), "{").unwrap();
    assert!(site.read(&from).unwrap_err().to_string().contains("index.json"));
    fs::File::create(dir.join("index.json")).unwrap().set_len(1 << 40).unwrap();
    assert!(site.read(&from).unwrap_err().to_string().ends_with("index.json: it is longer than 4 MiB"));
}
