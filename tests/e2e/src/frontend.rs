//! The frontend image: a static program for each architecture, put into an image by `llbc build`.
//!
//! The same program in the same file gives the same image: times are those of the epoch, paths of the machine that
//! compiles are not in the program.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, Error, Result};
use crate::{Binaries, workspace};

/// How it is linked with musl. Names of sections tell which types a function is for.
const LINKER: &str = " -Clinker=rust-lld -Clink-arg=-Tbuildkit-frontend/image/rare.ld -Csymbol-mangling-version=v0";

/// The program.
const PROGRAM: &str = "llbc-frontend";

/// An architecture an image can be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// `amd64`.
    Amd64,
    /// `arm64`.
    Arm64,
}

impl Arch {
    /// By its name in a platform.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Amd64, Self::Arm64].into_iter().find(|arch| arch.name() == name)
    }

    /// That of this machine.
    ///
    /// **Errors**: there is no image for it.
    pub fn here() -> Result<Self> {
        let machine = std::env::consts::ARCH;
        let here = [Self::Amd64, Self::Arm64].into_iter().find(|arch| arch.machine() == machine);
        here.ok_or_else(|| Error(format!("the image for {machine} is not supported: there are amd64 and arm64")))
    }

    /// Its name in a platform.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Whether programs can be compiled for it here.
    pub fn is_supported(self) -> bool {
        self.target().is_ok()
    }

    /// Its name in a target of the compiler.
    fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// What it is compiled for: musl, a fifth of glibc in size, which takes nothing but the toolchain. Where the toolchain
    /// has it not, this machine's own will do.
    ///
    /// **Errors**: a toolchain without either.
    fn target(self) -> Result<String> {
        let musl = format!("{}-unknown-linux-musl", self.machine());
        if is_installed(&musl)? {
            return Ok(musl);
        }
        if self.machine() == std::env::consts::ARCH {
            return Ok(format!("{}-unknown-linux-gnu", self.machine()));
        }
        let way = format!("the toolchain has no target {musl}; `rustup target add {musl}` installs it");
        Err(Error(format!("the image for {} is not supported on this machine: {way}", self.name())))
    }
}

/// Compiles the program for an architecture, statically.
///
/// **Errors**: a toolchain that cannot, with what it lacks.
pub fn compile(arch: Arch, profile: &str) -> Result<PathBuf> {
    let target = arch.target()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--package", "buildkit-frontend", "--profile", profile, "--target", &target])
        .env("RUSTFLAGS", flags(&target))
        .current_dir(workspace());
    process::succeed(&mut command)?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target_dir().join(target).join(folder).join(PROGRAM))
}

/// Static, at a fixed address (nothing has to be relocated in memory first), and without the paths of this machine.
fn flags(target: &str) -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let remap = |from: &Path, to: &str| format!(" --remap-path-prefix={}={to}", from.display());
    let home = home.map(|home| remap(&home, "/cargo")).unwrap_or_default();
    // The toolchain's own linker knows every architecture, and the order that it is told; cargo runs it in the workspace.
    let linker = if target.ends_with("musl") { LINKER } else { "" };
    format!("-Ctarget-feature=+crt-static -Crelocation-model=static{linker}{}{home}", remap(&workspace(), "/llbc"))
}

fn is_installed(target: &str) -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = process::succeed(Command::new(rustc).args(["--print", "target-libdir", "--target", target]))?.out();
    Ok(Path::new(libraries.trim()).is_dir())
}

fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// `llbc build` of the image from compiled programs; outputs and names are for the caller to add.
///
/// `directory` becomes the context: the programs are put there.
pub fn build(programs: &[(Arch, PathBuf)], directory: &Path) -> Result<Command> {
    for (arch, program) in programs {
        let name = directory.join(format!("{PROGRAM}-{}", arch.name()));
        std::fs::copy(program, &name).map_err(Error::when(format!("cannot copy to {}", name.display())))?;
    }
    let platforms: Vec<String> = programs.iter().map(|(arch, _)| format!("linux/{}", arch.name())).collect();
    let mut command = Binaries::get().llbc();
    command
        .arg("build")
        .arg("--file")
        .arg(workspace().join("buildkit-frontend/image/Dockerfile"))
        .arg(format!("--platform={}", platforms.join(",")))
        .args(["--build-arg", "SOURCE_DATE_EPOCH=0"])
        .current_dir(directory);
    Ok(command)
}

/// Builds the image for this machine and pushes it to a registry; its digest.
pub fn push(directory: &Path, name: &str) -> Result<String> {
    digest(directory, &format!("type=registry,rewrite-timestamp=true,name={name}"))
}

/// Builds the image for this machine and sends it to an output; its digest. `directory` is for what the build needs.
pub fn digest(directory: &Path, output: &str) -> Result<String> {
    let arch = Arch::here()?;
    digest_of(&[(arch, compile(arch, "dev")?)], directory, output)
}

/// Builds the image from compiled programs and sends it to an output; its digest.
pub fn digest_of(programs: &[(Arch, PathBuf)], directory: &Path, output: &str) -> Result<String> {
    std::fs::create_dir_all(directory).map_err(Error::when(format!("cannot make {}", directory.display())))?;
    let metadata = directory.join("metadata.json");
    let mut command = build(programs, directory)?;
    command.env("LLBC_ROOT", directory.join("root")).args([".", "-o", output]).arg("--metadata-file").arg(&metadata);
    process::succeed(&mut command)?;
    let said = std::fs::read(&metadata).map_err(Error::when(format!("cannot read {}", metadata.display())))?;
    let said: serde_json::Value = serde_json::from_slice(&said).map_err(Error::when("the metadata is no JSON"))?;
    Ok(said["containerimage.digest"].as_str().unwrap_or_default().to_owned())
}
