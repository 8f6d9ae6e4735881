//! `CMD`, `ENTRYPOINT`, `SHELL` and `HEALTHCHECK`: what the container runs.

use ast::{Command as Process, Str};
use oci::Healthcheck;
use oci::json::lossy;

use crate::plan::history::Layer;
use crate::plan::notes::NoteKind;
use crate::plan::planner::Planner;
use crate::plan::stages::Command;
use crate::plan::state::{Once, State};
use crate::plan::stop::Done;

impl Planner<'_> {
    pub(in crate::plan) fn cmd(&mut self, state: &mut State, command: &Command<'_>, process: &Process) -> Done {
        self.note_replaced(state, command, |once| &mut once.cmd);
        let args = self.process_args(state, command, process);
        self.commit(state, |state| ["CMD ", &quoted(state, process)].concat(), Layer::Empty);
        state.image_mut().config.cmd = args;
        state.image_mut().config.args_escaped = true;
        Ok(())
    }

    pub(in crate::plan) fn entrypoint(&mut self, state: &mut State, command: &Command<'_>, process: &Process) -> Done {
        self.note_replaced(state, command, |once| &mut once.entrypoint);
        let args = self.process_args(state, command, process);
        self.commit(state, |state| ["ENTRYPOINT ", &quoted(state, process)].concat(), Layer::Empty);
        state.image_mut().config.entrypoint = args;
        if state.once.cmd.is_none() {
            state.image_mut().config.cmd.clear();
        }
        Ok(())
    }

    pub(in crate::plan) fn shell(&mut self, state: &mut State, words: &[Str]) -> Done {
        let words: Vec<String> = words.iter().map(|word| lossy(word.raw())).collect();
        self.commit(state, |_| format!("SHELL {}", listed(&words)), Layer::Empty);
        state.image_mut().config.shell = words;
        Ok(())
    }

    pub(in crate::plan) fn healthcheck(
        &mut self,
        state: &mut State,
        command: &Command<'_>,
        check: &ast::Healthcheck,
    ) -> Done {
        self.note_replaced(state, command, |once| &mut once.healthcheck);
        let check = Healthcheck {
            test: check.test.iter().map(|word| lossy(word)).collect(),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        };
        self.commit(state, |_| format!("HEALTHCHECK {}", shown_check(&check)), Layer::Empty);
        state.image_mut().config.healthcheck = Some(check);
        Ok(())
    }

    fn note_replaced(
        &mut self,
        state: &mut State,
        command: &Command<'_>,
        which: fn(&mut Once) -> &mut Option<ast::Span>,
    ) {
        if let Some(earlier) = which(&mut state.once).replace(command.span()) {
            let keyword = command.step.keyword_text().into_owned();
            self.note_for(earlier, (!command.trigger).then(|| command.span()), NoteKind::Replaced { keyword });
        }
    }

    fn process_args(&mut self, state: &State, command: &Command<'_>, process: &Process) -> Vec<String> {
        let args: Vec<String> = process.args.iter().map(|arg| lossy(arg)).collect();
        if !process.shell {
            return args;
        }
        if state.image.config.shell.is_empty() && state.is_complete() {
            let keyword = command.step.keyword_text().into_owned();
            self.note_at(command, NoteKind::ShellForm { keyword });
        }
        with_shell(state, args.join(" "))
    }
}

/// The image's shell.
fn shell(state: &State) -> impl Iterator<Item = &str> {
    let set = &state.image.config.shell;
    let default: &[&str] = match () {
        () if !set.is_empty() => &[],
        () if state.image.platform.os == "windows" => &["cmd", "/S", "/C"],
        () => &["/bin/sh", "-c"],
    };
    default.iter().copied().chain(set.iter().map(String::as_str))
}

/// A command line as the image's shell runs it.
pub(super) fn with_shell(state: &State, line: String) -> Vec<String> {
    shell(state).map(str::to_owned).chain([line]).collect()
}

/// Go's `%q` of what runs: of its bytes, where the config has what of them is text.
fn quoted(state: &State, process: &Process) -> String {
    let length: usize = process.args.iter().map(|arg| arg.len() + 3).sum();
    let mut list = String::with_capacity(length + ROOM_FOR_SHELL);
    let mut word = |text: &[u8]| {
        list.push(if list.is_empty() { '[' } else { ' ' });
        ast::push_quoted(&mut list, text);
    };
    if process.shell {
        shell(state).for_each(|part| word(part.as_bytes()));
        word(&process.args.iter().map(|arg| &arg[..]).collect::<Vec<_>>().join(&b' '));
    } else {
        process.args.iter().for_each(|arg| word(arg));
    }
    list.push_str(if list.is_empty() { "[]" } else { "]" });
    list
}

/// Bytes of most shells as [`quoted`] writes them, with the brackets.
const ROOM_FOR_SHELL: usize = 24;

/// Go's `%v` of a list.
pub(super) fn listed(words: &[String]) -> String {
    ["[", &words.join(" "), "]"].concat()
}

/// Go's `%+v` of the check.
fn shown_check(check: &Healthcheck) -> String {
    format!(
        "{{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        listed(&check.test),
        duration(check.interval),
        duration(check.timeout),
        duration(check.start_period),
        duration(check.start_interval),
        check.retries
    )
}

/// A duration as Go prints it: `1h0m5.5s`, `1.5ms`, `0s`.
fn duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let small = [("ns", 1), ("µs", 1_000), ("ms", 1_000_000)];
    if total == 0 {
        return "0s".to_owned();
    }
    if total < 1_000_000_000 {
        let (unit, size) = small.into_iter().rev().find(|(_, size)| total >= *size).unwrap_or(small[0]);
        return format!("{sign}{}{unit}", decimal(total, size));
    }
    let minutes = total / 60_000_000_000;
    let seconds = decimal(total % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / unit` without trailing zeros; `unit` is a power of ten.
fn decimal(value: u64, unit: u64) -> String {
    let fraction = value % unit;
    if fraction == 0 {
        return (value / unit).to_string();
    }
    let digits = format!("{fraction:0width$}", width = unit.ilog10() as usize);
    format!("{}.{}", value / unit, digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use ast::Source;

    use super::duration;
    use crate::{Answer, AskError, Facts, Options, Question, World};

    /// Has no files.
    struct Empty;

    impl World for Empty {
        fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
            questions.iter().map(|_| Ok(Answer::ContextFile(None))).collect()
        }
    }

    #[test]
    fn history_has_the_bytes_of_what_runs() {
        let source =
            Source::new("Dockerfile", &b"FROM scratch\nCMD \xff a\nSHELL [\"x\"]\nENTRYPOINT [\"\xfe\", \"b\"]\n"[..]);
        let plan = crate::compile(&source, &Options::default(), Facts::default(), &Empty).plan.expect("it compiles");
        let image = oci::ImageConfig::from_json(&plan.outputs[0].image).expect("it is a config");
        let said: Vec<&str> = image.history.iter().map(|entry| entry.created_by.as_str()).collect();
        // In JSON it is none of them.
        assert_eq!(said, [r#"CMD ["/bin/sh" "-c" "\xff a"]"#, "SHELL [x]", "ENTRYPOINT [\"\u{fffd}\" \"b\"]"]);
    }

    #[test]
    fn durations() {
        for (nanoseconds, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (1_000_000, "1ms"),
            (30_000_000_000, "30s"),
            (90_500_000_000, "1m30.5s"),
            (3_600_000_000_000, "1h0m0s"),
            (-1_000_000_000, "-1s"),
        ] {
            assert_eq!(duration(nanoseconds), expected);
        }
    }
}
