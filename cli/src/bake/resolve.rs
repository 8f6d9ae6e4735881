//! From blocks to targets: variables, inheritance, matrices, groups.

use std::collections::{BTreeMap, BTreeSet};

use hcl::Expression;
use hcl::eval::{Context, Evaluate as _};
use serde_json::Value;

use super::read::Block;
use super::{Bake, MOST_NESTED, Target, functions};

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

/// Keys whose values are maps, which are put together; of all others the last one said counts.
const MAPS: &[&str] = &["args", "contexts", "extra-hosts", "labels"];

/// Most bytes of a variable's value: one made of others could double with each.
const MOST_BYTES: usize = 64 << 10;

/// Most targets of a matrix.
const MOST_COMBINATIONS: usize = 256;

/// The variable that has the platform of this machine, unless somebody sets it.
pub(crate) const LOCAL_PLATFORM: &str = "BAKE_LOCAL_PLATFORM";

/// The variable that has the directory the command runs in, likewise.
pub(crate) const CMD_CONTEXT: &str = "BAKE_CMD_CONTEXT";

type Keys = BTreeMap<String, Value>;

pub(super) fn resolve(blocks: Vec<Block>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Bake, String> {
    let mut context = Context::new();
    functions::declare(&mut context);
    let mut bake = Bake { variables: declare_variables(&mut context, &blocks, variable)?, ..Bake::default() };
    blocks.iter().try_for_each(|block| validate(block, &context))?;
    for block in &blocks {
        match block.kind.as_str() {
            "target" => targets(&mut bake, &blocks, block, &context)?,
            "group" => {
                let members = block.attributes.iter().find(|(key, _)| key == "targets");
                let members = members.map(|(_, members)| value(members, &context, &block.name)).transpose()?;
                bake.groups.push((block.name.clone(), texts(&members.unwrap_or_default())));
            }
            "variable" => {}
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
    let mut open: Vec<&Block> = blocks.iter().filter(|block| block.kind == "variable").collect();
    while !open.is_empty() {
        let (mut later, mut error, before) = (Vec::new(), String::new(), open.len());
        for block in open {
            let default = block.attributes.iter().find(|(key, _)| key == "default").map(|(_, default)| default);
            // One that says nothing is an empty text; one that says null is nothing, and what it stands for is not said.
            let default = default.map_or(Ok(hcl::Value::from("")), |default| default.evaluate(context));
            if default.as_ref().is_ok_and(|default| size(default) > MOST_BYTES) {
                return Err(format!("variable {} has more than {MOST_BYTES} bytes", block.name));
            }
            usual.extend(default.as_ref().ok().map(|default| (block.name.clone(), functions::shown(default))));
            match (variable(&block.name), default) {
                (Some(given), default) => {
                    let value = typed(given, said_type(block), default.ok().as_ref());
                    if !is_of(&value, said_type(block)) {
                        let kind = said_type(block).unwrap_or_default();
                        return Err(format!("variable {}: {} is no {kind}", block.name, functions::shown(&value)));
                    }
                    context.declare_var(block.name.as_str(), value);
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

/// A value that was given, of the type that is said or that the default has.
fn typed(given: String, said: Option<&str>, default: Option<&hcl::Value>) -> hcl::Value {
    match (said, default) {
        (Some("bool"), _) | (None, Some(hcl::Value::Bool(_))) => {
            given.parse::<bool>().map_or(given.into(), hcl::Value::from)
        }
        (Some("number"), _) | (None, Some(hcl::Value::Number(_))) => {
            given.parse::<i64>().map_or(given.into(), hcl::Value::from)
        }
        _ => given.into(),
    }
}

fn is_of(value: &hcl::Value, said: Option<&str>) -> bool {
    match said {
        Some("bool") => value.is_boolean(),
        Some("number") => value.is_number(),
        _ => true,
    }
}

/// The targets of a block: one, or one for each combination of its matrix.
fn targets(bake: &mut Bake, blocks: &[Block], block: &Block, context: &Context<'_>) -> Result<(), String> {
    let attribute = |name: &str| block.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    if attribute(MISPLACED).is_some() {
        bake.misplaced.push(block.name.clone());
    }
    let Some(matrix) = attribute("matrix") else {
        let keys = Inheritance::keys(blocks, block, context, &mut bake.parents)?;
        bake.targets.push(Target { name: block.name.clone(), keys });
        return Ok(());
    };
    let Value::Object(axes) = value(matrix, context, &block.name)? else {
        return Err(format!("target {}: matrix is no map", block.name));
    };
    let mut combinations: Vec<Vec<(String, Value)>> = vec![Vec::new()];
    for (axis, values) in axes {
        let values = values.as_array().cloned().unwrap_or_default();
        if combinations.len() * values.len() > MOST_COMBINATIONS {
            return Err(format!("target {}: the matrix has more than {MOST_COMBINATIONS} combinations", block.name));
        }
        let with = |known: &Vec<(String, Value)>| {
            let known = known.clone();
            let axis = axis.clone();
            values.clone().into_iter().map(move |value| [known.clone(), vec![(axis.clone(), value)]].concat())
        };
        combinations = combinations.iter().flat_map(with).collect();
    }
    let Some(name) = attribute("name") else { return Err(format!("target {}: a matrix needs a name", block.name)) };
    let mut members = Vec::new();
    for combination in combinations {
        let mut context = context.clone();
        for (axis, value) in combination {
            let value: hcl::Value = serde_json::from_value(value).map_err(|error| error.to_string())?;
            context.declare_var(axis, value);
        }
        let name = functions::shown(&name.evaluate(&context).map_err(|error| error.to_string())?);
        let keys = Inheritance::keys(blocks, block, &context, &mut bake.parents)?;
        members.push(name.clone());
        bake.targets.push(Target { name, keys });
    }
    bake.groups.push((block.name.clone(), members));
    Ok(())
}

/// What targets say, over what they inherit.
struct Inheritance<'b, 'c> {
    blocks: &'b [Block],
    context: &'b Context<'c>,
    /// What was inherited once, by name: targets share parents, and those theirs.
    known: BTreeMap<String, Keys>,
}

impl<'b, 'c> Inheritance<'b, 'c> {
    /// The keys of a target, whose expressions are evaluated in `context`.
    fn keys(
        blocks: &'b [Block],
        block: &'b Block,
        context: &'b Context<'c>,
        parents: &mut BTreeSet<String>,
    ) -> Result<Keys, String> {
        let mut inheritance = Self { blocks, context, known: BTreeMap::new() };
        let keys = inheritance.merged(block, 0)?;
        parents.extend(inheritance.known.into_keys());
        Ok(keys)
    }

    fn merged(&mut self, block: &Block, depth: usize) -> Result<Keys, String> {
        if depth > MOST_NESTED {
            return Err(format!("target {} inherits itself, or from too far", block.name));
        }
        let mut keys = Keys::new();
        if let Some((_, parents)) = block.attributes.iter().find(|(key, _)| key == "inherits") {
            for name in texts(&value(parents, self.context, &block.name)?) {
                lay_over(&mut keys, self.inherited(block, name, depth)?);
            }
        }
        let mut own = Keys::new();
        for (key, expression) in &block.attributes {
            match key.as_str() {
                "inherits" | "matrix" | "name" | MISPLACED => {}
                known if KEYS.contains(&known) => {
                    own.insert(key.clone(), value(expression, self.context, &block.name)?);
                }
                unknown => {
                    let message = format!("target {}: unknown key {unknown}", block.name);
                    return Err(ast::with_suggestion(message, ast::suggest(unknown, KEYS.iter().copied())));
                }
            }
        }
        lay_over(&mut keys, own);
        Ok(keys)
    }

    /// What `block` has of the target that it names.
    fn inherited(&mut self, block: &Block, name: String, depth: usize) -> Result<Keys, String> {
        if let Some(keys) = self.known.get(&name) {
            return Ok(keys.clone());
        }
        let blocks = self.blocks;
        let parent = blocks.iter().find(|known| known.kind == "target" && known.name == name);
        let parent = parent.ok_or_else(|| format!("target {}: there is no target {name}", block.name))?;
        let keys = self.merged(parent, depth + 1)?;
        self.known.insert(name, keys.clone());
        Ok(keys)
    }
}

fn lay_over(keys: &mut Keys, own: Keys) {
    for (key, value) in own {
        match (keys.get_mut(&key), value) {
            (_, Value::Null) => {}
            (Some(Value::Object(known)), Value::Object(own)) if MAPS.contains(&key.as_str()) => known.extend(own),
            (_, value) => drop(keys.insert(key, value)),
        }
    }
    for (key, value) in keys {
        match value {
            Value::Object(entries) => {
                entries.retain(|_, value| !value.is_null());
                if MAPS.contains(&key.as_str()) {
                    entries.values_mut().for_each(become_text);
                }
            }
            Value::Array(entries) => {
                // Texts that came to nothing are not there.
                entries.retain(|value| !value.is_null() && value != "");
                entries.iter_mut().for_each(become_text);
            }
            _ => {}
        }
    }
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
