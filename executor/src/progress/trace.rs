//! What is known of a build so far, from its events: the steps as people see them.
//!
//! A step is a vertex, or a group of vertices shown as one. Steps are in the order they started, which is the order they
//! are shown in; a vertex that never starts is counted, not shown. parity: BuildKit v0.32, util/progress/progressui: a
//! group is hidden until a member starts that is not weak, cached when all its members are, failed when one is.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use oci::Digest;

use super::{Event, visible};

/// How an error ends that is nobody's fault: the build was stopped.
const CANCELLED: &str = "context canceled";

/// The steps of a build.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) steps: Vec<Step>,
    /// Positions of shown steps, in the order they started.
    pub(super) shown: Vec<usize>,
    by_digest: HashMap<Digest, usize>,
    by_group: HashMap<String, usize>,
    pub(super) started: Option<SystemTime>,
}

/// One step.
pub(super) struct Step {
    pub(super) name: String,
    is_group: bool,
    members: Vec<Member>,
    is_shown: bool,
    pub(super) statuses: Vec<Status>,
    pub(super) warnings: Vec<String>,
}

/// One vertex of a step.
struct Member {
    digest: Digest,
    is_weak: bool,
    /// When it worked, the last time last: a step starts again when its layers are pulled.
    worked: Vec<(SystemTime, Option<SystemTime>)>,
    cached: bool,
    error: Option<String>,
}

/// A part of a step's work.
#[derive(Clone)]
pub(super) struct Status {
    pub(super) id: String,
    pub(super) current: u64,
    pub(super) total: u64,
    pub(super) started: SystemTime,
    pub(super) completed: Option<SystemTime>,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Cached,
    Cancelled,
    Failed(String),
}

impl Trace {
    /// Takes an event; returns the position of the shown step it belongs to.
    pub(super) fn take(&mut self, event: &Event) -> Option<usize> {
        match event {
            Event::Vertex { digest, name, group, .. } => {
                self.add(digest, name, group.as_ref());
                None
            }
            Event::Started { digest, at } => self.change(digest, |member| member.start(*at)),
            Event::Completed { digest, at, cached, error } => self.change(digest, |member| {
                member.complete(*at);
                member.cached = *cached;
                member.error = error.as_deref().map(|error| visible(error).into_owned());
            }),
            Event::Status { digest, id, current, total, started, completed } => {
                let status = Status {
                    id: visible(id).into_owned(),
                    current: *current,
                    total: *total,
                    started: *started,
                    completed: *completed,
                };
                self.with(digest, |step| step.put(status))
            }
            Event::Warning { digest: Some(digest), message, .. } => {
                self.with(digest, |step| step.warnings.push(visible(message).into_owned()))
            }
            Event::Log { digest, .. } => self.with(digest, |_| ()),
            Event::Warning { digest: None, .. } => None,
        }
    }

    /// Steps that ended, and all there are.
    pub(super) fn counts(&self) -> (usize, usize) {
        let counted = self.steps.iter().filter(|step| step.is_shown || !step.is_group);
        counted.fold((0, 0), |(ended, all), step| (ended + usize::from(step.completed().is_some()), all + 1))
    }

    fn add(&mut self, digest: &Digest, name: &str, group: Option<&llb::ProgressGroup>) {
        let member = Member {
            digest: digest.clone(),
            is_weak: group.is_some_and(|group| group.weak),
            worked: Vec::new(),
            cached: false,
            error: None,
        };
        let known = match group {
            Some(group) => self.by_group.get(&group.id).copied(),
            None => self.by_digest.get(digest).copied(),
        };
        let position = known.unwrap_or_else(|| {
            let name = group.map_or(name, |group| &group.name).to_owned();
            self.steps.push(Step::new(name, group.is_some()));
            self.steps.len() - 1
        });
        if let Some(group) = group {
            self.by_group.insert(group.id.clone(), position);
        }
        self.by_digest.insert(digest.clone(), position);
        let members = &mut self.steps[position].members;
        if !members.iter().any(|known| known.digest == *digest) {
            members.push(member);
        }
    }

    fn change(&mut self, digest: &Digest, change: impl FnOnce(&mut Member)) -> Option<usize> {
        let position = *self.by_digest.get(digest)?;
        let step = &mut self.steps[position];
        if let Some(member) = step.members.iter_mut().find(|member| member.digest == *digest) {
            change(member);
        }
        if !step.is_shown && step.is_visible() {
            step.is_shown = true;
            self.shown.push(position);
        }
        self.started = self.started.or(step.started());
        step.is_shown.then_some(position)
    }

    fn with(&mut self, digest: &Digest, change: impl FnOnce(&mut Step)) -> Option<usize> {
        let position = *self.by_digest.get(digest)?;
        let step = &mut self.steps[position];
        change(step);
        step.is_shown.then_some(position)
    }
}

impl Step {
    fn new(name: String, is_group: bool) -> Self {
        Self { name, is_group, members: Vec::new(), is_shown: false, statuses: Vec::new(), warnings: Vec::new() }
    }

    fn is_visible(&self) -> bool {
        self.members.iter().any(|member| !member.worked.is_empty() && (!member.is_weak || member.error.is_some()))
    }

    fn put(&mut self, status: Status) {
        match self.statuses.iter_mut().find(|known| known.id == status.id) {
            Some(known) => *known = status,
            None => self.statuses.push(status),
        }
    }

    /// Whether a part of its work goes on: layers are pulled when something needs them, long after their step has ended.
    pub(super) fn is_open(&self) -> bool {
        self.statuses.iter().any(|status| status.completed.is_none())
    }

    /// When it last started.
    pub(super) fn started(&self) -> Option<SystemTime> {
        self.members.iter().filter_map(|member| Some(member.worked.first()?.0)).max()
    }

    /// When all of it that started had ended.
    pub(super) fn completed(&self) -> Option<SystemTime> {
        let mut last = None;
        for (_, completed) in self.members.iter().filter_map(|member| member.worked.last()) {
            last = last.max(Some((*completed)?));
        }
        last
    }

    /// Time spent in it until `now`, overlaps counted once.
    pub(super) fn duration(&self, now: SystemTime) -> Duration {
        let worked = self.members.iter().flat_map(|member| &member.worked);
        let mut intervals: Vec<_> = worked.map(|(start, stop)| (*start, stop.unwrap_or(now))).collect();
        intervals.sort_unstable();
        let (mut total, mut until) = (Duration::ZERO, SystemTime::UNIX_EPOCH);
        for (start, stop) in intervals {
            total += stop.duration_since(start.max(until)).unwrap_or_default();
            until = until.max(stop);
        }
        total
    }

    /// How it ended.
    pub(super) fn end(&self) -> Option<End> {
        self.completed()?;
        let error = self.members.iter().find_map(|member| member.error.as_deref());
        Some(match error {
            Some(error) if error.ends_with(CANCELLED) => End::Cancelled,
            Some(error) => End::Failed(error.to_owned()),
            None if self.members.iter().all(|member| member.cached) => End::Cached,
            None => End::Done,
        })
    }
}

impl Member {
    fn start(&mut self, at: SystemTime) {
        if self.worked.last().is_none_or(|(_, stop)| stop.is_some()) {
            self.worked.push((at, None));
        }
    }

    fn complete(&mut self, at: SystemTime) {
        self.start(at);
        if let Some((_, stop)) = self.worked.last_mut() {
            *stop = Some(at);
        }
    }
}

impl Status {
    /// Bytes in a second, of what has gone on for one at least.
    pub(super) fn rate(&self, now: SystemTime) -> Option<String> {
        let seconds = now.duration_since(self.started).ok()?.as_secs_f64();
        let is_moving = self.completed.is_none() && self.current > 0 && seconds >= 1.0;
        is_moving.then(|| format!("{}/s", bytes((self.current as f64 / seconds) as u64)))
    }

    /// `3.40MB / 5.00MB`, as much of it as is known.
    pub(super) fn amount(&self) -> Option<String> {
        match (self.current, self.total) {
            (0, 0) => None,
            (current, 0) => Some(bytes(current)),
            (current, total) => Some(format!("{} / {}", bytes(current), bytes(total))),
        }
    }
}

/// Bytes in decimal units, as Docker prints them.
pub(super) fn bytes(amount: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if amount < 1000 {
        return format!("{amount}B");
    }
    let (mut scaled, mut unit) = (amount as f64 / 1000.0, 0);
    while scaled >= 1000.0 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    format!("{scaled:.2}{}", UNITS[unit])
}
