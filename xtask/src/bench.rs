//! `cargo xtask bench`: what we cost, side by side with docker and buildah on the same machine in the same run.
//!
//! Absolute figures drift with the machine and its load; ratios of one run do not, so those are what the tables are
//! for. Docker's steps run without a network, which spares its engine work. A daemon's processor time and memory count
//! for it: they are spent for the build. buildah runs with its default isolation.

mod builders;
mod compile;
mod table;
mod workloads;

use e2e::measure::{Cost, measure, median, spent_by};

use crate::setup;
use crate::shell::{self, Result, cargo};
use builders::Builder;
use table::Table;
use workloads::Workload;

/// Runs of each workload; the median counts.
const RUNS: usize = 5;

pub(crate) fn run(_: &[String]) -> Result<()> {
    setup::install(setup::ALL)?;
    let release = ["build", "--release", "--package", "cli", "--package", "executor"];
    shell::step("build llbc and executor", &mut cargo(&release))?;
    compile::run()?;
    let builders = builders::all()?;
    let mut table = Table::new(builders.iter().map(|builder| builder.name()));
    for workload in workloads::ALL {
        let costs = shell::timed(workload.name, || costs(workload, &builders))?;
        table.add(workload.name, costs);
    }
    shell::print(&table.print())
}

/// The median cost of a workload for each builder; builders take turns, so that drift hits all of them.
fn costs(workload: &Workload, builders: &[Box<dyn Builder>]) -> Result<Vec<Cost>> {
    let context = tempfile::tempdir()?;
    std::fs::write(context.path().join("Dockerfile"), (workload.dockerfile)())?;
    let mut costs = vec![Vec::new(); builders.len()];
    if workload.cached {
        builders.iter().try_for_each(|builder| measure(&mut builder.build(context.path(), true)).map(drop))?;
    }
    for _ in 0..RUNS {
        for (builder, costs) in builders.iter().zip(&mut costs) {
            costs.push(cost(builder.as_ref(), context.path(), workload.cached)?);
        }
    }
    Ok(costs.into_iter().map(median).collect())
}

fn cost(builder: &dyn Builder, context: &std::path::Path, cached: bool) -> Result<Cost> {
    let Some(daemon) = builder.daemon() else { return Ok(measure(&mut builder.build(context, cached))?) };
    let before = spent_by(daemon);
    let client = measure(&mut builder.build(context, cached))?;
    let after = spent_by(daemon);
    Ok(client.with(Cost { wall: client.wall, cpu: after.cpu.saturating_sub(before.cpu), peak: after.peak }))
}
