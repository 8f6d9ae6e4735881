//! # What it does
//! Finds pipes in shells that only look at the last command of a pipe.
//!
//! # Why is this bad
//! When the first command fails the step succeeds, and the build goes on with half a result: `curl … | tar x` of an
//! address that is gone makes an empty directory.
//!
//! # Example
//! ```dockerfile
//! RUN curl https://example.com/a.tar | tar x
//! ```
//!
//! # Use instead
//! ```dockerfile
//! SHELL ["/bin/bash", "-o", "pipefail", "-c"]
//! RUN curl https://example.com/a.tar | tar x
//! ```

use ast::{Policy, Severity};

use crate::lint::shell::Simple;
use crate::lint::{Check, Hit, Rule, Run};

pub(super) static RULE: Rule = Rule {
    name: "PipeWithoutPipefail",
    description: "Shells should fail when any command of a pipe does",
    url: "",
    policy: Policy::OnRequest,
    severity: Severity::Warning,
    aliases: &["DL4006"],
    by_comment: true,
    source: include_str!("pipe_without_pipefail.rs"),
    check: Check::Run(check),
};

fn check(run: &Run<'_>) -> Vec<Hit> {
    if run.pipefail {
        return Vec::new();
    }
    let unset = run.commands.iter().take_while(|command| !sets_pipefail(command));
    let piped = unset.into_iter().find(|command| command.piped && !never_fails(command));
    let message =
        |command: &Simple| format!("nobody sees when {} fails: the shell has no pipefail", command.program().0);
    piped.map(|command| run.hit(command.span(), message(command))).into_iter().collect()
}

fn sets_pipefail(command: &Simple) -> bool {
    command.words[0].text == "set" && command.words.iter().any(|word| word.text == "pipefail")
}

/// Commands whose failure nobody would wait for.
fn never_fails(command: &Simple) -> bool {
    matches!(command.program().0, "echo" | "printf" | "yes" | "true")
}

#[cfg(test)]
mod tests {
    use crate::testing::lint_with;

    #[test]
    fn pipes() {
        let check =
            |text: &str, expected: &[&str]| lint_with(&["PipeWithoutPipefail"], &format!("FROM a\n{text}\n"), expected);
        check(
            "RUN curl x | tar x",
            &["PipeWithoutPipefail 2 @curl x: nobody sees when curl fails: the shell has no pipefail"],
        );
        check("RUN echo x | tee y\nRUN set -o pipefail && a | b\nRUN a || b", &[]);
        check("SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\nRUN a | b", &[]);
    }
}
