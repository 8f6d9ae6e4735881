//! Every output attribute of every exporter: what it changes, or why it is refused.

use super::*;
use crate::exporters::attrs::KEYS;

/// What an export with these attributes gives, as the words a probe picks out of it; or the error.
fn probe(platforms: &[&str], kind: Kind, attrs: &[(&str, &str)], probe: fn(&Fixture, &Metadata) -> String) -> String {
    let fixture = Fixture::new(platforms);
    match fixture.export(kind, attrs) {
        Ok(metadata) => probe(&fixture, &metadata),
        Err(error) => error.to_string(),
    }
}

/// The manifest, from an archive or from the store.
fn manifest(fixture: &Fixture, metadata: &Metadata) -> serde_json::Value {
    json(&bytes(fixture, &metadata["containerimage.digest"]))
}

fn bytes(fixture: &Fixture, digest: &serde_json::Value) -> Vec<u8> {
    let digest = Digest::parse(digest.as_str().unwrap()).unwrap();
    crate::store::read_blob(fixture.store.blobs(), &digest, 1 << 20).unwrap()
}

fn layer_type(fixture: &Fixture, metadata: &Metadata) -> String {
    manifest(fixture, metadata)["layers"][0]["mediaType"].as_str().unwrap().to_owned()
}

fn names(fixture: &Fixture, metadata: &Metadata) -> String {
    let digest = metadata["containerimage.digest"].as_str().unwrap();
    let images = fixture.store.images().unwrap();
    let stored: Vec<_> = images.iter().map(|image| image.name.to_string()).collect();
    let told = metadata.get("image.name").map_or("", |name| name.as_str().unwrap());
    format!("{told} | {}", stored.join(",")).replace(digest, "D")
}

fn created(fixture: &Fixture, metadata: &Metadata) -> String {
    let config = json(&bytes(fixture, &manifest(fixture, metadata)["config"]["digest"]));
    config["history"][0]["created"].as_str().unwrap().to_owned()
}

fn dest_is(fixture: &Fixture, _: &Metadata) -> String {
    if fixture.dest().is_dir() { "directory" } else { "file" }.to_owned()
}

fn nothing(_: &Fixture, _: &Metadata) -> String {
    String::new()
}

const OCI_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const DOCKER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const ONE: &[&str] = &["linux/amd64"];
const TWO: &[&str] = &["linux/arm64", "linux/amd64"];

/// One attribute, with others that it needs, and what comes of it.
struct Row {
    platforms: &'static [&'static str],
    kind: Kind,
    attrs: &'static [(&'static str, &'static str)],
    probe: fn(&Fixture, &Metadata) -> String,
    expected: &'static str,
}

const fn row(
    kind: Kind,
    attrs: &'static [(&'static str, &'static str)],
    probe: fn(&Fixture, &Metadata) -> String,
    expected: &'static str,
) -> Row {
    Row { platforms: ONE, kind, attrs, probe, expected }
}

/// The attribute that a row is about comes last.
const ROWS: &[Row] = &[
    row(Kind::Image, &[("name", "app")], names, "docker.io/library/app:latest | docker.io/library/app:latest"),
    row(
        Kind::Image,
        &[("name", "a B")],
        names,
        "failed to parse a B: invalid reference format: repository name (library/a B) must be lowercase",
    ),
    row(
        Kind::Image,
        &[("push", "true")],
        nothing,
        "cannot push an image without a name: add `-t NAME`, or `name=` to the output",
    ),
    row(Kind::Oci, &[("push", "true")], nothing, "push=true is for type=image and type=registry"),
    row(Kind::Image, &[("push", "perhaps")], nothing, "non-bool value specified for push: \"perhaps\""),
    row(Kind::Image, &[("name", "a"), ("store", "false")], names, "docker.io/library/a:latest | "),
    row(
        Kind::Image,
        &[("name", "a"), ("name-canonical", "")],
        names,
        "docker.io/library/a:latest | docker.io/library/a:latest,docker.io/library/a@D",
    ),
    row(Kind::Image, &[("dangling-name-prefix", "none")], names, "docker.io/library/none@D | docker.io/library/none@D"),
    row(
        Kind::Image,
        &[("name", "a"), ("dangling-name-prefix", "none")],
        names,
        "docker.io/library/a:latest,docker.io/library/none@D | docker.io/library/a:latest,docker.io/library/none@D",
    ),
    row(
        Kind::Image,
        &[("name", "a"), ("dangling-name-prefix", "none"), ("dangling-name-empty-only", "true")],
        names,
        "docker.io/library/a:latest | docker.io/library/a:latest",
    ),
    row(
        Kind::Image,
        &[("name", "a"), ("dangling-name-prefix", "none"), ("danging-name-empty-only", "true")],
        names,
        "docker.io/library/a:latest | docker.io/library/a:latest",
    ),
    row(Kind::Image, &[("push-by-digest", "x")], nothing, "non-bool value specified for push-by-digest: \"x\""),
    row(Kind::Image, &[("registry.insecure", "x")], nothing, "non-bool value specified for registry.insecure: \"x\""),
    row(Kind::Image, &[("unpack", "true")], layer_type, OCI_GZIP),
    row(
        Kind::Image,
        &[("rewrite-timestamp", "true"), ("unpack", "true")],
        nothing,
        "exporter option \"rewrite-timestamp\" conflicts with \"unpack\"",
    ),
    row(Kind::Image, &[("oci-mediatypes", "true")], layer_type, OCI_GZIP),
    row(Kind::Image, &[("oci-mediatypes", "false")], layer_type, DOCKER_GZIP),
    row(Kind::Docker, &[("oci-mediatypes", "false")], layer_type, DOCKER_GZIP),
    row(
        Kind::Oci,
        &[("oci-mediatypes", "false"), ("oci-artifact", "true")],
        nothing,
        "exporter option \"oci-artifact=true\" conflicts with \"oci-mediatypes=false\"",
    ),
    row(Kind::Oci, &[("oci-artifact", "true")], layer_type, OCI_GZIP),
    row(Kind::Oci, &[("compression", "gzip")], layer_type, OCI_GZIP),
    row(Kind::Oci, &[("compression", "zstd")], layer_type, "application/vnd.oci.image.layer.v1.tar+zstd"),
    row(Kind::Oci, &[("compression", "uncompressed")], layer_type, "application/vnd.oci.image.layer.v1.tar"),
    row(
        Kind::Oci,
        &[("oci-mediatypes", "false"), ("compression", "zstd")],
        layer_type,
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ),
    row(
        Kind::Oci,
        &[("oci-mediatypes", "false"), ("compression", "estargz")],
        nothing,
        "exporter option \"compression=estargz\" conflicts with \"oci-mediatypes=false\"",
    ),
    row(Kind::Oci, &[("compression", "lzma")], nothing, "unsupported layer compression type: lzma"),
    row(Kind::Oci, &[("compression-level", "-2")], layer_type, OCI_GZIP),
    row(Kind::Oci, &[("compression-level", "10")], nothing, "compression-level 10 is not one of gzip's: -2 to 9"),
    row(
        Kind::Oci,
        &[("compression", "zstd"), ("compression-level", "22")],
        layer_type,
        "application/vnd.oci.image.layer.v1.tar+zstd",
    ),
    row(
        Kind::Oci,
        &[("compression", "zstd"), ("compression-level", "23")],
        nothing,
        "compression-level 23 is not one of zstd's: 0 to 22",
    ),
    row(Kind::Oci, &[("compression-level", "x")], nothing, "invalid compression-level: \"x\" is not a number"),
    row(Kind::Oci, &[("force-compression", "")], layer_type, OCI_GZIP),
    row(Kind::Oci, &[("force-compression", "x")], nothing, "non-bool value specified for force-compression: \"x\""),
    row(Kind::Image, &[("source-date-epoch", "60")], created, "1970-01-01T00:01:00Z"),
    row(Kind::Image, &[("source-date-epoch", "1.5")], nothing, "invalid source-date-epoch: \"1.5\" is not a number"),
    row(Kind::Image, &[("rewrite-timestamp", "true")], layer_type, OCI_GZIP),
    row(Kind::Oci, &[("tag", "other")], layer_type, OCI_GZIP),
    row(Kind::Oci, &[("tar", "true")], dest_is, "file"),
    row(Kind::Oci, &[("tar", "false")], dest_is, "directory"),
    row(Kind::Docker, &[("tar", "0")], dest_is, "directory"),
    row(
        Kind::Load,
        &[("context", "x"), ("tar", "1")],
        nothing,
        "output attribute \"tar\" is not for type=docker without dest, it is for type=oci, type=docker with dest",
    ),
    row(
        Kind::Image,
        &[("context", "x")],
        nothing,
        "output attribute \"context\" is not for type=image, it is for type=docker without dest",
    ),
    row(
        Kind::Local,
        &[("platform-split", "true")],
        |fixture, _| fixture.dest().join("linux_amd64").is_dir().to_string(),
        "true",
    ),
    Row {
        platforms: TWO,
        ..row(
            Kind::Tar,
            &[("platform-split", "false")],
            nothing,
            "cannot overwrite d/f from linux/arm64 with linux/amd64 when split option is disabled",
        )
    },
    row(Kind::Local, &[("mode", " Delete ")], dest_is, "directory"),
    row(Kind::Local, &[("mode", "move")], nothing, "invalid local exporter mode \"move\""),
    row(
        Kind::Tar,
        &[("mode", "delete")],
        nothing,
        "output attribute \"mode\" is not for type=tar, it is for type=local",
    ),
    row(Kind::Local, &[("attestation-prefix", "a-")], dest_is, "directory"),
    row(Kind::Oci, &[("attestation-inline", "true")], layer_type, OCI_GZIP),
    row(Kind::Oci, &[("prefer-nondist-layers", "true")], layer_type, OCI_GZIP),
    row(Kind::Image, &[("unsafe-internal-store-allow-incomplete", "true")], layer_type, OCI_GZIP),
    row(Kind::Image, &[("buildinfo", "true")], layer_type, OCI_GZIP),
    row(
        Kind::Oci,
        &[("annotation.k", "v")],
        |fixture, metadata| manifest(fixture, metadata)["annotations"].to_string(),
        "{\"k\":\"v\"}",
    ),
    row(
        Kind::Oci,
        &[("annotation-manifest-descriptor.k", "v")],
        |_, metadata| metadata["containerimage.descriptor"]["annotations"]["k"].to_string(),
        "\"v\"",
    ),
    row(
        Kind::Oci,
        &[("annotation-index.k", "v")],
        nothing,
        "index annotations not supported for single platform export",
    ),
    row(Kind::Oci, &[("annotation-image.k", "v")], nothing, "unrecognized annotation type image"),
    row(
        Kind::Oci,
        &[("annotation[linux/s390x].k", "v")],
        nothing,
        "invalid annotation: no platform linux/s390x found in source",
    ),
    row(
        Kind::Oci,
        &[("oci-mediatypes", "false"), ("annotation-index.k", "v")],
        nothing,
        "cannot export annotations with \"oci-mediatypes=false\"",
    ),
    row(Kind::Oci, &[("colour", "red")], nothing, "unknown output attribute \"colour\""),
    row(
        Kind::Local,
        &[("plattform-split", "1")],
        nothing,
        "unknown output attribute \"plattform-split\" (did you mean platform-split?)",
    ),
];

#[test]
fn every_attribute_does_what_it_says() {
    let shown = |row: &Row, text: &str| format!("{:?} {:?}: {text}", row.kind, row.attrs);
    let got = ROWS.iter().map(|row| shown(row, &probe(row.platforms, row.kind, row.attrs, row.probe)));
    let expected = ROWS.iter().map(|row| shown(row, row.expected));
    let wrong: Vec<_> = got.zip(expected).filter(|(got, expected)| got != expected).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_attribute_is_left_out() {
    let about = |row: &Row| row.attrs.last().map(|(key, _)| *key);
    for (key, _) in KEYS {
        let found = ROWS.iter().filter_map(about).any(|about| match key {
            "annotation.KEY" => about.starts_with("annotation."),
            _ => about == key,
        });
        assert!(found, "no row is about {key}");
    }
}

#[test]
fn what_an_image_is_told_to_be_has_no_time_of_its_own() {
    let fixture = Fixture::new(ONE);
    let descriptor = |kind| fixture.export(kind, &[]).unwrap()["containerimage.descriptor"]["annotations"].clone();
    assert_eq!(descriptor(Kind::Image), serde_json::Value::Null);
    assert_eq!(descriptor(Kind::Oci)["org.opencontainers.image.created"], "1970-01-01T00:00:07Z");
}
