//! `cargo xtask release`: `llbc` and `executor` as they are given out, compiled with a profile of the compiler at work.
//!
//! The compiler compiles both corpora once, in a program that counts what runs (`benches/training.rs`). With the counts, rustc
//! places what runs often together and what hardly ever runs elsewhere, so that far less of the program has to be in the
//! processor's caches: compiling takes 36% less. Programs that wait for the kernel gain nothing, so nothing else is trained.
//! The profile is made of nothing but the sources, so none is checked in that could grow old.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use e2e::process::succeed;

use crate::setup::{self, Need};
use crate::shell::{self, Result, cargo, say, target_dir};

/// What is given out.
const PROGRAMS: [&str; 2] = ["llbc", "executor"];

/// The program that is trained with, of `benches`.
const TRAINING: &str = "training";

/// What LLVM does with counts only when it is told to: it orders the blocks of a function so that what runs one after the other
/// stands so, and moves those that hardly ever run out of it. Together that takes 8% off compiling.
const PLACING: [&str; 2] =
    ["-Cllvm-args=-enable-ext-tsp-block-placement", "-Cllvm-args=-enable-split-machine-functions"];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if let Some(unknown) = arguments.first() {
        return Err(format!("unknown argument {unknown}; releases take none").into());
    }
    let directory = build()?;
    for path in PROGRAMS.map(|program| directory.join(program)) {
        say(&format!("{} is {:.1} MB", path.display(), std::fs::metadata(&path)?.len() as f64 / 1e6));
    }
    Ok(())
}

/// Builds the programs; gives the directory they are in.
pub(crate) fn build() -> Result<PathBuf> {
    let profile = Profile::of_compiling()?;
    let release = ["build", "--release", "--package", "cli", "--package", "executor"];
    shell::step("build llbc and executor", profile.apply(&mut cargo(&release)))?;
    let built = target_dir().join(&profile.toolchain.host).join("release");
    let directory = directory();
    std::fs::create_dir_all(&directory)?;
    for program in PROGRAMS {
        copy(&built.join(program), &directory.join(program))?;
    }
    Ok(directory)
}

/// Where the programs are when they are built.
pub(crate) fn directory() -> PathBuf {
    target_dir().join("dist")
}

/// Copies a program, as an installation does. Of a file as its linker wrote it, here and there, the kernel keeps each page for
/// itself, and starting and ending the program takes a third more.
pub(crate) fn copy(program: &Path, to: &Path) -> Result<()> {
    // One that runs cannot be written to, but another can take its place.
    let beside = to.with_extension("new");
    std::fs::copy(program, &beside).map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(std::fs::rename(beside, to)?)
}

/// What a program did, for rustc to compile it by.
pub(crate) struct Profile {
    toolchain: Toolchain,
    /// Counts, in LLVM's indexed format.
    data: PathBuf,
}

impl Profile {
    /// That of the compiler at work.
    pub(crate) fn of_compiling() -> Result<Self> {
        let toolchain = Toolchain::here()?;
        toolchain.install()?;
        let mut training = cargo(&["bench", "--no-run", "--package", "xtask", "--bench", TRAINING]);
        Self::record(toolchain, &target_dir().join("profile"), &mut training, TRAINING)
    }

    /// That of a program that cargo builds, by its name. One that was made of the same program stays: counts differ a little
    /// from run to run, and all would be compiled again.
    ///
    /// Functions are told by names that hold a hash of the settings they are compiled with: where the program has another
    /// `lto` than what the profile is applied to, none of its counts is found.
    fn record(toolchain: Toolchain, directory: &Path, build: &mut Command, name: &str) -> Result<Self> {
        std::fs::create_dir_all(directory)?;
        let (counts, data) = (directory.join("counts.profraw"), directory.join("counts.profdata"));
        toolchain.compile(build, [flag("-Cprofile-generate=", directory)]);
        let program = shell::timed("build the training", || built(build, name))?;
        if !data.exists() || modified(&data)? < modified(&program)? {
            shell::step("train", Command::new(&program).env("LLVM_PROFILE_FILE", &counts))?;
            let mut merge = Command::new(&toolchain.profdata);
            succeed(merge.args(["merge", "--sparse", "--output"]).args([&data, &counts]))?;
        }
        Ok(Self { toolchain, data })
    }

    /// Has cargo compile with the profile.
    pub(crate) fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let profile = flag("-Cprofile-use=", &self.data);
        self.toolchain.compile(command, [profile].into_iter().chain(PLACING.map(OsString::from)))
    }
}

/// Has cargo build a program, and maybe others that it needs; gives its path.
fn built(build: &mut Command, name: &str) -> Result<PathBuf> {
    let output = build.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", shell::shown(build), output.status).into());
    }
    let messages = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<serde_json::Value>();
    let mut of_name = messages.flatten().filter(|message| message["target"]["name"] == name);
    let program = of_name.find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
    program.ok_or_else(|| format!("{} built no program {name}", shell::shown(build)).into())
}

fn modified(path: &Path) -> Result<SystemTime> {
    Ok(std::fs::metadata(path)?.modified()?)
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(path);
    flag
}

/// Installs what a profile needs beside rustc.
pub(crate) fn install() -> Result<()> {
    Toolchain::here()?.install()
}

/// What rustc compiles for, and what reads the counts of its programs.
struct Toolchain {
    host: String,
    /// The major version of the LLVM that rustc has: that of the counts.
    llvm: String,
    /// A component of the toolchain, or a program that a package has.
    profdata: PathBuf,
}

impl Toolchain {
    fn here() -> Result<Self> {
        let rustc = || Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let version = succeed(rustc().arg("-vV"))?.out();
        let field = |name: &str| {
            let value = version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.ok_or_else(|| format!("rustc -vV does not say its {name}"))
        };
        let (host, llvm) = (field("host")?.to_owned(), field("LLVM version")?);
        let llvm = llvm.split('.').next().unwrap_or(llvm).to_owned();
        let sysroot = succeed(rustc().args(["--print", "sysroot"]))?.out();
        let component = Path::new(sysroot.trim()).join("lib/rustlib").join(&host).join("bin/llvm-profdata");
        let profdata = if component.is_file() { component } else { PathBuf::from(format!("llvm-profdata-{llvm}")) };
        Ok(Self { host, llvm, profdata })
    }

    /// Installs `llvm-profdata` where it is missing.
    fn install(&self) -> Result<()> {
        let (Some(program), package) = (self.packaged(), format!("llvm-{}", self.llvm)) else { return Ok(()) };
        setup::install(&[Need { program, package: &package }])
            .map_err(|error| format!("{error}, or run `rustup component add llvm-tools`").into())
    }

    /// The program that a package has, where the toolchain itself has none.
    fn packaged(&self) -> Option<&str> {
        self.profdata.to_str().filter(|_| self.profdata.is_relative())
    }

    /// Has cargo compile with more flags. Build scripts and macros are no part of the program, and get none: that is so
    /// when a target is named.
    fn compile<'a>(&self, command: &'a mut Command, more: impl IntoIterator<Item = OsString>) -> &'a mut Command {
        let mut flags =
            std::env::var_os("CARGO_ENCODED_RUSTFLAGS").filter(|flags| !flags.is_empty()).unwrap_or_else(|| {
                let plain = std::env::var("RUSTFLAGS").unwrap_or_default();
                plain.split_ascii_whitespace().collect::<Vec<_>>().join(SEPARATOR).into()
            });
        for flag in more {
            if !flags.is_empty() {
                flags.push(SEPARATOR);
            }
            flags.push(flag);
        }
        command.args(["--target", &self.host]).env("CARGO_ENCODED_RUSTFLAGS", flags)
    }
}

/// Between flags, where cargo takes those that hold blanks.
const SEPARATOR: &str = "\x1f";

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "fn main() {
    println!(\"{}\", (0..777).map(step).sum::<usize>());
}
#[inline(never)]
fn step(at: usize) -> usize {
    std::hint::black_box(at)
}
";

    #[test]
    fn what_a_program_did_is_known_when_it_is_compiled_again() {
        let toolchain = Toolchain::here().unwrap();
        if toolchain.packaged().is_some_and(|program| !e2e::have(&[program])) {
            return;
        }
        let top = tempfile::tempdir().unwrap();
        let manifest = top.path().join("Cargo.toml");
        std::fs::create_dir(top.path().join("src")).unwrap();
        std::fs::write(top.path().join("src/main.rs"), PROGRAM).unwrap();
        std::fs::create_dir(top.path().join("src/bin")).unwrap();
        std::fs::write(top.path().join("src/bin/other.rs"), "fn main() { panic!(\"not this one\") }").unwrap();
        std::fs::write(&manifest, "[package]\nname = \"counted\"\nedition = \"2024\"\n[workspace]\n").unwrap();
        let cargo = |verb: &str| {
            let mut command = cargo(&[verb, "--quiet", "--offline", "--release", "--manifest-path"]);
            command.arg(&manifest).arg("--target-dir").arg(top.path().join("target"));
            command
        };
        let directory = top.path().join("profile");
        let record =
            || Profile::record(Toolchain::here().unwrap(), &directory, &mut cargo("build"), "counted").unwrap();
        let profile = record();
        let again = succeed(profile.apply(&mut cargo("run")).args(["--bin", "counted"])).unwrap();
        assert_eq!(again.out(), "301476\n");

        succeed(profile.apply(&mut cargo("rustc")).args(["--bin", "counted", "--", "--emit=llvm-ir"])).unwrap();
        let deps = top.path().join("target").join(&profile.toolchain.host).join("release/deps");
        let is_code = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "ll");
        let code = std::fs::read_dir(deps).unwrap().map(|entry| entry.unwrap().path()).find(is_code).unwrap();
        let code = std::fs::read_to_string(code).unwrap();
        assert!(code.contains("!{!\"function_entry_count\", i64 777}"), "{code}");

        let made = modified(&profile.data).unwrap();
        assert_eq!(modified(&record().data).unwrap(), made);
        std::fs::write(top.path().join("src/main.rs"), PROGRAM.replace("777", "778")).unwrap();
        assert!(modified(&record().data).unwrap() > made);
    }
}
