//! In what part two vertices, or the configs of two images, differ.
//!
//! Every field of every operation is looked at by name, so that one which is added has to be given a part here.

use std::collections::BTreeMap;

use llb::{CopyAction, Exec, ExecMeta, FileAction, FileActionKind, Node, Op};
use serde_json::Value;

/// In what two builds differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The arguments of a process.
    Command,
    /// A variable that processes, or an image, have.
    Variable(String, Variable),
    /// The working directory of a process.
    Directory,
    /// The user of a process.
    User,
    /// What is mounted at a path.
    Mount(String),
    /// The network of a process.
    Network,
    /// The privileges of a process.
    Security,
    /// Secrets that are variables of a process.
    Secrets,
    /// The devices of a process.
    Devices,
    /// A limit or a setting of a process that has no flag: its name.
    Process(&'static str),
    /// The path that is copied.
    From,
    /// The path that is made, written, removed or copied to.
    To,
    /// The owner of files.
    Owner,
    /// The mode of files.
    Mode,
    /// The time of files.
    Time,
    /// What a file has in it.
    Content,
    /// Which files are copied.
    Patterns,
    /// Whether archives are unpacked.
    Unpack,
    /// Whether a step stands by itself.
    Link,
    /// How something is copied or removed: the option by its name.
    Option(&'static str),
    /// Several changes in one step.
    Several,
    /// What is fetched.
    Fetched,
    /// How it is fetched: the attribute.
    Attribute(String),
    /// What a step works on.
    Inputs,
    /// The platform of a step.
    Platform,
    /// What kind of step it is there.
    Kind(&'static str),
    /// A step is not there.
    Missing,
    /// There is a step more: what kind it is.
    More(&'static str),
    /// Platforms of the result: those there.
    Platforms(String),
    /// What containers of the image are told: the key.
    Config(String),
    /// Nothing that has a name.
    Nameless,
}

/// How a variable is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    /// It is not there.
    Absent,
    /// It is there only there.
    Fresh,
    /// It has another value.
    Value,
    /// It comes before or after others.
    Place,
}

/// The first of several parts that is not alike.
fn first<const N: usize>(parts: [(bool, Part); N]) -> Option<Part> {
    parts.into_iter().find(|(is_alike, _)| !is_alike).map(|(_, part)| part)
}

/// What kind of step an operation is.
pub(super) fn kind(op: &Op) -> &'static str {
    match op {
        Op::Source(_) => "something that is fetched",
        Op::Exec(_) => "a process",
        Op::File(actions) => match actions.first().map(|action| &action.kind) {
            Some(FileActionKind::Mkfile { .. }) => "a file that is written",
            Some(FileActionKind::Mkdir { .. }) => "a directory that is made",
            Some(FileActionKind::Rm { .. }) => "a removal",
            Some(FileActionKind::Symlink { .. }) => "a symbolic link",
            Some(FileActionKind::Copy(_)) | None => "a copy",
        },
        Op::Build(_) => "a build in a build",
        Op::Merge(_) => "filesystems that are laid over each other",
        Op::Diff(_) => "the difference of two filesystems",
        Op::Passthrough(_) => "a step that does nothing",
    }
}

/// How much two operations are like each other: not of one kind, of one kind, with the same main thing said.
pub(super) fn likeness(one: &Op, other: &Op) -> u8 {
    let is_same = match (one, other) {
        (Op::Source(one), Op::Source(other)) => one.identifier == other.identifier,
        (Op::Exec(one), Op::Exec(other)) => one.meta.args == other.meta.args,
        (Op::File(one), Op::File(other)) => match (one.first(), other.first()) {
            (Some(one), Some(other)) => match (&one.kind, &other.kind) {
                (FileActionKind::Copy(one), FileActionKind::Copy(other)) => one.src == other.src,
                (one, other) => file(one, other).is_none(),
            },
            _ => false,
        },
        _ => false,
    };
    1 + u8::from(is_same) - u8::from(kind(one) != kind(other))
}

impl Part {
    /// The part in which two vertices differ.
    pub(super) fn between(one: &Node, other: &Node) -> Self {
        let by_op = match (&one.op, &other.op) {
            (Op::Source(one), Op::Source(other)) => source(one, other),
            (Op::Exec(one), Op::Exec(other)) => exec(one, other),
            (Op::File(one), Op::File(other)) => files(one, other),
            (Op::Build(one), Op::Build(other)) => (one != other).then_some(Self::Kind("another build in a build")),
            (Op::Merge(one), Op::Merge(other)) => (one != other).then_some(Self::Inputs),
            (Op::Diff(one), Op::Diff(other)) => (one != other).then_some(Self::Inputs),
            (Op::Passthrough(one), Op::Passthrough(other)) => (one != other).then_some(Self::Inputs),
            (Op::Merge(_), Op::File(_)) | (Op::File(_), Op::Merge(_)) => Some(Self::Link),
            (_, other) => Some(Self::Kind(kind(other))),
        };
        let by_node = || {
            first([
                (one.platform == other.platform, Self::Platform),
                (one.constraints == other.constraints, Self::Process("what the builder must be able to do")),
                // Vertices stand in their graphs with numbers of their own; what is left of a digest are its inputs.
                (one.inputs.is_empty() && other.inputs.is_empty(), Self::Inputs),
            ])
        };
        by_op.or_else(by_node).unwrap_or(Self::Nameless)
    }

    /// The part in which what two images tell their containers differs.
    pub(super) fn told(one: &Value, other: &Value) -> Self {
        let keys = one.as_object().into_iter().chain(other.as_object()).flat_map(serde_json::Map::keys);
        let key = keys.into_iter().find(|key| one[key.as_str()] != other[key.as_str()]);
        let Some(key) = key else { return Self::Nameless };
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let by_variable = (key == "Env").then(|| variables(&texts(&one[key]), &texts(&other[key]))).flatten();
        by_variable.unwrap_or_else(|| Self::Config(key.clone()))
    }
}

fn source(one: &llb::Source, other: &llb::Source) -> Option<Part> {
    if one.identifier != other.identifier {
        return Some(Part::Fetched);
    }
    let keys = one.attrs.keys().chain(other.attrs.keys());
    let key = keys.into_iter().find(|key| one.attrs.get(key) != other.attrs.get(key))?;
    Some(Part::Attribute(key.to_string()))
}

fn exec(one: &Exec, other: &Exec) -> Option<Part> {
    let Exec { meta, mounts, network, security, secret_env, cdi_devices } = one;
    process(meta, &other.meta).or_else(|| mount(mounts, &other.mounts)).or_else(|| {
        first([
            (*network == other.network, Part::Network),
            (*security == other.security, Part::Security),
            (*secret_env == other.secret_env, Part::Secrets),
            (*cdi_devices == other.cdi_devices, Part::Devices),
        ])
    })
}

fn process(one: &ExecMeta, other: &ExecMeta) -> Option<Part> {
    let ExecMeta {
        args,
        env,
        cwd,
        user,
        proxy_env,
        extra_hosts,
        hostname,
        ulimit,
        cgroup_parent,
        remove_mount_stubs_recursive,
        valid_exit_codes,
    } = one;
    let rest = || {
        first([
            (*cwd == other.cwd, Part::Directory),
            (*user == other.user, Part::User),
            (*proxy_env == other.proxy_env, Part::Process("proxies")),
            (*extra_hosts == other.extra_hosts, Part::Process("names of hosts")),
            (*hostname == other.hostname, Part::Process("a host name")),
            (*ulimit == other.ulimit, Part::Process("limits")),
            (*cgroup_parent == other.cgroup_parent, Part::Process("a control group")),
            (
                *remove_mount_stubs_recursive == other.remove_mount_stubs_recursive,
                Part::Process("what becomes of empty directories that were mounted over"),
            ),
            (*valid_exit_codes == other.valid_exit_codes, Part::Process("exit codes")),
        ])
    };
    let by_command = (*args != other.args).then_some(Part::Command);
    by_command.or_else(|| variables(env, &other.env)).or_else(rest)
}

/// The variable by which two lists of them differ.
fn variables(one: &[String], other: &[String]) -> Option<Part> {
    let pairs = |env: &[String]| -> Vec<(String, String)> { super::unfold::settings::pairs(env) };
    let (one, other) = (pairs(one), pairs(other));
    let (by_one, by_other): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (one.iter().cloned().collect(), other.iter().cloned().collect());
    let named = |(name, _): &(String, String), how| Some(Part::Variable(name.clone(), how));
    if let Some(less) = one.iter().find(|(name, _)| !by_other.contains_key(name)) {
        return named(less, Variable::Absent);
    }
    if let Some(more) = other.iter().find(|(name, _)| !by_one.contains_key(name)) {
        return named(more, Variable::Fresh);
    }
    if let Some(changed) = one.iter().find(|(name, value)| by_other.get(name) != Some(value)) {
        return named(changed, Variable::Value);
    }
    let moved = one.iter().zip(&other).find(|(one, other)| one != other);
    // Where programs are is seldom what was moved.
    let moved = moved.map(|(one, other)| if one.0 == "PATH" { other } else { one });
    moved.and_then(|moved| named(moved, Variable::Place))
}

/// The mount by which two lists of them differ.
fn mount(one: &[llb::Mount], other: &[llb::Mount]) -> Option<Part> {
    let is_in = |mount: &&llb::Mount, all: &[llb::Mount]| all.contains(mount);
    let less = one.iter().find(|mount| !is_in(mount, other));
    let apart = less.or_else(|| other.iter().find(|mount| !is_in(mount, one)));
    let moved = || one.iter().zip(other).find(|(one, other)| one != other).map(|(one, _)| one);
    apart.or_else(moved).map(|mount| Part::Mount(mount.dest.clone()))
}

fn files(one: &[FileAction], other: &[FileAction]) -> Option<Part> {
    if one.len() != other.len() {
        return Some(Part::Several);
    }
    let apart = one.iter().zip(other).find_map(|(one, other)| file(&one.kind, &other.kind));
    let stands_alone = |actions: &[FileAction]| actions.iter().any(|action| action.input == -1);
    let linked = || (stands_alone(one) != stands_alone(other)).then_some(Part::Link);
    apart.or_else(linked).or_else(|| (one != other).then_some(Part::Inputs))
}

fn file(one: &FileActionKind, other: &FileActionKind) -> Option<Part> {
    use FileActionKind::{Copy, Mkdir, Mkfile, Rm, Symlink};
    match (one, other) {
        (Copy(one), Copy(other)) => copy(one, other),
        (
            Mkfile { path, mode, data, owner, timestamp },
            Mkfile { path: to, mode: bits, data: content, owner: by, timestamp: time },
        ) => first([
            (path == to, Part::To),
            (mode == bits, Part::Mode),
            (data == content, Part::Content),
            (owner == by, Part::Owner),
            (timestamp == time, Part::Time),
        ]),
        (
            Mkdir { path, mode, make_parents, owner, timestamp },
            Mkdir { path: to, mode: bits, make_parents: parents, owner: by, timestamp: time },
        ) => first([
            (path == to, Part::To),
            (mode == bits, Part::Mode),
            (make_parents == parents, Part::Option("makes the directories above")),
            (owner == by, Part::Owner),
            (timestamp == time, Part::Time),
        ]),
        (
            Rm { path, allow_not_found, allow_wildcard },
            Rm { path: to, allow_not_found: missing, allow_wildcard: pattern },
        ) => first([
            (path == to, Part::To),
            (allow_not_found == missing, Part::Option("lets it be missing")),
            (allow_wildcard == pattern, Part::Option("takes its name for a pattern")),
        ]),
        (
            Symlink { oldpath, newpath, owner, timestamp },
            Symlink { oldpath: from, newpath: to, owner: by, timestamp: time },
        ) => first([
            (oldpath == from, Part::From),
            (newpath == to, Part::To),
            (owner == by, Part::Owner),
            (timestamp == time, Part::Time),
        ]),
        (_, Mkfile { .. }) => Some(Part::Kind("a file that is written")),
        (_, Mkdir { .. }) => Some(Part::Kind("a directory that is made")),
        (_, Rm { .. }) => Some(Part::Kind("a removal")),
        (_, Symlink { .. }) => Some(Part::Kind("a symbolic link")),
        (_, Copy(_)) => Some(Part::Kind("a copy")),
    }
}

fn copy(one: &CopyAction, other: &CopyAction) -> Option<Part> {
    let CopyAction {
        src,
        dest,
        owner,
        mode,
        follow_symlink,
        dir_copy_contents,
        attempt_unpack,
        create_dest_path,
        allow_wildcard,
        allow_empty_wildcard,
        timestamp,
        include_patterns,
        exclude_patterns,
        always_replace_existing_dest_paths,
        mode_str,
        required_paths,
    } = one;
    first([
        (*src == other.src, Part::From),
        (*dest == other.dest, Part::To),
        (*owner == other.owner, Part::Owner),
        (*mode == other.mode && *mode_str == other.mode_str, Part::Mode),
        (*attempt_unpack == other.attempt_unpack, Part::Unpack),
        (*include_patterns == other.include_patterns, Part::Patterns),
        (*exclude_patterns == other.exclude_patterns, Part::Patterns),
        (*timestamp == other.timestamp, Part::Time),
        (*follow_symlink == other.follow_symlink, Part::Option("follows links")),
        (*dir_copy_contents == other.dir_copy_contents, Part::Option("takes what is in a directory, and not itself")),
        (*create_dest_path == other.create_dest_path, Part::Option("makes the directories above")),
        (*allow_wildcard == other.allow_wildcard, Part::Option("takes its name for a pattern")),
        (*allow_empty_wildcard == other.allow_empty_wildcard, Part::Option("lets a pattern match nothing")),
        (
            *always_replace_existing_dest_paths == other.always_replace_existing_dest_paths,
            Part::Option("replaces what is in its way"),
        ),
        (*required_paths == other.required_paths, Part::Option("wants paths to be there")),
    ])
}
