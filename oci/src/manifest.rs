//! Manifests and indexes: what a digest in a registry names.
//!
//! OCI and Docker forms have the same fields in the same order; the media type tells them apart. A digest is one of
//! bytes, so whoever needs both keeps the bytes that arrived next to the parsed [`Document`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Digest, Platform, base64, json};

/// Media types.
pub mod media {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image config.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, not compressed.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// The config of something that is no image.
    pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// Docker image manifest, version 2 schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, not compressed.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker layer, gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker layer, zstd.
    pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    /// Docker layer that is fetched from its `urls`, gzip.
    pub const DOCKER_LAYER_FOREIGN_GZIP: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    /// Docker image manifest, version 2 schema 1, which nobody accepts any more.
    pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

    /// Whether it is a manifest.
    pub fn is_manifest(media_type: &str) -> bool {
        matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
    }

    /// Whether it is an index or manifest list.
    pub fn is_index(media_type: &str) -> bool {
        matches!(media_type, OCI_INDEX | DOCKER_INDEX)
    }
}

/// Points at a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    #[serde(default)]
    pub size: u64,
    /// Where else it can be fetched.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// What is said of it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The blob itself, when it is small.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "base64_text")]
    pub data: Vec<u8>,
    /// What a manifest's image runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What kind of artifact a manifest is.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub artifact_type: String,
}

impl Descriptor {
    /// Describes `bytes`.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
    }

    /// A descriptor of a blob that is known by digest and size.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            data: Vec::new(),
            platform: None,
            artifact_type: String::new(),
        }
    }
}

/// An image for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    #[serde(default)]
    pub schema_version: u32,
    /// [`media::OCI_MANIFEST`] or [`media::DOCKER_MANIFEST`]; may be missing in OCI manifests.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// What kind of artifact it is.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub artifact_type: String,
    /// The config.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<Descriptor>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// What is said of it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Images for several platforms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// 2.
    #[serde(default)]
    pub schema_version: u32,
    /// [`media::OCI_INDEX`] or [`media::DOCKER_INDEX`]; may be missing in OCI indexes.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// What kind of artifact it is.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub artifact_type: String,
    /// The manifests.
    #[serde(default, deserialize_with = "or_default")]
    pub manifests: Vec<Descriptor>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// What is said of it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What the bytes behind a reference are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a handful is parsed per build")]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Several.
    Index(Index),
}

/// Why bytes are no manifest.
#[derive(Debug)]
pub enum ManifestError {
    /// Not JSON, or not of this form.
    Syntax(serde_json::Error),
    /// Both manifest and index.
    Ambiguous,
    /// The media type inside contradicts the fields.
    Mismatch,
    /// Docker's schema 1.
    Schema1,
}

impl Manifest {
    /// An image in OCI form.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: media::OCI_MANIFEST.to_owned(),
            artifact_type: String::new(),
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The bytes BuildKit exports: indented by two blanks, no newline at the end.
    pub fn to_json(&self) -> Vec<u8> {
        json::to_vec_indented(self)
    }
}

impl Index {
    /// An index in OCI form.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: media::OCI_INDEX.to_owned(),
            artifact_type: String::new(),
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The bytes BuildKit exports: indented by two blanks, no newline at the end.
    pub fn to_json(&self) -> Vec<u8> {
        json::to_vec_indented(self)
    }

    /// The manifest that serves a platform best. Entries that name no platform serve any, after those that do.
    pub fn best(&self, matcher: &crate::Matcher) -> Option<&Descriptor> {
        let named = self.manifests.iter().filter_map(|entry| entry.platform.as_ref().map(|platform| (entry, platform)));
        let (entries, platforms): (Vec<_>, Vec<_>) = named.unzip();
        let best = matcher.best(platforms).map(|index| entries[index]);
        best.or_else(|| self.manifests.iter().find(|entry| entry.platform.is_none()))
    }
}

impl Document {
    /// Tells manifest from index by the fields, and checks that the media type inside agrees.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            schema_version: Option<u32>,
            media_type: Option<String>,
            config: Option<de::IgnoredAny>,
            layers: Option<de::IgnoredAny>,
            manifests: Option<de::IgnoredAny>,
        }
        let shape: Shape = serde_json::from_slice(bytes).map_err(ManifestError::Syntax)?;
        let is_manifest = shape.config.is_some() || shape.layers.is_some();
        let media_type = shape.media_type.as_deref().unwrap_or_default();
        match (is_manifest, shape.manifests.is_some()) {
            (true, true) => Err(ManifestError::Ambiguous),
            (true, false) if media::is_index(media_type) => Err(ManifestError::Mismatch),
            (false, _) if media::is_manifest(media_type) => Err(ManifestError::Mismatch),
            (false, false) if shape.schema_version == Some(1) => Err(ManifestError::Schema1),
            (true, false) => serde_json::from_slice(bytes).map(Self::Manifest).map_err(ManifestError::Syntax),
            (false, _) => serde_json::from_slice(bytes).map(Self::Index).map_err(ManifestError::Syntax),
        }
    }

    /// The media type inside, else that of the OCI form.
    pub fn media_type(&self) -> &str {
        let (inside, default) = match self {
            Self::Manifest(manifest) => (&manifest.media_type, media::OCI_MANIFEST),
            Self::Index(index) => (&index.media_type, media::OCI_INDEX),
        };
        if inside.is_empty() { default } else { inside }
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => write!(f, "malformed manifest: {error}"),
            Self::Ambiguous => f.write_str("invalid ambiguous manifest and manifest list"),
            Self::Mismatch => f.write_str("mediaType in manifest does not match manifest contents"),
            Self::Schema1 => f.write_str(
                "support Docker Image manifest version 2, schema 1 has been removed. \
                 More information at https://docs.docker.com/go/deprecated-image-specs/",
            ),
        }
    }
}

impl std::error::Error for ManifestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Syntax(error) => Some(error),
            _ => None,
        }
    }
}

/// Go reads `null` as nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

mod base64_text {
    use super::*;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        base64::decode(&text).ok_or_else(|| de::Error::custom("data is not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matcher;

    const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    #[test]
    fn bytes_of_a_manifest() {
        let mut config = Descriptor::of(media::OCI_EMPTY, b"{}");
        config.data = b"{}".to_vec();
        let mut layer = Descriptor::of(media::OCI_LAYER_GZIP, b"");
        layer.annotations.insert("a".into(), "<".into());
        let manifest = Manifest::new(config, vec![layer]);
        let expected = format!(
            r#"{{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "config": {{
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": "{EMPTY}",
    "size": 2,
    "data": "e30="
  }},
  "layers": [
    {{
      "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
      "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "size": 0,
      "annotations": {{
        "a": "\u003c"
      }}
    }}
  ]
}}"#
        );
        assert_eq!(String::from_utf8(manifest.to_json()).unwrap(), expected);
        assert_eq!(Document::parse(&manifest.to_json()).unwrap(), Document::Manifest(manifest));
    }

    /// Media type, or the error.
    fn check(json: &str, expected: &str) {
        let actual = match Document::parse(json.as_bytes()) {
            Ok(document) => document.media_type().to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(actual, expected, "{json}");
    }

    #[test]
    fn kinds() {
        let config = format!(r#""config": {{"digest": "{EMPTY}"}}"#);
        check(r#"{"manifests": []}"#, media::OCI_INDEX);
        check(&format!(r#"{{"mediaType": "{}", "manifests": null}}"#, media::DOCKER_INDEX), media::DOCKER_INDEX);
        check(&format!("{{{config}}}"), media::OCI_MANIFEST);
        check(&format!(r#"{{"mediaType": "{}", {config}}}"#, media::DOCKER_MANIFEST), media::DOCKER_MANIFEST);
        check(&format!(r#"{{"manifests": [], {config}}}"#), "invalid ambiguous manifest and manifest list");
        check(
            &format!(r#"{{"mediaType": "{}", {config}}}"#, media::OCI_INDEX),
            "mediaType in manifest does not match manifest contents",
        );
        check(
            &format!(r#"{{"mediaType": "{}", "manifests": []}}"#, media::OCI_MANIFEST),
            "mediaType in manifest does not match manifest contents",
        );
        assert!(matches!(Document::parse(br#"{"schemaVersion": 1, "fsLayers": []}"#), Err(ManifestError::Schema1)));
        assert!(matches!(Document::parse(b"<html>"), Err(ManifestError::Syntax(_))));
    }

    #[test]
    fn best_for_a_platform() {
        let entry = |platform: Option<&str>| {
            let mut entry = Descriptor::of(media::OCI_MANIFEST, platform.unwrap_or("any").as_bytes());
            entry.platform = platform.map(|architecture| Platform::new("linux", architecture));
            entry
        };
        let index = Index::new(vec![entry(None), entry(Some("arm64")), entry(Some("amd64"))]);
        let best = |architecture: &str| {
            let wanted = Matcher::only(&Platform::new("linux", architecture));
            index.best(&wanted).and_then(|entry| entry.platform.as_ref()).map(|platform| platform.architecture.clone())
        };
        assert_eq!(best("amd64").as_deref(), Some("amd64"));
        assert_eq!(best("riscv64"), None);
        assert!(index.best(&Matcher::only(&Platform::new("linux", "riscv64"))).is_some());
        assert!(
            Index::new(vec![entry(Some("arm64"))]).best(&Matcher::only(&Platform::new("linux", "s390x"))).is_none()
        );
    }
}
