//! Errors and what is left of the tree, on small texts.

use ast::{FileId, Module, Op, Severity};

use super::LANGUAGE;

fn parse(text: &str) -> Module {
    crate::invariants::check(&LANGUAGE, text.as_bytes());
    (LANGUAGE.parse)(&crate::Input::new(FileId(0), text.as_bytes()))
}

/// Every error with the text it points at.
fn check(text: &str, expected: &[&str]) {
    let module = parse(text);
    let errors = module.diagnostics.iter().filter(|found| found.severity == Severity::Error);
    let shown: Vec<String> = errors
        .map(|error| {
            let at = error.at.unwrap();
            format!("{:?}: {}", &text[at.start as usize..at.end as usize], error.message)
        })
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn every_error_is_reported_and_the_rest_is_kept() {
    let text = "fs a() {\n\timage(\"x\")\n\trun \"ok\"\n\twith\n}\n\nfs { }\n\nfs b() { scratch; }\n";
    check(
        text,
        &[
            "\"(\": unexpected \"(\" (expected a statement or `}`)",
            "\"with\": unexpected \"with\" (expected a statement or `}`)",
            "\"{\": unexpected \"{\" (expected a type, a name and parameters)",
        ],
    );
    let module = parse(text);
    let names: Vec<_> = module.defs.iter().filter_map(|def| Some(def.name.as_ref()?.text.clone())).collect();
    assert_eq!(names, ["a", "b"]);
    let holes = module.defs[0].body.steps().iter().filter(|step| matches!(step.op, Op::Hole));
    assert_eq!((holes.count(), module.defs[0].body.steps().len()), (2, 3));
}

#[test]
fn recursion_is_an_error_that_shows_the_cycle() {
    check(
        "fs a() { b; }\nfs b() { copy c \"/\" \"/\"; }\nfs c() { a; }\n",
        &["\"b\": `a` needs itself: a → b → c → a"],
    );
    check("fs a() { a; }\n", &["\"a\": `a` needs itself: a → a"]);
    let bound = "fs a() {\n\tdockerPush \"x\" as pushed\n\tmkfile \"f\" 0o644 pushed\n}\n";
    check(bound, &["\"pushed\": `a` needs itself: a → a"]);
    // The same function twice is no cycle.
    check("fs a() { b; b; }\nfs b() { run \"x\"; }\n", &[]);
}

#[test]
fn nesting_has_a_limit() {
    let deep = |levels: usize| format!("fs a() {{ b {} }}", "f(".repeat(levels) + &")".repeat(levels));
    let errors = |text: &str| parse(text).diagnostics.iter().filter(|found| found.code == "syntax").count();
    assert_eq!(errors(&deep(100)), 0);
    check(&deep(20_000), &["\"(\": nested more than 128 levels deep"]);
    check(
        &"fs a() {".repeat(20_000),
        &["\"{\": unexpected \"{\" (expected a statement or `}`)", "\"\": unexpected end of file (expected `}`)"],
    );
}

#[test]
fn escapes_that_do_not_exist_are_errors() {
    check("string a() { \"a\\qb\"; }\n", &["\"\\\\q\": invalid syntax"]);
}

#[test]
fn text_that_is_no_utf8_is_an_error() {
    let module = crate::invariants::check(&LANGUAGE, b"fs a() { image \"\xff\"; }\n");
    let error = &module.diagnostics[0];
    assert_eq!((error.message.as_str(), error.at.unwrap().start), ("the text is not UTF-8", 16));
}

#[test]
fn an_escape_that_does_not_exist_may_move_when_the_text_is_put_in_order() {
    let module = crate::invariants::check(&LANGUAGE, b"fs a() {\n\tima ge\"a\\qb\"\n}\n");
    assert!(module.diagnostics.iter().any(|error| error.severity == ast::Severity::Error));
}

#[test]
fn the_end_of_a_document_stays_apart_from_the_word_before() {
    crate::invariants::check(&LANGUAGE, b"string a() { <<~DOC\n\tx)\tDOC\n}\n");
    crate::invariants::check(&LANGUAGE, b"string a() {\n\t<<~DOC\n\tx)\tDOC\n}\n");
}

#[test]
fn a_space_behind_a_dot_means_nothing() {
    let module = crate::invariants::check(&LANGUAGE, b"import x from \"a\"\nfs a() {\n\tx. y\n}\n");
    assert_eq!(module.defs[0].body.steps()[0].text.lossy(), "x.y");
}

#[test]
fn comments_above_are_documentation() {
    let module = parse("# not this\n\n# Builds\n# it.\nfs a() {\n\t# first\n\tscratch\n}\n");
    assert_eq!(module.defs[0].doc.as_ref().unwrap().lossy(), "Builds\nit.");
    assert_eq!(module.defs[0].body.steps()[0].comments[0].text.lossy(), "first");
}

#[test]
fn parameters_may_have_defaults() {
    let text = "fs a(string x, string y=`b`,int z =0O17, bool t= true) { run x; }\nfs b() { a \"q\"; a \"q\" \"r\" 5 false; }\n";
    check(text, &[]);
    let printed = formatted(text);
    assert!(
        printed.starts_with("fs a(string x, string y = `b`, int z = 0o17, bool t = true) { run x }\n"),
        "{printed}"
    );
    check(
        "fs a(string x, int y = 1) { run x; }\nfs b() { a; }\nfs c() { a \"x\" 1 2; }\n",
        &["\"a\": `a` expected 1 to 2 args, found 0", "\"a\": `a` expected 1 to 2 args, found 3"],
    );
    check(
        "fs a(string x = 1, fs y = \"z\", string q) {}\nfs b(string x = \"${v}\") {}\nfs c(string x = v) {}\n",
        &[
            "\"1\": a default of type int for a parameter of type string",
            "\"\\\"z\\\"\": a default of type string for a parameter of type fs",
            "\"q\": `q` has no default, and a parameter before it has",
            "\"\\\"${v}\\\"\": a default is a text without `${}`",
            "\"v\": unexpected \"v\" (expected a string, a number, or true or false)",
        ],
    );
    // Elsewhere it is no sign of the language.
    check("fs a() { run = \"x\"; }\n", &["\"=\": unexpected \"=\" (expected a statement or `}`)"]);
}

#[test]
fn arguments_may_have_names() {
    let text = "fs a(string x, string y = \"b\", int z = 1) {}\nfs b() { a z=2 x=\"q\"; copy input=a(\"r\", z = 3) dst=\"/\" src=\"/\"; }\n";
    check(text, &[]);
    assert!(
        formatted(text).contains("{ a z=2 x=\"q\"; copy input=a(\"r\", z=3) dst=\"/\" src=\"/\" }"),
        "{}",
        formatted(text)
    );
    let wrong = |call: &str, expected: &str| {
        check(&format!("fs a(string x, string y = \"b\", int z = 1) {{}}\nfs b() {{ {call}; }}\n"), &[expected]);
    };
    wrong("a \"q\" w=1", "\"w\": `a` has no parameter `w` to be given by name (did you mean x?)");
    wrong("a \"q\" x=\"r\"", "\"x\": `x` is given twice");
    wrong("a y=\"q\" z=1", "\"a\": `a` is not given `x`");
    wrong("a \"q\" z=\"r\"", "\"\\\"r\\\"\": cannot use string as type int");
    wrong("a x=\"q\" \"r\"", "\"\\\"r\\\"\": an argument without a name after one with a name");
    wrong("run arg=\"q\"", "\"arg\": `run` has no parameter `arg` to be given by name");
}

#[test]
fn branches() {
    let text = "fs a(string v, bool b) {\n\tif b { image \"x\"; } else if v == \"1\" {\n\t\tscratch\n\t} else { scratch; }\n\trun string { if v != \"2\" { \"y\"; } }\n}\n";
    check(text, &[]);
    let expected = "fs a(string v, bool b) {\n\tif b { image \"x\" } else if v == \"1\" {\n\t\tscratch\n\t} else { scratch }\n\trun string { if v != \"2\" { \"y\" } }\n}\n";
    assert_eq!(formatted(text), expected);
    let wrong = |choice: &str, expected: &str| {
        check(&format!("fs a(string v, int n) {{\n\t{choice}\n}}\n"), &[expected]);
    };
    wrong("if v { scratch; }", "\"v\": cannot use string as type bool");
    wrong("if v == 1 { scratch; }", "\"1\": cannot use int as type string");
    wrong("if v == \"1\" { \"x\"; }", "\"\\\"x\\\"\": cannot use string as type fs");
    wrong("if true { nope; }", "\"nope\": `nope` is undefined or not in scope");
    wrong("if v == \"1\" scratch", "\"scratch\": unexpected \"scratch\" (expected a block)");
    wrong("if { scratch; }", "\"{\": unexpected \"{\" (expected a condition)");
    check(
        "fs a() { if true { b; }; }\nfs b() { if false { scratch; } else { a; }; }\n",
        &["\"b\": `a` needs itself: a → b → a"],
    );
}

fn formatted(text: &str) -> String {
    let edits = (LANGUAGE.format.unwrap())(&crate::Input::new(FileId(0), text.as_bytes()));
    String::from_utf8(ast::apply(text.as_bytes(), &edits)).unwrap()
}

#[test]
fn many_lines_are_checked_fast() {
    let function = "fs f0() {\n\timage \"a\"\n\trun \"echo ${v}\" with option {\n\t\tenv \"A\" \"b\"\n\t}\n}\n\n";
    let text: String = (0..1500).map(|n| function.replace("f0", &format!("f{n}"))).collect();
    let module = parse(&(text + "string v() { \"x\"; }\n"));
    assert_eq!(module.diagnostics, []);
    assert_eq!(module.defs.len(), 1501);
}
