//! Every form of file leads to the same image.

use std::path::PathBuf;

use oci::{Descriptor, Document, Index, Manifest, media};

use super::*;
use crate::store::read_blob;

struct Fixture {
    directory: tempfile::TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        Self { directory, store }
    }

    fn tar(&self, files: &[(&str, &[u8])]) -> PathBuf {
        let path = self.directory.path().join("file.tar");
        let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o644);
            match content.strip_prefix(b"-> ") {
                Some(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    tar.append_link(&mut header, name, std::str::from_utf8(target).unwrap()).unwrap();
                }
                None => {
                    header.set_size(content.len() as u64);
                    tar.append_data(&mut header, name, *content).unwrap();
                }
            }
        }
        tar.finish().unwrap();
        path
    }

    /// A file of these bytes.
    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join("file.tar");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// `name: config, layers` of each image, or the error.
    fn check(&self, path: &Path, name: Option<&str>, expected: &str) {
        let name = name.map(|name| Reference::parse(name).unwrap());
        let shown = match import(&self.store, path, name.as_ref()) {
            Ok(images) => images.iter().map(|image| self.show(image)).collect::<Vec<_>>().join("; "),
            Err(error) => error.to_string().replace(&format!("{}", path.display()), "FILE"),
        };
        assert_eq!(shown, expected);
    }

    fn show(&self, image: &Image) -> String {
        let read = |descriptor: &Descriptor| read_blob(self.store.blobs(), &descriptor.digest, 1 << 20).unwrap();
        let Document::Manifest(manifest) = Document::parse(&read(&image.target)).unwrap() else {
            panic!("no manifest")
        };
        let config: serde_json::Value = serde_json::from_slice(&read(&manifest.config)).unwrap();
        let layers: Vec<_> = manifest.layers.iter().map(|layer| (&layer.media_type[35..], layer.size)).collect();
        assert!(self.store.image(&image.name).unwrap().is_some());
        format!("{}: {} {layers:?}", image.name.familiar(), config["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len))
    }
}

const CONFIG: &[u8] = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]}}"#;

fn layout(layer: &[u8], annotation: Option<&str>) -> Vec<(String, Vec<u8>)> {
    let manifest =
        Manifest::new(Descriptor::of(media::OCI_CONFIG, CONFIG), vec![Descriptor::of(media::OCI_LAYER, layer)]);
    let manifest = manifest.to_json();
    let mut entry = Descriptor::of(media::OCI_MANIFEST, &manifest);
    entry.annotations.extend(annotation.map(|name| ("io.containerd.image.name".to_owned(), name.to_owned())));
    let blob = |bytes: &[u8]| (format!("blobs/sha256/{}", oci::Digest::sha256(bytes).hex()), bytes.to_vec());
    vec![
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), Index::new(vec![entry]).to_json()),
        blob(&manifest),
        blob(CONFIG),
        blob(layer),
    ]
}

fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect()
}

#[test]
fn a_tree_becomes_one_layer() {
    let fixture = Fixture::new();
    let file = fixture.tar(&[("etc/x", b"1")]);
    fixture.check(&file, Some("base"), "base:latest: 1 [(\"tar\", 2048)]");
    fixture.check(&file, None, "FILE cannot be imported: a tree has no name of its own; pass one after the file");
}

#[test]
fn an_archive_of_a_layout() {
    let fixture = Fixture::new();
    let file = fixture.tar(&borrowed(&layout(b"layer", Some("docker.io/library/app:2"))));
    fixture.check(&file, None, "app:2: 1 [(\"tar\", 5)]");
    fixture.check(&file, Some("other"), "other:latest: 1 [(\"tar\", 5)]");
}

#[test]
fn a_layout_directory() {
    let fixture = Fixture::new();
    let directory = fixture.directory.path().join("layout");
    for (name, content) in layout(b"layer", None) {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    fixture.check(&directory, Some("app"), "app:latest: 1 [(\"tar\", 5)]");
    fixture.check(&directory, None, "FILE cannot be imported: it names no image; pass a name after the file");
}

#[test]
fn a_docker_archive_may_link_its_layers() {
    let fixture = Fixture::new();
    let manifest = br#"[{"Config":"c.json","RepoTags":["app:1","app:2"],"Layers":["a/layer.tar","b/layer.tar"]}]"#;
    let file = fixture.tar(&[
        ("a/layer.tar", b"layer"),
        ("b/layer.tar", b"-> ../a/layer.tar"),
        ("c.json", CONFIG),
        ("manifest.json", manifest),
    ]);
    let layers = "1 [(\"tar\", 5), (\"tar\", 5)]";
    fixture.check(&file, None, &format!("app:1: {layers}; app:2: {layers}"));
}

#[test]
fn documents_have_an_end() {
    let fixture = Fixture::new();
    let long = vec![b' '; (4 << 20) + 1];
    let file = fixture.tar(&[("manifest.json", &long)]);
    fixture.check(&file, None, "FILE cannot be imported: manifest.json: it is longer than 4 MiB");
    let directory = fixture.directory.path().join("layout");
    std::fs::create_dir(&directory).unwrap();
    std::os::unix::fs::symlink("/dev/zero", directory.join("index.json")).unwrap();
    let expected = "FILE cannot be imported: it is no OCI layout: index.json: it is longer than 4 MiB";
    fixture.check(&directory, None, expected);
}

#[test]
fn what_is_damaged_gets_no_name() {
    let fixture = Fixture::new();
    let mut files = layout(b"layer", Some("app"));
    let gone = files.pop().unwrap().0.replace("blobs/sha256/", "sha256:");
    fixture.check(&fixture.tar(&borrowed(&files)), None, &format!("FILE cannot be imported: blob {gone} is missing"));
    files[3].1 = b"{}".to_vec();
    let error = import(&fixture.store, &fixture.tar(&borrowed(&files)), None).unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    assert_eq!(fixture.store.images().unwrap(), []);
    std::fs::write(fixture.directory.path().join("file.tar"), "no tar").unwrap();
    let error = import(&fixture.store, &fixture.directory.path().join("file.tar"), None).unwrap_err().to_string();
    assert!(error.contains("it is no tar"), "{error}");
}

/// An entry with fields at their places.
fn raw(kind: u8, name: &str, data: &[u8], fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(data.len() as u64);
    for (at, value) in [(0, name.as_bytes()), (156, &[kind])].iter().chain(fields) {
        header.as_mut_bytes()[*at..at + value.len()].copy_from_slice(value);
    }
    header.set_cksum();
    [header.as_bytes(), data, &vec![0; data.len().wrapping_neg() % 512]].concat()
}

const ONE: &[u8] = br#"[{"Config":"c.json","RepoTags":["app"],"Layers":["a"]}]"#;

#[test]
fn a_layer_may_be_sparse_and_fields_blank() {
    let fixture = Fixture::new();
    let old: &[(usize, &[u8])] = &[(386, b"00000001000\x0000000000002\0"), (483, b"00000001002\0")];
    let records = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n27 GNU.sparse.realsize=514\n21 GNU.sparse.name=a\n";
    let mut map = b"1\n512\n2\n".to_vec();
    map.resize(512, 0);
    map.extend(b"xy");
    for sparse in [
        raw(b'S', "a", b"xy", old),
        [raw(b'x', "records", records, &[]), raw(b'0', "GNUSparseFile.1/a", &map, &[])].concat(),
    ] {
        let others =
            [raw(b'0', "c.json", CONFIG, &[(108, b"        ")]), raw(b'0', "manifest.json", ONE, &[])].concat();
        let file = fixture.file(&[sparse, others].concat());
        fixture.check(&file, None, "app:latest: 1 [(\"tar\", 514)]");
    }
}

#[test]
fn only_files_are_documents() {
    let fixture = Fixture::new();
    let tree = raw(b'0', "etc/x", b"1", &[]);
    for other in [raw(b'g', "manifest.json", b"9 path=a\n", &[]), raw(b'5', "manifest.json", b"", &[])] {
        let tar = [other, tree.clone()].concat();
        let expected = format!("base:latest: 1 [(\"tar\", {})]", tar.len());
        fixture.check(&fixture.file(&tar), Some("base"), &expected);
    }
}

#[test]
fn what_is_hostile_is_refused_in_words() {
    let fixture = Fixture::new();
    let refused = |tar: &[&[u8]], why: &str| {
        let file = fixture.file(&tar.concat());
        fixture.check(&file, Some("base"), &format!("FILE cannot be imported: {why}"));
        assert_eq!(fixture.store.images().unwrap(), []);
    };
    let entry = raw(b'0', "f", b"x", &[]);
    let mut sum = entry.clone();
    sum[0] = b'g';
    refused(&[&sum], "it is no tar");
    refused(&[&entry[..100]], "it is no tar: it ends too early");
    refused(&[&entry, &entry, &sum], "it is damaged behind entry 2: a malformed tar");
    refused(
        &[&entry, &raw(b'0', "f", &[b'x'; 99], &[])[..512 + 98]],
        "it is damaged behind entry 2: it ends too early",
    );
    let long = vec![b'x'; (1 << 20) + 1];
    refused(&[&entry, &raw(b'L', "", &long, &[]), &entry], "it is damaged behind entry 1: a malformed tar");
    let record = format!("1048600 path={}\n", "x".repeat(1_048_600 - 14));
    refused(&[&raw(b'x', "", record.as_bytes(), &[]), &entry], "it is no tar");
    let huge: &[(usize, &[u8])] = &[(124, b"\x80\0\0\0\0\0\0\x41\0\0\0\0")];
    refused(&[&raw(b'0', "f", b"", huge)], "entry 1 has more than 274877906944 bytes");
}

#[test]
fn archives_hold_no_more_than_layers_may() {
    let fixture = Fixture::new();
    let file = fixture.file(&[raw(b'0', "a", b"xx", &[]), raw(b'0', "b", b"xx", &[])].concat());
    let open = |entries, bytes| Archive::open(&file, Limits { entries, bytes, devices: true });
    let refusal = |entries, bytes| open(entries, bytes).err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(refusal(2, 2), "");
    assert!(refusal(1, 2).ends_with("cannot be imported: it has more than 1 entries"));
    assert!(refusal(2, 1).ends_with("cannot be imported: entry 1 has more than 1 bytes"));
}

#[test]
fn links_lead_nowhere_and_have_an_end() {
    let fixture = Fixture::new();
    let files = |links: &[(&str, &str)]| {
        let links = links.iter().map(|(name, to)| raw(b'2', name, b"", &[(157, to.as_bytes())]));
        let documents = [raw(b'0', "c.json", CONFIG, &[]), raw(b'0', "manifest.json", ONE, &[])];
        links.chain(documents).collect::<Vec<_>>().concat()
    };
    let missing = "FILE cannot be imported: manifest.json names a, which is not there";
    for links in
        [&[("a", "b"), ("b", "a")][..], &[("a", "/etc/passwd")], &[("a", "../../../../etc/passwd")], &[("a", "a")]]
    {
        fixture.check(&fixture.file(&files(links)), None, missing);
    }
    // Trees have as many as they like.
    let long = raw(b'K', "", &[b'x'; 1 << 20], &[]);
    let many = ["a", "b", "c", "d"].map(|name| [long.clone(), raw(b'2', name, b"", &[])].concat()).concat();
    let expected = format!("base:latest: 1 [(\"tar\", {})]", many.len());
    fixture.check(&fixture.file(&many), Some("base"), &expected);
    let file = fixture.file(&[many, files(&[])].concat());
    fixture.check(&file, None, "FILE cannot be imported: it has more than 4 MiB of links");
}

/// A layout directory with an image under `depth` indexes, each of which names the next one `times`.
fn nested(fixture: &Fixture, depth: usize, times: usize) -> PathBuf {
    let directory = fixture.directory.path().join("layout");
    let write = |name: &str, content: &[u8]| {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let files = layout(b"layer", None);
    files.iter().for_each(|(name, content)| write(name, content));
    let image: Index = serde_json::from_slice(&files[1].1).unwrap();
    let root = (0..depth).fold(image.manifests[0].clone(), |inner, _| {
        let index = Index::new(vec![inner; times]).to_json();
        write(&format!("blobs/sha256/{}", oci::Digest::sha256(&index).hex()), &index);
        Descriptor::of(media::OCI_INDEX, &index)
    });
    write("index.json", &Index::new(vec![root]).to_json());
    directory
}

#[test]
fn indexes_in_indexes_end() {
    let name = Reference::parse("app").unwrap();
    let fixture = Fixture::new();
    let images = import(&fixture.store, &nested(&fixture, 4, 500), Some(&name)).unwrap();
    assert_eq!(images.len(), 1);
    let fixture = Fixture::new();
    let error = import(&fixture.store, &nested(&fixture, 20_000, 1), Some(&name)).unwrap_err().to_string();
    assert!(error.ends_with("indexes are nested too deep"), "{error}");
    assert_eq!(fixture.store.images().unwrap(), []);
}
