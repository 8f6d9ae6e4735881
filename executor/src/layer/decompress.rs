//! The bytes of layers and archives, whichever way they are compressed: at the pace of the C libraries and of programs that run
//! beside us, unlike those of the crate `archive`, which has to be small.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

pub use archive::{Format, sniff};

use crate::{Error, Result};

/// The bytes behind a stream, whichever way it is compressed. bzip2 and xz go through the programs of these names where they
/// are installed.
pub fn decompress(stream: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
    let mut stream = BufReader::with_capacity(256 << 10, stream);
    let format = sniff(stream.fill_buf().map_err(Error::io("read", "a compressed stream"))?);
    Ok(match format {
        Format::Plain => Box::new(stream),
        Format::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
        Format::Zstd => Box::new(
            zstd::stream::read::Decoder::with_buffer(stream).map_err(Error::io("decompress", "a zstd stream"))?,
        ),
        Format::Bzip2 => through("bzip2", stream)?,
        Format::Xz => through("xz", stream)?,
    })
}

/// The bytes behind a stream that a program unpacks, or, where there is no such program, we do.
fn through(name: &'static str, stream: impl Read + Send + 'static) -> Result<Box<dyn Read + Send>> {
    match Program::start(name) {
        Ok(child) => Ok(Box::new(Program::fed(name, child, stream))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            archive::decompress(stream).map_err(Error::io("decompress", "a stream"))
        }
        Err(error) => Err(Error::Unsupported {
            what: format!("unpacking {name}"),
            why: format!("the program {name} cannot be run ({error}); mend or remove it, or use gzip or zstd"),
        }),
    }
}

/// The output of a program that is called as `NAME -dc`.
struct Program {
    name: &'static str,
    child: Child,
    output: ChildStdout,
    feeder: Option<JoinHandle<io::Result<()>>>,
}

impl Program {
    fn start(name: &str) -> io::Result<Child> {
        let mut command = Command::new(name);
        command.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn()
    }

    /// What comes out of one that was just started, which gets the whole of a stream.
    fn fed(name: &'static str, mut child: Child, mut stream: impl Read + Send + 'static) -> Self {
        let mut input = child.stdin.take().expect("it was asked for");
        let output = child.stdout.take().expect("it was asked for");
        let feed = move || match io::copy(&mut stream, &mut input) {
            // A program that refuses its input says why itself.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        };
        Self { name, child, output, feeder: Some(std::thread::spawn(feed)) }
    }

    /// At the end of the output: whether it is the whole of it.
    fn finish(&mut self) -> io::Result<()> {
        let Some(feeder) = self.feeder.take() else { return Ok(()) };
        feeder.join().expect("copying does not panic")?;
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut text)?;
        }
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("{} -dc: {}", self.name, text.trim()))) }
    }
}

impl Read for Program {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.output.read(buffer)?;
        if length == 0 && !buffer.is_empty() {
            self.finish()?;
        }
        Ok(length)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail when it has ended already; the feeder ends with its pipe.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn through_program(program: &str, data: &[u8]) -> Vec<u8> {
        let mut child = Command::new(program).arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(data).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    #[test]
    fn formats_that_programs_unpack() {
        for (program, format) in [("bzip2", Format::Bzip2), ("xz", Format::Xz), ("gzip", Format::Gzip)] {
            let bytes = through_program(program, b"hello");
            assert_eq!(sniff(&bytes), format);
            let mut back = String::new();
            decompress(Box::new(io::Cursor::new(bytes))).unwrap().read_to_string(&mut back).unwrap();
            assert_eq!(back, "hello", "{program}");
        }
    }

    #[test]
    fn formats_whose_programs_are_missing() {
        for program in ["bzip2", "xz"] {
            let bytes = through_program(program, &b"hello".repeat(100_000));
            let mut back = Vec::new();
            through("no-such-program", io::Cursor::new(bytes.clone())).unwrap().read_to_end(&mut back).unwrap();
            assert_eq!(back.len(), 500_000, "{program}");
            let cut = io::Cursor::new(bytes[..bytes.len() - 8].to_vec());
            let cut = through("no-such-program", cut).unwrap().read_to_end(&mut Vec::new());
            assert!(cut.is_err(), "{program}: {cut:?}");
        }
    }

    #[test]
    fn broken_input_is_an_error_of_the_program() {
        let mut bytes = through_program("xz", b"hello");
        bytes.truncate(20);
        let mut stream = decompress(Box::new(io::Cursor::new(bytes))).unwrap();
        let error = io::copy(&mut stream, &mut io::sink()).unwrap_err().to_string();
        assert!(error.starts_with("xz -dc: "), "{error}");
    }

    #[test]
    fn a_stream_that_wants_a_gigabyte_to_be_unpacked_gets_none() {
        // A zstd frame that says its window is of 2^(10 + exponent) bytes, with one empty block.
        let with_window = |exponent: u8| vec![0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, 1, 0, 0];
        let unpack = |bytes: Vec<u8>| {
            let mut stream = decompress(Box::new(io::Cursor::new(bytes))).unwrap();
            io::copy(&mut stream, &mut io::sink()).map_err(|error| error.to_string())
        };
        assert_eq!(unpack(with_window(17)), Ok(0), "128 MiB, the most that the tools use");
        for exponent in [18, 20, 31] {
            let error = unpack(with_window(exponent)).unwrap_err();
            assert!(error.contains("memory"), "{exponent}: {error}");
        }
    }

    #[test]
    fn short_and_plain_streams() {
        for data in [&b""[..], b"B", b"hello"] {
            assert_eq!(sniff(data), Format::Plain);
        }
    }
}
