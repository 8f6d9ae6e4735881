//! Who builds: each builds a directory with a Dockerfile into its own image store.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Docker, base, process};
use tempfile::TempDir;

use super::workloads::BASE;
use crate::shell::{Result, target_dir};

/// The name every build gives its image.
const TAG: &str = "bench:1";

/// A builder, ready to build.
pub(super) trait Builder {
    /// What the table calls it.
    fn name(&self) -> &'static str;
    /// The command that builds `context`.
    fn build(&self, context: &Path, cached: bool) -> Command;
    /// The process that works for it, if it has one.
    fn daemon(&self) -> Option<u32> {
        None
    }
}

/// Ours first: the others' ratios are to it.
pub(super) fn all() -> Result<Vec<Box<dyn Builder>>> {
    let base = base::busybox()?;
    let own = Own::new(&base)?;
    let piped = Piped { llbc: own.llbc.clone(), executor: own.executor.clone(), store: own.store.path().to_owned() };
    Ok(vec![Box::new(own), Box::new(piped), Box::new(Docker20::new(&base)?), Box::new(Buildah::new(&base)?)])
}

/// `llbc build`.
struct Own {
    llbc: PathBuf,
    executor: PathBuf,
    store: TempDir,
}

impl Own {
    fn new(base: &Path) -> Result<Self> {
        let binary = |name: &str| target_dir().join("release").join(name);
        let store = tempfile::Builder::new().prefix("bench-store-").tempdir()?;
        let own = Self { llbc: binary("llbc"), executor: binary("executor"), store };
        let mut import = Command::new(&own.executor);
        import.env("LLBC_ROOT", own.store.path()).args(["images", "import"]).arg(base).arg(BASE);
        process::succeed(&mut import)?;
        Ok(own)
    }
}

impl Builder for Own {
    fn name(&self) -> &'static str {
        "llbc build"
    }

    fn build(&self, context: &Path, cached: bool) -> Command {
        let mut command = Command::new(&self.llbc);
        command.env("LLBC_ROOT", self.store.path()).args(["build", "--offline", "-t", TAG]);
        command.args((!cached).then_some("--no-cache")).arg(context);
        command
    }
}

/// `llbc Dockerfile | executor`.
struct Piped {
    llbc: PathBuf,
    executor: PathBuf,
    store: PathBuf,
}

impl Builder for Piped {
    fn name(&self) -> &'static str {
        "llbc, executor"
    }

    fn build(&self, context: &Path, cached: bool) -> Command {
        let no_cache = if cached { "" } else { "--no-cache" };
        let script = format!(
            "set -e; '{}' --offline Dockerfile | '{}' {no_cache} -t {TAG}",
            self.llbc.display(),
            self.executor.display()
        );
        let mut command = Command::new("sh");
        command.env("LLBC_ROOT", &self.store).current_dir(context).arg("-c").arg(script);
        command
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

    fn build(&self, context: &Path, cached: bool) -> Command {
        let mut command = self.docker.client();
        command
            .args(["build", "--network=none", "--quiet", "-t", TAG])
            .args((!cached).then_some("--no-cache"))
            .arg(context);
        command
    }

    fn daemon(&self) -> Option<u32> {
        self.docker.daemon()
    }
}

/// `buildah bud` with a layer for each step, as the others make them.
struct Buildah {
    storage: TempDir,
}

impl Buildah {
    fn new(base: &Path) -> Result<Self> {
        let buildah = Self { storage: tempfile::Builder::new().prefix("bench-buildah-").tempdir()? };
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

    fn build(&self, context: &Path, cached: bool) -> Command {
        let mut command = self.command();
        // runc as docker has it; buildah's first choice, crun, refuses machines with both versions of control groups.
        let runc = process::find("runc").unwrap_or_else(|| "runc".into());
        command.args(["bud", "--quiet", "--layers", "--runtime"]).arg(runc);
        command.args(["--network=none", "--pull-never", "--jobs=0", "-t", TAG]);
        command.args((!cached).then_some("--no-cache")).arg(context);
        command
    }
}
