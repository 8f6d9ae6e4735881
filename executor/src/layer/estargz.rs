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

use archive::tar::{BLOCK, Block, Head, Headed, Heads};
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
    heads: Heads,
    toc: Vec<TocEntry>,
}

/// What comes next in the tar.
enum State {
    Header,
    /// What is said of the next entry.
    Text {
        left: u64,
        pad: usize,
        bytes: Vec<u8>,
    },
    /// A file's bytes.
    File(Box<File>),
    /// Zeros up to the next block, or bytes of no interest.
    Skip(u64),
    /// The second block of zeros.
    Zeros,
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
    mode: i64,
    #[serde(skip_serializing_if = "is_zero")]
    uid: i64,
    #[serde(skip_serializing_if = "is_zero")]
    gid: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    user_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group_name: String,
    #[serde(skip_serializing_if = "is_zero")]
    offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_major: i64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_minor: i64,
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

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
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
            heads: Heads::default(),
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
            State::Header | State::Zeros => {
                let length = data.len().min(BLOCK - self.block.len());
                self.block.extend_from_slice(&data[..length]);
                self.member.extend_from_slice(&data[..length]);
                if let Ok(block) = Block::try_from(&self.block[..]) {
                    self.block.clear();
                    self.header(&block)?;
                }
                Ok(length)
            }
            State::Text { left, pad, bytes } => {
                let length = data.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                bytes.extend_from_slice(&data[..length]);
                self.member.extend_from_slice(&data[..length]);
                *left -= length as u64;
                if *left == 0 {
                    let (pad, bytes) = (*pad, std::mem::take(bytes));
                    // Nobody applies what is said of all.
                    self.heads.text(&bytes)?;
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

    fn header(&mut self, block: &Block) -> io::Result<()> {
        match (&self.state, *block == [0; BLOCK]) {
            (State::Zeros, false) => return Err(invalid("a block of zeros stands within the tar")),
            (State::Zeros, true) => self.state = State::End,
            (_, true) => self.state = State::Zeros,
            (_, false) => match self.heads.block(block)? {
                Head::Text(0) => drop(self.heads.text(&[])?),
                Head::Text(left) => {
                    self.state = State::Text { left, pad: padding(left).len(), bytes: Vec::new() };
                }
                Head::Entry(headed) => self.entry(&headed)?,
            },
        }
        Ok(())
    }

    fn entry(&mut self, headed: &Headed) -> io::Result<()> {
        let entry = entry(headed)?;
        if entry.name.trim_start_matches(['/', '.']) == TOC_NAME {
            return Err(invalid("a file of the layer has the name of the table of contents"));
        }
        self.toc.push(entry);
        match headed.stored {
            0 => self.state = State::Header,
            left => {
                self.state = State::File(Box::new(File {
                    entry: self.toc.len() - 1,
                    left,
                    pad: padding(left).len(),
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

/// The entry of the table.
fn entry(headed: &Headed) -> io::Result<TocEntry> {
    let entry = &headed.entry;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // Its pieces are what is in the tar, and the table tells of bytes of files.
    if headed.is_sparse() {
        let why = format!("{} is sparse, which eStargz has no place for; use another compression", text(&entry.name));
        return Err(invalid(&why));
    }
    let kind = match entry.kind {
        b'0' | b'7' => "reg",
        b'1' => "hardlink",
        b'2' => "symlink",
        b'3' => "char",
        b'4' => "block",
        b'5' => "dir",
        b'6' => "fifo",
        _ => return Err(invalid("an entry of the tar has a type that eStargz does not know")),
    };
    let device = if kind == "char" || kind == "block" { entry.device } else { (0, 0) };
    Ok(TocEntry {
        name: text(&entry.name),
        kind,
        size: headed.stored,
        mtime: time(entry.modified),
        link_name: if kind.ends_with("link") { text(&entry.link) } else { String::new() },
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        dev_major: device.0,
        dev_minor: device.1,
        xattrs: entry.attributes.iter().map(|(name, value)| (text(name), value.clone())).collect(),
        digest: if kind == "reg" && headed.stored == 0 { Digest::sha256(b"").to_string() } else { String::new() },
        ..TocEntry::default()
    })
}

/// A time in the table: the nearest second; nothing for the first.
fn time((seconds, nanos): (i64, u32)) -> String {
    match seconds {
        0 => String::new(),
        _ => Time::from_unix(seconds.saturating_add((nanos >= 500_000_000).into()), 0).to_string(),
    }
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

    /// An entry as other programs write them, with fields at their places; its bytes are whole blocks.
    fn foreign(kind: u8, data: &[u8], fields: &[(usize, &[u8])]) -> Vec<u8> {
        let mut header = tar::Header::new_old();
        header.set_size(data.len() as u64);
        for (at, value) in [(100, &b"0000644\0"[..]), (156, &[kind])].iter().chain(fields) {
            header.as_mut_bytes()[*at..at + value.len()].copy_from_slice(value);
        }
        header.set_cksum();
        [&header.as_bytes()[..], data, padding(data.len() as u64)].concat()
    }

    /// The entries of the table of a tar that has an end.
    fn entries(tar: &[u8]) -> serde_json::Value {
        table(&write(&[tar, &END].concat(), 512).0)["entries"].take()
    }

    fn refusal(tar: &[u8]) -> String {
        let mut stream = Estargz::new(Vec::new(), 6, Pace::at_once());
        stream.write_all(&[tar, &END].concat()).unwrap_err().to_string()
    }

    #[test]
    fn the_table_says_what_the_layer_is_unpacked_to() {
        let first = |tar: &[&[u8]], key: &str| entries(&tar.concat())[0][key].take();
        // Old programs tell directories by their names.
        assert_eq!(first(&[&foreign(0, b"", &[(0, b"d/")])], "type"), "dir");
        // Links have no bytes, whatever size they say, and of times the second is told that is nearest.
        let link = foreign(b'1', b"", &[(0, b"l"), (124, b"00000001000\0"), (157, b"f")]);
        assert_eq!(first(&[&link, &foreign(b'0', b"", &[(0, b"f")])], "linkName"), "f");
        let time = foreign(b'x', b"16 mtime=1000.5\n", &[]);
        assert_eq!(first(&[&time, &link], "modtime"), "1970-01-01T00:16:41Z");
        let before = foreign(b'x', b"13 mtime=0.5\n", &[]);
        assert_eq!(first(&[&before, &link], "modtime"), serde_json::Value::Null);
        let far: &[(usize, &[u8])] = &[(0, b"f"), (136, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff")];
        assert_eq!(first(&[&foreign(b'0', b"", far)], "modtime"), "292277026596-12-04T15:30:07Z");
        // What was said of all says nothing of the next, and takes what was said before it along.
        let (long, all) = (foreign(b'L', b"long", &[]), foreign(b'g', b"12 path=all\n", &[]));
        assert_eq!(first(&[&long, &link], "name"), "long");
        assert_eq!(first(&[&long, &all, &link], "name"), "l");
    }

    #[test]
    fn what_no_layer_may_be_is_refused() {
        let file = foreign(b'0', b"x", &[(0, b"f")]);
        let mut sum = file.clone();
        sum[0] = b'g';
        assert_eq!(refusal(&sum), "a malformed tar");
        assert_eq!(refusal(&[foreign(b'x', b"9 path=f", &[]), file.clone()].concat()), "a malformed tar");
        assert_eq!(refusal(&[foreign(b'x', b"10 size=x\n", &[]), file.clone()].concat()), "a malformed tar");
        assert_eq!(
            refusal(&[foreign(b'L', &vec![b'x'; (1 << 20) + 1], &[]), file.clone()].concat()),
            "a malformed tar"
        );
        assert_eq!(refusal(&[&[0; BLOCK][..], &file].concat()), "a block of zeros stands within the tar");
        assert_eq!(
            refusal(&foreign(b'Z', b"", &[(0, b"f")])),
            "an entry of the tar has a type that eStargz does not know"
        );
    }

    #[test]
    fn sparse_files_have_no_place() {
        let map = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n23 GNU.sparse.name=d/f\n";
        let sparse = [foreign(b'x', map, &[]), foreign(b'0', &[b'0'; BLOCK], &[(0, b"GNUSparseFile.1/f")])].concat();
        let old = foreign(b'S', b"", &[(0, b"f"), (257, b"ustar  \0")]);
        for (tar, name) in [(sparse, "d/f"), (old, "f")] {
            let expected = format!("{name} is sparse, which eStargz has no place for; use another compression");
            assert_eq!(refusal(&tar), expected);
        }
    }

    #[test]
    fn what_is_no_tar() {
        let mut stream = Estargz::new(Vec::new(), 6, Pace::at_once());
        assert!(stream.write_all(&[b'x'; BLOCK]).is_err());
        let (tar, _) = sample();
        let mut stream = Estargz::new(Vec::new(), 6, Pace::at_once());
        stream.write_all(&tar[..tar.len() - BLOCK]).unwrap();
        assert_eq!(stream.finish().err().unwrap().to_string(), "the tar has no end");
        let mut stream = Estargz::new(Vec::new(), 6, Pace::at_once());
        let mut header = Vec::new();
        write_header(&mut header, &Entry::new(TOC_NAME.as_bytes(), Kind::File)).unwrap();
        assert!(stream.write_all(&header).is_err());
    }
}
