//! eStargz: a gzip layer whose files can be had one by one.
//!
//! Every file's bytes (every 4 MiB of them) begin a gzip member of their own; a table of contents at the end, `TOC`, says
//! where; a footer of fixed size says where the table is. To whoever does not know that it is an ordinary gzip stream, whose
//! tar has one file more, behind its end.
//!
//! parity: BuildKit v0.32 with stargz-snapshotter's `AppendTarLossLess`: the tar is kept byte for byte, there are no
//! landmarks (the order of files is the tar's), and the diff id is that of the whole stream, table included.
//! Format: <https://github.com/containerd/stargz-snapshotter/blob/main/docs/estargz.md>

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, channel};

use oci::{Digest, Hasher, Time, base64};
use serde::{Serialize, Serializer};

use super::gzip;
use super::header::{END, Entry, Kind, padding, write_header};
use super::pace::Pace;
use super::workers::Workers;

/// Name of the table in the tar.
const TOC_NAME: &str = "stargz.index.json";
/// Bytes of a file in one member.
const CHUNK: usize = 4 << 20;
/// Bytes of a tar's blocks.
const BLOCK: usize = 512;
/// Most bytes of extended headers of one entry.
const MAX_RECORDS: usize = 8 << 20;

/// What is said of the blob beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toc {
    /// Digest of the table.
    pub digest: Digest,
    /// Digest of the uncompressed stream.
    pub diff_id: Digest,
    /// Bytes of the uncompressed stream.
    pub size: u64,
}

/// An eStargz stream being written; what is written to it is a tar.
pub(super) struct Estargz<W: Write> {
    out: W,
    level: u8,
    workers: Workers,
    waiting: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    /// Where each member that was written begins.
    offsets: Vec<u64>,
    written: u64,
    /// The member that is filled; members before it.
    member: Vec<u8>,
    members: usize,
    hasher: Hasher,
    size: u64,
    state: State,
    block: Vec<u8>,
    records: Records,
    toc: Vec<TocEntry>,
}

/// What comes next in the tar.
enum State {
    Header,
    /// Records for the next entry.
    Records {
        kind: u8,
        left: u64,
        pad: usize,
        bytes: Vec<u8>,
    },
    /// A file's bytes.
    File(Box<File>),
    /// Zeros up to the next block, or bytes of no interest.
    Skip(u64),
    /// What is behind the end.
    End,
}

/// A file whose bytes come.
struct File {
    /// Its first entry in the table.
    entry: usize,
    left: u64,
    pad: usize,
    done: u64,
    whole: Hasher,
    chunk: Hasher,
    chunk_left: u64,
}

/// What extended headers said of the next entry.
#[derive(Default)]
struct Records(BTreeMap<String, Vec<u8>>);

/// One entry of the table. Fields in the order of the format's own implementation.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct TocEntry {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(rename = "modtime", skip_serializing_if = "String::is_empty")]
    mtime: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    link_name: String,
    #[serde(skip_serializing_if = "is_zero")]
    mode: u64,
    #[serde(skip_serializing_if = "is_zero")]
    uid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    gid: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    user_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group_name: String,
    #[serde(skip_serializing_if = "is_zero")]
    offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_minor: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "base64_values")]
    xattrs: BTreeMap<String, Vec<u8>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    digest: String,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_size: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    chunk_digest: String,
    /// The member its bytes begin; its offset is known when the members before it are compressed.
    #[serde(skip)]
    member: Option<usize>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn base64_values<S: Serializer>(map: &BTreeMap<String, Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(map.iter().map(|(key, value)| (key, base64::encode(value))))
}

impl<W: Write> Estargz<W> {
    /// Starts a stream.
    pub(super) fn new(out: W, level: u8, pace: Pace) -> Self {
        Self {
            out,
            level,
            workers: Workers::start(pace),
            waiting: VecDeque::new(),
            offsets: Vec::new(),
            written: 0,
            member: Vec::new(),
            members: 0,
            hasher: Hasher::sha256(),
            size: 0,
            state: State::Header,
            block: Vec::with_capacity(BLOCK),
            records: Records::default(),
            toc: Vec::new(),
        }
    }

    /// Ends the stream: the table, the footer.
    pub(super) fn finish(mut self) -> io::Result<(W, Toc)> {
        if !matches!(self.state, State::End) {
            return Err(invalid("the tar has no end"));
        }
        self.close()?;
        while !self.waiting.is_empty() {
            self.take()?;
        }
        for entry in &mut self.toc {
            entry.offset = entry.member.map_or(0, |member| self.offsets[member]);
        }
        let mut toc = to_json(&self.toc);
        let digest = Digest::sha256(&toc);
        let start = self.written;
        let mut tar = Vec::with_capacity(toc.len() + 4 * BLOCK);
        let size = toc.len() as u64;
        write_header(&mut tar, &Entry { size, ..Entry::new(TOC_NAME.as_bytes(), Kind::File) })?;
        tar.append(&mut toc);
        tar.extend_from_slice(padding(size));
        tar.extend_from_slice(&END);
        self.hasher.update(&tar);
        self.out.write_all(&gzip::member(&tar, self.level)?)?;
        self.out.write_all(&footer(start))?;
        Ok((self.out, Toc { digest, diff_id: self.hasher.finish(), size: self.size + tar.len() as u64 }))
    }

    /// Takes some of the tar; returns how much.
    fn step(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Header => {
                let length = data.len().min(BLOCK - self.block.len());
                self.block.extend_from_slice(&data[..length]);
                self.member.extend_from_slice(&data[..length]);
                if self.block.len() == BLOCK {
                    let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
                    self.header(&block)?;
                }
                Ok(length)
            }
            State::Records { kind, left, pad, bytes } => {
                let length = data.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                bytes.extend_from_slice(&data[..length]);
                self.member.extend_from_slice(&data[..length]);
                *left -= length as u64;
                if *left == 0 {
                    let (kind, pad, bytes) = (*kind, *pad, std::mem::take(bytes));
                    self.records.read(kind, &bytes);
                    self.skip(pad as u64);
                }
                Ok(length)
            }
            State::File(_) => self.file(data),
            State::Skip(left) => {
                let length = data.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                self.member.extend_from_slice(&data[..length]);
                *left -= length as u64;
                if *left == 0 {
                    self.state = State::Header;
                }
                Ok(length)
            }
            State::End => {
                // What is behind the end is little: padding of programs that write in records.
                self.member.extend_from_slice(data);
                if self.member.len() > CHUNK {
                    self.close()?;
                }
                Ok(data.len())
            }
        }
    }

    fn skip(&mut self, bytes: u64) {
        self.state = if bytes == 0 { State::Header } else { State::Skip(bytes) };
    }

    fn header(&mut self, block: &[u8]) -> io::Result<()> {
        if block.iter().all(|byte| *byte == 0) {
            self.state = State::End;
            return Ok(());
        }
        let header = tar::Header::from_byte_slice(block);
        let kind = block[156];
        let size = header.entry_size()?;
        if matches!(kind, b'x' | b'g' | b'L' | b'K') {
            if size > MAX_RECORDS as u64 {
                return Err(invalid("an extended header of the tar is too long"));
            }
            let pad = padding(size).len();
            match size {
                0 => self.skip(0),
                _ => self.state = State::Records { kind, left: size, pad, bytes: Vec::new() },
            }
            return Ok(());
        }
        let records = std::mem::take(&mut self.records);
        let (entry, size) = entry(header, &records, kind)?;
        if entry.name.trim_start_matches(['/', '.']) == TOC_NAME {
            return Err(invalid("a file of the layer has the name of the table of contents"));
        }
        let is_file = entry.kind == "reg" && size > 0;
        self.toc.push(entry);
        match is_file {
            false => self.skip(size.next_multiple_of(BLOCK as u64)),
            true => {
                self.state = State::File(Box::new(File {
                    entry: self.toc.len() - 1,
                    left: size,
                    pad: padding(size).len(),
                    done: 0,
                    whole: Hasher::sha256(),
                    chunk: Hasher::sha256(),
                    chunk_left: 0,
                }));
            }
        }
        Ok(())
    }

    fn file(&mut self, data: &[u8]) -> io::Result<usize> {
        let State::File(mut file) = std::mem::replace(&mut self.state, State::Header) else { return Ok(0) };
        if file.chunk_left == 0 {
            // The next chunk, in a member of its own.
            file.chunk_left = file.left.min(CHUNK as u64);
            self.close()?;
            self.begin_chunk(&file);
        }
        let length = data.len().min(usize::try_from(file.chunk_left).unwrap_or(usize::MAX));
        let data = &data[..length];
        file.whole.update(data);
        file.chunk.update(data);
        self.member.extend_from_slice(data);
        file.chunk_left -= length as u64;
        file.left -= length as u64;
        file.done += length as u64;
        if file.chunk_left == 0 {
            let digest = std::mem::replace(&mut file.chunk, Hasher::sha256()).finish();
            self.toc.last_mut().expect("its entry was made").chunk_digest = digest.to_string();
        }
        if file.left > 0 {
            self.state = State::File(file);
            return Ok(length);
        }
        self.toc[file.entry].digest = file.whole.finish().to_string();
        self.skip(file.pad as u64);
        Ok(length)
    }

    /// Notes where a part of a file begins: in the file's own entry, or in one more.
    fn begin_chunk(&mut self, file: &File) {
        if file.done > 0 {
            let name = self.toc[file.entry].name.clone();
            self.toc.push(TocEntry { name, kind: "chunk", ..TocEntry::default() });
        }
        let entry = self.toc.last_mut().expect("there is at least the file's");
        entry.member = Some(self.members);
        entry.chunk_offset = file.done;
        // Not said of a last, shorter part.
        entry.chunk_size = if file.left < CHUNK as u64 { 0 } else { CHUNK as u64 };
    }

    /// Ends the member that is filled.
    fn close(&mut self) -> io::Result<()> {
        if self.member.is_empty() {
            return Ok(());
        }
        self.members += 1;
        let (done, result) = channel();
        let (member, level) = (std::mem::take(&mut self.member), self.level);
        self.hasher.update(&member);
        self.size += member.len() as u64;
        self.waiting.push_back(result);
        // A receiver that is gone wants nothing any more.
        self.workers.submit(move || drop(done.send(gzip::member(&member, level))))?;
        while self.waiting.len() > self.workers.ahead() {
            self.take()?;
        }
        Ok(())
    }

    /// Writes the oldest member.
    fn take(&mut self) -> io::Result<()> {
        let Some(result) = self.waiting.pop_front() else { return Ok(()) };
        let bytes = result.recv().map_err(|_| io::Error::other("a compressing thread has ended"))??;
        self.offsets.push(self.written);
        self.written += bytes.len() as u64;
        self.out.write_all(&bytes)
    }
}

impl<W: Write> Write for Estargz<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.is_empty() { Ok(0) } else { self.step(data) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Records {
    fn read(&mut self, kind: u8, bytes: &[u8]) {
        let text = || bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        match kind {
            b'L' => drop(self.0.insert("path".into(), text())),
            b'K' => drop(self.0.insert("linkpath".into(), text())),
            b'x' => {
                let records = tar::PaxExtensions::new(bytes).flatten();
                let pairs = records.map(|record| {
                    (String::from_utf8_lossy(record.key_bytes()).into_owned(), record.value_bytes().to_vec())
                });
                self.0.extend(pairs);
            }
            // Global records say nothing of files.
            _ => {}
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.text(key)?.parse().ok()
    }
}

/// The entry of the table, and the bytes that follow in the tar.
fn entry(header: &tar::Header, records: &Records, kind: u8) -> io::Result<(TocEntry, u64)> {
    let kind = match kind {
        b'0' | 0 | b'7' => "reg",
        b'1' => "hardlink",
        b'2' => "symlink",
        b'3' => "char",
        b'4' => "block",
        b'5' => "dir",
        b'6' => "fifo",
        _ => return Err(invalid("an entry of the tar has a type that eStargz does not know")),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let follows = records.number("size").map_or_else(|| header.entry_size(), Ok)?;
    let is_device = kind == "char" || kind == "block";
    let device = |part: io::Result<Option<u32>>| part.ok().flatten().filter(|_| is_device).map_or(0, u64::from);
    let seconds = records.text("mtime").and_then(|text| text.split('.').next()?.parse().ok());
    let link = header.link_name_bytes().map(|bytes| text(&bytes)).unwrap_or_default();
    let xattrs = records
        .0
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("SCHILY.xattr.")?.to_owned(), value.clone())));
    let entry = TocEntry {
        name: records.text("path").unwrap_or_else(|| text(&header.path_bytes())),
        kind,
        size: if kind == "reg" { follows } else { 0 },
        mtime: match seconds.map_or_else(|| header.mtime().map(|time| time as i64), Ok)? {
            0 => String::new(),
            seconds => Time::from_unix(seconds, 0).to_string(),
        },
        link_name: if kind.ends_with("link") { records.text("linkpath").unwrap_or(link) } else { String::new() },
        mode: header.mode()?.into(),
        uid: records.number("uid").map_or_else(|| header.uid(), Ok)?,
        gid: records.number("gid").map_or_else(|| header.gid(), Ok)?,
        dev_major: device(header.device_major()),
        dev_minor: device(header.device_minor()),
        xattrs: xattrs.collect(),
        digest: if kind == "reg" && follows == 0 { Digest::sha256(b"").to_string() } else { String::new() },
        ..TocEntry::default()
    };
    Ok((entry, if kind == "reg" { follows } else { 0 }))
}

/// The table, as its own implementation lays it out.
fn to_json(entries: &[TocEntry]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Table<'a> {
        version: u32,
        entries: &'a [TocEntry],
    }
    let mut json = Vec::new();
    let layout = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut to = serde_json::Serializer::with_formatter(&mut json, layout);
    Table { version: 1, entries }.serialize(&mut to).expect("plain data has a JSON form");
    json
}

/// An empty gzip member of 51 bytes whose extra field says where the table begins.
fn footer(start: u64) -> Vec<u8> {
    let place = format!("{start:016x}STARGZ");
    let mut bytes = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff];
    let length = place.len() as u16;
    bytes.extend_from_slice(&(length + 4).to_le_bytes());
    bytes.extend_from_slice(b"SG");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(place.as_bytes());
    // An empty stored block, then the checksum and length of nothing.
    bytes.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    bytes.extend_from_slice(&[0; 8]);
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Reads one file of a blob the way a lazy reader does: footer, table, one range.
    fn read(blob: &[u8], name: &str) -> Vec<u8> {
        let table = table(blob);
        let entries = table["entries"].as_array().unwrap();
        let offsets = entries.iter().filter_map(|entry| entry["offset"].as_u64());
        let mut out = Vec::new();
        for entry in entries.iter().filter(|entry| entry["name"] == name) {
            let start = entry["offset"].as_u64().unwrap();
            let end = offsets.clone().filter(|offset| *offset > start).min().unwrap_or_else(|| toc_start(blob));
            let mut data = Vec::new();
            flate2::read::GzDecoder::new(&blob[start as usize..end as usize]).read_to_end(&mut data).unwrap();
            let file = entries.iter().find(|entry| entry["name"] == name).unwrap();
            let left = file["size"].as_u64().unwrap() as usize - out.len();
            let said = entry["chunkSize"].as_u64().map_or(left, |size| size as usize);
            let data = &data[..said];
            assert_eq!(entry["chunkDigest"], Digest::sha256(data).as_str());
            assert_eq!(entry["chunkOffset"].as_u64().unwrap_or(0), out.len() as u64);
            out.extend_from_slice(data);
        }
        let file = entries.iter().find(|entry| entry["name"] == name).unwrap();
        assert_eq!(file["digest"], Digest::sha256(&out).as_str());
        out
    }

    fn toc_start(blob: &[u8]) -> u64 {
        let footer = &blob[blob.len() - 51..];
        assert_eq!(
            (&footer[..4], &footer[12..14], &footer[32..38]),
            (&[0x1f, 0x8b, 8, 4][..], &b"SG"[..], &b"STARGZ"[..])
        );
        u64::from_str_radix(std::str::from_utf8(&footer[16..32]).unwrap(), 16).unwrap()
    }

    fn table(blob: &[u8]) -> serde_json::Value {
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(&blob[toc_start(blob) as usize..]).read_to_end(&mut tar).unwrap();
        let mut archive = tar::Archive::new(&*tar);
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(&*entry.path_bytes(), TOC_NAME.as_bytes());
        let mut text = Vec::new();
        entry.read_to_end(&mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    fn sample() -> (Vec<u8>, Vec<u8>) {
        let big: Vec<u8> = (0..(CHUNK as u32 * 2 + 1000) / 4).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let mut tar = Vec::new();
        let mut put = |entry: &Entry<'_>, data: &[u8]| {
            write_header(&mut tar, entry).unwrap();
            tar.extend_from_slice(data);
            tar.extend_from_slice(padding(data.len() as u64));
        };
        let file = |name: &'static [u8], size: usize| Entry {
            mode: 0o644,
            mtime: 7,
            size: size as u64,
            ..Entry::new(name, Kind::File)
        };
        put(&Entry { mode: 0o755, ..Entry::new(b"d/", Kind::Dir) }, b"");
        put(&file(b"d/small", 5), b"hello");
        put(&file(b"empty", 0), b"");
        let xattrs = [(b"security.capability".to_vec(), vec![1, 2])].into();
        put(&Entry { xattrs, uid: 3_000_000, ..file(b"big", big.len()) }, &big);
        put(&Entry { link: b"d/small", ..Entry::new(b"link", Kind::Symlink) }, b"");
        put(&file(b"last", 3), b"end");
        tar.extend_from_slice(&END);
        (tar, big)
    }

    fn write(tar: &[u8], piece: usize) -> (Vec<u8>, Toc) {
        let mut stream = Estargz::new(Vec::new(), 6, Pace::at_once());
        tar.chunks(piece).for_each(|part| stream.write_all(part).unwrap());
        stream.finish().unwrap()
    }

    #[test]
    fn every_file_can_be_had_alone() {
        let (tar, big) = sample();
        let (blob, toc) = write(&tar, 1000);
        assert_eq!(read(&blob, "d/small"), b"hello");
        assert_eq!(read(&blob, "big"), big);
        assert_eq!(read(&blob, "last"), b"end");
        let table = table(&blob);
        let entries = table["entries"].as_array().unwrap();
        let kinds: Vec<_> = entries.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["dir", "reg", "reg", "reg", "chunk", "chunk", "symlink", "reg"]);
        assert_eq!(
            (&entries[3]["uid"], &entries[3]["xattrs"]["security.capability"]),
            (&3_000_000.into(), &"AQI=".into())
        );
        assert_eq!(
            (&entries[1]["modtime"], &entries[6]["linkName"]),
            (&"1970-01-01T00:00:07Z".into(), &"d/small".into())
        );
        assert_eq!(toc.digest, Digest::sha256(&to_json_of(&blob)));
    }

    fn to_json_of(blob: &[u8]) -> Vec<u8> {
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(&blob[toc_start(blob) as usize..]).read_to_end(&mut tar).unwrap();
        let size = tar::Header::from_byte_slice(&tar[..BLOCK]).entry_size().unwrap() as usize;
        tar[BLOCK..BLOCK + size].to_vec()
    }

    #[test]
    fn it_is_a_gzip_stream_of_the_same_tar() {
        let (tar, _) = sample();
        let (blob, toc) = write(&tar, 1 << 20);
        let mut whole = Vec::new();
        flate2::read::MultiGzDecoder::new(&*blob).read_to_end(&mut whole).unwrap();
        assert!(whole.starts_with(&tar));
        assert_eq!((toc.diff_id, toc.size), (Digest::sha256(&whole), whole.len() as u64));
        // In whatever pieces it comes.
        assert!(write(&tar, 77).0 == blob);
    }

    #[test]
    fn what_is_no_tar() {
        let mut stream = Estargz::new(Vec::new(), 6, Pace::at_once());
        assert!(stream.write_all(&[b'x'; BLOCK]).is_err());
        let (tar, _) = sample();
        let mut stream = Estargz::new(Vec::new(), 6, Pace::at_once());
        stream.write_all(&tar[..tar.len() - 2 * BLOCK]).unwrap();
        assert_eq!(stream.finish().err().unwrap().to_string(), "the tar has no end");
        let mut stream = Estargz::new(Vec::new(), 6, Pace::at_once());
        let mut header = Vec::new();
        write_header(&mut header, &Entry::new(TOC_NAME.as_bytes(), Kind::File)).unwrap();
        assert!(stream.write_all(&header).is_err());
    }
}
