//! Files of other tools, each as the build spec that does what it says: Mockerfile and Gockerfile.
//!
//! They are read, not written: what they say is little, and their tools do it with helpers and downloads in processes. As a
//! spec the same files come about by sources, packages and copies. What is wrong with the spec that is made is wrong with the
//! words it was given, and is reported at the text's first line; keys that mean nothing are errors at their place.

mod gocker;
mod mocker;
mod yaml;

use ast::{Diagnostic, Module, Span, code};
use yaml::Node;

use crate::{Input, Language, Unsaid, spec};

/// The row of Gockerfiles in [`crate::LANGUAGES`]; its name is that of the frontend, as `# syntax=` lines have it.
pub(crate) const GOCKER: Language = Language {
    id: "gocker",
    names: &["gockerfile"],
    parse: |input| parse(input, gocker::spec),
    noun: "a Gockerfile",
    ..NOTHING
};

/// The row of Mockerfiles.
pub(crate) const MOCKER: Language = Language {
    id: "mocker",
    names: &["mockerfile"],
    parse: |input| parse(input, mocker::spec),
    noun: "a Mockerfile",
    ..NOTHING
};

const NOTHING: Language = Language {
    id: "",
    names: &[],
    extensions: &[],
    parse: |input| parse(input, |_| Err(Vec::new())),
    parse_with: None,
    trigger: None,
    format: None,
    vocabulary: None,
    keyed: None,
    expand: None,
    write,
    noun: "",
};

/// They are read only.
fn write(module: &Module, _: bool) -> Result<String, Vec<Unsaid>> {
    Err(vec![(Span::new(module.file, 0, 0), "anything: it is read, and not written")])
}

/// What is wrong with a node.
type Wrong = (std::ops::Range<usize>, String);

/// The spec that a document means.
type Meaning = fn(&Node) -> Result<String, Vec<Wrong>>;

fn parse(input: &Input<'_>, meaning: Meaning) -> Module {
    let whole = String::from_utf8_lossy(input.bytes);
    let end = whole.find('\n').unwrap_or(whole.len()).min(input.bytes.len());
    let made = yaml::read(&whole).map_err(|error| vec![error]).and_then(|document| meaning(&document));
    let (text, wrong) = match made {
        Ok(text) => (text, Vec::new()),
        Err(wrong) => (String::new(), wrong),
    };
    let mut module = spec::parse_at(&text, Span::new(input.file, 0, end as u32));
    if !wrong.is_empty() {
        let length = input.bytes.len();
        let error = |(at, message): Wrong| {
            let at = Span::new(input.file, at.start.min(length) as u32, at.end.min(length) as u32);
            Diagnostic::error(code::SYNTAX, message, at).help("docs/spec.md says what of these files is there")
        };
        module.diagnostics = wrong.into_iter().map(error).collect();
    }
    module
}

/// Reads a mapping key by key; what is not known is wrong.
struct Reader<'n> {
    entries: Vec<(&'n Node, &'n Node)>,
    wrong: Vec<Wrong>,
}

impl<'n> Reader<'n> {
    fn new(node: &'n Node) -> Self {
        match node.entries() {
            Some(entries) => {
                Self { entries: entries.iter().map(|(key, value)| (key, value)).collect(), wrong: Vec::new() }
            }
            None => Self { entries: Vec::new(), wrong: vec![(node.at.clone(), "expected keys and values".to_owned())] },
        }
    }

    /// The value of a key, which is then known.
    fn take(&mut self, key: &str) -> Option<&'n Node> {
        let at = self.entries.iter().position(|(name, _)| name.text() == Some(key))?;
        Some(self.entries.remove(at).1)
    }

    /// The same, as a text.
    fn text(&mut self, key: &str) -> Option<String> {
        let node = self.take(key)?;
        let text = node.text().map(str::to_owned);
        if text.is_none() {
            self.wrong.push((node.at.clone(), format!("{key} is no text")));
        }
        text
    }

    /// The same, as a list of texts.
    fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(node) = self.take(key) else { return Vec::new() };
        match node.items() {
            Some(items) if items.iter().all(|item| item.text().is_some()) => {
                items.iter().filter_map(Node::text).map(str::to_owned).collect()
            }
            _ => {
                self.wrong.push((node.at.clone(), format!("{key} is no list of texts")));
                Vec::new()
            }
        }
    }

    /// Everything that was not taken is wrong.
    fn finish(mut self, wrong: &mut Vec<Wrong>) {
        for (key, _) in &self.entries {
            self.wrong.push((key.at.clone(), format!("{} means nothing here", key.text().unwrap_or("it"))));
        }
        wrong.append(&mut self.wrong);
    }
}

/// A string of TOML: the escapes of JSON are among its own.
fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A list of strings.
fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| string(text)).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use ast::FileId;

    use super::*;

    fn module(language: &Language, text: &str) -> Module {
        (language.parse)(&Input::new(FileId(0), text.as_bytes()))
    }

    fn messages(language: &Language, text: &str) -> Vec<String> {
        let shown = |found: Diagnostic| {
            let at = found.at.expect("it has a place");
            format!("{}: {}", &text[at.start as usize..at.end as usize], found.message)
        };
        module(language, text).diagnostics.into_iter().map(shown).collect()
    }

    fn steps(module: &Module) -> Vec<String> {
        assert!(module.diagnostics.is_empty(), "{:?}", module.diagnostics);
        module.defs.iter().flat_map(|def| def.body.steps()).map(|step| step.text.lossy().into_owned()).collect()
    }

    #[test]
    fn a_gockerfile_is_a_program_of_go() {
        let text =
            "#syntax=po3rin/gocker\nrepo: github.com/po3rin/gockerfile\npath: ./example/server\nversion: v0.0.1\n";
        let steps = steps(&module(&GOCKER, text));
        let has = |part: &str| assert!(steps.iter().any(|step| step.contains(part)), "{part}: {steps:#?}");
        has("https://github.com/po3rin/gockerfile.git#v0.0.1");
        has("go build");
        has("./example/server");
        has("/bin/server");
        assert_eq!(messages(&GOCKER, "path: x\n"), ["path: x: repo is missing"]);
        assert_eq!(messages(&GOCKER, "repo: a.test/b\nbranch: c\n"), ["branch: branch means nothing here"]);
    }

    #[test]
    fn a_mockerfile_is_an_image_with_packages_and_downloads() {
        let text = "\
apiVersion: v1alpha1
images:
- name: demo
  from: ubuntu:16.04
  package:
    repo:
    - deb [arch=amd64] https://a.test/apt stable main extra
    gpg:
    - https://a.test/key.gpg
    install:
    - bazel
    - docker-ce=17.12.0~ce-0~ubuntu
  external:
  - src: https://b.test/tool
    dst: /usr/local/bin/tool
    sha256: b5066f7250beb023a3eb7511c5699be4dbff57637ac4a78ce63bde6e66c26ac4
  - src: https://b.test/helm.tar.gz
    dst: /tmp/helm
    install:
    - install /tmp/helm/helm /usr/local/bin/helm
";
        let steps = steps(&module(&MOCKER, text));
        let has = |part: &str| assert!(steps.iter().any(|step| step.contains(part)), "{part}: {steps:#?}");
        has("FROM ubuntu:16.04");
        has("https://a.test/key.gpg");
        has("docker-ce=17.12.0~ce-0~ubuntu");
        has("--checksum=sha256:b5066f7250beb023a3eb7511c5699be4dbff57637ac4a78ce63bde6e66c26ac4");
        has("--unpack https://b.test/helm.tar.gz /tmp/helm/");
        has("install /tmp/helm/helm /usr/local/bin/helm");
        has("CMD [\"ls\"]");
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        assert_eq!(messages(&MOCKER, "images:\n- from: a\n  colour: b\n"), ["colour: colour means nothing here"]);
        assert_eq!(messages(&MOCKER, "images: a\n"), ["a: images is no list"]);
        assert_eq!(messages(&MOCKER, "images: []\n"), ["images: []: there is no image"]);
        assert_eq!(
            messages(&MOCKER, "images:\n- from: a\n  package:\n    repo: [ppa]\n"),
            ["ppa: not a line of a list of sources: deb [arch=ARCH] ADDRESS SUITE COMPONENT"]
        );
        assert!(!messages(&MOCKER, "a: [").is_empty() && !messages(&MOCKER, "").is_empty());
    }
}
