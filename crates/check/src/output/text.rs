//! For people: two lines a finding, the second says what to do.

use crate::finding::Report;

/// Every finding, and every file that could not be read.
///
/// ```text
/// db/secret.yaml:7:13: KS001 high: Secret `db`: the value of `password` is in plain text
///     at ["stringData"]["password"]; encrypt the file with `bulla encrypt`, or seal it with `bulla seal`
/// ```
pub fn text(reports: &[Report]) -> String {
    let mut written = String::new();
    let mut line = |text: &str| {
        written.push_str(&without_controls(text));
        written.push('\n');
    };
    for report in reports {
        for finding in &report.findings {
            let (file, start) = (&finding.file, finding.start);
            let (rule, severity, message) = (finding.rule, finding.severity(), &finding.message);
            line(&format!("{file}:{}:{}: {rule} {severity}: {message}", start.line, start.column));
            match finding.path.as_ref().filter(|path| !path.steps.is_empty()) {
                Some(path) => line(&format!("    at {path}; {}", finding.hint())),
                None => line(&format!("    {}", finding.hint())),
            }
        }
        if let Some(unread) = &report.unread {
            let (place, column) = (unread.position.line, unread.position.column);
            line(&format!("{}:{place}:{column}: not checked: {}", unread.file, unread.expected));
        }
    }
    written
}

/// Names come from the files and go to a terminal: what would steer it is written as an escape.
fn without_controls(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            written.extend(character.escape_unicode());
        } else {
            written.push(character);
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_written_as_an_escape() {
        assert_eq!(without_controls("a\u{1b}[2J\u{9b}b\n"), "a\\u{1b}[2J\\u{9b}b\\u{a}");
    }
}
