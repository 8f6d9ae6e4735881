//! `format`: Go's `fmt.Sprintf` where all values are strings.

/// Puts values in the place of verbs.
pub(super) fn sprintf(format: &str, values: &[String]) -> String {
    let mut out = String::new();
    let mut rest = format;
    let mut next = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let (verb, after) = Verb::parse(&rest[at + 1..]);
        rest = after;
        verb.write(values, &mut next, &mut out);
    }
    out.push_str(rest);
    if next < values.len() {
        let extra: Vec<String> = values[next..].iter().map(|value| format!("string={value}")).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

/// `%-5.2s`, read.
#[derive(Default)]
struct Verb {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
    verb: Option<char>,
}

/// Wider than this is a mistake, to Go too.
const MOST_WIDTH: usize = 1_000_000;

impl Verb {
    fn parse(text: &str) -> (Self, &str) {
        let mut verb = Self::default();
        let mut rest = text;
        while let Some(flag) = rest.chars().next().filter(|c| "-+# 0".contains(*c)) {
            match flag {
                '-' => verb.minus = true,
                '+' => verb.plus = true,
                '#' => verb.sharp = true,
                ' ' => verb.space = true,
                _ => verb.zero = true,
            }
            rest = &rest[1..];
        }
        (verb.width, rest) = number(rest);
        if let Some(after) = rest.strip_prefix('.') {
            (verb.precision, rest) = number(after);
            verb.precision.get_or_insert(0);
        }
        verb.verb = rest.chars().next();
        rest = &rest[verb.verb.map_or(0, char::len_utf8)..];
        (verb, rest)
    }

    fn write(&self, values: &[String], next: &mut usize, out: &mut String) {
        let Some(verb) = self.verb else { return out.push_str("%!(NOVERB)") };
        if verb == '%' {
            return out.push('%');
        }
        let Some(value) = values.get(*next) else { return out.push_str(&format!("%!{verb}(MISSING)")) };
        *next += 1;
        let shown = match verb {
            's' | 'v' if verb == 'v' && self.sharp => ast::quote(value.as_bytes()),
            's' | 'v' => self.cut(value).to_owned(),
            'q' if self.sharp && !value.contains(['`', '\n']) => format!("`{}`", self.cut(value)),
            'q' => ast::quote(self.cut(value).as_bytes()),
            'x' | 'X' => self.hex(value, verb == 'X'),
            'T' => "string".to_owned(),
            _ => format!("%!{verb}(string={value})"),
        };
        self.pad(&shown, out);
    }

    fn cut<'v>(&self, value: &'v str) -> &'v str {
        let end = self.precision.and_then(|count| value.char_indices().nth(count));
        end.map_or(value, |(end, _)| &value[..end])
    }

    fn hex(&self, value: &str, upper: bool) -> String {
        let bytes = &value.as_bytes()[..self.precision.unwrap_or(usize::MAX).min(value.len())];
        let prefix = if !self.sharp {
            ""
        } else if upper {
            "0X"
        } else {
            "0x"
        };
        let digits = bytes.iter().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
        match (self.space, bytes.is_empty()) {
            (_, true) => String::new(),
            (true, _) => digits.map(|digits| prefix.to_owned() + &digits).collect::<Vec<_>>().join(" "),
            (false, _) => prefix.to_owned() + &digits.collect::<String>(),
        }
    }

    fn pad(&self, shown: &str, out: &mut String) {
        let missing = self.width.unwrap_or(0).saturating_sub(shown.chars().count());
        let fill = if self.zero && !self.minus { "0" } else { " " }.repeat(missing);
        out.push_str(if self.minus { shown } else { &fill });
        out.push_str(if self.minus { &fill } else { shown });
    }
}

fn number(text: &str) -> (Option<usize>, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (text[..digits].parse().ok().filter(|width| *width <= MOST_WIDTH), &text[digits..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, values: &[&str], expected: &str) {
        assert_eq!(sprintf(format, &values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn verbs() {
        check("%s-%s %q %v %5s|%-5s| 100%%", &["a", "b", "c d", "e", "f", "g"], "a-b \"c d\" e     f|g    | 100%");
        check("%x %X %# x %.2s %05s %T", &["hi", "hi", "hi", "héllo", "7", "t"], "6869 6869 0x68 0x69 hé 00007 string");
    }

    #[test]
    fn what_is_wrong_is_shown() {
        check("%d", &["a"], "%!d(string=a)");
        check("%s %s", &["a"], "a %!s(MISSING)");
        check("%s", &["a", "b", "c"], "a%!(EXTRA string=b, string=c)");
        check("%", &[], "%!(NOVERB)");
    }
}
