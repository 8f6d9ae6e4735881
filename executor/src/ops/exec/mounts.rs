//! The mounts of a process: which are copies to throw away, which become outputs, which are inputs handed through.

use std::path::{Path, PathBuf};

use llb::MountKind;

use super::caches::{Caches, Taken, Wanted};
use super::session;
use crate::ops::Context;
use crate::runtime::{self, MountSource, Root};
use crate::session::SshAgent;
use crate::snapshot::{Active, Committed, Snapshots, View};
use crate::{Error, Result, rootfs};

/// Position of an input that is none, and number of an output that is none.
const NONE: i64 = -1;

/// The mounts, ready, with all that keeps them.
pub(super) struct Mounted {
    root: Held,
    /// Whether the process may not write to its root.
    pub(super) readonly_root: bool,
    others: Vec<Other>,
    /// Output numbers and what becomes of them.
    outputs: Vec<(i64, Output)>,
    _caches: Taken,
}

/// What is mounted, and kept as long as it is.
enum Held {
    Active(Active),
    View(View),
    Dir(PathBuf),
    Tmpfs { size: u64 },
    Secret { data: Vec<u8>, options: llb::SecretMount },
    Agent { agent: SshAgent, options: llb::SecretMount },
}

/// A mount that is not the root.
struct Other {
    dest: String,
    held: Held,
    selector: String,
    readonly: bool,
}

/// What becomes of an output.
enum Output {
    /// An input, as it is.
    Input(Committed),
    /// What the process made of the root.
    Root,
    /// What it made of another mount, by position.
    Other(usize),
}

/// Opens and makes what the mounts of a process need.
pub(super) fn prepare(exec: &llb::Exec, inputs: &[Committed], context: Context<'_>) -> Result<Mounted> {
    let mut preparing =
        Preparing { context, inputs, cwd: &exec.meta.cwd, caches: Taken::default(), outputs: Vec::new() };
    let mut root = None;
    let mut others: Vec<Other> = Vec::new();
    for mount in &exec.mounts {
        if mount.dest == "/" {
            root = Some((preparing.root(mount)?, mount.readonly));
        } else if let Some(other) = preparing.other(mount, others.len())? {
            others.push(other);
        }
    }
    let Some((root, readonly_root)) = root else {
        return Err(Error::Definition("no root mount for the process".into()));
    };
    Ok(Mounted { root, readonly_root, others, outputs: preparing.outputs, _caches: preparing.caches })
}

struct Preparing<'a> {
    context: Context<'a>,
    inputs: &'a [Committed],
    cwd: &'a str,
    caches: Taken,
    outputs: Vec<(i64, Output)>,
}

impl Preparing<'_> {
    fn root(&mut self, mount: &llb::Mount) -> Result<Held> {
        if mount.kind != MountKind::Bind {
            return Err(Error::Definition("invalid mount type for /: only a bind mount can be the root".into()));
        }
        let input = self.input(mount)?.cloned().unwrap_or_default();
        if mount.output != NONE {
            self.outputs.push((mount.output, Output::Root));
        }
        // A copy even when it is read-only: mount points are made in it.
        self.context.snapshots.prepare(&input).map(Held::Active)
    }

    fn other(&mut self, mount: &llb::Mount, position: usize) -> Result<Option<Other>> {
        let held = match &mount.kind {
            MountKind::Bind => Some(self.bind(mount, position)?),
            MountKind::Cache { id, sharing } => Some(self.cache(mount, id, *sharing)?),
            MountKind::Tmpfs { size } => Some(Held::Tmpfs { size: size.unwrap_or(0).max(0).cast_unsigned() }),
            MountKind::Secret(options) => session::secret(self.context.session, options)?
                .map(|data| Held::Secret { data, options: options.clone() }),
            MountKind::Ssh(options) => session::agent(self.context.session, options)?
                .map(|agent| Held::Agent { agent: agent.clone(), options: options.clone() }),
        };
        let dest = format!("/{}", rootfs::below(&Path::new(self.cwd).join(&mount.dest)).display());
        let selector = mount.selector.clone();
        Ok(held.map(|held| Other { dest, held, selector, readonly: mount.readonly }))
    }

    fn bind(&mut self, mount: &llb::Mount, position: usize) -> Result<Held> {
        let snapshots = self.context.snapshots;
        let input = self.input(mount)?.cloned();
        match input {
            Some(input) if mount.readonly => {
                let held = snapshots.view(&input).map(Held::View);
                if mount.output != NONE {
                    self.outputs.push((mount.output, Output::Input(input)));
                }
                held
            }
            input => {
                if mount.output != NONE {
                    self.outputs.push((mount.output, Output::Other(position)));
                }
                snapshots.prepare(&input.unwrap_or_default()).map(Held::Active)
            }
        }
    }

    fn cache(&mut self, mount: &llb::Mount, id: &str, sharing: llb::CacheSharing) -> Result<Held> {
        let Context { store, snapshots, cancel, node, .. } = self.context;
        let start = self.input(mount)?.cloned();
        let wanted = Wanted { id, start: start.as_ref(), sharing };
        let caches = Caches::new(store);
        if node.meta.ignore_cache {
            caches.prune(wanted)?;
        }
        let path = self.caches.path(&caches, wanted, snapshots, cancel)?;
        if let Some(start) = start.filter(|_| mount.output != NONE) {
            self.outputs.push((mount.output, Output::Input(start)));
        }
        Ok(Held::Dir(path))
    }

    fn input(&self, mount: &llb::Mount) -> Result<Option<&Committed>> {
        if mount.input == NONE {
            return Ok(None);
        }
        let found = usize::try_from(mount.input).ok().and_then(|position| self.inputs.get(position));
        found.map(Some).ok_or_else(|| Error::Definition(format!("missing input {}", mount.input)))
    }
}

impl Mounted {
    /// The root, as a runtime takes it.
    pub(super) fn root(&self) -> Root {
        match &self.root {
            Held::Active(active) => match active.overlay() {
                Some(overlay) => Root::Overlay(overlay.clone()),
                None => Root::Dir(plain_path(active)),
            },
            _ => unreachable!("the root is always a tree that can be changed"),
        }
    }

    /// The other mounts, parents first; of several at one place the last.
    pub(super) fn mounts(&self) -> Vec<runtime::Mount> {
        in_order(self.others.iter().map(Other::mount).collect())
    }

    /// Lets another process have the same.
    pub(super) fn mount_again(&self) -> Result<()> {
        let all = std::iter::once(&self.root).chain(self.others.iter().map(|other| &other.held));
        all.filter_map(|held| if let Held::Active(active) = held { Some(active) } else { None })
            .try_for_each(Active::mount_again)
    }

    /// Keeps what becomes an output, throws away the rest. **Shape**: by output number.
    pub(super) fn commit(self, snapshots: &dyn Snapshots) -> Result<Vec<Committed>> {
        let Self { root, others, mut outputs, .. } = self;
        outputs.sort_by_key(|(number, _)| *number);
        let mut root = Some(root);
        let mut others: Vec<Option<Held>> = others.into_iter().map(|other| Some(other.held)).collect();
        let commit = |held: Option<Held>| match held {
            Some(Held::Active(active)) => snapshots.commit(active),
            _ => Err(Error::Definition("two outputs of one mount".into())),
        };
        let each = outputs.into_iter().map(|(_, output)| match output {
            Output::Input(input) => Ok(input),
            Output::Root => commit(root.take()),
            Output::Other(position) => commit(others.get_mut(position).and_then(Option::take)),
        });
        each.collect()
    }
}

/// The mounts of devices with those of the step, whose own counts where both have one.
pub(super) fn with_devices(of_devices: Vec<runtime::Mount>, own: Vec<runtime::Mount>) -> Vec<runtime::Mount> {
    if of_devices.is_empty() { own } else { in_order(of_devices.into_iter().chain(own).collect()) }
}

/// Parents first; of several at one place the last.
fn in_order(mut mounts: Vec<runtime::Mount>) -> Vec<runtime::Mount> {
    mounts.sort_by(|a, b| a.dest.cmp(&b.dest));
    let mut distinct: Vec<runtime::Mount> = Vec::with_capacity(mounts.len());
    for mount in mounts {
        match distinct.last_mut() {
            Some(last) if last.dest == mount.dest => *last = mount,
            _ => distinct.push(mount),
        }
    }
    distinct
}

impl Other {
    fn mount(&self) -> runtime::Mount {
        let selector = self.selector.clone();
        let source = match &self.held {
            Held::Active(active) => match active.overlay() {
                Some(overlay) => MountSource::Overlay { overlay: overlay.clone(), selector },
                None => MountSource::Bind { root: plain_path(active), selector },
            },
            Held::View(view) => match view.layers() {
                Some(layers) => MountSource::Layers { lower: layers.to_vec(), selector },
                None => MountSource::Bind { root: view.path().to_owned(), selector },
            },
            Held::Dir(path) => MountSource::Bind { root: path.clone(), selector },
            Held::Tmpfs { size } => MountSource::Tmpfs { size: *size },
            Held::Secret { data, options } => {
                let (uid, gid, mode) = (options.uid, options.gid, options.mode & 0o777);
                MountSource::Secret { data: data.clone(), uid, gid, mode }
            }
            Held::Agent { agent, options } => {
                let (uid, gid, mode) = (options.uid, options.gid, options.mode & 0o777);
                MountSource::Socket { path: agent.socket().to_owned(), raw: agent.is_raw(), uid, gid, mode }
            }
        };
        runtime::Mount { dest: self.dest.clone(), source, readonly: self.readonly }
    }
}

/// The directory of a tree that is no overlay.
fn plain_path(active: &Active) -> PathBuf {
    active.path().expect("a tree that is no overlay is a directory already").to_owned()
}
