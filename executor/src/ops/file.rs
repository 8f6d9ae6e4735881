//! File operations: a list of actions, each on an input or on what an earlier action made.
//!
//! Actions in a row share one tree being changed; a tree is committed when it is an output or when more than one action
//! starts from it. Sources are read where they are: a user's directory is not copied first.

mod again;
mod owner;
mod simple;
#[cfg(test)]
mod tests;
mod unpack;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use llb::{CopyAction, FileAction, FileActionKind, Owner};
use oci::ignore::Patterns;

use self::simple::Made;
use crate::ops::Context;
use crate::rootfs::Tree;
use crate::snapshot::copy::{self, Options, not_found};
use crate::snapshot::mode::ModeChange;
use crate::snapshot::{Active, Committed, Files};
use crate::sources::local;
use crate::{Error, Result};

/// Runs the actions; returns the outputs by number.
pub fn run(actions: &[FileAction], inputs: &[Committed], context: Context<'_>) -> Result<Vec<Committed>> {
    let mut run =
        Run { inputs, context, uses: uses(actions, inputs.len())?, made: Vec::new(), opened: BTreeMap::new() };
    if let Some(tree) = again::run(&mut run, actions)? {
        return Ok(vec![tree]);
    }
    let mut outputs = BTreeMap::new();
    for (index, action) in actions.iter().enumerate() {
        context.cancel.check()?;
        let made = run.action(action)?;
        run.made.push(made);
        if action.output >= 0 && outputs.insert(action.output, inputs.len() + index).is_some() {
            return Err(Error::Definition(format!("duplicate output {}", action.output)));
        }
    }
    if outputs.is_empty() {
        return Err(Error::Definition("no outputs specified".into()));
    }
    if let Some(missing) = (0..outputs.len() as i64).find(|number| !outputs.contains_key(number)) {
        return Err(Error::Definition(format!("missing output index {missing}")));
    }
    outputs.into_values().map(|position| run.commit(position)).collect()
}

/// How often each input and each action's result is used, an output counted too. **Errors**: positions out of range, or
/// of actions that come later.
fn uses(actions: &[FileAction], inputs: usize) -> Result<Vec<usize>> {
    let mut uses = vec![0; inputs + actions.len()];
    for (index, action) in actions.iter().enumerate() {
        for position in [action.input, action.secondary_input] {
            if position < -1 || position >= (inputs + index) as i64 {
                return Err(Error::Definition(format!("invalid input index {position}, {} provided", inputs + index)));
            }
            if position >= 0 {
                uses[position as usize] += 1;
            }
        }
        if action.output >= 0 {
            uses[inputs + index] += 1;
        }
    }
    Ok(uses)
}

/// What an action made.
enum Outcome {
    /// Only the next action wants it.
    Active(Option<Active>),
    /// Committed.
    Tree(Committed),
}

struct Run<'a> {
    inputs: &'a [Committed],
    context: Context<'a>,
    uses: Vec<usize>,
    made: Vec<Outcome>,
    /// Trees opened for reading, by position.
    opened: BTreeMap<usize, OnceLock<Files>>,
}

impl Run<'_> {
    fn action(&mut self, action: &FileAction) -> Result<Outcome> {
        self.open(action)?;
        let active = self.start(action.input)?;
        let tree = Tree::open(active.path()?).map_err(Error::io("open", active.path()?))?;
        self.perform(action, &active, &tree)?;
        drop(tree);
        Ok(Outcome::Active(Some(active)))
    }

    /// The tree that an action changes: that of an earlier one when nobody else wants it, else a new one on top.
    fn start(&mut self, position: i64) -> Result<Active> {
        if let Ok(position) = usize::try_from(position)
            && let Some(index) = position.checked_sub(self.inputs.len())
            && self.uses[position] == 1
            && let Outcome::Active(active) = &mut self.made[index]
        {
            return Ok(active.take().expect("one action wants it"));
        }
        let parent = self.parent(position)?;
        self.context.snapshots.prepare(&parent)
    }

    /// The tree below a new one.
    fn parent(&mut self, position: i64) -> Result<Committed> {
        let Ok(position) = usize::try_from(position) else { return Ok(Committed::default()) };
        let parent = self.commit(position)?;
        local::materialised(&parent, self.context.snapshots, self.context.session, self.context.cancel)
    }

    /// The committed tree at a position.
    fn commit(&mut self, position: usize) -> Result<Committed> {
        let Some(index) = position.checked_sub(self.inputs.len()) else { return Ok(self.inputs[position].clone()) };
        if let Outcome::Active(active) = &mut self.made[index] {
            let active = active.take().expect("whoever takes a tree puts it back or is the only one");
            self.made[index] = Outcome::Tree(self.context.snapshots.commit(active)?);
        }
        match &self.made[index] {
            Outcome::Tree(tree) => Ok(tree.clone()),
            Outcome::Active(_) => unreachable!("it was just committed"),
        }
    }

    /// Opens the trees that an action reads.
    fn open(&mut self, action: &FileAction) -> Result<()> {
        let mut positions = vec![action.secondary_input];
        for owner in owner_of(&action.kind).into_iter() {
            for part in [&owner.user, &owner.group].into_iter().flatten() {
                if let llb::UserOpt::Name { input, .. } = part {
                    positions.push(*input);
                }
            }
        }
        for position in positions.into_iter().filter_map(|position| usize::try_from(position).ok()) {
            if position >= self.inputs.len() + self.made.len() {
                return Err(Error::Definition(format!("invalid user index: {position}")));
            }
            if self.opened.contains_key(&position) {
                continue;
            }
            // An action that changes what it reads: what is read is the tree before.
            let tree = self.commit(position)?;
            let files = local::files(&tree, self.context.snapshots, self.context.session)?;
            self.opened.insert(position, OnceLock::from(files));
        }
        Ok(())
    }

    fn files(&self, position: i64) -> Result<&Files> {
        let found = usize::try_from(position).ok().and_then(|position| self.opened.get(&position)?.get());
        found.ok_or_else(|| Error::Definition(format!("invalid user index: {position}")))
    }

    fn perform(&self, action: &FileAction, active: &Active, tree: &Tree) -> Result<()> {
        let owner = |owner: &Option<Owner>| owner::find(owner.as_ref(), &|position| self.files(position));
        let made = |of: &Option<Owner>, timestamp| Ok::<_, Error>(Made { owner: owner(of)?, time: time(timestamp) });
        match &action.kind {
            FileActionKind::Copy(copy) => self.copy(copy, action.secondary_input, tree, owner(&copy.owner)?),
            FileActionKind::Mkdir { path, mode, make_parents, owner, timestamp } => {
                simple::mkdir(tree, path, *mode as u32, *make_parents, made(owner, *timestamp)?)
            }
            FileActionKind::Mkfile { path, mode, data, owner, timestamp } => {
                simple::mkfile(tree, path, *mode, data, made(owner, *timestamp)?)
            }
            FileActionKind::Symlink { oldpath, newpath, owner, timestamp } => {
                simple::symlink(tree, oldpath, newpath, made(owner, *timestamp)?)
            }
            FileActionKind::Rm { path, allow_not_found, allow_wildcard } => {
                let files = Files::at(active.path()?).map_err(Error::io("open", active.path()?))?;
                simple::rm(tree, &files, &clean(path), *allow_not_found, *allow_wildcard)
            }
        }
    }

    fn copy(&self, copy: &CopyAction, source: i64, to: &Tree, owner: Option<(u32, u32)>) -> Result<()> {
        let scratch;
        let from = match source {
            -1 => {
                let empty = self.context.snapshots.view(&Committed::default())?;
                scratch = Files::of(empty).map_err(Error::io("open", "an empty tree"))?;
                &scratch
            }
            position => self.files(position)?,
        };
        let dest = clean(&copy.dest);
        if !copy.create_dest_path {
            check_parent(to, &dest)?;
        }
        let sources = sources(copy, from)?;
        let options = options(copy, owner)?;
        for source in sources {
            if copy.attempt_unpack
                && let Some(archive) = unpack::open_archive(from, &source)?
            {
                unpack::unpack(archive, to, &dest, owner, options.time, self.context.cancel)?;
                continue;
            }
            copy::copy(from, &source, to, &dest, &options, self.context.cancel)?;
        }
        Ok(())
    }
}

/// The paths that a copy takes.
fn sources(copy: &CopyAction, from: &Files) -> Result<Vec<String>> {
    let src = clean(&copy.src);
    if !copy.allow_wildcard {
        return Ok(vec![src]);
    }
    let sources = simple::resolve(from, &src, copy.follow_symlink)?;
    if sources.is_empty() && !copy.allow_empty_wildcard {
        return Err(Error::NotFound(format!("{src} not found")));
    }
    Ok(sources)
}

pub(crate) fn owner_of(kind: &FileActionKind) -> Option<&Owner> {
    match kind {
        FileActionKind::Copy(copy) => copy.owner.as_ref(),
        FileActionKind::Mkdir { owner, .. }
        | FileActionKind::Mkfile { owner, .. }
        | FileActionKind::Symlink { owner, .. } => owner.as_ref(),
        FileActionKind::Rm { .. } => None,
    }
}

fn options(copy: &CopyAction, owner: Option<(u32, u32)>) -> Result<Options> {
    let patterns = |name: &str, list: &[String]| match list {
        [] => Ok(None),
        list => Patterns::new(list)
            .map(Some)
            .map_err(|error| Error::Invalid(format!("invalid {name}patterns: [{}]: {error}", list.join(" ")))),
    };
    // parity: directories on the way get the permissions of a number, and nothing of a text, be it one.
    let (mode, new_dir) = match (&*copy.mode_str, copy.mode) {
        ("", -1) => (ModeChange::Keep, copy::NEW_DIR),
        ("", mode) => (ModeChange::Set(mode as u32 & 0o7777), mode as u32 & 0o777),
        (text, _) => (ModeChange::parse(text)?, copy::NEW_DIR),
    };
    Ok(Options {
        owner,
        mode,
        new_dir,
        time: time(copy.timestamp),
        include: patterns("include", &copy.include_patterns)?,
        exclude: patterns("exclude", &copy.exclude_patterns)?,
        contents: copy.dir_copy_contents,
        follow: copy.follow_symlink,
        replace: copy.always_replace_existing_dest_paths,
    })
}

fn check_parent(to: &Tree, dest: &str) -> Result<()> {
    let real = to.real_path(std::path::Path::new(dest)).map_err(Error::io("find", dest))?;
    let parent = real.parent().unwrap_or(std::path::Path::new("/"));
    match to.exists(parent) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::NotFound(format!("failed to stat {dest}: {}", not_found(&parent.to_string_lossy())))),
        Err(error) => Err(Error::io("read", parent)(error)),
    }
}

/// Seconds and nanoseconds of a timestamp in nanoseconds; -1 is none.
fn time(timestamp: i64) -> Option<(i64, i64)> {
    (timestamp != -1).then(|| (timestamp.div_euclid(1_000_000_000), timestamp.rem_euclid(1_000_000_000)))
}

/// Makes a path absolute and clean; a slash or `/.` at its end stays, because it says something.
fn clean(path: &str) -> String {
    let clean = oci::text::clean_path(&format!("/{path}"));
    match path {
        _ if path.ends_with("/.") => format!("{}/.", clean.trim_end_matches('/')),
        _ if path.ends_with('/') && clean != "/" => format!("{clean}/"),
        _ => clean,
    }
}
