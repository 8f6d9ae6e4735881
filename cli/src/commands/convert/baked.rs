//! `llbc convert docker-bake.hcl`: targets with their flags as one spec, with their Dockerfiles.
//!
//! Variables of the file are put in as marks that no text has, so that they can be told from other text afterwards; one that
//! decides what is built, and not only a text of it, has no word in a spec.

mod places;
mod variables;

use std::collections::{BTreeMap, BTreeSet};

use ast::{Diagnostic, Source, Span};
use compiler::{Builds, Options};
use frontends::spec::several::{Kind, Named};
use serde_json::Value;

use crate::bake::{self, Bake, Target, list, pairs, shown};
use crate::commands::build::usual;
use crate::failure::{Failure, Result};
use crate::settings::{Input, is_address};
use crate::world;
use places::Places;
use variables::Variables;

/// What there is to say of a file that cannot be converted.
type Found = Vec<Diagnostic>;

/// The builds of a bake file, with everything that no spec has a word for.
pub(super) fn builds(source: &Source) -> Result<(Builds, Found)> {
    let text = String::from_utf8_lossy(&source.bytes);
    let bake = Bake::read(&source.name, &text, &usual)?;
    let places = Places::new(&source.name, &text);
    let variables = Variables::find(&source.name, &text, &bake);
    let mut gathered = Gathered {
        source,
        places: &places,
        builds: Builds { vars: variables.kept.clone(), ..Builds::default() },
        texts: BTreeMap::new(),
        taken: bake.targets.iter().map(|target| target.name.clone()).collect(),
        found: Vec::new(),
    };
    for name in &variables.deciding {
        gathered.unsaid(places.of("variable", name, ""), "a variable that decides what is built");
    }
    for name in &bake.misplaced {
        gathered.unsaid(places.of("target", name, "targets"), "`targets` in a target, where it means nothing");
    }
    if !bake.changing.is_empty() {
        let at = Span::new(ast::FileId(0), 0, 0);
        gathered.unsaid(at, "a function that gives something else each time (`timestamp`, `uuidv4`)");
    }
    if !variables.kept.is_empty() {
        gathered.builds.rounds.push(variables.marks());
    }
    let marked = Bake::read(&source.name, &text, &variables.marking())?;
    for target in bake.in_order()? {
        let other = marked.targets.iter().find(|known| known.name == target.name).unwrap_or(target);
        gathered.target(target, other, &variables)?;
    }
    gathered.groups(&bake);
    Ok((gathered.builds, gathered.found))
}

struct Gathered<'s> {
    source: &'s Source,
    places: &'s Places<'s>,
    builds: Builds,
    /// Texts that are there, by their names.
    texts: BTreeMap<String, usize>,
    /// Names that are taken.
    taken: BTreeSet<String>,
    found: Found,
}

impl Gathered<'_> {
    fn unsaid(&mut self, at: Span, what: &str) {
        let error = Diagnostic::error("convert", format!("a build spec has no word for {what}"), Some(at))
            .help("say it in another way, or leave it out with --lossy");
        if !self.found.contains(&error) {
            self.found.push(error);
        }
    }

    fn target(&mut self, target: &Target, marked: &Target, variables: &Variables) -> Result<()> {
        let at = self.places.of("target", &target.name, "");
        if target.name.chars().any(char::is_uppercase) {
            self.unsaid(at, "a name with capital letters");
        }
        let text = match self.text(target) {
            Ok(text) => text,
            Err(Failure::Message(wrong)) => {
                let error = Diagnostic::error("convert", format!("target {}: {}", target.name, wrong.text), Some(at));
                self.found.push(error.help("put the build file there, or leave the target out with --lossy"));
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let mut build = compiler::Build {
            name: target.name.to_lowercase(),
            comment: target.keys.get("description").map(shown),
            at,
            text,
            args: BTreeMap::new(),
            context: self.context(target),
            contexts: BTreeMap::new(),
            kind: Kind::Image { tags: Vec::new(), labels: Vec::new(), annotations: Vec::new(), attest: Vec::new() },
            platforms: target.keys.get("platforms").map(list).unwrap_or_default(),
            told: vec![told(target), told(marked)],
        };
        for (name, value) in marked.keys.get("args").map(entries).unwrap_or_default() {
            build.args.insert(name, variables.template(&value));
        }
        self.named(target, &mut build);
        self.key_by_key(target, marked, variables, &mut build);
        self.builds.builds.push(build);
        Ok(())
    }

    /// The place of a key, or of its target.
    fn at(&self, target: &Target, key: &str) -> Span {
        self.places.of("target", &target.name, key)
    }

    fn key_by_key(&mut self, target: &Target, marked: &Target, variables: &Variables, build: &mut compiler::Build) {
        let text_of = |key: &str| marked.keys.get(key).map(list).unwrap_or_default();
        let texts = |key: &str| text_of(key).iter().map(|text| variables.template(text)).collect::<Vec<_>>();
        let all = |key: &str| {
            let said = marked.keys.get(key).map(entries).unwrap_or_default();
            said.into_iter().map(|(key, value)| (key, variables.template(&value))).collect::<Vec<_>>()
        };
        let annotations = texts("annotations").iter().filter_map(|text| text.split_once('=')).map(owned).collect();
        let mut kind = Kind::Image { tags: texts("tags"), labels: all("labels"), annotations, attest: Vec::new() };
        for (key, value) in &target.keys {
            match key.as_str() {
                "args" | "context" | "contexts" | "description" | "dockerfile" | "dockerfile-inline" | "platforms"
                | "tags" | "target" | "labels" | "annotations" => {}
                "no-cache" | "pull" if value == false => {}
                "network" if shown(value) == "default" => {}
                "call" if shown(value) == "build" => {}
                "output" => match directory(value) {
                    Some(to) if !matches!(&kind, Kind::Image { tags, .. } if !tags.is_empty()) => {
                        kind = Kind::Files(to);
                    }
                    _ => self.unsaid(self.at(target, key), "where an image goes: `llbc build -o` says it"),
                },
                "attest" => self.attested(target, value, &mut kind),
                key => {
                    let what = format!("`{key}`: it is a flag of `llbc build`");
                    self.unsaid(self.at(target, key), &what);
                }
            }
        }
        build.kind = kind;
    }

    fn attested(&mut self, target: &Target, value: &Value, kind: &mut Kind) {
        let Kind::Image { attest, .. } = kind else { return };
        for text in list(value) {
            let fields: BTreeMap<&str, &str> = text.split(',').filter_map(|field| field.split_once('=')).collect();
            if fields.get("disabled") == Some(&"true") {
                continue;
            }
            match (fields.get("type"), fields.get("mode"), fields.len()) {
                (Some(&"sbom"), None, 1) => attest.push(("sbom", "true".to_owned())),
                (Some(&"provenance"), None, 1) => attest.push(("provenance", "true".to_owned())),
                (Some(&"provenance"), Some(mode), 2) => attest.push(("provenance", format!("\"{mode}\""))),
                _ => self.unsaid(self.at(target, "attest"), "what is said of this attestation"),
            }
        }
    }

    /// The Dockerfile of a target, among the texts.
    fn text(&mut self, target: &Target) -> Result<usize> {
        let inline = target.keys.get("dockerfile-inline").map(shown);
        let path = bake::file(target);
        let name = match &inline {
            Some(_) => format!("{} (dockerfile-inline of {})", self.source.name, target.name),
            None => beside(&self.source.name, &path),
        };
        if let Some(at) = self.texts.get(&name) {
            return Ok(*at);
        }
        let bytes = match inline {
            Some(text) => text.into_bytes(),
            None => world::read(&Input::new(&name))?,
        };
        let text = Source::new(name.clone(), bytes);
        if frontends::choose(&text.name, &text.bytes, None).is_ok_and(|language| language.id != "Dockerfile") {
            let message = format!("target {}: a build file that is no Dockerfile", target.name);
            return Err(Failure::unsupported(&message, "convert it by itself"));
        }
        self.builds.texts.push(text);
        self.texts.insert(name, self.builds.texts.len() - 1);
        Ok(self.builds.texts.len() - 1)
    }

    /// The directory that a target is built in, if it is not that of the file.
    fn context(&mut self, target: &Target) -> Option<String> {
        let path = bake::context(target);
        if path.contains("://") || is_address(&path) || path.starts_with("target:") {
            self.unsaid(self.at(target, "context"), "a build context that is no directory");
            return None;
        }
        let path = cleaned(&path);
        (!path.is_empty()).then(|| self.directory(&path))
    }

    /// The name of a directory as a context.
    fn directory(&mut self, path: &str) -> String {
        if let Some((name, _)) = self.builds.directories.iter().find(|(_, known)| known == path) {
            return name.clone();
        }
        let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let last = path.rsplit('/').next().unwrap_or_default().to_lowercase();
        let last: String = last.chars().map(|c| if safe(c) { c } else { '-' }).collect();
        let last = last.trim_matches('-');
        let mut name = if last.is_empty() { "directory".to_owned() } else { format!("{last}-directory") };
        let mut count = 1;
        let stem = name.clone();
        while !self.taken.insert(name.clone()) {
            count += 1;
            name = format!("{stem}-{count}");
        }
        self.builds.directories.push((name.clone(), path.to_owned()));
        name
    }

    /// Contexts by name, which are images, other targets and directories.
    fn named(&mut self, target: &Target, build: &mut compiler::Build) {
        for (name, value) in bake::contexts(target) {
            let named = if let Some(other) = value.strip_prefix("target:") {
                Named::Result(other.to_lowercase())
            } else if let Some(image) = value.strip_prefix("docker-image://") {
                Named::Image(image.to_owned())
            } else if value.contains("://") || is_address(&value) {
                self.unsaid(self.at(target, "contexts"), "a named context that is no directory, image or target");
                continue;
            } else {
                match cleaned(&value).as_str() {
                    "" => Named::Directory(self.directory(".")),
                    path => Named::Directory(self.directory(path)),
                }
            };
            build.contexts.insert(name.to_lowercase(), named);
        }
    }

    fn groups(&mut self, bake: &Bake) {
        let is_there = |name: &String| self.builds.builds.iter().any(|build| build.name == *name);
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for (name, members) in &bake.groups {
            groups.push((name.to_lowercase(), members.iter().map(|member| member.to_lowercase()).collect()));
        }
        // The first image is what is built when nothing is asked for, unless something says otherwise.
        let has_default = groups.iter().any(|(name, _)| name == "default") || is_there(&"default".to_owned());
        if !has_default && self.builds.builds.len() > 1 {
            let at = Span::new(ast::FileId(0), 0, 0);
            self.unsaid(at, "a file in which nothing is built by default: give it a group `default`");
        }
        self.builds.groups = groups;
    }
}

/// What the Dockerfile of a target is told.
fn told(target: &Target) -> Options {
    let mut options = Options::default();
    for (flag, key) in [("build-arg", "args"), ("label", "labels")] {
        for (name, value) in target.keys.get(key).map(entries).unwrap_or_default() {
            options.opts.insert(format!("{flag}:{name}"), value);
        }
    }
    options.opts.extend(target.keys.get("target").map(|stage| ("target".to_owned(), shown(stage))));
    let platforms = target.keys.get("platforms").map(list).unwrap_or_default().join(",");
    if !platforms.is_empty() {
        options.opts.insert("platform".to_owned(), platforms);
    }
    for (name, directory) in contexts(target) {
        options.opts.insert(format!("context:{name}"), directory);
    }
    options
}

/// Contexts that are no targets, as a frontend is told them.
fn contexts(target: &Target) -> Vec<(String, String)> {
    let told = |(name, value): (String, String)| match value {
        value if value.starts_with("target:") => None,
        value if value.starts_with("docker-image://") => Some((name, value)),
        _ => Some((name.clone(), format!("local:{name}"))),
    };
    bake::contexts(target).into_iter().filter_map(told).collect()
}

/// The directory of an output that is one.
fn directory(value: &Value) -> Option<String> {
    let [text] = &list(value)[..] else { return None };
    let fields: Vec<(&str, &str)> = text.split(',').filter_map(|field| field.split_once('=')).collect();
    match fields[..] {
        [] if !text.is_empty() && !text.contains(',') => Some(text.clone()),
        [("type", "local"), ("dest", to)] | [("dest", to), ("type", "local")] => Some(to.to_owned()),
        _ => None,
    }
}

fn entries(value: &Value) -> Vec<(String, String)> {
    pairs(value).iter().filter_map(|pair| pair.split_once('=')).map(owned).collect()
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// A path without what says nothing.
fn cleaned(path: &str) -> String {
    let start = if path.starts_with('/') { "/" } else { "" };
    start.to_owned() + &path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

/// A path from the directory of a file.
fn beside(file: &str, path: &str) -> String {
    match file.rsplit_once('/') {
        Some((directory, _)) if !path.starts_with('/') && !is_address(path) => format!("{directory}/{path}"),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use compiler::{Answer, AskError, Question, World};

    use super::*;

    struct Nothing;

    impl World for Nothing {
        fn answer(&self, questions: &[Question]) -> Vec<std::result::Result<Answer, AskError>> {
            questions.iter().map(|_| Err(AskError::default())).collect()
        }
    }

    /// What a spec says of a target, and what has no word there.
    fn said(target: &str) -> (String, Vec<String>) {
        let text = format!("target \"default\" {{\n  dockerfile-inline = \"FROM scratch\"\n  {target}\n}}\n");
        let (builds, found) = builds(&Source::new("docker-bake.hcl", text.clone().into_bytes())).unwrap();
        let shown = |found: &Diagnostic| {
            let at = found.at.unwrap();
            format!("{}: {}", &text[at.start as usize..at.end as usize], found.message)
        };
        (compiler::several(&builds, true, &Nothing).unwrap().text, found.iter().map(shown).collect())
    }

    #[test]
    fn what_is_attested_is_said_in_the_spec() {
        let attest = |list: &str| {
            let (spec, found) = said(&format!("attest = [{list}]"));
            assert!(found.is_empty(), "{found:?}");
            spec.lines().find(|line| line.starts_with("attest")).map(str::to_owned)
        };
        assert_eq!(attest("\"type=sbom\"").as_deref(), Some("attest = { sbom = true }"));
        assert_eq!(attest("\"type=provenance\"").as_deref(), Some("attest = { provenance = true }"));
        assert_eq!(
            attest("\"type=provenance,mode=max\", \"type=sbom\"").as_deref(),
            Some("attest = { provenance = \"max\", sbom = true }")
        );
        assert_eq!(attest("\"type=provenance,disabled=true\""), None);
        assert_eq!(attest("{ type = \"sbom\" }").as_deref(), Some("attest = { sbom = true }"));
    }

    #[test]
    fn what_else_is_said_of_an_attestation_is_named() {
        let (_, found) = said("attest = [\"type=sbom,generator=scanner\"]");
        assert_eq!(found, ["attest: a build spec has no word for what is said of this attestation"]);
    }

    #[test]
    fn an_argument_made_of_another_is_put_in() {
        let text =
            "target \"default\" {\n  dockerfile-inline = <<E\nARG A=1\nARG B=${\"$\"}{A}\nFROM x:${\"$\"}{B}\nE\n}\n";
        let (builds, _) = builds(&Source::new("docker-bake.hcl", text.as_bytes().to_vec())).unwrap();
        let spec = compiler::several(&builds, true, &Nothing).unwrap().text;
        assert!(spec.contains("A = { default = \"1\" }") && spec.contains("from = \"x:${var.A}\""), "{spec}");
    }

    #[test]
    fn a_stage_that_an_argument_names_is_that_stage() {
        let text =
            "target \"default\" {\n  dockerfile-inline = <<E\nFROM x AS on-1\nARG A=1\nFROM on-${\"$\"}{A}\nE\n}\n";
        let text = text.replace("FROM x AS on-1\nARG A=1\n", "ARG A=1\nFROM x AS on-1\n");
        let (builds, _) = builds(&Source::new("docker-bake.hcl", text.into_bytes())).unwrap();
        let spec = compiler::several(&builds, false, &Nothing);
        let spec = spec.unwrap().text;
        assert!(spec.contains("from = \"stage.on-1\""), "{spec}");
    }

    #[test]
    fn variables_on_which_nothing_depends_are_left_out() {
        let text = "variable \"TAG\" { default = \"1\" }\nvariable \"UNUSED\" { default = \"2\" }\n\
                    variable \"STAGE\" { default = \"a\" }\n\
                    target \"default\" {\n  dockerfile-inline = \"FROM scratch AS a\"\n  tags = [\"x:${TAG}\"]\n  target = STAGE\n}\n";
        let (builds, found) = builds(&Source::new("docker-bake.hcl", text.as_bytes().to_vec())).unwrap();
        assert_eq!(builds.vars, [("TAG".to_owned(), "1".to_owned())]);
        assert_eq!(
            found.iter().map(|found| found.message.as_str()).collect::<Vec<_>>(),
            ["a build spec has no word for a variable that decides what is built"]
        );
    }
}
