//! Numbers as Go spells them: those in templates, and those that functions read from strings.

use crate::node::Number;

/// A number of a template, or what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Number, &'static str> {
    if text.ends_with('i') {
        return Err("complex numbers are not supported");
    }
    let integer = parse_integer(text, 0);
    let unsigned = text.bytes().next().is_some_and(|byte| byte.is_ascii_digit()).then(|| magnitude(text, 0)).flatten();
    let float = match (integer, unsigned) {
        #[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
        (Some(integer), _) => integer as f64,
        #[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
        (None, Some(unsigned)) => unsigned as f64,
        (None, None) => {
            let float = parse_float(text).filter(|float| float.is_finite()).ok_or("a malformed number")?;
            if !text.contains(['.', 'e', 'E', 'p', 'P']) {
                return Err("an integer that is too large");
            }
            float
        }
    };
    let bytes = text.as_bytes();
    let is_hexadecimal =
        bytes.len() > 2 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'X') && !text.contains(['p', 'P']);
    Ok(Number {
        integer: integer.or_else(|| (unsigned.is_none()).then(|| whole(float)).flatten()),
        float,
        spelled_as_float: !is_hexadecimal && text.contains(['.', 'e', 'E', 'p', 'P']),
    })
}

/// A character constant's number.
pub(crate) fn character(code: u32) -> Number {
    Number { integer: Some(i64::from(code)), float: f64::from(code), spelled_as_float: false }
}

/// `float` as an integer, if it is one.
fn whole(float: f64) -> Option<i64> {
    // 2^63 is no i64, and what `as` makes of it would convert back to the same float.
    let inside = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float);
    (inside && float.fract() == 0.0).then_some(float as i64)
}

/// `strconv.ParseInt(text, base, 64)`; with base 0 the prefix decides, and `_` may stand between digits.
pub(crate) fn parse_integer(text: &str, base: u32) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = magnitude(digits, base)?;
    if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// `strconv.ParseUint`.
fn magnitude(text: &str, base: u32) -> Option<u64> {
    if base != 0 {
        return digits(text, base);
    }
    let lower = text.get(..2).map(str::to_ascii_lowercase);
    let (base, number) = match lower.as_deref() {
        Some("0x") => (16, &text[2..]),
        Some("0b") => (2, &text[2..]),
        Some("0o") => (8, &text[2..]),
        Some(prefix) if prefix.starts_with('0') => (8, &text[1..]),
        _ => (10, text),
    };
    if number.contains('_') {
        return if underscores_separate(text) { digits(&number.replace('_', ""), base) } else { None };
    }
    digits(number, base)
}

fn digits(text: &str, base: u32) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| char::from(byte).is_digit(base)) {
        return None;
    }
    u64::from_str_radix(text, base).ok()
}

/// Whether each `_` stands between digits, or between a prefix and a digit.
fn underscores_separate(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text).as_bytes();
    let prefixed = text.len() >= 2 && text[0] == b'0' && matches!(text[1] | 0x20, b'x' | b'b' | b'o');
    let is_hexadecimal = prefixed && text[1] | 0x20 == b'x';
    let is_digit = |byte: u8| byte.is_ascii_digit() || is_hexadecimal && byte.is_ascii_hexdigit();
    let start = if prefixed { 2 } else { 0 };
    (start..text.len()).filter(|&place| text[place] == b'_').all(|place| {
        let before = place == start && prefixed || place > start && is_digit(text[place - 1]);
        before && text.get(place + 1).is_some_and(|&byte| is_digit(byte))
    })
}

/// `strconv.ParseFloat`. What is too large is infinite here and an error there.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if ["inf", "infinity", "nan"].iter().any(|name| unsigned.eq_ignore_ascii_case(name)) {
        // Go knows a sign of infinity, not of NaN.
        return if unsigned.eq_ignore_ascii_case("nan") && unsigned.len() < text.len() {
            None
        } else {
            text.parse().ok()
        };
    }
    if unsigned.len() > 2 && unsigned.as_bytes()[0] == b'0' && unsigned.as_bytes()[1] | 0x20 == b'x' {
        if text.contains('_') && !underscores_separate(text) {
            return None;
        }
        let magnitude = hexadecimal_float(&unsigned[2..].replace('_', ""))?;
        return Some(if text.starts_with('-') { -magnitude } else { magnitude });
    }
    if !unsigned.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-' | b'_')) {
        return None;
    }
    if text.contains('_') {
        return if underscores_separate(text) { text.replace('_', "").parse().ok() } else { None };
    }
    text.parse().ok()
}

/// `12.8p-3` behind its `0x`; the exponent must be there.
fn hexadecimal_float(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once(['p', 'P'])?;
    let sign_at = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if sign_at.is_empty() || !sign_at.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let limit = |exponent: i64| exponent.clamp(-1_000_000, 1_000_000);
    let mut exponent = exponent.parse().map_or(if exponent.starts_with('-') { -1_000_000 } else { 1_000_000 }, limit);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let mut mantissa = 0_u64;
    for (place, digit) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(digit.to_digit(16)?);
        let is_fraction = place >= whole.len();
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
            exponent -= if is_fraction { 4 } else { 0 };
        } else {
            // What does not fit only decides how the last bit is rounded.
            mantissa |= u64::from(digit != 0);
            exponent += if is_fraction { 0 } else { 4 };
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "it rounds to even, as it should")]
    let mut float = mantissa as f64;
    while exponent != 0 && float != 0.0 && float.is_finite() {
        let step = exponent.clamp(-1000, 1000);
        float *= 2_f64.powi(step as i32);
        exponent -= step;
    }
    Some(float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("017", Some(15)),
            ("0o17", Some(15)),
            ("0X1f", Some(31)),
            ("1_000", Some(1000)),
            ("0x_f", Some(15)),
            ("0_7", Some(7)),
            ("1__0", None),
            ("_1", None),
            ("1_", None),
            ("09", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("+", None),
            ("--1", None),
        ] {
            assert_eq!(parse_integer(text, 0), expected, "{text}");
        }
    }

    #[test]
    fn floats_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("1.5", Some(1.5)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("1_0.5", Some(10.5)),
            ("0x1p4", Some(16.0)),
            ("0x1.8p1", Some(3.0)),
            ("0x1.8", None),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("1e", None),
            ("e1", None),
            (".", None),
        ] {
            assert_eq!(parse_float(text), expected, "{text}");
        }
    }
}
