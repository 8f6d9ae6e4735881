//! What ends after the world has moved on: for every action that can be under way, its end after the job was dropped, after
//! another job came instead, and after another vertex failed.

use super::check;

/// The graph in which `b` copies from `s`, with a beginning.
fn late(begin: &str, end: &str) {
    check("s b(s!)", &format!("{begin}\n{end}"));
}

const KEY: &str = "
    want b -> key b0";
const QUERY: &str = "
    want b -> key b0
    keyed b -> key s0
    keyed s -> query s";
const CONTENT: &str = "
    want b -> key b0
    keyed b -> key s0
    keyed s -> query s
    miss s -> query b
    miss b 0 -> run s
    ran s -> save s
    saved s ks -> query b ks
    miss b -> content b 0";
const LOAD: &str = "
    want b -> key b0
    keyed b -> key s0
    keyed s -> query s
    match s ks ! -> query b ks
    match b kb ! -> load b";
const RUN: &str = "
    want b -> key b0
    keyed b -> key s0
    keyed s -> query s
    miss s -> query b
    miss b 0 -> run s";
const SAVE: &str = "
    want b -> key b0
    keyed b -> key s0
    keyed s -> query s
    miss s -> query b
    miss b 0 -> run s
    ran s -> save s";

#[test]
fn a_key_that_nobody_waits_for() {
    late(
        KEY,
        "
         drop -> cancel b
         keyed b ->",
    );
    late(
        KEY,
        "
         drop -> cancel b
         fail b key ->",
    );
    late(
        KEY,
        "
         drop -> cancel b
         want2 b ->
         keyed b -> key s0",
    );
    late(
        KEY,
        "
         drop -> cancel b
         want2 b ->
         fail b key -> key b0",
    );
}

#[test]
fn an_answer_of_the_cache_that_nobody_waits_for() {
    late(
        QUERY,
        "
         drop ->
         match s ks ! ->
         want2 b -> query b ks",
    );
    late(
        QUERY,
        "
         drop ->
         miss s ->
         want2 b -> query b",
    );
    late(
        QUERY,
        "
         drop ->
         want2 b ->
         match s ks ! -> query b ks",
    );
}

#[test]
fn a_content_key_that_nobody_waits_for() {
    late(
        CONTENT,
        "
         drop -> cancel b
         content b 0 c ->
         want2 b -> query b ks,c*",
    );
    late(
        CONTENT,
        "
         drop -> cancel b
         fail b 0 ->
         want2 b -> content b 0",
    );
    late(
        CONTENT,
        "
         drop -> cancel b
         want2 b ->
         content b 0 c -> query b ks,c*",
    );
    late(
        CONTENT,
        "
         drop -> cancel b
         want2 b ->
         fail b 0 -> content b 0",
    );
}

#[test]
fn a_result_of_the_cache_that_nobody_waits_for() {
    late(
        LOAD,
        "
         drop ->
         load b ok ->
         want2 b -> done 1",
    );
    late(
        LOAD,
        "
         drop ->
         load b gone ->
         want2 b -> load s",
    );
    late(
        LOAD,
        "
         drop ->
         want2 b ->
         load b ok -> done 1",
    );
    late(
        LOAD,
        "
         drop ->
         want2 b ->
         load b gone -> load s",
    );
}

#[test]
fn a_run_that_nobody_waits_for() {
    late(
        RUN,
        "
         drop -> cancel s
         ran s -> save s
         saved s ks ->
         want2 b -> query b ks",
    );
    late(
        RUN,
        "
         drop -> cancel s
         fail s run ->
         want2 b -> run s",
    );
    late(
        RUN,
        "
         drop -> cancel s
         want2 b ->
         ran s -> save s",
    );
    late(
        RUN,
        "
         drop -> cancel s
         want2 b ->
         fail s run -> run s",
    );
    late(
        RUN,
        "
         drop -> cancel s
         want2 s ->
         fail s run -> run s
         fail s run -> failed 1 s",
    );
}

#[test]
fn what_is_saved_when_nobody_waits_for_it() {
    late(
        SAVE,
        "
         drop ->
         saved s ks ->
         want2 s -> done 1",
    );
    late(
        SAVE,
        "
         drop ->
         want2 s ->
         saved s ks -> done 1",
    );
    late(
        SAVE,
        "
         drop ->
         want2 b ->
         saved s ks -> query b ks",
    );
}

const NESTED: &str = "
    want b -> key b0
    keyed b -> query b
    miss b -> run b
    add x ->";
const NESTED_RUNS: &str = "
    expand b x -> key x0
    keyed x -> query x
    miss x -> run x";

#[test]
fn a_nested_build_that_nobody_waits_for() {
    check(
        "b",
        &format!(
            "{NESTED}
             drop -> cancel b
             expand b x ->
             want2 b -> key x0"
        ),
    );
    check(
        "b",
        &format!(
            "{NESTED}
             drop -> cancel b
             want2 b ->
             expand b x -> key x0"
        ),
    );
    check(
        "b",
        &format!(
            "{NESTED}
             expand b x -> key x0
             drop -> cancel x
             keyed x ->
             want2 b -> query x"
        ),
    );
    check(
        "b",
        &format!(
            "{NESTED}{NESTED_RUNS}
             drop -> cancel x
             want2 b ->
             fail x run -> run x"
        ),
    );
    check(
        "b",
        &format!(
            "{NESTED}{NESTED_RUNS}
             ran x -> save x
             saved x kx -> adopt b x
             drop -> cancel b
             ran b -> save b
             want2 b ->
             saved b kb -> done 1"
        ),
    );
}

/// `f` fails while `s` and `b`, which only `c` wants, are on their way.
fn beside_a_failure(events: &str) {
    check("f s b(s!) c(f,b)", events);
}

const BESIDE: &str = "
    want c -> key c0
    keyed c -> key f0; key b0
    keyed b -> key s0";
const BESIDE_RUNS: &str = "
    keyed s -> query s
    miss s -> query b
    miss b 0 ->
    keyed f -> query f
    miss f -> query c |
    miss c 0 1 -> run f; run s
    ran s -> save s";

#[test]
fn what_ends_after_a_failure_elsewhere_leads_to_nothing() {
    beside_a_failure(&format!(
        "{BESIDE}
         fail f key -> failed 0 f; cancel s
         keyed s ->"
    ));
    beside_a_failure(&format!(
        "{BESIDE}
         keyed s -> query s
         fail f key -> failed 0 f
         match s ks ! ->"
    ));
    beside_a_failure(&format!(
        "{BESIDE}
         keyed s -> query s
         match s ks ! -> query b ks
         match b kb ! ->
         keyed f -> query f
         match f kf ! -> query c kf|kb
         miss c 0 1 -> load f; load b
         load f gone -> run f
         fail f run -> failed 0 f
         load b ok ->"
    ));
    beside_a_failure(&format!(
        "{BESIDE}{BESIDE_RUNS}
         fail f run -> failed 0 f
         saved s ks ->"
    ));
    beside_a_failure(&format!(
        "{BESIDE}{BESIDE_RUNS}
         saved s ks -> query b ks
         miss b -> content b 0
         fail f run -> failed 0 f; cancel b
         content b 0 k ->"
    ));
}

#[test]
fn an_output_that_is_asked_for_while_the_vertex_is_saved_for_another_is_there_with_it() {
    check(
        "b c(b) d(b.1)",
        "want c -> key c0
         keyed c -> key b0
         keyed b -> query b
         miss b -> query c
         miss c 0 -> run b
         ran b -> save b
         want2 d -> key d0
         keyed d ->
         saved b k0 k1 -> run c; query d k1",
    );
}

#[test]
fn what_the_cache_said_of_an_output_does_not_count_once_the_vertex_has_run() {
    check(
        "b c(b) d(b.1)",
        "want c -> key c0
         keyed c -> key b0
         keyed b -> query b
         miss b -> query c
         miss c 0 -> run b
         want2 d -> key d0
         keyed d -> query b.1
         ran b -> save b
         saved b k0 k1 -> run c; query d k1
         match b.1 old ! ->",
    );
}

#[test]
fn a_result_that_is_lost_beside_another_output_that_is_loaded() {
    check(
        "b c(b,b.1)",
        "want c -> key c0
         keyed c -> key b0
         keyed b -> query b; query b.1
         match b k0 ! ->
         match b.1 k1 ! -> query c k0|k1
         miss c -> load b; load b.1
         load b gone -> run b
         load b.1 ok ->
         ran b -> save b
         saved b k0 k1 -> run c",
    );
}

#[test]
fn a_content_key_that_fails_when_the_vertex_was_found_by_another_fails_nobody() {
    check(
        "a s c(a!,s!)",
        "want c -> key c0
         keyed c -> key a0; key s0
         keyed a -> query a
         keyed s -> query s
         match a ka ! ->
         match s ks ! -> query c ka|ks
         miss c -> load a; load s
         load a ok -> content c 0
         load s ok -> content c 1
         content c 1 k -> query c ka|ks,k*
         match c kc ! -> load c
         fail c 0 ->
         load c ok -> done 0",
    );
}
