//! Named contexts: what takes the place of a stage or an image. Mirrors `dockerui/namedcontext.go` of BuildKit v0.32.

use std::sync::Arc;

use llb::Edge;
use oci::{ConfigError, Digest, ImageConfig, Platform, Reference, ignore};

use super::build::{self, Git, Local, Said};
use super::git::{self, GitRef};
use super::go;
use super::paths::PathsId;
use super::planner::Planner;
use super::stages::{SCRATCH, Stage};
use super::state::State;
use super::stop::{Done, Stop};
use crate::{Answer, Question, ResolveMode};

/// An option `context:<name>` that applies.
#[derive(Clone, Debug)]
pub(super) struct NamedContext {
    /// Its value.
    input: String,
    /// Its name.
    name: String,
    /// Its name as the option has it, perhaps with a platform.
    key: String,
    /// The platform wanted.
    platform: Option<Arc<Platform>>,
    /// Where images are looked up.
    mode: ResolveMode,
    /// How often a source policy put something else in its place.
    replaced: usize,
}

/// How often a source policy may put something else in the place of a context.
const MAX_REPLACED: usize = 10;

/// What a named context is.
#[derive(Default)]
pub(super) struct Loaded {
    /// The filesystem; `None` is scratch.
    pub(super) edge: Option<Edge>,
    /// Its config, if it is an image.
    pub(super) image: Option<ImageConfig>,
    /// What to ask for its time.
    pub(super) time: Option<Question>,
}

/// A local context that is completed when all its uses are known.
pub(super) struct PendingLocal {
    edge: Edge,
    local: Local<'static>,
    paths: Option<PathsId>,
}

impl NamedContext {
    /// The same context with another source.
    fn replaced(&self, source: &str) -> Done<Self> {
        if self.replaced == MAX_REPLACED {
            return Err(Stop::error(format!(
                "context recursion limit exceeded; this may indicate a cycle in the provided source policies: {}",
                self.input
            )));
        }
        // A directory of the client is named without slashes.
        let input = match source.strip_prefix("local://") {
            Some(name) => format!("local:{name}"),
            None => source.to_owned(),
        };
        Ok(Self { input, replaced: self.replaced + 1, ..self.clone() })
    }
}

impl Planner<'_> {
    /// The context that takes the place of a stage.
    pub(super) fn stage_context(&mut self, stage: &Stage<'_>) -> Done<Option<NamedContext>> {
        if stage.name.is_empty() {
            return Ok(None);
        }
        self.named_context(stage.name, stage.platform.as_ref()).map_err(|stop| stop.nowhere(stage.span))
    }

    /// The context of a name, unless the name is taken.
    pub(super) fn named_context(&mut self, name: &str, platform: Option<&Arc<Platform>>) -> Done<Option<NamedContext>> {
        if go::equal_fold(name, SCRATCH) || go::equal_fold(name, "context") {
            return Ok(None);
        }
        let explicit = (!self.target.implicit).then_some(&self.target.platform);
        let platform = platform.or(explicit).cloned();
        self.find_context(name, platform, self.settings.resolve_mode)
    }

    /// The option that names a context, with the platform or without.
    pub(super) fn find_context(
        &mut self,
        name: &str,
        platform: Option<Arc<Platform>>,
        mode: ResolveMode,
    ) -> Done<Option<NamedContext>> {
        let invalid = |error| Stop::error(format!("invalid context name {name}: {error}"));
        if !self.settings.has_contexts {
            return Reference::check(name).map(|()| None).map_err(invalid);
        }
        let familiar = Reference::parse(name).map_err(invalid)?.familiar();
        let name = familiar.strip_suffix(":latest").unwrap_or(&familiar);
        let wanted = platform.as_deref().unwrap_or(&self.settings.build_platforms[0]).normalize();
        let keys = [format!("{name}::{wanted}"), name.to_owned()];
        let found = keys.into_iter().find_map(|key| {
            let input = self.settings.opt(&format!("context:{key}"))?.to_owned();
            Some(NamedContext { input, name: name.to_owned(), key, platform: platform.clone(), mode, replaced: 0 })
        });
        Ok(found)
    }

    /// Loads a named context. `paths` is where uses of a local one are marked; all of it is used without.
    pub(super) fn load(&mut self, context: &NamedContext, paths: Option<PathsId>) -> Done<Loaded> {
        let NamedContext { input, key, .. } = context;
        let Some((kind, rest)) = input.split_once(':') else {
            return Err(Stop::error(format!("invalid context specifier {input} for {key}"))
                .help("a context is docker-image://…, oci-layout://…, local:…, an address of git, or one on the web"));
        };
        let kind = if kind.starts_with("git@") { "git" } else { kind };
        let target = rest.strip_prefix("//").unwrap_or(rest);
        match kind {
            "docker-image" => self.load_image(context, target, paths),
            "oci-layout" => self.load_layout(context, target),
            "git" => match git::parse(input) {
                GitRef::Other => Err(Stop::error(format!("invalid git context {input}"))),
                parsed => self.load_git(input, parsed),
            },
            "http" | "https" => match git::parse(input) {
                GitRef::Other => {
                    let said = Said::named(format!("[context {key}] {input}"));
                    let edge = build::http(&mut self.shared.graph, input, "context", "", said);
                    let time = Question::Timestamp { source: input.clone(), remote: None };
                    Ok(Loaded { edge: Some(edge), time: Some(time), image: None })
                }
                parsed => self.load_git(input, parsed),
            },
            "local" => self.load_local(context, rest, paths),
            "input" => self.load_input(context, rest),
            other => Err(Stop::error(format!("unsupported context source {other} for {key}"))
                .help("supported are docker-image, oci-layout, local, git, http and https")),
        }
    }

    fn load_image(&mut self, context: &NamedContext, name: &str, paths: Option<PathsId>) -> Done<Loaded> {
        if name == SCRATCH {
            return Ok(Loaded::default());
        }
        let reference = Reference::parse(name).map_err(|error| Stop::error(error.to_string()))?;
        let reference = reference.or_latest().to_string();
        if let Some(context) = self.instead_of(&reference, context)? {
            return self.load(&context, paths);
        }
        let mut image = self.ask_image(&reference, context.platform.as_deref(), context.mode)?;
        image.created = None;
        let said = Said::named(format!("[context {}] {name}", context.key));
        let platform = Some(self.or_target(context.platform.as_ref()));
        let graph = &mut self.shared.graph;
        let edge = build::image(graph, &reference, ResolveMode::Default, platform.as_ref(), said);
        Ok(Loaded { edge: Some(edge), image: Some(image), time: None })
    }

    /// What a source policy puts in the place of the image of a context.
    fn instead_of(&mut self, reference: &str, context: &NamedContext) -> Done<Option<NamedContext>> {
        let platform = context.platform.as_deref().unwrap_or(&self.settings.build_platforms[0]).clone();
        let question = Question::Image { reference: reference.to_owned(), platform, mode: context.mode };
        let source = self.ask(question)?.err().and_then(|error| error.instead.as_deref());
        source.map(|source| context.replaced(source)).transpose()
    }

    fn load_layout(&mut self, context: &NamedContext, spec: &str) -> Done<Loaded> {
        let name = &context.name;
        let is_own = self.request.module.contexts.iter().any(|own| own.name.text == *name);
        let (store, digest) = split_layout(spec, is_own)?;
        let named = Reference::parse(name)
            .map_err(|error| Stop::error(format!("could not parse oci-layout reference {}: {error}", quote(name))))?;
        let asked = match &digest {
            Some(digest) => format!("oci-layout://{store}@{digest}"),
            None => format!("oci-layout://{spec}"),
        };
        let (found, image) = self.ask_config(&asked, context.platform.as_deref(), context.mode)?;
        let digest = digest.or(found).ok_or_else(|| Stop::error(format!("the digest of {asked} is not known")))?;
        let reference = named.with_digest(digest).to_string();
        let said = Said::named(format!("[context {}] OCI load from client", context.key));
        let platform = Some(self.or_target(context.platform.as_ref()));
        let (session, graph) = (self.settings.session, &mut self.shared.graph);
        let edge = build::oci_layout(graph, &reference, session, &store, platform.as_ref(), said);
        Ok(Loaded { edge: Some(edge), image: Some(image), time: None })
    }

    fn load_git(&mut self, input: &str, parsed: GitRef) -> Done<Loaded> {
        let source = match parsed {
            GitRef::Repository(repository) => {
                Git { keep_git_dir: repository.keep_git_dir == Some(true), ..repository.source }
            }
            GitRef::Bad(message) => return Err(Stop::error(message)),
            GitRef::Other => return Err(Stop::error(format!("invalid git context {input}"))),
        };
        let said = super::context::internal(&format!("load git source {input}"));
        let edge = build::git(&mut self.shared.graph, &source, said);
        Ok(Loaded { edge: Some(edge), time: Some(source.time()), image: None })
    }

    fn load_input(&mut self, context: &NamedContext, name: &str) -> Done<Loaded> {
        let key = &context.key;
        let Some(input) = self.settings.inputs.get(name) else {
            return Err(Stop::error(format!("invalid input {name} for {key}"))
                .help("inputs come from a client that drives the frontend; a command line has none"));
        };
        let image = match self.settings.opt(&format!("input-metadata:{name}")) {
            Some(metadata) => input_config(metadata, key)?,
            None => None,
        };
        Ok(Loaded { edge: self.shared.graph.graft_fixed(input), image, time: None })
    }

    fn load_local(&mut self, context: &NamedContext, name: &str, paths: Option<PathsId>) -> Done<Loaded> {
        let key = &context.key;
        let excludes = self.ask_file(name, ".dockerignore")?.unwrap_or_default();
        let excludes =
            ignore::read(&excludes).map_err(|error| Stop::error(format!("failed parsing .dockerignore: {error}")))?;
        let shared = self.settings.opt(&format!("sharedkey:localdir:{key}")).unwrap_or_default();
        let local = Local {
            name: name.to_owned().into(),
            session: self.settings.session_of(name).to_owned().into(),
            shared_key: format!("context:{key}-{shared}").into(),
            excludes,
            ..Local::default()
        };
        let said = Said::named(format!("[context {key}] load from client"));
        let edge = build::local(&mut self.shared.graph, Local::default(), said);
        self.locals.push(PendingLocal { edge, local, paths });
        Ok(Loaded { edge: Some(edge), ..Loaded::default() })
    }

    /// Completes local contexts with what was used of each.
    pub(super) fn complete_locals(&mut self) {
        for PendingLocal { edge, local, paths } in std::mem::take(&mut self.locals) {
            let followed = paths.map(|paths| self.paths.followed(paths)).unwrap_or_default();
            Local { followed, ..local }.complete(&mut self.shared.graph, edge);
        }
    }

    /// The config of an image; its errors are the resolver's.
    pub(super) fn ask_image(
        &mut self,
        reference: &str,
        platform: Option<&Platform>,
        mode: ResolveMode,
    ) -> Done<ImageConfig> {
        Ok(self.ask_config(reference, platform, mode)?.1)
    }

    /// The digest of an image, if it has one, and its config.
    fn ask_config(
        &mut self,
        reference: &str,
        platform: Option<&Platform>,
        mode: ResolveMode,
    ) -> Done<(Option<Digest>, ImageConfig)> {
        let (digest, config) = self.resolve_image(reference, platform, mode)?;
        let config = ImageConfig::from_json(config).map_err(|error| match error {
            // The other errors name what they are of.
            ConfigError::Syntax(error) => Stop::error(format!("failed to parse image config: {error}")),
            error => Stop::error(error.to_string()),
        })?;
        Ok((digest, config))
    }

    /// Digest, if it has one, and config of an image.
    pub(super) fn resolve_image(
        &mut self,
        reference: &str,
        platform: Option<&Platform>,
        mode: ResolveMode,
    ) -> Done<(Option<Digest>, &[u8])> {
        let platform = platform.unwrap_or(&self.settings.build_platforms[0]).clone();
        match self.ask(Question::Image { reference: reference.to_owned(), platform, mode })? {
            Ok(Answer::Image(answer)) => Ok((answer.digest.clone(), &answer.config)),
            Ok(_) => Err(Stop::error(format!("{reference}: the answer is no image"))),
            Err(error) => {
                let stop = Stop::error(error.message.clone());
                Err(match &error.help {
                    Some(help) => stop.help(help),
                    None => stop,
                })
            }
        }
    }

    /// A platform, or else the one the build is for.
    pub(super) fn or_target(&self, platform: Option<&Arc<Platform>>) -> Arc<Platform> {
        platform.unwrap_or(&self.target.platform).clone()
    }
}

/// The image config in what a client says of an input: an object whose values are base64.
fn input_config(metadata: &str, key: &str) -> Done<Option<ImageConfig>> {
    let values: std::collections::BTreeMap<String, Option<String>> = serde_json::from_str(metadata)
        .map_err(|error| Stop::error(format!("failed to parse input metadata {metadata}: {error}")))?;
    let Some(config) = values.get("containerimage.config").and_then(Option::as_ref) else { return Ok(None) };
    let bytes = oci::base64::decode(config)
        .ok_or_else(|| Stop::error(format!("failed to parse input metadata {metadata}: illegal base64 data")))?;
    let config = ImageConfig::from_json(&bytes)
        .map_err(|error| Stop::error(format!("failed to parse image config for {key}: {error}")))?;
    Ok(Some(config))
}

/// Store and digest of `store[:tag]@digest`; without a digest the client is asked what the tag means, which only a text's own
/// layout may have.
fn split_layout(spec: &str, may_be_asked: bool) -> Done<(String, Option<Digest>)> {
    let shown = quote(spec);
    let layout = Reference::parse_exact(spec)
        .map_err(|error| Stop::error(format!("could not parse oci-layout reference {shown}: {error}")))?;
    if layout.digest().is_none() && !may_be_asked {
        return Err(Stop::error(format!("oci-layout reference {shown} has no digest"))
            .help("name the image by its digest: oci-layout://store@sha256:…"));
    }
    Ok((layout.name(), layout.digest().cloned()))
}

fn quote(text: &str) -> String {
    ast::quote(text.as_bytes())
}

impl State {
    /// Takes what an image says of its processes.
    pub(super) fn adopt(&mut self, image: &ImageConfig) {
        for entry in &image.config.env {
            let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
            if !key.is_empty() {
                self.env.set(key.into(), Some(value.into()));
            }
        }
        self.dir = if image.config.working_dir.starts_with('/') {
            image.config.working_dir.clone()
        } else {
            go::join(&self.dir, &image.config.working_dir)
        };
        if !image.platform.architecture.is_empty() && !image.platform.os.is_empty() {
            self.process_platform = Some(image.platform.normalize().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        let digest = Digest::sha256(b"");
        let split = |spec: String| match split_layout(&spec, false) {
            Ok((store, _)) => store,
            Err(Stop::Error(error)) => error.message,
            Err(Stop::Unknown) => String::new(),
        };
        assert_eq!(split(format!("store@{digest}")), "store");
        assert_eq!(split(format!("h:1/a:tag@{digest}")), "h:1/a");
        assert_eq!(split("store".into()), r#"oci-layout reference "store" has no digest"#);
        assert!(matches!(split_layout("store:tag", true), Ok((store, None)) if store == "store"));
        assert_eq!(split("S".into()), r#"could not parse oci-layout reference "S": repository name must be lowercase"#);
    }
}
