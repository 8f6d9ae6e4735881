//! Results on their way out while the build goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use executor::progress::Silent;
use executor::runtime::{Exit, Root, Scripted, Spec};
use executor::{Engine, Output, Request, exporters};

use crate::bench::{Bench, definition, graph};

/// Three steps in a row, one of them beside what is exported.
const STEPS: &str = r#"
%0 = exec() args=["first"] cwd="/" bind("/", to=0) platform("linux", "amd64")
%1 = exec() args=["beside"] cwd="/" bind("/", to=0) platform("linux", "amd64")
%2 = exec(%0, %1) args=["second"] cwd="/" bind("/", from=0, to=0) bind("/b", from=1) platform("linux", "amd64")
output %2
"#;

fn blobs(store: &Path) -> usize {
    std::fs::read_dir(store.join("blobs-v1/sha256")).unwrap().count()
}

/// Where a process of a test writes.
fn root(spec: &Spec) -> PathBuf {
    match &spec.root {
        Root::Overlay(overlay) => overlay.upper.clone(),
        Root::Dir(dir) => dir.clone(),
    }
}

/// Builds; gives how many blobs there were when the second step ran, after waiting until there are `at_least`.
fn blobs_at_second_step(kind: exporters::Kind, at_least: usize) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let seen = Arc::new(std::sync::Mutex::new(None));
    let (at_second, blobs_of) = (seen.clone(), store.clone());
    let runtime = Scripted::new(move |spec, _| {
        std::fs::write(root(spec).join(&spec.args[0]), &*spec.args[0]).unwrap();
        if spec.args[0] == "second" {
            let end = Instant::now() + Duration::from_secs(60);
            while blobs(&blobs_of) < at_least && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(1));
            }
            *at_second.lock().unwrap() = Some(blobs(&blobs_of));
        }
        Exit { code: 0, out_of_memory: false }
    });
    let engine = Engine::with_runtime(&store, Arc::new(runtime)).unwrap();
    let output = Output { kind, dest: Some(dir.path().join("out")), attrs: BTreeMap::new(), part: None };
    let request = Request { definition: definition(STEPS), outputs: vec![output], ..Request::default() };
    engine.solve(&request, &Silent).unwrap();
    seen.lock().unwrap().unwrap()
}

#[test]
fn a_layer_is_packed_while_the_next_step_runs_if_it_will_be_exported() {
    assert_eq!(blobs_at_second_step(exporters::Kind::Oci, 1), 1, "the first step's, and not the one's beside");
}

#[test]
fn nothing_is_packed_for_an_output_without_layers() {
    assert_eq!(blobs_at_second_step(exporters::Kind::Local, 0), 0);
}

#[test]
fn two_outputs_that_are_one_file_are_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Scripted::new(|_, _| panic!("a step ran"));
    let engine = Engine::with_runtime(dir.path().join("store"), Arc::new(runtime)).unwrap();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    let output =
        |kind, dest: &str| Output { kind, dest: Some(dir.path().join(dest)), attrs: BTreeMap::new(), part: None };
    let outputs = vec![output(exporters::Kind::Tar, "x.tar"), output(exporters::Kind::Oci, "sub/../x.tar")];
    let request = Request { definition: definition(STEPS), outputs, ..Request::default() };
    let error = engine.solve(&request, &Silent).unwrap_err().to_string();
    assert!(error.starts_with("two outputs would be ") && error.contains("sub/../x.tar"), "{error}");
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Scripted::new(|_, _| panic!("a step ran"));
    let engine = Engine::with_runtime(dir.path().join("store"), Arc::new(runtime)).unwrap();
    let check = |kind, dest: &str, expected: &str| {
        let output = Output { kind, dest: Some(dest.into()), attrs: BTreeMap::new(), part: None };
        let request = Request { definition: definition(STEPS), outputs: vec![output], ..Request::default() };
        assert_eq!(engine.solve(&request, &Silent).unwrap_err().to_string(), expected, "{dest}");
    };
    use exporters::Kind;
    check(Kind::Oci, "/proc/x.tar", "cannot write /proc/x.tar: No such file or directory (os error 2)");
    check(Kind::Tar, "/nosuch/x.tar", "cannot write /nosuch/x.tar: No such file or directory (os error 2)");
    check(Kind::Docker, "/proc", "cannot write /proc: it is a directory, and a file is wanted");
    check(Kind::Local, "/dev/null/d", "cannot write into /dev/null/d: not a directory");
}

#[test]
fn layers_that_no_history_tells_of_are_told_by_what_made_them() {
    let bench = Bench::new();
    let tar = bench.path("image.tar");
    let text = graph(
        r#"
        %1 = sh(%0) "echo one > /one"
        %2 = file(%1) mkdir("/d", mode=0o755, base=0) mkfile("/d/f", mode=0o644, base=#0, to=0)
        %3 = file() mkfile("/a", mode=0o644, to=0)
        %4 = file() mkfile("/b", mode=0o644, to=0)
        %5 = diff(%3, %4) lower=0 upper=1
        %6 = merge(%2, %5)
        output %6
        "#,
    );
    for _ in 0..2 {
        let output = Output {
            kind: exporters::Kind::Oci,
            dest: Some(tar.clone()),
            attrs: BTreeMap::from([("compression".into(), "uncompressed".into())]),
            part: None,
        };
        let request = Request { definition: definition(&text), outputs: vec![output], ..Request::default() };
        bench.request(request).ok();
        let image = Image::read(&tar);
        let history = image.json(&image.manifest()["config"]["digest"])["history"].as_array().unwrap().clone();
        let made_by: Vec<_> = history.iter().rev().take(3).map(|entry| entry["created_by"].as_str().unwrap()).collect();
        // As BuildKit writes them.
        assert_eq!(
            made_by,
            [
                "diff (mkfile /a) -> (mkfile /b)",
                "mkdir /d, mkfile /d/f",
                "mount / from exec /bin/sh -c echo one > /one"
            ]
        );
    }
}

/// Builds into an archive; gives what its history says made the layers above the base, lowest first.
fn made_by(bench: &Bench, text: &str) -> Vec<String> {
    let made_by = history(bench, text).into_iter().map(|entry| entry["created_by"].as_str().unwrap().to_owned());
    made_by.skip_while(|text| text.starts_with("pulled from")).collect()
}

/// Builds into an archive; gives its history.
fn history(bench: &Bench, text: &str) -> Vec<serde_json::Value> {
    let tar = bench.path("image.tar");
    let kind = exporters::Kind::Oci;
    let output = Output { kind, dest: Some(tar.clone()), attrs: BTreeMap::new(), part: None };
    let request = Request { definition: definition(&graph(text)), outputs: vec![output], ..Request::default() };
    bench.request(request).ok();
    let image = Image::read(&tar);
    image.json(&image.manifest()["config"]["digest"])["history"].as_array().unwrap().clone()
}

/// The history is that of this build's definition, on a store that has nothing and on one that has another build's layers.
#[track_caller]
fn check_made_by(bench: &Bench, text: &str, expected: &[&str]) {
    let fresh = Bench::new();
    assert_eq!(made_by(&fresh, text), expected, "on a store that has nothing");
    assert_eq!(made_by(&fresh, text), expected, "from the cache");
    assert_eq!(made_by(bench, text), expected, "after another build");
}

#[test]
fn what_made_layers_is_told_by_this_build_whatever_was_built_before() {
    let bench = Bench::new();
    let steps = |name: &str| {
        let named = |what: &str| format!("! description={{\"llb.customname\": \"{name} {what}\"}}");
        let (a, b, d) = (named("a"), named("b"), named("diff"));
        format!(
            r#"
            %1 = file(%0) mkdir("/d", mode=0o755, base=0, to=0)
            {a}
            %2 = sh(%1) "echo > /d/f"
            %3 = file(%2) mkfile("/x", mode=0o644, base=0, to=0) mkfile("/y", mode=0o644, base=#0, to=1)
            {b}
            %4 = diff(%0, %3.1) lower=0 upper=1
            %5 = file() mkfile("/z", mode=0o644, to=0)
            %6 = file() mkfile("/w", mode=0o644, to=0)
            %7 = diff(%5, %6) lower=0 upper=1
            {d}
            %8 = passthrough(%4, %7) id="p" outputs=[1, 0]
            %9 = merge(%8.1, %8)
            output %9
            "#
        )
    };
    let expected = |name: &str| {
        let named = |what: &str| format!("{name} {what}");
        let exec = "mount / from exec /bin/sh -c echo > /d/f".to_owned();
        [named("a"), exec, named("b"), named("b"), named("diff")]
    };
    for name in ["first", "second"] {
        let expected = expected(name);
        check_made_by(&bench, &steps(name), &expected.each_ref().map(String::as_str));
    }
    // One layer more than what it is compared with is called a difference.
    let one = |name: &str| {
        format!(
            "%1 = file(%0) mkdir(\"/d\", mode=0o755, base=0, to=0)\n! description={{\"llb.customname\": \"{name}\"}}
            %2 = diff(%0, %1) lower=0 upper=1\noutput %2"
        )
    };
    for name in ["this", "that"] {
        let expected = format!("diff (docker-image://docker.io/library/base:latest) -> ({name})");
        check_made_by(&bench, &one(name), &[&expected]);
    }
}

#[test]
fn the_history_tells_steps_of_one_second_apart() {
    let text = "%1 = file() mkfile(\"/a\", mode=0o644, to=0)\n%2 = file(%1) mkfile(\"/b\", base=0, mode=0o644, to=0)\noutput %2";
    let history = history(&Bench::new(), text);
    let time = |entry: &serde_json::Value| oci::Time::parse(entry["created"].as_str().unwrap()).unwrap();
    let times: Vec<_> = history.iter().map(time).map(|time| (time.unix_seconds(), time.nanos())).collect();
    assert!(times[0] < times[1], "{times:?}");
}

#[test]
fn layers_of_an_image_are_its_own_whatever_image_has_the_same_files() {
    let bench = Bench::new();
    let output = |dest: &str, compression: &str, tar: &str| Output {
        kind: exporters::Kind::Oci,
        dest: Some(bench.path(dest)),
        attrs: [("compression", compression), ("tar", tar)].map(|(key, value)| (key.into(), value.into())).into(),
        part: None,
    };
    let outputs = vec![output("gzip", "gzip", "false"), output("zstd", "zstd", "false")];
    let base = "%0 = file() mkfile(\"/f\", mode=0o644, to=0)\noutput %0";
    bench.request(Request { definition: definition(base), outputs, ..Request::default() }).ok();

    let other = Bench::new();
    for name in ["gzip", "zstd", "gzip"] {
        let layout = bench.path(name);
        let read = |path: &str| -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(layout.join(path)).unwrap()).unwrap()
        };
        let digest = read("index.json")["manifests"][0]["digest"].as_str().unwrap().to_owned();
        let own = read(&format!("blobs/{}", digest.replace(':', "/")))["layers"][0].clone();
        for change in ["/x", "/y"] {
            let text = format!(
                "%0 = source \"oci-layout://{name}@{digest}\" platform(\"linux\", \"amd64\")
                %1 = file(%0) mkfile(\"{change}\", mode=0o644, base=0, to=0)
                output %1"
            );
            let output = Output { dest: Some(other.path("image.tar")), ..output("", "gzip", "true") };
            let mut request = Request { definition: definition(&text), outputs: vec![output], ..Request::default() };
            request.session.oci_layouts.insert(name.into(), layout.clone());
            other.request(request).ok();
            let layers = Image::read(&other.path("image.tar")).manifest()["layers"].clone();
            assert_eq!(layers[0], own, "{name}");
        }
    }
}

#[test]
fn annotations_of_a_definition_are_on_its_image_and_nothing_else_is() {
    let bench = Bench::new();
    let tar = bench.path("image.tar");
    let attrs = BTreeMap::from([("annotation.asked".into(), "1".into())]);
    let output = Output { kind: exporters::Kind::Oci, dest: Some(tar.clone()), attrs, part: None };
    let text = "%0 = file() mkfile(\"/f\", mode=0o644, to=0)\noutput %0
        ! description={\"annotation.said\": \"2\", \"annotations.no\": \"3\", \"annotation\": \"4\"}";
    bench.request(Request { definition: definition(text), outputs: vec![output], ..Request::default() }).ok();
    assert_eq!(Image::read(&tar).manifest()["annotations"], serde_json::json!({"asked": "1", "said": "2"}));
}

#[test]
fn capabilities_of_files_of_the_context_are_kept() {
    let bench = Bench::new();
    let (context, tar) = (bench.path("context"), bench.path("image.tar"));
    std::fs::create_dir(&context).unwrap();
    std::fs::write(context.join("ping"), "").unwrap();
    // Version 2, effective, permitted: CAP_NET_RAW.
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(context.join("ping"), c"security.capability", &capability, flags).unwrap();
    let output = Output {
        kind: exporters::Kind::Oci,
        dest: Some(tar.clone()),
        attrs: BTreeMap::from([("compression".into(), "uncompressed".into())]),
        part: None,
    };
    let text = "%0 = source \"local://context\"\n%1 = file(%0) copy(\"/ping\", \"/ping\", owner(user=0, group=0), from=0, to=0)\noutput %1\n";
    let mut request = Request { definition: definition(text), outputs: vec![output], ..Request::default() };
    request.session.locals.insert("context".into(), context);
    bench.request(request).ok();
    let image = Image::read(&tar);
    let layer = image.blob(&image.manifest()["layers"][0]["digest"]);
    let mut archive = tar::Archive::new(layer);
    let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
    let attributes = entry.pax_extensions().unwrap().expect("it has attributes");
    let kept: Vec<_> = attributes.map(|attribute| attribute.unwrap().value_bytes().to_vec()).collect();
    assert_eq!(kept, [capability]);
}

/// The files of an archive of one image.
struct Image(BTreeMap<String, Vec<u8>>);

impl Image {
    fn read(tar: &Path) -> Self {
        let mut archive = tar::Archive::new(std::fs::File::open(tar).unwrap());
        let files = archive.entries().unwrap().map(|entry| {
            let (mut entry, mut bytes) = (entry.unwrap(), Vec::new());
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            (entry.path().unwrap().display().to_string(), bytes)
        });
        Self(files.collect())
    }

    fn blob(&self, digest: &serde_json::Value) -> &[u8] {
        &self.0[&format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"))]
    }

    fn json(&self, digest: &serde_json::Value) -> serde_json::Value {
        serde_json::from_slice(self.blob(digest)).unwrap()
    }

    fn manifest(&self) -> serde_json::Value {
        let index: serde_json::Value = serde_json::from_slice(&self.0["index.json"]).unwrap();
        self.json(&index["manifests"][0]["digest"])
    }
}
