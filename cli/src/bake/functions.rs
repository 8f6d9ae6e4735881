//! The functions that expressions call: those of bake that files in use have.

use hcl::eval::{Context, FuncArgs, FuncDef, ParamType};
use hcl::{Number, Value};

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

/// Functions of numbers, which operators stand for: exact for whole numbers, else as fractions.
const OF_NUMBERS: &[(&str, usize, Body)] = &[
    ("add", 2, |args| calculate(&args, i128::checked_add, |a, b| a + b)),
    ("subtract", 2, |args| calculate(&args, i128::checked_sub, |a, b| a - b)),
    ("multiply", 2, |args| calculate(&args, i128::checked_mul, |a, b| a * b)),
    ("divide", 2, |args| calculate(&args, |a, b| (a.checked_rem(b)? == 0).then(|| a / b), |a, b| a / b)),
    ("modulo", 2, |args| calculate(&args, i128::checked_rem, |a, b| a % b)),
];

/// Declares them.
pub(super) fn declare(context: &mut Context<'_>) {
    for (kind, functions) in [(text_like(), OF_TEXTS), (ParamType::Any, OF_VALUES), (ParamType::Any, OF_NUMBERS)] {
        for (name, count, body) in functions {
            let builder = (0..*count).fold(FuncDef::builder(), |builder, _| builder.param(kind.clone()));
            context.declare_func(*name, builder.build(*body));
        }
    }
    super::lists::declare(context);
    super::times::declare(context);
    super::patterns::declare(context);
    let concat = |args: FuncArgs| {
        let lists = args.iter().map(|list| list.as_array().cloned().ok_or("concat: an argument is no list"));
        Ok(Value::Array(lists.collect::<Result<Vec<_>, _>>()?.concat()))
    };
    context.declare_func("concat", FuncDef::builder().variadic_param(ParamType::Any).build(concat));
}

/// What is taken for a text: numbers and conditions, too, as in bake.
pub(super) fn text_like() -> ParamType {
    ParamType::one_of([ParamType::String, ParamType::Number, ParamType::Bool])
}

/// Two numbers made one. A text that is a number is one, as in bake.
fn calculate(
    args: &FuncArgs,
    whole: fn(i128, i128) -> Option<i128>,
    fraction: fn(f64, f64) -> f64,
) -> Result<Value, String> {
    let (left, right) = (number(&args[0])?, number(&args[1])?);
    let exact = integer(&left).zip(integer(&right)).and_then(|(left, right)| whole(left, right));
    let exact = exact.and_then(|exact| {
        u64::try_from(exact).map(Number::from).or_else(|_| i64::try_from(exact).map(Number::from)).ok()
    });
    let real = |number: &Number| number.as_f64().unwrap_or(f64::NAN);
    let result = exact.or_else(|| Number::from_f64(fraction(real(&left), real(&right))));
    Ok(result.ok_or_else(|| format!("the result of {left} and {right} is no number"))?.into())
}

fn number(value: &Value) -> Result<Number, String> {
    let read = match value {
        Value::Number(number) => Some(*number),
        Value::String(text) => {
            text.parse().map(|whole: i64| whole.into()).ok().or_else(|| Number::from_f64(text.parse().ok()?))
        }
        _ => None,
    };
    read.ok_or_else(|| format!("{} is no number", shown(value)))
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
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
