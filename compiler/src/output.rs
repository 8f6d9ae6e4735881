//! What a compilation makes: a graph with one result a platform, and the image config of each.

use llb::Graph;
use oci::{ImageConfig, Platform};

/// Key of the description that holds an image config.
pub(crate) const CONFIG: &str = "containerimage.config";

/// Key of the description that holds what a result runs on.
const PLATFORM: &str = "platform";

/// Key of the description that holds seconds since the epoch that timestamps are to be set to; the name of the exporters'
/// attribute.
const EPOCH: &str = "source-date-epoch";

/// What to build.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// All vertices; its outputs are in step with `outputs`.
    pub graph: Graph,
    /// **Shape**: one per platform, in the order asked for.
    pub outputs: Vec<Output>,
}

/// One image.
#[derive(Clone, Debug)]
pub struct Output {
    /// What it runs on.
    pub platform: Platform,
    /// The filesystem; `None` is scratch.
    pub edge: Option<llb::Edge>,
    /// Image config: the exact JSON bytes BuildKit's frontend would export.
    pub image: Vec<u8>,
    /// The same for the base image, if there is one.
    pub base_image: Option<Vec<u8>>,
    /// Seconds since the epoch that timestamps are to be set to.
    pub epoch: Option<i64>,
}

impl Plan {
    /// A plan of results in one graph.
    pub(crate) fn new(mut graph: Graph, outputs: Vec<Output>) -> Self {
        let several = outputs.len() > 1;
        graph.outputs = outputs
            .iter()
            .map(|output| llb::Output {
                edge: output.edge,
                platform: several.then(|| output.platform.clone()),
                ..llb::Output::default()
            })
            .collect();
        Self { graph, outputs }
    }

    /// The plan of one platform alone, as BuildKit solves it; `None` when there is none for it.
    #[must_use]
    pub fn only(mut self, platform: &Platform) -> Option<Self> {
        let wanted = platform.normalize();
        let output = self.outputs.into_iter().find(|output| output.platform == wanted)?;
        self.graph.outputs.clear();
        Some(Self::new(self.graph, vec![output]))
    }

    /// The same with image config and platform written on each result, for whoever only sees the definition. Readers that
    /// do not know these descriptions ignore them.
    ///
    /// The config says nothing of the time it was made: the reader adds that, and the layers.
    #[must_use]
    pub fn described(mut self) -> Self {
        for (result, output) in self.graph.outputs.iter_mut().zip(&self.outputs) {
            let config = String::from_utf8_lossy(&output.image).into_owned();
            let description = &mut result.meta.description;
            description.insert(CONFIG.to_owned(), config);
            description.insert(PLATFORM.to_owned(), output.platform.to_string());
            description.extend(output.epoch.map(|epoch| (EPOCH.to_owned(), epoch.to_string())));
        }
        self
    }
}

impl Output {
    /// The image config, parsed.
    pub fn config(&self) -> ImageConfig {
        ImageConfig::from_json(&self.image).expect("the planner wrote it")
    }
}
