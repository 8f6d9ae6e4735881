//! Standard input of `llbc build -`: a build file, or an archive that is the context, as `docker build -` has it.
//!
//! Docker's client tells the two by the first bytes (archives of tar, as they are or in gzip, bzip2 or xz), and offers an
//! archive to the builder at an address of the session, where it is unpacked like one from the web. zstd, which
//! BuildKit v0.32 does not take for an archive there, is unpacked on the way in.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::sync::Arc;

use compiler::plan;
use executor::layer::{Format, decompress, sniff};
use executor::text;

use crate::failure::{Failure, Result};

/// Bytes at the start that tell an archive: a header of tar.
const START: u64 = 512;

/// Where archives of a session are: the host that BuildKit's clients name.
const SESSION: &str = "http://buildkit-session/";

/// What came.
#[derive(Debug)]
pub(crate) enum Piped {
    /// A build file.
    Text(Vec<u8>),
    /// An archive.
    Archive(Upload),
}

/// A file that the build may read at an address of its own.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    /// The address: the same for the same bytes.
    pub(crate) address: String,
    /// The bytes, in a file without a name: it is gone when the process is.
    pub(crate) file: Arc<File>,
}

/// Reads a whole build file.
pub(crate) fn text() -> Result<Vec<u8>> {
    text::all(open()?, text::LONGEST).map_err(failed)
}

/// Reads whatever comes.
pub(crate) fn read() -> Result<Piped> {
    tell(Box::new(open()?))
}

fn open() -> Result<io::Stdin> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::usage(
            "standard input is a terminal",
            "pipe a build file or an archive in, or name one".to_owned(),
        ));
    }
    Ok(stdin)
}

fn failed(error: io::Error) -> Failure {
    Failure::io("read", "standard input")(error)
}

fn tell(mut stream: Box<dyn Read + Send>) -> Result<Piped> {
    let mut start = Vec::new();
    stream.by_ref().take(START).read_to_end(&mut start).map_err(failed)?;
    let is_zstd = sniff(&start) == Format::Zstd;
    if !is_zstd && !plan::is_archive(&start) {
        let text = text::all(io::Cursor::new(start).chain(stream), text::LONGEST);
        return text.map(Piped::Text).map_err(failed);
    }
    let whole = Box::new(io::Cursor::new(start).chain(stream));
    let mut whole: Box<dyn Read> = if is_zstd { decompress(whole).map_err(Failure::Build)? } else { whole };
    keep(&mut whole).map(Piped::Archive).map_err(failed)
}

/// Writes the bytes down, for they are read more than once.
fn keep(bytes: &mut dyn Read) -> io::Result<Upload> {
    let mut file = tempfile::tempfile()?;
    let mut hasher = oci::Hasher::sha256();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let length = bytes.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        hasher.update(&buffer[..length]);
        file.write_all(&buffer[..length])?;
    }
    Ok(Upload { address: format!("{SESSION}{}", hasher.finish().hex()), file: Arc::new(file) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        let shown = match tell(Box::new(io::Cursor::new(bytes.to_vec()))).unwrap() {
            Piped::Text(bytes) => String::from_utf8(bytes).unwrap(),
            Piped::Archive(upload) => format!("archive of {}", upload.file.metadata().unwrap().len()),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_build_file_without_an_end() {
        let Err(Failure::Message(error)) = tell(Box::new(io::repeat(0))) else { panic!("no error") };
        assert_eq!(error.text, "cannot read standard input: it is longer than 64 MiB");
    }

    #[test]
    fn archives_and_build_files() {
        check(b"FROM scratch\n", "FROM scratch\n");
        check(b"", "");
        check(&[b"# ".repeat(400), b"FROM a".to_vec()].concat(), &format!("{}FROM a", "# ".repeat(400)));
        check(b"\x1f\x8b\x08 and so on", "archive of 13");
        let empty_zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x19, 0x00, 0x00, 0x61, 0x62, 0x63];
        check(&empty_zstd, "archive of 3");
    }
}
