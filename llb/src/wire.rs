//! Writes protobuf wire bytes the way Go's deterministic marshaller does.
//!
//! Scalars that hold their default are left out, sub-messages are written even when empty, map entries always carry
//! both key and value. Callers name fields in ascending order; the one exception is the operation of a vertex, which
//! Go writes last (see [`crate::encode`]). A generic encoder does not give these bytes, and digests are over bytes.

use std::ops::Range;

const VARINT: u32 = 0;
const LENGTH_DELIMITED: u32 = 2;
/// The largest number that one byte holds.
const ONE_BYTE: usize = 0x7f;
/// The largest number of a field whose key is one byte.
const SHORT_KEY: u32 = 15;
/// The largest number that two bytes hold.
const TWO_BYTES: usize = 0x3fff;

/// Appends fields to a buffer.
pub(crate) struct Writer<'b>(pub(crate) &'b mut Vec<u8>);

impl Writer<'_> {
    /// A signed number; 0 is left out, a negative one takes ten bytes.
    pub(crate) fn int(&mut self, field: u32, value: i64) {
        if value != 0 {
            self.int_always(field, value);
        }
    }

    /// A signed number, written even when 0 (a member of a oneof).
    pub(crate) fn int_always(&mut self, field: u32, value: i64) {
        self.pair(field << 3 | VARINT, value.cast_unsigned());
    }

    /// A flag; `false` is left out.
    pub(crate) fn bool(&mut self, field: u32, value: bool) {
        self.int(field, i64::from(value));
    }

    /// A text; the empty one is left out.
    pub(crate) fn string(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// Bytes; none are left out.
    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        if !value.is_empty() {
            self.bytes_always(field, value);
        }
    }

    /// Bytes, written even when there are none (elements, map values).
    pub(crate) fn bytes_always(&mut self, field: u32, value: &[u8]) {
        self.head(field, value.len());
        self.0.extend_from_slice(value);
    }

    /// Repeated texts, empty ones included.
    pub(crate) fn strings(&mut self, field: u32, values: &[String]) {
        for value in values {
            self.bytes_always(field, value.as_bytes());
        }
    }

    /// Repeated numbers in packed form.
    pub(crate) fn packed(&mut self, field: u32, values: impl ExactSizeIterator<Item = i64>) {
        if values.len() > 0 {
            self.message(field, |writer| values.for_each(|value| writer.varint(value.cast_unsigned())));
        }
    }

    /// A map of texts; the iterator gives the keys in byte order.
    pub(crate) fn string_map<'s, K: AsRef<str> + 's>(
        &mut self,
        field: u32,
        entries: impl Iterator<Item = (&'s K, &'s String)>,
    ) {
        for (key, value) in entries {
            let key = key.as_ref();
            self.message_of(field, key.len() + value.len() + 4, |entry| {
                entry.bytes_always(1, key.as_bytes());
                entry.bytes_always(2, value.as_bytes());
            });
        }
    }

    /// An entry of a map in which a word is true.
    pub(crate) fn mark(&mut self, field: u32, word: &str) {
        // Key and length of the entry, and of the word; then that of the value, and 1.
        let around = 2 + 2;
        if word.len() + around > ONE_BYTE || field > SHORT_KEY {
            return self.message(field, |entry| {
                entry.bytes_always(1, word.as_bytes());
                entry.int_always(2, 1);
            });
        }
        self.0.reserve(2 + around + word.len());
        let [entry, key, value] = [field << 3 | LENGTH_DELIMITED, 1 << 3 | LENGTH_DELIMITED, 2 << 3 | VARINT];
        self.0.extend_from_slice(&[entry as u8, (word.len() + around) as u8, key as u8, word.len() as u8]);
        self.0.extend_from_slice(word.as_bytes());
        self.0.extend_from_slice(&[value as u8, 1]);
    }

    /// A sub-message whose one field, the first, is a number that is not 0.
    pub(crate) fn message_of_number(&mut self, field: u32, number: u32) {
        let key = field << 3 | LENGTH_DELIMITED;
        match number {
            0..=0x7f if field <= SHORT_KEY => self.0.extend_from_slice(&[key as u8, 2, 1 << 3, number as u8]),
            0x80..=0x3fff if field <= SHORT_KEY => {
                self.0.extend_from_slice(&[key as u8, 3, 1 << 3, number as u8 | 0x80, (number >> 7) as u8]);
            }
            _ => self.message(field, |w| w.int(1, i64::from(number))),
        }
    }

    /// Fields that are written already.
    pub(crate) fn raw(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }

    /// A sub-message, written even when empty.
    pub(crate) fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.message_of(field, 0, write);
    }

    /// A sub-message of so many bytes, roughly.
    ///
    /// The length is not known before the content is written: room is kept for one of as many digits as the guess has, and
    /// the content moves when it has others. Measuring first would walk every message twice.
    pub(crate) fn message_of(&mut self, field: u32, roughly: usize, write: impl FnOnce(&mut Writer<'_>)) {
        self.head(field, roughly);
        let start = self.0.len();
        write(self);
        let length = self.0.len() - start;
        match digits(roughly as u64) {
            1 if length <= ONE_BYTE => self.0[start - 1] = length as u8,
            2 if (ONE_BYTE + 1..=TWO_BYTES).contains(&length) => {
                self.0[start - 2] = length as u8 | 0x80;
                self.0[start - 1] = (length >> 7) as u8;
            }
            digits => self.put_length(start - digits..start, length as u64),
        }
    }

    /// Writes a length where one was guessed.
    fn put_length(&mut self, guess: Range<usize>, length: u64) {
        let (digits, count) = varint(length);
        if count == guess.len() {
            self.0[guess].iter_mut().zip(digits).for_each(|(place, digit)| *place = digit);
        } else {
            drop(self.0.splice(guess, digits[..count].iter().copied()));
        }
    }

    /// Key and length of what has a length.
    #[inline]
    fn head(&mut self, field: u32, length: usize) {
        self.pair(field << 3 | LENGTH_DELIMITED, length as u64);
    }

    /// A key, and the number behind it.
    #[inline]
    fn pair(&mut self, key: u32, number: u64) {
        if u64::from(key) <= ONE_BYTE as u64 && number <= ONE_BYTE as u64 {
            // As most are: in one piece, so that room is looked for once.
            self.0.extend_from_slice(&[key as u8, number as u8]);
        } else {
            self.varint(u64::from(key));
            self.varint(number);
        }
    }

    #[inline]
    fn varint(&mut self, value: u64) {
        if value <= ONE_BYTE as u64 {
            self.0.push(value as u8);
        } else if value <= TWO_BYTES as u64 {
            // Most lengths of vertices: in one piece, of a size that is known.
            self.0.extend_from_slice(&[value as u8 | 0x80, (value >> 7) as u8]);
        } else {
            self.long_varint(value);
        }
    }

    #[cold]
    fn long_varint(&mut self, value: u64) {
        let (digits, count) = varint(value);
        self.0.extend_from_slice(&digits[..count]);
    }
}

/// How many digits of seven bits a number has.
fn digits(value: u64) -> usize {
    (value | 1).ilog2() as usize / 7 + 1
}

/// The digits of a number, seven bits each, lowest first, and how many there are.
fn varint(mut value: u64) -> ([u8; 10], usize) {
    let mut digits = [0; 10];
    let mut count = 0;
    while value > ONE_BYTE as u64 {
        digits[count] = value as u8 | 0x80;
        value >>= 7;
        count += 1;
    }
    digits[count] = value as u8;
    (digits, count + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl FnOnce(&mut Writer<'_>), expected: &str) {
        let mut bytes = Vec::new();
        write(&mut Writer(&mut bytes));
        let actual: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(actual.join(" "), expected);
    }

    #[test]
    fn defaults_are_left_out() {
        check(|w| w.int(1, 0), "");
        check(|w| w.string(1, ""), "");
        check(|w| w.bool(1, false), "");
        check(|w| w.packed(1, [].into_iter()), "");
    }

    #[test]
    fn members_of_a_oneof_and_elements_are_not() {
        check(|w| w.int_always(2, 0), "10 00");
        check(|w| w.strings(1, &[String::new()]), "0a 00");
        check(|w| w.message(11, |_| ()), "5a 00");
    }

    #[test]
    fn numbers() {
        check(|w| w.int(1, 300), "08 ac 02");
        check(|w| w.int(4, -1), "20 ff ff ff ff ff ff ff ff ff 01");
        check(|w| w.packed(12, [0, 300].into_iter()), "62 03 00 ac 02");
        check(|w| w.int(22, 1), "b0 01 01");
    }

    #[test]
    fn maps_keep_empty_values() {
        let (key, value) = ("k".to_owned(), String::new());
        check(|w| w.string_map(2, [(&key, &value)].into_iter()), "12 05 0a 01 6b 12 00");
    }

    #[test]
    fn short_ways_write_what_the_long_one_does() {
        let written = |write: &dyn Fn(&mut Writer<'_>)| {
            let mut bytes = Vec::new();
            write(&mut Writer(&mut bytes));
            bytes
        };
        for field in [1, 15, 16, 5000] {
            for length in [0, 1, 122, 123, 124, 127, 128, 300] {
                let word = "w".repeat(length);
                let long = written(&|w| {
                    w.message(field, |w| {
                        w.bytes_always(1, word.as_bytes());
                        w.int_always(2, 1);
                    });
                });
                assert!(written(&|w| w.mark(field, &word)) == long, "{field} {length}");
            }
            for number in [1, 127, 128, 16_383, 16_384, i32::MAX.cast_unsigned()] {
                let long = written(&|w| w.message(field, |w| w.int(1, i64::from(number))));
                assert!(written(&|w| w.message_of_number(field, number)) == long, "{field} {number}");
            }
        }
    }

    #[test]
    fn long_messages_move() {
        for length in [1, 127, 128, 16_383, 16_384] {
            let text = "x".repeat(length);
            let mut actual = Vec::new();
            Writer(&mut actual).message(1, |w| w.message(2, |w| w.string(3, &text)));
            let mut inner = Vec::new();
            Writer(&mut inner).string(3, &text);
            let mut middle = Vec::new();
            Writer(&mut middle).bytes(2, &inner);
            let mut expected = Vec::new();
            Writer(&mut expected).bytes(1, &middle);
            assert!(actual == expected, "content of {length} bytes");
            for roughly in [0, 127, 128, 1 << 14, 1 << 21] {
                let mut guessed = Vec::new();
                Writer(&mut guessed).message_of(1, roughly, |w| w.message_of(2, roughly, |w| w.string(3, &text)));
                assert!(guessed == expected, "content of {length} bytes, guessed {roughly}");
            }
        }
    }
}
