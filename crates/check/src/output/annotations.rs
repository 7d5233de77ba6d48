//! GitHub's workflow commands: a line a finding, which GitHub shows beside the code.
//!
//! Source: GitHub's documentation of workflow commands; `@actions/core` `command.ts` for what is escaped.

use std::fmt::Write as _;

use crate::finding::Report;

/// `::error file=…,line=…::…` for every finding, `::warning …` for every file that could not be read.
pub fn annotations(reports: &[Report]) -> String {
    let mut written = String::new();
    for report in reports {
        for finding in &report.findings {
            let (start, end) = (finding.start, finding.end);
            let title = format!("{} {}", finding.rule, finding.rule.title());
            let message = format!("{}\n{}", finding.message, finding.hint());
            let _ =
                write!(written, "::error file={},line={},endLine={}", property(&finding.file), start.line, end.line);
            // GitHub takes columns only where the region has one line.
            if start.line == end.line {
                let _ = write!(written, ",col={},endColumn={}", start.column, end.column);
            }
            let _ = writeln!(written, ",title={}::{}", property(&title), data(&message));
        }
        if let Some(unread) = &report.unread {
            let file = property(&unread.file);
            let message = data(&format!("not checked: {}", unread.expected));
            let _ = writeln!(written, "::warning file={file},line={}::{message}", unread.position.line);
        }
    }
    written
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

    #[test]
    fn what_ends_a_property_is_escaped() {
        assert_eq!(property("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
        assert_eq!(data("a:b,c%\r\n"), "a:b,c%25%0D%0A");
    }
}
