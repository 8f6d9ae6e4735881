//! `llbc` from outside: what it reads, what it writes, what it says, how it exits.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use e2e::{Sandbox, process};
use serde_json::Value;

const SCRATCH: &str = "FROM scratch\nCOPY a b c/\nENV K=v\n";

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_file_and_standard_input_give_the_same_definition() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", SCRATCH);
    let by_file = sandbox.succeed(sandbox.llbc().arg("Dockerfile")).stdout;
    let by_pipe =
        process::succeed_with_input(sandbox.llbc().args(["compile", "-"]), SCRATCH.as_bytes()).unwrap().stdout;
    sandbox.succeed(sandbox.llbc().args(["-o", "out.pb", "Dockerfile"]));
    assert!(!by_file.is_empty());
    assert_eq!(by_file, by_pipe);
    assert_eq!(by_file, std::fs::read(sandbox.directory().join("out.pb")).unwrap());
}

#[test]
fn a_definition_is_not_written_to_a_terminal() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", SCRATCH);
    let run =
        process::run(&mut sandbox.shell("script --quiet --return --command 'llbc Dockerfile' /dev/null")).unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(run.out().contains("standard output is a terminal"), "{}", run.out());
    assert!(!run.stdout.contains(&0), "a binary went to the terminal");
}

#[test]
fn data_for_a_closed_standard_output_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", "FROM scratch\n");
    sandbox.succeed(sandbox.llbc().args(["-o", "out.pb", "Dockerfile"]));
    for (script, code, expected) in [
        ("llbc Dockerfile >&-", 1, "cannot write to standard output: it is closed"),
        ("llbc build -o - . >&-", 1, "standard output is closed: add `dest=FILE` to the output, or redirect it"),
        (
            "executor -o type=tar out.pb >&-",
            1,
            "standard output is closed: add `dest=FILE` to the output, or redirect it",
        ),
        ("executor images ls >&-", 1, "cannot write to standard output: it is closed"),
        ("llbc build --progress=quiet . >&-", 0, ""),
    ] {
        let run = process::run(&mut sandbox.shell(script)).unwrap();
        assert_eq!(run.status.code(), Some(code), "{script}: {}", run.err());
        assert!(run.err().contains(expected), "{script}: {}", run.err());
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let sandbox = Sandbox::new();
    let copies: String = (0..5000).map(|number| format!("COPY {number} /{number}\n")).collect();
    sandbox.write("Dockerfile", &format!("FROM scratch\n{copies}"));
    let run = sandbox.succeed(&mut sandbox.shell("llbc dump --json Dockerfile | head -n 1"));
    assert_eq!(run.out().lines().count(), 1);
    assert_eq!(run.err(), "");
}

#[test]
fn a_definition_can_be_dumped_as_its_source_can() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", SCRATCH);
    sandbox.succeed(sandbox.llbc().args(["-o", "out.pb", "Dockerfile"]));
    for format in ["--json", "--text", "--dot", "--image"] {
        let of_source = sandbox.succeed(sandbox.llbc().args(["dump", format, "Dockerfile"])).out();
        let of_definition = sandbox.succeed(sandbox.llbc().args(["dump", format, "out.pb"])).out();
        assert_eq!(of_source.lines().count(), of_definition.lines().count(), "{format}");
        assert!(!of_source.is_empty(), "{format}");
    }
    let image: Value =
        serde_json::from_str(&sandbox.succeed(sandbox.llbc().args(["dump", "--image", "out.pb"])).out()).unwrap();
    assert_eq!(image["config"]["Env"][1], "K=v");
}

#[test]
fn a_damaged_definition_is_said_to_be_one() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", SCRATCH);
    let bytes = sandbox.succeed(sandbox.llbc().arg("Dockerfile")).stdout;
    std::fs::write(sandbox.directory().join("cut.pb"), &bytes[..bytes.len() / 2]).unwrap();
    let said = sandbox.fail(1, sandbox.llbc().args(["dump", "cut.pb"]));
    assert!(said.contains("cut.pb"), "{said}");
}

#[test]
fn errors_have_a_place_for_people_and_for_machines() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", "FROM scratch\nCOPPY a b\n");
    let said = sandbox.fail(1, sandbox.llbc().args(["-o", "out.pb", "Dockerfile"]));
    assert!(
        said.contains("Dockerfile:2:1") && said.contains("did you mean COPY?") && said.contains("COPPY a b"),
        "{said}"
    );
    assert!(!sandbox.has("out.pb"));
    let said = sandbox.fail(1, sandbox.llbc().args(["--error-format=json", "-o", "out.pb", "Dockerfile"]));
    let line = &json_lines(&said)[0];
    assert_eq!(
        (&line["severity"], &line["file"], &line["ranges"]),
        (&"error".into(), &"Dockerfile".into(), &serde_json::json!([[2, 2]]))
    );
    assert_eq!(line["span"]["start"], serde_json::json!({"line": 2, "column": 1}));
}

#[test]
fn warnings_do_not_fail_and_errors_of_check_do() {
    let sandbox = Sandbox::new();
    sandbox.write("warn", "FROM scratch AS A\nCOPY a b\n");
    let said = sandbox.succeed(sandbox.llbc().args(["check", "warn"])).err();
    assert!(said.contains("StageNameCasing"), "{said}");
    let said = sandbox.succeed(sandbox.llbc().args(["check", "--format=json", "warn"])).out();
    assert_eq!(json_lines(&said)[0]["code"], "StageNameCasing");
    sandbox.write("fail", "# check=error=true\nFROM scratch AS A\nCOPY a b\n");
    sandbox.fail(1, sandbox.llbc().args(["check", "warn", "fail"]));
}

#[test]
fn a_directory_is_checked_file_by_file() {
    let sandbox = Sandbox::new();
    sandbox.write("a/web.Dockerfile", "FROM scratch AS A\nCOPY a b\n");
    sandbox.write("b/Dockerfile", "FROM scratch\nNOPE\n");
    sandbox.write("b/Dockerfile.dockerignore", "x\n");
    let run = process::run(sandbox.llbc().args(["check", "--format=gcc"])).unwrap();
    assert_eq!(run.status.code(), Some(1));
    let out = run.out();
    let lines: Vec<&str> = out.lines().collect();
    assert!(
        lines[0].starts_with("a/web.Dockerfile:1:17: warning: ") && lines[0].ends_with("[StageNameCasing]"),
        "{out}"
    );
    assert!(lines[1].starts_with("b/Dockerfile:2:1: error: ") && lines.len() == 2, "{out}");
    let sarif: Value =
        serde_json::from_str(&process::run(sandbox.llbc().args(["check", "--format=sarif"])).unwrap().out()).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 2);
    std::fs::create_dir(sandbox.directory().join("empty")).unwrap();
    assert!(sandbox.fail(1, sandbox.llbc().args(["check", "empty"])).contains("there is no build file in empty"));
}

#[test]
fn the_exit_code_follows_the_severity() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", "FROM scratch AS A\nRUN apt-get install -y x\n");
    for (code, arguments) in [
        (0, &["--fail-on=error"][..]),
        (1, &["--fail-on=warning"]),
        (0, &["--fail-on=never"]),
        (0, &["--rules=AptRecommends", "--fail-on=error"]),
        (1, &["--rules=DL3015", "--fail-on=info", "--opt=build-arg:BUILDKIT_DOCKERFILE_CHECK=skip=StageNameCasing"]),
        (2, &["--rules=NoSuchRule"]),
    ] {
        let run = process::run(sandbox.llbc().arg("check").args(arguments)).unwrap();
        assert_eq!(run.status.code(), Some(code), "{arguments:?}: {}", run.err());
    }
    assert_eq!(process::run(sandbox.llbc().args(["build", "--check", "."])).unwrap().status.code(), Some(1));
}

#[test]
fn safe_fixes_are_written_once() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", "from scratch AS a\nRUN apt install x\nENV A b c\nUSER app\n");
    let mend = || {
        sandbox.succeed(sandbox.llbc().args(["check", "--fix", "--rules=all", "Dockerfile"]));
        std::fs::read_to_string(sandbox.directory().join("Dockerfile")).unwrap()
    };
    assert_eq!(mend(), "FROM scratch AS a\nRUN apt-get install -y x\nENV A=\"b c\"\nUSER app\n");
    assert_eq!(mend(), "FROM scratch AS a\nRUN apt-get install -y x\nENV A=\"b c\"\nUSER app\n");
    assert!(
        sandbox.fail(2, &mut sandbox.shell("echo FROM scratch | llbc check --fix -")).contains("--fix needs a file")
    );
}

#[test]
fn an_image_that_nobody_knows_is_a_note_of_check() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", "FROM nosuch:1\nEXPOSE 80/TCP\n");
    let out = sandbox.succeed(sandbox.llbc().args(["check", "--offline", "--format=json"])).out();
    let lines = json_lines(&out);
    assert_eq!((&lines[0]["severity"], &lines[0]["code"]), (&"info".into(), &"unknown".into()), "{out}");
    assert_eq!(lines[1]["code"], "ExposeProtoCasing", "{out}");
    sandbox.fail(1, sandbox.llbc().args(["compile", "--offline", "-o", "out", "Dockerfile"]));
}

#[test]
fn check_does_not_wait_for_a_registry_that_does_not_answer() {
    let sandbox = Sandbox::new();
    // Connections are made, and nobody ever says anything.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let registry = silent.local_addr().unwrap();
    sandbox.write("Dockerfile", &format!("FROM {registry}/a:1 AS a\nFROM {registry}/b:1\nEXPOSE 80/TCP\n"));
    let out = sandbox.succeed(sandbox.llbc().args(["check", "--format=json"])).out();
    let lines = json_lines(&out);
    let codes: Vec<_> = lines.iter().map(|line| line["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["unknown", "unknown", "ExposeProtoCasing"], "{out}");
    assert!(lines[0]["message"].as_str().unwrap().contains("did not answer"), "{out}");
    assert!(lines[0]["help"].as_str().unwrap().contains("--facts"), "{out}");
}

#[test]
fn wrong_usage_exits_with_2() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", SCRATCH);
    for (arguments, words) in [
        (&["--no-such-flag", "Dockerfile"][..], "--no-such-flag"),
        (&["-O7", "Dockerfile"], "the levels are 0, 1 and 2"),
        (&["--opt", "x", "Dockerfile"], "expected KEY=VALUE"),
        (&["--build-context", "x", "Dockerfile"], "expected NAME=SOURCE"),
        (&["--only-platform", "linux/riscv64", "Dockerfile"], "the build is for"),
        (&["explain", "NoSuchRule"], "there is no rule"),
    ] {
        let said = sandbox.fail(2, &mut sandbox.shell(&format!("llbc {} > out", arguments.join(" "))));
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", "FROM nobody/has:this\n");
    for (arguments, words) in [
        ("nowhere/Dockerfile", "cannot read nowhere/Dockerfile"),
        ("--facts=none.json Dockerfile", "cannot read the facts file none.json"),
        ("--offline Dockerfile", "nobody/has:this: not found"),
        ("--local=x=nowhere Dockerfile", "nowhere"),
        ("build", "cannot read"),
    ] {
        let said = sandbox.fail(1, &mut sandbox.shell(&format!("llbc {arguments} > out")));
        assert!(said.contains(words) || arguments == "build", "{arguments}: {said}");
    }
    sandbox.write("facts.json", "{\"a\": 1}");
    let said = sandbox.fail(1, &mut sandbox.shell("llbc --facts=facts.json Dockerfile > out"));
    assert!(said.contains("facts.json: a: "), "{said}");
}

#[test]
fn the_ignore_file_is_found_in_the_context() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", SCRATCH);
    sandbox.write("src/.dockerignore", "*.log\n");
    let dump = |arguments: &[&str]| {
        sandbox.succeed(sandbox.llbc().args(["dump", "--json"]).args(arguments).arg("Dockerfile")).out()
    };
    assert!(!dump(&[]).contains("excludepatterns"));
    assert!(dump(&["--context", "src"]).contains(r#"[\"*.log\"]"#));
    sandbox.write("Dockerfile.dockerignore", "*.tmp\n");
    assert!(dump(&["--context", "src"]).contains(r#"[\"*.tmp\"]"#));
}

#[test]
fn the_allocator_is_set_up_before_its_first_use() {
    let sandbox = Sandbox::new();
    let said = sandbox.succeed(sandbox.llbc().arg("--version").env("MIMALLOC_VERBOSE", "1")).err();
    let reserved: Vec<_> = said.lines().filter(|line| line.contains("reserved")).collect();
    assert_eq!(reserved, ["mimalloc: reserved 65536 KiB memory"], "{said}");
    assert!(!said.contains("process done"), "what the kernel does at once is done piece by piece: {said}");
}

#[test]
fn machine_readable_help() {
    let sandbox = Sandbox::new();
    let script = sandbox.succeed(sandbox.llbc().args(["completions", "bash"])).out();
    assert!(script.contains("--build-arg"));
    let page = sandbox.succeed(sandbox.llbc().arg("man")).out();
    assert!(page.starts_with(".") && page.contains("compile"), "{page}");
    let rules = sandbox.succeed(sandbox.llbc().arg("explain")).out();
    let rule = rules.split_whitespace().next().unwrap().to_owned();
    assert!(sandbox.succeed(sandbox.llbc().args(["explain", &rule])).out().contains("# Use instead"));
}

#[test]
fn targets_and_outline() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "Dockerfile",
        "ARG V=1\n# app is what runs\nFROM scratch AS app\nARG V\nRUN --mount=type=cache,target=/c/ [\"x\"]\n",
    );
    let targets: Value =
        serde_json::from_str(&sandbox.succeed(sandbox.llbc().args(["targets", "--json", "Dockerfile"])).out()).unwrap();
    assert_eq!(targets["targets"][0]["name"], "app");
    assert!(
        sandbox.succeed(sandbox.llbc().args(["targets", "Dockerfile"])).out().contains("app (default) is what runs")
    );
    let outline: Value =
        serde_json::from_str(&sandbox.succeed(sandbox.llbc().args(["outline", "--json", "Dockerfile"])).out()).unwrap();
    assert_eq!(outline["args"][0]["value"], "1");
    assert!(sandbox.succeed(sandbox.llbc().args(["outline", "Dockerfile"])).out().ends_with("\nCACHE\n/c\n\n"));
}
