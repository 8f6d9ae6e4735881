//! A plan as the definition that travels: the graph, and in the description of each terminal vertex the image config.
//!
//! Other readers of LLB ignore descriptions that they do not know, so `llbc FILE | buildctl build` keeps working; the
//! executor finds there what BuildKit's frontends hand over beside the definition.

use compiler::Plan;
use llb::Definition;

use crate::failure::{Failure, Message, Result};

/// Description of a terminal vertex: the image config, JSON.
const CONFIG: &str = "containerimage.config";

/// The bytes of the definition, image configs included.
pub(crate) fn encode(plan: Plan) -> Result<Vec<u8>> {
    Ok(graph(&plan.described())?.to_bytes())
}

/// The definition of the graph alone: what BuildKit's own frontend would hand to the solver.
pub(crate) fn graph(plan: &Plan) -> Result<Definition> {
    let failed = |error: llb::EncodeError| Message { code: "plan", text: error.to_string(), help: None };
    llb::encode(&plan.graph).map_err(|error| Failure::Message(failed(error)))
}

/// The image configs in a definition. **Shape**: one per terminal vertex that has one, in the order of the definition.
pub(crate) fn images_of(definition: &Definition) -> Vec<Vec<u8>> {
    let described = definition.vertices.iter().filter_map(|vertex| definition.metadata.get(&vertex.digest));
    described.filter_map(|meta| meta.description.get(CONFIG)).map(|config| config.clone().into_bytes()).collect()
}
