//! Outcome → status of the SealedSecret, and whether that is anything new.
//!
//! ```text
//! Synced    first, since printer columns show conditions[0]; upstream's words: no message when it is true, no reason ever
//! Ready     the same with a reason, for people, Flux and everything else that follows kstatus
//! Stalled   only while nothing but a change helps, so that kstatus says Failed at once instead of waiting
//! Checked   the record of what was checked, see [`record`](crate::record)
//! ```
//!
//! Invariant: an outcome that says nothing new gives no status, so nothing is written for it.

use bulla_api::SealedSecret;
use bulla_api::sealed_secret::{Condition, ConditionStatus, SealedSecretStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::plan::Refusal;
use crate::record::{Record, Verdict};

/// Upstream's only condition.
pub const SYNCED: &str = "Synced";
/// Whether the Secret holds what is sealed, with a reason.
pub const READY: &str = "Ready";
/// Whether only a change can help.
pub const STALLED: &str = "Stalled";
/// The record of what was checked.
pub const CHECKED: &str = "Checked";

/// Longest message that is published. Upstream's have no limit, and an object may have any number of items.
const LONGEST_MESSAGE: usize = 4096;

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The Secret holds what is sealed.
    Synced {
        /// Whether it had to be written for that.
        wrote: bool,
        /// Number of values in it.
        values: usize,
    },
    /// Nothing but a change of something helps.
    Refused(Refusal),
    /// It may go better next time.
    Failed(String),
}

impl Outcome {
    /// One word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Synced { .. } => "Unsealed",
            Self::Refused(Refusal::Malformed(_)) => "Malformed",
            Self::Refused(Refusal::Unseal(_)) => "UnsealFailed",
            Self::Refused(Refusal::NotManaged { .. }) => "NotManaged",
            Self::Refused(Refusal::Immutable(_)) => "Immutable",
            Self::Refused(Refusal::TypeChanged { .. }) => "TypeChanged",
            Self::Refused(Refusal::Rejected(_)) => "Rejected",
            Self::Failed(_) => "UpdateFailed",
        }
    }

    /// What went wrong; `None` if nothing did.
    pub fn error(&self) -> Option<String> {
        match self {
            Self::Synced { .. } => None,
            Self::Refused(refusal @ Refusal::NotManaged { .. }) => Some(format!("failed update: {refusal}")),
            Self::Refused(refusal) => Some(refusal.to_string()),
            Self::Failed(message) => Some(message.clone()),
        }
        .map(|message| shortened(&message, LONGEST_MESSAGE))
    }
}

/// `text`, cut before the character that would exceed `limit` bytes.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = (0..=limit - '…'.len_utf8()).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}…", &text[..end])
}

/// A status to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The whole status.
    pub status: SealedSecretStatus,
    /// Whether it says anything new to a reader; otherwise only the record is new.
    pub news: bool,
}

/// The status that `outcome` makes of the one `sealed` has; `None` if there is nothing to write.
pub fn next(sealed: &SealedSecret, outcome: &Outcome, record: Option<&Record>, now: Timestamp) -> Option<Change> {
    let old = sealed.status.clone().unwrap_or_default();
    let generation = sealed.metadata.generation;
    let error = outcome.error();
    let state = if error.is_none() { ConditionStatus::True } else { ConditionStatus::False };
    let ready_message = match outcome {
        Outcome::Synced { values: 1, .. } => "the Secret holds its 1 value".to_owned(),
        Outcome::Synced { values, .. } => format!("the Secret holds its {values} values"),
        Outcome::Refused(_) | Outcome::Failed(_) => error.clone().unwrap_or_default(),
    };

    let mut wanted =
        vec![(SYNCED, state, None, error.clone()), (READY, state, Some(outcome.reason()), Some(ready_message))];
    if matches!(outcome, Outcome::Refused(_)) {
        wanted.push((STALLED, ConditionStatus::True, Some(outcome.reason()), error));
    }
    let news_in = wanted.len();
    if let Some(record) = record {
        wanted.push((CHECKED, ConditionStatus::True, Some("Digest"), Some(record.to_string())));
    }

    let dropped = |kind: &str| [STALLED, CHECKED].contains(&kind) && old.condition(kind).is_some();
    let is_wanted = |kind: &str| wanted.iter().any(|(other, ..)| *other == kind);
    let differs = |(kind, status, reason, message): &(&str, ConditionStatus, Option<&str>, Option<String>)| {
        old.condition(kind).is_none_or(|old| {
            old.status != *status
                || old.reason.as_deref() != *reason
                || old.message.as_deref().unwrap_or_default() != message.as_deref().unwrap_or_default()
        })
    };
    let news = old.observed_generation != generation
        || wanted[..news_in].iter().any(differs)
        || (dropped(STALLED) && !is_wanted(STALLED));
    let record_changed = wanted[news_in..].iter().any(differs) || (dropped(CHECKED) && !is_wanted(CHECKED));
    if !news && !record_changed {
        return None;
    }

    let time = Time(now);
    let conditions = wanted.iter().map(|(kind, status, reason, message)| Condition {
        kind: (*kind).to_owned(),
        status: *status,
        reason: reason.map(str::to_owned),
        message: message.clone(),
        observed_generation: generation,
        last_update_time: Some(time.clone()),
        last_transition_time: old
            .condition(kind)
            .filter(|old| old.status == *status)
            .and_then(|old| old.last_transition_time.clone())
            .or_else(|| Some(time.clone())),
    });
    let ours = [SYNCED, READY, STALLED, CHECKED];
    let others = old.conditions.iter().filter(|condition| !ours.contains(&condition.kind.as_str())).cloned();
    Some(Change {
        status: SealedSecretStatus { conditions: conditions.chain(others).collect(), observed_generation: generation },
        news,
    })
}

/// The record in `status`, if the rest of it fits: it speaks of this `generation` and says what the record says.
pub fn record_of(status: Option<&SealedSecretStatus>, generation: Option<i64>) -> Option<Record> {
    let status = status.filter(|status| status.observed_generation == generation)?;
    let record = any_record_of(status)?;
    let expected = if record.verdict == Verdict::Opened { ConditionStatus::True } else { ConditionStatus::False };
    let says = |kind| status.condition(kind).is_some_and(|condition| condition.status == expected);
    (says(SYNCED) && says(READY)).then_some(record)
}

/// The record in `status`, whatever it is about.
pub fn any_record_of(status: &SealedSecretStatus) -> Option<Record> {
    Record::parse(status.condition(CHECKED)?.message.as_deref()?)
}

#[cfg(test)]
mod tests {
    use bulla_sealed::UnsealError;
    use serde_json::{Value, json};

    use super::*;

    const TEXT: &str = "2 opened abc 00112233445566778899aabbccddeeff";
    const OTHER_TEXT: &str = "2 opened abc ff112233445566778899aabbccddeeff";

    fn sealed(generation: i64, status: Option<SealedSecretStatus>) -> SealedSecret {
        let mut sealed = SealedSecret { status, ..SealedSecret::default() };
        sealed.metadata.generation = Some(generation);
        sealed
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn synced() -> Outcome {
        Outcome::Synced { wrote: true, values: 2 }
    }

    fn refused() -> Outcome {
        Outcome::Refused(Refusal::Unseal(UnsealError::BothFormats))
    }

    fn summary(status: &SealedSecretStatus) -> Vec<(&str, ConditionStatus, Option<&str>)> {
        status.conditions.iter().map(|it| (it.kind.as_str(), it.status, it.reason.as_deref())).collect()
    }

    #[test]
    fn synced_comes_first_and_has_upstreams_words() {
        let record = Record::parse(TEXT).unwrap();
        let change = next(&sealed(1, None), &synced(), Some(&record), at(0)).unwrap();
        assert!(change.news);
        assert_eq!(
            serde_json::to_value(&change.status).unwrap()["conditions"][0],
            json!({
                "type": "Synced", "status": "True", "observedGeneration": 1,
                "lastUpdateTime": "1970-01-01T00:00:00Z", "lastTransitionTime": "1970-01-01T00:00:00Z",
            })
        );
        let (is, not) = (ConditionStatus::True, ConditionStatus::False);
        assert_eq!(
            summary(&change.status),
            [(SYNCED, is, None), (READY, is, Some("Unsealed")), (CHECKED, is, Some("Digest"))]
        );
        let change = next(&sealed(1, None), &refused(), None, at(0)).unwrap();
        assert_eq!(
            summary(&change.status),
            [(SYNCED, not, None), (READY, not, Some("UnsealFailed")), (STALLED, is, Some("UnsealFailed"))]
        );
        let change = next(&sealed(1, None), &Outcome::Failed("later".to_owned()), None, at(0)).unwrap();
        assert_eq!(summary(&change.status), [(SYNCED, not, None), (READY, not, Some("UpdateFailed"))], "not stalled");
    }

    #[test]
    fn the_same_again_is_not_written() {
        let record = Record::parse(TEXT).unwrap();
        for (outcome, record) in
            [(synced(), Some(&record)), (refused(), None), (Outcome::Failed("later".to_owned()), None)]
        {
            let status = next(&sealed(1, None), &outcome, record, at(0)).unwrap().status;
            assert_eq!(next(&sealed(1, Some(status)), &outcome, record, at(9)), None);
        }
    }

    #[test]
    fn a_pruned_generation_of_a_condition_does_not_count_as_a_difference() {
        // Upstream's CRD does not know `conditions[].observedGeneration`: the API server drops it.
        let mut status = next(&sealed(1, None), &synced(), None, at(0)).unwrap().status;
        status.conditions.iter_mut().for_each(|condition| condition.observed_generation = None);
        assert_eq!(next(&sealed(1, Some(status)), &synced(), None, at(9)), None);
    }

    #[test]
    fn a_new_record_is_written_and_is_no_news() {
        let old = next(&sealed(1, None), &synced(), Record::parse(TEXT).as_ref(), at(0)).unwrap().status;
        let change = next(&sealed(1, Some(old.clone())), &synced(), Record::parse(OTHER_TEXT).as_ref(), at(9)).unwrap();
        assert!(!change.news);
        let change = next(&sealed(1, Some(old)), &synced(), None, at(9)).unwrap();
        assert!(!change.news && change.status.condition(CHECKED).is_none());
    }

    #[test]
    fn times_of_transition_stay_and_times_of_update_move() {
        let old = next(&sealed(1, None), &synced(), None, at(0)).unwrap().status;
        let status = next(&sealed(2, Some(old)), &synced(), None, at(9)).unwrap().status;
        assert_eq!(status.observed_generation, Some(2));
        for condition in &status.conditions {
            assert_eq!(condition.last_update_time, Some(Time(at(9))));
            assert_eq!(condition.last_transition_time, Some(Time(at(0))));
        }
        let status = next(&sealed(2, Some(status)), &refused(), None, at(20)).unwrap().status;
        assert_eq!(status.condition(SYNCED).unwrap().last_transition_time, Some(Time(at(20))));
        let change = next(&sealed(2, Some(status)), &synced(), None, at(30)).unwrap();
        assert!(change.news && change.status.condition(STALLED).is_none());
    }

    #[test]
    fn another_message_is_news_under_the_same_generation() {
        let old = next(&sealed(1, None), &Outcome::Failed("one".to_owned()), None, at(0)).unwrap().status;
        assert!(next(&sealed(1, Some(old)), &Outcome::Failed("two".to_owned()), None, at(1)).unwrap().news);
    }

    #[test]
    fn conditions_of_others_are_kept_behind_ours() {
        let mut old = SealedSecretStatus::default();
        old.conditions.push(Condition {
            kind: "Theirs".to_owned(),
            status: ConditionStatus::Unknown,
            reason: None,
            message: None,
            observed_generation: None,
            last_update_time: None,
            last_transition_time: None,
        });
        let status = next(&sealed(1, Some(old)), &synced(), None, at(0)).unwrap().status;
        assert_eq!(status.conditions.iter().map(|it| it.kind.as_str()).collect::<Vec<_>>(), [SYNCED, READY, "Theirs"]);
    }

    #[test]
    fn a_record_counts_only_beside_a_status_that_fits() {
        let status = next(&sealed(3, None), &synced(), Record::parse(TEXT).as_ref(), at(0)).unwrap().status;
        assert!(record_of(Some(&status), Some(3)).is_some());
        assert!(record_of(Some(&status), Some(4)).is_none());
        assert!(any_record_of(&status).is_some());
        let mut other = status;
        other.conditions[0].status = ConditionStatus::False;
        assert!(record_of(Some(&other), Some(3)).is_none());
        assert!(record_of(None, Some(3)).is_none());
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let text = "é".repeat(3000);
        let cut = shortened(&text, LONGEST_MESSAGE);
        assert!(cut.len() <= LONGEST_MESSAGE && cut.ends_with("é…"));
        assert_eq!(shortened("short", 5), "short");
        let value: Value = json!(cut);
        assert!(value.is_string());
    }
}
