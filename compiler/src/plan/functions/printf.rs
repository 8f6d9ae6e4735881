//! `format`: Go's `fmt.Sprintf` where all values are strings.

/// Puts values in the place of verbs.
pub(super) fn sprintf(format: &str, values: &[String]) -> String {
    let mut printer = Printer { rest: format, values, next: 0, reordered: false, out: String::new() };
    while let Some(at) = printer.rest.find('%') {
        printer.out.push_str(&printer.rest[..at]);
        printer.rest = &printer.rest[at + 1..];
        printer.verb();
    }
    printer.finish()
}

/// Wider than this is a mistake, to Go too.
const MOST_WIDTH: usize = 1_000_000;

struct Printer<'f> {
    rest: &'f str,
    values: &'f [String],
    /// The value that is next.
    next: usize,
    /// Whether a verb chose its value: then what is left over is nobody's mistake.
    reordered: bool,
    out: String,
}

/// How a verb's value is written: `%-5.2s`.
#[derive(Default)]
struct Form {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// What `[n]` before a verb says of its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Index {
    None,
    Good,
    Bad,
}

impl Printer<'_> {
    fn finish(mut self) -> String {
        self.out.push_str(self.rest);
        if self.next < self.values.len() && !self.reordered {
            let extra: Vec<String> = self.values[self.next..].iter().map(|value| format!("string={value}")).collect();
            self.out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
        }
        self.out
    }

    /// One verb, whose `%` is read.
    fn verb(&mut self) {
        let mut form = self.flags();
        let mut good = true;
        let mut index = self.index(&mut good);
        if self.star() {
            index = Index::None;
            self.out.push_str("%!(BADWIDTH)");
        } else {
            form.width = self.number();
            good &= index != Index::Good || form.width.is_none();
        }
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            good &= index != Index::Good;
            index = self.index(&mut good);
            if self.star() {
                index = Index::None;
                self.out.push_str("%!(BADPREC)");
            } else {
                form.precision = Some(self.number().unwrap_or(0));
            }
        }
        if index != Index::Good {
            self.index(&mut good);
        }
        let Some(verb) = self.rest.chars().next() else { return self.out.push_str("%!(NOVERB)") };
        self.rest = &self.rest[verb.len_utf8()..];
        if verb == '%' {
            return self.out.push('%');
        }
        if !good {
            return self.out.push_str(&format!("%!{verb}(BADINDEX)"));
        }
        let Some(value) = self.values.get(self.next) else { return self.out.push_str(&format!("%!{verb}(MISSING)")) };
        self.next += 1;
        form.write(verb, value, &mut self.out);
    }

    fn flags(&mut self) -> Form {
        let mut form = Form::default();
        while let Some(flag) = self.rest.chars().next().filter(|c| "-+# 0".contains(*c)) {
            match flag {
                '-' => form.minus = true,
                '+' => form.plus = true,
                '#' => form.sharp = true,
                ' ' => form.space = true,
                _ => form.zero = true,
            }
            self.rest = &self.rest[1..];
        }
        form
    }

    /// `[n]`: the value to go on with.
    fn index(&mut self, good: &mut bool) -> Index {
        let Some(after) = self.rest.strip_prefix('[') else { return Index::None };
        self.reordered = true;
        let Some((number, rest)) = after.split_once(']') else {
            (self.rest, *good) = (after, false);
            return Index::Bad;
        };
        self.rest = rest;
        let number = Some(number).filter(|number| number.bytes().all(|b| b.is_ascii_digit()));
        let number = number.and_then(|number| number.parse::<usize>().ok()).filter(|number| *number <= MOST_WIDTH);
        match number {
            Some(number) if (1..=self.values.len()).contains(&number) => self.next = number - 1,
            Some(_) => *good = false,
            None => {
                *good = false;
                return Index::Bad;
            }
        }
        Index::Good
    }

    /// `*`: a value that is a number, which none is.
    fn star(&mut self) -> bool {
        let Some(rest) = self.rest.strip_prefix('*') else { return false };
        self.rest = rest;
        self.next += usize::from(self.next < self.values.len());
        true
    }

    /// The digits a text starts with.
    fn number(&mut self) -> Option<usize> {
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(length);
        let number = digits.parse().ok().filter(|number| *number <= MOST_WIDTH);
        self.rest = if length > 0 && number.is_none() { "" } else { rest };
        number
    }
}

impl Form {
    fn write(&self, verb: char, value: &str, out: &mut String) {
        let shown = match verb {
            'v' | 'w' if self.sharp => self.quote(value, false),
            's' | 'v' => self.cut(value).to_owned(),
            'q' => self.quote(self.cut(value), true),
            'x' | 'X' => self.hex(value, verb == 'X'),
            'T' => self.cut("string").to_owned(),
            _ => {
                out.push_str(&format!("%!{verb}(string="));
                self.pad(self.cut(value), out);
                return out.push(')');
            }
        };
        self.pad(&shown, out);
    }

    /// In quotes: of the other kind if that is wanted and possible, in letters that everybody has if that is.
    fn quote(&self, value: &str, flags: bool) -> String {
        let is_plain = |c: char| c == '\t' || !c.is_control() && c != '`' && c != '\u{feff}';
        if flags && self.sharp && value.chars().all(is_plain) {
            return format!("`{value}`");
        }
        let quoted = ast::quote(value.as_bytes());
        if flags && self.plus { to_ascii(&quoted) } else { quoted }
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

fn to_ascii(text: &str) -> String {
    let escaped = |c: char| match c {
        c if c.is_ascii() => c.to_string(),
        c if (c as u32) < 0x1_0000 => format!("\\u{:04x}", c as u32),
        c => format!("\\U{:08x}", c as u32),
    };
    text.chars().map(escaped).collect()
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
        check("%5d|%c", &["a", "b"], "%!d(string=    a)|%!c(string=b)");
    }

    #[test]
    fn values_are_chosen_by_number() {
        check("%[2]s %[1]s", &["a", "b"], "b a");
        check("%[3]s %[x]s %[2]5s|%[", &["a", "b"], "%!s(BADINDEX) %!s(BADINDEX) %!s(BADINDEX)|%!(NOVERB)");
        check("%*s %.*s", &["1", "b", "2", "d"], "%!(BADWIDTH)b %!(BADPREC)d");
    }

    #[test]
    fn quotes() {
        check("%#q %#q %+q %#v", &["a`b", "c", "dé", "e`"], "\"a`b\" `c` \"d\\u00e9\" \"e`\"");
    }
}
