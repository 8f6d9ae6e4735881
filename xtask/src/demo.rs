//! `cargo xtask demo`: from nothing to an image that runs, with every command in view.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::base;

use crate::setup;
use crate::shell::{self, Result, cargo, say, target_dir};

/// What the example builds on.
const BASE: &str = "busybox";
/// The registry that would have it.
const REGISTRY: &str = "registry-1.docker.io:443";
/// So long may the registry take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn run(_: &[String]) -> Result<()> {
    setup::install(setup::DEMO)?;
    shell::step("build llbc and executor", &mut cargo(&["build", "--package", "cli", "--package", "executor"]))?;
    let directory = target_dir().join("demo");
    // What an earlier demo made would hide what this one does.
    remove(&directory)?;
    std::fs::create_dir_all(&directory)?;
    show_all(&directory)?;
    say(&format!(
        "\nThe store of this demo is {}; without LLBC_ROOT it is /var/lib/llbc.",
        directory.join("store").display()
    ));
    Ok(())
}

fn show_all(directory: &Path) -> Result<()> {
    let (llbc, executor) = (target_dir().join("debug/llbc"), target_dir().join("debug/executor"));
    let root = directory.join("store");
    let executor = || {
        let mut command = Command::new(&executor);
        command.env("LLBC_ROOT", &root).current_dir(e2e::workspace());
        command
    };
    let llbc = || {
        let mut command = Command::new(&llbc);
        command.env("LLBC_ROOT", &root).current_dir(e2e::workspace());
        command
    };

    if registry_answers() {
        say(&format!("{REGISTRY} answers: {BASE} comes from there"));
    } else {
        say(&format!("{REGISTRY} does not answer: {BASE} is made from this machine's"));
        show("executor images import busybox.tar busybox");
        shell::run(executor().args(["images", "import"]).arg(base::busybox()?).arg(BASE))?;
    }

    let file = "examples/hello/Dockerfile";
    show(&format!("cat {file}"));
    shell::print(&std::fs::read_to_string(e2e::workspace().join(file))?)?;

    show(&format!("llbc {file} | executor -t hello"));
    pipe(llbc().arg(file), executor().args(["-t", "hello"]))?;

    show("executor images ls");
    shell::run(executor().args(["images", "ls"]))?;

    show(&format!("llbc dump --image {file}"));
    shell::run(llbc().args(["dump", "--image", file]))?;

    let tree = directory.join("tree");
    show(&format!("llbc {file} | executor -o {}", tree.display()));
    pipe(llbc().arg(file), executor().arg("-o").arg(&tree))?;
    if setup::is_root() {
        show(&format!("chroot {} cat /etc/greeting", tree.display()));
        shell::run(Command::new("chroot").arg(&tree).args(["/bin/cat", "/etc/greeting"]))?;
    } else {
        show(&format!("cat {}/etc/greeting", tree.display()));
        shell::run(Command::new("cat").arg(tree.join("etc/greeting")))?;
    }
    Ok(())
}

fn remove(directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn registry_answers() -> bool {
    let addresses = REGISTRY.to_socket_addrs().into_iter().flatten();
    addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok())
}

fn show(command: &str) {
    say(&format!("\n$ {command}"));
}

/// `first | second`.
fn pipe(first: &mut Command, second: &mut Command) -> Result<()> {
    let mut producer = first.stdout(Stdio::piped()).spawn()?;
    let output = producer.stdout.take().ok_or("standard output is a pipe")?;
    let consumed = shell::run(second.stdin(output));
    let produced = producer.wait()?;
    if !produced.success() {
        return Err(format!("{}: {produced}", shell::shown(first)).into());
    }
    consumed
}
