//! One pattern against one path.
//!
//! moby turns a pattern into the text of a regular expression, character by character, and what that expression means
//! *is* the pattern's meaning, oddities included (`\d` is a digit, `[*]` is no class, `^` never matches in the middle).
//! So the text is made here too ([`Translation`]); then, where it is one of the usual shapes, nothing but a comparison
//! is left of it, else it becomes a small automaton whose run is linear in the path.

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) enum Glob {
    /// `name`.
    Exact(Box<[u8]>),
    /// `dir/**`: the text before the stars.
    Prefix(Box<[u8]>),
    /// `**/name`: the text after the stars.
    Suffix(Box<[u8]>),
    /// `*.ext`: no slash, and this end.
    FileSuffix(Box<[u8]>),
    /// `**/*.ext`: this end, in any directory. Paths with line feeds, which two stars do not cross, go to the automaton.
    AnySuffix(Box<[u8]>, Automaton),
    /// Anything else.
    Automaton(Automaton),
    /// What its expression shows to be no pattern: matches nothing.
    Broken,
}

impl Glob {
    /// Compiles a cleaned pattern; `None` when it breaks the syntax of Go's `filepath.Match`.
    pub(super) fn new(pattern: &str) -> Option<Self> {
        if !is_well_formed(pattern) {
            return None;
        }
        let bytes = pattern.as_bytes();
        let translation = Translation::of(pattern);
        Some(match translation.shape {
            Shape::Exact => Self::Exact(bytes.into()),
            Shape::Prefix => Self::Prefix(bytes[..bytes.len() - 2].into()),
            Shape::Suffix => Self::Suffix(bytes[2..].into()),
            Shape::Expression => Self::expression(pattern, &translation).unwrap_or(Self::Broken),
        })
    }

    fn expression(pattern: &str, translation: &Translation) -> Option<Self> {
        let plain = |text: &&str| !text.contains(['*', '?', '[', ']', '\\', '/', '^']);
        if let Some(suffix) = pattern.strip_prefix('*').filter(plain) {
            return Some(Self::FileSuffix(suffix.as_bytes().into()));
        }
        let automaton = Automaton::parse(&translation.expression, translation.open)?;
        Some(match pattern.strip_prefix("**/*").filter(plain) {
            Some(suffix) => Self::AnySuffix(suffix.as_bytes().into(), automaton),
            None => Self::Automaton(automaton),
        })
    }

    /// Whether the expression is none.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self, Self::Broken)
    }

    pub(super) fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(text) => path == &**text,
            Self::Prefix(prefix) => path.starts_with(prefix),
            Self::Suffix(suffix) => path.ends_with(suffix) || suffix.strip_prefix(b"/") == Some(path),
            Self::FileSuffix(suffix) => path.ends_with(suffix) && !path.contains(&b'/'),
            Self::AnySuffix(suffix, automaton) => {
                path.ends_with(suffix) && (!path.contains(&b'\n') || automaton.matches(path))
            }
            Self::Automaton(automaton) => automaton.matches(path),
            Self::Broken => false,
        }
    }
}

/// Whether Go's `filepath.Match(pattern, ".")` finds no fault. It looks no further than to where `.` does not match any
/// more; what comes after is the expression's affair.
fn is_well_formed(pattern: &str) -> bool {
    let (mut rest, mut name) = (pattern, ".");
    while !rest.is_empty() {
        let starless = rest.trim_start_matches('*');
        let star = starless.len() < rest.len();
        let (chunk, after) = starless.split_at(chunk_len(starless));
        rest = after;
        if star && chunk.is_empty() {
            return true;
        }
        let Some(mut left) = match_chunk(chunk, name) else { return false };
        if star && !matches!(left, Some(left) if left.is_empty() || !rest.is_empty()) {
            // The star takes the only character there is.
            left = match_chunk(chunk, "").flatten();
        }
        match left {
            Some(left) if left.is_empty() || !rest.is_empty() => name = left,
            _ => return true,
        }
    }
    true
}

/// Bytes up to the next star that stands outside brackets.
fn chunk_len(pattern: &str) -> usize {
    let (mut in_class, mut escaped) = (false, false);
    for (index, byte) in pattern.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = index + 1 < pattern.len(),
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' if !in_class => return index,
            _ => {}
        }
    }
    pattern.len()
}

/// Matches a chunk without stars at the start of a name: `None` when it is malformed, else what it leaves, if it matches.
fn match_chunk<'a>(chunk: &str, name: &'a str) -> Option<Option<&'a str>> {
    let mut chars = chunk.chars().peekable();
    let mut names = name.chars();
    let mut matches = true;
    while let Some(c) = chars.next() {
        let there = names.next();
        matches &= there.is_some_and(|there| match c {
            '[' => true,
            '?' => there != '/',
            '\\' => chars.peek() == Some(&there),
            _ => c == there,
        });
        match c {
            '[' => matches &= match_class(&mut chars, there)?,
            '\\' => drop(chars.next()?),
            _ => {}
        }
    }
    Some(matches.then_some(names.as_str()))
}

/// Reads a class after its `[` through its `]`; there must be at least one range. Whether it holds the character.
fn match_class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, c: Option<char>) -> Option<bool> {
    let one_of = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        other => Some(other),
    };
    let negated = chars.next_if_eq(&'^').is_some();
    let mut found = false;
    loop {
        let low = one_of(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() { one_of(chars)? } else { low };
        found |= c.is_some_and(|c| (low..=high).contains(&c));
        // Something must follow: another range, or the end.
        if *chars.peek()? == ']' {
            chars.next();
            return Some(found != negated);
        }
    }
}

/// What kind of comparison a pattern needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Exact,
    Prefix,
    Suffix,
    Expression,
}

/// A pattern's shape and, for [`Shape::Expression`], its regular expression without the anchors around it.
struct Translation {
    shape: Shape,
    expression: String,
    /// Whether the end is not anchored.
    open: bool,
}

impl Translation {
    fn of(pattern: &str) -> Self {
        let mut this = Self { shape: Shape::Exact, expression: String::new(), open: false };
        let mut chars = pattern.chars().peekable();
        let mut first = true;
        while let Some(c) = chars.next() {
            match c {
                '*' if chars.next_if_eq(&'*').is_some() => {
                    chars.next_if_eq(&'/');
                    this.double_star(first, chars.peek().is_none());
                }
                '*' => this.meta("[^/]*"),
                '?' => this.meta("[^/]"),
                '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => {
                    this.expression.push('\\');
                    this.expression.push(c);
                }
                '\\' => match chars.next() {
                    Some(escaped) => this.meta(&format!("\\{escaped}")),
                    // It escapes the anchor that would follow: a dollar, and then anything.
                    None => {
                        this.expression.push_str("\\$");
                        this.open = true;
                    }
                },
                '[' | ']' => this.meta(c.encode_utf8(&mut [0; 4])),
                _ => this.expression.push(c),
            }
            first = false;
        }
        this
    }

    fn meta(&mut self, expression: &str) {
        self.expression.push_str(expression);
        self.shape = Shape::Expression;
    }

    /// Two stars: everything at the end, any directories elsewhere.
    fn double_star(&mut self, first: bool, last: bool) {
        match (last, self.shape) {
            (true, Shape::Exact) => self.shape = Shape::Prefix,
            (true, _) => self.meta(".*"),
            (false, _) => self.meta("(.*/)?"),
        }
        if first {
            self.shape = Shape::Suffix;
        }
    }
}

/// A nondeterministic automaton over characters, run by keeping the set of states it may be in.
#[derive(Clone, Debug)]
pub(super) struct Automaton {
    states: Vec<State>,
    /// Whether the path may go on after the last state.
    open: bool,
    /// What every match starts with: it refuses most paths without a run.
    prefix: Box<[u8]>,
    /// What every match ends with.
    suffix: Box<[u8]>,
}

#[derive(Clone, Debug)]
enum State {
    /// Consumes one character of this set and goes on.
    One(Set),
    /// Consumes any number.
    Many(Set),
    /// `(.*/)?`: nothing, or anything up to a slash.
    Directories,
    /// Only where the path starts.
    Start,
}

/// A set of characters.
#[derive(Clone, Debug)]
struct Set {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Set {
    fn of(ranges: &[(char, char)]) -> Self {
        Self { negated: false, ranges: ranges.to_vec() }
    }

    /// `.`: everything but a line feed.
    fn dot() -> Self {
        Self { negated: true, ranges: vec![('\n', '\n')] }
    }

    fn has(&self, c: char) -> bool {
        self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != self.negated
    }
}

impl Automaton {
    /// Compiles an expression as [`Translation`] writes it; `None` for what Go's regexp refuses.
    fn parse(expression: &str, open: bool) -> Option<Self> {
        let mut states = Vec::new();
        let mut rest = expression;
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("(.*/)?") {
                states.push(State::Directories);
                rest = after;
                continue;
            }
            rest = &rest[c.len_utf8()..];
            let set = match c {
                '^' => {
                    states.push(State::Start);
                    continue;
                }
                '.' => Set::dot(),
                '[' => parse_class(&mut rest)?,
                '\\' => Set::of(&parse_escape(&mut rest)?),
                _ => Set::of(&[(c, c)]),
            };
            states.push(match rest.strip_prefix('*') {
                Some(after) => {
                    rest = after;
                    State::Many(set)
                }
                None => State::One(set),
            });
        }
        let prefix = literal(states.iter());
        let suffix = if open { String::new() } else { literal(states.iter().rev()).chars().rev().collect() };
        Some(Self { prefix: prefix.into_bytes().into(), suffix: suffix.into_bytes().into(), states, open })
    }

    fn matches(&self, path: &[u8]) -> bool {
        path.starts_with(&self.prefix) && path.ends_with(&self.suffix) && self.run(path)
    }

    fn run(&self, path: &[u8]) -> bool {
        let accept = self.states.len();
        let mut current = vec![false; accept + 1];
        // Whether the directories of a state have begun: it consumes until a slash lets it go.
        let mut inside = vec![false; accept];
        self.enter(0, true, &mut current, &mut inside);
        let mut rest = path;
        while let Some((c, len)) = decode(rest) {
            rest = &rest[len..];
            let mut next = vec![false; accept + 1];
            let mut still_inside = vec![false; accept];
            for (index, state) in self.states.iter().enumerate() {
                if inside[index] && c != '\n' {
                    still_inside[index] = true;
                    if c == '/' {
                        self.enter(index + 1, false, &mut next, &mut still_inside);
                    }
                }
                if !current[index] {
                    continue;
                }
                match state {
                    State::One(set) if set.has(c) => self.enter(index + 1, false, &mut next, &mut still_inside),
                    State::Many(set) if set.has(c) => self.enter(index, false, &mut next, &mut still_inside),
                    _ => {}
                }
            }
            next[accept] |= self.open && current[accept];
            (current, inside) = (next, still_inside);
        }
        current[accept]
    }

    /// Marks a state and those reached from it without a character.
    fn enter(&self, index: usize, at_start: bool, current: &mut [bool], inside: &mut [bool]) {
        if std::mem::replace(&mut current[index], true) {
            return;
        }
        match self.states.get(index) {
            Some(State::Many(_)) => self.enter(index + 1, at_start, current, inside),
            Some(State::Directories) => {
                inside[index] = true;
                self.enter(index + 1, at_start, current, inside);
            }
            Some(State::Start) if at_start => self.enter(index + 1, at_start, current, inside),
            _ => {}
        }
    }
}

/// The characters that states ask for one by one, up to the first that leaves a choice.
///
/// U+FFFD leaves one: it also stands for a byte that is no text.
fn literal<'a>(states: impl Iterator<Item = &'a State>) -> String {
    let one = |state: &State| match state {
        State::One(Set { negated: false, ranges }) => match ranges[..] {
            [(low, high)] if low == high && low != char::REPLACEMENT_CHARACTER => Some(low),
            _ => None,
        },
        _ => None,
    };
    states.map_while(one).collect()
}

/// The first character and its length; an invalid byte counts as U+FFFD, as in Go.
fn decode(bytes: &[u8]) -> Option<(char, usize)> {
    let first = *bytes.first()?;
    if first.is_ascii() {
        return Some((char::from(first), 1));
    }
    let valid = bytes.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    Some(valid.map_or((char::REPLACEMENT_CHARACTER, 1), |c| (c, c.len_utf8())))
}

const DIGITS: &[(char, char)] = &[('0', '9')];
const SPACES: &[(char, char)] = &[('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')];
const WORDS: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

/// What follows a backslash.
fn parse_escape(rest: &mut &str) -> Option<Vec<(char, char)>> {
    let c = rest.chars().next()?;
    *rest = &rest[c.len_utf8()..];
    let literal = match c {
        'd' => return Some(DIGITS.to_vec()),
        's' => return Some(SPACES.to_vec()),
        'w' => return Some(WORDS.to_vec()),
        'D' => return Some(complement(DIGITS)),
        'S' => return Some(complement(SPACES)),
        'W' => return Some(complement(WORDS)),
        'a' => '\u{7}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        _ if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
        // Assertions, back references, code points and Unicode classes: nothing a path pattern means.
        _ => return None,
    };
    Some(vec![(literal, literal)])
}

fn complement(ranges: &[(char, char)]) -> Vec<(char, char)> {
    let before = |c: char| char::from_u32(u32::from(c).wrapping_sub(1));
    let after = |c: char| char::from_u32(u32::from(c) + 1).expect("classes are ASCII");
    let mut low = '\0';
    let mut gaps = Vec::with_capacity(ranges.len() + 1);
    for (first, last) in ranges {
        gaps.extend(before(*first).filter(|end| low <= *end).map(|end| (low, end)));
        low = after(*last);
    }
    gaps.push((low, char::MAX));
    gaps
}

/// A class after its `[`, up to and including its `]`.
fn parse_class(rest: &mut &str) -> Option<Set> {
    let negated = rest.starts_with('^');
    *rest = rest.strip_prefix('^').unwrap_or(rest);
    let mut ranges = Vec::new();
    let mut first = true;
    loop {
        if !first && let Some(after) = rest.strip_prefix(']') {
            *rest = after;
            return Some(Set { negated, ranges });
        }
        first = false;
        if let Some(named) = parse_named_class(rest)? {
            ranges.extend_from_slice(named);
            continue;
        }
        let low = parse_class_char(rest)?;
        let range = rest.strip_prefix('-').filter(|after| !after.starts_with(']'));
        let (Some(after), [(start, end)]) = (range, &low[..]) else {
            ranges.extend(low);
            continue;
        };
        *rest = after;
        let [(high, _)] = parse_class_char(rest)?[..] else { return None };
        if start != end || high < *start {
            return None;
        }
        ranges.push((*start, high));
    }
}

fn parse_class_char(rest: &mut &str) -> Option<Vec<(char, char)>> {
    let c = rest.chars().next()?;
    *rest = &rest[c.len_utf8()..];
    if c == '\\' { parse_escape(rest) } else { Some(vec![(c, c)]) }
}

/// `[:alpha:]` and its kin; `None` for an unknown name, `Some(None)` when there is none.
fn parse_named_class(rest: &mut &str) -> Option<Option<&'static [(char, char)]>> {
    let Some((name, after)) = rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) else { return Some(None) };
    let ranges: &[(char, char)] = match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\u{7f}')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\u{1f}'), ('\u{7f}', '\u{7f}')],
        "digit" => DIGITS,
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => WORDS,
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    };
    *rest = after;
    Some(Some(ranges))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths with `+` (matches) or `-`.
    fn check(pattern: &str, expected: &[&str]) {
        let glob = Glob::new(pattern).unwrap();
        for line in expected {
            let (sign, path) = line.split_at(1);
            assert_eq!(glob.matches(path.as_bytes()), sign == "+", "{pattern} on {path}");
        }
    }

    #[test]
    fn plain() {
        check("a.b", &["+a.b", "-axb", "-a.b/c"]);
        check("a+(b)|{c}$", &["+a+(b)|{c}$"]);
        check("ü", &["+ü", "-u"]);
    }

    #[test]
    fn one_star_and_question_mark_stop_at_slashes() {
        check("*", &["+a", "+.a", "+", "-a/b"]);
        check("*.go", &["+a.go", "+.go", "-a/b.go", "-a.goo"]);
        check("a*b", &["+ab", "+axxb", "-ax/b"]);
        check("a/*/c", &["+a/b/c", "+a//c", "-a/b/b/c"]);
        check("a?c", &["+abc", "+aüc", "-ac", "-a/c"]);
        check("*a*a*a*a*a*a*b", &["-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "+aaaaaab"]);
    }

    #[test]
    fn two_stars_cross_slashes() {
        check("**", &["+a", "+a/b", "+"]);
        check("**/a", &["+a", "+x/a", "+x/y/a", "-xa", "-a/x"]);
        check("**a", &["+a", "+xa", "+x/ya"]);
        check("a/**", &["+a/b", "+a/b/c", "-a", "-ab"]);
        check("a**", &["+a", "+ab", "+a/b"]);
        check("a/**/b", &["+a/b", "+a/x/b", "+a/x/y/b", "-a/xb", "-ab"]);
        check("a**b", &["+ab", "+ax/b", "-axb"]);
        check("**/*.go", &["+a.go", "+x/a.go", "+x/y/.go", "-a.go/x"]);
        check("**/a/**", &["+a/b", "+x/a/b", "-a", "-xa/b"]);
        check("**/a?", &["+ab", "+x/ab", "-xab"]);
        check("*/**", &["+a/b", "+a/b/c", "-a"]);
        check("****", &["+a/b"]);
        check("a/**/**/b", &["+a/b", "+a/x/y/b"]);
    }

    #[test]
    fn classes() {
        check("[a-c]x", &["+ax", "+cx", "-dx", "-x"]);
        check("[^a]x", &["+bx", "-ax", "+/x"]);
        check("[ab-d\\]]", &["+a", "+c", "+]", "-e"]);
        check("[ü-ÿ]", &["+ý", "-z"]);
        check("[[:digit:]]", &["+7", "-d", "-:]"]);
        check("a]", &["+a]"]);
    }

    #[test]
    fn oddities_of_the_expression_stay() {
        check("[*]", &["+]", "+[^]", "-*"]);
        check("\\d", &["+7", "-d"]);
        check("\\*", &["+*", "-a"]);
        check("\\.", &["+.", "-a"]);
        check("^a*", &["+ab", "-^ab"]);
        check("a^*", &["-a^", "-a"]);
        check("\\W*", &["+-a", "-a"]);
        check("x*\\", &["+x$", "+xy$z/a", "-x", "-x\\"]);
        check("a*[]b]", &["+a]", "+axb", "-a"]);
        assert!(Glob::new("\\z").is_some_and(|glob| glob.is_broken()));
        assert!(Glob::new("\\é").is_some_and(|glob| glob.is_broken()));
    }

    #[test]
    fn bytes_that_are_no_text() {
        assert!(Glob::new("a?b").unwrap().matches(b"a\xffb"));
        assert!(!Glob::new("a?b").unwrap().matches(b"a\xff\xffb"));
        assert!(Glob::new("**/b*").unwrap().matches(b"\xff/b\xfe"));
    }

    #[test]
    fn a_line_feed_is_nothing_that_two_stars_match() {
        check("**/a*", &["-x\n/a", "+a\n"]);
        check("**/a", &["+x\n/a"]);
    }
}
