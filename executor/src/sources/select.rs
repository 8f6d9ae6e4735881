//! From a root (manifest or index) to the image for one platform.

use std::collections::BTreeSet;

use oci::{ConfigError, Descriptor, Digest, Document, ImageConfig, Index, Manifest, Matcher, Platform};

use super::content::{Content, parse};
use crate::{Error, Result};

/// Indexes in indexes: nobody nests them, but nothing forbids it.
const MAX_DEPTH: u32 = 4;

/// An image for one platform.
#[derive(Clone, Debug)]
pub struct Image {
    /// What the reference names: an index, or the manifest itself.
    pub root: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The exact bytes of the config.
    pub config: Vec<u8>,
}

impl Image {
    /// Digests of the uncompressed layers, lowest first, as many as the manifest has layers.
    pub fn diff_ids(&self) -> Result<Vec<Digest>> {
        let config =
            self.parse_config().map_err(|error| Error::Invalid(format!("failed to resolve rootfs: {error}")))?;
        let (diff_ids, layers) = (config.diff_ids(), self.manifest.layers.len());
        if diff_ids.len() != layers {
            let ids = diff_ids.len();
            return Err(Error::Invalid(format!(
                "mismatched image rootfs and manifest layers: {ids} diff ids, {layers} layers"
            )));
        }
        Ok(diff_ids.to_vec())
    }

    /// The config. **Errors**: in Go's words.
    pub fn parse_config(&self) -> std::result::Result<ImageConfig, ConfigError> {
        ImageConfig::from_json(&self.config)
    }
}

/// Finds the image that serves a platform best. A root that is a manifest serves any.
///
/// **Errors**: `NotFound` as `no match for platform in manifest: not found`.
pub(super) fn select(content: &dyn Content, root: &Descriptor, platform: &Platform) -> Result<Image> {
    let matcher = Matcher::only(platform);
    let found = match parse(&root.digest, &content.document(root)?)? {
        Document::Manifest(manifest) => Some((content.document(&manifest.config)?, manifest)),
        Document::Index(index) => Search { content, matcher: &matcher, seen: BTreeSet::new() }.search(&index, 0)?,
    };
    let (config, manifest) =
        found.ok_or_else(|| Error::NotFound("no match for platform in manifest: not found".to_owned()))?;
    Ok(Image { root: root.clone(), manifest, config })
}

type Found = Option<(Vec<u8>, Manifest)>;

/// A search through indexes.
struct Search<'a> {
    content: &'a dyn Content,
    matcher: &'a Matcher,
    /// What was looked into in vain, so that an index that names another one often does not make the search long.
    seen: BTreeSet<Digest>,
}

impl Search<'_> {
    /// The best entry that names its platform, else the first that names none and whose config is for the right one.
    fn search(&mut self, index: &Index, depth: u32) -> Result<Found> {
        let named: Vec<_> = index.manifests.iter().filter(|entry| entry.platform.is_some()).collect();
        if let Some(best) = self.matcher.best(named.iter().filter_map(|entry| entry.platform.as_ref())) {
            return self.open(named[best], depth);
        }
        for entry in index.manifests.iter().filter(|entry| entry.platform.is_none()) {
            if !self.seen.insert(entry.digest.clone()) {
                continue;
            }
            if let Some(found) = self.open(entry, depth)?.filter(|(config, _)| is_for(config, self.matcher)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn open(&mut self, entry: &Descriptor, depth: u32) -> Result<Found> {
        match parse(&entry.digest, &self.content.document(entry)?)? {
            Document::Manifest(manifest) => Ok(Some((self.content.document(&manifest.config)?, manifest))),
            Document::Index(index) if depth < MAX_DEPTH => self.search(&index, depth + 1),
            Document::Index(_) => Err(Error::Invalid(format!("{}: indexes are nested too deep", entry.digest))),
        }
    }
}

fn is_for(config: &[u8], matcher: &Matcher) -> bool {
    ImageConfig::from_json(config).is_ok_and(|config| matcher.matches(&config.platform))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use oci::media;

    use super::*;

    /// Documents in memory.
    #[derive(Default)]
    struct Documents(BTreeMap<Digest, Vec<u8>>);

    impl Content for Documents {
        fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
            self.0.get(&descriptor.digest).cloned().ok_or_else(|| Error::NotFound("document".into()))
        }

        fn open(&self, _: &Descriptor) -> Result<Box<dyn Read + Send>> {
            panic!("selecting opens no blob")
        }
    }

    impl Documents {
        fn put(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
            let descriptor = Descriptor::of(media_type, &bytes);
            self.0.insert(descriptor.digest.clone(), bytes);
            descriptor
        }

        /// An image for a platform; its entry names the platform, or not.
        fn image(&mut self, platform: &str, named: bool) -> Descriptor {
            let platform = parse_platform(platform);
            let config = self.put(media::OCI_CONFIG, ImageConfig::empty(platform.clone()).to_json());
            let entry = self.put(media::OCI_MANIFEST, Manifest::new(config, vec![]).to_json());
            Descriptor { platform: named.then_some(platform), ..entry }
        }

        fn index(&mut self, entries: Vec<Descriptor>) -> Descriptor {
            self.put(media::OCI_INDEX, Index::new(entries).to_json())
        }
    }

    fn parse_platform(text: &str) -> Platform {
        Platform::parse(text, &Platform::new("linux", "amd64")).unwrap()
    }

    /// The platform of the config that is found, or the error.
    fn check(documents: &Documents, root: &Descriptor, wanted: &str, expected: &str) {
        let actual = match select(documents, root, &parse_platform(wanted)) {
            Ok(image) => image.parse_config().unwrap().platform.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(actual, expected);
    }

    const NONE: &str = "no match for platform in manifest: not found";

    #[test]
    fn of_an_index_the_best() {
        let mut documents = Documents::default();
        let entries = vec![documents.image("linux/386", true), documents.image("linux/amd64", true)];
        let root = documents.index(entries);
        check(&documents, &root, "linux/amd64", "linux/amd64");
        check(&documents, &root, "linux/386", "linux/386");
        check(&documents, &root, "linux/arm64", NONE);
    }

    #[test]
    fn a_manifest_serves_any_platform() {
        let mut documents = Documents::default();
        let root = documents.image("linux/arm64", false);
        check(&documents, &root, "linux/amd64", "linux/arm64");
    }

    #[test]
    fn entries_without_platform_are_judged_by_their_config() {
        let mut documents = Documents::default();
        let entries = vec![documents.image("linux/arm64", false), documents.image("linux/amd64", false)];
        let root = documents.index(entries);
        check(&documents, &root, "linux/amd64", "linux/amd64");
        check(&documents, &root, "linux/s390x", NONE);
    }

    #[test]
    fn nested_indexes() {
        let mut documents = Documents::default();
        let inner = vec![documents.image("linux/amd64", true)];
        let inner = documents.index(inner);
        let root = documents.index(vec![inner]);
        check(&documents, &root, "linux/amd64", "linux/amd64");
        let deep = (0..10).fold(root, |inner, _| documents.index(vec![inner]));
        let error = select(&documents, &deep, &parse_platform("linux/amd64")).unwrap_err().to_string();
        assert!(error.ends_with("indexes are nested too deep"), "{error}");
    }

    #[test]
    fn an_index_that_names_another_one_often_is_searched_once() {
        let mut documents = Documents::default();
        let image = documents.image("linux/amd64", false);
        let root = (0..4).fold(image, |inner, _| documents.index(vec![inner; 1000]));
        check(&documents, &root, "linux/s390x", NONE);
        check(&documents, &root, "linux/amd64", "linux/amd64");
    }

    #[test]
    fn layers_and_diff_ids_agree() {
        let mut documents = Documents::default();
        let config = documents.put(media::OCI_CONFIG, ImageConfig::empty(parse_platform("linux/amd64")).to_json());
        let layers = vec![Descriptor::of(media::OCI_LAYER, b"x")];
        let root = documents.put(media::OCI_MANIFEST, Manifest::new(config, layers).to_json());
        let error =
            select(&documents, &root, &parse_platform("linux/amd64")).unwrap().diff_ids().unwrap_err().to_string();
        assert_eq!(error, "mismatched image rootfs and manifest layers: 0 diff ids, 1 layers");
    }
}
