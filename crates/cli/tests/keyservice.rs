//! The key service with the real SOPS on either side, for keys of every kind that a server stands ready for.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use bulla_testkit::clouds::Clouds;
use bulla_testkit::gnupg::{Home, SOPS_KEYS};
use bulla_testkit::moto::Moto;
use bulla_testkit::process::{Program, Running};
use bulla_testkit::vault::{ROOT_TOKEN, Vault};
use bulla_testkit::{free_port, needs_peers, peers};

use crate::fixture::{Keys, Place, bulla};

const PLAIN: &str = "# comment\nuser: shop\npassword: hunter2\n";

/// Whoever has every key: the environment of the service, and the options that name them.
struct Keyholder {
    environment: String,
    keys: Vec<(&'static str, String)>,
    _home: Home,
}

impl Keyholder {
    /// `name` is of this test alone.
    fn new(name: &str) -> Self {
        let (home, vault, moto) = (Home::of_sops(), Vault::shared(), Moto::shared());
        vault.write(&format!("sys/mounts/{name}"), r#"{"type": "transit"}"#);
        vault.write(&format!("{name}/keys/k"), "{}");
        let clouds = Clouds::shared();
        let google = clouds.google(&format!("{name}@p.iam.gserviceaccount.com"), &["encrypt", "decrypt"]);
        let environment = format!(
            "export SOPS_AGE_KEY_FILE={} GNUPGHOME={} VAULT_ADDR={} VAULT_TOKEN={ROOT_TOKEN} AWS_ENDPOINT_URL={} \
             AWS_ACCESS_KEY_ID=AKIATEST AWS_SECRET_ACCESS_KEY=swordfish AWS_EC2_METADATA_DISABLED=true \
             SOPS_GCP_KMS_CLIENT_TYPE=rest SOPS_GCP_KMS_ENDPOINT={} GOOGLE_OAUTH_ACCESS_TOKEN={};",
            Keys::shared().path("alice.key").display(),
            home.path().display(),
            vault.address(),
            moto.address(),
            clouds.address(),
            google["token"].as_str().unwrap()
        );
        let keys = vec![
            ("--age", Keys::shared().alice.clone()),
            ("--pgp", SOPS_KEYS[0].to_owned()),
            ("--hc-vault-transit", format!("{}/v1/{name}/keys/k", vault.address())),
            ("--kms", moto.key("us-east-1")),
            ("--gcp-kms", format!("projects/p/locations/global/keyRings/r/cryptoKeys/{name}")),
        ];
        Self { environment, keys, _home: home }
    }
}

/// Somebody without any key, whose services are these.
fn nobody(place: &Place, services: &str) -> String {
    let none = place.root().join("home");
    format!(
        "unset SOPS_AGE_KEY_FILE; export GNUPGHOME={} SOPS_KEYSERVICE={services} AWS_EC2_METADATA_DISABLED=true AWS_REGION=us-east-1 \
         SOPS_GCP_KMS_CLIENT_TYPE=rest SOPS_GCP_KMS_ENDPOINT={} GOOGLE_OAUTH_ACCESS_TOKEN=nobody;",
        none.display(),
        Clouds::shared().address()
    )
}

fn place() -> Place {
    let place = Place::new().with_program(&peers::sops());
    place.write("app.yaml", PLAIN);
    place
}

/// Starts a service, and waits until it says that it listens.
fn start(place: &Place, environment: &str, command: &str, answers: &str) -> Running {
    let running = program(place, environment, command).stdin(answers).start().unwrap();
    until(&running, || running.stderr().contains("Listening on"));
    running
}

/// The same for one that says nothing, on a socket.
fn start_unheard(place: &Place, environment: &str, command: &str) -> Running {
    let running = program(place, environment, command).start().unwrap();
    until(&running, || place.root().join("keys.sock").exists());
    running
}

fn until(running: &Running, is_so: impl Fn() -> bool) {
    while !is_so() {
        assert!(running.is_running(), "{}", running.stderr());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn program(place: &Place, environment: &str, command: &str) -> Program {
    let programs = [bulla().to_path_buf(), peers::sops()].map(|path| path.parent().unwrap().display().to_string());
    Program::new("sh")
        .args(["-c", &format!("{environment} exec {command}")])
        .current_dir(place.path())
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.join(":")))
        .env("HOME", place.root().join("home"))
}

/// Where a service listens: by the options of its command, and by its URL.
fn on_a_port() -> (String, String) {
    let address = format!("127.0.0.1:{}", free_port());
    (format!("--network tcp --address {address}"), format!("tcp://{address}"))
}

fn on_a_socket(place: &Place) -> (String, String) {
    let path = place.root().join("keys.sock").display().to_string();
    (format!("--network unix --address {path}"), format!("unix://{path}"))
}

/// Has `wrapping` encrypt and `unwrapping` decrypt, for each key alone.
fn every_key(place: &Place, holder: &Keyholder, url: &str, wrapping: &str, unwrapping: &str) {
    let nobody = nobody(place, url);
    for (option, key) in &holder.keys {
        place.does(&format!("{nobody} {wrapping} encrypt {option} '{key}' app.yaml > app.enc.yaml"));
        assert!(!place.read("app.enc.yaml").contains("hunter2"));
        assert_eq!(place.does(&format!("{nobody} {unwrapping} decrypt app.enc.yaml")), PLAIN, "{option}");
    }
}

#[test]
fn sops_and_bulla_ask_our_service_for_keys_of_every_kind() {
    needs_peers!();
    let (place, holder) = (place(), Keyholder::new("our-service"));
    for (options, url) in [on_a_port(), on_a_socket(&place)] {
        let service = start(&place, &holder.environment, &format!("bulla keyservice --verbose {options}"), "");
        every_key(&place, &holder, &url, "sops", "bulla");
        every_key(&place, &holder, &url, "bulla", "sops");
        every_key(&place, &holder, &url, "bulla", "bulla");
        let ended = service.terminate(Duration::from_secs(20)).unwrap().success();
        let said = ended.stderr_text();
        assert!(said.contains(&format!("decrypt with pgp {}: done", SOPS_KEYS[0])), "{said}");
        assert!(!said.contains("hunter2"));
    }
    assert!(!place.root().join("keys.sock").exists(), "the file of the socket is gone");
}

#[test]
fn under_the_name_of_sops_it_asks_and_serves_as_well() {
    needs_peers!();
    let (place, holder) = (place(), Keyholder::new("by-name"));
    let (options, url) = on_a_socket(&place);
    let options = options.replace("--network", "--net").replace("--address", "--addr");
    let service = start(&place, &holder.environment, &format!("bulla sops keyservice --verbose {options}"), "");
    every_key(&place, &holder, &url, "bulla sops", "sops");
    every_key(&place, &holder, &url, "sops", "bulla sops");
    let ended = service.terminate(Duration::from_secs(20)).unwrap().success();
    let said = ended.stderr_text();
    assert!(said.starts_with("[KEYSERVICE]\t time=") && said.contains("msg=\"Listening on unix://"), "{said}");
    let silent = start_unheard(&place, "", &format!("bulla sops keyservice {options}"));
    let taken = place.run(&format!("bulla sops keyservice {options}"));
    assert_eq!(taken.code(), Some(1));
    assert!(taken.stderr_text().contains("Error running keyservice: "), "{}", taken.stderr_text());
    assert_eq!(silent.terminate(Duration::from_secs(20)).unwrap().success().stderr_text(), "");
}

#[test]
fn bulla_asks_the_service_of_sops() {
    needs_peers!();
    let (place, holder) = (place(), Keyholder::new("their-service"));
    for (options, url) in [on_a_port(), on_a_socket(&place)] {
        let service = start(&place, &holder.environment, &format!("sops keyservice --verbose {options}"), "");
        every_key(&place, &holder, &url, "bulla", "bulla");
        every_key(&place, &holder, &url, "sops", "bulla");
        drop(service);
    }
}

#[test]
fn a_change_and_a_rotation_go_by_a_service_too() {
    needs_peers!();
    let place = place();
    let (options, url) = on_a_socket(&place);
    let with_alice = format!("export SOPS_AGE_KEY_FILE={};", Keys::shared().path("alice.key").display());
    let service = start(&place, &with_alice, &format!("bulla keyservice {options}"), "");
    assert_eq!(fs::metadata(place.root().join("keys.sock")).unwrap().permissions().mode() & 0o777, 0o600);
    place.write(".sops.yaml", "creation_rules:\n    - age: ".to_owned() + &Keys::shared().alice + "\n");
    let nobody = "unset SOPS_AGE_KEY_FILE;";
    let by_service = format!("--enable-local-keyservice=false --keyservice {url}");
    place.does(&format!("{nobody} bulla encrypt {by_service} --in-place app.yaml"));
    place.does(&format!("{nobody} printf swordfish | bulla set {by_service} app.yaml '[\"password\"]'"));
    place.does(&format!("{nobody} EDITOR='sed -i s/shop/store/' bulla edit {by_service} app.yaml"));
    place.does(&format!("{nobody} bulla rotate --all {by_service} app.yaml"));
    let changed = PLAIN.replace("hunter2", "swordfish").replace("shop", "store");
    assert_eq!(place.does("sops decrypt app.yaml"), changed);
    drop(service);
    // The local one is there, and nobody else.
    let failed = place.run(&format!("bulla decrypt {by_service} app.yaml"));
    assert_eq!(failed.code(), Some(128));
    let said = failed.stderr_text();
    assert!(said.contains(&format!("the key service {url}: cannot be reached: ")) && !said.contains("here:"), "{said}");
    assert_eq!(place.does(&format!("bulla decrypt --keyservice {url} app.yaml")), changed);
    assert_eq!(place.run("bulla decrypt --keyservice http://x app.yaml").code(), Some(64));
}

#[test]
fn what_is_asked_is_asked_before_anything_is_done() {
    needs_peers!();
    let place = place();
    let (options, url) = on_a_socket(&place);
    // A program in place of gpg, which notes that it was run.
    let home = Home::of_sops();
    let noted = place.write(
        "gpg",
        format!("#!/bin/sh\necho run >> {}\nexec /usr/bin/env gpg \"$@\"\n", place.file("noted").display()),
    );
    fs::set_permissions(&noted, fs::Permissions::from_mode(0o700)).unwrap();
    let environment = format!("export GNUPGHOME={} SOPS_GPG_EXEC={};", home.path().display(), noted.display());
    place.does(&format!("{environment} sops encrypt --pgp {} app.yaml > app.enc.yaml; rm noted", SOPS_KEYS[0]));
    let service = start(&place, &environment, &format!("bulla keyservice --prompt {options}"), "n\nperhaps\ny\n");
    let nobody = nobody(&place, &url);
    let refused = place.run(&format!("{nobody} sops decrypt app.enc.yaml"));
    assert_eq!(refused.code(), Some(128), "{}", refused.stderr_text());
    assert!(refused.stderr_text().contains("PermissionDenied desc = Request rejected"), "{}", refused.stderr_text());
    assert!(!place.file("noted").exists(), "gpg was not run for what was refused");
    assert_eq!(place.does(&format!("{nobody} bulla decrypt app.enc.yaml")), PLAIN);
    assert!(place.file("noted").exists());
    // Nobody answers any more.
    let refused = place.run(&format!("{nobody} bulla decrypt app.enc.yaml"));
    assert_eq!(refused.code(), Some(128));
    let asked = service.stderr();
    let question = format!("Received decrypt request using pgp {}. Respond to request? (y/n): ", SOPS_KEYS[0]);
    assert_eq!(asked.matches(&question).count(), 4, "{asked}");
}

#[test]
fn a_place_that_is_taken_is_told() {
    needs_peers!();
    let place = place();
    for (options, _) in [on_a_port(), on_a_socket(&place)] {
        let service = start(&place, "", &format!("bulla keyservice {options}"), "");
        let failed = place.run(&format!("bulla keyservice {options}"));
        assert_eq!(failed.code(), Some(1));
        assert!(failed.stderr_text().contains("another program listens there"), "{}", failed.stderr_text());
        assert!(service.is_running());
    }
    assert_eq!(place.run("bulla keyservice --network udp").code(), Some(64));
    assert_eq!(place.run("bulla keyservice --address nowhere").code(), Some(64));
}
