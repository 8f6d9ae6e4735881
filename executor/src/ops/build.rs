//! Build: a definition found in a file of an input, which takes this vertex's place.

use std::path::Path;

use crate::ops::{Context, input};
use crate::rootfs::Tree;
use crate::snapshot::Committed;
use crate::{Error, Result};

/// Name of the input that holds the definition, and of the file in it when nothing else is said.
const DEFINITION: &str = "buildkit.llb.definition";
/// Attribute that names the file.
const FILENAME: &str = "llbbuild.filename";
/// Position that means "this executor" as the builder.
const OURSELVES: i64 = -1;

/// Reads the definition.
pub(super) fn read(build: &llb::Build, inputs: &[Committed], context: Context<'_>) -> Result<llb::Decoded> {
    if build.builder != OURSELVES {
        return Err(Error::Unsupported {
            what: "a nested build by another builder".into(),
            why: "only LLB definitions can be nested; set the builder to -1".into(),
        });
    }
    let position = build.inputs.get(DEFINITION);
    let position = position.ok_or_else(|| Error::Definition(format!("nested build without input {DEFINITION}")))?;
    let view = context.snapshots.view(input(*position, inputs)?)?;
    let file = build.attrs.get(FILENAME).map_or(DEFINITION, String::as_str);
    let limit = u64::try_from(llb::MAX_BYTES).unwrap_or(u64::MAX);
    let bytes = Tree::open(view.path()).and_then(|tree| tree.read(Path::new(file), limit));
    let bytes = bytes.map_err(Error::io("read the nested definition", file))?;
    let mut decoded = llb::decode(&bytes).map_err(|error| Error::Definition(format!("in {file}: {error}")))?;
    crate::ops::admit(&mut decoded.graph, context.allow, context.devices, context.progress.sink)?;
    Ok(decoded)
}
