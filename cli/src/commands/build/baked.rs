//! `llbc build -f docker-bake.hcl`: each target is a build with flags of its own, one after the other.

use std::io::Write as _;

use clap::ValueEnum as _;
use serde_json::Value;

use super::start;
use crate::args::Build;
use crate::bake::{Bake, Target};
use crate::failure::{Failure, Result};
use crate::settings::is_address;
use crate::{printer, world};

/// Builds the targets that the words name.
pub(super) fn run(args: &Build, file: &str) -> Result<()> {
    let bytes = world::read(&crate::settings::Input::new(file))?;
    let text = String::from_utf8_lossy(&bytes);
    let bake = Bake::read(file, &text, &|name| std::env::var(name).ok())?;
    let targets = bake.chosen(&args.words)?;
    if args.frontend.print {
        return print(&bake, args, &targets);
    }
    let builds = targets.iter().map(|target| build(args, target)).collect::<Result<Vec<_>>>()?;
    for (target, (build, _)) in targets.iter().zip(&builds) {
        printer::note(&format!("target {}", target.name));
        start(build, &|_, names| names)?;
    }
    Ok(())
}

/// A file that is there as long as its build.
type Inline = Option<tempfile::NamedTempFile>;

/// The build of a target. What the command line says of results and of speed holds for all.
fn build(args: &Build, target: &Target) -> Result<(Build, Inline)> {
    let mut build = args.clone();
    let (context, dockerfile) = (context(target), dockerfile(target));
    let is_elsewhere = is_address(&context) || dockerfile.starts_with('/');
    build.file = Some(if is_elsewhere { dockerfile } else { format!("{context}/{dockerfile}") });
    build.words = vec![context];
    let mut inline = None;
    for (key, value) in &target.keys {
        let one = || shown(value);
        match key.as_str() {
            "context" | "dockerfile" | "description" | "entitlements" => {}
            "dockerfile-inline" => {
                let failed = |error| Failure::io("write", "the build file of the target")(error);
                let mut file = tempfile::Builder::new().prefix("Dockerfile.").tempfile().map_err(failed)?;
                file.write_all(one().as_bytes()).map_err(failed)?;
                build.file = Some(file.path().display().to_string());
                inline = Some(file);
            }
            "args" => build.options.build_args.extend(pairs(value)),
            "labels" => build.options.labels.extend(pairs(value)),
            "contexts" => {
                let pairs = pairs(value);
                if let Some(other) = pairs.iter().find(|pair| pair.contains("=target:")) {
                    return Err(unsupported(
                        target,
                        &format!("contexts that are targets ({other})"),
                        "make them stages of one file",
                    ));
                }
                build.options.build_contexts.extend(pairs);
            }
            "target" => build.options.target = Some(one()),
            "platforms" if build.options.platforms.is_empty() => build.options.platforms = list(value),
            "tags" if build.run.tags.is_empty() => build.run.tags = list(value),
            "output" if build.run.outputs.is_empty() && !build.run.push && !build.run.load => {
                build.run.outputs = list(value)
            }
            "platforms" | "tags" | "output" => {}
            "annotations" => build.run.annotations.extend(list(value)),
            "secret" => build.run.secrets.extend(list(value)),
            "ssh" => build.run.ssh.extend(list(value)),
            "no-cache" => build.run.no_cache |= value == true,
            "no-cache-filter" => build.frontend.no_cache_filter.extend(list(value)),
            "pull" => build.frontend.pull |= value == true,
            "shm-size" => build.frontend.shm_size = Some(one()),
            "ulimits" => build.frontend.ulimits.extend(list(value)),
            "extra-hosts" => build.frontend.add_hosts.extend(pairs(value)),
            "network" => {
                let wrong = |_| unsupported(target, &format!("network {}", one()), "it is default, none or host");
                build.frontend.network = executor::cli::Network::from_str(&one(), false).map_err(wrong)?;
            }
            // Caches are speed only; results are in the store without them.
            "cache-from" | "cache-to" => {}
            "call" if one() == "build" => {}
            "attest" if list(value).iter().all(|attestation| attestation.contains("disabled=true")) => {}
            key => return Err(unsupported(target, key, "take it out, or pass the flag of `llbc build` that does it")),
        }
    }
    Ok((build, inline))
}

fn unsupported(target: &Target, what: &str, help: &str) -> Failure {
    Failure::unsupported(&format!("target {}: {what}", target.name), help)
}

fn text(target: &Target, key: &str) -> Option<String> {
    target.keys.get(key).map(shown)
}

/// The context, which is here when nothing is said.
fn context(target: &Target) -> String {
    text(target, "context").unwrap_or_else(|| ".".to_owned())
}

/// The build file in it.
fn dockerfile(target: &Target) -> String {
    text(target, "dockerfile").unwrap_or_else(|| "Dockerfile".to_owned())
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A map as `KEY=VALUE`.
fn pairs(value: &Value) -> Vec<String> {
    value.as_object().into_iter().flatten().map(|(key, value)| format!("{key}={}", shown(value))).collect()
}

/// A list of texts; an entry that is a map is written as a flag has it.
fn list(value: &Value) -> Vec<String> {
    let entry = |value: &Value| if value.is_object() { pairs(value).join(",") } else { shown(value) };
    match value {
        Value::Array(values) => values.iter().map(entry).collect(),
        other => vec![entry(other)],
    }
}

/// As `docker buildx bake --print` shows it.
fn print(bake: &Bake, args: &Build, targets: &[&Target]) -> Result<()> {
    let mut shown = serde_json::Map::new();
    for target in targets {
        let mut keys = serde_json::Map::new();
        keys.insert("context".to_owned(), context(target).into());
        keys.insert("dockerfile".to_owned(), dockerfile(target).into());
        keys.extend(target.keys.iter().map(|(key, value)| (key.clone(), value.clone())));
        shown.insert(target.name.clone(), keys.into());
    }
    let default = ["default".to_owned()];
    let asked = if args.words.is_empty() { &default[..] } else { &args.words };
    let groups = bake.groups.iter().filter(|(name, _)| asked.contains(name));
    let groups = groups.map(|(name, members)| (name.clone(), serde_json::json!({ "targets": members })));
    let groups: serde_json::Map<String, Value> = groups.collect();
    let whole = serde_json::json!({ "group": groups, "target": shown });
    let text = serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n";
    printer::data(text.as_bytes())
}
