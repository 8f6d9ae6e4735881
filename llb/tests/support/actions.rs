//! File actions on trees in memory.

use std::collections::BTreeMap;
use std::rc::Rc;

use llb::{CopyAction, FileActionKind, Owner, UserOpt};

use super::tree::{Entry, Result, Tree, fail, parent};

/// Performs an action on `to`; `from` is what a copy reads, `users` the tree at a position.
pub fn perform(kind: &FileActionKind, to: &mut Tree, from: &Tree, users: &dyn Fn(i64) -> Result<Tree>) -> Result<()> {
    match kind {
        FileActionKind::Mkdir { path, mode, make_parents, owner, .. } => {
            mkdir(to, &clean(path), *mode as u32 & 0o777, *make_parents, find(owner.as_ref(), users)?)
        }
        FileActionKind::Mkfile { path, mode, data, owner, timestamp } => {
            mkfile(to, &clean(path), *mode, data, find(owner.as_ref(), users)?, *timestamp)
        }
        FileActionKind::Symlink { oldpath, newpath, owner, .. } => {
            symlink(to, oldpath, &clean(newpath), find(owner.as_ref(), users)?)
        }
        FileActionKind::Rm { path, allow_not_found, .. } => rm(to, &clean(path), *allow_not_found),
        FileActionKind::Copy(copy) => copy_all(copy, to, from, find(copy.owner.as_ref(), users)?),
    }
}

fn find(owner: Option<&Owner>, users: &dyn Fn(i64) -> Result<Tree>) -> Result<Option<(u32, u32)>> {
    let Some(owner) = owner else { return Ok(None) };
    let (mut uid, mut gid) = (0, 0);
    match &owner.user {
        None => {}
        Some(UserOpt::Id(id)) => (uid, gid) = (*id, *id),
        Some(UserOpt::Name { name, input }) => {
            let fields = look_up(&users(*input)?, "/etc/passwd", name)?;
            (uid, gid) = (fields[2].parse().unwrap(), fields[3].parse().unwrap());
        }
    }
    match &owner.group {
        None => {}
        Some(UserOpt::Id(id)) => gid = *id,
        Some(UserOpt::Name { name, input }) => {
            gid = look_up(&users(*input)?, "/etc/group", name)?[2].parse().unwrap();
        }
    }
    Ok(Some((uid, gid)))
}

fn look_up(tree: &Tree, path: &str, name: &str) -> Result<Vec<String>> {
    let real = tree.resolve(path, true)?;
    let Some(Entry::File { data, .. }) = tree.get(&real) else { return fail(format!("no {path}")) };
    let text = String::from_utf8_lossy(data);
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    text.lines().map(fields).find(|fields| fields[0] == name && fields.len() > 3).map_or_else(|| fail("no user"), Ok)
}

fn mkdir(to: &mut Tree, path: &str, mode: u32, parents: bool, owner: Option<(u32, u32)>) -> Result<()> {
    let owner = owner.unwrap_or_default();
    if parents {
        return to.make_dirs(path, mode, owner);
    }
    let real = to.resolve(path, true)?;
    if to.exists(&real) {
        return Ok(());
    }
    if !to.is_dir(parent(&real)) {
        return fail(format!("no directory for {real}"));
    }
    to.make_dirs(&real, mode, owner)
}

fn mkfile(to: &mut Tree, path: &str, mode: i32, data: &[u8], owner: Option<(u32, u32)>, timestamp: i64) -> Result<()> {
    let real = to.resolve(path, true)?;
    if real == "/" || !to.is_dir(parent(&real)) {
        return fail(format!("no directory for {real}"));
    }
    let new_inode = to.next_inode();
    // Whatever "now" is, it is not the time of an older file.
    let time = if timestamp == -1 { new_inode as i64 + 1_000_000 } else { timestamp };
    let data = Rc::new(data.to_vec());
    let (mode, owner, inode) = match to.get(&real) {
        None => (if mode == -1 { 0o644 } else { mode as u32 & 0o777 }, owner.unwrap_or_default(), new_inode),
        Some(Entry::File { mode, owner: old, inode, .. }) => {
            // A committed file is copied first: the other names keep the old one.
            let inode = if to.is_fresh(*inode) { *inode } else { new_inode };
            (*mode, owner.unwrap_or(*old), inode)
        }
        Some(_) => return fail(format!("{real} is no regular file")),
    };
    let written = Entry::File { mode, owner, data, time, inode };
    let is_it = |path: &String, entry: &Entry| {
        *path == real || matches!(entry, Entry::File { inode: other, .. } if *other == inode)
    };
    let mut names: Vec<String> =
        to.entries.iter().filter(|(path, entry)| is_it(path, entry)).map(|(path, _)| path.clone()).collect();
    names.push(real);
    names.into_iter().for_each(|name| drop(to.entries.insert(name, written.clone())));
    Ok(())
}

fn symlink(to: &mut Tree, text: &str, path: &str, owner: Option<(u32, u32)>) -> Result<()> {
    let real = to.resolve(path, true)?;
    if to.exists(&real) || !to.is_dir(parent(&real)) {
        return fail(format!("no place for {real}"));
    }
    to.entries.insert(real, Entry::Link { text: text.to_owned(), owner: owner.unwrap_or_default() });
    Ok(())
}

fn rm(to: &mut Tree, path: &str, allow_not_found: bool) -> Result<()> {
    if path == "/" {
        return fail("the root stays");
    }
    let real = to.resolve(path, false);
    match real {
        Ok(real) if to.exists(&real) => {
            to.remove(&real);
            Ok(())
        }
        _ if allow_not_found => Ok(()),
        _ => fail(format!("{path} is missing")),
    }
}

fn copy_all(copy: &CopyAction, to: &mut Tree, from: &Tree, owner: Option<(u32, u32)>) -> Result<()> {
    let (src, dest) = (with_slash(&copy.src), with_slash(&copy.dest));
    if !copy.create_dest_path {
        let real = to.resolve(&dest, true)?;
        if !to.exists(parent(&real)) {
            return fail(format!("no directory for {real}"));
        }
    }
    let sources = match src.strip_suffix("/*").filter(|_| copy.allow_wildcard) {
        None => vec![src],
        Some(dir) => {
            let real = from.resolve(if dir.is_empty() { "/" } else { dir }, copy.follow_symlink || dir.is_empty())?;
            if !from.exists(&real) {
                return fail(format!("{dir} not found"));
            }
            let names = if from.is_dir(&real) { from.names(&real) } else { Vec::new() };
            names.iter().map(|name| format!("{}/{name}", real.trim_end_matches('/'))).collect()
        }
    };
    if sources.is_empty() && !copy.allow_empty_wildcard {
        return fail("nothing matches");
    }
    sources.iter().try_for_each(|source| {
        let mut copier = Copier { copy, owner, from, to, first: BTreeMap::new() };
        copier.run(source, &dest)
    })
}

struct Copier<'a> {
    copy: &'a CopyAction,
    owner: Option<(u32, u32)>,
    from: &'a Tree,
    to: &'a mut Tree,
    /// Copies of files with several names, by inode of the source.
    first: BTreeMap<u64, u64>,
}

impl Copier<'_> {
    fn run(&mut self, src: &str, dest: &str) -> Result<()> {
        let wanted = if dest.ends_with('/') { dest } else { parent(dest) };
        self.make_dirs(wanted)?;
        let real = self.from.resolve(src, self.copy.follow_symlink)?;
        if !self.from.exists(&real) {
            return fail(format!("{src} not found"));
        }
        let is_dir = self.from.is_dir(&real);
        let landed = self.to.resolve(dest, true)?;
        let into = match (is_dir, self.to.exists(&landed)) {
            (true, there) => there && !self.copy.dir_copy_contents,
            (false, there) => there && self.to.is_dir(&landed),
        };
        let name = src.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let target = match into && !name.is_empty() {
            true => format!("{}/{name}", landed.trim_end_matches('/')),
            false => landed,
        };
        let above = if self.copy.dir_copy_contents && is_dir && !self.to.exists(&target) {
            target.clone()
        } else {
            parent(&target).to_owned()
        };
        self.make_dirs(&above)?;
        match is_dir {
            true => self.dir(&real, &target, true),
            false => self.leaf(&real, &target),
        }
    }

    fn make_dirs(&mut self, path: &str) -> Result<()> {
        let mode = if self.copy.mode >= 0 { self.copy.mode as u32 } else { 0o755 };
        self.to.make_dirs(path, mode, self.owner.unwrap_or_default())
    }

    fn mode(&self, mode: u32) -> u32 {
        if self.copy.mode >= 0 { self.copy.mode as u32 & 0o7777 } else { mode }
    }

    fn dir(&mut self, src: &str, target: &str, top: bool) -> Result<()> {
        let (mode, owner) = match self.from.get(src) {
            Some(Entry::Dir { mode, owner }) => (*mode, *owner),
            _ => (0o755, (0, 0)),
        };
        let there = self.to.exists(target);
        if there && !self.to.is_dir(target) {
            if !self.copy.always_replace_existing_dest_paths {
                return fail(format!("{target} is no directory"));
            }
            self.to.remove(target);
        }
        let made = !self.to.is_dir(target);
        if target != "/" && (made || !top) {
            let entry = Entry::Dir { mode: self.mode(mode), owner: self.owner.unwrap_or(owner) };
            self.to.entries.insert(target.to_owned(), entry);
        }
        for name in self.from.names(src) {
            let child = |dir: &str| format!("{}/{name}", dir.trim_end_matches('/'));
            let (source, target) = (child(src), child(target));
            if self.from.is_dir(&source) { self.dir(&source, &target, false)? } else { self.leaf(&source, &target)? }
        }
        Ok(())
    }

    fn leaf(&mut self, src: &str, target: &str) -> Result<()> {
        if self.to.is_dir(target) && !self.copy.always_replace_existing_dest_paths || target == "/" {
            return fail(format!("{target} is a directory"));
        }
        self.to.remove(target);
        let entry = match self.from.get(src) {
            Some(Entry::File { mode, owner, data, time, inode }) => {
                let linked = self.from.names_of(*inode) > 1;
                let fresh = self.to.next_inode();
                let inode = if linked { *self.first.entry(*inode).or_insert(fresh) } else { fresh };
                let time = if self.copy.timestamp == -1 { *time } else { self.copy.timestamp };
                let (mode, owner) = (self.mode(*mode), self.owner.unwrap_or(*owner));
                Entry::File { mode, owner, data: data.clone(), time, inode }
            }
            Some(Entry::Link { text, owner }) => {
                Entry::Link { text: text.clone(), owner: self.owner.unwrap_or(*owner) }
            }
            _ => return fail(format!("{src} not found")),
        };
        self.to.entries.insert(target.to_owned(), entry);
        Ok(())
    }
}

fn clean(path: &str) -> String {
    oci::text::clean_path(&format!("/{path}")).to_string()
}

/// Clean, but for a slash at the end, which says "directory".
fn with_slash(path: &str) -> String {
    let clean = clean(path);
    if (path.ends_with('/') || path.ends_with("/.")) && clean != "/" { format!("{clean}/") } else { clean }
}
