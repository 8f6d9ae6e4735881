//! Bills of materials: a scan of each result becomes an attestation of it.
//!
//! Mirrors `frontend/attestations/sbom` of BuildKit v0.32. A builder scans results that have none by itself, but knows
//! nothing of the context and of the stages they are made from.

use std::collections::BTreeMap;

use compiler::{Answer, Plan, World, plan};
use gateway::message::{Attestation, AttestationKind, Attestations, Ref};
use gateway::{Code, Status};
use llb::passes;

use crate::session::{Session, encode};
use crate::status;
use crate::world::Outside;

/// The statements are documents of SPDX.
const PREDICATE: &str = "https://spdx.dev/Document";

/// What is said of an attestation: why it is there, and the name of the one of the result itself.
const SAID: [(&str, &str); 2] = [("reason", "sbom"), ("sbom-core", "sbom")];

/// The definition of each output's scan, encoded; none where none is wanted. `plan` is not optimized yet: what is scanned
/// is not all that is built.
///
/// **Errors**: a scanner that cannot be found, or started.
pub(crate) fn definitions(
    session: &Session<'_>,
    outside: &Outside<'_>,
    plan: &Plan,
    options: passes::Options,
) -> Result<Vec<Vec<u8>>, Status> {
    let Some(scanner) = plan::scanner(&session.options) else { return Ok(Vec::new()) };
    let image = match outside.answer(&[scanner.question()]).pop() {
        Some(Ok(Answer::Image(image))) => image,
        Some(Err(error)) => return Err(status::unknown(&error.message)),
        _ => return Err(Status::new(Code::Internal, "nothing is known of the scanner")),
    };
    let definition = |output| {
        let mut graph = scanner.graph(plan, output, &image).map_err(|error| status::unknown(&error))?;
        passes::optimize(&mut graph, options);
        let (definition, _) = encode(&session.options, &graph).map_err(|error| status::unknown(&error))?;
        Ok(definition.to_bytes())
    };
    (0..plan.outputs.len()).map(definition).collect()
}

/// What a result is handed in with when its scan is `found`.
pub(crate) fn attestations(found: String) -> Attestations {
    let said = SAID.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
    let attestation = Attestation {
        kind: AttestationKind::Bundle.into(),
        metadata: BTreeMap::from(said),
        r#ref: Some(Ref { id: found, def: Vec::new() }),
        path: String::new(),
        in_toto_predicate_type: PREDICATE.to_owned(),
        in_toto_subjects: Vec::new(),
    };
    Attestations { attestation: vec![attestation] }
}
