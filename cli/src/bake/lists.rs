//! Functions of lists and maps, of texts with places for values, and of sums.

use hcl::Value;
use hcl::eval::{Context, FuncArgs, FuncDef, ParamType};
use sha2::Digest as _;

use super::functions::shown;

type Body = fn(FuncArgs) -> Result<Value, String>;

/// Most numbers of a range, as in bake.
const MOST_NUMBERS: i64 = 1024;

/// Functions of any number of values.
const OF_ALL: &[(&str, Body)] = &[
    ("coalesce", |args| {
        let is_said = |value: &&Value| !matches!(value, Value::Null);
        args.iter().find(is_said).cloned().ok_or_else(|| "coalesce: nothing is said".to_owned())
    }),
    ("compact", |args| {
        let is_said = |value: &Value| !shown(value).is_empty();
        Ok(Value::Array(list("compact", &args, 0)?.into_iter().filter(is_said).collect()))
    }),
    ("distinct", |args| {
        let mut all: Vec<Value> = Vec::new();
        for value in list("distinct", &args, 0)? {
            if !all.contains(&value) {
                all.push(value);
            }
        }
        Ok(Value::Array(all))
    }),
    ("flatten", |args| {
        let all = list("flatten", &args, 0)?;
        Ok(Value::Array(all.into_iter().flat_map(|value| value.as_array().cloned().unwrap_or(vec![value])).collect()))
    }),
    ("format", |args| {
        Ok(filled(&shown(args.first().unwrap_or(&Value::Null)), args.get(1..).unwrap_or_default())?.into())
    }),
    ("formatlist", formatlist),
    ("keys", |args| Ok(Value::Array(map("keys", &args, 0)?.into_keys().map(Value::from).collect()))),
    ("lookup", |args| {
        let key = shown(args.get(1).unwrap_or(&Value::Null));
        let found = map("lookup", &args, 0)?.get(&key).or(args.get(2)).cloned();
        found.ok_or_else(|| format!("lookup: there is no {key}"))
    }),
    ("merge", |args| {
        let all = (0..args.len()).map(|at| map("merge", &args, at)).collect::<Result<Vec<_>, _>>()?;
        Ok(Value::Object(all.into_iter().flatten().collect()))
    }),
    ("range", |args| {
        let numbers: Option<Vec<i64>> = args.iter().map(Value::as_i64).collect();
        let (start, end) = match numbers.as_deref() {
            Some([end]) => (0, *end),
            Some([start, end]) => (*start, *end),
            _ => return Err("range: a start and an end are known, as whole numbers".to_owned()),
        };
        if end.saturating_sub(start) > MOST_NUMBERS {
            return Err(format!("range: more than {MOST_NUMBERS} numbers"));
        }
        Ok(Value::Array((start..end).map(Value::from).collect()))
    }),
    ("sanitize", |args| {
        let safe = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
        Ok(shown(args.first().unwrap_or(&Value::Null)).chars().map(safe).collect::<String>().into())
    }),
    ("sethaselement", |args| {
        let wanted = args.get(1).ok_or("sethaselement: an element is wanted")?;
        Ok(list("sethaselement", &args, 0)?.contains(wanted).into())
    }),
    ("setsubtract", |args| {
        let less = list("setsubtract", &args, 1)?;
        Ok(set(list("setsubtract", &args, 0)?.into_iter().filter(|value| !less.contains(value)).collect()))
    }),
    ("setintersection", |args| {
        let all = (1..args.len()).map(|at| list("setintersection", &args, at)).collect::<Result<Vec<_>, _>>()?;
        let is_in_all = |value: &Value| all.iter().all(|list| list.contains(value));
        Ok(set(list("setintersection", &args, 0)?.into_iter().filter(is_in_all).collect()))
    }),
    ("setunion", |args| {
        let all = (0..args.len()).map(|at| list("setunion", &args, at)).collect::<Result<Vec<_>, _>>()?;
        Ok(set(all.concat()))
    }),
    ("md5", |args| Ok(sum(&md5::Md5::digest(shown(args.first().unwrap_or(&Value::Null)))).into())),
    ("sha256", |args| Ok(sum(&sha2::Sha256::digest(shown(args.first().unwrap_or(&Value::Null)))).into())),
    ("values", |args| Ok(Value::Array(map("values", &args, 0)?.into_values().collect()))),
];

/// Declares them.
pub(super) fn declare(context: &mut Context<'_>) {
    for (name, body) in OF_ALL {
        context.declare_func(*name, FuncDef::builder().variadic_param(ParamType::Any).build(*body));
    }
}

fn list(name: &str, args: &FuncArgs, at: usize) -> Result<Vec<Value>, String> {
    args.get(at).and_then(Value::as_array).cloned().ok_or_else(|| format!("{name}: an argument is no list"))
}

/// A list in the order of its texts, each once: as bake has sets.
fn set(mut values: Vec<Value>) -> Value {
    values.sort_by_key(shown);
    values.dedup();
    Value::Array(values)
}

fn map(name: &str, args: &FuncArgs, at: usize) -> Result<hcl::Map<String, Value>, String> {
    let found = args.get(at).and_then(Value::as_object).cloned();
    let mut found = found.ok_or_else(|| format!("{name}: an argument is no map"))?;
    // Maps of bake are in the order of their keys.
    found.sort_keys();
    Ok(found)
}

/// A text with values in its places: `%s`, `%v`, `%d`, `%q`.
fn filled(text: &str, values: &[Value]) -> Result<String, String> {
    let (mut out, mut values, mut signs) = (String::new(), values.iter(), text.chars());
    while let Some(sign) = signs.next() {
        if sign != '%' {
            out.push(sign);
            continue;
        }
        let verb = signs.next();
        let mut next = || values.next().ok_or_else(|| format!("format: {text} has more places than there are values"));
        match verb {
            Some('%') => out.push('%'),
            Some('s' | 'v' | 'd') => out.push_str(&shown(next()?)),
            Some('q') => out.push_str(&format!("{:?}", shown(next()?))),
            _ => return Err(format!("format: of {text} only %s, %v, %d and %q are known")),
        }
    }
    match values.next() {
        Some(more) => Err(format!("format: {text} has no place for {}", shown(more))),
        None => Ok(out),
    }
}

/// A text for each entry of the lists among the arguments, which are of one length.
fn formatlist(args: FuncArgs) -> Result<Value, String> {
    let text = shown(args.first().unwrap_or(&Value::Null));
    let values = args.get(1..).unwrap_or_default();
    let lengths: Vec<usize> = values.iter().filter_map(Value::as_array).map(Vec::len).collect();
    let length = lengths.first().copied().unwrap_or(1);
    if lengths.iter().any(|own| *own != length) {
        return Err("formatlist: the lists have different lengths".to_owned());
    }
    let row = |at: usize| {
        let cell = |value: &Value| value.as_array().map_or_else(|| value.clone(), |list| list[at].clone());
        Ok(Value::from(filled(&text, &values.iter().map(cell).collect::<Vec<_>>())?))
    };
    Ok(Value::Array((0..length).map(row).collect::<Result<_, String>>()?))
}

fn sum(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
