//! Every case is a list of events with the actions that follow from each.
//!
//! A graph is one vertex a word: `c(a,b!)` takes a and the comparable content of b, `c~` ignores the cache, `c=M(a)` does
//! the same as all that do `M` (`c=M/s(a)`: with this part of its inputs). Known keys are printed input by input, `*` marks
//! content keys: `query c k1|k2,k3*`.

mod late;

use super::*;

#[derive(Default)]
struct Sim {
    scheduler: Scheduler,
    names: Vec<String>,
    comparable: Vec<Vec<bool>>,
    same: Vec<Option<Same>>,
}

/// Plays `script`: one `event -> action; action` a line.
fn check(graph: &str, script: &str) {
    let mut sim = Sim::default();
    graph.split_whitespace().for_each(|text| sim.add(text));
    let mut actual = String::new();
    let script: Vec<_> = script.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    for line in &script {
        let event = line.split(" ->").next().unwrap();
        actual += &format!("{event} -> {}\n", sim.play(event).join("; "));
    }
    let expected: String = script.iter().map(|line| format!("{line}\n")).collect();
    let trim = |text: &str| text.lines().map(|line| line.trim_end().to_owned() + "\n").collect::<String>();
    assert_eq!(trim(&actual), trim(&expected), "\n--- actual\n{actual}");
}

impl Sim {
    fn add(&mut self, text: &str) {
        let (name, inputs) = text.trim_end_matches(')').split_once('(').unwrap_or((text, ""));
        let inputs: Vec<_> = inputs.split(',').filter(|input| !input.is_empty()).collect();
        let edges: Vec<_> = inputs.iter().map(|input| self.edge(input.trim_end_matches('!'))).collect();
        let (name, what) = name.split_once('=').map_or((name, None), |(name, what)| (name, Some(what)));
        self.scheduler.add(&edges, name.ends_with('~'));
        self.names.push(name.trim_end_matches('~').to_owned());
        self.same.push(what.map(|what| {
            let (key, selector) = what.split_once('/').unwrap_or((what, ""));
            Same { key: key.into(), selectors: vec![Some(selector.into()); inputs.len()] }
        }));
        self.comparable.push(inputs.iter().map(|input| input.ends_with('!')).collect());
    }

    fn vertex(&self, name: &str) -> VertexId {
        let found = self.names.iter().position(|known| known == name);
        VertexId(u32::try_from(found.unwrap_or_else(|| panic!("no vertex {name}"))).unwrap())
    }

    fn edge(&self, text: &str) -> Edge {
        let (name, output) = text.split_once('.').unwrap_or((text, "0"));
        Edge { vertex: self.vertex(name), output: output.parse().unwrap() }
    }

    fn play(&mut self, text: &str) -> Vec<String> {
        let mut words = text.split_whitespace();
        let (verb, rest): (&str, Vec<_>) = (words.next().unwrap(), words.collect());
        if verb == "add" {
            rest.iter().for_each(|text| self.add(text));
            return Vec::new();
        }
        let mut actions = Vec::new();
        self.scheduler.on(self.event(verb, &rest), &mut actions);
        actions.iter().map(|action| self.print(action)).collect()
    }

    fn event(&self, verb: &str, rest: &[&str]) -> Event {
        let key = |text: &&str| Key::from(*text);
        let outputs = |text: &&str| if *text == "-" { Vec::new() } else { vec![key(text)] };
        match verb {
            "want" => Event::Want(JobId(0), rest.iter().map(|text| self.edge(text)).collect()),
            "want2" => Event::Want(JobId(1), rest.iter().map(|text| self.edge(text)).collect()),
            "drop" => Event::Drop(JobId(0)),
            "drop2" => Event::Drop(JobId(1)),
            "keyed" => {
                let vertex = self.vertex(rest[0]);
                let content = self.comparable[vertex.0 as usize].clone();
                let same = self.same[vertex.0 as usize].clone();
                Event::Keyed { vertex, content, more: rest.get(1) == Some(&"more"), same }
            }
            "match" => {
                let edge = self.edge(rest[0]);
                let keys = rest[1..].iter().filter(|text| **text != "!").map(key).collect();
                let missed = vec![false; self.comparable[edge.vertex.0 as usize].len()];
                Event::Matched { edge, keys, loadable: rest.contains(&"!"), missed }
            }
            "miss" => {
                let edge = self.edge(rest[0]);
                let inputs = self.comparable[edge.vertex.0 as usize].len();
                let missed = (0..inputs).map(|input| rest[1..].contains(&&*input.to_string())).collect();
                Event::Matched { edge, keys: Vec::new(), loadable: false, missed }
            }
            "content" => {
                Event::Content { vertex: self.vertex(rest[0]), input: rest[1].parse().unwrap(), key: key(&rest[2]) }
            }
            "load" => Event::Loaded { edge: self.edge(rest[0]), found: rest[1] == "ok" },
            "ran" => Event::Ran(self.vertex(rest[0])),
            "expand" => Event::Expanded(self.vertex(rest[0]), vec![self.edge(rest[1])]),
            "saved" => Event::Saved(self.vertex(rest[0]), rest[1..].iter().map(outputs).collect()),
            "fail" => Event::Failed(
                self.vertex(rest[0]),
                match rest[1] {
                    "key" => Task::Key,
                    "run" => Task::Run,
                    input => Task::Content(input.parse().unwrap()),
                },
            ),
            _ => panic!("no event {verb}"),
        }
    }

    fn print(&self, action: &Action) -> String {
        let vertex = |id: &VertexId| self.names[id.0 as usize].clone();
        let edge = |edge: &Edge| match edge.output {
            0 => vertex(&edge.vertex),
            output => format!("{}.{output}", vertex(&edge.vertex)),
        };
        let known = |known: &[Vec<Known>]| {
            let key = |known: &Known| format!("{}{}", known.key, if known.content { "*" } else { "" });
            let input = |keys: &Vec<Known>| keys.iter().map(key).collect::<Vec<_>>().join(",");
            known.iter().map(input).collect::<Vec<_>>().join("|")
        };
        match action {
            Action::Key(id, index) => format!("key {}{index}", vertex(id)),
            Action::Query(of, keys) => format!("query {} {}", edge(of), known(keys)).trim_end().to_owned(),
            Action::Content(id, input) => format!("content {} {input}", vertex(id)),
            Action::Load(of) => format!("load {}", edge(of)),
            Action::Run(id) => format!("run {}", vertex(id)),
            Action::Adopt(id, edges) => format!("adopt {} {}", vertex(id), edge(&edges[0])),
            Action::Save(id, keys) => format!("save {} {}", vertex(id), known(keys)).trim_end().to_owned(),
            Action::Cancel(id) => format!("cancel {}", vertex(id)),
            Action::Finish(job, Outcome::Done) => format!("done {}", job.0),
            Action::Finish(job, Outcome::Failed(id)) => format!("failed {} {}", job.0, vertex(id)),
        }
    }
}

#[test]
fn a_source_that_is_new_runs() {
    check(
        "a",
        "want a -> key a0
         keyed a -> query a
         miss a -> run a
         ran a -> save a
         saved a k -> done 0",
    );
}

#[test]
fn a_definition_key_that_hits_loads_only_what_is_wanted() {
    check(
        "a b(a) c(b)",
        "want c -> key c0
         keyed c -> key b0
         keyed b -> key a0
         keyed a -> query a
         match a ka ! -> query b ka
         match b kb ! -> query c kb
         match c kc ! -> load c
         load c ok -> done 0",
    );
}

#[test]
fn a_miss_loads_the_last_hit_and_runs_from_there() {
    check(
        "a b(a) c(b)",
        "want c -> key c0
         keyed c -> key b0
         keyed b -> key a0
         keyed a -> query a
         match a ka -> query b ka
         match b kb ! -> query c kb
         miss c 0 -> load b
         load b ok -> run c
         ran c -> save c kb
         saved c kc -> done 0",
    );
}

#[test]
fn a_lost_result_is_made_again() {
    check(
        "a b(a)",
        "want b -> key b0
         keyed b -> key a0
         keyed a -> query a
         match a ka ! -> query b ka
         match b kb ! -> load b
         load b gone -> load a
         load a ok -> run b
         ran b -> save b ka
         saved b kb -> done 0",
    );
}

#[test]
fn a_key_without_result_still_leads_to_children() {
    check(
        "a b(a)",
        "want b -> key b0
         keyed b -> key a0
         keyed a -> query a
         match a ka -> query b ka
         match b kb ! -> load b
         load b ok -> done 0",
    );
}

#[test]
fn content_is_compared_only_when_the_definition_misses() {
    // s is a local directory: unknown by definition. b copies from it.
    check(
        "a s b(a,s!)",
        "want b -> key b0
         keyed b -> key a0; key s0
         keyed a -> query a
         match a ka ! ->
         keyed s -> query s
         miss s -> query b ka|
         miss b 1 -> run s
         ran s -> save s
         saved s ks -> query b ka|ks
         miss b 1 -> content b 1
         content b 1 c -> query b ka|ks,c*
         match b kb ! -> load b
         load b ok -> done 0",
    );
}

#[test]
fn a_child_is_found_through_the_content_key_of_its_input() {
    check(
        "s b(s!) c(b)",
        "want c -> key c0
         keyed c -> key b0
         keyed b -> key s0
         keyed s -> query s
         miss s -> query b
         miss b 0 -> query c
         miss c 0 -> run s
         ran s -> save s
         saved s - -> content b 0
         content b 0 k -> query b k*
         match b kb ! -> query c kb
         match c kc ! -> load c
         load c ok -> done 0",
    );
}

#[test]
fn an_answer_that_was_overtaken_by_a_key_is_no_answer_for_that_key() {
    // c copies from a onto b, which is made of a: one answer gives keys to both inputs, one after the other.
    check(
        "s a(s!) b(a) c(b,a) d(c)",
        "want d -> key d0
         keyed d -> key c0
         keyed c -> key b0; key a0
         keyed b ->
         keyed a -> key s0
         keyed s -> query s
         miss s -> query a
         miss a 0 -> query b
         miss b 0 -> query c |
         miss c 0 1 -> query d
         miss d 0 -> run s
         ran s -> save s
         saved s - -> content a 0
         content a 0 k -> query a k*
         match a ka ! -> query b ka; query c |ka
         match b kb ! ->
         miss c 0 -> query c kb|ka
         match c kc ! -> query d kc
         match d kd ! -> load d
         load d ok -> done 0",
    );
}

#[test]
fn when_no_match_is_possible_inputs_run_in_parallel_and_contents_are_computed_beside() {
    check(
        "a s b(a,s!)",
        "want b -> key b0
         keyed b -> key a0; key s0
         keyed a -> query a
         miss a ->
         keyed s -> query s
         miss s -> query b |
         miss b 0 1 -> run a; run s
         ran s -> save s
         saved s ks -> content b 1
         ran a -> save a
         saved a ka -> run b
         ran b ->
         content b 1 c -> save b ka|ks,c*
         saved b kb -> done 0",
    );
}

#[test]
fn a_second_key_of_a_source_is_asked_for_when_the_first_leads_nowhere() {
    check(
        "a b(a)",
        "want b -> key b0
         keyed b -> key a0
         keyed a more -> query a
         miss a -> query b
         miss b 0 -> key a1
         keyed a -> query a
         match a chain -> query b chain
         match b kb ! -> load b
         load b ok -> done 0",
    );
}

#[test]
fn all_keys_of_a_source_are_known_before_it_runs() {
    check(
        "a",
        "want a -> key a0
         keyed a more -> query a
         miss a -> key a1
         keyed a -> query a
         miss a -> run a",
    );
}

#[test]
fn an_ignored_cache_is_neither_read_nor_shown_to_children() {
    check(
        "a b~(a) c(b)",
        "want c -> key c0
         keyed c -> key b0
         keyed b -> query c
         miss c 0 -> key a0
         keyed a -> query a
         match a ka ! -> load a
         load a ok -> run b
         ran b -> save b ka
         saved b kb -> run c
         ran c -> save c kb
         saved c kc -> done 0",
    );
}

#[test]
fn a_vertex_that_two_want_runs_once() {
    check(
        "a b(a) c(a) d(b,c)",
        "want d -> key d0
         keyed d -> key b0; key c0
         keyed b -> key a0
         keyed c ->
         keyed a -> query a
         miss a -> query b; query c
         miss b 0 ->
         miss c 0 -> query d |
         miss d 0 1 -> run a
         ran a -> save a
         saved a ka -> run b; run c
         ran c -> save c ka
         saved c kc ->
         ran b -> save b ka
         saved b kb -> run d",
    );
}

#[test]
fn two_jobs_share_and_end_apart() {
    check(
        "a b(a)",
        "want a -> key a0
         want2 b -> key b0
         keyed b ->
         keyed a -> query a
         miss a -> run a; query b
         miss b 0 ->
         ran a -> save a
         saved a ka -> done 0; run b
         ran b -> save b ka
         saved b kb -> done 1",
    );
}

#[test]
fn one_run_serves_all_outputs() {
    check(
        "a b(a) c(b,b.1)",
        "want c -> key c0
         keyed c -> key b0
         keyed b -> key a0
         keyed a -> query a
         miss a -> query b; query b.1
         miss b 0 ->
         miss b.1 0 -> query c |
         miss c 0 1 -> run a
         ran a -> save a
         saved a ka -> run b
         ran b -> save b ka
         saved b k0 k1 -> run c",
    );
}

#[test]
fn an_output_found_does_not_wait_for_another_that_runs() {
    check(
        "a b(a) c(b) d(b.1)",
        "want c -> key c0
         want2 d -> key d0
         keyed c -> key b0
         keyed d ->
         keyed b -> key a0
         keyed a -> query a
         match a ka ! -> query b ka; query b.1 ka
         match b kb ! -> query c kb
         match c kc ! -> load c
         miss b.1 0 -> query d
         load c ok -> done 0
         miss d 0 -> load a
         load a ok -> run b",
    );
}

#[test]
fn a_failure_stops_the_rest() {
    check(
        "a b c(a,b)",
        "want c -> key c0
         keyed c -> key a0; key b0
         keyed a -> query a
         keyed b -> query b
         miss a ->
         miss b -> query c |
         miss c 0 1 -> run a; run b
         fail a run -> failed 0 a; cancel b
         fail b run ->",
    );
}

#[test]
fn a_job_that_wants_what_has_failed_hears_of_it_once() {
    check(
        "a b",
        "want a -> key a0
         fail a key -> failed 0 a
         want2 a b -> failed 1 a",
    );
}

#[test]
fn a_failure_nobody_needs_fails_nobody() {
    // b is looked up by the content of s when the job has gone.
    check(
        "a b(a) c",
        "want b -> key b0
         want2 c -> key c0
         keyed b -> key a0
         drop -> cancel a
         fail a key ->
         keyed c -> query c
         miss c -> run c",
    );
}

#[test]
fn a_match_cancels_what_was_begun_for_it() {
    // Once c is found by the content of b, what a was doing is no longer needed.
    check(
        "a b c(a!,b!)",
        "want c -> key c0
         keyed c -> key a0; key b0
         keyed a -> query a
         keyed b -> query b
         match a ka ->
         match b kb -> query c ka|kb
         miss c -> run a; run b
         ran b -> save b
         saved b kb -> content c 1
         content c 1 k -> query c ka|kb,k*
         match c kc ! -> cancel a; load c
         fail a run ->
         load c ok -> done 0",
    );
}

#[test]
fn what_was_cancelled_and_is_wanted_again_starts_again_after_it_ended() {
    check(
        "a",
        "want a -> key a0
         keyed a -> query a
         miss a -> run a
         drop -> cancel a
         want2 a ->
         fail a run -> run a
         ran a -> save a
         saved a ka -> done 1",
    );
}

#[test]
fn what_was_cancelled_but_succeeded_counts() {
    check(
        "a",
        "want a -> key a0
         keyed a -> query a
         miss a -> run a
         drop -> cancel a
         want2 a ->
         ran a -> save a
         saved a ka -> done 1",
    );
}

#[test]
fn a_content_key_that_fails_names_the_failure_even_when_the_run_fails_first() {
    check(
        "s b(s!)",
        "want b -> key b0
         keyed b -> key s0
         keyed s -> query s
         miss s -> query b
         miss b 0 -> run s
         ran s -> save s
         saved s - -> content b 0
         fail b 0 -> failed 0 b",
    );
    check(
        "a s b(a,s!)",
        "want b -> key b0
         keyed b -> key a0; key s0
         keyed a -> query a
         miss a ->
         keyed s -> query s
         miss s -> query b |
         miss b 0 1 -> run a; run s
         ran s -> save s
         saved s ks -> content b 1
         ran a -> save a
         saved a ka -> run b
         fail b run ->
         fail b 1 -> failed 0 b",
    );
}

#[test]
fn a_nested_build_hands_over_its_results() {
    check(
        "a b(a)",
        "want b -> key b0
         keyed b -> key a0
         keyed a -> query a
         match a ka ! -> query b ka
         miss b 0 -> load a
         load a ok -> run b
         add x ->
         expand b x -> key x0
         keyed x -> query x
         miss x -> run x
         ran x -> save x
         saved x kx -> adopt b x
         ran b -> save b ka
         saved b kb -> done 0",
    );
}

#[test]
fn a_nested_build_that_fails_fails_the_outer_one() {
    check(
        "b",
        "want b -> key b0
         keyed b -> query b
         miss b -> run b
         add x ->
         expand b x -> key x0
         fail x key -> failed 0 x",
    );
}

/// The events that make `b` and `c`, two copies from the same `a`, both ready to run.
const BOTH_MISS: &str = "
         want b -> key b0
         want2 c -> key c0
         keyed b -> key a0
         keyed c ->
         keyed a -> query a
         match a ka ! -> query b ka; query c ka
         miss b 0 -> load a
         miss c 0 ->
         load a ok -> run b";

#[test]
fn what_does_the_same_as_one_that_runs_takes_over_its_results() {
    check(
        "a b=M(a) c=M(a)",
        &format!(
            "{BOTH_MISS}
         ran b -> save b ka
         saved b kb -> done 0; adopt c b
         ran c -> save c ka
         saved c kb -> done 1"
        ),
    );
}

#[test]
fn another_part_of_the_same_input_is_not_the_same() {
    check("a b=M/x(a) c=M/y(a)", &format!("{BOTH_MISS}; run c"));
}

#[test]
fn equal_content_of_different_inputs_is_the_same() {
    check(
        "a s b=M/x(a!) c=M/y(s!)",
        "want b -> key b0
         want2 c -> key c0
         keyed b -> key a0
         keyed c -> key s0
         keyed a -> query a
         keyed s -> query s
         miss a -> query b
         miss s -> query c
         miss b 0 -> run a
         miss c 0 -> run s
         ran a -> save a
         saved a ka -> query b ka
         miss b 0 -> content b 0
         content b 0 k -> query b ka,k*
         miss b 0 -> run b
         ran s -> save s
         saved s ks -> query c ks
         miss c 0 -> content c 0
         content c 0 k -> query c ks,k*
         miss c 0 ->
         ran b -> save b ka,k*
         saved b kb -> done 0; adopt c b
         ran c -> save c ks,k*
         saved c kb -> done 1",
    );
}

#[test]
fn what_another_follows_is_not_cancelled_when_its_job_goes() {
    check(
        "a b=M(a) c=M(a)",
        &format!(
            "{BOTH_MISS}
         drop ->
         ran b -> save b ka
         saved b kb -> adopt c b
         ran c -> save c ka
         saved c kb -> done 1"
        ),
    );
}

#[test]
fn a_follower_that_nobody_wants_lets_go_of_what_it_follows() {
    check(
        "a b=M(a) c=M(a)",
        &format!(
            "{BOTH_MISS}
         drop2 ->
         drop -> cancel b
         fail b run ->"
        ),
    );
}

#[test]
fn a_failure_ends_those_that_follow_too() {
    check("a b=M(a) c=M(a)", &format!("{BOTH_MISS}\nfail b run -> failed 0 b; failed 1 b"));
}

#[test]
fn what_ignores_the_cache_does_not_follow_what_reads_it() {
    check(
        "a b=M(a) c~=M(a)",
        "want b -> key b0
         want2 c -> key c0
         keyed b -> key a0
         keyed c ->
         keyed a -> query a
         match a ka ! -> load a; query b ka
         miss b 0 ->
         load a ok -> run b; run c",
    );
}

#[test]
fn what_has_failed_is_not_followed_though_it_still_runs() {
    check(
        "a s b=M(a,s!) c=M(a,s!)",
        "want b -> key b0
         keyed b -> key a0; key s0
         keyed a -> query a
         keyed s -> query s
         match a ka ! ->
         match s ks ! -> query b ka|ks
         miss b 0 1 -> load a; load s
         load a ok ->
         load s ok -> content b 1; run b
         fail b 1 -> failed 0 b; cancel b
         want2 c -> key c0
         keyed c -> query c ka|ks
         miss c 0 1 -> content c 1; run c
         fail b run ->",
    );
}

#[test]
fn what_is_being_cancelled_is_not_followed() {
    check(
        "a b=M(a) c=M(a)",
        "want b -> key b0
         keyed b -> key a0
         keyed a -> query a
         match a ka ! -> query b ka
         miss b 0 -> load a
         load a ok -> run b
         drop -> cancel b
         want2 c -> key c0
         keyed c -> query c ka
         miss c 0 -> run c
         fail b run ->
         ran c -> save c ka
         saved c kc -> done 1",
    );
}

/// Answers every action at once, as a cache that has everything or nothing would; returns how many actions there were.
fn play_out(scheduler: &mut Scheduler, wanted: Edge, cached: bool) -> usize {
    let (mut actions, mut count) = (Vec::new(), 0);
    let mut events = VecDeque::from([Event::Want(JobId(0), vec![wanted])]);
    while let Some(event) = events.pop_front() {
        scheduler.on(event, &mut actions);
        count += actions.len();
        for action in actions.drain(..) {
            events.extend(match action {
                Action::Key(vertex, _) => {
                    Some(Event::Keyed { vertex, content: vec![true; 9], more: false, same: None })
                }
                Action::Query(edge, known) => {
                    let keys = if cached { vec![Key::from("k")] } else { Vec::new() };
                    Some(Event::Matched { edge, keys, loadable: cached, missed: vec![!cached; known.len()] })
                }
                Action::Content(vertex, input) => Some(Event::Content { vertex, input, key: "c".into() }),
                Action::Load(edge) => Some(Event::Loaded { edge, found: true }),
                Action::Run(vertex) | Action::Adopt(vertex, _) => Some(Event::Ran(vertex)),
                Action::Save(vertex, _) => Some(Event::Saved(vertex, vec![vec!["s".into()]])),
                Action::Cancel(_) | Action::Finish(..) => None,
            });
        }
    }
    assert!(scheduler.is_done(wanted));
    count
}

#[test]
fn work_grows_with_the_graph_and_no_faster() {
    for cached in [true, false] {
        // A chain, and beside it as many vertices that only the last one wants.
        let mut scheduler = Scheduler::default();
        let first = Edge { vertex: scheduler.add(&[], false), output: 0 };
        let mut last = first;
        let mut inputs = Vec::new();
        for _ in 0..10_000 {
            last = Edge { vertex: scheduler.add(&[last], false), output: 0 };
            inputs.push(Edge { vertex: scheduler.add(&[first], false), output: 0 });
        }
        inputs.push(last);
        let wanted = Edge { vertex: scheduler.add(&inputs[9_992..], false), output: 0 };
        let started = std::time::Instant::now();
        let actions = play_out(&mut scheduler, wanted, cached);
        assert!(actions < 6 * 20_000, "{actions} actions");
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    }
}
