//! Keys of one file are asked at the same time, and no more of them than so many.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bulla_testkit::server::Server;

use crate::fixture::Place;

/// How many keys of one file are asked at once.
const BOUND: usize = 8;
/// After this, nobody else is waited for.
const LONGEST: Duration = Duration::from_secs(20);
/// How long one more is waited for that should not come.
const ONE_MORE: Duration = Duration::from_millis(200);

/// Servers that answer nobody before so many ask at once.
struct Holding {
    servers: Vec<Server>,
    highest: Arc<AtomicUsize>,
}

impl Holding {
    fn start(servers: usize, until: usize) -> Self {
        let (under_way, changed) = (Arc::new(Mutex::new(0)), Arc::new(Condvar::new()));
        let highest = Arc::new(AtomicUsize::new(0));
        let start = |_| {
            let (under_way, changed, highest) = (Arc::clone(&under_way), Arc::clone(&changed), Arc::clone(&highest));
            Server::start(move |_| {
                let mut held = under_way.lock().unwrap();
                *held += 1;
                highest.fetch_max(*held, Ordering::SeqCst);
                changed.notify_all();
                let waiting = |_: &mut usize| highest.load(Ordering::SeqCst) < until;
                drop(changed.wait_timeout_while(held, LONGEST, waiting).unwrap());
                std::thread::sleep(ONE_MORE);
                *under_way.lock().unwrap() -= 1;
                (200, String::new(), r#"{"data":{"ciphertext":"vault:v1:AAAA"}}"#.to_owned())
            })
        };
        Self { servers: (0..servers).map(start).collect(), highest }
    }
}

#[test]
fn the_keys_of_a_file_are_asked_at_once_and_no_more_than_so_many() {
    // Four keys of each of four servers: what one client bears is its own bound, and larger.
    let holding = Holding::start(4, BOUND);
    let uris: Vec<String> =
        (0..16).map(|number| format!("{}/v1/transit/keys/k{number}", holding.servers[number % 4].address())).collect();
    let place = Place::new();
    place.write("app.yaml", "password: hunter2\n");
    let addresses: Vec<String> = holding.servers.iter().map(Server::address).collect();
    let written = place.does(&format!(
        "VAULT_TOKEN=root SOPS_HC_VAULT_ALLOWLIST={} bulla encrypt --age $ALICE --hc-vault-transit {} app.yaml",
        addresses.join(","),
        uris.join(",")
    ));
    assert_eq!(holding.highest.load(Ordering::SeqCst), BOUND);
    assert_eq!(holding.servers.iter().map(|server| server.requests().len()).sum::<usize>(), 16);
    // In the file they stand as they were named, whoever answered first.
    let names: Vec<&str> = written.lines().filter_map(|line| line.trim().strip_prefix("key_name: ")).collect();
    assert_eq!(names, (0..16).map(|number| format!("k{number}")).collect::<Vec<_>>());
    assert!(written.contains("recipient: age1"), "{written}");
}

#[test]
fn of_several_keys_that_fail_the_first_is_told() {
    let refuses = |wait| {
        Server::start(move |_| {
            std::thread::sleep(Duration::from_millis(wait));
            (403, String::new(), r#"{"errors":["permission denied"]}"#.to_owned())
        })
    };
    let (slow, fast) = (refuses(300), refuses(0));
    let place = Place::new();
    place.write("app.yaml", "password: hunter2\n");
    let done = place.run(&format!(
        "VAULT_TOKEN=root SOPS_HC_VAULT_ALLOWLIST={slow},{fast} bulla encrypt --hc-vault-transit {slow}/v1/transit/keys/first,{fast}/v1/transit/keys/second app.yaml",
        slow = slow.address(),
        fast = fast.address()
    ));
    let said = done.stderr_text();
    assert_eq!(done.code(), Some(1), "{said}");
    assert!(said.contains("keys/first") && !said.contains("keys/second"), "{said}");
}
