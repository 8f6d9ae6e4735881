//! Templates, run.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::super::printf::sprintf;
use super::tree::{Node, Operand, Pipeline, Templates};

/// How often templates may use each other, all in all, and how long the result may be.
const MOST_USES: usize = 10_000;
const MOST_BYTES: usize = 1 << 26;
/// How deep templates may be used inside each other.
const MOST_NESTED: usize = 50;

#[derive(Clone, Debug, PartialEq)]
enum Value {
    /// What a missing field is.
    Nothing,
    Text(String),
    Int(i64),
    Bool(bool),
    /// All fields.
    Fields,
}

/// Runs the main template.
pub(super) fn run(templates: &Templates, fields: &BTreeMap<String, String>) -> Result<String, String> {
    let mut runner = Runner {
        templates,
        fields,
        out: String::new(),
        variables: vec![("$".to_owned(), Value::Fields)],
        uses: 0,
        depth: 0,
    };
    runner.nodes(&templates[""], &Value::Fields)?;
    Ok(runner.out)
}

struct Runner<'t> {
    templates: &'t Templates,
    fields: &'t BTreeMap<String, String>,
    out: String,
    variables: Vec<(String, Value)>,
    uses: usize,
    depth: usize,
}

fn error<T>(message: impl std::fmt::Display) -> Result<T, String> {
    Err(format!("template: {message}"))
}

impl<'t> Runner<'t> {
    fn nodes(&mut self, nodes: &'t [Node], dot: &Value) -> Result<(), String> {
        for node in nodes {
            self.node(node, dot)?;
            if self.out.len() > MOST_BYTES {
                return error(format_args!("the result is longer than {} MiB", MOST_BYTES >> 20));
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &'t Node, dot: &Value) -> Result<(), String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.out.push_str(&shown(&value));
                }
            }
            Node::If(condition, then, otherwise) => self.branch(condition, dot, then, otherwise, false)?,
            Node::With(condition, then, otherwise) => self.branch(condition, dot, then, otherwise, true)?,
            Node::Range(over, otherwise) => match self.scoped(|runner| runner.pipeline(over, dot))? {
                Value::Nothing => self.nodes(otherwise, dot)?,
                Value::Fields => return error("range over all fields is not supported: name them"),
                value => return error(format_args!("range can't iterate over {}", shown(&value))),
            },
            Node::Template(name, value) => self.template(name, value.as_ref(), dot)?,
        }
        Ok(())
    }

    /// Does something after which variables are what they were.
    fn scoped<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        let known = self.variables.len();
        let result = act(self);
        self.variables.truncate(known);
        result
    }

    fn branch(
        &mut self,
        condition: &'t Pipeline,
        dot: &Value,
        then: &'t [Node],
        otherwise: &'t [Node],
        with: bool,
    ) -> Result<(), String> {
        self.scoped(|runner| {
            let value = runner.pipeline(condition, dot)?;
            match is_true(&value) {
                true => runner.nodes(then, if with { &value } else { dot }),
                false => runner.nodes(otherwise, dot),
            }
        })
    }

    fn template(&mut self, name: &str, value: Option<&'t Pipeline>, dot: &Value) -> Result<(), String> {
        let Some(nodes) = self.templates.get(name) else {
            return error(format_args!("template {} not defined", ast::quote(name.as_bytes())));
        };
        self.uses += 1;
        self.depth += 1;
        if self.uses > MOST_USES || self.depth > MOST_NESTED {
            return error("templates use each other without end");
        }
        let dot = value.map_or(Ok(Value::Nothing), |value| self.pipeline(value, dot))?;
        let outer = std::mem::replace(&mut self.variables, vec![("$".to_owned(), dot.clone())]);
        let result = self.nodes(nodes, &dot);
        self.variables = outer;
        self.depth -= 1;
        result
    }

    fn pipeline(&mut self, pipeline: &'t Pipeline, dot: &Value) -> Result<Value, String> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, value, dot)?);
        }
        let value = value.unwrap_or(Value::Nothing);
        for name in &pipeline.variables {
            if pipeline.declares {
                self.variables.push((name.clone(), value.clone()));
                continue;
            }
            let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
            match known {
                Some((_, known)) => *known = value.clone(),
                None => return error(format_args!("undefined variable {name}")),
            }
        }
        Ok(value)
    }

    fn command(&mut self, command: &'t [Operand], last: Option<Value>, dot: &Value) -> Result<Value, String> {
        let Some((first, rest)) = command.split_first() else { return Ok(Value::Nothing) };
        let Operand::Function(name) = first else {
            if !rest.is_empty() || last.is_some() {
                return error("can't give argument to non-function");
            }
            return self.operand(first, dot);
        };
        let mut args = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            args.push(self.operand(operand, dot)?);
        }
        args.extend(last);
        apply(name, args)
    }

    fn operand(&mut self, operand: &'t Operand, dot: &Value) -> Result<Value, String> {
        match operand {
            Operand::Text(text) => Ok(Value::Text(text.clone())),
            Operand::Int(number) => Ok(Value::Int(*number)),
            Operand::Bool(value) => Ok(Value::Bool(*value)),
            Operand::Nil => Ok(Value::Nothing),
            Operand::Function(name) => apply(name, Vec::new()),
            Operand::Pipeline(pipeline) => self.pipeline(pipeline, dot),
            Operand::Field(names) => self.field(dot.clone(), names),
            Operand::Variable(name, names) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                let Some((_, value)) = known else { return error(format_args!("undefined variable {name}")) };
                self.field(value.clone(), names)
            }
        }
    }

    fn field(&self, value: Value, names: &[String]) -> Result<Value, String> {
        names.iter().try_fold(value, |value, name| match value {
            Value::Fields => Ok(self.fields.get(name).map_or(Value::Nothing, |text| Value::Text(text.clone()))),
            Value::Nothing => error(format_args!("nil data; no entry for key {}", ast::quote(name.as_bytes()))),
            _ => error(format_args!("can't evaluate field {name} in type string")),
        })
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Nothing => false,
        Value::Text(text) => !text.is_empty(),
        Value::Int(number) => *number != 0,
        Value::Bool(value) => *value,
        Value::Fields => true,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Nothing => "<no value>".to_owned(),
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Fields => "map[]".to_owned(),
    }
}

fn apply(name: &str, args: Vec<Value>) -> Result<Value, String> {
    let one = || match &args[..] {
        [one] => Ok(one),
        _ => Err(format!("template: wrong number of args for {name}: want 1 got {}", args.len())),
    };
    let text = |value: &Value| shown(value);
    Ok(match name {
        "and" => args.iter().find(|value| !is_true(value)).or(args.last()).cloned().unwrap_or(Value::Nothing),
        "or" => args.iter().find(|value| is_true(value)).or(args.last()).cloned().unwrap_or(Value::Nothing),
        "not" => Value::Bool(!is_true(one()?)),
        "len" => match one()? {
            Value::Text(text) => Value::Int(text.len() as i64),
            other => return error(format_args!("len of {}", shown(other))),
        },
        "eq" => match args.split_first() {
            Some((first, rest)) if !rest.is_empty() => Value::Bool(rest.contains(first)),
            _ => return error("missing argument for comparison"),
        },
        "ne" | "lt" | "le" | "gt" | "ge" => Value::Bool(compare(name, &args)?),
        "print" => Value::Text(print(&args)),
        "println" => Value::Text(args.iter().map(text).collect::<Vec<_>>().join(" ") + "\n"),
        "printf" => match args.split_first() {
            Some((format, rest)) => Value::Text(sprintf(&shown(format), &rest.iter().map(text).collect::<Vec<_>>())),
            None => return error("printf needs a format"),
        },
        "html" => Value::Text(escape(&print(&args), &HTML)),
        "js" => Value::Text(escape(&print(&args), &JS)),
        "urlquery" => Value::Text(query(&print(&args))),
        "index" | "slice" | "call" => return error(format_args!("{name} needs a list or a map, which no field is")),
        _ => return error(format_args!("function {} not defined", ast::quote(name.as_bytes()))),
    })
}

fn compare(name: &str, args: &[Value]) -> Result<bool, String> {
    let [left, right] = args else { return error(format_args!("wrong number of args for {name}: want 2")) };
    if name == "ne" {
        return Ok(left != right);
    }
    let ordering = match (left, right) {
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        _ => return error("incompatible types for comparison"),
    };
    Ok(match name {
        "lt" => ordering == Ordering::Less,
        "le" => ordering != Ordering::Greater,
        "gt" => ordering == Ordering::Greater,
        _ => ordering != Ordering::Less,
    })
}

/// Go's `Sprint`: blanks stand between values of which neither is a string.
fn print(args: &[Value]) -> String {
    let mut out = String::new();
    for (at, value) in args.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if at > 0 && !is_text(value) && !is_text(&args[at - 1]) {
            out.push(' ');
        }
        out.push_str(&shown(value));
    }
    out
}

const HTML: [(char, &str); 5] = [('"', "&#34;"), ('\'', "&#39;"), ('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")];
const JS: [(char, &str); 7] = [
    ('\\', "\\\\"),
    ('\'', "\\'"),
    ('"', "\\\""),
    ('<', "\\u003C"),
    ('>', "\\u003E"),
    ('&', "\\u0026"),
    ('=', "\\u003D"),
];

fn escape(text: &str, table: &[(char, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match table.iter().find(|(known, _)| *known == c) {
            Some((_, escaped)) => out.push_str(escaped),
            None => out.push(c),
        }
    }
    out
}

fn query(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
