//! Asking a BuildKit daemon, to record what it makes of a case.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::keys::{self, Key};
use crate::listing;

/// A daemon that is stopped when dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

pub(crate) fn build(definition: &[u8], make_context: impl Fn(&Path)) -> String {
    let program = std::path::PathBuf::from(std::env::var_os("BUILDKITD").expect("BUILDKITD names the daemon"));
    let dir = tempfile::tempdir().unwrap();
    let (tar, cache, context) = (dir.path().join("tree.tar"), dir.path().join("cache"), dir.path().join("context"));
    std::fs::create_dir(&context).unwrap();
    make_context(&context);
    std::fs::write(dir.path().join("definition"), definition).unwrap();
    let address = format!("unix://{}/sock", dir.path().display());
    let daemon = Command::new(&program)
        .arg("--root")
        .arg(dir.path().join("root"))
        .args(["--addr", &address, "--oci-worker-net=host", "--containerd-worker=false"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _daemon = Daemon(daemon);
    let client = || {
        let mut command = Command::new(program.with_file_name("buildctl"));
        command.arg(format!("--addr={address}"));
        command
    };
    while !client().args(["debug", "workers"]).output().unwrap().status.success() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let run = client()
        .args(["build", "--progress=plain", "-o", &format!("type=tar,dest={}", tar.display())])
        .arg(format!("--export-cache=type=local,mode=max,dest={}", cache.display()))
        .arg(format!("--local=context={}", context.display()))
        .stdin(std::fs::File::open(dir.path().join("definition")).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    if !run.status.success() {
        let error = said.lines().rev().find_map(|line| line.strip_prefix("error: ")).unwrap_or_default();
        return format!("fails: {error}\n");
    }
    format!("{}{}", listing::of_tar(&tar), keys_of(&cache))
}

/// The records of an exported cache.
fn keys_of(cache: &Path) -> String {
    let json = |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let blob = |digest: &Value| json(&cache.join("blobs").join(digest.as_str().unwrap().replace(':', "/")));
    let Some(manifest) = cache.join("index.json").exists().then(|| json(&cache.join("index.json"))) else {
        return String::new();
    };
    let config = blob(&blob(&manifest["manifests"][0]["digest"])["config"]["digest"]);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let link = |link: &Value| {
        let selector = link["selector"].as_str().unwrap_or_default().to_owned();
        (selector, usize::try_from(link["link"].as_u64().unwrap_or(0)).unwrap())
    };
    let key = |record: &Value| Key {
        digest: record["digest"].as_str().unwrap().to_owned(),
        inputs: list(&record["inputs"]).iter().map(|input| list(input).iter().map(link).collect()).collect(),
    };
    keys::print(&list(&config["records"]).iter().map(key).collect::<Vec<_>>())
}
