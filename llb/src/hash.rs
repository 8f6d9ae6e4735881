//! Maps keyed by digest, or by a hash, that keep the order of insertion.
//!
//! `IndexMap` never lets hash order reach output. Digests are random already, so a cheap hash of their text will do:
//! who could make digests collide in it has broken SHA-256.

use std::hash::{BuildHasherDefault, Hasher};

use indexmap::{Equivalent, IndexMap};
use oci::Digest;

/// Values by digest, in the order in which they came.
pub(crate) type DigestMap<V> = IndexMap<Digest, V, BuildHasherDefault<WordHasher>>;

/// Values by numbers that are hashes already.
pub(crate) type Numbers<V> = IndexMap<u64, V, BuildHasherDefault<WordHasher>>;

/// The text of a digest, to look one up by.
#[derive(Hash)]
pub(crate) struct Text<'t>(pub(crate) &'t str);

impl Equivalent<Digest> for Text<'_> {
    fn equivalent(&self, digest: &Digest) -> bool {
        self.0 == digest.as_str()
    }
}

/// Hashes words of eight bytes by multiplication: for what is no more than slow where two are alike.
#[derive(Default)]
pub(crate) struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut add = |word| self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(SPREAD);
        let (words, rest) = bytes.as_chunks();
        words.iter().copied().for_each(&mut add);
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            add(word);
        }
    }

    fn finish(&self) -> u64 {
        // The upper bits are the good ones, the table looks at the lower.
        self.0.rotate_left(26)
    }
}

/// The first half of the hash: digests of one algorithm sort as these numbers do, which are compared without a look
/// into memory far away.
pub(crate) fn sort_key(digest: &Digest) -> u128 {
    let mut key = [0; 16];
    key.copy_from_slice(&digest.hex().as_bytes()[..16]);
    u128::from_be_bytes(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_by_their_text() {
        let mut map = DigestMap::default();
        for number in 0..1000_u32 {
            map.insert(Digest::sha256(&number.to_le_bytes()), number);
        }
        for (digest, number) in &map {
            assert_eq!(map.get(&Text(digest.as_str())), Some(number));
        }
        assert_eq!(map.get(&Text("sha256:0")), None);
    }

    #[test]
    fn sort_keys_sort_like_texts() {
        let mut digests: Vec<Digest> = (0..1000_u32).map(|number| Digest::sha256(&number.to_le_bytes())).collect();
        digests.sort_by_key(sort_key);
        assert!(digests.is_sorted());
    }
}
