//! Keys of Google Cloud KMS against its stand-in, and what it answers when something is wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bulla_crypto::SecretBytes;
use bulla_keys::gcp::{GcpKey, GcpKeyName, GcpKms};
use bulla_keys::{MasterKey as _, UnwrapError, WrapError, WrappedKey};
use bulla_services::gcp::{Authorities, Login, Outside, Proxies, Settings};
use bulla_services::{ServiceError, Tried};
use bulla_testkit::clouds::{Clouds, Fault};
use bulla_testkit::server::Server;
use bulla_testkit::{free_port, needs_peers};
use serde_json::{Value, json};

use crate::clouds::{
    Machine, data_key, hostile_answers, now, quick, round_trip, surroundings, unwrap_error, wrap_error,
};

const RING: &str = "projects/p/locations/global/keyRings/r/cryptoKeys";

fn token(of: &Value) -> Login {
    let token = SecretBytes::new(of["token"].as_str().unwrap().as_bytes().to_vec());
    Login::Token { token, place: "GOOGLE_OAUTH_ACCESS_TOKEN".to_owned() }
}

fn credentials(json: &Value) -> Login {
    Login::Credentials { json: SecretBytes::new(json.to_string().into_bytes()), place: "credentials.json".to_owned() }
}

/// Settings that lead to `address` without TLS.
fn settings(address: &str, login: Login) -> Settings {
    let mut settings = Settings::new(login, Arc::new(Machine::default()));
    settings.endpoint = Some(address.parse().unwrap());
    settings.limits = quick();
    settings
}

/// Settings by which Google's own hosts are reached, through a proxy.
fn by_name(clouds: &Clouds, login: Login, machine: Arc<dyn Outside>) -> Settings {
    let mut settings = Settings::new(login, machine);
    settings.proxies = Proxies { https: Some(clouds.proxy().to_owned()), ..Proxies::default() };
    settings.authorities = Some(Authorities { pem: clouds.authority(), place: "authority.pem".to_owned() });
    settings.limits = quick();
    settings
}

fn kms(settings: Settings) -> Arc<GcpKms> {
    Arc::new(GcpKms::new(Ok(settings), surroundings()))
}

fn key(kms: &Arc<GcpKms>, name: &str) -> GcpKey {
    GcpKey::new(GcpKeyName { resource_id: format!("{RING}/{name}") }, Arc::clone(kms))
}

#[test]
fn what_a_key_wraps_it_unwraps_and_no_other() {
    needs_peers!();
    let clouds = Clouds::start();
    let shop = clouds.google("shop@p.iam.gserviceaccount.com", &["encrypt", "decrypt"]);
    let kms = kms(settings(clouds.address(), token(&shop)));
    let wrapped = round_trip(&key(&kms, "k"));
    assert_eq!((clouds.count("google:encrypt"), clouds.count("google:decrypt")), (1, 1));

    let of = |name: &str, wrapped: &str| unwrap_error(&key(&kms, name), wrapped);
    let error = of("other", wrapped.as_str());
    assert!(matches!(&error, ServiceError::Unfit { key, .. } if key == &format!("{RING}/other")), "{error}");
    assert!(matches!(of("k", "AAAA"), ServiceError::Unfit { .. }));
    assert!(matches!(of("missing", wrapped.as_str()), ServiceError::UnknownKey { .. }));
    let error = of("disabled", wrapped.as_str());
    assert!(error.to_string().contains("is not enabled, current state is: DISABLED"), "{error}");
    // Nothing is sent for what cannot be one.
    clouds.forget_calls();
    for text in ["no base64!", &"AAAA".repeat(40_000)] {
        let outcome = now(key(&kms, "k").unwrap(&WrappedKey::new(text)));
        assert!(matches!(outcome, Err(UnwrapError::Malformed(_))), "{outcome:?}");
    }
    let error = unwrap_error(&key(&kms, "../../../../v1/evil"), "AAAA");
    assert!(matches!(error, ServiceError::Settings(_)), "{error}");
    assert!(clouds.calls().is_empty());
}

#[test]
fn every_kind_of_credentials_gives_a_token() {
    needs_peers!();
    let clouds = Clouds::start();
    let may = ["encrypt", "decrypt", "impersonate"];
    let shop = clouds.google("shop@p.iam.gserviceaccount.com", &may);
    let target = "target@p.iam.gserviceaccount.com";
    clouds.google(target, &["encrypt", "decrypt"]);
    let impersonation =
        format!("https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{target}:generateAccessToken");
    let external = |source: Value| {
        json!({
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/ci",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": source,
        })
    };
    let subject = shop["subject_token"].as_str().unwrap();
    let in_text = Machine::with_file("/var/run/token", &format!("{subject}\n"));
    let in_json = Machine::with_file("/var/run/token", &json!({"id_token": subject}).to_string());
    let file = json!({"file": "/var/run/token"});
    let field = json!({"file": "/var/run/token", "format": {"type": "json", "subject_token_field_name": "id_token"}});
    let mut impersonating = external(file.clone());
    impersonating["service_account_impersonation_url"] = json!(impersonation);
    let issuer = {
        let subject = subject.to_owned();
        Server::start(move |_| (200, String::new(), subject.clone()))
    };
    let address = json!({"url": format!("{}/token?for=google", issuer.address()), "headers": {"X-Secret": "hunter2"}});
    let impersonated = json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": impersonation,
        "source_credentials": shop["authorized_user"],
        "delegates": [],
    });
    let nobody: Arc<Machine> = Arc::default();
    for (what, json, machine, who, calls) in [
        ("service account", shop["service_account"].clone(), &nobody, "shop@p.iam.gserviceaccount.com", &[][..]),
        ("user", shop["authorized_user"].clone(), &nobody, "shop@p.iam.gserviceaccount.com", &["google:refresh"][..]),
        ("token in a file", external(file), &in_text, "shop@p.iam.gserviceaccount.com", &["google:exchange"][..]),
        ("token in JSON", external(field), &in_json, "shop@p.iam.gserviceaccount.com", &["google:exchange"][..]),
        ("token at an address", external(address), &nobody, "shop@p.iam.gserviceaccount.com", &["google:exchange"][..]),
        ("token, then account", impersonating, &in_text, target, &["google:exchange", "google:impersonate"][..]),
        ("user, then account", impersonated, &nobody, target, &["google:refresh", "google:impersonate"][..]),
    ] {
        clouds.forget_calls();
        let kms = kms(by_name(&clouds, credentials(&json), Arc::clone(machine) as Arc<dyn Outside>));
        for _ in 0..2 {
            round_trip(&key(&kms, "k"));
        }
        let made = clouds.calls();
        let before: Vec<_> = made.iter().filter_map(|call| call.action.as_deref()).take(calls.len()).collect();
        assert_eq!(before, calls, "{what}");
        assert_eq!(made.len(), calls.len() + 4, "{what}: the token is kept");
        assert_eq!(made.last().unwrap().principal.as_deref(), Some(who), "{what}");
    }
    let asked = issuer.requests().concat().to_ascii_lowercase();
    assert!(asked.contains("get /token?for=google ") && asked.contains("x-secret: hunter2"), "{asked}");
}

#[test]
fn the_service_account_of_the_instance_is_used_if_there_is_one() {
    needs_peers!();
    let clouds = Clouds::start();
    let login = || {
        let tried = vec![Tried { place: "GOOGLE_CREDENTIALS".to_owned(), outcome: "not set".to_owned() }];
        Login::Instance { address: clouds.address().parse().unwrap(), tried }
    };
    let none = key(&kms(settings(clouds.address(), login())), "k");
    let error = wrap_error(&none);
    let ServiceError::NoCredentials { tried, .. } = &error else { panic!("{error}") };
    assert_eq!(tried.len(), 2);
    assert_eq!(tried[1].outcome, "the instance has no service account");
    assert_eq!(none.tried(), *tried);

    clouds.let_in("google", &json!({"email": "pod@p.iam.gserviceaccount.com", "may": ["encrypt"], "instance": true}));
    let key = key(&kms(settings(clouds.address(), login())), "k");
    let wrapped = now(key.wrap(&data_key())).unwrap();
    let error = unwrap_error(&key, wrapped.as_str());
    assert!(error.to_string().starts_with("pod@p.iam.gserviceaccount.com may not cloudkms."), "{error}");

    // Something else that answers at this address is not the instance.
    let stranger = Server::start(|_| (200, String::new(), r#"{"access_token":"hunter2"}"#.to_owned()));
    let login = Login::Instance { address: stranger.address().parse().unwrap(), tried: Vec::new() };
    let error = wrap_error(&super::gcp::key(&kms(settings(clouds.address(), login)), "k"));
    assert!(matches!(&error, ServiceError::NoCredentials { tried, .. } if tried[0].outcome.contains("not Google's")));
}

#[test]
fn a_missing_permission_is_told_with_what_grants_it() {
    needs_peers!();
    let clouds = Clouds::shared();
    let reader = clouds.google("reader@p.iam.gserviceaccount.com", &["decrypt"]);
    let key = key(&kms(settings(clouds.address(), credentials(&reader["service_account"]))), "denied");
    let error = wrap_error(&key);
    let ServiceError::Denied { principal, action, resource, grant } = &error else { panic!("{error}") };
    assert_eq!(principal, "reader@p.iam.gserviceaccount.com");
    assert_eq!(action, "cloudkms.cryptoKeyVersions.useToEncrypt");
    assert_eq!(resource, &format!("{RING}/denied"));
    assert_eq!(
        grant,
        "gcloud kms keys add-iam-policy-binding denied --project p --location global --keyring r \
         --member serviceAccount:reader@p.iam.gserviceaccount.com --role roles/cloudkms.cryptoKeyEncrypter"
    );
}

#[test]
fn credentials_that_are_not_accepted_are_told_by_their_place() {
    needs_peers!();
    let clouds = Clouds::start();
    let shop = clouds.google("shop@p.iam.gserviceaccount.com", &["encrypt"]);
    let stranger = Clouds::start().google("shop@p.iam.gserviceaccount.com", &["encrypt"]);
    let fixed = json!({"token": "hunter2"});
    let mut revoked = shop["authorized_user"].clone();
    revoked["refresh_token"] = json!("hunter2");
    let nobody = || Arc::new(Machine::default());
    for (login, expected, calls) in [
        (token(&fixed), "Google Cloud KMS does not accept the token from `GOOGLE_OAUTH_ACCESS_TOKEN`: ", 1),
        // Signed once more: its key may have been on its way.
        (credentials(&stranger["service_account"]), "Google Cloud KMS does not accept shop@p.iam", 2),
        (
            credentials(&revoked),
            "does not accept the credentials in `credentials.json`: Token has been expired or revoked",
            1,
        ),
    ] {
        clouds.forget_calls();
        let key = key(&kms(by_name(&clouds, login, nobody())), "k");
        let error = wrap_error(&key).to_string();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        assert_eq!(clouds.calls().len(), calls, "{error}");
    }
}

#[test]
fn what_may_work_later_is_asked_again_and_a_token_that_is_over_is_renewed() {
    needs_peers!();
    let clouds = Clouds::start();
    let shop = clouds.google("shop@p.iam.gserviceaccount.com", &["encrypt", "decrypt"]);
    let kms = kms(by_name(&clouds, credentials(&shop["authorized_user"]), Arc::new(Machine::default())));
    let key = key(&kms, "k");
    for (status, times, calls, works) in [(429, 2, 3, true), (503, 4, 5, true), (429, 9, 5, false), (500, 9, 5, false)]
    {
        clouds.forget_calls();
        clouds.fail(&Fault {
            action: Some("google:encrypt"),
            times: Some(times),
            status: Some(status),
            ..Fault::default()
        });
        let outcome = now(key.wrap(&data_key()));
        assert_eq!(outcome.is_ok(), works, "{status}: {outcome:?}");
        assert_eq!(clouds.count("google:encrypt"), calls, "{status}");
        clouds.mend();
        if let Err(WrapError::Service(error)) = outcome {
            let is_told = match status {
                429 => matches!(*error, ServiceError::Throttled { attempts: 5, .. }),
                _ => matches!(*error, ServiceError::Unavailable { .. }),
            };
            assert!(is_told, "{error}");
        }
    }
    clouds.forget_calls();
    clouds.fail(&Fault { action: Some("google:encrypt"), times: Some(1), status: Some(401), ..Fault::default() });
    now(key.wrap(&data_key())).unwrap();
    assert_eq!((clouds.count("google:refresh"), clouds.count("google:encrypt")), (1, 2));
}

#[test]
fn many_calls_get_one_token_and_are_bounded() {
    needs_peers!();
    let clouds = Clouds::start();
    let shop = clouds.google("shop@p.iam.gserviceaccount.com", &["encrypt", "decrypt"]);
    let mut settings = by_name(&clouds, credentials(&shop["authorized_user"]), Arc::new(Machine::default()));
    settings.limits.calls = 2;
    let kms = kms(settings);
    clouds.fail(&Fault { action: Some("google:encrypt"), delay: 0.05, ..Fault::default() });
    let started = Instant::now();
    let wraps = (0..8).map(|_| {
        let key = key(&kms, "k");
        async move { key.wrap(&data_key()).await.map(drop) }
    });
    let wraps: Vec<_> = wraps.map(|wrap| std::thread::spawn(move || now(wrap))).collect();
    for wrap in wraps {
        wrap.join().unwrap().unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(200), "two at a time");
    assert_eq!((clouds.count("google:refresh"), clouds.count("google:encrypt")), (1, 8));
}

#[test]
fn a_server_that_is_not_there_is_asked_a_few_times_and_then_not_for_a_while() {
    let address = format!("http://127.0.0.1:{}", free_port());
    let key = key(&kms(settings(&address, token(&json!({"token": "t"})))), "k");
    let error = wrap_error(&key);
    assert!(matches!(&error, ServiceError::Unreachable { address: told, .. } if told.contains(&address)), "{error}");
    let started = Instant::now();
    for _ in 0..100 {
        assert!(matches!(wrap_error(&key), ServiceError::Unreachable { .. }));
    }
    assert!(started.elapsed() < Duration::from_secs(2));
    // A certificate that nobody trusts is not trusted at the next attempt either.
    needs_peers!();
    let clouds = Clouds::shared();
    let mut settings = by_name(clouds, token(&json!({"token": "t"})), Arc::new(Machine::default()));
    settings.authorities = Some(Authorities { pem: Clouds::start().authority(), place: "other.pem".to_owned() });
    let error = wrap_error(&super::gcp::key(&kms(settings), "k"));
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[test]
fn what_is_no_answer_of_kms_is_refused_and_not_shown() {
    for (what, status, body) in hostile_answers() {
        let server = Server::start(move |_| (status, String::new(), body.clone()));
        let key = key(&kms(settings(&server.address(), token(&json!({"token": "swordfish"})))), "k");
        for error in [wrap_error(&key), unwrap_error(&key, "AAAA")] {
            assert!(matches!(error, ServiceError::Unexpected { .. }), "{what}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{what}: {error}");
        }
        assert_eq!(server.requests().len(), 2, "{what}");
    }
    // Damaged on the way.
    let body = r#"{"plaintext":"AAAA","plaintextCrc32c":"7","ciphertext":"AAAA","ciphertextCrc32c":"7"}"#;
    let server = Server::start(move |_| (200, String::new(), body.to_owned()));
    let key = key(&kms(settings(&server.address(), token(&json!({"token": "swordfish"})))), "k");
    assert!(unwrap_error(&key, "AAAA").to_string().contains("its checksum does not fit"));
}
