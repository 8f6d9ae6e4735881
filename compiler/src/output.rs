//! What a compilation makes: a graph with one result a platform, and the image config of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ast::Expected;
use llb::Graph;
use oci::{ImageConfig, Platform};

/// Key of the description that holds an image config.
pub(crate) const CONFIG: &str = "containerimage.config";

/// Key of the description that holds what a result runs on.
const PLATFORM: &str = "platform";

/// Key of the description that says of a result of one platform that it is a list; the name of the frontend's option.
const LISTED: &str = "multi-platform";

/// Key of the description that holds seconds since the epoch that timestamps are to be set to; the name of the exporters'
/// attribute.
const EPOCH: &str = "source-date-epoch";

/// What to build.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// All vertices; its outputs are in step with `outputs`, and behind them are the bills of materials of those that have
    /// one.
    pub graph: Graph,
    /// **Shape**: one per platform, in the order asked for; of a program the outputs of its first result, then those of
    /// the next.
    pub outputs: Vec<Output>,
    /// How many outputs a result of [`Order`] and [`Export`] has: of a program, one for each platform.
    pub variants: usize,
    /// What of it is solved for its own sake, and in which order.
    pub order: Order,
    /// What is sent away beside that.
    pub exports: Vec<Export>,
}

/// What is to be solved, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Nothing.
    #[default]
    Nothing,
    /// One of the plan's results, by its number.
    Output(usize),
    /// All at once.
    Parallel(Vec<Order>),
    /// One after the other.
    Sequence(Vec<Order>),
}

/// A result that is sent somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Which of the plan's results, by its number.
    pub output: usize,
    /// Where to.
    pub kind: ExportKind,
    /// Whether it is there already: it was sent to know what it is called there.
    pub done: bool,
}

/// Where a result goes. Paths are those of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportKind {
    /// To its registry.
    Push {
        /// Its name.
        reference: String,
        /// Whether its layers can be read before they are complete.
        stargz: bool,
    },
    /// To the client's Docker engine.
    Load {
        /// Its name, as written.
        reference: String,
    },
    /// Files into a directory.
    Directory {
        /// The directory.
        path: String,
    },
    /// Files into a tar archive.
    Tar {
        /// The archive.
        path: String,
    },
    /// An OCI image into a tar archive.
    Oci {
        /// The archive.
        path: String,
    },
    /// A Docker image into a tar archive.
    Docker {
        /// The archive.
        path: String,
        /// Its name.
        reference: String,
    },
}

/// What whoever solves an output must provide or allow.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needs {
    /// Paths of directories and files of the client, by the names of local sources.
    pub directories: BTreeMap<String, String>,
    /// Paths of files of the client, by the ids of secrets.
    pub secrets: BTreeMap<String, String>,
    /// Variables of the client's environment, by the ids of secrets.
    pub variables: BTreeMap<String, String>,
    /// Agents of the client, by the ids of sockets.
    pub agents: BTreeMap<String, Agent>,
    /// Entitlements of processes: `network.host`, `security.insecure`.
    pub entitlements: BTreeSet<&'static str>,
}

/// What listens behind a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Agent {
    /// Whether it speaks the protocol of SSH agents; else bytes are handed through.
    pub ssh: bool,
    /// Keys or sockets of the client, or an address.
    pub paths: Vec<String>,
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
    /// The config of the base image, if there is one.
    pub base_image: Option<Arc<ImageConfig>>,
    /// Whether it is of a list of platforms, even one of one.
    pub listed: bool,
    /// Seconds since the epoch that timestamps are to be set to.
    pub epoch: Option<i64>,
    /// What a bill of materials of it is made of, beside it.
    pub scan: Scan,
    /// The tree of its bill of materials, where that is made beside it.
    pub bill: Option<llb::Edge>,
    /// What solving it needs.
    pub needs: Needs,
    /// What is sent away on the way to it: numbers of the plan's exports.
    pub exports: Vec<usize>,
    /// Where it goes, if the text says so.
    pub shipment: Option<Box<Shipment>>,
}

/// Where a result goes, and what must hold before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipment {
    /// What was asked for.
    pub goal: String,
    /// Where to.
    pub destination: Destination,
    /// Goals that must succeed before.
    pub requires: Vec<String>,
    /// What its files must be like.
    pub expected: Expected,
}

/// Where a result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// It is an image.
    Image {
        /// Its names.
        tags: Vec<String>,
        /// Its annotations; a key may begin with what is annotated.
        annotations: Vec<(String, String)>,
        /// Attestations, as `type=TYPE[,KEY=VALUE]`.
        attestations: Vec<String>,
    },
    /// Its files go to a directory, relative to that of the text.
    Files {
        /// It.
        to: String,
    },
    /// Nowhere.
    Nowhere,
}

/// What is scanned for a bill of materials, beside a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Trees by name: the context, stages. `None` is scratch.
    pub extras: BTreeMap<String, Option<llb::Edge>>,
    /// Whether it is scanned again, whatever a cache knows.
    pub ignore_cache: bool,
}

impl Plan {
    /// A plan of results in one graph.
    pub(crate) fn new(graph: Graph, outputs: Vec<Output>) -> Self {
        let order = match outputs.len() {
            1 => Order::Output(0),
            count => Order::Parallel((0..count).map(Order::Output).collect()),
        };
        Self::ordered(graph, outputs, 1, order, Vec::new())
    }

    /// A plan of results in one graph, with an order.
    pub(crate) fn ordered(
        graph: Graph,
        outputs: Vec<Output>,
        variants: usize,
        order: Order,
        exports: Vec<Export>,
    ) -> Self {
        let mut plan = Self { graph, outputs, variants, order, exports };
        plan.list_outputs();
        plan
    }

    /// Makes the outputs of the graph those of the plan.
    pub(crate) fn list_outputs(&mut self) {
        let several = self.outputs.len() > 1;
        let result = |output: &Output| llb::Output {
            edge: output.edge,
            platform: several.then(|| output.platform.clone()),
            ..llb::Output::default()
        };
        let bill = |output: &Output| Some(llb::Output { edge: Some(output.bill?), ..llb::Output::default() });
        let results = self.outputs.iter().map(result);
        self.graph.outputs = results.chain(self.outputs.iter().filter_map(bill)).collect();
    }

    /// Of which results, by their numbers, there are bills of materials, in the order of the definition.
    pub fn bills(&self) -> impl Iterator<Item = usize> {
        self.outputs.iter().enumerate().filter(|(_, output)| output.bill.is_some()).map(|(number, _)| number)
    }

    /// The plan of one platform alone, as BuildKit solves it; `None` when there is none for it.
    #[must_use]
    pub fn only(mut self, platform: &Platform) -> Option<Self> {
        let wanted = platform.normalize();
        let output = self.outputs.into_iter().find(|output| output.platform == wanted)?;
        self.graph.outputs.clear();
        Some(Self::new(self.graph, vec![output]))
    }

    /// Several plans in one graph. **Shape**: the outputs of the first come first. What they share is one vertex.
    #[must_use]
    pub fn together(plans: Vec<Self>) -> Self {
        let mut graph = Graph::default();
        let mut outputs = Vec::new();
        for plan in plans {
            let offset = graph.nodes.len() as u32;
            graph.graft(&plan.graph);
            let moved = |edge: llb::Edge| llb::Edge { node: llb::NodeId(edge.node.0 + offset), index: edge.index };
            outputs.extend(plan.outputs.into_iter().map(|output| output.moved(moved)));
        }
        Self::new(graph, outputs)
    }

    /// The outputs of a result, by its number.
    pub fn variants(&self, number: usize) -> &[Output] {
        &self.outputs[number * self.variants..][..self.variants]
    }

    /// One of its results alone, by its number.
    #[must_use]
    pub fn output(&self, number: usize) -> Self {
        self.some(&[number])
    }

    /// Some of its results alone, by their numbers. **Shape**: the outputs of one after those of the other.
    #[must_use]
    pub fn some(&self, numbers: &[usize]) -> Self {
        let mut graph = self.graph.clone();
        graph.outputs.clear();
        Self::new(graph, numbers.iter().flat_map(|number| self.variants(*number)).cloned().collect())
    }

    /// The same with image config and platform written on each result, for whoever only sees the definition. Readers that
    /// do not know these descriptions ignore them.
    ///
    /// The config says nothing of the time it was made: the reader adds that, and the layers.
    #[must_use]
    pub fn described(mut self) -> Self {
        let is_alone = self.outputs.len() == 1;
        for (result, output) in self.graph.outputs.iter_mut().zip(&self.outputs) {
            let config = String::from_utf8_lossy(&output.image).into_owned();
            let description = &mut result.meta.description;
            description.insert(CONFIG, config);
            description.insert(PLATFORM, output.platform.to_string());
            // Several are a list for whoever sees them.
            description.extend((is_alone && output.listed).then(|| (LISTED, "true".to_owned())));
            description.extend(output.epoch.map(|epoch| (EPOCH, epoch.to_string())));
        }
        self
    }
}

impl Output {
    /// The same in a graph that has its edges elsewhere.
    fn moved(mut self, to: impl Fn(llb::Edge) -> llb::Edge) -> Self {
        let trees = [&mut self.edge, &mut self.bill].into_iter().chain(self.scan.extras.values_mut());
        trees.for_each(|edge| *edge = edge.map(&to));
        self
    }

    /// The image config, parsed.
    pub fn config(&self) -> ImageConfig {
        ImageConfig::from_json(&self.image).expect("the planner wrote it")
    }
}
