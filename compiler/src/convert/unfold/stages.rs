//! Stages: chains of vertices with one base each.

use ast::{Def, Name, Op, OptKind, Span, Step, Str, StrKind};
use llb::{Edge, NodeId};
use oci::{ContainerConfig, ImageConfig};

use super::settings::{self, Settings};
use super::{Known, Target, Unfolding, evaluated, steps};

/// What a chain of steps starts from.
enum Base {
    Nothing,
    Image(NodeId),
    Stage(Edge),
    /// What no language of stages starts from.
    Other(NodeId, &'static str),
}

impl Unfolding<'_> {
    /// Every stage: those that others use, in the order of the vertices, then the targets.
    pub(super) fn defs(&mut self, targets: &[Target<'_>]) -> Vec<Def> {
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
            let image = evaluated::result(plan)
                .and_then(|output| ImageConfig::from_json(&output.image).ok())
                .unwrap_or_default();
            let (mut steps, mut settings) = self.chain(edge, Some(&image.config));
            settings.tell(self, &image.config, target.name.span, &mut steps);
            defs.push(def(&stage_name(&target.name.text), target.def.span, steps));
        }
        defs
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
            let name = Str { kind: StrKind::Lit(name.into()), span };
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
                    let name = Str { kind: StrKind::Lit(platform.to_string().into()), span: at };
                    ast::Opt { kind: OptKind::Platform(name), span: at }
                });
                (steps::step(Op::From(reference), own.into_iter().collect(), at), settings)
            }
        }
    }

    /// A name for a stage: that of the function it is in.
    fn name_of(&mut self, id: NodeId) -> String {
        let at = self.span(id);
        let inside = |(span, _): &&(Span, String)| span.file == at.file && span.start <= at.start && at.end <= span.end;
        let stem = self.functions.iter().find(inside).map_or("stage", |(_, name)| name.as_str());
        let stem = stage_name(stem);
        let mut name = stem.clone();
        let mut count = 1;
        while !self.names.insert(name.clone()) {
            name = format!("{stem}-{count}");
            count += 1;
        }
        name
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

/// A name that a stage can have: that of a function has signs that it cannot.
pub(super) fn stage_name(name: &str) -> String {
    let name = frontends::stage_name(name);
    if name.starts_with(|c: char| c.is_ascii_lowercase()) { name } else { format!("stage-{name}") }
}
