//! Results a frontend knows by name: a definition each, and its tree once somebody looked at it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ::gateway::{Code, Status};
use llb::Decoded;

use crate::Result;
use crate::snapshot::Committed;

/// Most results one frontend may hold: one a file would be many for a large project.
const MAX_RESULTS: usize = 20_000;
/// Most bytes of definitions one frontend may hold.
const MAX_BYTES: usize = 256 << 20;

/// Results by name.
#[derive(Default)]
pub(super) struct References(Mutex<Held>);

#[derive(Default)]
struct Held {
    all: BTreeMap<String, Arc<Reference>>,
    bytes: usize,
}

/// A result.
pub(super) struct Reference {
    definition: Vec<u8>,
    tree: Mutex<Option<Committed>>,
}

impl References {
    /// Adds what a definition gives; scratch has no name.
    ///
    /// **Errors**: bytes that are no definition, more than may be held.
    pub(super) fn add(&self, definition: Vec<u8>) -> std::result::Result<(String, Option<Arc<Reference>>), Status> {
        if is_scratch(&definition)? {
            return Ok((String::new(), None));
        }
        let mut held = self.0.lock().expect("no panic while results are held");
        held.bytes += definition.len();
        if held.all.len() >= MAX_RESULTS || held.bytes > MAX_BYTES {
            let message = format!("a frontend may hold {MAX_RESULTS} results and {MAX_BYTES} bytes of definitions");
            return Err(Status::new(Code::ResourceExhausted, message));
        }
        let id = format!("result-{}", held.all.len() + 1);
        let reference = Arc::new(Reference { definition, tree: Mutex::default() });
        held.all.insert(id.clone(), reference.clone());
        Ok((id, Some(reference)))
    }

    /// The result of a name.
    pub(super) fn find(&self, id: &str) -> std::result::Result<Arc<Reference>, Status> {
        let held = self.0.lock().expect("no panic while results are held");
        held.all.get(id).cloned().ok_or_else(|| Status::new(Code::NotFound, format!("no such ref: {id}")))
    }

    /// The definition of a name; nothing for scratch.
    pub(super) fn definition(&self, id: &str) -> std::result::Result<Vec<u8>, Status> {
        if id.is_empty() { Ok(Vec::new()) } else { Ok(self.find(id)?.definition.clone()) }
    }
}

impl Reference {
    /// Its tree, solved when somebody asks for it first.
    pub(super) fn tree(&self, solve: impl FnOnce(Decoded) -> Result<Vec<Committed>>) -> Result<Committed> {
        // Held while it is solved: whoever asks meanwhile waits for the same tree.
        let mut tree = self.tree.lock().expect("no panic while a tree is solved");
        if let Some(tree) = &*tree {
            return Ok(tree.clone());
        }
        let decoded = llb::decode(&self.definition).map_err(|error| crate::Error::Definition(error.to_string()))?;
        let solved = solve(decoded)?.into_iter().next().unwrap_or_default();
        *tree = Some(solved.clone());
        Ok(solved)
    }
}

fn is_scratch(definition: &[u8]) -> std::result::Result<bool, Status> {
    let decoded = llb::decode(definition)
        .map_err(|error| Status::new(Code::InvalidArgument, format!("failed to load LLB: {error}")))?;
    Ok(decoded.graph.outputs.first().is_none_or(|output| output.edge.is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_has_no_name_and_noise_is_refused() {
        let references = References::default();
        assert!(matches!(references.add(Vec::new()), Ok((id, None)) if id.is_empty()));
        assert_eq!(references.add(b"\xff\xff".to_vec()).err().map(|status| status.code), Some(Code::InvalidArgument));
        assert_eq!(references.definition("").unwrap(), b"");
        assert_eq!(references.find("x").err().map(|status| status.message).as_deref(), Some("no such ref: x"));
    }

    #[test]
    fn a_tree_is_solved_once() {
        let graph = llb::text::parse("%0 = source \"local://a\"\noutput %0").unwrap();
        let references = References::default();
        let (id, reference) = references.add(llb::encode_to_bytes(&graph).unwrap()).unwrap();
        assert_eq!(id, "result-1");
        let reference = reference.unwrap();
        assert_eq!(reference.tree(|_| Ok(vec![Committed::default()])).unwrap(), Committed::default());
        assert!(reference.tree(|_| panic!("it is known")).is_ok());
    }
}
