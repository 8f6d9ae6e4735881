//! What is still needed, from the jobs down: whether they ended, and what nobody wants any more.

use super::*;

impl Scheduler {
    /// Ends the jobs whose edges are done, and those that need a vertex that failed.
    pub(super) fn finish_jobs(&mut self, actions: &mut Vec<Action>) {
        let ended: Vec<_> = self.jobs.iter().filter_map(|(job, edges)| Some((*job, self.outcome(edges)?))).collect();
        for (job, outcome) in ended {
            self.jobs.remove(&job);
            actions.push(Action::Finish(job, outcome));
        }
    }

    fn outcome(&self, edges: &[Edge]) -> Option<Outcome> {
        if edges.iter().all(|edge| self.is_done(*edge)) {
            return Some(Outcome::Done);
        }
        let needed = self.needed(edges.iter().copied());
        needed.into_iter().find(|id| self.vertex(*id).failed).map(Outcome::Failed)
    }

    /// Stops what nobody needs, and forgets that it was wanted.
    pub(super) fn cancel_unwanted(&mut self, actions: &mut Vec<Action>) {
        let needed = self.needed(self.jobs.values().flatten().copied());
        for index in 0..self.vertices.len() {
            let id = VertexId(u32::try_from(index).expect("fewer than 2^32 vertices"));
            if needed.contains(&id) {
                continue;
            }
            let busy = self.is_busy(id);
            let vertex = self.vertex_mut(id);
            for output in &mut vertex.outputs {
                output.goal = output.level;
            }
            if busy && !std::mem::replace(&mut vertex.cancelled, true) {
                actions.push(Action::Cancel(id));
            }
        }
    }

    /// The vertices that have work to do for edges to become done.
    fn needed(&self, edges: impl Iterator<Item = Edge>) -> BTreeSet<VertexId> {
        let mut needed = BTreeSet::new();
        let mut open: Vec<Edge> = edges.collect();
        let mut seen: BTreeSet<Edge> = BTreeSet::new();
        while let Some(edge) = open.pop() {
            if self.is_done(edge) || !seen.insert(edge) {
                continue;
            }
            needed.insert(edge.vertex);
            let vertex = self.vertex(edge.vertex);
            match &vertex.run {
                Run::Expanded(edges) => open.extend(edges),
                _ if self.is_found(edge) => {}
                _ => open.extend(vertex.inputs.iter().map(|input| input.edge)),
            }
        }
        needed
    }

    /// Whether the cache has what is wanted of the edge, so that its inputs do not matter.
    fn is_found(&self, edge: Edge) -> bool {
        let output = self.vertex(edge.vertex).outputs.get(edge.output as usize);
        output.is_some_and(|output| !output.keys.is_empty() && (output.loadable || output.goal < Level::Done))
    }
}
