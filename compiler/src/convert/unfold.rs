//! A program of functions as stages: what its functions come to, written out.
//!
//! Languages of stages have no functions, so nothing of calls can be kept: each function that can be built by itself is
//! evaluated, and the vertices it comes to are read backwards, as chains of steps with one base each. A vertex that several
//! others use is a stage of its own. What a program leaves to whoever builds it (parameters with defaults) goes through the
//! evaluation as marks that no text has, so that it can be told from other text afterwards.

use std::collections::{BTreeMap, BTreeSet};

use ast::{
    Checks, Def, Dialect, FileId, Module, Name, Op, OptKind, Param, Source, Span, Step, Str, StrKind, Text, types,
};
use frontends::Unsaid;
use llb::{Edge, FileActionKind, Graph, NodeId};
use oci::{ContainerConfig, ImageConfig, Platform};

use super::settings::{self, Settings};
use super::steps;
use crate::{Facts, Options, Order, Outcome, World};

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
pub(super) fn unfold(source: &Source, module: &Module, world: &dyn World) -> Result<Unfolded, Vec<ast::Diagnostic>> {
    let mut unsaid = Vec::new();
    let mut targets = Vec::new();
    let mut failed = None;
    let (buildable, others): (Vec<&Def>, Vec<&Def>) = module.defs.iter().partition(|def| gives(def, types::FS));
    for def in others.into_iter().filter(|def| gives(def, types::PIPELINE)) {
        unsaid.extend(def.name.as_ref().map(|name| (name.span, "a pipeline: what is built in an order")));
    }
    let marks = marks(source, &buildable);
    let is_default = |def: &&Def| def.name.as_ref().is_some_and(|name| name.text == DEFAULT);
    let (default, others): (Vec<&Def>, Vec<&Def>) = buildable.into_iter().partition(is_default);
    for def in others.into_iter().chain(default).filter(|def| def.params.iter().all(|param| param.default.is_some())) {
        let Some(name) = &def.name else { continue };
        let outcome = evaluated(source, def, &marks, world);
        let outcome = outcome.or_else(|| {
            let params = def.params.iter().map(|param| (param.name.span, "a parameter that decides what is built"));
            unsaid.extend(params);
            evaluated(source, def, &Marks::new(), world)
        });
        match outcome {
            // What only fetches is named where it is used.
            Some(outcome) if name.text != DEFAULT && is_fetched(&outcome) => {}
            Some(outcome) => targets.push(Target { name: name.clone(), def, outcome }),
            None => failed = Some(name.text.clone()),
        }
    }
    if let (true, Some(name)) = (targets.is_empty() || failed.as_deref() == Some(DEFAULT), failed) {
        return Err(crate::compile(source, &options(&name, &Marks::new()), Facts::default(), world).diagnostics);
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

/// A number for each parameter, which stands nowhere in the program: it may be part of any name, and is a number where one is
/// wanted.
fn marks(source: &Source, defs: &[&Def]) -> Marks {
    let text = String::from_utf8_lossy(&source.bytes);
    let stem = (731..1000).find(|stem| !text.contains(&stem.to_string())).unwrap_or(731);
    let names = defs.iter().flat_map(|def| &def.params).filter(|param| param.default.is_some());
    let names: BTreeSet<&str> = names.map(|param| param.name.text.as_str()).collect();
    names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), format!("{stem}{at:06}"))).collect()
}

fn options(target: &str, marks: &Marks) -> Options {
    let mut options = Options::default();
    options.opts.insert("target".to_owned(), target.to_owned());
    options.opts.extend(marks.iter().map(|(name, mark)| (format!("build-arg:{name}"), mark.clone())));
    options
}

/// What a function comes to, with marks for its parameters; `None` when it cannot be built.
fn evaluated(source: &Source, def: &Def, marks: &Marks, world: &dyn World) -> Option<Outcome> {
    let own = |name: &str| def.params.iter().any(|param| param.name.text == name);
    let marks = marks.iter().filter(|(name, _)| own(name)).map(|(name, mark)| (name.clone(), mark.clone())).collect();
    let outcome = crate::compile(source, &options(&def.name.as_ref()?.text, &marks), Facts::default(), world);
    outcome.plan.is_some().then_some(outcome)
}

/// Whether a function does nothing but fetch: a directory, a file, a repository.
fn is_fetched(outcome: &Outcome) -> bool {
    let fetched = || {
        let plan = outcome.plan.as_ref()?;
        let llb::Op::Source(source) = &plan.graph.nodes[result(plan)?.edge?.node.0 as usize].op else { return None };
        Some(!source.identifier.starts_with("docker-image://"))
    };
    fetched().unwrap_or(false)
}

/// A function that can be built.
struct Target<'m> {
    name: Name,
    def: &'m Def,
    outcome: Outcome,
}

/// What a chain of steps starts from.
enum Base {
    Nothing,
    Image(NodeId),
    Stage(Edge),
    /// What no language of stages starts from.
    Other(NodeId, &'static str),
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
            let edge = result(plan).and_then(|output| output.edge);
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
                .find_map(|target| Some(result(target.outcome.plan.as_ref()?)?.platform.clone()))
                .unwrap_or_else(|| Platform::new("linux", "amd64")),
            params: params.map(|param| (param.name.text.as_str(), param)).collect(),
            spans,
            functions: named.collect(),
            stages: BTreeMap::new(),
            names: targets.iter().map(|target| target.name.text.to_lowercase()).collect(),
            head: Vec::new(),
            unsaid,
        };
        for node in 0..unfolding.graph.nodes.len() {
            let inputs: Vec<Edge> =
                unfolding.graph.nodes[node].inputs.iter().map(|edge| unfolding.canonical(*edge)).collect();
            unfolding.graph.nodes[node].inputs = inputs;
        }
        for output in 0..unfolding.graph.outputs.len() {
            let edge = unfolding.graph.outputs[output].edge;
            unfolding.graph.outputs[output].edge = edge.map(|edge| unfolding.canonical(edge));
        }
        unfolding
    }

    fn canonical(&self, edge: Edge) -> Edge {
        Edge { node: self.same[edge.node.0 as usize], index: edge.index }
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

    /// A text with its parameters, and which those are.
    pub(super) fn text(&self, text: &str, at: Span) -> (Str, Vec<String>) {
        let is_marked = |mark: &String| text.contains(mark.as_str());
        if !self.marks.values().any(is_marked) {
            return (Str { kind: StrKind::Lit(Text(text.as_bytes().to_vec())), span: at }, Vec::new());
        }
        let mut raw: String =
            text.chars().flat_map(|c| ['\\'].into_iter().filter(move |_| "\\$\"'".contains(c)).chain([c])).collect();
        let mut names = Vec::new();
        for (name, mark) in self.marks {
            if raw.contains(mark.as_str()) {
                raw = raw.replace(mark.as_str(), &format!("${{{name}}}"));
                names.push(name.clone());
            }
        }
        (Str { kind: StrKind::Word { raw: Text(raw.into_bytes()), escape: b'\\' }, span: at }, names)
    }

    /// The mark of a parameter.
    pub(super) fn mark(&self, name: &str) -> Option<String> {
        self.marks.get(name).cloned()
    }

    pub(super) fn is_marked(&self, text: &str) -> bool {
        self.marks.values().any(|mark| text.contains(mark.as_str()))
    }

    /// The parameter whose mark a text is, if its name is `name`.
    pub(super) fn parameter(&self, name: &str, text: &str) -> Option<Param> {
        let is_it = self.marks.get(name).is_some_and(|mark| mark == text);
        self.params.get(name).filter(|_| is_it).map(|param| (*param).clone())
    }

    pub(super) fn declared(&self, name: &str) -> Option<Param> {
        self.params.get(name).map(|param| (*param).clone())
    }

    /// Every stage: those that others use, in the order of the vertices, then the targets.
    fn defs(&mut self, targets: &[Target<'_>]) -> Vec<Def> {
        let ends: Vec<Option<Edge>> = self.graph.outputs.iter().map(|output| output.edge).collect();
        let shared = self.shared(&ends);
        let mut defs = Vec::new();
        for edge in shared {
            let (steps, settings) = self.chain(Some(edge), None);
            // What cannot be said at all is no stage.
            if steps.len() < 2 {
                continue;
            }
            let (name, span) = (self.name_of(edge.node), self.span(edge.node));
            defs.push(def(&name, span, steps));
            self.stages.insert(edge, Known { name, settings });
        }
        for (target, edge) in targets.iter().zip(ends) {
            let Some(plan) = &target.outcome.plan else { continue };
            if !plan.exports.is_empty() {
                self.say_not(target.name.span, "what a function sends away (push, load, download)");
            }
            let image = result(plan).and_then(|output| ImageConfig::from_json(&output.image).ok()).unwrap_or_default();
            let (mut steps, mut settings) = self.chain(edge, Some(&image.config));
            settings.tell(self, &image.config, target.name.span, &mut steps);
            defs.push(def(&target.name.text, target.def.span, steps));
        }
        defs
    }

    /// Results that are stages of their own, in the order of their vertices.
    fn shared(&self, ends: &[Option<Edge>]) -> Vec<Edge> {
        let mut main: BTreeMap<Edge, usize> = BTreeMap::new();
        let mut beside = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut open: Vec<Edge> = ends.iter().flatten().copied().collect();
        for end in &open {
            *main.entry(*end).or_default() += 1;
        }
        while let Some(edge) = open.pop() {
            if !seen.insert(edge.node) {
                continue;
            }
            let (below, others) = (self.below(edge.node), self.others(edge.node));
            if let Some(below) = below {
                *main.entry(below).or_default() += 1;
            }
            open.extend(below.into_iter().chain(others.iter().copied()));
            beside.extend(others);
        }
        let several = main.into_iter().filter(|(_, uses)| *uses > 1).map(|(edge, _)| edge);
        let all: BTreeSet<Edge> = several.chain(beside).filter(|edge| self.is_step(edge.node)).collect();
        all.into_iter().collect()
    }

    /// Whether a vertex is a step, and no source.
    fn is_step(&self, id: NodeId) -> bool {
        !matches!(self.node(id).op, llb::Op::Source(_))
    }

    /// The result that a vertex changes.
    fn below(&self, id: NodeId) -> Option<Edge> {
        let node = self.node(id);
        let input = match &node.op {
            llb::Op::Exec(exec) => exec.mounts.iter().find(|mount| mount.dest == "/")?.input,
            llb::Op::File(actions) => actions.first()?.input,
            llb::Op::Merge(_) if self.linked(id).is_some() => 0,
            _ => return None,
        };
        node.inputs.get(usize::try_from(input).ok()?).copied()
    }

    /// Further results that a vertex uses.
    fn others(&self, id: NodeId) -> Vec<Edge> {
        let node = self.node(id);
        let input = |at: i64| node.inputs.get(usize::try_from(at).ok()?).copied();
        match &node.op {
            llb::Op::Exec(exec) => {
                let mounts = exec.mounts.iter().filter(|mount| mount.dest != "/");
                mounts
                    .filter(|mount| mount.kind == llb::MountKind::Bind)
                    .filter_map(|mount| input(mount.input))
                    .collect()
            }
            llb::Op::File(actions) => {
                let copied = actions.iter().filter_map(|action| input(action.secondary_input));
                copied.filter(|edge| self.document(*edge).is_none()).collect()
            }
            llb::Op::Merge(_) => self.linked(id).map(|copy| self.others(copy)).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// The copy that a vertex lays over another as a layer of its own.
    pub(super) fn linked(&self, id: NodeId) -> Option<NodeId> {
        let node = self.node(id);
        let ([_, over], llb::Op::Merge(positions)) = (&node.inputs[..], &node.op) else { return None };
        let llb::Op::File(actions) = &self.node(over.node).op else { return None };
        let is_copy = actions.iter().all(|action| matches!(action.kind, FileActionKind::Copy(_)));
        let stands_alone = actions.first().is_some_and(|action| action.input == -1);
        (positions[..] == [0, 1] && is_copy && stands_alone).then_some(over.node)
    }

    /// The file that a result is all of: its name and its content.
    pub(super) fn document(&self, edge: Edge) -> Option<(&str, &[u8])> {
        let llb::Op::File(actions) = &self.node(edge.node).op else { return None };
        let [action] = &actions[..] else { return None };
        let FileActionKind::Mkfile { path, mode: 0o644, data, owner: None, timestamp: -1 } = &action.kind else {
            return None;
        };
        let name = path.strip_prefix('/').filter(|name| !name.is_empty() && !name.contains('/'));
        name.filter(|_| action.input == -1).map(|name| (name, &data[..]))
    }

    /// The steps to a result, and how things stand after them. `told` is what its image is told, if that is wanted.
    fn chain(&mut self, end: Option<Edge>, told: Option<&ContainerConfig>) -> (Vec<Step>, Settings) {
        let (base, nodes) = self.way(end);
        let (first, mut settings) = self.start(&base);
        let mut steps = vec![first];
        for (at, id) in nodes.iter().enumerate() {
            let next = nodes[at + 1..].iter().find_map(|id| settings::wanted(self.node(*id)));
            let next = next.or_else(|| told.map(settings::Wanted::of_image));
            self.vertex(*id, next.as_ref(), &mut settings, &mut steps);
        }
        (steps, settings)
    }

    /// The base of a result, and the vertices from there on.
    fn way(&self, end: Option<Edge>) -> (Base, Vec<NodeId>) {
        let mut nodes = Vec::new();
        let mut at = end;
        let base = loop {
            let Some(edge) = at else { break Base::Nothing };
            if self.stages.contains_key(&edge) {
                break Base::Stage(edge);
            }
            let id = edge.node;
            match &self.node(id).op {
                llb::Op::Source(source) if source.identifier.starts_with("docker-image://") => break Base::Image(id),
                llb::Op::Source(source) if source.identifier.starts_with("local://") => {
                    break Base::Other(id, "a directory of the client as what a stage starts from");
                }
                llb::Op::Source(_) => break Base::Other(id, "an address as what a stage starts from"),
                llb::Op::Exec(_) if edge.index > 0 => break Base::Other(id, "the files of a mount as a value"),
                llb::Op::Merge(_) if self.linked(id).is_none() => {
                    break Base::Other(id, "filesystems that are laid over each other");
                }
                llb::Op::Diff(_) => break Base::Other(id, "the difference of two filesystems"),
                llb::Op::Build(_) | llb::Op::Passthrough(_) => break Base::Other(id, "a build in a build"),
                llb::Op::Exec(_) | llb::Op::File(_) | llb::Op::Merge(_) => nodes.push(id),
            }
            at = self.below(id);
        };
        nodes.reverse();
        (base, nodes)
    }

    fn start(&mut self, base: &Base) -> (Step, Settings) {
        let from = |name: &str, span| {
            let name = Str { kind: StrKind::Lit(Text(name.as_bytes().to_vec())), span };
            steps::step(Op::From(name), Vec::new(), span)
        };
        match base {
            Base::Nothing => (from("scratch", Span::default()), Settings::of_nothing()),
            Base::Stage(edge) => {
                let known = &self.stages[edge];
                (from(&known.name, self.span(edge.node)), known.settings.below_others())
            }
            Base::Other(id, what) => {
                let at = self.span(*id);
                self.say_not(at, what);
                (from("scratch", at), Settings::of_nothing())
            }
            Base::Image(id) => {
                let (at, platform) = (self.span(*id), self.node(*id).platform.clone());
                let (reference, params) = self.text(&self.image_name(*id).unwrap_or_default(), at);
                for name in params {
                    if let Some(param) = self.declared(&name).filter(|param| !self.head.contains(param)) {
                        self.head.push(param);
                    }
                }
                let settings = self.image_settings(*id);
                let own = platform.filter(|platform| **platform != self.platform);
                let own = own.map(|platform| {
                    let name = Str { kind: StrKind::Lit(Text(platform.to_string().into_bytes())), span: at };
                    ast::Opt { kind: OptKind::Platform(name), span: at }
                });
                (steps::step(Op::From(reference), own.into_iter().collect(), at), settings)
            }
        }
    }

    /// The name of the image that a vertex is.
    fn image_name(&self, id: NodeId) -> Option<String> {
        let llb::Op::Source(source) = &self.node(id).op else { return None };
        let name = source.identifier.strip_prefix("docker-image://")?;
        let short = name.strip_prefix("docker.io/library/").or_else(|| name.strip_prefix("docker.io/")).unwrap_or(name);
        let short = short.strip_suffix(":latest").filter(|rest| !rest.contains('@')).unwrap_or(short);
        let is_stage = |known: &str| known.eq_ignore_ascii_case(short);
        let means_a_stage = short.bytes().all(|b| b.is_ascii_digit())
            || self.names.iter().any(|known| is_stage(known))
            || self.functions.iter().any(|(_, known)| is_stage(known));
        Some(if means_a_stage { format!("docker.io/library/{short}") } else { short.to_owned() })
    }

    fn image_settings(&self, id: NodeId) -> Settings {
        let llb::Op::Source(source) = &self.node(id).op else { return Settings::of_nothing() };
        let reference = source.identifier.trim_start_matches("docker-image://").to_owned();
        let platform = self.node(id).platform.as_deref().unwrap_or(&self.platform).clone();
        let question = crate::Question::Image { reference, platform, mode: crate::ResolveMode::Default };
        let config = match self.world.answer(&[question]).pop() {
            Some(Ok(crate::Answer::Image(image))) => ImageConfig::from_json(&image.config).unwrap_or_default(),
            _ => ImageConfig::default(),
        };
        Settings::of_image(config.config)
    }

    /// Where something of another result is found; `None` when there is no word for it, which is said.
    pub(super) fn place(&mut self, edge: Option<Edge>, user: NodeId) -> Option<Place> {
        let edge = edge?;
        if let Some(known) = self.stages.get(&edge) {
            return Some(Place::Named(known.name.clone()));
        }
        let (at, by) = (self.span(edge.node), self.span(user));
        let llb::Op::Source(source) = &self.node(edge.node).op else {
            self.say_not(by, "a filesystem that is no stage");
            return None;
        };
        if let Some(path) = source.identifier.strip_prefix("local://") {
            if !self.is_own(path) {
                self.say_not(at, "a directory of the client that is not the program's own");
                return None;
            }
            if source.attrs.contains_key("local.includepattern") || source.attrs.contains_key("local.excludepatterns") {
                self.say_not(at, "patterns of what the client sends");
            }
            return Some(Place::Context);
        }
        match self.image_name(edge.node) {
            Some(name) if self.is_marked(&name) => {
                self.say_not(at, "an image to copy from whose name has a parameter in it");
                None
            }
            Some(name) => Some(Place::Named(name)),
            None => {
                self.say_not(at, "an address as a filesystem");
                None
            }
        }
    }

    /// The address that a result is the file of.
    pub(super) fn address(&self, edge: Edge) -> Option<String> {
        let llb::Op::Source(source) = &self.node(edge.node).op else { return None };
        let is_web = source.identifier.starts_with("http://") || source.identifier.starts_with("https://");
        is_web.then(|| source.identifier.clone())
    }

    /// Whether a path of the client is the directory of the program.
    fn is_own(&self, path: &str) -> bool {
        let parts = |path: &str| -> Vec<String> {
            path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
        };
        let directory = self.source.name.rsplit_once('/').map_or("", |(directory, _)| directory);
        parts(path) == parts(directory)
    }

    /// A name for a stage: that of the function it is in.
    fn name_of(&mut self, id: NodeId) -> String {
        let at = self.span(id);
        let inside = |(span, _): &&(Span, String)| span.file == at.file && span.start <= at.start && at.end <= span.end;
        let stem = self.functions.iter().find(inside).map_or("stage", |(_, name)| name.as_str()).to_lowercase();
        let mut name = stem.clone();
        let mut count = 1;
        while !self.names.insert(name.clone()) {
            name = format!("{stem}-{count}");
            count += 1;
        }
        name
    }
}

/// The result that a function is.
fn result(plan: &crate::Plan) -> Option<&crate::Output> {
    match &plan.order {
        Order::Output(at) => plan.variants(*at).first(),
        _ => plan.outputs.first(),
    }
}

fn def(name: &str, span: Span, steps: Vec<Step>) -> Def {
    Def {
        name: Some(Name { text: name.to_owned(), span }),
        alias: None,
        doc: None,
        params: Vec::new(),
        signature: None,
        body: ast::Body::Fs(steps),
        span,
    }
}
