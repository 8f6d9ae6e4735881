//! The syntax tree of one instruction: its name, its flags, and its arguments in the form the instruction has them.
//!
//! This is the first of BuildKit's two phases: what fails here fails before any instruction is looked at more closely.

use std::ops::Range;

use super::flags;
use super::json::{self, Array};
use super::keyword::Keyword;
use super::text::{Word, is_latin_blank, separated, split_first, trim};
use super::words;

/// An instruction.
#[derive(Debug)]
pub(super) struct Instruction<'l> {
    pub(super) name: Word<'l>,
    /// What the name is; `None` if there is no such instruction.
    pub(super) keyword: Option<Keyword>,
    /// Words that start with `--`, without their quotes.
    pub(super) flags: Vec<Word<'l>>,
    pub(super) args: Args<'l>,
}

/// Arguments, by their form.
#[derive(Debug)]
pub(super) enum Args<'l> {
    /// None at all.
    None,
    /// Words between blanks, or in quotes for `ARG`.
    Words(Vec<Word<'l>>),
    /// A JSON array of strings.
    Json(Vec<Word<'l>>),
    /// The rest of the line as it is.
    Line(Word<'l>),
    /// Keys and values.
    Pairs(Vec<Pair<'l>>),
    /// The word after `HEALTHCHECK`, and the arguments after that.
    Check(Word<'l>, Box<Args<'l>>),
    /// The instruction after `ONBUILD`.
    Trigger(Box<Instruction<'l>>),
}

/// A key and a value.
#[derive(Debug)]
pub(super) struct Pair<'l> {
    pub(super) key: Word<'l>,
    pub(super) value: Word<'l>,
    /// Whether a blank stands between them.
    pub(super) legacy: bool,
}

/// What is wrong, and where.
pub(super) type Error = (String, Range<u32>);

const NOT_STRINGS: &str = "when using JSON array syntax, arrays must be comprised of strings only";

/// Memory for the words of an instruction, which the next one takes over.
#[derive(Debug, Default)]
pub(super) struct Spare {
    flags: Vec<Word<'static>>,
    words: Vec<Word<'static>>,
}

impl Spare {
    /// Takes the memory of an instruction that nobody needs any more.
    pub(super) fn take(&mut self, instruction: Instruction<'_>) {
        self.flags = emptied(instruction.flags);
        if let Args::Words(words) | Args::Json(words) = instruction.args {
            self.words = emptied(words);
        }
    }
}

/// A list of words, emptied for those of any line: as both have one shape, they have one memory.
fn emptied(mut words: Vec<Word<'_>>) -> Vec<Word<'static>> {
    words.clear();
    words.into_iter().map(|_| unreachable!("none is left")).collect()
}

/// Reads a range of a logical line.
pub(super) fn instruction(line: &[u8], range: Range<usize>, escape: u8) -> Result<Instruction<'_>, Error> {
    instruction_in(line, range, escape, &mut Spare::default())
}

/// The same in memory of another.
pub(super) fn instruction_in<'l>(
    line: &'l [u8],
    range: Range<usize>,
    escape: u8,
    spare: &mut Spare,
) -> Result<Instruction<'l>, Error> {
    let (name, rest) = split_first(line, trim(line, range));
    let end = name.end;
    let name = Word::slice(line, name);
    let mut flags: Vec<Word<'l>> = std::mem::take(&mut spare.flags);
    let rest = rest.map_or(end..end, |rest| flags::split(line, rest, escape, &mut flags));
    let keyword = Keyword::parse(&name.text);
    let args = args(keyword, line, trim(line, rest), escape, spare)?;
    Ok(Instruction { name, keyword, flags, args })
}

fn args<'l>(
    keyword: Option<Keyword>,
    line: &'l [u8],
    rest: Range<usize>,
    escape: u8,
    spare: &mut Spare,
) -> Result<Args<'l>, Error> {
    let Some(keyword) = keyword else { return Ok(Args::None) };
    if rest.is_empty() {
        return Ok(Args::None);
    }
    match keyword {
        Keyword::From | Keyword::Expose => Ok(words(line, rest, spare)),
        Keyword::Add | Keyword::Copy | Keyword::Volume => {
            Ok(strings(line, rest.clone())?.unwrap_or_else(|| words(line, rest, spare)))
        }
        Keyword::Run | Keyword::Cmd | Keyword::Entrypoint | Keyword::Shell => command(line, rest),
        Keyword::Maintainer | Keyword::StopSignal | Keyword::User | Keyword::Workdir => {
            Ok(Args::Line(Word::slice(line, rest)))
        }
        Keyword::Arg => Ok(quoted(line, rest, escape, spare)),
        Keyword::Env => pairs("ENV", line, rest, escape, spare),
        Keyword::Label => pairs("LABEL", line, rest, escape, spare),
        Keyword::Healthcheck => health(line, rest),
        Keyword::OnBuild => Ok(Args::Trigger(Box::new(instruction_in(line, rest, escape, spare)?))),
    }
}

fn words<'l>(line: &'l [u8], rest: Range<usize>, spare: &mut Spare) -> Args<'l> {
    let mut words: Vec<Word<'l>> = std::mem::take(&mut spare.words);
    separated(line, rest, &mut words);
    Args::Words(words)
}

fn quoted<'l>(line: &'l [u8], rest: Range<usize>, escape: u8, spare: &mut Spare) -> Args<'l> {
    let mut words: Vec<Word<'l>> = std::mem::take(&mut spare.words);
    words::quoted(line, rest, escape, &mut words);
    if words.is_empty() { Args::None } else { Args::Words(words) }
}

/// The array of strings that the rest is, if it is one.
fn strings(line: &[u8], rest: Range<usize>) -> Result<Option<Args<'_>>, Error> {
    match json::array(line, rest.clone()) {
        Array::Strings(words) => Ok(Some(Args::Json(words))),
        Array::Mixed => Err((NOT_STRINGS.to_owned(), rest.start as u32..rest.end as u32)),
        Array::None => Ok(None),
    }
}

fn command(line: &[u8], rest: Range<usize>) -> Result<Args<'_>, Error> {
    if rest.is_empty() {
        return Ok(Args::None);
    }
    Ok(strings(line, rest.clone())?.unwrap_or_else(|| Args::Line(Word::slice(line, rest))))
}

fn pairs<'l>(name: &str, line: &'l [u8], rest: Range<usize>, escape: u8, spare: &mut Spare) -> Result<Args<'l>, Error> {
    let Args::Words(mut words) = quoted(line, rest.clone(), escape, spare) else { return Ok(Args::None) };
    let first = &words[0];
    if !first.text.contains(&b'=') {
        let (key, value) = split_first(line, rest);
        let Some(value) = value else {
            return Err((format!("{name} must have two arguments"), key.start as u32..key.end as u32));
        };
        let (key, value) = (Word::slice(line, key), Word::slice(line, value));
        return Ok(Args::Pairs(vec![Pair { key, value, legacy: true }]));
    }
    let pairs = words.drain(..).map(pair).collect::<Result<_, _>>()?;
    spare.words = emptied(words);
    Ok(Args::Pairs(pairs))
}

fn pair(word: Word<'_>) -> Result<Pair<'_>, Error> {
    let Some(equals) = word.text.iter().position(|b| *b == b'=') else {
        let word_text = ast::quote(&word.text);
        let message = format!("Syntax error - can't find = in {word_text}. Must be of the form: name=value");
        return Err((message, word.range));
    };
    let (key, value) = cut(word, equals);
    Ok(Pair { key, value, legacy: false })
}

/// What stands before and after the byte at `at`.
pub(super) fn cut(word: Word<'_>, at: usize) -> (Word<'_>, Word<'_>) {
    use std::borrow::Cow;
    let (before, after) = match word.text {
        Cow::Borrowed(text) => (Cow::Borrowed(&text[..at]), Cow::Borrowed(&text[at + 1..])),
        Cow::Owned(text) => (Cow::Owned(text[..at].to_vec()), Cow::Owned(text[at + 1..].to_vec())),
    };
    // Where a word was re-encoded the offset is a guess that must not leave the word.
    let middle = (word.range.start + at as u32).min(word.range.end);
    let after_start = (middle + 1).min(word.range.end);
    (Word { text: before, range: word.range.start..middle }, Word { text: after, range: after_start..word.range.end })
}

/// parity: the blanks around the first word are looked for byte by byte.
fn health(line: &[u8], rest: Range<usize>) -> Result<Args<'_>, Error> {
    let bytes = &line[rest.clone()];
    let length = bytes.iter().position(|b| is_latin_blank(*b)).unwrap_or(bytes.len());
    if length == 0 {
        return Ok(Args::None);
    }
    let blanks = bytes[length..].iter().position(|b| !is_latin_blank(*b)).unwrap_or(bytes.len() - length);
    let kind = Word::slice(line, rest.start..rest.start + length);
    let command = command(line, rest.start + length + blanks..rest.end)?;
    Ok(Args::Check(kind, Box::new(command)))
}

impl Instruction<'_> {
    /// Whether here-documents may follow: not after the JSON form. `ONBUILD` takes those of its instruction.
    pub(super) fn takes_documents(&self) -> bool {
        let instruction = if let Args::Trigger(trigger) = &self.args { trigger } else { self };
        instruction.keyword.is_some_and(Keyword::takes_documents) && !matches!(instruction.args, Args::Json(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let found = match instruction(line.as_bytes(), 0..line.len(), b'\\') {
            Ok(instruction) => show(&instruction),
            Err((message, _)) => message,
        };
        assert_eq!(found, expected, "{line}");
    }

    fn show(instruction: &Instruction<'_>) -> String {
        let word = |word: &Word<'_>| String::from_utf8_lossy(&word.text).into_owned();
        let list = |words: &[Word<'_>]| words.iter().map(word).collect::<Vec<_>>().join("|");
        fn args(of: &Args<'_>, word: &dyn Fn(&Word<'_>) -> String, list: &dyn Fn(&[Word<'_>]) -> String) -> String {
            match of {
                Args::None => "none".into(),
                Args::Words(words) => format!("words {}", list(words)),
                Args::Json(words) => format!("json {}", list(words)),
                Args::Line(line) => format!("line {}", word(line)),
                Args::Pairs(pairs) => {
                    let pair = |p: &Pair<'_>| {
                        format!("{}{}{}", word(&p.key), if p.legacy { " " } else { "=" }, word(&p.value))
                    };
                    format!("pairs {}", pairs.iter().map(pair).collect::<Vec<_>>().join("|"))
                }
                Args::Check(kind, command) => format!("check {} {}", word(kind), args(command, word, list)),
                Args::Trigger(trigger) => format!("trigger {}", show(trigger)),
            }
        }
        let flags =
            if instruction.flags.is_empty() { String::new() } else { format!(" [{}]", list(&instruction.flags)) };
        format!("{:?}{flags} {}", instruction.keyword, args(&instruction.args, &word, &list))
    }

    #[test]
    fn forms_of_arguments() {
        check("FROM --platform=x a AS b", "Some(From) [--platform=x] words a|AS|b");
        check("copy a \"b c\" /d/", "Some(Copy) words a|\"b|c\"|/d/");
        check(r#"COPY ["a b", "/"]"#, "Some(Copy) json a b|/");
        check("RUN  a  b ", "Some(Run) line a  b");
        check(r#"RUN ["a"] x"#, r#"Some(Run) line ["a"] x"#);
        check("USER a b", "Some(User) line a b");
        check("ARG a b='c d'", "Some(Arg) words a|b='c d'");
        check("WORKDIR", "Some(Workdir) none");
        check("NOPE a b", "None none");
    }

    #[test]
    fn keys_and_values() {
        check("ENV a=b c=\"d e\"", "Some(Env) pairs a=b|c=\"d e\"");
        check("ENV a  b=c d", "Some(Env) pairs a b=c d");
        check("LABEL a", "LABEL must have two arguments");
        check("ENV a=b c", "Syntax error - can't find = in \"c\". Must be of the form: name=value");
    }

    #[test]
    fn compound() {
        check("HEALTHCHECK --retries=1 CMD a b", "Some(Healthcheck) [--retries=1] check CMD line a b");
        check("HEALTHCHECK none", "Some(Healthcheck) check none none");
        check("ONBUILD RUN --x=y [\"a\"]", "Some(OnBuild) trigger Some(Run) [--x=y] json a");
        check("ONBUILD ENV a", "ENV must have two arguments");
        check("RUN [1]", NOT_STRINGS);
    }
}
