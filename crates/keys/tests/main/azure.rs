//! Keys of Azure Key Vault against its stand-in, and what it answers when something is wrong.

use std::collections::HashMap;
use std::sync::Arc;

use bulla_crypto::SecretBytes;
use bulla_keys::azure::{AzureKey, AzureKeyName, KeyVault};
use bulla_keys::{KeyName, MasterKey as _, UnwrapError, WrappedKey};
use bulla_services::azure::{AllowedVaults, Authorities, Outside, Proxies, Settings, Source};
use bulla_services::{ServiceError, Tried};
use bulla_testkit::clouds::{Clouds, Fault};
use bulla_testkit::needs_peers;
use bulla_testkit::server::Server;
use serde_json::json;

use crate::clouds::{
    Machine, data_key, hostile_answers, now, quick, round_trip, surroundings, unwrap_error, wrap_error,
};

const AUTHORITY: &str = "https://login.microsoftonline.com";
const VAULT: &str = "https://shop.vault.azure.net";
const ALL: [&str; 3] = ["encrypt", "decrypt", "get"];

/// Settings by which Azure's own hosts are reached, through a proxy.
fn by_name(clouds: &Clouds, sources: Vec<Source>, machine: Arc<dyn Outside>) -> Settings {
    let authority = AUTHORITY.parse().unwrap();
    Settings {
        sources,
        allowed: AllowedVaults::read(&authority, None).unwrap(),
        authority,
        machine: clouds.address().parse().unwrap(),
        proxies: Proxies { https: Some(clouds.proxy().to_owned()), ..Proxies::default() },
        authorities: Some(Authorities { pem: clouds.authority(), place: "authority.pem".to_owned() }),
        limits: quick(),
        outside: machine,
    }
}

fn vault(settings: Settings) -> Arc<KeyVault> {
    Arc::new(KeyVault::new(Ok(settings), surroundings()))
}

fn key(vault: &Arc<KeyVault>, url: &str, name: &str, version: &str) -> AzureKey {
    let name = AzureKeyName { vault_url: url.to_owned(), name: name.to_owned(), version: version.to_owned() };
    AzureKey::new(name, Arc::clone(vault))
}

fn version_of(key: &AzureKey) -> String {
    match key.name() {
        KeyName::Azure(name) => name.version,
        other => panic!("{other:?}"),
    }
}

/// An application with a secret, let in.
fn application(clouds: &Clouds, client_id: &str, may: &[&str]) -> Source {
    let given = clouds.let_in("azure", &json!({"client_id": client_id, "secret": "s3cret", "may": may}));
    let tenant = given["tenant"].as_str().unwrap().to_owned();
    Source::Secret { tenant, client_id: client_id.to_owned(), secret: SecretBytes::new(b"s3cret".to_vec()) }
}

fn nobody() -> Arc<dyn Outside> {
    Arc::new(Machine::default())
}

#[test]
fn what_a_key_wraps_it_unwraps_and_no_other() {
    needs_peers!();
    let clouds = Clouds::start();
    let vault = vault(by_name(&clouds, vec![application(&clouds, "a1", &ALL)], nobody()));
    // Without a version, the newest is found out, once, and is a part of the name from then on.
    let sops = key(&vault, VAULT, "sops", "");
    let wrapped = round_trip(&sops);
    assert!(!wrapped.as_str().contains(['+', '/', '=']), "{}", wrapped.as_str());
    let version = version_of(&sops);
    assert_eq!(version.len(), 32, "{version}");
    round_trip(&sops);
    let counts = ["azure:token", "azure:get", "azure:encrypt", "azure:decrypt"].map(|action| clouds.count(action));
    assert_eq!(counts, [1, 1, 2, 2]);
    // With it, nothing is looked up; with a slash at the end of the vault, as some write it.
    clouds.forget_calls();
    let known = key(&vault, &format!("{VAULT}/"), "sops", &version);
    assert_eq!(now(known.unwrap(&wrapped)).unwrap().unwrap().expose_secret(), data_key().expose_secret());
    assert_eq!(clouds.calls().len(), 1);

    let of = |name: &str, wrapped: &str| unwrap_error(&key(&vault, VAULT, name, ""), wrapped);
    assert!(matches!(of("other", wrapped.as_str()), ServiceError::Unfit { .. }));
    assert!(matches!(of("missing", wrapped.as_str()), ServiceError::UnknownKey { .. }));
    let error = of("disabled", wrapped.as_str());
    assert!(error.to_string().contains("not allowed on a disabled key. (KeyDisabled)"), "{error}");
    let error = unwrap_error(&key(&vault, VAULT, "sops", "0123"), wrapped.as_str());
    assert!(matches!(error, ServiceError::UnknownKey { .. }), "{error}");
    clouds.forget_calls();
    for text in ["no/base64", "", &"AAAA".repeat(4000)] {
        let outcome = now(sops.unwrap(&WrappedKey::new(text)));
        assert!(matches!(outcome, Err(UnwrapError::Malformed(_))), "{outcome:?}");
    }
    assert!(clouds.calls().is_empty());
}

#[test]
fn a_token_goes_to_no_host_that_is_not_a_vault_by_its_name() {
    needs_peers!();
    let clouds = Clouds::start();
    let vault = vault(by_name(&clouds, vec![application(&clouds, "a1", &ALL)], nobody()));
    for url in [
        "https://shop.vault.azure.net.evil.example",
        "https://evil.example",
        "https://shop.vault.azure.cn",
        "https://shop.vault.azure.net:8443",
        "http://shop.vault.azure.net",
        "https://evilvault.azure.net",
        "https://127.0.0.1",
    ] {
        let error = unwrap_error(&key(&vault, url, "sops", "0123"), "AAAA");
        assert!(matches!(error, ServiceError::NotAllowed { .. }), "{url}: {error}");
    }
    for url in ["https://evil.example@shop.vault.azure.net", "https://shop.vault.azure.net/keys?x=", "shop", ""] {
        let error = unwrap_error(&key(&vault, url, "sops", "0123"), "AAAA");
        assert!(matches!(error, ServiceError::Settings(_)), "{url}: {error}");
    }
    assert!(clouds.calls().is_empty(), "{:?}", clouds.calls());
}

#[test]
fn every_source_gives_a_token_and_the_first_that_is_there_counts() {
    needs_peers!();
    let clouds = Clouds::start();
    let given = clouds.let_in("azure", &json!({"client_id": "certified", "certificate": true, "may": ALL}));
    let tenant = given["tenant"].as_str().unwrap().to_owned();
    clouds.let_in("azure", &json!({"client_id": "federated", "subject_token": "of-the-cluster", "may": ALL}));
    clouds.let_in("azure", &json!({"client_id": "managed", "managed": true, "may": ALL}));
    let certificate = |with_chain| Source::Certificate {
        tenant: tenant.clone(),
        client_id: "certified".to_owned(),
        pem: SecretBytes::new(given["pem"].as_str().unwrap().as_bytes().to_vec()),
        place: "AZURE_CLIENT_CERTIFICATE_PATH".to_owned(),
        with_chain,
    };
    let federated = Source::Federated {
        tenant: tenant.clone(),
        client_id: "federated".to_owned(),
        path: "/var/run/token".to_owned(),
    };
    let service = |client_id: Option<&str>| Source::Service {
        endpoint: format!("{}/msi/token", clouds.address()),
        secret: SecretBytes::new(given["header"].as_str().unwrap().as_bytes().to_vec()),
        client_id: client_id.map(str::to_owned),
    };
    let machine: Arc<dyn Outside> = Machine::with_file("/var/run/token", "of-the-cluster\n");
    for (what, source, who) in [
        ("secret", application(&clouds, "a1", &ALL), "a1"),
        ("certificate", certificate(false), "certified"),
        ("certificate, whole", certificate(true), "certified"),
        ("federated", federated, "federated"),
        ("service", service(None), "managed"),
        ("service, named", service(Some("managed")), "managed"),
        ("machine", Source::Machine { client_id: None }, "managed"),
        ("machine, named", Source::Machine { client_id: Some("managed".to_owned()) }, "managed"),
    ] {
        clouds.forget_calls();
        let missing = Source::Missing(Tried { place: "AZURE_CLIENT_ID".to_owned(), outcome: "not set".to_owned() });
        let sources = vec![missing, source, Source::Az];
        let vault = vault(by_name(&clouds, sources, Arc::clone(&machine)));
        let sops = key(&vault, VAULT, "sops", "");
        round_trip(&sops);
        let calls = clouds.calls();
        assert_eq!(calls.len(), 4, "{what}: {calls:?}");
        assert!(calls.iter().all(|call| call.principal.as_deref() == Some(who)), "{what}: {calls:?}");
    }
}

#[test]
fn the_programs_are_asked_if_nothing_else_is_there() {
    needs_peers!();
    let tokens = Server::answering(|_, request| {
        let is_let_in = request.to_ascii_lowercase().contains("authorization: bearer of-az\r\n");
        (if is_let_in { 200 } else { 403 }, String::new(), r#"{"value":"AAAA"}"#.to_owned())
    });
    let clouds = Clouds::shared();
    let settings = |programs: &[(&str, &str)]| {
        let programs: HashMap<_, _> =
            programs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let outside = Arc::new(Machine { programs, ..Machine::default() });
        let mut settings = by_name(clouds, vec![Source::Az, Source::Azd], outside);
        let list = format!("{},https://x.vault.azure.net", tokens.address());
        settings.allowed = AllowedVaults::read(&settings.authority, Some(&list)).unwrap();
        settings
    };
    for (programs, outcome) in [
        (
            &[("az", r#"{"accessToken":"of-az","expires_on":99999999999,"expiresOn":"2099-01-01 00:00:00.000000"}"#)][..],
            true,
        ),
        (&[("azd", r#"{"token":"of-az","expiresOn":"2099-01-01T00:00:00Z"}"#)][..], true),
        (&[("az", "ERROR: hunter2"), ("azd", r#"{"token":"of-az"}"#)][..], true),
        (&[("az", "{}")][..], false),
        (&[][..], false),
    ] {
        let settings = settings(programs);
        let vault = vault(settings);
        let sops = key(&vault, &tokens.address(), "sops", "0123");
        match now(sops.wrap(&data_key())) {
            Ok(_) => assert!(outcome, "{programs:?}"),
            Err(error) => {
                assert!(!outcome && !format!("{error:?}").contains("hunter2"), "{programs:?}: {error}");
                assert_eq!(sops.tried().len(), 2, "{error:?}");
            }
        }
    }
}

#[test]
fn a_missing_permission_is_told_with_what_grants_it() {
    needs_peers!();
    let clouds = Clouds::start();
    let vault = vault(by_name(&clouds, vec![application(&clouds, "reader", &["get", "decrypt"])], nobody()));
    let error = wrap_error(&key(&vault, VAULT, "sops", ""));
    let ServiceError::Denied { principal, action, resource, grant } = &error else { panic!("{error}") };
    assert_eq!(principal, "the application `reader` (appid reader, oid object-of-reader)");
    assert_eq!(action, "keys/encrypt");
    assert!(resource.starts_with("https://shop.vault.azure.net/keys/sops/"), "{resource}");
    assert_eq!(grant, "az keyvault set-policy --name shop --object-id object-of-reader --key-permissions encrypt");

    let error = wrap_error(&key(&vault, "https://by-role.vault.azure.net", "sops", "0123"));
    let ServiceError::Denied { action, resource, grant, .. } = &error else { panic!("{error}") };
    assert_eq!(action, "Microsoft.KeyVault/vaults/keys/encrypt/action");
    let scope = "/subscriptions/s/resourcegroups/g/providers/microsoft.keyvault/vaults/by-role";
    assert_eq!(resource, &format!("{scope}/keys/sops"));
    assert_eq!(
        grant,
        &format!(
            "az role assignment create --assignee object-of-reader --role \"Key Vault Crypto User\" --scope {scope}"
        )
    );
}

#[test]
fn credentials_that_are_not_accepted_end_the_search() {
    needs_peers!();
    let clouds = Clouds::start();
    let tenant = "00000000-0000-0000-0000-000000000000";
    application(&clouds, "a1", &ALL);
    let wrong = |tenant: &str, client_id: &str| Source::Secret {
        tenant: tenant.to_owned(),
        client_id: client_id.to_owned(),
        secret: SecretBytes::new(b"hunter2".to_vec()),
    };
    for (source, reason) in [
        (wrong(tenant, "a1"), "AADSTS7000215: Invalid client secret provided for app 'a1'."),
        (wrong(tenant, "nobody"), "AADSTS700016: Application with identifier 'nobody' was not found"),
        (wrong("contoso.example", "a1"), "AADSTS700016"),
        (wrong("../evil", "a1"), "`AZURE_TENANT_ID` is not the id or the domain of a tenant"),
    ] {
        let vault = vault(by_name(&clouds, vec![source, Source::Az], nobody()));
        let error = wrap_error(&key(&vault, VAULT, "sops", "")).to_string();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("Trace ID"), "{error}");
    }
    // Where nothing is there, it is told where was looked.
    let none = Source::Missing(Tried { place: "AZURE_CLIENT_ID".to_owned(), outcome: "not set".to_owned() });
    let sources = vec![none, Source::Machine { client_id: None }, Source::Az];
    let error = wrap_error(&key(&vault(by_name(&clouds, sources, nobody())), VAULT, "sops", ""));
    let ServiceError::NoCredentials { tried, .. } = &error else { panic!("{error}") };
    let outcomes: Vec<_> = tried.iter().map(|tried| &*tried.outcome).collect();
    assert_eq!(outcomes, ["not set", "it answered 400: Identity not found", "not there"]);
}

#[test]
fn what_may_work_later_is_asked_again_and_a_token_that_is_over_is_renewed() {
    needs_peers!();
    let clouds = Clouds::start();
    let vault = vault(by_name(&clouds, vec![application(&clouds, "a1", &ALL)], nobody()));
    let sops = key(&vault, VAULT, "sops", "");
    let wrapped = round_trip(&sops);
    for (status, times, calls, works) in [(429, 2, 3, true), (503, 4, 5, true), (429, 9, 5, false)] {
        clouds.forget_calls();
        let fault =
            Fault { action: Some("azure:decrypt"), times: Some(times), status: Some(status), ..Fault::default() };
        clouds.fail(&fault);
        assert_eq!(now(sops.unwrap(&wrapped)).is_ok(), works, "{status}");
        assert_eq!(clouds.count("azure:decrypt"), calls, "{status}");
        clouds.mend();
    }
    clouds.forget_calls();
    clouds.fail(&Fault { action: Some("azure:decrypt"), times: Some(1), status: Some(401), ..Fault::default() });
    now(sops.unwrap(&wrapped)).unwrap();
    assert_eq!((clouds.count("azure:token"), clouds.count("azure:decrypt")), (1, 2));
}

#[test]
fn what_is_no_answer_of_a_vault_is_refused_and_not_shown() {
    needs_peers!();
    let clouds = Clouds::shared();
    for (what, status, body) in hostile_answers() {
        let server = Server::answering(move |_, _| (status, String::new(), body.clone()));
        let mut settings = by_name(clouds, vec![application(clouds, "hostile", &ALL)], nobody());
        settings.allowed = AllowedVaults::read(&settings.authority, Some(&server.address())).unwrap();
        let vault = vault(settings);
        let sops = key(&vault, &server.address(), "sops", "0123");
        for error in
            [wrap_error(&sops), unwrap_error(&sops, "AAAA"), wrap_error(&key(&vault, &server.address(), "sops", ""))]
        {
            assert!(matches!(error, ServiceError::Unexpected { .. }), "{what}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{what}: {error}");
        }
        assert_eq!(server.requests().len(), 3, "{what}");
    }
}

#[test]
fn an_authority_in_the_clear_is_refused() {
    let authority = "http://login.microsoftonline.com";
    let settings = Settings {
        authority: authority.parse().unwrap(),
        allowed: AllowedVaults::read(&authority.parse().unwrap(), None).unwrap(),
        machine: "http://169.254.169.254".parse().unwrap(),
        sources: Vec::new(),
        proxies: Proxies::default(),
        authorities: None,
        limits: quick(),
        outside: nobody(),
    };
    let error = wrap_error(&key(&vault(settings), VAULT, "sops", "0123")).to_string();
    assert!(error.contains("`AZURE_AUTHORITY_HOST`"), "{error}");
}
