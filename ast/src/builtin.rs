//! The primitives of functional languages: one table for checking, planning, hovers and documentation.
//!
//! A name may stand for several primitives that differ in what they give: `env` is a step of a filesystem and an option of
//! a process. [`LISTING`] is the table as a module of HLB; diagnostics point into it, and `grammar/builtins.hlb` holds it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::{FileId, Source, Span};

/// The file that spans of primitives point into.
pub const FILE: FileId = FileId(u32::MAX);

/// A parameter or an effect of a primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its type.
    pub ty: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Whether it takes all arguments that are left.
    pub variadic: bool,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which primitive.
    pub builtin: Builtin,
    /// `type name(parameters)`, and what it binds.
    pub signature: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// What it gives.
    pub gives: &'static str,
    /// What it is called by.
    pub name: &'static str,
    /// What it takes.
    pub params: Vec<Field>,
    /// What it can bind.
    pub effects: Vec<Field>,
    /// Its name in [`LISTING`].
    pub span: Span,
}

/// Makes the enumeration and the table from the same rows.
macro_rules! builtins {
    ($($variant:ident: $signature:literal, $doc:literal;)+) => {
        /// A primitive.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Builtin {
            $(#[doc = $doc] $variant,)+
        }

        const TEXTS: &[(Builtin, &str, &str)] = &[$((Builtin::$variant, $signature, $doc),)+];
    };
}

builtins! {
    Scratch: "fs scratch()",
        "An empty filesystem.";
    Image: "fs image(string ref)",
        "The root filesystem and config of an image.";
    ImageResolve: "option::image resolve()",
        "Accepted and without effect: images are always resolved.";
    ImagePlatform: "option::image platform(string os, string arch)",
        "The platform of the image, instead of the target's.";
    Http: "fs http(string url)",
        "A file fetched from an address.";
    HttpChecksum: "option::http checksum(string digest)",
        "The digest the file must have.";
    HttpChmod: "option::http chmod(int mode)",
        "The permission bits of the file.";
    HttpFilename: "option::http filename(string name)",
        "The name of the file.";
    Git: "fs git(string remote, string ref)",
        "A branch, tag or commit of a repository, checked out.";
    GitKeepGitDir: "option::git keepGitDir()",
        "Keeps the `.git` directory.";
    Local: "fs local(string path)",
        "A directory or file of the client, relative to the module.";
    LocalInclude: "option::local includePatterns(variadic string pattern)",
        "Only what matches is sent.";
    LocalExclude: "option::local excludePatterns(variadic string pattern)",
        "What matches is not sent.";
    Frontend: "fs frontend(string source)",
        "What a frontend image makes of options and inputs.";
    FrontendInput: "option::frontend input(string key, fs value)",
        "A filesystem for the frontend.";
    FrontendOpt: "option::frontend opt(string key, string value)",
        "An option of the frontend.";
    Shell: "fs shell(variadic string arg)",
        "Declared by the language and without an implementation.";
    Run: "fs run(variadic string arg)",
        "Runs a process: one argument is a command line for the shell, several are its arguments.";
    RunReadonlyRootfs: "option::run readonlyRootfs()",
        "Mounts the root read-only; only mounts are results then.";
    RunEnv: "option::run env(string key, string value)",
        "A variable of this process.";
    RunDir: "option::run dir(string path)",
        "The working directory of this process.";
    RunUser: "option::run user(string name)",
        "The user of this process.";
    RunIgnoreCache: "option::run ignoreCache()",
        "Runs the process even if its result is in the cache.";
    RunNetwork: "option::run network(string mode)",
        "The network: `unset`, `host` or `none`.";
    RunSecurity: "option::run security(string mode)",
        "The privileges: `sandbox` or `insecure`.";
    RunShlex: "option::run shlex()",
        "Splits the one argument into words, as a shell does.";
    RunHost: "option::run host(string hostname, string address)",
        "A line of `/etc/hosts`.";
    RunSsh: "option::run ssh()",
        "The socket of an SSH agent.";
    SshTarget: "option::ssh target(string path)",
        "Where the socket is mounted.";
    SshLocalPaths: "option::ssh localPaths(variadic string path)",
        "Keys or agents of the client; without any, its own agent.";
    SshUid: "option::ssh uid(int id)",
        "The owner of the socket.";
    SshGid: "option::ssh gid(int id)",
        "The group of the socket.";
    SshMode: "option::ssh mode(int filemode)",
        "The permission bits of the socket.";
    RunForward: "option::run forward(string src, string dest)",
        "A socket of the client: `unix://PATH` or `tcp://HOST:PORT`.";
    ForwardUid: "option::forward uid(int id)",
        "The owner of the socket.";
    ForwardGid: "option::forward gid(int id)",
        "The group of the socket.";
    ForwardMode: "option::forward mode(int filemode)",
        "The permission bits of the socket.";
    RunSecret: "option::run secret(string localPath, string mountPoint)",
        "A file of the client, or the files of a directory, that is in no layer.";
    SecretUid: "option::secret uid(int id)",
        "The owner of the file.";
    SecretGid: "option::secret gid(int id)",
        "The group of the file.";
    SecretMode: "option::secret mode(int filemode)",
        "The permission bits of the file.";
    SecretInclude: "option::secret includePatterns(variadic string pattern)",
        "Which files of a directory are mounted.";
    SecretExclude: "option::secret excludePatterns(variadic string pattern)",
        "Which files of a directory are not mounted.";
    RunMount: "option::run mount(fs input, string mountPoint) binds (fs target)",
        "A further filesystem; `target` is it afterwards.";
    MountReadonly: "option::mount readonly()",
        "Mounts it read-only.";
    MountTmpfs: "option::mount tmpfs()",
        "Mounts memory instead.";
    MountSourcePath: "option::mount sourcePath(string path)",
        "Mounts only this path of it.";
    MountCache: "option::mount cache(string cacheid, string sharingmode)",
        "Mounts a directory that is kept from build to build: `shared`, `private` or `locked`.";
    Env: "fs env(string key, string value)",
        "A variable of processes and of the image.";
    Dir: "fs dir(string path)",
        "The working directory of processes and of the image.";
    User: "fs user(string name)",
        "The user of processes and of the image.";
    Mkdir: "fs mkdir(string path, int filemode)",
        "Makes a directory.";
    MkdirCreateParents: "option::mkdir createParents()",
        "Makes the directories above it, too.";
    MkdirChown: "option::mkdir chown(string owner)",
        "The owner: `user[:group]`.";
    MkdirCreatedTime: "option::mkdir createdTime(string created)",
        "The time, as RFC 3339 writes it.";
    Mkfile: "fs mkfile(string path, int filemode, string content)",
        "Writes a file.";
    MkfileChown: "option::mkfile chown(string owner)",
        "The owner: `user[:group]`.";
    MkfileCreatedTime: "option::mkfile createdTime(string created)",
        "The time, as RFC 3339 writes it.";
    Rm: "fs rm(string path)",
        "Removes a file or directory.";
    RmAllowNotFound: "option::rm allowNotFound()",
        "It may be missing.";
    RmAllowWildcard: "option::rm allowWildcard()",
        "The path is a pattern.";
    Copy: "fs copy(fs input, string src, string dst)",
        "Copies from another filesystem.";
    CopyFollowSymlinks: "option::copy followSymlinks()",
        "Copies what a link points to.";
    CopyContentsOnly: "option::copy contentsOnly()",
        "Copies what is in a directory, not the directory.";
    CopyUnpack: "option::copy unpack()",
        "Unpacks archives.";
    CopyCreateDestPath: "option::copy createDestPath()",
        "Makes the directories above the destination.";
    CopyAllowWildcard: "option::copy allowWildcard()",
        "The source is a pattern.";
    CopyAllowEmptyWildcard: "option::copy allowEmptyWildcard()",
        "The pattern may match nothing.";
    CopyChown: "option::copy chown(string owner)",
        "The owner: `user[:group]`.";
    CopyChmod: "option::copy chmod(int filemode)",
        "The permission bits.";
    CopyCreatedTime: "option::copy createdTime(string created)",
        "The time, as RFC 3339 writes it.";
    CopyInclude: "option::copy includePatterns(variadic string pattern)",
        "Only what matches is copied.";
    CopyExclude: "option::copy excludePatterns(variadic string pattern)",
        "What matches is not copied.";
    Merge: "fs merge(variadic fs input)",
        "Lays filesystems on the one so far.";
    Diff: "fs diff(fs base)",
        "What the filesystem so far has that the base has not.";
    DockerPush: "fs dockerPush(string ref) binds (string digest)",
        "Pushes an image to its registry; `digest` is what it is there.";
    DockerPushStargz: "option::dockerPush stargz()",
        "Pushes layers that can be read before they are complete.";
    DockerLoad: "fs dockerLoad(string ref)",
        "Hands an image to the Docker engine of the client.";
    Download: "fs download(string localPath)",
        "Writes the files to a directory of the client.";
    DownloadTarball: "fs downloadTarball(string localPath)",
        "Writes the files to a tar archive of the client.";
    DownloadOciTarball: "fs downloadOCITarball(string localPath)",
        "Writes an OCI image to a tar archive of the client.";
    DownloadDockerTarball: "fs downloadDockerTarball(string localPath, string ref)",
        "Writes a Docker image to a tar archive of the client.";
    Entrypoint: "fs entrypoint(variadic string arg)",
        "The process of the image.";
    Cmd: "fs cmd(variadic string arg)",
        "The default arguments of the image.";
    Label: "fs label(string key, string value)",
        "A label of the image.";
    Expose: "fs expose(variadic string port)",
        "Ports of the image: `80`, `53/udp`.";
    Volumes: "fs volumes(variadic string mountpoint)",
        "Mount points of the image.";
    StopSignal: "fs stopSignal(string signal)",
        "The signal that stops a container of the image.";
    Format: "string format(string text, variadic string value)",
        "Puts values in the place of verbs such as `%s` and `%q`.";
    Template: "string template(string text)",
        "Fills a template of Go's `text/template`.";
    TemplateStringField: "option::template stringField(string name, string value)",
        "A field of the template.";
    LocalArch: "string localArch()",
        "The architecture of the client.";
    LocalCwd: "string localCwd()",
        "The working directory of the client.";
    LocalEnv: "string localEnv(string key)",
        "A variable of the client's environment; empty if it is not set.";
    LocalOs: "string localOs()",
        "The operating system of the client.";
    LocalRun: "string localRun(string command, variadic string arg)",
        "What a process on the client prints; needs permission.";
    LocalRunIgnoreError: "option::localRun ignoreError()",
        "The process may fail.";
    LocalRunOnlyStderr: "option::localRun onlyStderr()",
        "Takes what it prints to standard error instead.";
    LocalRunIncludeStderr: "option::localRun includeStderr()",
        "Takes what it prints to standard error, too.";
    LocalRunShlex: "option::localRun shlex()",
        "Splits the one argument into words, as a shell does.";
    Manifest: "string manifest(string ref) binds (string digest, string config, string index)",
        "The manifest of an image, as JSON; `config` and `index` are likewise.";
    ManifestPlatform: "option::manifest platform(string os, string arch)",
        "The platform of the image, instead of the target's.";
    Stage: "pipeline stage(variadic pipeline pipeline)",
        "Solves its arguments at once, after the stages before it.";
    // What HLB has not. A program may have functions of these names, which hide them.
    Dockerfile: "fs dockerfile(fs context)",
        "What the Dockerfile in a directory of the client makes, with that directory as its build context.";
    DockerfileFile: "option::dockerfile file(string path)",
        "The path of the Dockerfile in the context; `Dockerfile`, if nothing is said.";
    DockerfileTarget: "option::dockerfile target(string stage)",
        "The stage that is wanted; the last, if nothing is said.";
    DockerfileArg: "option::dockerfile arg(string key, string value)",
        "A build argument.";
    DockerfileInput: "option::dockerfile input(string name, fs value)",
        "A filesystem in place of the stage, context or image of that name.";
    CopyLink: "option::copy link()",
        "Copies into a layer of its own that is laid over the filesystem: it is copied once, whatever is below.";
    GitKnownHosts: "option::git knownHosts(string lines)",
        "Keys of hosts, as `known_hosts` has them: over SSH no other host is talked to.";
    RunSecretEnv: "option::run secretEnv(string localEnv, string name)",
        "A variable of the client's environment as a variable of this process, that is in no layer.";
}

impl Builtin {
    /// Whether HLB has it not.
    pub fn is_beyond(self) -> bool {
        self >= Self::Dockerfile
    }
}

/// The table as a module of HLB, to be shown.
pub static LISTING: LazyLock<Source> = LazyLock::new(|| {
    let mut text = String::from("# The builtin functions of HLB. Generated from the table in ast/src/builtin.rs.\n");
    for (_, signature, doc) in TEXTS {
        text.extend(["\n# ", doc, "\n", signature, "\n"]);
    }
    Source::new("<builtin>", text.into_bytes())
});

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let lines = (3..).step_by(3).map(|line| LISTING.lines.start_of(line + 1).expect("three lines a row"));
    TEXTS.iter().zip(lines).map(|(text, line)| row(*text, line)).collect()
});

static BY_NAME: LazyLock<BTreeMap<&'static str, Vec<&'static Row>>> = LazyLock::new(|| {
    let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in ROWS.iter() {
        names.entry(row.name).or_default().push(row);
    }
    names
});

/// Every row, in the order of the table.
pub fn rows() -> &'static [Row] {
    &ROWS
}

/// Every name, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    BY_NAME.keys().copied()
}

/// The primitives of a name; empty if there is none.
pub fn named(name: &str) -> &'static [&'static Row] {
    BY_NAME.get(name).map_or(&[], Vec::as_slice)
}

/// The primitive of a name that gives a type.
pub fn giving(name: &str, ty: &str) -> Option<&'static Row> {
    named(name).iter().copied().find(|row| row.gives == ty)
}

fn row((builtin, signature, doc): (Builtin, &'static str, &'static str), line: u32) -> Row {
    let (head, rest) = signature.split_once('(').expect("a signature has parameters");
    let (gives, name) = head.split_once(' ').expect("a signature has a type and a name");
    let (params, rest) = rest.split_once(')').expect("parameters end");
    let effects = rest.strip_prefix(" binds (").and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
    let start = line + gives.len() as u32 + 1;
    let span = Span::new(FILE, start, start + name.len() as u32);
    Row { builtin, signature, doc, gives, name, params: fields(params), effects: fields(effects), span }
}

fn fields(text: &'static str) -> Vec<Field> {
    let field = |text: &'static str| {
        let rest = text.strip_prefix("variadic ");
        let (ty, name) = rest.unwrap_or(text).split_once(' ').expect("a field has a type and a name");
        Field { ty, name, variadic: rest.is_some() }
    };
    text.split(", ").filter(|text| !text.is_empty()).map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_what_their_text_says() {
        let mount = giving("mount", "option::run").unwrap();
        assert_eq!(mount.params[0], Field { ty: "fs", name: "input", variadic: false });
        assert_eq!(mount.effects, [Field { ty: "fs", name: "target", variadic: false }]);
        assert!(giving("run", "fs").unwrap().params[0].variadic);
        assert_eq!(named("env").len(), 2);
        assert!(named("nothing").is_empty());
    }

    #[test]
    fn spans_are_those_of_names_in_the_listing() {
        for row in rows() {
            assert_eq!(&LISTING.bytes[row.span.start as usize..row.span.end as usize], row.name.as_bytes());
        }
    }

    #[test]
    fn a_name_gives_a_type_once() {
        for row in rows() {
            assert_eq!(giving(row.name, row.gives).unwrap().builtin, row.builtin);
        }
    }
}
