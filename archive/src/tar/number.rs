//! Numbers in fields of headers, and times in records.

use std::io;

use super::{malformed, text};

/// A number: octal digits, or, where the first bit says so, bytes.
pub(super) fn number(field: &[u8]) -> io::Result<i64> {
    if field[0] & 0x80 == 0 {
        let digits = text(field)?.trim_matches([' ', '\0']).split('\0').next().unwrap_or_default();
        let value = if digits.is_empty() { Ok(0) } else { u64::from_str_radix(digits, 8) };
        return value.ok().and_then(|value| value.try_into().ok()).ok_or_else(malformed);
    }
    // The second bit is the sign.
    let negative = field[0] & 0x40 != 0;
    let (first, rest) = (field[0] | 0x80, &field[1..]);
    let first = if negative { first } else { first & 0x7f };
    let bytes = std::iter::once(first).chain(rest.iter().copied());
    let fill: i128 = if negative { -1 } else { 0 };
    let value = bytes.fold(fill, |value, byte| value.wrapping_shl(8) | i128::from(byte));
    i64::try_from(value).map_err(|_| malformed())
}

/// A number that is not below zero.
pub(super) fn size(field: &[u8]) -> io::Result<u64> {
    u64::try_from(number(field)?).map_err(|_| malformed())
}

/// A number of a record, in decimal digits.
pub(super) fn decimal<N: std::str::FromStr>(value: &[u8]) -> io::Result<N> {
    text(value)?.parse().map_err(|_| malformed())
}

/// Seconds and nanoseconds of a number with decimals.
pub(super) fn time(value: &[u8]) -> io::Result<(i64, u32)> {
    let text = text(value)?;
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| malformed())?;
    if !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let nanos = decimals.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    // Decimals lead away from zero.
    Ok(if whole.starts_with('-') && nanos > 0 {
        (seconds.saturating_sub(1), 1_000_000_000 - nanos)
    } else {
        (seconds, nanos)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let check = |field: &[u8], expected: Option<i64>| assert_eq!(number(field).ok(), expected, "{field:?}");
        check(b"00000001750\0", Some(1000));
        check(b"   1750 \0 ", Some(1000));
        check(b"   1750 \0 9", None);
        check(b"\0\0\0\0", Some(0));
        check(b"        ", Some(0));
        check(b"-0000001750\0", None);
        check(b"0000000178\0\0", None);
        check(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2], Some(258));
        check(&[0xff; 12], Some(-1));
        check(&[0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], Some(i64::MIN));
        check(&[0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0], None);
        check(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], None);
    }

    #[test]
    fn times() {
        let check = |text: &str, expected| assert_eq!(time(text.as_bytes()).ok(), expected, "{text}");
        check("1700000000", Some((1_700_000_000, 0)));
        check("1700000000.9999999999", Some((1_700_000_000, 999_999_999)));
        check("-1.0", Some((-1, 0)));
        check("-1.5", Some((-2, 500_000_000)));
        check("1.5x", None);
        check("", None);
    }
}
