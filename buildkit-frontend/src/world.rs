//! The outside of the compiler, asked through the builder: every question of a round at once.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use compiler::plan;
use compiler::{Answer, AskError, ImageAnswer, LocalPath, Options, Question, ResolveMode, World};
use gateway::caps::{self, Caps};
use gateway::message::{
    FileRange, ResolveImageConfigRequest, ResolveSourceGitRequest, ResolveSourceImageRequest, ResolveSourceMetaRequest,
    ResolveSourceMetaResponse, SolveRequest, SourceOp, StatFileRequest,
};
use gateway::{Bridge, Calls, Status};
use llb::Graph;
use oci::{Digest, Platform, Reference};

use crate::session::{self, Session, plain_solve, solve};
use crate::text::{Text, read_file};

type Answered = Result<Answer, AskError>;

/// The local source of the build context.
const CONTEXT: &str = "context";

/// Go's bit of directories.
const GO_DIRECTORY: u32 = 1 << 31;

const LAYOUT: &str = "oci-layout://";
const IMAGE: &str = "docker-image://";

/// The resolver of images in layouts, by number.
const RESOLVE_LAYOUT: i32 = 1;

/// Bytes of a file on the web that tell whether it is an archive.
const START: i64 = 1024;

/// Bytes of an archive that are read at once: many are read as fast as few, and a message of them is far from too large.
const PART: i64 = 1 << 20;

/// The outside.
pub(crate) struct Outside<'s> {
    session: &'s Session<'s>,
    asker: Arc<Asker>,
}

/// Asks single questions.
struct Asker {
    calls: Calls,
    options: Options,
    caps: Caps,
    /// The local source that holds the text, and the filesystem that has been solved of it.
    text: Option<(String, String)>,
}

impl<'s> Outside<'s> {
    /// The outside as a builder knows it; `text` is the text, once that is read.
    pub(crate) fn new(session: &'s Session<'s>, text: Option<&Text>) -> Self {
        let asker = Asker {
            calls: session.bridge.calls().clone(),
            options: session.options.clone(),
            caps: session.caps.clone(),
            text: text.map(|text| (text.local.clone(), text.reference.clone())),
        };
        Self { session, asker: Arc::new(asker) }
    }
}

impl World for Outside<'_> {
    fn answer(&self, questions: &[Question]) -> Vec<Answered> {
        let ask = |question: Question| {
            let asker = self.asker.clone();
            async move { asker.ask(&question).await }
        };
        let answers = self.session.bridge.together(questions.iter().cloned().map(ask));
        let answers = questions.iter().zip(answers).map(|(question, answer)| match (question, &answer) {
            (Question::Timestamp { source, .. }, Ok(Answer::Timestamp(None))) if is_web(source) => self.newest(source),
            _ => answer,
        });
        answers.collect()
    }
}

impl Outside<'_> {
    /// The time of the newest file of an archive on the web, whose server says none.
    fn newest(&self, source: &str) -> Answered {
        // Who does not say what a server says is not asked for more.
        if !self.asker.caps.has(caps::SOURCE_META) {
            return Ok(Answer::Timestamp(None));
        }
        let bridge = self.session.bridge;
        let reference = bridge.wait(self.asker.solved(source))?;
        let mut file = RemoteFile { bridge, reference, at: 0, part: io::Cursor::default(), failed: None };
        let newest = archive::newest(&mut file);
        match file.failed {
            Some(status) => Err(plain(status.message)),
            None => Ok(Answer::Timestamp(newest)),
        }
    }
}

/// A file on the web that was solved, read in parts.
struct RemoteFile<'s> {
    bridge: &'s Bridge,
    reference: String,
    /// Where the next part begins.
    at: i64,
    part: io::Cursor<Vec<u8>>,
    /// Why the builder could not read it, if it could not.
    failed: Option<Status>,
}

impl Read for RemoteFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.part.read(buffer)?;
        if length > 0 || buffer.is_empty() {
            return Ok(length);
        }
        let range = FileRange { offset: self.at, length: PART };
        let read = read_file(self.bridge.calls(), &self.reference, plan::WEB_FILE, Some(range));
        let part = self.bridge.wait(read).map_err(|status| {
            self.failed = Some(status);
            io::Error::other("the builder cannot read the file")
        })?;
        self.at += part.len() as i64;
        self.part = io::Cursor::new(part);
        self.part.read(buffer)
    }
}

impl Asker {
    async fn ask(&self, question: &Question) -> Answered {
        match question {
            Question::Image { reference, platform, mode } => self.image(reference, platform, *mode).await,
            Question::ContextFile { context, path } => self.file(context, path).await,
            Question::Timestamp { source, remote } => self.time(source, remote.as_deref()).await,
            Question::LocalPath { path } => self.local_path(path).await,
            // A frontend runs beside the builder: it sees no files, no environment and no processes of the client.
            _ => Err(AskError {
                help: Some("build it with `llbc build -f FILE`".to_owned()),
                ..plain("a frontend cannot ask the client what this program asks".to_owned())
            }),
        }
    }

    async fn file(&self, context: &str, path: &str) -> Answered {
        if let Some((_, reference)) = self.text.as_ref().filter(|(local, _)| local == context) {
            return Ok(Answer::ContextFile(read_file(&self.calls, reference, path, None).await.ok()));
        }
        let is_remote = context.contains("://");
        let reference = self.solved(context).await?;
        let start = FileRange { offset: 0, length: START };
        let read = read_file(&self.calls, &reference, path, is_remote.then_some(start)).await;
        match read {
            // An ignore file that is not there is none; what is on the web must be there.
            Err(status) if is_remote => Err(plain(status.message)),
            read => Ok(Answer::ContextFile(read.ok())),
        }
    }

    /// Has a local context, or what is on the web, ready to be read.
    async fn solved(&self, context: &str) -> Result<String, AskError> {
        let graph = plan::file_source(&self.options, context)
            .map_err(|error| AskError { help: error.help.clone(), ..plain(error.message.clone()) })?;
        let definition = self.encode(&graph)?;
        let request = SolveRequest { definition, ..plain_solve() };
        solve(&self.calls, &request).await.map_err(|status| plain(status.message))
    }

    fn encode(&self, graph: &Graph) -> Result<Vec<u8>, AskError> {
        let (definition, _) = session::encode(&self.options, graph).map_err(|error| plain(error.to_string()))?;
        Ok(definition.to_bytes())
    }

    /// A path of a program: the client sends its build context, and paths are those in it.
    async fn local_path(&self, path: &str) -> Answered {
        if path.starts_with('/') || path == ".." || path.starts_with("../") {
            let message = format!("{path} is not in the build context, which is all that a builder sees");
            return Err(AskError { help: Some("build it with `llbc build -f FILE`".to_owned()), ..plain(message) });
        }
        let graph = plan::context_path(&self.options, CONTEXT, path);
        let definition = self.encode(&graph)?;
        let request = SolveRequest { definition, ..plain_solve() };
        let reference = solve(&self.calls, &request).await.map_err(|status| plain(status.message))?;
        let request = StatFileRequest { r#ref: reference, path: path.to_owned() };
        // What cannot be looked at is not there.
        let found = self.calls.call(&request).await.ok().and_then(|response| response.stat);
        Ok(Answer::LocalPath(found.map(|stat| LocalPath {
            directory: stat.mode & GO_DIRECTORY != 0,
            id: String::new(),
            context: Some(CONTEXT.to_owned()),
        })))
    }

    async fn image(&self, reference: &str, platform: &Platform, mode: ResolveMode) -> Answered {
        let found = match reference.strip_prefix(LAYOUT) {
            // A layout beside the text: the client has not said that it serves it.
            Some(layout) if !layout.contains('@') => {
                let store = layout.split(':').next().unwrap_or(layout);
                let message =
                    format!("a frontend does not see the layout of `{store}`, which is beside the build file");
                return Err(AskError {
                    help: Some(format!(
                        "have the client serve it: --oci-layout {store}=DIRECTORY --opt context:{store}={LAYOUT}{store}@DIGEST; or \
                         build it with `llbc build -f FILE`"
                    )),
                    ..plain(message)
                });
            }
            Some(layout) => self.layout(layout, platform).await,
            None if self.caps.has(caps::SOURCE_META) => self.image_meta(reference, platform, mode).await,
            None => self.image_config(reference, platform, mode).await,
        };
        let failed = |why: &str| plain(format!("failed to resolve source metadata for {reference}: {why}"));
        let (digest, config) = match found.map_err(|status| failed(&status.message))? {
            Found::Image { digest, config } => (digest, config),
            Found::Other(source) => {
                let why = format!("it is no image but {source}, by a source policy");
                return Err(AskError { instead: Some(source), ..failed(&why) });
            }
        };
        // Docker's own store knows no digests of manifests.
        let digest =
            if digest.is_empty() { None } else { Some(Digest::parse(&digest).map_err(|e| plain(e.to_string()))?) };
        Ok(Answer::Image(ImageAnswer { digest, config }))
    }

    async fn image_meta(&self, reference: &str, platform: &Platform, mode: ResolveMode) -> Result<Found, Status> {
        let request = ResolveSourceMetaRequest {
            source: Some(SourceOp { identifier: format!("{IMAGE}{reference}"), attrs: BTreeMap::new() }),
            platform: Some(platform.into()),
            log_name: self.log_name(reference, platform),
            resolve_mode: mode_name(mode).to_owned(),
            image: Some(ResolveSourceImageRequest::default()),
            ..ResolveSourceMetaRequest::default()
        };
        self.calls.call(&request).await.map(image_of)
    }

    async fn image_config(&self, reference: &str, platform: &Platform, mode: ResolveMode) -> Result<Found, Status> {
        let request = ResolveImageConfigRequest {
            r#ref: reference.to_owned(),
            platform: Some(platform.into()),
            resolve_mode: mode_name(mode).to_owned(),
            log_name: self.log_name(reference, platform),
            ..ResolveImageConfigRequest::default()
        };
        let response = self.calls.call(&request).await?;
        Ok(Found::Image { digest: response.digest, config: response.config })
    }

    /// An image in a layout that the client serves: `STORE@DIGEST`.
    async fn layout(&self, layout: &str, platform: &Platform) -> Result<Found, Status> {
        let (store, digest) = layout.split_once('@').unwrap_or((layout, ""));
        // The name only shows; what counts is the digest.
        let context = self.context_of(|value| target_of(value, LAYOUT) == Some(layout));
        let name = context.map_or(store, |key| key.split("::").next().unwrap_or(key));
        let shown = Reference::parse(name).map_or_else(|_| name.to_owned(), |name| name.name());
        let reference = format!("{shown}@{digest}");
        let session = self.options.session.clone().unwrap_or_default();
        let log_name = format!("{} load metadata for {reference}", bracket(context, None));
        if !self.caps.has(caps::SOURCE_META) {
            let request = ResolveImageConfigRequest {
                r#ref: reference,
                platform: Some(platform.into()),
                log_name,
                resolver_type: RESOLVE_LAYOUT,
                session_id: session,
                store_id: store.to_owned(),
                ..ResolveImageConfigRequest::default()
            };
            let response = self.calls.call(&request).await?;
            return Ok(Found::Image { digest: response.digest, config: response.config });
        }
        let attrs = [("oci.session", session), ("oci.store", store.to_owned())];
        let request = ResolveSourceMetaRequest {
            source: Some(SourceOp {
                identifier: format!("{LAYOUT}{reference}"),
                attrs: attrs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            }),
            platform: Some(platform.into()),
            log_name,
            ..ResolveSourceMetaRequest::default()
        };
        self.calls.call(&request).await.map(image_of)
    }

    /// The time of a commit, or that a server says of a file on the web; a builder that cannot tell knows none.
    async fn time(&self, source: &str, remote: Option<&str>) -> Answered {
        if !self.caps.has(caps::SOURCE_META) {
            return Ok(Answer::Timestamp(None));
        }
        let is_git = source.starts_with("git://");
        let request = ResolveSourceMetaRequest {
            source: Some(SourceOp {
                identifier: source.to_owned(),
                attrs: remote.map(|remote| ("git.fullurl".to_owned(), remote.to_owned())).into_iter().collect(),
            }),
            log_name: format!("[internal] resolve metadata of {source}"),
            git: is_git.then_some(ResolveSourceGitRequest { return_object: true }),
            ..ResolveSourceMetaRequest::default()
        };
        let found = self.calls.call(&request).await.map_err(|status| plain(status.message))?;
        let of_commit = found.git.and_then(|git| commit_time(&git.commit_object));
        let of_file = found.http.and_then(|http| http.last_modified).map(|time| time.seconds);
        Ok(Answer::Timestamp(of_commit.or(of_file)))
    }

    /// The name of a look-up, as progress shows it.
    fn log_name(&self, reference: &str, platform: &Platform) -> String {
        let is_this = |value: &str| {
            let named = target_of(value, IMAGE).and_then(|name| Reference::parse(name).ok());
            named.is_some_and(|named| named.or_latest().to_string() == reference)
        };
        let platforms = self.options.opts.get("platform").map_or(0, |platforms| platforms.split(',').count());
        let several = session::multi_platform(&self.options, platforms);
        format!("{} load metadata for {reference}", bracket(self.context_of(is_this), several.then_some(platform)))
    }

    /// The name of the context whose value is meant.
    fn context_of(&self, is_meant: impl Fn(&str) -> bool) -> Option<&str> {
        let contexts = self.options.opts.iter().filter_map(|(key, value)| Some((key.strip_prefix("context:")?, value)));
        contexts.into_iter().find(|(_, value)| is_meant(value)).map(|(key, _)| key)
    }
}

/// What a context of a kind names. The slashes of the kind may be left out.
fn target_of<'v>(value: &'v str, kind: &str) -> Option<&'v str> {
    let target = value.strip_prefix(kind.trim_end_matches('/'))?;
    Some(target.strip_prefix("//").unwrap_or(target))
}

/// What stands before a look-up: the named context it is for, or the platform where there are several.
fn bracket(context: Option<&str>, platform: Option<&Platform>) -> String {
    match (context, platform) {
        (Some(context), _) => format!("[context {context}]"),
        (None, Some(platform)) => format!("[{platform} internal]"),
        (None, None) => "[internal]".to_owned(),
    }
}

/// An image, and what a source policy puts in its place if that is none.
enum Found {
    Image { digest: String, config: Vec<u8> },
    Other(String),
}

fn image_of(response: ResolveSourceMetaResponse) -> Found {
    match response.image {
        Some(image) => Found::Image { digest: image.digest, config: image.config },
        None => Found::Other(response.source.map(|source| source.identifier).unwrap_or_default()),
    }
}

fn is_web(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

fn mode_name(mode: ResolveMode) -> &'static str {
    match mode {
        ResolveMode::Default => "default",
        ResolveMode::Pull => "pull",
        ResolveMode::Local => "local",
    }
}

fn plain(message: String) -> AskError {
    AskError { message, ..AskError::default() }
}

/// Seconds since the epoch in the `committer` line of a commit.
fn commit_time(commit: &[u8]) -> Option<i64> {
    let header = String::from_utf8_lossy(commit);
    let line = header.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix("committer "))?;
    line.rsplit(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_may_leave_out_slashes() {
        for value in ["oci-layout://a@b", "oci-layout:a@b"] {
            assert_eq!(target_of(value, LAYOUT), Some("a@b"));
            assert_eq!(target_of(value, IMAGE), None);
        }
    }

    #[test]
    fn the_time_of_a_commit() {
        let commit =
            "tree 1\nauthor A <a@b> 5 +0000\ncommitter C D <c@d> 1700000000 +0100\n\ncommitter x <y> 7 +0000\n";
        assert_eq!(commit_time(commit.as_bytes()), Some(1_700_000_000));
        assert_eq!(commit_time(b"tree 1\n\ncommitter x <y> 7 +0000\n"), None);
        assert_eq!(commit_time(b"committer \n"), None);
    }
}
