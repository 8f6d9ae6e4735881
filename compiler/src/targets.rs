//! The stages of a file: what can be built. Needs no planning, so a file that cannot be built has targets too.
//!
//! JSON and text are those of BuildKit v0.32's `frontend.targets` request.

use ast::{Diagnostic, LineIndex, Module, Op, OptKind, Severity, code};
use serde::Serialize;

use crate::outline::Lines;
use crate::table::{columns, is_default};

/// A stage that can be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Its name; empty if it has none.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Whether it is built when none is asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub default: bool,
    /// What its comment says.
    #[serde(skip_serializing_if = "is_default")]
    pub description: String,
    /// What it is based on, as written.
    #[serde(skip_serializing_if = "is_default")]
    pub base: String,
    /// The platform of its base, as written.
    #[serde(skip_serializing_if = "is_default")]
    pub platform: String,
    /// Its `FROM`.
    pub location: Lines,
}

/// The targets of a file, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets(pub Vec<Target>);

/// Lists the stages of a file whose lines are `lines`.
///
/// **Errors**: those of parsing.
pub fn targets(module: &Module, lines: &LineIndex) -> Result<Targets, Vec<Diagnostic>> {
    let fails = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Error && diagnostic.code != code::MODULE;
    let errors: Vec<Diagnostic> = module.diagnostics.iter().filter(fails).cloned().collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    if module.dialect.functions {
        return Ok(Targets(module.defs.iter().filter_map(|def| function(def, lines)).collect()));
    }
    let last = module.defs.len().saturating_sub(1);
    let target = |(index, def): (usize, &ast::Def)| {
        let from = def.body.steps().first()?;
        let base = if let Op::From(base) = &from.op { base.raw().lossy().into_owned() } else { String::new() };
        let platform = from.opts.iter().find_map(|opt| match &opt.kind {
            OptKind::Platform(platform) => Some(platform.raw().lossy().into_owned()),
            _ => None,
        });
        Some(Target {
            name: def.name.as_ref().map(|name| name.text.clone()).unwrap_or_default(),
            default: index == last,
            description: def.doc.as_ref().map(|doc| doc.lossy().into_owned()).unwrap_or_default(),
            base,
            platform: platform.unwrap_or_default(),
            location: lines.lines_of(from.span).into(),
        })
    };
    Ok(Targets(module.defs.iter().enumerate().filter_map(target).collect()))
}

/// A function that gives something to build. Its parameters are build arguments, which an outline shows.
fn function(def: &ast::Def, lines: &LineIndex) -> Option<Target> {
    let gives = def.signature.as_ref()?.gives.text.as_str();
    let name = def.name.as_ref().filter(|_| [ast::types::FS, ast::types::PIPELINE].contains(&gives))?;
    Some(Target {
        name: name.text.clone(),
        default: name.text == DEFAULT,
        description: def.doc.as_ref().map(|doc| doc.lossy().into_owned()).unwrap_or_default(),
        base: String::new(),
        platform: String::new(),
        location: lines.lines_of(name.span).into(),
    })
}

/// The function that is built when none is asked for.
const DEFAULT: &str = "default";

impl Targets {
    /// BuildKit's JSON; `source` is the text of the file.
    pub fn json(&self, source: &[u8]) -> Vec<u8> {
        #[derive(Serialize)]
        struct List<'a> {
            /// No list at all where there is none, as Go prints it.
            targets: Option<&'a [Target]>,
            sources: [String; 1],
        }
        let targets = (!self.0.is_empty()).then_some(self.0.as_slice());
        oci::json::to_vec_indented(&List { targets, sources: [crate::table::base64(source)] })
    }

    /// A table for people.
    pub fn text(&self) -> String {
        let names: Vec<String> = self.0.iter().map(shown_name).collect();
        let rows = names.iter().zip(&self.0).map(|(name, target)| [name.as_str(), target.description.as_str()]);
        columns(&std::iter::once(["TARGET", "DESCRIPTION"]).chain(rows).collect::<Vec<_>>(), 1)
    }
}

fn shown_name(target: &Target) -> String {
    match (target.default, target.name.is_empty()) {
        (false, _) => target.name.clone(),
        (true, true) => "(default)".to_owned(),
        (true, false) => format!("{} (default)", target.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parsed;

    fn of(text: &str) -> Result<Targets, Vec<Diagnostic>> {
        let (source, module) = parsed(text);
        targets(&module, &source.lines)
    }

    #[test]
    fn stages_in_their_order() {
        let targets = of("# a is first\nFROM --platform=$P x:$V AS a\nFROM \\\n  a\n").expect("no errors");
        assert_eq!(targets.text(), "TARGET    DESCRIPTION\na         is first\n(default) \n");
        let json = String::from_utf8(targets.json(b"FROM")).expect("text");
        assert!(json.contains("\"base\": \"x:$V\",\n      \"platform\": \"$P\""), "{json}");
        assert!(json.contains("\"sources\": [\n    \"RlJPTQ==\"\n  ]"), "{json}");
    }

    #[test]
    fn no_stage_is_no_error_and_a_malformed_one_is() {
        assert_eq!(of("ARG a\n"), Ok(Targets(Vec::new())));
        assert!(of("FROM a b\n").is_err());
    }
}
