//! Build specs: from `build.toml` to an image, and what the commands around it say.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use e2e::Sandbox;
use serde_json::Value;

/// The example, on the base that tests have.
fn example() -> Sandbox {
    let sandbox = Sandbox::with_base();
    let folder = e2e::workspace().join("examples/words");
    for name in ["build.toml", "words.txt"] {
        sandbox.write(name, &std::fs::read_to_string(folder.join(name)).unwrap());
    }
    sandbox
}

#[test]
fn a_spec_is_built_like_a_dockerfile() {
    let sandbox = example();
    sandbox.succeed(&mut sandbox.shell("llbc build --build-arg base=base --build-arg title='my words' -o tree ."));
    assert_eq!(sandbox.read("tree/counts"), "# my words\n      1 apple\n      2 pear\n");
    let image = sandbox.succeed(&mut sandbox.shell("llbc dump --image --build-arg base=base build.toml")).out();
    let config: Value = serde_json::from_str(&image).unwrap();
    assert_eq!(config["config"]["User"], "65534:65534");
    assert_eq!(config["config"]["Cmd"], serde_json::json!(["cat", "/counts"]));
}

/// Variables that a step is not given do not reach its process, and so not its cache.
#[test]
fn a_variable_that_a_step_does_not_use_changes_nothing() {
    let sandbox = Sandbox::with_base();
    sandbox.write(
        "build.toml",
        "[var]\nlabel = { default = \"one\" }\n[image.a]\nfrom = \"base\"\nlabels = { l = \"${var.label}\" }\n\
         step = [{ run = \"env > /env; cat /proc/sys/kernel/random/uuid > /id\" }]\n",
    );
    let build = |label: &str| {
        sandbox.succeed(&mut sandbox.shell(&format!("llbc build --build-arg label={label} -o tree .")));
        sandbox.read("tree/id")
    };
    assert_eq!(build("one"), build("two"));
    assert!(!sandbox.read("tree/env").contains("label"));
}

#[test]
fn conditions_take_steps_or_leave_them() {
    let sandbox = Sandbox::with_base();
    sandbox.write(
        "build.toml",
        "[var]\ndebug = { default = false }\n[image.a]\nfrom = \"base\"\nstep = [\n\
         { mkdir = \"/data/x\", mode = \"0700\" },\n{ write = \"/data/y\", content = \"$y\\n\" },\n\
         { remove = \"/data/y\", when = \"!var.debug\" },\n]\n",
    );
    let build = |flags: &str| sandbox.succeed(&mut sandbox.shell(&format!("llbc build {flags} -o tree .")));
    build("--build-arg debug=true");
    assert_eq!(sandbox.read("tree/data/y"), "$y\n");
    std::fs::remove_dir_all(sandbox.directory().join("tree")).unwrap();
    build("");
    assert!(!sandbox.has("tree/data/y") && sandbox.has("tree/data/x"));
}

#[test]
fn a_spec_may_come_by_standard_input() {
    let sandbox = Sandbox::with_base();
    sandbox.write("x.txt", "spec = 1\n[image.a]\nfrom = \"base\"\nfile = [{ from = \"./x.txt\", to = \"/x\" }]\n");
    sandbox.succeed(&mut sandbox.shell("llbc build -o tree -f - . < x.txt"));
    assert!(sandbox.has("tree/x"));
    sandbox.succeed(&mut sandbox.shell("llbc check x.txt"));
}

#[test]
fn mistakes_have_a_place() {
    let sandbox = Sandbox::with_base();
    sandbox.write("build.toml", "[image.a]\nfrom = \"base\"\ncdm = [\"x\"]\n");
    let text = sandbox.fail(1, &mut sandbox.shell("llbc check build.toml"));
    assert!(
        text.contains("unknown key `cdm` in image (did you mean cmd?)") && text.contains("build.toml:3:1"),
        "{text}"
    );
}

#[test]
fn presets_are_written_out_and_specs_become_dockerfiles() {
    let sandbox = example();
    sandbox.write("go.toml", "[image.app]\npreset = \"go\"\n");
    let expanded = sandbox.succeed(&mut sandbox.shell("llbc expand go.toml")).out();
    assert!(expanded.contains("[stage.app-build]") && !expanded.contains("preset"), "{expanded}");

    sandbox.write(
        "plain.toml",
        "[image.a]\nfrom = \"base\"\nstep = [{ run = \"echo hi > /hi\" }]\ncmd = [\"cat\", \"/hi\"]\n",
    );
    sandbox.succeed(&mut sandbox.shell("llbc convert plain.toml --to dockerfile -o Dockerfile"));
    let ops = |file: &str| {
        let dump = sandbox.succeed(&mut sandbox.shell(&format!("llbc dump --json {file}"))).out();
        dump.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["Digest"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ops("plain.toml"), ops("Dockerfile"));
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc convert build.toml --to dockerfile"));
    assert!(refused.contains("a Dockerfile has no word for"), "{refused}");
    // A Dockerfile has words for all of this, and they mean something else.
    sandbox.write(
        "otherwise.toml",
        "[image.a]\nfrom = \"base\"\nlabels = { arch = \"${target.arch}\" }\nstep = [{ run = \"env\" }]\n",
    );
    let differs = "TARGETARCH would be set as well";
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc convert otherwise.toml --to dockerfile"));
    assert!(refused.contains(differs) && refused.contains("Error"), "{refused}");
    let lossy = |file: &str| {
        let convert = format!("llbc convert {file} --to dockerfile --lossy -o written");
        sandbox.succeed(&mut sandbox.shell(&convert)).err()
    };
    let told = lossy("otherwise.toml");
    assert!(told.contains(differs) && told.contains("Warning"), "{told}");
    sandbox.write("below/common.toml", "[stage.s]\nfrom = \"base\"\nstep = [{ remove = \"/x\" }]\n");
    sandbox.write("above.toml", "include = [\"below/common.toml\"]\n[image.a]\nfrom = \"stage.s\"\n");
    let told = lossy("above.toml");
    assert!(told.contains("left out") && told.contains("below/common.toml:3:"), "{told}");
}

/// The example of several results, on the base that tests have.
fn editions() -> Sandbox {
    let sandbox = Sandbox::with_base();
    let folder = e2e::workspace().join("examples/editions");
    for name in ["build.toml", "build/common.toml", "words/free.txt", "words/pro.txt"] {
        sandbox.write(name, &std::fs::read_to_string(folder.join(name)).unwrap());
    }
    sandbox
}

#[test]
fn several_results_are_one_build() {
    let sandbox = editions();
    let built = sandbox.succeed(
        &mut sandbox.shell("llbc build --build-arg base=base --progress plain --metadata-file meta.json -f build.toml"),
    );
    assert_eq!(sandbox.read("lists/words"), "apple\npear\n");
    // The stage with the tools is one vertex, whoever uses it.
    let told = built.err();
    let shared: std::collections::BTreeSet<&str> = told.lines().filter(|line| line.contains("MKDIR /out")).collect();
    assert_eq!(shared.len(), 1, "{told}");
    let metadata: Value = serde_json::from_str(&sandbox.read("meta.json")).unwrap();
    assert_eq!(metadata["words-free"]["image.name"], "docker.io/library/words:free");
    assert_eq!(metadata["words-pro"]["image.name"], "docker.io/library/words:pro");

    sandbox.succeed(&mut sandbox.shell("llbc build --build-arg base=base -f build.toml words-pro -o tree"));
    assert_eq!(sandbox.read("tree/words"), "apple\nfig\npear\n");
    sandbox.succeed(&mut sandbox.shell("llbc test --build-arg base=base -f build.toml"));
}

/// Two images of one tree differ in their configs alone.
#[test]
fn images_of_the_same_files_are_built_together() {
    let sandbox = Sandbox::with_base();
    let image = |name: &str| format!("[image.{name}]\nfrom = \"stage.s\"\ncmd = [\"{name}\"]\ntags = [\"{name}\"]\n");
    let stage = "spec = 1\n[stage.s]\nfrom = \"base\"\n[[stage.s.step]]\nrun = \"echo x > /x\"\n";
    sandbox.write("build.toml", &format!("{stage}{}{}", image("one"), image("two")));
    for level in 0..=2 {
        let meta = format!("{level}.json");
        sandbox.succeed(
            &mut sandbox.shell(&format!("llbc build -O{level} -f build.toml . one two --metadata-file {meta}")),
        );
        let metadata: Value = serde_json::from_str(&sandbox.read(&meta)).unwrap();
        let digest = |name: &str| metadata[name]["containerimage.config.digest"].as_str().map(str::to_owned);
        assert!(digest("one").is_some() && digest("two").is_some() && digest("one") != digest("two"), "{metadata}");
    }
}

#[test]
fn what_would_be_built_is_printed_and_nobody_is_asked() {
    let sandbox = editions();
    let printed = sandbox.succeed(&mut sandbox.shell("llbc build --offline --print -f build.toml")).out();
    let plan: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(plan["group"]["default"]["targets"], serde_json::json!(["words-free", "words-pro", "lists"]));
    let pro = &plan["target"]["words-pro"];
    assert_eq!((&pro["target"], &pro["args"]["edition"]), (&"words".into(), &"pro".into()), "{printed}");
    assert_eq!(pro["tags"], serde_json::json!(["words:pro"]));
    assert_eq!(plan["target"]["lists"]["output"][0]["dest"], "./lists");
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc build --offline --print -f build.toml . list"));
    assert!(refused.contains("target stage \"list\" could not be found (did you mean lists?)"), "{refused}");
}

/// Every kind of result, in the form of `docker buildx bake --print`: what of it is a bake file can be read as one.
#[test]
fn plans_are_printed_in_the_form_of_bake() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "build.toml",
        "[var]\nedition = { one-of = [\"free\", \"pro\"], default = \"free\" }\nversion = { default = \"1\" }\n\
         [stage.built]\nfrom = \"busybox\"\nargs = { edition = \"${var.edition}\" }\n\
         [test.unit]\nfrom = \"stage.built\"\nrun = \"true\"\n\
         [image.api]\nfrom = \"stage.built\"\nrequire = [\"test.unit\"]\ntags = [\"acme/api:${var.version}\", \"acme/api:latest\"]\n\
         platforms = [\"linux/amd64\", \"linux/arm64\"]\nannotations = { \"index:org.example.v\" = \"${var.version}\" }\n\
         attest = { provenance = \"max\", sbom = true }\n\
         [image.worker]\nfrom = \"stage.built\"\ntags = [\"acme/worker:${var.edition}\"]\n\
         [matrix.worker]\nvar.edition = [\"free\", \"pro\"]\nvar.version = [1, 2]\nskip = [{ edition = \"pro\", version = 1 }]\n\
         [files.out]\nfrom = \"stage.built:/etc\"\nto = \"./dist\"\n\
         [group]\nworkers = [\"worker-*\"]\nrelease = [\"api\", \"workers\", \"out\"]\n",
    );
    let print = |words: &str| {
        let printed =
            sandbox.succeed(&mut sandbox.shell(&format!("llbc build --offline --print -f build.toml {words}")));
        let plan: Value = serde_json::from_str(&printed.out()).unwrap();
        (plan["group"].clone(), plan["target"].clone())
    };
    let targets = |names: &[&str]| serde_json::json!({ "targets": names });
    let names = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();

    // The first image when nothing is asked for, and what it requires.
    let (groups, api) = print("");
    assert_eq!(groups, serde_json::json!({ "default": targets(&["api"]) }));
    let own = serde_json::json!({ "context": ".", "dockerfile": "build.toml" });
    let with = |more: Value| {
        let mut whole = own.as_object().unwrap().clone();
        whole.extend(more.as_object().unwrap().clone());
        Value::from(whole)
    };
    let of_api = with(serde_json::json!({
        "tags": ["acme/api:1", "acme/api:latest"],
        "platforms": ["linux/amd64", "linux/arm64"],
        "annotations": ["index:org.example.v=1"],
        "attest": [{ "type": "sbom" }, { "type": "provenance", "mode": "max" }],
    }));
    assert_eq!(names(&api), ["api", "test.unit"]);
    assert_eq!(api["api"], of_api);
    assert_eq!(api["test.unit"]["output"], serde_json::json!([{ "type": "cacheonly" }]));

    // Groups in groups, patterns, a matrix with what is left out of it.
    let (groups, release) = print(". release");
    let workers = ["worker-free-1", "worker-free-2", "worker-pro-2"];
    let all = ["api", workers[0], workers[1], workers[2], "out"];
    assert_eq!(groups, serde_json::json!({ "default": targets(&["release"]), "release": targets(&all) }));
    assert_eq!(names(&release), ["api", workers[0], workers[1], workers[2], "out", "test.unit"]);
    let pro = with(serde_json::json!({
        "target": "worker", "tags": ["acme/worker:pro"], "args": { "edition": "pro", "version": "2" },
    }));
    assert_eq!(release[workers[2]], pro);
    assert_eq!(release["out"]["output"], serde_json::json!([{ "type": "local", "dest": "./dist" }]));
    // The group that a matrix is, several names, values that are given.
    let (groups, some) = print(". worker out --build-arg version=2 --platform linux/arm64");
    assert_eq!(groups, serde_json::json!({ "default": targets(&["worker", "out"]), "worker": targets(&workers) }));
    assert_eq!((&some["out"]["args"]["version"], &some["out"]["platforms"][0]), (&"2".into(), &"linux/arm64".into()));
    // It is a bake file.
    sandbox.succeed(&mut sandbox.shell(
        "llbc build --offline --print -f build.toml . release > docker-bake.json && llbc build -f docker-bake.json --print > again",
    ));
    let again: Value = serde_json::from_str(&sandbox.read("again")).unwrap();
    let mut of_api = of_api;
    of_api["target"] = "api".into();
    assert_eq!(again["target"]["api"], of_api);
}

#[test]
fn nothing_goes_anywhere_when_a_test_or_a_check_fails() {
    let sandbox = editions();
    let text = sandbox.read("build.toml");
    sandbox.write("test.toml", &text.replace("sort -c", "false && sort -c"));
    sandbox.fail(1, &mut sandbox.shell("llbc build --build-arg base=base -f test.toml"));
    sandbox.write("check.toml", &text.replace("\"1kB\"", "\"3B\"").replace("\"/bin/**\"", "\"/words\""));
    let told = sandbox.fail(1, &mut sandbox.shell("llbc build --build-arg base=base -f check.toml"));
    assert!(told.contains("its files come to 11 bytes, and may come to 3"), "{told}");
    assert!(told.contains("it has /words, and nothing may match /words"), "{told}");
    assert!(!sandbox.has("lists"));
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc compile --target words build.toml"));
    assert!(refused.contains("`words` is several results"), "{refused}");
    let refused = sandbox
        .fail(1, &mut sandbox.shell("llbc build --build-arg base=base --build-arg edition=x -f build.toml lists"));
    assert!(refused.contains("`edition` cannot be \"x\"") && refused.contains("build.toml"), "{refused}");
}

/// What `llbc init` writes is built, in both forms, from images that are there.
#[test]
fn a_project_gets_a_build_file_that_builds() {
    let sandbox = Sandbox::with_base();
    sandbox.write("page/index.html", "hello\n");
    let said = sandbox.succeed(&mut sandbox.shell("llbc init page --from base")).err();
    assert!(said.contains("wrote page/build.toml: because of index.html"), "{said}");
    assert!(sandbox.read("page/build.toml").contains("preset = \"static\""));
    assert!(sandbox.read("page/.dockerignore").contains("build.toml"));
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc init page"));
    assert!(refused.contains("is there already"), "{refused}");
    sandbox.succeed(&mut sandbox.shell("llbc init page --from base --format dockerfile"));
    for file in ["build.toml", "Dockerfile"] {
        sandbox.succeed(&mut sandbox.shell(&format!("llbc build -f page/{file} -o tree-{file} page")));
        assert_eq!(sandbox.read(&format!("tree-{file}/www/index.html")), "hello\n");
    }
    sandbox.write("empty/x", "");
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc init empty"));
    assert!(refused.contains("nothing in empty tells what it is"), "{refused}");
}

/// Targets of a bake file are builds with flags of their own; a matrix and a group of them, in both forms.
#[test]
fn files_of_bake_are_built() {
    let sandbox = Sandbox::with_base();
    sandbox.write(
        "app/Dockerfile",
        "FROM base AS a\nARG WORD\nRUN echo $WORD > /word\nFROM a AS b\nRUN echo b >> /word\n",
    );
    sandbox.write(
        "docker-bake.hcl",
        "variable \"WORD\" { default = \"hi\" }\ngroup \"default\" { targets = [\"x\"] }\n\
         target \"_all\" { \n context = \"app\"\n args = { WORD = upper(WORD) }\n}\n\
         target \"x\" {\n inherits = [\"_all\"]\n name = \"x-${s}\"\n matrix = { s = [\"a\", \"b\"] }\n target = s\n \
         output = [\"type=local,dest=out-${s}\"]\n}\n",
    );
    sandbox.succeed(&mut sandbox.shell("llbc build -f docker-bake.hcl"));
    assert_eq!((sandbox.read("out-a/word"), sandbox.read("out-b/word")), ("HI\n".into(), "HI\nb\n".into()));
    let printed = sandbox.succeed(&mut sandbox.shell("WORD=yo llbc build -f docker-bake.hcl --print x-b")).out();
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["target"]["x-b"]["args"]["WORD"], "YO");

    sandbox.write(
        "docker-bake.json",
        r#"{"target": {"default": {"context": "app", "dockerfile-inline": "FROM base\nRUN echo in > /line\n", "output": ["out-c"]}}}"#,
    );
    sandbox.succeed(&mut sandbox.shell("llbc build -f docker-bake.json"));
    assert_eq!(sandbox.read("out-c/line"), "in\n");
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc build -f docker-bake.json nope"));
    assert!(refused.contains("there is no target nope"), "{refused}");
}

/// Targets are one graph: what they share is one vertex, directories of one name stay apart, and one target is the base of
/// another.
#[test]
fn targets_of_bake_share_a_graph() {
    let sandbox = Sandbox::with_base();
    let shared = "FROM base AS shared\nRUN echo once > /once\n";
    sandbox.write("one/Dockerfile", &format!("{shared}FROM shared\nCOPY name /name\nENV LANG=one\n"));
    sandbox.write("two/Dockerfile", &format!("{shared}FROM shared\nCOPY name /name\nRUN cat /name /once > /both\n"));
    sandbox.write("three/Dockerfile", "FROM lower\nCOPY --from=second /both /both\nRUN echo $LANG >> /both\n");
    sandbox.write("one/name", "one\n");
    sandbox.write("two/name", "two\n");
    sandbox.write(
        "docker-bake.hcl",
        "group \"default\" { targets = [\"one\", \"two\", \"three\"] }\n\
         target \"one\" {\n context = \"one\"\n output = [\"out-one\"]\n}\n\
         target \"two\" {\n context = \"two\"\n output = [\"out-two\"]\n}\n\
         target \"three\" {\n context = \"three\"\n contexts = { lower = \"target:one\", second = \"target:two\" }\n \
         output = [\"out-three\"]\n}\n\
         target \"round\" {\n context = \"three\"\n contexts = { lower = \"target:round\" }\n}\n",
    );
    let told = sandbox.succeed(&mut sandbox.shell("llbc build --progress plain -f docker-bake.hcl")).err();
    let runs: std::collections::BTreeSet<&str> = told.lines().filter(|line| line.contains("echo once")).collect();
    assert_eq!(runs.len(), 1, "{told}");
    assert_eq!((sandbox.read("out-one/name"), sandbox.read("out-two/both")), ("one\n".into(), "two\nonce\n".into()));
    assert_eq!(sandbox.read("out-three/both"), "two\nonce\none\n");
    assert_eq!(sandbox.read("out-three/name"), "one\n");

    // What it is built on goes nowhere by itself.
    sandbox.succeed(&mut sandbox.shell("rm -r out-*; llbc build -f docker-bake.hcl three"));
    assert!(sandbox.has("out-three") && !sandbox.has("out-one"));
    let printed = sandbox.succeed(&mut sandbox.shell("llbc build -f docker-bake.hcl --print three")).out();
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["group"], serde_json::json!({ "default": { "targets": ["three"] } }));
    assert_eq!(printed["target"].as_object().unwrap().len(), 3);
    // What flags say of all targets is shown, and comes after what is said of one.
    let three = |flags: &str| {
        let command = format!("llbc build -f docker-bake.hcl --print {flags} three");
        let printed = sandbox.succeed(&mut sandbox.shell(&command)).out();
        serde_json::from_str::<Value>(&printed).unwrap()["target"]["three"].clone()
    };
    let pushed = three("--set three.output=type=docker --set three.pull=false --pull --no-cache --push");
    let docker = serde_json::json!({ "type": "docker" });
    let outputs = serde_json::json!([docker, { "type": "image", "push": "true" }]);
    assert_eq!((&pushed["pull"], &pushed["no-cache"], &pushed["output"]), (&true.into(), &true.into(), &outputs));
    let loaded = three("--set three.output=type=registry --load");
    assert_eq!(loaded["output"], serde_json::json!([{ "type": "registry" }, docker]));
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc build -f docker-bake.hcl round"));
    assert!(refused.contains("in a circle: round"), "{refused}");
}

/// Bake files as specs, which build the same: directories of their own, values of arguments, targets that are contexts,
/// variables that stay ones.
#[test]
fn files_of_bake_become_specs() {
    let sandbox = Sandbox::with_base();
    sandbox.write("lib/Dockerfile", "FROM base AS lib\nARG WORD=none\nCOPY . /lib\nRUN echo $WORD > /word\n");
    sandbox.write("lib/data", "data\n");
    sandbox.write("lib/.dockerignore", "hidden\n");
    sandbox.write("lib/hidden", "");
    sandbox.write(
        "app/Dockerfile",
        "ARG KIND=plain\nFROM lower AS app\nARG KIND\nRUN echo $KIND $WORD > /kind\nFROM app AS shown\nARG MORE\nRUN env | grep -v HOSTNAME > /env\n",
    );
    sandbox.write(
        "docker-bake.hcl",
        "variable \"WORD\" { default = \"hi\" }\n\
         group \"default\" { targets = [\"lib\", \"app\"] }\n\
         target \"_all\" { \n labels = { \"org.example.word\" = \"w-${WORD}\" }\n}\n\
         target \"lib\" {\n inherits = [\"_all\"]\n context = \"lib\"\n args = { WORD = WORD }\n tags = [\"acme/lib:${WORD}\"]\n}\n\
         target \"app\" {\n name = \"app-${kind}\"\n matrix = { kind = [\"a\", \"b\"] }\n context = \"app\"\n \
         contexts = { lower = \"target:lib\" }\n args = { KIND = kind }\n output = [\"out-${kind}\"]\n}\n",
    );
    sandbox.succeed(&mut sandbox.shell("llbc convert docker-bake.hcl --to toml -o build.toml"));
    let spec = sandbox.read("build.toml");
    for part in [
        "tags = [\"acme/lib:${var.WORD}\"]",
        "\"org.example.word\" = \"w-${var.WORD}\"",
        "path = \"lib\"",
        "KIND = \"a\"",
    ] {
        assert!(spec.contains(part), "{part}: {spec}");
    }
    sandbox.succeed(&mut sandbox.shell("llbc build -f docker-bake.hcl app && mv out-a bake-a && mv out-b bake-b"));
    sandbox.succeed(&mut sandbox.shell("llbc build -f build.toml app --build-arg WORD=hi"));
    for kind in ["a", "b"] {
        sandbox.succeed(&mut sandbox.shell(&format!("diff -r bake-{kind} out-{kind} && cat out-{kind}/lib/data")));
        assert!(!sandbox.has(&format!("out-{kind}/lib/hidden")));
    }
    let printed = sandbox.succeed(&mut sandbox.shell("llbc build -f build.toml --print")).out();
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["target"]["lib"]["tags"][0], "acme/lib:hi");
    sandbox
        .succeed(&mut sandbox.shell("llbc convert docker-bake.hcl --to hlb --lossy > main.hlb && llbc check main.hlb"));

    // What a spec does not say is named where it stands.
    sandbox.write(
        "docker-bake.json",
        r#"{"variable": {"AT": {"default": "a"}}, "target": {"default": {"dockerfile-inline": "FROM base AS a\n", "target": "${AT}", "no-cache": true}}}"#,
    );
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc convert docker-bake.json --to toml"));
    for words in [
        "no word for a variable that decides what is built",
        "no word for `no-cache`: it is a flag",
        "docker-bake.json:1:",
    ] {
        assert!(refused.contains(words), "{words}: {refused}");
    }
    let lossy = sandbox.succeed(&mut sandbox.shell("llbc convert docker-bake.json --to toml --lossy -o lossy.toml"));
    for words in ["Warning: left out: a build spec has no word for `no-cache`", "docker-bake.json:1:"] {
        assert!(lossy.err().contains(words), "{words}: {}", lossy.err());
    }
    sandbox.succeed(&mut sandbox.shell("llbc check lossy.toml"));
    // Targets without a build file or of no stage, members of groups that are nothing, a stage that a variable names, `targets`
    // where it means nothing: what is left checks.
    sandbox.write("many/Dockerfile", "ARG X=${TARGETARCH#y}\nFROM base AS on-a\nRUN echo on\nFROM on-${X} AS b\nFROM on-${X#y} AS e\nFROM base AS c\n");
    sandbox.write(
        "many/docker-bake.hcl",
        "group \"default\" { targets = [\"a\", \"b\", \"nothing\"] }\ntarget \"a\" {\n target = \"b\"\n targets = [\"b\"]\n}\n\
         target \"b\" { target = \"nostage\" }\ntarget \"c\" { dockerfile = \"nofile\" }\ntarget \"d\" { target = \"c\" }\ntarget \"e\" { target = \"e\" }\n",
    );
    let lossy =
        sandbox.succeed(&mut sandbox.shell("cd many && llbc convert docker-bake.hcl --to toml --lossy -o build.toml"));
    for words in [
        "group default has a member that is nothing: nothing",
        "has no stage nostage",
        "target c: cannot read ./nofile",
        "a stage whose name has a variable in it",
        "a substitution: ${NAME:-VALUE} and its kin",
        "`targets` in a target",
    ] {
        assert!(lossy.err().contains(words), "{words}: {}", lossy.err());
    }
    sandbox.succeed(&mut sandbox.shell("cd many && llbc check build.toml && llbc build -f build.toml d"));
    let note = sandbox.succeed(&mut sandbox.shell("cd many && llbc build -f docker-bake.hcl --print d")).err();
    assert!(note.contains("target a: `targets` means nothing in a target"), "{note}");
    // One Dockerfile may be all there is.
    sandbox.write(
        "docker-bake.json",
        r#"{"target": {"default": {"dockerfile": "lib/Dockerfile", "args": {"WORD": "x"}}}}"#,
    );
    let dockerfile = sandbox.succeed(&mut sandbox.shell("llbc convert docker-bake.json --to dockerfile")).out();
    assert!(dockerfile.contains("ARG WORD=x"), "{dockerfile}");
}

/// A layout with two images, of which each holds its name; and an index of all that is there.
fn layouts(sandbox: &Sandbox) {
    for name in ["one", "two"] {
        sandbox.write("layout.Dockerfile", &format!("FROM base\nENV NAME={name}\nRUN echo $NAME > /name\n"));
        sandbox.succeed(&mut sandbox.shell(&format!(
            "llbc build -f layout.Dockerfile -o type=oci,dest={name}.tar,name=x:{name} . && mkdir -p specs/images && \
             tar xf {name}.tar -C specs/images && mv specs/images/index.json {name}.json"
        )));
    }
    let index = |name: &str| serde_json::from_str::<Value>(&sandbox.read(&format!("{name}.json"))).unwrap();
    let (mut all, two) = (index("one"), index("two"));
    all["manifests"].as_array_mut().unwrap().push(two["manifests"][0].clone());
    sandbox.write("specs/images/index.json", &all.to_string());
}

/// Images in a layout beside the spec: as what a stage starts from, what is copied of, what is mounted; by tag and by digest;
/// from another directory; given otherwise.
#[test]
fn sources_in_layouts_are_built() {
    let sandbox = Sandbox::with_base();
    layouts(&sandbox);
    let spec = "[source]\none = { oci-layout = \"images:one\" }\ntwo = { oci-layout = \"./images:two\" }\n\
                [image.a]\nfrom = \"source.one\"\n[[image.a.step]]\ncopy = \"two:/name\"\nto = \"/copied\"\n\
                [[image.a.step]]\nrun = \"echo $NAME; cat /name /copied /m/name\"\nmount = [{ from = \"two\", to = \"/m\" }]\n\
                [[image.a.step]]\ncopy = \"two:/name\"\nto = \"/never\"\nwhen = \"target.os == 'none'\"\n";
    sandbox.write("specs/build.toml", spec);
    sandbox.write("include.toml", "include = [\"specs/build.toml\"]\n");
    let shown = |words: &str| {
        let told =
            sandbox.succeed(&mut sandbox.shell(&format!("llbc build --no-cache --progress plain {words}"))).err();
        let said =
            |line: &str| line.split_whitespace().last().filter(|word| ["one", "two"].contains(word)).map(str::to_owned);
        told.lines().filter(|line| line.contains(' ')).filter_map(said).collect::<Vec<_>>()
    };
    assert_eq!(shown("-o tree specs"), ["one", "one", "two", "two"]);
    assert_eq!(sandbox.read("tree/copied"), "two\n");
    assert!(!sandbox.has("tree/never"));
    assert_eq!(shown("-f include.toml -o tree ."), ["one", "one", "two", "two"]);
    // Whoever builds may give another.
    let given = "--build-context source-two=oci-layout://specs/images:one";
    assert_eq!(shown(&format!("{given} -o tree specs")), ["one", "one", "one", "one"]);

    let index: Value = serde_json::from_str(&sandbox.read("specs/images/index.json")).unwrap();
    let digest = index["manifests"][1]["digest"].as_str().unwrap();
    sandbox.write("specs/digest.toml", &spec.replace("images:one", &format!("images@{digest}")));
    assert_eq!(shown("-f specs/digest.toml -o tree specs"), ["two", "two", "two", "two"]);

    for (place, why) in [
        ("images", "it has no image named latest"),
        ("images:no", "it has no image named no"),
        ("nowhere", "No such file or directory"),
    ] {
        sandbox.write("specs/bad.toml", &spec.replace("images:one", place));
        for command in ["check", "dump"] {
            let refused = sandbox.fail(1, &mut sandbox.shell(&format!("llbc {command} specs/bad.toml")));
            assert!(refused.contains(why) && refused.contains("bad.toml:5:"), "{place}: {refused}");
        }
    }

    sandbox.succeed(&mut sandbox.shell("llbc check specs/build.toml"));
    let expanded = sandbox.succeed(&mut sandbox.shell("llbc expand specs/build.toml")).out();
    assert!(expanded.contains("oci-layout = \"images:one\""), "{expanded}");
    for language in ["dockerfile", "hlb"] {
        let refused = sandbox.fail(1, &mut sandbox.shell(&format!("llbc convert specs/build.toml --to {language}")));
        assert!(refused.contains("a source in an OCI layout") && refused.contains("build.toml:2:1"), "{refused}");
    }
    // What is left out can be given.
    sandbox.succeed(&mut sandbox.shell("llbc convert specs/build.toml --to dockerfile --lossy -o Dockerfile"));
    let contexts = "--build-context source-one=oci-layout://specs/images:one --build-context source-two=oci-layout://specs/images:two";
    sandbox.succeed(&mut sandbox.shell(&format!("sed -i /never/d Dockerfile && llbc build {contexts} -o tree .")));
    assert_eq!(sandbox.read("tree/copied"), "two\n");
}

/// What a tag of a layout means is written down, and then it is that or nothing.
#[test]
fn sources_in_layouts_are_locked() {
    let sandbox = Sandbox::with_base();
    layouts(&sandbox);
    let spec = "[source]\ns = { oci-layout = \"images:one\" }\n[image.a]\nfrom = \"source.s\"\n";
    sandbox.write("specs/build.toml", spec);
    sandbox.succeed(&mut sandbox.shell("cd specs && llbc lock"));
    let lock: Value = serde_json::from_str(&sandbox.read("specs/llbc.lock")).unwrap();
    let locked = lock["oci-layout://source-s:one"].as_object().unwrap().values().next().unwrap()["digest"].clone();
    let index: Value = serde_json::from_str(&sandbox.read("specs/images/index.json")).unwrap();
    assert_eq!(locked, index["manifests"][0]["digest"]);
    sandbox.succeed(&mut sandbox.shell("llbc build --locked -o tree specs"));

    // The tag moves; what was written down stays.
    let renamed = sandbox.read("specs/images/index.json").replace("\"one\"", "\"old\"").replace("\"two\"", "\"one\"");
    sandbox.write("specs/images/index.json", &renamed);
    sandbox.succeed(&mut sandbox.shell("llbc build --locked -o tree specs"));
    assert_eq!(sandbox.read("tree/name"), "one\n");
    sandbox.succeed(&mut sandbox.shell("cd specs && llbc lock --update oci-layout://source-s:one"));
    sandbox.succeed(&mut sandbox.shell("llbc build --locked -o tree specs"));
    assert_eq!(sandbox.read("tree/name"), "two\n");

    sandbox.write("specs/build.toml", &spec.replace("images:one", "images:old"));
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc build --locked -o tree specs"));
    assert!(refused.contains("oci-layout://source-s:old is not in the lock file"), "{refused}");
    // A digest in the text is all there is to write down.
    let digest = locked.as_str().unwrap();
    sandbox.write("specs/build.toml", &spec.replace("images:one", &format!("images@{digest}")));
    sandbox.succeed(&mut sandbox.shell("llbc build --locked -o tree specs"));
    assert_eq!(sandbox.read("tree/name"), "one\n");
}

/// Copies an example beside the sandbox's base.
fn with_example(name: &str, files: &[&str]) -> Sandbox {
    let sandbox = Sandbox::with_base();
    let folder = e2e::workspace().join("examples").join(name);
    for file in files {
        sandbox.write(file, &std::fs::read_to_string(folder.join(file)).unwrap());
    }
    sandbox
}

/// Those of the examples that need no more than the base that tests have; all of them are planned in `compiler/tests`.
#[test]
fn examples_are_built() {
    let sandbox = with_example("static", &["build.toml", "index.html"]);
    sandbox.succeed(
        &mut sandbox.shell("llbc build --build-context busybox:stable=docker-image://base -f build.toml -o tree ."),
    );
    assert!(sandbox.read("tree/www/index.html").contains("hello from a file") && !sandbox.has("tree/www/build.toml"));

    let sandbox = with_example("bake", &["docker-bake.hcl", "app/Dockerfile"]);
    sandbox.succeed(&mut sandbox.shell("BASE=base llbc build -f docker-bake.hcl"));
    assert_eq!((sandbox.read("out/plain/word"), sandbox.read("out/loud/word")), ("hello\n".into(), "HELLO\n".into()));
}
