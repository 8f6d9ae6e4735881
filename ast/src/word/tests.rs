//! Words in every mode.

use super::*;

/// Pieces in brackets: `t:`ext, `l:`iteral, `q[`…`]`, `v:`name with its modifier, `!`fault.
fn show(word: &Word<'_>, pieces: &[Piece]) -> String {
    let operand = |o: &Operand| format!("{}{}", if o.colon { ":" } else { "" }, show(word, &o.pieces));
    let parts = pieces.iter().map(|piece| match piece {
        Piece::Text(range) => format!("t:{}", word.slice(range)),
        Piece::Literal(range) => format!("l:{}", word.slice(range)),
        Piece::Quoted(inner) => format!("q{}", show(word, inner)),
        Piece::Fault(fault) => format!("!{fault}"),
        Piece::Variable(v) => {
            let name = word.slice(&v.name);
            match v.modifier.as_deref() {
                None => format!("v:{name}"),
                Some(Modifier::Default(o)) => format!("v:{name}-{}", operand(o)),
                Some(Modifier::Alternative(o)) => format!("v:{name}+{}", operand(o)),
                Some(Modifier::Required(o)) => format!("v:{name}?{}", operand(o)),
                Some(Modifier::CutPrefix(o)) => format!("v:{name}#{}", operand(o)),
                Some(Modifier::CutSuffix(o)) => format!("v:{name}%{}", operand(o)),
                Some(Modifier::Unknown { sign, operand: o }) => format!("v:{name}~{sign}{}", operand(o)),
                Some(Modifier::Replace { all, pattern, replacement }) => format!(
                    "v:{name}{}{}{}",
                    if *all { "//" } else { "/" },
                    show(word, pattern),
                    show(word, replacement)
                ),
            }
        }
    });
    format!("[{}]", parts.collect::<Vec<_>>().join("|"))
}

#[track_caller]
fn check_in(mode: Mode, raw: &str, expected: &str) {
    let word = Word::parse(raw.as_bytes(), b'\\', mode);
    assert_eq!(show(&word, &word.pieces), expected, "{raw}");
}

#[track_caller]
fn check(raw: &str, expected: &str) {
    check_in(Mode::Word, raw, expected);
}

#[test]
fn text_quotes_and_escapes() {
    check("", "[]");
    check("a b", "[t:a b]");
    check(r#"a'b c'"d e"\ f"#, r"[t:a|l:b c|q[l:d e]|l: |t:f]");
    check(r#""a\"b\n\\c""#, r#"[q[l:a|l:"b|l:\n|l:\c]]"#);
    check(r"a\", "[t:a|l:]");
    check("a<b<<  c", "[t:a|l:<|t:b|l:<<  |t:c]");
}

#[test]
fn quotes_by_mode() {
    check_in(Mode::Name, r#"'a'"b"\c"#, r#"[l:'a'|q[l:"b"]|l:c]"#);
    check_in(Mode::Document, r#"'a'"b"\c$d"#, r#"[t:'a'"b"|l:c|v:d]"#);
    check_in(Mode::Line, r#""\n\""\c"#, r#"[q[l:"|l:\|l:\n|l:\|l:""]|l:\c]"#);
}

#[test]
fn references() {
    check("$a.$b_1$", "[v:a|t:.|v:b_1|t:$]");
    check("$12a$@x", "[v:12|t:a|v:@|t:x]");
    check("${a}${-}", "[v:a|v:-]");
    check("${größe}", "[v:größe]");
    check("${a:-b$c}", "[v:a-:[t:b|v:c]]");
    check("${a+}${a?'x y'}", "[v:a+[]|v:a?[l:x y]]");
    check(r"${a##*/}${a%\}}", r"[v:a#[t:#*/]|v:a%[l:\}]]");
    check("${a/b/c}${a//b/}", "[v:a/[t:b][t:c]|v:a//[t:b][]]");
    check("${a:=b}", "[v:a~=:[t:b]]");
}

#[test]
fn faults() {
    check("a'b", "[t:a|!unexpected end of statement while looking for matching single-quote]");
    check("${a", "[!unsupported modifier (\u{fffd}) in substitution]");
    check("${a:", "[!syntax error: missing '}']");
    check("${}", "[!syntax error: bad substitution]");
    check("${a=b}", "[!unsupported modifier (=) in substitution]");
    check("${a:#b}", "[!unsupported modifier (:#) in substitution]");
}

#[test]
fn what_precedes_a_fault_is_kept() {
    let brace = "!syntax error: missing '}'";
    check("${a:-${z?m}x", &format!("[v:a-:[v:z?[t:m]|t:x|{brace}]|{brace}]"));
    // The reference ends with the text: should it fail, the brace is what is missing all the same.
    check("${a:-${z?m}", &format!("[v:a-:[t:m|v:z|{brace}]|{brace}]"));
    check("${a:-${b/x", &format!("[v:a-:[t:x|{brace}]|{brace}]"));
    check("${a:-${b/x\"", &format!("[v:a-:[t:x|q[{brace}]]|{brace}]"));
    check("${a:-'x", &format!("[v:a-:[{brace}]|{brace}]"));
}

#[test]
fn names_mentioned() {
    let word = Word::parse(b"$a\"${b:-$c}\"${d%$e}", b'\\', Mode::Word);
    let names: Vec<_> = word.references().iter().map(|r| (r.name.to_owned(), r.guarded)).collect();
    let expected = [("a", false), ("c", false), ("b", true), ("e", false), ("d", false)];
    assert_eq!(names, expected.map(|(name, guarded)| (name.to_owned(), guarded)));
}

#[test]
fn words_of_a_line() {
    let words = |raw: &str| {
        let found = Word::parse(raw.as_bytes(), b'\\', Mode::Line).words_unset();
        found.map(|words| words.into_iter().map(|(word, _)| word).collect::<Vec<_>>())
    };
    assert_eq!(
        words(r#"RUN a\ b "c d" $e<< F"#),
        Some(["RUN", r"a\ b", "\"c d\"", "$e<< F"].map(String::from).to_vec())
    );
    assert_eq!(words("a ${b:-c}${d//e/f}"), Some(["a", "${d/e/f}"].map(String::from).to_vec()));
    assert_eq!(words("a 'b"), None);
    let ranges = Word::parse(b"cat  <<X y", b'\\', Mode::Line).words_unset().unwrap_or_default();
    assert_eq!(ranges[1], ("<<X".to_owned(), 5..8));
}

#[test]
fn deep_nesting_is_read_up_to_the_limit() {
    let nested = |open: &str, close: &str, levels| open.repeat(levels) + &close.repeat(levels);
    for (open, close, each) in [("${a:-", "}", 1), ("${a/x", "/}", 1), ("\"${a+", "}\"", 2)] {
        let most = MAX_DEPTH as usize / each;
        check_all(&nested(open, close, most));
        let word = nested(open, close, most);
        let word = Word::parse(word.as_bytes(), b'\\', Mode::Word);
        assert_eq!((word.references().len(), word.first_fault()), (most, None));
        let word = nested(open, close, most + 1);
        let word = Word::parse(word.as_bytes(), b'\\', Mode::Word);
        assert_eq!(word.first_fault(), Some(&Fault::TooDeep), "{open}");
    }
}

#[test]
fn deep_nesting_without_an_end_is_a_fault() {
    for open in ["${a:-", "\"${a:-", "x${a/"] {
        check_all(&open.repeat(MAX_DEPTH as usize));
        let word = open.repeat(100_000);
        let word = Word::parse(word.as_bytes(), b'\\', Mode::Word);
        assert!(matches!(word.pieces.last(), Some(Piece::Fault(_))));
    }
}

fn check_all(raw: &str) {
    super::check(raw.as_bytes(), b'\\');
}

#[test]
fn bytes_that_are_no_text() {
    assert_eq!(decode(b"a\xe2\x82b\xff"), "a\u{fffd}\u{fffd}b\u{fffd}");
    assert!(is_plain(b"a/b:c", b'\\') && !is_plain(b"$a", b'\\') && !is_plain(b"a`", b'`'));
    assert!(!is_plain(b"\xff", b'\\'), "what is not UTF-8 becomes U+FFFD");
}

#[test]
fn signs_are_found_wherever_they_stand() {
    for length in 0..70 {
        let text = "é ".repeat(length);
        for sign in ["$A", "'a'", "\"a\"", "\\a", "<"] {
            let raw = format!("{text}{sign}{text}");
            let word = Word::parse(raw.as_bytes(), b'\\', Mode::Name);
            let texts = word.pieces.iter().filter(|piece| matches!(piece, Piece::Text(_))).count();
            assert_eq!((word.pieces.len() - texts, texts), (1, if length == 0 { 0 } else { 2 }), "{raw}");
        }
        let raw = format!("\"{text}$A{text}\"${{A:-{text}}}{text}");
        let word = Word::parse(raw.as_bytes(), b'\\', Mode::Word);
        let [Piece::Quoted(inner), Piece::Variable(variable), ..] = &word.pieces[..] else { panic!("{raw}") };
        assert_eq!(inner.len(), if length == 0 { 1 } else { 3 }, "{raw}");
        assert_eq!(word.slice(&variable.range), format!("${{A:-{text}}}"));
    }
}

#[test]
fn values_at_a_glance() {
    let glance = |text: &'static str| {
        at_a_glance(text, b'\\', 8, |name| match name {
            "SET" => Ok(Some("value")),
            "MANY" => Ok(Some("123456789")),
            "LATER" => Err(Unknown),
            _ => Ok(None),
        })
    };
    for text in ["", "RUN a", "$NO ${NO}x '$NO' \"$NO\"", "$", "$$ $1SET $@ $(x) ${1}", "a $'", "'"] {
        assert!(matches!(glance(text), Some(Cow::Borrowed(same)) if same == text), "{text}");
    }
    for (text, value) in
        [("$SET", "value"), ("a \"${SET}\" $NO ${NO}", "a \"value\" $NO ${NO}"), ("$NO$SET", "$NOvalue")]
    {
        assert_eq!(glance(text).as_deref(), Some(value), "{text}");
    }
    let walked =
        ["'$SET'", "\"$SET", "\\a", "é", "${NO:-a}", "${}", "${NO", "${NO//a/b}", "$LATER", "$MANY", "$SET$SET"];
    for text in walked {
        assert_eq!(glance(text), None, "{text}");
    }
}
