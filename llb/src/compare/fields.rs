//! What differs between two values, field by field.
//!
//! Lists are not compared by position alone: what was put between two equal entries is one entry more, not a change of all that
//! stand behind it. Of environments entries with one name belong together.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::{Graph, Output};

/// The key of an image's config in what is said of an output.
const CONFIG: &str = "containerimage.config";
/// Fields of a config that say how the image was made, not what it is.
const HISTORY: [&str; 3] = ["created", "history", "rootfs"];

/// A field that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Where, as in `exec.meta.args[2]`; entries of environments by their names, as in `exec.meta.env.PATH`.
    pub path: String,
    /// What it was, JSON; `None` where there was nothing.
    pub before: Option<Value>,
    /// What it is, JSON; `None` where there is nothing.
    pub after: Option<Value>,
}

/// What changed in the configs of images. Those of one platform belong together, then those that are left, in their order.
pub(super) fn of_images(first: &Graph, second: &Graph) -> Vec<Field> {
    let mut found = Vec::new();
    let mut left: Vec<&Output> = second.outputs.iter().collect();
    for old in &first.outputs {
        let same = left.iter().position(|new| new.platform == old.platform).unwrap_or_default();
        let Some(new) = (same < left.len()).then(|| left.remove(same)) else { continue };
        let path = old.platform.as_ref().map(ToString::to_string).unwrap_or_default();
        differ(&path, config(old).as_ref(), config(new).as_ref(), &mut found);
    }
    found
}

fn config(output: &Output) -> Option<Value> {
    let mut config: Value = serde_json::from_str(output.meta.description.get(CONFIG)?).ok()?;
    let fields = config.as_object_mut()?;
    HISTORY.iter().for_each(|field| drop(fields.remove(*field)));
    Some(config)
}

/// A value as JSON.
pub(super) fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("plain data has a JSON form")
}

/// Notes where two values differ.
pub(super) fn differ(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Field>) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                differ(&join(path, key), old.get(key), new.get(key), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if is_environment(path) => {
            let names: BTreeSet<&str> = old.iter().chain(new).filter_map(|entry| Some(variable(entry)?.0)).collect();
            for name in names {
                differ(&join(path, name), value(old, name).as_ref(), value(new, name).as_ref(), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => lists(path, old, new, found),
        _ if before == after => {}
        _ => found.push(Field { path: path.to_owned(), before: before.cloned(), after: after.cloned() }),
    }
}

/// Compares what is between the entries that two lists have in common at both ends.
fn lists(path: &str, old: &[Value], new: &[Value], found: &mut Vec<Field>) {
    let length = old.len().min(new.len());
    let start = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let ends = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let end = ends.min(length - start);
    let (old, new) = (&old[start..old.len() - end], &new[start..new.len() - end]);
    for index in 0..old.len().max(new.len()) {
        differ(&format!("{path}[{}]", start + index), old.get(index), new.get(index), found);
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Whether a list is one of variables, in a process or in a config.
fn is_environment(path: &str) -> bool {
    path.rsplit('.').next().is_some_and(|field| field.eq_ignore_ascii_case("env"))
}

fn variable(entry: &Value) -> Option<(&str, &str)> {
    entry.as_str()?.split_once('=')
}

/// What a variable is set to last.
fn value(entries: &[Value], name: &str) -> Option<Value> {
    let values = entries.iter().rev().filter_map(variable).filter(|(known, _)| *known == name);
    values.map(|(_, value)| Value::from(value)).next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(before: Value, after: Value, expected: &[&str]) {
        let mut found = Vec::new();
        differ("", Some(&before), Some(&after), &mut found);
        let value = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
        let found =
            found.iter().map(|field| format!("{} {} -> {}", field.path, value(&field.before), value(&field.after)));
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_put_between_equal_entries_is_one_more() {
        check(json!({"a": [1, 2, 3]}), json!({"a": [1, 9, 2, 3]}), &["a[1] nothing -> 9"]);
        check(json!({"a": [1, 2, 3]}), json!({"a": [1, 3]}), &["a[1] 2 -> nothing"]);
        check(json!({"a": [1, 1]}), json!({"a": [1]}), &["a[1] 1 -> nothing"]);
        check(json!({"a": [1, 2]}), json!({"a": [3, 4]}), &["a[0] 1 -> 3", "a[1] 2 -> 4"]);
    }

    #[test]
    fn variables_are_known_by_name() {
        check(
            json!({"env": ["A=1", "B=2", "C=3"]}),
            json!({"env": ["B=2", "D=x=y", "C=4"]}),
            &["env.A \"1\" -> nothing", "env.C \"3\" -> \"4\"", "env.D nothing -> \"x=y\""],
        );
    }

    #[test]
    fn configs_of_one_platform_are_compared() {
        let graph = |outputs: &[(&str, &str)]| {
            let output = |(platform, config): &(&str, &str)| {
                let config = Value::from(*config);
                format!("output %0 platform(\"linux\", \"{platform}\")\n  ! description={{\"{CONFIG}\": {config}}}\n")
            };
            let outputs: String = outputs.iter().map(output).collect();
            crate::text::parse(&format!("%0 = source \"local://a\"\n{outputs}")).unwrap()
        };
        let first = graph(&[
            ("amd64", r#"{"config": {"Labels": {"v": "1"}}, "history": [1]}"#),
            ("arm64", r#"{"config": {"Env": ["A=1"]}}"#),
        ]);
        let second = graph(&[
            ("arm64", r#"{"config": {"Env": ["A=2"]}}"#),
            ("amd64", r#"{"config": {"Labels": {"v": "2"}}, "history": [2]}"#),
        ]);
        let fields: Vec<String> = of_images(&first, &second).into_iter().map(|field| field.path).collect();
        assert_eq!(fields, ["linux/amd64.config.Labels.v", "linux/arm64.config.Env.A"]);
        assert!(of_images(&first, &first).is_empty());
    }
}
