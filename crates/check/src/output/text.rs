//! For people: two lines a finding, the second says what to do.

use std::fmt::Write as _;

use crate::finding::Report;

/// Every finding, and every file that could not be read.
///
/// ```text
/// db/secret.yaml:7:13: KS001 high: Secret `db`: the value of `password` is in plain text
///     at ["stringData"]["password"]; encrypt the file with `bulla encrypt`, or seal it with `bulla seal`
/// ```
pub fn text(reports: &[Report]) -> String {
    let mut written = String::new();
    for report in reports {
        for finding in &report.findings {
            let (file, start) = (&finding.file, finding.start);
            let (rule, severity, message) = (finding.rule, finding.severity(), &finding.message);
            let _ = writeln!(written, "{file}:{}:{}: {rule} {severity}: {message}", start.line, start.column);
            match finding.path.as_ref().filter(|path| !path.steps.is_empty()) {
                Some(path) => writeln!(written, "    at {path}; {}", finding.hint()),
                None => writeln!(written, "    {}", finding.hint()),
            }
            .unwrap_or_default();
        }
        if let Some(unread) = &report.unread {
            let (line, column) = (unread.position.line, unread.position.column);
            let _ = writeln!(written, "{}:{line}:{column}: not checked: {}", unread.file, unread.expected);
        }
    }
    written
}
