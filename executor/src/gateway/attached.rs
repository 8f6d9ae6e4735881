//! What a frontend says of its results: directories of statements, and files with predicates.

use ::gateway::message::{Attestation, AttestationKind, InTotoSubject, InTotoSubjectKind};
use oci::Digest;
use serde_json::{Map, Value};

use crate::exporters::{About, Attached, Left, Subject};
use crate::provenance::PROVENANCE_PREFIX;
use crate::{Error, Result};

/// Keys of what is said of an attestation: why it is there, the name of the one about the result itself, and whether only
/// images get it that go to a store or a registry.
const REASON: &str = "reason";
const CORE: &str = "sbom-core";
const INLINE_ONLY: &str = "inline-only";

/// Something that a frontend says of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// In the protocol's words; its reference means nothing any more.
    pub(super) message: Attestation,
    /// The encoded definition of the tree that it is in.
    pub(super) definition: Vec<u8>,
}

impl Said {
    /// The same for whoever exports the result of that number.
    ///
    /// **Errors**: what nothing could be read of, and a provenance. parity: BuildKit's words.
    pub(super) fn attached(&self, of: usize) -> Result<Attached> {
        let Self { message, definition } = self;
        let text = |key: &str| message.metadata.get(key).map(|value| String::from_utf8_lossy(value).into_owned());
        let refused = |why: &str| Err(Error::Invalid(why.to_owned()));
        let predicate_type = message.in_toto_predicate_type.clone();
        let left = match AttestationKind::try_from(message.kind) {
            Ok(AttestationKind::Bundle) if definition.is_empty() => {
                return refused("no ref provided for attestation bundle");
            }
            Ok(AttestationKind::Bundle) => Left::Statements,
            Ok(AttestationKind::InToto) if message.path.is_empty() => {
                return refused("attestation does not have set path");
            }
            Ok(AttestationKind::InToto) if definition.is_empty() => {
                return refused("attestation does not have available content");
            }
            Ok(AttestationKind::InToto) if predicate_type.starts_with(PROVENANCE_PREFIX) => {
                return refused("frontend may not set provenance attestations");
            }
            Ok(AttestationKind::InToto) => Left::Predicate(message.in_toto_subjects.iter().map(about).collect()),
            Err(_) => return refused("an attestation of the frontend is neither a statement nor a bundle"),
        };
        Ok(Attached {
            of,
            by: "the frontend".to_owned(),
            left,
            path: message.path.clone(),
            predicate_type,
            core: text(CORE),
            inline_only: text(INLINE_ONLY).as_deref() == Some("true"),
            required: text(REASON).as_deref() == Some("sbom"),
        })
    }
}

fn about(subject: &InTotoSubject) -> About {
    let name = Some(subject.name.clone()).filter(|name| !name.is_empty());
    if subject.kind != InTotoSubjectKind::Raw as i32 {
        return About::Result(name);
    }
    let digests = subject.digest.iter().filter_map(|text| Digest::parse(text).ok());
    let digest: Map<String, Value> =
        digests.map(|digest| (digest.algorithm().as_str().to_owned(), digest.hex().into())).collect();
    About::Other(Subject { name: name.unwrap_or_else(|| "_".to_owned()), digest: digest.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(kind: i32, path: &str, predicate_type: &str, definition: &[u8]) -> Result<Attached> {
        let message = Attestation {
            kind,
            path: path.to_owned(),
            in_toto_predicate_type: predicate_type.to_owned(),
            metadata: [("sbom-core".to_owned(), b"sbom".to_vec()), ("inline-only".to_owned(), b"true".to_vec())].into(),
            ..Attestation::default()
        };
        Said { message, definition: definition.to_vec() }.attached(3)
    }

    #[test]
    fn what_is_refused() {
        let refused = |kind, path, predicate_type, definition: &[u8]| {
            attached(kind, path, predicate_type, definition).unwrap_err().to_string()
        };
        assert_eq!(refused(1, "", "", b""), "no ref provided for attestation bundle");
        assert_eq!(refused(0, "", "x", b"d"), "attestation does not have set path");
        assert_eq!(refused(0, "p", "x", b""), "attestation does not have available content");
        let provenance = "https://slsa.dev/provenance/v1";
        assert_eq!(refused(0, "p", provenance, b"d"), "frontend may not set provenance attestations");
        assert!(refused(7, "p", "x", b"d").contains("neither a statement nor a bundle"));
    }

    #[test]
    fn what_is_taken() {
        let bundle = attached(1, "", "x", b"d").unwrap();
        assert_eq!((bundle.of, bundle.left, bundle.core.as_deref()), (3, Left::Statements, Some("sbom")));
        assert!(bundle.inline_only && !bundle.required);
        let raw = |digest: &str| InTotoSubject {
            kind: InTotoSubjectKind::Raw.into(),
            digest: vec![digest.to_owned()],
            name: String::new(),
        };
        let named = InTotoSubject { name: "n".to_owned(), ..InTotoSubject::default() };
        assert_eq!(about(&named), About::Result(Some("n".to_owned())));
        let digest = Digest::sha256(b"x");
        let subject = Subject { name: "_".to_owned(), digest: serde_json::json!({ "sha256": digest.hex() }) };
        assert_eq!(about(&raw(digest.as_str())), About::Other(subject));
    }
}
