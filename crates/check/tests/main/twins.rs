//! Every rule in pairs: a file with a fault, and its twin that differs in one value only and has none.
//!
//! A case in `tests/twins` is headers, an empty line, and a file with `%VALUE%` in it; `=== PATH` begins another file beside it.
//! From each case come files with every `bad` and every `good` value, in every dress: as it is, with comments before it, behind
//! another document, with Windows' line breaks, with a byte order mark, in UTF-16.

use std::collections::{BTreeMap, BTreeSet};

use bulla_check::{Configuration, Report, Rule, check};
use bulla_testkit::vectors::{Vector, vectors};

/// A file with a value in it.
pub(crate) struct Twin {
    pub(crate) name: String,
    pub(crate) rule: Rule,
    pub(crate) is_bad: bool,
    pub(crate) value: String,
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) line: usize,
    pub(crate) is_unread: bool,
    beside: BTreeMap<String, Vec<u8>>,
}

impl Twin {
    pub(crate) fn check(&self) -> Report {
        check(&self.path, &self.bytes, &self.beside, &Configuration::default())
    }
}

/// All twins.
pub(crate) fn twins() -> Vec<Twin> {
    vectors("crates/check/tests/twins").iter().flat_map(twins_of).collect()
}

fn twins_of(case: &Vector) -> Vec<Twin> {
    let header = |name: &str| case.header(name).unwrap_or_else(|| panic!("{}: no header `{name}`", case.name));
    let body = String::from_utf8(case.body.clone()).unwrap();
    let mut files = body.split("=== ");
    let text = files.next().unwrap().to_owned();
    let beside: Vec<(&str, &str)> = files.map(|file| file.split_once('\n').unwrap()).collect();
    let marked = text.lines().position(|line| line.contains("%VALUE%")).map(|line| line + 1);
    let line = case.header("line").map_or_else(|| marked.unwrap(), |line| line.parse().unwrap());
    let mut twins = Vec::new();
    let values = [("bad", true), ("good", false)];
    for (value, is_bad) in values.into_iter().flat_map(|(name, bad)| case.headers_named(name).map(move |v| (v, bad))) {
        let with_value = |text: &str| text.replace("%VALUE%", value);
        for (dress, text, more_lines) in dresses(&with_value(&text), case.header("dress").unwrap_or("all")) {
            twins.push(Twin {
                name: format!("{} ({}, {dress})", case.name, if is_bad { "bad" } else { "good" }),
                rule: header("rule").parse().unwrap(),
                is_bad,
                value: value.to_owned(),
                path: header("path").to_owned(),
                bytes: text,
                line: line + more_lines,
                is_unread: case.header("unread").is_some(),
                beside: beside.iter().map(|(path, text)| ((*path).to_owned(), with_value(text).into_bytes())).collect(),
            });
        }
    }
    twins
}

/// The same file in other dresses, each with the number of lines that stand before it.
fn dresses(text: &str, which: &str) -> Vec<(&'static str, Vec<u8>, usize)> {
    let plain = ("as it is", text.as_bytes().to_vec(), 0);
    let windows = ("Windows", text.replace('\n', "\r\n").into_bytes(), 0);
    let comment = ("comment", format!("# é 😀\n\n{text}").into_bytes(), 2);
    let second = ("second document", format!("---\na: 1\n---\n{text}").into_bytes(), 3);
    let mark = ("byte order mark", format!("\u{feff}{text}").into_bytes(), 0);
    match which {
        "none" => vec![plain],
        "lines" => vec![plain, windows],
        "comment" => vec![plain, comment, mark],
        // Helm reads nothing else.
        "utf-8" => vec![plain, windows, comment, second, mark],
        _ => vec![plain, windows, comment, second, mark, ("UTF-16", wide(text), 0)],
    }
}

/// As PowerShell redirects output.
fn wide(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    [0xff, 0xfe].into_iter().chain(units).collect()
}

#[test]
fn a_fault_is_found_at_its_line_and_its_twin_has_none() {
    let (mut bad, mut good) = (0, 0);
    let mut faults = Vec::new();
    for twin in twins() {
        let report = twin.check();
        let found: Vec<_> = report.findings.iter().map(|finding| (finding.rule, finding.start.line)).collect();
        let expected = if twin.is_bad { vec![(twin.rule, twin.line)] } else { Vec::new() };
        if found != expected || report.unread.is_some() != twin.is_unread {
            faults.push(format!("{}: found {found:?}, expected {expected:?}, {:?}", twin.name, report.unread));
        }
        *(if twin.is_bad { &mut bad } else { &mut good }) += 1;
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), bad + good, faults.join("\n"));
    assert!(bad > 150 && good > 150, "twins went missing: {bad} bad, {good} good");
}

#[test]
fn every_rule_has_twins() {
    let rules: BTreeSet<&str> = twins().iter().map(|twin| twin.rule.id()).collect();
    let expected: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.id()).collect();
    assert_eq!(rules, expected);
}

#[test]
fn a_rule_that_is_left_out_finds_nothing() {
    for twin in twins().iter().filter(|twin| twin.is_bad) {
        let configuration = Configuration { disabled: Rule::ALL.to_vec() };
        let report = check(&twin.path, &twin.bytes, &twin.beside, &configuration);
        assert_eq!(report.findings, [], "{}", twin.name);
    }
}
