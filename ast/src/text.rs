//! Text as the user wrote it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

/// Text of the user's: bytes, because a Dockerfile need not be UTF-8.
///
/// Most are words of a few bytes, which are kept in place: a tree is made of so many of them that to allocate each takes a
/// good part of the time that parsing takes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text(Kept);

/// How many bytes are kept in place: what is left of three words, the size of a vector, beside the length and the variant.
const IN_PLACE: usize = 22;

/// A text has one form alone, and the bytes behind a short one are 0: so forms are equal where texts are.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Kept {
    Short { length: u8, bytes: [u8; IN_PLACE] },
    Long(Box<[u8]>),
}

impl Text {
    /// The text for people; every byte that is not UTF-8 becomes U+FFFD.
    pub fn lossy(&self) -> Cow<'_, str> {
        crate::word::decode(self)
    }
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Kept::Short { length, bytes } => &bytes[..usize::from(*length)],
            Kept::Long(bytes) => bytes,
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self(Kept::Short { length: 0, bytes: [0; IN_PLACE] })
    }
}

impl From<&[u8]> for Text {
    fn from(text: &[u8]) -> Self {
        if text.len() > IN_PLACE {
            return Self(Kept::Long(text.into()));
        }
        let mut bytes = [0; IN_PLACE];
        bytes[..text.len()].copy_from_slice(text);
        Self(Kept::Short { length: text.len() as u8, bytes })
    }
}

impl From<Vec<u8>> for Text {
    fn from(text: Vec<u8>) -> Self {
        if text.len() > IN_PLACE { Self(Kept::Long(text.into())) } else { text.as_slice().into() }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self[..].cmp(other)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_texts_are_what_they_were_made_from() {
        for length in 0..2 * IN_PLACE {
            let bytes: Vec<u8> = (1..=length as u8).collect();
            let text = Text::from(bytes.as_slice());
            assert_eq!(&text[..], bytes);
            assert_eq!(text, Text::from(bytes.clone()), "{length}");
            assert_ne!(text, Text::from([&bytes[..], b"\0"].concat()), "{length}: zeros count");
        }
        assert_eq!(Text::default(), Text::from(""));
        assert_eq!(size_of::<Text>(), size_of::<Vec<u8>>());
    }

    #[test]
    fn texts_are_ordered_by_their_bytes() {
        let long = "b".repeat(IN_PLACE + 1);
        let mut texts = ["c", &long, "ab", "a", ""].map(Text::from);
        texts.sort();
        assert_eq!(texts, ["", "a", "ab", &long, "c"].map(Text::from));
    }
}
