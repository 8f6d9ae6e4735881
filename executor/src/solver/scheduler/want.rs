//! Who wants what: jobs want edges, vertices want edges of their inputs. What nobody wants any more is stopped, and a
//! failure ends the jobs that wanted it, however far away.

use super::*;

impl Scheduler {
    pub(super) fn want(&mut self, job: JobId, edges: Vec<Edge>) {
        self.jobs.insert(job, edges.clone());
        for edge in edges {
            // It may have ended with an earlier edge, which failed before.
            if !self.jobs.contains_key(&job) {
                return;
            }
            self.output_mut(edge).jobs.insert(job);
            self.raise_goal(edge, Level::Done);
        }
        self.finish_if_done(job);
    }

    pub(super) fn drop_job(&mut self, job: JobId) {
        for edge in self.jobs.remove(&job).unwrap_or_default() {
            self.output_mut(edge).jobs.remove(&job);
            self.abandon_unwanted(vec![edge]);
        }
    }

    /// Wants an edge to get to a level, for a vertex.
    pub(super) fn raise(&mut self, edge: Edge, goal: Level, by: VertexId) {
        self.output_mut(edge).waiters.insert(by);
        self.raise_goal(edge, goal);
    }

    fn raise_goal(&mut self, edge: Edge, goal: Level) {
        let output = self.output_mut(edge);
        if output.goal < goal {
            output.goal = goal;
            self.enqueue(edge.vertex);
        }
        if self.vertex(edge.vertex).failed {
            self.fail(edge.vertex);
        }
    }

    /// Lets go of a vertex's inputs when all that is wanted of it was found or is done.
    pub(super) fn release_unneeded(&mut self, id: VertexId) {
        let is_settled = |output: &Output| match output.level {
            Level::Done => true,
            Level::Slow if !output.keys.is_empty() => output.loadable || output.goal < Level::Done,
            _ => !output.is_wanted(),
        };
        if self.vertex(id).outputs.iter().all(is_settled) {
            self.release(id);
        }
    }

    /// Lets go of all that a vertex wants.
    fn release(&mut self, id: VertexId) {
        let edges = self.wanted_by(id);
        for edge in &edges {
            self.output_mut(*edge).waiters.remove(&id);
        }
        self.abandon_unwanted(edges);
    }

    fn wanted_by(&self, id: VertexId) -> Vec<Edge> {
        let vertex = self.vertex(id);
        let expanded = if let Run::Expanded(edges) = &vertex.run { &edges[..] } else { &[] };
        vertex.inputs.iter().map(|input| input.edge).chain(expanded.iter().copied()).collect()
    }

    /// Stops vertices whose edges nobody wants any more, and lets go of what they want in turn.
    fn abandon_unwanted(&mut self, mut edges: Vec<Edge>) {
        while let Some(edge) = edges.pop() {
            let output = self.output_mut(edge);
            if output.is_wanted() {
                continue;
            }
            output.goal = output.level;
            if self.vertex(edge.vertex).outputs.iter().any(Output::is_wanted) {
                continue;
            }
            let id = edge.vertex;
            if self.is_busy(id) && !std::mem::replace(&mut self.vertex_mut(id).cancelled, true) {
                self.actions.push(Action::Cancel(id));
            }
            let wanted = self.wanted_by(id);
            edges.extend(wanted.into_iter().filter(|edge| self.output_mut(*edge).waiters.remove(&id)));
        }
    }

    /// A vertex failed for good: the jobs that want it, through whatever vertices, end.
    pub(super) fn fail(&mut self, id: VertexId) {
        self.vertex_mut(id).failed = true;
        self.runs_no_more(id);
        let mut jobs = BTreeSet::new();
        let (mut seen, mut open) = (BTreeSet::from([id]), vec![id]);
        while let Some(id) = open.pop() {
            for output in &self.vertex(id).outputs {
                jobs.extend(output.jobs.iter().copied());
                open.extend(output.waiters.iter().copied().filter(|waiter| seen.insert(*waiter)));
            }
        }
        for job in jobs {
            self.actions.push(Action::Finish(job, Outcome::Failed(id)));
            self.drop_job(job);
        }
    }

    /// Ends the jobs for which an edge was the last.
    pub(super) fn finish_jobs(&mut self, edge: Edge) {
        let jobs: Vec<_> = self.output_mut(edge).jobs.iter().copied().collect();
        jobs.into_iter().for_each(|job| self.finish_if_done(job));
    }

    fn finish_if_done(&mut self, job: JobId) {
        if self.jobs.get(&job).is_some_and(|edges| edges.iter().all(|edge| self.is_done(*edge))) {
            self.actions.push(Action::Finish(job, Outcome::Done));
            self.drop_job(job);
        }
    }
}

impl Output {
    pub(super) fn is_wanted(&self) -> bool {
        !self.waiters.is_empty() || !self.jobs.is_empty()
    }

    /// Whether nothing has to be compared for it any more: it is there, or under a key, or nobody wants it.
    pub(super) fn is_found(&self) -> bool {
        self.level == Level::Done || !self.keys.is_empty() || !self.is_wanted()
    }
}
