//! `--filter`: which records, in the words of `docker buildx prune` and `buildctl prune`.
//!
//! parity: BuildKit v0.32, cache/manager.go: which fields there are. A field that nobody knows is empty.

mod grammar;

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use grammar::{Selector, Test};

use super::records::Record;
use crate::suggest::nearest;
use crate::{Error, Result};

/// Conditions that must all hold.
#[derive(Clone, Debug, Default)]
pub struct Filter(Vec<Condition>);

#[derive(Clone, Debug)]
enum Condition {
    /// The text of a field.
    Text { field: String, test: Test },
    /// Whether what a field says is so.
    Flag { flag: Flag, is: bool },
    /// How long at least a record was not used.
    Unused(Duration),
}

#[derive(Clone, Copy, Debug)]
enum Flag {
    Shared,
    Mutable,
    InUse,
}

/// Fields of text.
const TEXTS: [&str; 4] = ["id", "parents", "description", "type"];
/// Fields that say yes or no: what of, and which of them is meant.
const FLAGS: [(&str, Flag, bool); 5] = [
    ("shared", Flag::Shared, true),
    ("private", Flag::Shared, false),
    ("mutable", Flag::Mutable, true),
    ("immutable", Flag::Mutable, false),
    ("inuse", Flag::InUse, true),
];
/// Fields of times, which `docker buildx` has beside those of filters.
const TIMES: [&str; 2] = ["until", "unused-for"];

impl Filter {
    /// Reads `type==regular,shared` and the like: `KEY`, `KEY==VALUE`, `KEY!=VALUE`, `KEY~=PATTERN`, separated by commas.
    ///
    /// **Errors**: `Invalid`, with the place in the text.
    pub fn parse(text: &str) -> Result<Self> {
        let selectors = grammar::parse(text)?;
        selectors.into_iter().map(|selector| condition(text, selector)).collect::<Result<Vec<_>>>().map(Self)
    }

    /// Fields that nobody knows, and what may have been meant.
    pub fn unknown(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let all = || TEXTS.into_iter().chain(FLAGS.map(|(name, ..)| name)).chain(TIMES);
        let texts = self.0.iter().filter_map(|condition| match condition {
            Condition::Text { field, .. } => Some(&**field),
            _ => None,
        });
        texts.filter(|field| !TEXTS.contains(field)).map(move |field| (field, nearest(field, all())))
    }

    /// Whether a record is meant, at a time.
    pub fn matches_at(&self, record: &Record, now: SystemTime) -> bool {
        self.matches(record, now.duration_since(record.last_used).unwrap_or_default())
    }

    /// Whether a record that was not used for so long is meant.
    pub(super) fn matches(&self, record: &Record, unused: Duration) -> bool {
        self.0.iter().all(|condition| match condition {
            Condition::Text { field, test } => holds(test, &text(record, field)),
            Condition::Flag { flag, is } => flag.of(record) == *is,
            Condition::Unused(time) => unused >= *time,
        })
    }
}

impl Flag {
    fn of(self, record: &Record) -> bool {
        match self {
            Self::Shared => record.shared,
            Self::Mutable => record.is_mutable(),
            // What a build uses is never looked at.
            Self::InUse => false,
        }
    }
}

/// What a field of text holds.
fn text<'r>(record: &'r Record, field: &str) -> Cow<'r, str> {
    match field {
        "id" => Cow::Borrowed(&record.id),
        "parents" => Cow::Owned(record.parents.join(";")),
        "description" => Cow::Borrowed(&record.description),
        "type" => Cow::Borrowed(record.kind.name()),
        _ => Cow::Borrowed(""),
    }
}

fn holds(test: &Test, text: &str) -> bool {
    match test {
        Test::Present => !text.is_empty(),
        // Nothing is equal to what is not there.
        Test::Equal(value) => !text.is_empty() && text == value,
        Test::Unequal(value) => text != value,
        Test::Matches(pattern) => pattern.is_match(text),
    }
}

/// What a selector of the filter `text` means.
fn condition(text: &str, Selector { field, test, at }: Selector) -> Result<Condition> {
    let wrong = |message: &str| grammar::wrong(text, at, message);
    if TIMES.contains(&&*field) {
        let Test::Equal(time) = test else { return Err(wrong(&format!("{field} takes a time: {field}=24h"))) };
        return duration(&time).map(Condition::Unused).map_err(|error| wrong(&error.to_string()));
    }
    let Some((_, flag, meant)) = FLAGS.into_iter().find(|(name, ..)| *name == field) else {
        return Ok(Condition::Text { field, test });
    };
    let said = |value: &str| match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(wrong(&format!("{field} is true or false"))),
    };
    let is = match test {
        Test::Present => true,
        Test::Equal(value) => said(&value)?,
        Test::Unequal(value) => !said(&value)?,
        Test::Matches(_) => return Err(wrong(&format!("{field} is true or false, nothing to match"))),
    };
    Ok(Condition::Flag { flag, is: is == meant })
}

/// Reads a duration as Go writes them (`1h30m`, `10s`), and days.
pub fn duration(text: &str) -> Result<Duration> {
    let invalid = || Error::Invalid(format!("{text} is not a duration: write 24h, 30m or 7d"));
    let mut rest = text.trim();
    let mut sum = 0.0;
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let length = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..length] {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return Err(invalid()),
        };
        sum += number * unit;
        rest = &rest[length..];
    }
    Duration::try_from_secs_f64(sum).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::super::records::Kind;
    use super::*;

    #[test]
    fn durations() {
        let show = |text: &str| duration(text).map(|time| time.as_secs_f64()).ok();
        assert_eq!(show("1h30m"), Some(5400.0));
        assert_eq!(show("2d"), Some(172_800.0));
        assert_eq!(show("0"), Some(0.0));
        assert_eq!(show("1.5s"), Some(1.5));
        for wrong in ["", "5", "h", "1x", "-1h", "1h2"] {
            assert_eq!(show(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn conditions() {
        let record = Record {
            id: "abc".into(),
            kind: Kind::CacheMount,
            description: "cached mount /root/.cache".into(),
            ..Record::default()
        };
        let matches = |text: &str| Filter::parse(text).unwrap().matches(&record, Duration::from_secs(3600));
        for yes in [
            "id=abc",
            "id!=x",
            "id~=b",
            "id",
            "description",
            "type==exec.cachemount,mutable",
            "type~=^exec",
            "description~=/^cached mount/",
            "parents!=x",
            "private",
            "shared=false",
            "until=1h",
            "inuse=0",
            "colour!=red",
            "",
        ] {
            assert!(matches(yes), "{yes}");
        }
        for no in [
            "id=x",
            "id~=^b",
            "type=regular",
            "type==frontend",
            "type==internal",
            "immutable",
            "shared",
            "parents",
            "parents==\"\"",
            "until=2h",
            "inuse",
            "type==exec.cachemount,id=x",
            "colour",
            "colour==red",
        ] {
            assert!(!matches(no), "{no}");
        }
        let error = |text: &str| Filter::parse(text).unwrap_err().to_string();
        assert_eq!(error("shared=x"), "filter shared=x, column 8: shared is true or false");
        assert_eq!(error("id,until!=1h"), "filter id,until!=1h, column 11: until takes a time: until=24h");
        assert_eq!(error("until=5"), "filter until=5, column 7: 5 is not a duration: write 24h, 30m or 7d");
        let filter = Filter::parse("colour,id,desription").unwrap();
        assert_eq!(filter.unknown().collect::<Vec<_>>(), [("colour", None), ("desription", Some("description"))]);
    }
}
