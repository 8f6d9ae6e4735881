//! Findings and errors in one list, in the order in which BuildKit reports them.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use ast::{Checks, Diagnostic, LineIndex, Module, Policy, Severity, Source, Span, Step, code, visit};

use super::{
    Check, Hit, Instruction, Mend, Names, OnBlank, OnInstruction, OnModule, OnNote, OnRun, OnStage, RULES, Rule, Stage,
    script,
};
use crate::Options;
use crate::plan::{Finding, Note, NoteKind};

/// The option that replaces the settings in the file.
const OVERRIDE: &str = "build-arg:BUILDKIT_DOCKERFILE_CHECK";

/// The settings of a compilation: the option's, else the file's.
///
/// **Errors**: settings that cannot be read; nothing else of the file counts then.
pub fn settings(module: &Module, options: &Options) -> Result<Checks, Box<Diagnostic>> {
    let error = |message: String| {
        Box::new(Diagnostic::error(code::MODULE, message, None).help(
            "settings are skip=RULE,…|all, experimental=RULE,…|all and error=true|false, separated by semicolons",
        ))
    };
    let mut checks = match options.opts.get(OVERRIDE) {
        Some(text) => Checks::parse(text).map_err(|what| error(format!("failed to parse {OVERRIDE}: {what}"))),
        None => module.checks.clone().map_err(|what| error(format!("failed to parse check options: {what}"))),
    }?;
    checks.requested.extend(options.rules.iter().cloned());
    Ok(checks)
}

/// Everything there is to say of a file: what parsing found, what rules find in the text, and what planning found.
///
/// Warnings after the first error are left out, for BuildKit would not have got that far; further errors are not.
/// `source` is the module's file.
pub fn report(module: &Module, source: &Source, checks: &Checks, findings: &[Finding]) -> Vec<Diagnostic> {
    let mut steps = Vec::with_capacity(visit::count_steps(module));
    let (mut commented, mut silenced, mut has_blanks) = (Vec::new(), Vec::new(), false);
    visit::steps(module).for_each(|(step, _)| {
        steps.push(step);
        commented.extend(step.checks.as_deref().map(|checks| (step.span.start, checks)));
        if !step.comments.is_empty() {
            silenced.extend(hadolint(step, "global ignore="));
        }
        has_blanks |= step.blank.is_some();
    });
    let rules = &*Rules::wanted(checks, &commented);
    let mut report =
        Report { lines: &source.lines, checks, rules, steps, commented, silenced, has_blanks, out: Vec::new() };
    let first_error = module.diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
    match first_error.map(|error| error.code) {
        Some(code::SYNTAX) => {}
        Some(code::INSTRUCTION) => report.text(module, first_error.and_then(|error| error.at)),
        _ => {
            report.text(module, None);
            report.stages(module);
        }
    }
    report.out.extend(module.diagnostics.iter().cloned());
    if first_error.is_none() {
        report.findings(findings);
        report.runs(module, source);
    } else {
        let errors =
            findings.iter().filter_map(|found| if let Finding::Error(error) = found { Some(&**error) } else { None });
        report.out.extend(errors.cloned());
    }
    report.violation();
    report.out
}

/// Rules by what they look at, each with what it does. **Shape**: each kind in the order of [`RULES`].
#[derive(Clone, Default)]
struct Rules {
    blanks: Vec<(&'static Rule, OnBlank)>,
    instructions: Vec<(&'static Rule, OnInstruction)>,
    stages: Vec<(&'static Rule, OnStage)>,
    modules: Vec<(&'static Rule, OnModule)>,
    /// With a way to mend what planning noticed, if there is one.
    notes: Vec<(&'static Rule, OnNote, Option<Mend>)>,
    runs: Vec<(&'static Rule, OnRun)>,
}

/// Those of most files, in which nothing is said of rules.
static UNSAID: LazyLock<Rules> = LazyLock::new(|| Rules::of(|rule| Checks::default().allows(rule.name, rule.policy)));

impl Rules {
    /// The rules that may run somewhere in the file.
    fn wanted(checks: &Checks, commented: &[(u32, &Checks)]) -> Cow<'static, Self> {
        if commented.is_empty() && checks.names_no_rule() {
            return Cow::Borrowed(&UNSAID);
        }
        let merged: Vec<Checks> = commented.iter().map(|(_, own)| checks.with(own)).collect();
        Cow::Owned(Self::of(|rule| {
            let allows = |checks: &Checks| checks.allows(rule.name, rule.policy);
            allows(checks) || merged.iter().any(allows)
        }))
    }

    fn of(is_wanted: impl Fn(&Rule) -> bool) -> Self {
        let mut rules = Self::default();
        for rule in RULES.iter().copied().filter(|rule| is_wanted(rule)) {
            match rule.check {
                Check::Blank(check) => rules.blanks.push((rule, check)),
                Check::Instruction(check) => rules.instructions.push((rule, check)),
                Check::Stage(check) => rules.stages.push((rule, check)),
                Check::Module(check) => rules.modules.push((rule, check)),
                Check::Note(check) => rules.notes.push((rule, check, None)),
                Check::Mendable(check, mend) => rules.notes.push((rule, check, Some(mend))),
                Check::Run(check) => rules.runs.push((rule, check)),
            }
        }
        rules
    }
}

/// The rules that the comments above a step name for hadolint, under a keyword.
fn hadolint(step: &Step, keyword: &str) -> Vec<String> {
    let list = |comment: &ast::Comment| {
        let text = ast::word::decode(comment.text.strip_prefix(b"hadolint ")?);
        let rest = text.trim_start().strip_prefix(keyword)?;
        Some(rest.split('#').next()?.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>())
    };
    step.comments.iter().filter_map(list).flatten().collect()
}

struct Report<'a> {
    lines: &'a LineIndex,
    checks: &'a Checks,
    rules: &'a Rules,
    /// Every step, in file order.
    steps: Vec<&'a Step>,
    /// Those that have settings of their own, by where they start.
    commented: Vec<(u32, &'a Checks)>,
    /// Names that hadolint has for rules, silenced for the whole file.
    silenced: Vec<String>,
    /// Whether there are blank lines in instructions.
    has_blanks: bool,
    out: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    /// The rules on the text, up to the first error.
    fn text(&mut self, module: &Module, error: Option<Span>) {
        let (Rules { blanks, instructions, .. }, has_blanks) = (self.rules, self.has_blanks);
        // Not with `for`: an iterator of several parts is through them much faster by itself.
        visit::steps(module).filter(|_| has_blanks).for_each(|(step, _)| {
            let Some(lines) = &step.blank else { return };
            for (rule, check) in blanks {
                self.hit(rule, step.span, check(lines));
            }
        });
        let _ = visit::steps(module).try_for_each(|(step, def)| {
            let failed = error.is_some_and(|error| error.start < step.span.end.max(step.span.start + 1));
            let stage = def.filter(|def| def.span.start == step.span.start);
            let instruction = Instruction { step, stage, parsed: !failed };
            for (rule, check) in instructions {
                if let Some(hit) = check(&instruction) {
                    self.hit(rule, step.span, hit);
                }
            }
            if failed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }

    /// The rules on stages and on the whole.
    fn stages(&mut self, module: &Module) {
        // Functions are no stages; checking told what is wrong with their names.
        let stages = if module.dialect.functions { &[] } else { &module.defs[..] };
        let names = Names::of(stages);
        for (at, def) in stages.iter().enumerate() {
            let Some(from) = visit::def_steps(def).first() else { continue };
            for (rule, check) in &self.rules.stages {
                if let Some(hit) = check(&Stage { def, from, at, names: &names }) {
                    self.hit(rule, from.span, hit);
                }
            }
        }
        for (rule, check) in &self.rules.modules {
            for hit in check(module) {
                let whole = hit.whole;
                self.hit(rule, whole, hit);
            }
        }
    }

    /// The rules on what shells are told. They see the text alone, so an error of planning is no reason to stop.
    fn runs(&mut self, module: &Module, source: &Source) {
        let rules = &self.rules.runs;
        if rules.is_empty() {
            return;
        }
        script::each_run(module, source, &mut |run| {
            for (rule, check) in rules {
                for hit in check(run) {
                    self.hit(rule, run.step.span, hit);
                }
            }
        });
    }

    /// What planning found: notes up to the first error, and every error.
    fn findings(&mut self, findings: &[Finding]) {
        let mut failed = false;
        let start = self.out.len();
        for finding in findings {
            match finding {
                Finding::Error(error) => {
                    failed = true;
                    self.out.push((**error).clone());
                }
                Finding::Note(note) if !failed => self.note(note),
                Finding::Note(_) => {}
                Finding::Unknown(info) => self.out.push((**info).clone()),
            }
        }
        let lines = self.lines;
        sort_neighbours(&mut self.out[start..], lines);
    }

    fn note(&mut self, note: &Note) {
        for &(rule, check, mend) in &self.rules.notes {
            let Some(message) = check(&note.kind) else { continue };
            let fix = mend.zip(self.step_of(note)).and_then(|(mend, step)| mend(step));
            let hit = Hit { at: self.caret(note).unwrap_or(note.at), whole: note.at, message, fix };
            match note.step {
                Some(step) => self.hit(rule, step, hit),
                None => self.hit_with(rule, self.checks.allows(rule.name, rule.policy), hit),
            }
        }
    }

    /// The instruction of the text that a note is at. A trigger's text is that of another file.
    fn step_of(&self, note: &Note) -> Option<&Step> {
        let start = note.step.filter(|step| *step == note.at)?.start;
        let index = self.steps.binary_search_by_key(&start, |step| step.span.start).ok()?;
        Some(self.steps[index])
    }

    /// The very variable a note is about, where its text stands in the file.
    fn caret(&self, note: &Note) -> Option<Span> {
        let (NoteKind::UndefinedVariable { name, .. } | NoteKind::UndefinedInFrom { name, .. }) = &note.kind else {
            return None;
        };
        let mentions = visit::mentions(self.step_of(note)?);
        mentions.into_iter().find(|mention| mention.name == *name).map(|mention| mention.span)
    }

    /// Reports a hit unless settings, those above the instruction at `step` included, say no.
    fn hit(&mut self, rule: &Rule, step: Span, hit: Hit) {
        let own = self.commented.binary_search_by_key(&step.start, |(start, _)| *start).ok();
        let allowed = match own.filter(|_| rule.by_comment) {
            Some(index) => self.checks.with(self.commented[index].1).allows(rule.name, rule.policy),
            None => self.checks.allows(rule.name, rule.policy),
        };
        self.hit_with(rule, allowed && !self.silenced(rule, step), hit);
    }

    /// Whether a comment for hadolint silences a rule that is ours, above the instruction or for the whole file.
    fn silenced(&self, rule: &Rule, step: Span) -> bool {
        if rule.policy != Policy::OnRequest {
            return false;
        }
        let names = |name: &String| rule.aliases.contains(&name.as_str());
        let at = self.steps.binary_search_by_key(&step.start, |step| step.span.start).ok();
        self.silenced.iter().any(names) || at.is_some_and(|at| hadolint(self.steps[at], "ignore=").iter().any(names))
    }

    fn hit_with(&mut self, rule: &Rule, allowed: bool, hit: Hit) {
        if !allowed {
            return;
        }
        let mut warning = Diagnostic::warning(rule.name, hit.message, hit.at);
        warning.severity = rule.severity;
        warning.url = (!rule.url.is_empty()).then_some(rule.url);
        warning.fix = hit.fix;
        if hit.at != hit.whole {
            warning.locations = Some(vec![vec![self.lines.lines_of(hit.whole)]]);
        }
        self.out.push(warning);
    }

    /// The error that warnings are if the settings want it so, and nothing else failed.
    fn violation(&mut self) {
        let failed = self.out.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        if failed {
            return;
        }
        let mut names: Vec<&str> = Vec::new();
        let fatal = |found: &&Diagnostic| found.severity == Severity::Warning && self.checks.fails(found.code);
        for warning in self.out.iter().filter(fatal) {
            if !names.contains(&warning.code) {
                names.push(warning.code);
            }
        }
        if names.is_empty() {
            return;
        }
        let message = format!("lint violation found for rules: {}", names.join(", "));
        let help = "mend the warnings, or take error=true out of the check settings";
        self.out.push(Diagnostic::error(code::MODULE, message, None).help(help));
    }
}

/// Sorts runs of findings of one rule at one place by message: BuildKit's order within them is that of a hash map.
fn sort_neighbours(findings: &mut [Diagnostic], lines: &LineIndex) {
    let place = |finding: &Diagnostic| match (&finding.locations, finding.at) {
        (Some(locations), _) => locations.first().and_then(|lines| lines.first().copied()),
        (None, at) => at.map(|at| lines.lines_of(at)),
    };
    let same = |a: &Diagnostic, b: &Diagnostic| {
        a.severity == Severity::Warning && (a.code, a.severity) == (b.code, b.severity) && place(a) == place(b)
    };
    for run in findings.chunk_by_mut(same) {
        run.sort_by(|a, b| a.message.cmp(&b.message));
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::lint;

    const MAINTAINER: &str = "Maintainer instruction is deprecated in favor of using label";

    #[test]
    fn settings_of_the_file() {
        lint("# check=skip=MaintainerDeprecated\nFROM alpine\nMAINTAINER a\n", &[]);
        lint("# check=skip=all\nFROM alpine AS A\nMAINTAINER a\n", &[]);
        lint(
            "# check=skipp=all\nFROM alpine\n",
            &["module: failed to parse check options: invalid check option \"skipp\""],
        );
    }

    #[test]
    fn settings_above_an_instruction() {
        let second = format!("MaintainerDeprecated 4 @MAINTAINER: {MAINTAINER}");
        lint("FROM alpine\n# check=skip=all\nMAINTAINER a\nMAINTAINER b\n", &[&second]);
    }

    #[test]
    fn a_warning_may_fail_the_build() {
        let warning = format!("MaintainerDeprecated 3 @MAINTAINER: {MAINTAINER}");
        lint(
            "# check=error=true\nFROM alpine\nMAINTAINER a\n",
            &[&warning, "module: lint violation found for rules: MaintainerDeprecated"],
        );
        lint("# check=error=true\nFROM alpine\n", &[]);
    }

    #[test]
    fn warnings_end_at_the_first_error() {
        lint(
            "FROM alpine as a\nNOPE\nMAINTAINER x\n",
            &[
                "FromAsCasing 1 @as: 'as' and 'FROM' keywords' casing do not match",
                "instruction 2 @NOPE: dockerfile parse error on line 2: unknown instruction: NOPE (did you mean COPY?)",
            ],
        );
        lint(
            "FROM alpine as a\nRUN [1]\n",
            &["syntax 2 @[1]: when using JSON array syntax, arrays must be comprised of strings only"],
        );
    }
}
