//! Arguments of a statement or call: parsed values, taken out by name or in order.
//!
//! Readers take what they know and [`Args::end`] refuses the rest, so that a misspelt name is an error and not a
//! default.

use std::collections::BTreeMap;

use super::TextError;

/// Where something stands: line and column.
pub(super) type At = (usize, usize);

/// A value and where it stands.
pub(super) struct Value {
    pub(super) at: At,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    String(String),
    Bytes(Vec<u8>),
    Number(i64),
    Action(i64),
    Word(String),
    List(Vec<Value>),
    Map(BTreeMap<String, String>),
    Call(String, Args),
}

/// A value, with or without a name.
pub(super) struct Item {
    pub(super) at: At,
    pub(super) name: Option<String>,
    pub(super) value: Value,
}

/// What is not taken yet, in order.
pub(super) struct Args {
    at: At,
    items: Vec<Item>,
}

type Result<T> = std::result::Result<T, TextError>;

pub(super) fn error<T>((line, column): At, message: impl Into<String>) -> Result<T> {
    Err(TextError { line, column, message: message.into() })
}

impl Value {
    fn string(self) -> Result<String> {
        match self.kind {
            Kind::String(text) => Ok(text),
            _ => error(self.at, "expected a string"),
        }
    }

    pub(super) fn number<N: TryFrom<i64>>(self) -> Result<N> {
        let Kind::Number(number) = self.kind else { return error(self.at, "expected a number") };
        match N::try_from(number) {
            Ok(number) => Ok(number),
            Err(_) => error(self.at, "number out of range"),
        }
    }

    fn bytes(self) -> Result<Vec<u8>> {
        match self.kind {
            Kind::String(text) => Ok(text.into_bytes()),
            Kind::Bytes(bytes) => Ok(bytes),
            _ => error(self.at, "expected a string or base64"),
        }
    }

    fn list(self) -> Result<Vec<Value>> {
        match self.kind {
            Kind::List(values) => Ok(values),
            _ => error(self.at, "expected a list"),
        }
    }
}

impl Args {
    pub(super) fn new(at: At, items: Vec<Item>) -> Self {
        Self { at, items }
    }

    /// Takes the value of a name.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.items.iter().position(|item| item.name.as_deref() == Some(name))?;
        Some(self.items.remove(index).value)
    }

    /// Takes a word that stands by itself.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        let found = self.find(|kind| matches!(kind, Kind::Word(word) if word == name));
        found.inspect(|&index| drop(self.items.remove(index))).is_some()
    }

    /// Takes the next string without a name.
    pub(super) fn next_string(&mut self, what: &str) -> Result<String> {
        self.optional_string()?.map_or_else(|| error(self.at, format!("{what} missing")), Ok)
    }

    pub(super) fn optional_string(&mut self) -> Result<Option<String>> {
        let index = self.find(|kind| matches!(kind, Kind::String(_)));
        index.map(|index| self.items.remove(index).value.string()).transpose()
    }

    /// Takes the next number without a name.
    pub(super) fn next_number<N: TryFrom<i64>>(&mut self, what: &str) -> Result<N> {
        match self.find(|kind| matches!(kind, Kind::Number(_))) {
            Some(index) => self.items.remove(index).value.number(),
            None => error(self.at, format!("{what} missing")),
        }
    }

    pub(super) fn string(&mut self, name: &str) -> Result<String> {
        self.take(name).map(Value::string).transpose().map(Option::unwrap_or_default)
    }

    pub(super) fn number<N: TryFrom<i64>>(&mut self, name: &str, default: N) -> Result<N> {
        Ok(self.optional_number(name)?.unwrap_or(default))
    }

    pub(super) fn optional_number<N: TryFrom<i64>>(&mut self, name: &str) -> Result<Option<N>> {
        self.take(name).map(Value::number).transpose()
    }

    /// A position among `inputs` inputs, or `#n` for the action that follows them; -1 when not given.
    pub(super) fn position(&mut self, name: &str, inputs: usize) -> Result<i64> {
        match self.take(name) {
            None => Ok(-1),
            Some(Value { kind: Kind::Action(index), at }) => {
                index.checked_add(inputs as i64).map_or_else(|| error(at, "number out of range"), Ok)
            }
            Some(value) => value.number(),
        }
    }

    pub(super) fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        self.take(name).map(Value::bytes).transpose()
    }

    pub(super) fn strings(&mut self, name: &str) -> Result<Vec<String>> {
        self.optional_strings(name).map(Option::unwrap_or_default)
    }

    pub(super) fn optional_strings(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        self.take(name).map(|value| value.list()?.into_iter().map(Value::string).collect()).transpose()
    }

    pub(super) fn numbers<N: TryFrom<i64>>(&mut self, name: &str) -> Result<Option<Vec<N>>> {
        self.take(name).map(|value| value.list()?.into_iter().map(Value::number).collect()).transpose()
    }

    pub(super) fn map(&mut self, name: &str) -> Result<BTreeMap<String, String>> {
        match self.take(name) {
            None => Ok(BTreeMap::new()),
            Some(Value { kind: Kind::Map(map), .. }) => Ok(map),
            Some(value) => error(value.at, "expected a map of strings"),
        }
    }

    /// Takes one of some words by its meaning; the first when the name is not given.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, default: T, choices: &[(&str, T)]) -> Result<T> {
        let Some(Value { at, kind }) = self.take(name) else { return Ok(default) };
        let meaning = |word: &str| choices.iter().find(|(choice, _)| *choice == word).map(|(_, meaning)| *meaning);
        match kind {
            Kind::Word(word) if meaning(&word).is_some() => Ok(meaning(&word).unwrap_or(default)),
            _ => {
                let known: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
                error(at, format!("expected one of: {}", known.join(", ")))
            }
        }
    }

    /// Takes every call that stands by itself, in order.
    pub(super) fn calls(&mut self) -> Vec<(At, String, Args)> {
        let mut calls = Vec::new();
        let mut rest = Vec::new();
        for item in std::mem::take(&mut self.items) {
            match item {
                Item { name: None, value: Value { at, kind: Kind::Call(name, args) }, .. } => {
                    calls.push((at, name, args))
                }
                item => rest.push(item),
            }
        }
        self.items = rest;
        calls
    }

    /// Refuses what nobody took.
    pub(super) fn end(self) -> Result<()> {
        let Some(Item { at, name, value }) = self.items.into_iter().next() else { return Ok(()) };
        match (name, value.kind) {
            (Some(name), _) | (None, Kind::Word(name) | Kind::Call(name, _)) => {
                error(at, format!("unknown or repeated `{name}`"))
            }
            (None, _) => error(at, "one value too many"),
        }
    }

    /// The first value without a name that is of this kind.
    fn find(&self, is_it: impl Fn(&Kind) -> bool) -> Option<usize> {
        self.items.iter().position(|item| item.name.is_none() && is_it(&item.value.kind))
    }
}
