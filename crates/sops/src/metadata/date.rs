//! The date of the last change.

use std::fmt;

use bulla_doc::Timestamp;

use crate::value;

/// When a file changed last, to the second and in the zone that it was written in. The MAC is encrypted with it as additional data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastModified(Timestamp);

impl LastModified {
    /// Reads RFC 3339. A fraction of a second is dropped, as SOPS drops it before it uses the date.
    pub fn read(text: &str) -> Option<Self> {
        let mut time = value::time(text)?;
        time.nanosecond = 0;
        Some(Self(time))
    }

    /// The text that the MAC is bound to.
    pub fn additional_data(&self) -> String {
        self.to_string()
    }
}

/// In UTC, without fraction.
impl From<jiff::Timestamp> for LastModified {
    fn from(time: jiff::Timestamp) -> Self {
        let text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Self::read(&text).unwrap_or(Self(EPOCH))
    }
}

/// For years outside 0 to 9999, which no date of a file has.
const EPOCH: Timestamp =
    Timestamp { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0, nanosecond: 0, offset: 0 };

impl fmt::Display for LastModified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_keeps_its_zone_and_loses_its_fraction() {
        for (text, expected) in [
            ("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05Z")),
            ("2026-01-02T03:04:05.678Z", Some("2026-01-02T03:04:05Z")),
            ("2026-01-02T03:04:05+02:00", Some("2026-01-02T03:04:05+02:00")),
            ("2026-01-02T03:04:05+00:00", Some("2026-01-02T03:04:05Z")),
            ("2026-01-02", None),
            ("2026-01-02 03:04:05", None),
            ("", None),
        ] {
            let read = LastModified::read(text).map(|date| date.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_new_date_is_in_utc_without_fraction() {
        let time = jiff::Timestamp::new(1_767_323_045, 999_999_999).unwrap();
        assert_eq!(LastModified::from(time).to_string(), "2026-01-02T03:04:05Z");
    }
}
