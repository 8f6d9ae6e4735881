//! Presets: kinds of projects, each a text in the very language that says how they are built well.
//!
//! Dependencies first, so that a change of the project does not fetch them again; compilers' own caches in cache mounts,
//! which are only for speed; a small last image with a user that is not root. What the spec says itself stays: a preset
//! fills in what is missing. `llbc expand` writes the same texts into the file.

mod cmake;
mod go;
mod java;
mod node;
mod python;
mod rust;
mod site;

use super::model::{Image, Preset, Spec};
use super::read::{Map, Reader, Text};

/// The user of images that need none: no name, no rights.
const NOBODY: &str = "65532:65532";

/// The keys of an image that only presets look at.
pub(super) const KEYS: &[&str] =
    &["preset", "source", "dir", "version", "package", "build", "output", "binary", "builder"];

/// What a preset is told.
pub(super) struct Project<'s> {
    name: &'s str,
    image: &'s Image,
}

impl Project<'_> {
    /// The directory of the project, as `copy` takes it.
    fn dir(&self) -> String {
        string(self.part(""))
    }

    /// A part of the project, as a reference: in the source that holds it, else in the build context.
    fn part(&self, below: &str) -> String {
        let dir = self.image.dir.as_ref().map_or("", |dir| dir.value.trim_start_matches("./").trim_matches('/'));
        let dir = if dir == "." { "" } else { dir };
        let path: Vec<&str> = [dir, below].into_iter().filter(|part| !part.is_empty()).collect();
        match (&self.image.source, path.join("/").as_str()) {
            (Some(source), "") => source.value.clone(),
            (Some(source), path) => format!("{}:/{path}", source.value),
            (None, "") => ".".to_owned(),
            (None, path) => format!("./{path}"),
        }
    }

    /// Where the program is in the image.
    fn binary(&self, usual: String) -> String {
        self.image.binary.as_ref().map_or(usual, |binary| binary.value.clone())
    }

    /// The image to build in: the one that is said, else one of this repository, with the version that is said.
    fn builder(&self, repository: &str, tag: &str, suffix: &str) -> String {
        match (&self.image.builder, &self.image.toolchain) {
            (Some(builder), _) => string(&builder.value),
            (None, Some(version)) => string(format!("{repository}:{}{suffix}", version.0.value)),
            (None, None) => string(format!("{repository}:{tag}{suffix}")),
        }
    }

    /// The command that builds: the one that is said, else the usual one.
    fn build(&self, usual: impl Into<String>) -> String {
        self.image.build.as_ref().map_or_else(|| string(usual.into()), |build| string(&build.value))
    }

    fn output(&self, usual: &str) -> String {
        self.image.output.as_ref().map_or(usual, |output| output.value.trim_matches('/')).to_owned()
    }

    fn package(&self) -> Option<&str> {
        self.image.package.as_ref().map(|package| package.value.as_str())
    }
}

/// The stages and the image of a project, as the text of a spec.
pub(super) fn text(name: &str, image: &Image) -> Option<String> {
    let project = Project { name, image };
    Some(match image.preset? {
        Preset::Go => go::text(&project),
        Preset::Rust => rust::text(&project),
        Preset::Node => node::text(&project),
        Preset::Python => python::text(&project),
        Preset::Java => java::text(&project),
        Preset::Static => site::text(&project),
        Preset::Cmake => cmake::text(&project),
    })
}

/// The spec with what its presets add.
pub(super) fn apply(mut spec: Spec, reader: &mut Reader) -> Spec {
    let mut stages = spec.stage.take().map_or_else(Vec::new, |stages| stages.0);
    for (name, image) in spec.image.iter_mut().flat_map(|images| &mut images.0) {
        let Some(text) = text(&name.value, image) else {
            refuse_keys(image, reader);
            continue;
        };
        // Whatever is wrong with what a preset makes is wrong with the words it was given.
        let mut inner = Reader::new(name.span.file, Some(name.span));
        let made = super::read(&text, &mut inner);
        reader.diagnostics.append(&mut inner.diagnostics);
        for (stage_name, stage) in made.stage.into_iter().flat_map(|stages| stages.0) {
            if let Some((other, _)) = stages.iter().find(|(other, _)| other.value == stage_name.value) {
                let message = format!("the preset of `{}` makes a stage `{}`, too", name.value, stage_name.value);
                reader.error(message, other.span).help = Some("give this stage another name".to_owned());
                continue;
            }
            stages.push((stage_name, stage));
        }
        for (_, usual) in made.image.into_iter().flat_map(|images| images.0) {
            let span = image.span;
            *image = Image { span, ..std::mem::take(image).or(usual) };
            image.stage.span = span;
        }
    }
    spec.stage = Some(Map(stages));
    spec
}

/// Keys that mean something to presets alone are mistakes without one.
fn refuse_keys(image: &Image, reader: &mut Reader) {
    let keys: [(&str, Option<&Text>); 8] = [
        ("source", image.source.as_ref()),
        ("binary", image.binary.as_ref()),
        ("dir", image.dir.as_ref()),
        ("version", image.toolchain.as_ref().map(|version| &version.0)),
        ("package", image.package.as_ref()),
        ("build", image.build.as_ref()),
        ("output", image.output.as_ref()),
        ("builder", image.builder.as_ref()),
    ];
    for (key, text) in keys {
        if let Some(text) = text {
            let presets: Vec<&str> = Preset::WORDS.iter().map(|(word, _)| *word).collect();
            reader.error(format!("`{key}` means nothing without a preset"), text.span).help =
                Some(format!("presets are {}", presets.join(", ")));
        }
    }
}

/// A string of TOML.
fn string(text: impl AsRef<str>) -> String {
    // The escapes of JSON are among those of TOML.
    serde_json::Value::from(text.as_ref()).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::model::Spec;
    use super::super::read::Reader;
    use super::*;

    /// What every preset makes is read without a word.
    #[test]
    fn presets_are_sound() {
        for (word, _) in Preset::WORDS {
            let source = format!("spec = 1\n[image.app]\npreset = \"{word}\"\n");
            let module = super::super::parse(&crate::Input::new(ast::FileId(0), source.as_bytes()));
            assert!(module.diagnostics.is_empty(), "{word}: {:?}", module.diagnostics);
            assert!(module.defs.len() >= 2 || *word == "static", "{word}");
        }
    }

    #[test]
    fn what_is_said_stays() {
        let source = "[image.app]\npreset = \"go\"\nfrom = \"alpine\"\ncmd = [\"serve\"]\n";
        let mut reader = Reader::new(ast::FileId(0), None);
        let spec: Spec = apply(super::super::read(source, &mut reader), &mut reader);
        let (_, image) = &spec.images()[0];
        assert_eq!(image.stage.from.as_ref().unwrap().value, "alpine");
        assert!(image.entrypoint.is_some() && image.cmd.is_some());
    }
}
