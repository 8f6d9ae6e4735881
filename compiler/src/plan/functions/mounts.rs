//! What is mounted into a process: filesystems, secrets, sockets.

use ast::Span;
use ast::builtin::Builtin;
use llb::{CacheSharing, FileActionKind, Graph, SecretEnv, SecretMount};
use oci::{Digest, Platform};

use super::super::build::{ExecMount, ExecMountKind, FileChain, Said};
use super::super::go;
use super::super::stop::{Done, Stop};
use super::Evaluator;
use super::value::{Applied, Fs, add_needs};
use crate::output::{Agent, Needs};
use crate::{Answer, Question};

/// Permission bits of a secret unless something else is said.
const SECRET_MODE: u32 = 0o400;
/// Permission bits of a socket unless something else is said.
const SOCKET_MODE: u32 = 0o600;

/// A filesystem that is mounted.
#[derive(Clone)]
pub(super) struct Mounting {
    pub(super) source: Box<Fs>,
    pub(super) target: String,
    pub(super) readonly: bool,
    /// The word `as`, if its result is what is wanted of the process.
    pub(super) bound: Option<Span>,
    selector: String,
    tmpfs: bool,
    cache: Option<(String, CacheSharing)>,
}

impl Mounting {
    pub(super) fn read(option: &Applied) -> Done<Self> {
        let last = |builtin| option.options.iter().rev().find(|option| option.builtin == builtin);
        let has = |builtin| last(builtin).is_some();
        let cache = last(Builtin::MountCache).map(|cache| {
            let sharing = match cache.text(1)?.as_str() {
                "private" => CacheSharing::Private,
                "locked" => CacheSharing::Locked,
                _ => CacheSharing::Shared,
            };
            Ok::<_, Stop>((cache.text(0)?, sharing))
        });
        Ok(Self {
            source: option.args.first().cloned().ok_or(Stop::Unknown)?.fs()?,
            target: option.text(1)?,
            readonly: has(Builtin::MountReadonly),
            bound: option.bound,
            selector: last(Builtin::MountSourcePath).map(|path| path.text(0)).transpose()?.unwrap_or_default(),
            tmpfs: has(Builtin::MountTmpfs),
            cache: cache.transpose()?,
        })
    }

    /// Nothing, to be filled.
    pub(super) fn bound_scratch(target: &str, bound: Option<Span>, platform: Platform) -> Self {
        Self {
            source: Box::new(Fs::scratch(platform)),
            target: target.to_owned(),
            readonly: false,
            bound,
            selector: String::new(),
            tmpfs: false,
            cache: None,
        }
    }

    /// The same, whatever comes of it.
    pub(super) fn unbound(self) -> Self {
        Self { bound: None, ..self }
    }

    /// Whether it is kept from build to build.
    pub(super) fn is_cache(&self) -> bool {
        self.cache.is_some() && !self.tmpfs
    }

    pub(super) fn mount(&self) -> ExecMount {
        let kind = match &self.cache {
            _ if self.tmpfs => ExecMountKind::Tmpfs { size: 0 },
            Some((id, sharing)) => ExecMountKind::Cache { id: id.clone(), sharing: *sharing },
            None => ExecMountKind::Bind,
        };
        ExecMount {
            target: self.target.clone(),
            source: self.source.edge,
            selector: self.selector.clone(),
            readonly: self.readonly,
            kind,
        }
    }
}

/// Everything that is mounted into a process.
#[derive(Default)]
pub(super) struct Mounted {
    pub(super) mounts: Vec<Mounting>,
    pub(super) secrets: Vec<(String, SecretMount)>,
    pub(super) sockets: Vec<(String, SecretMount)>,
    pub(super) secret_env: Vec<SecretEnv>,
    pub(super) needs: Needs,
    /// Mounts and secrets in the order written.
    order: Vec<Point>,
}

/// A mount point.
#[derive(Clone, Copy)]
enum Point {
    Mount(usize),
    Secret(usize),
}

impl Mounted {
    pub(super) fn add(&mut self, mount: Mounting) {
        add_needs(&mut self.needs, &mount.source.needs);
        self.order.push(Point::Mount(self.mounts.len()));
        self.mounts.push(mount);
    }

    /// The cache whose contents are wanted of the process, if that is what is wanted.
    pub(super) fn bound_cache(&self) -> Option<&Mounting> {
        self.mounts.iter().find(|mount| mount.bound.is_some() && mount.is_cache())
    }

    fn add_secret(&mut self, target: String, secret: SecretMount) {
        self.order.push(Point::Secret(self.secrets.len()));
        self.secrets.push((target, secret));
    }

    /// A variable of the client as one of the process.
    pub(super) fn add_secret_variable(&mut self, variable: &str, name: String) {
        let id = format!("env:{variable}");
        self.needs.variables.insert(id.clone(), variable.to_owned());
        self.secret_env.push(SecretEnv { id, name, optional: false });
    }

    fn add_socket(&mut self, target: String, socket: SecretMount) {
        let number = self.sockets.len();
        let target = if target.is_empty() { format!("/run/buildkit/ssh_agent.{number}") } else { target };
        self.sockets.push((target, socket));
    }

    fn target(&self, point: Point) -> String {
        match point {
            Point::Mount(at) => self.mounts[at].target.clone(),
            Point::Secret(at) => self.secrets[at].0.clone(),
        }
    }

    /// Makes what is to be mounted over in filesystems that are mounted read-only, where nothing can be made later.
    ///
    /// parity: from the last to the first, each in the nearest before it whose path its own begins with, as text.
    pub(super) fn make_mount_points(&mut self, graph: &mut Graph) {
        let mut made: Vec<String> = Vec::new();
        for at in (0..self.order.len()).rev() {
            let point = self.order[at];
            let target = self.target(point);
            let below = self.order[..at].iter().rev().find_map(|below| match below {
                Point::Mount(mount) if target.starts_with(&self.mounts[*mount].target) => Some(*mount),
                _ => None,
            });
            let Some(mount) = below.filter(|mount| self.mounts[*mount].readonly) else { continue };
            let mount = &mut self.mounts[mount];
            match point {
                Point::Mount(_) if made.contains(&target) => {}
                Point::Mount(_) => {
                    made.push(mount.target.clone());
                    make_directory(graph, &mut mount.source, &relative(&mount.target, &target));
                }
                Point::Secret(_) => {
                    let directory = directory_of(&target);
                    if !made.contains(&directory) {
                        let inside = directory.strip_prefix(mount.target.as_str()).unwrap_or(&directory).to_owned();
                        made.push(directory);
                        make_directory(graph, &mut mount.source, &inside);
                    }
                    make_file(graph, &mut mount.source, &relative(&mount.target, &target));
                }
            }
        }
    }
}

fn make_directory(graph: &mut Graph, fs: &mut Fs, path: &str) {
    let path = fs.path(path);
    act(graph, fs, FileActionKind::Mkdir { path, mode: 0o755, make_parents: true, owner: None, timestamp: -1 });
}

fn make_file(graph: &mut Graph, fs: &mut Fs, path: &str) {
    let path = fs.path(path);
    act(graph, fs, FileActionKind::Mkfile { path, mode: 0o644, data: Vec::new(), owner: None, timestamp: -1 });
}

fn act(graph: &mut Graph, fs: &mut Fs, action: FileActionKind) {
    let mut chain = FileChain::on(fs.edge);
    chain.act(action);
    fs.edge = Some(chain.finish(graph, Said::default()));
}

/// The directory of an absolute path.
fn directory_of(path: &str) -> String {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/".to_owned(),
        Some((directory, _)) => directory.to_owned(),
    }
}

/// A path as seen from a directory.
fn relative(from: &str, to: &str) -> String {
    let parts = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (from, to) = (parts(&go::clean(from)), parts(&go::clean(to)));
    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[same..].iter().map(|_| "..".to_owned());
    let path: Vec<String> = up.chain(to[same..].iter().cloned()).collect();
    if path.is_empty() { ".".to_owned() } else { path.join("/") }
}

/// Owner and permission bits that options say.
fn set_file(file: &mut SecretMount, options: &[Applied]) -> Done {
    for option in options {
        let number = |option: &Applied| Ok::<u32, Stop>(option.int(0)? as u32);
        match option.builtin {
            Builtin::SshUid | Builtin::ForwardUid | Builtin::SecretUid => file.uid = number(option)?,
            Builtin::SshGid | Builtin::ForwardGid | Builtin::SecretGid => file.gid = number(option)?,
            Builtin::SshMode | Builtin::ForwardMode | Builtin::SecretMode => file.mode = number(option)?,
            _ => {}
        }
    }
    Ok(())
}

fn id_of(text: &str) -> String {
    Digest::sha256(text.as_bytes()).to_string()
}

impl Evaluator<'_> {
    pub(super) fn secret(&mut self, module: usize, mounted: &mut Mounted, option: &Applied) -> Done {
        let at = option.trace.spans().next().unwrap_or_default();
        let (path, target) = (self.client_path(module, &option.text(0)?, at)?, option.text(1)?);
        let patterns = |kind| -> Done<Vec<String>> {
            let all = option.options.iter().filter(|option| option.builtin == kind).map(Applied::texts);
            Ok(all.collect::<Done<Vec<_>>>()?.concat())
        };
        let (include, exclude) = (patterns(Builtin::SecretInclude)?, patterns(Builtin::SecretExclude)?);
        let question = Question::SecretFiles { path: path.clone(), include, exclude };
        let Answer::Files(Some(files)) = self.need(question, at)? else {
            return Err(Stop::error(format!("stat {path}: no such file or directory")).point(at));
        };
        for file in files {
            let mut secret = SecretMount { id: id_of(file), mode: SECRET_MODE, ..SecretMount::default() };
            set_file(&mut secret, &option.options)?;
            mounted.needs.secrets.insert(secret.id.clone(), file.clone());
            let inside = file.strip_prefix(path.as_str()).unwrap_or(file);
            mounted.add_secret(go::join(&target, inside.trim_start_matches('/')), secret);
        }
        Ok(())
    }

    pub(super) fn ssh(&mut self, module: usize, mounted: &mut Mounted, option: &Applied) -> Done {
        let mut paths = Vec::new();
        let mut target = String::new();
        for option in &option.options {
            match option.builtin {
                Builtin::SshTarget => target = option.text(0)?,
                Builtin::SshLocalPaths => {
                    for (at, path) in option.texts()?.into_iter().enumerate() {
                        paths.push(self.client_path(module, &path, option.span(at))?);
                    }
                }
                _ => {}
            }
        }
        paths.sort();
        let mut socket = SecretMount { id: id_of(&paths.concat()), mode: SOCKET_MODE, ..SecretMount::default() };
        set_file(&mut socket, &option.options)?;
        mounted.needs.agents.insert(socket.id.clone(), Agent { ssh: true, paths });
        mounted.add_socket(target, socket);
        Ok(())
    }

    pub(super) fn forward(&mut self, module: usize, mounted: &mut Mounted, option: &Applied) -> Done {
        let (address, target) = (option.text(0)?, option.text(1)?);
        let (id, path) = match address.split_once("://") {
            Some(("unix", path)) => {
                // parity: of an address only the path counts; what would be its host does not.
                let path = path.find('/').map_or("", |at| &path[at..]);
                let path = self.client_path(module, path, option.span(0))?;
                self.look(&directory_of(&path), option.span(0))?;
                (id_of(&path), path)
            }
            Some(("tcp" | "tcp4" | "tcp6", _)) => (id_of(&address), address.clone()),
            _ => {
                let message = format!("cannot forward {}", ast::quote(address.as_bytes()));
                return Err(Stop::error(message).help("unix://PATH or tcp://HOST:PORT").point(option.span(0)));
            }
        };
        let mut socket = SecretMount { id: id.clone(), mode: SOCKET_MODE, ..SecretMount::default() };
        set_file(&mut socket, &option.options)?;
        mounted.needs.agents.insert(id, Agent { ssh: false, paths: vec![path] });
        mounted.add_socket(target, socket);
        Ok(())
    }
}
