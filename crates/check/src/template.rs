//! Helm templates as YAML: every action (`{{ … }}`) is covered by as many characters that YAML takes for text.
//!
//! ```text
//! data:                                        data:
//!   {{- if .Values.password }}
//!   password: {{ .Values.password | b64enc }}    password: HHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHHH
//!   {{- end }}
//! ```
//! A line of actions only becomes empty; anywhere else an action becomes a word. Every byte keeps its place, so that what is
//! found lies where it lies in the template. What a loop or a condition would leave out counts: it is in the file.

use std::ops::Range;

/// A template, and what is read in its place.
#[derive(Debug)]
pub(crate) struct Template<'t> {
    /// The template itself.
    pub(crate) text: &'t str,
    /// Its actions, in order.
    pub(crate) actions: Vec<Range<usize>>,
}

const OPEN: &[u8] = b"{{";
const CLOSE: &[u8] = b"}}";
const FILLER: u8 = b'H';

impl<'t> Template<'t> {
    /// The template and its YAML; `None` if there is no action.
    pub(crate) fn cover(text: &'t str) -> Option<(Self, Vec<u8>)> {
        let actions = actions(text.as_bytes());
        if actions.is_empty() {
            return None;
        }
        let mut covered = text.as_bytes().to_vec();
        let mut from = 0;
        while from < actions.len() {
            // Those on the same lines are alone together or not at all.
            let mut to = from + 1;
            while to < actions.len() && !text[actions[to - 1].end..actions[to].start].contains('\n') {
                to += 1;
            }
            let filler = if are_alone(text, &actions[from..to]) { b' ' } else { FILLER };
            for action in &actions[from..to] {
                let bytes = covered[action.clone()].iter_mut();
                bytes.filter(|byte| !matches!(**byte, b'\n' | b'\r')).for_each(|byte| *byte = filler);
            }
            from = to;
        }
        Some((Self { text, actions }, covered))
    }

    /// Is there an action within these bytes?
    pub(crate) fn has_action(&self, span: &Range<usize>) -> bool {
        let first = self.actions.partition_point(|action| action.end <= span.start);
        self.actions.get(first).is_some_and(|action| action.start < span.end)
    }

    /// The place of a text that an action within these bytes writes out: `{{ "hunter2" | b64enc }}`.
    pub(crate) fn literal(&self, span: &Range<usize>) -> Option<Range<usize>> {
        let first = self.actions.partition_point(|action| action.end <= span.start);
        let inside = self.actions[first..].iter().take_while(|action| action.start < span.end);
        inside.map(Clone::clone).find_map(|action| literal(self.text, action))
    }
}

/// From `{{` to `}}`, strings and comments inside skipped.
fn actions(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut actions = Vec::new();
    let mut from = 0;
    while let Some(open) = memchr::memmem::find(&bytes[from..], OPEN).map(|place| place + from) {
        let Some(end) = end_of(bytes, open + OPEN.len()) else { break };
        actions.push(open..end);
        from = end;
    }
    actions
}

fn end_of(bytes: &[u8], mut place: usize) -> Option<usize> {
    let start = place;
    let after_dash = if bytes.get(place) == Some(&b'-') { place + 1 } else { place };
    if bytes[after_dash..].trim_ascii_start().starts_with(b"/*") {
        let comment = memchr::memmem::find(&bytes[place..], b"*/")? + place;
        return memchr::memmem::find(&bytes[comment..], CLOSE).map(|close| comment + close + CLOSE.len());
    }
    let mut quote = None;
    while place < bytes.len() {
        match (quote, bytes[place]) {
            (None, b'}') if bytes[place..].starts_with(CLOSE) => return Some(place + CLOSE.len()),
            (None, mark @ (b'"' | b'`')) => quote = Some(mark),
            (Some(b'"'), b'\\') => place += 1,
            // An unclosed string ends with its line: Go would refuse the template.
            (Some(b'"'), b'\n') => quote = None,
            (Some(mark), byte) if byte == mark => quote = None,
            _ => {}
        }
        place += 1;
    }
    memchr::memmem::find(&bytes[start..], CLOSE).map(|close| start + close + CLOSE.len())
}

/// Is there nothing but these actions and spaces on their lines?
fn are_alone(text: &str, actions: &[Range<usize>]) -> bool {
    let [first, .., last] = actions else {
        return actions.first().is_some_and(|only| is_blank_around(text, only));
    };
    let are_together = actions.windows(2).all(|pair| text[pair[0].end..pair[1].start].trim().is_empty());
    are_together && is_blank_around(text, &(first.start..last.end))
}

fn is_blank_around(text: &str, span: &Range<usize>) -> bool {
    let line = text[..span.start].rfind('\n').map_or(0, |place| place + 1);
    let end = text[span.end..].find('\n').map_or(text.len(), |place| span.end + place);
    text[line..span.start].trim().is_empty() && text[span.end..end].trim().is_empty()
}

/// Functions that change the spelling of a text and nothing else.
const SPELLERS: &[&str] =
    &["b64enc", "quote", "squote", "toString", "trim", "upper", "lower", "b32enc", "indent", "nindent"];

/// The string that the action passes through spelling functions only, without its quotes.
fn literal(text: &str, action: Range<usize>) -> Option<Range<usize>> {
    let inner = action.start + OPEN.len()..action.end - CLOSE.len();
    let body = &text[inner.clone()];
    let trimmed = body.trim_start_matches(['-', ' ', '\t', '\n', '\r', '(']);
    let mut start = inner.end - trimmed.len();
    let mut rest = trimmed;
    for speller in SPELLERS {
        if let Some(argument) = rest.strip_prefix(speller)
            && argument.starts_with([' ', '\t'])
        {
            rest = argument.trim_start_matches([' ', '\t', '(']);
            start = inner.end - rest.len();
            break;
        }
    }
    let mark = rest.chars().next().filter(|mark| matches!(mark, '"' | '`'))?;
    let end = rest[1..].find(mark)? + 1;
    // What follows is a pipeline of spelling functions, or nothing.
    let only_spells = rest[end + 1..].trim_end_matches(['-', ' ', '\t', '\n', '\r', ')']).split('|').all(|part| {
        let word = part.trim().trim_matches(['(', ')']).split_whitespace().next().unwrap_or("");
        word.is_empty() || SPELLERS.contains(&word)
    });
    let is_format = rest[1..end].contains('%');
    (only_spells && !is_format && !rest[1..end].trim().is_empty()).then(|| start + 1..start + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_covered_and_everything_keeps_its_place() {
        let text = "a: {{ .A }}\n{{- if (eq \"}}\" .B) }}\nb: \"{{ .B }}\"\n{{ end }} {{/* }} a comment */}}\nc: x-{{\n .C }}\n";
        let (template, covered) = Template::cover(text).unwrap();
        assert_eq!(covered.len(), text.len());
        let expected = "a: HHHHHHHH\n                      \nb: \"HHHHHHHH\"\n";
        assert!(
            std::str::from_utf8(&covered).unwrap().starts_with(expected),
            "{:?}",
            String::from_utf8_lossy(&covered)
        );
        assert_eq!(template.actions.len(), 6);
        assert!(Template::cover("a: 1\n").is_none());
        assert!(Template::cover("a: {{ unclosed\n").is_none());
    }

    #[test]
    fn literals_in_actions_are_found() {
        for (action, expected) in [
            (r#"{{ "hunter2" | b64enc }}"#, Some("hunter2")),
            (r#"{{- b64enc "hunter2" -}}"#, Some("hunter2")),
            ("{{ `hunter2` | b64enc | quote }}", Some("hunter2")),
            (r#"{{ "hunter2" | b64enc | nindent 4 }}"#, Some("hunter2")),
            (r#"{{ .Values.password | default "x" }}"#, None),
            (r#"{{ include "chart.name" . }}"#, None),
            (r#"{{ "" | quote }}"#, None),
            (r#"{{ printf "%s-x" .Release.Name }}"#, None),
            (r#"{{ "x" | lookup }}"#, None),
        ] {
            let (template, _) = Template::cover(action).unwrap();
            let found = template.literal(&(0..action.len())).map(|range| &action[range]);
            assert_eq!(found, expected, "{action}");
        }
    }
}
