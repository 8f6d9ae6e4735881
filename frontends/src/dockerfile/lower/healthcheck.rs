//! `HEALTHCHECK`.

use ast::{Healthcheck, Op, Text};

use super::Lowering;
use crate::dockerfile::flags::{Flag, Kind, Spec};
use crate::dockerfile::number;
use crate::dockerfile::syntax::{Args, Instruction};

const FLAGS: &[Spec] = &[
    ("interval", Kind::Text),
    ("timeout", Kind::Text),
    ("start-period", Kind::Text),
    ("start-interval", Kind::Text),
    ("retries", Kind::Text),
];

const MILLISECOND: i64 = 1_000_000;

pub(super) fn lower(parsed: &Instruction<'_>, lowering: &mut Lowering<'_>) -> Option<Op> {
    let Args::Check(kind, command) = &parsed.args else {
        lowering.error("HEALTHCHECK requires at least one argument", &parsed.name.range);
        return None;
    };
    let name = ast::word::decode(&kind.text);
    let name = ast::case::upper(&name);
    let mut check =
        Healthcheck { test: Vec::new(), interval: 0, timeout: 0, start_period: 0, start_interval: 0, retries: 0 };
    if name == "NONE" {
        if has_args(command) {
            lowering.error("HEALTHCHECK NONE takes no arguments", &kind.range);
        }
        check.test.push("NONE".into());
        return Some(Op::Healthcheck(check));
    }
    let flags = lowering.flags(parsed, FLAGS);
    check.test = match test(&name, command) {
        Ok(test) => test,
        Err(message) => {
            lowering.error(message, &kind.range);
            Vec::new()
        }
    };
    // The order in which BuildKit looks at them, whatever the order they are written in.
    for (name, _) in FLAGS {
        if let Some(flag) = flags.iter().find(|flag| flag.name == *name && !flag.value.is_empty()) {
            set(&mut check, flag, lowering);
        }
    }
    Some(Op::Healthcheck(check))
}

fn has_args(args: &Args<'_>) -> bool {
    match args {
        Args::Json(words) => !words.is_empty(),
        Args::None => false,
        _ => true,
    }
}

fn test(name: &str, command: &Args<'_>) -> Result<Vec<Text>, String> {
    if name != "CMD" {
        return Err(format!("Unknown type {} in HEALTHCHECK (try CMD)", ast::quote(name.as_bytes())));
    }
    match command {
        Args::Json(words) if !words.is_empty() => {
            let words = words.iter().map(|word| Text::from(word.text.as_ref()));
            Ok(std::iter::once("CMD".into()).chain(words).collect())
        }
        Args::Line(line) => Ok(vec!["CMD-SHELL".into(), line.text.as_ref().into()]),
        _ => Err("Missing command after HEALTHCHECK CMD".to_owned()),
    }
}

fn set(check: &mut Healthcheck, flag: &Flag<'_>, lowering: &mut Lowering<'_>) {
    let text = ast::word::decode(flag.value);
    let value = if flag.name == "retries" { retries(&text) } else { interval(flag.name, &text) };
    let value = match value {
        Ok(value) => value,
        Err(message) => return lowering.error(message, &flag.range),
    };
    match flag.name {
        "interval" => check.interval = value,
        "timeout" => check.timeout = value,
        "start-period" => check.start_period = value,
        "start-interval" => check.start_interval = value,
        _ => check.retries = value,
    }
}

fn interval(name: &str, text: &str) -> Result<i64, String> {
    let value = number::duration(text)?;
    if value != 0 && value < MILLISECOND {
        return Err(format!("Interval {} cannot be less than 1ms", ast::quote(name.as_bytes())));
    }
    Ok(value)
}

fn retries(text: &str) -> Result<i64, String> {
    let value = ast::number::parse_int(text, 10, 32).map_err(|error| error.to_string())?;
    if value < 0 {
        return Err(format!("--retries cannot be negative ({value})"));
    }
    Ok(value)
}
