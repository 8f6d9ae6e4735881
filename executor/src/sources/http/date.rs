//! Dates in HTTP headers (RFC 9110, section 5.6.7): the usual form and the two old ones.

use oci::Time;

const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since 1970.
///
/// parity: Go's `http.ParseTime`: what that does not understand is no time.
pub(super) fn parse(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    match words[..] {
        // Sun, 06 Nov 1994 08:49:37 GMT
        [weekday, day, month, year, time, "GMT"] if is_day(weekday.strip_suffix(',')?, 3) => {
            seconds(number(year, 4)?, month, number(day, 2)?, time)
        }
        // Sunday, 06-Nov-94 08:49:37 GMT: other zones are taken for it
        [weekday, date, time, zone] if is_zone(zone) && is_day(weekday.strip_suffix(',')?, usize::MAX) => {
            let (day, rest) = date.split_once('-')?;
            let (month, year) = rest.split_once('-')?;
            let year = number(year, 2)?;
            seconds(if year < 69 { 2000 + year } else { 1900 + year }, month, number(day, 2)?, time)
        }
        // Sun Nov  6 08:49:37 1994
        [weekday, month, day, time, year] if is_day(weekday, 3) => {
            seconds(number(year, 4)?, month, number(day, day.len().min(2))?, time)
        }
        _ => None,
    }
}

/// Whether a word is a day of the week, of so many letters at most.
fn is_day(word: &str, letters: usize) -> bool {
    DAYS.iter().any(|name| name[..name.len().min(letters)].eq_ignore_ascii_case(word))
}

fn is_zone(word: &str) -> bool {
    word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// A number of so many digits.
fn number(word: &str, digits: usize) -> Option<u32> {
    word.parse().ok().filter(|_| word.len() == digits && word.bytes().all(|byte| byte.is_ascii_digit()))
}

fn seconds(year: u32, month: &str, day: u32, time: &str) -> Option<i64> {
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? + 1;
    // Hours may have one digit.
    Time::parse(&format!("{year:04}-{month:02}-{day:02}T{time:0>8}Z")).ok().map(Time::unix_seconds)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn format(seconds: i64) -> String {
    let text = Time::from_unix(seconds, 0).to_string();
    let weekday = &DAYS[usize::try_from(seconds.div_euclid(86_400).rem_euclid(7)).expect("a remainder of seven")][..3];
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
            "Sunday, 06-Nov-94 08:49:37 EST",
            "Sun Nov  6 08:49:37 1994",
            "Sun Nov 06 8:49:37 1994",
            "sun, 06 nov  1994 8:49:37 GMT",
            // Nobody looks whether it was that day.
            "Mon, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text), Some(784_111_777), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 36 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 gmt",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Foo, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        for seconds in [0, 784_111_777, 1_770_084_306, 951_782_400] {
            assert_eq!(parse(&format(seconds)), Some(seconds));
        }
        assert_eq!(format(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
