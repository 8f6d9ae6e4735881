//! Functions of a file's own: `function "NAME" { params = [A]  result = … }`. A call is written out as the result, with its
//! arguments in the place of the parameters, as the HCL library knows no functions that have a value with them.

use std::collections::{BTreeMap, BTreeSet};

use hcl::Expression;

use super::read::Block;
use super::walk::walk;

/// Most calls in calls.
const MOST_DEEP: usize = 32;

/// Most parts that calls are written out as, in all of a file.
const MOST_PARTS: usize = 100_000;

/// A function.
struct Function {
    params: Vec<String>,
    /// The parameter that has all further arguments as a list.
    rest: Option<String>,
    result: Expression,
}

/// Writes out all calls of the functions that blocks declare, and takes those blocks away.
///
/// **Errors**: a function without a result, a call with too few or too many arguments, and more than is allowed.
pub(super) fn write_out(blocks: &mut Vec<Block>) -> Result<(), String> {
    let (own, others): (Vec<Block>, Vec<Block>) = blocks.drain(..).partition(|block| block.kind == "function");
    *blocks = others;
    let named = own.into_iter().map(|block| Ok((block.name.clone(), function(block)?)));
    let functions = named.collect::<Result<BTreeMap<_, _>, String>>()?;
    if functions.is_empty() {
        return Ok(());
    }
    let mut writer = Writer { functions: &functions, left: MOST_PARTS };
    blocks.iter_mut().flat_map(Block::expressions).try_for_each(|expression| writer.calls(expression, 0))
}

fn function(block: Block) -> Result<Function, String> {
    let name = block.name;
    let (mut params, mut rest, mut result) = (Vec::new(), None, None);
    for (key, value) in block.attributes {
        match key.as_str() {
            "params" => params = names(&value).ok_or_else(|| format!("function {name}: params is no list of names"))?,
            "variadic_params" | "variadic_param" => rest = word(&value),
            "result" => result = Some(value),
            _ => return Err(format!("function {name}: unknown key {key}")),
        }
    }
    let result = result.ok_or_else(|| format!("function {name} has no result"))?;
    Ok(Function { params, rest, result })
}

fn names(list: &Expression) -> Option<Vec<String>> {
    let Expression::Array(items) = list else { return None };
    items.iter().map(word).collect()
}

fn word(value: &Expression) -> Option<String> {
    match value {
        Expression::Variable(name) => Some(name.to_string()),
        Expression::String(text) => Some(text.clone()),
        Expression::TemplateExpr(text) => Some(text.to_string().trim_matches('"').to_owned()),
        _ => None,
    }
}

struct Writer<'f> {
    functions: &'f BTreeMap<String, Function>,
    left: usize,
}

impl Writer<'_> {
    fn calls(&mut self, expression: &mut Expression, depth: usize) -> Result<(), String> {
        walk(expression, &mut |part| {
            self.left = self.left.checked_sub(1).ok_or("functions call each other too often")?;
            let Expression::FuncCall(call) = part else { return Ok(()) };
            let name = call.name.name.as_str().to_owned();
            let Some(function) = self.functions.get(&name) else { return Ok(()) };
            if depth == MOST_DEEP {
                return Err(format!("function {name} calls itself, or calls go more than {MOST_DEEP} deep"));
            }
            let mut result = function.with(&name, std::mem::take(&mut call.args))?;
            self.calls(&mut result, depth + 1)?;
            *part = Expression::Parenthesis(Box::new(result));
            Ok(())
        })
    }
}

impl Function {
    /// The result with arguments in the place of parameters.
    fn with(&self, name: &str, mut args: Vec<Expression>) -> Result<Expression, String> {
        let (wanted, given) = (self.params.len(), args.len());
        if given < wanted || given > wanted && self.rest.is_none() {
            return Err(format!("function {name} takes {wanted} arguments, and is given {given}"));
        }
        let more = args.split_off(wanted);
        let mut values: BTreeMap<&str, Expression> = self.params.iter().map(String::as_str).zip(args).collect();
        if let Some(rest) = &self.rest {
            values.insert(rest, Expression::Array(more));
        }
        let mut result = self.result.clone();
        let mut taken = BTreeSet::new();
        for value in values.values_mut() {
            walk(value, &mut |part| {
                taken.extend(if let Expression::Variable(name) = part { Some(name.to_string()) } else { None });
                Ok(())
            })?;
        }
        walk(&mut result, &mut |part| {
            match part {
                Expression::Variable(name) => {
                    if let Some(value) = values.get(name.as_str()) {
                        *part = Expression::Parenthesis(Box::new(value.clone()));
                    }
                }
                Expression::ForExpr(each) => {
                    let own = std::iter::once(&each.value_var).chain(&each.key_var);
                    for variable in own.map(|variable| variable.as_str()) {
                        if values.contains_key(variable) || taken.contains(variable) {
                            return Err(format!(
                                "function {name}: {variable} is a name in its loop, and another: call one otherwise"
                            ));
                        }
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(result)
    }
}
