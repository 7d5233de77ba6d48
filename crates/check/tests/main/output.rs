//! Outputs: whole, and without any value.

use bulla_check::output::{Sarif, annotations, json, sarif, text};
use bulla_check::{Report, Rule};
use bulla_testkit::workspace;

use crate::schema;
use crate::twins::{Twin, twins};

const ABOUT: Sarif<'_> = Sarif { version: "1.2.3", documentation: "https://docs.invalid/check.md" };

fn all(reports: &[Report]) -> [String; 4] {
    [text(reports), json(reports).to_string(), sarif(reports, ABOUT).to_string(), annotations(reports)]
}

#[test]
fn no_output_holds_a_value_or_six_characters_of_one() {
    // What is encrypted is no secret, and a word without a digit may be a word of the message.
    let is_secret = |value: &str| value.contains(|c: char| c.is_ascii_digit()) && !value.starts_with("ENC[");
    for twin in twins().iter().filter(|twin| twin.is_bad && is_secret(&twin.value)) {
        let reports = [twin.check()];
        let debug = format!("{reports:?}");
        let value: Vec<char> = twin.value.trim_start_matches("password=").chars().collect();
        for part in value.windows(6.min(value.len().max(1))) {
            let part: String = part.iter().collect();
            for output in all(&reports).iter().chain([&debug]) {
                // What the names of fields and rules hold by chance says nothing.
                let said = Rule::ALL.iter().any(|rule| rule.hint().contains(&part) || rule.title().contains(&part));
                let is_frame = ["b64enc", "postgres://"].iter().any(|frame| frame.contains(&part));
                assert!(
                    said || is_frame || !output.contains(&part),
                    "{}: a part of the value is in the output",
                    twin.name
                );
            }
        }
    }
}

#[test]
fn a_finding_is_written_in_every_form() {
    let twin = twins().into_iter().find(|twin| twin.name.starts_with("KS001-string-data") && twin.is_bad).unwrap();
    let reports = [twin.check()];
    assert_eq!(
        text(&reports),
        "app/secret.yaml:6:13: KS001 high: Secret `db`: the value of `password` is in plain text\n    \
         at [\"stringData\"][\"password\"]; encrypt the file with `bulla encrypt`, or seal it with `bulla seal`\n"
    );
    assert_eq!(
        annotations(&reports),
        "::error file=app/secret.yaml,line=6,endLine=6,col=13,endColumn=20,title=KS001 Secret with a plain value::Secret `db`: the \
         value of `password` is in plain text%0Aencrypt the file with `bulla encrypt`, or seal it with `bulla seal`\n"
    );
    let json = json(&reports);
    let finding = &json["findings"][0];
    assert_eq!((finding["rule"].as_str(), finding["line"].as_u64()), (Some("KS001"), Some(6)));
    assert_eq!(finding["path"].as_str(), Some("[\"stringData\"][\"password\"]"));
    let log = sarif(&reports, ABOUT);
    let result = &log["runs"][0]["results"][0];
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!((region["startLine"].as_u64(), region["endColumn"].as_u64()), (Some(6), Some(20)));
    assert_eq!(result["partialFingerprints"]["bullaPath/v1"].as_str(), Some("KS001 [\"stringData\"][\"password\"] 1"));
}

#[test]
fn a_sarif_log_has_what_the_standard_and_github_ask_for() {
    let reports: Vec<Report> = twins().iter().map(Twin::check).collect();
    let log = sarif(&reports, ABOUT);
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), Rule::ALL.len());
    for rule in rules {
        let (text, url) = (rule["help"]["text"].as_str().unwrap(), rule["helpUri"].as_str().unwrap());
        assert!(!text.is_empty() && url.starts_with("https://"), "{rule}");
        let severity: f64 = rule["properties"]["security-severity"].as_str().unwrap().parse().unwrap();
        assert!((0.0..=10.0).contains(&severity));
    }
    let results = run["results"].as_array().unwrap();
    assert!(results.len() > 150);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        assert!(!place["artifactLocation"]["uri"].as_str().unwrap().starts_with('/'));
        let region = &place["region"];
        assert!(region["startLine"].as_u64().unwrap() >= 1 && region["startColumn"].as_u64().unwrap() >= 1);
    }
    let relative = sarif(&reports, Sarif { documentation: "docs/check.md", ..ABOUT });
    let rule = &relative["runs"][0]["tool"]["driver"]["rules"][0];
    assert!(rule.get("helpUri").is_none() && rule["help"]["text"].as_str().unwrap().contains("docs/check.md#ks001"));
}

#[test]
fn every_log_is_sarif_by_the_schema_of_the_standard() {
    let schema = schema::sarif();
    let reports: Vec<Report> = twins().iter().map(Twin::check).collect();
    for (reports, documentation) in
        [(&reports[..], ABOUT.documentation), (&reports[..0], ABOUT.documentation), (&reports[..40], "docs/check.md")]
    {
        let log = sarif(reports, Sarif { documentation, ..ABOUT });
        assert_eq!(schema::faults(&schema, &log), Vec::<String>::new());
    }
    // Names that have to be escaped to be URIs, and a file that could not be read.
    let mut odd = reports.iter().find(|report| !report.findings.is_empty()).cloned().unwrap();
    odd.unread = reports.iter().find_map(|report| report.unread.clone());
    for name in ["a b.yaml", "é/😀.yaml", "100%.yaml", "a:b.yaml", "line\nbreak", "\u{fffd}", "#?.yaml", "//x"] {
        name.clone_into(&mut odd.findings[0].file);
        if let Some(unread) = &mut odd.unread {
            name.clone_into(&mut unread.file);
        }
        assert_eq!(schema::faults(&schema, &sarif(std::slice::from_ref(&odd), ABOUT)), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn every_rule_has_its_section_in_the_documents() {
    let page = std::fs::read_to_string(workspace().join("docs/check.md")).unwrap();
    for rule in Rule::ALL {
        let section = page.split("\n### ").find(|section| section.starts_with(rule.id()));
        let section = section.unwrap_or_else(|| panic!("docs/check.md has no section for {rule}"));
        assert!(section.contains("To fix it"), "{rule}: the section does not say what to do");
        assert_eq!(rule.anchor(), rule.id().to_ascii_lowercase());
        assert!(section.lines().next() == Some(rule.id()), "{rule}: the heading is the anchor");
    }
}
