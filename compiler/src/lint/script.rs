//! What a shell is told by each `RUN` of a file: its line, and the documents that are scripts.
//!
//! Only POSIX shells are looked at: a stage that chooses another with `SHELL` is left alone from there on, and so is a
//! script whose first line names another interpreter.

use std::collections::BTreeSet;

use ast::{Module, Op, OptKind, Source, Span, Text, visit};

use super::Run;
use super::shell::{self, Byte};

/// Shells that read what `sh` reads.
const SHELLS: [&str; 6] = ["sh", "bash", "ash", "dash", "ksh", "zsh"];

/// The shell of a stage.
#[derive(Clone, Copy)]
struct Shell {
    posix: bool,
    pipefail: bool,
}

/// Calls `visit` with every `RUN` that a POSIX shell reads, in file order.
pub(super) fn each_run(module: &Module, source: &Source, visit: &mut dyn FnMut(&Run<'_>)) {
    let escape = crate::plan::escape_of(module);
    let mut variables = BTreeSet::new();
    for def in &module.defs {
        let mut shell = Shell { posix: true, pipefail: false };
        for step in visit::def_steps(def) {
            match &step.op {
                Op::Shell(words) => shell = chosen(&words.iter().map(|word| word.raw()).collect::<Vec<_>>()),
                Op::Env(pairs) => variables.extend(pairs.iter().map(|pair| pair.key.raw().lossy().into_owned())),
                // The text of what is included is not here.
                Op::Run(command) if command.shell && shell.posix && command.span.file == module.file => {
                    let commands = commands(command, source, escape);
                    let pipefail = shell.pipefail;
                    visit(&Run { step, commands: &commands, pipefail, variables: &variables });
                }
                _ => {}
            }
        }
    }
}

fn chosen(words: &[&Text]) -> Shell {
    let words: Vec<_> = words.iter().map(|word| word.lossy()).collect();
    let name = words.first().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    Shell { posix: SHELLS.contains(&name), pipefail: words.iter().any(|word| word == "pipefail") }
}

fn commands(command: &ast::Command, source: &Source, escape: u8) -> Vec<shell::Simple> {
    let mut commands = shell::commands(&line(source, command.span, escape), command.span.file);
    for document in command.documents.iter().filter(|document| is_script(&document.content)) {
        let span = document.span;
        let text: Vec<Byte> = bytes(source, span).collect();
        commands.extend(shell::commands(&text, span.file));
    }
    commands
}

fn bytes(source: &Source, span: Span) -> impl Iterator<Item = Byte> {
    let range = span.start as usize..span.end as usize;
    source.bytes[range].iter().zip(span.start..).map(|(byte, at)| Byte { byte: *byte, at })
}

/// Whether a shell reads the document: its first line names none, or a POSIX one.
fn is_script(text: &[u8]) -> bool {
    let Some(line) = text.strip_prefix(b"#!") else { return true };
    let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace().flat_map(|word| word.rsplit('/').next());
    let name = words.next().unwrap_or_default();
    let name = if name == "env" { words.next().unwrap_or_default() } else { name };
    SHELLS.contains(&name)
}

/// The bytes of an instruction as the shell gets them: continued lines are one, without the comments between them.
fn line(source: &Source, span: Span, escape: u8) -> Vec<Byte> {
    let mut out: Vec<Byte> = Vec::with_capacity((span.end - span.start) as usize);
    let mut at = span.start;
    let mut first = true;
    for line in source.bytes[span.start as usize..span.end as usize].split_inclusive(|b| *b == b'\n') {
        let start = at;
        at += line.len() as u32;
        let text = line.trim_ascii_start();
        if !first && (text.is_empty() || text[0] == b'#') {
            continue;
        }
        first = false;
        let end = line.trim_ascii_end();
        let kept = end.strip_suffix(&[escape]).unwrap_or(end);
        out.extend(kept.iter().zip(start..).map(|(byte, at)| Byte { byte: *byte, at }));
    }
    out
}

impl Run<'_> {
    /// Whether a mount keeps what is written below a directory out of the layer.
    pub(super) fn mounts(&self, directory: &str) -> bool {
        let targets = self.step.opts.iter().filter_map(|opt| match &opt.kind {
            OptKind::Mount(mount) => Some(mount),
            _ => None,
        });
        let target = |mount: &ast::Mount| {
            let is_target =
                |key: &str| ["target", "dst", "destination"].iter().any(|name| key.eq_ignore_ascii_case(name));
            let field = mount.fields.iter().rev().find(|field| is_target(&field.key))?;
            Some(field.value.as_ref()?.raw().lossy().trim_end_matches('/').to_owned())
        };
        targets.filter_map(target).any(|target| {
            directory == target || directory.strip_prefix(&target).is_some_and(|rest| rest.starts_with('/'))
        })
    }

    /// Whether some command removes what lies below a directory.
    pub(super) fn removes(&self, directory: &str) -> bool {
        let removes = |command: &shell::Simple| {
            let (program, words) = command.program();
            program == "rm" && words.iter().any(|word| word.text.starts_with(directory))
        };
        self.commands.iter().any(removes)
    }

    /// Whether some command is this program with this argument.
    pub(super) fn calls(&self, program: &str, argument: &str) -> bool {
        self.commands.iter().any(|command| {
            let (name, words) = command.program();
            name == program && words.iter().any(|word| word.text == argument)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parsed;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let (source, module) = parsed(text);
        let mut found = Vec::new();
        each_run(&module, &source, &mut |run| {
            for command in run.commands {
                let span = command.span();
                found.push(text[span.start as usize..span.end as usize].to_owned());
            }
        });
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn continued_lines_are_one() {
        check("FROM a\nRUN --network=none a && \\\n  # note\n\n  b c\n", &["a", "b c"]);
        check("# escape=`\nFROM a\nRUN a && `\n  b\n", &["a", "b"]);
    }

    #[test]
    fn documents_that_are_scripts() {
        check("FROM a\nRUN <<EOF\na\nb c\nEOF\nRUN x\n", &["a", "b c", "x"]);
        check("FROM a\nRUN <<EOF\n#!/usr/bin/env python3\nimport os\nEOF\n", &[]);
        check("FROM a\nRUN <<EOF\n#!/bin/bash -e\na\nEOF\n", &["a"]);
    }

    #[test]
    fn other_shells_and_the_exec_form_are_left_alone() {
        check("FROM a\nRUN [\"a\"]\nSHELL [\"powershell\", \"-command\"]\nRUN b\nFROM c\nRUN d\n", &["d"]);
    }
}
