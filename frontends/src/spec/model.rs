//! What a build spec says, typed. The comments are its documentation: `docs/spec.md` and the schema are made from them.

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::read::{At, Map, Node, Read, Reader, Scalar, Text, tables, words};
use super::results::{Attest, Check, Files, Lint, Matrix, Test};
use super::schema::Schemas;

/// A command: one line for the shell, or a program with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    Shell(Text),
    Exec(Vec<Text>),
}

impl Read for Command {
    const EXPECTED: &'static str = "a command line or a list of arguments";

    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        match node.value {
            DeValue::String(_) => Text::read(node, reader).map(Self::Shell),
            DeValue::Array(_) => Vec::read(node, reader).map(Self::Exec),
            _ => reader.wrong_type(node, Self::EXPECTED),
        }
    }

    fn schema(schemas: &mut Schemas) -> Json {
        json!({ "anyOf": [Text::schema(schemas), Vec::<Text>::schema(schemas)] })
    }
}

/// One text or several.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Texts(pub(super) Vec<Text>);

impl Read for Texts {
    const EXPECTED: &'static str = "a string or a list of strings";

    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        match node.value {
            DeValue::String(_) => Text::read(node, reader).map(|text| Self(vec![text])),
            DeValue::Array(_) => Vec::read(node, reader).map(Self),
            _ => reader.wrong_type(node, Self::EXPECTED),
        }
    }

    fn schema(schemas: &mut Schemas) -> Json {
        json!({ "anyOf": [Text::schema(schemas), Vec::<Text>::schema(schemas)] })
    }
}

/// A checksum, or one for each architecture.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Checksum {
    Any(Text),
    PerArchitecture(Map<Text>),
}

impl Read for Checksum {
    const EXPECTED: &'static str = "a SHA-256 checksum, or a table of one for each architecture";

    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        match node.value {
            DeValue::String(_) => Text::read(node, reader).map(Self::Any),
            DeValue::Table(_) => Map::read(node, reader).map(Self::PerArchitecture),
            _ => reader.wrong_type(node, Self::EXPECTED),
        }
    }

    fn schema(schemas: &mut Schemas) -> Json {
        json!({ "anyOf": [Text::schema(schemas), Map::<Text>::schema(schemas)] })
    }
}

/// The name of a cache, or a cache described where it is used.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum CacheUse {
    Named(Text),
    Here(Box<Cache>),
}

impl Read for CacheUse {
    const EXPECTED: &'static str = "the name of a cache, or a table";

    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        match node.value {
            DeValue::String(_) => Text::read(node, reader).map(Self::Named),
            DeValue::Table(_) => Cache::read(node, reader).map(|cache| Self::Here(Box::new(cache))),
            _ => reader.wrong_type(node, Self::EXPECTED),
        }
    }

    fn schema(schemas: &mut Schemas) -> Json {
        json!({ "anyOf": [Text::schema(schemas), Cache::schema(schemas)] })
    }
}

words! {
    /// How builds that run at once use a cache.
    Share {
        /// All at once.
        "shared" => Shared,
        /// Each its own.
        "private" => Private,
        /// One after another.
        "locked" => Locked,
    }

    /// What processes of a step can reach.
    Network {
        /// Nothing.
        "none" => None,
        /// What the builder reaches.
        "default" => Default,
        /// The builder's own network; must be allowed.
        "host" => Host,
    }

    /// Kinds of projects that are built in a way known to be good.
    Preset {
        /// `go.mod`.
        "go" => Go,
        /// `Cargo.toml`.
        "rust" => Rust,
        /// `package.json`.
        "node" => Node,
        /// `pyproject.toml` or `requirements.txt`.
        "python" => Python,
        /// `pom.xml` or `build.gradle`.
        "java" => Java,
        /// Files for a web server.
        "static" => Static,
        /// `CMakeLists.txt`.
        "cmake" => Cmake,
    }

    /// What processes of a step may do.
    Security {
        /// What a container may.
        "sandbox" => Sandbox,
        /// Everything; must be allowed.
        "insecure" => Insecure,
    }

    /// Types of variables.
    VarType {
        /// Any text.
        "string" => String,
        /// `true` or `false`.
        "bool" => Bool,
        /// A whole number.
        "int" => Int,
    }
}

tables! {
    /// A build spec.
    Spec as "spec" {
        /// Version of the language: 1.
        "spec" => version: At<i64>,
        /// Other specs whose tables belong to this one: what is said here stays. Their paths, and those in them, are relative.
        "include" => include: Vec<Text>,
        /// Variables, which are build arguments: `${var.NAME}`.
        "var" => var: Map<Var>,
        /// What holds for all stages and images unless they say otherwise.
        "default" => default: Defaults,
        /// Where files come from: every input of the build, once.
        "source" => source: Map<Source>,
        /// Directories that are kept from build to build.
        "cache" => cache: Map<Cache>,
        /// File systems that are built on the way.
        "stage" => stage: Map<Stage>,
        /// Images to build. The first is built when none is asked for.
        "image" => image: Map<Image>,
        /// Tests: what must be possible before an image that requires it goes anywhere.
        "test" => test: Map<Test>,
        /// Files for a directory beside the spec.
        "files" => files: Map<Files>,
        /// Images that there are several of, one for each combination of values of variables.
        "matrix" => matrix: Map<Matrix>,
        /// What is built together: names of images, files, tests, stages and groups, and patterns of them.
        "group" => group: Map<Vec<Text>>,
        /// Which rules look at the spec.
        "lint" => lint: Lint,
    }

    /// A variable: a build argument with a type.
    Var as "var" {
        /// Its value when none is given.
        "default" => default: Scalar,
        /// Its type; `string` unless the default says otherwise.
        "type" => kind: VarType,
        /// The values it may have.
        "one-of" => one_of: Vec<Scalar>,
        /// Whether a value must be given.
        "required" => required: At<bool>,
        /// What it is for; `llbc outline` shows it.
        "help" => help: Text,
    }

    /// What holds for all stages and images unless they say otherwise.
    Defaults as "default" {
        /// Platforms that images are built for when nobody asks for others.
        "platforms" => platforms: Vec<Text>,
        /// Network of steps; `none` when nothing is said.
        "network" => network: Network,
        /// The shell of command lines.
        "shell" => shell: Vec<Text>,
        /// Variables of processes and of the image.
        "env" => env: Map<Scalar>,
        /// User of processes and of the image.
        "user" => user: Text,
        /// Working directory of processes and of the image.
        "workdir" => workdir: Text,
        /// Labels of images.
        "labels" => labels: Map<Scalar>,
    }

    /// Where files come from: one of `local`, `http`, `git`, `image`, `oci-layout`, `inline`, `stage`, `context`.
    Source as "source" {
        /// A directory or file of the build context.
        "local" => local: Text,
        /// A file from an address.
        "http" => http: Text,
        /// A repository.
        "git" => git: Text,
        /// The file system of an image.
        "image" => image: Text,
        /// That of an image in an OCI layout beside the spec: `DIRECTORY[:TAG][@DIGEST]`; of several, the tag is `latest` when
        /// none is said. `--build-context source-NAME=…` takes its place.
        "oci-layout" => oci_layout: Text,
        /// The content of one file.
        "inline" => inline: Text,
        /// A stage.
        "stage" => stage: Text,
        /// A named context, given with `--build-context`.
        "context" => context: Text,
        /// The directory that `context` is when none is given: a context of its own, with an ignore file of its own.
        "path" => path: Text,
        /// Patterns of what is taken of `local`; everything when nothing is said.
        "include" => include: Vec<Text>,
        /// Patterns of what is left out.
        "exclude" => exclude: Vec<Text>,
        /// SHA-256 of the file of `http`, or a table of one for each architecture.
        "sha256" => sha256: Checksum,
        /// Permission bits of the file of `http` or `inline`: `0755`.
        "mode" => mode: Text,
        /// Whether the archive of `http` is unpacked.
        "unpack" => unpack: At<bool>,
        /// How many directories at the top of the archive are left out, so that what is in them takes their place.
        "strip" => strip: At<i64>,
        /// Branch, tag or commit of `git`.
        "ref" => reference: Text,
        /// Directory of the repository of `git`.
        "subdir" => subdir: Text,
        /// Whether `.git` is kept.
        "keep-git" => keep_git: At<bool>,
    }

    /// A directory that is kept from build to build.
    Cache as "cache" {
        /// Where it is mounted.
        "path" => path: Text,
        /// How builds that run at once use it; `shared` when nothing is said.
        "share" => share: Share,
        /// What it is kept apart by: `platform`, `stage`, and names of variables.
        "per" => per: Vec<Text>,
        /// What it holds at first: as `copy`.
        "seed" => seed: Text,
        /// Its id among all caches; the name when nothing is said.
        "id" => id: Text,
        /// The user that owns it at first: a number.
        "uid" => uid: Scalar,
        /// The group that owns it at first: a number.
        "gid" => gid: Scalar,
        /// Permission bits that it has at first: `0755`.
        "mode" => mode: Text,
        /// Whether it can only be read.
        "readonly" => readonly: At<bool>,
    }

    /// A file system that is built in steps: settings first, then packages, then the steps in their order.
    Stage as "stage" {
        /// What it starts from: an image, `stage.NAME`, `scratch`, or `source.NAME`, where that is an image.
        "from" => from: Text,
        /// Where its steps run: `build` (this machine), `target` (as the image), or a platform.
        "platform" => platform: Text,
        /// Variables of the processes of this stage and of those on it, but not of the image. `V = "${var.V}"` is not there
        /// where the variable has no value.
        "args" => args: Map<Scalar>,
        /// Variables of processes and of the image.
        "env" => env: Map<Scalar>,
        /// Working directory of processes and of the image.
        "workdir" => workdir: Text,
        /// User of processes and of the image.
        "user" => user: Text,
        /// The shell of command lines.
        "shell" => shell: Vec<Text>,
        /// Network of steps.
        "network" => network: Network,
        /// Caches of all steps.
        "cache" => cache: Vec<CacheUse>,
        /// Packages of Debian and its kin.
        "apt" => apt: Apt,
        /// Packages of Alpine.
        "apk" => apk: Packages,
        /// Packages of Fedora and its kin.
        "dnf" => dnf: Packages,
        /// Packages of Python.
        "pip" => pip: Pip,
        /// Packages of Node, installed for all users.
        "npm" => npm: Packages,
        /// What is done, in this order.
        "step" => step: Vec<Step>,
    }

    /// An image: a stage, and what its containers are told.
    Image as "image" {
        /// Files, each put in independently of the others, after the steps.
        "file" => file: Vec<File>,
        /// The process.
        "entrypoint" => entrypoint: Command,
        /// Its default arguments, or the process when there is no entrypoint.
        "cmd" => cmd: Command,
        /// Ports.
        "expose" => expose: Vec<Scalar>,
        /// Mount points.
        "volumes" => volumes: Vec<Text>,
        /// The health check.
        "healthcheck" => healthcheck: Healthcheck,
        /// The signal that stops a container.
        "stop-signal" => stop_signal: Text,
        /// Instructions of a Dockerfile that images built on this one begin with: `RUN make`. Nothing is replaced in them here.
        "onbuild" => on_build: Vec<Text>,
        /// Who made it: a name as it is, in which nothing is replaced.
        "author" => author: Text,
        /// Labels.
        "labels" => labels: Map<Scalar>,
        /// Its names: `ghcr.io/acme/server:${var.version}`. Names given with `-t` take their place.
        "tags" => tags: Vec<Text>,
        /// Its annotations; a key may begin with what is annotated: `index:org.opencontainers.image.title`.
        "annotations" => annotations: Map<Scalar>,
        /// Platforms it is built for when nobody asks for others.
        "platforms" => platforms: Vec<Text>,
        /// What is attested of it.
        "attest" => attest: Attest,
        /// Seconds since 1970 that all times in it are set to.
        "epoch" => epoch: At<i64>,
        /// What must succeed before it goes anywhere: `test.NAME`.
        "require" => require: Vec<Text>,
        /// What its files must be like before it goes anywhere.
        "check" => check: Check,
        /// What kind of project this is: the stages that build it are added (`llbc expand` shows them).
        "preset" => preset: Preset,
        /// Preset: directory of the project in the build context; its root when nothing is said.
        "dir" => dir: Text,
        /// Preset: source that holds the project, instead of the build context.
        "source" => source: Text,
        /// Preset: version of the language's tools, as the tag of its image has it.
        "version" => toolchain: Scalar,
        /// Preset: what is built of the project: a package, a binary, a module, a target.
        "package" => package: Text,
        /// Preset: the command that builds, instead of the usual one.
        "build" => build: Text,
        /// Preset: what the build makes: a directory or file of the project.
        "output" => output: Text,
        /// Preset: where the program is put in the image.
        "binary" => binary: Text,
        /// Preset: image to build in, instead of the usual one.
        "builder" => builder: Text,
        .. stage: Stage,
    }

    /// One step: exactly one of `run`, `script`, `copy`, `mkdir`, `write`, `remove`, `unpack`.
    Step as "step" {
        /// A command line for the shell, or a program with its arguments.
        "run" => run: Command,
        /// Lines for the shell, or for the program that a first line `#!…` names.
        "script" => script: Text,
        /// Copies a source: `NAME`, `NAME:PATH`, `stage.NAME:PATH`, or a path of the build context that begins with `./`.
        "copy" => copy: Texts,
        /// Makes a directory and those above it.
        "mkdir" => mkdir: Text,
        /// Writes a file.
        "write" => write: Text,
        /// Removes files and directories; patterns may match nothing.
        "remove" => remove: Texts,
        /// Unpacks an archive: as `copy`.
        "unpack" => unpack: Text,
        /// Where `copy` and `unpack` put it; the working directory when nothing is said.
        "to" => to: Text,
        /// The content of the file of `write`.
        "content" => content: Text,
        /// Patterns of what is copied.
        "only" => only: Vec<Text>,
        /// Patterns of what is not copied.
        "except" => except: Vec<Text>,
        /// Owner of what is made: `USER[:GROUP]`.
        "owner" => owner: Text,
        /// Permission bits of what is made: `0755`.
        "mode" => mode: Text,
        /// Whether what is copied is a layer that does not depend on what is below it; it does not when nothing is said.
        "link" => link: At<bool>,
        /// Whether the directories above what is copied are made in `to`, too.
        "parents" => parents: At<bool>,
        /// Variables of this process.
        "env" => env: Map<Scalar>,
        /// Working directory of this process.
        "workdir" => workdir: Text,
        /// User of this process.
        "user" => user: Text,
        /// Network of this process.
        "network" => network: Network,
        /// What this process may do; `sandbox` when nothing is said.
        "security" => security: Security,
        /// Devices of this process by their CDI names, `vendor.com/class=name`; `llbc build --allow device` grants them.
        "device" => device: Vec<Text>,
        /// Caches of this process.
        "cache" => cache: Vec<CacheUse>,
        /// Secrets of this process.
        "secret" => secret: Vec<Secret>,
        /// SSH agents of this process.
        "ssh" => ssh: Vec<Ssh>,
        /// Further file systems of this process.
        "mount" => mount: Vec<Mount>,
        /// When it is done at all: `var.debug`, `target.arch == 'arm64'`, `!`, `&&`, `||`, `in ['a', 'b']`.
        "when" => when: Text,
    }

    /// A file or directory of an image, put in independently of the others.
    File as "file" {
        /// As in `copy`.
        "from" => from: Text,
        /// The part of it that is put in; all of it when nothing is said.
        "path" => path: Text,
        /// Where it is put.
        "to" => to: Text,
        /// Owner: `USER[:GROUP]`.
        "owner" => owner: Text,
        /// Permission bits: `0755`.
        "mode" => mode: Text,
        /// When it is put in at all.
        "when" => when: Text,
    }

    /// A secret: a file, a variable, or both.
    Secret as "secret" {
        /// What `--secret` calls it.
        "id" => id: Text,
        /// The file it is in; `/run/secrets/ID` when neither this nor `env` is said.
        "path" => path: Text,
        /// The variable it is in.
        "env" => env: Text,
        /// Whether the build fails without it; it does when nothing is said.
        "required" => required: At<bool>,
        /// Permission bits of the file.
        "mode" => mode: Text,
        /// The user that owns the file: a number.
        "uid" => uid: Scalar,
        /// The group that owns the file: a number.
        "gid" => gid: Scalar,
    }

    /// An SSH agent.
    Ssh as "ssh" {
        /// What `--ssh` calls it; `default` when nothing is said.
        "id" => id: Text,
        /// Where its socket is.
        "path" => path: Text,
        /// Permission bits of the socket.
        "mode" => mode: Text,
        /// The user that owns the socket: a number.
        "uid" => uid: Scalar,
        /// The group that owns the socket: a number.
        "gid" => gid: Scalar,
        /// Whether the build fails without it; it does when nothing is said.
        "required" => required: At<bool>,
    }

    /// A further file system of a process: one of `from` and `tmpfs`.
    Mount as "mount" {
        /// As in `copy`.
        "from" => from: Text,
        /// Memory.
        "tmpfs" => tmpfs: At<bool>,
        /// Most bytes of the memory: `64m`.
        "size" => size: Text,
        /// Where it is mounted.
        "to" => to: Text,
        /// Whether it can be written; what is written is lost.
        "writable" => writable: At<bool>,
    }

    /// Packages.
    Packages as "packages" {
        /// Their names, with versions as the package manager writes them.
        "install" => install: Vec<Text>,
    }

    /// Packages of Debian and its kin.
    Apt as "apt" {
        /// Their names, with versions: `curl`, `curl=7.88.*`.
        "install" => install: Vec<Text>,
        /// Whether recommended packages are installed, too; they are not when nothing is said.
        "recommends" => recommends: At<bool>,
        /// Further repositories.
        "repo" => repo: Vec<Repository>,
        /// The moment the archives of Debian or Ubuntu are taken from: `20260301T000000Z`. The same packages every time.
        "snapshot" => snapshot: Text,
    }

    /// A repository of Debian packages.
    Repository as "repository" {
        /// Its address.
        "uri" => uri: Text,
        /// Its suite: `bookworm`.
        "suite" => suite: Text,
        /// Its components: `main`.
        "components" => components: Vec<Text>,
        /// Its architectures; all when nothing is said.
        "arch" => arch: Vec<Text>,
        /// The source that is its key.
        "key" => key: Text,
    }

    /// Packages of Python.
    Pip as "pip" {
        /// Their names, with versions: `requests==2.32.3`.
        "install" => install: Vec<Text>,
        /// The file that lists them: as in `copy`.
        "requirements" => requirements: Text,
    }

    /// A health check.
    Healthcheck as "healthcheck" {
        /// The command.
        "cmd" => cmd: Command,
        /// Time between two checks: `30s`.
        "interval" => interval: Text,
        /// Time after which a check has failed: `5s`.
        "timeout" => timeout: Text,
        /// Time in which failures do not count: `1m`.
        "start-period" => start_period: Text,
        /// Time between two checks as long as failures do not count: `1s`.
        "start-interval" => start_interval: Text,
        /// How many checks must fail in a row.
        "retries" => retries: At<i64>,
        /// Whether there is none, whatever the base has.
        "disable" => disable: At<bool>,
    }
}

/// So many stages and images may be in one file: far more than a person writes, few enough for any stack.
pub(super) const MAX_DEFINITIONS: usize = 10_000;

impl Spec {
    pub(super) fn vars(&self) -> &[(Text, Var)] {
        entries(&self.var)
    }

    pub(super) fn sources(&self) -> &[(Text, Source)] {
        entries(&self.source)
    }

    pub(super) fn source(&self, name: &str) -> Option<&Source> {
        find(self.sources(), name)
    }

    pub(super) fn caches(&self) -> &[(Text, Cache)] {
        entries(&self.cache)
    }

    pub(super) fn stages(&self) -> &[(Text, Stage)] {
        entries(&self.stage)
    }

    pub(super) fn tests(&self) -> &[(Text, Test)] {
        entries(&self.test)
    }

    pub(super) fn files(&self) -> &[(Text, Files)] {
        entries(&self.files)
    }

    pub(super) fn images(&self) -> &[(Text, Image)] {
        entries(&self.image)
    }
}

/// The entries of a table, in the order written; none when there is no table.
pub(super) fn entries<T>(map: &Option<Map<T>>) -> &[(Text, T)] {
    map.as_ref().map_or(&[], |map| &map.0)
}

/// The entry of a name.
pub(super) fn find<'e, T>(entries: &'e [(Text, T)], name: &str) -> Option<&'e T> {
    entries.iter().find(|(key, _)| key.value == name).map(|(_, value)| value)
}
