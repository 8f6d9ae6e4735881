//! `regex`, and `can(regex(…))`, which tells whether there is a match: `can` of anything else is not there, as the HCL library
//! knows no functions that are given what cannot be evaluated.

use hcl::eval::{Context, FuncArgs, FuncDef};
use hcl::{Expression, Identifier, Value};
use regex_lite::{Captures, Regex};

use super::functions::{shown, text_like};
use super::walk::walk;

/// The function that `can(regex(…))` becomes.
const MATCHES: &str = "can_regex";

/// Declares them.
pub(super) fn declare(context: &mut Context<'_>) {
    let two = || FuncDef::builder().param(text_like()).param(text_like());
    context.declare_func("regex", two().build(regex));
    context.declare_func(MATCHES, two().build(|args| Ok(compiled(&args)?.is_match(&shown(&args[1])).into())));
}

/// Puts the function that tells whether there is a match in the place of `can(regex(…))`.
///
/// **Errors**: `can` of something else.
pub(super) fn write_out(expression: &mut Expression) -> Result<(), String> {
    walk(expression, &mut |part| {
        let Expression::FuncCall(call) = part else { return Ok(()) };
        if call.name.name.as_str() != "can" {
            return Ok(());
        }
        match &mut call.args[..] {
            [Expression::FuncCall(inner)] if inner.name.name.as_str() == "regex" => {
                inner.name.name = Identifier::sanitized(MATCHES);
                *part = Expression::FuncCall(inner.clone());
                Ok(())
            }
            _ => Err("can: only can(regex(…)) is known".to_owned()),
        }
    })
}

fn compiled(args: &FuncArgs) -> Result<Regex, String> {
    Regex::new(&shown(&args[0])).map_err(|error| format!("regex: {error}"))
}

/// The first match: its groups by their names, or in their order, or all of it where there are none.
fn regex(args: FuncArgs) -> Result<Value, String> {
    let (pattern, text) = (compiled(&args)?, shown(&args[1]));
    let found =
        pattern.captures(&text).ok_or_else(|| format!("regex: nothing in {text} is like {}", shown(&args[0])))?;
    let names: Vec<&str> = pattern.capture_names().flatten().collect();
    let group = |at: usize, found: &Captures<'_>| found.get(at).map_or(Value::Null, |part| part.as_str().into());
    if !names.is_empty() {
        let named = |name: &str| found.name(name).map_or(Value::Null, |part| part.as_str().into());
        return Ok(Value::Object(names.into_iter().map(|name| (name.to_owned(), named(name))).collect()));
    }
    match found.len() {
        1 => Ok(group(0, &found)),
        count => Ok(Value::Array((1..count).map(|at| group(at, &found)).collect())),
    }
}
