//! Who builds: each builds a directory with a Dockerfile into its own image store.

use std::path::Path;
use std::process::Command;

use e2e::{Buildkit, Docker, base, process};
use tempfile::TempDir;

use super::workloads::{BASE, Output, Place};
use crate::release;
use crate::shell::Result;

/// The name every build gives its image.
const TAG: &str = "bench:1";

/// One build.
pub(super) struct Build<'a> {
    pub(super) context: &'a Path,
    /// Whether the base is in a registry.
    pub(super) pulls: bool,
    pub(super) no_cache: bool,
    pub(super) output: Output,
    /// Where an output goes that is a file or a directory.
    pub(super) dest: &'a Path,
    /// The name of an output that is pushed.
    pub(super) pushed: &'a str,
    /// The cache that is shared with others, if one is.
    pub(super) cache: Option<Cache>,
}

/// A cache that is shared with others.
pub(super) struct Cache {
    pub(super) place: Place,
    /// Path of the directory, or name of the repository.
    pub(super) at: String,
    pub(super) verb: Verb,
}

/// What is done with a cache that is shared.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Verb {
    Export,
    Import,
}

impl Cache {
    /// `type=…`, as everybody but buildah spells it.
    fn spelled(&self) -> String {
        match (self.place, self.verb) {
            (Place::Directory, Verb::Export) => format!("type=local,mode=max,dest={}", self.at),
            (Place::Directory, Verb::Import) => format!("type=local,src={}", self.at),
            (Place::Registry, Verb::Export) => format!("type=registry,mode=max,ref={}:1", self.at),
            (Place::Registry, Verb::Import) => format!("type=registry,ref={}:1", self.at),
        }
    }
}

/// A builder, ready to build.
pub(super) trait Builder {
    /// What the table calls it.
    fn name(&self) -> &'static str;
    /// What does a build, one command after the other. `None`: it has no such output.
    fn build(&self, build: &Build<'_>) -> Option<Vec<Command>>;
    /// Makes it forget all that it built and pulled.
    fn forget(&mut self) -> Result<()>;
    /// Whether it is ours.
    fn is_own(&self) -> bool {
        false
    }
    /// The process that works for it, if it has one.
    fn daemon(&self) -> Option<u32> {
        None
    }
}

/// Ours first: the others' ratios are to it.
pub(super) fn all() -> Result<Vec<Box<dyn Builder>>> {
    let base = base::busybox()?;
    let own = Own::new(&base)?;
    let buildkit = Buildkit32::new(&own)?;
    let mut all: Vec<Box<dyn Builder>> = vec![Box::new(own)];
    all.extend(buildkit.map(|buildkit| Box::new(buildkit) as Box<dyn Builder>));
    all.push(Box::new(Docker20::new(&base)?));
    all.push(Box::new(Buildah::new(&base)?));
    Ok(all)
}

/// `type=…` of an output, as everybody but buildah spells it.
fn spelled(build: &Build<'_>) -> String {
    let dest = build.dest.display();
    match build.output {
        Output::Registry => format!("type=image,name={},push=true", build.pushed),
        Output::Nowhere => "type=cacheonly".into(),
        Output::Store => format!("type=image,name={TAG}"),
        Output::Local => format!("type=local,dest={dest}"),
        Output::Tar => format!("type=tar,dest={dest}"),
        Output::DockerArchive => format!("type=docker,name={TAG},dest={dest}"),
        Output::Oci(compression) => format!("type=oci,compression={compression},force-compression=true,dest={dest}"),
    }
}

/// Builds a directory in a store that is thrown away, and pushes the image: no builder has seen it.
pub(super) fn push_unseen(context: &Path, name: &str) -> Result<()> {
    let own = Own::new(&base::busybox()?)?;
    let mut push = own.command();
    push.arg("--offline").arg("-o").arg(format!("type=image,name={name},push=true")).arg(context);
    process::succeed(&mut push)?;
    Ok(())
}

/// `llbc build`.
struct Own {
    store: TempDir,
    /// Those of before it forgot: a tree that is removed makes the next one on the disk slower.
    old: Vec<TempDir>,
}

impl Own {
    fn new(base: &Path) -> Result<Self> {
        let own = Self { store: tempfile::Builder::new().prefix("bench-store-").tempdir()?, old: Vec::new() };
        let mut import = Command::new(release::directory().join("executor"));
        import.env("LLBC_ROOT", own.store.path()).args(["images", "import"]).arg(base).arg(BASE);
        process::succeed(&mut import)?;
        Ok(own)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(release::directory().join("llbc"));
        command.env("LLBC_ROOT", self.store.path()).args(["build", "--progress=quiet"]);
        command
    }
}

impl Builder for Own {
    fn name(&self) -> &'static str {
        "llbc build"
    }

    fn is_own(&self) -> bool {
        true
    }

    fn build(&self, build: &Build<'_>) -> Option<Vec<Command>> {
        let mut command = self.command();
        command.args((!build.pulls).then_some("--offline")).args(build.no_cache.then_some("--no-cache"));
        if let Some(cache) = &build.cache {
            command.arg(if cache.verb == Verb::Export { "--cache-to" } else { "--cache-from" }).arg(cache.spelled());
        }
        command.arg("-o").arg(spelled(build)).arg(build.context);
        Some(vec![command])
    }

    fn forget(&mut self) -> Result<()> {
        self.old.push(std::mem::replace(&mut self.store, Self::new(&base::busybox()?)?.store));
        Ok(())
    }
}

/// A BuildKit daemon, if one is at hand, with the base as a layout of ours.
struct Buildkit32 {
    buildkit: Buildkit,
    /// Kept for its drop.
    _programs: TempDir,
    layout: TempDir,
    digest: String,
}

impl Buildkit32 {
    fn new(own: &Own) -> Result<Option<Self>> {
        let Some(daemon) = Buildkit::program() else { return Ok(None) };
        let programs = tempfile::Builder::new().prefix("bench-programs-").tempdir()?;
        for name in ["buildctl", "buildkitd"] {
            release::copy(&daemon.with_file_name(name), &programs.path().join(name))?;
        }
        let buildkit = Buildkit::start(&programs.path().join("buildkitd"))?;
        let layout = tempfile::Builder::new().prefix("bench-layout-").tempdir()?;
        let file = layout.path().join("Dockerfile");
        std::fs::write(&file, format!("FROM {BASE}\n"))?;
        let to = layout.path().join("base");
        let mut write = own.command();
        write
            .arg("--offline")
            .arg("-f")
            .arg(file)
            .arg("-o")
            .arg(format!("type=oci,tar=false,dest={}", to.display()))
            .arg(layout.path());
        process::succeed(&mut write)?;
        let index: serde_json::Value = serde_json::from_slice(&std::fs::read(to.join("index.json"))?)?;
        let digest = index["manifests"][0]["digest"].as_str().unwrap_or_default().to_owned();
        Ok(Some(Self { buildkit, _programs: programs, layout, digest }))
    }
}

impl Builder for Buildkit32 {
    fn name(&self) -> &'static str {
        "BuildKit"
    }

    fn build(&self, build: &Build<'_>) -> Option<Vec<Command>> {
        let mut command = self.buildkit.client();
        command.args(["build", "--progress=plain", "--frontend=dockerfile.v0"]);
        command.arg("--opt").arg(format!("context:{BASE}=oci-layout://base@{}", self.digest));
        command.arg("--oci-layout").arg(format!("base={}", self.layout.path().join("base").display()));
        for local in ["context", "dockerfile"] {
            command.arg("--local").arg(format!("{local}={}", build.context.display()));
        }
        command.args(build.no_cache.then_some("--no-cache"));
        if let Some(cache) = &build.cache {
            command
                .arg(if cache.verb == Verb::Export { "--export-cache" } else { "--import-cache" })
                .arg(cache.spelled());
        }
        if build.output != Output::Nowhere {
            command.arg("-o").arg(spelled(build));
        }
        Some(vec![command])
    }

    fn forget(&mut self) -> Result<()> {
        process::succeed(self.buildkit.client().args(["prune", "--all"]))?;
        Ok(())
    }

    fn daemon(&self) -> Option<u32> {
        Some(self.buildkit.daemon())
    }
}

/// `docker build` with the engine's BuildKit.
struct Docker20 {
    docker: Docker,
}

impl Docker20 {
    fn new(base: &Path) -> Result<Self> {
        let docker = Docker::start()?;
        docker.import(base, BASE, &[])?;
        Ok(Self { docker })
    }
}

impl Builder for Docker20 {
    fn name(&self) -> &'static str {
        "docker build"
    }

    fn build(&self, build: &Build<'_>) -> Option<Vec<Command>> {
        if build.cache.is_some() {
            return None;
        }
        let mut command = self.docker.client();
        command.args(["build", "--network=none", "--quiet"]).args(build.no_cache.then_some("--no-cache"));
        match build.output {
            Output::Store => command.args(["-t", TAG]),
            Output::Registry => command.args(["-t", build.pushed]),
            Output::Local | Output::Tar => command.arg("--output").arg(spelled(build)),
            // It always stores: without a name is the least it does.
            Output::Nowhere => &mut command,
            Output::DockerArchive | Output::Oci(_) => return None,
        };
        command.arg(build.context);
        let mut push = self.docker.client();
        push.args(["push", "--quiet", build.pushed]);
        Some(std::iter::once(command).chain((build.output == Output::Registry).then_some(push)).collect())
    }

    fn forget(&mut self) -> Result<()> {
        process::succeed(self.docker.client().args(["builder", "prune", "--all", "--force"]))?;
        Ok(())
    }

    fn daemon(&self) -> Option<u32> {
        self.docker.daemon()
    }
}

/// `buildah bud` with a layer for each step, as the others make them.
struct Buildah {
    storage: TempDir,
    /// As with ours.
    old: Vec<TempDir>,
}

impl Buildah {
    fn new(base: &Path) -> Result<Self> {
        let storage = tempfile::Builder::new().prefix("bench-buildah-").tempdir()?;
        let buildah = Self { storage, old: Vec::new() };
        let container = process::succeed(buildah.command().args(["from", "scratch"]))?.out();
        let container = container.trim();
        process::succeed(buildah.command().args(["add", "--quiet", container]).arg(base).arg("/"))?;
        process::succeed(buildah.command().args(["config", "--cmd", "sh", container]))?;
        process::succeed(buildah.command().args(["commit", "--quiet", container, &format!("localhost/{BASE}")]))?;
        Ok(buildah)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("buildah");
        let path = |name: &str| self.storage.path().join(name);
        command.arg("--root").arg(path("root")).arg("--runroot").arg(path("run")).args(["--storage-driver", "overlay"]);
        command
    }
}

impl Builder for Buildah {
    fn name(&self) -> &'static str {
        "buildah bud"
    }

    fn build(&self, build: &Build<'_>) -> Option<Vec<Command>> {
        let mut command = self.command();
        // runc as docker has it; buildah's first choice, crun, refuses machines with both versions of control groups.
        let runc = process::find("runc").unwrap_or_else(|| "runc".into());
        command.args(["bud", "--quiet", "--layers", "--runtime"]).arg(runc);
        command.args(["--network=none", "--jobs=0", "--tls-verify=false"]);
        command.arg(if build.pulls { "--pull" } else { "--pull-never" }).args(build.no_cache.then_some("--no-cache"));
        match &build.cache {
            None => {}
            Some(Cache { place: Place::Registry, verb, at }) => {
                command.arg(if *verb == Verb::Export { "--cache-to" } else { "--cache-from" }).arg(at);
            }
            Some(Cache { place: Place::Directory, .. }) => return None,
        }
        let dest = build.dest.display();
        match build.output {
            Output::Store => command.args(["-t", TAG]),
            Output::Registry => command.args(["-t", build.pushed]),
            Output::Oci("gzip") => command.arg("-t").arg(format!("oci-archive:{dest}")),
            Output::DockerArchive => command.arg("-t").arg(format!("docker-archive:{dest}")),
            Output::Local | Output::Tar => command.arg("--output").arg(spelled(build)),
            // It always stores: without a name is the least it does.
            Output::Nowhere => &mut command,
            Output::Oci(_) => return None,
        };
        command.arg(build.context);
        let mut push = self.command();
        push.args(["push", "--quiet", "--tls-verify=false", build.pushed]);
        Some(std::iter::once(command).chain((build.output == Output::Registry).then_some(push)).collect())
    }

    fn forget(&mut self) -> Result<()> {
        self.old.push(std::mem::replace(&mut self.storage, Self::new(&base::busybox()?)?.storage));
        Ok(())
    }
}
