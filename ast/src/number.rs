//! Whole numbers as Go's `strconv` reads them, with its messages: they reach definitions and errors.

use std::fmt;

use crate::quote;

/// Why a text is no number; shown as Go's `strconv` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberError {
    function: &'static str,
    text: String,
    /// What is wrong, without the rest.
    pub reason: &'static str,
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "strconv.{}: parsing {}: {}", self.function, quote(self.text.as_bytes()), self.reason)
    }
}

const SYNTAX: &str = "invalid syntax";
const RANGE: &str = "value out of range";

/// `strconv.ParseInt(text, base, bits)` for a base up to ten.
pub fn parse_int(text: &str, base: u32, bits: u32) -> Result<i64, NumberError> {
    let fail = |reason| NumberError { function: "ParseInt", text: text.to_owned(), reason };
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = magnitude(digits, base, bits).map_err(fail)?;
    let limit = 1u64 << (bits - 1);
    match negative {
        true if magnitude <= limit => Ok((magnitude as i64).wrapping_neg()),
        false if magnitude < limit => Ok(magnitude as i64),
        _ => Err(fail(RANGE)),
    }
}

/// `strconv.ParseUint(text, base, bits)` for a base up to ten.
pub fn parse_uint(text: &str, base: u32, bits: u32) -> Result<u64, NumberError> {
    let fail = |reason| NumberError { function: "ParseUint", text: text.to_owned(), reason };
    magnitude(text, base, bits).map_err(fail)
}

/// `strconv.Atoi`, whose errors nobody shows.
pub fn atoi(text: &str) -> Option<i64> {
    // What does not start like a number is none: names of stages are looked at often.
    text.starts_with(|c: char| matches!(c, '+' | '-' | '0'..='9')).then(|| parse_int(text, 10, 64).ok())?
}

/// What is wrong first is told: a number that is too large, or a sign that is no digit.
fn magnitude(digits: &str, base: u32, bits: u32) -> Result<u64, &'static str> {
    let largest = u64::MAX >> (64 - bits);
    let append = |number: u64, sign: char| {
        let digit = sign.to_digit(base).ok_or(SYNTAX)?;
        let longer = number.checked_mul(base.into()).and_then(|number| number.checked_add(digit.into()));
        longer.filter(|number| *number <= largest).ok_or(RANGE)
    };
    if digits.is_empty() { Err(SYNTAX) } else { digits.chars().try_fold(0, append) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(parse_int("-1", 10, 32), Ok(-1));
        assert_eq!(parse_int("+5", 10, 32), Ok(5));
        assert_eq!(parse_int("-9223372036854775808", 10, 64), Ok(i64::MIN));
        let error = |result: Result<i64, NumberError>| result.map_err(|error| error.to_string());
        assert_eq!(error(parse_int("64m", 10, 64)), Err(r#"strconv.ParseInt: parsing "64m": invalid syntax"#.into()));
        assert_eq!(error(parse_int("", 10, 64)), Err(r#"strconv.ParseInt: parsing "": invalid syntax"#.into()));
        assert_eq!(
            error(parse_int("2147483648", 10, 32)),
            Err(r#"strconv.ParseInt: parsing "2147483648": value out of range"#.into())
        );
        assert_eq!(
            error(parse_int("99999999999m", 10, 32)),
            Err(r#"strconv.ParseInt: parsing "99999999999m": value out of range"#.into())
        );
        assert_eq!(error(parse_int("9x", 10, 32)), Err(r#"strconv.ParseInt: parsing "9x": invalid syntax"#.into()));
        assert_eq!(parse_uint("755", 8, 32), Ok(0o755));
        assert!(parse_uint("-1", 10, 32).is_err() && parse_uint("+1", 10, 32).is_err());
        assert!(parse_uint("4294967296", 10, 32).is_err() && parse_uint("789", 8, 32).is_err());
    }
}
