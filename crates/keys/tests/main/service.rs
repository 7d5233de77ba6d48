//! The key service: our client and our server, and peers that mean no good. SOPS on either side is in the tests of `bulla`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use bulla_crypto::SecretBytes;
use bulla_keys::age::AgeKey;
use bulla_keys::service::{
    Asked, FirstOf, KeyService, KeyServiceError, Limits, Listener, Served, ServiceAddress, serve,
};
use bulla_keys::{KeyName, MasterKey, UnwrapError, WrappedKey};
use bulla_services::Surroundings;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::{age_source, identities};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// An identity and its recipient, made for these tests.
const IDENTITY: &str = "AGE-SECRET-KEY-1JX0ZW0TDL98P0SAH80KAUCKGWS4EMPQP9SU2K0TGYLHKRXYZZY0SF0UJPQ";
const RECIPIENT: &str = "age1qea037edq40udfgmp6eanx5ej40s9t9x2w6858ywl9yg85a5r4gsc3rqk0";

/// Serves one identity of age, as long as it is allowed.
#[derive(Debug, Default)]
struct Desk {
    refuses: AtomicBool,
    asked: Mutex<Vec<String>>,
}

impl Served for Desk {
    fn key(&self, name: &KeyName) -> Option<Box<dyn MasterKey>> {
        let KeyName::Age(recipient) = name else { return None };
        Some(Box::new(AgeKey::new(recipient, identities(vec![age_source("keys", IDENTITY)]))))
    }

    fn allows(&self, asked: &Asked<'_>) -> bool {
        self.asked.lock().unwrap().push(format!("{} {}", asked.operation, asked.key.id()));
        !self.refuses.load(Ordering::SeqCst)
    }

    fn ended(&self, _: &Asked<'_>, _: Result<(), &str>) {}
}

/// A running service. It ends with this.
struct Running {
    desk: Arc<Desk>,
    port: Option<SocketAddr>,
    end: Option<oneshot::Sender<()>>,
    served: Option<tokio::task::JoinHandle<()>>,
}

impl Running {
    fn start(address: &str, limits: Limits) -> Self {
        let desk = Arc::new(Desk::default());
        let listener = RUNTIME.block_on(Listener::bind(&address.parse().unwrap())).unwrap();
        let port = listener.port();
        let (end, ended) = oneshot::channel::<()>();
        let served = RUNTIME.spawn(serve(listener, Arc::clone(&desk) as Arc<dyn Served>, limits, async {
            let _ = ended.await;
        }));
        Self { desk, port, end: Some(end), served: Some(served) }
    }

    fn on_a_port(limits: Limits) -> (Self, String) {
        let running = Self::start("tcp://127.0.0.1:0", limits);
        let address = format!("tcp://{}", running.port.unwrap());
        (running, address)
    }

    fn end(mut self) {
        drop(self.end.take());
        RUNTIME.block_on(self.served.take().unwrap()).unwrap();
    }
}

fn client(address: &str) -> Arc<KeyService> {
    let address: ServiceAddress = address.parse().unwrap();
    KeyService::new(address, Surroundings::new(|| Ok(RUNTIME.handle().clone()), || 0))
}

fn data_key() -> SecretBytes {
    SecretBytes::new((0..32).collect())
}

fn age() -> KeyName {
    KeyName::Age(RECIPIENT.to_owned())
}

fn now<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

#[test]
fn a_service_wraps_and_unwraps_on_a_port_and_on_a_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix://{}", folder.path().join("keys.sock").display());
    let (on_port, port) = Running::on_a_port(Limits::default());
    let on_socket = Running::start(&socket, Limits::default());
    for address in [&port, &socket] {
        let client = client(address);
        let wrapped = now(client.wrap(&age(), &data_key())).unwrap();
        assert!(wrapped.as_str().starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
        assert_eq!(now(client.unwrap(&age(), &wrapped)).unwrap().expose_secret(), data_key().expose_secret());
    }
    let expected = vec![format!("encrypt age {RECIPIENT}"), format!("decrypt age {RECIPIENT}")];
    assert_eq!(*on_port.desk.asked.lock().unwrap(), expected);
    on_socket.end();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file of the socket is gone");
    on_port.end();
}

#[test]
fn what_is_refused_or_cannot_be_done_has_its_reason() {
    let (running, address) = Running::on_a_port(Limits::default());
    let client = client(&address);
    let wrapped = now(client.wrap(&age(), &data_key())).unwrap();
    running.desk.refuses.store(true, Ordering::SeqCst);
    let error = now(client.unwrap(&age(), &wrapped)).unwrap_err();
    assert_eq!(error, KeyServiceError::Refused("Request rejected by user".to_owned()));
    running.desk.refuses.store(false, Ordering::SeqCst);
    let other = KeyName::of_fields(bulla_keys::Source::Kms, |_| "x".to_owned(), Vec::new());
    let error = now(client.wrap(&other, &data_key())).unwrap_err();
    assert!(error.to_string().contains("keys of the kind `kms` cannot be used here"), "{error}");
    let error = now(client.unwrap(&age(), &WrappedKey::new("damaged"))).unwrap_err();
    assert!(error.to_string().starts_with("the wrapped key is damaged"), "{error}");
    running.end();
    // The connection is closed, and nobody is there to make another with.
    let error = now(client.unwrap(&age(), &wrapped)).unwrap_err();
    assert!(matches!(error, KeyServiceError::Unreachable(_)), "{error}");
}

#[test]
fn a_client_connects_again_to_a_service_that_was_started_anew() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix://{}", folder.path().join("keys.sock").display());
    let client = client(&socket);
    let error = now(client.wrap(&age(), &data_key())).unwrap_err();
    assert_eq!(error.to_string(), "cannot be reached: there is no such socket");
    for _ in 0..3 {
        let running = Running::start(&socket, Limits::default());
        assert!(now(client.wrap(&age(), &data_key())).is_ok());
        running.end();
    }
}

#[test]
fn the_first_that_can_does_it_and_every_reason_is_told_if_nobody_can() {
    let (running, address) = Running::on_a_port(Limits::default());
    let nowhere = format!("tcp://127.0.0.1:{}", bulla_testkit::free_port());
    let of = |identity: Option<&str>, services: &[&str]| {
        let sources = identity.map(|identity| age_source("keys", identity)).into_iter().collect();
        let here: Box<dyn MasterKey> = Box::new(AgeKey::new(RECIPIENT, identities(sources)));
        let services = Arc::new(services.iter().map(|address| client(address)).collect());
        FirstOf::new(&age(), Some(here), &services, &Arc::default())
    };
    let with_key = of(Some(IDENTITY), &[&address]);
    let wrapped = now(with_key.wrap(&data_key())).unwrap();
    assert!(now(with_key.unwrap(&wrapped)).unwrap().is_some());
    assert!(running.desk.asked.lock().unwrap().is_empty(), "nobody was asked for what can be done here");
    // The second service does it, once for all files that hold the same wrapped key.
    let without_key = of(None, &[&nowhere, &address]);
    for _ in 0..3 {
        let secret = now(without_key.unwrap(&wrapped)).unwrap().unwrap();
        assert_eq!(secret.expose_secret(), data_key().expose_secret());
    }
    assert_eq!(running.desk.asked.lock().unwrap().len(), 1);
    running.desk.refuses.store(true, Ordering::SeqCst);
    let error = now(of(None, &[&nowhere, &address]).unwrap(&wrapped)).unwrap_err();
    assert!(matches!(error, UnwrapError::Nobody(_)));
    let text = error.to_string();
    assert!(text.contains(&format!("the key service {nowhere}: cannot be reached: ")), "{text}");
    assert!(text.ends_with(&format!("; the key service {address}: refused: Request rejected by user")), "{text}");
    running.end();
}

/// Waits until the peer closes, and gives what it said until then.
fn until_closed(stream: &mut TcpStream) -> (Vec<u8>, Duration) {
    let start = Instant::now();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => said.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("it was not closed: {error}"),
        }
    }
    (said, start.elapsed())
}

#[test]
fn garbage_silence_and_crowds_cost_nobody_else_anything() {
    let limits = Limits { connections: 4, patience: Duration::from_secs(1), ..Limits::default() };
    let (running, address) = Running::on_a_port(limits);
    let port = running.port.unwrap();
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &[0; 10_000],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff",
    ] {
        let mut stream = TcpStream::connect(port).unwrap();
        // It may close while it is written to.
        let _ = stream.write_all(garbage);
        until_closed(&mut stream);
    }
    // Whoever says nothing is closed after a while, and one more than there may be, at once.
    let mut silent: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(port).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(300));
    let (_, waited) = until_closed(&mut TcpStream::connect(port).unwrap());
    assert!(waited < Duration::from_millis(600), "{waited:?}");
    for stream in &mut silent {
        until_closed(stream);
    }
    let client = client(&address);
    assert!(now(client.wrap(&age(), &data_key())).is_ok());
    running.end();
}

#[test]
fn a_request_that_is_too_large_is_refused_and_the_next_one_is_not() {
    let (running, address) = Running::on_a_port(Limits { message: 10_000, ..Limits::default() });
    let client = client(&address);
    for length in [11_000, 5_000_000] {
        let error = now(client.wrap(&age(), &SecretBytes::new(vec![7; length]))).unwrap_err();
        assert_eq!(error.to_string(), "the request is longer than 10000 bytes", "{length}");
    }
    assert!(running.desk.asked.lock().unwrap().is_empty());
    assert!(now(client.wrap(&age(), &data_key())).is_ok());
    running.end();
}

#[test]
fn what_is_no_key_service_is_told_as_that() {
    let server = bulla_testkit::server::Server::start(|_| (200, String::new(), "hello".to_owned()));
    let address = server.address().replace("http://", "tcp://");
    let error = now(client(&address).wrap(&age(), &data_key())).unwrap_err();
    assert!(matches!(error, KeyServiceError::Unreachable(_) | KeyServiceError::Failed(_)), "{error}");
}
