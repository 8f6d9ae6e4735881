//! `cargo xtask bench [WORDS]`: what we cost, side by side with docker, buildah and, where one is at hand, BuildKit, on the
//! same machine in the same run. Words choose the workloads whose names hold one of them; `compile [FILE…]` is compiling
//! alone, in process, `hlb` checking a long program, `lsp` the language server, `start [PROGRAM…]` the start of frontends, and
//! `levels [CASE…]` builds of the conformance corpus at each level of the optimizer.
//!
//! Absolute figures drift with the machine and its load; ratios of one run do not, so those are what the tables are
//! for. Docker's steps run without a network, which spares its engine work. A daemon's processor time and memory count
//! for it: they are spent for the build. buildah runs with its default isolation. The limit is the wall time of what no
//! builder can do without: starting processes, copying files once, compressing on one core. Everything lies in `TMPDIR`: on
//! a file system without a journal, ext4 looks at every inode that was removed lately before it takes one, so that the
//! later workloads measure the earlier ones; there a file system of its own, mounted for the run, measures better. It runs
//! apart ([`apart`]), so that nothing stays of it. Our programs are those of `cargo xtask release`; all programs are copied first,
//! as an installation does.

mod apart;
mod builders;
mod compile;
mod group;
mod hlb;
mod levels;
mod lsp;
mod start;
mod table;
mod workloads;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use e2e::Registry;
use e2e::measure::{Cost, measure, median, reset_peak, spent_by};
use tempfile::TempDir;

use crate::release;
use crate::setup;
use crate::shell::{self, Result};
use builders::{Build, Builder, Cache, Verb};
use group::Account;
use table::Table;
use workloads::{BASE, Place, Start, Workload};

pub(crate) fn run(words: &[String]) -> Result<()> {
    if words.iter().any(|word| matches!(&**word, "-h" | "--help" | "help")) {
        return shell::print(&help());
    }
    if let [first, files @ ..] = words
        && first == "compile"
    {
        return compile::in_process(files);
    }
    if let [first, programs @ ..] = words
        && first == "start"
    {
        return start::run(programs);
    }
    if let [first, cases @ ..] = words
        && first == "levels"
    {
        return levels::run(cases);
    }
    if words == ["lsp"] || words == ["hlb"] {
        release::build()?;
        return if words == ["hlb"] { hlb::run() } else { lsp::run() };
    }
    let chosen = chosen(words)?;
    // An ordinary user cannot, and has no daemons.
    if setup::is_root() && !apart::is_inside() {
        return apart::run(words);
    }
    setup::install(setup::ALL)?;
    release::build()?;
    if words.is_empty() {
        compile::run()?;
        compile::in_process(&[])?;
        hlb::run()?;
        lsp::run()?;
        start::run(&[])?;
    }
    let account = Account::open();
    if account.is_none() {
        shell::say("no control group: the processor time of processes that nobody waits for is left out");
    }
    let mut builders = builders::all()?;
    let mut table = Table::new(builders.iter().map(|builder| builder.name()));
    let mut shared = Shared(None);
    for workload in chosen {
        let (costs, limit) =
            shell::timed(workload.name, || costs(workload, &mut builders, &mut shared, account.as_ref()))?;
        // What is measured is not lost with what fails later.
        shell::say(&table.add(workload.name, costs, limit));
    }
    shell::print(&table.print())
}

/// The workloads that words choose; no words choose all. **Errors**: a word that chooses none.
fn chosen(words: &[String]) -> Result<Vec<&'static Workload>> {
    let is_of = |word: &String, workload: &Workload| workload.name.contains(&**word);
    if let Some(word) = words.iter().find(|word| !workloads::ALL.iter().any(|workload| is_of(word, workload))) {
        return Err(format!("no workload's name holds {word:?}; there are:\n{}", names()).into());
    }
    let is_wanted = |workload: &&Workload| words.is_empty() || words.iter().any(|word| is_of(word, workload));
    Ok(workloads::ALL.iter().filter(is_wanted).collect())
}

fn names() -> String {
    workloads::ALL.iter().map(|workload| format!("  {}\n", workload.name)).collect()
}

fn help() -> String {
    format!(
        "usage: cargo xtask bench [WORD…]     workloads whose names hold a word; without words everything
       cargo xtask bench compile [FILE…]  compiling alone, in process
       cargo xtask bench hlb              checking a long program
       cargo xtask bench levels [CASE…]   builds of the corpus at each level of the optimizer
       cargo xtask bench lsp              the language server
       cargo xtask bench start [PROGRAM…] the start of the frontend, and of other frontends

Everything lies in TMPDIR. Workloads:
{}",
        names()
    )
}

/// So much time of one builder is enough for a workload: what disturbs a short run is small beside a long one.
const ENOUGH: Duration = Duration::from_secs(5);

/// A context that is filled, for the workloads that share it.
struct Shared(Option<TempDir>);

impl Shared {
    /// The context of a workload: its own, or that of the one before it.
    fn of(&mut self, workload: &Workload) -> Result<TempDir> {
        if let Some(context) = self.0.take().filter(|_| workload.shares_context) {
            return Ok(context);
        }
        let context = tempfile::tempdir()?;
        (workload.prepare)(context.path())?;
        Ok(context)
    }

    fn keep(&mut self, workload: &Workload, context: TempDir) {
        self.0 = workload.shares_context.then_some(context);
    }
}

/// The median cost of a workload for each builder (`None` where it cannot do it) and the limit; builders take turns, so
/// that drift hits all of them.
fn costs(
    workload: &Workload,
    builders: &mut [Box<dyn Builder>],
    shared: &mut Shared,
    account: Option<&Account>,
) -> Result<(Vec<Option<Cost>>, Cost)> {
    let context = shared.of(workload)?;
    let registry = if workload.needs_registry() { Some(Registry::start()?) } else { None };
    let caches = tempfile::tempdir()?;
    let bench =
        Bench { workload, context: context.path(), caches: caches.path(), registry: registry.as_ref(), account };
    bench.write(&(workload.dockerfile)())?;
    if matches!(workload.start, Start::Cached | Start::Changed(_) | Start::Imported(_)) {
        for builder in builders.iter() {
            bench.attempt(builder.as_ref(), 0)?;
        }
    }
    let mut costs = vec![Vec::<Cost>::new(); builders.len()];
    let mut limits = Vec::new();
    for round in 1..=workload.runs {
        match workload.start {
            Start::Changed(change) => change(context.path(), round)?,
            Start::Pulled => bench.put_base(round)?,
            Start::Imported(_) => {
                bench.write(&format!("{}RUN echo {round} > /round\n", (workload.dockerfile)()))?;
                builders.iter_mut().try_for_each(|builder| builder.forget())?;
            }
            Start::NoCache | Start::Cached => {}
        }
        for (builder, costs) in builders.iter().zip(&mut costs) {
            if costs.iter().map(|cost| cost.wall).sum::<Duration>() < ENOUGH {
                costs.extend(bench.attempt(builder.as_ref(), round)?);
            }
        }
        limits.push(measure(Command::new("sh").args(["-c", workload.limit]).current_dir(context.path()))?);
    }
    shared.keep(workload, context);
    let median = |costs: Vec<Cost>| (!costs.is_empty()).then(|| median(costs));
    Ok((costs.into_iter().map(median).collect(), e2e::measure::median(limits)))
}

/// A workload with all it needs.
struct Bench<'a> {
    workload: &'a Workload,
    context: &'a Path,
    /// Where caches are that are directories.
    caches: &'a Path,
    registry: Option<&'a Registry>,
    account: Option<&'a Account>,
}

impl Bench<'_> {
    /// One build; a peer that fails is left out, with what it said.
    fn attempt(&self, builder: &dyn Builder, round: usize) -> Result<Option<Cost>> {
        match self.build(builder, round) {
            Err(error) if !builder.is_own() => {
                shell::say(&format!("{} is left out: {error}", builder.name()));
                Ok(None)
            }
            built => built,
        }
    }

    /// One build; `None` where the builder has no such output.
    fn build(&self, builder: &dyn Builder, round: usize) -> Result<Option<Cost>> {
        let out = tempfile::tempdir()?;
        // A repository that no builder has pushed to.
        let of = builder.name().to_lowercase().replace(' ', "-");
        let commands = builder.build(&Build {
            context: self.context,
            pulls: matches!(self.workload.start, Start::Pulled),
            no_cache: matches!(self.workload.start, Start::NoCache),
            output: self.workload.output,
            dest: &out.path().join("out"),
            pushed: &self.named(&format!("{of}-{round}:1")),
            cache: self.cache(&of, round),
        });
        let Some(mut commands) = commands else { return Ok(None) };
        let before = builder.daemon().map(|daemon| {
            reset_peak(daemon);
            (daemon, spent_by(daemon))
        });
        let spent = self.account.map(Account::spent);
        let mut cost = Cost::default();
        for command in &mut commands {
            cost = cost.then(measure(command)?);
        }
        if let Some((daemon, before)) = before {
            let after = spent_by(daemon);
            cost = cost.with(Cost { wall: cost.wall, cpu: after.cpu.saturating_sub(before.cpu), peak: after.peak });
        }
        if let (Some(account), Some(before)) = (self.account, spent) {
            std::thread::sleep(group::AFTERWARDS);
            cost.cpu = account.spent() - before;
        }
        Ok(Some(cost))
    }

    fn write(&self, dockerfile: &str) -> Result<()> {
        Ok(std::fs::write(self.context.join("Dockerfile"), dockerfile)?)
    }

    /// What a builder does with a cache in a round.
    fn cache(&self, of: &str, round: usize) -> Option<Cache> {
        let (place, verb, round) = match (self.workload.start, self.workload.cache_to) {
            (Start::Imported(place), _) => (place, if round == 0 { Verb::Export } else { Verb::Import }, 0),
            (_, cache_to) => (cache_to?, Verb::Export, round),
        };
        let name = format!("{of}-cache-{round}");
        let at = match place {
            Place::Directory => self.caches.join(name).display().to_string(),
            Place::Registry => self.named(&name),
        };
        Some(Cache { place, at, verb })
    }

    /// A name in the registry.
    fn named(&self, name: &str) -> String {
        self.registry.map_or_else(String::new, |registry| format!("{}/{name}", registry.address))
    }

    /// Puts an image of the workload's files into the registry, which no builder has seen, and makes it the base of what is
    /// built.
    fn put_base(&self, round: usize) -> Result<()> {
        let name = self.named(&format!("base:{round}"));
        let files = tempfile::tempdir()?;
        (self.workload.prepare)(files.path())?;
        std::fs::write(files.path().join("Dockerfile"), format!("FROM {BASE}\nCOPY . /round-{round}/\n"))?;
        builders::push_unseen(files.path(), &name)?;
        self.write(&format!("FROM {name}\nRUN true\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_choose_workloads_and_a_word_that_chooses_none_is_an_error() {
        let choose = |words: &[&str]| chosen(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(choose(&[]).unwrap().len(), workloads::ALL.len());
        let names: Vec<_> = choose(&["sleep", "one RUN"]).unwrap().iter().map(|workload| workload.name).collect();
        assert_eq!(names, ["one RUN step", "16 stages of `sleep 0.5`"]);
        let message = choose(&["sleep", "slepp"]).err().unwrap().to_string();
        assert!(message.starts_with("no workload's name holds \"slepp\"; there are:\n  30 instructions"), "{message}");
    }
}
