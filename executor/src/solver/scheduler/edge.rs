//! What to do next for one vertex, given how far it, its inputs and those who want it are.

use super::*;

impl Scheduler {
    /// Looks at queued vertices until nothing more follows from what is known.
    pub(super) fn settle(&mut self) {
        while let Some(id) = self.queue.pop_front() {
            self.vertex_mut(id).queued = false;
            self.step(id);
        }
    }

    fn step(&mut self, id: VertexId) {
        let vertex = self.vertex(id);
        if vertex.failed || vertex.cancelled {
            return;
        }
        match &vertex.run {
            Run::Expanded(edges) if vertex.outputs.iter().any(Output::is_wanted) => {
                return self.adopt(id, edges.clone());
            }
            Run::Ran => return self.save(id),
            Run::Failed if !self.contents_running(id) => return self.fail(id),
            Run::Expanded(_) | Run::Failed | Run::Saving | Run::Done => return,
            Run::Idle | Run::Running => {}
        }
        for output in 0..u32::try_from(vertex.outputs.len()).expect("outputs are few") {
            self.step_output(Edge { vertex: id, output });
        }
    }

    fn step_output(&mut self, edge: Edge) {
        let output = self.output_mut(edge);
        if output.level >= output.goal {
            return;
        }
        if self.vertex(edge.vertex).keyed == 0 {
            return self.compute_key(edge.vertex);
        }
        if self.output_mut(edge).level < Level::Slow {
            self.look(edge);
        }
        let output = self.output_mut(edge);
        if output.level == Level::Slow && output.goal == Level::Done {
            self.get(edge);
        }
    }

    /// Looks for the edge in the cache, as far as its goal says.
    fn look(&mut self, edge: Edge) {
        let id = edge.vertex;
        if self.vertex(id).ignore_cache {
            return self.reach(edge, Level::Slow);
        }
        self.raise_inputs(id, Level::Fast);
        if self.input_levels(id).any(|level| level < Level::Fast) || !self.is_answered(edge) {
            return;
        }
        if !self.output_mut(edge).keys.is_empty() {
            self.reach(edge, Level::Slow);
            return self.release_unneeded(id);
        }
        self.reach(edge, Level::Fast);
        if self.output_mut(edge).goal > Level::Fast {
            self.look_further(edge);
        }
    }

    /// Whether the cache has answered for all keys that are known; asks it when it has not been asked. One question is open at
    /// a time: an answer does not say to which it is.
    fn is_answered(&mut self, edge: Edge) -> bool {
        let known = self.known(edge.vertex);
        let asked = known.iter().map(Vec::len).chain([self.vertex(edge.vertex).keyed]).collect();
        let output = self.output_mut(edge);
        if output.asked.as_ref() == Some(&asked) {
            return output.answered;
        }
        if output.asked.is_some() && !output.answered {
            return false;
        }
        output.asked = Some(asked);
        output.answered = false;
        self.actions.push(Action::Query(edge, known));
        false
    }

    /// Nothing was found under the keys that are known: gets more keys, from the most promising inputs first.
    fn look_further(&mut self, edge: Edge) {
        let id = edge.vertex;
        if self.vertex(id).more_keys {
            return self.compute_key(id);
        }
        let missed = self.output_mut(edge).missed.clone();
        let missed = |input: usize| missed.get(input).copied().unwrap_or(true);
        let (exhausted, open): (Vec<_>, Vec<_>) =
            (0..self.vertex(id).inputs.len()).partition(|input| self.is_exhausted(id, *input));
        if open.is_empty() || exhausted.into_iter().any(missed) {
            return self.reach(edge, Level::Slow);
        }
        let first: Vec<_> = open.iter().copied().filter(|input| missed(*input)).collect();
        for input in if first.is_empty() { open } else { first } {
            self.look_at_input(id, input);
        }
    }

    /// Whether an input has been looked at in every way.
    fn is_exhausted(&self, id: VertexId, input: usize) -> bool {
        let input = &self.vertex(id).inputs[input];
        self.level(input.edge) >= Level::Slow && (!input.comparable || input.content.is_some())
    }

    fn look_at_input(&mut self, id: VertexId, index: usize) {
        let input = &self.vertex(id).inputs[index];
        match self.level(input.edge) {
            Level::Nothing | Level::Fast => self.raise(input.edge, Level::Slow, id),
            Level::Slow => self.raise(input.edge, Level::Done, id),
            Level::Done => self.compare(id, index),
        }
    }

    /// Gets the result, from the cache or by running.
    fn get(&mut self, edge: Edge) {
        let output = self.output_mut(edge);
        let matched = !output.keys.is_empty();
        if matched && output.loadable {
            if !std::mem::replace(&mut output.loading, true) {
                self.actions.push(Action::Load(edge));
            }
            return;
        }
        let id = edge.vertex;
        if !matches!(self.vertex(id).run, Run::Idle) {
            return;
        }
        if self.vertex(id).more_keys {
            return self.compute_key(id);
        }
        self.raise_inputs(id, Level::Done);
        if !matched {
            self.compare_all(id);
        }
        if self.input_levels(id).all(|level| level == Level::Done) {
            match self.leader(id) {
                Some(leader) => self.follow(id, leader),
                None => self.begin(id),
            }
        }
    }

    fn begin(&mut self, id: VertexId) {
        if let Some(same) = &self.vertex(id).same {
            let key = same.key.clone();
            self.running.entry(key).or_default().insert(id);
        }
        self.vertex_mut(id).run = Run::Running;
        self.start(id, Task::Run);
        self.actions.push(Action::Run(id));
    }

    /// A vertex that is running and does the same. Not one that reads the cache, for one that must not.
    fn leader(&self, id: VertexId) -> Option<VertexId> {
        let vertex = self.vertex(id);
        let same = vertex.same.as_ref()?;
        let mut running = self.running.get(&same.key)?.iter().copied();
        running.find(|leader| {
            let other = self.vertex(*leader);
            let may_lead = !other.cancelled && (other.ignore_cache || !vertex.ignore_cache);
            may_lead && other.inputs.len() == vertex.inputs.len() && self.inputs_agree(id, *leader)
        })
    }

    /// Whether each input of two vertices is known by a common key: of the edge and the part that matters, or of content.
    fn inputs_agree(&self, one: VertexId, other: VertexId) -> bool {
        let selectors = |id: VertexId| &self.vertex(id).same.as_ref().expect("both may be merged").selectors;
        let (mine, theirs) = (selectors(one), selectors(other));
        let (known, other_known) = (self.known(one), self.known(other));
        known.iter().zip(&other_known).enumerate().all(|(input, (known, other))| {
            let same_part = mine.get(input) == theirs.get(input);
            known.iter().any(|key| (key.content || same_part) && other.contains(key))
        })
    }

    /// Takes over what a vertex that is running will have made. Its outputs stay wanted as long as those of the follower.
    fn follow(&mut self, id: VertexId, leader: VertexId) {
        let outputs = u32::try_from(self.vertex(id).outputs.len()).expect("outputs are few");
        let edges = (0..outputs).map(|output| Edge { vertex: leader, output }).collect();
        self.vertex_mut(id).run = Run::Expanded(edges);
        self.enqueue(id);
    }

    fn compute_key(&mut self, id: VertexId) {
        if !self.is_running(id, Task::Key) {
            self.start(id, Task::Key);
            let index = self.vertex(id).keyed;
            self.actions.push(Action::Key(id, index));
        }
    }

    /// Computes the content keys of the inputs that are done: later builds find this vertex by them.
    fn compare_all(&mut self, id: VertexId) {
        for index in 0..self.vertex(id).inputs.len() {
            if self.level(self.vertex(id).inputs[index].edge) == Level::Done {
                self.compare(id, index);
            }
        }
    }

    fn compare(&mut self, id: VertexId, index: usize) {
        let input = &self.vertex(id).inputs[index];
        let task = Task::Content(index);
        if input.comparable && input.content.is_none() && !self.is_running(id, task) {
            self.start(id, task);
            self.actions.push(Action::Content(id, index));
        }
    }

    fn contents_running(&self, id: VertexId) -> bool {
        let contents = (id, Task::Content(0))..(id, Task::Run);
        self.in_flight.range(contents).next().is_some()
    }

    /// Takes over what a nested build made, once it is all there.
    fn adopt(&mut self, id: VertexId, edges: Vec<Edge>) {
        for edge in &edges {
            self.raise(*edge, Level::Done, id);
        }
        if edges.iter().all(|edge| self.is_done(*edge)) {
            self.vertex_mut(id).run = Run::Running;
            self.start(id, Task::Run);
            self.actions.push(Action::Adopt(id, edges));
        }
    }

    fn save(&mut self, id: VertexId) {
        if !self.contents_running(id) {
            self.vertex_mut(id).run = Run::Saving;
            let known = self.known_to_save(id);
            self.actions.push(Action::Save(id, known));
        }
    }

    /// What each input may be looked up by: not by the keys of a vertex whose cache is not to be read.
    fn known(&self, id: VertexId) -> Vec<Vec<Known>> {
        let keys = |input: &Input| match self.vertex(input.edge.vertex).ignore_cache {
            true => &[][..],
            false => self.keys(input.edge),
        };
        self.vertex(id).inputs.iter().map(|input| known(keys(input), input)).collect()
    }

    fn known_to_save(&self, id: VertexId) -> Vec<Vec<Known>> {
        self.vertex(id).inputs.iter().map(|input| known(self.keys(input.edge), input)).collect()
    }

    fn keys(&self, edge: Edge) -> &[Key] {
        self.vertex(edge.vertex).outputs.get(edge.output as usize).map_or(&[], |output| &output.keys)
    }

    pub(super) fn level(&self, edge: Edge) -> Level {
        self.vertex(edge.vertex).outputs.get(edge.output as usize).map_or(Level::Nothing, |output| output.level)
    }

    fn input_levels(&self, id: VertexId) -> impl Iterator<Item = Level> {
        self.vertex(id).inputs.iter().map(|input| self.level(input.edge))
    }

    fn raise_inputs(&mut self, id: VertexId, goal: Level) {
        for index in 0..self.vertex(id).inputs.len() {
            self.raise(self.vertex(id).inputs[index].edge, goal, id);
        }
    }

    /// Gets an edge to a level, and tells those who look at it.
    fn reach(&mut self, edge: Edge, level: Level) {
        let output = self.output_mut(edge);
        if output.level < level {
            output.level = level;
            self.wake(edge);
        }
    }
}

fn known(keys: &[Key], input: &Input) -> Vec<Known> {
    let of_edge = keys.iter().map(|key| Known { key: key.clone(), content: false });
    let of_content = input.content.iter().map(|key| Known { key: key.clone(), content: true });
    of_edge.chain(of_content).collect()
}
