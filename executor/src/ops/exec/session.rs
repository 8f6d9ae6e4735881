//! What a process is given of the user's: secrets and agents.

use crate::session::{Secret, Session, SshAgent};
use crate::{Error, Result};

/// Longest secret, in bytes; BuildKit's limit.
const MAX_SECRET: u64 = 500 << 10;

/// The agent of a mount that names none.
const DEFAULT_AGENT: &str = "default";

/// The bytes of a secret; `None` when it may be missing and is.
pub(super) fn secret(session: &Session, mount: &llb::SecretMount) -> Result<Option<Vec<u8>>> {
    if mount.id.is_empty() {
        return Err(Error::Definition("secret ID missing from mount options".into()));
    }
    read(session, &mount.id, mount.optional)
}

/// `NAME=value` of a secret in the environment. One that may be missing and is, is empty.
pub(super) fn secret_variable(session: &Session, secret: &llb::SecretEnv) -> Result<String> {
    if secret.id.is_empty() {
        return Err(Error::Definition(format!("secret ID missing for {:?} environment variable", secret.name)));
    }
    let value = read(session, &secret.id, secret.optional)?.unwrap_or_default();
    let value = String::from_utf8(value).map_err(|_| {
        Error::Invalid(format!("secret {} is no text: mount it as a file instead of a variable", secret.id))
    })?;
    Ok(format!("{}={value}", secret.name))
}

/// The agent of a mount; `None` when it may be missing and is.
pub(super) fn agent<'a>(session: &'a Session, mount: &llb::SecretMount) -> Result<Option<&'a SshAgent>> {
    let id = if mount.id.is_empty() { DEFAULT_AGENT } else { &mount.id };
    match session.ssh.get(id) {
        Some(agent) => Ok(Some(agent)),
        None if mount.optional => Ok(None),
        None if session.ssh.is_empty() => Err(Error::NotFound(format!("no SSH key {id:?} forwarded from the client"))),
        None => Err(Error::NotFound(format!("unset ssh forward key {id}"))),
    }
}

fn read(session: &Session, id: &str, optional: bool) -> Result<Option<Vec<u8>>> {
    let data = match session.secrets.get(id) {
        Some(Secret::File(path)) => read_file(id, path)?,
        Some(Secret::Env(name)) => std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec),
        None => None,
    };
    match data {
        Some(data) if data.len() as u64 > MAX_SECRET => {
            Err(Error::Invalid(format!("secret {id} too big. max size {}KiB", MAX_SECRET >> 10)))
        }
        None if !optional => Err(Error::NotFound(format!("secret {id}: not found"))),
        data => Ok(data),
    }
}

fn read_file(id: &str, path: &std::path::Path) -> Result<Option<Vec<u8>>> {
    use std::io::Read;
    let mut data = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_SECRET + 1).read_to_end(&mut data));
    read.map_err(Error::io("read the secret", format!("{id} from {}", path.display())))?;
    Ok(Some(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entry: Option<Secret>, optional: bool, want: std::result::Result<Option<&str>, &str>) {
        let secrets = entry.map(|secret| ("id".to_owned(), secret)).into_iter().collect();
        let session = Session { secrets, ..Session::default() };
        let mount = llb::SecretMount { id: "id".into(), optional, ..llb::SecretMount::default() };
        let got = secret(&session, &mount).map_err(|e| e.to_string());
        assert_eq!(got, want.map(|data| data.map(|d| d.as_bytes().to_vec())).map_err(str::to_owned));
    }

    #[test]
    fn secrets_are_read_or_missed() {
        let temp = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(temp.path(), "value").unwrap();
        check(Some(Secret::File(temp.path().into())), false, Ok(Some("value")));
        check(None, true, Ok(None));
        check(None, false, Err("secret id: not found"));
        check(Some(Secret::Env("LLBC_TEST_NO_SUCH_VARIABLE".into())), false, Err("secret id: not found"));
        std::fs::write(temp.path(), vec![b'x'; 512_001]).unwrap();
        check(Some(Secret::File(temp.path().into())), true, Err("secret id too big. max size 500KiB"));
    }

    #[test]
    fn agents_are_found_or_missed() {
        let find_for = |id: &str, ssh: &[&str], optional| {
            let ssh = ssh.iter().map(|id| (id.to_string(), SshAgent::Socket("/agent".into()))).collect();
            let mount = llb::SecretMount { id: id.into(), optional, ..llb::SecretMount::default() };
            let session = Session { ssh, ..Session::default() };
            agent(&session, &mount).map(|found| found.map(|agent| agent.socket().to_owned())).map_err(|e| e.to_string())
        };
        let find = |ssh: &[&str], optional| find_for("default", ssh, optional);
        assert_eq!(find(&["default"], false), Ok(Some("/agent".into())));
        assert_eq!(find_for("", &["default"], false), Ok(Some("/agent".into())));
        assert_eq!(find(&[], true), Ok(None));
        assert_eq!(find(&[], false), Err("no SSH key \"default\" forwarded from the client".into()));
        assert_eq!(find(&["other"], false), Err("unset ssh forward key default".into()));
    }
}
