//! Arguments that are no text: clap refuses them and does not say which.

use std::ffi::OsString;

use clap::error::ErrorKind;

/// The same error; of arguments that are not UTF-8 it says which there are, with `\xFF` for what is no text.
pub fn named(error: clap::Error, mut program: clap::Command, arguments: &[OsString]) -> clap::Error {
    if error.kind() != ErrorKind::InvalidUtf8 {
        return error;
    }
    let shown: Vec<_> =
        arguments.iter().filter(|word| word.to_str().is_none()).map(|word| format!("{word:?}")).collect();
    program.error(ErrorKind::InvalidUtf8, format!("what must be UTF-8 is not: {}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn it_is_said_which() {
        let program = clap::Command::new("x").arg(clap::Arg::new("name").num_args(0..));
        let check = |word: &[u8], expected: &str| {
            let words = [b"x".to_vec(), b"good".to_vec(), word.to_vec()].map(OsString::from_vec);
            let error = program.clone().try_get_matches_from(&words).unwrap_err();
            let error = named(error, program.clone(), &words).to_string();
            assert_eq!(error.lines().next(), Some(expected));
        };
        check(b"a\xff\"b", r#"error: what must be UTF-8 is not: "a\xFF\"b""#);
        check(b"--other", "error: unexpected argument '--other' found");
    }
}
