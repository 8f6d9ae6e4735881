//! Real projects, built here and by Docker's engine from the same Dockerfile: the trees, the image configs and the
//! histories agree, and other people's tools take the image.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Binaries, Docker, Tree, base, docker, image, process};
use serde_json::Value;
use tempfile::TempDir;

/// A project and how it is built.
struct Project {
    /// Folder below `projects/`.
    name: &'static str,
    target: &'static str,
    build_args: &'static [&'static str],
    /// What it builds on.
    base: Base,
    /// What a container of it writes.
    output: &'static str,
}

#[derive(Clone, Copy)]
enum Base {
    Busybox,
    Debian,
}

impl Base {
    fn name(self) -> &'static str {
        match self {
            Self::Busybox => "busybox:e2e",
            Self::Debian => "debian:e2e",
        }
    }

    fn tar(self) -> PathBuf {
        match self {
            Self::Busybox => base::busybox(),
            Self::Debian => base::debian(),
        }
        .unwrap()
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Busybox => &["busybox"],
            Self::Debian => base::DEBIAN_PROGRAMS,
        }
    }
}

/// What a build left: the tree as a tar, the image as archives.
struct Built {
    tree: PathBuf,
    docker_archive: PathBuf,
    oci_archive: PathBuf,
}

struct Bench {
    directory: TempDir,
    docker: Docker,
    project: Project,
}

impl Bench {
    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn context(&self) -> PathBuf {
        e2e::workspace().join("tests/e2e/projects").join(self.project.name)
    }

    fn tag(&self) -> String {
        format!("e2e-{}:1", self.project.name)
    }

    /// Options that both builders spell alike.
    fn options(&self) -> Vec<String> {
        let target = (!self.project.target.is_empty()).then(|| format!("--target={}", self.project.target));
        target.into_iter().chain(self.project.build_args.iter().map(|arg| format!("--build-arg={arg}"))).collect()
    }

    /// `llbc FILE | executor`, the two commands of the README.
    fn build(&self) -> Built {
        let (binaries, context) = (Binaries::get(), self.context());
        let store = self.file("store");
        let executor = || {
            let mut command = binaries.executor();
            command.env("LLBC_ROOT", &store);
            command
        };
        let tar = self.project.base.tar();
        process::succeed(executor().args(["images", "import"]).arg(tar).arg(self.project.base.name())).unwrap();
        let built = Built {
            tree: self.file("tree.tar"),
            docker_archive: self.file("image.tar"),
            oci_archive: self.file("oci.tar"),
        };
        let mut compile = binaries.llbc();
        compile
            .env("LLBC_ROOT", &store)
            .arg(context.join("Dockerfile"))
            .arg("--context")
            .arg(&context)
            .args(self.options());
        let definition = process::succeed(&mut compile).unwrap().stdout;
        let mut run = executor();
        run.arg("--local").arg(format!("context={}", context.display())).args(["--progress=plain", "-t", &self.tag()]);
        run.arg("-o").arg(format!("type=tar,dest={}", built.tree.display()));
        run.arg("-o").arg(format!("type=docker,dest={}", built.docker_archive.display()));
        run.arg("-o").arg(format!("type=oci,dest={}", built.oci_archive.display()));
        process::succeed_with_input(&mut run, &definition).unwrap();
        built
    }

    /// `llbc build --load` into an engine that does not have the image; the id that the engine gives it.
    fn load(&self) -> String {
        process::succeed(self.docker.client().args(["rmi", "--force", &self.tag()])).unwrap();
        let mut build = Binaries::get().llbc();
        build
            .env("LLBC_ROOT", self.file("store"))
            .env("DOCKER_HOST", format!("unix://{}", self.docker.socket().display()));
        build
            .args(["build", "-O0", "--load", "--progress=plain", "-t", &self.tag()])
            .args(self.options())
            .arg(self.context());
        process::succeed(&mut build).unwrap();
        let inspect = ["image", "inspect", "--format={{.Id}}", &self.tag()].map(str::to_owned);
        process::succeed(self.docker.client().args(inspect)).unwrap().out().trim().to_owned()
    }

    /// `docker build` and `docker save`.
    fn build_by_docker(&self) -> Built {
        self.docker.import(&self.project.base.tar(), self.project.base.name(), &[]).unwrap();
        let built = Built {
            tree: self.file("docker-tree.tar"),
            docker_archive: self.file("docker-image.tar"),
            oci_archive: PathBuf::new(),
        };
        let options = self.options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let tag = self.tag();
        self.docker.build(&self.context(), &[&options[..], &["-t", &tag]].concat()).unwrap();
        let output = format!("--output=type=tar,dest={}", built.tree.display());
        self.docker.build(&self.context(), &[&options[..], &[output.as_str()]].concat()).unwrap();
        process::succeed(self.docker.client().args(["save", "-o"]).arg(&built.docker_archive).arg(&tag)).unwrap();
        built
    }
}

fn check(project: Project) {
    if !e2e::have(project.base.programs()) || !e2e::have(docker::PROGRAMS) || !e2e::have(&["skopeo", "umoci"]) {
        return;
    }
    let Some(docker) = Docker::get() else { return };
    let bench = Bench { directory: tempfile::tempdir().unwrap(), docker, project };
    let (ours, theirs) = (bench.build(), bench.build_by_docker());
    compare_trees(&ours.tree, &theirs.tree);
    compare_configs(&ours, &theirs);
    is_accepted(&bench, &ours);
}

fn compare_trees(ours: &Path, theirs: &Path) {
    let read = |path: &Path| Tree::from_tar(std::fs::File::open(path).unwrap()).unwrap();
    let (ours, theirs) = (read(ours), read(theirs));
    let difference = ours.difference(&theirs, ("ours", "docker's"));
    assert!(difference.is_empty(), "{} paths differ\n{}", difference.len(), difference.join("\n"));
    assert!(ours.len() > 1, "an empty tree proves nothing");
}

/// Configs agree, and so does the history but for the entry of the base, which says who imported it.
fn compare_configs(ours: &Built, theirs: &Built) {
    let read = |built: &Built| {
        let mut config = image::comparable(&image::config(&built.docker_archive).unwrap());
        let history = config["history"].as_array_mut().unwrap();
        history.retain(|step| !step["comment"].as_str().unwrap_or_default().starts_with("Imported from"));
        config
    };
    let (ours, theirs): (Value, Value) = (read(ours), read(theirs));
    // As values first: the order of fields is not the order of meaning.
    let text = |config: &Value| serde_json::to_string_pretty(config).unwrap();
    assert!(ours == theirs, "ours {}\ndocker's {}", text(&ours), text(&theirs));
}

/// skopeo reads it, umoci unpacks it, Docker loads and runs it.
fn is_accepted(bench: &Bench, built: &Built) {
    let oci = format!("oci-archive:{}", built.oci_archive.display());
    let inspected = process::succeed(Command::new("skopeo").args(["inspect", &oci])).unwrap().out();
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    let layers = inspected["Layers"].as_array().unwrap().len();
    assert!(layers > 0, "{inspected}");

    let layout = bench.file("layout");
    process::succeed(
        Command::new("skopeo").args(["copy", "--quiet", &oci]).arg(format!("oci:{}:app", layout.display())),
    )
    .unwrap();
    let bundle = bench.file("bundle");
    process::succeed(
        Command::new("umoci").args(["unpack", "--image"]).arg(format!("{}:app", layout.display())).arg(&bundle),
    )
    .unwrap();
    assert!(bundle.join("config.json").is_file() && bundle.join("rootfs").read_dir().unwrap().next().is_some());

    process::succeed(bench.docker.client().args(["rmi", "--force", &bench.tag()])).unwrap();
    process::succeed(bench.docker.client().args(["load", "-i"]).arg(&built.docker_archive)).unwrap();
    let run = process::succeed(bench.docker.client().args(["run", "--rm", "--network=none", &bench.tag()])).unwrap();
    assert_eq!(run.out(), bench.project.output);
    assert_eq!(bench.load(), image::id(&built.docker_archive).unwrap());
}

#[test]
fn a_static_c_program() {
    check(Project {
        name: "c-static",
        target: "",
        build_args: &["VERSION=1.2.3"],
        base: Base::Debian,
        output: "hello, world (greet 1.2.3)\n",
    });
}

#[test]
fn a_python_application() {
    check(Project { name: "python-app", target: "", build_args: &[], base: Base::Debian, output: "the 3\nand 2\n" });
}

#[test]
fn a_node_application() {
    check(Project {
        name: "node-app",
        target: "",
        build_args: &["NODE_IMAGE=debian:e2e"],
        base: Base::Debian,
        output: "serving shop 2.4.1 --port 3000\n",
    });
}

#[test]
fn a_monorepo_of_thirty_stages() {
    check(Project {
        name: "monorepo",
        target: "orders",
        build_args: &[],
        base: Base::Busybox,
        output: "lib json\nlib queue\nlib store\nservice orders\n",
    });
}
