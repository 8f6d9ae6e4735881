//! OCI layout directories as named contexts: which image of the directory is meant.

use std::path::{Path, PathBuf};

use executor::text;
use oci::{Digest, Index};

use crate::failure::{Failure, Result};

/// Annotation of a layout's index that names an image.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Directory and digest of `DIR[:TAG][@DIGEST]`; the tag is `latest` unless the layout holds one image only.
pub(crate) fn find(text: &str) -> Result<(PathBuf, Digest)> {
    let (directory, meant) = oci::layout::split(text);
    let found = digest(Path::new(directory), meant);
    let digest = found.map_err(|why| Failure::usage(format!("oci-layout://{text}: {why}"), None))?;
    Ok((directory.into(), digest))
}

/// The digest of what `[:TAG][@DIGEST]` means in a layout. **Errors**: why there is none.
pub(crate) fn digest(directory: &Path, meant: &str) -> std::result::Result<Digest, String> {
    match meant.split_once('@') {
        Some((_, digest)) => Digest::parse(digest).map_err(|error| error.to_string()),
        None => tagged(directory, meant.strip_prefix(':')),
    }
}

fn tagged(directory: &Path, tag: Option<&str>) -> std::result::Result<Digest, String> {
    let path = directory.join("index.json");
    let bytes = std::fs::File::open(&path).and_then(|file| text::all(file, text::LONGEST_DOCUMENT));
    let bytes = bytes.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let index: Index = serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    let named = |wanted: &str| {
        index.manifests.iter().find(|entry| entry.annotations.get(REF_NAME).is_some_and(|name| name == wanted))
    };
    let found = match (tag, index.manifests.as_slice()) {
        (Some(tag), _) => named(tag),
        (None, [only]) => Some(only),
        (None, _) => named("latest"),
    };
    found.map(|entry| entry.digest.clone()).ok_or_else(|| format!("it has no image named {}", tag.unwrap_or("latest")))
}

#[cfg(test)]
mod tests {
    use oci::{Descriptor, media};

    use super::*;

    fn check(directory: &Path, rest: &str, expected: &str) {
        let shown = match find(&format!("{}{rest}", directory.display())) {
            Ok((found, digest)) => {
                assert_eq!(found, directory);
                digest.hex()[..4].to_owned()
            }
            Err(Failure::Message(message)) => message.text.rsplit(": ").next().unwrap().to_owned(),
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(shown, expected, "{rest}");
    }

    #[test]
    fn an_image_is_found_by_tag_or_digest() {
        let directory = tempfile::tempdir().unwrap();
        let entry = |bytes: &[u8], tag: &str| {
            let mut entry = Descriptor::of(media::OCI_MANIFEST, bytes);
            entry.annotations.insert(REF_NAME.into(), tag.into());
            entry
        };
        let write = |entries: Vec<Descriptor>| {
            std::fs::write(directory.path().join("index.json"), Index::new(entries).to_json()).unwrap();
        };
        let digest = |bytes: &[u8]| Digest::sha256(bytes).hex()[..4].to_owned();
        check(directory.path(), "", "No such file or directory (os error 2)");
        std::os::unix::fs::symlink("/dev/zero", directory.path().join("index.json")).unwrap();
        check(directory.path(), "", "it is longer than 4 MiB");
        std::fs::remove_file(directory.path().join("index.json")).unwrap();
        write(vec![entry(b"one", "v1")]);
        check(directory.path(), "", &digest(b"one"));
        check(directory.path(), ":v2", "it has no image named v2");
        write(vec![entry(b"one", "v1"), entry(b"two", "latest")]);
        check(directory.path(), ":v1", &digest(b"one"));
        check(directory.path(), "", &digest(b"two"));
        check(directory.path(), &format!("@{}", Digest::sha256(b"x")), &digest(b"x"));
        check(directory.path(), "@sha256:zz", "invalid checksum digest length");
    }
}
