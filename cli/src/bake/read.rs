//! Blocks of attributes, of either form.

use hcl::{Expression, ObjectKey, TemplateExpr};

/// `KIND "NAME" { KEY = VALUE … }`.
pub(super) struct Block {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) attributes: Vec<(String, Expression)>,
    /// Blocks in it that have no name: what a variable must be like.
    pub(super) validations: Vec<Vec<(String, Expression)>>,
}

impl Block {
    /// Everything in it that is evaluated.
    pub(super) fn expressions(&mut self) -> impl Iterator<Item = &mut Expression> {
        let validations = self.validations.iter_mut().flatten();
        self.attributes.iter_mut().chain(validations).map(|(_, expression)| expression)
    }
}

/// The kind of a block that is an attribute of the whole text: a value with a name, which nobody can give another.
pub(super) const ATTRIBUTE: &str = "attribute";

fn attribute(name: String, value: Expression) -> Block {
    Block { kind: ATTRIBUTE.to_owned(), name, attributes: vec![("default".to_owned(), value)], validations: Vec::new() }
}

/// The blocks of a text of HCL.
pub(super) fn hcl(text: &str) -> Result<Vec<Block>, String> {
    let body = hcl::parse(text).map_err(|error| error.to_string())?;
    let block = |block: hcl::Block| {
        let name = block.labels.first().map(|label| label.as_str().to_owned()).unwrap_or_default();
        let is_validation = |inner: &&hcl::Block| inner.identifier.as_str() == "validation";
        let validations =
            block.body.blocks().filter(is_validation).map(|inner| attributes(inner.body.clone())).collect();
        let kind = block.identifier.into_inner();
        Block { kind, name, validations, attributes: attributes(block.body) }
    };
    let read = |structure| match structure {
        hcl::Structure::Attribute(said) => attribute(said.key.into_inner(), said.expr),
        hcl::Structure::Block(inner) => block(inner),
    };
    Ok(body.into_iter().map(read).collect())
}

fn attributes(body: hcl::Body) -> Vec<(String, Expression)> {
    body.into_attributes().map(|attribute| (attribute.key.into_inner(), attribute.expr)).collect()
}

/// The blocks of a text of JSON: an object of kinds, each an object of names. Its strings are templates.
pub(super) fn json(text: &str) -> Result<Vec<Block>, String> {
    let whole: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut blocks = Vec::new();
    for (kind, named) in whole {
        let is_kind = ["variable", "target", "group", "function"].contains(&kind.as_str());
        let named = match named {
            serde_json::Value::Object(named) if is_kind => named,
            _ if is_kind => return Err(format!("{kind} is no object")),
            value => {
                blocks.push(attribute(kind, expression(value)));
                continue;
            }
        };
        for (name, value) in named {
            let serde_json::Value::Object(keys) = value else { return Err(format!("{kind} {name} is no object")) };
            let (mut attributes, mut validations) = (Vec::new(), Vec::new());
            for (key, value) in keys {
                match value {
                    value @ (serde_json::Value::Array(_) | serde_json::Value::Object(_)) if key == "validation" => {
                        let all = if let serde_json::Value::Array(all) = value { all } else { vec![value] };
                        let keys = |value| match value {
                            serde_json::Value::Object(keys) => keys,
                            _ => serde_json::Map::new(),
                        };
                        let read =
                            |value| keys(value).into_iter().map(|(key, value)| (key, expression(value))).collect();
                        validations.extend(all.into_iter().map(read).collect::<Vec<_>>());
                    }
                    value => attributes.push((key, expression(value))),
                }
            }
            blocks.push(Block { kind: kind.clone(), name, attributes, validations });
        }
    }
    Ok(blocks)
}

fn expression(value: serde_json::Value) -> Expression {
    match value {
        serde_json::Value::String(text) => Expression::from(TemplateExpr::QuotedString(text)),
        serde_json::Value::Array(values) => Expression::Array(values.into_iter().map(expression).collect()),
        serde_json::Value::Object(entries) => Expression::Object(
            entries
                .into_iter()
                .map(|(key, value)| (ObjectKey::Expression(Expression::String(key)), expression(value)))
                .collect(),
        ),
        serde_json::Value::Bool(value) => Expression::Bool(value),
        serde_json::Value::Number(number) => {
            let whole = number.as_i64().map(Expression::from);
            whole.or_else(|| number.as_f64().map(Expression::from)).unwrap_or(Expression::Null)
        }
        serde_json::Value::Null => Expression::Null,
    }
}
