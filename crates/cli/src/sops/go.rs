//! How Go prints: quoted texts, lines of the logger, wrapped paragraphs. Tools look for messages in this form.

use std::fmt::Write as _;

/// `text` as Go's `%q` prints it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            ' ' => quoted.push(' '),
            character if is_printed(character) => quoted.push(character),
            character if character.is_ascii() => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(character));
            }
            character if u32::from(character) < 0x1_0000 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            character => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(character));
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Letters, marks, numbers, punctuation and symbols; no other blank than the usual one, nothing that reorders text.
fn is_printed(character: char) -> bool {
    let reorders = matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !(character.is_control() || character.is_whitespace() || reorders)
}

/// A float as Go's `%G` prints it, and never like a whole number.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    // Six digits before the point are the most that Go prints so.
    if (-4..6).contains(&exponent) {
        let text = value.to_string();
        return if text.contains('.') { text } else { format!("{text}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}E{sign}{:02}", exponent.abs())
}

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warning,
    Error,
    Fatal,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

/// A line as logrus writes it where no terminal is: `[CMD]`, a tab, then time (here always UTC), level, message and fields.
pub(super) fn log_line(
    logger: &str,
    level: Level,
    message: &str,
    fields: &[(&str, &str)],
    now: jiff::Timestamp,
) -> String {
    let mut line = format!(
        "[{logger}]\t time=\"{}\" level={} msg={}",
        now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        level.as_str(),
        field(message)
    );
    for (name, value) in fields {
        let _ = write!(line, " {name}={}", field(value));
    }
    line.push('\n');
    line
}

/// Quoted where anything but the plainest characters is in it.
fn field(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-._/@^+".contains(character);
    if text.chars().all(is_plain) { text.to_owned() } else { quoted(text) }
}

/// `text` in lines of at most `width` characters, where its words allow that.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    let wrap_line = |line: &str| {
        let mut wrapped = String::with_capacity(line.len());
        let mut length = 0;
        for word in line.split(' ') {
            let room = length + 1 + word.chars().count();
            if wrapped.is_empty() {
                length = word.chars().count();
            } else if room > width {
                wrapped.push('\n');
                length = word.chars().count();
            } else {
                wrapped.push(' ');
                length = room;
            }
            wrapped.push_str(word);
        }
        wrapped
    };
    text.split('\n').map(wrap_line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_go_quotes_them() {
        for (text, expected) in [
            ("/a b/ü.yaml", r#""/a b/ü.yaml""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("a\nb\tc\r\u{7}", r#""a\nb\tc\r\a""#),
            ("\u{1b}[0m\u{7f}", r#""\x1b[0m\x7f""#),
            ("\u{202e}\u{a0}\u{85}", r#""\u202e\u00a0\u0085""#),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn floats_are_printed_as_go_prints_them() {
        for (value, expected) in [
            (1.0, "1.0"),
            (-0.5, "-0.5"),
            (123_456.5, "123456.5"),
            (1_234_567.5, "1.2345675E+06"),
            (1e6, "1E+06"),
            (1e100, "1E+100"),
            (0.0001, "0.0001"),
            (0.00001, "1E-05"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(float(value), expected);
        }
    }

    #[test]
    fn a_line_of_the_log_is_that_of_logrus() {
        let now: jiff::Timestamp = "2026-01-02T03:04:05.6Z".parse().unwrap();
        assert_eq!(
            log_line("CMD", Level::Warning, "Not so good", &[("error", "bad"), ("uri", "a b")], now),
            "[CMD]\t time=\"2026-01-02T03:04:05Z\" level=warning msg=\"Not so good\" error=bad uri=\"a b\"\n"
        );
    }

    #[test]
    fn a_paragraph_is_wrapped_between_words() {
        for (text, width, expected) in [
            ("one two three", 7, "one two\nthree"),
            ("one two three", 8, "one two\nthree"),
            ("unbreakable text", 3, "unbreakable\ntext"),
            ("a\n\nb c", 1, "a\n\nb\nc"),
            ("", 5, ""),
        ] {
            assert_eq!(wrapped(text, width), expected);
        }
    }
}
