//! The value of a word: the evaluator over [`ast::word`].
//!
//! Three answers are possible: a value, *unknown* (it depends on an answer that is missing; every fault that does not
//! depend on it is still found), and a fault in BuildKit's words.

mod pattern;

use std::borrow::Cow;

use ast::word::{Mode, Modifier, Operand, Piece, Unknown, Variable, Word, is_plain};
use ast::{Str, StrKind, word};

use super::environment::{Lookup, Scope};

/// Longest value of a word, in bytes: over a hundred times what Linux takes as a variable of a process. Without it, forty
/// lines of `ENV A=$A$A` would fill any memory.
pub(super) const MAX_VALUE: usize = 16 << 20;

/// The value of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expanded<'a> {
    /// It is this.
    Known(Cow<'a, str>),
    /// It depends on an answer that is missing.
    Unknown,
}

/// What is wrong with a word, `failed to process "…"` included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault(pub(super) String);

/// The names a word used, each once, in the order of use: all of them, or those that somebody wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    wanted: Wanted,
    /// Those that had a value.
    pub(super) matched: Vec<String>,
    /// Those that had none.
    pub(super) unmatched: Vec<String>,
}

/// Which names are noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wanted {
    #[default]
    All,
    Unmatched,
    None,
}

impl Uses {
    /// Notes only names that had no value.
    pub(super) fn of_unset() -> Self {
        Self { wanted: Wanted::Unmatched, ..Self::default() }
    }

    /// Notes nothing.
    pub(super) fn ignored() -> Self {
        Self { wanted: Wanted::None, ..Self::default() }
    }

    /// Looks up a name, and notes that.
    fn look_up<'s>(&mut self, name: &str, scope: &'s dyn Scope) -> Lookup<'s> {
        let found = scope.get(name);
        match found {
            Lookup::Set(_) if self.wanted == Wanted::All => Self::note(&mut self.matched, name),
            Lookup::Unset if self.wanted != Wanted::None => Self::note(&mut self.unmatched, name),
            _ => {}
        }
        found
    }

    fn note(list: &mut Vec<String>, name: &str) {
        if !list.iter().any(|known| known == name) {
            list.push(name.to_owned());
        }
    }
}

/// Expands a template as a word, noting the names it uses.
pub(super) fn string<'a>(text: &'a Str, scope: &dyn Scope, uses: &mut Uses) -> Result<Expanded<'a>, Fault> {
    match &text.kind {
        StrKind::Lit(raw) => Ok(Expanded::Known(word::decode(raw))),
        StrKind::Word { raw, escape } => expand(raw, *escape, Mode::Word, scope, uses),
    }
}

/// Expands raw text in a mode.
pub(super) fn expand<'a>(
    raw: &'a [u8],
    escape: u8,
    mode: Mode,
    scope: &dyn Scope,
    uses: &mut Uses,
) -> Result<Expanded<'a>, Fault> {
    if is_plain(raw, escape) {
        return Ok(Expanded::Known(word::decode(raw)));
    }
    if let Some(value) = (mode == Mode::Word).then(|| at_a_glance(raw, escape, scope, uses)).flatten() {
        return Ok(Expanded::Known(value));
    }
    walk(raw, escape, mode, scope, uses)
}

/// The value of a word that is quoted as a whole, or not at all, and mentions names alone: as most are.
fn at_a_glance<'a>(raw: &'a [u8], escape: u8, scope: &dyn Scope, uses: &mut Uses) -> Option<Cow<'a, str>> {
    if let Some(inner) = word::in_quotes(raw, escape) {
        return Some(word::decode(inner));
    }
    let text = std::str::from_utf8(raw).ok().filter(|text| !text.contains(['\'', '"']))?;
    word::at_a_glance(text, escape, MAX_VALUE, |name| match uses.look_up(name, scope) {
        Lookup::Set(value) => Ok(Some(value)),
        Lookup::Unset => Ok(Some("")),
        Lookup::Unknown => Err(Unknown),
    })
}

fn walk<'a>(raw: &'a [u8], escape: u8, mode: Mode, scope: &dyn Scope, uses: &mut Uses) -> Result<Expanded<'a>, Fault> {
    let word = Word::parse(raw, escape, mode);
    let mut walk = Walk { word: &word, scope, uses, unknown: false, interrupted: false, length: 0 };
    let mut value = Text(String::with_capacity(raw.len()));
    walk.pieces(&word.pieces, &mut value).map_err(|message| fault(raw, &message))?;
    Ok(if walk.unknown { Expanded::Unknown } else { Expanded::Known(value.0.into()) })
}

/// Expands raw text and splits it at blanks that are not quoted. `None` is unknown.
pub(super) fn words(raw: &[u8], escape: u8, scope: &dyn Scope) -> Result<Option<Vec<String>>, Fault> {
    let word = Word::parse(raw, escape, Mode::Word);
    let mut uses = Uses::ignored();
    let mut walk = Walk { word: &word, scope, uses: &mut uses, unknown: false, interrupted: false, length: 0 };
    let mut words = Words::default();
    walk.pieces(&word.pieces, &mut words).map_err(|message| fault(raw, &message))?;
    Ok(if walk.unknown { None } else { Some(words.finish()) })
}

fn fault(raw: &[u8], message: &str) -> Fault {
    Fault(format!("failed to process {}: {message}", ast::quote(raw)))
}

/// Where the characters of a value go.
trait Sink {
    /// Characters among which blanks end a word.
    fn loose(&mut self, text: &str);
    /// Characters of one word.
    fn firm(&mut self, text: &str);
    /// Bytes of the word so far.
    fn begun(&self) -> usize;
    /// Forgets so many bytes from the start of the word.
    fn forget(&mut self, bytes: usize);
    /// An operand was evaluated. parity: the word begun before it is forgotten.
    fn interrupt(&mut self) {
        self.forget(self.begun());
    }
}

/// The value as one text.
struct Text(String);

impl Sink for Text {
    fn loose(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn firm(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn begun(&self) -> usize {
        0
    }

    fn forget(&mut self, _: usize) {}
}

/// The value split at blanks.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    word: String,
}

impl Words {
    fn finish(mut self) -> Vec<String> {
        self.end();
        self.done
    }

    fn end(&mut self) {
        if !self.word.is_empty() {
            self.done.push(std::mem::take(&mut self.word));
        }
    }
}

impl Sink for Words {
    fn loose(&mut self, text: &str) {
        for c in text.chars() {
            if c.is_whitespace() { self.end() } else { self.word.push(c) }
        }
    }

    fn firm(&mut self, text: &str) {
        self.word.push_str(text);
    }

    fn begun(&self) -> usize {
        self.word.len()
    }

    fn forget(&mut self, bytes: usize) {
        self.word.drain(..bytes);
    }
}

/// What stands in quotes: all of it belongs to the word around it.
struct Firm<'s> {
    out: &'s mut dyn Sink,
    /// Bytes of the word before the quotes.
    before: usize,
}

impl Sink for Firm<'_> {
    fn loose(&mut self, text: &str) {
        self.out.firm(text);
    }

    fn firm(&mut self, text: &str) {
        self.out.firm(text);
    }

    /// parity: what is in the quotes before an operand stays, what is before the quotes is forgotten.
    fn begun(&self) -> usize {
        self.before
    }

    fn forget(&mut self, bytes: usize) {
        self.before -= bytes;
        self.out.forget(bytes);
    }
}

struct Walk<'w> {
    word: &'w Word<'w>,
    scope: &'w dyn Scope,
    uses: &'w mut Uses,
    unknown: bool,
    /// Whether an operand was evaluated since somebody last looked.
    interrupted: bool,
    /// Bytes of all values so far.
    length: usize,
}

impl<'w> Walk<'w> {
    fn pieces(&mut self, pieces: &[Piece], out: &mut dyn Sink) -> Result<(), String> {
        for piece in pieces {
            match piece {
                Piece::Text(range) => out.loose(self.word.slice(range)),
                Piece::Literal(range) => out.firm(self.word.slice(range)),
                Piece::Quoted(inner) => {
                    let before = out.begun();
                    self.pieces(inner, &mut Firm { out, before })?;
                }
                Piece::Variable(variable) => {
                    let value = self.variable(variable)?;
                    self.grow(value.len())?;
                    self.pass_interruption(out);
                    out.loose(&value);
                }
                Piece::Fault(fault) => return Err(fault.to_string()),
            }
        }
        Ok(())
    }

    fn grow(&mut self, length: usize) -> Result<(), String> {
        self.length += length;
        if self.length > MAX_VALUE { Err(too_long()) } else { Ok(()) }
    }

    fn pass_interruption(&mut self, out: &mut dyn Sink) {
        if std::mem::take(&mut self.interrupted) {
            out.interrupt();
        }
    }

    fn evaluate(&mut self, pieces: &[Piece]) -> Result<String, String> {
        let mut text = Text(String::new());
        self.pieces(pieces, &mut text)?;
        Ok(text.0)
    }

    /// Operands first, then the name: the order in which faults are found.
    fn variable(&mut self, variable: &Variable) -> Result<Cow<'w, str>, String> {
        // Only what this reference depends on counts: a fault beside something unknown is a fault all the same.
        let before = std::mem::take(&mut self.unknown);
        let mut operands = Vec::new();
        for pieces in variable.operands() {
            operands.push(self.evaluate(pieces)?);
        }
        self.interrupted |= !operands.is_empty();
        self.value(variable, &operands, before)
    }

    /// The value of a reference whose operands are evaluated; `before` is whether something before it is unknown.
    fn value(&mut self, variable: &Variable, operands: &[String], before: bool) -> Result<Cow<'w, str>, String> {
        let name = self.word.slice(&variable.name);
        let found = self.look_up(name);
        if self.unknown {
            return Ok(Cow::Borrowed(""));
        }
        self.unknown = before;
        if found.is_none() && self.word.mode.keeps_unset() {
            if variable.modifier.is_none() {
                // As it was written.
                return Ok(self.word.slice(&variable.range).into());
            }
            let mut written = String::new();
            variable.write_unset(name, operands, &mut written);
            return Ok(written.into());
        }
        match variable.modifier.as_deref() {
            None => Ok(found.unwrap_or_default().into()),
            Some(modifier) => modify(modifier, name, found, operands).map(Cow::Owned),
        }
    }

    fn look_up(&mut self, name: &str) -> Option<&'w str> {
        match self.uses.look_up(name, self.scope) {
            Lookup::Set(value) => Some(value),
            Lookup::Unset => None,
            Lookup::Unknown => {
                self.unknown = true;
                None
            }
        }
    }
}

fn too_long() -> String {
    format!("the value is longer than {} MiB", MAX_VALUE >> 20)
}

/// What a modifier makes of a value and its operands.
fn modify(modifier: &Modifier, name: &str, found: Option<&str>, operands: &[String]) -> Result<String, String> {
    let word = operands[0].as_str();
    let value = found.unwrap_or_default();
    let counts = |operand: &Operand| found.filter(|value| !(operand.colon && value.is_empty()));
    match modifier {
        Modifier::Default(operand) => Ok(counts(operand).unwrap_or(word).to_owned()),
        Modifier::Alternative(operand) => Ok(counts(operand).map_or("", |_| word).to_owned()),
        Modifier::Required(operand) => match counts(operand) {
            Some(value) => Ok(value.to_owned()),
            None if !word.is_empty() => Err(format!("{name}: {word}")),
            None if found.is_some() => Err(format!("{name}: is not allowed to be empty")),
            None => Err(format!("{name}: is not allowed to be unset")),
        },
        Modifier::CutPrefix(_) => {
            let (pattern, greedy) = greedy(word, '#');
            pattern::cut_prefix(pattern, value, greedy)
        }
        Modifier::CutSuffix(_) => {
            let (pattern, greedy) = greedy(word, '%');
            pattern::cut_suffix(pattern, value, greedy)
        }
        Modifier::Replace { all, .. } => pattern::replace(word, value, &operands[1], *all),
        Modifier::Unknown { sign, .. } => Err(word::Fault::Modifier(format!(":{sign}")).to_string()),
    }
}

/// A doubled sign asks for the longest match.
fn greedy(word: &str, sign: char) -> (&str, bool) {
    word.strip_prefix(sign).map_or((word, false), |rest| (rest, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::environment::Environment;

    fn environment() -> Environment {
        let mut env = Environment::default();
        for (key, value) in [("SET", "value"), ("EMPTY", ""), ("P", "a/b/c.tar.gz"), ("S", "x y"), ("Q", "foo?bar*")] {
            env.set(key.into(), Some(value.into()));
        }
        env
    }

    #[track_caller]
    fn check_mode(mode: Mode, raw: &str, expected: &str) {
        let mut uses = Uses::default();
        let actual = match expand(raw.as_bytes(), b'\\', mode, &environment(), &mut uses) {
            Ok(Expanded::Known(value)) => value.into_owned(),
            Ok(Expanded::Unknown) => "unknown".to_owned(),
            Err(Fault(message)) => message.split_once("\": ").map_or(message.clone(), |(_, rest)| rest.to_owned()),
        };
        assert_eq!(actual, expected, "{raw}");
    }

    #[track_caller]
    fn check(raw: &str, expected: &str) {
        check_mode(Mode::Word, raw, expected);
    }

    /// Every text of up to five of some signs.
    #[test]
    fn a_glance_sees_what_the_walk_finds() {
        const SIGNS: [char; 10] = ['$', '{', '}', '"', '\'', 'S', 'N', '\\', '<', '-'];
        let env = environment();
        let (mut texts, mut seen) = (vec![String::new()], 0);
        for _ in 0..5 {
            texts = texts.iter().flat_map(|text| SIGNS.map(|sign| format!("{text}{sign}"))).collect();
            for text in &texts {
                let (mut glanced_uses, mut walked_uses) = (Uses::default(), Uses::default());
                let Some(glanced) = at_a_glance(text.as_bytes(), b'\\', &env, &mut glanced_uses) else { continue };
                let walked = walk(text.as_bytes(), b'\\', Mode::Word, &env, &mut walked_uses);
                assert_eq!((Ok(Expanded::Known(glanced)), glanced_uses), (walked, walked_uses), "{text}");
                seen += 1;
            }
        }
        assert!(seen > 1000, "{seen}");
    }

    #[test]
    fn values_quotes_and_escapes() {
        check("$SET/${SET}x", "value/valuex");
        check("$NO$1$@.", ".");
        check(r#""$SET" '$SET' \$SET"#, "value $SET $SET");
        check(r#""a\b\"c""#, r#"a\b"c"#);
        check("a$", "a$");
    }

    #[test]
    fn defaults_alternatives_and_errors() {
        check("${NO-d}|${NO:-d}|${EMPTY-d}|${EMPTY:-d}|${SET:-d}", "d|d||d|value");
        check("${NO+a}|${NO:+a}|${EMPTY+a}|${EMPTY:+a}|${SET:+a}", "||a||a");
        check("${NO:-${EMPTY:-$SET}}", "value");
        check("${NO?}", "NO: is not allowed to be unset");
        check("${EMPTY:?}", "EMPTY: is not allowed to be empty");
        check("${EMPTY:?need $SET}", "EMPTY: need value");
        check("${EMPTY?}", "");
        check("${SET:=x}", "unsupported modifier (:=) in substitution");
        check("${SET:-${NO?inner}}", "NO: inner");
        check("${SET", "unsupported modifier (\u{fffd}) in substitution");
    }

    #[test]
    fn operands_nest_a_thousand_levels_deep() {
        let nested = |open: &str, middle: &str, close: &str, levels| {
            format!("{}{middle}{}", open.repeat(levels), close.repeat(levels))
        };
        check(&nested("${NO:-", "$SET", "}", 1000), "value");
        check(&nested("${SET:+x", "", "}", 1000), &"x".repeat(1000));
        check(&nested("\"${NO:-", "a b", "}\"", 500), "a b");
        let scope = environment();
        let raw = nested("\"${NO:-", "a b", "}\"", 500);
        assert_eq!(words(raw.as_bytes(), b'\\', &scope), Ok(Some(vec!["a b".to_owned()])));
        check(&nested("${NO:-", "", "}", 2000), "substitutions are nested more than 1024 deep");
    }

    #[test]
    fn values_have_a_longest_length() {
        let mut env = Environment::default();
        env.set("A".into(), Some("x".repeat(MAX_VALUE / 2).as_str().into()));
        let value = |raw: &'static str| expand(raw.as_bytes(), b'\\', Mode::Word, &env, &mut Uses::default());
        assert!(value("$A$A").is_ok());
        let error = |raw| value(raw).unwrap_err().0;
        assert_eq!(error("$A${A}$A"), r#"failed to process "$A${A}$A": the value is longer than 16 MiB"#);
        assert_eq!(error("${A//x/xxx}"), r#"failed to process "${A//x/xxx}": the value is longer than 16 MiB"#);
    }

    #[test]
    fn cutting_and_replacing() {
        check("${P#*/}|${P##*/}|${P%.*}|${P%%.*}", "b/c.tar.gz|c.tar.gz|a/b/c.tar|a/b/c");
        check("${P/b/x}|${P//\\//-}", "a/x/c.tar.gz|a-b-c.tar.gz");
        check(r"${Q//\?/[\?]}", r"foo[\?]bar*");
        check("${NO#x}${NO/a/b}", "");
    }

    #[test]
    fn names_keep_quotes_and_what_is_unset() {
        let check = |raw, expected| check_mode(Mode::Name, raw, expected);
        check(r#"RUN "$SET" '$SET' $NO ${NO} ${NO:-$SET}"#, r#"RUN "value" '$SET' $NO ${NO} ${NO:-value}"#);
        check("${NO/$SET/y}", "${NO/value/y}");
        check_mode(Mode::Document, r#""$SET" '$NO' \$SET"#, r#""value" '' $SET"#);
    }

    #[test]
    fn words_split_at_loose_blanks() {
        let check = |raw: &str, expected: &[&str]| {
            let actual = words(raw.as_bytes(), b'\\', &environment()).unwrap().unwrap();
            assert_eq!(actual, expected, "{raw}");
        };
        check("a$S b", &["ax", "y", "b"]);
        check(r#""$S" a\ b"#, &["x y", "a b"]);
        check("a${NO:-b}c", &["bc"]);
        check(r#""a${NO:-b}c""#, &["abc"]);
        check(r#"a"b${NO:-c}${NO:-d}"e"#, &["bcde"]);
        check(r#"z a"b$S"c"${NO:-d}""#, &["z", "d"]);
        check("", &[]);
    }

    #[test]
    fn unknown_is_not_unset() {
        let mut env = environment();
        env.incomplete = true;
        let value = |raw: &'static str| {
            expand(raw.as_bytes(), b'\\', Mode::Word, &env, &mut Uses::default()).map_err(|fault| fault.0)
        };
        assert_eq!(value("$SET"), Ok(Expanded::Known("value".into())));
        assert_eq!(value("${NO:-d}"), Ok(Expanded::Unknown));
        assert_eq!(value("${NO:?must}"), Ok(Expanded::Unknown));
        assert_eq!(value("$NO ${EMPTY:?must}"), Err(r#"failed to process "$NO ${EMPTY:?must}": EMPTY: must"#.into()));
    }

    #[test]
    fn uses_are_noted_once() {
        let mut uses = Uses::default();
        expand(b"$SET$SET${A:-$B}$A", b'\\', Mode::Word, &environment(), &mut uses).unwrap();
        assert_eq!((uses.matched, uses.unmatched), (vec!["SET".into()], vec!["B".into(), "A".into()]));
    }
}
