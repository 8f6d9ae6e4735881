//! Trees to build on, as tar files: what `FROM` names in tests and benchmarks. Made once and kept between runs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, Error, Result};

/// Programs that making the Debian base needs.
pub const DEBIAN_PROGRAMS: &[&str] = &["debootstrap", "tar"];
/// What the Debian base holds beside a minimal system.
const PACKAGES: &str = "gcc,libc6-dev,python3,nodejs";
/// Part of the files' names: a new one is made when the recipe changes.
const BUSYBOX_RECIPE: &str = "3";
const DEBIAN_RECIPE: &str = "4";
/// How packages are installed in the Debian base, much as in Debian's own slim images: without waiting for the disk, and
/// without what nothing reads.
const DPKG_OPTIONS: &str = "force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
path-include=/usr/share/man/man1
";

/// A tree of one static busybox and its links, with the files that name users.
pub fn busybox() -> Result<PathBuf> {
    once(&crate::cache_dir().join(format!("busybox-{BUSYBOX_RECIPE}.tar")), make_busybox)
}

fn make_busybox(file: &Path) -> Result<()> {
    let busybox = process::find("busybox").ok_or_else(|| Error("busybox is not installed".into()))?;
    let applets = process::succeed(Command::new(&busybox).arg("--list"))?.out();
    make(file, |aside| {
        let mut tar = tar::Builder::new(File::create(aside)?);
        for (directory, mode) in [("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("var", 0o755)] {
            tar.append_data(&mut header(tar::EntryType::Directory, mode, 0), format!("{directory}/"), &[][..])?;
        }
        let program = std::fs::read(&busybox)?;
        tar.append_data(&mut header(tar::EntryType::Regular, 0o755, program.len()), "bin/busybox", &program[..])?;
        for applet in applets.lines().filter(|applet| *applet != "busybox") {
            tar.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), format!("bin/{applet}"), "busybox")?;
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
        let group = "root:x:0:\nnogroup:x:65534:\n";
        for (name, text) in [("etc/passwd", passwd), ("etc/group", group)] {
            tar.append_data(&mut header(tar::EntryType::Regular, 0o644, text.len()), name, text.as_bytes())?;
        }
        tar.finish()
    })
}

/// A Debian system with a C compiler, Python and Node; from `debootstrap`, which needs root and a network.
pub fn debian() -> Result<PathBuf> {
    once(&crate::cache_dir().join(format!("debian-{DEBIAN_RECIPE}.tar")), make_debian)
}

fn make_debian(file: &Path) -> Result<()> {
    let directory =
        tempfile::Builder::new().prefix("e2e-debian-").tempdir().map_err(Error::when("cannot make a directory"))?;
    let root = directory.path().join("root");
    process::succeed(
        Command::new(process::find("debootstrap").ok_or_else(|| Error("debootstrap is not installed".into()))?)
            .args(["--variant=minbase", &format!("--include={PACKAGES}"), "bookworm"])
            .arg(&root)
            .env("DPKG_FORCE", "unsafe-io"),
    )?;
    let options = root.join("etc/dpkg/dpkg.cfg.d/e2e");
    std::fs::write(&options, DPKG_OPTIONS).map_err(Error::when(format!("cannot write {}", options.display())))?;
    // Half of the tree is of no use to a build.
    for useless in
        ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man", "var/log"]
    {
        let _ = std::fs::remove_dir_all(root.join(useless));
    }
    make(file, |aside| {
        let run = process::succeed(
            Command::new("tar")
                .args(["--numeric-owner", "--sort=name", "-C"])
                .arg(&root)
                .arg("-cf")
                .arg(aside)
                .arg("."),
        );
        run.map(drop).map_err(std::io::Error::other)
    })
}

/// The file, made when it is not there. Tests run at once, and two systems made at once are not the same to the byte:
/// the second waits for the first and takes what it made.
fn once(file: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    if !file.is_file() {
        let failed = |error: std::io::Error| Error(format!("cannot lock {}: {error}", file.display()));
        std::fs::create_dir_all(file.parent().expect("it lies in a directory")).map_err(failed)?;
        let lock = File::create(file.with_extension("lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        if !file.is_file() {
            make(file)?;
        }
    }
    Ok(file.to_path_buf())
}

/// Makes a file aside and puts it in its place when it is whole.
fn make(file: &Path, write: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
    let failed = |error: std::io::Error| Error(format!("cannot make {}: {error}", file.display()));
    let aside = file.with_extension(format!("{}.tmp", std::process::id()));
    write(&aside).and_then(|()| std::fs::rename(&aside, file)).map_err(failed)
}

fn header(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header.set_size(size as u64);
    header
}
