//! `cargo xtask gen`: generated files from what they are generated from.
//!
//! The files are checked in, so that a build needs neither a protobuf compiler nor the crates used here; `--check`
//! fails when one of them is not what would be generated.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto};

/// A generated file and what gives its content.
type Generated = (&'static str, fn(&Path) -> Result<String, String>);

/// Every generated file, by its path in the workspace.
const FILES: &[Generated] = &[
    ("grammar/builtins.hlb", builtins),
    ("grammar/spec.schema.json", spec_schema),
    ("docs/spec-reference.md", spec_reference),
    ("llb/src/proto/pb.rs", llb_proto),
    ("llb/src/dump/protojson/schema.rs", llb_schema),
    ("gateway/src/message/generated.rs", gateway_proto),
];

/// Generates every file, or with `check` compares each with what would be generated.
pub(crate) fn run(check: bool) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask lies in the workspace")?;
    FILES.iter().try_for_each(|(path, generate)| keep(&root.join(path), &generate(root)?, check))
}

/// Writes a file, or with `check` compares it with what would be written.
fn keep(path: &Path, fresh: &str, check: bool) -> Result<(), String> {
    if !check {
        return fs::write(path, fresh).map_err(|error| format!("cannot write {}: {error}", path.display()));
    }
    let present = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if present == fresh {
        return Ok(());
    }
    Err(format!("{} is not what its source gives; run `cargo xtask gen`", path.display()))
}

/// What every HLB module can call.
fn builtins(_: &Path) -> Result<String, String> {
    Ok(String::from_utf8_lossy(&ast::builtin::LISTING.bytes).into_owned())
}

/// What TOML editors check a build spec by.
fn spec_schema(_: &Path) -> Result<String, String> {
    let schema = serde_json::to_string_pretty(&frontends::spec::json_schema()).map_err(|error| error.to_string())?;
    Ok(schema + "\n")
}

/// Every key of a build spec.
fn spec_reference(_: &Path) -> Result<String, String> {
    Ok(format!("{SPEC_REFERENCE}{}", frontends::spec::reference()))
}

const SPEC_REFERENCE: &str = "\
# Reference of build.toml

Every table of the language with its keys. Generated from `frontends/src/spec/model.rs` by `cargo xtask gen`; do not edit.
[spec.md](spec.md) explains the language.

";

/// The Rust form of `llb.proto`: maps are sorted, since what is built from them must not depend on hash order, and
/// messages serialise to the JSON that Go's structures of the same messages give.
fn llb_proto(root: &Path) -> Result<String, String> {
    let body = generate(&root.join("llb/proto"), "llb.proto", "pb", describe_json)?;
    Ok(header("LLB", "proto/llb.proto") + &body)
}

/// The messages of `llb.proto` as data, for their JSON.
fn llb_schema(root: &Path) -> Result<String, String> {
    let descriptors = protox::compile(["llb.proto"], [root.join("llb/proto")]).map_err(|error| format!("{error:?}"))?;
    let mut out = String::from(
        "//! The messages of LLB as data. Generated from `proto/llb.proto` by `cargo xtask gen`; do not edit.\n\n\
         use super::{Field, Kind, Message};\n\npub(super) static MESSAGES: &[Message] = &[\n",
    );
    for file in &descriptors.file {
        for message in &file.message_type {
            describe_message(&mut out, message, message.name(), &file.enum_type)?;
            for entry in &message.nested_type {
                let name = format!("{}.{}", message.name(), entry.name());
                describe_message(&mut out, entry, &name, &file.enum_type)?;
            }
        }
    }
    Ok(out + "];\n")
}

fn describe_message(
    out: &mut String,
    message: &DescriptorProto,
    name: &str,
    enums: &[EnumDescriptorProto],
) -> Result<(), String> {
    let _ = writeln!(out, "    Message {{ name: {name:?}, fields: &[");
    for field in &message.field {
        let (number, json, repeated) = (field.number(), field.json_name(), field.label() == Label::Repeated);
        let of = field.type_name().rsplit_once("pb.").map_or("", |(_, of)| of);
        let kind = match field.r#type() {
            Type::String => "Text".to_owned(),
            Type::Bytes => "Bytes".to_owned(),
            Type::Bool => "Bool".to_owned(),
            Type::Int32 => "Int32".to_owned(),
            Type::Uint32 => "Uint32".to_owned(),
            Type::Int64 => "Int64".to_owned(),
            Type::Uint64 => "Uint64".to_owned(),
            Type::Message if of.ends_with("Entry") && repeated => format!("Map({of:?})"),
            Type::Message => format!("Message({of:?})"),
            Type::Enum => format!("Enum(&[{}])", names(enums, of)),
            other => return Err(format!("{name}.{}: {other:?} has no form yet", field.name())),
        };
        let _ = writeln!(
            out,
            "        Field {{ number: {number}, name: {json:?}, kind: Kind::{kind}, repeated: {repeated} }},"
        );
    }
    out.push_str("    ] },\n");
    Ok(())
}

fn names(enums: &[EnumDescriptorProto], name: &str) -> String {
    let found = enums.iter().find(|one| one.name() == name).into_iter().flat_map(|one| &one.value);
    found.map(|value| format!("({}, {:?})", value.number(), value.name())).collect::<Vec<_>>().join(", ")
}

/// The Rust form of `gateway.proto`.
fn gateway_proto(root: &Path) -> Result<String, String> {
    let body = generate(&root.join("gateway/proto"), "gateway.proto", "gateway", |_, _| ())?;
    Ok(header("the gateway protocol", "proto/gateway.proto") + &body)
}

/// The code of the one file of a package, after each message had a chance to set itself up.
fn generate(
    folder: &Path,
    file: &str,
    package: &str,
    set_up: fn(&mut prost_build::Config, &DescriptorProto),
) -> Result<String, String> {
    let descriptors = protox::compile([file], [folder]).map_err(|error| format!("{error:?}"))?;
    let mut config = prost_build::Config::new();
    config.btree_map(["."]);
    for message in descriptors.file.iter().flat_map(|file| &file.message_type) {
        set_up(&mut config, message);
    }
    let module = prost_build::Module::from_protobuf_package_name(package);
    let requests = descriptors.file.into_iter().map(|file| (module.clone(), file)).collect();
    let mut modules = config.generate(requests).map_err(|error| format!("cannot generate from {file}: {error}"))?;
    modules.remove(&module).ok_or_else(|| format!("{file} gave no code for package {package}"))
}

/// Adds what serde needs to write a message as Go does: the field's own name, nothing for defaults, base64 for bytes.
/// Messages with a oneof have a form of their own and are left to hand-written code.
fn describe_json(config: &mut prost_build::Config, message: &DescriptorProto) {
    if !message.oneof_decl.is_empty() {
        return;
    }
    let path = format!(".pb.{}", message.name());
    config.type_attribute(&path, "#[derive(serde::Serialize)]");
    for field in &message.field {
        let with = match (field.r#type(), field.label()) {
            (Type::Bytes, Label::Repeated) => ", serialize_with = \"crate::dump::base64_list\"",
            (Type::Bytes, _) => ", serialize_with = \"crate::dump::base64\"",
            _ => "",
        };
        let name = field.name();
        let attribute =
            format!("#[serde(rename = \"{name}\", skip_serializing_if = \"crate::dump::is_default\"{with})]");
        config.field_attribute(format!("{path}.{name}"), attribute);
    }
}

fn header(what: &str, source: &str) -> String {
    format!(
        "//! Messages of {what}. Generated from `{source}` by `cargo xtask gen`; do not edit.\n\
         #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, rustdoc::all)]\n\n"
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn generated_files_are_fresh() {
        assert_eq!(super::run(true), Ok(()));
    }
}
