//! Definitions that mean harm: each is refused in words or stays inside, and nothing is left behind.

use crate::bench::{Bench, definition, graph};

/// The message a build fails with; the machine is as it was.
#[track_caller]
fn refused(text: &str, expected: &str) {
    let bench = Bench::new();
    let error = bench.build(&graph(text)).error();
    assert!(error.contains(expected), "{error}");
    bench.expect_clean();
}

#[test]
fn a_nested_build_that_contains_itself_ends() {
    // The definition that is read from the directory holds the step that reads it: it takes its own place, for ever.
    let text = "%0 = source \"local://context\"\n%1 = build(%0) input(\"buildkit.llb.definition\", 0)\noutput %1\n";
    let context = tempfile::tempdir().unwrap();
    std::fs::write(context.path().join("buildkit.llb.definition"), definition(text)).unwrap();
    let bench = Bench::new();
    let error = bench.build_context(text, context.path()).error();
    assert!(error.contains("contains itself"), "{error}");
    bench.expect_clean();
}

#[test]
fn builds_are_not_nested_without_end() {
    let mut text = "%0 = file() mkfile(\"/f\", data=\"x\", to=0)\noutput %0\n".to_owned();
    for _ in 0..40 {
        let inner = oci::base64::encode(&definition(&text));
        text = format!(
            "%0 = file() mkfile(\"/buildkit.llb.definition\", data=base64\"{inner}\", to=0)\n%1 = build(%0) input(\"buildkit.llb.definition\", 0)\noutput %1\n"
        );
    }
    let bench = Bench::new();
    let error = bench.build(&text).error();
    assert!(error.contains("nested more than"), "{error}");
    bench.expect_clean();
}

#[test]
fn paths_of_copies_stay_in_their_trees() {
    let bench = Bench::new();
    let built = bench.build(&graph(
        r#"
        %1 = file() mkdir("/d", mode=0o755) symlink("../../../../../etc", "/d/up", base=#0, to=0)
        %2 = file(%0, %1) copy("/../../d/../../d", "/../../../copied", base=0, from=1, create_dest_path) mkfile("/copied/up/passwd-evil", data="x", base=#0, to=0)
        %3 = sh(%2) "ls /etc/passwd-evil /copied"
        output %3
        "#,
    ));
    assert_eq!(built.ok().output(), "/etc/passwd-evil\n\n/copied:\nup\n");
    assert!(!std::path::Path::new("/etc/passwd-evil").exists());
    bench.expect_clean();
}

#[test]
fn mounts_of_what_is_elsewhere_are_refused_or_inside() {
    let mounts = [
        r#"bind("/m", from=1, selector="../../../../etc", readonly)"#,
        r#"bind("/m", from=1, selector="/up", readonly)"#,
        r#"tmpfs("/../../../m")"#,
        r#"tmpfs("relative")"#,
        r#"tmpfs("/proc/self/fd")"#,
        r#"cache("/m", id="../../../../etc")"#,
        r#"cache("/m", id="")"#,
    ];
    for mount in mounts {
        let bench = Bench::new();
        let built = bench.build(&graph(&format!(
            r#"
            %1 = file() mkdir("/etc", mode=0o755) symlink("../../../../../../../../etc", "/up", base=#0, to=0)
            %2 = exec(%0, %1) args=["/bin/sh", "-c", "cat /m/shadow; ls /m"] cwd="/" env=["PATH=/bin"] bind("/", from=0, to=0) {mount} platform("linux", "amd64")
            output %2
            "#
        )));
        let printed: String = built.lines.values().flatten().map(String::as_str).collect();
        assert!(!printed.contains("root:"), "{mount}: {printed}");
        bench.expect_clean();
    }
}

#[test]
fn lines_are_not_smuggled_into_files_of_the_sandbox() {
    let exec = |items: &str| {
        format!(
            "%1 = exec(%0) args=[\"/bin/cat\", \"/etc/hosts\"] cwd=\"/\" env=[\"PATH=/bin\"] bind(\"/\", from=0, to=0) {items} platform(\"linux\", \"amd64\")\noutput %1"
        )
    };
    for items in [
        r#"host("a\n6.6.6.6 evil", "1.2.3.4")"#,
        r#"host("a", "1.2.3.4 b\n6.6.6.6 evil")"#,
        r#"hostname="a\n6.6.6.6 evil""#,
    ] {
        let bench = Bench::new();
        let built = bench.build(&graph(&exec(items)));
        let lines: Vec<String> = built.lines.values().flatten().cloned().collect();
        assert!(!lines.iter().any(|line| line.starts_with("6.6.6.6")), "{items}: {lines:?}");
        assert!(built.result.is_err(), "{items} is taken");
        bench.expect_clean();
    }
}

#[test]
fn nonsense_in_a_process_is_refused() {
    let exec = |items: &str| {
        format!("%1 = exec(%0) cwd=\"/\" bind(\"/\", from=0, to=0) {items} platform(\"linux\", \"amd64\")\noutput %1")
    };
    refused(&exec(r#"args=["/bin/true\u{0}"]"#), "");
    refused(&exec(r#"args=["/bin/true"] env=["A\u{0}=1"]"#), "");
    refused(&exec(r#"args=["/bin/true"] user="../../etc/passwd""#), "");
    refused(&exec(r#"args=["/bin/true"] user="99999999999""#), "");
    refused(&exec(r#"args=["/bin/true"] ulimit("nonsense", 1, 2)"#), "");
}

#[test]
fn a_cgroup_is_not_made_elsewhere() {
    let bench = Bench::new();
    let before = std::fs::read_dir("/sys/fs/cgroup").unwrap().count();
    let _ = bench.build(&graph(
        "%1 = exec(%0) args=[\"/bin/true\"] cwd=\"/\" cgroup_parent=\"../../../evil\" bind(\"/\", from=0, to=0) platform(\"linux\", \"amd64\")\noutput %1",
    ));
    assert_eq!(std::fs::read_dir("/sys/fs/cgroup").unwrap().count(), before);
    assert!(!std::path::Path::new("/sys/fs/evil").exists());
    bench.expect_clean();
}

#[test]
fn a_thousand_mounts_and_a_megabyte_of_arguments_end_in_words() {
    let mounts: String = (0..2000).map(|number| format!("tmpfs(\"/m{number}\") ")).collect();
    let bench = Bench::new();
    let built = bench.build(&graph(&format!(
        "%1 = exec(%0) args=[\"/bin/true\"] cwd=\"/\" bind(\"/\", from=0, to=0) {mounts} platform(\"linux\", \"amd64\")\noutput %1"
    )));
    if let Err(error) = &built.result {
        assert!(!error.to_string().is_empty());
    }
    bench.expect_clean();
    let argument = "x".repeat(3 << 20);
    let built = bench.build(&graph(&format!(
        "%1 = exec(%0) args=[\"/bin/true\", \"{argument}\"] cwd=\"/\" bind(\"/\", from=0, to=0) platform(\"linux\", \"amd64\")\noutput %1"
    )));
    let error = built.error();
    assert!(error.len() < 10_000 && error.ends_with("exit code: 126"), "{error}");
    bench.expect_clean();
}
