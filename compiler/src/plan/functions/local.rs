//! What is on the client: directories, files, secrets.

use ast::Span;
use ast::builtin::Builtin;
use llb::{CopyAction, Texts, Words};

use super::super::build::{FileChain, Said};
use super::super::stop::{Done, Stop};
use super::super::{build, go};
use super::Evaluator;
use super::call::Application;
use super::value::{Fs, Value};
use crate::{Answer, LocalPath, Needs, Question};

impl Evaluator<'_> {
    /// A path that the program means: relative to its module, or to the home directory.
    pub(super) fn client_path(&mut self, module: usize, path: &str, at: Span) -> Done<String> {
        let Some(rest) = path.strip_prefix('~') else { return Ok(self.beside(module, path)) };
        if !rest.is_empty() && !rest.starts_with('/') {
            return Err(Stop::error("cannot expand user-specific home dir").point(at));
        }
        match self.need(Question::HostEnv("HOME".to_owned()), at)? {
            Answer::Text(Some(home)) => Ok(go::join(home, rest)),
            _ => Err(Stop::error("there is no home directory: HOME is not set").point(at)),
        }
    }

    /// What is at a path of the client.
    pub(super) fn look(&mut self, path: &str, at: Span) -> Done<&LocalPath> {
        let question = Question::LocalPath { path: path.to_owned() };
        match self.need(question, at)? {
            Answer::LocalPath(Some(found)) => Ok(found),
            _ => Err(Stop::error(format!("stat {path}: no such file or directory"))
                .help("a path is relative to the file it stands in")
                .point(at)),
        }
    }

    pub(super) fn local(&mut self, call: &Application<'_>) -> Done<Value> {
        if let Some(file) = self.modules[call.module].tree() {
            let path = super::modules::inside(file, &call.text(0)?);
            let (definition, needs) = (file.definition.clone(), file.needs.clone());
            return self.in_tree(&definition, needs, &path, call);
        }
        let path = self.client_path(call.module, &call.text(0)?, call.span(0))?;
        let found = self.look(&path, call.span(0))?;
        let (directory, id, context) = (found.directory, found.id.clone(), found.context.clone());
        let mut attrs = Texts::default();
        let patterns = |option| call.last(option).map(super::value::Applied::texts).transpose();
        let (include, exclude) = (patterns(Builtin::LocalInclude)?, patterns(Builtin::LocalExclude)?);
        let (include, exclude) = match directory {
            true => (include.unwrap_or_default(), exclude.unwrap_or_default()),
            // A file is all there is to send of its directory.
            false => (vec![go::base(&path).to_owned()], Vec::new()),
        };
        if let Some(context) = context {
            return Ok(self.in_context(&context, &path, directory, (include, exclude), call));
        }
        let mut caps = Words::from(["source.local"]);
        let mut set = |key: &'static str, value: String, cap: &'static str| {
            if !value.is_empty() {
                attrs.insert(key, value);
                caps.insert(cap);
            }
        };
        set("local.includepattern", build::json_list(&include), "source.local.includepatterns");
        set("local.excludepatterns", build::json_list(&exclude), "source.local.excludepatterns");
        set("local.sharedkeyhint", id.clone(), "source.local.sharedkeyhint");
        set("local.unique", id, "source.local.unique");
        let said = self.said(call.trace);
        let edge = build::source_of(&mut self.shared.graph, format!("local://{path}"), attrs, caps, said);
        Ok(self.sent(edge, &path))
    }

    /// A path of the filesystem that the module is a file of, copied to where a directory of its own would have it.
    fn in_tree(&mut self, definition: &[u8], needs: Needs, path: &str, call: &Application<'_>) -> Done<Value> {
        let tree = self.splice(definition)?;
        let patterns = |option| call.last(option).map(super::value::Applied::texts).transpose();
        let copy = CopyAction {
            dir_copy_contents: true,
            include_patterns: patterns(Builtin::LocalInclude)?.unwrap_or_default(),
            exclude_patterns: patterns(Builtin::LocalExclude)?.unwrap_or_default(),
            ..super::super::context::plain_copy(&format!("/{path}"), "/")
        };
        let said = self.said(call.trace);
        let mut chain = FileChain::on(None);
        chain.copy(Some(tree), copy);
        let edge = chain.finish(&mut self.shared.graph, said);
        let fs = Fs { needs, ..Fs::source(edge, self.platform.clone()) };
        Ok(Value::Fs(Box::new(fs)))
    }

    /// A path of the build context: what is there, copied to where a directory of its own would have it.
    fn in_context(
        &mut self,
        context: &str,
        path: &str,
        directory: bool,
        (include_patterns, exclude_patterns): (Vec<String>, Vec<String>),
        call: &Application<'_>,
    ) -> Value {
        let followed = if path == "." { Vec::new() } else { vec![path.into()] };
        let local = build::Local { name: context.into(), shared_key: context.into(), followed, ..Default::default() };
        let said = self.said(call.trace);
        let graph = &mut self.shared.graph;
        let whole = build::local(graph, local, Said::named("[internal] load build context"));
        let plain = super::super::context::plain_copy(path, "/");
        let copy = CopyAction {
            dir_copy_contents: directory,
            create_dest_path: true,
            include_patterns: if directory { include_patterns } else { Vec::new() },
            exclude_patterns,
            ..plain
        };
        let mut chain = FileChain::on(None);
        chain.copy(Some(whole), copy);
        let edge = chain.finish(graph, said);
        self.sent(edge, path)
    }
}
