//! From blocks to targets: variables, inheritance, matrices, groups.

use std::collections::BTreeMap;

use hcl::Expression;
use hcl::eval::{Context, Evaluate as _};
use serde_json::Value;

use super::overrides::Overrides;
use super::read::{ATTRIBUTE, Block};
use super::{Bake, MOST_NESTED, Target, entries, functions};

/// The keys of a target, and how they come together with those that are inherited.
const KEYS: &[&str] = &[
    "annotations",
    "args",
    "attest",
    "cache-from",
    "cache-to",
    "call",
    "context",
    "contexts",
    "description",
    "dockerfile",
    "dockerfile-inline",
    "entitlements",
    "extra-hosts",
    "labels",
    "network",
    "no-cache",
    "no-cache-filter",
    "output",
    "platforms",
    "policy",
    "pull",
    "resources",
    "secret",
    "shm-size",
    "ssh",
    "tags",
    "target",
    "ulimits",
];

/// The key of groups that files in use have in targets, where bake passes it over as it does all that it does not know.
const MISPLACED: &str = "targets";

/// Keys whose values are maps, which are put together.
const MAPS: &[&str] = &["args", "contexts", "extra-hosts", "labels"];

/// Keys whose values are lists, which are put together; of all others the last one said counts.
const LISTS: &[&str] =
    &["annotations", "attest", "cache-from", "entitlements", "no-cache-filter", "secret", "ssh", "ulimits"];

/// Keys whose values are texts.
const TEXTS: &[&str] =
    &["call", "context", "description", "dockerfile", "dockerfile-inline", "network", "shm-size", "target"];

/// Keys of lists with one entry of a name, the last, and what the name is in an entry.
const NAMED: &[(&str, &str)] = &[("attest", "type"), ("secret", "id"), ("ssh", "id")];

/// Most bytes of a variable's value: one made of others could double with each.
const MOST_BYTES: usize = 64 << 10;

/// Most targets of a matrix.
const MOST_COMBINATIONS: usize = 256;

/// The variable that has the platform of this machine, unless somebody sets it.
pub(crate) const LOCAL_PLATFORM: &str = "BAKE_LOCAL_PLATFORM";

/// The variable that has the directory the command runs in, likewise.
pub(crate) const CMD_CONTEXT: &str = "BAKE_CMD_CONTEXT";

pub(super) type Keys = BTreeMap<String, Value>;

/// Evaluates blocks; `said` is what is said of targets beside them.
pub(super) fn resolve(
    blocks: Vec<Block>,
    variable: &dyn Fn(&str) -> Option<String>,
    said: &[String],
) -> Result<Bake, String> {
    let mut context = Context::new();
    functions::declare(&mut context);
    let mut bake = Bake { variables: declare_variables(&mut context, &blocks, variable)?, ..Bake::default() };
    blocks.iter().try_for_each(|block| validate(block, &context))?;
    let matrices = matrices(&blocks, &context)?;
    let is_target = |block: &&Block| block.kind == "target" && attribute(block, "matrix").is_none();
    let plain = blocks.iter().filter(is_target).map(|block| block.name.as_str());
    let names: Vec<&str> = plain.chain(matrices.iter().map(|(name, ..)| name.as_str())).collect();
    let overrides = Overrides::read(said, &names, variable)?;
    let all = All { blocks: &blocks, matrices: &matrices, overrides: &overrides, context: &context };
    for block in &blocks {
        match block.kind.as_str() {
            "target" => targets(&mut bake, all, block)?,
            "group" => {
                let members = block.attributes.iter().find(|(key, _)| key == "targets");
                let members = members.map(|(_, members)| value(members, &context, &block.name)).transpose()?;
                bake.groups.push((block.name.clone(), texts(&members.unwrap_or_default())));
            }
            "variable" | ATTRIBUTE => {}
            kind => return Err(format!("{kind} {} is not supported: write out what it gives", block.name)),
        }
    }
    Ok(bake)
}

/// Declares variables; the default of one may mention others, wherever they stand.
fn declare_variables(
    context: &mut Context<'_>,
    blocks: &[Block],
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, String> {
    let mut usual = Vec::new();
    for name in [LOCAL_PLATFORM, CMD_CONTEXT] {
        context.declare_var(name, variable(name).unwrap_or_default());
    }
    let mut open: Vec<&Block> =
        blocks.iter().filter(|block| matches!(block.kind.as_str(), "variable" | ATTRIBUTE)).collect();
    while !open.is_empty() {
        let (mut later, mut error, before) = (Vec::new(), String::new(), open.len());
        for block in open {
            let default = block.attributes.iter().find(|(key, _)| key == "default").map(|(_, default)| default);
            // One that says nothing is an empty text; one that says null is nothing, and what it stands for is not said.
            let default = default.map_or(Ok(hcl::Value::from("")), |default| default.evaluate(context));
            if default.as_ref().is_ok_and(|default| size(default) > MOST_BYTES) {
                return Err(format!("variable {} has more than {MOST_BYTES} bytes", block.name));
            }
            let is_variable = block.kind == "variable";
            let shown = default.as_ref().ok().filter(|_| is_variable).map(functions::shown);
            usual.extend(shown.map(|default| (block.name.clone(), default)));
            match (variable(&block.name).filter(|_| is_variable), default) {
                (Some(given), default) => {
                    let said = said_type(block);
                    let wrong = || format!("variable {}: {given} is no {}", block.name, said.unwrap_or_default());
                    let kind = said.or_else(|| usual_type(default.as_ref().ok()?));
                    // A default of several types is a text, which its value does not tell.
                    let value = typed(&given, kind).or_else(|| typed(&given, None).filter(|_| said.is_none()));
                    context.declare_var(block.name.as_str(), value.ok_or_else(wrong)?);
                }
                (None, Ok(default)) => context.declare_var(block.name.as_str(), default),
                (None, Err(why)) => {
                    // Of several, one that does not only wait for another says what is wrong.
                    let why = why.to_string();
                    if error.is_empty() || error.contains("undefined variable") && !why.contains("undefined variable") {
                        error = format!("variable {}: {why}", block.name);
                    }
                    later.push(block);
                }
            }
        }
        if later.len() == before {
            return Err(error);
        }
        open = later;
    }
    Ok(usual)
}

/// Refuses values that a variable may not have.
fn validate(block: &Block, context: &Context<'_>) -> Result<(), String> {
    for validation in &block.validations {
        let said = |key: &str| validation.iter().find(|(known, _)| known == key).map(|(_, said)| said);
        let Some(condition) = said("condition") else {
            return Err(format!("variable {}: a validation without a condition", block.name));
        };
        let wrong = |error: hcl::eval::Error| format!("variable {}: {error}", block.name);
        let holds = condition.evaluate(context).map_err(wrong)?;
        if !functions::truth(&holds) {
            let why = said("error_message").map(|why| why.evaluate(context).map_err(wrong)).transpose()?;
            let why = why.as_ref().map_or_else(|| "it is no value of it".to_owned(), functions::shown);
            return Err(format!("variable {}: {why}", block.name));
        }
    }
    Ok(())
}

/// Bytes of the texts in a value.
fn size(value: &hcl::Value) -> usize {
    match value {
        hcl::Value::String(text) => text.len(),
        hcl::Value::Array(values) => values.iter().map(|value| 1 + size(value)).sum(),
        hcl::Value::Object(entries) => entries.iter().map(|(key, value)| key.len() + size(value)).sum(),
        _ => 1,
    }
}

/// The type that a variable is said to have, if it is a simple one.
fn said_type(block: &Block) -> Option<&str> {
    let (_, said) = block.attributes.iter().find(|(key, _)| key == "type")?;
    match said {
        Expression::Variable(name) => Some(name.as_str()),
        _ => None,
    }
}

/// The type of a default, where it is one that what is given has to have, too.
fn usual_type(default: &hcl::Value) -> Option<&'static str> {
    match default {
        hcl::Value::Bool(_) => Some("bool"),
        hcl::Value::Number(_) => Some("number"),
        _ => None,
    }
}

/// A value that was given, of a type; `None` when it is none of that.
fn typed(given: &str, kind: Option<&str>) -> Option<hcl::Value> {
    match kind {
        Some("bool") => match given {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true.into()),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false.into()),
            _ => None,
        },
        Some("number") => {
            let whole = given.parse::<i64>().ok().map(hcl::Value::from);
            whole.or_else(|| Some(given.parse::<f64>().ok().filter(|number| number.is_finite())?.into()))
        }
        _ => Some(given.into()),
    }
}

/// A target of a matrix: its name, its block, and what its variables stand for.
type Combination<'b, 'c> = (String, &'b Block, Context<'c>);

fn attribute<'b>(block: &'b Block, name: &str) -> Option<&'b Expression> {
    block.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// All targets of matrices, in file order.
fn matrices<'b, 'c>(blocks: &'b [Block], context: &Context<'c>) -> Result<Vec<Combination<'b, 'c>>, String> {
    let mut all = Vec::new();
    for block in blocks.iter().filter(|block| block.kind == "target") {
        let Some(matrix) = attribute(block, "matrix") else { continue };
        let Value::Object(axes) = value(matrix, context, &block.name)? else {
            return Err(format!("target {}: matrix is no map", block.name));
        };
        let mut combinations: Vec<Vec<(String, Value)>> = vec![Vec::new()];
        for (axis, values) in axes {
            let values = values.as_array().cloned().unwrap_or_default();
            if combinations.len() * values.len() > MOST_COMBINATIONS {
                return Err(format!(
                    "target {}: the matrix has more than {MOST_COMBINATIONS} combinations",
                    block.name
                ));
            }
            // The first axis changes first.
            let with = |value: Value| {
                let said = vec![(axis.clone(), value)];
                combinations.iter().map(|known| [known.clone(), said.clone()].concat()).collect::<Vec<_>>()
            };
            combinations = values.into_iter().flat_map(with).collect();
        }
        let Some(name) = attribute(block, "name") else {
            return Err(format!("target {}: a matrix needs a name", block.name));
        };
        for combination in combinations {
            let mut context = context.clone();
            for (axis, value) in combination {
                let value: hcl::Value = serde_json::from_value(value).map_err(|error| error.to_string())?;
                context.declare_var(axis, value);
            }
            let name = functions::shown(&name.evaluate(&context).map_err(|error| error.to_string())?);
            all.push((name, block, context));
        }
    }
    Ok(all)
}

/// All that targets are made of.
#[derive(Clone, Copy)]
struct All<'b, 'c> {
    blocks: &'b [Block],
    matrices: &'b [Combination<'b, 'c>],
    /// What is said of targets beside them.
    overrides: &'b Overrides,
    /// What names mean outside of matrices.
    context: &'b Context<'c>,
}

/// The targets of a block: one, or one for each combination of its matrix.
fn targets(bake: &mut Bake, all: All<'_, '_>, block: &Block) -> Result<(), String> {
    if attribute(block, MISPLACED).is_some() {
        bake.misplaced.push(block.name.clone());
    }
    let mut inheritance = Inheritance { all, known: BTreeMap::new() };
    if attribute(block, "matrix").is_none() {
        let is_first = parts(all.blocks, block).first().is_some_and(|first| std::ptr::eq(*first, block));
        if is_first {
            let keys = inheritance.merged(&block.name, block, all.context, 0)?;
            bake.targets.push(Target { name: block.name.clone(), keys });
        }
    } else {
        let mut members = Vec::new();
        for (name, _, context) in all.matrices.iter().filter(|(_, of, _)| std::ptr::eq(*of, block)) {
            let keys = inheritance.merged(name, block, context, 0)?;
            members.push(name.clone());
            match bake.targets.iter_mut().find(|known| known.name == *name) {
                Some(known) => lay_over(&mut known.keys, keys),
                None => bake.targets.push(Target { name: name.clone(), keys }),
            }
        }
        bake.groups.push((block.name.clone(), members));
    }
    bake.parents.extend(inheritance.known.into_keys());
    Ok(())
}

/// The blocks that a target without a matrix is written in, which may be several.
fn parts<'b>(blocks: &'b [Block], block: &'b Block) -> Vec<&'b Block> {
    let is_part =
        |other: &&Block| other.kind == "target" && other.name == block.name && attribute(other, "matrix").is_none();
    if attribute(block, "matrix").is_some() { vec![block] } else { blocks.iter().filter(is_part).collect() }
}

/// What targets say, over what they inherit.
struct Inheritance<'b, 'c> {
    all: All<'b, 'c>,
    /// What was inherited once, by name: targets share parents, and those theirs.
    known: BTreeMap<String, Keys>,
}

impl Inheritance<'_, '_> {
    /// The keys of a target, whose expressions are evaluated in `context`.
    fn merged(&mut self, name: &str, block: &Block, context: &Context<'_>, depth: usize) -> Result<Keys, String> {
        if depth > MOST_NESTED {
            return Err(format!("target {} inherits itself, or from too far", block.name));
        }
        let parts = parts(self.all.blocks, block);
        let mut keys = Keys::new();
        for parents in parts.iter().filter_map(|part| attribute(part, "inherits")) {
            for name in texts(&value(parents, context, &block.name)?) {
                lay_over(&mut keys, self.inherited(block, name, depth)?);
            }
        }
        for part in parts {
            lay_over(&mut keys, own(part, context)?);
        }
        self.all.overrides.apply(name, &mut keys)?;
        Ok(keys)
    }

    /// What `block` has of the target that it names.
    fn inherited(&mut self, block: &Block, name: String, depth: usize) -> Result<Keys, String> {
        if let Some(keys) = self.known.get(&name) {
            return Ok(keys.clone());
        }
        let All { blocks, matrices, context, .. } = self.all;
        let is_plain =
            |known: &&Block| known.kind == "target" && known.name == name && attribute(known, "matrix").is_none();
        let plain = blocks.iter().find(is_plain).map(|parent| (parent, context));
        let of_matrix =
            || matrices.iter().find(|(known, ..)| *known == name).map(|(_, block, context)| (*block, context));
        let (parent, context) =
            plain.or_else(of_matrix).ok_or_else(|| format!("target {}: there is no target {name}", block.name))?;
        let keys = self.merged(&name, parent, context, depth + 1)?;
        self.known.insert(name, keys.clone());
        Ok(keys)
    }
}

/// What a block itself says.
fn own(block: &Block, context: &Context<'_>) -> Result<Keys, String> {
    let mut own = Keys::new();
    for (key, expression) in &block.attributes {
        match key.as_str() {
            "inherits" | "matrix" | "name" | MISPLACED => {}
            known if KEYS.contains(&known) => {
                own.insert(key.clone(), value(expression, context, &block.name)?);
            }
            unknown => {
                let message = format!("target {}: unknown key {unknown}", block.name);
                return Err(ast::with_suggestion(message, ast::suggest(unknown, KEYS.iter().copied())));
            }
        }
    }
    Ok(own)
}

pub(super) fn lay_over(keys: &mut Keys, own: Keys) {
    for (key, value) in own {
        match (keys.get_mut(&key), value) {
            (_, Value::Null) => {}
            (Some(Value::Object(known)), Value::Object(own)) if MAPS.contains(&key.as_str()) => {
                known.extend(own.into_iter().filter(|(_, value)| !value.is_null()));
            }
            (Some(Value::Array(known)), Value::Array(own)) if LISTS.contains(&key.as_str()) => known.extend(own),
            (_, value) => drop(keys.insert(key, value)),
        }
    }
    for (key, value) in keys {
        match value {
            Value::Object(entries) => {
                // A context without a place is none.
                entries.retain(|_, value| !value.is_null() && (key != "contexts" || value != ""));
                if MAPS.contains(&key.as_str()) {
                    entries.values_mut().for_each(become_text);
                }
            }
            Value::Array(entries) => {
                // Texts that came to nothing are not there.
                entries.retain(|value| !value.is_null() && value != "");
                entries.iter_mut().for_each(become_text);
                *entries = each_once(key, std::mem::take(entries));
            }
            value if TEXTS.contains(&key.as_str()) => become_text(value),
            _ => {}
        }
    }
}

/// Entries without those that are there already; of those with one name the last, in the place of the first.
fn each_once(key: &str, entries: Vec<Value>) -> Vec<Value> {
    let field = NAMED.iter().find(|(named, _)| *named == key).map(|(_, field)| *field);
    let mut all: Vec<(Value, Value)> = Vec::new();
    for entry in entries {
        let name = field.and_then(|field| entries::field_of(key, &entry, field)).unwrap_or_else(|| entry.clone());
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = entry,
            None => all.push((name, entry)),
        }
    }
    all.into_iter().map(|(_, entry)| entry).collect()
}

/// Numbers and conditions are texts where texts are asked for.
fn become_text(value: &mut Value) {
    if matches!(value, Value::Number(_) | Value::Bool(_)) {
        *value = value.to_string().into();
    }
}

fn value(expression: &Expression, context: &Context<'_>, name: &str) -> Result<Value, String> {
    let value = expression.evaluate(context).map_err(|error| format!("target {name}: {error}"))?;
    serde_json::to_value(value).map_err(|error| error.to_string())
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}
