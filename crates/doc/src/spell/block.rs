//! Block scalars: `|` and `>` keep their header and their indentation; only the lines change.

use bulla_yaml::{Node, Stream, Style, can_be_literal};

use super::{LINE_BREAKS, Mode, without_last_break};

/// Indicators, indentation and line break of a block scalar.
struct Shape<'s> {
    /// `|` or `>` with what follows it directly.
    indicators: &'s str,
    indent: usize,
    line_break: &'static str,
}

/// How many spaces its lines are indented by; `None` if they do not tell, or if there are other line breaks than those
/// that everybody has.
pub(super) fn indentation(scalar: Node<'_>) -> Option<usize> {
    let spelling = &scalar.stream().text()[scalar.content_span().range()];
    let (header, body) = spelling.split_once('\n')?;
    let rare = ['\u{85}', '\u{2028}', '\u{2029}'];
    if spelling.contains(rare)
        || header.trim_end_matches('\r').contains('\r')
        || body.replace("\r\n", "").contains('\r')
    {
        return None;
    }
    let first = |text: &str| {
        let blank = |line: &&str| line.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
        let line = text.split('\n').find(|line| !blank(line))?;
        Some(line.bytes().take_while(|&byte| byte == b' ').count())
    };
    first(body)?.checked_sub(first(scalar.value())?)
}

/// How many of its last lines are empty and count: `|+` keeps them.
fn kept_lines(scalar: Node<'_>) -> usize {
    trailing_breaks(scalar.value()).saturating_sub(1)
}

fn trailing_breaks(text: &str) -> usize {
    text.len() - text.trim_end_matches('\n').len()
}

/// The spelling up to the last line that is not empty, without its line break.
pub(super) fn without_empty_lines<'t>(scalar: Node<'_>, spelling: &'t str) -> &'t str {
    let mut text = without_last_break(spelling);
    for _ in 0..kept_lines(scalar) {
        let line_break = text.rfind(LINE_BREAKS).unwrap_or(text.len());
        text = without_last_break(&text[..line_break + text[line_break..].chars().next().map_or(0, char::len_utf8)]);
    }
    text
}

fn shape<'s>(stream: &'s Stream, scalar: Node<'s>) -> Option<Shape<'s>> {
    let spelling = &stream.text()[scalar.content_span().range()];
    let (header, _) = spelling.split_once('\n')?;
    let (header, line_break) = match header.strip_suffix('\r') {
        Some(header) => (header, "\r\n"),
        None => (header, "\n"),
    };
    let indicators = &header[..header.find([' ', '\t', '#']).unwrap_or(header.len())];
    Some(Shape { indicators, indent: indentation(scalar)?, line_break })
}

/// The block with `ENC[…]` as its only line. Only blocks with a known indentation keep their style, so there is one.
pub(super) fn encrypted(stream: &Stream, scalar: Node<'_>, text: &str) -> String {
    let Some(Shape { indicators, indent, line_break }) = shape(stream, scalar) else { return text.to_owned() };
    format!("{indicators}{line_break}{:indent$}{text}", "")
}

/// The block with the lines of `text`, without its last line break; `None` if a block cannot carry it.
pub(super) fn rendered(stream: &Stream, scalar: Node<'_>, text: &str, mode: Mode) -> Option<String> {
    let Shape { indicators, indent, line_break } = shape(stream, scalar)?;
    if text.is_empty() || !can_be_literal(text) || text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\n')) {
        return None;
    }
    let hint = indicators.bytes().find(u8::is_ascii_digit);
    if hint.is_none() && text.starts_with([' ', '\t', '\n']) && needs_hint(text) {
        return None;
    }
    let trailing = trailing_breaks(text);
    let kept = kept_lines(scalar);
    let chomping = indicators.contains('-').then_some('-').or(indicators.contains('+').then_some('+'));
    // What the header says about line breaks at the end must be true of the text.
    let fits = match chomping {
        Some('-') => trailing == 0,
        // The line break that the file's end does not have was the metadata's, and goes with it.
        Some(_) if mode == Mode::Restored && !stream.text().ends_with(LINE_BREAKS) => {
            trailing == kept + 1 || (trailing > 0 && trailing == kept)
        }
        Some(_) => trailing == kept + 1,
        None => trailing == 1,
    };
    let folds = scalar.style() == Style::Folded && text.trim_end_matches('\n').contains('\n');
    let mut block = String::with_capacity(text.len() + 16);
    if fits && !folds {
        block.push_str(indicators);
    } else {
        block.push(if folds { '|' } else { indicators.chars().next()? });
        block.extend(hint.map(char::from));
        match trailing {
            0 => block.push('-'),
            1 => {}
            // The empty lines stay where they are, so there must be as many of them.
            _ if trailing == kept + 1 => block.push('+'),
            _ => return None,
        }
    }
    let lines = text.trim_end_matches('\n');
    for line in lines.split('\n') {
        block.push_str(line_break);
        if !line.is_empty() {
            block.extend(std::iter::repeat_n(' ', indent));
            block.push_str(line);
        }
    }
    Some(block)
}

/// Would the reader take the indentation from the wrong line?
fn needs_hint(text: &str) -> bool {
    let first = text.split('\n').find(|line| !line.is_empty()).unwrap_or_default();
    first.starts_with([' ', '\t'])
}
