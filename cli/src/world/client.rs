//! What programs ask of the client: its environment, its files, processes on it.

use std::path::Path;
use std::process::{Command, Stdio};

use compiler::{Answer, AskError, HostValue, LocalPath, RunOutput};
use executor::text;
use oci::Digest;
use oci::ignore::Selection;

use super::{Answered, is_absent};

fn no(message: impl Into<String>, help: &str) -> Answered {
    Err(AskError { message: message.into(), help: Some(help.to_owned()), ..AskError::default() })
}

/// A variable of the environment.
pub(super) fn variable(key: &str) -> Answered {
    let value = (!key.is_empty() && !key.contains(['=', '\0'])).then(|| std::env::var_os(key)).flatten();
    Ok(Answer::Text(value.map(|value| value.to_string_lossy().into_owned())))
}

/// What the client is, by Go's names.
pub(super) fn value(value: HostValue) -> Answered {
    let host = executor::host_platform();
    let text = match value {
        HostValue::Os => host.os,
        HostValue::Architecture => host.architecture,
        HostValue::Directory => match std::env::current_dir() {
            Ok(directory) => directory.display().to_string(),
            Err(error) => return no(format!("the working directory: {error}"), "run llbc in one that exists"),
        },
    };
    Ok(Answer::Text(Some(text)))
}

/// Runs a process, if that is allowed.
pub(super) fn process(allowed: bool, argv: &[String], directory: &str, output: RunOutput) -> Answered {
    if !allowed {
        let message = format!("localRun may not run {} on this machine", argv.join(" "));
        return no(message, "if you trust the program, allow it with --allow-local-run");
    }
    let Some((program, args)) = argv.split_first() else { return no("localRun has no command", "give it one") };
    let run = || -> std::io::Result<Answer> {
        let (reader, writer) = std::io::pipe()?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null());
        if !directory.is_empty() {
            command.current_dir(directory);
        }
        match output {
            RunOutput::Stdout => command.stdout(writer),
            RunOutput::Stderr => command.stdout(Stdio::null()).stderr(writer),
            RunOutput::Both => command.stdout(writer.try_clone()?).stderr(writer),
        };
        let mut child = command.spawn()?;
        // The command holds the writing end; as long as it is there the reading one does not end.
        drop(command);
        let text = text::all(reader, text::LONGEST);
        // Who writes without an end is told so by a pipe that nobody reads.
        let status = child.wait()?;
        let text = text?;
        let failure = (!status.success()).then(|| match status.code() {
            Some(code) => format!("exit status {code}"),
            None => status.to_string(),
        });
        Ok(Answer::Run { output: String::from_utf8_lossy(&text).into_owned(), failure })
    };
    run().or_else(|error| match error.kind() {
        // Go's words for it.
        std::io::ErrorKind::NotFound if !program.contains('/') => no(
            format!("exec: {}: executable file not found in $PATH", ast::quote(program.as_bytes())),
            "localRun runs programs of this machine",
        ),
        _ => no(format!("cannot run {program}: {error}"), "localRun runs programs of this machine"),
    })
}

/// What is at a path. Its id names the place: what is in it is compared when it is sent.
pub(super) fn local_path(path: &str) -> Answered {
    match std::fs::metadata(path) {
        Ok(found) => {
            let absolute = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
            let id = Digest::sha256(format!("path:{}", absolute.display()).as_bytes()).to_string();
            Ok(Answer::LocalPath(Some(LocalPath { directory: found.is_dir(), id, context: None })))
        }
        Err(error) if is_absent(error.kind()) => Ok(Answer::LocalPath(None)),
        Err(error) => no(format!("stat {path}: {error}"), "it must be readable"),
    }
}

/// The regular files at a path: itself, or those of a directory that match.
pub(super) fn secret_files(path: &str, include: &[String], exclude: &[String]) -> Answered {
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if is_absent(error.kind()) => return Ok(Answer::Files(None)),
        Err(error) => return no(format!("stat {path}: {error}"), "it must be readable"),
    };
    if found.is_file() {
        return Ok(Answer::Files(Some(vec![path.to_owned()])));
    }
    let selection = match Selection::new(include, exclude) {
        Ok(selection) => selection,
        Err(error) => return no(format!("patterns of the secret {path}: {error}"), "see the patterns of ignore files"),
    };
    let mut files = Vec::new();
    match walk(Path::new(path), "", &mut files) {
        Ok(()) => {
            files.retain(|file| selection.has(file));
            Ok(Answer::Files(Some(files.into_iter().map(|file| format!("{path}/{file}")).collect())))
        }
        Err(error) => no(format!("cannot list {path}: {error}"), "it must be readable"),
    }
}

/// Adds the regular files below a directory, in the order of the names on their way.
fn walk(root: &Path, inside: &str, files: &mut Vec<String>) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(root.join(inside))?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
        match entry.file_type()? {
            kind if kind.is_dir() => walk(root, &path, files)?,
            kind if kind.is_file() => files.push(path),
            _ => {}
        }
    }
    Ok(())
}

/// A text that nobody had before: the time and the process, hashed.
pub(super) fn nonce(number: u32) -> Answered {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seed = format!("{}:{}:{number}", since.as_nanos(), std::process::id());
    Ok(Answer::Text(Some(Digest::sha256(seed.as_bytes()).hex()[..25].to_owned())))
}

/// The text of a file.
pub(super) fn file(path: &str) -> Answered {
    match text::file(path) {
        Ok(text) => Ok(Answer::File(Some(text))),
        Err(error) if is_absent(error.kind()) => Ok(Answer::File(None)),
        Err(error) => no(format!("cannot read {path}: {error}"), "it must be readable"),
    }
}
