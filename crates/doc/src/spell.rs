//! How values are spelt in place: the characters that an edit of a scalar replaces, and what it puts there.
//!
//! Encryption keeps a scalar's quotes or block header around `ENC[…]`, and decryption renders the value in the style that
//! it finds. Where that does not give the original spelling back, [`restores`] says so, and the spelling is kept beside
//! the value by the caller.

mod block;
pub(crate) mod flat;

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use bulla_wipe::Wiping;

use bulla_yaml::{Resolved, Style, double_quoted, reads_back_plain, single_quoted, string_style};

use crate::tree::{Document, EntryKind, Node, Source, Value};
use crate::{Format, json};

/// Is the value new, or does it come back to where it was?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Quoted wherever any reader of YAML might misread it.
    New,
    /// As plain as the place was.
    Restored,
}

/// Where a scalar (or alias) is spelt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In one piece.
    Whole(Range<usize>),
    /// In two, around the comment that may stand in the header of a block scalar. The line break of the last line and
    /// the empty lines behind it belong to neither.
    Block {
        /// `|` or `>` with what follows it directly.
        indicators: Range<usize>,
        /// The line break of the header and the lines.
        body: Range<usize>,
    },
}

pub(crate) fn place(node: Node<'_>) -> Place {
    match &node.document.source {
        Source::Json(text) => Place::Whole(text.span(node.data().node).range()),
        Source::Flat(text) => Place::Whole(text.token(node.data().node).span.range()),
        Source::Binary(_) => Place::Whole(0..node.document.text().len()),
        Source::Yaml(stream) => yaml_place(stream, stream.node_by_number(node.data().node as usize)),
    }
}

fn yaml_place(stream: &bulla_yaml::Stream, node: bulla_yaml::Node<'_>) -> Place {
    let is_block = matches!(node.style(), Style::Literal | Style::Folded);
    let keeps = keeps_properties(node);
    let mut range = if keeps { node.content_span().range() } else { node.span().range() };
    if is_block {
        range.end = range.start + block::without_empty_lines(node, &stream.text()[range.clone()]).len();
    }
    if !is_block || !keeps {
        return Place::Whole(range);
    }
    let spelling = &stream.text()[range.clone()];
    let header = spelling.find(LINE_BREAKS).unwrap_or(spelling.len());
    let indicators = spelling[..header].find([' ', '\t', '#']).unwrap_or(header);
    Place::Block { indicators: range.start..range.start + indicators, body: range.start + header..range.end }
}

/// The spelling of the scalar, without the comment that its header may have.
pub(crate) fn spelling(node: Node<'_>) -> Cow<'_, str> {
    let text = node.document.text();
    match place(node) {
        Place::Whole(range) => Cow::Borrowed(&text[range]),
        Place::Block { indicators, body } if indicators.end == body.start => {
            Cow::Borrowed(&text[indicators.start..body.end])
        }
        Place::Block { indicators, body } => Cow::Owned([&text[indicators], &text[body]].concat()),
    }
}

/// Can anchor and tag stay in front of `ENC[…]`, which is a string? Not so a tag of another type, nor a name that only
/// the content behind it ends (`&name:content`).
fn keeps_properties(node: bulla_yaml::Node<'_>) -> bool {
    let (start, content) = (node.span().start as usize, node.content_span().start as usize);
    let apart = start == content || node.stream().text()[..content].ends_with([' ', '\t', '\n', '\r']);
    apart && !matches!(node.tag(), Some("!!null" | "!!bool" | "!!int" | "!!float" | "!!timestamp" | "!!binary"))
}

/// The line breaks of YAML 1.1.
pub(crate) const LINE_BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

pub(crate) fn without_last_break(text: &str) -> &str {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix(LINE_BREAKS)).unwrap_or(text)
}

/// The quotes around a text on one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quote {
    None,
    Single,
    Double,
    /// Three double ones, in INI.
    Triple,
    /// Backquotes, in INI.
    Back,
}

impl Quote {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Quote::None => "",
            Quote::Single => "'",
            Quote::Double => "\"",
            Quote::Triple => "\"\"\"",
            Quote::Back => "`",
        }
    }
}

/// What stands in place of a scalar once it is encrypted.
pub(crate) enum Encrypted {
    /// The text in quotes.
    Quoted(Quote),
    /// A block scalar with the text in it.
    Block(String),
}

pub(crate) fn encrypted(node: Node<'_>, text: &str) -> Encrypted {
    let stream = match &node.document.source {
        Source::Yaml(stream) => stream,
        Source::Flat(source) => return Encrypted::Quoted(source.token(node.data().node).quote),
        Source::Json(_) | Source::Binary(_) => return Encrypted::Quoted(Quote::Double),
    };
    let scalar = stream.node_by_number(node.data().node as usize);
    Encrypted::Quoted(match encrypted_style(node, scalar) {
        Style::SingleQuoted => Quote::Single,
        Style::DoubleQuoted => Quote::Double,
        Style::Literal | Style::Folded => return Encrypted::Block(block::encrypted(stream, scalar, text)),
        _ => Quote::None,
    })
}

/// The style that `ENC[…]` gets: the scalar's own, but quoted where its brackets and commas would end it.
fn encrypted_style(node: Node<'_>, scalar: bulla_yaml::Node<'_>) -> Style {
    match scalar.style() {
        Style::Plain if in_flow(node) => Style::DoubleQuoted,
        Style::Literal | Style::Folded if !keeps_properties(scalar) || block::indentation(scalar).is_none() => {
            Style::DoubleQuoted
        }
        style => style,
    }
}

/// Does the node lie in brackets or braces?
pub(crate) fn in_flow(node: Node<'_>) -> bool {
    let stream = match &node.document.source {
        Source::Yaml(stream) => stream,
        Source::Json(_) => return true,
        Source::Flat(_) | Source::Binary(_) => return false,
    };
    let Some(parent) = node.parent() else { return false };
    // Flow context has no block context in it, so the nearest container decides.
    stream.node_by_number(parent.data().node as usize).target().style() == Style::Flow
}

/// What the scalar is replaced by to hold `value`.
pub(crate) fn rendered(node: Node<'_>, value: &Value<'_>, mode: Mode) -> String {
    match &node.document.source {
        Source::Json(_) => json_value(value),
        Source::Flat(text) => flat::rendered(text.format, text.token(node.data().node), value),
        Source::Binary(_) => flat::text_of(value).into_owned(),
        Source::Yaml(stream) => {
            let scalar = stream.node_by_number(node.data().node as usize);
            yaml_value(value, scalar.style(), in_flow(node), mode, Some((stream, scalar)))
        }
    }
}

/// The quotes between which `text`, as it is, is the spelling that it gets when it is restored; `None` if that is another.
pub(crate) fn restored_quote(node: Node<'_>, text: &str) -> Option<Quote> {
    let stream = match &node.document.source {
        Source::Yaml(stream) => stream,
        Source::Flat(source) if source.format == Format::Dotenv => {
            return (!text.contains('\n')).then_some(Quote::None);
        }
        Source::Flat(source) => {
            let quote = source.token(node.data().node).quote;
            return flat::fits(text, quote).then_some(quote);
        }
        Source::Json(_) | Source::Binary(_) => return None,
    };
    let scalar = stream.node_by_number(node.data().node as usize);
    match scalar.style() {
        Style::Plain if stays_plain(text, in_flow(node), Mode::Restored, scalar.tag().is_some()) => Some(Quote::None),
        Style::SingleQuoted if is_simple(text) => Some(Quote::Single),
        Style::DoubleQuoted if is_simple(text) => Some(Quote::Double),
        _ => None,
    }
}

/// Is `text` the same between quotes of either kind?
fn is_simple(text: &str) -> bool {
    text.bytes().fold(true, |all, byte| all && matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'"' | b'\\'))
}

pub(crate) fn restores(node: Node<'_>, value: &Value<'_>) -> bool {
    match &node.document.source {
        Source::Json(_) => json_value(value) == node.spelling(),
        Source::Flat(text) => flat::rendered(text.format, text.token(node.data().node), value) == node.spelling(),
        Source::Binary(_) => true,
        Source::Yaml(stream) => {
            let scalar = stream.node_by_number(node.data().node as usize);
            if !keeps_properties(scalar) || scalar.kind() == bulla_yaml::Kind::Alias {
                return false;
            }
            let style = encrypted_style(node, scalar);
            if style != scalar.style() {
                // A number is written without quotes wherever it stands.
                return !matches!(value, Value::String(_))
                    && scalar.style() == Style::Plain
                    && plain_value(value).is_some_and(|spelling| spelling == node.spelling());
            }
            // The common case costs no copy.
            if style == Style::Plain
                && let Value::String(bytes) = value
            {
                return std::str::from_utf8(bytes).is_ok_and(|text| {
                    text == node.spelling() && stays_plain(text, in_flow(node), Mode::Restored, scalar.tag().is_some())
                });
            }
            yaml_value(value, style, in_flow(node), Mode::Restored, Some((stream, scalar))) == node.spelling()
        }
    }
}

/// A scalar of YAML for `value` in `style` if that can carry it, else in one that can. `place` is where it goes.
fn yaml_value(
    value: &Value<'_>,
    style: Style,
    in_flow: bool,
    mode: Mode,
    place: Option<(&bulla_yaml::Stream, bulla_yaml::Node<'_>)>,
) -> String {
    let Value::String(bytes) = value else {
        return plain_value(value).unwrap_or_default();
    };
    let tagged = place.is_some_and(|(_, scalar)| scalar.tag().is_some());
    let Ok(text) = std::str::from_utf8(bytes) else {
        return format!("!!binary {}", base64::engine::general_purpose::STANDARD.encode(bytes));
    };
    match style {
        Style::Plain if stays_plain(text, in_flow, mode, tagged) => text.to_owned(),
        Style::SingleQuoted => single_quoted(text).unwrap_or_else(|| double_quoted(text)),
        Style::DoubleQuoted => double_quoted(text),
        Style::Literal | Style::Folded => place
            .and_then(|(stream, scalar)| block::rendered(stream, scalar, text, mode))
            .unwrap_or_else(|| double_quoted(text)),
        _ => match string_style(text, in_flow) {
            Style::Plain => text.to_owned(),
            Style::SingleQuoted => single_quoted(text).unwrap_or_else(|| double_quoted(text)),
            _ => double_quoted(text),
        },
    }
}

/// Can the string stand without quotes? Behind a tag its text decides nothing.
fn stays_plain(text: &str, in_flow: bool, mode: Mode, tagged: bool) -> bool {
    reads_back_plain(text, in_flow)
        && match mode {
            Mode::New => string_style(text, in_flow) == Style::Plain,
            Mode::Restored => tagged || matches!(bulla_yaml::resolve(text), Resolved::String | Resolved::Merge),
        }
}

/// What is no string, as go-yaml writes it.
pub(crate) fn plain_value(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Unsigned(value) => value.to_string(),
        Value::Float(value) => yaml_float(*value),
        Value::Time(value) => value.to_string(),
        Value::String(_) => return None,
    })
}

fn yaml_float(value: f64) -> String {
    if value.is_nan() {
        ".nan".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { ".inf" } else { "-.inf" }.to_owned()
    } else {
        let spelling = shortest(value, -4, 21, 2);
        // An integral float must not come back as an integer.
        if spelling.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') { spelling + ".0" } else { spelling }
    }
}

/// The shortest spelling that reads back, with an exponent of `digits` digits below 10^`low` and from 10^`high`.
pub(crate) fn shortest(value: f64, low: i32, high: i32, digits: usize) -> String {
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if value != 0.0 && (exponent < low || exponent >= high) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:0digits$}", exponent.unsigned_abs());
    }
    format!("{value}")
}

/// A key in braces.
pub(crate) fn flow_key(key: &str) -> String {
    match string_style(key, true) {
        Style::Plain => key.to_owned(),
        _ => double_quoted(key),
    }
}

/// A scalar of JSON.
pub(crate) fn json_value(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Unsigned(value) => value.to_string(),
        Value::Float(value) if value.is_finite() => {
            let spelling = shortest(*value, -6, 21, 1);
            if spelling.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') { spelling + ".0" } else { spelling }
        }
        // JSON has neither of them.
        Value::Float(value) => json_string(&value.to_string()),
        Value::Time(value) => json_string(&value.to_string()),
        Value::String(bytes) => json_string(&String::from_utf8_lossy(bytes)),
    }
}

/// `text` in double quotes with the escapes that JSON requires.
pub(crate) fn json_string(text: &str) -> String {
    use std::fmt::Write as _;
    let mut spelling = String::with_capacity(text.len() + 2);
    spelling.push('"');
    for character in text.chars() {
        match character {
            '"' => spelling.push_str("\\\""),
            '\\' => spelling.push_str("\\\\"),
            '\n' => spelling.push_str("\\n"),
            '\r' => spelling.push_str("\\r"),
            '\t' => spelling.push_str("\\t"),
            '\x08' => spelling.push_str("\\b"),
            '\x0c' => spelling.push_str("\\f"),
            // Writing to a string cannot fail.
            '\0'..='\x1f' => drop(write!(spelling, "\\u{:04x}", u32::from(character))),
            _ => spelling.push(character),
        }
    }
    spelling.push('"');
    spelling
}

pub(crate) fn reads_as(spelling: &str, value: &Value<'_>, format: Format) -> bool {
    let same = |document: &Document| {
        let mut branches = document.branches();
        let (Some(branch), None) = (branches.next(), branches.next()) else { return false };
        let mut children = branch.children();
        let (Some(only), None) = (children.next(), children.next()) else { return false };
        only.key() == Some("k") && only.data().kind == EntryKind::Scalar && same_value(&only.value(), value)
    };
    match format {
        Format::Dotenv | Format::Ini => match value {
            Value::String(bytes) => str::from_utf8(bytes).is_ok_and(|text| flat::reads_as(spelling, text, format)),
            _ => false,
        },
        Format::Binary => false,
        Format::Json => {
            let document = format!("{{\"k\":{spelling}}}");
            json::read(Wiping::new(document.into_bytes())).is_ok_and(|document| same(&document))
        }
        Format::Yaml => {
            // In block context, and where that cannot be, in flow context. A block scalar is without its last line break
            // and the empty lines behind it.
            let breaks = match value {
                Value::String(bytes) => bytes.iter().rev().take_while(|&&byte| byte == b'\n').count(),
                _ => 0,
            };
            let kept = "\n".repeat(breaks);
            // Of a block of nothing but empty lines the first break is the header's.
            let all_kept = "\n".repeat(breaks + 1);
            let reads = |document: String| {
                crate::yaml::read(Wiping::new(document.into_bytes())).is_ok_and(|document| same(&document))
            };
            ["\n", "", &kept, &all_kept, "\u{2028}", "\u{2029}"].iter().any(|end| reads(format!("k: {spelling}{end}")))
                || reads(format!("{{k: {spelling}}}\n"))
        }
    }
}

fn same_value(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Float(left), Value::Float(right)) => {
            left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
        }
        _ => left == right,
    }
}
