//! What the environment says of the way to services, and who we are there: it counts for the real SOPS and for us the same. For Vault, each
//! variable that HashiCorp's client has; for the clouds, those that are read otherwise by the libraries that we use.

use std::time::{Duration, Instant};

use bulla_testkit::authority::Authority;
use bulla_testkit::process::Finished;
use bulla_testkit::proxy::Proxy;
use bulla_testkit::server::{Answer, Server};
use bulla_testkit::vault::{ROOT_TOKEN, Vault};
use bulla_testkit::{needs_peers, peers};

use crate::fixture::Place;

const PLAIN: &str = "user: shop\npassword: hunter2\n";
/// A host that nobody reaches but through a proxy.
const FAR: &str = "vault.example.com:8200";

/// Files that a key of the real Vault opens, one for each address at which it is asked, and what is needed to get there.
struct World {
    place: Place,
    engine: &'static str,
    vault: &'static Vault,
    authority: Authority,
}

impl World {
    fn new(engine: &'static str) -> Self {
        let vault = Vault::shared();
        vault.write(&format!("sys/mounts/{engine}"), r#"{"type": "transit"}"#);
        vault.write(&format!("{engine}/keys/k"), "{}");
        let place = Place::new().with_program(&peers::sops());
        let authority = Authority::new("authority of a test");
        place.write("ca.pem", authority.certificate());
        place.write("other.pem", Authority::new("another authority").certificate());
        let world = Self { place, engine, vault, authority };
        world.file("near.yaml", vault.address());
        world
    }

    /// A file whose key is asked for at `address`. Nothing authenticates that.
    fn file(&self, name: &str, address: &str) {
        let Self { place, engine, vault, .. } = self;
        place.write("plain.yaml", PLAIN);
        let uri = format!("{}/v1/{engine}/keys/k", vault.address());
        let encrypt = format!("bulla encrypt --hc-vault-transit {uri} plain.yaml");
        let encrypted = place.does(&format!("VAULT_TOKEN={ROOT_TOKEN} {encrypt}"));
        place.write(name, encrypted.replace(vault.address(), address));
    }

    /// Vault behind another server.
    fn behind(&self) -> impl Fn(usize, &str) -> Answer + Send + Sync + 'static + use<> {
        let vault = self.vault;
        move |_, request| vault.hand_on(request)
    }

    fn run(&self, program: &str, variables: &str, file: &str) -> Finished {
        let usual = format!("unset SOPS_AGE_KEY_FILE; export SOPS_HC_VAULT_ALLOWLIST=all VAULT_TOKEN={ROOT_TOKEN};");
        self.place.run(&format!("{usual} {variables} {program} decrypt {file}"))
    }

    /// Under these variables the real SOPS and we open the file, or fail, both.
    #[track_caller]
    fn agree(&self, variables: &str, file: &str, opens: bool) {
        for program in ["sops", "bulla", "bulla sops"] {
            let finished = self.run(program, variables, file);
            let said = finished.stderr_text();
            assert_eq!(finished.code() == Some(0), opens, "{variables} {program} decrypt {file}\n{said}");
            assert_eq!(finished.stdout_text(), if opens { PLAIN } else { "" }, "{variables} {program}");
            assert!(!said.contains("swordfish") && !said.contains("hunter2"), "{said}");
        }
    }
}

#[test]
fn who_is_trusted_is_the_same() {
    needs_peers!();
    let world = World::new("trust");
    // Its certificate is not for the address.
    let server = Server::encrypted(world.authority.server(&["vault.example.com"], None), world.behind());
    world.file("tls.yaml", &server.address());
    let place = &world.place;
    place.write("folder/deeper/ca.pem", world.authority.certificate());
    place.write("folder/other.pem", std::fs::read(place.file("other.pem")).unwrap());
    place.write("others/other.pem", std::fs::read(place.file("other.pem")).unwrap());
    place.write("mixed/ca.pem", world.authority.certificate());
    place.write("mixed/notes.txt", "not a certificate");
    place.write("flat/some.pem", world.authority.certificate());
    let name = "VAULT_TLS_SERVER_NAME=vault.example.com";
    for (variables, opens) in [
        (format!("VAULT_CACERT=ca.pem {name}"), true),
        ("VAULT_CACERT=ca.pem".to_owned(), false),
        ("VAULT_CACERT=ca.pem VAULT_TLS_SERVER_NAME=other.example.com".to_owned(), false),
        (name.to_owned(), false),
        (format!("VAULT_CACERT_BYTES=\"$(cat ca.pem)\" {name}"), true),
        (format!("VAULT_CACERT_BYTES=none {name}"), false),
        (format!("VAULT_CAPATH=folder {name}"), true),
        (format!("VAULT_CAPATH=ca.pem {name}"), true),
        (format!("VAULT_CAPATH=others {name}"), false),
        (format!("VAULT_CAPATH=mixed {name}"), false),
        (format!("VAULT_CAPATH=missing {name}"), false),
        // The first of the three counts.
        (format!("VAULT_CACERT=other.pem VAULT_CACERT_BYTES=\"$(cat ca.pem)\" VAULT_CAPATH=folder {name}"), false),
        (format!("VAULT_CACERT_BYTES=\"$(cat ca.pem)\" VAULT_CAPATH=others {name}"), true),
        // Those of the system.
        (format!("SSL_CERT_FILE=ca.pem {name}"), true),
        (format!("SSL_CERT_FILE=other.pem SSL_CERT_DIR=others:flat {name}"), true),
        (format!("SSL_CERT_FILE=other.pem SSL_CERT_DIR=others {name}"), false),
        ("VAULT_SKIP_VERIFY=true".to_owned(), true),
        ("VAULT_SKIP_VERIFY=1 VAULT_CACERT=other.pem".to_owned(), true),
        ("VAULT_SKIP_VERIFY=0".to_owned(), false),
        ("VAULT_SKIP_VERIFY=yes".to_owned(), false),
    ] {
        world.agree(&variables, "tls.yaml", opens);
    }
    // It is said what that means, once a command, and also when nothing else is.
    for program in ["bulla --quiet", "bulla sops"] {
        let said = world.run(program, "VAULT_SKIP_VERIFY=t", "tls.yaml").stderr_text();
        assert_eq!(said.matches("is given the token and the data keys").count(), 1, "{program}: {said}");
    }
    for (variables, message) in [
        (format!("VAULT_CAPATH=mixed {name}"), "there is no certificate in mixed/notes.txt"),
        (format!("VAULT_CACERT=other.pem {name}"), "hint: VAULT_CACERT names the authority"),
        ("VAULT_CACERT=ca.pem".to_owned(), "hint: if that is its certificate, VAULT_TLS_SERVER_NAME says"),
        ("VAULT_SRV_LOOKUP=1".to_owned(), "`VAULT_SRV_LOOKUP` counts for nothing"),
    ] {
        let said = world.run("bulla", &variables, "tls.yaml").stderr_text();
        assert!(said.contains(message), "{variables}: `{message}` is not in\n{said}");
    }
}

#[test]
fn who_we_are_to_a_server_that_asks_is_the_same() {
    needs_peers!();
    let world = World::new("mutual");
    let clients = Authority::new("authority of clients");
    let server = Server::encrypted(world.authority.server(&["127.0.0.1"], Some(&clients)), world.behind());
    world.file("tls.yaml", &server.address());
    for (name, authority) in [("ours", &clients), ("theirs", &world.authority)] {
        let signed = authority.sign(&["client"]);
        world.place.write(&format!("{name}.pem"), signed.certificate);
        world.place.write(&format!("{name}.key"), signed.key);
    }
    for (variables, opens) in [
        ("", false),
        ("VAULT_CLIENT_CERT=ours.pem VAULT_CLIENT_KEY=ours.key", true),
        ("VAULT_SKIP_VERIFY=true VAULT_CLIENT_CERT=ours.pem VAULT_CLIENT_KEY=ours.key", true),
        ("VAULT_CLIENT_CERT=theirs.pem VAULT_CLIENT_KEY=theirs.key", false),
        ("VAULT_CLIENT_CERT=ours.pem VAULT_CLIENT_KEY=theirs.key", false),
        ("VAULT_CLIENT_CERT=ours.pem", false),
        ("VAULT_CLIENT_KEY=ours.key", false),
        ("VAULT_CLIENT_CERT=ours.pem VAULT_CLIENT_KEY=missing.key", false),
    ] {
        world.agree(&format!("VAULT_CACERT=ca.pem {variables}"), "tls.yaml", opens);
    }
    let said = world.run("bulla", "VAULT_CACERT=ca.pem", "tls.yaml").stderr_text();
    assert!(said.contains("hint: it asks for a certificate of ours: VAULT_CLIENT_CERT"), "{said}");
}

#[test]
fn the_way_through_proxies_is_the_same() {
    needs_peers!();
    let world = World::new("proxies");
    let server = Server::encrypted(world.authority.server(&["vault.example.com", "127.0.0.1"], None), world.behind());
    world.file("near-tls.yaml", &server.address());
    world.file("far-tls.yaml", &format!("https://{FAR}"));
    world.file("far.yaml", &format!("http://{FAR}"));
    let host = |address: &str| address.split_once("://").unwrap().1.to_owned();
    let to_tls = Proxy::start(&host(&server.address()), None);
    let to_plain = Proxy::start(&host(world.vault.address()), None);
    let with_tls = Proxy::start(&host(&server.address()), Some(world.authority.server(&["127.0.0.1"], None)));
    let (tls, plain, secure) = (to_tls.host(), to_plain.host(), with_tls.host());
    // What the proxies were asked by each program, and nothing else.
    let asks = |variables: String, file: &str, opens: bool, asked: &[&str]| {
        for program in ["sops", "bulla", "bulla sops"] {
            let finished =
                world.run(program, &format!("export VAULT_CACERT=ca.pem VAULT_MAX_RETRIES=0 {variables};"), file);
            let said = finished.stderr_text();
            assert_eq!(finished.code() == Some(0), opens, "{variables} {program} decrypt {file}\n{said}");
            assert!(!said.contains("swordfish"), "{said}");
            let heads: Vec<String> = [&to_tls, &to_plain, &with_tls].iter().flat_map(|proxy| proxy.take()).collect();
            assert_eq!(heads.len(), asked.len(), "{variables} {program} decrypt {file}: {heads:?}");
            for (head, part) in heads.iter().zip(asked) {
                assert!(
                    head.to_lowercase().contains(&part.to_lowercase()),
                    "{variables} {program}: `{part}` is not in\n{head}"
                );
            }
        }
    };
    let connect = format!("CONNECT {FAR} HTTP/1.1");
    let absolute = format!(" http://{FAR}/v1/proxies/decrypt/k HTTP/1.1");
    // me:swordfish
    let shown = "Proxy-Authorization: Basic bWU6c3dvcmRmaXNo";
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        asks(format!("{variable}=http://{tls}"), "far-tls.yaml", true, &[&connect]);
    }
    asks(format!("HTTPS_PROXY={tls}"), "far-tls.yaml", true, &[&connect]);
    asks(format!("HTTPS_PROXY=http://me:swordfish@{tls}"), "far-tls.yaml", true, &[shown]);
    asks(format!("HTTPS_PROXY=https://{secure}"), "far-tls.yaml", true, &[&connect]);
    asks(format!("HTTPS_PROXY=socks5://{tls}"), "far-tls.yaml", true, &[&format!("SOCKS  {FAR}")]);
    asks(
        format!("HTTPS_PROXY=socks5h://me:swordfish@{tls}"),
        "far-tls.yaml",
        true,
        &[&format!("SOCKS me:swordfish {FAR}")],
    );
    asks(format!("HTTP_PROXY=http://{plain}"), "far.yaml", true, &[&absolute]);
    asks(format!("http_proxy=http://me:swordfish@{plain}"), "far.yaml", true, &[shown]);
    asks(format!("HTTP_PROXY=socks5://{plain}"), "far.yaml", true, &[&format!("SOCKS  {FAR}")]);
    // That of the other kind does not count, nor does any for this machine, nor for what is excepted.
    asks(format!("HTTP_PROXY=http://{plain}"), "far-tls.yaml", false, &[]);
    asks(format!("HTTPS_PROXY=http://{tls}"), "far.yaml", false, &[]);
    asks(format!("HTTPS_PROXY=http://{tls} HTTP_PROXY=http://{plain}"), "near-tls.yaml", true, &[]);
    asks(format!("HTTPS_PROXY=http://{tls} NO_PROXY='*.example.com'"), "far-tls.yaml", false, &[]);
    asks(format!("HTTPS_PROXY=http://{tls} no_proxy={FAR}"), "far-tls.yaml", false, &[]);
    asks(format!("HTTPS_PROXY=http://{tls} NO_PROXY=vault.example.com:1"), "far-tls.yaml", true, &[&connect]);
    // Vault's own counts for everything.
    for variable in ["VAULT_PROXY_ADDR", "VAULT_HTTP_PROXY"] {
        let variables = format!("{variable}=http://{tls} HTTPS_PROXY=http://127.0.0.1:1 NO_PROXY='*'");
        asks(variables, "near-tls.yaml", true, &["CONNECT 127.0.0.1:"]);
        asks(format!("{variable}=http://{plain}"), "near.yaml", true, &[" http://127.0.0.1:"]);
    }
    let both = format!("VAULT_PROXY_ADDR=http://{tls} VAULT_HTTP_PROXY=http://127.0.0.1:1");
    asks(both, "far-tls.yaml", true, &[&connect]);
}

#[test]
fn what_requests_have_and_where_they_go_is_the_same() {
    needs_peers!();
    let world = World::new("requests");
    let vault = world.vault;
    let gateway = Server::answering(move |_, request| {
        let is_known = request.to_ascii_lowercase().contains("x-gateway: swordfish\r\n");
        if is_known { vault.hand_on(request) } else { (403, String::new(), String::new()) }
    });
    world.file("gateway.yaml", &gateway.address());
    for (headers, opens) in [
        ("", false),
        (r#"{"X-Gateway": "swordfish"}"#, true),
        (r#"{"X-Gateway": "swordfish", "X-Vault-Token": "t"}"#, false),
        (r#"{"X-Gateway": 1}"#, false),
        ("X-Gateway: swordfish", false),
    ] {
        world.agree(&format!("VAULT_HEADERS='{headers}'"), "gateway.yaml", opens);
    }

    let elsewhere = Server::start(move |_| {
        (307, format!("Location: {}/v1/requests/decrypt/k\r\n", vault.address()), String::new())
    });
    world.file("redirects.yaml", &elsewhere.address());
    for (variables, opens) in [
        ("", true),
        ("VAULT_DISABLE_REDIRECTS=true", false),
        ("VAULT_DISABLE_REDIRECTS=f", true),
        ("VAULT_DISABLE_REDIRECTS=x", false),
    ] {
        world.agree(variables, "redirects.yaml", opens);
    }

    // An agent is asked in place of any server, and may add the token.
    let adding = Server::answering(move |_, request| {
        vault.hand_on(&format!("{}\r\n\r\n{}", with_token(request), body_of(request)))
    });
    world.file("nowhere.yaml", "https://vault.example.com:8200");
    let agent = adding.address();
    world.agree(&format!("VAULT_AGENT_ADDR={agent}"), "nowhere.yaml", true);
    world.agree(&format!("unset VAULT_TOKEN; VAULT_AGENT_ADDR={agent}"), "nowhere.yaml", true);
    world.agree(
        &format!("unset VAULT_TOKEN; SOPS_HC_VAULT_ALLOWLIST=none VAULT_AGENT_ADDR={agent}"),
        "nowhere.yaml",
        false,
    );
    world.agree("VAULT_AGENT_ADDR=http://127.0.0.1:1 VAULT_MAX_RETRIES=0", "near.yaml", false);
    // The server that the file names may be one, too.
    world.file("agent.yaml", &agent);
    world.agree(&format!("unset VAULT_TOKEN; VAULT_ADDR={agent}"), "agent.yaml", true);
    world.agree(&format!("unset VAULT_TOKEN; VAULT_ADDR={}", vault.address()), "near.yaml", false);
    // What it may not is told as that, and not as if no token were looked for.
    let strict = Server::start(|_| (403, String::new(), r#"{"errors": ["permission denied"]}"#.to_owned()));
    let variables = format!("unset VAULT_TOKEN; VAULT_AGENT_ADDR={}", strict.address());
    let said = world.run("bulla", &variables, "nowhere.yaml").stderr_text();
    assert!(said.contains("whoever has no token may not update `requests/decrypt/k`"), "{said}");
    // Without a list, the file's word does not matter: it is the agent that gets the token.
    let variables = format!("unset SOPS_HC_VAULT_ALLOWLIST; VAULT_AGENT_ADDR={agent}");
    world.agree(&variables, "nowhere.yaml", true);
}

/// The head of a request, with the token of root in place of any other.
fn with_token(request: &str) -> String {
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    let lines = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("x-vault-token:"));
    let mut head: Vec<&str> = lines.collect();
    let token = format!("X-Vault-Token: {ROOT_TOKEN}");
    head.push(&token);
    head.join("\r\n")
}

fn body_of(request: &str) -> &str {
    request.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn how_often_and_how_long_vault_is_asked_is_the_same() {
    needs_peers!();
    let world = World::new("limits");
    let vault = world.vault;
    for (variables, opens, requests) in [
        ("VAULT_MAX_RETRIES=0", false, 1),
        ("VAULT_MAX_RETRIES=1", true, 2),
        ("VAULT_MAX_RETRIES=-1", false, 0),
        ("VAULT_RATE_LIMIT=10:5", true, 2),
        ("VAULT_RATE_LIMIT=10:x", false, 0),
        ("VAULT_RATE_LIMIT=many", false, 0),
        ("VAULT_CLIENT_TIMEOUT=soon", false, 0),
    ] {
        for program in ["sops", "bulla"] {
            let failing_once = Server::answering(move |number, request| {
                if number == 0 { (500, String::new(), String::new()) } else { vault.hand_on(request) }
            });
            world.file("failing.yaml", &failing_once.address());
            let finished = world.run(program, variables, "failing.yaml");
            let said = finished.stderr_text();
            assert_eq!(finished.code() == Some(0), opens, "{variables} {program}\n{said}");
            assert_eq!(failing_once.requests().len(), requests, "{variables} {program}\n{said}");
        }
    }

    let silent = Server::start(|_| {
        std::thread::sleep(Duration::from_secs(20));
        (500, String::new(), String::new())
    });
    world.file("silent.yaml", &silent.address());
    for limit in ["1", "500ms"] {
        let start = Instant::now();
        world.agree(&format!("VAULT_CLIENT_TIMEOUT={limit}"), "silent.yaml", false);
        assert!(start.elapsed() < Duration::from_secs(15), "{limit}: {:?}", start.elapsed());
    }

    // SOPS has a client a file, so its limit is none; ours counts for the tree.
    let counted = Server::answering(world.behind());
    for number in 0..6 {
        world.file(&format!("tree/{number}.yaml"), &counted.address());
    }
    let start = Instant::now();
    let finished = world.run("bulla", "VAULT_RATE_LIMIT=4:2", "--in-place tree");
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr_text());
    // Two at once, then four times a quarter of a second.
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!((counted.requests().len(), world.place.read("tree/5.yaml")), (6, PLAIN.to_owned()));
}

/// A file of which the entry `entry` may give the key, and nothing else that is here.
fn with_entry(place: &Place, name: &str, entry: &str) {
    place.write("plain.yaml", PLAIN);
    let encrypted = place.does("bulla encrypt --age $ALICE plain.yaml");
    place.write(name, encrypted.replacen("\nsops:\n", &format!("\nsops:\n{entry}"), 1));
}

const KMS: &str = "    kms:
        - arn: arn:aws:kms:eu-west-1:123456789012:key/612d5f0b-0000-4000-8000-000000000000
          created_at: \"2026-01-01T00:00:00Z\"
          enc: AQID
          aws_profile: \"\"
";
const GCP: &str = "    gcp_kms:
        - resource_id: projects/p/locations/global/keyRings/r/cryptoKeys/k
          created_at: \"2026-01-01T00:00:00Z\"
          enc: AQID
";

/// Requests to decrypt that `server` got while both programs tried to open `file`, and failed.
#[track_caller]
fn asked(place: &Place, server: &Server, program: &str, variables: &str, file: &str) -> Vec<String> {
    let before = server.requests().len();
    let line =
        format!("unset SOPS_AGE_KEY_FILE; export AWS_EC2_METADATA_DISABLED=true {variables}; {program} decrypt {file}");
    let finished = place.run(&line);
    let said = finished.stderr_text();
    assert_ne!(finished.code(), Some(0), "{variables} {program}: {said}");
    assert!(!said.contains("swordfish"), "{said}");
    let requests = server.requests().split_off(before);
    requests.into_iter().filter(|request| request.contains("TrentService.Decrypt")).collect()
}

#[test]
fn who_asks_aws_and_how_often_is_the_same() {
    needs_peers!();
    let place = Place::new().with_program(&peers::sops());
    with_entry(&place, "app.yaml", KMS);
    std::fs::create_dir(place.root().join("home/.aws")).unwrap();
    let profile =
        |name: &str, id: &str| format!("[{name}]\naws_access_key_id = {id}\naws_secret_access_key = swordfish\n");
    let profiles = profile("one", "AKIAPROFILEONE") + &profile("two", "AKIAPROFILETWO");
    std::fs::write(place.root().join("home/.aws/credentials"), profiles).unwrap();
    let failing = Server::start(|_| {
        let headers = "Content-Type: application/x-amz-json-1.1\r\n".to_owned();
        (500, headers, r#"{"__type": "KMSInternalException"}"#.to_owned())
    });
    let address = failing.address();
    let key = "AWS_ACCESS_KEY_ID=AKIAUSUAL AWS_SECRET_ACCESS_KEY=swordfish";
    for (variables, requests, id) in [
        (format!("{key} AWS_MAX_ATTEMPTS=1"), 1, "AKIAUSUAL"),
        (format!("{key} AWS_MAX_ATTEMPTS=2"), 2, "AKIAUSUAL"),
        (format!("{key} AWS_MAX_ATTEMPTS=many"), 0, ""),
        ("AWS_MAX_ATTEMPTS=1 AWS_ACCESS_KEY=AKIAOTHER AWS_SECRET_KEY=swordfish".to_owned(), 1, "AKIAOTHER"),
        ("AWS_MAX_ATTEMPTS=1 AWS_ACCESS_KEY_ID=AKIAMIXED AWS_SECRET_KEY=swordfish".to_owned(), 1, "AKIAMIXED"),
        (format!("AWS_MAX_ATTEMPTS=1 {key} AWS_ACCESS_KEY=AKIAOTHER AWS_SECRET_KEY=x"), 1, "AKIAUSUAL"),
        ("AWS_MAX_ATTEMPTS=1 AWS_ACCESS_KEY=AKIAALONE".to_owned(), 0, ""),
        ("AWS_MAX_ATTEMPTS=1 AWS_DEFAULT_PROFILE=two".to_owned(), 1, "AKIAPROFILETWO"),
        ("AWS_MAX_ATTEMPTS=1 AWS_PROFILE=one AWS_DEFAULT_PROFILE=two".to_owned(), 1, "AKIAPROFILEONE"),
        (format!("AWS_MAX_ATTEMPTS=1 {key} AWS_DEFAULT_PROFILE=two"), 1, "AKIAUSUAL"),
    ] {
        for program in ["sops", "bulla"] {
            let variables = format!("AWS_ENDPOINT_URL={address} {variables}");
            let asked = asked(&place, &failing, program, &variables, "app.yaml");
            assert_eq!(asked.len(), requests, "{variables} {program}");
            assert!(
                asked.iter().all(|request| request.contains(&format!("Credential={id}/"))),
                "{variables} {program}: {asked:?}"
            );
        }
    }
}

#[test]
fn the_way_to_the_clouds_is_the_same() {
    needs_peers!();
    let place = Place::new().with_program(&peers::sops());
    with_entry(&place, "aws.yaml", KMS);
    with_entry(&place, "gcp.yaml", GCP);
    let authority = Authority::new("authority of a test");
    place.write("ca.pem", authority.certificate());
    let names = ["*.eu-west-1.amazonaws.com", "*.eu-west-1.api.aws", "127.0.0.1"];
    let server = Server::encrypted(authority.server(&names, None), |_, _| {
        let headers = "Content-Type: application/x-amz-json-1.1\r\n".to_owned();
        (400, headers, r#"{"__type": "NotFoundException"}"#.to_owned())
    });
    let target = server.address().split_once("://").unwrap().1.to_owned();
    let (plain, tls) =
        (Proxy::start(&target, None), Proxy::start(&target, Some(authority.server(&["127.0.0.1"], None))));
    let key = "AWS_ACCESS_KEY_ID=AKIA AWS_SECRET_ACCESS_KEY=swordfish AWS_MAX_ATTEMPTS=1 AWS_CA_BUNDLE=ca.pem";
    let (plain_host, tls_host, address) = (plain.host(), tls.host(), server.address());
    let through = format!("HTTPS_PROXY=http://{plain_host}");
    let usual = "CONNECT kms.eu-west-1.amazonaws.com:443 ";
    for (variables, way, arrives) in [
        (through.clone(), usual, true),
        (format!("https_proxy={plain_host}"), usual, true),
        (format!("HTTPS_PROXY=http://me:swordfish@{plain_host}"), "Proxy-Authorization: Basic bWU6c3dvcmRmaXNo", true),
        (format!("HTTPS_PROXY=https://{tls_host}"), usual, true),
        (format!("{through} AWS_USE_FIPS_ENDPOINT=true"), "CONNECT kms-fips.eu-west-1.amazonaws.com:443 ", true),
        (format!("{through} AWS_USE_DUALSTACK_ENDPOINT=true"), "CONNECT kms.eu-west-1.api.aws:443 ", true),
        (format!("{through} NO_PROXY='*.amazonaws.com'"), "", false),
        (format!("{through} NO_PROXY=example.com,kms.eu-west-1.amazonaws.com:443"), "", false),
        (format!("{through} NO_PROXY=kms.eu-west-1.amazonaws.com:80"), usual, true),
        (format!("{through} AWS_ENDPOINT_URL={address}"), "", true),
        (format!("{through} AWS_ENDPOINT_URL_KMS={address}"), "", true),
    ] {
        for program in ["sops", "bulla"] {
            let asked = asked(&place, &server, program, &format!("{key} {variables}"), "aws.yaml");
            let heads: Vec<String> = [&plain, &tls].iter().flat_map(|proxy| proxy.take()).collect();
            assert_eq!(!asked.is_empty(), arrives, "{variables} {program}: {heads:?}");
            let first = heads.first().map_or("", |head| head);
            assert_eq!(first.is_empty(), way.is_empty(), "{variables} {program}: {first}");
            assert!(first.to_lowercase().contains(&way.to_lowercase()), "{variables} {program}: {first}");
        }
    }
    // Google's are asked by another form of the API, which never gives up; the way is the same.
    let token = "GOOGLE_OAUTH_ACCESS_TOKEN=swordfish SSL_CERT_FILE=ca.pem";
    for (variables, way) in [
        (through.clone(), "CONNECT cloudkms.googleapis.com:443 "),
        (format!("{through} NO_PROXY='*.googleapis.com'"), ""),
    ] {
        for program in ["timeout 5 sops", "timeout 5 bulla"] {
            asked(&place, &server, program, &format!("{token} {variables}"), "gcp.yaml");
            let first = plain.take().into_iter().next().unwrap_or_default();
            assert_eq!(first.is_empty(), way.is_empty(), "{variables} {program}: {first}");
            assert!(first.starts_with(way), "{variables} {program}: {first}");
        }
    }
}
