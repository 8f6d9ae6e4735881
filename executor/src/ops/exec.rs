//! Exec: a process in a container over its input trees; what it leaves in them are the outputs.
//!
//! parity: BuildKit v0.32, solver/llbsolver/ops/exec.go and frontend/gateway/container: which mounts are copies, which
//! outputs are inputs handed through, the order of the environment, the texts of errors.

mod caches;
mod failed;
mod mask;
mod mounts;
mod session;

use oci::Platform;

use crate::ops::Context;
use crate::progress::{Clipped, Event};
use crate::runtime::{Mount, MountSource, Network, NetworkMode, Spec, emulation};
use crate::snapshot::Committed;
use crate::{Error, Result};
use mask::Mask;

pub use caches::Caches;
pub use failed::{Failed, Failures, Talk};

/// What a process ends with that could not be started although its program is there.
const NOT_EXECUTABLE: i32 = 126;

/// Where programs are looked for when the definition does not say.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Whether a build that was granted `allow` may run the process. Asked for all vertices before anything runs.
pub fn check_entitlements(exec: &llb::Exec, allow: &[String]) -> Result<()> {
    let host_network = (exec.network == llb::NetMode::Host).then_some("network.host");
    let insecure = (exec.security == llb::SecurityMode::Insecure).then_some("security.insecure");
    let denied = [host_network, insecure].into_iter().flatten().find(|wanted| !allow.iter().any(|a| a == wanted));
    match denied {
        Some(entitlement) => {
            Err(Error::Denied(format!("{entitlement} is not allowed: grant it with --allow {entitlement}")))
        }
        None => Ok(()),
    }
}

/// Refuses names that would add lines of their own to `/etc/hosts`.
pub fn check_names(exec: &llb::Exec) -> Result<()> {
    let hosts = exec.meta.extra_hosts.iter().flat_map(|host| [&host.host, &host.ip]);
    let is_blank = |text: &&String| text.chars().any(|c| c.is_whitespace() || c.is_control());
    match hosts.chain([&exec.meta.hostname]).find(is_blank) {
        Some(name) => Err(Error::Invalid(format!("host name {name:?} holds a blank or a control character"))),
        None => Ok(()),
    }
}

/// Runs the process; the outputs are in the order of their numbers.
pub fn run(exec: &llb::Exec, inputs: &[Committed], context: Context<'_>) -> Result<Vec<Committed>> {
    check_entitlements(exec, context.allow)?;
    match run_in(network(exec.network, context.network), exec, inputs, context) {
        // What was prepared is used up: changes go to an overlay, and one that was mounted is not mounted again.
        Err(Error::NoSandbox(reason)) => run_in(instead_of_sandbox(&reason, context)?, exec, inputs, context),
        ran => ran,
    }
}

/// Runs the process in a network.
fn run_in(network: Network, exec: &llb::Exec, inputs: &[Committed], context: Context<'_>) -> Result<Vec<Committed>> {
    let mounted = mounts::prepare(exec, inputs, context)?;
    let mut spec = spec(exec, &mounted, network, context)?;
    if let Some(platform) = &context.node.platform {
        emulate(&mut spec, platform);
    }
    let clipped = Clipped::new(context.progress);
    let show = |stream: u8, data: &[u8]| clipped.write(stream, data);
    let secrets: Vec<String> = exec.secret_env.iter().map(|secret| secret.name.clone()).collect();
    let mask = Mask::new(&spec, &secrets);
    let ran = context.runtime.run(&spec, &|stream, data| mask.write(stream, data, &show), context.cancel);
    mask.finish(&show);
    let exit = ran?;
    let valid: &[i32] = if exec.meta.valid_exit_codes.is_empty() { &[0] } else { &exec.meta.valid_exit_codes };
    if valid.contains(&exit.code) {
        drop(spec);
        return mounted.commit(context.snapshots);
    }
    clipped.flush();
    if let Some(failures) = context.failures {
        failures.keep(Failed::new(context.progress.digest.clone(), spec, secrets, mounted));
    }
    if exit.code == NOT_EXECUTABLE
        && let Some(platform) = &context.node.platform
        && let Some(advice) = emulation::advice(platform)
    {
        return Err(Error::Unsupported { what: format!("a step for {platform}"), why: advice });
    }
    let command = exec.meta.args.join(" ");
    Err(Error::Exit { command, code: exit.code, out_of_memory: exit.out_of_memory })
}

/// Lets a program that comes with the builder run a process for another processor.
fn emulate(spec: &mut Spec, platform: &Platform) {
    let Some(program) = emulation::program(platform) else { return };
    let (Some(directory), Some(name)) = (program.parent(), program.file_name()) else { return };
    let source = MountSource::Bind { root: directory.to_owned(), selector: name.to_string_lossy().into_owned() };
    spec.mounts.push(Mount { dest: emulation::MOUNTED.into(), source, readonly: true });
    spec.args.insert(0, emulation::MOUNTED.into());
}

fn spec(exec: &llb::Exec, mounted: &mounts::Mounted, network: Network, context: Context<'_>) -> Result<Spec> {
    let meta = &exec.meta;
    let devices = context.devices.edits(&exec.cdi_devices)?;
    let mut env = environment(exec, context.session)?;
    env.extend(devices.env);
    Ok(Spec {
        root: mounted.root(),
        readonly_root: mounted.readonly_root,
        args: meta.args.clone(),
        env,
        cwd: meta.cwd.clone(),
        user: meta.user.clone(),
        hostname: meta.hostname.clone(),
        mounts: mounts::with_devices(devices.mounts, mounted.mounts()),
        devices: devices.devices,
        additional_gids: devices.gids,
        hooks: devices.hooks,
        intel_rdt: devices.intel_rdt,
        extra_hosts: meta.extra_hosts.iter().map(|host| (host.host.clone(), host.ip.clone())).collect(),
        network,
        insecure: exec.security == llb::SecurityMode::Insecure,
        ulimits: meta.ulimit.iter().map(|limit| (limit.name.clone(), limit.soft, limit.hard)).collect(),
        cgroup_parent: meta.cgroup_parent.clone(),
        resources: context.node.meta.linux_resources.as_deref().cloned().unwrap_or_default(),
        remove_mount_stubs_recursive: meta.remove_mount_stubs_recursive,
        stdin: None,
        terminal: false,
    })
}

/// Whether a process is wanted in a sandbox, if there can be one.
pub(crate) fn wants_sandbox(exec: &llb::Exec, network: NetworkMode) -> bool {
    exec.network == llb::NetMode::Unset && matches!(network, NetworkMode::Auto | NetworkMode::Always(Network::Sandbox))
}

/// The network of a process, if it can be had.
fn network(mode: llb::NetMode, of_build: NetworkMode) -> Network {
    match (mode, of_build) {
        (llb::NetMode::Host, _) => Network::Host,
        (llb::NetMode::None, _) => Network::None,
        (llb::NetMode::Unset, NetworkMode::Always(network)) => network,
        (llb::NetMode::Unset, NetworkMode::Auto) => Network::Sandbox,
    }
}

/// The network of a process where there can be no sandbox. One that is not what was asked for is never taken without a
/// word.
fn instead_of_sandbox(reason: &str, context: Context<'_>) -> Result<Network> {
    if context.network != NetworkMode::Auto {
        return Err(Error::Unsupported {
            what: "a sandbox for the network of steps".into(),
            why: format!("{reason}; --network=none runs them without one"),
        });
    }
    let message = format!(
        "steps of this build use the host's network, as there can be no sandbox: {reason}. --network=sandbox makes that \
         an error, --network=none isolates steps"
    );
    context.progress.sink.event(Event::Warning { digest: None, message, about: None });
    Ok(Network::Host)
}

/// The definition's variables, then proxies, the default PATH, and secrets. Those of devices come last, as in BuildKit.
fn environment(exec: &llb::Exec, session: &crate::session::Session) -> Result<Vec<String>> {
    let mut env = exec.meta.env.to_vec();
    env.extend(exec.meta.proxy_env.iter().flat_map(proxies));
    if !env.iter().any(|entry| entry.starts_with("PATH=")) {
        env.push(DEFAULT_PATH.to_owned());
    }
    for secret in &exec.secret_env {
        env.push(session::secret_variable(session, secret)?);
    }
    Ok(env)
}

/// Proxy variables, in both spellings that programs look for.
fn proxies(proxy: &llb::ProxyEnv) -> Vec<String> {
    let named = [
        ("HTTP_PROXY", &proxy.http_proxy),
        ("HTTPS_PROXY", &proxy.https_proxy),
        ("FTP_PROXY", &proxy.ftp_proxy),
        ("NO_PROXY", &proxy.no_proxy),
        ("ALL_PROXY", &proxy.all_proxy),
    ];
    let set = named.into_iter().filter(|(_, value)| !value.is_empty());
    set.flat_map(|(name, value)| [format!("{name}={value}"), format!("{}={value}", name.to_lowercase())]).collect()
}

#[cfg(test)]
mod tests;
