//! `/metrics`, read as Prometheus reads it, and beside that of the controller of Sealed Secrets.

use std::collections::{BTreeMap, BTreeSet};

use bulla_testkit::control_plane::wait_for;
use bulla_testkit::needs_peers;
use serde_json::json;

use crate::external::{External, data};
use crate::fixture::{Fixture, Key, PATIENCE, get, settle};
use crate::peers::Upstream;

/// What is said of one name, and its series.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    unit: String,
    /// Name, labels and value.
    series: Vec<(String, Labels, f64)>,
}

type Labels = BTreeMap<String, String>;

/// Reads the text format of OpenMetrics, or Prometheus's older one.
fn read(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (word, name, rest) = (words.next().unwrap(), words.next().unwrap_or(""), words.next().unwrap_or(""));
            match word {
                "HELP" => rest.clone_into(&mut families.entry(name.to_owned()).or_default().help),
                "TYPE" => rest.clone_into(&mut families.entry(name.to_owned()).or_default().kind),
                "UNIT" => rest.clone_into(&mut families.entry(name.to_owned()).or_default().unit),
                "EOF" => {}
                other => panic!("{other}"),
            }
            continue;
        }
        assert!(seen.insert(line.rsplit_once(' ').unwrap().0.to_owned()), "twice: {line}");
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap();
        let labels: Labels = labels
            .split("\",")
            .filter(|label| !label.is_empty())
            .map(|label| {
                let (name, value) = label.split_once("=\"").unwrap();
                (name.to_owned(), value.trim_end_matches('"').to_owned())
            })
            .collect();
        let family = ["", "_total", "_info", "_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).filter(|name| families.contains_key(*name)))
            .unwrap_or_else(|| panic!("nothing is said of {name}"));
        families.get_mut(family).unwrap().series.push((name.to_owned(), labels, value.parse().unwrap()));
    }
    families
}

/// What `promtool check metrics` looks for, and that each sample is one of its type.
fn check(name: &str, family: &Family) {
    assert!(family.help.len() > 5 && family.help.ends_with('.'), "{name}: {}", family.help);
    assert!(
        name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_' || letter.is_ascii_digit()),
        "{name}"
    );
    for unit in ["milliseconds", "_ms", "minutes", "kilobytes", "_kb", "percent"] {
        assert!(!name.contains(unit), "{name}: base units only");
    }
    assert!(family.unit.is_empty() || name.ends_with(&format!("_{}", family.unit)), "{name} is in {}", family.unit);
    assert_eq!(family.unit == "seconds", name.ends_with("_seconds"), "{name}");
    for kind in ["counter", "gauge", "histogram", "total"] {
        assert!(!name.contains(kind), "{name}: the type is not part of the name");
    }
    for (sample, labels, value) in &family.series {
        let suffix = sample.strip_prefix(name).unwrap();
        let fits = match family.kind.as_str() {
            "counter" => suffix == "_total" && *value >= 0.0,
            "gauge" => suffix.is_empty(),
            "info" => suffix == "_info" && (value - 1.0).abs() < f64::EPSILON,
            "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
            _ => false,
        };
        assert!(fits, "{sample} is no {}", family.kind);
        assert_eq!(suffix == "_bucket", labels.contains_key("le"), "{sample}");
    }
    if family.kind == "histogram" {
        let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        let mut counts: BTreeMap<Labels, f64> = BTreeMap::new();
        for (sample, labels, value) in &family.series {
            let mut others = labels.clone();
            if let Some(bound) = others.remove("le") {
                buckets.entry(others).or_default().push((bound.parse().unwrap(), *value));
            } else if sample.ends_with("_count") {
                counts.insert(others, *value);
            }
        }
        for (labels, buckets) in buckets {
            assert!(buckets.is_sorted(), "{name} {labels:?}");
            assert!(buckets.is_sorted_by_key(|(_, count)| *count), "{name} {labels:?}");
            let (last, all) = buckets.last().unwrap();
            assert!(last.is_infinite() && all.total_cmp(&counts[&labels]).is_eq(), "{name} {labels:?}");
        }
    }
}

fn value(families: &BTreeMap<String, Family>, sample: &str, labels: &[(&str, &str)]) -> f64 {
    let found = families.values().flat_map(|family| &family.series).find(|(name, found, _)| {
        name == sample && labels.iter().all(|(name, value)| found.get(*name).is_some_and(|found| found == value))
    });
    found.unwrap_or_else(|| panic!("no {sample} {labels:?}")).2
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_follow_the_conventions_and_tell_no_secret() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("metrics");
    let running = fixture.start().await;
    let address = running.metrics_address().unwrap();
    let fresh = read(&get(address, "/metrics").await.1);
    for result in ["written", "unchanged", "refused", "failed", "gone"] {
        let labels = [("kind", "SealedSecret"), ("result", result)];
        assert!(value(&fresh, "bulla_controller_reconciles_total", &labels).abs() < f64::EPSILON, "{result}");
    }
    assert!(fresh["sealed_secrets_controller_condition_info"].series.is_empty());

    let mut good = fixture.sealed(&key, "db", &json!({"planted-name": "planted-value"}));
    good["metadata"]["labels"] = json!({"app.kubernetes.io/instance": "shop"});
    good["spec"]["template"]["data"] = json!({"planted-text": "{{ index . \"planted-name\" }}"});
    fixture.apply(&good);
    fixture.synced("db");
    let other = Key::new("other", jiff::Timestamp::now());
    fixture.apply(&fixture.sealed(&other, "lost", &json!({"planted-name": "planted-value"})));
    fixture.refused("lost");
    assert_eq!(get(running.address().unwrap(), "/v1/cert.pem").await.0, 200);
    // What the watch tells of the status comes last.
    let complete = |text: &str| {
        let refused = |line: &&str| line.contains("result=\"refused\"") && line.ends_with("} 1");
        text.matches("condition=\"Synced\"").count() == 2 && text.lines().any(|line| refused(&line))
    };
    let mut text = String::new();
    for _ in 0..100 {
        text = get(address, "/metrics").await.1;
        if complete(&text) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(text.ends_with("# EOF\n"));
    let families = read(&text);
    for (name, family) in &families {
        check(name, family);
    }
    let namespace = fixture.namespace.name();
    for (sample, labels, expected) in [
        ("sealed_secrets_controller_build_info", &[("revision", env!("CARGO_PKG_VERSION"))][..], 1.0),
        ("sealed_secrets_controller_unseal_requests_total", &[], 2.0),
        ("sealed_secrets_controller_unseal_errors_total", &[("reason", "unseal"), ("namespace", namespace)], 1.0),
        (
            "sealed_secrets_controller_condition_info",
            &[("name", "db"), ("namespace", namespace), ("ss_app_kubernetes_io_instance", "shop")],
            1.0,
        ),
        ("sealed_secrets_controller_condition_info", &[("name", "lost"), ("ss_app_kubernetes_io_instance", "")], -1.0),
        (
            "sealed_secrets_controller_http_requests_total",
            &[("path", "/v1/cert.pem"), ("code", "200"), ("method", "get")],
            1.0,
        ),
        ("bulla_controller_reconciles_total", &[("kind", "SealedSecret"), ("result", "written")], 1.0),
        ("bulla_controller_reconciles_total", &[("kind", "SealedSecret"), ("result", "refused")], 1.0),
        ("bulla_controller_reconcile_duration_seconds_count", &[("kind", "SealedSecret")], 2.0),
        ("bulla_controller_api_writes_total", &[("kind", "SealedSecret"), ("object", "Secret")], 1.0),
        ("bulla_controller_api_writes_total", &[("kind", "SealedSecret"), ("object", "status")], 2.0),
        ("bulla_controller_queue_depth", &[("kind", "SealedSecret"), ("state", "ready")], 0.0),
        ("bulla_controller_objects", &[("kind", "SealedSecret")], 2.0),
        ("bulla_controller_sealing_keys", &[], 1.0),
    ] {
        let found = value(&families, sample, labels);
        assert!((found - expected).abs() < f64::EPSILON, "{sample} {labels:?} is {found}, not {expected}");
    }
    assert!(value(&families, "bulla_controller_private_key_operations_total", &[]) >= 2.0);
    assert!(value(&families, "bulla_controller_certificate_expiry_timestamp_seconds", &[]) > 1.7e9);
    assert!(value(&families, "process_resident_memory_bytes", &[]) > 1e6);
    for planted in ["planted", "cGxhbnRlZC12YWx1ZQ", "PRIVATE KEY"] {
        assert!(!text.contains(planted), "{planted}");
    }

    // What is gone has no series.
    fixture.namespace.delete("sealedsecret", "lost");
    fixture.namespace.delete("sealedsecret", "db");
    for _ in 0..100 {
        text = get(address, "/metrics").await.1;
        if !text.contains("condition=") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(!text.contains("condition="), "{text}");
    // The metrics are nothing that everybody may read, so they are not where the certificate is.
    assert_eq!(get(running.address().unwrap(), "/metrics").await.0, 404);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_sealed_secrets_is_there_with_its_labels() {
    needs_peers!();
    let theirs = Fixture::new("metrics-upstream");
    let (ours, key) = Fixture::with_key("metrics-ours");
    theirs.keys.apply(&key.manifest().to_string());
    let upstream = Upstream::start(&theirs);
    let running = ours.start().await;
    let other = Key::new("other", jiff::Timestamp::now());
    for fixture in [&theirs, &ours] {
        fixture.apply(&fixture.sealed(&key, "db", &json!({"a": "b"})));
        fixture.apply(&fixture.sealed(&other, "lost", &json!({"a": "b"})));
        fixture.values("db");
        let failed = |name: &str| fixture.get("sealedsecret", name)?["status"]["observedGeneration"].as_i64();
        wait_for("a report", PATIENCE, || failed("lost").and(failed("db")));
    }
    let _ = get(running.address().unwrap(), "/v1/cert.pem").await;
    let _ = get(upstream.address, "/v1/cert.pem").await;
    let labels = |text: &str| -> BTreeMap<String, BTreeSet<String>> {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, labels, _) in read(text).into_values().flat_map(|family| family.series) {
            if name.starts_with("sealed_secrets_controller_") {
                all.entry(name).or_default().extend(labels.into_keys());
            }
        }
        all
    };
    let mut our_text = String::new();
    for _ in 0..100 {
        our_text = get(running.metrics_address().unwrap(), "/metrics").await.1;
        if our_text.matches("condition=\"Synced\"").count() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let by_them = labels(&get(upstream.metrics, "/metrics").await.1);
    assert!(by_them.len() >= 8, "{by_them:?}");
    assert_eq!(labels(&our_text), by_them);
    running.stop().await;
    upstream.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_has_series_of_its_own() {
    needs_peers!();
    let external = External::new("metrics-external");
    external.fake_store(&[("planted-remote", "planted-value")]);
    let running = external.start().await;
    let address = running.metrics_address().unwrap();
    let kind = ("kind", "ExternalSecret");
    for result in ["written", "unchanged", "refused", "failed", "gone"] {
        value(
            &read(&get(address, "/metrics").await.1),
            "bulla_controller_reconciles_total",
            &[kind, ("result", result)],
        );
    }
    external.apply("db", &json!({"data": data(&[("planted-key", "planted-remote")])}));
    external.synced("db");
    external.apply("lost", &json!({"data": data(&[("planted-key", "planted-nothing")])}));
    external.failed("lost");
    settle(&running).await;
    let text = get(address, "/metrics").await.1;
    let families = read(&text);
    for (name, family) in &families {
        check(name, family);
    }
    let at_least = |sample: &str, labels: &[(&str, &str)], least: f64| {
        let found = value(&families, sample, &[&[kind], labels].concat());
        assert!(found >= least, "{sample} {labels:?} is {found}");
    };
    at_least("bulla_controller_reconciles_total", &[("result", "written")], 1.0);
    at_least("bulla_controller_reconciles_total", &[("result", "failed")], 1.0);
    at_least("bulla_controller_reconcile_duration_seconds_count", &[], 2.0);
    at_least("bulla_controller_api_writes_total", &[("object", "Secret")], 1.0);
    at_least("bulla_controller_api_writes_total", &[("object", "status")], 2.0);
    at_least("bulla_controller_objects", &[], 2.0);
    at_least("bulla_controller_queue_depth", &[("state", "delayed")], 1.0);
    // What is done for one kind does not count for another, and upstream's metrics are about SealedSecrets only.
    let writes = [("kind", "SealedSecret"), ("object", "Secret")];
    assert!(value(&families, "bulla_controller_api_writes_total", &writes).abs() < f64::EPSILON);
    assert!(value(&families, "sealed_secrets_controller_unseal_requests_total", &[]).abs() < f64::EPSILON);
    assert!(!text.contains("planted"), "{text}");
    running.stop().await;
}
