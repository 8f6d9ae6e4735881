//! `RUN --mount`: fields typed after expansion, in the order written.

use std::borrow::Cow;

use ast::number;
use ast::{Mount, MountField, OptKind, Step, parse_bool, quote};
use llb::{CacheSharing, Edge, FileActionKind, Owner, SecretEnv, SecretMount, UserOpt};

use crate::plan::build::{ExecMount, ExecMountKind, FileChain, Said};
use crate::plan::go;
use crate::plan::planner::{CommandScope, Planner};
use crate::plan::stages::{Command, SCRATCH, StageId};
use crate::plan::state::State;
use crate::plan::stop::{Done, Stop};

const KEYS: &[&str] = &[
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];
const TYPES: &[&str] = &["bind", "cache", "secret", "ssh", "tmpfs"];
const SHARINGS: &[&str] = &["locked", "private", "shared"];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Type {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }

    fn named(text: &str) -> Option<Self> {
        [Self::Bind, Self::Cache, Self::Tmpfs, Self::Secret, Self::Ssh].into_iter().find(|kind| kind.name() == text)
    }
}

/// A mount, typed.
#[derive(Clone, Debug, Default)]
pub(super) struct TypedMount {
    kind: Type,
    from: String,
    source: String,
    target: String,
    readonly: Option<bool>,
    size: i64,
    id: String,
    sharing: Option<CacheSharing>,
    required: bool,
    env: Option<String>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

/// What the mounts of a process come to.
#[derive(Default)]
pub(super) struct Mounts {
    pub(super) mounts: Vec<ExecMount>,
    pub(super) secrets: Vec<(String, SecretMount)>,
    pub(super) secret_env: Vec<SecretEnv>,
    pub(super) sockets: Vec<(String, SecretMount)>,
}

/// The mounts of a step as written.
fn written(step: &Step) -> impl Iterator<Item = &Mount> {
    step.opts.iter().filter_map(|opt| if let OptKind::Mount(mount) = &opt.kind { Some(mount) } else { None })
}

impl Planner<'_> {
    /// Types the mounts of a command.
    pub(super) fn typed_mounts(&mut self, state: &State, command: &Command<'_>) -> Done<Vec<TypedMount>> {
        let scope = Self::scope(state, command);
        let mut typed = Vec::with_capacity(command.sources.len());
        for mount in written(&command.step) {
            typed.push(self.typed_mount(mount, scope)?);
        }
        Ok(typed)
    }

    fn typed_mount(&mut self, mount: &Mount, scope: CommandScope<'_, '_>) -> Done<TypedMount> {
        let mut typed = TypedMount::default();
        for field in &mount.fields {
            let set = match &field.value {
                None => typed.set_flag(field),
                Some(value) => {
                    let value = self.text(value, scope)?;
                    typed.set(field, value)
                }
            };
            set.map_err(|stop| stop.point(field.span))?;
        }
        let whole = mount.fields.iter().map(|field| field.span).reduce(ast::Span::to);
        typed.check().map_err(|stop| whole.map_or_else(|| Stop::error(""), |span| stop.point(span)))?;
        Ok(typed)
    }

    /// Turns typed mounts into what a process gets, and marks what they use.
    pub(super) fn mounts(
        &mut self,
        stage: StageId,
        state: &State,
        command: &Command<'_>,
        typed: &[TypedMount],
    ) -> Done<Mounts> {
        let mut mounts = Mounts::default();
        for (mount, source) in typed.iter().zip(&command.sources) {
            match mount.kind {
                Type::Secret => self.add_secret(stage, command, mount, &mut mounts)?,
                Type::Ssh => self.add_socket(stage, command, mount, &mut mounts)?,
                Type::Bind | Type::Cache | Type::Tmpfs => {
                    if mount.kind == Type::Cache {
                        self.captures.cache(stage, command, &mount.cache_name());
                    }
                    let mount = self.exec_mount(state, mount, *source)?;
                    mounts.mounts.push(mount);
                }
            }
        }
        let unnamed = mounts.sockets.iter_mut().enumerate().filter(|(_, (target, _))| target.is_empty());
        unnamed.for_each(|(at, (target, _))| *target = format!("/run/buildkit/ssh_agent.{at}"));
        Ok(mounts)
    }

    fn exec_mount(&mut self, state: &State, mount: &TypedMount, source: StageId) -> Done<ExecMount> {
        let from_context = mount.from.is_empty() && mount.kind != Type::Cache;
        if !from_context && !self.stages[source].dispatched {
            if self.shared.circular {
                return Err(Stop::Unknown);
            }
            let from = if mount.from.is_empty() { SCRATCH } else { &mount.from };
            let (from, target) = (quote(from.as_bytes()), quote(mount.target.as_bytes()));
            return Err(Stop::error(format!(
                "cannot mount from stage {from} to {target}, stage needs to be defined before current command"
            ))
            .help("move that stage above this one"));
        }
        let mut root = match mount.kind {
            Type::Tmpfs => None,
            _ if from_context => Some(self.context_edge()),
            _ => self.stages[source].root,
        };
        let target = mount.absolute_target(state)?;
        let mut selector = go::join("/", &mount.source);
        if selector == "/" {
            selector.clear();
            if mount.uid.is_some() || mount.gid.is_some() || mount.mode.is_some() {
                root = Some(self.cache_root(root, mount));
                selector = "/cache".to_owned();
            }
        }
        let set = if mount.from.is_empty() && mount.kind != Type::Cache {
            self.context.paths
        } else {
            self.stages[source].paths
        };
        self.paths.mark(set, &mount.source);
        let namespace = self.settings.cache_namespace;
        let kind = match mount.kind {
            Type::Cache => {
                ExecMountKind::Cache { id: mount.cache_id(namespace), sharing: mount.sharing.unwrap_or_default() }
            }
            Type::Tmpfs => ExecMountKind::Tmpfs { size: mount.size },
            _ => ExecMountKind::Bind,
        };
        Ok(ExecMount { target, source: root, selector, readonly: mount.is_readonly(), kind })
    }

    /// A directory with the wanted owner and mode, which new caches start as.
    fn cache_root(&mut self, source: Option<Edge>, mount: &TypedMount) -> Edge {
        let mut chain = FileChain::on(source);
        let owner = |id: Option<u32>| Some(UserOpt::Id(id.unwrap_or(0)));
        chain.act(FileActionKind::Mkdir {
            path: "/cache".to_owned(),
            mode: (mount.mode.unwrap_or(0o755) & 0o777) as i32,
            make_parents: false,
            owner: Some(Owner { user: owner(mount.uid), group: owner(mount.gid) }),
            timestamp: -1,
        });
        chain.finish(&mut self.shared.graph, Said::named("[internal] setting cache mount permissions"))
    }

    fn add_secret(&mut self, stage: StageId, command: &Command<'_>, mount: &TypedMount, mounts: &mut Mounts) -> Done {
        let id = match (mount.source.as_str(), mount.id.as_str()) {
            ("", "") if mount.target.is_empty() => return Err(Stop::error("one of source, target required")),
            ("", "") => go::base(&mount.target).to_owned(),
            ("", id) => id.to_owned(),
            (source, _) => source.to_owned(),
        };
        self.captures.secret(stage, command, &id, mount.required);
        if let Some(name) = &mount.env {
            mounts.secret_env.push(SecretEnv { id: id.clone(), name: name.clone(), optional: !mount.required });
        }
        if !mount.target.is_empty() || mount.env.is_none() {
            let default = || format!("/run/secrets/{}", go::base(&id));
            let target = if mount.target.is_empty() { default() } else { mount.target.clone() };
            mounts.secrets.push((target, mount.file(id, 0o400)));
        }
        Ok(())
    }

    fn add_socket(&mut self, stage: StageId, command: &Command<'_>, mount: &TypedMount, mounts: &mut Mounts) -> Done {
        if !mount.source.is_empty() {
            return Err(Stop::error("ssh does not support source"));
        }
        self.captures.ssh(stage, command, &mount.id, mount.required);
        mounts.sockets.push((mount.target.clone(), mount.file(mount.id.clone(), 0o600)));
        Ok(())
    }
}

impl TypedMount {
    /// The variable that the mount sets, if it is a secret that does.
    pub(super) fn secret_variable(&self) -> Option<&str> {
        self.env.as_deref().filter(|_| self.kind == Type::Secret)
    }

    fn set_flag(&mut self, field: &MountField) -> Done {
        let key = go::to_lower(&field.key);
        match &*key {
            "readonly" | "ro" => self.readonly = Some(true),
            "readwrite" | "rw" => self.readonly = Some(false),
            "required" => {
                self.expect(&key, &[Type::Secret, Type::Ssh])?;
                self.required = true;
            }
            _ => return Err(Stop::error(format!("invalid field '{}' must be a key=value pair", field.key))),
        }
        Ok(())
    }

    fn set(&mut self, field: &MountField, value: String) -> Done {
        let key = go::to_lower(&field.key);
        let bad = |value: &str| Stop::error(format!("invalid value for {key}: {value}"));
        match &*key {
            "type" => {
                let lower = go::to_lower(&value);
                self.kind = Type::named(&lower).ok_or_else(|| unsupported("mount type", &value, TYPES))?;
            }
            "from" => self.from = value,
            "source" | "src" => self.source = value,
            "target" | "dst" | "destination" => self.target = value,
            "readonly" | "ro" => self.readonly = Some(parse_bool(&value).ok_or_else(|| bad(&value))?),
            "readwrite" | "rw" => self.readonly = Some(!parse_bool(&value).ok_or_else(|| bad(&value))?),
            "required" => {
                self.expect(&key, &[Type::Secret, Type::Ssh])?;
                self.required = parse_bool(&value).ok_or_else(|| bad(&value))?;
            }
            "size" => {
                self.expect(&key, &[Type::Tmpfs])?;
                self.size = memory_size(&value).ok_or_else(|| bad(&value))?;
            }
            "id" => self.id = value,
            "sharing" => self.sharing = Some(sharing(&value)?),
            "mode" => self.mode = Some(number(&key, &value, 8)?),
            "uid" => self.uid = Some(number(&key, &value, 10)?),
            "gid" => self.gid = Some(number(&key, &value, 10)?),
            "env" => self.env = Some(value),
            _ => {
                let written = field.value.as_ref().map(|value| value.raw().lossy()).unwrap_or_default();
                let message = format!("unexpected key '{key}' in '{}={written}'", field.key);
                return Err(Stop::error(message).suggest(ast::suggest(&key, KEYS.iter().copied())));
            }
        }
        Ok(())
    }

    fn expect(&self, key: &str, kinds: &[Type]) -> Done {
        if kinds.contains(&self.kind) {
            return Ok(());
        }
        Err(Stop::error(format!("unexpected key '{key}' for mount type '{}'", self.kind.name()))
            .help("put type= before it, if that is what you mean"))
    }

    fn check(&self) -> Done {
        let kind = self.kind.name();
        if !matches!(self.kind, Type::Secret | Type::Ssh | Type::Cache) {
            let given = [("mode", self.mode), ("uid", self.uid), ("gid", self.gid)];
            if let Some((key, _)) = given.into_iter().find(|(_, value)| value.is_some()) {
                return Err(Stop::error(format!("{key} not allowed for \"{kind}\" type mounts")));
            }
        }
        if self.kind == Type::Secret {
            self.check_secret()?;
        }
        if self.sharing.is_some() && self.kind != Type::Cache {
            return Err(Stop::error(format!("invalid cache sharing set for {kind} mount")));
        }
        Ok(())
    }

    fn check_secret(&self) -> Done {
        let message = if !self.from.is_empty() {
            "secret mount should not have a from"
        } else if self.sharing.is_some() {
            "secret mount should not define sharing"
        } else if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() {
            "invalid secret mount. one of source, target required"
        } else if !self.source.is_empty() && !self.id.is_empty() {
            "both source and id can't be set"
        } else {
            return Ok(());
        };
        Err(Stop::error(message))
    }

    fn is_readonly(&self) -> bool {
        self.readonly.unwrap_or(!matches!(self.kind, Type::Cache | Type::Tmpfs))
    }

    fn absolute_target(&self, state: &State) -> Done<String> {
        let target = if go::clean(&self.target).starts_with('/') {
            self.target.clone()
        } else {
            go::join(&go::join("/", &state.dir), &self.target)
        };
        if target == "/" && !self.target.starts_with('/') && !state.is_complete() {
            // Where the base starts is not known.
            return Err(Stop::Unknown);
        }
        if target == "/" {
            return Err(Stop::error(format!("invalid mount target {}", quote(target.as_bytes())))
                .help("say where to mount with target="));
        }
        Ok(target)
    }

    fn cache_id(&self, namespace: &str) -> String {
        format!("{namespace}/{}", self.cache_name())
    }

    fn cache_name(&self) -> Cow<'_, str> {
        if self.id.is_empty() { go::clean(&self.target) } else { self.id.as_str().into() }
    }

    fn file(&self, id: String, default_mode: u32) -> SecretMount {
        SecretMount {
            id,
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
            mode: self.mode.unwrap_or(default_mode),
            optional: !self.required,
        }
    }
}

fn sharing(value: &str) -> Done<CacheSharing> {
    match &*go::to_lower(value) {
        "shared" => Ok(CacheSharing::Shared),
        "private" => Ok(CacheSharing::Private),
        "locked" => Ok(CacheSharing::Locked),
        _ => Err(unsupported("sharing value", value, SHARINGS)),
    }
}

fn unsupported(what: &str, value: &str, options: &[&str]) -> Stop {
    Stop::error(format!("unsupported {what} {}", quote(value.as_bytes())))
        .suggest(ast::suggest(value, options.iter().copied()))
        .help(format!("one of {}", options.join(", ")))
}

fn number(key: &str, value: &str, base: u32) -> Done<u32> {
    match number::parse_uint(value, base, 32) {
        Ok(number) => Ok(number as u32),
        Err(_) => Err(Stop::error(format!("invalid value {value} for {key}"))),
    }
}

/// Bytes of `64m`, `1.5GiB`, `10 kb`.
fn memory_size(text: &str) -> Option<i64> {
    let last = text.rfind(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '))?;
    let (number, suffix) = match text.as_bytes()[last] {
        b' ' => (&text[..last], &text[last + 1..]),
        _ => text.split_at(last + 1),
    };
    let number: f64 = number.parse().ok().filter(|number: &f64| *number >= 0.0)?;
    let suffix = go::to_lower(suffix);
    let shift = match suffix.as_bytes() {
        [] | [b'b'] => 0,
        [unit] | [unit, b'b'] | [unit, b'i', b'b'] => {
            10 * (1 + b"kmgtp".iter().position(|known| known == unit)? as i32)
        }
        _ => return None,
    };
    Some((number * 2f64.powi(shift)) as i64)
}

#[cfg(test)]
mod tests {
    use super::memory_size;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("64m", Some(64 << 20)),
            ("1.5GiB", Some(3 << 29)),
            ("10 kb", Some(10 << 10)),
            ("7", Some(7)),
            ("7B", Some(7)),
            ("big", None),
            ("-1", None),
            ("1x", None),
            ("1bb", None),
            ("1kxb", None),
        ] {
            assert_eq!(memory_size(text), expected, "{text}");
        }
    }
}
