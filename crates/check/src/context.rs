//! What the rules are given, and where they put what they find.

use bulla_wipe::Wiping;
use bulla_yaml::Position;

use crate::finding::Finding;
use crate::place::Place;
use crate::rule::Rule;
use crate::template::Template;
use crate::text::Text;
use crate::{Configuration, Tree};

/// More findings than this of one file say nothing new.
const MOST_FINDINGS: usize = 1_000;

pub(crate) struct Context<'c> {
    pub(crate) file: &'c str,
    pub(crate) tree: &'c dyn Tree,
    configuration: &'c Configuration,
    findings: Vec<Finding>,
}

impl<'c> Context<'c> {
    pub(crate) fn new(file: &'c str, tree: &'c dyn Tree, configuration: &'c Configuration) -> Self {
        Self { file, tree, configuration, findings: Vec::new() }
    }

    /// A finding at the value of `place`.
    pub(crate) fn add<'s>(&mut self, rule: Rule, text: &Text<'s>, place: &Place<'s>, message: String) {
        let (start, end) = text.region(place.node);
        self.push(Finding { rule, file: self.file.to_owned(), start, end, path: Some(text.path(place)), message });
    }

    /// A finding in a file without keys.
    pub(crate) fn add_at(&mut self, rule: Rule, (start, end): (Position, Position), message: String) {
        self.push(Finding { rule, file: self.file.to_owned(), start, end, path: None, message });
    }

    pub(crate) fn push(&mut self, finding: Finding) {
        if self.findings.len() < MOST_FINDINGS && !self.configuration.disabled.contains(&finding.rule) {
            self.findings.push(finding);
        }
    }

    /// All findings by place. Where one lies within another, that stays whose rule says more.
    pub(crate) fn finish(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|finding| (finding.start, finding.rule.rank(), finding.end));
        let findings = &self.findings;
        let is_covered = |place: usize| {
            let finding = &findings[place];
            let says_more = |other: &Finding| other.rule.rank() < finding.rule.rank() && other.start == finding.start;
            let inside = findings[place + 1..].iter().take_while(|other| other.start < finding.end);
            let is_same = |other: &Finding| other.start == finding.start && other.rule == finding.rule;
            findings[..place]
                .iter()
                .rev()
                .take_while(|other| other.start == finding.start)
                .any(|other| says_more(other) || is_same(other))
                || inside.clone().any(|other| other.rule.rank() < finding.rule.rank())
        };
        let keep: Vec<bool> = (0..findings.len()).map(|place| !is_covered(place)).collect();
        let mut keep = keep.into_iter();
        self.findings.retain(|_| keep.next().unwrap_or(true));
        self.findings
    }
}

/// Reads a text within a value as YAML and looks at it. Whatever is no YAML holds no object.
pub(crate) fn inside<'s>(outer: &Text<'s>, place: &Place<'s>, look: &mut dyn for<'i> FnMut(&Text<'i>, &[Place<'i>])) {
    let Some(origin) = outer.origin(place) else { return };
    let value = place.node.value();
    let covered = Template::cover(value);
    let bytes = covered.as_ref().map_or_else(|| value.as_bytes().to_vec(), |(_, bytes)| bytes.clone());
    let Ok(stream) = crate::read(Wiping::new(bytes)) else { return };
    let text = Text::new(&stream, covered.as_ref().map(|(template, _)| template), Some(origin));
    look(&text, &Place::tops(&stream));
}
