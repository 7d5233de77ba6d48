//! What a plain scalar means.
//!
//! Source: observation of go-yaml v3.0.4: the core schema of YAML 1.2 with integers and timestamps of YAML 1.1; `yes`,
//! `on` and base 60 are strings.

use crate::time::Timestamp;

/// Meaning of a plain scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resolved {
    /// Empty, `~`, `null`.
    Null,
    /// `true`, `false` in three spellings each.
    Bool(bool),
    /// Decimal, `0x`, `0b`, `0o` and `0` for octal, `_` anywhere.
    Int(i64),
    /// An integer above [`i64::MAX`].
    Unsigned(u64),
    /// A decimal fraction, `.inf`, `.nan`.
    Float(f64),
    /// A date, or a date and a time of day.
    Timestamp(Timestamp),
    /// `<<`
    Merge,
    /// Anything else.
    String,
}

/// What `text` means as a plain scalar without a tag.
pub fn resolve(text: &str) -> Resolved {
    let Some(&first) = text.as_bytes().first() else {
        return Resolved::Null;
    };
    match first {
        b'+' | b'-' | b'0'..=b'9' => resolve_named(text).unwrap_or_else(|| resolve_number(text, first)),
        b'.' => resolve_named(text).unwrap_or_else(|| float(text).map_or(Resolved::String, Resolved::Float)),
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => {
            resolve_named(text).unwrap_or(Resolved::String)
        }
        b'<' if text == "<<" => Resolved::Merge,
        _ => Resolved::String,
    }
}

fn resolve_named(text: &str) -> Option<Resolved> {
    Some(match text {
        "~" | "null" | "Null" | "NULL" => Resolved::Null,
        "true" | "True" | "TRUE" => Resolved::Bool(true),
        "false" | "False" | "FALSE" => Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Resolved::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn resolve_number(text: &str, first: u8) -> Resolved {
    if first.is_ascii_digit()
        && let Some(timestamp) = Timestamp::parse(text)
    {
        return Resolved::Timestamp(timestamp);
    }
    let joined;
    let plain = if text.contains('_') {
        joined = text.replace('_', "");
        joined.as_str()
    } else {
        text
    };
    if let Some(value) = integer(plain, 0) {
        return Resolved::Int(value);
    }
    if let Some(value) = unsigned(plain, 0) {
        return Resolved::Unsigned(value);
    }
    if is_decimal(plain)
        && let Some(value) = float(plain)
    {
        return Resolved::Float(value);
    }
    // A sign behind the prefix is read too: `0b-1`.
    for (prefix, radix) in [("0b", 2), ("0o", 8)] {
        if let Some(digits) = plain.strip_prefix(prefix) {
            if let Some(value) = integer(digits, radix) {
                return Resolved::Int(value);
            }
            if let Some(value) = unsigned(digits, radix) {
                return Resolved::Unsigned(value);
            }
        }
    }
    Resolved::String
}

/// Reads an integer as Go's `strconv.ParseInt` does without underscores; `radix` 0 takes it from the prefix.
fn integer(text: &str, radix: u32) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let value = unsigned(digits, radix)?;
    if negative { 0_i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// Reads an integer without a sign as Go's `strconv.ParseUint` does.
fn unsigned(text: &str, radix: u32) -> Option<u64> {
    let (digits, radix) = if radix == 0 {
        match text.as_bytes() {
            [b'0', b'x' | b'X', ..] => (&text[2..], 16),
            [b'0', b'b' | b'B', ..] => (&text[2..], 2),
            [b'0', b'o' | b'O', ..] => (&text[2..], 8),
            [b'0', _, ..] => (&text[1..], 8),
            _ => (text, 10),
        }
    } else {
        (text, radix)
    };
    // Rust's parser would take a sign.
    if digits.starts_with(['+', '-']) { None } else { u64::from_str_radix(digits, radix).ok() }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, the whole text.
fn is_decimal(text: &str) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = text.as_bytes();
    if let [b'+' | b'-', tail @ ..] = rest {
        rest = tail;
    }
    let whole = digits(rest);
    rest = &rest[whole..];
    if let [b'.', tail @ ..] = rest {
        let fraction = digits(tail);
        if whole == 0 && fraction == 0 {
            return false;
        }
        rest = &tail[fraction..];
    } else if whole == 0 {
        return false;
    }
    if let [b'e' | b'E', tail @ ..] = rest {
        let tail = if let [b'+' | b'-', tail @ ..] = tail { tail } else { tail };
        let exponent = digits(tail);
        return exponent > 0 && exponent == tail.len();
    }
    rest.is_empty()
}

/// Reads a decimal number; one beyond the range of a float is none.
fn float(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_go_yaml_says() {
        use Resolved::{Bool, Float, Int, Merge, Null, String, Unsigned};
        for (text, expected) in [
            ("", Null),
            ("~", Null),
            ("NULL", Null),
            ("nULL", String),
            ("yes", String),
            ("on", String),
            ("y", String),
            ("True", Bool(true)),
            ("tRUE", String),
            ("<<", Merge),
            ("0", Int(0)),
            ("-0", Int(0)),
            ("+12", Int(12)),
            ("0755", Int(493)),
            ("0o17", Int(15)),
            ("0O17", Int(15)),
            ("0b101", Int(5)),
            ("-0b101", Int(-5)),
            ("0b-1", Int(-1)),
            ("0x1F", Int(31)),
            ("-0x1f", Int(-31)),
            ("1_000", Int(1000)),
            ("_1", String),
            ("1_", Int(1)),
            ("08", Float(8.0)),
            ("9223372036854775807", Int(i64::MAX)),
            ("-9223372036854775808", Int(i64::MIN)),
            ("18446744073709551615", Unsigned(u64::MAX)),
            ("18446744073709551616", Float(18_446_744_073_709_551_616.0)),
            ("1.", Float(1.0)),
            (".5", Float(0.5)),
            (".", String),
            ("1e3", Float(1000.0)),
            ("1e", String),
            ("1e400", String),
            ("-.inf", Float(f64::NEG_INFINITY)),
            ("inf", String),
            ("12:30:45", String),
            ("1 2", String),
            ("-", String),
            ("0x", String),
        ] {
            assert_eq!(resolve(text), expected, "{text}");
        }
        assert!(matches!(resolve(".NaN"), Float(value) if value.is_nan()));
        assert!(matches!(resolve("2024-01-01"), Resolved::Timestamp(_)));
    }
}
