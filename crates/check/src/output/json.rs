//! JSON: one object with all findings. Fields are only ever added.

use serde_json::{Value, json as object};

use crate::finding::Report;

/// All findings, and all files that could not be read.
pub fn json(reports: &[Report]) -> Value {
    let findings = reports.iter().flat_map(|report| &report.findings).map(|finding| {
        object!({
            "rule": finding.rule.id(),
            "severity": finding.severity().as_str(),
            "file": finding.file,
            "line": finding.start.line,
            "column": finding.start.column,
            "endLine": finding.end.line,
            "endColumn": finding.end.column,
            "path": finding.path.as_ref().filter(|path| !path.steps.is_empty()).map(ToString::to_string),
            "message": finding.message,
            "hint": finding.hint(),
        })
    });
    let findings: Vec<Value> = findings.collect();
    let unread = reports.iter().filter_map(|report| report.unread.as_ref()).map(|unread| {
        object!({
            "file": unread.file,
            "line": unread.position.line,
            "column": unread.position.column,
            "expected": unread.expected,
        })
    });
    let unread: Vec<Value> = unread.collect();
    object!({ "findings": findings, "unread": unread })
}
