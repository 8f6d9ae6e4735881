//! `llbc check`: errors and warnings of build files, and nothing else.
//!
//! Files are looked at in parallel and reported in order. What is said is the same in every format; only for people it
//! goes to standard error, as talk.

mod fix;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ast::{Diagnostic, Policy, Severity, Sources};
use compiler::lint::{RULES, Rule};

use crate::args::{Check, CheckFormat, CompileOptions, FailOn};
use crate::failure::{Failure, Result};
use crate::settings::{Input, Settings};
use crate::world::Patience;
use crate::{pipeline, printer};

use super::walk;

/// What was found in one file.
pub(crate) struct Report {
    /// The name of the file, as typed or found.
    pub(crate) file: String,
    /// The text its findings point into.
    pub(crate) sources: Sources,
    /// What was found.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// A file to check.
struct Job {
    input: Input,
    /// The directory of the context, where that is not the user's to say.
    context: Option<PathBuf>,
}

pub(super) fn run(args: &Check) -> Result<()> {
    let rules = rules(&args.rules)?;
    let jobs = jobs(&args.files)?;
    if jobs.iter().any(|job| matches!(job.input, Input::Remote(_))) {
        // While there is one thread: what is fetched is unpacked.
        executor::userns::enter().map_err(Failure::Build)?;
    }
    // A look is not worth a wait: what is not known soon is not known.
    let patience = Arc::new(Patience::default());
    let check = |job: &Job| check(job, &args.options, &rules, &patience, args.fix);
    let mut reports = Vec::with_capacity(jobs.len());
    let mut first_failure = None;
    for done in in_parallel(&jobs, &check) {
        match done {
            Ok(report) => reports.push(report),
            Err(failure) => {
                first_failure = first_failure.or(Some(failure));
            }
        }
    }
    print(&reports, args.format, args.options.error_format)?;
    match first_failure {
        Some(failure) => Err(failure),
        None => verdict(&reports, args.fail_on),
    }
}

/// Checks one file with settings that are there already, for people.
pub(super) fn settings(settings: &mut Settings, fail_on: FailOn) -> Result<()> {
    let report = report(settings)?;
    let reports = [report];
    print(&reports, CheckFormat::Human, settings.error_format)?;
    verdict(&reports, fail_on)
}

/// The names of rules asked for.
fn rules(names: &[String]) -> Result<Vec<String>> {
    let own = || RULES.iter().filter(|rule| rule.policy == Policy::OnRequest).map(|rule| rule.name.to_owned());
    let mut rules = Vec::new();
    for name in names {
        match Rule::search(name)[..] {
            _ if name == "all" => rules.extend(own()),
            [] => return Err(unknown_rule(name)),
            ref found => rules.extend(found.iter().map(|rule| rule.name.to_owned())),
        }
    }
    Ok(rules)
}

/// There is no such rule; perhaps another was meant.
pub(super) fn unknown_rule(name: &str) -> Failure {
    let suggestion = ast::suggest(name, RULES.iter().map(|rule| rule.name));
    let message = ast::with_suggestion(format!("there is no rule {name}"), suggestion);
    Failure::usage(message, "`llbc explain` lists the rules".to_owned())
}

fn jobs(files: &[String]) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for file in files {
        let is_directory = Path::new(file).is_dir();
        jobs.extend(walk::inputs(file)?.into_iter().map(|input| {
            let context = input.directory().filter(|_| is_directory);
            Job { input, context }
        }));
    }
    Ok(jobs)
}

fn check(job: &Job, options: &CompileOptions, rules: &[String], patience: &Arc<Patience>, fix: bool) -> Result<Report> {
    let mut options = options.clone();
    options.context_dir = options.context_dir.or_else(|| job.context.clone());
    let mut settings = Settings::new(job.input.clone(), &options)?;
    settings.options.rules = rules.to_vec();
    settings.patience = Some(patience.clone());
    match &job.input {
        Input::File(path) if fix => fix::until_stable(path, || report(&mut settings)),
        Input::Stdin | Input::Piped(_) if fix => {
            Err(Failure::usage("--fix needs a file, and standard input is none", None))
        }
        Input::Remote(_) if fix => Err(Failure::usage("--fix needs a file on this machine", None)),
        _ => report(&mut settings),
    }
}

fn report(settings: &mut Settings) -> Result<Report> {
    let compiled = pipeline::read(settings, compiler::check)?;
    let diagnostics = compiled.outcome.diagnostics;
    Ok(Report { file: settings.input.name(), sources: compiled.sources, diagnostics })
}

/// Does all jobs on all processors; the results are in the order of the jobs.
fn in_parallel<T: Send>(jobs: &[Job], work: &(dyn Fn(&Job) -> T + Sync)) -> Vec<T> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    if workers < 2 {
        return jobs.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(jobs.len()));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let take = || next.fetch_add(1, Ordering::Relaxed);
                while let Some((at, job)) = Some(take()).and_then(|at| Some((at, jobs.get(at)?))) {
                    let result = work(job);
                    done.lock().expect("no worker panics while it holds the list").push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("workers are gone");
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

fn print(reports: &[Report], format: CheckFormat, errors: crate::args::ErrorFormat) -> Result<()> {
    match format {
        CheckFormat::Human => {
            for report in reports {
                printer::diagnostics(errors, &report.sources, &report.diagnostics);
            }
            Ok(())
        }
        CheckFormat::Json => printer::data(printer::json_lines(reports).as_bytes()),
        CheckFormat::Sarif => printer::data(printer::sarif(reports).as_bytes()),
        CheckFormat::Github => printer::data(printer::github(reports).as_bytes()),
        CheckFormat::Gcc => printer::data(printer::gcc(reports).as_bytes()),
    }
}

fn verdict(reports: &[Report], fail_on: FailOn) -> Result<()> {
    let least = match fail_on {
        FailOn::Error => Severity::Error,
        FailOn::Warning => Severity::Warning,
        FailOn::Info => Severity::Info,
        FailOn::Never => return Ok(()),
    };
    let mut found = reports.iter().flat_map(|report| &report.diagnostics);
    if found.any(|diagnostic| diagnostic.severity >= least) { Err(Failure::Diagnosed) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_by_every_name_they_have() {
        let names = |list: &[&str]| {
            let list: Vec<String> = list.iter().map(|name| (*name).to_owned()).collect();
            rules(&list).map_err(|failure| match failure {
                Failure::Message(message) => message.text,
                other => format!("{other:?}"),
            })
        };
        assert_eq!(names(&["SudoInRun", "dl3008"]), Ok(vec!["SudoInRun".to_owned(), "UnpinnedPackage".to_owned()]));
        assert!(names(&["all"]).is_ok_and(|rules| rules.len() > 9 && !rules.contains(&"UndefinedVar".to_owned())));
        assert_eq!(names(&["SudoInRum"]), Err("there is no rule SudoInRum (did you mean SudoInRun?)".to_owned()));
    }

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let job = |name: usize| Job { input: Input::File(name.to_string().into()), context: None };
        let jobs: Vec<Job> = (0..50).map(job).collect();
        let names = in_parallel(&jobs, &|job| job.input.name());
        assert_eq!(names, (0..50).map(|at| at.to_string()).collect::<Vec<_>>());
    }
}
