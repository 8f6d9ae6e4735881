//! `--set TARGET.KEY[.NAME][+]=VALUE`: what the command line says of targets, over what they say and inherit.
//!
//! Keys are those of `docker buildx bake --set` (buildx 0.30), some of which have other names than in files. parity: what
//! is said of several targets by a pattern is said of those that are inherited, too. Of `network`, `ulimits` and
//! `no-cache-filter` bake forgets the value; here it counts.

use std::collections::BTreeMap;

use oci::ignore::Patterns;
use serde_json::{Map, Value, json};

use super::resolve::{Keys, lay_over};
use super::{entries, shown};

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A text takes the place of what is there.
    Text,
    /// `true` or `false` does.
    Flag,
    /// Texts do, or are added to it.
    List,
    /// Texts are added to it, said with `+` or not.
    Further,
    /// An entry of a map is set.
    Entry,
    /// Where a secret is from that is there.
    Secret,
    /// Whether the image is pushed.
    Push,
    /// Whether the image goes to Docker.
    Load,
}

/// Keys as they are said, as files have them, and what becomes of them.
const KEYS: &[(&str, &str, Form)] = &[
    ("annotations", "annotations", Form::Further),
    ("args", "args", Form::Entry),
    ("attest", "attest", Form::Further),
    ("cache-from", "cache-from", Form::List),
    ("cache-to", "cache-to", Form::List),
    ("call", "call", Form::Text),
    ("context", "context", Form::Text),
    ("contexts", "contexts", Form::Entry),
    ("dockerfile", "dockerfile", Form::Text),
    ("entitlements", "entitlements", Form::Further),
    ("extra-hosts", "extra-hosts", Form::Entry),
    ("labels", "labels", Form::Entry),
    ("load", "output", Form::Load),
    ("network", "network", Form::Text),
    ("no-cache", "no-cache", Form::Flag),
    ("no-cache-filter", "no-cache-filter", Form::List),
    ("output", "output", Form::List),
    ("platform", "platforms", Form::List),
    ("pull", "pull", Form::Flag),
    ("push", "output", Form::Push),
    ("secret", "secret", Form::Secret),
    ("secrets", "secret", Form::List),
    ("shm-size", "shm-size", Form::Text),
    ("ssh", "ssh", Form::List),
    ("tags", "tags", Form::List),
    ("target", "target", Form::Text),
    ("ulimits", "ulimits", Form::List),
];

/// What is said of each target.
#[derive(Default)]
pub(super) struct Overrides(BTreeMap<String, Vec<Override>>);

/// What is said of one key, or of one name in it.
struct Override {
    key: &'static str,
    form: Form,
    name: String,
    /// Texts, in the order said; all but lists have one.
    values: Vec<String>,
    adds: bool,
}

impl Overrides {
    /// Reads what was said, of the targets that are `known`; `variable` has values of arguments that are named alone.
    pub(super) fn read(
        said: &[String],
        known: &[&str],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let mut all = Self::default();
        for text in said {
            let (path, value) = text.split_once('=').map_or((text.as_str(), None), |(path, value)| (path, Some(value)));
            let (path, adds) = path.strip_suffix('+').map_or((path, false), |path| (path, true));
            let Some((targets, path)) = path.split_once('.') else {
                return Err(format!("--set {text}: it is TARGET.KEY=VALUE"));
            };
            let (said, name) = path.split_once('.').unwrap_or((path, ""));
            let Some(&(_, key, form)) = KEYS.iter().find(|(known, ..)| *known == said) else {
                let message = format!("--set {text}: unknown key {said}");
                return Err(ast::with_suggestion(message, ast::suggest(said, KEYS.iter().map(|(known, ..)| *known))));
            };
            if name.is_empty() == matches!(form, Form::Entry | Form::Secret) {
                let form = if name.is_empty() { format!("{said}.NAME") } else { said.to_owned() };
                return Err(format!("--set {text}: it is TARGET.{form}=VALUE"));
            }
            let value = match value {
                Some(value) => value.to_owned(),
                None if key != "args" => return Err(format!("--set {text}: it is TARGET.{path}=VALUE")),
                None => match variable(name) {
                    Some(value) => value,
                    None => continue,
                },
            };
            for target in matching(targets, known).map_err(|why| format!("--set {text}: {why}"))? {
                all.add(target, Override { key, form, name: name.to_owned(), values: vec![value.clone()], adds });
            }
        }
        Ok(all)
    }

    /// Adds what is said of a target: of what was said of the same, texts of a list stay.
    fn add(&mut self, target: &str, mut new: Override) {
        let said = self.0.entry(target.to_owned()).or_default();
        let same = |known: &Override| (known.key, known.form, &known.name) == (new.key, new.form, &new.name);
        if let Some(at) = said.iter().position(same) {
            let known = said.remove(at);
            if matches!(new.form, Form::List | Form::Further) {
                new.values.splice(0..0, known.values);
            }
        }
        said.push(new);
    }

    /// Changes the keys of a target.
    pub(super) fn apply(&self, target: &str, keys: &mut Keys) -> Result<(), String> {
        let mut said = self.0.get(target).into_iter().flatten();
        said.try_for_each(|said| said.apply(keys).map_err(|why| format!("--set {target}: {why}")))
    }
}

/// The targets that a name or a pattern is of.
fn matching<'k>(pattern: &str, known: &[&'k str]) -> Result<Vec<&'k str>, String> {
    if let Some(exact) = known.iter().find(|name| **name == pattern) {
        return Ok(vec![exact]);
    }
    // All, and be it that there are none: flags say so of any file.
    if pattern == "*" {
        return Ok(known.to_vec());
    }
    let patterns = Patterns::new(&[pattern]).map_err(|error| error.to_string())?;
    let is_meant = |name: &&&str| patterns.iter().any(|pattern| !pattern.is_exclusion() && pattern.matches(name));
    let found: Vec<&str> = known.iter().filter(is_meant).copied().collect();
    if found.is_empty() {
        let suggestion = ast::suggest(pattern, known.iter().copied());
        return Err(ast::with_suggestion(format!("there is no target {pattern}"), suggestion));
    }
    Ok(found)
}

impl Override {
    fn apply(&self, keys: &mut Keys) -> Result<(), String> {
        let value = self.values.last().map_or("", String::as_str);
        let new = match self.form {
            Form::Text => value.into(),
            Form::Flag => flag(self.key, value)?.into(),
            Form::Entry => json!({ self.name.as_str(): value }),
            Form::List | Form::Further => {
                if !self.adds && self.form == Form::List {
                    keys.remove(self.key);
                }
                let before = keys.remove(self.key).unwrap_or_else(|| json!([]));
                let before = if let Value::Array(entries) = before { entries } else { vec![before] };
                before.into_iter().chain(self.values.iter().map(|text| text.as_str().into())).collect()
            }
            Form::Secret => return self.move_secret(keys, value),
            Form::Push => {
                push(outputs(keys), flag("push", value)?);
                return Ok(());
            }
            Form::Load => {
                load(outputs(keys), flag("load", value)?);
                return Ok(());
            }
        };
        lay_over(keys, Keys::from([(self.key.to_owned(), new)]));
        Ok(())
    }

    /// Says where a secret is from.
    fn move_secret(&self, keys: &mut Keys, value: &str) -> Result<(), String> {
        let secrets = keys.get_mut("secret").and_then(Value::as_array_mut);
        let is_it =
            |secret: &&mut Value| entries::field_of("secret", secret, "id").is_some_and(|id| id == self.name.as_str());
        let Some(secret) = secrets.into_iter().flatten().find(is_it) else {
            return Err(format!("there is no secret {} to be from elsewhere: add one with secrets+=", self.name));
        };
        *secret = match entries::field_of("secret", &value.into(), "id") {
            None => format!("id={},{value}", self.name).into(),
            Some(id) if id == self.name.as_str() => value.into(),
            Some(id) => return Err(format!("{value} is of the secret {}, and not of {}", shown(&id), self.name)),
        };
        Ok(())
    }
}

fn flag(key: &str, value: &str) -> Result<bool, String> {
    ast::parse_bool(value).ok_or_else(|| format!("{key} is true or false, and not {value}"))
}

/// Where results go.
fn outputs(keys: &mut Keys) -> &mut Vec<Value> {
    let outputs = keys.entry("output".to_owned()).or_insert_with(|| json!([]));
    if !outputs.is_array() {
        *outputs = Value::Array(vec![outputs.take()]);
    }
    outputs.as_array_mut().expect("it is made one")
}

/// What is said of an output.
fn fields(output: &Value) -> Map<String, Value> {
    entries::as_map("output", output).unwrap_or_default()
}

fn push(outputs: &mut Vec<Value>, is_wanted: bool) {
    let is = |output: &Value, kind: &str| fields(output).get("type").is_some_and(|known| known == kind);
    if !is_wanted {
        outputs.retain(|output| !is(output, "registry"));
    }
    let adds = is_wanted && outputs.iter().all(|output| is(output, "docker"));
    for output in outputs.iter_mut().filter(|output| is(output, "image")) {
        let mut fields = fields(output);
        fields.insert("push".to_owned(), is_wanted.to_string().into());
        *output = fields.into();
    }
    outputs.extend(adds.then(|| json!({ "type": "image", "push": "true" })));
}

fn load(outputs: &mut Vec<Value>, is_wanted: bool) {
    let goes_on = |output: &Value| match fields(output).get("type").and_then(Value::as_str) {
        Some("docker") => fields(output).contains_key("dest"),
        kind => matches!(kind, Some("image" | "registry" | "oci")),
    };
    let adds = is_wanted && outputs.iter().all(goes_on);
    outputs.extend(adds.then(|| json!({ "type": "docker" })));
}

#[cfg(test)]
mod tests {
    use super::super::Bake;
    use super::*;

    const TEXT: &str = r#"
target "base" {
  args = { A = "1", B = "2" }
  tags = ["acme/base"]
  secret = ["id=k,src=f"]
}
target "app" {
  inherits = ["base"]
  output = ["type=image,name=x"]
  cache-from = ["type=registry,ref=c"]
  platforms = ["linux/amd64"]
}
target "web" {
  name = "web-${n}"
  matrix = { n = ["1", "2"] }
  args = { N = n }
}
"#;

    fn read(said: &[&str]) -> Result<Bake, String> {
        let said: Vec<String> = said.iter().map(|text| (*text).to_owned()).collect();
        let variable = |name: &str| (name == "GIVEN").then(|| "from here".to_owned());
        Bake::read_with("docker-bake.hcl", TEXT, &variable, &said).map_err(|failure| format!("{failure:?}"))
    }

    #[track_caller]
    fn check(said: &[&str], target: &str, key: &str, expected: Value) {
        let bake = read(said).expect("it is right");
        let keys = &bake.targets.iter().find(|known| known.name == target).expect("it is there").keys;
        assert_eq!(keys.get(key).unwrap_or(&Value::Null), &expected, "{said:?}");
    }

    #[test]
    fn values_take_the_place_of_what_is_there_or_are_added() {
        check(&["app.args.A=9", "app.args.C=a=b"], "app", "args", json!({ "A": "9", "B": "2", "C": "a=b" }));
        check(
            &["app.args.GIVEN", "app.args.MISSING"],
            "app",
            "args",
            json!({ "A": "1", "B": "2", "GIVEN": "from here" }),
        );
        check(&["app.tags=a", "app.tags=b"], "app", "tags", json!(["a", "b"]));
        check(&["app.tags+=a"], "app", "tags", json!(["acme/base", "a"]));
        check(&["app.platform=linux/arm64"], "app", "platforms", json!(["linux/arm64"]));
        check(&["app.cache-from+=type=gha"], "app", "cache-from", json!(["type=registry,ref=c", "type=gha"]));
        check(&["app.cache-from=type=gha"], "app", "cache-from", json!(["type=gha"]));
        check(&["app.annotations=a=1", "app.annotations+=b=2"], "app", "annotations", json!(["a=1", "b=2"]));
        check(&["app.labels.org.title=x"], "app", "labels", json!({ "org.title": "x" }));
        check(&["app.no-cache=1"], "app", "no-cache", json!(true));
        check(&["app.target=x", "app.target=y"], "app", "target", json!("y"));
    }

    #[test]
    fn patterns_are_of_targets_and_of_what_they_inherit() {
        check(&["*.args.A=9"], "app", "args", json!({ "A": "9", "B": "2" }));
        check(&["base.tags=x"], "app", "tags", json!(["x"]));
        check(&["web-?.args.M=1"], "web-2", "args", json!({ "N": "2", "M": "1" }));
        check(&["web-1.args.N=x"], "web-2", "args", json!({ "N": "2" }));
    }

    #[test]
    fn where_results_go() {
        check(&["app.push=true"], "app", "output", json!([{ "type": "image", "name": "x", "push": "true" }]));
        check(&["web-1.push=true"], "web-1", "output", json!([{ "type": "image", "push": "true" }]));
        check(&["web-1.output=type=registry", "web-1.push=false"], "web-1", "output", json!([]));
        check(&["web-1.load=true"], "web-1", "output", json!([{ "type": "docker" }]));
        check(&["web-1.output=out", "web-1.load=true"], "web-1", "output", json!(["out"]));
        check(&["web-1.output=type=docker", "web-1.load=true"], "web-1", "output", json!(["type=docker"]));
    }

    #[test]
    fn secrets_move() {
        check(&["app.secret.k=env=K"], "app", "secret", json!(["id=k,env=K"]));
        check(&["app.secret.k=env=K,id=k"], "app", "secret", json!(["env=K,id=k"]));
        check(&["app.secrets+=id=l,src=g"], "app", "secret", json!(["id=k,src=f", "id=l,src=g"]));
    }

    #[test]
    fn what_is_wrong() {
        for (said, expected) in [
            ("app=1", "--set app=1: it is TARGET.KEY=VALUE"),
            ("app.tags", "--set app.tags: it is TARGET.tags=VALUE"),
            ("app.args=1", "--set app.args=1: it is TARGET.args.NAME=VALUE"),
            ("app.tags.x=1", "--set app.tags.x=1: it is TARGET.tags=VALUE"),
            ("app.tag=1", "unknown key tag (did you mean tags?)"),
            ("ap.tags=1", "there is no target ap (did you mean app?)"),
            ("x*.tags=1", "there is no target x*"),
            ("[.tags=1", "syntax error in pattern"),
            ("app.pull=x", "--set app: pull is true or false, and not x"),
            ("app.secret.x=env=K", "there is no secret x to be from elsewhere"),
            ("app.secret.k=id=x,env=K", "id=x,env=K is of the secret x, and not of k"),
        ] {
            let why = read(&[said]).expect_err(said);
            assert!(why.contains(expected), "{said}: {why}");
        }
    }
}
