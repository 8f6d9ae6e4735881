//! What a graph makes.
//!
//! A process is not run: it writes into each of its outputs what it was given (a hash of its arguments and of every tree it
//! sees), so that two graphs agree only when their processes see the same. Some fail, depending on what they see.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use llb::{Diff, Edge, Exec, FileAction, Graph, Node, Op};

use super::actions;
use super::tree::{Committed, Entry, Failed, Layer, Result, Tree, fail};

/// The local directories by name.
pub type Sources = BTreeMap<String, Layer>;

/// What each output of a graph looks like, or that the build fails.
pub fn listings(graph: &Graph, sources: &Sources) -> Result<Vec<String>> {
    let results = evaluate(graph, sources)?;
    let tree = |edge: Option<Edge>| edge.map(|edge| of(&results, edge)).unwrap_or_default();
    Ok(graph.outputs.iter().map(|output| Tree::open(&tree(output.edge)).listing()).collect())
}

/// Every vertex that an output needs; one that fails, fails the build.
fn evaluate(graph: &Graph, sources: &Sources) -> Result<Vec<Vec<Committed>>> {
    let mut needed = vec![false; graph.nodes.len()];
    graph.outputs.iter().filter_map(|output| output.edge).for_each(|edge| needed[edge.node.0 as usize] = true);
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        if needed[index] {
            node.inputs.iter().for_each(|edge| needed[edge.node.0 as usize] = true);
        }
    }
    let mut results: Vec<Vec<Committed>> = Vec::new();
    // Equal vertices have one digest, and are one: their layers are the same, not only alike.
    let mut first: Vec<usize> = Vec::new();
    for (index, (node, needed)) in graph.nodes.iter().zip(needed).enumerate() {
        let key =
            |node: &Node| node.inputs.iter().map(|edge| (first[edge.node.0 as usize], edge.index)).collect::<Vec<_>>();
        let own = key(node);
        let is_same = |other: &Node| other.op == node.op && other.platform == node.platform && own == key(other);
        let earlier = graph.nodes[..index].iter().position(is_same).filter(|&other| !results[other].is_empty());
        let made = match earlier {
            Some(other) => results[other].clone(),
            None if needed => vertex(node, &results, sources)?,
            None => Vec::new(),
        };
        results.push(made);
        first.push(earlier.unwrap_or(index));
    }
    Ok(results)
}

fn of(results: &[Vec<Committed>], edge: Edge) -> Committed {
    results[edge.node.0 as usize][edge.index as usize].clone()
}

fn vertex(node: &Node, results: &[Vec<Committed>], sources: &Sources) -> Result<Vec<Committed>> {
    let inputs: Vec<Committed> = node.inputs.iter().map(|&edge| of(results, edge)).collect();
    let input = |position: i64| usize::try_from(position).map(|position| inputs[position].clone()).unwrap_or_default();
    match &node.op {
        Op::Source(source) => {
            let Some(layer) = sources.get(source.identifier.trim_start_matches("local://")) else {
                return fail("source");
            };
            Ok(vec![Committed(vec![Rc::new(layer.clone())])])
        }
        Op::Merge(positions) => Ok(vec![Committed(positions.iter().flat_map(|&position| input(position).0).collect())]),
        Op::Diff(Diff { lower, upper }) => Ok(vec![difference(&input(lower.unwrap()), &input(upper.unwrap()))]),
        Op::File(actions) => file(actions, &inputs),
        Op::Exec(exec) => process(exec, &input),
        Op::Passthrough(passthrough) => Ok(passthrough.outputs.iter().map(|&position| input(position)).collect()),
        Op::Build(_) => fail("nested builds are not evaluated"),
    }
}

/// The layers on top where one tree grew out of the other, else one layer.
fn difference(lower: &Committed, upper: &Committed) -> Committed {
    let same = |(a, b): (&Rc<Layer>, &Rc<Layer>)| Rc::ptr_eq(a, b);
    if lower.0.len() <= upper.0.len() && lower.0.iter().zip(&upper.0).all(same) {
        return Committed(upper.0[lower.0.len()..].to_vec());
    }
    Committed(vec![Rc::new(Tree::changes(&Tree::open(lower), &Tree::open(upper), false))])
}

fn commit(parent: &Committed, tree: &Tree) -> Committed {
    let mut layers = parent.0.clone();
    layers.push(Rc::new(Tree::changes(&Tree::open(parent), tree, true)));
    Committed(layers)
}

/// A tree in the making, and what it is on.
#[derive(Clone)]
struct Active {
    parent: Committed,
    tree: Tree,
}

enum Place {
    Committed(Committed),
    Active(Box<Active>),
}

fn file(actions: &[FileAction], inputs: &[Committed]) -> Result<Vec<Committed>> {
    let mut places: Vec<Place> = inputs.iter().cloned().map(Place::Committed).collect();
    let uses = uses(actions, inputs.len());
    for action in actions {
        let from = Tree::open(&committed(&mut places, action.secondary_input));
        let mut active = start(&mut places, action.input, &uses);
        let users = |position: i64| match usize::try_from(position).ok().and_then(|position| inputs.get(position)) {
            Some(tree) => Ok(Tree::open(tree)),
            None => fail("no tree to look up users in"),
        };
        actions::perform(&action.kind, &mut active.tree, &from, &users)?;
        places.push(Place::Active(Box::new(active)));
    }
    let mut outputs: Vec<(i64, usize)> = actions.iter().map(|action| action.output).zip(inputs.len()..).collect();
    outputs.retain(|(output, _)| *output >= 0);
    outputs.sort_unstable();
    Ok(outputs.into_iter().map(|(_, position)| committed(&mut places, position as i64)).collect())
}

fn uses(actions: &[FileAction], inputs: usize) -> Vec<usize> {
    let mut uses = vec![0; inputs + actions.len()];
    for (index, action) in actions.iter().enumerate() {
        for position in [action.input, action.secondary_input].into_iter().filter_map(|p| usize::try_from(p).ok()) {
            uses[position] += 1;
        }
        uses[inputs + index] += usize::from(action.output >= 0);
    }
    uses
}

/// Actions in a row work on one tree; it is committed where more than one of them wants it.
fn start(places: &mut [Place], position: i64, uses: &[usize]) -> Active {
    if let Ok(index) = usize::try_from(position)
        && uses[index] == 1
        && let Place::Active(active) = &places[index]
    {
        return (**active).clone();
    }
    let parent = committed(places, position);
    Active { tree: Tree::open(&parent), parent }
}

fn committed(places: &mut [Place], position: i64) -> Committed {
    let Ok(position) = usize::try_from(position) else { return Committed::default() };
    if let Place::Active(active) = &places[position] {
        places[position] = Place::Committed(commit(&active.parent, &active.tree));
    }
    match &places[position] {
        Place::Committed(tree) => tree.clone(),
        Place::Active(_) => unreachable!("it was just committed"),
    }
}

fn process(exec: &Exec, input: &dyn Fn(i64) -> Committed) -> Result<Vec<Committed>> {
    let mut hasher = DefaultHasher::new();
    exec.meta.args.hash(&mut hasher);
    for mount in &exec.mounts {
        (&mount.dest, Tree::open(&input(mount.input)).listing()).hash(&mut hasher);
    }
    let seen = hasher.finish();
    if seen.is_multiple_of(16) {
        return Err(Failed(format!("exit code of {seen:x}")));
    }
    let mut outputs: Vec<_> = exec.mounts.iter().filter(|mount| mount.output >= 0).collect();
    outputs.sort_by_key(|mount| mount.output);
    let write = |mount: &&llb::Mount| {
        let parent = input(mount.input);
        let mut tree = Tree::open(&parent);
        let text = format!("{seen:x} {}", mount.dest);
        let (mode, owner, inode) = (0o644, (0, 0), tree.next_inode());
        tree.entries
            .insert("/ran".into(), Entry::File { mode, owner, data: Rc::new(text.into_bytes()), time: 7, inode });
        commit(&parent, &tree)
    };
    Ok(outputs.iter().map(write).collect())
}
