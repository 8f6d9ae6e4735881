//! A copy of a user's directory, made from where the last one was ([`crate::snapshot::copied`]).
//!
//! One file of twenty thousand changed: the tree of last time with that file on top is the tree of now. It is one layer of an
//! image all the same, the one a whole copy would be ([`crate::snapshot::Contents::continues`]). Without overlay mounts there
//! is no such tree, and all is copied.

use std::path::Path;
use std::sync::Arc;

use llb::{CopyAction, FileAction, FileActionKind, UserOpt};
use oci::Digest;
use rustix::fs::FileType;

use super::{Run, clean, options, owner, sources};
use crate::ops::Context;
use crate::rootfs::Tree;
use crate::snapshot::copied::{Copied, Copies, Record};
use crate::snapshot::copy::{self, Options};
use crate::snapshot::{Active, Committed, Files, Node, stack};
use crate::{Error, Result};

/// An operation that can be done so: directories are made, a directory's contents are copied into one of them or into one that
/// is made if need be, and directories are made again (`WORKDIR`, `COPY`, `WORKDIR`, which the optimizer makes one vertex).
struct Steps<'a> {
    before: &'a [FileAction],
    action: &'a FileAction,
    copy: &'a CopyAction,
    after: &'a [FileAction],
}

impl<'a> Steps<'a> {
    /// Those actions, if they are such. Each changes what the one before it made, of `inputs` trees.
    fn of(actions: &'a [FileAction], inputs: usize) -> Option<Self> {
        let at = actions.iter().position(|action| matches!(action.kind, FileActionKind::Copy(_)))?;
        let (before, rest) = actions.split_at(at);
        let (action, after) = rest.split_first()?;
        let FileActionKind::Copy(copy) = &action.kind else { return None };
        let fits = copy.dir_copy_contents && copy.create_dest_path && !copy.always_replace_existing_dest_paths;
        let results = inputs as i64..;
        let is_chain = actions.iter().skip(1).zip(results).all(|(action, result)| action.input == result);
        let (last, others) = actions.split_last()?;
        let is_result = last.output == 0 && others.iter().all(|action| action.output == -1);
        let directories = before.iter().chain(after).all(makes_directory);
        (fits && is_chain && is_result && directories).then_some(Self { before, action, copy, after })
    }

    /// The tree that all is made on.
    fn base(&self) -> i64 {
        self.before.first().unwrap_or(self.action).input
    }
}

/// Whether an action makes a directory, the same on the same tree whatever else there is: owners are numbers.
fn makes_directory(action: &FileAction) -> bool {
    let FileActionKind::Mkdir { owner, .. } = &action.kind else { return false };
    let parts = owner.iter().flat_map(|owner| [&owner.user, &owner.group]).flatten();
    parts.into_iter().all(|part| !matches!(part, UserOpt::Name { .. }))
}

/// Runs the actions if they are such a copy.
pub(super) fn run(run: &mut Run<'_>, actions: &[FileAction]) -> Result<Option<Committed>> {
    let context = run.context;
    let Some(steps) = Steps::of(actions, run.inputs.len()) else { return Ok(None) };
    let (action, copy) = (steps.action, steps.copy);
    let Ok(from) = usize::try_from(action.secondary_input) else { return Ok(None) };
    let Some(root) = run.inputs.get(from).and_then(|from| context.session.opened.root(from)) else { return Ok(None) };
    run.open(action)?;
    let parent = run.parent(steps.base())?;
    let run = &*run;
    let files = run.files(action.secondary_input)?;
    let found = sources(copy, files)?;
    let [source] = found.as_slice() else { return Ok(None) };
    let Some(node) = directory(files, source, copy)? else { return Ok(None) };
    let vertex = context.progress.digest.as_str().as_bytes();
    let key = Digest::sha256(&[vertex, b"\0", root.as_os_str().as_encoded_bytes()].concat());
    let again = Again {
        run,
        context,
        files,
        source,
        dest: &clean(&copy.dest),
        node,
        options: options(copy, owner::find(copy.owner.as_ref(), &|position| run.files(position))?)?,
        copies: Copies::new(context.store.root(), &key, context.store.temp()),
        steps: &steps,
    };
    if let Some(tree) = again.part(&parent)? {
        return Ok(Some(tree));
    }
    again.whole(&parent).map(Some)
}

/// What a listing has of a source, if it is a directory.
fn directory<'a>(files: &'a Files, source: &str, copy: &CopyAction) -> Result<Option<&'a Arc<Node>>> {
    let real = files.real_path(Path::new(source), copy.follow_symlink).map_err(Error::io("find", source))?;
    Ok(files.node(&real).filter(|node| stack::kind(&node.stat) == FileType::Directory))
}

struct Again<'a> {
    run: &'a Run<'a>,
    steps: &'a Steps<'a>,
    context: Context<'a>,
    files: &'a Files,
    source: &'a str,
    dest: &'a str,
    node: &'a Node,
    options: Options,
    copies: Copies<'a>,
}

impl Again<'_> {
    /// Copies what changed on top of the last copy, if there is one that is good for it. It was made on the same tree, so that
    /// the directories before it are there; of those behind it nothing vanished, but one may come from the copy now.
    fn part(&self, parent: &Committed) -> Result<Option<Committed>> {
        let snapshots = self.context.snapshots;
        if self.context.node.meta.ignore_cache {
            return Ok(None);
        }
        let Some(bytes) = self.copies.load() else { return Ok(None) };
        let Some(copied) = Copied::parse(&bytes).filter(|copied| copied.can_continue(parent, self.node, snapshots))
        else {
            return Ok(None);
        };
        if !snapshots.stacks()? {
            return Ok(None);
        }
        let active = snapshots.prepare(&copied.tree)?.continuing();
        let Some(record) = self.copy(&active, Some(&copied))? else { return Ok(None) };
        self.make(&active, self.steps.after)?;
        let tree = snapshots.commit(active)?;
        let top = tree.layers.last().expect("a layer was committed");
        if snapshots.contents(top)?.continues.is_none() {
            snapshots.remove(top)?;
            return Ok(None);
        }
        self.keep(record, tree).map(Some)
    }

    fn whole(&self, parent: &Committed) -> Result<Committed> {
        let active = self.context.snapshots.prepare(parent)?;
        self.make(&active, self.steps.before)?;
        let record = self.copy(&active, None)?.expect("a whole copy is what it is");
        self.make(&active, self.steps.after)?;
        self.keep(record, self.context.snapshots.commit(active)?)
    }

    /// Makes directories.
    fn make(&self, active: &Active, directories: &[FileAction]) -> Result<()> {
        let tree = Tree::open(active.path()?).map_err(Error::io("open", active.path()?))?;
        directories.iter().try_for_each(|action| self.run.perform(action, active, &tree))
    }

    fn copy(&self, active: &Active, copied: Option<&Copied<'_>>) -> Result<Option<Record>> {
        let tree = Tree::open(active.path()?).map_err(Error::io("open", active.path()?))?;
        copy::copy_again(self.files, self.source, &tree, self.dest, &self.options, copied, self.context.cancel)
    }

    fn keep(&self, record: Record, tree: Committed) -> Result<Committed> {
        record.save(&self.copies, &self.node.seen, &tree)?;
        Ok(tree)
    }
}
