//! The conformance corpus made to run: its images, archives and repositories are one small tree, and every program is a
//! stand-in that writes what it saw wherever somebody looks later.
//!
//! A stand-in notes paths, types, modes, owners and contents of all that it sees, its arguments and its environment, and
//! writes a digest of that to every *place*: the paths that the builds of the corpus copy out of trees. So each result
//! depends on all that each process behind it saw, as with a real compiler at its most sensitive, and needs no toolchain.

mod examples;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::{self, Error, Result};
use crate::{Buildkit, Sandbox};

pub use examples::examples;

/// How much is optimized, as options say it.
pub const LEVELS: [&str; 3] = ["-O0", "-O1", "-O2"];

/// The store of images, as definitions name it.
const STORE: &str = "corpus";
/// The program that stands in for every other.
const PROGRAM: &str = r#"#!/bin/busybox sh
export PATH=/standin
look() {
  echo "$0 $*"; env | grep -v -e ^HOSTNAME= -e ^TRACEPARENT= | sort; pwd
  all() {
    find / \( -path /proc -o -path /sys -o -path /dev -o -path /standin -o -path /etc/hosts -o -path /etc/resolv.conf \
      -o -path /etc/hostname \) -prune -o "$@" -print0 2>/dev/null | sort -z
  }
  all -type d | xargs -0 -r stat -c '%n %a %u %g' 2>/dev/null
  all -type l | xargs -0 -r stat -c '%N %u %g' 2>/dev/null
  all -type f | xargs -0 -r stat -c '%n %a %u %g %h' 2>/dev/null
  all -type f | xargs -0 -r sha256sum 2>/dev/null
}
seen=$(look "$@" | sha256sum)
here=$(stat -c %d /)
while IFS= read -r place; do
  mkdir -p "$place" 2>/dev/null
  [ "$(stat -c %d "$place")" = "$here" ] && echo "$seen" > "$place/made" 2>/dev/null
done < /standin/places
exit 0
"#;

/// A build of the corpus that runs here.
#[derive(Clone)]
pub struct Case {
    /// `group/case`.
    pub name: String,
    /// What BuildKit makes of it, as encoded LLB.
    pub definition: PathBuf,
    /// The config of its image.
    config: Value,
    /// Local directories, each with the paths that are copied from it.
    locals: BTreeSet<(String, String)>,
    /// Paths that are copied from anything else.
    places: BTreeSet<String>,
    /// Programs that are run.
    programs: BTreeSet<String>,
    /// Users and groups that are asked for by name.
    names: BTreeSet<String>,
}

/// Every build of the corpus that has something to do, sorted by name.
///
/// **Errors**: the corpus cannot be read.
pub fn cases() -> Result<Vec<Case>> {
    let root = crate::workspace().join("tests/conformance/dockerfile");
    let mut cases = Vec::new();
    for group in sorted(&root)? {
        for folder in sorted(&group)? {
            let (definition, dump) = (folder.join("expect.pb"), folder.join("dump.jsonl"));
            if dump.is_file() {
                let dump = read(&dump)?;
                let name = folder.strip_prefix(&root).unwrap_or(&folder).display().to_string();
                let expected: Value =
                    serde_json::from_str(&read(&folder.join("expect.json"))?).map_err(Error::when(&name))?;
                cases.push(Case { config: on_one_layer(&expected["image"]), ..Case::new(name, definition, &dump)? });
            }
        }
    }
    Ok(cases)
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| Error(format!("cannot read {}: {error}", directory.display()));
    let entries = std::fs::read_dir(directory).map_err(failed)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).map_err(Error::when(file.display()))
}

impl Case {
    fn new(name: String, definition: PathBuf, dump: &str) -> Result<Self> {
        let mut case = Self {
            name,
            definition,
            config: Value::Null,
            locals: BTreeSet::new(),
            places: BTreeSet::new(),
            programs: BTreeSet::new(),
            names: BTreeSet::new(),
        };
        let vertices = dump.lines().map(serde_json::from_str).collect::<std::result::Result<Vec<Value>, _>>();
        let vertices = vertices.map_err(Error::when(&case.name))?;
        for vertex in &vertices {
            case.note(vertex, &vertices);
        }
        Ok(case)
    }

    fn note(&mut self, vertex: &Value, all: &[Value]) {
        let (op, inputs) = (&vertex["Op"]["Op"], &vertex["Op"]["inputs"]);
        let local = |position: &Value| {
            let digest = &inputs[usize::try_from(position.as_i64().unwrap_or(0)).ok()?]["digest"];
            let input = all.iter().find(|vertex| vertex["Digest"] == *digest)?;
            input["Op"]["Op"]["source"]["identifier"].as_str()?.strip_prefix("local://").map(str::to_owned)
        };
        for action in list(&op["file"]["actions"]) {
            self.note_owner(&action["Action"]);
            let copy = &action["Action"]["copy"];
            let Some(src) = copy["src"].as_str() else { continue };
            let below = list(&copy["include_patterns"]).filter_map(Value::as_str).map(|path| format!("{src}/{path}"));
            let paths: Vec<String> = below.chain([src.to_owned()]).collect();
            match local(&action["secondaryInput"]) {
                Some(name) => self.locals.extend(paths.into_iter().map(|path| (name.clone(), path))),
                None => self.places.extend(paths),
            }
        }
        let exec = &op["exec"];
        self.programs.extend(exec["meta"]["args"][0].as_str().map(str::to_owned));
        self.names
            .extend(exec["meta"]["user"].as_str().into_iter().flat_map(|user| user.split(':')).map(str::to_owned));
        for mount in list(&exec["mounts"]) {
            let selector = mount["selector"].as_str().unwrap_or("/").to_owned();
            match local(&mount["input"]) {
                Some(name) => drop(self.locals.insert((name, selector))),
                None => drop(self.places.insert(selector)),
            }
        }
    }

    fn note_owner(&mut self, action: &Value) {
        for kind in action.as_object().into_iter().flat_map(|action| action.values()) {
            for part in ["user", "group"] {
                let name = kind["owner"][part]["User"]["byName"]["name"].as_str();
                self.names.extend(name.map(str::to_owned));
            }
        }
    }
}

/// The config of an image on the one that stands in for all others, which has one layer. Those that the corpus was recorded
/// with say of each of theirs that it is of a `rootfs`.
fn on_one_layer(config: &Value) -> Value {
    let is_more = |entry: &Value| {
        let made = entry["created_by"].as_str().unwrap_or_default();
        made.starts_with("ADD rootfs-") && !made.starts_with("ADD rootfs-0")
    };
    let mut config = config.clone();
    if let Some(history) = config["history"].as_array_mut() {
        history.retain(|entry| !is_more(entry));
    }
    config
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Where cases run: one tree for all images, and the local directories.
pub struct Bench {
    /// Files and store.
    pub sandbox: Sandbox,
    image: String,
}

impl Bench {
    /// A tree that has what all these cases need.
    pub fn new(cases: &[Case]) -> Self {
        let sandbox = Sandbox::with_base();
        write_tree(&sandbox, cases);
        sandbox.write("base.Dockerfile", "FROM scratch\nCOPY image /\n");
        sandbox.succeed(&mut sandbox.shell(
            "llbc build --progress=quiet -f base.Dockerfile -o type=oci,dest=base.tar . && mkdir layout && tar -xf base.tar -C layout",
        ));
        let index: Value = serde_json::from_str(&sandbox.read("layout/index.json")).expect("an index is JSON");
        let digest = index["manifests"][0]["digest"].as_str().expect("a manifest has a digest").to_owned();
        let bench = Self { sandbox, image: digest };
        cases.iter().flat_map(|case| &case.locals).for_each(|(name, path)| bench.fill(name, path));
        bench
    }

    /// Puts something where a path of a local directory leads.
    fn fill(&self, local: &str, path: &str) {
        let path = plain(path);
        let is_file = path.rsplit('/').next().unwrap_or_default().contains('.');
        let path = format!("{local}{path}");
        let files = if is_file { vec![path] } else { vec![format!("{path}/main"), format!("{path}/src/main")] };
        for file in files {
            let path = self.locals().join(&file);
            let made = path.parent().map(std::fs::create_dir_all);
            if matches!(made, Some(Ok(()))) && !path.exists() {
                let _ = std::fs::write(path, format!("{file}\n"));
            }
        }
    }

    /// The definition of a case as text, with its images and all that is elsewhere replaced.
    pub fn text(&self, case: &Case) -> String {
        let text = self.sandbox.succeed(self.sandbox.llbc().args(["opt", "-O0", "--text"]).arg(&case.definition)).out();
        let mut given = String::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.replace("\"local.session\": \"test-session\", ", "").replace("\"arm64\"", "\"amd64\"");
            let _ = writeln!(given, "{}", self.with_images(line, index));
        }
        // Of the result; a text in JSON is one here, too.
        if !case.config.is_null() {
            let config = Value::from(case.config.to_string());
            let _ = writeln!(given, "  ! description={{\"containerimage.config\": {config}}}");
        }
        given
    }

    /// The definitions of a case, one for each of [`LEVELS`].
    pub fn definitions(&self, case: &Case) -> [PathBuf; 3] {
        let name = case.name.replace('/', "-");
        let given = self.sandbox.write(&format!("{name}.llb"), &self.text(case));
        LEVELS.map(|level| {
            let file = self.sandbox.directory().join(format!("{name}{level}.pb"));
            self.sandbox.succeed(self.sandbox.llbc().args(["opt", level]).arg(&given).arg("-o").arg(&file));
            file
        })
    }

    fn with_images(&self, line: String, index: usize) -> String {
        let Some((place, rest)) = line.split_once(" = source \"") else { return line };
        let Some((scheme, rest)) = rest.split_once("://") else { return line };
        let name = match scheme {
            "local" => return line,
            "docker-image" => rest.split(['@', '"']).next().unwrap_or_default().replace(':', "-"),
            _ => format!("elsewhere/{index}"),
        };
        format!(
            "{place} = source \"oci-layout://{name}@{}\" attrs={{\"oci.store\": \"{STORE}\"}} platform(\"linux\", \"amd64\")",
            self.image
        )
    }

    /// Where the local directories of all cases are.
    pub fn locals(&self) -> PathBuf {
        self.sandbox.directory().join("locals")
    }

    /// Names of images and of the local directories in `locals`, as options of the programs that run definitions.
    pub fn places(&self, locals: &Path) -> Vec<String> {
        let mut flags = vec![format!("--oci-layout={STORE}={}", self.sandbox.directory().join("layout").display())];
        for local in sorted(locals).unwrap_or_default() {
            let name = local.file_name().unwrap_or_default().display().to_string();
            flags.push(format!("--local={name}={}", local.display()));
        }
        flags
    }

    /// Runs a definition.
    ///
    /// **Errors**: programs that cannot be started. What fails is a value.
    pub fn run(&self, definition: &Path, locals: &Path, flags: &[&str]) -> Result<process::Run> {
        process::run(self.executor(definition, locals).args(flags))
    }

    /// The executor with a definition.
    pub fn executor(&self, definition: &Path, locals: &Path) -> Command {
        let mut command = self.sandbox.executor();
        command.arg(definition).args(self.places(locals));
        command.args(["--allow=network.host", "--allow=security.insecure"]);
        command
    }

    /// The same by BuildKit, whose daemon does not allow everything.
    pub fn buildkit(&self, buildkit: &Buildkit, definition: &Path) -> Command {
        let (mut command, client) = (Command::new("sh"), buildkit.client());
        command.args(["-c", "exec \"$@\" < \"$0\""]).arg(definition).arg(client.get_program()).args(client.get_args());
        command.args(["build", "--progress=plain"]).args(self.places(&self.locals()));
        command
    }
}

/// Writes the tree that all images are: programs that stand in, places, users.
fn write_tree(sandbox: &Sandbox, cases: &[Case]) {
    let all = |of: fn(&Case) -> &BTreeSet<String>| -> BTreeSet<&String> { cases.iter().flat_map(of).collect() };
    let link = |target: &str, path: &str| {
        let path = sandbox.directory().join("image").join(path.trim_start_matches('/'));
        let made = path.parent().map(std::fs::create_dir_all);
        made.map(|made| made.and_then(|()| std::os::unix::fs::symlink(target, path)))
    };
    let program = sandbox.write("image/standin/run", PROGRAM);
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).expect("it was just written");
    let busybox = process::find("busybox").expect("the base is made of it");
    sandbox.write("image/bin/busybox", "");
    std::fs::copy(&busybox, sandbox.directory().join("image/bin/busybox")).expect("a program can be copied");
    let applets = process::succeed(Command::new(busybox).arg("--list")).unwrap_or_else(|error| panic!("{error}")).out();
    applets.lines().for_each(|applet| drop(link("/bin/busybox", &format!("standin/{applet}"))));
    for program in all(|case| &case.programs) {
        let path = if program.starts_with('/') { program.clone() } else { format!("bin/{program}") };
        link("/standin/run", &path);
    }
    let names = all(|case| &case.names);
    let (mut passwd, mut group) = ("root:x:0:0:root:/root:/bin/sh\n".to_owned(), "root:x:0:\n".to_owned());
    for (name, id) in names.iter().filter(|name| name.parse::<u32>().is_err() && **name != "root").zip(2000..) {
        let _ = writeln!(passwd, "{name}:x:{id}:{id}::/:");
        let _ = writeln!(group, "{name}:x:{id}:");
    }
    sandbox.write("image/etc/passwd", &passwd);
    sandbox.write("image/etc/group", &group);
    let places: Vec<String> = all(|case| &case.places).into_iter().map(|place| plain(place)).collect();
    let places: Vec<&String> = places.iter().filter(|place| *place != "/").collect();
    for place in &places {
        // What is a program already is no directory.
        let directory = sandbox.directory().join("image").join(place.trim_start_matches('/'));
        let _ = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(directory.join("given"), "given\n"));
    }
    sandbox.write("image/standin/places", &places.iter().map(|place| format!("{place}\n")).collect::<String>());
}

/// A path that a pattern matches.
fn plain(pattern: &str) -> String {
    let path = pattern.replace(['*', '?'], "x");
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    format!("/{}", parts.collect::<Vec<_>>().join("/"))
}
