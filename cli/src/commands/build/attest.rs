//! What is to be said of how results were made: what the flags, the options and the text ask for.

use std::collections::{BTreeMap, BTreeSet};

use ast::Source;
use compiler::{Answer, Destination, Facts, Plan, Question, Shipment};
use executor::cli;
use executor::exporters::Attached;
use executor::provenance::{Asked, Image};

use crate::failure::{Failure, Result};
use crate::settings::{Input, Settings};

/// What a file of Docker's is called where nobody says it.
const DOCKERFILE: &str = "Dockerfile";

/// What the options that are set ask for to be said of how results were made.
pub(super) fn asked(settings: &Settings, source: &Source, facts: &Facts) -> Result<Option<Asked>> {
    of(settings, (source, facts), settings.options.opts.clone())
}

/// Options with what the text says of attestations of a result. What they say of a type goes before that, and so does what
/// was `said` of it elsewhere.
///
/// **Errors**: a text that cannot be read.
pub(in crate::commands) fn with_text(
    mut opts: BTreeMap<String, String>,
    mut said: BTreeSet<String>,
    shipment: Option<&Shipment>,
) -> Result<BTreeMap<String, String>> {
    said.extend(executor::provenance::options(&opts).into_keys());
    let attestations = match shipment.map(|shipment| &shipment.destination) {
        Some(Destination::Image { attestations, .. }) => attestations.as_slice(),
        _ => &[],
    };
    for text in attestations {
        let (kind, attrs) = cli::parse_attestation(text).map_err(Failure::Build)?;
        if let Some(attrs) = attrs.filter(|_| !said.contains(&kind)) {
            opts.insert(format!("{}{kind}", executor::provenance::OPTION), attrs);
        }
    }
    Ok(opts)
}

/// What options ask for to be said of how results were made.
pub(super) fn of(
    settings: &Settings,
    (source, facts): (&Source, &Facts),
    mut opts: BTreeMap<String, String>,
) -> Result<Option<Asked>> {
    let language = frontends::choose(&source.name, &source.bytes, None).map_or("", |language| language.id);
    let frontend = match language {
        "Dockerfile" => "dockerfile.v0".to_owned(),
        other => format!("llbc.{}", other.to_lowercase()),
    };
    // parity: buildx names the file in any case.
    if !settings.input.is_stdin() {
        opts.entry("filename".to_owned()).or_insert_with(|| DOCKERFILE.to_owned());
    }
    let asked = cli::asked(&frontend, &opts).map_err(Failure::Build)?;
    Ok(asked.map(|asked| Asked { images: images(facts), locals: locals(settings, facts), ..asked }))
}

/// What is said of the results of a plan in the outputs of its definition that come behind them.
pub(super) fn attached(plan: &Plan) -> Vec<Attached> {
    plan.bills().map(Attached::bill).collect()
}

/// Images that were looked up.
fn images(facts: &Facts) -> Vec<Image> {
    let looked_up = facts.answers.iter().filter_map(|(question, answer)| {
        let (Question::Image { reference, platform, .. }, Ok(Answer::Image(found))) = (question, answer) else {
            return None;
        };
        let (name, is_local) = match reference.strip_prefix("oci-layout://") {
            Some(name) => (name, true),
            None => (reference.as_str(), false),
        };
        let digest = found.digest.clone()?;
        Some(Image { name: name.to_owned(), platform: platform.clone(), digest, is_local })
    });
    looked_up.collect()
}

/// Local directories that were read to compile, by name.
fn locals(settings: &Settings, facts: &Facts) -> BTreeSet<String> {
    let read = facts.answers.keys().filter_map(|question| match question {
        Question::ContextFile { context, .. } => Some(context.as_str()),
        _ => None,
    });
    let file = matches!(settings.input, Input::File(_)).then_some("dockerfile");
    read.chain(file).filter(|name| settings.locals.contains_key(*name)).map(str::to_owned).collect()
}
