//! Bills of materials: which trees one is made of.
//!
//! The result is always scanned. `BUILDKIT_SBOM_SCAN_CONTEXT` and `BUILDKIT_SBOM_SCAN_STAGE`, arguments of the text or of
//! stages, ask for the context and for stages that the result is made from, too. The process that makes one is [`llb::scan`]'s.

use ast::parse_bool;
use llb::Graph;
use llb::scan::Scanned;

use super::environment::{Assignments, Value};
use super::planner::Planner;
use super::settings::{self, Scanner};
use super::stages::StageId;
use crate::{ImageAnswer, Options, Plan, Question, Scan};

/// Arguments that configure attestations: never variables of processes. The first asks for the context, the second for stages.
pub(super) const ARGS: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// What a stage asks to have scanned.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked {
    /// The main context.
    context: bool,
    /// The stage, when another one is the result.
    stage: bool,
}

impl Planner<'_> {
    /// Notes what the arguments of the text ask of every stage: few texts have them.
    pub(super) fn note_scan_args(&mut self) {
        let values = ARGS.map(|name| self.globals.own.value(name).cloned());
        self.scan_args = Some(values).filter(|values| values.iter().any(Option::is_some));
    }

    /// What a stage asks to have scanned; `args` are those that its steps declare.
    pub(super) fn scanned(&self, id: StageId, args: Option<&Assignments<Value>>) -> Asked {
        let of_module = self.scan_args.as_ref();
        if of_module.is_none() && args.is_none_or(|args| args.len() == 0) {
            return Asked::default();
        }
        let is_on = |at: usize| {
            let of_stage = args.and_then(|args| args.get(ARGS[at])).and_then(Option::as_ref);
            let value = of_stage.or_else(|| of_module?[at].as_ref());
            value.is_some_and(|value| names_stage(value, &self.stages[id].label))
        };
        Asked { context: is_on(0), stage: is_on(1) }
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
                scan.extras.insert(stage.label.to_string(), stage.root);
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
        let Self { step, mode } = self;
        Question::Image { reference: step.image.clone(), platform: (*step.platform).clone(), mode: *mode }
    }

    /// Makes the bills of materials of all results of a plan part of it.
    ///
    /// **Errors**: an image that starts no process.
    pub(crate) fn scan(&self, plan: &mut Plan, image: &ImageAnswer) -> Result<(), String> {
        let mut graph = std::mem::take(&mut plan.graph);
        for output in &mut plan.outputs {
            output.bill = Some(self.step.add(&mut graph, scanned(output), &image.config)?);
        }
        plan.graph = graph;
        plan.list_outputs();
        Ok(())
    }

    /// A graph whose one output is the bill of materials of one result of a plan.
    ///
    /// **Errors**: an image that starts no process.
    pub fn graph(&self, plan: &Plan, output: usize, image: &ImageAnswer) -> Result<Graph, String> {
        let mut graph = plan.graph.clone();
        let found = self.step.add(&mut graph, scanned(&plan.outputs[output]), &image.config)?;
        graph.outputs = vec![llb::Output { edge: Some(found), ..llb::Output::default() }];
        Ok(graph)
    }
}

fn scanned(output: &crate::Output) -> Scanned<'_> {
    let crate::Output { platform, edge: core, scan: Scan { extras, ignore_cache }, .. } = output;
    Scanned { platform, core: *core, extras, ignore_cache: *ignore_cache }
}
