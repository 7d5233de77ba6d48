//! When values are fetched again. Pure: the time is handed in.
//!
//! ```text
//! CreatedOnce    never synced
//! OnChange       never synced, or generation, labels or annotations differ
//! Periodic       likewise, or the interval is over; an interval of zero: never synced only
//! ```
//! A Secret that is not as it was written is made right at once under each of these; see [`super::reconcile`].
//!
//! Source: external-secrets 2.9.0 `pkg/controllers/externalsecret` `shouldRefresh`. Beyond upstream: what is due at the same time is spread
//! over a twentieth of the interval, by the name of the store and the key, so that those who ask for the same still ask together.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use bulla_api::ExternalSecret;
use bulla_api::external_secret::RefreshPolicy;
use jiff::Timestamp;

use super::hash::synced_version;

/// When an ExternalSecret has to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Now: it has never been, or something about it changed.
    Now(Cause),
    /// Then.
    At(Timestamp),
    /// Not until it changes.
    Never,
}

/// Why now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It has never been fetched.
    First,
    /// It is not what it was.
    Changed,
    /// The interval is over.
    Interval,
}

/// When `object` has to be fetched, as seen at `now`.
pub(crate) fn due(object: &ExternalSecret, now: Timestamp) -> Due {
    let status = &object.status;
    let synced = status.synced_resource_version.as_deref().filter(|version| !version.is_empty());
    let (Some(synced), Some(refreshed)) = (synced, &status.refresh_time) else { return Due::Now(Cause::First) };
    let changed = synced != synced_version(&object.metadata);
    match (object.spec.refresh_policy, object.spec.refresh_interval.duration()) {
        (RefreshPolicy::CreatedOnce, _) | (RefreshPolicy::Periodic, None) => Due::Never,
        (RefreshPolicy::OnChange | RefreshPolicy::Periodic, _) if changed => Due::Now(Cause::Changed),
        (RefreshPolicy::OnChange, _) => Due::Never,
        // A clock that went back.
        (RefreshPolicy::Periodic, Some(_)) if refreshed.0 > now => Due::Now(Cause::Interval),
        (RefreshPolicy::Periodic, Some(interval)) => match refreshed.0.checked_add(interval + spread(object, interval))
        {
            Ok(at) if at > now => Due::At(at),
            Ok(_) => Due::Now(Cause::Interval),
            Err(_) => Due::Never,
        },
    }
}

/// How much later than its interval an object is fetched: the same for all that begin with the same key of the same store.
fn spread(object: &ExternalSecret, interval: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    object.metadata.namespace.hash(&mut hasher);
    object.spec.secret_store_ref.hash(&mut hasher);
    let first = object.spec.data.first().map(|item| &item.remote_ref.key);
    let first = first.or_else(|| Some(&object.spec.data_from.first()?.extract.as_ref()?.key));
    first.hash(&mut hasher);
    let fraction = f64::from(hasher.finish() as u32) / f64::from(u32::MAX);
    (interval / 20).mul_f64(fraction)
}

/// How old a value may be for an object that is fetched for this cause, when somebody else fetched it.
pub(crate) fn acceptable_age(object: &ExternalSecret, cause: Cause) -> Duration {
    /// Long enough for all objects of a repository that was just applied.
    const FIRST: Duration = Duration::from_secs(30);
    const LONGEST: Duration = Duration::from_mins(5);
    match cause {
        Cause::First => FIRST,
        // Whoever touches an object wants to see what is there now.
        Cause::Changed => Duration::ZERO,
        Cause::Interval => object.spec.refresh_interval.duration().map_or(FIRST, |it| (it / 10).min(LONGEST)),
    }
}

#[cfg(test)]
mod tests {
    use bulla_api::external_secret::{ExternalSecretStatus, Interval};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    const HOUR: i64 = 3600;

    fn object(policy: RefreshPolicy, interval_seconds: i64, refreshed: Option<i64>, changed: bool) -> ExternalSecret {
        let mut object = ExternalSecret::default();
        object.spec.refresh_policy = policy;
        object.spec.refresh_interval = Interval(interval_seconds * 1_000_000_000);
        object.status = ExternalSecretStatus {
            refresh_time: refreshed.map(|second| Time(at(second))),
            synced_resource_version: refreshed.map(|_| synced_version(&object.metadata)),
            ..ExternalSecretStatus::default()
        };
        if changed {
            object.metadata.labels = Some([("force-sync".to_owned(), "1".to_owned())].into());
        }
        object
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn policies_decide_as_upstreams() {
        use RefreshPolicy::{CreatedOnce, OnChange, Periodic};
        let now = at(10 * HOUR);
        for (policy, interval, refreshed, changed, expected) in [
            (Periodic, HOUR, None, false, Due::Now(Cause::First)),
            (OnChange, HOUR, None, false, Due::Now(Cause::First)),
            (CreatedOnce, HOUR, None, false, Due::Now(Cause::First)),
            (Periodic, 0, None, false, Due::Now(Cause::First)),
            (CreatedOnce, HOUR, Some(0), true, Due::Never),
            (OnChange, HOUR, Some(0), false, Due::Never),
            (OnChange, HOUR, Some(0), true, Due::Now(Cause::Changed)),
            (Periodic, 0, Some(0), true, Due::Never),
            (Periodic, -1, Some(0), true, Due::Never),
            (Periodic, HOUR, Some(10 * HOUR), true, Due::Now(Cause::Changed)),
            (Periodic, HOUR, Some(8 * HOUR), false, Due::Now(Cause::Interval)),
            (Periodic, HOUR, Some(11 * HOUR), false, Due::Now(Cause::Interval)),
        ] {
            assert_eq!(due(&object(policy, interval, refreshed, changed), now), expected, "{policy:?} {interval}");
        }
    }

    #[test]
    fn what_is_due_together_is_spread_and_the_same_key_stays_together() {
        let with_key = |key: &str| {
            let mut object = object(RefreshPolicy::Periodic, HOUR, Some(10 * HOUR), false);
            let item = serde_json::json!({"spec": {"data": [{"secretKey": "a", "remoteRef": {"key": key}}]}});
            object.spec.data = ExternalSecret::decode(object.metadata.clone(), &item).unwrap().spec.data;
            object
        };
        let times: Vec<_> = (0..100)
            .map(|number| match due(&with_key(&number.to_string()), at(10 * HOUR)) {
                Due::At(time) => time,
                other => panic!("{other:?}"),
            })
            .collect();
        let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!(*first >= at(11 * HOUR) && *last <= at(11 * HOUR + HOUR / 20), "{first} {last}");
        assert!(last.as_second() - first.as_second() > HOUR / 40, "{first} {last}");
        assert_eq!(due(&with_key("a"), at(10 * HOUR)), due(&with_key("a"), at(10 * HOUR)));
    }
}
