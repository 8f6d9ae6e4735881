//! Programs that are not ours: which there are, what they are for, and how they come onto the machine.

use std::process::Command;

use e2e::process::find;

use crate::release;
use crate::shell::{self, Result};

/// A program and the Debian package it comes from.
pub(crate) struct Need<'a> {
    pub(crate) program: &'a str,
    pub(crate) package: &'a str,
}

/// What the demo needs.
pub(crate) const DEMO: &[Need<'_>] =
    &[Need { program: "busybox", package: "busybox-static" }, Need { program: "cc", package: "gcc" }];

/// What tests and benchmarks need: peers to compare with, and what makes bases to build on.
pub(crate) const ALL: &[Need<'_>] = &[
    Need { program: "busybox", package: "busybox-static" },
    Need { program: "cc", package: "gcc" },
    Need { program: "git", package: "git" },
    Need { program: "tar", package: "tar" },
    Need { program: "bzip2", package: "bzip2" },
    Need { program: "xz", package: "xz-utils" },
    Need { program: "debootstrap", package: "debootstrap" },
    Need { program: "gpg", package: "gnupg" },
    Need { program: "gpgv", package: "gpgv" },
    Need { program: "dockerd", package: "docker.io" },
    Need { program: "docker-registry", package: "docker-registry" },
    Need { program: "skopeo", package: "skopeo" },
    Need { program: "openssl", package: "openssl" },
    Need { program: "umoci", package: "umoci" },
    Need { program: "buildah", package: "buildah" },
    Need { program: "crun", package: "crun" },
    Need { program: "runc", package: "runc" },
    Need { program: "iptables", package: "iptables" },
    Need { program: "nvim", package: "neovim" },
    Need { program: "newuidmap", package: "uidmap" },
    Need { program: "slirp4netns", package: "slirp4netns" },
    Need { program: "qemu-aarch64-static", package: "qemu-user-static" },
    Need { program: "ssh-keygen", package: "openssh-client" },
    Need { program: "sshd", package: "openssh-server" },
    Need { program: "npm", package: "npm" },
    Need { program: "chromium", package: "chromium" },
];

/// `cargo xtask setup`.
pub(crate) fn run(_: &[String]) -> Result<()> {
    install(ALL)?;
    release::install()
}

/// Installs what is missing, when that can be done: on Debian, as root.
pub(crate) fn install(needs: &[Need<'_>]) -> Result<()> {
    let missing: Vec<&Need<'_>> = needs.iter().filter(|need| find(need.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let programs: Vec<&str> = missing.iter().map(|need| need.program).collect();
    if find("apt-get").is_none() || !is_root() {
        let list = packages.join(" ");
        return Err(format!("missing programs: {}; install the packages {list}", programs.join(", ")).into());
    }
    shell::timed(&format!("install {}", packages.join(" ")), || {
        shell::run(apt().arg("update"))?;
        shell::run(apt().args(["install", "--yes", "--no-install-recommends"]).args(&packages))
    })
}

/// No question can be answered here, and no service may start: tests start their own.
fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("--quiet").env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
