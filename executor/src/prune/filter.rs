//! `--filter`: which records, in the words of `docker buildx prune` and `buildctl prune`.

use std::time::{Duration, SystemTime};

use super::records::{Kind, Record};
use crate::{Error, Result};

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(Vec<Condition>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Id { is: bool, value: String },
    Kind { is: bool, value: Kind },
    Description { is: bool, value: String },
    Shared(bool),
    Mutable(bool),
    InUse(bool),
    Unused(Duration),
}

impl Filter {
    /// Reads `type==regular,shared` and the like: `KEY`, `KEY=VALUE`, `KEY==VALUE`, `KEY!=VALUE`, separated by commas.
    pub fn parse(text: &str) -> Result<Self> {
        text.split(',').map(str::trim).map(condition).collect::<Result<Vec<_>>>().map(Self)
    }

    /// Whether a record is meant, at a time.
    pub fn matches_at(&self, record: &Record, now: SystemTime) -> bool {
        self.matches(record, now.duration_since(record.last_used).unwrap_or_default())
    }

    /// Whether a record that was not used for so long is meant.
    pub(super) fn matches(&self, record: &Record, unused: Duration) -> bool {
        self.0.iter().all(|condition| match condition {
            Condition::Id { is, value } => (record.id == *value) == *is,
            Condition::Kind { is, value } => (record.kind == *value) == *is,
            Condition::Description { is, value } => (record.description == *value) == *is,
            Condition::Shared(value) => record.shared == *value,
            Condition::Mutable(value) => (record.kind == Kind::CacheMount) == *value,
            // What a build uses is never looked at.
            Condition::InUse(value) => !value,
            Condition::Unused(time) => unused >= *time,
        })
    }
}

fn condition(text: &str) -> Result<Condition> {
    if text.contains("~=") {
        return Err(Error::Unsupported {
            what: format!("filter {text}"),
            why: "patterns are not matched; compare with == or !=".into(),
        });
    }
    let (key, is, value) = match (text.split_once("!="), text.split_once("=="), text.split_once('=')) {
        (Some((key, value)), ..) => (key, false, Some(value)),
        (None, Some((key, value)), _) | (None, None, Some((key, value))) => (key, true, Some(value)),
        (None, None, None) => (text, true, None),
    };
    let flag = || match value.unwrap_or("true") {
        "true" | "1" => Ok(is),
        "false" | "0" => Ok(!is),
        other => Err(Error::Invalid(format!("filter {text}: {other:?} is neither true nor false"))),
    };
    let needed = || value.map(str::to_owned).ok_or_else(|| Error::Invalid(format!("filter {text}: it has no value")));
    Ok(match key {
        "id" => Condition::Id { is, value: needed()? },
        "type" => Condition::Kind { is, value: Kind::parse(&needed()?)? },
        "description" => Condition::Description { is, value: needed()? },
        "shared" => Condition::Shared(flag()?),
        "private" => Condition::Shared(!flag()?),
        "mutable" => Condition::Mutable(flag()?),
        "immutable" => Condition::Mutable(!flag()?),
        "inuse" => Condition::InUse(flag()?),
        "until" | "unused-for" => Condition::Unused(duration(&needed()?)?),
        other => {
            return Err(Error::Invalid(format!(
                "there is no filter {other:?}; there are id, type, description, shared, private, mutable, immutable, \
                 inuse, until"
            )));
        }
    })
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
        for yes in
            ["id=abc", "id!=x", "type==exec.cachemount,mutable", "private", "shared=false", "until=1h", "inuse=0"]
        {
            assert!(matches(yes), "{yes}");
        }
        for no in ["id=x", "type=regular", "immutable", "shared", "until=2h", "inuse", "type==exec.cachemount,id=x"] {
            assert!(!matches(no), "{no}");
        }
        let error = |text: &str| Filter::parse(text).unwrap_err().to_string();
        assert!(error("colour=red").starts_with("there is no filter \"colour\""));
        assert!(error("type=x").starts_with("there is no type \"x\""));
        assert!(error("id~=a.*").contains("not supported"));
        assert_eq!(error("id"), "filter id: it has no value");
        assert_eq!(error("shared=x"), "filter shared=x: \"x\" is neither true nor false");
    }
}
