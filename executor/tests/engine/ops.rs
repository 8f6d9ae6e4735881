//! Every operation, alone and with others.

use crate::bench::{Bench, graph};

#[test]
fn a_step_sees_what_the_step_before_it_wrote() {
    let bench = Bench::new();
    let built = bench.build(&graph(
        r#"
        %1 = sh(%0) "echo one > /f; mkdir -p /a/b"
        %2 = sh(%1) "cat /f; ls /a"
        output %2
        "#,
    ));
    assert_eq!(built.ok().output(), "one\nb\n");
    bench.expect_clean();
}

#[test]
fn file_actions_make_copy_and_remove() {
    let bench = Bench::new();
    let built = bench.build(&graph(
        r#"
        %1 = file() mkdir("/d", mode=0o750, make_parents) mkfile("/d/f", base=#0, mode=0o600, data="hi") symlink("f", "/d/l", base=#1, to=0)
        %2 = file(%0, %1) copy("/d", "/copied", base=0, from=1, dir_copy_contents, create_dest_path) rm("/etc/group", base=#0, to=0)
        %3 = sh(%2) "ls /copied; cat /copied/l; echo; stat -c %a /copied/f; ls /etc/group || true"
        output %3
        "#,
    ));
    assert_eq!(built.ok().output(), "f\nl\nhi\n600\nls: /etc/group: No such file or directory\n");
    bench.expect_clean();
}

#[test]
fn merge_lays_trees_on_each_other() {
    let bench = Bench::new();
    let built = bench.build(&graph(
        r#"
        %1 = file() mkfile("/x", to=0, data="1")
        %2 = file() mkfile("/x", data="2") mkfile("/y", base=#0, to=0, data="y")
        %3 = merge(%0, %1, %2)
        %4 = sh(%3) "cat /x /y; echo; cat /etc/group"
        output %4
        "#,
    ));
    assert_eq!(built.ok().output(), "2y\nroot:x:0:\nme:x:1000:\n");
}

#[test]
fn diff_takes_what_changed_deletions_included() {
    let bench = Bench::new();
    let built = bench.build(&graph(
        r#"
        %1 = sh(%0) "echo new > /new; rm /etc/group"
        %2 = diff(%0, %1) lower=0 upper=1
        %3 = merge(%0, %2)
        %4 = sh(%3) "cat /new; ls /etc/group || true"
        %5 = file(%4, %2) copy("/new", "/only", base=0, from=1, to=0)
        %6 = sh(%5) "cat /only"
        output %6
        "#,
    ));
    assert_eq!(built.ok().output(), "new\nls: /etc/group: No such file or directory\nnew\n");
}

#[test]
fn diff_of_unrelated_trees_is_computed() {
    let bench = Bench::new();
    let built = bench.build(&graph(
        r#"
        %1 = file() mkfile("/same", data="s") mkfile("/gone", base=#0, to=0, data="g")
        %2 = file() mkfile("/same", data="s") mkfile("/came", base=#0, to=0, data="c")
        %3 = diff(%1, %2) lower=0 upper=1
        %4 = file() mkfile("/gone", to=0, data="g")
        %5 = merge(%0, %4, %3)
        %6 = sh(%5) "ls /came /gone"
        output %6
        "#,
    ));
    let error = built.error();
    assert!(error.contains("exit code: 1"), "{error}");
    assert!(built.output().contains("/came\n") && built.output().contains("/gone: No such file"), "{built:?}");
}

#[test]
fn a_passthrough_hands_on_and_a_process_has_several_outputs() {
    let bench = Bench::new();
    let built = bench.build(&graph(
        r#"
        %1 = file() mkfile("/seed", to=0, data="seed")
        %2 = sh(%0, %1) "echo out > /out/made; echo root > /made" bind("/out", from=1, to=1)
        %3 = passthrough(%2, %2.1) id="x" outputs=[1, 0]
        %4 = sh(%3.1, %3) "cat /made /m/made /m/seed" bind("/m", from=1, readonly)
        output %4
        "#,
    ));
    assert_eq!(built.ok().output(), "root\nout\nseed\n");
}

#[test]
fn a_nested_build_takes_its_place() {
    let bench = Bench::new();
    let nested = graph(
        r#"
        %1 = sh(%0) "echo nested > /n"
        output %1
        "#,
    );
    let hex: String = crate::bench::definition(&nested).iter().map(|byte| format!("\\\\x{byte:02x}")).collect();
    let text = format!(
        "%1 = sh(%0) \"printf '{hex}' > /def\"\n\
         %2 = build(%1) input(\"buildkit.llb.definition\", 0) attrs={{\"llbbuild.filename\": \"def\"}}\n\
         %3 = sh(%2) \"cat /n\"\noutput %3\n"
    );
    assert_eq!(bench.build(&graph(&text)).ok().output(), "nested\n");
    // The second time nothing is even read.
    let again = bench.build(&graph(&text)).ok();
    assert!(again.ends.values().all(|end| end == "cached"), "{again:#?}");
}

#[test]
fn a_nested_build_may_do_no_more_than_the_outer_one() {
    let bench = Bench::new();
    let nested = graph(
        r#"
        %1 = sh(%0) "echo nested" network=host
        output %1
        "#,
    );
    let hex: String = crate::bench::definition(&nested).iter().map(|byte| format!("\\\\x{byte:02x}")).collect();
    let text = format!(
        "%1 = sh(%0) \"printf '{hex}' > /def\"\n\
         %2 = build(%1) input(\"buildkit.llb.definition\", 0) attrs={{\"llbbuild.filename\": \"def\"}}\noutput %2\n"
    );
    let built = bench.build(&graph(&text));
    assert_eq!(built.error(), "network.host is not allowed: grant it with --allow network.host");
}

#[test]
fn scratch_is_a_result() {
    let bench = Bench::new();
    assert_eq!(bench.build("output scratch").ok().summary(), "");
}

#[test]
fn several_results_are_built_together() {
    let bench = Bench::new();
    let built = bench.build(&graph(
        r#"
        %1 = sh(%0) "echo a"
        %2 = sh(%0) "echo b"
        output %1
        output %2
        "#,
    ));
    assert_eq!(built.ok().output(), "a\nb\n");
}

#[test]
fn independent_steps_run_side_by_side() {
    let bench = Bench::new();
    // Each waits for the other: alone neither would end.
    let text = r#"
        %1 = sh(%0) "touch /c/one; while ! [ -e /c/two ]; do sleep 0.01; done" cache("/c", id="meet")
        %2 = sh(%0) "touch /c/two; while ! [ -e /c/one ]; do sleep 0.01; done" cache("/c", id="meet")
        %3 = merge(%1, %2)
        output %3
        "#;
    bench.build(&graph(text)).ok();
}
