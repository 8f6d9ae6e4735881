//! Records such as `30 mtime=1700000000.25\n`, which stand before the header that they are about.

use std::collections::BTreeMap;
use std::io;

use super::number::decimal;
use super::{malformed, sparse};

/// Records by their keys.
pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Reads records. Of several of one key the last counts.
pub(super) fn read(mut text: &[u8]) -> io::Result<Records> {
    let mut records = Records::new();
    // An old form has the places of a sparse file in records of one key.
    let mut places: Vec<&[u8]> = Vec::new();
    while !text.is_empty() {
        let space = text.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let length: usize = decimal(&text[..space])?;
        let record = text.get(space + 1..length).ok_or_else(malformed)?;
        let record = record.strip_suffix(b"\n").ok_or_else(malformed)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        let of_text = matches!(key, b"path" | b"linkpath" | b"uname" | b"gname");
        if key.is_empty() || if of_text { value } else { key }.contains(&0) {
            return Err(malformed());
        }
        match key {
            sparse::OFFSET | sparse::BYTES => {
                if (key == sparse::OFFSET) != places.len().is_multiple_of(2) || value.contains(&b',') {
                    return Err(malformed());
                }
                places.push(value);
            }
            _ => drop(records.insert(key.to_vec(), value.to_vec())),
        }
        text = &text[length..];
    }
    if !places.is_empty() {
        records.insert(sparse::MAP.to_vec(), places.join(&b','));
    }
    Ok(records)
}

/// What is said under a key; an empty value says nothing.
pub(super) fn said<'r>(records: &'r Records, key: &[u8]) -> Option<&'r [u8]> {
    records.get(key).map(Vec::as_slice).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_key_counts() {
        let records = read(b"10 size=7\n13 mtime=1.5\n6 a=b\n8 size=\n").unwrap();
        assert_eq!(said(&records, b"mtime"), Some(&b"1.5"[..]));
        assert_eq!(said(&records, b"size"), None);
        assert_eq!(said(&records, b"uid"), None);
    }

    #[test]
    fn what_is_malformed_is_an_error() {
        for wrong in [
            "10 size=7",
            "11 size=7\n",
            "8 size=7\n",
            "size=7\n",
            "99 size=7\n",
            "10 size 7\n",
            "3 \n",
            "0 a=\n",
            "5 =a\n",
            "11 path=a\0\n",
            "6 \0=a\n",
        ] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
        assert!(read(b"11 value=\0\n").is_ok());
    }

    #[test]
    fn places_in_records_of_one_key() {
        let records =
            |text: &str| read(text.as_bytes()).ok().and_then(|records| said(&records, sparse::MAP).map(<[u8]>::to_vec));
        let (offset, bytes) = ("23 GNU.sparse.offset=4\n", "25 GNU.sparse.numbytes=2\n");
        assert_eq!(records(&format!("{offset}{bytes}{offset}{bytes}")), Some(b"4,2,4,2".to_vec()));
        assert_eq!(records(&format!("{bytes}{offset}")), None);
        assert_eq!(records(&format!("{offset}{offset}")), None);
    }
}
