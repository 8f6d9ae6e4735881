//! The agent for key files, as OpenSSH's own programs see it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::SshAgent;

/// Makes a key; returns its file.
fn key(directory: &Path, name: &str, options: &[&str]) -> PathBuf {
    let file = directory.join(name);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-C", "", "-f"]).arg(&file).args(options);
    assert!(command.status().expect("openssh-client is installed").success());
    file
}

fn with_agent(agent: &SshAgent, command: &mut Command) -> (bool, String) {
    let output = command.env("SSH_AUTH_SOCK", agent.socket()).stdin(Stdio::null()).output().unwrap();
    (
        output.status.success(),
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
    )
}

#[test]
fn keys_of_every_kind_are_listed_and_sign() {
    let temp = tempfile::tempdir().unwrap();
    let kinds: [(&str, &[&str]); 6] = [
        ("ed25519", &["-t", "ed25519", "-N", ""]),
        ("rsa", &["-t", "rsa", "-b", "2048", "-N", ""]),
        ("rsa-pem", &["-t", "rsa", "-b", "2048", "-N", "", "-m", "PEM"]),
        ("rsa-pkcs8", &["-t", "rsa", "-b", "3072", "-N", "", "-m", "PKCS8"]),
        ("p256", &["-t", "ecdsa", "-b", "256", "-N", ""]),
        ("p384", &["-t", "ecdsa", "-b", "384", "-N", ""]),
    ];
    let files: Vec<PathBuf> = kinds.iter().map(|(name, options)| key(temp.path(), name, options)).collect();
    let agent = SshAgent::of(&files).unwrap();
    let (_, listed) = with_agent(&agent, Command::new("ssh-add").arg("-L"));
    for (file, listed) in files.iter().zip(listed.lines()) {
        let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
        assert_eq!(listed.trim_end(), public.trim_end(), "the name of the file is not told");
        // Without the private half on disk, only the agent can sign.
        std::fs::remove_file(file).unwrap();
        let text = temp.path().join("text");
        std::fs::write(&text, "signed").unwrap();
        let public = file.with_extension("pub");
        let (signed, said) = with_agent(
            &agent,
            Command::new("ssh-keygen").args(["-Y", "sign", "-n", "test", "-f"]).arg(public).arg(&text),
        );
        assert!(signed, "{}: {said}", file.display());
        let signature = temp.path().join("text.sig");
        let mut check = Command::new("ssh-keygen");
        check.args(["-Y", "check-novalidate", "-n", "test", "-s"]).arg(&signature);
        let good = check.stdin(std::fs::File::open(&text).unwrap()).output().unwrap();
        assert!(good.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&good.stderr));
        std::fs::remove_file(&signature).unwrap();
    }
    assert_eq!(listed.lines().count(), files.len(), "{listed}");
    let (removed, _) = with_agent(&agent, Command::new("ssh-add").arg("-D"));
    assert!(!removed, "an agent for reading lets keys be removed");
}

#[test]
fn keys_with_a_passphrase_and_other_files_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let locked = key(temp.path(), "locked", &["-t", "ed25519", "-N", "secret"]);
    let error = SshAgent::of(std::slice::from_ref(&locked)).err().unwrap().to_string();
    assert!(error.contains("locked: it has a passphrase") && error.contains("ssh-add"), "{error}");
    let public = SshAgent::of(&[locked.with_extension("pub")]).err().unwrap().to_string();
    assert!(public.ends_with("it is no private key"), "{public}");
    let kind = key(temp.path(), "p521", &["-t", "ecdsa", "-b", "521", "-N", ""]);
    let error = SshAgent::of(&[kind]).err().unwrap().to_string();
    assert!(error.contains("not supported"), "{error}");
    assert!(SshAgent::of(&[temp.path().join("none")]).err().unwrap().to_string().contains("none"));
}

#[test]
fn nothing_is_left_in_any_directory() {
    let temp = tempfile::tempdir().unwrap();
    let agent = SshAgent::of(&[key(temp.path(), "key", &["-t", "ed25519", "-N", ""])]).unwrap();
    let own = format!("llbc-agent-{}-", std::process::id());
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    assert!(!left.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(&own)));
    let socket = agent.socket().to_owned();
    drop(agent);
    assert!(std::os::unix::net::UnixStream::connect(socket).is_err());
}
