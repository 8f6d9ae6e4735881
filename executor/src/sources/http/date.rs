//! Dates in HTTP headers (RFC 9110, section 5.6.7): the usual form and the two old ones.

use oci::Time;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since 1970.
pub(super) fn parse(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split([' ', '-']).filter(|word| !word.is_empty()).collect();
    let (day, month, year, time) = match words[..] {
        // Sun, 06 Nov 1994 08:49:37 GMT, and Sunday, 06-Nov-94 08:49:37 GMT; some servers call it UTC
        [_, day, month, year, time, "GMT" | "UTC"] => (day, month, year, time),
        // Sun Nov  6 08:49:37 1994
        [_, month, day, time, year] => (day, month, year, time),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let day: u32 = day.parse().ok()?;
    let year: u32 = match year.parse().ok()? {
        short if year.len() == 2 && short < 69 => 2000 + short,
        short if year.len() == 2 => 1900 + short,
        year => year,
    };
    Time::parse(&format!("{year:04}-{month:02}-{day:02}T{time}Z")).ok().map(Time::unix_seconds)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn format(seconds: i64) -> String {
    let text = Time::from_unix(seconds, 0).to_string();
    let weekday = DAYS[usize::try_from(seconds.div_euclid(86_400).rem_euclid(7)).expect("a remainder of seven")];
    let (year, month, day, time) = (&text[..4], &text[5..7], &text[8..10], &text[11..19]);
    let month = MONTHS[month.parse::<usize>().expect("a printed month is a number") - 1];
    format!("{weekday}, {day} {month} {year} {time} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 UTC",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text), Some(784_111_777), "{text}");
        }
        for text in
            ["", "yesterday", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 36 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        for seconds in [0, 784_111_777, 1_770_084_306, 951_782_400] {
            assert_eq!(parse(&format(seconds)), Some(seconds));
        }
        assert_eq!(format(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
