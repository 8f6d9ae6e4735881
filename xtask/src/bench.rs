//! `cargo xtask bench [WORDS]`: what we cost, side by side with docker, buildah and, where one is at hand, BuildKit, on the
//! same machine in the same run. Words choose the workloads whose names hold one of them; `compile [FILE…]` is compiling
//! alone, in process, and `lsp` the language server.
//!
//! Absolute figures drift with the machine and its load; ratios of one run do not, so those are what the tables are
//! for. Docker's steps run without a network, which spares its engine work. A daemon's processor time and memory count
//! for it: they are spent for the build. buildah runs with its default isolation. The limit is the wall time of what no
//! builder can do without: starting processes, copying files once, compressing on one core. Everything lies in `TMPDIR`: on
//! a file system without a journal, ext4 looks at every inode that was removed lately before it takes one, so that the
//! later workloads measure the earlier ones; there a file system of its own, mounted for the run, measures better.

mod builders;
mod compile;
mod lsp;
mod table;
mod workloads;

use std::path::Path;
use std::process::Command;

use e2e::measure::{Cost, measure, median, reset_peak, spent_by};

use crate::setup;
use crate::shell::{self, Result, cargo};
use builders::Builder;
use table::Table;
use workloads::{Start, Workload};

pub(crate) fn run(words: &[String]) -> Result<()> {
    if words.iter().any(|word| matches!(&**word, "-h" | "--help" | "help")) {
        return shell::print(&help());
    }
    if let [first, files @ ..] = words
        && first == "compile"
    {
        return compile::in_process(files);
    }
    if words == ["lsp"] {
        shell::step("build llbc", &mut cargo(&["build", "--release", "--package", "cli"]))?;
        return lsp::run();
    }
    let chosen = chosen(words)?;
    setup::install(setup::ALL)?;
    let release = ["build", "--release", "--package", "cli", "--package", "executor"];
    shell::step("build llbc and executor", &mut cargo(&release))?;
    if words.is_empty() {
        compile::run()?;
        compile::in_process(&[])?;
        lsp::run()?;
    }
    let builders = builders::all()?;
    let mut table = Table::new(builders.iter().map(|builder| builder.name()));
    for workload in chosen {
        let (costs, limit) = shell::timed(workload.name, || costs(workload, &builders))?;
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
       cargo xtask bench lsp              the language server

Everything lies in TMPDIR. Workloads:
{}",
        names()
    )
}

/// The median cost of a workload for each builder (`None` where it cannot do it) and the limit; builders take turns, so
/// that drift hits all of them.
fn costs(workload: &Workload, builders: &[Box<dyn Builder>]) -> Result<(Vec<Option<Cost>>, Cost)> {
    let context = tempfile::tempdir()?;
    (workload.prepare)(context.path())?;
    std::fs::write(context.path().join("Dockerfile"), (workload.dockerfile)())?;
    let mut costs = vec![Vec::new(); builders.len()];
    if !matches!(workload.start, Start::NoCache) {
        for builder in builders {
            attempt(builder.as_ref(), context.path(), workload)?;
        }
    }
    let mut limits = Vec::new();
    for round in 0..workload.runs {
        if let Start::Changed(change) = workload.start {
            change(context.path(), round + 1)?;
        }
        for (builder, costs) in builders.iter().zip(&mut costs) {
            costs.extend(attempt(builder.as_ref(), context.path(), workload)?);
        }
        limits.push(measure(Command::new("sh").args(["-c", workload.limit]).current_dir(context.path()))?);
    }
    let median = |costs: Vec<Cost>| (!costs.is_empty()).then(|| median(costs));
    Ok((costs.into_iter().map(median).collect(), e2e::measure::median(limits)))
}

/// One build; a peer that fails is left out, with what it said.
fn attempt(builder: &dyn Builder, context: &Path, workload: &Workload) -> Result<Option<Cost>> {
    match build(builder, context, workload) {
        Err(error) if !builder.is_own() => {
            shell::say(&format!("{} is left out: {error}", builder.name()));
            Ok(None)
        }
        built => built,
    }
}

/// One build; `None` where the builder has no such output.
fn build(builder: &dyn Builder, context: &Path, workload: &Workload) -> Result<Option<Cost>> {
    let out = tempfile::tempdir()?;
    let no_cache = matches!(workload.start, Start::NoCache);
    let Some(mut command) = builder.build(context, no_cache, workload.output, &out.path().join("out")) else {
        return Ok(None);
    };
    let Some(daemon) = builder.daemon() else { return Ok(Some(measure(&mut command)?)) };
    reset_peak(daemon);
    let before = spent_by(daemon);
    let client = measure(&mut command)?;
    let after = spent_by(daemon);
    Ok(Some(client.with(Cost { wall: client.wall, cpu: after.cpu.saturating_sub(before.cpu), peak: after.peak })))
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
