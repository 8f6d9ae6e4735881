//! The files of a result as a tar, and how they are opened.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString, OsStr};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};

use super::attest::{self, ATTESTATION, Attestation};
use super::attrs::TreeAttrs;
use super::dest::Target;
use super::{Built, Context, Metadata};
use crate::layer::header::{END, Entry, Kind, padding, write_header};
use crate::progress::Event;
use crate::snapshot::stack::kind;
use crate::snapshot::{Files, OpenDir, entry};
use crate::{Error, Output, Result};

/// Writes the files as one tar.
pub(super) fn export(built: &[Built], output: &Output, attrs: &TreeAttrs, context: Context<'_>) -> Result<Metadata> {
    let opened = open(built, attrs, context)?;
    let mut target = Target::open(output.dest.as_deref())?;
    let shown = output.dest.clone().unwrap_or_else(|| "standard output".into());
    let _part = context.progress.part("sending tarball", 0);
    let mut out = BufWriter::with_capacity(256 << 10, target.file());
    let written = write_tar(&opened, attrs, context, &mut out).and_then(|()| out.flush());
    drop(out);
    context.cancel.check()?;
    written.map_err(Error::io("write", shown))?;
    target.finish()?;
    Ok(Metadata::new())
}

/// The files of a result, opened.
pub(super) struct Opened {
    /// The directory they go to; empty is the top.
    pub(super) prefix: String,
    /// They.
    pub(super) files: Files,
    /// What is said of them, beside them; by name.
    pub(super) attestations: Vec<Attestation>,
}

/// Opens the files of results.
pub(super) fn open(built: &[Built], attrs: &TreeAttrs, context: Context<'_>) -> Result<Vec<Opened>> {
    let split = attrs.split.unwrap_or(super::is_list(built));
    let mut opened = Vec::new();
    let mut seen = BTreeMap::new();
    let built_of = built;
    for built in built {
        context.materialise(&built.tree)?;
        let view = context.snapshots.view(&built.tree)?;
        let files = Files::of(view).map_err(Error::io("open", "the result"))?;
        let platform = built.platform.to_string();
        if !split {
            let root = files.open_dir(Path::new("/")).map_err(Error::io("open", "/"))?;
            claim(&root, &mut PathBuf::new(), &platform, &mut seen)?;
        }
        let suffix = (super::is_list(built_of) && !split).then_some(&*platform);
        let attestations = attest::beside(built, &files, suffix, attrs, context)?;
        let prefix = if split { platform.replace('/', "_") } else { String::new() };
        opened.push(Opened { prefix, files, attestations });
    }
    // parity: directories of platforms are by their names, whatever the order that they were asked for in.
    opened.sort_by(|one, other| one.prefix.cmp(&other.prefix));
    warn(&opened, context)?;
    Ok(opened)
}

/// Says which files of a result are not there, as something that is said of it has their names. parity: it takes their places.
fn warn(opened: &[Opened], context: Context<'_>) -> Result<()> {
    for Opened { prefix, attestations, .. } in opened {
        for files in opened.iter().filter(|other| other.prefix == *prefix) {
            let top = files.files.open_dir(Path::new("/")).map_err(Error::io("open", "/"))?;
            let names = top.names().map_err(Error::io("list", "/"))?;
            let is_named = |said: &&Attestation| names.iter().any(|name| name.to_bytes() == said.name.as_bytes());
            for said in attestations.iter().filter(is_named) {
                let path = Path::new("/").join(prefix).join(&said.name);
                let message = format!(
                    "{} of the result is replaced by {}: another name is given with `attestation-prefix=`",
                    path.display(),
                    said.what
                );
                context.progress.sink.event(Event::Warning { digest: None, message, about: None });
            }
        }
    }
    Ok(())
}

/// Notes whose a file is; two platforms cannot have the same.
fn claim(dir: &OpenDir, path: &mut PathBuf, platform: &str, seen: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    for name in dir.names().map_err(Error::io("list", &*path))? {
        path.push(OsStr::from_bytes(name.to_bytes()));
        let stat = dir.stat(&name).map_err(Error::io("read", &*path))?;
        if kind(&stat) == FileType::Directory {
            claim(&dir.open_dir(&name).map_err(Error::io("open", &*path))?, path, platform, seen)?;
        } else if let Some(other) = seen.insert(path.clone(), platform.to_owned()) {
            let path = path.display();
            return Err(Error::Invalid(format!(
                "cannot overwrite {path} from {other} with {platform} when split option is disabled"
            )));
        }
        path.pop();
    }
    Ok(())
}

fn write_tar(opened: &[Opened], attrs: &TreeAttrs, context: Context<'_>, out: &mut dyn Write) -> io::Result<()> {
    for Opened { prefix, files, attestations } in opened {
        let mut walk = Walk {
            out,
            epoch: attrs.epoch,
            context,
            path: Vec::new(),
            links: HashMap::new(),
            buffer: vec![0; 256 << 10],
        };
        if !prefix.is_empty() {
            walk.path = format!("{prefix}/").into_bytes();
            let mtime = attrs.epoch.unwrap_or(0);
            write_header(walk.out, &Entry { mode: 0o755, mtime, ..Entry::new(&walk.path, Kind::Dir) })?;
        }
        walk.top(&files.open_dir(Path::new("/"))?, attestations)?;
    }
    out.write_all(&END)
}

struct Walk<'a> {
    out: &'a mut dyn Write,
    epoch: Option<i64>,
    context: Context<'a>,
    path: Vec<u8>,
    /// Files with several names: the first one, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
}

impl Walk<'_> {
    /// The whole, with what is said of it where its names have it among the others.
    fn top(&mut self, dir: &OpenDir, attestations: &[Attestation]) -> io::Result<()> {
        let mut names = dir.names()?;
        names.retain(|name| !attestations.iter().any(|said| said.name.as_bytes() == name.to_bytes()));
        for attestation in attestations {
            let is_before = |name: &CString| name.to_bytes() < attestation.name.as_bytes();
            let (before, after): (Vec<_>, Vec<_>) = names.into_iter().partition(is_before);
            self.entries(dir, before)?;
            self.attestation(attestation)?;
            names = after;
        }
        self.entries(dir, names)
    }

    fn attestation(&mut self, attestation: &Attestation) -> io::Result<()> {
        let path = [&self.path, attestation.name.as_bytes()].concat();
        let mut header = Entry::new(&path, Kind::File);
        (header.mode, header.size) = (ATTESTATION, attestation.bytes.len() as u64);
        header.mtime = attestation.time;
        write_header(self.out, &header)?;
        self.out.write_all(&attestation.bytes)?;
        self.out.write_all(padding(header.size))
    }

    fn dir(&mut self, dir: &OpenDir) -> io::Result<()> {
        self.entries(dir, dir.names()?)
    }

    fn entries(&mut self, dir: &OpenDir, names: Vec<CString>) -> io::Result<()> {
        for name in names {
            if self.context.cancel.is_cancelled() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let length = self.path.len();
            self.path.extend_from_slice(name.to_bytes());
            self.entry(dir, &name)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn entry(&mut self, dir: &OpenDir, name: &CStr) -> io::Result<()> {
        let stat = dir.stat(name)?;
        let kind = match kind(&stat) {
            FileType::Directory => {
                self.path.push(b'/');
                self.header(dir, name, &stat, Kind::Dir, &[])?;
                return self.dir(&dir.open_dir(name)?);
            }
            FileType::Socket => return Ok(()),
            FileType::Symlink => {
                let link = dir.readlink(name)?;
                return self.header(dir, name, &stat, Kind::Symlink, link.to_bytes());
            }
            FileType::CharacterDevice => Kind::Char,
            FileType::BlockDevice => Kind::Block,
            FileType::Fifo => Kind::Fifo,
            _ => Kind::File,
        };
        if stat.st_nlink > 1 {
            let inode = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&inode).cloned() {
                return self.header(dir, name, &stat, Kind::Link, &first);
            }
            self.links.insert(inode, self.path.clone());
        }
        self.header(dir, name, &stat, kind, &[])?;
        if kind == Kind::File { self.bytes(dir, name, stat.st_size as u64) } else { Ok(()) }
    }

    fn header(&mut self, dir: &OpenDir, name: &CStr, stat: &Stat, kind: Kind, link: &[u8]) -> io::Result<()> {
        let mut header = Entry::new(&self.path, kind);
        header.mode = stat.st_mode & 0o7777;
        (header.uid, header.gid) = (stat.st_uid.into(), stat.st_gid.into());
        header.size = if kind == Kind::File { stat.st_size as u64 } else { 0 };
        // parity: rounded, as Go's writer does when no format is asked for.
        header.mtime = self.epoch.unwrap_or(stat.st_mtime + i64::from(stat.st_mtime_nsec >= 500_000_000));
        header.link = link;
        if matches!(kind, Kind::Char | Kind::Block) {
            header.device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        }
        header.xattrs = dir.xattrs(name)?.into_iter().map(|(key, value)| (key.into_bytes(), value)).collect();
        write_header(self.out, &header)
    }

    fn bytes(&mut self, dir: &OpenDir, name: &CStr, size: u64) -> io::Result<()> {
        let mut file = entry::open_file(dir.fd(), name)?.take(size);
        let mut copied = 0;
        loop {
            let length = file.read(&mut self.buffer)?;
            if length == 0 {
                break;
            }
            self.out.write_all(&self.buffer[..length])?;
            copied += length as u64;
        }
        if copied < size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file became shorter"));
        }
        self.out.write_all(padding(size))
    }
}
