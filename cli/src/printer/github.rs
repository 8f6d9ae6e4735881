//! Findings as commands of GitHub workflows: they become annotations of a pull request.

use std::fmt::Write as _;

use ast::Severity;

use super::position::region;
use crate::commands::check::Report;

/// `::error file=…,line=…::message`, a line each.
pub(crate) fn github(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        for found in &report.diagnostics {
            let severity = match found.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info => "notice",
            };
            let place = region(&report.sources, found).map(|region| {
                let ((line, column), (last, end)) = (region.start, region.end);
                // Columns only count where a finding is on one line.
                let columns = if line == last { format!(",col={column},endColumn={end}") } else { String::new() };
                format!(",line={line},endLine={last}{columns}")
            });
            let (file, place, code) = (property(&report.file), place.unwrap_or_default(), property(found.code));
            writeln!(text, "::{severity} file={file}{place},title={code}::{}", data(&found.message))
                .expect("writing to a string does not fail");
        }
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::tests::reports;

    #[test]
    fn a_command_each() {
        assert_eq!(
            github(&reports()),
            "::error file=a%2Cb/Dockerfile,line=2,endLine=2,col=1,endColumn=4,title=instruction::unknown instruction: RUM\n\
             ::warning file=a%2Cb/Dockerfile,line=1,endLine=1,col=6,endColumn=7,title=UndefinedVar::100%25 wrong\n\
             ::error file=a%2Cb/Dockerfile,title=option::no place\n"
        );
    }
}
