//! The key of a vertex: what it does as a digest, and for each input which part of it matters.
//!
//! Two vertices with equal keys on equal inputs give equal results. The scheme is BuildKit v0.32's, so that caches of
//! either side serve the other: `M` and `S` of the formulas below are what BuildKit calls `CacheMap.Digest` and
//! `CacheMap.Deps[i].Selector`; `H` is SHA-256.

use std::collections::BTreeSet;

use llb::{CacheSharing, ContentCache, FileAction, FileActionKind, MountKind, Node, Op, UserOpt};
use oci::text::clean_path;
use oci::{Digest, Platform, base64};

use super::json;
use crate::{Error, Result};

/// The key of a vertex.
#[derive(Clone, Debug, PartialEq)]
pub struct VertexKey {
    /// What it does: `M`.
    pub digest: Digest,
    /// One for each input.
    pub inputs: Vec<InputKey>,
}

/// How one input enters the key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InputKey {
    /// Which part of the input is used: `S`; `None` is "unspecified".
    pub selector: Option<Digest>,
    /// What of its content can stand for it; `None`: only the whole input can.
    pub content: Option<Vec<Selector>>,
}

/// A part of a tree. An empty list of them is the whole tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Path in the tree, or pattern.
    pub path: String,
    /// Whether it is a pattern.
    pub wildcard: bool,
    /// Whether a link at its end is followed.
    pub follow_links: bool,
    /// Patterns below the path to take.
    pub include: Vec<String>,
    /// Patterns below the path to leave out.
    pub exclude: Vec<String>,
    /// Paths that must exist.
    pub required: Vec<String>,
}

impl Selector {
    fn has_patterns(&self) -> bool {
        self.wildcard || !self.include.is_empty() || !self.exclude.is_empty()
    }
}

/// The key of any vertex but a source. `host` stands in for a platform the vertex does not name.
pub fn of_vertex(node: &Node, host: &Platform) -> Result<VertexKey> {
    let inputs = node.inputs.len();
    let plain = |digest| Ok(VertexKey { digest, inputs: vec![InputKey::default(); inputs] });
    match &node.op {
        Op::Source(source) => unreachable!("source {} is keyed by what it is pinned to", source.identifier),
        Op::Exec(exec) => of_exec(exec, node.platform.as_deref().unwrap_or(host), inputs),
        Op::File(actions) => of_file(actions, inputs),
        Op::Merge(merged) => plain(of_merge(merged)),
        Op::Diff(diff) => plain(of_diff(*diff)),
        Op::Build(build) => plain(of_build(build)?),
        Op::Passthrough(passthrough) => plain(of_passthrough(passthrough)),
    }
}

/// `M` of a source that is pinned to a stable key.
pub fn of_source(key: &str) -> Digest {
    Digest::sha256(format!("buildkit.source.v0:{key}").as_bytes())
}

fn hash(key: &impl serde::Serialize) -> Digest {
    Digest::sha256(&oci::json::to_vec(key))
}

fn of_exec(exec: &llb::Exec, platform: &Platform, inputs: usize) -> Result<VertexKey> {
    let key = json::ExecKey {
        kind: "buildkit.exec.v0",
        exec: exec_json(exec),
        os: &platform.os,
        architecture: &platform.architecture,
        variant: &platform.variant,
        os_version: &platform.os_version,
        os_features: &platform.os_features,
    };
    Ok(VertexKey { digest: hash(&key), inputs: exec_inputs(exec, inputs)? })
}

/// Addresses of hosts, proxies and limits never change a result that is worth keeping, so they are left out.
fn exec_json(exec: &llb::Exec) -> json::Exec<'_> {
    let meta = &exec.meta;
    json::Exec {
        meta: json::Meta {
            args: &meta.args,
            env: &meta.env,
            cwd: &meta.cwd,
            user: &meta.user,
            extra_hosts: meta.extra_hosts.iter().map(|host| json::ExtraHost { host: &host.host }).collect(),
            hostname: &meta.hostname,
            ulimit: meta
                .ulimit
                .iter()
                .map(|limit| json::Ulimit { name: &limit.name, soft: limit.soft, hard: limit.hard })
                .collect(),
            cgroup_parent: &meta.cgroup_parent,
            remove_mount_stubs_recursive: meta.remove_mount_stubs_recursive,
            valid_exit_codes: &meta.valid_exit_codes,
        },
        mounts: if has_only_root(&exec.mounts) { Vec::new() } else { exec.mounts.iter().map(mount_json).collect() },
        network: exec.network as i32,
        security: exec.security as i32,
        secretenv: exec
            .secret_env
            .iter()
            .map(|env| json::SecretEnv { id: &env.id, name: &env.name, optional: env.optional })
            .collect(),
        cdi_devices: exec
            .cdi_devices
            .iter()
            .map(|device| json::CdiDevice { name: &device.name, optional: device.optional })
            .collect(),
    }
}

/// parity: an exec with nothing but a plain root is keyed without mounts. The selector does not count.
fn has_only_root(mounts: &[llb::Mount]) -> bool {
    let [mount] = mounts else { return false };
    mount.dest == "/" && !mount.readonly && mount.kind == MountKind::Bind && mount.result_id.is_empty()
}

fn mount_json(mount: &llb::Mount) -> json::Mount<'_> {
    let mut key = json::Mount {
        input: mount.input,
        dest: &mount.dest,
        output: mount.output,
        readonly: mount.readonly,
        result_id: &mount.result_id,
        content_cache: mount.content_cache as i32,
        ..json::Mount::default()
    };
    match &mount.kind {
        MountKind::Bind => {}
        MountKind::Secret(from) => (key.kind, key.secret) = (1, Some(secret_json(from))),
        MountKind::Ssh(from) => (key.kind, key.ssh) = (2, Some(secret_json(from))),
        MountKind::Cache { id, sharing } => (key.kind, key.cache) = (3, Some(cache_json(id, *sharing, &mount.dest))),
        MountKind::Tmpfs { size } => (key.kind, key.tmpfs) = (4, size.map(|size| json::Tmpfs { size })),
    }
    key
}

fn secret_json(from: &llb::SecretMount) -> json::Secret<'_> {
    json::Secret { id: &from.id, uid: from.uid, gid: from.gid, mode: from.mode, optional: from.optional }
}

/// parity: only the id that a Dockerfile gives by default (with or without a namespace) stays.
fn cache_json<'a>(id: &'a str, sharing: CacheSharing, dest: &str) -> json::Cache<'a> {
    let after_namespace = id.split_once('/').map(|(_, rest)| rest);
    let is_default = sharing == CacheSharing::Shared && (id == dest || after_namespace == Some(dest));
    json::Cache { id: if is_default { id } else { "" }, sharing: 0 }
}

fn exec_inputs(exec: &llb::Exec, inputs: usize) -> Result<Vec<InputKey>> {
    let mut paths: Vec<Vec<String>> = vec![Vec::new(); inputs];
    let (mut by_content, mut passed_on) = (vec![false; inputs], vec![false; inputs]);
    for mount in exec.mounts.iter().filter(|mount| mount.input >= 0) {
        if !matches!(mount.kind, MountKind::Bind | MountKind::Cache { .. }) {
            continue;
        }
        let input = position(mount.input, inputs)?;
        let path = clean_path(&format!("/{}", mount.selector));
        // Parity: of several mounts the last one says it. But what one of them passes on, none takes back.
        by_content[input] = is_by_content(mount, &path)?;
        passed_on[input] |= passes_on_more(mount, &path);
        paths[input].push(path);
    }
    let key = |(paths, by_content): (Vec<String>, bool)| InputKey {
        selector: (!paths.is_empty()).then(|| Digest::sha256(paths.join("\0").as_bytes())),
        content: by_content.then(|| exec_selectors(&paths)),
    };
    let by_content = by_content.into_iter().zip(passed_on).map(|(by_content, passed_on)| by_content && !passed_on);
    Ok(paths.into_iter().zip(by_content).map(key).collect())
}

/// Whether an output may have what is not selected.
fn passes_on_more(mount: &llb::Mount, path: &str) -> bool {
    mount.output != -1 && !mount.readonly && path != "/"
}

/// Whether the selected content can stand for the input: not when the process could pass on what was not selected.
fn is_by_content(mount: &llb::Mount, path: &str) -> Result<bool> {
    let is_safe = !passes_on_more(mount, path);
    match mount.content_cache {
        ContentCache::Off => Ok(false),
        ContentCache::On if !is_safe => Err(Error::Definition(format!("invalid mount cache content {}", mount.dest))),
        ContentCache::On => Ok(true),
        // The content of a root is costly to hash, and seldom comes back.
        ContentCache::Default => Ok(is_safe && mount.dest != "/"),
    }
}

fn exec_selectors(paths: &[String]) -> Vec<Selector> {
    let paths = without_nested(paths.iter().map(String::as_str));
    if paths.contains(&"/") {
        return Vec::new();
    }
    paths.into_iter().map(|path| Selector { path: path.into(), follow_links: true, ..Selector::default() }).collect()
}

/// Each path once, without those below another; sorted.
fn without_nested<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let all: BTreeSet<&str> = paths.collect();
    let is_below = |path: &str, parent: &str| {
        let rest = path.strip_prefix(parent);
        path != parent && rest.is_some_and(|rest| parent.ends_with('/') || rest.starts_with('/'))
    };
    all.iter().copied().filter(|path| !all.iter().any(|parent| is_below(path, parent))).collect()
}

fn of_file(actions: &[FileAction], inputs: usize) -> Result<VertexKey> {
    let texts = actions.iter().map(|action| base64::encode(&oci::json::to_vec(&action_json(action, inputs))));
    let indexes: Vec<_> = actions.iter().map(|a| [a.input, a.secondary_input, a.output]).collect();
    let key = json::FileKey {
        kind: "buildkit.file.v0",
        actions: texts.collect(),
        indexes: if are_usual(&indexes) { Vec::new() } else { indexes },
    };
    Ok(VertexKey { digest: hash(&key), inputs: file_inputs(actions, inputs)? })
}

/// parity: a plain chain on the first input, copying from the second, is keyed without indexes.
fn are_usual(indexes: &[[i64; 3]]) -> bool {
    let count = as_index(indexes.len());
    let usual = |(at, [input, secondary, output]): (usize, &[i64; 3])| {
        let at = as_index(at);
        *input == if at == 0 { 0 } else { count + at - 1 }
            && matches!(secondary, -1 | 1)
            && *output == if at == count - 1 { 0 } else { -1 }
    };
    !indexes.is_empty() && indexes.iter().enumerate().all(usual)
}

fn as_index(position: usize) -> i64 {
    i64::try_from(position).expect("lists are shorter than 2^63")
}

fn action_json(action: &FileAction, inputs: usize) -> json::Action<'_> {
    match &action.kind {
        FileActionKind::Copy(copy) => json::Action::Copy(Box::new(json::Copy {
            src: if copies_from_input(action, inputs) { base_name(&copy.src) } else { &copy.src },
            dest: &copy.dest,
            owner: owner_json(copy.owner.as_ref()),
            mode: copy.mode,
            follow_symlink: copy.follow_symlink,
            dir_copy_contents: copy.dir_copy_contents,
            attempt_unpack: copy.attempt_unpack,
            create_dest_path: copy.create_dest_path,
            allow_wildcard: copy.allow_wildcard,
            allow_empty_wildcard: copy.allow_empty_wildcard,
            timestamp: copy.timestamp,
            include_patterns: &copy.include_patterns,
            exclude_patterns: &copy.exclude_patterns,
            always_replace_existing_dest_paths: copy.always_replace_existing_dest_paths,
            mode_str: &copy.mode_str,
            required_paths: &copy.required_paths,
        })),
        FileActionKind::Mkfile { path, mode, data, owner, timestamp } => json::Action::Mkfile(json::Mkfile {
            path,
            mode: *mode,
            data: base64::encode(data),
            owner: owner_json(owner.as_ref()),
            timestamp: *timestamp,
        }),
        FileActionKind::Mkdir { path, mode, make_parents, owner, timestamp } => json::Action::Mkdir(json::Mkdir {
            path,
            mode: *mode,
            make_parents: *make_parents,
            owner: owner_json(owner.as_ref()),
            timestamp: *timestamp,
        }),
        FileActionKind::Rm { path, allow_not_found, allow_wildcard } => {
            json::Action::Rm(json::Rm { path, allow_not_found: *allow_not_found, allow_wildcard: *allow_wildcard })
        }
        FileActionKind::Symlink { oldpath, newpath, owner, timestamp } => json::Action::Symlink(json::Symlink {
            oldpath,
            newpath,
            owner: owner_json(owner.as_ref()),
            timestamp: *timestamp,
        }),
    }
}

fn owner_json(owner: Option<&llb::Owner>) -> Option<json::Owner<'_>> {
    let owner = owner?;
    Some(json::Owner { user: owner.user.as_ref().map(user_json), group: owner.group.as_ref().map(user_json) })
}

fn user_json(user: &UserOpt) -> json::UserOpt<'_> {
    let user = match user {
        UserOpt::Name { name, input } => {
            json::User { by_name: Some(json::ByName { name, input: *input }), ..json::User::default() }
        }
        UserOpt::Id(id) => json::User { by_id: *id, ..json::User::default() },
    };
    json::UserOpt { user }
}

fn copies_from_input(action: &FileAction, inputs: usize) -> bool {
    usize::try_from(action.secondary_input).is_ok_and(|input| input < inputs)
}

/// The last component, as Go's `path.Base` gives it.
fn base_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match (trimmed.rsplit('/').next(), path) {
        (_, "") => ".",
        (Some(name), _) if !name.is_empty() => name,
        _ => "/",
    }
}

/// What is only copied from can be stood for by what is copied; what is changed cannot.
fn file_inputs(actions: &[FileAction], inputs: usize) -> Result<Vec<InputKey>> {
    let mut selectors: Vec<Vec<Selector>> = vec![Vec::new(); inputs];
    let mut changed = BTreeSet::new();
    let mut of_links = Vec::new();
    for action in actions {
        changed.insert(action.input);
        for (user, file) in named_owners(&action.kind) {
            if user == -1 {
                return Err(Error::Invalid(format!(
                    "an owner is given by name, and an empty tree has no {file} to look it up in: use its number"
                )));
            }
            let selector = Selector { path: file.into(), follow_links: true, ..Selector::default() };
            let input = position(user, inputs)?;
            match action.kind {
                FileActionKind::Symlink { .. } => of_links.push((input, selector)),
                _ => selectors[input].push(selector),
            }
        }
        if let FileActionKind::Copy(copy) = &action.kind
            && copies_from_input(action, inputs)
        {
            selectors[position(action.secondary_input, inputs)?].push(copy_selector(copy));
        }
    }
    // BuildKit forgets these, which matters only where other parts of the same input stand for it.
    for (input, selector) in of_links {
        if !selectors[input].is_empty() && !selectors[input].contains(&selector) {
            selectors[input].push(selector);
        }
    }
    let key = |(input, selectors): (usize, Vec<Selector>)| match selectors.is_empty() {
        false if !changed.contains(&as_index(input)) => {
            InputKey { selector: Some(hash_paths(&selectors)), content: Some(distinct(selectors)) }
        }
        _ => InputKey::default(),
    };
    Ok(selectors.into_iter().enumerate().map(key).collect())
}

/// Inputs that owners are looked up in by name, and the files that say who they are.
fn named_owners(action: &FileActionKind) -> Vec<(i64, &'static str)> {
    let owner = match action {
        FileActionKind::Copy(copy) => copy.owner.as_ref(),
        FileActionKind::Mkfile { owner, .. }
        | FileActionKind::Mkdir { owner, .. }
        | FileActionKind::Symlink { owner, .. } => owner.as_ref(),
        FileActionKind::Rm { .. } => None,
    };
    let named = |user: &Option<UserOpt>, file| match user {
        Some(UserOpt::Name { input, .. }) => Some((*input, file)),
        _ => None,
    };
    let Some(owner) = owner else { return Vec::new() };
    [named(&owner.user, "/etc/passwd"), named(&owner.group, "/etc/group")].into_iter().flatten().collect()
}

fn copy_selector(copy: &llb::CopyAction) -> Selector {
    Selector {
        path: copy.src.clone(),
        wildcard: copy.allow_wildcard && has_wildcards(&copy.src),
        follow_links: copy.follow_symlink,
        include: copy.include_patterns.clone(),
        exclude: copy.exclude_patterns.clone(),
        required: copy.required_paths.clone(),
    }
}

fn has_wildcards(path: &str) -> bool {
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// parity: paths in descending order.
fn hash_paths(selectors: &[Selector]) -> Digest {
    let mut paths: Vec<_> = selectors.iter().map(|selector| selector.path.as_str()).collect();
    paths.sort_unstable_by(|a, b| b.cmp(a));
    Digest::sha256(paths.join("\0").as_bytes())
}

/// Plain paths below others are left out, links followed or not apart; all by path.
/// parity: what a plain path requires is forgotten, as in BuildKit; requirements come with patterns.
fn distinct(selectors: Vec<Selector>) -> Vec<Selector> {
    let plain = |follow_links: bool| {
        let chosen = selectors.iter().filter(move |s| !s.has_patterns() && s.follow_links == follow_links);
        let paths = without_nested(chosen.map(|selector| selector.path.as_str()));
        paths.into_iter().map(move |path| Selector { path: path.into(), follow_links, ..Selector::default() })
    };
    let patterned = selectors.iter().filter(|selector| selector.has_patterns()).cloned();
    let mut all: Vec<_> = plain(false).chain(plain(true)).chain(patterned).collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

fn of_merge(merged: &[i64]) -> Digest {
    let inputs = merged.iter().map(|input| json::Position { input: *input }).collect();
    hash(&json::MergeKey { kind: "buildkit.merge.v0", merge: json::Merge { inputs } })
}

fn of_diff(diff: llb::Diff) -> Digest {
    let position = |input: Option<i64>| input.map(|input| json::Position { input });
    let diff = json::Diff { lower: position(diff.lower), upper: position(diff.upper) };
    hash(&json::DiffKey { kind: "buildkit.diff.v0", diff })
}

fn of_build(build: &llb::Build) -> Result<Digest> {
    if build.def.is_some() {
        return Err(Error::Unsupported {
            what: "a definition inside a build operation".into(),
            why: "put it in a file of an input, as client libraries do".into(),
        });
    }
    let inputs = build.inputs.iter().map(|(name, input)| (name.as_str(), json::Position { input: *input })).collect();
    let build = json::Build { builder: build.builder, inputs, attrs: &build.attrs };
    Ok(hash(&json::BuildKey { kind: "buildkit.build.v0", build }))
}

fn of_passthrough(passthrough: &llb::Passthrough) -> Digest {
    let passthrough = json::Passthrough { id: &passthrough.id, outputs: &passthrough.outputs };
    hash(&json::PassthroughKey { kind: "buildkit.passthrough.v0", passthrough })
}

fn position(input: i64, inputs: usize) -> Result<usize> {
    let found = usize::try_from(input).ok().filter(|input| *input < inputs);
    found.ok_or_else(|| Error::Definition(format!("input {input} of an operation with {inputs} inputs")))
}

#[cfg(test)]
mod tests;
