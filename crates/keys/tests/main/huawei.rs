//! Keys of Huawei Cloud KMS against its stand-in, and what it answers when something is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulla_crypto::SecretBytes;
use bulla_keys::huawei::{HuaweiKey, HuaweiKeyName, HuaweiKms};
use bulla_keys::{MasterKey as _, UnwrapError, WrappedKey};
use bulla_services::ServiceError;
use bulla_services::huawei::{Authorities, Login, Proxies, Settings};
use bulla_testkit::clouds::{Clouds, Fault};
use bulla_testkit::needs_peers;
use bulla_testkit::server::Server;
use serde_json::json;

use crate::clouds::{
    Machine, data_key, hostile_answers, now, quick, round_trip, surroundings, unwrap_error, wrap_error,
};

const PROJECT: &str = "project-of-tests";
const KEY: &str = "0d0466b0-e727-4d9c-b35d-f84bb474a37f";

fn access_key(id: &str, secret: &str, project: Option<&str>) -> Login {
    Login::Key {
        id: id.to_owned(),
        secret: SecretBytes::new(secret.as_bytes().to_vec()),
        security_token: None,
        project: project.map(str::to_owned),
        place: "HUAWEICLOUD_SDK_AK".to_owned(),
    }
}

/// Settings by which a region leads to `address` without TLS.
fn settings(address: &str, login: Login) -> Settings {
    let mut settings = Settings::new(login, Arc::new(Machine::default()));
    settings.endpoints = BTreeMap::from([("EU_WEST_101".to_owned(), address.parse().unwrap())]);
    settings.iam = Some(address.parse().unwrap());
    settings.limits = quick();
    settings
}

fn kms(settings: Settings) -> Arc<HuaweiKms> {
    Arc::new(HuaweiKms::new(Ok(settings), surroundings()))
}

fn key(kms: &Arc<HuaweiKms>, name: &str) -> HuaweiKey {
    HuaweiKey::new(HuaweiKeyName { key_id: name.to_owned() }, Arc::clone(kms))
}

fn let_in(clouds: &Clouds, id: &str, may: &[&str]) {
    clouds.let_in("huawei", &json!({"access_key": id, "secret_key": "s3cret", "may": may}));
}

#[test]
fn what_a_key_wraps_it_unwraps_and_no_other() {
    needs_peers!();
    let clouds = Clouds::start();
    let_in(&clouds, "AK1", &["encrypt", "decrypt"]);
    let kms = kms(settings(clouds.address(), access_key("AK1", "s3cret", Some(PROJECT))));
    let ours = key(&kms, &format!("eu-west-101:{KEY}"));
    let wrapped = round_trip(&ours);
    assert_eq!((clouds.count("huawei:encrypt"), clouds.count("huawei:decrypt")), (1, 1));

    let of = |name: &str, wrapped: &str| unwrap_error(&key(&kms, &format!("eu-west-101:{name}")), wrapped);
    assert!(matches!(of("0d0466b0-aaaa", wrapped.as_str()), ServiceError::Unfit { .. }));
    assert!(matches!(of(KEY, "AAAA"), ServiceError::Unfit { .. }));
    assert!(matches!(of("dead", wrapped.as_str()), ServiceError::UnknownKey { .. }));
    let error = of("d15ab1ed", wrapped.as_str());
    assert!(matches!(error, ServiceError::Unusable { .. }), "{error}");
    // Nothing is sent for what cannot be one, and no name leads elsewhere.
    clouds.forget_calls();
    for text in ["", &"A".repeat(20_000)] {
        let outcome = now(ours.unwrap(&WrappedKey::new(text)));
        assert!(matches!(outcome, Err(UnwrapError::Malformed(_))), "{outcome:?}");
    }
    for name in
        ["evil.example/:0d04", "eu-west-101.evil.example:0d04", "eu-west-101@evil:0d04", "eu-west-101:../0d04", "x"]
    {
        let error = unwrap_error(&key(&kms, name), "AAAA");
        assert!(matches!(error, ServiceError::Settings(_)), "{name}: {error}");
    }
    assert!(clouds.calls().is_empty());
}

#[test]
fn a_region_is_reached_by_its_name_and_its_project_asked_for_once() {
    needs_peers!();
    let clouds = Clouds::start();
    let_in(&clouds, "AK1", &["encrypt", "decrypt"]);
    let by_name = |login| {
        let mut settings = Settings::new(login, Arc::new(Machine::default()));
        settings.proxies = Proxies { https: Some(clouds.proxy().to_owned()), ..Proxies::default() };
        settings.authorities = Some(Authorities { pem: clouds.authority(), place: "authority.pem".to_owned() });
        settings.limits = quick();
        settings
    };
    for region in ["eu-west-101", "cn-north-4"] {
        clouds.forget_calls();
        let kms = kms(by_name(access_key("AK1", "s3cret", None)));
        for _ in 0..2 {
            round_trip(&key(&kms, &format!("{region}:{KEY}")));
        }
        let counts = ["huawei:projects", "huawei:encrypt", "huawei:decrypt"].map(|action| clouds.count(action));
        assert_eq!(counts, [1, 2, 2], "{region}");
    }
    clouds.let_in(
        "huawei",
        &json!({"access_key": "AK2", "secret_key": "s3cret", "may": ["encrypt"], "projects": ["a", "b"]}),
    );
    let error = wrap_error(&key(&kms(by_name(access_key("AK2", "s3cret", None))), &format!("cn-north-4:{KEY}")));
    assert!(error.to_string().contains("has 2 projects in cn-north-4: set `HUAWEICLOUD_SDK_PROJECT_ID`"), "{error}");
}

#[test]
fn temporary_credentials_sign_their_token_and_come_from_the_instance() {
    needs_peers!();
    let clouds = Clouds::start();
    let login = || Login::Instance {
        address: clouds.address().parse().unwrap(),
        project: Some(PROJECT.to_owned()),
        tried: Vec::new(),
    };
    let none = key(&kms(settings(clouds.address(), login())), &format!("eu-west-101:{KEY}"));
    let error = wrap_error(&none);
    assert!(matches!(&error, ServiceError::NoCredentials { tried, .. } if tried.len() == 1), "{error}");
    assert_eq!(none.tried().len(), 1);
    let temporary = json!({
        "access_key": "TEMPORARY",
        "secret_key": "s3cret",
        "security_token": "t0ken",
        "may": ["encrypt", "decrypt"],
        "instance": true,
    });
    clouds.let_in("huawei", &temporary);
    clouds.forget_calls();
    let kms = kms(settings(clouds.address(), login()));
    for _ in 0..2 {
        round_trip(&key(&kms, &format!("eu-west-101:{KEY}")));
    }
    assert_eq!((clouds.count("huawei:instance-token"), clouds.count("huawei:instance")), (1, 1));
    assert_eq!(clouds.calls().last().unwrap().principal.as_deref(), Some("TEMPORARY"));
}

#[test]
fn who_may_not_and_who_is_not_known_are_told() {
    needs_peers!();
    let clouds = Clouds::start();
    let_in(&clouds, "READER", &["decrypt"]);
    let name = format!("eu-west-101:{KEY}");
    let reader = kms(settings(clouds.address(), access_key("READER", "s3cret", Some(PROJECT))));
    let error = wrap_error(&key(&reader, &name));
    let ServiceError::Denied { principal, action, resource, grant } = &error else { panic!("{error}") };
    assert_eq!(principal, "the access key `READER` from `HUAWEICLOUD_SDK_AK`");
    assert_eq!((&**action, resource), ("kms:cmk:encrypt", &name));
    assert!(grant.contains(r#""Action": ["kms:cmk:encrypt"]"#), "{grant}");
    for (id, secret) in [("READER", "hunter2"), ("NOBODY", "hunter2")] {
        let stranger = kms(settings(clouds.address(), access_key(id, secret, Some(PROJECT))));
        let error = wrap_error(&key(&stranger, &name));
        assert!(matches!(error, ServiceError::Rejected { .. }), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
    let foreign = kms(settings(clouds.address(), access_key("READER", "s3cret", Some("../evil"))));
    assert!(matches!(wrap_error(&key(&foreign, &name)), ServiceError::Settings(_)));
}

#[test]
fn what_may_work_later_is_asked_again() {
    needs_peers!();
    let clouds = Clouds::start();
    let_in(&clouds, "AK1", &["encrypt", "decrypt"]);
    let kms = kms(settings(clouds.address(), access_key("AK1", "s3cret", Some(PROJECT))));
    let key = key(&kms, &format!("eu-west-101:{KEY}"));
    for (status, times, calls, works) in [(429, 2, 3, true), (503, 4, 5, true), (429, 9, 5, false)] {
        clouds.forget_calls();
        let fault =
            Fault { action: Some("huawei:encrypt"), times: Some(times), status: Some(status), ..Fault::default() };
        clouds.fail(&fault);
        assert_eq!(now(key.wrap(&data_key())).is_ok(), works, "{status}");
        assert_eq!(clouds.count("huawei:encrypt"), calls, "{status}");
        clouds.mend();
    }
}

#[test]
fn what_is_no_answer_of_kms_is_refused_and_not_shown() {
    for (what, status, body) in hostile_answers() {
        let server = Server::start(move |_| (status, String::new(), body.clone()));
        let kms = kms(settings(&server.address(), access_key("AK1", "swordfish", Some(PROJECT))));
        let key = key(&kms, &format!("eu-west-101:{KEY}"));
        for error in [wrap_error(&key), unwrap_error(&key, "AAAA")] {
            assert!(matches!(error, ServiceError::Unexpected { .. }), "{what}: {error}");
            let told = format!("{error:?}");
            assert!(!told.contains("hunter2") && !told.contains("swordfish"), "{what}: {error}");
        }
        assert!(!server.requests().concat().contains("swordfish"), "the secret is never sent");
    }
}
