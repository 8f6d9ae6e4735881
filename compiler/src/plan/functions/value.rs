//! Values: what functions take and give.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ast::builtin::Builtin;
use ast::{Span, types};
use llb::Edge;
use oci::{History, ImageConfig, Platform, Time};

use super::super::stop::{Done, Stop};
use crate::output::{Agent, Needs};

/// What HLB signs its entries of image histories with.
const COMMENT: &str = "hlb.v0";

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Fs(Box<Fs>),
    Text(String),
    Int(i64),
    Bool(bool),
    Options(Vec<Applied>),
    Request(Request),
    /// What a variadic parameter holds.
    Several(Vec<Value>),
}

impl Value {
    /// The value that a block of a type starts from where there is no other.
    pub(super) fn zero(ty: &str, platform: &Platform) -> Self {
        match ty {
            types::STRING => Self::Text(String::new()),
            types::INT => Self::Int(0),
            types::BOOL => Self::Bool(false),
            types::PIPELINE => Self::Request(Request::Nothing),
            _ if types::is_options(ty) => Self::Options(Vec::new()),
            _ => Self::Fs(Box::new(Fs::scratch(platform.clone()))),
        }
    }

    fn ty(&self) -> &'static str {
        match self {
            Self::Fs(_) => types::FS,
            Self::Text(_) => types::STRING,
            Self::Int(_) => types::INT,
            Self::Bool(_) => types::BOOL,
            Self::Options(_) => types::OPTION,
            Self::Request(_) => types::PIPELINE,
            Self::Several(_) => "several values",
        }
    }

    fn wrong(&self, wanted: &str) -> Stop {
        Stop::error(format!("cannot use {} as type {wanted}", self.ty()))
            .help("what is bound is the value of the call, and the statements after it go on from there")
    }

    pub(super) fn fs(self) -> Done<Box<Fs>> {
        match self {
            Self::Fs(fs) => Ok(fs),
            other => Err(other.wrong(types::FS)),
        }
    }

    pub(super) fn text(self) -> Done<String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Int(value) => Ok(value.to_string()),
            Self::Bool(value) => Ok(value.to_string()),
            other => Err(other.wrong(types::STRING)),
        }
    }

    pub(super) fn int(self) -> Done<i64> {
        match self {
            Self::Int(value) => Ok(value),
            Self::Text(text) => {
                let number = text.parse();
                number.map_err(|_| Stop::error(format!("{} is not a number", ast::quote(text.as_bytes()))))
            }
            other => Err(other.wrong(types::INT)),
        }
    }

    pub(super) fn bool(self) -> Done<bool> {
        match self {
            Self::Bool(value) => Ok(value),
            other => Err(other.wrong(types::BOOL)),
        }
    }

    pub(super) fn options(self) -> Done<Vec<Applied>> {
        match self {
            Self::Options(options) => Ok(options),
            other => Err(other.wrong(types::OPTION)),
        }
    }

    /// What is to be solved for a value: a filesystem, or nothing.
    pub(super) fn request(self) -> Request {
        match self {
            Self::Fs(fs) => Request::One(fs),
            Self::Request(request) => request,
            Self::Several(all) => Request::parallel(all.into_iter().map(Self::request)),
            _ => Request::Nothing,
        }
    }
}

/// A filesystem, what processes on it start with, and the image it becomes.
#[derive(Clone, Debug)]
pub(super) struct Fs {
    /// `None` is nothing.
    pub(super) edge: Option<Edge>,
    pub(super) env: Vec<(String, String)>,
    pub(super) cwd: String,
    pub(super) user: String,
    /// What its processes run on, if its source said so.
    pub(super) process_platform: Option<Platform>,
    /// What it is for.
    pub(super) platform: Platform,
    pub(super) image: Rc<ImageConfig>,
    /// What the one who solves it must provide.
    pub(super) needs: Needs,
    /// What is sent away on the way to it, by number.
    pub(super) exports: BTreeSet<usize>,
}

impl Fs {
    /// Nothing.
    pub(super) fn scratch(platform: Platform) -> Self {
        Self {
            edge: None,
            env: Vec::new(),
            cwd: "/".to_owned(),
            user: String::new(),
            process_platform: None,
            platform,
            image: Rc::new(ImageConfig::default()),
            needs: Needs::default(),
            exports: BTreeSet::new(),
        }
    }

    /// Takes over what another filesystem needs and sends away.
    pub(super) fn inherit(&mut self, other: &Self) {
        add_needs(&mut self.needs, &other.needs);
        self.exports.extend(&other.exports);
    }

    /// What a source gives: it starts anew.
    pub(super) fn source(edge: Edge, platform: Platform) -> Self {
        Self { edge: Some(edge), ..Self::scratch(platform) }
    }

    /// The image, to be changed.
    pub(super) fn image(&mut self) -> &mut ImageConfig {
        Rc::make_mut(&mut self.image)
    }

    /// Sets a variable; one that is set again moves to the end.
    pub(super) fn set_env(&mut self, key: &str, value: &str) {
        set_env(&mut self.env, key, value);
    }

    /// Takes over what the config of an image says.
    pub(super) fn adopt(&mut self, image: ImageConfig) {
        for entry in &image.config.env {
            let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
            set_env(&mut self.env, key, value);
        }
        if !image.config.working_dir.is_empty() {
            self.cwd.clone_from(&image.config.working_dir);
        }
        self.user.clone_from(&image.config.user);
        // What an image says of itself counts, not what was asked for.
        if !image.platform.os.is_empty() && !image.platform.architecture.is_empty() {
            self.process_platform = Some(image.platform.clone());
        }
        self.image = Rc::new(image);
    }

    /// Adds an entry to the history of the image. Times are the first there is, so that images come out alike.
    pub(super) fn commit(&mut self, empty_layer: bool, created_by: String) {
        let created = Time::parse("0001-01-01T00:00:00Z").ok();
        let image = self.image();
        image.created = created;
        image.history.push(History { created, created_by, comment: COMMENT.into(), empty_layer, ..History::default() });
    }

    /// A path as a file operation writes it.
    pub(super) fn path(&self, path: &str) -> String {
        let clean = super::super::go::clean(path);
        if clean.starts_with('/') { clean.into_owned() } else { super::super::go::join(&self.cwd, &clean) }
    }

    /// The same, with the slash at its end, which means a directory.
    pub(super) fn path_of_copy(&self, path: &str) -> String {
        let mut normal = self.path(path);
        let suffix = if path.ends_with("/.") { "/." } else { "/" };
        if path.ends_with(suffix) && !normal.ends_with(suffix) {
            normal.truncate(normal.trim_end_matches('/').len());
            normal += suffix;
        }
        normal
    }
}

/// Sets a variable in a list; one that is set again moves to the end.
pub(super) fn set_env(env: &mut Vec<(String, String)>, key: &str, value: &str) {
    env.retain(|(known, _)| known != key);
    env.push((key.to_owned(), value.to_owned()));
}

/// An option with its values. Whoever takes it gives it its meaning.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    pub(super) builtin: Builtin,
    pub(super) args: Vec<Value>,
    /// Where the arguments stand.
    pub(super) spans: Vec<Span>,
    pub(super) options: Vec<Applied>,
    /// The word `as`, if what this option makes is what is wanted.
    pub(super) bound: Option<Span>,
    pub(super) trace: Trace,
}

/// The calls on the way to something, the innermost first.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace(Option<Rc<(Span, Trace)>>);

impl Trace {
    pub(super) fn call(&self, at: Span) -> Self {
        Self(Some(Rc::new((at, self.clone()))))
    }

    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        std::iter::successors(self.0.as_deref(), |(_, rest)| rest.0.as_deref()).map(|(span, _)| *span)
    }
}

/// What is to be solved, and in which order.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Nothing,
    One(Box<Fs>),
    Parallel(Vec<Request>),
    Sequence(Vec<Request>),
}

impl Request {
    /// All at once.
    pub(super) fn parallel(requests: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for request in requests {
            match request {
                Self::Nothing => {}
                Self::Parallel(inner) => all.extend(inner),
                other => all.push(other),
            }
        }
        match all.len() {
            0 | 1 => all.pop().unwrap_or(Self::Nothing),
            _ => Self::Parallel(all),
        }
    }

    /// One after the other.
    pub(super) fn then(self, next: Self) -> Self {
        let mut all = Vec::new();
        for request in [self, next] {
            match request {
                Self::Nothing => {}
                Self::Sequence(inner) => all.extend(inner),
                other => all.push(other),
            }
        }
        match all.len() {
            0 | 1 => all.pop().unwrap_or(Self::Nothing),
            _ => Self::Sequence(all),
        }
    }
}

/// Adds what another filesystem needs.
pub(super) fn add_needs(needs: &mut Needs, more: &Needs) {
    needs.directories.extend(more.directories.iter().map(|(name, path)| (name.clone(), path.clone())));
    needs.secrets.extend(more.secrets.iter().map(|(id, path)| (id.clone(), path.clone())));
    needs.variables.extend(more.variables.iter().map(|(id, name)| (id.clone(), name.clone())));
    needs.agents.extend(more.agents.iter().map(|(id, agent): (&String, &Agent)| (id.clone(), agent.clone())));
    let entitlements: &BTreeSet<&'static str> = &more.entitlements;
    needs.entitlements.extend(entitlements);
}

/// Nothing needed; for those who fill it.
pub(super) fn directory(name: &str, path: &str) -> Needs {
    Needs { directories: BTreeMap::from([(name.to_owned(), path.to_owned())]), ..Needs::default() }
}
