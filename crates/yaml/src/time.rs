//! Timestamps as go-yaml reads them: `2006-1-2`, `2006-1-2 15:4:5.999`, `2006-1-2T15:4:5.999Z07:00`.
//!
//! Source: observation of Go 1.26 `time.Parse` with the four layouts of go-yaml's resolver.

use std::fmt;

/// A date and a time of day with the offset it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// Year, 0 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
    /// Nanosecond, 0 to 999,999,999.
    pub nanosecond: u32,
    /// Minutes east of UTC.
    pub offset: i16,
}

impl Timestamp {
    /// Reads `text`, all of it; `None` if it is not a timestamp.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let mut rest = Reader(text.as_bytes());
        let digits = rest.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits != 4 || rest.0.get(4) != Some(&b'-') {
            return None;
        }
        let year = rest.0[..4].iter().fold(0, |year, digit| year * 10 + u16::from(digit - b'0'));
        rest.0 = &rest.0[5..];
        let month = rest.number()?;
        rest.expect(b'-')?;
        let day = rest.number()?;
        if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
            return None;
        }
        let mut timestamp = Timestamp { year, month, day, hour: 0, minute: 0, second: 0, nanosecond: 0, offset: 0 };
        match rest.0.first() {
            None => return Some(timestamp),
            Some(b'T' | b't') => {
                rest.0 = &rest.0[1..];
                timestamp.read_time(&mut rest)?;
                timestamp.offset = rest.offset()?;
            }
            Some(b' ') => {
                while rest.0.first() == Some(&b' ') {
                    rest.0 = &rest.0[1..];
                }
                timestamp.read_time(&mut rest)?;
            }
            Some(_) => return None,
        }
        rest.0.is_empty().then_some(timestamp)
    }

    fn read_time(&mut self, rest: &mut Reader<'_>) -> Option<()> {
        self.hour = rest.number()?;
        rest.expect(b':')?;
        self.minute = rest.number()?;
        rest.expect(b':')?;
        self.second = rest.number()?;
        if self.hour > 23 || self.minute > 59 || self.second > 59 {
            return None;
        }
        self.nanosecond = rest.fraction();
        Some(())
    }
}

/// RFC 3339 with the nanoseconds that are needed, as Go's `RFC3339Nano`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Timestamp { year, month, day, hour, minute, second, .. } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if self.nanosecond > 0 {
            let digits = format!("{:09}", self.nanosecond);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        if self.offset == 0 {
            return write!(f, "Z");
        }
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

struct Reader<'t>(&'t [u8]);

impl Reader<'_> {
    /// One digit or two.
    fn number(&mut self) -> Option<u8> {
        let digits = self.0.iter().take(2).take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number.iter().map(|digit| digit - b'0').reduce(|number, digit| number * 10 + digit)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// A fraction of a second in nanoseconds; digits behind the ninth do not count.
    fn fraction(&mut self) -> u32 {
        let [b'.' | b',', tail @ ..] = self.0 else { return 0 };
        let digits = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return 0;
        }
        let nanoseconds = (0..9).fold(0, |value, place| {
            let digit = if place < digits { tail[place] - b'0' } else { 0 };
            value * 10 + u32::from(digit)
        });
        self.0 = &tail[digits..];
        nanoseconds
    }

    /// `Z`, or hours and minutes of two digits each. In minutes.
    fn offset(&mut self) -> Option<i16> {
        if self.0.first() == Some(&b'Z') {
            self.0 = &self.0[1..];
            return Some(0);
        }
        let [sign @ (b'+' | b'-'), a, b, b':', c, d, rest @ ..] = self.0 else { return None };
        if ![a, b, c, d].iter().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let hours = i16::from((a - b'0') * 10 + (b - b'0'));
        let minutes = i16::from((c - b'0') * 10 + (d - b'0'));
        if hours > 24 || minutes > 60 {
            return None;
        }
        self.0 = rest;
        let offset = hours * 60 + minutes;
        Some(if *sign == b'-' { -offset } else { offset })
    }
}

fn days_in(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_read_and_written_as_go_does() {
        for (text, expected) in [
            ("2024-01-01", Some("2024-01-01T00:00:00Z")),
            ("2006-1-2", Some("2006-01-02T00:00:00Z")),
            ("2006-01-02T15:04:05+07:06", Some("2006-01-02T15:04:05+07:06")),
            ("2006-01-02t15:4:5.50Z", Some("2006-01-02T15:04:05.5Z")),
            ("2006-01-02T15:04:05+00:00", Some("2006-01-02T15:04:05Z")),
            ("2006-1-2  15:4:5,123456789999", Some("2006-01-02T15:04:05.123456789Z")),
            ("2006-1-2 15:4:5Z", None),
            ("2006-1-2T15:4:5", None),
            ("2023-02-29", None),
            ("2024-02-29", Some("2024-02-29T00:00:00Z")),
            ("2024-13-01", None),
            ("20240-1-1", None),
            ("2024-1-1 24:00:00", None),
            ("2024-1-1x", None),
        ] {
            let written = Timestamp::parse(text).map(|timestamp| timestamp.to_string());
            assert_eq!(written.as_deref(), expected, "{text}");
        }
    }
}
