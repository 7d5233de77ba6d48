//! Values of dotenv and INI: how SOPS writes them, and how else where that would not be read back.

use std::borrow::Cow;

use crate::Format;
use crate::flat::{self, Token};
use crate::spell::{Quote, shortest};
use crate::tree::Value;

/// A value as text, as SOPS prints it where there are texts only.
pub(crate) fn text_of<'v>(value: &'v Value<'_>) -> Cow<'v, str> {
    Cow::Owned(match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Unsigned(value) => value.to_string(),
        Value::Float(value) => float(*value),
        Value::Time(value) => {
            let mut seconds = *value;
            seconds.nanosecond = 0;
            seconds.to_string()
        }
        Value::String(bytes) => return String::from_utf8_lossy(bytes),
    })
}

/// Go's `%G`, with one decimal where it would look like an integer.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let spelling = shortest(value, -4, 6, 2).replace('e', "E");
    if spelling.contains(['.', 'E']) { spelling } else { spelling + ".0" }
}

/// What a text is replaced by to hold `value`, in the quotes that it has if those can.
pub(super) fn rendered(format: Format, token: &Token, value: &Value<'_>) -> String {
    let text = text_of(value);
    match format {
        Format::Ini => ini_value(&text, Some(token.quote)),
        _ => dotenv_value(&text),
    }
}

/// A value of dotenv. A backslash with an `n` behind it comes back as a line break: there is no way to write one.
pub(crate) fn dotenv_value(text: &str) -> String {
    text.replace('\n', "\\n")
}

/// A value of INI in the given quotes, else as SOPS writes it, else in any quotes in which it is read back.
pub(crate) fn ini_value(text: &str, quote: Option<Quote>) -> String {
    let conventional = conventional_quote(text);
    let others = [Quote::None, Quote::Back, Quote::Triple, Quote::Double, Quote::Single];
    let candidates = quote.into_iter().chain([conventional]).chain(others);
    let spelt = |quote: Quote| [quote.as_str(), text, quote.as_str()].concat();
    let mut fitting = candidates.filter(|quote| fits(text, *quote));
    // What fits nowhere is printed as SOPS prints it; whoever sets a value asks before.
    fitting.next().map_or_else(|| spelt(conventional), spelt)
}

/// The quotes in which `ini.v1` writes a value.
fn conventional_quote(text: &str) -> Quote {
    if text.contains(['\n', '`']) {
        Quote::Triple
    } else if text.contains(['#', ';']) {
        Quote::Back
    } else if text.trim().len() != text.len() {
        Quote::Double
    } else {
        Quote::None
    }
}

/// Is `text` read back from between these quotes?
pub(super) fn fits(text: &str, quote: Quote) -> bool {
    if is_simple(text) && matches!(quote, Quote::None | Quote::Single | Quote::Double | Quote::Back) {
        return true;
    }
    let spelling = [quote.as_str(), text, quote.as_str()].concat();
    flat::ini_value(&spelling).is_some_and(|read| read.as_str() == text)
}

/// Does it mean the same in any quotes and in none?
fn is_simple(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && text
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'#' | b';' | b'"' | b'\'' | b'`' | b'\\'))
}

/// Is `spelling` read as `text`?
pub(super) fn reads_as(spelling: &str, text: &str, format: Format) -> bool {
    match format {
        Format::Ini => flat::ini_value(spelling).is_some_and(|read| read.as_str() == text),
        _ => !spelling.contains('\n') && spelling.replace("\\n", "\n") == text,
    }
}

/// A key of INI as `ini.v1` writes it.
pub(crate) fn ini_key(name: &str) -> String {
    if name.contains(['"', '=', ':']) {
        format!("`{name}`")
    } else if name.contains('`') {
        format!("\"\"\"{name}\"\"\"")
    } else {
        name.to_owned()
    }
}

/// Can dotenv hold a variable of this name? Those of the metadata are not its own.
pub(crate) fn is_dotenv_key(name: &str) -> bool {
    !name.contains(['=', '\n']) && !name.starts_with('#') && !name.starts_with(flat::DOTENV_PREFIX)
}

/// Can INI hold a key of this name, and is it read back?
pub(crate) fn is_ini_key(name: &str) -> bool {
    flat::ini_key_reads_as(&ini_key(name), name)
}

/// Can INI hold a section of this name?
pub(crate) fn is_ini_section(name: &str) -> bool {
    !name.is_empty() && !name.contains(['\n', ']', '#', ';']) && name != flat::INI_SECTION
}

/// Is a value of dotenv read back as `text`?
pub(crate) fn is_dotenv_value(text: &str) -> bool {
    !text.contains("\\n")
}

/// Is there a way to write `text` as a value of INI?
pub(crate) fn is_ini_value(text: &str) -> bool {
    flat::ini_value(&ini_value(text, None)).is_some_and(|read| read.as_str() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelt_as_sops_spells_them_among_texts() {
        for (value, expected) in [
            (1.0, "1.0"),
            (0.5, "0.5"),
            (-0.0, "-0.0"),
            (123_456.0, "123456.0"),
            (1_234_567.0, "1.234567E+06"),
            (1e21, "1E+21"),
            (1e-5, "1E-05"),
            (0.0001, "0.0001"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(text_of(&Value::Float(value)), expected);
        }
        assert_eq!(text_of(&Value::Null), "<nil>");
        assert_eq!(text_of(&Value::Bool(true)), "true");
    }

    #[test]
    fn values_of_ini_get_the_quotes_that_they_need() {
        for (text, expected) in [
            ("x y", "x y"),
            ("", ""),
            ("a#b", "`a#b`"),
            (" a", "\" a\""),
            ("a\nb", "\"\"\"a\nb\"\"\""),
            ("a`b", "\"\"\"a`b\"\"\""),
            ("it's", "it's"),
            ("'a'", "`'a'`"),
            ("\"a\"", "`\"a\"`"),
            ("a\\", "`a\\`"),
            ("\"\"\"a", "`\"\"\"a`"),
        ] {
            assert_eq!(ini_value(text, None), expected);
            assert!(is_ini_value(text), "{text}");
        }
        assert!(!is_ini_value("`\"\"\"\n"));
        assert_eq!(ini_value("x", Some(Quote::Single)), "'x'");
        assert_eq!(ini_value("it's", Some(Quote::Single)), "it's");
    }
}
