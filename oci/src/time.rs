//! Points in time as image configs hold them: RFC 3339, printed as Go prints `time.Time`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time with the offset it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Since 1970 in UTC.
    seconds: i64,
    /// Below a billion.
    nanos: u32,
    /// Seconds east of UTC; whole minutes.
    offset: i32,
}

/// The text is no RFC 3339 time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeError(String);

const DAY: i64 = 86_400;

impl Time {
    /// From seconds since 1970 and nanoseconds, in UTC.
    pub fn from_unix(seconds: i64, nanos: u32) -> Self {
        Self { seconds: seconds + i64::from(nanos / 1_000_000_000), nanos: nanos % 1_000_000_000, offset: 0 }
    }

    /// Parses `2026-02-03T04:05:06.789Z`, or with an offset such as `+02:00`.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        parse(text.as_bytes()).ok_or_else(|| TimeError(text.to_owned()))
    }

    /// Seconds since 1970.
    pub fn unix_seconds(self) -> i64 {
        self.seconds
    }

    /// Whether RFC 3339 can say it: years have four digits.
    pub fn is_printable(self) -> bool {
        let local = self.seconds.saturating_add(i64::from(self.offset));
        (days_from_civil(0, 1, 1) * DAY..days_from_civil(10_000, 1, 1) * DAY).contains(&local)
    }

    /// Nanoseconds within the second.
    pub fn nanos(self) -> u32 {
        self.nanos
    }
}

fn parse(text: &[u8]) -> Option<Time> {
    let (date, rest) = text.split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(index, separator)| date[*index] != *separator) {
        return None;
    }
    let (year, month, day) = (number(&date[..4])?, number(&date[5..7])?, number(&date[8..10])?);
    let (hour, minute, second) = (number(&date[11..13])?, number(&date[14..16])?, number(&date[17..])?);
    let valid = (1..=12).contains(&month) && (1..=days_of_month(year, month)).contains(&day);
    if !valid || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, rest) = fraction(rest)?;
    let offset = parse_offset(rest)?;
    let local = days_from_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    Some(Time { seconds: local - i64::from(offset), nanos, offset })
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
}

/// Nanoseconds of `.123…`, cut after nine digits, and what follows.
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else { return Some((0, text)) };
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = rest[..len].iter().map(|digit| u32::from(digit - b'0')).chain(std::iter::repeat(0));
    (len > 0).then(|| (digits.take(9).fold(0, |sum, digit| sum * 10 + digit), &rest[len..]))
}

fn parse_offset(text: &[u8]) -> Option<i32> {
    if text == b"Z" {
        return Some(0);
    }
    let [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = text else { return None };
    let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok().filter(|_| hours < 24 && minutes < 60)?;
    Some(if *sign == b'-' { -seconds } else { seconds })
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, by eras of 400 years that start in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = (shifted + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.seconds + i64::from(self.offset);
        let (year, month, day) = civil_from_days(local.div_euclid(DAY));
        let second = local.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if self.nanos > 0 {
            write!(f, ".{}", format!("{:09}", self.nanos).trim_end_matches('0'))?;
        }
        if self.offset == 0 {
            return f.write_str("Z");
        }
        let (sign, offset) = (if self.offset < 0 { '-' } else { '+' }, self.offset.abs());
        write!(f, "{sign}{:02}:{:02}", offset / 3600, offset / 60 % 60)
    }
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = crate::text::quote(&self.0);
        write!(f, "parsing time {text} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text}")
    }
}

impl std::error::Error for TimeError {}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let actual = Time::parse(text).map_or("error".to_owned(), |time| time.to_string());
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn printed_as_go_prints() {
        check("2026-02-03T04:05:06Z", "2026-02-03T04:05:06Z");
        check("2026-02-03T04:05:06.120300000Z", "2026-02-03T04:05:06.1203Z");
        check("2026-02-03T04:05:06.000Z", "2026-02-03T04:05:06Z");
        check("2026-02-03T04:05:06.1234567899Z", "2026-02-03T04:05:06.123456789Z");
        check("2026-02-03T04:05:06+00:00", "2026-02-03T04:05:06Z");
        check("2026-02-03T04:05:06-03:30", "2026-02-03T04:05:06-03:30");
        check("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z");
        check("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z");
        check("2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z");
        check("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z");
    }

    #[test]
    fn years_have_four_digits() {
        let is_printable = |seconds| Time::from_unix(seconds, 0).is_printable();
        assert!(is_printable(-62_167_219_200) && is_printable(253_402_300_799));
        assert!(!is_printable(-62_167_219_201) && !is_printable(253_402_300_800) && !is_printable(i64::MAX));
    }

    #[test]
    fn errors() {
        for text in [
            "",
            "2026-02-03",
            "2026-02-03T04:05:06",
            "2026-02-30T04:05:06Z",
            "2026-02-03t04:05:06Z",
            "2026-02-03T04:05:06.Z",
            "2026-02-03T04:05:06,5Z",
            "2026-02-03T24:05:06Z",
            "2026-02-03T04:05:06+2:00",
            "2026-02-03T04:05:06Zx",
            "1900-02-29T00:00:00Z",
        ] {
            check(text, "error");
        }
    }

    #[test]
    fn unix() {
        assert_eq!(Time::parse("2026-02-03T04:05:06+02:00").unwrap().unix_seconds(), 1_770_084_306);
        assert_eq!(Time::from_unix(0, 0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Time::from_unix(1_770_084_306, 5_000_000).to_string(), "2026-02-03T02:05:06.005Z");
        assert!(Time::from_unix(1, 5) > Time::from_unix(1, 4));
        for days in (-800_000..800_000).step_by(997) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }
}
