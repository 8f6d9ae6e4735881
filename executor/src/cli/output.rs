//! `--output`: one line of comma-separated fields, as in `docker build` and `buildctl build`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;

use crate::csv::split;
use crate::exporters::Kind;
use crate::{Error, Output, Result, stdout};

/// Reads `type=oci,dest=app.tar,…`, a directory (`type=local`) or `-` (`type=tar` to standard output).
pub(super) fn parse(text: &str) -> Result<Output> {
    if !text.contains('=') {
        let (kind, dest) = if text == "-" { (Kind::Tar, None) } else { (Kind::Local, Some(PathBuf::from(text))) };
        return Ok(Output { kind, dest, attrs: BTreeMap::new(), part: None });
    }
    let mut attrs = fields(text)?;
    let Some(name) = attrs.remove("type") else {
        return Err(invalid(text, "it has no `type=`"));
    };
    let kind = kind(&name, &mut attrs).ok_or_else(|| {
        invalid(
            text,
            &format!("there is no type {name:?}; there are image, registry, oci, docker, tar, local, cacheonly"),
        )
    })?;
    let dest = attrs.remove("dest");
    // As `docker build` has it: an archive has a place, without one the image goes into the engine.
    let kind = if kind == Kind::Docker && dest.is_none() { Kind::Load } else { kind };
    let dest = dest.filter(|dest| dest != "-").map(PathBuf::from);
    if kind == Kind::Local && dest.is_none() {
        return Err(invalid(text, "a directory needs `dest=`"));
    }
    if dest.is_some() && matches!(kind, Kind::Image | Kind::CacheOnly) {
        return Err(invalid(text, &format!("type={name} has no `dest=`")));
    }
    Ok(Output { kind, dest, attrs, part: None })
}

/// `--annotation` as the attributes of outputs that it is short for: `[TYPE[PLATFORM],…:]KEY=VALUE`.
pub(super) fn annotations(text: &str) -> Result<Vec<(String, String)>> {
    let invalid = || Error::Invalid(format!("--annotation {text}: expected [TYPE:]KEY=VALUE"));
    let (head, value) = text.split_once('=').ok_or_else(invalid)?;
    let (kinds, key) = head.split_once(':').unwrap_or(("manifest", head));
    if key.is_empty() {
        return Err(invalid());
    }
    Ok(kinds.split(',').map(|kind| (format!("annotation-{kind}.{key}"), value.to_owned())).collect())
}

/// Two results cannot share standard output, and no terminal wants one.
pub(super) fn check_stdout(outputs: &[Output]) -> Result<()> {
    let archives =
        |output: &&Output| matches!(output.kind, Kind::Oci | Kind::Docker | Kind::Tar) && output.dest.is_none();
    match outputs.iter().filter(archives).count() {
        0 => Ok(()),
        1.. if stdout::check().is_err() => {
            Err(Error::Invalid("standard output is closed: add `dest=FILE` to the output, or redirect it".into()))
        }
        1 if std::io::stdout().is_terminal() => {
            Err(Error::Invalid("standard output is a terminal: add `dest=FILE` to the output, or redirect it".into()))
        }
        1 => Ok(()),
        _ => Err(Error::Invalid("only one output can go to standard output: add `dest=FILE` to the others".into())),
    }
}

fn kind(name: &str, attrs: &mut BTreeMap<String, String>) -> Option<Kind> {
    Some(match name {
        "image" => Kind::Image,
        "registry" => {
            attrs.insert("push".to_owned(), "true".to_owned());
            Kind::Image
        }
        "oci" => Kind::Oci,
        "docker" => Kind::Docker,
        "tar" => Kind::Tar,
        "local" => Kind::Local,
        "cacheonly" => Kind::CacheOnly,
        _ => return None,
    })
}

fn fields(text: &str) -> Result<BTreeMap<String, String>> {
    split(text)
        .into_iter()
        .map(|field| match field.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_lowercase(), value.to_owned())),
            None => Err(invalid(text, &format!("{field:?} is not KEY=VALUE"))),
        })
        .collect()
}

fn invalid(text: &str, why: &str) -> Error {
    Error::Invalid(format!("--output {text}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match parse(text) {
            Ok(output) => format!("{:?} {:?} {:?}", output.kind, output.dest, output.attrs),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn outputs() {
        check("out", r#"Local Some("out") {}"#);
        check("-", "Tar None {}");
        check("type=oci,dest=a.tar", r#"Oci Some("a.tar") {}"#);
        check("type=docker,dest=-", "Docker None {}");
        check("type=docker", "Load None {}");
        check("type=registry,name=r/x", r#"Image None {"name": "r/x", "push": "true"}"#);
        check(r#"type=image,"name=a,b",push=true"#, r#"Image None {"name": "a,b", "push": "true"}"#);
    }

    #[test]
    fn errors() {
        check("dest=x", "--output dest=x: it has no `type=`");
        check("type=oci,x", r#"--output type=oci,x: "x" is not KEY=VALUE"#);
        check("type=image,dest=x", "--output type=image,dest=x: type=image has no `dest=`");
        check("type=local", "--output type=local: a directory needs `dest=`");
        check(
            "type=zip",
            r#"--output type=zip: there is no type "zip"; there are image, registry, oci, docker, tar, local, cacheonly"#,
        );
    }
}
