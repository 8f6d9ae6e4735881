//! Running the plan of a program: its results and what it sends away, in the order it says.
//!
//! What is sent away on the way to a result goes first, as the program has it. Results that may be made at once are one
//! build, so that what they have in common is made once; parts that are sequences of their own run beside it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use compiler::{ExportKind, Needs, Order, Plan};
use executor::cli::{Console, Settings as RunSettings};
use executor::{Output, Response};
use llb::passes;
use oci::Digest;

use crate::failure::{Failure, Result};
use crate::{definition, needs};

/// Whether a plan is more than results for whoever asked.
pub(super) fn is_program(plan: &Plan) -> bool {
    let own = |number: usize| plan.outputs[number].needs != Needs::default();
    // Several results, each for several platforms, are no one image.
    let has_several = plan.variants > 1 && plan.outputs.len() > plan.variants;
    has_several
        || !plan.exports.is_empty()
        || matches!(plan.order, Order::Nothing | Order::Sequence(_))
        || (0..plan.outputs.len()).any(own)
}

/// How many builds run at once, as in HLB.
const MOST_AT_ONCE: usize = 20;

/// Makes the settings of a build, with an output of its own instead of the user's.
pub(super) type MakeSettings<'a> = dyn Fn(Option<String>) -> Result<RunSettings> + Sync + 'a;

/// Builds everything.
pub(super) fn run(plan: &Plan, passes: passes::Options, settings: &MakeSettings<'_>) -> Result<()> {
    let console = Console::new(settings(None)?.progress).map_err(Failure::Build)?;
    let sent = plan.exports.iter().map(|export| Mutex::new(export.done)).collect();
    let (identities, response) = (identities(plan)?, Mutex::default());
    let runner = Runner { plan, passes, settings, console: &console, identities, sent, response };
    let attached: BTreeSet<usize> = plan.outputs.iter().flat_map(|output| output.exports.iter().copied()).collect();
    // What is sent away on the way to nothing that is built.
    let alone = (0..plan.exports.len()).filter(|number| !attached.contains(number)).collect();
    // Each would take the place of the one before.
    let hands_out = settings(None)?.cache_to.iter().any(|cache| cache.to.place().is_some());
    if hands_out && runner.count(&alone) > 1 {
        let what = "handing out the cache of a program that is several builds";
        return Err(Failure::unsupported(
            what,
            "build its results one by one, each with --target and a cache of its own",
        ));
    }
    let asked = settings(None)?;
    let flags = [("--metadata-file", asked.metadata_file.is_some()), ("--iidfile", asked.iidfile.is_some())];
    if let Some((flag, _)) = flags.iter().find(|(_, is_given)| *is_given)
        && results(&plan.order).len() > 1
    {
        let help = "build its results one by one, each with --target and a file of its own";
        return Err(Failure::unsupported(&format!("{flag} of a program that has several results"), help));
    }
    let done = runner.build(&[], &alone).and_then(|()| runner.order(&plan.order));
    console.finish();
    let response = runner.response.into_inner().expect("building does not panic");
    let told = console.tell(done.is_ok().then_some(&response), &asked).map_err(Failure::Build);
    done.and(told)
}

/// The results for whoever asked.
fn results(order: &Order) -> BTreeSet<usize> {
    match order {
        Order::Nothing => BTreeSet::new(),
        Order::Output(number) => BTreeSet::from([*number]),
        Order::Parallel(all) | Order::Sequence(all) => all.iter().flat_map(results).collect(),
    }
}

struct Runner<'p> {
    plan: &'p Plan,
    passes: passes::Options,
    settings: &'p MakeSettings<'p>,
    console: &'p Console,
    /// By the numbers of results.
    identities: Vec<Identity>,
    /// Whether each export is done. Who does one holds it.
    sent: Vec<Mutex<bool>>,
    /// What is known of what was built; of what is sent away by where it goes.
    response: Mutex<Response>,
}

/// One thing to do of those that may be done at once.
enum Part<'p> {
    /// Results that are one build: what they have in common is made once.
    Results(Vec<usize>),
    Other(&'p Order),
}

impl Runner<'_> {
    fn order(&self, order: &Order) -> Result<()> {
        match order {
            Order::Nothing => Ok(()),
            Order::Output(number) => self.results(&[*number]),
            Order::Sequence(all) => all.iter().try_for_each(|order| self.order(order)),
            Order::Parallel(all) => self.parallel(all),
        }
    }

    /// How many builds it is.
    fn count(&self, alone: &BTreeSet<usize>) -> usize {
        let mut sent = (0..self.plan.exports.len()).filter(|number| self.plan.exports[*number].done).collect();
        self.count_of(&[], alone, &mut sent) + self.count_of_order(&self.plan.order, &mut sent)
    }

    fn count_of_order(&self, order: &Order, sent: &mut BTreeSet<usize>) -> usize {
        match order {
            Order::Nothing => 0,
            Order::Output(number) => self.count_of(&[*number], &self.exports(&[*number]), sent),
            Order::Sequence(all) => all.iter().map(|order| self.count_of_order(order, sent)).sum(),
            Order::Parallel(all) => {
                let count = |part| match part {
                    Part::Results(numbers) => self.count_of(&numbers, &self.exports(&numbers), sent),
                    Part::Other(order) => self.count_of_order(order, sent),
                };
                parts(all).into_iter().map(count).sum()
            }
        }
    }

    fn count_of(&self, numbers: &[usize], exports: &BTreeSet<usize>, sent: &mut BTreeSet<usize>) -> usize {
        let news =
            exports.iter().filter(|export| sent.insert(**export)).map(|export| self.plan.exports[*export].output);
        let made = news.chain(numbers.iter().copied()).map(|number| Made { number, name: None, to: Vec::new() });
        self.together(made).len()
    }

    fn parallel(&self, all: &[Order]) -> Result<()> {
        let parts = parts(all);
        if let [part] = &parts[..] {
            return self.part(part);
        }
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                // A failure stops the others.
                self.part(part).inspect_err(|_| self.console.cancel())?;
            }
            Ok(())
        };
        let ended: Vec<Result<()>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..parts.len().min(MOST_AT_ONCE)).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().expect("building does not panic")).collect()
        });
        // What was stopped by a failure is not the reason.
        let (stopped, failed): (Vec<Failure>, Vec<Failure>) =
            ended.into_iter().filter_map(Result::err).partition(Failure::is_stopped);
        failed.into_iter().chain(stopped).next().map_or(Ok(()), Err)
    }

    fn part(&self, part: &Part<'_>) -> Result<()> {
        match part {
            Part::Results(numbers) => self.results(numbers),
            Part::Other(order) => self.order(order),
        }
    }

    fn results(&self, numbers: &[usize]) -> Result<()> {
        self.build(numbers, &self.exports(numbers))
    }

    /// What is sent away on the way to results. Every platform sends away the same.
    fn exports(&self, numbers: &[usize]) -> BTreeSet<usize> {
        numbers.iter().flat_map(|number| self.plan.variants(*number)[0].exports.iter().copied()).collect()
    }

    /// Builds results for whoever asked, and sends away what is not sent yet, first.
    fn build(&self, numbers: &[usize], exports: &BTreeSet<usize>) -> Result<()> {
        // In their order, so that nobody waits for who waits for him.
        let held = exports.iter().map(|export| (*export, self.sent[*export].lock().expect("building does not panic")));
        let mut held: Vec<_> = held.filter(|(_, done)| !**done).collect();
        if numbers.is_empty() && held.is_empty() {
            return Ok(());
        }
        let mut results = Vec::new();
        for (export, _) in &held {
            let export = &self.plan.exports[*export];
            make_parents(&export.kind)?;
            let to = (self.settings)(Some(needs::destination(&export.kind)))?.outputs;
            results.push(Made { number: export.output, name: Some(needs::place(&export.kind).to_owned()), to });
        }
        for number in numbers {
            results.push(Made { number: *number, name: None, to: (self.settings)(None)?.outputs });
        }
        self.together(results).into_iter().try_for_each(|build| self.solve(build))?;
        held.iter_mut().for_each(|(_, done)| **done = true);
        Ok(())
    }

    /// Results, and where they go, in as few builds as they can be.
    fn together(&self, results: impl IntoIterator<Item = Made>) -> Vec<OneBuild> {
        let mut builds: Vec<OneBuild> = Vec::new();
        for made in results {
            let at = builds.iter().position(|build| build.takes(&self.identities, made.number));
            let at = at.unwrap_or_else(|| {
                builds.push(OneBuild::default());
                builds.len() - 1
            });
            builds[at].add(&self.identities, made);
        }
        builds
    }

    fn solve(&self, build: OneBuild) -> Result<()> {
        let mut settings = (self.settings)(None)?;
        settings.outputs = build.outputs;
        // They listen until the build is done.
        let mut forwards = Vec::new();
        for output in build.results.iter().flat_map(|number| self.plan.variants(*number)) {
            needs::provide(&output.needs, &mut settings, &mut forwards)?;
        }
        let mut plan = self.plan.some(&build.results);
        plan.optimize(self.passes);
        let response = self.console.build(definition::encode(plan)?, settings).map_err(Failure::Build)?;
        self.response.lock().expect("building does not panic").metadata.extend(response.metadata);
        Ok(())
    }
}

/// What may be done at once, as few parts as it can be.
fn parts(all: &[Order]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut results = Vec::new();
    for order in all {
        match order {
            Order::Output(number) => results.push(*number),
            other => parts.push(Part::Other(other)),
        }
    }
    if !results.is_empty() {
        parts.push(Part::Results(results));
    }
    parts
}

/// A result that is made, where it goes, and by what name that is told, if it has one.
struct Made {
    number: usize,
    name: Option<String>,
    to: Vec<Output>,
}

/// Results that are one build, and where they go.
#[derive(Default)]
struct OneBuild {
    results: Vec<usize>,
    outputs: Vec<Output>,
}

/// What a result is: the vertex and the image for each platform.
type Identity = Vec<(Option<(Digest, u32)>, Vec<u8>)>;

impl OneBuild {
    /// Whether a result can be one of these: a definition has a vertex once, with one image config.
    fn takes(&self, all: &[Identity], number: usize) -> bool {
        let has =
            |known: &Identity| known.iter().any(|(vertex, _)| all[number].iter().any(|(other, _)| vertex == other));
        self.results.iter().all(|known| all[*known] == all[number] || !has(&all[*known]))
    }

    fn add(&mut self, all: &[Identity], Made { number, name, to }: Made) {
        let known = self.results.iter().position(|known| all[*known] == all[number]);
        let at = known.unwrap_or_else(|| {
            self.results.push(number);
            self.results.len() - 1
        });
        let variants = all[number].len();
        let part = executor::Part { name, results: at * variants..(at + 1) * variants };
        self.outputs.extend(to.into_iter().map(|output| Output { part: Some(part.clone()), ..output }));
    }
}

/// What each of the results is.
fn identities(plan: &Plan) -> Result<Vec<Identity>> {
    let results = plan.outputs.len() / plan.variants.max(1);
    let identity = |number: usize| {
        let wrong = |error: llb::EncodeError| Failure::message("definition", error.to_string(), "report this");
        let (_, digests) = llb::encode_traced(&plan.output(number).graph).map_err(wrong)?;
        let vertex = |edge: llb::Edge| Some((digests.get(edge.node.0 as usize)?.clone()?, edge.index));
        Ok(plan.variants(number).iter().map(|output| (output.edge.and_then(vertex), output.image.clone())).collect())
    };
    (0..results).map(identity).collect()
}

/// Makes the directories above an archive.
fn make_parents(kind: &ExportKind) -> Result<()> {
    let (ExportKind::Tar { path } | ExportKind::Oci { path } | ExportKind::Docker { path, .. }) = kind else {
        return Ok(());
    };
    match Path::new(path).parent() {
        Some(parent) => std::fs::create_dir_all(parent).map_err(Failure::io("make", parent)),
        None => Ok(()),
    }
}
