//! `RUN`: a command with its mounts, network, security and devices.

use ast::{Command, Mount, MountField, Op, OptKind, Str, StrKind, case, suggest, with_suggestion};

use super::Lowering;
use super::config::command_args;
use crate::dockerfile::csv;
use crate::dockerfile::flags::{Flag, Kind, Spec};
use crate::dockerfile::syntax::Instruction;

const FLAGS: &[Spec] =
    &[("device", Kind::Texts), ("mount", Kind::Texts), ("network", Kind::Text), ("security", Kind::Text)];

pub(super) fn lower(parsed: &Instruction<'_>, lowering: &mut Lowering<'_>) -> Option<Op> {
    let flags = lowering.flags(parsed, FLAGS);
    // The order in which BuildKit looks at them, whatever the order they are written in.
    for name in ["device", "mount", "network", "security"] {
        for flag in flags.iter().filter(|flag| flag.name == name) {
            option(flag, lowering);
        }
    }
    let mut command: Command = command_args(parsed, lowering);
    command.documents = lowering.context.documents.iter().map(|raw| lowering.document(raw)).collect();
    Some(Op::Run(command))
}

fn option(flag: &Flag<'_>, lowering: &mut Lowering<'_>) {
    let written = ast::word::decode(flag.value);
    let kind = match flag.name {
        "device" => device(flag),
        "mount" => mount(flag, lowering).map(OptKind::Mount),
        "network" if matches!(flag.value, b"default" | b"none" | b"host") => {
            Ok(OptKind::Network(lowering.flag_literal(flag)))
        }
        "network" => Err(format!("invalid network mode {}", ast::quote(flag.value))),
        _ if matches!(flag.value, b"insecure" | b"sandbox") => Ok(OptKind::Security(lowering.flag_literal(flag))),
        _ => Err(format!("security {} is not valid", ast::quote(written.as_bytes()))),
    };
    match kind {
        Ok(kind) => lowering.opt(kind, flag),
        Err(message) => lowering.error(message, &flag.range),
    }
}

/// Splits a mount into fields. Only `from` is looked at already: it takes no variables.
fn mount(flag: &Flag<'_>, lowering: &Lowering<'_>) -> Result<Mount, String> {
    let fields = csv::fields(flag.value).map_err(|error| format!("failed to parse csv mounts: {error}"))?;
    let start = flag.value_range.start;
    let at = |offset: usize| (start + offset as u32).min(flag.value_range.end);
    let mut mount = Mount { raw: flag.value.into(), fields: Vec::with_capacity(fields.len()) };
    for (text, range) in fields {
        let equals = text.iter().position(|b| *b == b'=');
        let key = ast::word::decode(&text[..equals.unwrap_or(text.len())]).into_owned();
        let value = equals.map(|equals| &text[equals + 1..]);
        if key.eq_ignore_ascii_case("from") && value.is_some_and(has_variable) {
            return Err("'from' doesn't support variable expansion, define alias stage instead".to_owned());
        }
        let line = lowering.context.line;
        let value = value.map(|value| Str {
            kind: StrKind::Word { raw: value.into(), escape: lowering.context.escape },
            span: line.span(at((range.start + key.len() + 1).min(range.end))..at(range.end)),
        });
        mount.fields.push(MountField { key, value, span: line.span(at(range.start)..at(range.end)) });
    }
    Ok(mount)
}

/// parity: only the first `$` counts, and one at the very end is an ordinary character.
fn has_variable(value: &[u8]) -> bool {
    value.iter().position(|b| *b == b'$').is_some_and(|at| at + 1 < value.len())
}

fn device(flag: &Flag<'_>) -> Result<OptKind, String> {
    let fields = csv::fields(flag.value).map_err(|error| format!("failed to parse csv devices: {error}"))?;
    let mut name = String::new();
    let mut required = false;
    for (field, _) in fields {
        let field = ast::word::decode(&field).into_owned();
        let (key, value) = field.split_once('=').map_or((field.as_str(), None), |(key, value)| (key, Some(value)));
        match (&*case::lower(key), value) {
            ("required", None) => required = true,
            ("required", Some(value)) => {
                required = ast::parse_bool(value).ok_or_else(|| format!("invalid value for required: {value}"))?;
            }
            ("name", Some(_)) if !name.is_empty() => return Err(format!("device name already set to {name}")),
            ("name", Some(value)) => value.clone_into(&mut name),
            _ if name.is_empty() => name = field,
            (_, None) => return Err(format!("invalid field '{field}' must be a key=value pair")),
            (key, Some(_)) => {
                let message = format!("unexpected key '{key}' in '{field}'");
                return Err(with_suggestion(message, suggest(key, ["name", "required"])));
            }
        }
    }
    Ok(OptKind::Device { name, required })
}
