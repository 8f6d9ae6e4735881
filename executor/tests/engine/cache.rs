//! What is found again, and what is not.

use std::sync::Arc;

use executor::progress::Silent;
use executor::runtime::Scripted;
use executor::{Engine, Request};

use crate::bench::{Bench, definition, graph};

const CHAIN: &str = r#"
    %1 = sh(%0) "echo one > /f"
    %2 = sh(%1) "echo two > /g; date +%s%N > /now"
    output %2
    "#;

#[test]
fn a_fresh_process_finds_everything_again() {
    let bench = Bench::new();
    let first = bench.build(&graph(CHAIN)).ok();
    assert!(first.ends.values().filter(|end| *end == "ran").count() >= 3, "{first:#?}");
    let second = bench.build(&graph(CHAIN)).ok();
    let ran: Vec<_> = second.ends.iter().filter(|(_, end)| *end != "cached").map(|(name, _)| name).collect();
    assert!(ran.is_empty(), "{second:#?}");
}

#[test]
fn a_changed_step_runs_and_what_is_before_it_does_not() {
    let bench = Bench::new();
    bench.build(&graph(CHAIN)).ok();
    let changed = bench.build(&graph(&CHAIN.replace("two", "2 > /g; cat /f #"))).ok();
    assert_eq!(changed.output(), "one\n");
    assert_eq!(changed.ends["/bin/sh -c echo one > /f"], "cached");
}

#[test]
fn no_cache_runs_everything_and_renews_the_cache() {
    let bench = Bench::new();
    bench.build(&graph(CHAIN)).ok();
    let request = Request { definition: definition(&graph(CHAIN)), no_cache: true, ..Request::default() };
    let again = bench.request(request).ok();
    assert!(again.ends.values().all(|end| end == "ran"), "{again:#?}");
    let third = bench.build(&graph(CHAIN)).ok();
    assert_eq!(third.ends["/bin/sh -c echo one > /f"], "cached");
}

#[test]
fn the_runtime_is_told_once_that_processes_come_and_only_when_some_do() {
    let bench = Bench::new();
    let expected = |no_cache| {
        let runtime = Arc::new(Scripted::exiting(0));
        let engine = Engine::with_runtime(bench.path("store"), runtime.clone()).unwrap();
        let request = Request { definition: definition(&graph(CHAIN)), no_cache, ..Request::default() };
        engine.solve(&request, &Silent).unwrap();
        runtime.expected()
    };
    assert_eq!([expected(true), expected(false), expected(true)], [vec![true], vec![], vec![true]]);
}

#[test]
fn a_vertex_that_ignores_the_cache_runs_again_and_so_does_what_follows() {
    let bench = Bench::new();
    let text = graph(
        r#"
        %1 = sh(%0) "echo one > /f"
        ! ignore_cache
        %2 = sh(%1) "echo two"
        output %2
        "#,
    );
    bench.build(&text).ok();
    let again = bench.build(&text).ok();
    let ends = |name: &str| again.ends[&format!("/bin/sh -c {name}")].clone();
    assert_eq!((ends("echo one > /f"), ends("echo two")), ("ran".into(), "ran".into()));
}

#[test]
fn equal_content_from_another_step_is_found() {
    let bench = Bench::new();
    let text = |made: &str| {
        graph(&format!(
            r#"
            %1 = sh(%0) "{made}"
            %2 = file(%0, %1) copy("/out/f", "/f", base=0, from=1, to=0)
            %3 = sh(%2) "cat /f"
            output %3
            "#
        ))
    };
    bench.build(&text("mkdir /out; echo same > /out/f; echo 1 > /other")).ok();
    let second = bench.build(&text("mkdir /out; echo same > /out/f; echo 2 > /other")).ok();
    assert_eq!(second.ends["copy /out/f /f"], "cached");
    assert_eq!(second.ends["/bin/sh -c cat /f"], "cached");
    // From now on the definition is enough.
    let third = bench.build(&text("mkdir /out; echo same > /out/f; echo 2 > /other")).ok();
    assert!(third.ends.values().all(|end| end == "cached"), "{third:#?}");
    let other = bench.build(&text("mkdir /out; echo other > /out/f")).ok();
    assert_eq!(other.output(), "other\n");
}

#[test]
fn a_context_is_compared_by_its_content() {
    let bench = Bench::new();
    let context = bench.path("context");
    std::fs::create_dir(&context).unwrap();
    let write = |name: &str, text: &str| std::fs::write(context.join(name), text).unwrap();
    write("a", "1");
    write("b", "1");
    let text = graph(
        r#"
        %1 = source "local://context"
        %2 = file(%0, %1) copy("/a", "/a", base=0, from=1, to=0)
        %3 = sh(%2) "cat /a"
        output %3
        "#,
    );
    assert_eq!(bench.build_context(&text, &context).ok().output(), "1\n");
    write("b", "2");
    let other_file = bench.build_context(&text, &context).ok();
    assert_eq!(other_file.ends["/bin/sh -c cat /a"], "cached", "{other_file:#?}");
    write("a", "3");
    assert_eq!(bench.build_context(&text, &context).ok().output(), "3\n");
    // Back again: the old result is still known.
    write("a", "1");
    assert_eq!(bench.build_context(&text, &context).ok().ends["/bin/sh -c cat /a"], "cached");
}

#[test]
fn a_result_whose_layer_is_lost_is_made_again() {
    let bench = Bench::new();
    bench.build(&graph(CHAIN)).ok();
    // All layers but those of the image, which can be had again.
    for layer in std::fs::read_dir(bench.path("store/layers-v1")).unwrap().map(Result::unwrap) {
        if !layer.file_name().to_string_lossy().starts_with("sha256") {
            std::fs::remove_dir_all(layer.path()).unwrap();
        }
    }
    let again = bench.build(&graph(CHAIN)).ok();
    assert_eq!(again.ends["/bin/sh -c echo one > /f"], "ran");
}

#[test]
fn layers_of_an_image_are_fetched_when_somebody_needs_them() {
    let bench = Bench::new();
    let image_layers = || {
        let entries = std::fs::read_dir(bench.path("store/layers-v1")).unwrap().map(Result::unwrap);
        entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("sha256")).collect::<Vec<_>>()
    };
    bench.build(&graph("output %0")).ok();
    assert!(image_layers().is_empty(), "an image that nobody looks into stays where it is");
    bench.build(&graph(CHAIN)).ok();
    assert_eq!(image_layers().len(), 1);
    image_layers().iter().for_each(|path| std::fs::remove_dir_all(path).unwrap());
    let cached = bench.build(&graph(CHAIN)).ok();
    assert!(cached.ends.values().all(|end| end == "cached"), "{cached:#?}");
    assert!(image_layers().is_empty(), "a cached build needs no files");
    bench.build(&graph(&CHAIN.replace("two", "2"))).ok();
    assert_eq!(image_layers().len(), 1);
}

#[test]
fn several_processes_share_a_store() {
    let bench = Bench::new();
    let build = || bench.build(&graph(CHAIN)).ok();
    std::thread::scope(|scope| {
        let builds: Vec<_> = (0..4).map(|_| scope.spawn(build)).collect();
        builds.into_iter().for_each(|build| drop(build.join().unwrap()));
    });
    let again = build();
    assert!(again.ends.values().all(|end| end == "cached"), "{again:#?}");
    bench.expect_clean();
}
