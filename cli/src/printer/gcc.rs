//! Findings as compilers print them, for editors and logs that know that form.

use std::fmt::Write as _;

use ast::Severity;

use super::position::region;
use crate::commands::check::Report;

/// `file:line:column: severity: message [code]`, a line each.
pub(crate) fn gcc(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        for found in &report.diagnostics {
            let severity = match found.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info => "note",
            };
            let place = region(&report.sources, found).map(|region| format!("{}:{}:", region.start.0, region.start.1));
            let message = executor::progress::visible(&found.message).replace('\n', " ");
            let place = place.unwrap_or_default();
            writeln!(text, "{}:{place} {severity}: {message} [{}]", report.file, found.code)
                .expect("writing to a string does not fail");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::tests::reports;

    #[test]
    fn a_line_each() {
        assert_eq!(
            gcc(&reports()),
            "a,b/Dockerfile:2:1: error: unknown instruction: RUM [instruction]\n\
             a,b/Dockerfile:1:6: warning: 100% wrong [UndefinedVar]\n\
             a,b/Dockerfile: error: no place [option]\n"
        );
    }
}
