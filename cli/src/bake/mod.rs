//! `docker-bake.json` and `docker-bake.hcl`: builds with their flags, by name.
//!
//! `read` gives blocks of attributes that are expressions, of either form; `arithmetic` makes their operators safe; `resolve`
//! evaluates them, inherits, multiplies matrices, and changes what `overrides` say; a [`Target`] is then what `llbc build` is
//! told. Behaviour is that of `docker buildx bake` (buildx 0.30); what of it is not there is refused by its name.

mod arithmetic;
mod changing;
mod entries;
mod functions;
mod lists;
mod overrides;
mod own;
mod patterns;
mod read;
mod resolve;
mod times;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::settings::is_address;
pub(crate) use entries::{agents, as_maps};
use read::Block;
pub(crate) use resolve::{CMD_CONTEXT, LOCAL_PLATFORM};

/// Whether a file is one of these, by its name.
pub(crate) fn is_bake(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.starts_with("docker-bake") && [".hcl", ".json"].iter().any(|end| name.ends_with(end))
}

/// A build: what a target says, with everything it inherits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Target {
    /// What it is asked for by.
    pub(crate) name: String,
    /// Its keys with their values; those without a value are not there.
    pub(crate) keys: BTreeMap<String, Value>,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bake {
    /// Targets, in file order.
    pub(crate) targets: Vec<Target>,
    /// Groups with their members, in file order.
    pub(crate) groups: Vec<(String, Vec<String>)>,
    /// Variables with the values that they have when nobody gives them others, as texts.
    pub(crate) variables: Vec<(String, String)>,
    /// Targets that others inherit from.
    pub(crate) parents: BTreeSet<String>,
    /// Targets that say `targets`, which means nothing there.
    pub(crate) misplaced: Vec<String>,
    /// Functions that are called and give something else each time.
    pub(crate) changing: Vec<&'static str>,
}

/// Most steps from a group to its members, or from a target to what it inherits: more is a circle.
const MOST_NESTED: usize = 64;

impl Bake {
    /// Reads a text. Variables have the values that `variable` knows, else their own.
    ///
    /// **Errors**: what is wrong with the text, and what of it is not supported.
    pub(crate) fn read(name: &str, text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        Self::read_with(name, text, variable, &[])
    }

    /// The same with what is said of targets beside the text: `TARGET.KEY=VALUE`, as `--set` takes it.
    pub(crate) fn read_with(
        name: &str,
        text: &str,
        variable: &dyn Fn(&str) -> Option<String>,
        said: &[String],
    ) -> Result<Self> {
        let wrong = |message: String| Failure::message("bake", format!("{name}: {message}"), HELP);
        let mut blocks = if name.ends_with(".json") { read::json(text) } else { read::hcl(text) }.map_err(wrong)?;
        own::write_out(&mut blocks).map_err(wrong)?;
        blocks.iter_mut().flat_map(Block::expressions).try_for_each(arithmetic::call).map_err(wrong)?;
        blocks.iter_mut().flat_map(Block::expressions).try_for_each(patterns::write_out).map_err(wrong)?;
        let changing = changing::write_out(&mut blocks).map_err(wrong)?;
        Ok(Self { changing, ..resolve::resolve(blocks, variable, said).map_err(wrong)? })
    }

    /// The targets of names, each once, in the order asked for; those of `default` when there are none.
    ///
    /// **Errors**: a name that nothing has.
    pub(crate) fn chosen(&self, names: &[String]) -> Result<Vec<&Target>> {
        let default = ["default".to_owned()];
        let names = if names.is_empty() { &default[..] } else { names };
        let (mut chosen, mut done) = (Vec::new(), BTreeSet::new());
        for name in names {
            self.add(name, 0, &mut chosen, &mut done)?;
        }
        Ok(chosen)
    }

    /// The targets with those that they are built on.
    pub(crate) fn needed<'b>(&'b self, targets: &[&'b Target]) -> Result<Vec<&'b Target>> {
        let mut all = targets.to_vec();
        let mut at = 0;
        while at < all.len() {
            for (_, name) in based_on(all[at]) {
                let Some(target) = self.targets.iter().find(|known| known.name == name) else {
                    let known = self.targets.iter().map(|target| target.name.as_str());
                    let text = format!("target {}: there is no target {name}", all[at].name);
                    let text = ast::with_suggestion(text, ast::suggest(&name, known));
                    return Err(Failure::message("bake", text, "`contexts` names it"));
                };
                if !all.iter().any(|known| known.name == name) {
                    all.push(target);
                }
            }
            at += 1;
        }
        Ok(all)
    }

    /// Everything that is built, each after what it is built on: not what is only there to be inherited.
    ///
    /// **Errors**: targets that are built on each other in a circle, and names that nothing has.
    pub(crate) fn in_order(&self) -> Result<Vec<&Target>> {
        let in_groups: BTreeSet<&String> = self.groups.iter().flat_map(|(_, members)| members).collect();
        let says = |target: &Target| {
            ["context", "dockerfile", "dockerfile-inline", "target"].iter().any(|key| target.keys.contains_key(*key))
        };
        let is_built = |target: &&Target| {
            in_groups.contains(&target.name)
                || !target.name.starts_with('_') && (says(target) || !self.parents.contains(&target.name))
        };
        let all = self.needed(&self.targets.iter().filter(is_built).collect::<Vec<_>>())?;
        let mut order: Vec<&Target> = Vec::new();
        while order.len() < all.len() {
            let is_done = |name: &str| order.iter().any(|target| target.name == name);
            let is_ready =
                |target: &&&Target| !is_done(&target.name) && based_on(target).iter().all(|(_, other)| is_done(other));
            let Some(next) = all.iter().find(is_ready) else {
                let open: Vec<&str> =
                    all.iter().filter(|target| !is_done(&target.name)).map(|target| target.name.as_str()).collect();
                return Err(circle(&open));
            };
            order.push(next);
        }
        Ok(order)
    }

    /// Adds a target, or the members of a group; `done` are the groups whose members are there.
    fn add<'b>(
        &'b self,
        name: &str,
        depth: usize,
        chosen: &mut Vec<&'b Target>,
        done: &mut BTreeSet<&'b str>,
    ) -> Result<()> {
        if let Some(target) = self.targets.iter().find(|target| target.name == name) {
            if !chosen.iter().any(|known| known.name == name) {
                chosen.push(target);
            }
            return Ok(());
        }
        let Some((group, members)) = self.groups.iter().find(|(group, _)| group == name) else {
            let known = self.targets.iter().map(|target| target.name.as_str());
            let known: Vec<&str> = known.chain(self.groups.iter().map(|(name, _)| name.as_str())).collect();
            let message =
                ast::with_suggestion(format!("there is no target {name}"), ast::suggest(name, known.iter().copied()));
            return Err(Failure::message("bake", message, format!("there are {}", known.join(", "))));
        };
        if done.contains(group.as_str()) {
            return Ok(());
        }
        if depth > MOST_NESTED {
            return Err(Failure::message("bake", format!("group {name} holds itself"), "take it out"));
        }
        members.iter().try_for_each(|member| self.add(member, depth + 1, chosen, done))?;
        done.insert(group);
        Ok(())
    }
}

/// Targets that are built on each other.
pub(crate) fn circle(open: &[&str]) -> Failure {
    let text = format!("targets are built on each other in a circle: {}", open.join(", "));
    Failure::message("bake", text, "take one out of the contexts of another")
}

/// The contexts of a target that are targets: their names, and those.
pub(crate) fn based_on(target: &Target) -> Vec<(String, String)> {
    let other = |(context, value): (String, String)| Some((context, value.strip_prefix("target:")?.to_owned()));
    contexts(target).into_iter().filter_map(other).collect()
}

/// What a directory of the client is said to begin with: that the command runs in.
const CWD: &str = "cwd://";

/// A path without the word that says where it begins: all paths begin where the command runs.
pub(crate) fn local(path: &str) -> &str {
    match path.strip_prefix(CWD) {
        Some("") => ".",
        Some(path) => path,
        None => path,
    }
}

/// The contexts of a target, and what they are.
pub(crate) fn contexts(target: &Target) -> Vec<(String, String)> {
    let said = target.keys.get("contexts").and_then(Value::as_object).into_iter().flatten();
    said.map(|(name, value)| (name.clone(), local(&shown(value)).to_owned())).collect()
}

fn text(target: &Target, key: &str) -> Option<String> {
    target.keys.get(key).map(shown)
}

/// The context, which is here when nothing is said.
pub(crate) fn context(target: &Target) -> String {
    text(target, "context").map_or_else(|| ".".to_owned(), |path| local(&path).to_owned())
}

/// The build file in it.
pub(crate) fn dockerfile(target: &Target) -> String {
    text(target, "dockerfile").unwrap_or_else(|| "Dockerfile".to_owned())
}

pub(crate) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value as a file of JSON has it, where texts are templates.
pub(crate) fn literal(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace("${", "$${").replace("%{", "%%{").into(),
        Value::Array(values) => values.iter().map(literal).collect(),
        Value::Object(entries) => entries.iter().map(|(key, value)| (key.clone(), literal(value))).collect(),
        other => other.clone(),
    }
}

/// A map as `KEY=VALUE`.
pub(crate) fn pairs(value: &Value) -> Vec<String> {
    value.as_object().into_iter().flatten().map(|(key, value)| format!("{key}={}", shown(value))).collect()
}

/// A list of texts; an entry that is a map is written as a flag has it.
pub(crate) fn list(value: &Value) -> Vec<String> {
    let entry = |value: &Value| if value.is_object() { pairs(value).join(",") } else { shown(value) };
    match value {
        Value::Array(values) => values.iter().map(entry).collect(),
        other => vec![entry(other)],
    }
}

/// Its path from here.
pub(crate) fn file(target: &Target) -> String {
    let (context, dockerfile) = (context(target), dockerfile(target));
    if dockerfile.starts_with(CWD) {
        return local(&dockerfile).to_owned();
    }
    let is_elsewhere = is_address(&context) || dockerfile.starts_with('/');
    if is_elsewhere { dockerfile } else { format!("{context}/{dockerfile}") }
}

const HELP: &str = "docs/spec.md says what of bake files is there";

#[cfg(test)]
mod tests {
    use super::*;

    const HCL: &str = r#"
variable "TAG" { default = "1.${PATCH}" }
variable "PATCH" { default = 4 }
group "default" { targets = ["app", "tools"] }
target "_common" {
  args = { A = "1", B = "2" }
  labels = { "org.example" = upper("x") }
}
target "app" {
  inherits = ["_common"]
  dockerfile = "app.Dockerfile"
  args = { B = "3", C = null }
  tags = ["acme/app:${TAG}", TAG == "1.4" ? "acme/app:old" : ""]
}
target "tools" {
  name = "tools-${v.kind}"
  matrix = { v = [{ kind = "lint", on = true }, { kind = "fmt", on = false }] }
  target = v.kind
  no-cache = v.on
}
"#;

    fn bake(name: &str, text: &str) -> Result<Bake> {
        Bake::read(name, text, &|_| None)
    }

    fn target(bake: &Bake, name: &str) -> Value {
        let target = bake.targets.iter().find(|target| target.name == name).expect("there is one");
        serde_json::to_value(&target.keys).expect("JSON")
    }

    #[test]
    fn a_file_of_hcl() {
        let bake = bake("docker-bake.hcl", HCL).expect("it is right");
        let names: Vec<&str> =
            bake.chosen(&[]).expect("there are some").iter().map(|target| target.name.as_str()).collect();
        assert_eq!(names, ["app", "tools-lint", "tools-fmt"]);
        assert_eq!(
            target(&bake, "app"),
            serde_json::json!({
                "args": { "A": "1", "B": "3" },
                "dockerfile": "app.Dockerfile",
                "labels": { "org.example": "X" },
                "tags": ["acme/app:1.4", "acme/app:old"],
            })
        );
        assert_eq!(target(&bake, "tools-lint"), serde_json::json!({ "target": "lint", "no-cache": true }));
    }

    #[test]
    fn numbers_and_conditions_are_texts_where_texts_are_asked_for() {
        let text = "target \"a\" {\n  args = { A = 7, B = true, C = null, D = upper(\"${false}\"), E = replace(105, 0, true) }\n  \
                    labels = { L = 1 < 2 }\n  tags = [1, \"x\"]\n  no-cache = true\n}\n";
        assert_eq!(
            target(&bake("docker-bake.hcl", text).expect("it is right"), "a"),
            serde_json::json!({
                "args": { "A": "7", "B": "true", "D": "FALSE", "E": "1true5" },
                "labels": { "L": "true" },
                "tags": ["1", "x"],
                "no-cache": true,
            })
        );
        let why = format!("{:?}", bake("docker-bake.hcl", "target \"a\" { args = { A = upper([\"x\"]) } }").err());
        assert!(why.contains("upper"), "{why}");
    }

    #[test]
    fn a_file_of_json_with_a_variable_that_is_given() {
        let text = r#"{"variable": {"TAG": {"default": "x"}}, "target": {"default": {"tags": ["a:${TAG}"]}}}"#;
        let bake =
            Bake::read("docker-bake.json", text, &|name| (name == "TAG").then(|| "y".to_owned())).expect("right");
        assert_eq!(target(&bake, "default"), serde_json::json!({ "tags": ["a:y"] }));
        assert_eq!(bake.chosen(&[]).expect("there is one").len(), 1);
    }

    #[test]
    fn variables_have_types_and_say_what_they_take() {
        let text = "variable \"N\" {\n  type = number\n  default = 1\n  validation {\n    condition = N > 0\n    error_message = \"N is ${N}\"\n  }\n}\n\
                    target \"a\" { args = { N = N + 1 } }\n";
        let with = |value: &'static str| {
            Bake::read("docker-bake.hcl", text, &move |name| (name == "N").then(|| value.to_owned()))
        };
        let why = |value| match with(value) {
            Err(Failure::Message(message)) => message.text,
            other => panic!("{other:?}"),
        };
        assert_eq!(target(&with("4").expect("it is right"), "a"), serde_json::json!({ "args": { "N": "5" } }));
        assert!(why("0").ends_with("variable N: N is 0"));
        assert!(why("x").ends_with("variable N: x is no number"));
        let json = r#"{"variable": {"V": {"default": "x", "validation": [{"condition": "${V == \"y\"}"}]}}, "target": {"a": {}}}"#;
        assert!(Bake::read("docker-bake.json", json, &|_| None).is_err());
    }

    #[test]
    fn numbers_are_counted_with_and_never_end_the_program() {
        let value = |expression: &str| {
            let text = format!("variable \"N\" {{ default = 0 }}\ntarget \"a\" {{ args = {{ V = {expression} }} }}\n");
            match bake("docker-bake.hcl", &text) {
                Ok(bake) => shown(&target(&bake, "a")["args"]["V"]),
                Err(Failure::Message(message)) => message.text,
                Err(other) => panic!("{other:?}"),
            }
        };
        for (expression, result) in [
            ("7 % 3 + 2 * 5", "11"),
            ("9 / 2", "4.5"),
            ("-(2 - N)", "-2"),
            ("\"2\" + 1", "3"),
            ("[for n in [1, 2] : n * 2][3 - 2]", "4"),
            ("\"a$${b}\\n${1 + 1}%{ if 2 - 2 == 0 }c%{ endif }\"", "a${b}\n2c"),
            ("18446744073709551615 + 1", "1.8446744073709552e+19"),
        ] {
            assert_eq!(value(expression), result, "{expression}");
        }
        for expression in ["1 % N", "1 / N", "\"${1 % N}\"", "[1][1 % N]"] {
            assert!(value(expression).contains("the result of 1 and 0 is no number"), "{expression}");
        }
        assert!(value("-\"x\"").contains("x is no number"));
    }

    #[test]
    fn functions_of_its_own() {
        let text = r#"
variable "REPO" { default = "acme" }
function "tag" {
  params = [name]
  variadic_params = more
  result = [for version in more : "${REPO}/${name}:${version}"]
}
function "twice" {
  params = [n]
  result = n * 2
}
target "default" {
  tags = tag("app", "1", "${twice(1 + 2) - 1}")
  target = "x${twice(twice(3))}"
}
"#;
        let bake = bake("docker-bake.hcl", text).expect("it is right");
        assert_eq!(
            target(&bake, "default"),
            serde_json::json!({ "tags": ["acme/app:1", "acme/app:5"], "target": "x12" })
        );
    }

    #[test]
    fn functions_of_lists_maps_and_sums() {
        let value = |expression: &str| {
            let text = format!("target \"default\" {{ pull = {expression} }}");
            match bake("docker-bake.hcl", &text) {
                Ok(bake) => target(&bake, "default")["pull"].clone(),
                Err(Failure::Message(message)) => message.text.into(),
                Err(other) => panic!("{other:?}"),
            }
        };
        for (expression, result) in [
            ("coalesce(\"\", \"a\")", serde_json::json!("")),
            ("coalesce(null, \"a\")", serde_json::json!("a")),
            ("compact([\"\", \"a\"])", serde_json::json!(["a"])),
            ("distinct([1, 2, 1])", serde_json::json!(["1", "2"])),
            ("flatten([[1], 2])", serde_json::json!(["1", "2"])),
            ("format(\"%s-%d%%\", \"a\", 1)", serde_json::json!("a-1%")),
            ("formatlist(\"%s:%s\", \"a\", [1, 2])", serde_json::json!(["a:1", "a:2"])),
            ("keys({ a = 1 })", serde_json::json!(["a"])),
            ("lookup({ a = 1 }, \"b\", 2)", serde_json::json!(2)),
            ("merge({ a = 1 }, { a = 2, b = 3 })", serde_json::json!({ "a": 2, "b": 3 })),
            ("range(1, 3)", serde_json::json!(["1", "2"])),
            ("sanitize(\"a.b/c\")", serde_json::json!("a_b_c")),
            ("md5(\"a\")", serde_json::json!("0cc175b9c0f1b6a831c399e269772661")),
            ("values({ a = 1 })", serde_json::json!(["1"])),
        ] {
            assert_eq!(value(expression), result, "{expression}");
        }
        for (expression, why) in [
            ("format(\"%s\")", "more places"),
            ("format(\"%s\", 1, 2)", "no place for 2"),
            ("format(\"%x\", 1)", "are known"),
            ("formatlist(\"%s%s\", [1], [1, 2])", "different lengths"),
            ("lookup({ a = 1 }, \"b\")", "there is no b"),
            ("compact(1)", "no list"),
            ("range(0, 2000)", "more than 1024"),
        ] {
            assert!(value(expression).to_string().contains(why), "{expression}: {}", value(expression));
        }
    }

    #[test]
    fn lists_and_maps_are_put_together_with_what_is_inherited() {
        let text = r#"
target "base" {
  args = { A = "1", B = "2" }
  contexts = { a = "x", b = "y" }
  attest = ["type=sbom", "type=provenance,mode=min"]
  cache-from = ["a", "b"]
  secret = ["id=k,src=f", "id=l,src=g"]
  ssh = ["default", "k=/p"]
  tags = ["t", "t"]
}
target "default" {
  inherits = ["base"]
  args = { A = null, C = "3" }
  contexts = { a = "" }
  attest = [{ type = "provenance", mode = "max" }]
  cache-from = ["c", "a"]
  secret = [{ id = "k", src = "h" }]
  ssh = ["k=/q"]
}
"#;
        let bake = bake("docker-bake.hcl", text).expect("it is right");
        let expected = serde_json::json!({
            "args": { "A": "1", "B": "2", "C": "3" },
            "contexts": { "b": "y" },
            "attest": ["type=sbom", { "type": "provenance", "mode": "max" }],
            "cache-from": ["a", "b", "c"],
            "secret": [{ "id": "k", "src": "h" }, "id=l,src=g"],
            "ssh": ["default", "k=/q"],
            "tags": ["t"],
        });
        assert_eq!(target(&bake, "default"), expected);
    }

    #[test]
    fn a_target_is_all_blocks_of_its_name() {
        let text = r#"
target "default" { args = { A = "1", B = 2 > 1 } }
target "base" { labels = { l = "b" } }
target "default" {
  inherits = ["base"]
  args = { A = "2" }
  target = false
}
"#;
        let bake = bake("docker-bake.hcl", text).expect("it is right");
        let expected =
            serde_json::json!({ "args": { "A": "2", "B": "true" }, "labels": { "l": "b" }, "target": "false" });
        assert_eq!(target(&bake, "default"), expected);
        assert_eq!(bake.targets.len(), 2);
    }

    #[test]
    fn targets_of_a_matrix_can_be_inherited_and_the_first_axis_changes_first() {
        let text = r#"
target "m" {
  matrix = { a = ["1", "2"], b = ["x", "y"] }
  name = "m-${a}-${b}"
  args = { A = a, B = b }
}
target "default" { inherits = ["m-2-y"] }
"#;
        let bake = bake("docker-bake.hcl", text).expect("it is right");
        assert_eq!(target(&bake, "default"), serde_json::json!({ "args": { "A": "2", "B": "y" } }));
        assert_eq!(bake.groups[0].1, ["m-1-x", "m-2-x", "m-1-y", "m-2-y"]);
    }

    #[test]
    fn attributes_of_the_whole_file_are_values_that_nobody_gives() {
        let given = |_: &str| Some("given".to_owned());
        let text = "NAME = \"a${VAR}\"\nvariable \"VAR\" {}\ntarget \"default\" { args = { A = NAME } }\n";
        let bake = Bake::read("docker-bake.hcl", text, &given).expect("it is right");
        assert_eq!(target(&bake, "default"), serde_json::json!({ "args": { "A": "agiven" } }));
        assert_eq!(bake.variables, [("VAR".to_owned(), String::new())]);
        let text = r#"{ "NAME": "a", "target": { "default": { "args": { "A": "${NAME}" } } } }"#;
        let bake = Bake::read("docker-bake.json", text, &given).expect("it is right");
        assert_eq!(target(&bake, "default"), serde_json::json!({ "args": { "A": "a" } }));
    }

    #[test]
    fn values_that_are_given_are_of_the_type_of_the_default() {
        let text = "variable \"B\" { default = false }\nvariable \"N\" { default = 1 }\n\
                    target \"default\" { args = { B = B, N = N } }\n";
        let args = |b: &str, n: &str| {
            let given = |name: &str| Some(if name == "B" { b } else { n }.to_owned());
            target(&Bake::read("docker-bake.hcl", text, &given).expect("it is right"), "default")["args"].clone()
        };
        assert_eq!(args("1", "2.50"), serde_json::json!({ "B": "true", "N": "2.5" }));
        assert_eq!(args("F", "7"), serde_json::json!({ "B": "false", "N": "7" }));
        assert_eq!(args("x", "y"), serde_json::json!({ "B": "x", "N": "y" }));
    }

    #[test]
    fn texts_that_look_like_templates_are_read_again_as_they_are() {
        let text = "target \"default\" { args = { A = \"$${x} %%{y} $$ %\" } }";
        let read = bake("docker-bake.hcl", text).expect("it is right");
        assert_eq!(target(&read, "default"), serde_json::json!({ "args": { "A": "${x} %{y} $$ %" } }));
        let printed = serde_json::json!({ "target": { "default": literal(&target(&read, "default")) } }).to_string();
        let again = bake("docker-bake.json", &printed).expect("it is right");
        assert_eq!(target(&again, "default"), target(&read, "default"), "{printed}");
    }

    #[test]
    fn what_is_null_is_not_said() {
        let text = r#"
variable "NULL" { default = null }
variable "NOTHING" {}
target "default" {
  args = { A = NULL, B = NOTHING }
  tags = ["x", NULL != null ? "x:${NULL}" : ""]
  target = NULL
}
"#;
        let plain = bake("docker-bake.hcl", text).expect("it is right");
        assert_eq!(target(&plain, "default"), serde_json::json!({ "args": { "B": "" }, "tags": ["x"] }));
        let given = |name: &str| (name == "NULL").then(|| "1".to_owned());
        let given = Bake::read("docker-bake.hcl", text, &given).expect("it is right");
        assert_eq!(
            target(&given, "default"),
            serde_json::json!({ "args": { "A": "1", "B": "" }, "tags": ["x", "x:1"], "target": "1" })
        );
    }

    /// Without memory of what was seen, each step would double the work: 2⁵⁰.
    #[test]
    fn what_is_named_twice_is_looked_at_once() {
        let mut text = String::from("target \"t0\" { target = \"x\" }\ngroup \"default\" { targets = [\"g50\"] }\n");
        text += "group \"g0\" { targets = [\"t50\"] }\n";
        for at in 1..=50 {
            let before = at - 1;
            text += &format!("target \"t{at}\" {{ inherits = [\"t{before}\", \"t{before}\"] }}\n");
            text += &format!("group \"g{at}\" {{ targets = [\"g{before}\", \"g{before}\"] }}\n");
        }
        let bake = bake("docker-bake.hcl", &text).expect("it is right");
        assert_eq!(target(&bake, "t50"), serde_json::json!({ "target": "x" }));
        assert_eq!(bake.chosen(&[]).expect("there is one").len(), 1);
    }

    #[test]
    fn directories_that_begin_where_the_command_runs() {
        let text = "target \"a\" {\n context = BAKE_CMD_CONTEXT\n contexts = { x = \"cwd://lib\", y = \"${BAKE_CMD_CONTEXT}\" }\n}\n\
                    target \"b\" {\n context = \"app\"\n dockerfile = \"cwd://x/Dockerfile\"\n}\n";
        let usual = |name: &str| (name == CMD_CONTEXT).then(|| "cwd://".to_owned());
        let bake = Bake::read("docker-bake.hcl", text, &usual).expect("it is right");
        let [a, b] = &bake.targets[..] else { panic!("two targets") };
        assert_eq!((context(a).as_str(), file(a).as_str()), (".", "./Dockerfile"));
        assert_eq!(contexts(a), [("x".to_owned(), "lib".to_owned()), ("y".to_owned(), ".".to_owned())]);
        assert_eq!((context(b).as_str(), file(b).as_str()), ("app", "x/Dockerfile"));
    }

    #[test]
    fn sets() {
        let text = "target \"a\" {\n tags = setunion([\"b\", \"a\"], [\"b\"])\n platforms = setsubtract([\"b\", \"a\", \"c\"], [\"a\"])\n\
                    no-cache = sethaselement([\"x\"], \"x\")\n output = setintersection([\"b\", \"a\"], [\"a\", \"c\"])\n}\n";
        let bake = bake("docker-bake.hcl", text).expect("it is right");
        let keys =
            serde_json::json!({ "tags": ["a", "b"], "platforms": ["b", "c"], "no-cache": true, "output": ["a"] });
        assert_eq!(target(&bake, "a"), keys);
    }

    #[test]
    fn patterns() {
        let text = "target \"a\" {\n args = {\n A = can(regex(\"^7\", \"7.4\")) ? \"17\" : \"21\"\n B = \"${can(regex(\"^x\", \"7\"))}\"\n\
                    C = regex(\"[0-9]+\", \"ab12\")\n D = regex(\"(a)(b)?(c)\", \"ac\")[2]\n E = regex(\"(?P<n>b)\", \"ab\")[\"n\"]\n}\n}\n";
        let bake = bake("docker-bake.hcl", text).expect("it is right");
        let args = serde_json::json!({ "A": "17", "B": "false", "C": "12", "D": "c", "E": "b" });
        assert_eq!(target(&bake, "a")["args"], args);
    }

    #[test]
    fn targets_of_a_target_mean_nothing() {
        let text = "target \"default\" {\n targets = [\"a\"]\n target = \"x\"\n}\n";
        let bake = bake("docker-bake.hcl", text).expect("it is right");
        assert_eq!(bake.misplaced, ["default"]);
        assert_eq!(target(&bake, "default"), serde_json::json!({ "target": "x" }));
    }

    #[test]
    fn what_is_something_else_each_time_is_told() {
        let text = "target \"a\" {\n args = { A = uuidv4(), B = uuidv4(), T = formatdate(\"YYYY\", timestamp()) }\n}\n";
        let read = || bake("docker-bake.hcl", text).expect("it is right");
        let first = read();
        assert_eq!(first.changing, ["uuidv4", "uuidv4", "timestamp"]);
        let args = target(&first, "a")["args"].clone();
        let said = |name: &str| args[name].as_str().expect("a text").to_owned();
        assert_ne!(said("A"), said("B"));
        let groups: Vec<usize> = said("A").split('-').map(str::len).collect();
        assert_eq!((groups, said("A").as_bytes()[14]), (vec![8, 4, 4, 4, 12], b'4'));
        assert!(said("T").len() == 4 && said("T").parse::<u32>().is_ok_and(|year| year >= 1970), "{args}");
        // A file that is read again says the same.
        assert_eq!(target(&read(), "a")["args"], args);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |text: &str| match bake("docker-bake.hcl", text).and_then(|bake| bake.chosen(&[]).map(drop)) {
            Err(Failure::Message(message)) => message.text,
            other => panic!("{other:?}"),
        };
        assert!(message("target \"a\" {}").contains("there is no target default"));
        assert!(message("target \"a\" { inherits = [\"b\"] }").contains("there is no target b"));
        assert!(message("target \"a\" { inherits = [\"a\"] }").contains("inherits itself"));
        assert!(
            message("target \"a\" { dockerfil = \"x\" }").contains("unknown key dockerfil (did you mean dockerfile?)")
        );
        assert!(message("target \"a\" { target = X }").contains("X"));
        assert!(message("target \"a\" { target = formatdate(\"Q\", timestamp()) }").contains("`Q` means nothing"));
        assert!(message("target \"a\" { target = regex(\"b\", \"a\") }").contains("nothing in a is like b"));
        assert!(message("target \"a\" { target = regex(\"(\", \"a\") }").contains("regex"));
        assert!(message("target \"a\" { target = can(upper(1)) }").contains("only can(regex"));
        assert!(message("target \"a\" { target = uuidv4(1) }").contains("uuidv4: it takes no arguments"));
        let doubling: String = (1..=50)
            .map(|at| format!("variable \"v{at}\" {{ default = \"${{v{}}}${{v{}}}\" }}\n", at - 1, at - 1))
            .collect();
        assert!(
            message(&format!("variable \"v0\" {{ default = \"ab\" }}\n{doubling}")).contains("more than 65536 bytes")
        );
        assert!(message("function \"f\" {}").contains("function f has no result"));
        let calls = |function: &str, call: &str| {
            message(&format!("function \"f\" {{\n{function}\n}}\ntarget \"default\" {{ target = {call} }}"))
        };
        assert!(calls("params = [a]\nresult = a", "f()").contains("function f takes 1 arguments, and is given 0"));
        assert!(calls("params = [a]\nresult = f(a)", "f(1)").contains("calls itself"));
        assert!(calls("params = [a]\nresult = \"${f(a)}${f(a)}\"", "f(1)").contains("function"));
        assert!(calls("params = [a]\nresult = [for a in [1] : a]", "f(1)").contains("is a name in its loop"));
        assert!(message("target \"a\" {").contains("docker-bake.hcl"));
        assert!(message("group \"default\" { targets = [\"default\"] }").contains("holds itself"));
    }
}
