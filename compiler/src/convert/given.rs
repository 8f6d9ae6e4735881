//! Arguments to compare two texts with: what is not there without a value may make a difference once it has one.

use std::collections::BTreeMap;

use ast::{Module, Op, Param, StrKind, visit};

use crate::plan::is_platform_argument;

/// A value for each argument that whoever builds may give, other than its usual one.
///
/// Arguments that mean something by themselves are left alone, and so are parameters of functions, which have marks.
pub(super) fn arguments(module: &Module) -> BTreeMap<String, String> {
    let params =
        visit::steps(module).filter_map(|(step, _)| if let Op::Arg(params) = &step.op { Some(params) } else { None });
    let params = params.flatten().filter(|param| !has_meaning(&param.name.text));
    params.filter_map(|param| Some((param.name.text.clone(), value(param)?))).collect()
}

/// Whether an argument does more than to have a value.
fn has_meaning(name: &str) -> bool {
    let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
    is_proxy || is_platform_argument(name) || name.starts_with("BUILDKIT_") || name == "SOURCE_DATE_EPOCH"
}

/// A value that a parameter may have.
fn value(param: &Param) -> Option<String> {
    let usual = param.default.as_ref().map(|default| match &default.kind {
        StrKind::Lit(text) | StrKind::Word { raw: text, .. } => text.lossy().into_owned(),
    });
    let one_of = param.domain.iter().flat_map(|domain| domain.one_of.iter().map(String::as_str));
    let mut values = ["731", "732", "true", "false"].into_iter().chain(one_of);
    let may_be = |value: &&str| {
        usual.as_deref() != Some(*value) && param.domain.as_ref().is_none_or(|domain| domain.refuses(value).is_none())
    };
    values.find(may_be).map(str::to_owned)
}
