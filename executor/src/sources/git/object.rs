//! Commits and annotated tags as git stores them: what their ids are of, and what of them is signed.
//!
//! A commit has its signature in a header, one for each hash of ids, whose further lines begin with a blank; signed is all
//! the rest without the headers of either. A tag has it at its end. This is git's own reading (`commit.c`,
//! `gpg-interface.c`), which BuildKit's agrees with on all that git writes.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

use crate::sources::signature::{PGP, SSH};

/// Length of an id by SHA-256, in digits.
const LONG: usize = 64;
/// Headers of signatures: in repositories of SHA-1 and of SHA-256.
const HEADERS: [&str; 2] = ["gpgsig", "gpgsig-sha256"];
/// How signatures at the end of tags begin.
const BEGINNINGS: [&str; 4] = [PGP, SSH, "-----BEGIN PGP MESSAGE-----", "-----BEGIN SIGNED MESSAGE-----"];

/// An object, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Signed {
    /// What the signature is of.
    pub(super) payload: Vec<u8>,
    /// Empty: it is not signed.
    pub(super) signature: Vec<u8>,
}

/// The id of an object of a kind (`commit`, `tag`), by the hash of another id.
pub(super) fn id(kind: &str, raw: &[u8], like: &str) -> String {
    let algorithm = if like.len() == LONG { &SHA256 } else { &SHA1_FOR_LEGACY_USE_ONLY };
    let header = format!("{kind} {}\0", raw.len());
    let hashed = digest(algorithm, &[header.as_bytes(), raw].concat());
    hashed.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A commit with this id.
pub(super) fn commit(raw: &[u8], id: &str) -> Signed {
    without_headers(raw, HEADERS[usize::from(id.len() == LONG)])
}

/// An annotated tag.
pub(super) fn tag(raw: &[u8]) -> Signed {
    let begins = |line: &[u8]| BEGINNINGS.iter().any(|beginning| line.starts_with(beginning.as_bytes()));
    let starts = raw.split_inclusive(|byte| *byte == b'\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line))
    });
    match starts.filter(|(_, line)| begins(line)).last() {
        Some((start, _)) => {
            Signed { signature: raw[start..].to_owned(), payload: without_headers(&raw[..start], "").payload }
        }
        None => Signed { payload: raw.to_owned(), signature: Vec::new() },
    }
}

/// Takes the headers of signatures out; that of one name is the signature.
fn without_headers(raw: &[u8], wanted: &str) -> Signed {
    let mut signed = Signed::default();
    let mut rest = raw;
    // The header that lines beginning with a blank go on with, if it is one of signatures.
    let mut within = None;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n').filter(|end| *end > 0) {
        let (line, after) = rest.split_at(end + 1);
        rest = after;
        let (name, value) = match within {
            Some(name) if line[0] == b' ' => (Some(name), &line[1..]),
            _ => {
                let space = line.iter().position(|byte| *byte == b' ').unwrap_or(0);
                (HEADERS.into_iter().find(|header| header.as_bytes() == &line[..space]), &line[space + 1..])
            }
        };
        within = name;
        match name {
            None => signed.payload.extend_from_slice(line),
            Some(name) if name == wanted => signed.signature.extend_from_slice(value),
            Some(_) => {}
        }
    }
    signed.payload.extend_from_slice(rest);
    signed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(signed: &Signed, payload: &str, signature: &str) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();
        assert_eq!((text(&signed.payload), text(&signed.signature)), (payload.to_owned(), signature.to_owned()));
    }

    const SHORT_ID: &str = "0000000000000000000000000000000000000000";
    const LONG_ID: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    #[test]
    fn ids() {
        // Of git's own test suite: the empty tree would be `4b825dc6…`.
        assert_eq!(id("tree", b"", SHORT_ID), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
        assert_eq!(id("tree", b"", LONG_ID), "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321");
    }

    #[test]
    fn commits() {
        let raw = "tree 1\nparent 2\nauthor me\ngpgsig a\n b\n \n c\nencoding x\n\ntext\ngpgsig no\n -----\n";
        let payload = "tree 1\nparent 2\nauthor me\nencoding x\n\ntext\ngpgsig no\n -----\n";
        check(&commit(raw.as_bytes(), SHORT_ID), payload, "a\nb\n\nc\n");
        check(&commit(raw.as_bytes(), LONG_ID), payload, "");
        let both = "tree 1\ngpgsig a\n b\ngpgsig-sha256 c\n d\nauthor me\n\ntext";
        check(&commit(both.as_bytes(), SHORT_ID), "tree 1\nauthor me\n\ntext", "a\nb\n");
        check(&commit(both.as_bytes(), LONG_ID), "tree 1\nauthor me\n\ntext", "c\nd\n");
        let merged = "tree 1\nmergetag object 2\n gpgsig x\n -----BEGIN PGP SIGNATURE-----\nauthor me\n\ntext";
        check(&commit(merged.as_bytes(), SHORT_ID), merged, "");
        for unsigned in ["", "\n", "tree 1", "tree 1\n", "tree 1\n\n", "gpgsigx a\n\n", " a\n\n", "gpgsig\n\n"] {
            let expected = unsigned;
            check(&commit(unsigned.as_bytes(), SHORT_ID), expected, "");
        }
    }

    #[test]
    fn tags() {
        let head = "object 1\ntype commit\ntag v1\ntagger me\n\ntext\n";
        for signature in [format!("{PGP}\n\nabc\n-----END"), format!("{SSH}\nabc\n")] {
            check(&tag(format!("{head}{signature}").as_bytes()), head, &signature);
        }
        check(&tag(head.as_bytes()), head, "");
        check(&tag(b""), "", "");
        let quoted = format!("{head} {PGP}\n");
        check(&tag(quoted.as_bytes()), &quoted, "");
        let again = format!("{head}{PGP}\nold\n");
        check(&tag(format!("{again}{SSH}\nnew\n").as_bytes()), &again, &format!("{SSH}\nnew\n"));
        let other = "object 1\ngpgsig-sha256 a\n b\ntag v1\n\ntext\n";
        check(&tag(format!("{other}{PGP}\nc\n").as_bytes()), "object 1\ntag v1\n\ntext\n", &format!("{PGP}\nc\n"));
    }
}
