//! Which vertex made each layer of a result, by the definition alone.
//!
//! The history of an image says what made a layer where nobody says more, and the layers of an image that is built upon are
//! those blobs that this image has. Neither must depend on what the store saw before: a layer may be one that another build
//! made, whose vertex was called something else, or be of two images that compress it otherwise. So they are counted off,
//! whatever of them comes from the cache: every operation puts a known number of layers on its inputs'.
//!
//! parity: BuildKit v0.32, descriptions of cache records (`cache/manager.go`), in a store that has nothing.

use llb::{FileAction, Node, Op, UserOpt};

use super::names;
use super::scheduler::Edge;
use super::vertices::{Vertex, Vertices};
use crate::exporters::Made;
use crate::ops::file::owner_of;

/// So many steps are gone through a definition: more than any image has layers.
const MOST: usize = 1_000_000;
/// Differences of differences, of differences.
const DEEPEST: u32 = 16;

/// What is left of the two.
struct Left {
    steps: usize,
    depth: u32,
}

/// A layer as the definition has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layer {
    by: Edge,
    /// Of several layers that one output puts on its input's, which: the topmost is 0.
    number: usize,
}

/// Where the layers of an edge are from, in the order of the layers. `None` where the definition does not say: of what a
/// nested build gave that comes from the cache whole.
pub(super) fn of_layers(edge: Edge, vertices: &Vertices) -> Option<Vec<Made>> {
    let layers = layers(edge, vertices, &mut Left { steps: MOST, depth: DEEPEST })?;
    let made = |layer: &Layer| {
        let Vertex { step, pinned, .. } = &vertices[layer.by.vertex];
        let of_image = pinned.as_ref().and_then(|pinned| pinned.layers().into_iter().rev().nth(layer.number)?);
        Made { by: names::of_layers(&step.node, &step.name, layer.by.output), of_image }
    };
    Some(layers.iter().map(made).collect())
}

/// The layers of an edge, lowest first.
fn layers(edge: Edge, vertices: &Vertices, left: &mut Left) -> Option<Vec<Layer>> {
    let mut layers = Vec::new();
    let mut open = vec![edge];
    while let Some(edge) = open.pop() {
        left.steps = left.steps.checked_sub(1)?;
        let vertex = &vertices[edge.vertex];
        let node = &vertex.step.node;
        let (own, below) = match &node.op {
            Op::Source(_) => (vertex.pinned.as_ref()?.layers().len(), None),
            Op::Exec(_) | Op::File(_) => on_input(node, edge.output)?,
            Op::Merge(positions) => {
                let inputs = positions.iter().map(|position| vertex.step.inputs.get(usize::try_from(*position).ok()?));
                open.extend(inputs.collect::<Option<Vec<_>>>()?);
                continue;
            }
            Op::Diff(diff) => {
                left.depth = left.depth.checked_sub(1)?;
                let mut side =
                    |position: Option<i64>| match position.and_then(|position| usize::try_from(position).ok()) {
                        Some(position) => self::layers(*vertex.step.inputs.get(position)?, vertices, left),
                        None => Some(Vec::new()),
                    };
                let (lower, upper) = (side(diff.lower)?, side(diff.upper)?);
                left.depth += 1;
                left.steps = left.steps.checked_sub(upper.len())?;
                match upper.strip_prefix(&*lower) {
                    // One layer more is called a difference, several keep their names.
                    Some(more) if more.len() != 1 || lower.is_empty() => layers.extend(more.iter().rev()),
                    _ => layers.push(Layer { by: edge, number: 0 }),
                }
                continue;
            }
            Op::Build(_) => {
                open.push(vertex.expanded?);
                continue;
            }
            Op::Passthrough(passthrough) => {
                let position = passthrough.outputs.get(usize::try_from(edge.output).ok()?)?;
                (0, Some(usize::try_from(*position).ok()?))
            }
        };
        layers.extend((0..own).map(|number| Layer { by: edge, number }));
        if let Some(position) = below {
            open.push(*vertex.step.inputs.get(position)?);
        }
    }
    layers.reverse();
    Some(layers)
}

/// How many layers an output has of its own, and the position of the input they are on.
fn on_input(node: &Node, output: u32) -> Option<(usize, Option<usize>)> {
    let output = i64::from(output);
    let position = |position: i64| usize::try_from(position).ok();
    match &node.op {
        Op::Exec(exec) => {
            let mount = exec.mounts.iter().find(|mount| mount.output == output)?;
            let is_input = mount.dest != "/" && mount.readonly || !matches!(mount.kind, llb::MountKind::Bind);
            let input = position(mount.input);
            Some((usize::from(!is_input || input.is_none()), input))
        }
        Op::File(actions) => {
            let mut index = actions.iter().position(|action| action.output == output)?;
            let mut own = 1;
            while let Some(below) = position(actions[index].input) {
                let Some(earlier) = below.checked_sub(node.inputs.len()) else { return Some((own, Some(below))) };
                if earlier >= index {
                    return None;
                }
                own += usize::from(is_kept(actions, below, node.inputs.len()));
                index = earlier;
            }
            Some((own, None))
        }
        _ => None,
    }
}

/// Whether what an action made is a layer by itself: more than one want it.
fn is_kept(actions: &[FileAction], position: usize, inputs: usize) -> bool {
    let wants = |action: &FileAction| {
        let read = owner_of(&action.kind).into_iter().flat_map(|owner| [&owner.user, &owner.group]).flatten();
        let read = read.filter_map(|user| if let UserOpt::Name { input, .. } = user { Some(*input) } else { None });
        let wanted = [action.input, action.secondary_input].into_iter().chain(read);
        wanted.filter(|wanted| *wanted == position as i64).count()
    };
    let outputs = usize::from(actions[position - inputs].output >= 0);
    outputs + actions.iter().map(wants).sum::<usize>() > 1
}
