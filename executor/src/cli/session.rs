//! Flags that say what a build may read: directories, secrets, agents.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::csv::split;
use crate::session::{Secret, SshAgent};
use crate::{Error, Result};

/// `NAME=DIR` flags; the last of a name wins. **Errors**: no `=`, not a directory.
pub fn directories(flags: &[String]) -> Result<BTreeMap<String, PathBuf>> {
    flags
        .iter()
        .map(|flag| {
            let (name, dir) =
                flag.split_once('=').ok_or_else(|| Error::Invalid(format!("{flag}: expected NAME=DIR")))?;
            let path = PathBuf::from(dir);
            match std::fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => Ok((name.to_owned(), path)),
                Ok(_) => Err(Error::Invalid(format!("{flag}: {dir} is not a directory"))),
                Err(source) => Err(Error::Io { attempt: "open the directory", path, source }),
            }
        })
        .collect()
}

/// `id=ID[,src=PATH|,env=VARIABLE]`; with an id alone it is the variable of that name, else the file of that name.
/// parity: the last of an id wins.
pub(super) fn secrets(flags: &[String]) -> Result<BTreeMap<String, Secret>> {
    flags.iter().map(|flag| secret(flag)).collect()
}

fn secret(flag: &str) -> Result<(String, Secret)> {
    let invalid = |why: &str| Error::Invalid(format!("--secret {flag}: {why}"));
    let (mut id, mut kind, mut source, mut variable) = (None, None, None, None);
    for field in split(flag) {
        match field.split_once('=') {
            Some(("id", value)) => id = Some(value.to_owned()),
            Some(("type", value)) if ["file", "env"].contains(&value) => kind = Some(value.to_owned()),
            Some(("type", value)) => {
                return Err(invalid(&format!("there is no type {value:?}; there are file and env")));
            }
            Some(("src" | "source", value)) => source = Some(value.to_owned()),
            Some(("env", value)) => variable = Some(value.to_owned()),
            _ => return Err(invalid(&format!("unknown field {field:?}"))),
        }
    }
    let id = id.or_else(|| source.clone()).ok_or_else(|| invalid("it has no `id=`"))?;
    if kind.as_deref() == Some("env") {
        variable = variable.or(source.take());
    }
    let secret = match (source, variable) {
        (Some(_), Some(_)) => return Err(invalid("`src` and `env` exclude each other")),
        (Some(path), None) => Secret::File(readable(path, &invalid)?),
        (None, Some(variable)) => Secret::Env(variable),
        (None, None) if kind.as_deref() != Some("file") && std::env::var_os(&id).is_some() => Secret::Env(id.clone()),
        (None, None) => Secret::File(readable(id.clone(), &invalid)?),
    };
    Ok((id, secret))
}

/// A secret that is not there should be said before anything runs.
fn readable(path: String, invalid: &dyn Fn(&str) -> Error) -> Result<PathBuf> {
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(path.into()),
        Ok(_) => Err(invalid(&format!("{path} is not a file"))),
        Err(error) => Err(invalid(&format!("cannot read {path}: {error}"))),
    }
}

/// `ID[=SOCKET[,raw=true]|KEY[,KEY…]]`; without either it is the agent of `SSH_AUTH_SOCK`. **Errors**: two of one id.
pub(super) fn agents(flags: &[String]) -> Result<BTreeMap<String, SshAgent>> {
    let mut agents = BTreeMap::new();
    for flag in flags {
        let (id, agent) = agent(flag)?;
        if agents.insert(id.clone(), agent).is_some() {
            return Err(Error::Invalid(format!("--ssh {flag}: duplicate agent ID {id:?}: give each an id of its own")));
        }
    }
    Ok(agents)
}

fn agent(flag: &str) -> Result<(String, SshAgent)> {
    let invalid = |why: String| Error::Invalid(format!("--ssh {flag}: {why}"));
    let (id, fields) = flag.split_once('=').map_or((flag, None), |(id, fields)| (id, Some(fields)));
    let (mut raw, mut paths) = (false, Vec::new());
    for field in fields.into_iter().flat_map(|fields| fields.split(',')) {
        match field.strip_prefix("raw=") {
            Some("true" | "1") => raw = true,
            Some("false" | "0") => raw = false,
            Some(other) => return Err(invalid(format!("raw is true or false, not {other:?}"))),
            None => paths.push(PathBuf::from(field)),
        }
    }
    if fields.is_none() {
        paths.push(own_agent(flag)?);
    }
    let agent = if raw { SshAgent::raw(&paths) } else { SshAgent::of(&paths) };
    let id = if id.is_empty() { "default" } else { id };
    Ok((id.to_owned(), agent?))
}

fn own_agent(flag: &str) -> Result<PathBuf> {
    std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from).ok_or_else(|| {
        Error::Invalid(format!(
            "--ssh {flag}: SSH_AUTH_SOCK is not set; start an agent or name its socket, {flag}=PATH"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_secret(flag: &str, expected: &str) {
        let shown = match secret(flag) {
            Ok((id, Secret::File(path))) => format!("{id}: file {}", path.display()),
            Ok((id, Secret::Env(name))) => format!("{id}: variable {name}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{flag}");
    }

    #[test]
    fn secrets() {
        check_secret("id=a,src=/etc/passwd", "a: file /etc/passwd");
        check_secret("id=a,env=B", "a: variable B");
        check_secret("id=a,type=env,src=B", "a: variable B");
        check_secret("id=PATH", "PATH: variable PATH");
        check_secret("src=/etc/passwd", "/etc/passwd: file /etc/passwd");
    }

    #[test]
    fn secret_errors() {
        check_secret("type=env,env=B", "--secret type=env,env=B: it has no `id=`");
        check_secret("id=a,src=b,env=c", "--secret id=a,src=b,env=c: `src` and `env` exclude each other");
        check_secret("id=a,size=3", r#"--secret id=a,size=3: unknown field "size=3""#);
        check_secret("id=a,src=/", "--secret id=a,src=/: / is not a file");
        check_secret("id=a,type=x", r#"--secret id=a,type=x: there is no type "x"; there are file and env"#);
    }

    #[test]
    fn the_last_secret_of_an_id_wins() {
        let flags = ["id=a,env=B", "id=a,env=C"].map(str::to_owned);
        assert!(matches!(&super::secrets(&flags).unwrap()["a"], Secret::Env(name) if name == "C"));
    }

    #[test]
    fn two_agents_of_one_id_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let parse = |ids: [&str; 2]| super::agents(&ids.map(|id| format!("{id}={}", path.display())));
        assert_eq!(parse(["a", "b"]).unwrap().into_keys().collect::<Vec<_>>(), ["a", "b"]);
        let error = parse(["default", ""]).err().unwrap().to_string();
        assert!(error.ends_with(r#"duplicate agent ID "default": give each an id of its own"#), "{error}");
    }

    #[test]
    fn raw_sockets() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let socket = path.display();
        let parse = |flag: &str| match super::agent(flag) {
            Ok((id, agent)) => format!("{id} {}", agent.is_raw()),
            Err(error) => error.to_string(),
        };
        for (flag, expected) in [
            (format!("default={socket}"), "default false"),
            (format!("default={socket},raw=true"), "default true"),
            (format!("db=raw=1,{socket}"), "db true"),
            (format!("db=raw=yes,{socket}"), "raw is true or false, not \"yes\""),
            ("db=raw=true".to_owned(), "raw=true is for exactly one socket"),
            (format!("db=raw=true,{}", temp.path().display()), "is no socket: raw=true is for sockets"),
        ] {
            assert!(parse(&flag).ends_with(expected), "{flag}: {}", parse(&flag));
        }
    }

    #[test]
    fn directories() {
        let parse = |flag: &str| super::directories(&[flag.to_owned()]).map_err(|error| error.to_string());
        assert_eq!(parse("a=/").unwrap()["a"], PathBuf::from("/"));
        assert_eq!(parse("a").unwrap_err(), "a: expected NAME=DIR");
        assert_eq!(parse("a=/etc/passwd").unwrap_err(), "a=/etc/passwd: /etc/passwd is not a directory");
        assert!(parse("a=/nosuch").unwrap_err().starts_with("cannot open the directory /nosuch: "));
    }
}
