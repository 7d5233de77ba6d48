//! Durations as Go writes them: `1h`, `5m30s`, `1.5h`, `-2us`.
//!
//! Source: the documentation of Go's `time.ParseDuration`.

/// Nanoseconds of a duration; `None` if `text` is none or it is longer than 292 years.
pub fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds = 0_i128;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) || number.len() > 30 {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        // More digits than these mean less than a nanosecond.
        let fraction = &fraction[..fraction.len().min(18)];
        let scale = 10_i128.pow(fraction.len() as u32);
        let fraction: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        nanoseconds = nanoseconds.checked_add(whole.checked_mul(unit)?)?.checked_add(fraction * unit / scale)?;
        rest = after;
    }
    i64::try_from(if negative { -nanoseconds } else { nanoseconds }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        const SECOND: i64 = 1_000_000_000;
        for (text, expected) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("-0", Some(0)),
            ("1h", Some(3600 * SECOND)),
            ("1h0m0s", Some(3600 * SECOND)),
            ("5m30s", Some(330 * SECOND)),
            ("1.5h", Some(5400 * SECOND)),
            (".5s", Some(SECOND / 2)),
            ("5.s", Some(5 * SECOND)),
            ("-1h", Some(-3600 * SECOND)),
            ("+1ms", Some(1_000_000)),
            ("2us3µs", Some(5_000)),
            ("0.000000001s", Some(1)),
            ("", None),
            ("-", None),
            ("1", None),
            ("h", None),
            (".s", None),
            ("1.2.3s", None),
            ("1d", None),
            ("1h 5m", None),
            ("1H", None),
            ("9999999h", None),
            ("99999999999999999999999999999999999999999h", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
