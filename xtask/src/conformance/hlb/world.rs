//! The outside of a case: its folder and what `case.json` says.

use std::path::Path;
use std::process::{Command, Stdio};

use compiler::{Answer, AskError, HostValue, ImageAnswer, LocalPath, ModuleSource, Question, RunOutput, World};
use oci::Digest;
use oci::ignore::Selection;
use serde_json::Value;

/// The digest of whatever is pushed, and of images whose digest nobody says.
const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

pub(super) struct CaseWorld<'c> {
    pub(super) folder: &'c Path,
    pub(super) case: &'c Value,
}

type Answered = Result<Answer, AskError>;

fn fail(message: impl Into<String>) -> Answered {
    Err(AskError { message: message.into(), ..AskError::default() })
}

impl CaseWorld<'_> {
    fn ask(&self, question: &Question) -> Answered {
        match question {
            Question::Image { reference, .. } => self.image(reference),
            Question::HostEnv(key) => Ok(Answer::Text(self.case["env"][key].as_str().map(str::to_owned))),
            Question::Host(value) => Ok(Answer::Text(Some(self.host(*value)))),
            Question::HostRun { argv, directory, output } => self.run(argv, directory, *output),
            Question::LocalPath { path } => {
                Ok(Answer::LocalPath(self.folder.join(path).metadata().ok().map(|found| LocalPath {
                    directory: found.is_dir(),
                    id: "LOCAL-ID".to_owned(),
                    context: None,
                })))
            }
            Question::SecretFiles { path, include, exclude } => self.secrets(path, include, exclude),
            Question::Nonce { .. } => Ok(Answer::Text(Some("IGNORE-CACHE-ID".to_owned()))),
            Question::Frontend { .. } => Ok(Answer::Frontend { definition: Vec::new(), config: None }),
            Question::Pushed(_) => Ok(Answer::Text(Some(DIGEST.to_owned()))),
            Question::Module { source } => self.module(source),
            Question::Manifest { reference, .. } => fail(format!("{reference}: the corpus has no registry")),
            Question::ContextFile { .. } | Question::Timestamp { .. } => fail("no HLB program asks this"),
        }
    }

    fn image(&self, reference: &str) -> Answered {
        let digest = Digest::parse(DIGEST).map_err(|error| AskError {
            message: error.to_string(),
            help: None,
            ..AskError::default()
        })?;
        let Some(images) = self.case["images"].as_object() else {
            // Nobody resolves images: their configs say nothing.
            return Ok(Answer::Image(ImageAnswer { digest: Some(digest), config: b"{}".to_vec() }));
        };
        match images.get(reference) {
            Some(image) => Ok(Answer::Image(ImageAnswer {
                digest: Some(digest),
                config: image["config"].to_string().into_bytes(),
            })),
            None => fail(format!("{reference}: not found")),
        }
    }

    fn host(&self, value: HostValue) -> String {
        let (key, default) = match value {
            HostValue::Os => ("os", "linux"),
            HostValue::Architecture => ("arch", "amd64"),
            HostValue::Directory => ("cwd", "/home/user/project"),
        };
        self.case[key].as_str().unwrap_or(default).to_owned()
    }

    fn run(&self, argv: &[String], directory: &str, output: RunOutput) -> Answered {
        let env = self.case["env"].as_object().into_iter().flatten();
        let mut argv = argv.to_vec();
        if output == RunOutput::Both {
            // Both streams into one, in the order written.
            let inner =
                argv.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect::<Vec<_>>().join(" ");
            argv = ["/bin/sh", "-c", &format!("exec {inner} 2>&1")].map(str::to_owned).to_vec();
        }
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).current_dir(self.folder.join(directory)).stdin(Stdio::null()).env_clear();
        command.envs(env.filter_map(|(key, value)| Some((key, value.as_str()?))));
        let done = command.output().map_err(|_| AskError {
            message: format!("exec: {:?}: executable file not found in $PATH", argv[0]),
            help: None,
            ..AskError::default()
        })?;
        let wanted = if output == RunOutput::Stderr { &done.stderr } else { &done.stdout };
        let failure = done.status.code().filter(|code| *code != 0).map(|code| format!("exit status {code}"));
        Ok(Answer::Run { output: String::from_utf8_lossy(wanted).into_owned(), failure })
    }

    fn secrets(&self, path: &str, include: &[String], exclude: &[String]) -> Answered {
        let place = self.folder.join(path);
        if !place.is_dir() {
            return Ok(Answer::Files(place.is_file().then(|| vec![path.to_owned()])));
        }
        let selection = Selection::new(include, exclude).map_err(|error| AskError {
            message: error.to_string(),
            help: None,
            ..AskError::default()
        })?;
        let mut files = Vec::new();
        walk(&place, "", &mut files);
        files.retain(|file| selection.has(file));
        Ok(Answer::Files(Some(files.into_iter().map(|file| format!("{path}/{file}")).collect())))
    }

    fn module(&self, source: &ModuleSource) -> Answered {
        let path = match source {
            ModuleSource::File(path) => self.folder.join(path),
            ModuleSource::Imported(file) => self.folder.join(file.vendored_path()),
            ModuleSource::Built(file) => return fail(format!("{}: the corpus builds nothing", file.shown())),
        };
        match (std::fs::read(path), source) {
            (text, ModuleSource::Imported(_)) => Ok(Answer::Kept(text.ok())),
            (text, _) => Ok(Answer::File(text.ok())),
        }
    }
}

/// Adds the files below a directory, in the order of the names on their way.
fn walk(root: &Path, inside: &str, files: &mut Vec<String>) {
    let entries = std::fs::read_dir(root.join(inside)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    for name in names {
        let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
        if root.join(&path).is_dir() { walk(root, &path, files) } else { files.push(path) }
    }
}

impl World for CaseWorld<'_> {
    fn answer(&self, questions: &[Question]) -> Vec<Answered> {
        questions.iter().map(|question| self.ask(question)).collect()
    }
}
