//! Operations as Go's `encoding/json` prints BuildKit v0.32's protobuf types: the bytes that cache keys are digests of.
//!
//! Field order and names are those of BuildKit's generated structs, everything that is zero is left out, enums are
//! numbers, bytes are base64. Behaviour mirrors `solver/llbsolver/ops/*.go` (`CacheMap`) and `solver/pb/json.go`.

use std::collections::BTreeMap;

use serde::Serialize;

fn zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Serialize)]
pub(super) struct ExecKey<'a> {
    #[serde(rename = "Type")]
    pub kind: &'static str,
    #[serde(rename = "Exec")]
    pub exec: Exec<'a>,
    #[serde(rename = "OS")]
    pub os: &'a str,
    #[serde(rename = "Arch")]
    pub architecture: &'a str,
    #[serde(rename = "Variant", skip_serializing_if = "zero")]
    pub variant: &'a str,
    #[serde(rename = "OSVersion", skip_serializing_if = "zero")]
    pub os_version: &'a str,
    #[serde(rename = "OSFeatures", skip_serializing_if = "<[_]>::is_empty")]
    pub os_features: &'a [String],
}

#[derive(Serialize)]
pub(super) struct Exec<'a> {
    pub meta: Meta<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount<'a>>,
    #[serde(skip_serializing_if = "zero")]
    pub network: i32,
    #[serde(skip_serializing_if = "zero")]
    pub security: i32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secretenv: Vec<SecretEnv<'a>>,
    #[serde(rename = "cdiDevices", skip_serializing_if = "Vec::is_empty")]
    pub cdi_devices: Vec<CdiDevice<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub args: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub env: &'a [String],
    #[serde(skip_serializing_if = "zero")]
    pub cwd: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub user: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<ExtraHost<'a>>,
    #[serde(skip_serializing_if = "zero")]
    pub hostname: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ulimit: Vec<Ulimit<'a>>,
    #[serde(skip_serializing_if = "zero")]
    pub cgroup_parent: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub remove_mount_stubs_recursive: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub valid_exit_codes: &'a [i32],
}

#[derive(Serialize)]
pub(super) struct ExtraHost<'a> {
    #[serde(rename = "Host", skip_serializing_if = "zero")]
    pub host: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Ulimit<'a> {
    #[serde(skip_serializing_if = "zero")]
    pub name: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub soft: i64,
    #[serde(skip_serializing_if = "zero")]
    pub hard: i64,
}

#[derive(Serialize)]
pub(super) struct SecretEnv<'a> {
    #[serde(rename = "ID", skip_serializing_if = "zero")]
    pub id: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub name: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub optional: bool,
}

#[derive(Serialize)]
pub(super) struct CdiDevice<'a> {
    #[serde(skip_serializing_if = "zero")]
    pub name: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub optional: bool,
}

#[derive(Default, Serialize)]
pub(super) struct Mount<'a> {
    #[serde(skip_serializing_if = "zero")]
    pub input: i64,
    #[serde(skip_serializing_if = "zero")]
    pub dest: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub output: i64,
    #[serde(skip_serializing_if = "zero")]
    pub readonly: bool,
    #[serde(rename = "mountType", skip_serializing_if = "zero")]
    pub kind: i32,
    #[serde(rename = "TmpfsOpt", skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<Tmpfs>,
    #[serde(rename = "cacheOpt", skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache<'a>>,
    #[serde(rename = "secretOpt", skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret<'a>>,
    #[serde(rename = "SSHOpt", skip_serializing_if = "Option::is_none")]
    pub ssh: Option<Secret<'a>>,
    #[serde(rename = "resultID", skip_serializing_if = "zero")]
    pub result_id: &'a str,
    #[serde(rename = "contentCache", skip_serializing_if = "zero")]
    pub content_cache: i32,
}

#[derive(Serialize)]
pub(super) struct Tmpfs {
    #[serde(skip_serializing_if = "zero")]
    pub size: i64,
}

#[derive(Serialize)]
pub(super) struct Cache<'a> {
    #[serde(rename = "ID", skip_serializing_if = "zero")]
    pub id: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub sharing: i32,
}

#[derive(Serialize)]
pub(super) struct Secret<'a> {
    #[serde(rename = "ID", skip_serializing_if = "zero")]
    pub id: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub uid: u32,
    #[serde(skip_serializing_if = "zero")]
    pub gid: u32,
    #[serde(skip_serializing_if = "zero")]
    pub mode: u32,
    #[serde(skip_serializing_if = "zero")]
    pub optional: bool,
}

#[derive(Serialize)]
pub(super) struct FileKey {
    #[serde(rename = "Type")]
    pub kind: &'static str,
    /// Base64 of each action's JSON.
    #[serde(rename = "Actions")]
    pub actions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<[i64; 3]>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Action<'a> {
    Copy(Box<Copy<'a>>),
    Mkfile(Mkfile<'a>),
    Mkdir(Mkdir<'a>),
    Rm(Rm<'a>),
    Symlink(Symlink<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Copy<'a> {
    #[serde(skip_serializing_if = "zero")]
    pub src: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub dest: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner<'a>>,
    #[serde(skip_serializing_if = "zero")]
    pub mode: i32,
    #[serde(skip_serializing_if = "zero")]
    pub follow_symlink: bool,
    #[serde(skip_serializing_if = "zero")]
    pub dir_copy_contents: bool,
    #[serde(rename = "attemptUnpackDockerCompatibility", skip_serializing_if = "zero")]
    pub attempt_unpack: bool,
    #[serde(skip_serializing_if = "zero")]
    pub create_dest_path: bool,
    #[serde(skip_serializing_if = "zero")]
    pub allow_wildcard: bool,
    #[serde(skip_serializing_if = "zero")]
    pub allow_empty_wildcard: bool,
    #[serde(skip_serializing_if = "zero")]
    pub timestamp: i64,
    #[serde(rename = "include_patterns", skip_serializing_if = "<[_]>::is_empty")]
    pub include_patterns: &'a [String],
    #[serde(rename = "exclude_patterns", skip_serializing_if = "<[_]>::is_empty")]
    pub exclude_patterns: &'a [String],
    #[serde(skip_serializing_if = "zero")]
    pub always_replace_existing_dest_paths: bool,
    #[serde(skip_serializing_if = "zero")]
    pub mode_str: &'a str,
    #[serde(rename = "required_paths", skip_serializing_if = "<[_]>::is_empty")]
    pub required_paths: &'a [String],
}

#[derive(Serialize)]
pub(super) struct Mkfile<'a> {
    #[serde(skip_serializing_if = "zero")]
    pub path: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub mode: i32,
    /// Base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner<'a>>,
    #[serde(skip_serializing_if = "zero")]
    pub timestamp: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mkdir<'a> {
    #[serde(skip_serializing_if = "zero")]
    pub path: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub mode: i32,
    #[serde(skip_serializing_if = "zero")]
    pub make_parents: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner<'a>>,
    #[serde(skip_serializing_if = "zero")]
    pub timestamp: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rm<'a> {
    #[serde(skip_serializing_if = "zero")]
    pub path: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub allow_not_found: bool,
    #[serde(skip_serializing_if = "zero")]
    pub allow_wildcard: bool,
}

#[derive(Serialize)]
pub(super) struct Symlink<'a> {
    #[serde(skip_serializing_if = "zero")]
    pub oldpath: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub newpath: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner<'a>>,
    #[serde(skip_serializing_if = "zero")]
    pub timestamp: i64,
}

#[derive(Serialize)]
pub(super) struct Owner<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserOpt<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<UserOpt<'a>>,
}

#[derive(Serialize)]
pub(super) struct UserOpt<'a> {
    #[serde(rename = "User")]
    pub user: User<'a>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_name: Option<ByName<'a>>,
    #[serde(skip_serializing_if = "zero")]
    pub by_id: u32,
}

#[derive(Serialize)]
pub(super) struct ByName<'a> {
    #[serde(skip_serializing_if = "zero")]
    pub name: &'a str,
    #[serde(skip_serializing_if = "zero")]
    pub input: i64,
}

#[derive(Serialize)]
pub(super) struct Position {
    #[serde(skip_serializing_if = "zero")]
    pub input: i64,
}

#[derive(Serialize)]
pub(super) struct MergeKey {
    #[serde(rename = "Type")]
    pub kind: &'static str,
    #[serde(rename = "Merge")]
    pub merge: Merge,
}

#[derive(Serialize)]
pub(super) struct Merge {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Position>,
}

#[derive(Serialize)]
pub(super) struct DiffKey {
    #[serde(rename = "Type")]
    pub kind: &'static str,
    #[serde(rename = "Diff")]
    pub diff: Diff,
}

#[derive(Serialize)]
pub(super) struct Diff {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper: Option<Position>,
}

#[derive(Serialize)]
pub(super) struct BuildKey<'a> {
    #[serde(rename = "Type")]
    pub kind: &'static str,
    #[serde(rename = "Exec")]
    pub build: Build<'a>,
}

#[derive(Serialize)]
pub(super) struct Build<'a> {
    #[serde(skip_serializing_if = "zero")]
    pub builder: i64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<&'a str, Position>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attrs: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
pub(super) struct PassthroughKey<'a> {
    #[serde(rename = "Type")]
    pub kind: &'static str,
    #[serde(rename = "Passthrough")]
    pub passthrough: Passthrough<'a>,
}

#[derive(Serialize)]
pub(super) struct Passthrough<'a> {
    #[serde(skip_serializing_if = "zero")]
    pub id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub outputs: &'a [i64],
}
