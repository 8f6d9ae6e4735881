//! Holds the scanner against `grammar/dockerfile.pest`: the same lines, the same trees, over the whole corpus and over
//! files made up from pieces of it.

#![allow(clippy::disallowed_methods, reason = "a test reads its cases from files")]

use std::path::{Path, PathBuf};

use pest::Parser as _;
use pest::iterators::Pair;

use super::heredoc;
use super::scan::{Buffer, Origin, Scanner};
use super::syntax::{self, Args, Instruction};
use super::text::Word;

#[derive(pest_derive::Parser)]
#[grammar = "../../grammar/dockerfile.pest"]
struct Grammar;

/// A logical line as one of the two sees it: text, first and last physical line.
type Line = (String, u32, u32);

fn scanned(source: &str) -> (Vec<Line>, u8) {
    let mut scanner = Scanner::new(source.as_bytes(), Origin::File(ast::FileId(0)));
    let mut buffer = Buffer::default();
    let mut lines = Vec::new();
    while let Some(line) = scanner.line(&mut buffer) {
        let text = String::from_utf8_lossy(line.text).into_owned();
        let (first, last) = (line.first, line.last);
        for (name, chomp) in documents(&text, scanner.escape) {
            scanner.document(name.as_bytes(), chomp);
        }
        lines.push((text, first, last));
    }
    (lines, scanner.escape)
}

/// Delimiters of the documents a line opens, by the scanner.
fn documents(line: &str, escape: u8) -> Vec<(String, bool)> {
    match syntax::instruction(line.as_bytes(), 0..line.len(), escape) {
        Ok(instruction) if instruction.takes_documents() => {
            let openers = heredoc::openers(line.as_bytes()).unwrap_or_default();
            openers.into_iter().map(|(opener, _)| (opener.name, opener.chomp)).collect()
        }
        _ => Vec::new(),
    }
}

/// The logical lines by the grammar.
fn derived(source: &str) -> Vec<Line> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mut lines = Vec::new();
    let mut at = 0;
    let mut escape = b'\\';
    let mut directives = true;
    while at < source.len() {
        let rest = &source[at..];
        let line = |offset: usize| source[..offset].matches('\n').count() as u32 + 1;
        if directives && let Some(pair) = first(Rule::directive, rest) {
            at += pair.as_span().end().max(1);
            let mut inner = pair.into_inner();
            let name = inner.next().unwrap().as_str();
            if name.eq_ignore_ascii_case("escape") {
                escape = inner.next().unwrap().as_str().as_bytes()[0];
            }
            continue;
        }
        directives = false;
        if let Some(pair) = first(Rule::comment, rest).or_else(|| first(Rule::blank_line, rest)) {
            at += pair.as_span().end().max(1);
            continue;
        }
        let rule = if escape == b'`' { Rule::logical_line_backtick } else { Rule::logical_line_backslash };
        let pair = first(rule, rest).expect("anything is a logical line");
        let (start, end) = (at, at + pair.as_span().end());
        let text: String =
            pair.into_inner().filter(|part| part.as_rule() == Rule::part).map(|part| part.as_str()).collect();
        let last = line(end) - u32::from(source[..end].ends_with('\n'));
        at = end.max(start + 1);
        for (name, chomp) in documents(&text, escape) {
            while at < source.len() {
                let length = source[at..].find('\n').map_or(source.len() - at, |length| length + 1);
                let body_line = source[at..at + length].trim_end_matches(['\r', '\n']);
                at += length;
                if (if chomp { body_line.trim_start_matches('\t') } else { body_line }) == name {
                    break;
                }
            }
        }
        lines.push((text, line(start), last));
    }
    lines
}

fn first(rule: Rule, text: &str) -> Option<Pair<'_, Rule>> {
    Grammar::parse(rule, text).ok()?.next()
}

/// The tree of an instruction by the scanner; `None` if it is malformed.
fn scanned_tree(line: &str, escape: u8) -> Option<String> {
    syntax::instruction(line.as_bytes(), 0..line.len(), escape).ok().map(|instruction| show(&instruction, line))
}

fn show(instruction: &Instruction<'_>, line: &str) -> String {
    let raw = |word: &Word<'_>| line[word.range.start as usize..word.range.end as usize].to_owned();
    let name = instruction.keyword.map_or_else(|| "unknown".to_owned(), |k| format!("{k:?}").to_lowercase());
    let mut out = vec![name];
    out.extend(instruction.flags.iter().map(|flag| format!("flag {}", raw(flag))));
    show_args(&instruction.args, line, &mut out);
    out.join("|")
}

fn show_args(args: &Args<'_>, line: &str, out: &mut Vec<String>) {
    let raw = |word: &Word<'_>| line[word.range.start as usize..word.range.end as usize].to_owned();
    match args {
        Args::None => {}
        Args::Words(words) => out.extend(words.iter().map(raw)),
        Args::Json(words) => out.push(format!("json {}", words.iter().map(raw).collect::<Vec<_>>().join(","))),
        Args::Line(word) => out.push(raw(word)),
        Args::Pairs(pairs) => out.extend(pairs.iter().map(|pair| {
            let sign = if pair.legacy { " " } else { "=" };
            format!("{}{sign}{}", raw(&pair.key), raw(&pair.value))
        })),
        Args::Check(kind, command) => {
            out.push(raw(kind));
            show_args(command, line, out);
        }
        Args::Trigger(trigger) => out.push(show(trigger, line)),
    }
}

/// The same by the grammar.
fn derived_tree(line: &str, escape: u8) -> Option<String> {
    let rule = if escape == b'`' { Rule::instruction_backtick } else { Rule::instruction_backslash };
    let pair = first(rule, line)?;
    let instruction = pair.into_inner().find(|pair| pair.as_rule() != Rule::EOI);
    Some(instruction.map_or_else(|| "unknown".to_owned(), |pair| show_pair(&pair)))
}

fn show_pair(pair: &Pair<'_, Rule>) -> String {
    let rule = pair.as_rule();
    let mut out = vec![format!("{rule:?}")];
    if rule == Rule::unknown {
        out.extend(pair.clone().into_inner().filter(|p| p.as_rule() == Rule::flag).map(|p| p.as_str().to_owned()));
        return out.join("|");
    }
    for inner in pair.clone().into_inner() {
        match inner.as_rule() {
            Rule::flag => out.push(format!("flag {}", inner.as_str())),
            Rule::flags_end | Rule::EOI => {}
            Rule::strings => {
                let strings = inner.into_inner().filter(|p| p.as_rule() == Rule::string);
                out.push(format!("json {}", strings.map(|p| p.as_str()).collect::<Vec<_>>().join(",")));
            }
            Rule::old_pair => {
                let parts: Vec<_> = inner.into_inner().map(|part| part.as_str()).collect();
                out.push(parts.join(" "));
            }
            Rule::word | Rule::rest | Rule::pair | Rule::quoted_word | Rule::check_kind => {
                out.push(inner.as_str().to_owned());
            }
            _ => out.push(show_pair(&inner)),
        }
    }
    out.join("|")
}

/// Whether the line is within what the grammar can say: see its head.
fn comparable(line: &str) -> bool {
    line.is_ascii() || !(line.contains("--") || line.to_ascii_lowercase().contains("healthcheck"))
}

#[track_caller]
fn check(source: &str) {
    let (lines, escape) = scanned(source);
    assert_eq!(derived(source), lines, "{source:?}");
    for (line, ..) in &lines {
        let line = line.trim();
        if !comparable(line) {
            continue;
        }
        let found = scanned_tree(line, escape);
        // The scanner names no arguments of what it does not know.
        let flagless =
            |tree: Option<String>| tree.map(|t| if t.starts_with("unknown") { "unknown".to_owned() } else { t });
        assert_eq!(flagless(derived_tree(line, escape)), flagless(found), "{line:?}");
        check_openers(line);
    }
}

/// The openers of a line, but for those whose delimiter is quoted in part.
fn check_openers(line: &str) {
    let Ok(found) = heredoc::openers(line.as_bytes()) else { return };
    let beyond = line.contains(['\\', '$'])
        || !found.iter().all(|(_, range)| is_simple(&line[range.start as usize..range.end as usize]));
    if beyond {
        return;
    }
    let derived: Vec<String> = first(Rule::shell_words, line).map_or_else(Vec::new, |words| {
        words
            .into_inner()
            .filter(|word| word.as_rule() == Rule::opener)
            .map(|word| {
                let chomp = word.clone().into_inner().any(|part| part.as_rule() == Rule::chomp);
                let form = word.into_inner().last().unwrap();
                let expand = form.as_rule() == Rule::plain;
                let name = form.clone().into_inner().next().map_or(form.as_str(), |name| name.as_str()).to_owned();
                format!("{name} {expand} {chomp}")
            })
            .collect()
    });
    let found: Vec<String> =
        found.iter().map(|(opener, _)| format!("{} {} {}", opener.name, opener.expand, opener.chomp)).collect();
    assert_eq!(derived, found, "{line:?}");
}

/// Whether the delimiter of an opener is plain, or quoted as a whole.
fn is_simple(opener: &str) -> bool {
    let delimiter =
        opener.trim_start_matches(|c: char| c.is_ascii_digit() || c == '<').trim_start_matches('-').trim_start();
    let inner = delimiter
        .strip_prefix(['\'', '"'])
        .and_then(|rest| rest.strip_suffix(delimiter.chars().next().unwrap()))
        .unwrap_or(delimiter);
    !inner.contains(['\'', '"'])
}

fn corpus() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/dockerfile");
    let list = |dir: &Path| {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let cases = list(&root).into_iter().filter(|path| path.is_dir()).flat_map(|group| list(&group));
    cases.filter_map(|case| std::fs::read_to_string(case.join("Dockerfile")).ok()).collect()
}

#[test]
fn the_corpus_derives_as_it_scans() {
    let files = corpus();
    assert!(files.len() > 700);
    for file in files.iter().filter(|file| file.len() < 10_000) {
        check(file);
    }
}

/// Lines that put every rule next to every other, from a fixed seed.
#[test]
fn made_up_files_derive_as_they_scan() {
    const PIECES: [&str; 44] = [
        "FROM",
        "run",
        "COPY",
        "Add",
        "ENV",
        "LABEL",
        "ARG",
        "USER",
        "WORKDIR",
        "CMD",
        "ENTRYPOINT",
        "SHELL",
        "VOLUME",
        "EXPOSE",
        "HEALTHCHECK",
        "ONBUILD",
        "STOPSIGNAL",
        "MAINTAINER",
        "NOPE",
        " ",
        " ",
        " ",
        "  ",
        "\t",
        "\n",
        "\n",
        "\\\n",
        "\\ \n",
        "\\",
        "#",
        "# escape=`\n",
        "`",
        "\"",
        "'",
        "=",
        "a",
        "b=c",
        "--x",
        "--y=\"z w\"",
        "--",
        "[\"a\", \"b\"]",
        "[1]",
        "<<E",
        "\nE\n",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    for _ in 0..3000 {
        let length = 1 + next(14);
        let source: String = (0..length).map(|_| PIECES[next(PIECES.len())]).collect();
        check(&source);
    }
}
