//! The functions that expressions call: those of bake that files in use have.

use hcl::Value;
use hcl::eval::{Context, FuncArgs, FuncDef, ParamType};

type Body = fn(FuncArgs) -> Result<Value, String>;

/// Functions of texts.
const OF_TEXTS: &[(&str, usize, Body)] = &[
    ("lower", 1, |args| Ok(text(&args, 0).to_lowercase().into())),
    ("upper", 1, |args| Ok(text(&args, 0).to_uppercase().into())),
    ("trimspace", 1, |args| Ok(text(&args, 0).trim().into())),
    ("replace", 3, |args| Ok(text(&args, 0).replace(&text(&args, 1), &text(&args, 2)).into())),
    ("split", 2, |args| Ok(Value::Array(text(&args, 1).split(&text(&args, 0)).map(Value::from).collect()))),
    ("trimprefix", 2, |args| {
        let (whole, start) = (text(&args, 0), text(&args, 1));
        Ok(whole.strip_prefix(&start).unwrap_or(&whole).into())
    }),
    ("trimsuffix", 2, |args| {
        let (whole, end) = (text(&args, 0), text(&args, 1));
        Ok(whole.strip_suffix(&end).unwrap_or(&whole).into())
    }),
];

/// Functions of anything.
const OF_VALUES: &[(&str, usize, Body)] = &[
    ("equal", 2, |args| Ok((args[0] == args[1]).into())),
    ("notequal", 2, |args| Ok((args[0] != args[1]).into())),
    ("not", 1, |args| Ok((!truth(&args[0])).into())),
    ("and", 2, |args| Ok((truth(&args[0]) && truth(&args[1])).into())),
    ("or", 2, |args| Ok((truth(&args[0]) || truth(&args[1])).into())),
    ("join", 2, |args| {
        let parts = args[1].as_array().ok_or("join: the second argument is no list")?;
        Ok(parts.iter().map(shown).collect::<Vec<_>>().join(&shown(&args[0])).into())
    }),
    ("contains", 2, |args| Ok(args[0].as_array().is_some_and(|list| list.contains(&args[1])).into())),
    ("length", 1, |args| {
        let count = args[0].as_array().map(Vec::len).or_else(|| args[0].as_str().map(|text| text.chars().count()));
        Ok(count.ok_or("length: neither a list nor a text")?.into())
    }),
];

/// Declares them.
pub(super) fn declare(context: &mut Context<'_>) {
    for (kind, functions) in [(ParamType::String, OF_TEXTS), (ParamType::Any, OF_VALUES)] {
        for (name, count, body) in functions {
            let builder = (0..*count).fold(FuncDef::builder(), |builder, _| builder.param(kind.clone()));
            context.declare_func(*name, builder.build(*body));
        }
    }
    let concat = |args: FuncArgs| {
        let lists = args.iter().map(|list| list.as_array().cloned().ok_or("concat: an argument is no list"));
        Ok(Value::Array(lists.collect::<Result<Vec<_>, _>>()?.concat()))
    };
    context.declare_func("concat", FuncDef::builder().variadic_param(ParamType::Any).build(concat));
}

fn text(args: &FuncArgs, at: usize) -> String {
    shown(&args[at])
}

/// A value as a text has it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

pub(super) fn truth(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str() == Some("true"))
}
