//! What the printed answers to requests share: aligned columns, and places as BuildKit writes them in JSON.

use serde::Serialize;
use serde_json::{Value, json};

/// Rows of cells, aligned: every column but the last is as wide as its widest cell and `padding` blanks more.
pub fn columns<const N: usize>(rows: &[[&str; N]], padding: usize) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0) + padding;
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if column + 1 < N {
                let blanks = widths[column] - cell.chars().count();
                out.extend(std::iter::repeat_n(' ', blanks));
            }
        }
        out.push('\n');
    }
    out
}

/// Whether a value is the one that JSON leaves out.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// First and last line of an instruction; in JSON, BuildKit's location: a range a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lines {
    /// First line, from 1.
    pub first: u32,
    /// Last line.
    pub last: u32,
}

impl From<(u32, u32)> for Lines {
    fn from((first, last): (u32, u32)) -> Self {
        Self { first, last }
    }
}

impl Serialize for Lines {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let range = |line: u32| json!({ "start": { "line": line }, "end": { "line": line } });
        let ranges: Vec<Value> = (self.first..=self.last).map(range).collect();
        json!({ "ranges": ranges }).serialize(serializer)
    }
}

/// Bytes as JSON holds them in Go: base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, b| group << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = group >> (18 - 6 * digit) & 63;
            out.push(if digit > chunk.len() { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_with_padding() {
        for (bytes, expected) in
            [(&b""[..], ""), (b"a", "YQ=="), (b"ab", "YWI="), (b"abc", "YWJj"), (b"\xff\xff\xff\0", "////AA==")]
        {
            assert_eq!(base64(bytes), expected);
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        assert_eq!(columns(&[["a", "b", "c"], ["äö", "", "d"]], 2), "a   b  c\näö     d\n");
    }

    #[test]
    fn lines_are_ranges() {
        let json = serde_json::to_string(&Lines { first: 2, last: 3 }).expect("plain data");
        let range = |line| format!(r#"{{"start":{{"line":{line}}},"end":{{"line":{line}}}}}"#);
        assert_eq!(json, format!(r#"{{"ranges":[{},{}]}}"#, range(2), range(3)));
    }
}
