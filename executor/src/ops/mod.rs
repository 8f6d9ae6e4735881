//! One vertex: its key, and its run. Decide first, act later: [`crate::cache::of_vertex`] is pure, sources pin; [`run`]
//! does the work.
//!
//! Every op gets its inputs as trees whose files are on this machine (lazy layers were fetched), in wire order, and
//! returns its outputs as trees, by output number.

mod build;
pub(crate) mod caps;
mod diff;
pub mod exec;
pub mod file;
mod merge;
mod passthrough;

use crate::cdi::Devices;
use crate::runtime::{NetworkMode, Runtime};
use crate::session::Session;
use crate::snapshot::{Committed, Snapshots};
use crate::store::Store;
use crate::{Cancel, Error, Result, progress};

/// What an op works with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Blobs, layers, the place for cache mounts.
    pub store: &'a Store,
    /// Trees.
    pub snapshots: &'a dyn Snapshots,
    /// Processes.
    pub runtime: &'a dyn Runtime,
    /// The user's directories, secrets, agents.
    pub session: &'a Session,
    /// Entitlements granted: `network.host`, `security.insecure`, `device…`.
    pub allow: &'a [String],
    /// Devices of this machine.
    pub devices: &'a Devices,
    /// The network of processes whose definition leaves it open.
    pub network: NetworkMode,
    /// The vertex: its platform, metadata, operation.
    pub node: &'a llb::Node,
    /// Where to tell what it does.
    pub progress: &'a progress::Vertex<'a>,
    /// Where steps that fail leave what they had; without it, it is thrown away.
    pub failures: Option<&'a exec::Failures>,
    /// Asked to stop through this.
    pub cancel: &'a Cancel,
}

/// What a run gave.
pub enum Ran {
    /// The outputs.
    Outputs(Vec<Committed>),
    /// A definition whose result is the output.
    Definition(Box<llb::Decoded>),
}

/// Runs a vertex that is no source.
pub fn run(inputs: &[Committed], context: Context<'_>) -> Result<Ran> {
    let outputs = match &context.node.op {
        llb::Op::Source(source) => {
            unreachable!("source {} is fetched after it was pinned", source.identifier)
        }
        llb::Op::Exec(exec) => exec::run(exec, inputs, context)?,
        llb::Op::File(actions) => file::run(actions, inputs, context)?,
        llb::Op::Merge(positions) => merge::run(positions, inputs)?,
        llb::Op::Diff(diff) => diff::run(diff, inputs, context)?,
        llb::Op::Passthrough(passthrough) => passthrough::run(passthrough, inputs)?,
        llb::Op::Build(build) => return Ok(Ran::Definition(Box::new(build::read(build, inputs, context)?))),
    };
    Ok(Ran::Outputs(outputs))
}

/// Refuses a graph that cannot be run, before anything of it runs; devices become those of this machine.
pub(crate) fn admit(
    graph: &mut llb::Graph,
    allow: &[String],
    devices: &Devices,
    sink: &dyn progress::Sink,
) -> Result<()> {
    if let Some(finding) = llb::verify::verify(graph).into_iter().find(|finding| finding.flaw.is_fatal()) {
        return Err(Error::Definition(finding.to_string()));
    }
    caps::check(graph)?;
    let execs = graph.nodes.iter_mut().filter_map(|node| match &mut node.op {
        llb::Op::Exec(exec) => Some(exec),
        _ => None,
    });
    execs.into_iter().try_for_each(|exec| {
        exec::check_names(exec)?;
        exec::check_entitlements(exec, allow)?;
        devices.admit(exec, allow, sink)
    })
}

/// Whether an op looks at the files of its inputs; if not, layers that are elsewhere may stay there.
pub fn needs_files(op: &llb::Op, inputs: &[Committed]) -> bool {
    match op {
        llb::Op::Exec(_) | llb::Op::File(_) | llb::Op::Build(_) => true,
        llb::Op::Diff(diff) => !diff::is_by_layers(diff, inputs),
        llb::Op::Source(_) | llb::Op::Merge(_) | llb::Op::Passthrough(_) => false,
    }
}

/// The input at a position of the wire form.
fn input(position: i64, inputs: &[Committed]) -> Result<&Committed> {
    let found = usize::try_from(position).ok().and_then(|position| inputs.get(position));
    found.ok_or_else(|| Error::Definition(format!("input {position} of an operation with {} inputs", inputs.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::LayerId;

    /// A tree by the names of its layers.
    pub(super) fn tree(layers: &str) -> Committed {
        Committed { layers: layers.split_whitespace().map(|id| LayerId(id.into())).collect() }
    }
}
