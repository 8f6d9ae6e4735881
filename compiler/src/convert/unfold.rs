//! A program of functions as stages: what its functions come to, written out.
//!
//! Languages of stages have no functions, so nothing of calls can be kept: each function that can be built by itself is
//! evaluated, and the vertices it comes to are read backwards, as chains of steps with one base each. A vertex that several
//! others use is a stage of its own. What a program leaves to whoever builds it (parameters with defaults) goes through the
//! evaluation as marks that no text has, so that it can be told from other text afterwards.

mod copies;
mod evaluated;
mod parameters;
mod places;
mod processes;
pub(super) mod settings;
mod stages;
mod steps;
mod vertices;

use std::collections::{BTreeMap, BTreeSet};

use ast::{Checks, Def, Dialect, FileId, Module, Name, Op, Param, Source, Span, types};
use frontends::Unsaid;
use llb::{Edge, Graph, NodeId};
use oci::Platform;

use super::StandIns;
use crate::{Facts, Outcome, World};
use settings::Settings;

/// What a program says of parameters: the arguments that mark them.
pub(super) type Marks = BTreeMap<String, String>;

/// A program as stages.
pub(super) struct Unfolded {
    /// The stages; those that can be asked for come last, and the default is the very last.
    pub(super) module: Module,
    /// What of the program no language of stages has a word for, in no order.
    pub(super) unsaid: Vec<Unsaid>,
    /// Arguments to compare with, beside none at all.
    pub(super) marks: Marks,
}

const DIALECT: Dialect = Dialect {
    id: "stages",
    description_key: "com.docker.dockerfile.v1.command",
    numbered_steps: true,
    history: true,
    exports_args: true,
    functions: false,
};

/// What is built when nothing is asked for.
const DEFAULT: &str = "default";

/// Writes out a program.
///
/// **Errors**: why nothing of it can be built.
pub(super) fn unfold(source: &Source, module: &Module, world: &StandIns<'_>) -> Result<Unfolded, Vec<ast::Diagnostic>> {
    let mut unsaid = Vec::new();
    let mut targets = Vec::new();
    let mut failed = None;
    let (buildable, others): (Vec<&Def>, Vec<&Def>) = module.defs.iter().partition(|def| gives(def, types::FS));
    for def in others.into_iter().filter(|def| gives(def, types::PIPELINE)) {
        unsaid.extend(def.name.as_ref().map(|name| (name.span, "a pipeline: what is built in an order")));
    }
    let marks = evaluated::marks(source, &buildable);
    let is_default = |def: &&Def| def.name.as_ref().is_some_and(|name| name.text == DEFAULT);
    let (default, others): (Vec<&Def>, Vec<&Def>) = buildable.into_iter().partition(is_default);
    for def in others.into_iter().chain(default).filter(|def| def.params.iter().all(|param| param.default.is_some())) {
        let Some(name) = &def.name else { continue };
        let outcome = evaluated::outcome(source, def, &marks, world);
        let outcome = outcome.or_else(|| {
            let params = def.params.iter().map(|param| (param.name.span, "a parameter that decides what is built"));
            unsaid.extend(params);
            evaluated::outcome(source, def, &Marks::new(), world)
        });
        let outcome = outcome.map(|(outcome, asks)| {
            unsaid.extend(asks.into_iter().map(|at| (at, "what the client is or has")));
            outcome
        });
        match outcome {
            // What only fetches is named where it is used.
            Some(outcome) if name.text != DEFAULT && evaluated::is_fetched(&outcome) => {}
            Some(outcome) => targets.push(Target { name: name.clone(), def, outcome }),
            None => failed = Some(name.text.clone()),
        }
    }
    if let (true, Some(name)) = (targets.is_empty() || failed.as_deref() == Some(DEFAULT), failed) {
        return Err(
            crate::compile(source, &evaluated::options(&name, &Marks::new()), Facts::default(), world).diagnostics
        );
    }
    if targets.is_empty() {
        let params = module.defs.iter().filter(|def| gives(def, types::FS)).flat_map(|def| &def.params);
        let open = params.filter(|param| param.default.is_none());
        unsaid
            .extend(open.map(|param| (param.name.span, "a parameter without a default, where nothing else is built")));
    }
    let mut unfolding = Unfolding::new(source, world, &marks, module, &targets, unsaid);
    let defs = unfolding.defs(&targets);
    let head =
        unfolding.head.iter().map(|param| steps::step(Op::Arg(vec![param.clone()]), Vec::new(), param.name.span));
    let module = Module {
        file: FileId(0),
        dialect: DIALECT,
        syntax: None,
        imports: Vec::new(),
        exports: Vec::new(),
        head: head.collect(),
        defs,
        goals: Vec::new(),
        contexts: Vec::new(),
        includes: Vec::new(),
        checks: Ok(Checks::default()),
        diagnostics: Vec::new(),
    };
    Ok(Unfolded { module, unsaid: unfolding.unsaid, marks })
}

fn gives(def: &Def, ty: &str) -> bool {
    def.signature.as_ref().is_some_and(|signature| signature.gives.text == ty)
}

/// A function that can be built.
struct Target<'m> {
    name: Name,
    def: &'m Def,
    outcome: Outcome,
}

/// Where something is copied or mounted from.
pub(super) enum Place {
    /// The directory of the program.
    Context,
    /// A stage or an image.
    Named(String),
}

/// A stage that others use.
struct Known {
    name: String,
    settings: Settings,
}

/// The work: all vertices of all targets, and what is written of them so far.
pub(super) struct Unfolding<'a> {
    pub(super) graph: Graph,
    source: &'a Source,
    world: &'a dyn World,
    marks: &'a Marks,
    /// What images are for.
    platform: Platform,
    /// Parameters by their names, the first of each.
    params: BTreeMap<&'a str, &'a Param>,
    /// The first vertex of those that are the same. **Shape**: one entry a vertex.
    same: Vec<NodeId>,
    /// The place of a vertex in the program. **Shape**: one entry a vertex.
    spans: Vec<Span>,
    /// The function that a place is in, for names.
    functions: Vec<(Span, String)>,
    stages: BTreeMap<Edge, Known>,
    names: BTreeSet<String>,
    head: Vec<Param>,
    pub(super) unsaid: Vec<Unsaid>,
}

impl<'a> Unfolding<'a> {
    fn new(
        source: &'a Source,
        world: &'a dyn World,
        marks: &'a Marks,
        module: &'a Module,
        targets: &[Target<'a>],
        unsaid: Vec<Unsaid>,
    ) -> Self {
        let mut graph = Graph::default();
        let mut spans = Vec::new();
        let mut ends = Vec::new();
        for target in targets {
            let Some(plan) = &target.outcome.plan else { continue };
            let offset = graph.nodes.len() as u32;
            graph.graft(&plan.graph);
            spans.extend(
                plan.graph.nodes.iter().map(|node| super::compare::place(node, source).unwrap_or(target.name.span)),
            );
            let edge = evaluated::result(plan).and_then(|output| output.edge);
            ends.push(edge.map(|edge| Edge { node: NodeId(edge.node.0 + offset), index: edge.index }));
        }
        graph.outputs = ends.iter().map(|edge| llb::Output { edge: *edge, ..llb::Output::default() }).collect();
        let digests = llb::encode_traced(&graph).map(|(_, digests)| digests).unwrap_or_default();
        let mut first = BTreeMap::new();
        let node = |at: usize| NodeId(at as u32);
        let same = digests.iter().enumerate().map(|(at, digest)| match digest {
            Some(digest) => *first.entry(digest.clone()).or_insert(node(at)),
            None => node(at),
        });
        let same = same.collect::<Vec<_>>();
        let named = module.defs.iter().filter_map(|def| Some((def.span, def.name.as_ref()?.text.clone())));
        let params = module.defs.iter().rev().flat_map(|def| &def.params).filter(|param| param.default.is_some());
        let mut unfolding = Self {
            same: if same.len() == graph.nodes.len() { same } else { (0..graph.nodes.len()).map(node).collect() },
            graph,
            source,
            world,
            marks,
            platform: targets
                .iter()
                .find_map(|target| Some(evaluated::result(target.outcome.plan.as_ref()?)?.platform.clone()))
                .unwrap_or_else(|| Platform::new("linux", "amd64")),
            params: params.map(|param| (param.name.text.as_str(), param)).collect(),
            spans,
            functions: named.collect(),
            stages: BTreeMap::new(),
            names: targets.iter().map(|target| stages::stage_name(&target.name.text)).collect(),
            head: Vec::new(),
            unsaid,
        };
        for node in 0..unfolding.graph.nodes.len() {
            let inputs = unfolding.graph.nodes[node].inputs.iter().map(|edge| unfolding.canonical(*edge)).collect();
            unfolding.graph.nodes[node].inputs = inputs;
        }
        for output in 0..unfolding.graph.outputs.len() {
            let edge = unfolding.graph.outputs[output].edge;
            unfolding.graph.outputs[output].edge = edge.map(|edge| unfolding.canonical(edge));
        }
        unfolding
    }

    pub(super) fn node(&self, id: NodeId) -> &llb::Node {
        &self.graph.nodes[id.0 as usize]
    }

    pub(super) fn span(&self, id: NodeId) -> Span {
        self.spans[id.0 as usize]
    }

    pub(super) fn say_not(&mut self, at: Span, what: &'static str) {
        if !self.unsaid.contains(&(at, what)) {
            self.unsaid.push((at, what));
        }
    }
}
