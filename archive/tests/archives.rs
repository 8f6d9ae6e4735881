//! Archives as programs make them: each compression, each format of tar, and what is broken.
#![allow(clippy::unwrap_used, missing_docs, clippy::disallowed_methods, clippy::disallowed_types)]

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use archive::{Format, MEMORY, decompress, newest, sniff};
use tempfile::TempDir;

const NEWEST: i64 = 1_700_000_200;

/// What `zstd -19` makes of a tar whose newest file is of [`NEWEST`].
const ZSTD: &str = "28b52ffd64000bcd0200b2430b10b0a90324827d986a2d77db67160d0119266d4b5350aace415f54545aeda1e2ceec228e33f1065aefbf\
                    88e4960f2040332e5603fd2be0afde310a9b308c0152573f75489002302130e240e1e731b9081c14603fe536b168a425";

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

/// A directory of files, the times of which are named; what lies around them is newer.
fn files(times: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, time) in times {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, name).unwrap();
        run(Command::new("touch").arg("-d").arg(format!("@{time}")).arg(path));
    }
    std::os::unix::fs::symlink("a", directory.path().join("link")).unwrap();
    run(Command::new("mkfifo").arg(directory.path().join("pipe")));
    directory
}

fn tar(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    run(Command::new("tar").arg("-C").arg(directory).args(arguments).args(["-cf", "-", "."]))
}

fn plain() -> Vec<u8> {
    tar(files(&[("a", "1700000100"), ("d/b", "1700000200")]).path(), &["--format=ustar"])
}

/// What a program makes of its input.
fn through(program: &str, arguments: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(bytes).unwrap());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program}");
        output.stdout
    })
}

fn zstd() -> Vec<u8> {
    let digits: Vec<u8> = ZSTD.bytes().map(|digit| (digit as char).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A small archive in each compression.
fn every() -> Vec<(Format, Vec<u8>)> {
    let tar = plain();
    vec![
        (Format::Gzip, through("gzip", &["-c"], &tar)),
        (Format::Bzip2, through("bzip2", &["-c"], &tar)),
        (Format::Xz, through("xz", &["-c"], &tar)),
        (Format::Zstd, zstd()),
        (Format::Plain, tar),
    ]
}

#[test]
fn every_compression() {
    for (format, bytes) in every() {
        assert_eq!(sniff(&bytes), format);
        assert_eq!(newest(&bytes[..]), Some(NEWEST), "{format:?}");
    }
}

/// Programs that work in parallel write several streams.
#[test]
fn streams_one_after_the_other_are_one() {
    let tar = plain();
    let (start, end) = tar.split_at(700);
    for (program, arguments) in
        [("gzip", &["-c"][..]), ("bzip2", &["-c"]), ("xz", &["-c"]), ("xz", &["-c", "--check=sha256"])]
    {
        let both = [through(program, arguments, start), through(program, arguments, end)].concat();
        assert_eq!(newest(&both[..]), Some(NEWEST), "{program}");
    }
    let mut text = Vec::new();
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let frames = [&skipped[..], &zstd(), &skipped, &zstd()].concat();
    decompress(&frames[..]).unwrap().read_to_end(&mut text).unwrap();
    assert_eq!(text.len() % 2, 0);
    assert!(text[..text.len() / 2] == text[text.len() / 2..] && newest(&frames[..]) == Some(NEWEST));
}

#[test]
fn every_format_of_tar() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    let directory = files(&[("a", "1700000100.75"), (&long, "1700000200.25"), ("sparse", "1700000000")]);
    let sparse = fs::File::options().write(true).open(directory.path().join("sparse")).unwrap();
    // More holes than a header has room for.
    for hole in 1..40_u64 {
        std::os::unix::fs::FileExt::write_at(&sparse, b"x", hole << 20).unwrap();
    }
    run(Command::new("touch").args(["-d", "@1700000000"]).arg(directory.path().join("sparse")));
    fs::hard_link(directory.path().join("a"), directory.path().join("hard")).unwrap();
    for arguments in [&["--format=gnu"][..], &["--format=pax"], &["--format=gnu", "-S"], &["--format=pax", "-S"]] {
        assert_eq!(newest(&tar(directory.path(), arguments)[..]), Some(NEWEST), "{arguments:?}");
    }
    for format in ["v7", "oldgnu", "ustar"] {
        let small = files(&[("a", "1700000200"), ("d/b", "5")]);
        assert_eq!(
            newest(&tar(small.path(), &[&format!("--format={format}"), "--exclude=./pipe"])[..]),
            Some(NEWEST),
            "{format}"
        );
    }
    let old = files(&[("a", "-86400.5")]);
    for (format, expected) in [("gnu", -86401), ("pax", -86401)] {
        assert_eq!(newest(&tar(old.path(), &[&format!("--format={format}")])[..]), Some(expected), "{format}");
    }
}

#[test]
fn what_is_no_archive_has_no_time() {
    let directory = files(&[]);
    assert_eq!(newest(&tar(directory.path(), &[])[..]), None, "there is no regular file");
    for bytes in [
        &b""[..],
        b"hello",
        &[0; 512],
        &[0; 2000],
        b"BZh",
        b"BZh9",
        &[0x1f, 0x8b, 8],
        &[0xfd, b'7', b'z', b'X', b'Z', 0],
    ] {
        assert_eq!(newest(bytes), None, "{bytes:?}");
        assert_eq!(newest(&through("gzip", &["-c"], bytes)[..]), None, "{bytes:?}");
    }
}

#[test]
fn what_is_cut_off_or_broken_ends() {
    for (format, bytes) in every() {
        for end in (0..bytes.len()).step_by(if format == Format::Plain { 97 } else { 1 }) {
            // The end of a tar, and that of a stream, may be missing.
            let found = newest(&bytes[..end]);
            assert!([None, Some(1_700_000_100), Some(NEWEST)].contains(&found), "{format:?} {end}: {found:?}");
        }
        for at in 0..bytes.len().min(2000) {
            for bit in [0, 3, 7] {
                let mut broken = bytes.clone();
                broken[at] ^= 1 << bit;
                newest(&broken[..]);
            }
        }
    }
}

#[test]
fn what_wants_a_gigabyte_to_be_unpacked_gets_none() {
    // A zstd frame that says its window is of 2^(10 + exponent) bytes, with one empty block.
    let zstd = |exponent: u8| vec![0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, 1, 0, 0];
    let xz = |mib: u32| through("xz", &["-c", &format!("--lzma2=dict={mib}MiB")], b"hello");
    let unpack = |bytes: Vec<u8>| decompress(&bytes[..]).unwrap().read_to_end(&mut Vec::new());
    assert_eq!(unpack(zstd(17)).unwrap(), 0, "{MEMORY} bytes");
    assert_eq!(unpack(xz(64)).unwrap(), 5, "what xz -9 wants");
    for bytes in [zstd(18), zstd(31), xz(256)] {
        let error = unpack(bytes).unwrap_err().to_string();
        assert!(error.to_lowercase().contains("memory") || error.contains("indow"), "{error}");
    }
}
