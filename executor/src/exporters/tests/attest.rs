//! What is said of results, beside them.

use std::sync::Arc;

use oci::Time;
use serde_json::{Value, json};

use super::*;
use crate::provenance::{Asked, Attrs, Capture, Provenance};

/// Results of which it is said how they were made.
fn fixture(platforms: &[&str], attrs: &str) -> Fixture {
    let mut fixture = Fixture::new(platforms);
    let asked = Arc::new(Asked { attrs: Attrs::parse(attrs).unwrap(), ..Asked::default() });
    for built in &mut fixture.built {
        let step = Digest::sha256(b"step");
        let steps = asked.attrs.max.then(|| llb::dump::Steps {
            digests: [(step.clone(), "step0".to_owned())].into(),
            ..llb::dump::Steps::default()
        });
        let provenance = Provenance {
            asked: asked.clone(),
            capture: Capture::default(),
            steps,
            invocation: "id".to_owned(),
            started: Time::from_unix(0, 0),
            builder: Platform::new("linux", "amd64"),
        };
        let below = Committed { layers: built.tree.layers[..1].to_vec() };
        let gave = vec![Gave { step, output: 0, given: Given::Tree(below) }];
        built.attested = Some(Box::new(Attested { provenance, gave }));
    }
    fixture
}

fn index(archive: &BTreeMap<String, Vec<u8>>) -> Value {
    json(blob(archive, &json(&archive["index.json"])["manifests"][0]["digest"]))
}

/// The statement of a manifest.
fn statement(archive: &BTreeMap<String, Vec<u8>>, manifest: &Value) -> Value {
    json(blob(archive, &manifest["layers"][0]["digest"]))
}

#[test]
fn a_manifest_of_its_own_in_an_index() {
    let fixture = fixture(&["linux/amd64"], "mode=max");
    let metadata = fixture.export(Kind::Oci, &[("name", "app,b/c:2"), ("annotation-index.k", "v")]).unwrap();
    assert_eq!(metadata.get("containerimage.config.digest"), None);
    let archive = fixture.archive();
    let index = index(&archive);
    assert_eq!(index["annotations"], json!({ "k": "v" }));
    let [image, said] = index["manifests"].as_array().unwrap().as_slice() else { panic!("{index}") };
    assert_eq!(image["platform"], json!({ "architecture": "amd64", "os": "linux" }));
    assert_eq!(said["platform"], json!({ "architecture": "unknown", "os": "unknown" }));
    assert_eq!(
        said["annotations"],
        json!({ "vnd.docker.reference.digest": image["digest"], "vnd.docker.reference.type": "attestation-manifest" })
    );
    let manifest = json(blob(&archive, &said["digest"]));
    assert_eq!(manifest["artifactType"], "application/vnd.docker.attestation.manifest.v1+json");
    assert_eq!(manifest["config"]["data"], "e30=");
    assert_eq!(blob(&archive, &manifest["config"]["digest"]), b"{}");
    assert_eq!(manifest["subject"]["digest"], image["digest"]);
    let layer = &manifest["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.in-toto+json");
    assert_eq!(layer["annotations"], json!({ "in-toto.io/predicate-type": "https://slsa.dev/provenance/v1" }));
    let statement = statement(&archive, &manifest);
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    let names: Vec<&Value> = statement["subject"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["pkg:docker/app@latest?platform=linux%2Famd64", "pkg:docker/b/c@2?platform=linux%2Famd64"]);
    let layers = &statement["predicate"]["runDetails"]["metadata"]["buildkit_metadata"]["layers"];
    let lowest = &json(blob(&archive, &image["digest"]))["layers"][0];
    assert_eq!(layers, &json!({ "step0:0": [[lowest]] }), "of what the step gave: the first layer of the image");
}

#[test]
fn one_for_each_platform_behind_the_images() {
    let fixture = fixture(&["linux/arm64", "linux/amd64"], "mode=min");
    fixture.export(Kind::Oci, &[]).unwrap();
    let index = index(&fixture.archive());
    let of = |number: usize| index["manifests"][number].clone();
    let architectures = [0, 1, 2, 3].map(|number| of(number)["platform"]["architecture"].clone());
    assert_eq!(architectures, ["arm64", "amd64", "unknown", "unknown"]);
    for (image, said) in [(0, 2), (1, 3)] {
        assert_eq!(of(said)["annotations"]["vnd.docker.reference.digest"], of(image)["digest"]);
    }
}

#[test]
fn a_manifest_like_an_images() {
    let fixture = fixture(&["linux/amd64"], "mode=min");
    fixture.export(Kind::Oci, &[("oci-artifact", "false")]).unwrap();
    let archive = fixture.archive();
    let manifest = json(blob(&archive, &index(&archive)["manifests"][1]["digest"]));
    assert_eq!((manifest.get("artifactType"), manifest.get("subject")), (None, None));
    let config = json(blob(&archive, &manifest["config"]["digest"]));
    assert_eq!(config["rootfs"]["diff_ids"], json!([manifest["layers"][0]["digest"]]));
    assert_eq!(config["os"], "unknown");
}

#[test]
fn what_is_for_images_in_stores_only() {
    let is_index = |kind: Kind, attrs: &[(&str, &str)]| {
        let fixture = fixture(&["linux/amd64"], "inline-only=true");
        let metadata = fixture.export(kind, attrs).unwrap();
        metadata["containerimage.descriptor"]["mediaType"] == oci::media::OCI_INDEX
    };
    assert!(is_index(Kind::Image, &[("name", "a")]));
    assert!(!is_index(Kind::Image, &[("name", "a"), ("attestation-inline", "false")]));
    assert!(!is_index(Kind::Oci, &[]));
    assert!(!is_index(Kind::Oci, &[("oci-mediatypes", "false")]));
    assert!(is_index(Kind::Oci, &[("attestation-inline", "true")]));
    let beside = fixture(&["linux/amd64"], "inline-only=true");
    beside.export(Kind::Local, &[]).unwrap();
    assert!(!beside.dest().join("provenance.json").exists());
}

#[test]
fn archives_of_docker_have_no_word_for_it() {
    let fixture = fixture(&["linux/amd64"], "");
    fixture.export(Kind::Docker, &[("name", "a")]).unwrap();
    assert!(!fixture.archive().contains_key("manifest.json"));
    let types = self::fixture(&["linux/amd64"], "").export(Kind::Oci, &[("oci-mediatypes", "false")]);
    assert_eq!(types.unwrap_err().to_string(), "cannot export attestations with \"oci-mediatypes=false\"");
}

#[test]
fn a_file_beside_a_tree() {
    let fixture = fixture(&["linux/amd64"], "filename=a.json");
    fixture.export(Kind::Local, &[("mode", "delete"), ("attestation-prefix", "p-")]).unwrap();
    let file = fixture.dest().join("p-a.json");
    let meta = fs::metadata(&file).unwrap();
    assert_eq!((meta.permissions().mode() & 0o7777, meta.mtime()), (0o600, 7));
    let said = json(&fs::read(&file).unwrap());
    assert_eq!(said["subject"], json!([{ "name": "d/f", "digest": { "sha256": Digest::sha256(b"amd64").hex() } }]));
    // Once more, over what is there.
    fixture.export(Kind::Local, &[("mode", "delete")]).unwrap();
    assert!(fixture.dest().join("a.json").exists() && !file.exists());
}

#[test]
fn one_for_each_platform_beside_trees() {
    let platforms = ["linux/arm64", "linux/amd64"];
    let of_tar = |attrs: &[(&str, &str)]| {
        let mut fixture = fixture(&platforms, "mode=min");
        if !attrs.is_empty() {
            // Without directories of their own they may share no file.
            fixture.built[0].tree = step(&fixture.snapshots, &Committed::default(), |root| {
                fs::write(root.join("z"), "").unwrap();
            });
        }
        fixture.export(Kind::Tar, attrs).unwrap();
        let names = fixture.archive().into_keys();
        names.filter(|name| name.ends_with(".json")).collect::<Vec<_>>()
    };
    assert_eq!(of_tar(&[]), ["linux_amd64/provenance.json", "linux_arm64/provenance.json"]);
    assert_eq!(of_tar(&[("platform-split", "false")]), ["provenance.linux_amd64.json", "provenance.linux_arm64.json"]);
    let whole = fixture(&["linux/amd64"], "mode=min");
    whole.export(Kind::Tar, &[]).unwrap();
    let bytes = fs::read(whole.dest()).unwrap();
    let mut archive = tar::Archive::new(&bytes[..]);
    let entries = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
    assert_eq!(entries.collect::<Vec<_>>(), ["d/", "d/f", "l", "provenance.json"], "in the order of names");
}
