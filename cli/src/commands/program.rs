//! Running the plan of a program: its results and what it sends away, in the order it says.
//!
//! What is sent away on the way to a result goes first, as the program has it. Parts that may run at once run one after
//! the other: each is a build of its own, whose steps run at once.

mod forward;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use compiler::{Agent, ExportKind, Needs, Order, Plan};
use executor::cli::Settings as RunSettings;
use executor::session::{Secret, SshAgent};
use llb::passes;

use forward::Forward;

use crate::definition;
use crate::failure::{Failure, Result};

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

/// Builds everything. `settings` makes the settings of one build, with outputs of its own instead of the user's.
pub(super) fn run(
    plan: &Plan,
    passes: passes::Options,
    settings: &dyn Fn(Option<String>) -> Result<RunSettings>,
) -> Result<()> {
    let mut runner = Runner { plan, passes, settings, sent: BTreeSet::new() };
    let attached: BTreeSet<usize> = plan.outputs.iter().flat_map(|output| output.exports.iter().copied()).collect();
    // What is sent away on the way to nothing that is built.
    for number in (0..plan.exports.len()).filter(|number| !attached.contains(number)) {
        runner.send(number)?;
    }
    runner.order(&plan.order)
}

/// Where an export goes, as `--output` writes it.
fn destination(kind: &ExportKind) -> String {
    match kind {
        ExportKind::Push { reference, stargz: false } => format!("type=registry,name={reference}"),
        // Layers that are there in another form are made anew.
        ExportKind::Push { reference, stargz: true } => {
            format!("type=registry,name={reference},compression=estargz,force-compression=true,oci-mediatypes=true")
        }
        // Without a file it is loaded.
        ExportKind::Load { reference } => format!("type=docker,name={reference}"),
        ExportKind::Directory { path } => format!("type=local,dest={path}"),
        ExportKind::Tar { path } => format!("type=tar,dest={path}"),
        ExportKind::Oci { path } => format!("type=oci,dest={path}"),
        ExportKind::Docker { path, reference } => format!("type=docker,dest={path},name={reference}"),
    }
}

struct Runner<'p> {
    plan: &'p Plan,
    passes: passes::Options,
    settings: &'p dyn Fn(Option<String>) -> Result<RunSettings>,
    /// Exports that are done.
    sent: BTreeSet<usize>,
}

impl Runner<'_> {
    fn order(&mut self, order: &Order) -> Result<()> {
        match order {
            Order::Nothing => Ok(()),
            Order::Output(number) => {
                // Every platform sends away the same.
                for export in &self.plan.variants(*number)[0].exports {
                    self.send(*export)?;
                }
                self.build(*number, None)
            }
            Order::Parallel(all) | Order::Sequence(all) => all.iter().try_for_each(|order| self.order(order)),
        }
    }

    fn send(&mut self, number: usize) -> Result<()> {
        if !self.sent.insert(number) {
            return Ok(());
        }
        let export = &self.plan.exports[number];
        self.build(export.output, Some(destination(&export.kind)))
    }

    fn build(&self, number: usize, output: Option<String>) -> Result<()> {
        let mut settings = (self.settings)(output)?;
        // They listen until the build is done.
        let mut forwards = Vec::new();
        for output in self.plan.variants(number) {
            provide(&output.needs, &mut settings, &mut forwards)?;
        }
        let mut plan = self.plan.output(number);
        plan.optimize(self.passes);
        let definition = definition::encode(plan)?;
        executor::cli::run(definition, settings).map_err(Failure::Build)
    }
}

/// Gives a build what the program says it needs of the client.
fn provide(needs: &Needs, settings: &mut RunSettings, forwards: &mut Vec<Forward>) -> Result<()> {
    for (name, path) in &needs.directories {
        let path = PathBuf::from(path);
        let directory = match path.parent() {
            Some(parent) if path.is_file() => {
                if parent.as_os_str().is_empty() {
                    ".".into()
                } else {
                    parent.to_owned()
                }
            }
            _ => path,
        };
        settings.session.locals.insert(name.clone(), directory);
    }
    for (id, path) in &needs.secrets {
        settings.session.secrets.insert(id.clone(), Secret::File(path.into()));
    }
    for (id, variable) in &needs.variables {
        settings.session.secrets.insert(id.clone(), Secret::Env(variable.clone()));
    }
    for (id, agent) in &needs.agents {
        settings.session.ssh.insert(id.clone(), listener(agent, forwards)?);
    }
    Ok(())
}

/// What listens behind a socket that a program wants.
fn listener(agent: &Agent, forwards: &mut Vec<Forward>) -> Result<SshAgent> {
    let paths: Vec<PathBuf> = agent.paths.iter().map(PathBuf::from).collect();
    match (&agent.paths[..], agent.ssh) {
        ([], true) => match std::env::var_os("SSH_AUTH_SOCK") {
            Some(socket) => Ok(SshAgent::Socket(socket.into())),
            None => {
                let help = "start ssh-agent, or name its socket with `localPaths`";
                Err(Failure::message("ssh", "there is no SSH agent: SSH_AUTH_SOCK is not set", help))
            }
        },
        (_, true) => Ok(SshAgent::of(&paths)?),
        ([address], false) if address.contains("://") => {
            let forward = forward::listen(address).map_err(Failure::io("forward", Path::new(address)))?;
            let socket = forward.socket();
            forwards.push(forward);
            Ok(SshAgent::Raw(socket))
        }
        (_, false) => Ok(SshAgent::raw(&paths)?),
    }
}
