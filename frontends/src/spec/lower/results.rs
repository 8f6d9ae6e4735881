//! What can be asked for: images with where they go, tests, files, combinations of values, groups.

use std::collections::{BTreeMap, BTreeSet};

use ast::{Command, Delivery, Expected, Goal, GoalKind, ImageDelivery, Name, Op, OptKind, Pair, Span, Wanted};

use super::super::model::{self, Image, entries};
use super::super::read::{Map, Scalar, Text};
use super::super::results::{Attest, Check, Files, Matrix, Test};
use super::super::text::{literal, shell_word};
use super::Lowering;
use super::copy::How;
use super::stage::shell;

/// Images of one matrix: more than a person looks through, few enough to plan in a moment.
const MAX_COMBINATIONS: usize = 256;

/// Values of variables, in the order of the matrix.
type Combination<'s> = Vec<(&'s Text, &'s Text)>;

impl<'s> Lowering<'_, 's> {
    /// The command of a test, after its steps.
    pub(super) fn test(&mut self, test: &'s Test) {
        let Some(run) = &test.run else {
            if let Some(stdout) = &test.stdout {
                self.error("`stdout` is said, and no command", stdout.span, "say run = \"COMMAND\"");
            }
            return;
        };
        let mut command = self.command(run);
        if let Some(stdout) = &test.stdout {
            match printing(&command, &stdout.value) {
                Some(checked) => command = checked,
                None => {
                    self.error("`stdout` is for one command line", stdout.span, "write run as a string of one line")
                }
            }
        }
        let network = test.stage.network.unwrap_or(model::Network::None);
        let mut opts: Vec<OptKind> = Vec::new();
        for cache in test.stage.cache.iter().flatten() {
            opts.extend(self.cache(cache));
        }
        opts.push(OptKind::Network(literal(network.word(), command.span)));
        let span = command.span;
        self.push(Op::Run(command), opts, span);
    }

    /// What is taken of something, as a tree of its own.
    pub(super) fn taken(&mut self, files: &'s Files) {
        let Some(from) = &files.from else {
            return self.error("the files have no `from`", files.span, "say from = \"stage.NAME:/PATH\"");
        };
        if let Some(name) = super::copy::whole(files) {
            let table = if from.value.starts_with("stage.") { "stage" } else { "image" };
            self.is_defined(table, name, from.span);
            return;
        }
        let how = How {
            only: files.only.as_deref().unwrap_or_default(),
            except: files.except.as_deref().unwrap_or_default(),
            span: files.span,
            ..How::default()
        };
        self.copy(from, &literal("/", from.span), &how);
    }

    /// Everything that can be asked for.
    pub(super) fn goals(&mut self) -> Vec<Goal> {
        let mut goals = Vec::new();
        let spec = self.spec;
        for (name, _) in entries(&spec.matrix) {
            if !spec.images().iter().any(|(image, _)| image.value == name.value) {
                let message = format!("there is no image {}", ast::quote(name.value.as_bytes()));
                let images = spec.images().iter().map(|(name, _)| name.value.as_str());
                let message = ast::with_suggestion(message, ast::suggest(&name.value, images));
                self.error(message, name.span, format!("a matrix is of an image: [image.{}]", name.value));
            }
        }
        for (name, image) in spec.images() {
            match model::find(entries(&spec.matrix), &name.value) {
                None => goals.push(self.image_goal(name, name, image, Vec::new())),
                Some(matrix) => self.variants(name, image, matrix, &mut goals),
            }
        }
        for (name, test) in spec.tests() {
            let expected = self.expected(test.check.as_ref());
            goals.push(result(name, name, Vec::new(), Delivery::Test, expected));
        }
        for (name, files) in spec.files() {
            goals.extend(self.files_goal(name, files));
        }
        self.check_requirements(&goals);
        self.groups(&mut goals);
        let _ = self.names.take_used();
        goals
    }

    fn image_goal(&mut self, name: &Text, def: &Text, image: &'s Image, args: Vec<(String, String)>) -> Goal {
        let delivery = ImageDelivery {
            tags: image.tags.iter().flatten().map(|tag| self.names.template(tag, self.reader)).collect(),
            annotations: entries(&image.annotations)
                .iter()
                .map(|(key, value)| Pair {
                    key: literal(&key.value, key.span),
                    value: self.names.template(&value.0, self.reader),
                    legacy: false,
                })
                .collect(),
            attestations: image.attest.as_ref().map_or_else(Vec::new, |attest| self.attestations(attest)),
        };
        let defaults = self.spec.default.as_ref().and_then(|defaults| defaults.platforms.as_ref());
        let platforms = image.platforms.as_ref().or(defaults);
        let mut args = args;
        args.extend(image.epoch.map(|epoch| ("SOURCE_DATE_EPOCH".to_owned(), epoch.value.to_string())));
        let expected = self.expected(image.check.as_ref());
        let mut goal = result(name, def, args, Delivery::Image(delivery), expected);
        if let GoalKind::Result(wanted) = &mut goal.kind {
            wanted.platforms = platforms.into_iter().flatten().map(named).collect();
            wanted.requires = image.require.iter().flatten().map(named).collect();
        }
        goal
    }

    fn files_goal(&mut self, name: &'s Text, files: &'s Files) -> Option<Goal> {
        let Some(to) = &files.to else {
            self.error("the files have no `to`", files.span, "say to = \"./dist\"");
            return None;
        };
        let leaves = to.value.starts_with('/') || to.value.split('/').any(|part| part == "..");
        if leaves {
            let help = "files go below the directory of the spec; pass -o DIRECTORY to put them elsewhere";
            self.error("the files would leave the directory of the spec", to.span, help);
        }
        let delivery = Delivery::Files(self.template(to));
        let mut goal = result(name, name, Vec::new(), delivery, Expected::default());
        if let GoalKind::Result(wanted) = &mut goal.kind {
            wanted.platforms = files.platforms.iter().flatten().map(named).collect();
        }
        Some(goal)
    }

    fn attestations(&mut self, attest: &'s Attest) -> Vec<Name> {
        let mut found = Vec::new();
        if let Some(sbom) = attest.sbom.filter(|sbom| sbom.value) {
            found.push(Name { text: "type=sbom".to_owned(), span: sbom.span });
        }
        if let Some(Scalar(text, _)) = &attest.provenance {
            match text.value.as_str() {
                "false" => {}
                "true" => found.push(Name { text: "type=provenance".to_owned(), span: text.span }),
                mode @ ("min" | "max") => {
                    found.push(Name { text: format!("type=provenance,mode={mode}"), span: text.span });
                }
                other => {
                    let message = format!("unknown provenance {}", ast::quote(other.as_bytes()));
                    self.error(message, text.span, "it is min, max, true or false");
                }
            }
        }
        found
    }

    fn expected(&mut self, check: Option<&'s Check>) -> Expected {
        let Some(check) = check else { return Expected::default() };
        let words = |texts: &Option<Vec<Text>>| texts.iter().flatten().map(|text| text.value.clone()).collect();
        let max_bytes = check.max_size.as_ref().and_then(|text| {
            let size = bytes(&text.value);
            if size.is_none() {
                self.error("not a size", text.span, "write a number and a unit: 40MB, 20MiB");
            }
            size
        });
        let max_layers = check.layers.and_then(|layers| {
            let count = u64::try_from(layers.value).ok();
            if count.is_none() {
                self.error("a number of layers cannot be negative", layers.span, "write 0 or more");
            }
            count
        });
        let user = check.user.as_ref().map(|user| user.value.clone());
        Expected {
            max_bytes,
            max_layers,
            absent: words(&check.absent),
            present: words(&check.present),
            env_absent: words(&check.env_absent),
            not_root: user.as_deref() == Some("non-root"),
            user: user.filter(|user| user != "non-root"),
            no_setuid: check.no_setuid.is_some_and(|said| said.value),
        }
    }

    /// The images of a matrix, and the group of them, which has the name of the image.
    fn variants(&mut self, name: &'s Text, image: &'s Image, matrix: &'s Matrix, goals: &mut Vec<Goal>) {
        let Some(combinations) = self.combinations(name, matrix) else { return };
        let mut members = Vec::new();
        for combination in combinations {
            let variant = self.variant_name(name, matrix, &combination);
            let args = combination.iter().map(|(var, value)| (var.value.clone(), value.value.clone())).collect();
            members.push(named(&variant));
            goals.push(self.image_goal(&variant, name, image, args));
        }
        self.check_variants(&members, matrix.name.as_ref().map_or(name.span, |name| name.span));
        goals.push(Goal { name: named(name), kind: GoalKind::Group(members) });
    }

    /// All combinations but those that are left out; `None` when something is wrong with them.
    fn combinations(&mut self, name: &Text, matrix: &'s Matrix) -> Option<Vec<Combination<'s>>> {
        let axes = entries(&matrix.var);
        let mut sound = true;
        if axes.is_empty() {
            self.error("the matrix has no variables", matrix.span, "say var.NAME = [\"VALUE\", \"VALUE\"]");
            sound = false;
        }
        for (var, values) in axes {
            sound &= self.check_axis(var, values);
        }
        for skipped in matrix.skip.iter().flatten() {
            for (var, _) in &skipped.0 {
                if !axes.iter().any(|(axis, _)| axis.value == var.value) {
                    let message = format!("`{}` is no variable of the matrix", var.value);
                    let names = axes.iter().map(|(axis, _)| axis.value.as_str());
                    let message = ast::with_suggestion(message, ast::suggest(&var.value, names));
                    self.error(message, var.span, "combinations are left out by the variables of the matrix");
                    sound = false;
                }
            }
        }
        let count = axes.iter().try_fold(1usize, |count, (_, values)| count.checked_mul(values.len()));
        if count.is_none_or(|count| count > MAX_COMBINATIONS) {
            let message = match count {
                Some(count) => format!("the matrix of `{}` has {count} combinations", name.value),
                None => format!("the matrix of `{}` has more combinations than can be counted", name.value),
            };
            self.error(message, matrix.span, format!("{MAX_COMBINATIONS} is the most; make several images of it"));
            return None;
        }
        let mut all: Vec<Combination<'s>> = vec![Vec::new()];
        for (var, values) in axes {
            let extended = |known: &Combination<'s>| {
                let known = known.clone();
                values.iter().map(move |value| [known.as_slice(), &[(var, &value.0)]].concat()).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(extended).collect();
        }
        all.retain(|combination| !matrix.skip.iter().flatten().any(|skipped| is_skipped(combination, skipped)));
        if all.is_empty() && sound {
            self.error("the matrix leaves every combination out", matrix.span, "take something out of `skip`");
        }
        sound.then_some(all)
    }

    fn check_axis(&mut self, var: &'s Text, values: &'s [Scalar]) -> bool {
        let Some(declared) = model::find(self.spec.vars(), &var.value) else {
            let message = format!("there is no variable {}", ast::quote(var.value.as_bytes()));
            let vars = self.spec.vars().iter().map(|(name, _)| name.value.as_str());
            let message = ast::with_suggestion(message, ast::suggest(&var.value, vars));
            self.error(message, var.span, format!("declare it: [var.{}]", var.value));
            return false;
        };
        if values.is_empty() {
            self.error(format!("`{}` has no values", var.value), var.span, "list those it takes");
            return false;
        }
        let one_of: Vec<&str> = declared.one_of.iter().flatten().map(|value| value.0.value.as_str()).collect();
        let mut sound = true;
        for Scalar(value, _) in values {
            if !one_of.is_empty() && !one_of.contains(&value.value.as_str()) {
                let message = format!("{} is no value of `{}`", ast::quote(value.value.as_bytes()), var.value);
                let message = ast::with_suggestion(message, ast::suggest(&value.value, one_of.iter().copied()));
                self.error(message, value.span, format!("it is one of {}", one_of.join(", ")));
                sound = false;
            }
        }
        sound
    }

    /// The name of an image of a matrix. Its values are written in the spec, so no build decides it.
    fn variant_name(&mut self, image: &Text, matrix: &Matrix, combination: &Combination<'_>) -> Text {
        let span = matrix.name.as_ref().map_or(image.span, |name| name.span);
        let Some(template) = &matrix.name else {
            let values = combination.iter().map(|(_, value)| value.value.as_str());
            let parts: Vec<&str> = std::iter::once(image.value.as_str()).chain(values).collect();
            return Text { value: safe_name(&parts.join("-")), span };
        };
        let mut value = template.value.clone();
        for (var, chosen) in combination {
            value = value.replace(&format!("${{var.{}}}", var.value), &chosen.value);
        }
        if value.contains("${") {
            let help = "a name is made of the variables of the matrix: ${var.NAME}";
            self.error("the name has a reference that is not of the matrix", span, help);
        }
        Text { value: safe_name(&value), span }
    }

    fn check_variants(&mut self, members: &[Name], at: Span) {
        let mut seen = BTreeSet::new();
        for member in members {
            let is_taken = self.spec.stages().iter().any(|(name, _)| name.value == member.text)
                || self.spec.images().iter().any(|(name, _)| name.value == member.text)
                || self.spec.files().iter().any(|(name, _)| name.value == member.text);
            if is_taken || !seen.insert(member.text.as_str()) {
                let message = format!("two things would be called `{}`", member.text);
                return self.error(message, at, "put every variable of the matrix into the name: ${var.NAME}");
            }
        }
    }

    fn check_requirements(&mut self, goals: &[Goal]) {
        let names: Vec<&str> = goals.iter().map(|goal| goal.name.text.as_str()).collect();
        let required = goals.iter().filter_map(|goal| match &goal.kind {
            GoalKind::Result(wanted) => Some(&wanted.requires),
            GoalKind::Group(_) => None,
        });
        let mut told = BTreeSet::new();
        for name in required.flatten() {
            if names.contains(&name.text.as_str()) || !told.insert(name.span.start) {
                continue;
            }
            let message = format!("there is nothing called {} to require", ast::quote(name.text.as_bytes()));
            let message = ast::with_suggestion(message, ast::suggest(&name.text, names.iter().copied()));
            let help = "tests are required as test.NAME; they are declared: [test.NAME]";
            self.reader.error(message, name.span).help = Some(help.to_owned());
        }
    }

    /// Groups, with their patterns matched and groups in them taken apart.
    fn groups(&mut self, goals: &mut Vec<Goal>) {
        let spec = self.spec;
        let groups = entries(&spec.group);
        let results: Vec<String> = goals.iter().map(|goal| goal.name.text.clone()).collect();
        let stages = spec.stages().iter().map(|(name, _)| name.value.clone());
        let known: Vec<String> = results.iter().cloned().chain(stages).collect();
        let patterns: BTreeMap<&str, &Vec<Text>> =
            groups.iter().map(|(name, members)| (name.value.as_str(), members)).collect();
        for (name, members) in groups {
            if let Some(taken) = known.iter().find(|known| **known == name.value) {
                self.error(format!("`{taken}` is no group already"), name.span, "give the group another name");
                continue;
            }
            let mut walk = Walk {
                known: &known,
                results: &results,
                patterns: &patterns,
                open: Vec::new(),
                found: Vec::new(),
                wrong: Vec::new(),
            };
            walk.group(&name.value, members);
            for (message, at, help) in walk.wrong {
                // What is wrong in a group in a group is told with that one.
                if members.iter().any(|member| member.span == at) {
                    self.error(message, at, help);
                }
            }
            goals.push(Goal { name: named(name), kind: GoalKind::Group(walk.found) });
        }
    }
}

/// Takes a group apart.
struct Walk<'w> {
    known: &'w [String],
    results: &'w [String],
    patterns: &'w BTreeMap<&'w str, &'w Vec<Text>>,
    open: Vec<String>,
    found: Vec<Name>,
    wrong: Vec<(String, Span, String)>,
}

impl Walk<'_> {
    fn group(&mut self, name: &str, members: &[Text]) {
        self.open.push(name.to_owned());
        for member in members {
            self.member(member);
        }
        self.open.pop();
    }

    fn member(&mut self, member: &Text) {
        if let Some(members) = self.patterns.get(member.value.as_str()).filter(|_| !self.known.contains(&member.value))
        {
            if let Some(at) = self.open.iter().position(|open| *open == member.value) {
                let circle: Vec<&str> =
                    self.open[at..].iter().map(String::as_str).chain([member.value.as_str()]).collect();
                let message = format!("groups hold each other in a circle: {}", circle.join(" → "));
                return self.wrong.push((message, member.span, "take one of them out".to_owned()));
            }
            return self.group(&member.value, members);
        }
        let is_pattern = member.value.contains('*');
        // A pattern is of what is made: stages are named one by one.
        let among = if is_pattern { self.results } else { self.known };
        let matching: Vec<&String> = among.iter().filter(|name| matches(&member.value, name)).collect();
        if matching.is_empty() {
            let message = format!("nothing is called {}", ast::quote(member.value.as_bytes()));
            let groups = self.patterns.keys().copied();
            let names = self.known.iter().map(String::as_str).chain(groups);
            let message = ast::with_suggestion(message, ast::suggest(&member.value, names));
            let help =
                "a group holds names of images, files, stages and groups, test.NAME, and patterns of them: server-*";
            return self.wrong.push((message, member.span, help.to_owned()));
        }
        for name in matching {
            if !self.found.iter().any(|found| found.text == *name) {
                self.found.push(Name { text: name.clone(), span: member.span });
            }
        }
    }
}

/// Whether a name matches a pattern, in which `*` is any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(first) else { return false };
    (0..=name.len()).filter(|at| name.is_char_boundary(*at)).any(|at| matches(rest, &name[at..]))
}

fn is_skipped(combination: &Combination<'_>, skipped: &Map<Scalar>) -> bool {
    !skipped.0.is_empty()
        && skipped.0.iter().all(|(var, value)| {
            combination.iter().any(|(axis, chosen)| axis.value == var.value && chosen.value == value.0.value)
        })
}

fn result(name: &Text, def: &Text, args: Vec<(String, String)>, delivery: Delivery, expected: Expected) -> Goal {
    let wanted =
        Wanted { def: def.value.clone(), args, platforms: Vec::new(), delivery, requires: Vec::new(), expected };
    Goal { name: named(name), kind: GoalKind::Result(Box::new(wanted)) }
}

fn named(text: &Text) -> Name {
    Name { text: text.value.clone(), span: text.span }
}

/// A name of letters, digits, `-`, `_` and `.`: what else a value has becomes `-`.
fn safe_name(text: &str) -> String {
    let safe =
        |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(safe).collect()
}

/// A number of bytes: `40MB` is decimal, `40MiB` is not.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit: u64 = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// A command line that fails, too, when what it prints does not have a text in it.
fn printing(command: &Command, text: &str) -> Option<Command> {
    let [line] = &command.args[..] else { return None };
    if !command.shell || !command.documents.is_empty() {
        return None;
    }
    let (line, text) = (line.lossy(), shell_word(text));
    let checked = format!(
        "out=$({line}) || {{ code=$?; printf '%s\\n' \"$out\"; exit $code; }}; printf '%s\\n' \"$out\"; \
         case \"$out\" in *{text}*) ;; *) echo 'the test expects this in what is printed:' {text} >&2; exit 1 ;; esac"
    );
    Some(shell(&checked, command.span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches("server-*", "server-free") && matches("*", "x") && matches("a*b*c", "a1b2c"));
        assert!(!matches("server-*", "server") && !matches("a", "b") && !matches("*x", "y"));
    }

    #[test]
    fn sizes() {
        assert_eq!((bytes("40MB"), bytes("1 MiB"), bytes("7")), (Some(40_000_000), Some(1 << 20), Some(7)));
        assert_eq!((bytes("x"), bytes("1XB"), bytes("99999999999GiB")), (None, None, None));
    }
}
