//! The clients against a server that answers what a test tells it. What they do against real ones is proved where they are used:
//! in `keys` and `stores`.

use std::sync::Arc;

use bulla_crypto::SecretBytes;
use bulla_services::vault::{Answer, Base, Call, Client, Login, Settings};
use bulla_services::{ServiceError, Surroundings};
use bulla_testkit::server::Server;

fn client(address: &str) -> Arc<Client> {
    let secret_id = SecretBytes::new(b"hunter2".to_vec());
    let login = Login::AppRole { mount: "ci".to_owned(), role_id: "r".to_owned(), secret_id };
    let surroundings = Surroundings::new(|| Ok(tokio::runtime::Handle::current()), || 0);
    Arc::new(Client::new(address.parse::<Base>().unwrap(), Arc::new(Settings::new(login)), surroundings).unwrap())
}

/// Thirty calls at the same time.
async fn thirty(client: &Arc<Client>) -> Vec<Result<Answer, ServiceError>> {
    let call = |_| {
        let client = Arc::clone(client);
        tokio::spawn(async move { client.send(Call::read("secret/data/a")).await })
    };
    let calls: Vec<_> = (0..30).map(call).collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

fn logins(server: &Server) -> usize {
    server.requests().iter().filter(|request| request.starts_with("POST /v1/auth/ci/login ")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_fails_fails_for_all_who_wait_for_it() {
    let server = Server::start(|_| {
        std::thread::sleep(std::time::Duration::from_millis(300));
        (400, String::new(), r#"{"errors": ["invalid role or secret ID"]}"#.to_owned())
    });
    let client = client(&server.address());
    let answers = thirty(&client).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(ServiceError::Rejected { .. }))));
    // Eight calls are under way at once; each eight may try, not each call.
    assert!((1..=4).contains(&logins(&server)), "{} logins", logins(&server));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_to_a_good_token_makes_nobody_log_in_again() {
    // Its token is good, and may not read.
    let server = Server::answering(|_, request| {
        let json = |status, body: &str| (status, String::new(), body.to_owned());
        let head = request.to_ascii_lowercase();
        if head.starts_with("post /v1/auth/ci/login ") {
            return json(200, r#"{"auth": {"client_token": "first", "lease_duration": 3600}}"#);
        }
        if head.starts_with("get /v1/auth/token/lookup-self ") {
            return json(200, "{}");
        }
        json(403, r#"{"errors": ["permission denied"]}"#)
    });
    let client = client(&server.address());
    for answer in thirty(&client).await {
        let error = answer.unwrap().refusal();
        assert!(matches!(&error, ServiceError::Denied { action, .. } if action == "read"), "{error}");
    }
    assert_eq!(logins(&server), 1, "what is denied to a good token is denied to the next one, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_long_is_not_asked_for_again() {
    let server = Server::answering(|_, request| {
        let body = r#"{"auth": {"client_token": "t"}}"#.to_owned();
        if request.contains("/login ") { (200, String::new(), body) } else { (200, String::new(), "x".repeat(2 << 20)) }
    });
    let error = client(&server.address()).send(Call::read("secret/data/a")).await.unwrap_err();
    assert!(matches!(&error, ServiceError::Unexpected { reason, .. } if reason.contains("longer than")), "{error}");
    assert_eq!(server.requests().len(), 2);
}
