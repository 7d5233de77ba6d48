//! How fast, how much memory, how many private-key operations: measured, beside upstream's controller on the same machine.
//!
//! `cargo test -p bulla-controller --test main -- --ignored --nocapture throughput`

use std::time::{Duration, Instant};

use bulla_controller::{KeyOptions, Options};
use bulla_testkit::needs_peers;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::fixture::{Fixture, Key};
use crate::peers::Upstream;

const OBJECTS: u32 = 1000;
const ITEMS: u32 = 3;
const KEYS: usize = 12;
const LONG: Duration = Duration::from_mins(20);

/// Twelve keys of the default size, one a month; the objects are sealed with the newest.
fn keys(fixture: &Fixture) -> Key {
    let month = SignedDuration::from_hours(720);
    let mut newest = None;
    for index in (0..KEYS).rev() {
        let age = month * i32::try_from(index).unwrap();
        let key = Key::of_size(4096, &format!("key-{index:02}"), Timestamp::now() - age);
        fixture.keys.apply(&key.manifest().to_string());
        newest = Some(key);
    }
    newest.unwrap()
}

fn objects(fixture: &Fixture, key: &Key) {
    let values: Value = (0..ITEMS).map(|item| (format!("item-{item}"), json!(format!("value {item}")))).collect();
    for index in 0..OBJECTS {
        let mut sealed = fixture.sealed(key, &format!("object-{index:04}"), &values);
        sealed["spec"]["template"]["type"] = json!("Opaque");
        fixture.apply(&sealed);
    }
}

async fn until_all_exist(fixture: &Fixture) {
    let limit = Instant::now() + LONG;
    while fixture.count_secrets().await < OBJECTS as usize {
        assert!(Instant::now() < limit);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Processor time of this process so far, in seconds: on a busy machine it says more than the clock.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

#[expect(clippy::print_stderr, reason = "a measurement is for whoever runs it")]
fn report(what: &str, wall: Duration) {
    let rate = f64::from(OBJECTS) / wall.as_secs_f64();
    eprintln!(
        "{what}: {OBJECTS} SealedSecrets of {ITEMS} items, {KEYS} keys: {:.1} s, {rate:.1} a second",
        wall.as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of several minutes"]
async fn a_thousand_objects_beside_upstream() {
    needs_peers!();
    let fixture = Fixture::new("throughput");
    let key = keys(&fixture);
    objects(&fixture, &key);
    let options = Options { keys: KeyOptions { renew_period: None, ..KeyOptions::default() }, ..fixture.options() };

    let (start, processor) = (Instant::now(), processor_time());
    let running = fixture.start_with(options.clone()).await;
    // Not asked of the API server, which has enough to do.
    while running.counts().secret_writes < u64::from(OBJECTS) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    report("bulla", start.elapsed());
    while !running.is_idle() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    report("bulla, with all reported", start.elapsed());
    let processor = processor_time() - processor;
    report(&format!("bulla, {processor:.1} s of processor time"), start.elapsed());
    let counts = running.counts();
    let items = u64::from(OBJECTS * ITEMS);
    report(&format!("bulla, {counts:?}"), start.elapsed());
    assert!(counts.private_key_operations * 10 <= items * 11, "at most 1.1 an item");
    running.stop().await;

    let start = Instant::now();
    let running = fixture.start_with(options).await;
    report("bulla, restarted", start.elapsed());
    assert_eq!(running.counts(), bulla_controller::Counts::default());
    running.stop().await;

    fixture.delete_secrets().await;
    let start = Instant::now();
    let upstream = Upstream::start_with(&fixture, &["--kubeclient-qps=-1"]);
    until_all_exist(&fixture).await;
    report("sealed-secrets, --kubeclient-qps=-1", start.elapsed());
    upstream.stop();
}
