//! Texts by key, and sets of words: sorted lists, for every vertex has a handful of each, most of them known when this
//! was compiled. A tree would cost an allocation for its node and one for each key.

use std::borrow::Cow;
use std::ops::Index;

use serde::{Serialize, Serializer};
use smallvec::SmallVec;

/// A key or word: borrowed where it is known beforehand.
pub type Key = Cow<'static, str>;

/// How many words there are at most, of most vertices that have more than one: room to start with.
const TYPICAL_WORDS: usize = 6;

/// Texts by key. **Shape**: each key once, in byte order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Texts(Vec<(Key, String)>);

/// Words. **Shape**: each once, in byte order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(SmallVec<[Key; 1]>);

impl Texts {
    /// The text of a key.
    pub fn get(&self, key: &str) -> Option<&String> {
        self.find(key).ok().map(|at| &self.0[at].1)
    }

    /// Whether a key has a text.
    pub fn contains_key(&self, key: &str) -> bool {
        self.find(key).is_ok()
    }

    /// Sets the text of a key.
    pub fn insert(&mut self, key: impl Into<Key>, text: impl Into<String>) {
        let key = key.into();
        match self.find(&key) {
            Ok(at) => self.0[at].1 = text.into(),
            Err(at) => {
                // Most vertices have a name and an instruction, most directories of clients a session and a key.
                if self.0.is_empty() {
                    self.0.reserve_exact(2);
                }
                self.0.insert(at, (key, text.into()));
            }
        }
    }

    /// Keys and texts, in byte order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &String)> {
        self.0.iter().map(|(key, text)| (key, text))
    }

    /// The keys, in byte order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.0.iter().map(|(key, _)| key)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(key))
    }
}

impl Words {
    /// Adds a word.
    pub fn insert(&mut self, word: impl Into<Key>) {
        let word = word.into();
        // Where there are several, there are more than two.
        if self.0.len() == 1 && !self.0.spilled() {
            self.0.reserve_exact(TYPICAL_WORDS - 1);
        }
        // Most come in their order.
        if self.0.last().is_none_or(|last| *last < word) {
            self.0.push(word);
        } else if let Err(at) = self.0.binary_search(&word) {
            self.0.insert(at, word);
        }
    }

    /// The words, in byte order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<Key>, T: Into<String>> Extend<(K, T)> for Texts {
    fn extend<I: IntoIterator<Item = (K, T)>>(&mut self, texts: I) {
        texts.into_iter().for_each(|(key, text)| self.insert(key, text));
    }
}

impl<K: Into<Key>, T: Into<String>> FromIterator<(K, T)> for Texts {
    fn from_iter<I: IntoIterator<Item = (K, T)>>(texts: I) -> Self {
        let mut all = Self::default();
        all.extend(texts);
        all
    }
}

impl<K: Into<Key>, T: Into<String>, const N: usize> From<[(K, T); N]> for Texts {
    fn from(texts: [(K, T); N]) -> Self {
        Self::from_iter(texts)
    }
}

impl<K: Into<Key>> Extend<K> for Words {
    fn extend<I: IntoIterator<Item = K>>(&mut self, words: I) {
        words.into_iter().for_each(|word| self.insert(word));
    }
}

impl<K: Into<Key>> FromIterator<K> for Words {
    fn from_iter<I: IntoIterator<Item = K>>(words: I) -> Self {
        let mut all = Self::default();
        all.extend(words);
        all
    }
}

impl<K: Into<Key>, const N: usize> From<[K; N]> for Words {
    fn from(words: [K; N]) -> Self {
        Self::from_iter(words)
    }
}

impl Index<&str> for Texts {
    type Output = String;

    fn index(&self, key: &str) -> &String {
        self.get(key).expect("the key is there")
    }
}

impl Serialize for Texts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_once_in_byte_order() {
        let mut texts: Texts = [("b", "1"), ("a", "2"), ("é", "3"), ("b", "4")].into_iter().collect();
        texts.insert("B".to_owned(), "5");
        let shown: Vec<_> = texts.iter().map(|(key, text)| format!("{key}{text}")).collect();
        assert_eq!(shown, ["B5", "a2", "b4", "é3"]);
        assert_eq!((texts.get("a").map(String::as_str), texts.get("c"), texts["b"].as_str()), (Some("2"), None, "4"));
    }

    #[test]
    fn each_word_once_in_byte_order() {
        let words: Words = ["b", "a", "b", "A"].into_iter().collect();
        assert_eq!(words.iter().map(|word| &**word).collect::<Vec<_>>(), ["A", "a", "b"]);
        assert_eq!(serde_json::to_string(&words).unwrap(), r#"["A","a","b"]"#);
    }
}
