//! The recorded corpus through the binary alone: every case is laid out as a directory and compiled by command line.
//!
//! What is compared in process by the compiler's own tests is compared here as users and scripts see it: definitions by
//! digest and as `buildctl debug dump-llb` prints them, image configs by their bytes, diagnostics as JSON lines.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use e2e::{Binaries, process};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Descriptions that `llbc` adds to terminal vertices for the executor; BuildKit hands them over beside the definition.
const ADDED: &[&str] = &["containerimage.config", "platform", "multi-platform", "source-date-epoch"];

fn corpus() -> PathBuf {
    e2e::workspace().join("tests/conformance")
}

/// Case directories, sorted.
fn cases() -> Vec<PathBuf> {
    let directories = |path: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    };
    let mut cases: Vec<PathBuf> =
        directories(&corpus().join("dockerfile")).iter().flat_map(|group| directories(group)).collect();
    cases.sort();
    cases
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A case as files and arguments.
struct Layout {
    directory: tempfile::TempDir,
    file: PathBuf,
    arguments: Vec<String>,
}

fn lay_out(case: &Path) -> Layout {
    let options = read_json(&case.join("case.json"));
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let name = options["filename"].as_str().unwrap_or("Dockerfile");
    let file = root.join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::copy(case.join("Dockerfile"), &file).unwrap();
    let mut arguments: Vec<String> =
        ["-O0", "--offline", "--session=test-session", "--error-format=json"].map(str::to_owned).into();
    let mut argument = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);

    let ignore = |path: PathBuf, lines: &Value| {
        let lines: Vec<&str> = lines.as_array().into_iter().flatten().map(|line| line.as_str().unwrap()).collect();
        if !lines.is_empty() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, lines.join("\n") + "\n").unwrap();
        }
    };
    ignore(root.join(".dockerignore"), &options["dockerignore"]);
    ignore(root.join(format!("{name}.dockerignore")), &options["dockerfileIgnore"]);
    for (local, lines) in options["contextIgnores"].as_object().into_iter().flatten() {
        let place = root.join("locals").join(local);
        ignore(place.join(".dockerignore"), lines);
        argument("--local", format!("{local}={}", place.display()));
    }

    argument("--context", root.display().to_string());
    argument("--local", format!("dockerfile={}", root.display()));
    argument("--facts", corpus().join("images.json").display().to_string());
    let own = json!({"images": options.get("images").unwrap_or(&json!({})), "sources": options.get("sources").unwrap_or(&json!({}))});
    std::fs::write(root.join("facts.json"), own.to_string()).unwrap();
    argument("--facts", root.join("facts.json").display().to_string());
    argument("--build-platform", options["buildPlatform"].as_str().unwrap_or("linux/amd64").to_owned());
    argument("--channel", options["channel"].as_str().unwrap_or("stable").to_owned());
    for (key, value) in frontend_options(&options) {
        argument("--opt", format!("{key}={value}"));
    }
    Layout { directory, file, arguments }
}

/// The options of a case by the names the frontend has for them.
fn frontend_options(case: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let list = |value: &Value| value.as_array().unwrap().iter().map(text).collect::<Vec<_>>().join(",");
    let mut options = BTreeMap::new();
    for (field, value) in case.as_object().unwrap() {
        let key = match field.as_str() {
            "target" | "platform" | "hostname" | "filename" | "context" => field.as_str(),
            "cgroupParent" => "cgroup-parent",
            "imageResolveMode" => "image-resolve-mode",
            "shmSize" => "shm-size",
            "sourceDateEpoch" => "build-arg:SOURCE_DATE_EPOCH",
            "cacheIDNamespace" => "build-arg:BUILDKIT_CACHE_MOUNT_NS",
            "check" => "build-arg:BUILDKIT_DOCKERFILE_CHECK",
            "network" if value == "default" => continue,
            "network" => "force-network-mode",
            "ulimits" => {
                options.insert("ulimit".into(), list(value));
                continue;
            }
            "noCache" => {
                options.insert("no-cache".into(), if value == true { String::new() } else { list(value) });
                continue;
            }
            "addHosts" => {
                let hosts = match value.as_object() {
                    Some(hosts) => hosts
                        .iter()
                        .map(|(host, address)| format!("{host}={}", text(address)))
                        .collect::<std::collections::BTreeSet<_>>()
                        .into_iter()
                        .collect::<Vec<_>>()
                        .join(","),
                    None => list(value),
                };
                options.insert("add-hosts".into(), hosts);
                continue;
            }
            "buildArgs" | "labels" | "namedContexts" | "opts" => {
                let prefix = match field.as_str() {
                    "buildArgs" => "build-arg:",
                    "labels" => "label:",
                    "namedContexts" => "context:",
                    _ => "",
                };
                for (key, value) in value.as_object().unwrap() {
                    options.insert(format!("{prefix}{key}"), text(value));
                }
                continue;
            }
            _ => continue,
        };
        options.insert(key.to_owned(), text(value));
    }
    options
}

impl Layout {
    fn llbc(&self, words: &[&str]) -> process::Run {
        let mut command: Command = Binaries::get().llbc();
        command.current_dir(self.directory.path()).args(words).args(&self.arguments).arg(&self.file);
        process::run(&mut command).unwrap()
    }
}

/// What differs between a case and its recorded result.
fn check(case: &Path) -> Result<(), String> {
    let expected = read_json(&case.join("expect.json"));
    let layout = lay_out(case);
    let definition = layout.directory.path().join("definition.pb");
    let compiled = layout.llbc(&["compile", "-o", definition.to_str().unwrap()]);
    check_diagnostics(&compiled, &expected)?;
    if expected.get("error").is_some() {
        let code = compiled.status.code();
        return if code == Some(1) && !definition.exists() {
            Ok(())
        } else {
            Err(format!("exit code {code:?} after an error"))
        };
    }
    if let Some(platforms) = expected["platforms"].as_array() {
        return platforms.iter().try_for_each(|platform| check_platform(&layout, platform));
    }
    check_image(&layout, &[], &expected)?;
    let dump = std::fs::read_to_string(case.join("dump.jsonl")).unwrap_or_default();
    check_dump("dump --json of the source", &layout.llbc(&["dump", "--json"]).out(), &dump, &expected)?;
    let written = dump_of(&definition)?;
    if dump.is_empty() && expected["final_digest"] == "" {
        // Scratch has no vertices in BuildKit; here one carries the image config.
        return Ok(());
    }
    check_dump("dump --json of the definition", &written, &dump, &expected)
}

fn check_platform(layout: &Layout, expected: &Value) -> Result<(), String> {
    let platform = expected["platform"].as_str().unwrap();
    check_image(layout, &["--only-platform", platform], expected)?;
    let dump = layout.llbc(&["dump", "--json", "--only-platform", platform]).out();
    equal(platform, &last_digest(&dump), &expected["final_digest"])
}

fn check_image(layout: &Layout, words: &[&str], expected: &Value) -> Result<(), String> {
    let words: Vec<&str> = ["dump", "--image"].iter().chain(words).copied().collect();
    let run = layout.llbc(&words);
    let image = run.stdout.strip_suffix(b"\n").unwrap_or(&run.stdout);
    let digest: String = Sha256::digest(image).iter().map(|byte| format!("{byte:02x}")).collect();
    equal("image config", &json!(format!("sha256:{digest}")), &expected["image_digest"])
        .map_err(|error| format!("{error}\n{}\nexpected {}", String::from_utf8_lossy(image), expected["image"]))
}

fn dump_of(definition: &Path) -> Result<String, String> {
    let run = process::run(Binaries::get().llbc().args(["dump", "--json"]).arg(definition)).unwrap();
    if run.status.success() { Ok(run.out()) } else { Err(run.err()) }
}

fn last_digest(dump: &str) -> Value {
    dump.lines().last().map_or(json!(""), |line| serde_json::from_str::<Value>(line).unwrap()["Digest"].clone())
}

fn check_dump(what: &str, dump: &str, recorded: &str, expected: &Value) -> Result<(), String> {
    equal(what, &last_digest(dump), &expected["final_digest"])?;
    let (mine, theirs) = (normalized(dump), normalized(recorded));
    for (mine, theirs) in mine.iter().zip(&theirs) {
        equal(what, mine, theirs)?;
    }
    equal(what, &json!(mine.len()), &json!(theirs.len()))
}

/// Lines of a dump without what `llbc` adds, progress groups numbered as in the corpus.
fn normalized(dump: &str) -> Vec<Value> {
    let mut groups: Vec<String> = Vec::new();
    let mut lines: Vec<Value> = dump.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        let metadata = &mut line["OpMetadata"];
        if let Some(id) = metadata.pointer_mut("/progress_group/id") {
            let known = groups.iter().position(|known| known == id.as_str().unwrap());
            let index = known.unwrap_or_else(|| {
                groups.push(id.as_str().unwrap().to_owned());
                groups.len() - 1
            });
            *id = json!(format!("pg-{}", index + 1));
        }
        if let Some(description) = metadata.get_mut("description").and_then(Value::as_object_mut) {
            description.retain(|key, _| !ADDED.contains(&key.as_str()));
            if description.is_empty() {
                metadata.as_object_mut().unwrap().remove("description");
            }
        }
    }
    lines
}

fn check_diagnostics(run: &process::Run, expected: &Value) -> Result<(), String> {
    let lines: Vec<Value> = run
        .err()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| json!({"not JSON": line})))
        .collect();
    let first_error = lines.iter().find(|line| line["severity"] == "error");
    let message = |error: &Value| json!({"message": error["message"], "ranges": ranges(&error["ranges"])});
    match (first_error, expected.get("error")) {
        (None, None) => {}
        (Some(mine), Some(theirs)) => equal("error", &message(mine), &message(theirs))?,
        (mine, theirs) => return Err(format!("error: {mine:?}, expected {theirs:?}")),
    }
    let mine: Vec<Value> =
        lines.iter().filter(|line| line["severity"] == "warning").map(|line| warning(line, "code")).collect();
    let theirs: Vec<Value> =
        expected["warnings"].as_array().unwrap().iter().map(|line| warning(line, "rule")).collect();
    equal("warnings", &json!(mine), &json!(theirs))
}

fn warning(line: &Value, rule: &str) -> Value {
    json!({"rule": line[rule], "message": line["message"], "url": line["url"].as_str().unwrap_or_default(), "ranges": ranges(&line["ranges"])})
}

/// `3` and `[3, 3]` are the same range.
fn ranges(ranges: &Value) -> Vec<Value> {
    let pair = |range: &Value| if range.is_number() { json!([range, range]) } else { range.clone() };
    ranges.as_array().into_iter().flatten().map(pair).collect()
}

fn equal(what: &str, mine: &Value, theirs: &Value) -> Result<(), String> {
    if mine == theirs { Ok(()) } else { Err(format!("{what}: {mine}\nexpected {theirs}")) }
}

#[test]
fn every_case_by_the_command_line_alone() {
    let cases = cases();
    let next = Mutex::new(cases.iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some(case) = next.lock().unwrap().next() else { return };
                    if let Err(why) = check(case) {
                        let name = case.strip_prefix(corpus().join("dockerfile")).unwrap().display().to_string();
                        failures.lock().unwrap().push(format!("{name}: {why}"));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(cases.len() > 700, "the corpus has gone: {} cases", cases.len());
    assert!(failures.is_empty(), "{} of {} cases failed\n{}", failures.len(), cases.len(), failures.join("\n"));
}
