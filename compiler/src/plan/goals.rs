//! What a build by name means: which definition, with which arguments, for which platforms, and where the result goes.
//!
//! A language that has goals names results with all that belongs to them. Everything else is asked for by the name of a
//! definition, as before; what is asked for never changes what a definition is.

use std::rc::Rc;

use ast::{Delivery, Diagnostic, Goal, GoalKind, Module, Str, Wanted};
use oci::Platform;

use super::Purpose;
use super::expand::{self, Expanded, Uses};
use super::planner::Planner;
use super::settings::Settings;
use super::stop::{Done, Stop};
use crate::{Destination, Shipment};

/// The argument that sets times; what a user says of it comes before what a text says.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Finds the goal that is asked for and makes the settings those of it.
///
/// **Errors**: a group of several, which is no single result.
pub(super) fn choose<'a>(
    module: &'a Module,
    purpose: Purpose,
    settings: &mut Settings<'a>,
) -> Result<Option<&'a Goal>, Box<Diagnostic>> {
    if settings.target.is_empty() && purpose != Purpose::Build {
        return Ok(None);
    }
    let default = module.defs.last().and_then(|def| def.name.as_ref());
    let name = if settings.target.is_empty() { default.map_or("", |name| &name.text) } else { settings.target };
    let Some(goal) = module.goal(name) else { return Ok(None) };
    let (goal, wanted) = single(module, goal)?;
    // The last definition is what is built when nobody asks: so that steps are named alike, however it is asked for.
    let is_default = default.is_some_and(|default| default.text == wanted.def);
    settings.target = if is_default && settings.target.is_empty() { "" } else { &wanted.def };
    for (key, value) in &wanted.args {
        if key != EPOCH || !settings.build_args.contains_key(EPOCH) {
            settings.build_args.insert(key, value);
        }
    }
    if settings.target_platforms.is_empty() && purpose == Purpose::Build {
        settings.target_platforms = platforms(wanted, &settings.build_platforms[0])?;
        settings.multi_platform |= settings.target_platforms.len() > 1;
    }
    Ok(Some(goal))
}

/// The one result that is meant.
fn single<'a>(module: &'a Module, goal: &'a Goal) -> Result<(&'a Goal, &'a Wanted), Box<Diagnostic>> {
    match &goal.kind {
        GoalKind::Result(wanted) => Ok((goal, wanted)),
        GoalKind::Group(members) => {
            let names: Vec<&str> = members.iter().map(|name| name.text.as_str()).collect();
            if let [only] = names[..]
                && let Some(Goal { kind: GoalKind::Result(wanted), .. }) = module.goal(only)
            {
                return Ok((module.goal(only).unwrap_or(goal), wanted));
            }
            let message = format!("`{}` is several results", goal.name.text);
            let help = format!(
                "`llbc build {}` builds all of them; as a target, choose one of {}",
                goal.name.text,
                names.join(", ")
            );
            let error = Diagnostic::error("option", message, Some(goal.name.span)).help(help);
            Err(Box::new(error))
        }
    }
}

fn platforms(wanted: &Wanted, build: &Platform) -> Result<Vec<Platform>, Box<Diagnostic>> {
    let parse = |written: &ast::Name| {
        Platform::parse(&written.text, build).map_err(|error| {
            let error = Diagnostic::error("plan", error.to_string(), Some(written.span));
            Box::new(error.help("a platform is os/architecture[/variant]"))
        })
    };
    wanted.platforms.iter().map(parse).collect()
}

impl Planner<'_> {
    /// Where the result goes, if the text says so.
    pub(super) fn shipment(&mut self) -> Done<Option<Box<Shipment>>> {
        let Some(goal) = self.goal else { return Ok(None) };
        let GoalKind::Result(wanted) = &goal.kind else { return Ok(None) };
        let destination = match &wanted.delivery {
            Delivery::Test => Destination::Nowhere,
            Delivery::Files(to) => Destination::Files { to: self.global(to)?.to_string() },
            Delivery::Image(image) => Destination::Image {
                tags: image.tags.iter().map(|tag| self.tag(tag)).collect::<Done<_>>()?,
                annotations: image
                    .annotations
                    .iter()
                    .map(|pair| Ok((self.global(&pair.key)?.to_string(), self.global(&pair.value)?.to_string())))
                    .collect::<Done<_>>()?,
                attestations: image.attestations.iter().map(|name| name.text.clone()).collect(),
            },
        };
        Ok(Some(Box::new(Shipment {
            goal: goal.name.text.clone(),
            destination,
            requires: wanted.requires.iter().map(|name| name.text.clone()).collect(),
            expected: wanted.expected.clone(),
        })))
    }

    fn tag(&mut self, tag: &Str) -> Done<String> {
        let value = self.global(tag)?;
        match oci::Reference::parse(&value) {
            Ok(_) => Ok(value.to_string()),
            Err(error) => {
                let message = format!("{} is no name of an image: {error}", ast::quote(value.as_bytes()));
                Err(Stop::error(message).help("a name is [HOST/]PATH[:TAG], in lower case").point(tag.span))
            }
        }
    }

    /// The value of a template outside every definition.
    fn global(&mut self, text: &Str) -> Done<Rc<str>> {
        let value = expand::string(text, &self.globals, &mut Uses::ignored());
        match value.map_err(|fault| Stop::from(fault).point(text.span))? {
            Expanded::Known(value) => Ok(Rc::from(&*value)),
            Expanded::Unknown => Err(Stop::Unknown),
        }
    }

    /// Refuses values of arguments that these do not take, and those that are missing.
    pub(super) fn check_domains(&self) -> Done {
        for (_, param) in self.request.module.params() {
            let Some(domain) = &param.domain else { continue };
            let name = &param.name;
            match self.build_args.get(name.text.as_str()) {
                Some(value) => {
                    if let Some(why) = domain.refuses(value) {
                        let message = format!("`{}` cannot be {}", name.text, ast::quote(value.as_bytes()));
                        return Err(Stop::error(message).help(why).point(name.span));
                    }
                }
                None if domain.required && self.request.purpose == Purpose::Build => {
                    let help = format!("pass --build-arg {}=VALUE", name.text);
                    return Err(Stop::error(format!("`{}` has no value", name.text)).help(help).point(name.span));
                }
                None => {}
            }
        }
        Ok(())
    }
}
