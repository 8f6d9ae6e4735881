//! What a stage is after some of its steps: the value that [`super::step`] takes and gives.

use std::rc::Rc;
use std::sync::Arc;

use ast::Span;
use llb::{Edge, NetMode};
use oci::{ImageConfig, Platform};

use super::environment::{Assignments, Environment, Value};
use super::history::HistoryId;
use super::image::EnvEntry;

/// The result of a stage so far.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The filesystem; `None` is scratch.
    pub(super) root: Option<Edge>,
    /// Where processes run and relative paths start.
    pub(super) dir: String,
    /// Who runs processes; empty is the engine's choice.
    pub(super) user: String,
    /// What processes get, arguments included.
    pub(super) env: Environment,
    /// Host name of processes.
    pub(super) hostname: String,
    /// Network of processes.
    pub(super) network: NetMode,
    /// What processes run on, in normal form; `None` is what the build is for.
    pub(super) process_platform: Option<Arc<Platform>>,
    /// What the stage is for, as asked.
    pub(super) platform: Arc<Platform>,
    /// The image config without history and variables. Shared by the stages that start from this one: see [`Self::image_mut`].
    pub(super) image: Rc<ImageConfig>,
    /// Its variables.
    pub(super) image_env: Assignments<EnvEntry>,
    /// Its history.
    pub(super) history: HistoryId,
    /// Whether the image that is built is built on this one, so that its history is written.
    pub(super) recorded: bool,
    /// The image it started from, as it was.
    pub(super) base_image: Option<Arc<ImageConfig>>,
    /// Arguments declared so far, with their values.
    pub(super) args: Assignments<Value>,
    /// Whether the text set the working directory.
    pub(super) dir_set: bool,
    /// Instructions that only the last of a stage counts of.
    pub(super) once: Once,
}

/// Where the last of each stands in this stage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Once {
    /// `CMD`.
    pub(super) cmd: Option<Span>,
    /// `ENTRYPOINT`.
    pub(super) entrypoint: Option<Span>,
    /// `HEALTHCHECK`.
    pub(super) healthcheck: Option<Span>,
}

impl State {
    /// A stage that starts from nothing, with an image config whose history is the caller's business.
    pub(super) fn new(platform: Arc<Platform>, mut image: ImageConfig) -> Self {
        let image_env = super::image::variables(&std::mem::take(&mut image.config.env));
        Self {
            root: None,
            dir: "/".to_owned(),
            user: String::new(),
            env: Environment::default(),
            hostname: String::new(),
            network: NetMode::default(),
            process_platform: None,
            platform,
            image: Rc::new(image),
            image_env,
            history: None,
            recorded: false,
            base_image: None,
            args: Assignments::default(),
            dir_set: false,
            once: Once::default(),
        }
    }

    /// The image config, to be changed for this stage alone.
    pub(super) fn image_mut(&mut self) -> &mut ImageConfig {
        Rc::make_mut(&mut self.image)
    }

    /// Whether everything about the stage is known.
    pub(super) fn is_complete(&self) -> bool {
        !self.env.incomplete
    }
}
