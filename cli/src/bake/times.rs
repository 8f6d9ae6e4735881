//! Functions of points in time: `formatdate`, `formattimestamp`. What is the time is said elsewhere.

use hcl::Value;
use hcl::eval::{Context, FuncArgs, FuncDef, ParamType};
use oci::Time;

use super::functions::shown;

type Body = fn(FuncArgs) -> Result<Value, String>;

const OF_TIMES: &[(&str, usize, Body)] = &[
    ("formatdate", 2, |args| formatted("formatdate", &shown(&args[0]), time("formatdate", &args[1])?)),
    ("formattimestamp", 2, |args| {
        let time = time("formattimestamp", &args[1])?;
        match &*shown(&args[0]) {
            "X" => Ok(time.unix_seconds().to_string().into()),
            format => formatted("formattimestamp", format, time),
        }
    }),
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// Declares them.
pub(super) fn declare(context: &mut Context<'_>) {
    for (name, count, body) in OF_TIMES {
        let builder = (0..*count).fold(FuncDef::builder(), |builder, _| builder.param(ParamType::Any));
        context.declare_func(*name, builder.build(*body));
    }
}

/// A time as RFC 3339 writes it, or seconds since 1970.
fn time(function: &str, value: &Value) -> Result<Time, String> {
    let time = match value.as_i64() {
        Some(seconds) => Some(Time::from_unix(seconds, 0)),
        None => Time::parse(&shown(value)).ok(),
    };
    time.filter(|time| time.is_printable()).ok_or_else(|| format!("{function}: {} is no time", shown(value)))
}

/// The parts of a time where its clock is.
struct Parts {
    year: String,
    month: usize,
    day: usize,
    weekday: &'static str,
    hour: usize,
    minute: usize,
    second: usize,
    /// Hours and minutes from UTC with their sign; nothing in UTC.
    offset: Option<(char, String, String)>,
}

impl Parts {
    fn of(time: Time) -> Option<Self> {
        let text = time.to_string();
        let number = |from: usize, to: usize| text.get(from..to)?.parse::<usize>().ok();
        let zone = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        let offset = match zone.split_at_checked(1)? {
            ("Z", _) => None,
            (sign, clock) => {
                let (hours, minutes) = clock.split_once(':')?;
                Some((sign.chars().next()?, hours.to_owned(), minutes.to_owned()))
            }
        };
        let seconds = offset.as_ref().map_or(Some(0), |(sign, hours, minutes)| {
            let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            Some(if *sign == '-' { -seconds } else { seconds })
        })?;
        let weekday = (time.unix_seconds() + seconds).div_euclid(86_400).rem_euclid(7);
        Some(Self {
            year: text.get(..4)?.to_owned(),
            month: number(5, 7)?,
            day: number(8, 10)?,
            weekday: DAYS[usize::try_from(weekday).ok()?],
            hour: number(11, 13)?,
            minute: number(14, 16)?,
            second: number(17, 19)?,
            offset,
        })
    }

    /// What letters stand for, as in bake; `None` for letters that mean nothing.
    fn verb(&self, letters: &str) -> Option<String> {
        let plain = |number: usize| number.to_string();
        let two = |number: usize| format!("{number:02}");
        let half = (self.hour + 11) % 12 + 1;
        let clock = |between: &str| match &self.offset {
            Some((sign, hours, minutes)) => format!("{sign}{hours}{between}{minutes}"),
            None => format!("+00{between}00"),
        };
        Some(match letters {
            "YYYY" => self.year.clone(),
            "YY" => self.year[2..].to_owned(),
            "MMMM" => MONTHS[self.month - 1].to_owned(),
            "MMM" => MONTHS[self.month - 1][..3].to_owned(),
            "MM" => two(self.month),
            "M" => plain(self.month),
            "DD" => two(self.day),
            "D" => plain(self.day),
            "EEEE" => self.weekday.to_owned(),
            "EEE" => self.weekday[..3].to_owned(),
            "hh" => two(self.hour),
            "h" => plain(self.hour),
            "HH" => two(half),
            "H" => plain(half),
            "AA" => (if self.hour < 12 { "AM" } else { "PM" }).to_owned(),
            "aa" => (if self.hour < 12 { "am" } else { "pm" }).to_owned(),
            "mm" => two(self.minute),
            "m" => plain(self.minute),
            "ss" => two(self.second),
            "s" => plain(self.second),
            "ZZZZZ" => clock(":"),
            "ZZZZ" => clock(""),
            "ZZZ" if self.offset.is_none() => "UTC".to_owned(),
            "ZZZ" => clock(""),
            "Z" if self.offset.is_none() => "Z".to_owned(),
            "Z" => clock(":"),
            _ => return None,
        })
    }
}

/// A time by the letters of a text; what is between single quotes stays.
fn formatted(function: &str, format: &str, time: Time) -> Result<Value, String> {
    let parts = Parts::of(time).ok_or_else(|| format!("{function}: the time has no parts"))?;
    let mut out = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let (quoted, after) = quoted(&rest[1..]).ok_or_else(|| format!("{function}: a quote does not end"))?;
            out.push_str(&quoted);
            rest = after;
        } else if first.is_ascii_alphabetic() {
            let length = rest.find(|c| c != first).unwrap_or(rest.len());
            let (letters, after) = rest.split_at(length);
            let what = parts.verb(letters).ok_or_else(|| format!("{function}: `{letters}` means nothing"))?;
            out.push_str(&what);
            rest = after;
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(out.into())
}

/// What is between quotes, the first of which is gone; two of them are one. And what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('\'')?;
        out.push_str(before);
        match after.strip_prefix('\'') {
            Some(more) => {
                out.push('\'');
                rest = more;
            }
            None => return Some((out, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, time: &str, expected: &str) {
        let shown =
            match Time::parse(time).map_err(|error| format!("{error:?}")).and_then(|time| formatted("f", format, time))
            {
                Ok(text) => shown(&text),
                Err(why) => why,
            };
        assert_eq!(shown, expected, "{format}");
    }

    #[test]
    fn times_by_letters() {
        let time = "2018-01-02T23:12:01-08:00";
        check("DD MMM YYYY hh:mm ZZZ", time, "02 Jan 2018 23:12 -0800");
        check("EEEE, DD-MMM-YY hh:mm:ss ZZZ", time, "Tuesday, 02-Jan-18 23:12:01 -0800");
        check("EEE, DD MMM YYYY hh:mm:ss ZZZ", "2018-01-02T23:12:01Z", "Tue, 02 Jan 2018 23:12:01 UTC");
        check("H:m:s aa, Z 'it''s' D/M", "2000-02-09T00:05:06Z", "12:5:6 am, Z it's 9/2");
        check("HH AA ZZZZZ ZZZZ MMMM", "2000-02-09T13:05:06+01:30", "01 PM +01:30 +0130 February");
        check("YYYY-MM-DD'T'hh:mm:ssZ", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z");
        check("EEE", "1969-12-31T23:59:59Z", "Wed");
        check("YYY", time, "f: `YYY` means nothing");
        check("'x", time, "f: a quote does not end");
    }
}
