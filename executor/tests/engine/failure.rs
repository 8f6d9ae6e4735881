//! What goes wrong, and what is left afterwards: nothing.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use executor::{Error, Request};

use crate::bench::{Bench, cancel_after, definition, graph};

#[test]
fn a_failed_step_is_named_and_the_rest_is_stopped() {
    let bench = Bench::new();
    let started = Instant::now();
    let built = bench.build(&graph(
        r#"
        %1 = sh(%0) "echo oops >&2; exit 3"
        ! description={"llb.customname": "[1/2] RUN oops"}
        %2 = sh(%0) "sleep 60"
        %3 = merge(%1, %2)
        output %3
        "#,
    ));
    let Err(Error::Step { name, source, .. }) = &built.result else { panic!("{built:#?}") };
    assert_eq!(name, "[1/2] RUN oops");
    assert!(matches!(**source, Error::Exit { code: 3, .. }), "{source:?}");
    assert_eq!(built.lines["[1/2] RUN oops"], ["oops"]);
    assert_eq!(built.ends["/bin/sh -c sleep 60"], "context canceled");
    assert!(started.elapsed() < Duration::from_secs(30), "the other step was not stopped");
    bench.expect_clean();
}

#[test]
fn a_failed_step_runs_again_the_next_time() {
    let bench = Bench::new();
    let text = graph(
        r#"
        %1 = sh(%0) "echo kept > /f"
        %2 = sh(%1) "[ -e /c/ok ] || { touch /c/ok; exit 1; }" cache("/c", id="c")
        output %2
        "#,
    );
    assert!(bench.build(&text).error().contains("did not complete successfully: exit code: 1"));
    assert_eq!(bench.build(&text).ok().ends["/bin/sh -c echo kept > /f"], "cached");
}

#[test]
fn a_file_that_is_missing_is_named() {
    let bench = Bench::new();
    let built = bench.build(&graph(
        r#"
        %1 = file(%0, %0) copy("/nosuch", "/x", base=0, from=1, to=0)
        output %1
        "#,
    ));
    assert!(built.error().contains("/nosuch"), "{}", built.error());
    bench.expect_clean();
}

#[test]
fn of_a_tree_without_layers_all_can_be_copied_and_nothing_by_name() {
    let bench = Bench::new();
    let copy = |path: &str| {
        let copied = format!("%2 = file(%1) copy(\"{path}\", \"/\", from=0, to=0, dir_copy_contents)\noutput %2");
        bench.build(&graph(&format!("%1 = diff(%0, %0) lower=0 upper=1\n{copied}")))
    };
    copy("/").ok();
    let error = copy("/foo").error();
    assert!(error.ends_with("/foo: no such file or directory"), "{error}");
    bench.expect_clean();
}

#[test]
fn what_was_not_allowed_is_refused_before_anything_runs() {
    let bench = Bench::new();
    let text = graph(
        r#"
        %1 = sh(%0) "echo one"
        %2 = sh(%1) "echo two" network=host
        output %2
        "#,
    );
    let built = bench.build(&text);
    assert_eq!(
        (built.error().as_str(), built.output().as_str()),
        ("network.host is not allowed: grant it with --allow network.host", "")
    );
    let request = Request { definition: definition(&text), allow: vec!["network.host".into()], ..Request::default() };
    assert_eq!(bench.request(request).ok().output(), "one\ntwo\n");
}

#[test]
fn a_capability_that_is_not_there_is_refused_before_anything_runs() {
    let bench = Bench::new();
    let text = |cap: &str| {
        graph(&format!(
            r#"
            %1 = sh(%0) "echo one"
            %2 = sh(%1) "echo two"
            ! caps=["exec.meta.base", "{cap}"]
            output %2
            "#,
        ))
    };
    let built = bench.build(&text("exec.meta.timetravel"));
    let error = "exec.meta.timetravel, which the definition needs, is not supported: this executor does not have that \
                 capability; let a frontend that asks for it first write the definition";
    assert_eq!((built.error().as_str(), built.output().as_str()), (error, ""));
    // BuildKit takes this one as it takes those that it announces.
    assert_eq!(bench.build(&text("exec.meta.removemountstubs.recursive")).ok().output(), "one\ntwo\n");
}

#[test]
fn what_is_no_definition_is_refused() {
    let bench = Bench::new();
    let built = bench.request(Request { definition: b"hello".to_vec(), ..Request::default() });
    assert!(matches!(built.result, Err(Error::Definition(_))), "{built:#?}");
    let whole = definition(&graph("output %0"));
    let built = bench.request(Request { definition: whole[..whole.len() / 2].to_vec(), ..Request::default() });
    assert!(matches!(built.result, Err(Error::Definition(_))), "{built:#?}");
}

#[test]
fn an_image_that_is_nowhere_is_named() {
    let bench = Bench::new();
    let built =
        bench.build("%0 = source \"docker-image://127.0.0.1:1/nosuch:1\" platform(\"linux\", \"amd64\")\noutput %0\n");
    assert!(built.error().contains("127.0.0.1:1/nosuch:1"), "{}", built.error());
}

#[test]
fn cancelled_it_stops_at_once_and_cleans_up() {
    let bench = Bench::new();
    let started = Instant::now();
    let text = graph(
        r#"
        %1 = sh(%0) "echo begun; sleep 60"
        output %1
        "#,
    );
    let cancel = cancel_after(Duration::from_secs(3));
    let built = bench.request(Request { definition: definition(&text), cancel, ..Request::default() });
    assert!(matches!(built.result, Err(Error::Cancelled)), "{built:#?}");
    assert_eq!(built.output(), "begun\n");
    assert!(started.elapsed() < Duration::from_secs(20));
    bench.expect_clean();
}

#[test]
fn killed_it_leaves_nothing_that_matters() {
    let bench = Bench::new();
    let text = graph(
        r#"
        %1 = sh(%0) "echo one > /f"
        %2 = sh(%1) "echo waiting; sleep 60"
        output %2
        "#,
    );
    let mut child = Command::new(env!("CARGO_BIN_EXE_executor"))
        .args(["--root".as_ref(), bench.path("store").as_os_str(), "--progress=plain".as_ref()])
        .args(["-o", "type=cacheonly"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&definition(&text)).unwrap();
    let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    for line in std::io::BufRead::lines(stderr).map(Result::unwrap) {
        seen += &format!("{line}\n");
        if line.contains(" waiting") && !line.contains("RUN") && !line.contains("echo") {
            child.kill().unwrap();
            break;
        }
    }
    assert!(!child.wait().unwrap().success());
    assert!(seen.contains("waiting"), "{seen}");
    // The next one sweeps, finds what was whole, and goes on from there.
    let next = bench.build(&graph(
        r#"
        %1 = sh(%0) "echo one > /f"
        %2 = sh(%1) "cat /f"
        output %2
        "#,
    ));
    let next = next.ok();
    assert_eq!((next.output().as_str(), next.ends["/bin/sh -c echo one > /f"].as_str()), ("one\n", "cached"));
    bench.expect_clean();
    let still_running = std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
        let mounts = std::fs::read_to_string(process.path().join("mountinfo")).unwrap_or_default();
        mounts.contains(bench.path("store").to_str().unwrap())
    });
    assert!(!still_running, "a process of the killed build lives on");
}
