//! Source files and positions in them.
//!
//! A position is a byte offset ([`Span`]); lines and columns are derived where a person or a machine reads them.

use std::sync::Arc;

/// Which of the [`Sources`] a span points into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct FileId(pub u32);

/// A half-open range of bytes in one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Span {
    /// The file the range lies in.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range `start..end` of `file`.
    pub const fn new(file: FileId, start: u32, end: u32) -> Self {
        Self { file, start, end }
    }

    /// The smallest span that covers both; both must be of one file.
    pub fn to(self, end: Self) -> Self {
        Self { file: self.file, start: self.start.min(end.start), end: self.end.max(end.end) }
    }
}

/// One source text: what was read and the name it is shown under.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name to show, as the user typed it (`Dockerfile`, `-`).
    pub name: String,
    /// The bytes as read. They need not be UTF-8: a Dockerfile may hold anything.
    pub bytes: Arc<[u8]>,
    /// Where its lines start.
    pub lines: LineIndex,
}

impl Source {
    /// Takes a text under the name it is shown by.
    pub fn new(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let lines = LineIndex::new(&bytes);
        Self { name: name.into(), bytes, lines }
    }
}

/// All texts of one compilation; [`FileId`] is the index.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl FromIterator<Source> for Sources {
    fn from_iter<T: IntoIterator<Item = Source>>(files: T) -> Self {
        Self { files: files.into_iter().collect() }
    }
}

impl Sources {
    /// Adds a text and returns its id.
    pub fn add(&mut self, source: Source) -> FileId {
        self.files.push(source);
        FileId(u32::try_from(self.files.len() - 1).expect("fewer than 2^32 source files"))
    }

    /// The text of an id that [`Sources::add`] returned, or the listing of primitives.
    pub fn get(&self, file: FileId) -> &Source {
        if file == crate::builtin::FILE { &crate::builtin::LISTING } else { &self.files[file.0 as usize] }
    }
}

/// A position for people: both count from 1, columns in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LineColumn {
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
}

/// Bytes that lines have at least, of most texts: room to start with.
const TYPICAL_LINE: usize = 16;

/// The byte offset of every line start.
#[derive(Clone, Debug)]
pub struct LineIndex {
    starts: Vec<u32>,
}

impl LineIndex {
    /// Finds the line starts of `bytes`; `\n` alone ends a line.
    pub fn new(bytes: &[u8]) -> Self {
        let mut starts = Vec::with_capacity(bytes.len() / TYPICAL_LINE + 4);
        starts.push(0);
        starts.extend(memchr::memchr_iter(b'\n', bytes).map(|at| at as u32 + 1));
        Self { starts }
    }

    /// The line (from 1) that holds `offset`.
    pub fn line(&self, offset: u32) -> u32 {
        self.starts.partition_point(|start| *start <= offset) as u32
    }

    /// Line and column of `offset`.
    pub fn position(&self, offset: u32) -> LineColumn {
        let line = self.line(offset);
        LineColumn { line, column: offset - self.starts[line as usize - 1] + 1 }
    }

    /// The first byte of `line` (from 1), if there is such a line.
    pub fn start_of(&self, line: u32) -> Option<u32> {
        self.starts.get((line as usize).checked_sub(1)?).copied()
    }

    /// First and last line (from 1) that a span touches; an empty span touches one.
    pub fn lines_of(&self, span: Span) -> (u32, u32) {
        let last = if span.end > span.start { span.end - 1 } else { span.start };
        (self.line(span.start), self.line(last))
    }
}
