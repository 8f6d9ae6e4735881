//! `cargo xtask gen`: generated files from what they are generated from.
//!
//! The files are checked in, so that a build needs neither a protobuf compiler nor the crates used here; `--check`
//! fails when one of them is not what would be generated.

use std::fs;
use std::path::Path;

use prost_types::DescriptorProto;
use prost_types::field_descriptor_proto::{Label, Type};

/// Generates every file, or with `check` compares each with what would be generated.
pub(crate) fn run(check: bool) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask lies in the workspace")?;
    let builtins = String::from_utf8_lossy(&ast::builtin::LISTING.bytes).into_owned();
    keep(&root.join("grammar/builtins.hlb"), &builtins, check)?;
    keep(&root.join("llb/src/proto/pb.rs"), &llb_proto(&root.join("llb/proto"))?, check)
}

/// Writes a file, or compares it with what would be written.
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

/// The Rust form of `llb.proto`: maps are sorted, since what is built from them must not depend on hash order, and
/// messages serialise to the JSON that Go's structures of the same messages give.
fn llb_proto(folder: &Path) -> Result<String, String> {
    let descriptors = protox::compile(["llb.proto"], [folder]).map_err(|error| format!("{error:?}"))?;
    let mut config = prost_build::Config::new();
    config.btree_map(["."]);
    for message in descriptors.file.iter().flat_map(|file| &file.message_type) {
        describe_json(&mut config, message);
    }
    let package = prost_build::Module::from_protobuf_package_name("pb");
    let requests = descriptors.file.into_iter().map(|file| (package.clone(), file)).collect();
    let mut modules = config.generate(requests).map_err(|error| format!("cannot generate from llb.proto: {error}"))?;
    let body = modules.remove(&package).ok_or("llb.proto gave no code for package pb")?;
    Ok(format!("{HEADER}{body}"))
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

const HEADER: &str = "\
//! Messages of LLB. Generated from `proto/llb.proto` by `cargo xtask gen`; do not edit.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, rustdoc::all)]

";

#[cfg(test)]
mod tests {
    #[test]
    fn generated_files_are_fresh() {
        assert_eq!(super::run(true), Ok(()));
    }
}
