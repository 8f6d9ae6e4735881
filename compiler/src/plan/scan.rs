//! Bills of materials: which trees one is made of, and the process that makes it.
//!
//! The result is always scanned. `BUILDKIT_SBOM_SCAN_CONTEXT` and `BUILDKIT_SBOM_SCAN_STAGE`, arguments of the text or of
//! stages, ask for the context and for stages that the result is made from, too. Mirrors `frontend/attestations/sbom` of
//! BuildKit v0.32.

use std::collections::BTreeMap;

use ast::parse_bool;
use llb::{Edge, ExecMeta, Graph, Output};
use oci::ImageConfig;

use super::build::{self, ExecMount, ExecMountKind, Process, Said};
use super::environment::{Assignments, Value};
use super::go;
use super::planner::Planner;
use super::settings::{self, Scanner};
use super::stages::StageId;
use crate::{ImageAnswer, Options, Plan, Question, ResolveMode, Scan};

const SCAN_CONTEXT: &str = "BUILDKIT_SBOM_SCAN_CONTEXT";
const SCAN_STAGE: &str = "BUILDKIT_SBOM_SCAN_STAGE";

/// Arguments that configure attestations: never variables of processes.
pub(super) const ARGS: [&str; 2] = [SCAN_CONTEXT, SCAN_STAGE];

/// Where the scanner finds the result.
const CORE: &str = "/run/src/core/sbom";
/// Where it finds everything else.
const EXTRAS: &str = "/run/src/extras";
/// Where it writes what it found.
const DESTINATION: &str = "/run/out/";

/// The output of the process that [`DESTINATION`] becomes: the root is the one before.
const FOUND: u32 = 1;

/// What a stage asks to have scanned.
#[derive(Clone, Copy, Default)]
pub(super) struct Scanned {
    /// The main context.
    context: bool,
    /// The stage, when another one is the result.
    stage: bool,
}

impl Planner<'_> {
    /// What a stage asks to have scanned; `args` are those that its steps declare.
    pub(super) fn scanned(&self, id: StageId, args: Option<&Assignments<Value>>) -> Scanned {
        let is_on = |name: &str| {
            let of_stage = args.and_then(|args| args.get(name)).and_then(Option::as_ref);
            let value = of_stage.or_else(|| self.globals.value(name));
            value.is_some_and(|value| names_stage(value, &self.stages[id].label))
        };
        Scanned { context: is_on(SCAN_CONTEXT), stage: is_on(SCAN_STAGE) }
    }

    /// What is scanned beside the result, which is that of a stage.
    pub(super) fn scan(&mut self, target: StageId) -> Scan {
        let mut scan = Scan { ignore_cache: self.stages[target].ignore_cache, ..Scan::default() };
        if self.stages[target].scanned.context {
            let context = self.context_edge();
            scan.extras.insert("context".to_owned(), Some(context));
        }
        for id in self.reachable([target]).iter() {
            let stage = &self.stages[id];
            let scanned = if stage.anonymous { self.scanned(id, None) } else { stage.scanned };
            if id != target && scanned.stage {
                scan.extras.insert(stage.label.clone(), stage.root);
                scan.ignore_cache |= stage.ignore_cache;
            }
        }
        scan
    }
}

/// Whether a value is true, or a list with a name in it.
fn names_stage(value: &str, name: &str) -> bool {
    parse_bool(value).unwrap_or_else(|| value.split(',').any(|listed| listed == name))
}

/// What makes a bill of materials of a build, if one is wanted. Options that are wrong want none.
pub fn scanner(options: &Options) -> Option<Scanner> {
    settings::parse(options).ok()?.scanner
}

impl Scanner {
    /// What must be known of its image.
    pub fn question(&self) -> Question {
        Question::Image { reference: self.image.clone(), platform: (*self.platform).clone(), mode: self.mode }
    }

    /// A graph whose one output is the bill of materials of one result of a plan.
    ///
    /// **Errors**: an image that starts no process.
    pub fn graph(&self, plan: &Plan, output: usize, image: &ImageAnswer) -> Result<Graph, String> {
        let config = ImageConfig::from_json(&image.config).map_err(|error| error.to_string())?.config;
        let args: Vec<String> = config.entrypoint.iter().chain(&config.cmd).cloned().collect();
        if args.is_empty() {
            return Err(format!("scanner {} does not have cmd", self.image));
        }
        let output = &plan.outputs[output];
        let mut graph = plan.graph.clone();
        let root = build::image(&mut graph, &self.image, ResolveMode::Default, Some(&self.platform), Said::default());
        let process = Process {
            meta: ExecMeta {
                args,
                env: self.environment(&config.env, &output.scan).into(),
                cwd: go::join("/", &config.working_dir),
                remove_mount_stubs_recursive: true,
                ..ExecMeta::default()
            },
            numbers_outputs: true,
            ..Process::default()
        };
        let mut said = Said::named(format!("[{}] generating sbom using {}", output.platform, self.image));
        said.meta.ignore_cache = output.scan.ignore_cache;
        let mounts = mounts(root, output.edge, &output.scan.extras);
        let edge = build::exec(&mut graph, mounts, Vec::new(), Vec::new(), process, Some(self.platform.clone()), said);
        let found = Edge { index: FOUND, ..edge };
        graph.outputs = vec![Output { edge: Some(found), ..Output::default() }];
        Ok(graph)
    }

    /// Variables of the process: those of its image, where it reads and writes, and the parameters.
    fn environment(&self, of_image: &[String], scan: &Scan) -> Vec<String> {
        let mut env = of_image.to_vec();
        let mut set = |name: &str, value: &str| {
            env.retain(|entry| entry.split('=').next() != Some(name));
            env.push(format!("{name}={value}"));
        };
        set("BUILDKIT_SCAN_DESTINATION", DESTINATION);
        set("BUILDKIT_SCAN_SOURCE", CORE);
        if !scan.extras.is_empty() {
            set("BUILDKIT_SCAN_SOURCE_EXTRAS", EXTRAS);
        }
        self.parameters.iter().for_each(|(name, value)| set(&format!("BUILDKIT_SCAN_{name}"), value));
        env
    }
}

fn mounts(root: Edge, core: Option<Edge>, extras: &BTreeMap<String, Option<Edge>>) -> Vec<ExecMount> {
    let mount =
        |target: String, source, readonly, kind| ExecMount { target, source, selector: String::new(), readonly, kind };
    let mut mounts = vec![
        mount("/".to_owned(), Some(root), false, ExecMountKind::Root),
        mount("/tmp".to_owned(), None, false, ExecMountKind::Tmpfs { size: 0 }),
        mount(CORE.to_owned(), core, true, ExecMountKind::Bind),
        mount(DESTINATION.to_owned(), None, false, ExecMountKind::Bind),
    ];
    let extra = |(name, tree): (&String, &Option<Edge>)| {
        mount(format!("{EXTRAS}/sbom-{name}"), *tree, true, ExecMountKind::Bind)
    };
    mounts.extend(extras.iter().map(extra));
    mounts
}
