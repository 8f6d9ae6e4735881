//! Sources: what filesystems start from.

use ast::builtin::Builtin;
use llb::{Texts, Words};
use oci::{Digest, ImageConfig, Platform, Reference, ReferenceError};

use super::super::build;
use super::super::git::{self, GitRef};
use super::super::stop::{Done, Stop};
use super::call::Application;
use super::files::PERMISSIONS;
use super::value::{Fs, Value, add_needs, directory};
use super::{Evaluator, Named, modules};
use crate::{Answer, Question, ResolveMode};
use ast::Span;

/// A name of an image in full, or what is wrong with it, said of the argument.
pub(super) fn reference(text: &str, at: Span) -> Done<Reference> {
    let wrong = |error: ReferenceError| {
        let why = match error {
            // The argument is pointed at.
            ReferenceError::UppercaseRepository(_) => {
                "invalid reference format: repository name must be lowercase".into()
            }
            other => other.to_string(),
        };
        Stop::error(format!("failed to parse `{text}`: {why}")).point(at)
    };
    Reference::parse(text).map(Reference::or_latest).map_err(wrong)
}

/// `option platform(os, arch)`.
pub(super) fn platform_of(call: &Application<'_>, option: Builtin) -> Done<Option<Platform>> {
    let Some(option) = call.last(option) else { return Ok(None) };
    Ok(Some(Platform::new(&option.text(0)?, &option.text(1)?)))
}

impl Evaluator<'_> {
    pub(super) fn image(&mut self, call: &Application<'_>) -> Done<Value> {
        let at = call.span(0);
        let reference = reference(&call.text(0)?, at)?.to_string();
        let platform = platform_of(call, Builtin::ImagePlatform)?.unwrap_or_else(|| self.platform.clone());
        let question =
            Question::Image { reference: reference.clone(), platform: platform.clone(), mode: ResolveMode::Default };
        let said = self.said(call.trace);
        let graph = &mut self.shared.graph;
        let edge = build::image(graph, &reference, ResolveMode::Default, Some(&platform.clone().into()), said);
        let mut fs = Fs { process_platform: Some(platform.clone()), ..Fs::source(edge, platform) };
        match self.need(question, at) {
            Ok(Answer::Image(image)) => {
                let config = ImageConfig::from_json(&image.config);
                let wrong = |error| Stop::error(format!("failed to parse image config: {error}")).point(at);
                fs.adopt(config.map_err(wrong)?);
            }
            Ok(_) => {}
            Err(stop) => return Err(stop),
        }
        Ok(Value::Fs(Box::new(fs)))
    }

    pub(super) fn http(&mut self, call: &Application<'_>) -> Done<Value> {
        let mut attrs = Texts::default();
        let mut caps = Words::from(["source.http"]);
        if let Some(option) = call.last(Builtin::HttpChecksum) {
            let text = option.text(0)?;
            let digest = Digest::parse(&text).map_err(|error| Stop::error(error.to_string()).point(option.span(0)))?;
            attrs.insert("http.checksum", digest.to_string());
            caps.insert("source.http.checksum");
        }
        if let Some(option) = call.last(Builtin::HttpFilename) {
            attrs.insert("http.filename", option.text(0)?);
        }
        if let Some(option) = call.last(Builtin::HttpChmod) {
            attrs.insert("http.perm", format!("0{:o}", option.int(0)? & PERMISSIONS));
            caps.insert("source.http.perm");
        }
        let said = self.said(call.trace);
        let edge = build::source_of(&mut self.shared.graph, call.text(0)?, attrs, caps, said);
        Ok(Value::Fs(Box::new(Fs::source(edge, self.platform.clone()))))
    }

    pub(super) fn git(&mut self, call: &Application<'_>) -> Done<Value> {
        let remote = call.text(0)?;
        let mut source = match git::parse(&remote) {
            GitRef::Repository(repository) => repository.source,
            GitRef::Bad(message) => return Err(Stop::error(message).point(call.span(0))),
            GitRef::Other => {
                // HLB takes an address of the web without `.git` for a repository, too.
                match git::parse(&format!("{remote}.git")) {
                    GitRef::Repository(repository) if remote.contains("://") => {
                        super::source::without_suffix(repository.source)
                    }
                    _ => {
                        let message = format!("{} is not the address of a repository", ast::quote(remote.as_bytes()));
                        let help = "https://HOST/PATH.git, git@HOST:PATH, or github.com/OWNER/NAME";
                        return Err(Stop::error(message).help(help).point(call.span(0)));
                    }
                }
            }
        };
        // parity: of an address, what follows `#` does not count.
        source.subdir = String::new();
        source.reference = call.text(1)?;
        source.keep_git_dir = call.has(Builtin::GitKeepGitDir);
        if let Some(option) = call.last(Builtin::GitKnownHosts) {
            source.known_hosts = option.text(0)?;
        }
        let said = self.said(call.trace);
        let edge = build::git(&mut self.shared.graph, &source, said);
        Ok(Value::Fs(Box::new(Fs::source(edge, self.platform.clone()))))
    }

    /// What a frontend image makes. It is solved to know what follows, so it is asked for.
    pub(super) fn frontend(&mut self, call: &Application<'_>) -> Done<Value> {
        let source = reference(&call.text(0)?, call.span(0))?.to_string();
        let mut opts = Named::from([("source".to_owned(), source)]);
        let mut inputs = std::collections::BTreeMap::new();
        let mut fs = Fs::scratch(self.platform.clone());
        for option in &call.options {
            let key = option.text(0)?;
            match option.builtin {
                Builtin::FrontendOpt => drop(opts.insert(key, option.text(1)?)),
                Builtin::FrontendInput => {
                    let input = option.args.get(1).cloned().ok_or(Stop::Unknown)?.fs()?;
                    add_needs(&mut fs.needs, &input.needs);
                    inputs.insert(key, modules::definition_of(&self.shared.graph, input.edge)?);
                }
                _ => {}
            }
        }
        let needs = std::mem::take(&mut fs.needs);
        let question = Question::Frontend { opts, inputs, needs: needs.clone() };
        let Answer::Frontend { definition, config } = self.need(question, call.span(0))? else {
            return Err(Stop::Unknown);
        };
        if !definition.is_empty() {
            fs.edge = Some(self.splice(definition)?);
            fs.needs = needs;
        }
        if let Some(config) = config {
            let image = ImageConfig::from_json(config);
            fs.image = image.map_err(|error| Stop::error(format!("failed to parse image config: {error}")))?.into();
        }
        Ok(Value::Fs(Box::new(fs)))
    }

    /// Adds the vertices of a definition.
    pub(super) fn splice(&mut self, definition: &[u8]) -> Done<llb::Edge> {
        let wrong = |error: &dyn std::fmt::Display| Stop::error(format!("this is no definition: {error}"));
        let decoded = llb::decode(definition).map_err(|error| wrong(&error))?;
        let offset = self.shared.graph.nodes.len() as u32;
        let moved = |edge: llb::Edge| llb::Edge { node: llb::NodeId(edge.node.0 + offset), ..edge };
        for mut node in decoded.graph.nodes {
            node.inputs.iter_mut().for_each(|edge| *edge = moved(*edge));
            node.locations.clear();
            self.shared.graph.nodes.push(node);
        }
        let output = decoded.graph.outputs.first().and_then(|output| output.edge);
        output.map(moved).ok_or_else(|| wrong(&"it has no result"))
    }

    /// A filesystem as a copy of itself, whose key is what is in it.
    pub(super) fn copied(&mut self, value: Value) -> Done<Value> {
        let source = value.fs()?;
        let mut chain = build::FileChain::on(None);
        let action = llb::CopyAction {
            src: "/".to_owned(),
            dest: "/".to_owned(),
            mode: -1,
            timestamp: -1,
            ..Default::default()
        };
        chain.copy(source.edge, action);
        let edge = chain.finish(&mut self.shared.graph, build::Said::default());
        let fs = Fs { needs: source.needs, ..Fs::source(edge, source.platform) };
        Ok(Value::Fs(Box::new(fs)))
    }

    /// A filesystem that the client sends.
    pub(super) fn sent(&self, edge: llb::Edge, path: &str) -> Value {
        let fs = Fs::source(edge, self.platform.clone());
        Value::Fs(Box::new(Fs { needs: directory(path, path), ..fs }))
    }
}

/// The address as it was written.
fn without_suffix(mut source: build::Git) -> build::Git {
    let cut = |text: &mut String| {
        if let Some(length) = text.strip_suffix(".git").map(str::len) {
            text.truncate(length);
        }
    };
    cut(&mut source.path);
    cut(&mut source.remote);
    source
}
