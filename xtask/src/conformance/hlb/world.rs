//! The outside of a case: its folder and what `case.json` says.

use std::path::Path;
use std::process::{Command, Stdio};

use compiler::{Answer, AskError, HostValue, ImageAnswer, LocalPath, ModuleSource, Question, RunOutput, World};
use oci::Digest;
use serde_json::Value;

/// The digest of whatever is pushed, and of images whose digest nobody says.
const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

pub(super) struct CaseWorld<'c> {
    pub(super) folder: &'c Path,
    pub(super) case: &'c Value,
}

type Answered = Result<Answer, AskError>;

fn fail(message: impl Into<String>) -> Answered {
    Err(AskError { message: message.into(), help: None, unreachable: false })
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
            Question::SecretFiles { path, .. } => {
                let found = self.folder.join(path).is_file();
                Ok(Answer::Files(found.then(|| vec![path.clone()])))
            }
            Question::Nonce { .. } => Ok(Answer::Text(Some("IGNORE-CACHE-ID".to_owned()))),
            Question::Frontend { .. } => Ok(Answer::Frontend { definition: Vec::new(), config: None }),
            Question::Pushed { .. } => Ok(Answer::Text(Some(DIGEST.to_owned()))),
            Question::Module { source } => self.module(source),
            Question::Manifest { reference, .. } => fail(format!("{reference}: the corpus has no registry")),
            Question::ContextFile { .. } | Question::Timestamp { .. } => fail("no HLB program asks this"),
        }
    }

    fn image(&self, reference: &str) -> Answered {
        let digest = Digest::parse(DIGEST).map_err(|error| AskError {
            message: error.to_string(),
            help: None,
            unreachable: false,
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
        let done = command.output().map_err(|error| AskError {
            message: error.to_string(),
            help: None,
            unreachable: false,
        })?;
        let wanted = if output == RunOutput::Stderr { &done.stderr } else { &done.stdout };
        let failure = done.status.code().filter(|code| *code != 0).map(|code| format!("exit status {code}"));
        Ok(Answer::Run { output: String::from_utf8_lossy(wanted).into_owned(), failure })
    }

    fn module(&self, source: &ModuleSource) -> Answered {
        let path = match source {
            ModuleSource::File(path) => self.folder.join(path),
            ModuleSource::Vendored(digest) => {
                let hex = digest.hex();
                self.folder.join(".hlb/modules/sha256").join(&hex[..2]).join(hex).join("module.hlb")
            }
            ModuleSource::Git(address) => return fail(format!("{address}: the corpus has no network")),
        };
        Ok(Answer::File(std::fs::read(path).ok()))
    }
}

impl World for CaseWorld<'_> {
    fn answer(&self, questions: &[Question]) -> Vec<Answered> {
        questions.iter().map(|question| self.ask(question)).collect()
    }
}
