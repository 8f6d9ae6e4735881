//! Lint configuration: `skip=…;experimental=…;error=…`, in a text's head, above one step, or given as an option.
//!
//! Mirrors the option grammar of BuildKit v0.32 (`# check=`, `BUILDKIT_DOCKERFILE_CHECK`).

/// When a rule runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Unless it is skipped.
    On,
    /// When `experimental` names it, or all.
    Experimental,
    /// When it is asked for by its name, and not skipped.
    OnRequest,
}

/// Which rules run, and whether a finding fails the build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Rules not to run.
    pub skip: Vec<String>,
    /// Whether to run none.
    pub skip_all: bool,
    /// Experimental rules to run.
    pub experimental: Vec<String>,
    /// Whether to run all experimental ones.
    pub experimental_all: bool,
    /// Rules of [`Policy::OnRequest`] to run. A text asks for them under `experimental`, where BuildKit passes over names
    /// that it does not know.
    pub requested: Vec<String>,
    /// Whether a finding fails the build.
    pub error: bool,
    /// Rules whose findings do, whatever is said of the others.
    pub fatal: Vec<String>,
}

impl Checks {
    /// Reads a configuration.
    ///
    /// **Errors**: what is wrong with it, in BuildKit's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut checks = Self::default();
        let text = text.trim();
        if text.is_empty() {
            return Ok(checks);
        }
        for part in text.splitn(3, ';') {
            let Some((key, value)) = part.split_once('=') else {
                return Err(format!("invalid check option {}", crate::quote(part.as_bytes())));
            };
            match key.trim() {
                "skip" => read_rules(value, &mut checks.skip, &mut checks.skip_all),
                "experimental" => {
                    read_rules(value, &mut checks.experimental, &mut checks.experimental_all);
                }
                "error" => checks.error = parse_bool(value.trim()).ok_or_else(|| bad_bool(part, value))?,
                key => return Err(format!("invalid check option {}", crate::quote(key.as_bytes()))),
            }
        }
        Ok(checks)
    }

    /// This configuration with that of one step added. Whether a finding fails the build is the file's to say.
    #[must_use]
    pub fn with(&self, step: &Self) -> Self {
        let mut merged = self.clone();
        merged.skip.extend_from_slice(&step.skip);
        merged.skip_all |= step.skip_all;
        merged.experimental.extend_from_slice(&step.experimental);
        merged.experimental_all |= step.experimental_all;
        merged
    }

    /// Whether nothing is said of which rules run.
    pub fn names_no_rule(&self) -> bool {
        let Self { skip, skip_all, experimental, experimental_all, requested, error: _, fatal: _ } = self;
        let named = !skip.is_empty() || !experimental.is_empty() || !requested.is_empty();
        !named && !skip_all && !experimental_all
    }

    /// Whether a finding of the rule of this name fails the build.
    pub fn fails(&self, rule: &str) -> bool {
        self.error || self.fatal.iter().any(|fatal| fatal == rule)
    }

    /// Whether the rule of this name runs.
    pub fn allows(&self, rule: &str, policy: Policy) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == rule);
        let skipped = self.skip_all || named(&self.skip);
        match policy {
            Policy::On => !skipped,
            Policy::Experimental => self.experimental_all || named(&self.experimental),
            Policy::OnRequest => !skipped && (named(&self.requested) || named(&self.experimental)),
        }
    }
}

/// A list replaces the list before it; `all` only sets the flag.
fn read_rules(value: &str, rules: &mut Vec<String>, all: &mut bool) {
    let value = value.trim();
    if value == "all" {
        *all = true;
    } else {
        *rules = value.split(',').map(|rule| rule.trim().to_owned()).collect();
    }
}

/// A boolean as Go's `strconv.ParseBool` reads it.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn bad_bool(part: &str, value: &str) -> String {
    format!(
        "failed to parse check option {}: strconv.ParseBool: parsing {}: invalid syntax",
        crate::quote(part.as_bytes()),
        crate::quote(value.trim().as_bytes())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Checks, &str>) {
        assert_eq!(Checks::parse(text), expected.map_err(str::to_owned));
    }

    #[test]
    fn lists_and_all() {
        check("", Ok(Checks::default()));
        check(
            " skip=A, B;error=true",
            Ok(Checks { skip: vec!["A".into(), "B".into()], error: true, ..Checks::default() }),
        );
        check("experimental=all;skip=all", Ok(Checks { skip_all: true, experimental_all: true, ..Checks::default() }));
    }

    #[test]
    fn what_is_wrong() {
        check("skip", Err(r#"invalid check option "skip""#));
        check("skipp=A", Err(r#"invalid check option "skipp""#));
        check(
            "error=maybe",
            Err(r#"failed to parse check option "error=maybe": strconv.ParseBool: parsing "maybe": invalid syntax"#),
        );
    }

    #[test]
    fn a_step_adds_but_does_not_fail_the_build() {
        let file = Checks::parse("skip=A").expect("valid");
        let step = Checks::parse("skip=B;error=true").expect("valid");
        let merged = file.with(&step);
        let on = |rule| merged.allows(rule, Policy::On);
        assert!(!on("A") && !on("B") && on("C"));
        assert!(!merged.allows("X", Policy::Experimental) && !merged.error);
    }

    #[test]
    fn what_must_be_asked_for_is_asked_for_by_name() {
        let asked = |text: &str, requested: &[&str]| {
            let mut checks = Checks::parse(text).expect("valid");
            checks.requested = requested.iter().map(|name| (*name).to_owned()).collect();
            checks.allows("A", Policy::OnRequest)
        };
        assert!(asked("experimental=A", &[]) && asked("", &["A"]));
        assert!(
            !asked("", &[])
                && !asked("experimental=all", &[])
                && !asked("skip=A", &["A"])
                && !asked("skip=all", &["A"])
        );
    }
}
