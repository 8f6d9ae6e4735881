//! The language server from inside an editor: Debian's Neovim with the plugin of `editors/nvim`.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::process::Command;

use e2e::{Binaries, Sandbox, process, workspace};

/// Opens a file in Neovim and runs a script of `tests/e2e/editors` on it.
fn neovim(name: &str, text: &str, script: &str) {
    if !e2e::have(&["nvim"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let file = sandbox.write(name, text);
    let scripts = workspace().join("tests/e2e/editors");
    let mut nvim = Command::new("nvim");
    nvim.args(["--headless", "-u", "NONE", "-i", "NONE", "-n", "-c"]);
    nvim.arg(format!("luafile {}", scripts.join(script).display())).arg(file).current_dir(sandbox.directory());
    // Nothing of the caller's set-up.
    nvim.env("LLBC", &Binaries::get().llbc).env("PLUGIN", workspace().join("editors/nvim")).env("SCRIPTS", &scripts);
    nvim.env("XDG_CONFIG_HOME", sandbox.directory()).env("XDG_STATE_HOME", sandbox.directory());
    nvim.env("XDG_DATA_HOME", sandbox.directory()).env("XDG_CACHE_HOME", sandbox.directory());
    let run = process::run(&mut nvim).unwrap();
    assert!(run.status.success() && run.out().contains("passed"), "{}\n{}", run.out(), run.err());
}

#[test]
fn neovim_with_a_dockerfile() {
    neovim("Dockerfile", "FROM scratch AS base\nFROM scratch\nMAINTAINER x\n", "nvim.lua");
}

#[test]
fn neovim_with_a_program() {
    neovim("main.hlb", "fs default() {\n\tbasis\n}\n\nfs base() {\n\timage \"alpine\"\n}\n", "hlb.lua");
}

#[test]
fn neovim_with_a_spec() {
    let text = "[stage.base]\nfrom = \"alpine\"\nworkdirr = \"/srv\"\n[image.app]\nfrom = \"stage.base\"\n";
    neovim("build.toml", text, "build.lua");
}
