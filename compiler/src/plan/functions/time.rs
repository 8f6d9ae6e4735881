//! Times as Go's `time.Parse` reads them with the layout of RFC 3339, and says what is wrong with them.

/// The layout, which Go's messages name.
const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
const NANOS: i64 = 1_000_000_000;

/// Nanoseconds since 1970.
///
/// **Errors**: Go's message.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    let mut reader = Reader { text, rest: text };
    let year = reader.number("2006", 4, 4)?;
    reader.skip("-")?;
    let month = reader.number("01", 2, 2)?;
    reader.within("month", (1..=12).contains(&month))?;
    reader.skip("-")?;
    let day = reader.number("02", 2, 2)?;
    reader.skip("T")?;
    let hour = reader.number("15", 1, 2)?;
    reader.within("hour", hour < 24)?;
    reader.skip(":")?;
    let minute = reader.number("04", 2, 2)?;
    reader.within("minute", minute < 60)?;
    reader.skip(":")?;
    let second = reader.number("05", 2, 2)?;
    reader.within("second", second < 60)?;
    let nanos = reader.fraction();
    let offset = reader.zone()?;
    if !reader.rest.is_empty() {
        return Err(format!("parsing time {}: extra text: {}", quote(text), quote(reader.rest)));
    }
    reader.within("day", (1..=days_in(month, year)).contains(&day))?;
    let days = days_before(year, month) + day - 1;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset;
    // parity: beyond the years that 64 bits can say, Go's count wraps.
    Ok(seconds.wrapping_mul(NANOS).wrapping_add(nanos))
}

struct Reader<'t> {
    text: &'t str,
    rest: &'t str,
}

impl Reader<'_> {
    fn unread<T>(&self, rest: &str, element: &str) -> Result<T, String> {
        let (text, rest) = (quote(self.text), quote(rest));
        Err(format!("parsing time {text} as \"{LAYOUT}\": cannot parse {rest} as \"{element}\""))
    }

    fn within(&self, what: &str, is: bool) -> Result<(), String> {
        if is { Ok(()) } else { Err(format!("parsing time {}: {what} out of range", quote(self.text))) }
    }

    fn skip(&mut self, sign: &str) -> Result<(), String> {
        match self.rest.strip_prefix(sign) {
            Some(rest) => self.rest = rest,
            None => return self.unread(self.rest, sign),
        }
        Ok(())
    }

    /// A number of so many digits at least, and at most.
    fn number(&mut self, element: &str, least: usize, most: usize) -> Result<i64, String> {
        let digits = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if digits < least {
            return self.unread(self.rest, element);
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        Ok(number.parse().unwrap_or_default())
    }

    /// Nanoseconds: digits after a point or a comma; what is smaller is dropped.
    fn fraction(&mut self) -> i64 {
        let Some(after) = self.rest.strip_prefix(['.', ',']) else { return 0 };
        let length = after.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return 0;
        }
        self.rest = &after[length..];
        let digits = after[..length].bytes().chain(std::iter::repeat(b'0')).take(9);
        digits.fold(0, |nanos, digit| nanos * 10 + i64::from(digit - b'0'))
    }

    /// Seconds east of Greenwich.
    fn zone(&mut self) -> Result<i64, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let zone = self.rest;
        let two = |at: usize| {
            let digits = zone.as_bytes().get(at..at + 2).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
            Some(i64::from((digits[0] - b'0') * 10 + (digits[1] - b'0')))
        };
        let sign = match zone.as_bytes().first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return self.unread(zone, "Z07:00"),
        };
        let (Some(hours), Some(b':'), Some(minutes)) = (two(1), zone.as_bytes().get(3), two(4)) else {
            return self.unread(zone, "Z07:00");
        };
        self.within("time zone offset hour", hours <= 24)?;
        self.within("time zone offset minute", minutes <= 60)?;
        self.rest = &zone[6..];
        Ok(sign * (hours * 60 + minutes) * 60)
    }
}

fn quote(text: &str) -> String {
    ast::quote(text.as_bytes())
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(month: i64, year: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to the first of a month.
fn days_before(year: i64, month: i64) -> i64 {
    let before = year - 1;
    let leaps = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - 477;
    let months: i64 = (1..month).map(|month| days_in(month, year)).sum();
    (year - 1970) * 365 + leaps + months
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: i64) {
        assert_eq!(parse(text), Ok(expected));
    }

    fn check_error(text: &str, expected: &str) {
        assert_eq!(parse(text), Err(format!("parsing time \"{text}\"{expected}")));
    }

    #[test]
    fn times() {
        check("1970-01-01T00:00:00Z", 0);
        check("2020-02-29T23:59:59.5+02:00", 1_583_013_599_500_000_000);
        check("1969-12-31T23:59:59,000000001Z", -999_999_999);
        check("2000-03-01T1:02:03-00:30", 951_874_323_000_000_000);
    }

    #[test]
    fn what_is_wrong() {
        let layout = " as \"2006-01-02T15:04:05Z07:00\": cannot parse";
        check_error("yesterday", &format!("{layout} \"yesterday\" as \"2006\""));
        check_error("2020-1-01", &format!("{layout} \"1-01\" as \"01\""));
        check_error("2020-01-01 00:00:00", &format!("{layout} \" 00:00:00\" as \"T\""));
        check_error("2020-01-01T00:00:00", &format!("{layout} \"\" as \"Z07:00\""));
        check_error("2020-13-01T00:00:00Z", ": month out of range");
        check_error("2021-02-29T00:00:00Z", ": day out of range");
        check_error("2021-02-28T00:00:60Z", ": second out of range");
        check_error("2021-02-28T00:00:00Zx", ": extra text: \"x\"");
    }
}
