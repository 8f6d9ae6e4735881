//! A plan as the definition that travels: the graph, and in the description of each terminal vertex the image config.
//!
//! Other readers of LLB ignore descriptions that they do not know, so `llbc FILE | buildctl build` keeps working; the
//! executor finds there what BuildKit's frontends hand over beside the definition.

use ast::Source;
use compiler::Plan;
use llb::{Decoded, Definition, Graph};

use crate::failure::{Failure, Message, Result};

/// Description of a terminal vertex: the image config, JSON.
const CONFIG: &str = "containerimage.config";

/// What to do about a definition that cannot be read.
pub(crate) const DAMAGED: &str = "write it again with `llbc FILE -o`";

/// Ending of the names of files that hold LLB as text.
const TEXT: &str = ".llb";
/// What to do about text that cannot be read.
const SHOWN: &str = "`llbc opt --text FILE` shows how LLB looks as text";

/// The bytes of the definition, image configs included.
pub(crate) fn encode(plan: Plan) -> Result<Vec<u8>> {
    Ok(of(&plan.described().graph)?.to_bytes())
}

/// The definition of a graph: what BuildKit's own frontend would hand to the solver.
pub(crate) fn of(graph: &Graph) -> Result<Definition> {
    let failed = |error: llb::EncodeError| Message { code: "plan", text: error.to_string(), help: None };
    llb::encode(graph).map_err(|error| Failure::Message(failed(error)))
}

/// The definition, if that is what the bytes are, encoded or as text.
pub(crate) fn read(source: &Source) -> Result<Option<Decoded>> {
    if let Some(decoded) = encoded(source)? {
        return Ok(Some(decoded));
    }
    let Some(graph) = text(source)? else { return Ok(None) };
    let (bytes, name) = (of(&graph)?.to_bytes(), &source.name);
    llb::decode(&bytes).map(Some).map_err(|error| Failure::message("text", format!("{name}: {error}"), SHOWN))
}

/// The graph, if the name says that it is LLB as text.
pub(crate) fn text(source: &Source) -> Result<Option<Graph>> {
    if !source.name.ends_with(TEXT) {
        return Ok(None);
    }
    let parsed = llb::text::parse(&String::from_utf8_lossy(&source.bytes));
    parsed.map(Some).map_err(|error| Failure::message("text", format!("{}: {error}", source.name), SHOWN))
}

/// The definition, if it is encoded. No build file decodes as one: each of its vertices is checked.
pub(crate) fn encoded(source: &Source) -> Result<Option<Decoded>> {
    let bytes = &source.bytes;
    match llb::decode(bytes) {
        Ok(decoded) if !decoded.definition.vertices.is_empty() => Ok(Some(decoded)),
        // Text is never binary; a definition that is cut or damaged deserves its own error.
        Err(error) if bytes.first() == Some(&b'\n') && bytes.contains(&0) => {
            Err(Failure::message("definition", format!("{}: {error}", source.name), DAMAGED))
        }
        _ => Ok(None),
    }
}

/// The image configs in a definition. **Shape**: one per terminal vertex that has one, in the order of the definition.
pub(crate) fn images_of(definition: &Definition) -> Vec<Vec<u8>> {
    let described = definition.vertices.iter().filter_map(|vertex| definition.metadata.get(&vertex.digest));
    described.filter_map(|meta| meta.description.get(CONFIG)).map(|config| config.clone().into_bytes()).collect()
}
