//! What programs say of builds, as builds are told: what they need of the client, and where results go.

mod forward;

use std::path::{Path, PathBuf};

use compiler::{Agent, ExportKind, Needs};
use executor::cli::Settings as RunSettings;
use executor::session::{Secret, SshAgent};

use crate::failure::{Failure, Result};

pub(crate) use forward::Forward;

/// Gives a build what the program says it needs of the client.
pub(crate) fn provide(needs: &Needs, settings: &mut RunSettings, forwards: &mut Vec<Forward>) -> Result<()> {
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

/// Where an export goes, by the name that it has there.
pub(crate) fn place(kind: &ExportKind) -> &str {
    match kind {
        ExportKind::Push { reference, .. } | ExportKind::Load { reference } => reference,
        ExportKind::Directory { path }
        | ExportKind::Tar { path }
        | ExportKind::Oci { path }
        | ExportKind::Docker { path, .. } => path,
    }
}

/// Where an export goes, as `--output` writes it.
pub(crate) fn destination(kind: &ExportKind) -> String {
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
