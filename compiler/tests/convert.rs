//! Every file of the conformance corpora in every other language: what is written builds the same, and what is not written
//! is named with its place.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads its cases from files")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ast::{Severity, Source};
use compiler::{Answer, AskError, Facts, ImageAnswer, LocalPath, Lock, Options, Question, World, Written};

/// Stand-ins for images, and nothing else.
struct StandIns(Lock);

impl World for StandIns {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let answer = |question: &Question| match question {
            Question::ContextFile { .. } => Ok(Answer::ContextFile(None)),
            Question::LocalPath { .. } => {
                Ok(Answer::LocalPath(Some(LocalPath { directory: true, id: String::new(), context: None })))
            }
            // Without a digest: only some languages look what a name means today.
            Question::Image { .. } => match self.0.answer(question) {
                Some(Ok(Answer::Image(image))) => Ok(Answer::Image(ImageAnswer { digest: None, ..image })),
                _ => Err(AskError::default()),
            },
            _ => self.0.answer(question).unwrap_or_else(|| Err(AskError::default())),
        };
        questions.iter().map(answer).collect()
    }
}

fn world() -> StandIns {
    StandIns(Lock::parse(br#"{"images": "synthetic"}"#).unwrap())
}

/// Digests of all vertices, or nothing when it cannot be built.
fn digests(source: &Source, options: &Options) -> Option<BTreeSet<String>> {
    let outcome = compiler::compile(source, options, Facts::default(), &world());
    let mut graph = outcome.plan?.graph;
    // Each language has another name for the directory it is built in.
    for node in &mut graph.nodes {
        if let llb::Op::Source(source) = &mut node.op
            && source.identifier.starts_with("local://")
        {
            "local://context".clone_into(&mut source.identifier);
            source.attrs.clear();
        }
    }
    let definition = llb::encode(&graph).ok()?;
    Some(definition.vertices.iter().map(|vertex| vertex.digest.to_string()).collect())
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

/// The texts of a corpus, with the build arguments of their cases.
fn corpus(language: &str, file: &str) -> Vec<(Source, Options)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance").join(language);
    let groups = entries(&root).into_iter().filter(|path| path.is_dir());
    let cases = groups.flat_map(|group| entries(&group)).filter(|case| case.join(file).is_file());
    let read = |case: PathBuf| {
        let name = case.strip_prefix(&root).unwrap().join(file).display().to_string();
        let source = Source::new(name, std::fs::read(case.join(file)).unwrap());
        let said = std::fs::read(case.join("case.json")).unwrap_or_default();
        let said: serde_json::Value = serde_json::from_slice(&said).unwrap_or_default();
        let mut options = Options::default();
        for (key, value) in said["buildArgs"].as_object().into_iter().flatten() {
            options.opts.insert(format!("build-arg:{key}"), value.as_str().unwrap_or_default().to_owned());
        }
        (source, options)
    };
    cases.map(read).collect()
}

/// What of a refusal does not name what has no equal, with its place: nothing may be only "not the same".
fn unnamed(source: &Source, refusal: &[ast::Diagnostic]) -> Vec<String> {
    assert!(!refusal.is_empty(), "{}", source.name);
    let is_named = |found: &&ast::Diagnostic| {
        found.code == compiler::NO_EQUAL
            && found.severity == Severity::Error
            && found.at.is_some()
            && found.help.is_some()
    };
    refusal.iter().filter(|found| !is_named(found)).map(|found| format!("{}: {found:?}", source.name)).collect()
}

fn assert_named(unnamed: &[String]) {
    assert!(unnamed.is_empty(), "{} without a name:\n{}", unnamed.len(), unnamed.join("\n"));
}

/// Converts all of a corpus; the number of those that could be.
fn convert_all(cases: &[(Source, Options)], to: &str, file: &str) -> usize {
    let language = frontends::by_id(to).unwrap();
    let (mut written, mut nameless) = (0, Vec::new());
    for (source, options) in cases {
        let Some(wanted) = digests(source, options) else { continue };
        match compiler::convert(source, language, false, &world()) {
            Ok(Written { text, .. }) => {
                let converted = Source::new(file, text.clone().into_bytes());
                // A program refuses arguments that it has no parameters for.
                let mut options = options.clone();
                let is_known = |key: &str| {
                    to != "HLB" || text.contains(&format!("string {} = ", key.trim_start_matches("build-arg:")))
                };
                options.opts.retain(|key, _| is_known(key));
                let wanted = if options.opts.is_empty() { digests(source, &options) } else { Some(wanted) };
                assert_eq!(digests(&converted, &options), wanted, "{}\n{text}", source.name);
                written += 1;
            }
            Err((unsaid, _)) => nameless.extend(unnamed(source, &unsaid)),
        }
        // Leaving things out never fails, whatever there is; what comes of it is right, or something is named.
        let lossy = compiler::convert(source, language, true, &world()).unwrap();
        let check = |text: &Source| compiler::check(text, &Options::default(), Facts::default(), &world());
        if lossy.left_out.is_empty() && !check(source).failed() {
            let found = check(&Source::new(file, lossy.text.into_bytes()));
            assert!(!found.failed(), "{}: {:?}", source.name, found.diagnostics);
        }
    }
    assert_named(&nameless);
    written
}

/// Converts all of a corpus there and back; the number of those that could be, of those that could be converted at all.
fn there_and_back(cases: &[(Source, Options)], there: (&str, &str), back: (&str, &str)) -> (usize, usize) {
    let languages = [there.0, back.0].map(|id| frontends::by_id(id).unwrap());
    let (mut converted, mut returned, mut nameless) = (0, 0, Vec::new());
    for (source, _) in cases {
        let Some(wanted) = digests(source, &Options::default()) else { continue };
        let Ok(Written { text, .. }) = compiler::convert(source, languages[0], false, &world()) else { continue };
        converted += 1;
        let written = Source::new(there.1, text.clone().into_bytes());
        match compiler::convert(&written, languages[1], false, &world()) {
            Ok(again) => {
                let again = Source::new(back.1, again.text.into_bytes());
                assert_eq!(digests(&again, &Options::default()), Some(wanted), "{}\n{text}", source.name);
                returned += 1;
            }
            Err((found, _)) => nameless.extend(unnamed(&written, &found)),
        }
    }
    assert_named(&nameless);
    (returned, converted)
}

const DOCKERFILE: (&str, &str) = ("Dockerfile", "Dockerfile");
const HLB: (&str, &str) = ("HLB", "main.hlb");
const TOML: (&str, &str) = ("TOML", "build.toml");

#[test]
fn dockerfiles_come_back_from_specs() {
    let (returned, of) = there_and_back(&corpus("dockerfile", "Dockerfile"), TOML, DOCKERFILE);
    assert!(returned >= 495, "only {returned} of {of}");
}

#[test]
fn dockerfiles_come_back_from_programs() {
    let (returned, of) = there_and_back(&corpus("dockerfile", "Dockerfile"), HLB, DOCKERFILE);
    assert!(returned >= 334, "only {returned} of {of}");
}

#[test]
fn programs_come_back_from_dockerfiles_and_specs() {
    let programs = corpus("hlb", "main.hlb");
    let (returned, of) = there_and_back(&programs, DOCKERFILE, HLB);
    assert!(returned == of && of >= 38, "only {returned} of {of}");
    let (returned, of) = there_and_back(&programs, TOML, HLB);
    assert!(returned == of && of >= 41, "only {returned} of {of}");
}

/// Dockerfiles as specs, which are then programs: no language is passed over.
#[test]
fn specs_as_programs_build_the_same_or_say_why_not() {
    let (returned, of) = there_and_back(&corpus("dockerfile", "Dockerfile"), TOML, HLB);
    assert!(returned >= 361, "only {returned} of {of}");
}

#[test]
fn programs_as_dockerfiles_build_the_same_or_say_why_not() {
    let written = convert_all(&corpus("hlb", "main.hlb"), "Dockerfile", "Dockerfile");
    assert!(written >= 38, "only {written}");
}

#[test]
fn programs_as_specs_build_the_same_or_say_why_not() {
    let written = convert_all(&corpus("hlb", "main.hlb"), "TOML", "build.toml");
    assert!(written >= 38, "only {written}");
}

#[test]
fn dockerfiles_as_specs_build_the_same_or_say_why_not() {
    let written = convert_all(&corpus("dockerfile", "Dockerfile"), "TOML", "build.toml");
    assert!(written >= 523, "only {written}");
}

#[test]
fn dockerfiles_as_programs_build_the_same_or_say_why_not() {
    let written = convert_all(&corpus("dockerfile", "Dockerfile"), "HLB", "main.hlb");
    assert!(written >= 376, "only {written}");
}

/// The build files of a folder, and of those in it.
fn build_files(folder: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    for path in entries(folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(build_files(&path));
        } else if name == "Dockerfile" || name == "build.toml" || name.ends_with(".hlb") {
            found.push(Source::new(path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

#[test]
fn examples_build_the_same_in_other_languages_or_say_why_not() {
    let examples = build_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples"));
    assert!(examples.len() >= 13, "{}", examples.len());
    let (mut written, mut nameless) = (0, Vec::new());
    for (source, to) in examples.iter().flat_map(|source| ["Dockerfile", "HLB", "TOML"].map(|to| (source, to))) {
        let own = frontends::choose(&source.name, &source.bytes, None).is_ok_and(|own| own.id == to);
        if own || digests(source, &Options::default()).is_none() {
            continue;
        }
        match compiler::convert(source, frontends::by_id(to).unwrap(), false, &world()) {
            Ok(_) => written += 1,
            Err((found, _)) => nameless.extend(unnamed(source, &found)),
        }
    }
    assert_named(&nameless);
    assert!(written >= 6, "only {written}");
}

/// Converts one text.
fn converted(name: &str, text: &str, to: &str) -> Result<String, String> {
    let source = Source::new(name, text.as_bytes().to_vec());
    let written = compiler::convert(&source, frontends::by_id(to).unwrap(), false, &world());
    written.map(|written| written.text).map_err(|(found, _)| {
        let said = |found: &ast::Diagnostic| {
            let at = found.at.unwrap();
            format!("{}: {}", &text[at.start as usize..at.end as usize], found.message)
        };
        found.iter().map(said).collect::<Vec<_>>().join("\n")
    })
}

#[test]
fn functions_of_a_program_become_stages_and_its_parameters_arguments() {
    let program = r#"
fs base(string version) {
	image "alpine:${version}"
	mkdir "/src" 0o755 with createParents
	dir "/src"
}

option::run cached() {
	mount scratch "/root/.cache" with cache("/go", "locked")
}

fs default(string version = "3.20", string edition = "free") {
	base version
	run "make" with option {
		env "edition" edition
		cached
		mount fs { image "busybox"; } "/tools" with readonly
	}
	user "nobody"
	entrypoint "/src/out"
	label "edition" edition
}
"#;
    let expected = r#"ARG version=3.20

FROM alpine:${version} AS default
WORKDIR /src
ARG edition=free
RUN --mount=type=cache,id=go,sharing=locked,target=/root/.cache --mount=type=bind,from=busybox,target=/tools make
USER nobody
ENTRYPOINT ["/src/out"]
LABEL edition=${edition}
"#;
    assert_eq!(converted("main.hlb", program, "Dockerfile").as_deref(), Ok(expected));
}

#[test]
fn what_of_a_program_there_is_no_word_for_is_named_at_its_call() {
    let program = "fs default() {\n\tscratch\n\tmkfile \"/a\" 0o644 \"b\"\n\tcopy files \"/\" \"/\"\n\tdockerPush \"x/y\"\n}\n\
                   fs files() {\n\tlocal \"src\"\n}\n";
    let said = converted("main.hlb", program, "Dockerfile").unwrap_err();
    assert_eq!(
        said,
        "default: a Dockerfile has no word for what a function sends away (push, load, download)\n\
         mkfile: a Dockerfile has no word for a file that is written, and not copied\n\
         mkfile: a Dockerfile has no word for a file whose last line has no end\n\
         copy: a Dockerfile has no word for a copy that does not follow links (option followSymlinks)\n\
         local: a Dockerfile has no word for a directory of the client that is not the program's own"
    );
}

#[test]
fn a_program_of_which_nothing_can_be_built_is_not_written_as_nothing() {
    let said = converted("main.hlb", "fs site(string base) {\n\timage base\n}\n", "Dockerfile").unwrap_err();
    assert_eq!(said, "base: a Dockerfile has no word for a parameter without a default, where nothing else is built");
}

#[test]
fn what_differs_without_a_word_is_named_with_its_place() {
    let file = "FROM alpine AS a\nARG A=1\nFROM a\nARG A\nRUN make\n";
    assert_eq!(
        converted("Dockerfile", file, "TOML").unwrap_err(),
        "ARG A: `ARG A` has no equal in a build spec: A would stand in another place among the variables, which cache keys \
         tell apart"
    );
}

#[test]
fn a_stage_whose_name_has_a_variable_in_it_is_no_image() {
    let file = "FROM alpine AS on-linux\nFROM on-$TARGETOS\nRUN make\n";
    for (to, noun, what) in [("TOML", "a build spec", "a variable"), ("HLB", "an HLB program", "an argument")] {
        let said = converted("Dockerfile", file, to).unwrap_err();
        assert_eq!(said, format!("on-$TARGETOS: {noun} has no word for a stage whose name has {what} in it"));
    }
}

#[test]
fn a_copy_with_a_mode_is_no_layer_of_its_own() {
    let text = converted("Dockerfile", "FROM alpine\nCOPY --link --chmod=755 a /a\n", "HLB").unwrap();
    assert!(text.contains("chmod 0o755") && !text.contains("\tlink"), "{text}");
}

/// Each of them is in the process, before or after other variables, or not there at all.
#[test]
fn arguments_of_all_processes_are_said_where_steps_cannot_say_them() {
    for file in [
        "FROM alpine\nARG A=1\nENV B=2\nRUN make\n",
        "FROM alpine\nARG A\nRUN make $A\n",
        "FROM alpine AS below\nARG A=1\nRUN one\nFROM below\nENV C=$A\nRUN two $A\n",
    ] {
        let text = converted("Dockerfile", file, "TOML").unwrap();
        assert!(text.contains("args = { A = \"${var.A}\" }"), "{text}");
        let given = Options { opts: [("build-arg:A".to_owned(), "given".to_owned())].into(), ..Options::default() };
        let built = |name: &str, text: &str| digests(&Source::new(name, text.as_bytes().to_vec()), &given).unwrap();
        assert_eq!(built("Dockerfile", file), built("build.toml", &text), "{text}");
    }
}

#[test]
fn what_is_written_is_in_order() {
    let onbuild = (0..8).map(|n| format!("ONBUILD RUN make package-{n} install-{n}\n")).collect::<String>();
    let source = Source::new("Dockerfile", format!("FROM alpine\n{onbuild}").into_bytes());
    let toml = frontends::detect("build.toml").unwrap();
    let written = compiler::convert(&source, toml, false, &world()).unwrap().text;
    let source = Source::new("build.toml", written.clone().into_bytes());
    let formatted = ast::apply(&source.bytes, &compiler::format(&source).unwrap());
    assert_eq!(written, String::from_utf8(formatted).unwrap());
}

/// Converts one text and leaves out what there is no word for.
fn lossily(name: &str, text: &str, to: &str) -> String {
    let source = Source::new(name, text.as_bytes().to_vec());
    compiler::convert(&source, frontends::by_id(to).unwrap(), true, &world()).unwrap().text
}

fn has_errors(name: &str, text: &str) -> bool {
    let module = compiler::parse(&Source::new(name, text.as_bytes().to_vec()));
    module.diagnostics.iter().any(|found| found.severity == Severity::Error)
}

/// A Dockerfile is lines: what they cannot hold is named, and left out as a whole.
#[test]
fn what_lines_of_a_dockerfile_cannot_hold_is_named() {
    let spec = |body: &str| format!("spec = 1\n[image.a]\nfrom = \"alpine\"\n{body}");
    let cases = [
        ("step = [{ write = \"/f\", content = \"x\" }]", "a file whose last line has no end"),
        ("step = [{ write = \"/a b\", content = \"x\\n\" }]", "a blank in the path of a file that is written"),
        ("step = [{ write = \"/f\", content = \"f\\n\" }]", "a file of such a name, or with its name as a line"),
        ("env = { A = \"x\\ny\" }", "a line break in a value"),
        ("step = [{ run = \"[\\\"a\\\"]\" }]", "such a command line: say it as a list"),
        ("shell = []\nstep = [{ run = [\"x\"] }]", "a shell of no words"),
        (
            "step = [{ unpack = \"stage.b:/x\" }]\n[stage.b]\nfrom = \"scratch\"",
            "an archive that is unpacked from a stage",
        ),
    ];
    for (body, what) in cases {
        let spec = spec(body);
        let said = converted("build.toml", &spec, "Dockerfile").unwrap_err();
        assert!(said.contains(&format!("a Dockerfile has no word for {what}")), "{body}: {said}");
        let text = lossily("build.toml", &spec, "Dockerfile");
        assert!(!has_errors("Dockerfile", &text), "{text}");
    }
}

#[test]
fn stages_whose_names_a_dockerfile_cannot_have_get_others() {
    let spec = "spec = 1\n[stage.1st]\nfrom = \"alpine\"\n[image.a]\nfrom = \"stage.1st\"\n\
                step = [{ copy = \"stage.1st:/x\", to = \"/y\" }]\n";
    let text = converted("build.toml", spec, "Dockerfile").unwrap();
    assert_eq!(text, "FROM alpine AS stage-1st\n\nFROM stage-1st AS a\nCOPY --from=stage-1st /x /y\n");
}

/// Where nothing is given, it is in no process; where something is, it would be in all of them.
#[test]
fn variables_without_a_value_are_compared_with_one() {
    let spec = "spec = 1\n[var.v]\n[image.a]\nfrom = \"alpine\"\nlabels = { v = \"${var.v}\" }\nstep = [{ run = \"x\", network = \"default\" }]\n";
    let said = converted("build.toml", spec, "Dockerfile").unwrap_err();
    assert!(said.contains("v would be set as well"), "{said}");
}

#[test]
fn parameters_that_nothing_can_refer_to_are_named_and_then_as_usual() {
    let program = "fs default(string p = \"a\", int n = 0o755) {\n\timage \"alpine\"\n\trun \"echo ${p}\"\n\tcmd \"x\" \"${n}\"\n}\n";
    let said = converted("main.hlb", program, "Dockerfile").unwrap_err();
    assert!(said.contains("n: a Dockerfile has no word for a parameter in the process of an image"), "{said}");
    let text = lossily("main.hlb", program, "Dockerfile");
    assert!(text.contains("\nRUN echo a\n") && text.ends_with("\nCMD [\"x\",\"493\"]\n"), "{text}");
}

#[test]
fn what_a_program_asks_the_client_is_named_and_then_as_it_is_here() {
    struct Client;
    impl World for Client {
        fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
            questions.iter().map(|_| Ok(Answer::Text(Some("riscv64".to_owned())))).collect()
        }
    }
    let text = "fs default() {\n\timage \"alpine\"\n\tenv \"A\" localArch\n\trun \"x\" with ignoreCache\n}\n";
    let source = Source::new("main.hlb", text.as_bytes().to_vec());
    let language = frontends::by_id("Dockerfile").unwrap();
    let (found, _) = compiler::convert(&source, language, false, &Client).unwrap_err();
    let found: Vec<_> = found.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(
        found,
        [
            "a Dockerfile has no word for what the client is or has",
            "a Dockerfile has no word for a process that runs each time"
        ]
    );
    let written = compiler::convert(&source, language, true, &Client).unwrap();
    assert_eq!(written.text, "FROM alpine AS default\nENV A=riscv64\nRUN x\n");
}

#[test]
fn what_only_a_build_knows_of_a_program_is_said() {
    for (value, what) in [("manifest(\"alpine\")", "the manifest of an image"), ("d", "the digest of what is pushed")] {
        let program = format!(
            "fs pushed() {{\n\tscratch\n\tdockerPush \"a/b\" as d\n}}\nfs default() {{\n\timage \"alpine\"\n\tenv \"A\" {value}\n}}\n"
        );
        let said = converted("main.hlb", &program, "TOML").unwrap_err();
        assert!(said.contains(&format!("{what} is not known without building")), "{said}");
    }
}

#[test]
fn a_stage_named_default_that_is_not_the_last_is_named() {
    let file = "FROM alpine AS default\nRUN a\nFROM busybox\nRUN b\n";
    let said = converted("Dockerfile", file, "HLB").unwrap_err();
    assert_eq!(said, "default: an HLB program has no word for a stage named default that is not the last");
    let text = lossily("Dockerfile", file, "HLB");
    assert!(
        text.contains("fs default_0() {\n\timage \"alpine\"") && text.contains("fs default() {\n\timage \"busybox\"")
    );
}

#[test]
fn names_of_makers_and_shells_are_as_they_are() {
    let spec = "spec = 1\n[image.a]\nfrom = \"alpine\"\nshell = [\"/bin/$X\", \"-c\"]\nauthor = \"$X\"\n";
    let text = converted("build.toml", spec, "Dockerfile").unwrap();
    assert_eq!(text, "FROM alpine AS a\nSHELL [\"/bin/$X\",\"-c\"]\nMAINTAINER $X\n");
}

/// Names of stages are looked for among images, so they must be like names of images.
#[test]
fn stages_get_names_that_can_be_started_from() {
    let file = "FROM alpine AS image\nRUN a\nFROM busybox\nRUN b\nENV A=2\nRUN d\n";
    let text = converted("Dockerfile", file, "TOML").unwrap();
    assert!(text.contains("[image.image-2]") && text.contains("[stage.\"image-2.1\"]"), "{text}");
    let program = "fs base_() {\n\timage \"alpine\"\n\trun \"a\"\n}\nfs default() {\n\tbase_\n\trun \"b\"\n}\n";
    let text = converted("main.hlb", program, "Dockerfile").unwrap();
    assert!(text.contains("FROM base_stage"), "{text}");
}

#[test]
fn an_argument_with_the_name_of_a_variable_is_named() {
    let file = "FROM alpine AS a\nENV V=1\nRUN one\nFROM a\nARG V\nRUN two $V\nENV W=$V\nRUN three\n";
    let said = converted("Dockerfile", file, "TOML").unwrap_err();
    assert_eq!(said, "V: a build spec has no word for an argument that has the name of a variable");
    assert!(!has_errors("build.toml", &lossily("Dockerfile", file, "TOML")));
}
