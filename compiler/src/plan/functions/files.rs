//! File operations, merge and diff.

use ast::builtin::Builtin;
use llb::{CopyAction, FileActionKind, Owner};

use super::super::build::{self, FileChain};
use super::super::stop::{Done, Stop};
use super::call::Application;
use super::value::{Applied, Fs, Value};
use super::{Evaluator, time};

/// The nine bits that directories and files are made with.
pub(super) const PERMISSIONS: i64 = 0o777;

/// Nanoseconds since the epoch; -1 is now, or what the source has.
fn timestamp(option: Option<&Applied>) -> Done<i64> {
    let Some(option) = option else { return Ok(-1) };
    let text = option.text(0)?;
    time::parse(&text).map_err(|message| {
        Stop::error(message).help("write it as RFC 3339 does: 2026-02-03T04:05:06Z").point(option.span(0))
    })
}

fn owner(chain: &FileChain, option: Option<&Applied>) -> Done<Option<Owner>> {
    option.map(|option| Ok(chain.owner(&option.text(0)?))).transpose()
}

impl Evaluator<'_> {
    pub(super) fn file(&mut self, call: &Application<'_>, value: Value) -> Done<Value> {
        let mut fs = value.fs()?;
        let mut chain = FileChain::on(fs.edge);
        let path = fs.path(&call.text(0)?);
        chain.act(action(call, &chain, path)?);
        let said = self.said(call.trace);
        fs.edge = Some(chain.finish(&mut self.shared.graph, said));
        Ok(Value::Fs(fs))
    }

    pub(super) fn copy(&mut self, call: &Application<'_>, value: Value) -> Done<Value> {
        let mut fs = value.fs()?;
        let input = call.fs(0)?;
        let (src, dest) = (call.text(1)?, call.text(2)?);
        let linked = call.has(Builtin::CopyLink);
        let mut chain = FileChain::on(fs.edge.filter(|_| !linked));
        let patterns = |kind| -> Done<Vec<String>> {
            let all = call.options.iter().filter(|option| option.builtin == kind).map(Applied::texts);
            Ok(all.collect::<Done<Vec<_>>>()?.concat())
        };
        let mode = call.last(Builtin::CopyChmod).map(|option| option.int(0)).transpose()?;
        let action = CopyAction {
            src: input.path(&src),
            dest: fs.path_of_copy(&dest),
            owner: owner(&chain, call.last(Builtin::CopyChown))?,
            mode: mode.map_or(-1, |mode| mode as i32),
            timestamp: timestamp(call.last(Builtin::CopyCreatedTime))?,
            follow_symlink: call.has(Builtin::CopyFollowSymlinks),
            dir_copy_contents: call.has(Builtin::CopyContentsOnly),
            attempt_unpack: call.has(Builtin::CopyUnpack),
            create_dest_path: call.has(Builtin::CopyCreateDestPath),
            allow_wildcard: call.has(Builtin::CopyAllowWildcard),
            allow_empty_wildcard: call.has(Builtin::CopyAllowEmptyWildcard),
            include_patterns: patterns(Builtin::CopyInclude)?,
            exclude_patterns: patterns(Builtin::CopyExclude)?,
            ..CopyAction::default()
        };
        chain.copy(input.edge, action);
        let (said, graph) = (self.said(call.trace), &mut self.shared.graph);
        let copied = chain.finish(graph, said);
        fs.edge = Some(match linked {
            true => build::merge(graph, fs.edge, copied, build::Said::default()),
            false => copied,
        });
        fs.inherit(&input);
        fs.commit(false, format!("COPY {src} {dest}"));
        Ok(Value::Fs(fs))
    }

    pub(super) fn merge(&mut self, call: &Application<'_>, value: Value) -> Done<Value> {
        let mut fs = value.fs()?;
        if call.args.is_empty() {
            return Err(Stop::error("merge takes at least one filesystem as arguments"));
        }
        let inputs = (0..call.args.len()).map(|at| call.fs(at)).collect::<Done<Vec<_>>>()?;
        inputs.iter().for_each(|input| fs.inherit(input));
        let before = fs.clone();
        let layers: Vec<&Fs> = std::iter::once(&*before).chain(inputs.iter().map(|input| &**input)).collect();
        let layers: Vec<&Fs> = layers.into_iter().filter(|layer| layer.edge.is_some()).collect();
        let nothing = Fs::scratch(self.platform.clone());
        // Settings of processes are those of the first there is.
        fs.take_settings(layers.first().copied().unwrap_or(&nothing));
        let edges: Vec<_> = layers.iter().filter_map(|layer| layer.edge).collect();
        fs.edge = match &edges[..] {
            [] => None,
            [only] => Some(*only),
            several => {
                let said = self.said(call.trace);
                Some(build::merge_all(&mut self.shared.graph, several.to_vec(), said))
            }
        };
        fs.commit(false, "MERGE / /".to_owned());
        Ok(Value::Fs(fs))
    }

    /// parity: settings of processes become those of the base, and the vertex has no place.
    pub(super) fn diff(&mut self, call: &Application<'_>, value: Value) -> Done<Value> {
        let mut fs = value.fs()?;
        let base = call.fs(0)?;
        if base.edge.is_some() {
            let (lower, upper) = (base.edge, fs.edge);
            fs.edge = Some(build::diff(&mut self.shared.graph, lower, upper));
            fs.take_settings(&base);
        }
        fs.commit(false, "DIFF / /".to_owned());
        Ok(Value::Fs(fs))
    }
}

fn action(call: &Application<'_>, chain: &FileChain, path: String) -> Done<FileActionKind> {
    let mode = || Ok::<_, Stop>((call.int(1)? & PERMISSIONS) as i32);
    Ok(match call.row.builtin {
        Builtin::Mkdir => FileActionKind::Mkdir {
            path,
            mode: mode()?,
            make_parents: call.has(Builtin::MkdirCreateParents),
            owner: owner(chain, call.last(Builtin::MkdirChown))?,
            timestamp: timestamp(call.last(Builtin::MkdirCreatedTime))?,
        },
        Builtin::Mkfile => FileActionKind::Mkfile {
            path,
            mode: mode()?,
            data: call.text(2)?.into_bytes(),
            owner: owner(chain, call.last(Builtin::MkfileChown))?,
            timestamp: timestamp(call.last(Builtin::MkfileCreatedTime))?,
        },
        _ => FileActionKind::Rm {
            path,
            allow_not_found: call.has(Builtin::RmAllowNotFound),
            allow_wildcard: call.has(Builtin::RmAllowWildcard),
        },
    })
}

impl Fs {
    /// Processes start with what another filesystem says.
    fn take_settings(&mut self, other: &Self) {
        self.env.clone_from(&other.env);
        self.cwd.clone_from(&other.cwd);
        self.user.clone_from(&other.user);
        self.process_platform.clone_from(&other.process_platform);
    }
}
