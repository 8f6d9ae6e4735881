//! What is said of results, beside them.

use std::sync::Arc;

use oci::Time;
use serde_json::{Value, json};

use super::*;
use crate::exporters::statements::Said;
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
            environment: serde_json::Map::new(),
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

/// A statement of others, in a file.
fn said(name: &str, predicate: Value) -> Said {
    Said {
        name: name.to_owned(),
        predicate_type: llb::scan::PREDICATE.to_owned(),
        about: Vec::new(),
        predicate,
        is_core: name.starts_with("sbom."),
        inline_only: false,
    }
}

#[test]
fn what_others_say_comes_first_with_the_layers_of_files() {
    let mut fixture = fixture(&["linux/amd64"], "mode=min");
    let file = |name: &str| json!({ "fileName": name, "comment": if name == "said" { "mine" } else { "" } });
    let names = ["d/f", "/l", "./gone", "d", "l/x", "none", "said"];
    let document = json!({
        "spdxVersion": "SPDX-2.2",
        "unknown": [1],
        "files": names.map(file),
        "packages": [{ "files": [file("l")] }, { "name": "x" }],
        "creationInfo": { "creators": ["Tool: a"] },
    });
    let named = Said {
        about: vec![About::Other(Subject { name: "_".to_owned(), digest: json!({ "sha256": "aa" }) })],
        ..said("sbom-context.json", json!({ "spdxVersion": "SPDX-2.2", "files": [file("d/f")] }))
    };
    fixture.built[0].said = vec![said("sbom.spdx.json", document.clone()), named];
    fixture.export(Kind::Oci, &[("name", "a")]).unwrap();
    let archive = fixture.archive();
    let index = index(&archive);
    let manifest = json(blob(&archive, &index["manifests"][1]["digest"]));
    let layers: Vec<Value> = manifest["layers"].as_array().unwrap().clone();
    let types: Vec<&Value> = layers.iter().map(|layer| &layer["annotations"]["in-toto.io/predicate-type"]).collect();
    assert_eq!(types, ["https://spdx.dev/Document", "https://spdx.dev/Document", "https://slsa.dev/provenance/v1"]);
    let statements: Vec<Value> = layers.iter().map(|layer| json(blob(&archive, &layer["digest"]))).collect();
    let image = json(blob(&archive, &index["manifests"][0]["digest"]));
    let layer = |number: usize| format!("layerID: {}", image["layers"][number]["digest"].as_str().unwrap());
    let told = &statements[0]["predicate"];
    let comments: Vec<&str> =
        told["files"].as_array().unwrap().iter().map(|file| file["comment"].as_str().unwrap()).collect();
    assert_eq!(comments, [&*layer(0), &layer(1), &layer(0), "", "", "", "mine"]);
    assert_eq!(told["packages"][0]["files"][0]["comment"], layer(1));
    assert_eq!((&told["unknown"], &told["creationInfo"]["creators"][0]), (&json!([1]), &json!("Tool: a")));
    assert!(told["creationInfo"]["creators"][1].as_str().unwrap().starts_with("Tool: llbc-"), "{told}");
    assert_eq!(statements[0]["subject"][0]["name"], "pkg:docker/a@latest?platform=linux%2Famd64");
    assert_eq!(statements[1]["subject"], json!([{ "name": "_", "digest": { "sha256": "aa" } }]));
    assert_eq!(statements[1]["predicate"]["files"][0]["comment"], "", "of other trees nothing is known");
}

#[test]
fn documents_that_nobody_understands_stay_as_they_are() {
    for document in [json!({ "files": [{ "fileName": "d/f" }] }), json!({ "spdxVersion": "SPDX-9", "files": 1 })] {
        let mut fixture = Fixture::new(&["linux/amd64"]);
        fixture.built[0].said = vec![said("sbom.spdx.json", document.clone())];
        fixture.export(Kind::Oci, &[]).unwrap();
        let archive = fixture.archive();
        let manifest = json(blob(&archive, &index(&archive)["manifests"][1]["digest"]));
        assert_eq!(statement(&archive, &manifest)["predicate"], document);
    }
    // What is understood may still be odd.
    let mut fixture = Fixture::new(&["linux/amd64"]);
    let odd =
        json!({ "spdxVersion": "SPDX-2.3", "files": [1, {}, { "fileName": 2 }], "packages": {}, "creationInfo": 3 });
    fixture.built[0].said = vec![said("sbom.spdx.json", odd.clone())];
    fixture.export(Kind::Oci, &[]).unwrap();
    let archive = fixture.archive();
    let manifest = json(blob(&archive, &index(&archive)["manifests"][1]["digest"]));
    assert_eq!(statement(&archive, &manifest)["predicate"], odd);
}

#[test]
fn a_statement_that_takes_the_place_of_a_file_is_said() {
    let warned = |kind: Kind, platforms: &[&str], attrs: &[(&str, &str)]| {
        let mut fixture = fixture(platforms, "mode=min");
        fixture.built[0].tree = step(&fixture.snapshots, &Committed::default(), |root| {
            fs::create_dir(root.join("b")).unwrap();
            ["b/provenance.json", "provenance.json"].iter().for_each(|name| fs::write(root.join(name), "own").unwrap());
        });
        fixture.export(kind, attrs).unwrap();
        fixture.warnings.0.into_inner().unwrap()
    };
    let replaced = "provenance.json of the result is replaced by what is said of it (https://slsa.dev/provenance/v1): \
                    another name is given with `attestation-prefix=`";
    for kind in [Kind::Local, Kind::Tar] {
        assert_eq!(warned(kind, &["linux/amd64"], &[]), [format!("/{replaced}")]);
        assert_eq!(warned(kind, &["linux/arm64", "linux/amd64"], &[]), [format!("/linux_arm64/{replaced}")]);
        assert_eq!(warned(kind, &["linux/amd64"], &[("attestation-prefix", "p-")]), [""; 0]);
    }
}

#[test]
fn files_of_one_name_beside_a_tree_are_refused() {
    let mut fixture = fixture(&["linux/amd64"], "mode=min");
    fixture.built[0].said = vec![said("a.json", json!({})), said("b.json", json!({}))];
    fixture.export(Kind::Tar, &[("attestation-prefix", "l-")]).unwrap();
    let names: Vec<String> = fixture.archive().into_keys().filter(|name| name.ends_with(".json")).collect();
    assert_eq!(names, ["l-a.json", "l-b.json", "l-provenance.json"]);
    fixture.built[0].said.push(said("provenance.json", json!({})));
    let refused = fixture.export(Kind::Tar, &[]).unwrap_err().to_string();
    assert_eq!(refused, "duplicate attestation path name provenance.json");
}
