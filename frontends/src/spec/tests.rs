//! Specs and what is wrong with them; specs and their presets written out; any bytes at all.

use ast::{FileId, Module};

use crate::Input;

fn parse(source: &str) -> Module {
    super::parse(&Input::new(FileId(0), source.as_bytes()))
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
fn a_value_in_the_place_of_a_table_is_told_how_one_is_written() {
    let module = parse("[var]\na = \"x\"\n");
    let help = module.diagnostics[0].help.as_deref();
    assert_eq!(help, Some("write { default = … }; the keys are default, type, one-of, required, help"));
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
fn keys_of_the_draft_and_of_others_lead_to_those_of_here() {
    let source = "[image.a]\npreset = \"go\"\nbase = \"x\"\ngo = \"1\"";
    let module = parse(source);
    let fixes: Vec<&str> =
        module.diagnostics.iter().map(|found| found.fix.as_ref().unwrap().edits[0].text.as_str()).collect();
    assert_eq!(fixes, ["from", "version"], "{:?}", module.diagnostics);
}

#[test]
fn values_of_variables() {
    let var = |keys: &str| format!("[var.v]\n{keys}\n[image.a]\nfrom = \"x\"");
    check(&var("default = \"x\"\none-of = [\"y\", \"z\"]"), &["\"x\": the default of `v` is no value of it"]);
    check(&var("default = \"x\"\ntype = \"bool\""), &["\"x\": the default of `v` is no value of it"]);
    check(&var("default = 3\nrequired = true"), &["true: `v` is required, and has a default"]);
    check(&var("default = 3"), &[]);
}

#[test]
fn a_variable_of_a_stage_does_not_hide_one_of_the_spec() {
    let spec = |value: &str, used: &str| {
        format!(
            "[var.X]\ndefault = \"1\"\n[stage.a]\nfrom = \"x\"\nenv = {{ X = \"{value}\" }}\n\
             [image.b]\nfrom = \"stage.a\"\nlabels = {{ x = \"{used}\" }}"
        )
    };
    check(&spec("2", "${var.X}"), &["X: `X` is a variable of the stage, too, and `${var.X}` would be its value"]);
    check(&spec("2", "${env.X}"), &[]);
    check(&spec("${var.X}", "${var.X}"), &[]);
}

#[test]
fn several_images_of_one() {
    let matrix = |keys: &str| {
        format!("[var]\ne = {{ one-of = [\"free\", \"pro\"] }}\no = {{}}\n[image.s]\nfrom = \"x\"\n[matrix.s]\n{keys}")
    };
    let module = parse(&matrix("var.e = [\"free\", \"pro\"]\nvar.o = [1, 2]\nskip = [{ e = \"free\", o = 2 }]"));
    assert!(module.diagnostics.is_empty(), "{:?}", module.diagnostics);
    let names: Vec<&str> = module.goals.iter().map(|goal| goal.name.text.as_str()).collect();
    assert_eq!(names, ["s-free-1", "s-pro-1", "s-pro-2", "s"]);
    check(&matrix("var.e = [\"gratis\"]"), &["\"gratis\": \"gratis\" is no value of `e`"]);
    check(&matrix("var.f = [\"free\"]"), &["f: there is no variable \"f\" (did you mean e?)"]);
    check(&matrix("var.e = []"), &["e: `e` has no values"]);
    check(&matrix("var.e = [\"free\", \"pro\"]\nname = \"one\""), &["\"one\": two things would be called `one`"]);
    check(
        &matrix("var.e = [\"free\"]\nname = \"${var.o}\""),
        &["\"${var.o}\": the name has a reference that is not of the matrix"],
    );
    check(
        &matrix("var.e = [\"free\"]\nskip = [{ x = 1 }]"),
        &["x: `x` is no variable of the matrix (did you mean e?)"],
    );
    check(
        "[var.e]\n[image.a]\nfrom = \"x\"\n[matrix.b]\nvar.e = [1]",
        &["b: there is no image \"b\" (did you mean a?)"],
    );
}

/// However many combinations there would be, they are counted and not made.
#[test]
fn a_huge_matrix_is_refused() {
    let values: Vec<String> = (0..2000).map(|value| value.to_string()).collect();
    let vars: String = (0..9).map(|var| format!("[var.v{var}]\n")).collect();
    let axes: String = (0..9).map(|var| format!("var.v{var} = [{}]\n", values.join(", "))).collect();
    let module = parse(&format!("{vars}[image.a]\nfrom = \"x\"\n[matrix.a]\n{axes}"));
    let messages: Vec<&str> = module.diagnostics.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(messages, ["the matrix of `a` has more combinations than can be counted"]);
    assert!(module.diagnostics[0].at.is_some());
}

#[test]
fn groups_hold_names_and_patterns() {
    let groups = |text: &str| {
        format!("[image.a]\nfrom = \"x\"\n[image.ab]\nfrom = \"x\"\n[stage.s]\nfrom = \"x\"\n[group]\n{text}")
    };
    let members = |text: &str| {
        let module = parse(&groups(text));
        assert!(module.diagnostics.is_empty(), "{:?}", module.diagnostics);
        let ast::GoalKind::Group(members) = &module.goals.last().unwrap().kind else { panic!("a group") };
        members.iter().map(|name| name.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(members("g = [\"a*\"]"), ["a", "ab"]);
    assert_eq!(members("h = [\"a\", \"s\"]\ng = [\"h\", \"ab\"]"), ["a", "s", "ab"]);
    check(&groups("g = [\"x\"]"), &["\"x\": nothing is called \"x\" (did you mean a?)"]);
    check(&groups("g = [\"g\"]"), &["\"g\": groups hold each other in a circle: g → g"]);
    check(&groups("a = [\"ab\"]"), &["a: `a` is no group already"]);
}

#[test]
fn tests_files_and_what_images_must_be() {
    let image = |keys: &str| format!("[image.a]\nfrom = \"x\"\n{keys}");
    check(&image("require = [\"test.u\"]\n[test.u]\nfrom = \"x\"\nrun = \"true\""), &[]);
    check(&image("require = [\"test.v\"]"), &["\"test.v\": there is nothing called \"test.v\" to require"]);
    check(&image("check.max-size = \"big\""), &["\"big\": not a size"]);
    check(&image("attest.provenance = \"much\""), &["\"much\": unknown provenance \"much\""]);
    check(&image("[test.u]\nfrom = \"x\"\nstdout = \"y\""), &["\"y\": `stdout` is said, and no command"]);
    check(
        &image("[test.u]\nfrom = \"x\"\nrun = [\"y\"]\nstdout = \"y\""),
        &["\"y\": `stdout` is for one command line"],
    );
    check(
        &image("[files.f]\nfrom = \"image.a:/x\"\nto = \"../x\""),
        &["\"../x\": the files would leave the directory of the spec"],
    );
    check(&image("[files.a]\nfrom = \"image.a:/x\"\nto = \"x\""), &["a: files and image are both called `a`"]);
}

fn with(source: &str, files: &[(&str, Option<&str>)]) -> Module {
    let included: Vec<crate::Included<'_>> = files
        .iter()
        .zip(1..)
        .map(|((path, text), file)| crate::Included { path, file: FileId(file), bytes: text.map(str::as_bytes) })
        .collect();
    super::parse_with(&Input::new(FileId(0), source.as_bytes()), &included)
}

#[test]
fn what_is_included_is_below_what_is_said() {
    let module = with(
        "include = [\"./b/common.toml\"]\n[image.a]\nfrom = \"stage.s\"\nenv = { A = \"${var.v}\" }",
        &[(
            "b/common.toml",
            Some(
                "[var]\nv = { default = 1 }\n[stage.s]\nfrom = \"y\"\nstep = [{ copy = \"./src\" }]\n[image.a]\nfrom = \"z\"\nuser = \"u\"",
            ),
        )],
    );
    assert!(module.diagnostics.is_empty() && module.includes.is_empty(), "{:?}", module.diagnostics);
    let steps =
        |at: usize| module.defs[at].body.steps().iter().map(|step| step.text.lossy().into_owned()).collect::<Vec<_>>();
    assert_eq!(steps(0), ["FROM y", "COPY b/src ./"]);
    assert_eq!(steps(1), ["FROM s", "ARG v", "ENV A=${v}", "USER u"]);
    assert_eq!(module.defs[0].span.file, FileId(1));
}

#[test]
fn includes_that_are_not_there_or_go_round() {
    let wanted = with("include = [\"a.toml\"]\n[image.i]\nfrom = \"stage.s\"", &[]);
    assert_eq!(wanted.includes[0].path, "a.toml");
    assert!(wanted.diagnostics.is_empty(), "a stage of that name may be in there");
    let message = |source: &str, files: &[(&str, Option<&str>)]| {
        let module = with(&format!("{source}\n[image.i]\nfrom = \"x\""), files);
        let found = module.diagnostics.first().unwrap();
        (found.message.clone(), found.at.unwrap().file.0)
    };
    let circle = [("a.toml", Some("include = [\"b.toml\"]")), ("b.toml", Some("include = [\"./a.toml\"]"))];
    let expected = "files include each other in a circle: a.toml → b.toml → a.toml";
    assert_eq!(message("include = [\"a.toml\"]", &circle), (expected.to_owned(), 2));
    assert_eq!(
        message("include = [\"a.toml\"]", &[("a.toml", None)]),
        ("there is no file a.toml to include".to_owned(), 0)
    );
    assert_eq!(
        message("include = [\"../a.toml\"]", &[]).0,
        "only files below the directory of the spec can be included"
    );
    assert_eq!(message("include = [\"https://x.test/a.toml\"]", &[]).0, "an address cannot be included");
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
    for text in [
        "[image.a]\nfrom = \"x\"\n[image.a]\nfrom = \"y\"",
        "[image.a]\nfrom = \"x\"\nlabels.k = \"1\"\nlabels.k = \"2\"",
        "[image.b]\nfrom = \"x\"\n[image.a]\nfrom = \"x\"\nfrom = \"y\"",
        "[image.a]\nfrom = \"x\"\n[[image.a.step]]\nrun = \"x\"\n[[image.a.step]]\nrun = \"x\"\nrun = \"y\"",
        "[image.a]\nfrom = \"x\"\nlabels = { k = \"1\", k = \"2\" }",
        "[image.a]\nfrom = \"x\"\nlabels = { k.l = \"1\", k.l = \"2\" }",
        "[image.a]\nfrom = \"x\"\nstep = [{ run = \"x\" }, { run = \"x\", \"run\" = \"y\" }]",
        "[image.a]\nfrom = \"x\"\nlabels = { k = \"1\" }\nlabels.l = \"2\"",
        "[image.a]\nfrom = \"x\"\nlabels.l = \"2\"\nlabels = { k = \"1\" }",
        "[image.a.labels]\nk = \"1\"\n[image.a]\nfrom = \"x\"\nlabels = { k = \"1\" }",
        "[image.a]\nfrom = \"x\"\nlabels.k = \"1\"\n[image.a.labels]\nl = \"1\"",
        "[image.a]\nfrom = \"x\"\nexpose = [1]\n[[image.a.expose]]\nl = \"1\"",
    ] {
        let (module, quoted) = (parse(text), |at: ast::Span| &text[at.start as usize..at.end as usize]);
        let is_doubled = |found: &&ast::Diagnostic| {
            found.message == "duplicate key" || found.message.starts_with("cannot extend value of type")
        };
        let doubled = module.diagnostics.iter().find(is_doubled);
        let doubled = doubled.unwrap_or_else(|| panic!("{text}: {:?}", module.diagnostics));
        let (at, first) = (doubled.at.expect("it has a place"), doubled.also.first().map(|first| first.span));
        let name = |at: ast::Span| quoted(at).rsplit(['.', '[']).next().map(|name| name.trim_matches([']', '"']));
        let is_it = |first: ast::Span| name(at) == name(first) && first.end <= at.start;
        assert!(first.is_some_and(is_it), "{text}: {doubled:?}");
    }
    // Only the table is there already.
    let text = "[image.a.labels]\nk = \"1\"\n[image.a]\nfrom = \"x\"\nlabels.l = \"1\"";
    let module = parse(text);
    let doubled = module.diagnostics.iter().find(|found| found.message == "duplicate key").expect("it is found");
    assert_eq!(doubled.also[0].span, ast::Span::new(FileId(0), 9, 15), "{doubled:?}");
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
    check(&format!("[source]\ns = {{ local = \".\", path = \"x\" }}\n{use_it}"), &["\"x\": `path` means nothing here"]);
}

#[test]
fn directories_beside_the_spec_are_contexts() {
    let module = parse(
        "[source]\napp = { context = \"app-dir\", path = \"../app\" }\n[image.a]\nfrom = \"x\"\nfile = [{ from = \"app:main\", to = \"/m\" }]",
    );
    assert!(module.diagnostics.is_empty(), "{:?}", module.diagnostics);
    assert_eq!(contexts(&module), [("app-dir", &ast::Place::Directory("../app".to_owned()))]);
}

fn contexts(module: &Module) -> Vec<(&str, &ast::Place)> {
    module.contexts.iter().map(|own| (own.name.text.as_str(), &own.place)).collect()
}

#[test]
fn layouts_beside_the_spec_are_contexts() {
    let source = "[source]\ntools = { oci-layout = \"images/tools:v1\" }\n";
    let layout = |place: &str| ast::Place::Layout(place.to_owned());
    let spec = format!(
        "{source}[image.a]\nfrom = \"source.tools\"\n[[image.a.step]]\ncopy = \"tools:/bin/x\"\nto = \"/x\"\n\
         [[image.a.step]]\nrun = \"y\"\nmount = [{{ from = \"tools:/lib\", to = \"/lib\" }}]\nwhen = \"target.arch == 'arm64'\"\n"
    );
    let module = parse(&spec);
    assert!(module.diagnostics.is_empty(), "{:?}", module.diagnostics);
    assert_eq!(contexts(&module), [("source-tools", &layout("images/tools:v1"))]);
    let steps: Vec<String> = module.defs[0].body.steps().iter().map(|step| step.text.lossy().into_owned()).collect();
    assert_eq!(steps[..2], ["FROM source-tools", "ARG TARGETARCH"]);
    assert_eq!(steps[2], "COPY --from=source-tools /bin/x /x");
    assert!(steps[3].contains("--mount=type=bind,target=/lib,from=source-tools,source=/lib"), "{steps:?}");

    // Of a spec that is included, from where that one is; a path from the root stays.
    let include = |layout: &str| {
        let below = format!("[source]\ns = {{ oci-layout = \"{layout}\" }}");
        let module = with("include = [\"b/c.toml\"]\n[image.a]\nfrom = \"source.s\"", &[("b/c.toml", Some(&below))]);
        assert!(module.diagnostics.is_empty(), "{:?}", module.diagnostics);
        module.contexts[0].place.clone()
    };
    assert_eq!(include("../out:x"), layout("b/../out:x"));
    assert_eq!(include("/out"), layout("/out"));

    let image = "[image.a]\nfrom = \"source.s\"";
    check(
        &format!("[source]\ns = {{ http = \"https://x.test/y\" }}\n{image}"),
        &["\"source.s\": source `s` is no image"],
    );
    check(
        &format!("[source]\nt = {{ inline = \"x\" }}\n{image}"),
        &["\"source.s\": there is no source \"s\" (did you mean t?)"],
    );
    check("[image.a]\nfrom = \"oci-layout://x\"", &["\"oci-layout://x\": a layout is no name of an image"]);
    check("[source]\ns = { oci-layout = \"x\" }\n[image.a]\nfrom = \"s\"", &["\"s\": `s` is a source"]);
    check(
        &format!("[source]\ns = {{ oci-layout = \"x\", image = \"y\" }}\n{image}"),
        &["\"y\": source `s` has both `image` and `oci-layout`"],
    );
    check(
        "[source]\n\"S s\" = { oci-layout = \"x\" }\n[image.a]\nfrom = \"source.S s\"",
        &["\"S s\": source \"S s\" has a bad name for a layout"],
    );
    check(
        &format!("[source]\ns = {{ oci-layout = \"x\" }}\n{image}\n[stage.source-s]\nfrom = \"x\""),
        &["source-s: `source-s` is what is made of a source: no stage can be called that"],
    );
}

/// Of images whose names have variables in them a stage is made: copies and mounts take plain names.
#[test]
fn sources_may_be_images_of_variables() {
    let spec = "[var]\nv = { default = \"1\" }\n[source]\ns = { image = \"x:${var.v}\" }\n[image.a]\nfrom = \"source.s\"\n\
                step = [{ copy = \"s:/b\", to = \"/\" }, { run = \"y\", mount = [{ from = \"s\", to = \"/m\" }] }]";
    assert_eq!(
        steps(spec),
        ["FROM x:${v}", "COPY --from=source-s /b /", "RUN --mount=type=bind,target=/m,from=source-s --network=none y"]
    );
    let module = parse(spec);
    let names: Vec<&str> = module.defs.iter().filter_map(|def| Some(def.name.as_ref()?.text.as_str())).collect();
    assert_eq!(names, ["source-s", "a"]);
    let of_source: Vec<_> = module.defs[0].body.steps().iter().map(|step| step.text.lossy().into_owned()).collect();
    assert_eq!(of_source, ["FROM x:${v}"]);
}

/// Sources are called as files are, stages as images are.
#[test]
fn sources_that_no_stage_can_be_called_by_have_stages() {
    let copy = |name: &str| format!("{{ copy = \"{name}\", to = \"/x/\", except = [\"y\"] }}");
    let sources = "[source]\nEOF = { inline = \"1\" }\neof = { inline = \"2\" }\n";
    let module = parse(&format!("{sources}[image.a]\nfrom = \"x\"\nstep = [{}, {}]", copy("EOF"), copy("eof")));
    assert!(module.diagnostics.is_empty(), "{:?}", module.diagnostics);
    let names: Vec<&str> = module.defs.iter().filter_map(|def| Some(def.name.as_ref()?.text.as_str())).collect();
    assert_eq!(names, ["source--1", "source-eof", "a"]);
}

#[test]
fn names_of_stages_are_like_names_of_images() {
    check("[stage.\"a-\"]\nfrom = \"x\"\n[image.b]\nfrom = \"x\"", &["\"a-\": stage \"a-\" has a bad name"]);
    check("[stage.\"a.-b\"]\nfrom = \"x\"\n[image.b]\nfrom = \"x\"", &["\"a.-b\": stage \"a.-b\" has a bad name"]);
    check("[stage.\"a__b--c\"]\nfrom = \"x\"\n[image.b]\nfrom = \"x\"", &[]);
}

/// A source that is a stage is one that must come before.
#[test]
fn a_stage_starts_from_a_source_that_is_a_stage() {
    let spec = "[source]\ns = { stage = \"stage.z\" }\n[stage.a]\nfrom = \"source.s\"\n[stage.z]\nfrom = \"x\"\n[image.i]\nfrom = \"stage.a\"";
    let module = parse(spec);
    assert!(module.diagnostics.is_empty(), "{:?}", module.diagnostics);
    let names: Vec<&str> = module.defs.iter().filter_map(|def| Some(def.name.as_ref()?.text.as_str())).collect();
    assert_eq!(names, ["z", "a", "i"]);
}

#[test]
fn files_that_are_all_of_a_stage_are_no_copy() {
    let spec = |more: &str| format!("[stage.s]\nfrom = \"x\"\n[files.f]\nfrom = \"stage.s\"\nto = \"out\"\n{more}");
    assert_eq!(steps(&spec("")), ["FROM s"]);
    assert_eq!(steps(&spec("only = [\"a\"]")), ["FROM scratch", "COPY --from=s --include=a / /"]);
    check("[files.f]\nfrom = \"stage.t\"\nto = \"out\"", &["\"stage.t\": there is no stage \"t\""]);
}

#[test]
fn arguments_of_a_stage_are_declared_where_they_are_said() {
    let stage = "[var]\nv = { default = \"1\" }\n[image.a]\nfrom = \"x\"\nargs = { v = \"${var.v}\", w = \"${var.v}-w\" }\nlabels = { l = \"${var.v}\" }";
    assert_eq!(steps(stage), ["FROM x", "ARG v", "ARG w=${v}-w", "LABEL l=${v}"]);
    check(
        "[var]\nv = {}\n[image.a]\nfrom = \"x\"\nargs = { v = \"2\" }\nlabels = { l = \"${var.v}\" }",
        &["v: `v` is a variable of the stage, too, and `${var.v}` would be its value"],
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
            let expanded = super::expand::expand(&Input::new(FileId(0), source.as_bytes())).unwrap();
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
        let module = super::parse(&Input::new(FileId(0), &bytes));
        for found in &module.diagnostics {
            assert!(found.at.is_none_or(|at| at.start <= at.end && at.end as usize <= bytes.len()), "{found:?}");
        }
    }
    let module = super::parse(&Input::new(FileId(0), b"a = \"\xff\""));
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
            let edits = super::format::format(&Input::new(FileId(0), text.as_bytes()));
            if edits.is_empty() {
                continue;
            }
            let after = String::from_utf8(ast::apply(text.as_bytes(), &edits)).unwrap();
            assert_eq!(text.parse::<toml::Table>(), after.parse::<toml::Table>(), "{after}");
            assert_eq!(super::format::format(&Input::new(FileId(0), after.as_bytes())), [], "{after}");
            ordered += 1;
        }
    }
    assert!(ordered > 100, "{ordered}");
}

/// As a Dockerfile, what both languages can say is the same module.
#[test]
fn a_spec_as_a_dockerfile() {
    let source = "[var]\nv = { default = \"1 2\" }\n[stage.s]\nfrom = \"x\"\nenv = { A = \"b c ${var.v}\" }\n\
                  step = [{ run = \"make\", cache = [{ path = \"/c\" }] }, { write = \"/f\", content = \"$x\\n\" }]\n\
                  [image.a]\nfrom = \"y\"\nfile = [{ from = \"stage.s:/o p\", to = \"/o\" }]\ncmd = [\"/o\", \"a b\"]\n";
    let text = crate::dockerfile::print::module(&parse(source), false).unwrap();
    let expected = "ARG v=1\\ 2\n\nFROM x AS s\nARG v\nENV A=b\\ c\\ ${v}\n\
                    RUN --mount=type=cache,target=/c --network=none make\nCOPY <<'f' /f\n$x\nf\n\n\
                    FROM y AS a\nCOPY --from=s --link [\"/o p\",\"/o\"]\nCMD [\"/o\",\"a b\"]\n";
    assert_eq!(text, expected);
}

#[test]
fn an_image_keeps_instructions_for_those_built_on_it() {
    let image = "[image.a]\nfrom = \"x\"\nonbuild = [\"RUN make $A\", \"COPY . /a\"]";
    assert_eq!(steps(image), ["FROM x", "ONBUILD RUN make $A", "ONBUILD COPY . /a"]);
    let kept = |text: &str| format!("[image.a]\nfrom = \"x\"\nonbuild = [\"{text}\"]");
    check(&kept("FROM y"), &["\"FROM y\": FROM isn't allowed as an ONBUILD trigger"]);
    check(&kept("ONBUILD RUN y"), &["\"ONBUILD RUN y\": Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"]);
    check(&kept("RUN y\\nRUN z"), &["\"RUN y\\nRUN z\": onbuild trigger should be a single expression"]);
}

/// Lists of a stage that becomes several are told together.
#[test]
fn a_dockerfile_as_a_spec() {
    let source = "FROM x\nONBUILD RUN a[0]\nEXPOSE 80\nUSER u\nRUN y\nUSER v\nEXPOSE 81\nONBUILD COPY <<E /e\nt\nE\n";
    let module = crate::by_id("Dockerfile").unwrap();
    let module = (module.parse)(&Input::new(FileId(0), source.as_bytes()));
    let text = (super::LANGUAGE.write)(&module, false).unwrap();
    assert!(text.contains("onbuild = [\"RUN a[0]\", \"COPY <<E /e\\nt\\nE\"]\n"), "{text}");
    assert!(text.contains("expose = [\"80\", \"81\"]\n"), "{text}");
    check(&text, &[]);
}

/// The drafts that the language was made from.
#[test]
fn drafts_are_read_without_a_word() {
    macro_rules! drafts {
        ($($name:literal),+) => { [$(($name, include_str!(concat!("../../../tests/drafts/", $name)))),+] };
    }
    let common = include_str!("../../../tests/drafts/common.toml");
    for (name, text) in drafts!["1-preset.toml", "2-gockerfile.toml", "3-mockerfile.toml", "4-full.toml"] {
        let module = with(text, &[("common.toml", Some(common))]);
        assert!(module.diagnostics.is_empty() && module.includes.is_empty(), "{name}: {:?}", module.diagnostics);
        assert!(!module.goals.is_empty(), "{name}");
    }
}

/// The text of each step of the last definition.
fn steps(source: &str) -> Vec<String> {
    let module = parse(source);
    assert!(module.diagnostics.is_empty(), "{:?}", module.diagnostics);
    module.defs.last().unwrap().body.steps().iter().map(|step| step.text.lossy().into_owned()).collect()
}

#[test]
fn variables_of_a_stage_are_known_in_it() {
    let stage = "[image.a]\nfrom = \"x\"\nenv = { HOME = \"/h\" }\nworkdir = \"${env.HOME}/src\"";
    assert_eq!(steps(stage), ["FROM x", "ENV HOME=/h", "WORKDIR ${HOME}/src"]);
    check("[image.a]\nfrom = \"${env.BASE}\"", &["\"${env.BASE}\": ${env.BASE} is known only in a stage"]);
    check("[image.a]\nfrom = \"x\"\nworkdir = \"/${env.1}\"", &["\"/${env.1}\": not the name of a variable: \"1\""]);
    check(
        "[image.a]\nfrom = \"x\"\nstep = [{ run = \"echo ${env.HOME}\" }]",
        &["\"echo ${env.HOME}\": `${env.…}` is not replaced in commands"],
    );
}

#[test]
fn sources_of_one_copy_that_come_from_one_place_are_one_step() {
    let copies = "[source]\nt = { inline = \"t\" }\n[stage.s]\nfrom = \"y\"\n[image.a]\nfrom = \"x\"\n\
                  step = [{ copy = [\"./b\", \"./c\", \"t\", \"stage.s:/d\", \"stage.s:/e\"], to = \"/f/\" }]";
    assert_eq!(steps(copies), ["FROM x", "COPY b c <<'t' /f/", "COPY --from=s /d /e /f/"]);
}

#[test]
fn what_processes_and_copies_are_told() {
    let told = "[image.a]\nfrom = \"x\"\nhealthcheck = { disable = true }\nstep = [\n\
                { run = \"y\", network = \"none\", security = \"insecure\", device = [\"v.com/c=d\"], \
                mount = [{ tmpfs = true, to = \"/t\", size = \"64m\" }], \
                cache = [{ path = \"/c\", uid = 1, gid = 2, mode = \"0700\", readonly = true }] },\n\
                { copy = \"./b/c\", to = \"/d/\", parents = true },\n]";
    assert_eq!(
        steps(told),
        [
            "FROM x",
            "RUN --mount=type=cache,target=/c,uid=1,gid=2,mode=0700,readonly --mount=type=tmpfs,target=/t,size=64m \
             --network=none --security=insecure --device=v.com/c=d,required y",
            "COPY --parents b/c /d/",
            "HEALTHCHECK NONE",
        ]
    );
    check(
        "[image.a]\nfrom = \"x\"\nhealthcheck = { disable = true, cmd = \"y\" }",
        &["{ disable = true, cmd = \"y\" }: the health check is disabled, and has a command"],
    );
}
