//! What vertices are to each other: which one changes, which it uses, and which several use.

use std::collections::{BTreeMap, BTreeSet};

use llb::{Edge, FileActionKind, NodeId};

use super::Unfolding;

impl Unfolding<'_> {
    pub(super) fn canonical(&self, edge: Edge) -> Edge {
        Edge { node: self.same[edge.node.0 as usize], index: edge.index }
    }

    /// Results that are stages of their own, in the order of their vertices.
    pub(super) fn shared(&self, ends: &[Option<Edge>]) -> Vec<Edge> {
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
    pub(super) fn is_step(&self, id: NodeId) -> bool {
        !matches!(self.node(id).op, llb::Op::Source(_))
    }

    /// The result that a vertex changes.
    pub(super) fn below(&self, id: NodeId) -> Option<Edge> {
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
    pub(super) fn others(&self, id: NodeId) -> Vec<Edge> {
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
}
