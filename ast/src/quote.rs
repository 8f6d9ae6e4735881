//! Text in double quotes, as Go's `%q` writes it: BuildKit's messages and image history are full of it.

use std::fmt::Write;

/// The text in double quotes; what cannot be printed is escaped as Go escapes it.
pub fn quote(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_quoted(&mut out, text);
    out
}

/// Appends what [`quote`] makes of a text.
pub fn push_quoted(out: &mut String, text: &[u8]) {
    out.push('"');
    for chunk in text.utf8_chunks() {
        push_text(out, chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
}

/// Appends text from one character that is written in another way to the next: most texts have few.
fn push_text(out: &mut String, mut text: &str) {
    loop {
        let plain = text.bytes().position(|byte| !is_plain(byte)).unwrap_or(text.len());
        out.push_str(&text[..plain]);
        let mut rest = text[plain..].chars();
        let Some(c) = rest.next() else { return };
        push_char(out, c);
        text = rest.as_str();
    }
}

/// Whether a byte is a character that stays as it is.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

fn push_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if is_print(c) => out.push(c),
        c if c < ' ' || c == '\x7f' => {
            let _ = write!(out, "\\x{:02x}", c as u32);
        }
        c if (c as u32) < 0x10000 => {
            let _ = write!(out, "\\u{:04x}", c as u32);
        }
        c => {
            let _ = write!(out, "\\U{:08x}", c as u32);
        }
    }
}

/// Whether Go prints the character as it is. The only blank it prints is the ASCII one; for the rest, what Rust's
/// own escaping leaves alone.
fn is_print(c: char) -> bool {
    match c {
        ' '..='~' => true,
        _ if c.is_ascii() || c.is_whitespace() || c.is_control() => false,
        // `escape_debug` also escapes combining marks, which Go prints.
        _ => c.is_alphanumeric() || c.escape_debug().len() == 1 || is_mark(c),
    }
}

fn is_mark(c: char) -> bool {
    matches!(c as u32, 0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff
        | 0x20d0..=0x20f0 | 0xfe00..=0xfe0f | 0xfe20..=0xfe2f | 0xe0100..=0xe01ef)
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn escapes_as_go_does() {
        assert_eq!(quote(b"a \"b\" \\ \t\n\x00\x7f"), r#""a \"b\" \\ \t\n\x00\x7f""#);
        assert_eq!(quote("ü é 世 \u{a0} \u{200b}".as_bytes()), "\"ü é 世 \\u00a0 \\u200b\"");
        assert_eq!(quote(b"\xff\xc3"), r#""\xff\xc3""#);
    }
}
