//! Texts of any size take work in proportion, and what is too much is refused by a limit that has a name.
//!
//! Work is counted in allocations and their bytes, which are the same in every run and on every machine; time is not.
//! Each text is compiled in two sizes, one four times the other.

#![allow(clippy::unwrap_used, reason = "an integration test is no `#[test]` to clippy where it is a plain function")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write as _;

use ast::Source;
use compiler::{Answer, AskError, Facts, Lock, Options, Outcome, Question, World};

/// Hands everything to the system's allocator, and counts for each thread: tests run beside one another.
struct Counting;

thread_local! {
    static WORK: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

fn count(bytes: usize) {
    // While a thread ends there is nothing to count any more.
    let _ = WORK.try_with(|work| work.set((work.get().0 + 1, work.get().1 + bytes)));
}

// SAFETY: every call is handed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Stand-ins for images, and nothing else.
struct StandIns(Lock);

impl World for StandIns {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let answer = |question: &Question| match question {
            Question::ContextFile { .. } => Ok(Answer::ContextFile(None)),
            _ => self.0.answer(question).unwrap_or_else(|| Err(AskError::default())),
        };
        questions.iter().map(answer).collect()
    }
}

fn compile(text: &str) -> Outcome {
    let world = StandIns(Lock::parse(br#"{"images": "synthetic"}"#).unwrap());
    let source = Source::new("Dockerfile", text.as_bytes().to_vec());
    compiler::compile(&source, &Options::default(), Facts::default(), &world)
}

/// Allocations and bytes of a compilation, from text to definition.
fn work(text: &str) -> (usize, usize) {
    let before = WORK.get();
    let outcome = compile(text);
    let plan = outcome.plan.unwrap_or_else(|| panic!("{:?}", outcome.diagnostics.first()));
    drop(llb::encode_to_bytes(&plan.graph).unwrap());
    let after = WORK.get();
    (after.0 - before.0, after.1 - before.1)
}

/// What the smaller text may take at most of a quarter of the larger one's work: whatever is the same for both.
#[track_caller]
fn check(size: usize, text: impl Fn(usize) -> String) {
    let (small, large) = (work(&text(size / 4)), work(&text(size)));
    let most = |small: usize| small * 4 + small / 2;
    assert!(large.0 <= most(small.0), "allocations: {} and {}", small.0, large.0);
    assert!(large.1 <= most(small.1), "bytes: {} and {}", small.1, large.1);
}

#[track_caller]
fn refuses(text: &str, message: &str) {
    let outcome = compile(text);
    let first = outcome.diagnostics.first().expect("it is refused");
    assert!(first.message.contains(message), "{:.200}", first.message);
}

/// A part of a command as long as a line may be.
fn long_part() -> String {
    "echo a && ".repeat(6500)
}

#[test]
fn ten_megabytes_of_comments() {
    check(200_000, |lines| {
        format!("FROM a\n{}RUN b\n", "# A comment that says as much as comments say.\n".repeat(lines))
    });
}

#[test]
fn ten_megabytes_of_commands() {
    check(160, |steps| format!("FROM a\n{}", format!("RUN {}true\n", long_part()).repeat(steps)));
}

#[test]
fn a_command_of_ten_megabytes() {
    check(160, |parts| format!("FROM a\nRUN {}true\n", format!("{}\\\n", long_part()).repeat(parts)));
}

#[test]
fn a_document_of_ten_megabytes() {
    check(200_000, |lines| {
        format!("FROM a\nCOPY <<X /x\n{}X\n", "A line of $HOME, as long as most lines are.....\n".repeat(lines))
    });
}

#[test]
fn a_hundred_thousand_arguments() {
    check(100_000, |args| {
        let mut text = String::from("FROM a\n");
        (0..args).for_each(|at| writeln!(text, "ARG A{at}={at}").unwrap());
        text
    });
}

#[test]
fn five_thousand_stages() {
    check(5_000, |stages| {
        let mut text = String::from("FROM a AS s0\n");
        for at in 1..stages {
            writeln!(text, "FROM a AS s{at}\nARG X=1\nRUN b $X\nCOPY --from=s{} /b /b", at - 1).unwrap();
        }
        text
    });
}

#[test]
fn expansions_a_thousand_deep() {
    check(1_000, |levels| format!("FROM a\nENV A=\"{}b{}\"\n", "${B:-".repeat(levels), "}".repeat(levels)));
}

#[test]
fn limits() {
    let line = "x".repeat(10 << 20);
    refuses(&format!("FROM a\nRUN {line}\n"), "dockerfile line greater than max allowed size of 65535");
    let deep = format!("FROM a\nENV A={}b{}\n", "${B:-".repeat(2_000), "}".repeat(2_000));
    refuses(&deep, "substitutions are nested more than 1024 deep");
    let doubled = format!("FROM a\nENV A=x\n{}", "ENV A=$A$A\n".repeat(40));
    refuses(&doubled, "the value is longer than 16 MiB");
}
