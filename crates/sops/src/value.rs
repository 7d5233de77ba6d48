//! Values as text: what SOPS encrypts and hashes for each type, and back.
//!
//! ```text
//! str    its bytes                            time    RFC 3339 with the nanoseconds needed, its offset kept
//! int    decimal, 64 bits                     bool    True, False
//! float  shortest form, never an exponent; +Inf, -Inf, NaN
//! ```
//! Reading is wider, by Go's rules (`007`, `1e3`, `t`), and the MAC counts the value, not the text it was read from: what is read is
//! spelt anew before it is hashed.
//!
//! Source: sops 3.13.3 `sops.go` (`ToBytes`), `aes/cipher.go`; Go 1.26 `strconv`, `time.UnmarshalText` (which is not strict).

use std::io::Write as _;

use bulla_crypto::ValueKind;
use bulla_doc::{Timestamp, Value};
use bulla_wipe::{Wiping, wipe};

/// Why a value cannot be part of an encrypted file, encrypted or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsupportedValue {
    /// SOPS has integers of 64 bits with a sign only.
    #[error("an integer above 9223372036854775807, which SOPS cannot encrypt; quote it")]
    Unsigned,
    /// RFC 3339 has no such offset.
    #[error("a time with an offset of a day or more, which SOPS cannot encrypt; quote it")]
    Offset,
}

/// The text that was encrypted is not one of its type: the type was changed, or another program wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the decrypted text is not a value of type `{0}`; the type beside the value was changed")]
pub struct MismatchedType(pub ValueKind);

/// The type that `value` is encrypted as; null never is.
pub(crate) fn kind(value: &Value<'_>) -> Option<ValueKind> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(ValueKind::Bool),
        Value::Int(_) | Value::Unsigned(_) => Some(ValueKind::Int),
        Value::Float(_) => Some(ValueKind::Float),
        Value::Time(_) => Some(ValueKind::Time),
        Value::String(_) => Some(ValueKind::Str),
    }
}

/// Room for the text of a number; wiped when it is used again and when it is dropped.
pub(crate) type Scratch = Wiping<Vec<u8>>;

/// The text of `value`, as it is encrypted and hashed; of null, none. May be written to `scratch`.
pub(crate) fn text<'v>(value: &'v Value<'_>, scratch: &'v mut Scratch) -> Result<&'v [u8], UnsupportedValue> {
    // Most values need no room at all.
    if !scratch.is_empty() {
        wipe(scratch);
        scratch.clear();
    }
    let written = match value {
        Value::Null => return Ok(b""),
        Value::Bool(true) => return Ok(b"True"),
        Value::Bool(false) => return Ok(b"False"),
        Value::String(bytes) => return Ok(bytes),
        Value::Float(number) if number.is_nan() => return Ok(b"NaN"),
        Value::Float(number) if number.is_infinite() => return Ok(if *number > 0.0 { b"+Inf" } else { b"-Inf" }),
        Value::Unsigned(_) => return Err(UnsupportedValue::Unsigned),
        Value::Time(time) if time.offset.unsigned_abs() >= 24 * 60 => return Err(UnsupportedValue::Offset),
        Value::Int(number) => write!(reserve(scratch, 20), "{number}"),
        Value::Float(number) => write!(reserve(scratch, 1100), "{number}"),
        Value::Time(time) => write!(reserve(scratch, 40), "{time}"),
    };
    debug_assert!(written.is_ok(), "writing to memory does not fail");
    Ok(scratch)
}

/// Room for all that is written, so that the buffer does not move and leave a copy behind.
fn reserve(scratch: &mut Scratch, length: usize) -> &mut Vec<u8> {
    scratch.reserve(length);
    scratch
}

/// The value that `text` was encrypted from. A comment's is its text.
pub(crate) fn read(kind: ValueKind, text: &[u8]) -> Result<Value<'_>, MismatchedType> {
    let value = match kind {
        ValueKind::Str | ValueKind::Bytes | ValueKind::Comment => Some(Value::String(text.into())),
        ValueKind::Int => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).map(Value::Int),
        ValueKind::Float => std::str::from_utf8(text).ok().and_then(float).map(Value::Float),
        ValueKind::Bool => match text {
            b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Some(Value::Bool(true)),
            b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Some(Value::Bool(false)),
            _ => None,
        },
        ValueKind::Time => std::str::from_utf8(text).ok().and_then(time).map(Value::Time),
    };
    value.ok_or(MismatchedType(kind))
}

/// Go's `ParseFloat`, without its hexadecimal form.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.eq_ignore_ascii_case("nan") {
        return (unsigned.len() == text.len()).then_some(f64::NAN);
    }
    let value: f64 = text.parse().ok()?;
    // A finite number beyond the range is an error in Go.
    let is_named = unsigned.starts_with(['i', 'I']);
    (value.is_finite() || is_named).then_some(value)
}

/// RFC 3339 as Go's `time.Parse` reads it: the hour may have one digit, and the fraction a comma.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    let (date, clock) = text.split_once('T')?;
    let hour = clock.find(':')?;
    let (clock, rest) = clock.split_at_checked(hour + 6)?;
    let is_moment = has_form(date, b"0000-00-00") && (has_form(clock, b"00:00:00") || has_form(clock, b"0:00:00"));
    let zone = match rest.strip_prefix(['.', ',']) {
        Some(fraction) => fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => rest,
    };
    let is_zone = zone == "Z" || has_form(zone, b"+00:00") || has_form(zone, b"-00:00");
    let has_digits = rest.len() == zone.len() || rest.len() > zone.len() + 1;
    (is_moment && is_zone && has_digits).then(|| Timestamp::parse(text)).flatten()
}

/// Has `text` digits where `form` has zeros, and what it has elsewhere?
fn has_form(text: &str, form: &[u8]) -> bool {
    let fits = |(byte, form): (u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form };
    text.len() == form.len() && text.bytes().zip(form).all(fits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: &Value<'_>) -> String {
        let mut scratch = Scratch::default();
        String::from_utf8(text(value, &mut scratch).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn every_type_is_spelt_as_sops_spells_it() {
        for (value, expected) in [
            (Value::Null, ""),
            (Value::Bool(true), "True"),
            (Value::Bool(false), "False"),
            (Value::Int(-5), "-5"),
            (Value::Int(i64::MIN), "-9223372036854775808"),
            (Value::Float(1.5), "1.5"),
            (Value::Float(1.0), "1"),
            (Value::Float(-0.0), "-0"),
            (Value::Float(1e21), "1000000000000000000000"),
            (Value::Float(1e-7), "0.0000001"),
            (Value::Float(f64::INFINITY), "+Inf"),
            (Value::Float(f64::NEG_INFINITY), "-Inf"),
            (Value::Float(f64::NAN), "NaN"),
            (Value::Time(Timestamp::parse("2024-1-1").unwrap()), "2024-01-01T00:00:00Z"),
            (Value::Time(Timestamp::parse("2006-01-02T15:04:05.50+07:06").unwrap()), "2006-01-02T15:04:05.5+07:06"),
            (Value::text("é\n"), "é\n"),
        ] {
            assert_eq!(written(&value), expected);
        }
        let mut scratch = Scratch::default();
        assert_eq!(written(&Value::Float(f64::MIN_POSITIVE)).len(), 326);
        assert_eq!(text(&Value::Unsigned(u64::MAX), &mut scratch), Err(UnsupportedValue::Unsigned));
        let day_off = Value::Time(Timestamp::parse("2024-1-1T0:0:0+24:00").unwrap());
        assert_eq!(text(&day_off, &mut scratch), Err(UnsupportedValue::Offset));
    }

    #[test]
    fn every_type_is_read_by_gos_rules() {
        for (kind, input, expected) in [
            (ValueKind::Int, "007", Some("7")),
            (ValueKind::Int, "+7", Some("7")),
            (ValueKind::Int, "1_0", None),
            (ValueKind::Int, "", None),
            (ValueKind::Int, "9223372036854775808", None),
            (ValueKind::Float, "1.50", Some("1.5")),
            (ValueKind::Float, "1e3", Some("1000")),
            (ValueKind::Float, ".5", Some("0.5")),
            (ValueKind::Float, "-Infinity", Some("-Inf")),
            (ValueKind::Float, "+inf", Some("+Inf")),
            (ValueKind::Float, "nan", Some("NaN")),
            (ValueKind::Float, "-nan", None),
            (ValueKind::Float, "1e400", None),
            (ValueKind::Float, "1_0", None),
            (ValueKind::Float, "x", None),
            (ValueKind::Bool, "t", Some("True")),
            (ValueKind::Bool, "0", Some("False")),
            (ValueKind::Bool, "yes", None),
            (ValueKind::Time, "2024-01-01T00:00:00Z", Some("2024-01-01T00:00:00Z")),
            (ValueKind::Time, "2024-01-01T00:00:00+00:00", Some("2024-01-01T00:00:00Z")),
            (ValueKind::Time, "2024-01-01T00:00:00.120-23:59", Some("2024-01-01T00:00:00.12-23:59")),
            (ValueKind::Time, "2024-01-01T00:00:00,1Z", Some("2024-01-01T00:00:00.1Z")),
            (ValueKind::Time, "2024-01-01T0:00:00Z", Some("2024-01-01T00:00:00Z")),
            (ValueKind::Time, "2024-01-01T00:00:00.Z", None),
            (ValueKind::Time, "2024-01-01T00:0:00Z", None),
            (ValueKind::Time, "2024-1-01T00:00:00Z", None),
            (ValueKind::Time, "2024-01-01T00:00:00", None),
            (ValueKind::Time, "2024-02-30T00:00:00Z", None),
            (ValueKind::Time, "2024-01-01t00:00:00Z", None),
            (ValueKind::Time, "2024-01-01", None),
            (ValueKind::Bytes, "raw", Some("raw")),
        ] {
            let value = read(kind, input.as_bytes());
            assert_eq!(value.as_ref().ok().map(written).as_deref(), expected, "{kind} {input}");
            if expected.is_none() {
                assert_eq!(value.unwrap_err(), MismatchedType(kind));
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(int: i64, float: f64, text: Vec<u8>, flag: bool) {
            for value in [Value::Int(int), Value::Float(float), Value::String(text.into()), Value::Bool(flag)] {
                let mut scratch = Scratch::default();
                let written = super::text(&value, &mut scratch).unwrap();
                prop_assert!(!matches!(value, Value::Float(_)) || !written.contains(&b'e'), "no exponent");
                let read = read(kind(&value).unwrap(), written).unwrap();
                match (&read, &value) {
                    (Value::Float(read), Value::Float(value)) => {
                        prop_assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()));
                    }
                    _ => prop_assert_eq!(&read, &value),
                }
            }
        }
    }
}
