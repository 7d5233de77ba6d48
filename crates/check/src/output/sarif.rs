//! SARIF 2.1.0, as far as GitHub's code scanning reads it.
//!
//! Fingerprints are the rule and the way to the value, so that a finding stays the same when lines move, and says nothing about the
//! value. Source: OASIS SARIF 2.1.0 and its schema; GitHub's "SARIF support for code scanning" for limits and `security-severity`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::finding::{Finding, Report};
use crate::rule::{Rule, Severity};

/// GitHub takes no more results of one run.
const MOST_RESULTS: usize = 25_000;

/// What a log says about the program.
#[derive(Debug, Clone, Copy)]
pub struct Sarif<'a> {
    /// The program's version.
    pub version: &'a str,
    /// Where `docs/check.md` can be read. An absolute URL becomes each rule's `helpUri`; a relative one is named in its help.
    pub documentation: &'a str,
}

/// One log with one run.
pub fn sarif(reports: &[Report], about: Sarif<'_>) -> Value {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let findings = reports.iter().flat_map(|report| &report.findings).take(MOST_RESULTS);
    let results: Vec<Value> = findings.map(|finding| result(finding, &mut counts)).collect();
    let unread = reports.iter().filter_map(|report| report.unread.as_ref()).map(|unread| {
        json!({
            "level": "warning",
            "message": { "text": format!("not checked: {}", unread.expected) },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": uri(&unread.file), "uriBaseId": "%SRCROOT%" },
                "region": { "startLine": unread.position.line, "startColumn": unread.position.column },
            }}],
        })
    });
    let notifications: Vec<Value> = unread.collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "bulla",
                "semanticVersion": about.version,
                "rules": Rule::ALL.into_iter().map(|rule| descriptor(rule, about.documentation)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{ "executionSuccessful": true, "toolExecutionNotifications": notifications }],
            "results": results,
        }],
    })
}

fn descriptor(rule: Rule, documentation: &str) -> Value {
    let page = format!("{documentation}#{}", rule.anchor());
    let severity = match rule.severity() {
        Severity::High => "8.0",
        Severity::Critical => "9.5",
    };
    let mut descriptor = json!({
        "id": rule.id(),
        "name": rule.id(),
        "shortDescription": { "text": rule.title() },
        "help": {
            "text": format!("{}. To fix it: {}. More: {page}", rule.title(), rule.hint()),
            "markdown": format!("{}.\n\nTo fix it: {}.\n\n[More]({page})", rule.title(), rule.hint()),
        },
        "defaultConfiguration": { "level": "error" },
        "properties": { "security-severity": severity, "tags": ["security", "secrets"] },
    });
    // The schema wants an absolute URI.
    if documentation.contains("://") {
        descriptor["helpUri"] = Value::String(page);
    }
    descriptor
}

fn result(finding: &Finding, counts: &mut BTreeMap<String, usize>) -> Value {
    let (start, end) = (finding.start, finding.end);
    let mut region = Map::new();
    region.insert("startLine".to_owned(), start.line.into());
    region.insert("startColumn".to_owned(), start.column.into());
    if end > start {
        region.insert("endLine".to_owned(), end.line.into());
        region.insert("endColumn".to_owned(), end.column.into());
    }
    let path = finding.path.as_ref().filter(|path| !path.steps.is_empty()).map(ToString::to_string);
    let way = format!("{} {}", finding.rule, path.as_deref().unwrap_or("file"));
    // The same way in another file is another finding already; twice in one file they are counted.
    let count = counts.entry(format!("{}\0{way}", finding.file)).or_insert(0);
    *count += 1;
    let mut location = json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(&finding.file), "uriBaseId": "%SRCROOT%" },
        "region": region,
    }});
    if let Some(path) = path {
        location["logicalLocations"] = json!([{ "fullyQualifiedName": path, "kind": "member" }]);
    }
    json!({
        "ruleId": finding.rule.id(),
        "ruleIndex": Rule::ALL.iter().position(|rule| *rule == finding.rule),
        "level": "error",
        "message": { "text": format!("{}; {}", finding.message, finding.hint()) },
        "locations": [location],
        "partialFingerprints": { "bullaPath/v1": format!("{way} {count}") },
    })
}

/// A path as a reference: what may not stand in one is escaped.
fn uri(path: &str) -> String {
    let mut written = String::with_capacity(path.len());
    for byte in path.trim_start_matches("./").bytes() {
        // A colon would make a scheme of what stands before it.
        if byte.is_ascii_alphanumeric() || b"-._~/@+,=!$&'()*;".contains(&byte) {
            written.push(char::from(byte));
        } else {
            let _ = write!(written, "%{byte:02X}");
        }
    }
    written
}
