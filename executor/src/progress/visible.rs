//! Text of a build file on a terminal: what a terminal would take as a command, or would show in another order than it
//! stands in the file, is spelled out.

use std::borrow::Cow;

/// The text with its commands to terminals spelled out: `\u{1b}`. Lines and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_command) {
        return text.into();
    }
    let spell = |c: char| if is_command(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(spell).collect::<String>().into()
}

/// Control characters, and marks that turn the direction of writing.
fn is_command(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && !matches!(c, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_spelled_out_and_nothing_else() {
        assert_eq!(visible("RUN echo ü 日本\n\tx"), "RUN echo ü 日本\n\tx");
        assert_eq!(visible("a\u{1b}[2J\u{7}\r\u{9b}\u{202e}b"), "a\\u{1b}[2J\\u{7}\\u{d}\\u{9b}\\u{202e}b");
    }
}
