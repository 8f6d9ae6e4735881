//! Specs and what is wrong with them; specs and their presets written out; any bytes at all.

use ast::{FileId, Module};

use crate::Input;

fn parse(source: &str) -> Module {
    super::parse(&Input { file: FileId(0), bytes: source.as_bytes() })
}

/// Each finding as `the text that is blamed: message`.
fn findings(source: &str) -> Vec<String> {
    let module = parse(source);
    let shown = |found: &ast::Diagnostic| {
        let at = found.at.expect("everything stands somewhere");
        format!("{}: {}", &source[at.start as usize..at.end as usize], found.message)
    };
    module.diagnostics.iter().map(shown).collect()
}

#[track_caller]
fn check(source: &str, expected: &[&str]) {
    assert_eq!(findings(source), expected, "{source}");
}

#[test]
fn keys_and_types() {
    check("[image.a]\nfrom = \"x\"\ncmdd = [\"y\"]", &["cmdd: unknown key `cmdd` in image (did you mean cmd?)"]);
    check("[image.a]\nfrom = 3", &["3: expected a string, found a number", "a: `a` does not say what it starts from"]);
    check("[stages.a]\nfrom = \"x\"", &["stages: unknown key `stages` in spec (did you mean stage?)"]);
    check("spec = 2\n[image.a]\nfrom = \"x\"", &["2: version 2 of the language is not supported"]);
    check(
        "[image.a]\nfrom = \"x\"\n[[image.a.step]]\nrun = \"y\"\nnetwork = \"hots\"",
        &["\"hots\": unknown value \"hots\" (did you mean host?)"],
    );
}

#[test]
fn what_is_not_there_yet_says_so() {
    check(
        "[group]\nall = [\"a\"]\n[image.a]\nfrom = \"x\"\ntags = [\"y\"]",
        &["group: `group` is not supported yet", "tags: `tags` is not supported yet"],
    );
}

#[test]
fn syntax_errors_are_all_found() {
    let found = findings("[image.a]\nfrom = \n[image.b]\nfrom = \"x\" y\n");
    assert!(found.len() >= 2, "{found:?}");
}

#[test]
fn one_name_twice_is_shown_twice() {
    let module = parse("[image.a]\nfrom = \"x\"\n[stage.a]\nfrom = \"y\"");
    assert_eq!(module.diagnostics.len(), 1, "{:?}", module.diagnostics);
    assert_eq!(module.diagnostics[0].also.len(), 1);
    let doubled = findings("[image.a]\nfrom = \"x\"\n[image.a]\nfrom = \"y\"");
    assert!(doubled.iter().any(|found| found.contains("duplicate key")), "{doubled:?}");
}

#[test]
fn references_between_definitions() {
    check("[image.a]\nfrom = \"stage.b\"", &["\"stage.b\": there is no stage \"b\""]);
    check("[stage.b]\nfrom = \"x\"\n[image.a]\nfrom = \"b\"", &["\"b\": `b` is a stage"]);
    check(
        "[stage.a]\nfrom = \"stage.b\"\n[stage.b]\nfrom = \"stage.a\"",
        &["\"stage.a\": stages need each other in a circle: a → b → a"],
    );
    check(
        "[source]\napp = { local = \".\" }\n[image.a]\nfrom = \"x\"\n[[image.a.step]]\ncopy = \"apq\"",
        &["\"apq\": there is no source \"apq\" (did you mean app?)"],
    );
}

#[test]
fn sources_say_one_thing() {
    let use_it = "[image.a]\nfrom = \"x\"\nfile = [{ from = \"s\", to = \"/s\" }]";
    check(&format!("[source]\ns = {{ mode = \"0755\" }}\n{use_it}"), &["s: source `s` does not say where it is"]);
    check(
        &format!("[source]\ns = {{ local = \".\", http = \"https://x.test/y\" }}\n{use_it}"),
        &["\".\": source `s` has both `local` and `http`"],
    );
    check(
        &format!("[source]\ns = {{ http = \"https://x.test/y\", sha256 = \"12\" }}\n{use_it}"),
        &["\"12\": not a SHA-256 checksum"],
    );
}

#[test]
fn steps_do_one_thing() {
    let step = |keys: &str| format!("[image.a]\nfrom = \"x\"\nstep = [{{ {keys} }}]");
    check(
        &step("run = \"y\", mkdir = \"/z\""),
        &["{ run = \"y\", mkdir = \"/z\" }: a step cannot be both `run` and `mkdir`"],
    );
    check(&step(""), &["{  }: the step does nothing"]);
    check(&step("mkdir = \"/z\", user = \"y\""), &["\"y\": `user` means nothing for a `mkdir` step"]);
    check(&step("run = \"echo ${var.x}\""), &["\"echo ${var.x}\": `${var.…}` is not replaced in commands"]);
    check(&step("run = \"y\", when = \"var.x &\""), &["\"var.x &\": cannot read the condition at its character 7"]);
    check(&step("run = \"y\", when = \"var.x\""), &["\"var.x\": there is no variable \"x\""]);
    check(&step("run = \"y\", cache = [\"c\"]"), &["\"c\": there is no cache \"c\""]);
}

#[test]
fn a_nested_condition_has_a_limit() {
    let deep = format!("{}var.x{}", "(".repeat(5000), ")".repeat(5000));
    let source = format!("[var]\nx = {{}}\n[image.a]\nfrom = \"x\"\nstep = [{{ run = \"y\", when = \"{deep}\" }}]");
    let module = parse(&source);
    assert_eq!(module.diagnostics[0].message, "the condition is nested more than 32 deep");
}

/// The first image is what is built when nothing is asked for: it comes last, after everything it needs.
#[test]
fn the_first_image_is_the_default() {
    let module = parse("[image.b]\nfrom = \"stage.s\"\n[image.a]\nfrom = \"x\"\n[stage.s]\nfrom = \"y\"");
    let names: Vec<&str> = module.defs.iter().map(|def| def.name.as_ref().unwrap().text.as_str()).collect();
    assert_eq!(names, ["s", "a", "b"]);
}

/// The dump without places.
fn meaning(source: &str) -> serde_json::Value {
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                fields.retain(|key, _| key != "span" && key != "keyword");
                fields.values_mut().for_each(strip);
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let module = parse(source);
    assert!(module.diagnostics.is_empty(), "{source}\n{:?}", module.diagnostics);
    let mut dump = ast::dump::json(&module);
    strip(&mut dump);
    dump
}

#[test]
fn written_out_presets_mean_the_same() {
    for (preset, _) in super::model::Preset::WORDS {
        for extra in
            ["", "version = 7\ndir = \"app\"\n", "cmd = [\"own\"]\noutput = \"made\"\nbuild = \"make \\\"all\\\"\"\n"]
        {
            let source = format!("# A comment.\nspec = 1\n\n[image.app]\npreset = \"{preset}\"\n{extra}");
            let expanded = super::expand::expand(&Input { file: FileId(0), bytes: source.as_bytes() }).unwrap();
            assert!(expanded.starts_with("# A comment.\n") && !expanded.contains("preset ="), "{expanded}");
            assert_eq!(meaning(&source), meaning(&expanded), "{expanded}");
        }
    }
}

/// Cuts and changes of a spec that has everything: no text makes the parser fail, and what it says stands in the text.
#[test]
fn any_text_is_read() {
    let seed = include_str!("../../../tests/snapshots/spec/everything/build.toml");
    for cut in (0..seed.len()).step_by(7).filter(|cut| seed.is_char_boundary(*cut)) {
        parse(&seed[..cut]);
        let mut bytes = seed.as_bytes().to_vec();
        bytes[cut] = b"\"[]{}=\n\x00$"[cut % 9];
        let module = super::parse(&Input { file: FileId(0), bytes: &bytes });
        for found in &module.diagnostics {
            assert!(found.at.is_none_or(|at| at.start <= at.end && at.end as usize <= bytes.len()), "{found:?}");
        }
    }
    let module = super::parse(&Input { file: FileId(0), bytes: b"a = \"\xff\"" });
    assert_eq!(module.diagnostics[0].message, "the text is not UTF-8");
}

/// Cuts and changes of the same spec: what an editor is told stands in the text, and order keeps the meaning.
#[test]
fn any_text_is_read_and_put_in_order() {
    let seed = include_str!("../../../tests/snapshots/spec/everything/build.toml");
    let mut ordered = 0;
    for cut in (0..seed.len()).step_by(11).filter(|cut| seed.is_char_boundary(*cut)) {
        let scrap = [" ", "\n", "\n\n\n", ",", "]", "{", "\"", "[x]\n", "a.b = 1\n", "\t", "# c\n"][cut % 11];
        for text in [seed[..cut].to_owned(), format!("{}{scrap}{}", &seed[..cut], &seed[cut..])] {
            let keyed = super::LANGUAGE.keyed.expect("a spec is of keys and values");
            let tree = (keyed.read)(&text);
            let inside = |span: ast::Span| text.get(span.start as usize..span.end as usize).is_some();
            for section in &tree.sections {
                assert!(inside(section.header) && inside(section.span), "{section:?}");
            }
            tree.visit(&mut |_, entry| assert!(inside(entry.span) && entry.keys.iter().all(|key| inside(key.span))));
            assert!((keyed.names)(&text, &tree).iter().all(|mention| inside(mention.span)), "{text}");
            let edits = super::format::format(&Input { file: FileId(0), bytes: text.as_bytes() });
            if edits.is_empty() {
                continue;
            }
            let after = String::from_utf8(ast::apply(text.as_bytes(), &edits)).unwrap();
            assert_eq!(text.parse::<toml::Table>(), after.parse::<toml::Table>(), "{after}");
            assert_eq!(super::format::format(&Input { file: FileId(0), bytes: after.as_bytes() }), [], "{after}");
            ordered += 1;
        }
    }
    assert!(ordered > 100, "{ordered}");
}

/// As a Dockerfile, what both languages can say is the same module.
#[test]
fn a_spec_as_a_dockerfile() {
    let source = "[var]\nv = { default = \"1 2\" }\n[stage.s]\nfrom = \"x\"\nenv = { A = \"b c ${var.v}\" }\n\
                  step = [{ run = \"make\", cache = [{ path = \"/c\" }] }, { write = \"/f\", content = \"$x\" }]\n\
                  [image.a]\nfrom = \"y\"\nfile = [{ from = \"stage.s:/o p\", to = \"/o\" }]\ncmd = [\"/o\", \"a b\"]\n";
    let text = crate::dockerfile::print::module(&parse(source), false).unwrap();
    let expected = "ARG v=1\\ 2\n\nFROM x AS s\nARG v\nENV A=b\\ c\\ ${v}\n\
                    RUN --mount=type=cache,target=/c --network=none make\nCOPY <<'f' /f\n$xf\n\n\
                    FROM y AS a\nCOPY --from=s --link [\"/o p\",\"/o\"]\nCMD [\"/o\",\"a b\"]\n";
    assert_eq!(text, expected);
}
