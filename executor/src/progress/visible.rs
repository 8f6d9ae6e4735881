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

/// What a process wrote, for a terminal: colours stay, lines, tabs and carriage returns; what else a terminal would do, set
/// its title, fill the clipboard, clear the screen, is left out. A command ends with its line.
pub fn tame(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_command(c) && c != '\r') {
        return text.into();
    }
    text.split_inclusive('\n').map(|line| spoken(line, true)).collect::<String>().into()
}

/// A line without commands; colours are kept or not.
pub(super) fn spoken(line: &str, coloured: bool) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => {
                let before = chars.as_str();
                skip_sequence(&mut chars);
                let sequence = &before[..before.len() - chars.as_str().len()];
                if coloured && is_colour(sequence) {
                    out.push('\x1b');
                    out.push_str(sequence);
                }
            }
            '\r' => out.push(c),
            c if is_command(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Whether what follows an escape character sets colours.
fn is_colour(sequence: &str) -> bool {
    let numbers = sequence.strip_prefix('[').and_then(|rest| rest.strip_suffix('m'));
    numbers.is_some_and(|numbers| numbers.chars().all(|c| c.is_ascii_digit() || matches!(c, ';' | ':')))
}

/// Passes over what follows an escape character (ECMA-48).
fn skip_sequence(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        Some('[') => drop(chars.find(|c| ('@'..='~').contains(c) || *c == '\n')),
        // Strings for the terminal: until BEL, or ST.
        Some(']' | 'P' | 'X' | '^' | '_') => drop(chars.find(|c| matches!(c, '\x07' | '\\' | '\u{9c}' | '\n'))),
        Some(' '..='/') => drop(chars.find(|c| ('0'..='~').contains(c) || *c == '\n')),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_colours_of_a_process_and_nothing_else() {
        let all =
            "a\u{1b}]52;c;eA==\u{7}b\u{1b}]0;title\u{1b}\\c\u{1b}[2Jd\u{1b}[1;31mred\u{1b}[0m\u{1b}(B\u{9b}2J\u{8}e\n";
        assert_eq!(tame(all), "abcd\u{1b}[1;31mred\u{1b}[0m2Je\n");
        assert_eq!(tame("\u{1b}Psixel\u{1b}\\10%\r\t20%"), "10%\r\t20%");
        assert_eq!(tame("\u{1b}]0;no end\nnext\n"), "next\n", "a command ends with its line");
        assert_eq!(spoken("\u{1b}[32mok\u{1b}[0m\u{202e}", false), "ok");
    }

    #[test]
    fn commands_are_spelled_out_and_nothing_else() {
        assert_eq!(visible("RUN echo ü 日本\n\tx"), "RUN echo ü 日本\n\tx");
        assert_eq!(visible("a\u{1b}[2J\u{7}\r\u{9b}\u{202e}b"), "a\\u{1b}[2J\\u{7}\\u{d}\\u{9b}\\u{202e}b");
    }
}
