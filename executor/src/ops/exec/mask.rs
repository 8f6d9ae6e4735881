//! Secrets in what a process writes: replaced before anybody sees them.
//!
//! A secret may come in pieces, so what could be the beginning of one is held back until it is clear. Every value counts,
//! however short: one of a single letter makes the output hard to read, but never shows it. Of a value with several lines
//! each line counts, too, as programs print them one by one; lines as short as `}` do not.

use std::sync::{Mutex, MutexGuard};

use crate::runtime::{MountSource, Spec};

/// What is shown instead.
const MASKED: &[u8] = b"***";
/// Shortest line of a value with several lines that is a secret by itself.
const MIN_LINE: usize = 4;

/// Replaces the secrets of one process in its output.
pub(super) struct Mask {
    /// Longest first, none of them empty.
    secrets: Vec<Vec<u8>>,
    /// What is held back, of stdout and stderr.
    held: [Mutex<Vec<u8>>; 2],
}

impl Mask {
    /// For a process that gets these secrets: its mounts', and those of the variables with these names.
    pub(super) fn new(spec: &Spec, variables: &[String]) -> Self {
        let files = spec.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Secret { data, .. } => Some(data.as_slice()),
            _ => None,
        });
        let values = spec.env.iter().filter_map(|entry| entry.split_once('='));
        let values = values
            .filter(|(name, _)| variables.iter().any(|variable| variable == name))
            .map(|(_, value)| value.as_bytes());
        Self::of(files.chain(values))
    }

    fn of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut secrets: Vec<Vec<u8>> = values.flat_map(words).map(<[u8]>::to_vec).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets, held: Default::default() }
    }

    /// Hands on what stream 1 or 2 wrote, but for secrets and what may become one.
    pub(super) fn write(&self, stream: u8, data: &[u8], on: &dyn Fn(u8, &[u8])) {
        if self.secrets.is_empty() {
            return on(stream, data);
        }
        let mut held = self.held(stream);
        held.extend_from_slice(data);
        let (shown, rest) = self.replace(&held, false);
        *held = rest;
        if !shown.is_empty() {
            on(stream, &shown);
        }
    }

    /// Hands on what was held back: nothing more comes.
    pub(super) fn finish(&self, on: &dyn Fn(u8, &[u8])) {
        for stream in [1, 2] {
            let held = std::mem::take(&mut *self.held(stream));
            let (shown, _) = self.replace(&held, true);
            if !shown.is_empty() {
                on(stream, &shown);
            }
        }
    }

    /// What of a text can be shown, and what is to be held back unless it is the last.
    fn replace(&self, text: &[u8], last: bool) -> (Vec<u8>, Vec<u8>) {
        let mut shown = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((byte, after)) = rest.split_first() {
            // A longer secret may still come to be, which would show the end of a shorter one.
            if !last && self.secrets.iter().any(|secret| secret.len() > rest.len() && secret.starts_with(rest)) {
                break;
            }
            match self.secrets.iter().find(|secret| rest.starts_with(secret)) {
                Some(secret) => {
                    shown.extend_from_slice(MASKED);
                    rest = &rest[secret.len()..];
                }
                None => {
                    shown.push(*byte);
                    rest = after;
                }
            }
        }
        (shown, rest.to_vec())
    }

    fn held(&self, stream: u8) -> MutexGuard<'_, Vec<u8>> {
        self.held[usize::from(stream == 2)].lock().expect("no panic while it is held")
    }
}

/// What of a value must not be shown: all of it, and its lines.
fn words(value: &[u8]) -> Vec<&[u8]> {
    let whole = value.trim_ascii();
    let lines = whole.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| line.len() >= MIN_LINE);
    let mut words: Vec<&[u8]> = lines.collect();
    words.push(whole);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the pieces and compares what is shown of them, piece by piece; the last is what the end brings.
    fn check(secrets: &[&str], pieces: &[&str], want: &[&str]) {
        let mask = Mask::of(secrets.iter().map(|secret| secret.as_bytes()));
        let shown = Mutex::new(vec![String::new()]);
        let on =
            |_: u8, data: &[u8]| shown.lock().unwrap().last_mut().unwrap().push_str(std::str::from_utf8(data).unwrap());
        for piece in pieces {
            mask.write(1, piece.as_bytes(), &on);
            shown.lock().unwrap().push(String::new());
        }
        mask.finish(&on);
        assert_eq!(shown.into_inner().unwrap(), want, "{pieces:?}");
    }

    #[test]
    fn a_secret_is_replaced_wherever_it_is() {
        check(&["hunter2"], &["a hunter2hunter2 b\n"], &["a ****** b\n", ""]);
        check(&["hunter2\n"], &["hunter2"], &["***", ""]);
        check(&[""], &["text"], &["text", ""]);
        check(&["\n"], &["a\nb"], &["a\nb", ""]);
    }

    #[test]
    fn pieces_of_a_secret_are_held_back() {
        check(&["hunter2"], &["say hun", "ter", "2!"], &["say ", "", "***!", ""]);
        check(&["hunter2"], &["say hun", "gry"], &["say ", "hungry", ""]);
        check(&["hunter2"], &["say hun"], &["say ", "hun"]);
        check(&["aab"], &["aa", "ab"], &["", "a***", ""]);
    }

    #[test]
    fn the_longest_secret_wins() {
        check(&["key", "key-long"], &["key-lo", "ng key-x"], &["", "*** ***-x", ""]);
        check(&["key", "key-long"], &["key"], &["", "***"]);
    }

    #[test]
    fn short_secrets_are_hidden_too() {
        check(&["7"], &["1 7 17\n"], &["1 *** 1***\n", ""]);
    }

    #[test]
    fn lines_of_a_secret_are_secrets_unless_they_are_nothing() {
        check(&["{\n  \"token\": 1\n}\n"], &["{ \"token\": 1 }\n"], &["{ *** }\n", ""]);
    }

    #[test]
    fn streams_do_not_mix() {
        let mask = Mask::of([&b"secret"[..]].into_iter());
        let shown = Mutex::new(Vec::new());
        let on = |stream: u8, data: &[u8]| shown.lock().unwrap().push((stream, data.to_vec()));
        mask.write(1, b"sec", &on);
        mask.write(2, b"ret", &on);
        mask.finish(&on);
        assert_eq!(shown.into_inner().unwrap(), [(2, b"ret".to_vec()), (1, b"sec".to_vec())]);
    }
}
