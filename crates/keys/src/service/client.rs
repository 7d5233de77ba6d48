//! The client: one connection a service, made with the first call and again when it was closed.
//!
//! ```text
//! connect ─ the service's first frame ─┐ ten seconds; whoever says nothing is not asked again by this command
//! request ─ answer                     ┘ no limit: who serves may ask a person; that it is waited for is told
//! ```

use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bulla_crypto::SecretBytes;
use bulla_services::{ServiceError, Surroundings};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Mutex, oneshot};
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::{Code, Status};

use super::address::ServiceAddress;
use super::messages::{Answer, DECRYPT, ENCRYPT, Protobuf, Request};
use crate::{KeyName, Tried, WrappedKey};

/// Longest answer in bytes. A wrapped key has some thousand at most.
const LONGEST_ANSWER: usize = 1 << 20;
/// How long a connection may take, with the first words of who serves.
const CONNECT: Duration = Duration::from_secs(10);
/// When it is told that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a frame before what is in it. The first of who serves is its SETTINGS, whatever it is asked.
const FRAME_HEADER: usize = 9;
/// A service that is gone is noticed so: asked whether it is there, no more often than Go's servers stand.
const STILL_THERE: Duration = Duration::from_secs(301);

/// A key service, as one command uses it.
pub struct KeyService {
    address: ServiceAddress,
    surroundings: Surroundings,
    connection: Mutex<Option<SendRequest<Body>>>,
    /// How long a connection may take.
    longest: Duration,
    /// It took a connection and said nothing: once is enough.
    is_silent: OnceLock<KeyServiceError>,
    waiting: Option<Box<Waiting>>,
}

/// Is told that an answer of the service at this address is waited for.
type Waiting = dyn Fn(&ServiceAddress) + Send + Sync;

/// Why a key service did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyServiceError {
    /// Nobody is there.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// Who is there does not do it for us.
    #[error("refused: {0}")]
    Refused(String),
    /// It could not.
    #[error("{0}")]
    Failed(String),
}

impl KeyServiceError {
    pub(super) fn tried(&self, address: &ServiceAddress) -> Tried {
        Tried { place: address.to_string(), outcome: self.to_string() }
    }
}

impl KeyService {
    /// The service at `address`. Nothing is sent before a key is used.
    pub fn new(address: ServiceAddress, surroundings: Surroundings) -> Arc<Self> {
        Arc::new(Self::quiet(address, surroundings))
    }

    /// The same, and `waiting` is called for each answer that is waited for longer than two seconds.
    pub fn telling(
        address: ServiceAddress,
        surroundings: Surroundings,
        waiting: impl Fn(&ServiceAddress) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { waiting: Some(Box::new(waiting)), ..Self::quiet(address, surroundings) })
    }

    fn quiet(address: ServiceAddress, surroundings: Surroundings) -> Self {
        let (connection, is_silent) = (Mutex::default(), OnceLock::new());
        Self { address, surroundings, connection, longest: CONNECT, is_silent, waiting: None }
    }

    /// Where it is.
    pub fn address(&self) -> &ServiceAddress {
        &self.address
    }

    /// Has `secret` wrapped for `key`.
    ///
    /// # Errors
    /// [`KeyServiceError`]
    pub async fn wrap(self: &Arc<Self>, key: &KeyName, secret: &SecretBytes) -> Result<WrappedKey, KeyServiceError> {
        let wrapped = self.call(ENCRYPT, Request::new(key, secret.expose_secret())).await?;
        let text = String::from_utf8(wrapped.expose_secret().to_vec());
        let text = text.map_err(|_| KeyServiceError::Failed("the wrapped key that it gave is not text".to_owned()))?;
        if text.is_empty() {
            return Err(KeyServiceError::Failed("it gave no wrapped key".to_owned()));
        }
        Ok(WrappedKey::new(text))
    }

    /// Has `wrapped` unwrapped by `key`.
    ///
    /// # Errors
    /// [`KeyServiceError`]
    pub async fn unwrap(self: &Arc<Self>, key: &KeyName, wrapped: &WrappedKey) -> Result<SecretBytes, KeyServiceError> {
        let secret = self.call(DECRYPT, Request::new(key, wrapped.as_str().as_bytes())).await?;
        if secret.is_empty() { Err(KeyServiceError::Failed("it gave no data key".to_owned())) } else { Ok(secret) }
    }

    /// Carried out where calls are: who waits for it needs no runtime.
    async fn call(self: &Arc<Self>, method: &'static str, request: Request) -> Result<SecretBytes, KeyServiceError> {
        let service = Arc::clone(self);
        let call = async move { Ok(service.ask(method, request).await) };
        match self.surroundings.carry_out(call).await {
            Ok(outcome) => outcome,
            Err(ServiceError::Settings(reason)) => Err(KeyServiceError::Unreachable(reason)),
            Err(error) => Err(KeyServiceError::Unreachable(error.to_string())),
        }
    }

    async fn ask(&self, method: &'static str, request: Request) -> Result<SecretBytes, KeyServiceError> {
        let (sender, is_new) = self.connected().await?;
        match self.told(send(sender, method, request.clone())).await {
            // It was closed between two calls: both kinds of requests can be sent again.
            Err(status) if !is_new && is_of_the_connection(&status) => {
                *self.connection.lock().await = None;
                let (sender, _) = self.connected().await?;
                self.told(send(sender, method, request)).await
            }
            outcome => outcome,
        }
        .map_err(|status| explain(&status))
    }

    /// Waits for an answer, and tells it if that takes long.
    async fn told<T>(&self, answer: impl Future<Output = T>) -> T {
        let mut answer = std::pin::pin!(answer);
        if let Ok(outcome) = tokio::time::timeout(PATIENCE, answer.as_mut()).await {
            return outcome;
        }
        if let Some(waiting) = &self.waiting {
            waiting(&self.address);
        }
        answer.await
    }

    /// A connection, and whether it was made for this.
    async fn connected(&self) -> Result<(SendRequest<Body>, bool), KeyServiceError> {
        let mut connection = self.connection.lock().await;
        if let Some(sender) = connection.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((sender.clone(), false));
        }
        if let Some(error) = self.is_silent.get() {
            return Err(error.clone());
        }
        let made = async {
            match &self.address {
                ServiceAddress::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    handshake(stream).await
                }
                ServiceAddress::Unix(path) => handshake(UnixStream::connect(path).await?).await,
            }
        };
        let made = tokio::time::timeout(self.longest, made).await;
        let sender = match made {
            Ok(Ok(sender)) => sender,
            Ok(Err(error)) => return Err(KeyServiceError::Unreachable(said(&error, &self.address))),
            Err(_) => {
                let error = KeyServiceError::Unreachable(format!("no answer in {} s", self.longest.as_secs()));
                return Err(self.is_silent.get_or_init(|| error).clone());
            }
        };
        Ok((connection.insert(sender).clone(), true))
    }
}

fn said(error: &io::Error, address: &ServiceAddress) -> String {
    match (error.kind(), address) {
        (io::ErrorKind::NotFound, ServiceAddress::Unix(path)) if !Path::new(path).exists() => {
            "there is no such socket".to_owned()
        }
        _ => error.to_string(),
    }
}

async fn handshake(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> io::Result<SendRequest<Body>> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(STILL_THERE).max_header_list_size(1 << 16);
    let (first, said) = oneshot::channel();
    let stream = Listening { stream, heard: 0, first: Some(first) };
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with the last sender; what went wrong in it is told to whoever waits for an answer.
    tokio::spawn(connection);
    // Ours is sent, and a server's first frame waits for nothing: whoever sends none will answer nothing either.
    said.await.map_err(|_| io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection without a word"))?;
    Ok(sender)
}

/// A connection of which the first frame that arrives is told.
struct Listening<S> {
    stream: S,
    heard: usize,
    first: Option<oneshot::Sender<()>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Listening<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.heard = self.heard.saturating_add(buffer.filled().len() - before);
        if self.heard >= FRAME_HEADER
            && let Some(first) = self.first.take()
        {
            // Nobody waits for it any more: then it was too late.
            let _ = first.send(());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listening<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn send(sender: SendRequest<Body>, method: &'static str, request: Request) -> Result<SecretBytes, Status> {
    let origin = http::Uri::from_static("http://key-service");
    let mut grpc = Grpc::with_origin(Connection(sender), origin).max_decoding_message_size(LONGEST_ANSWER);
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let codec = Protobuf::<Request, Answer>::default();
    let path = http::uri::PathAndQuery::from_static(method);
    let mut answer = grpc.unary(tonic::Request::new(request), path, codec).await?.into_inner();
    Ok(answer.take())
}

/// A connection of hyper, as tonic sends on it.
struct Connection(SendRequest<Body>);

impl GrpcService<Body> for Connection {
    type ResponseBody = Incoming;
    type Error = hyper::Error;
    type Future = Box<dyn Future<Output = Result<http::Response<Incoming>, hyper::Error>> + Send + Unpin>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::new(Box::pin(self.0.send_request(request)))
    }
}

/// Did no answer come, rather than a bad one?
fn is_of_the_connection(status: &Status) -> bool {
    std::error::Error::source(status).is_some() || status.code() == Code::Unavailable
}

fn explain(status: &Status) -> KeyServiceError {
    let message = if status.message().is_empty() { status.code().description() } else { status.message() };
    let message: String = message.chars().take(2000).collect();
    match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => KeyServiceError::Refused(message),
        Code::Unavailable => KeyServiceError::Unreachable(message),
        Code::Unimplemented => KeyServiceError::Failed(format!("what answers there is no key service: {message}")),
        _ => KeyServiceError::Failed(message),
    }
}

impl fmt::Debug for KeyService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyService").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::runtime::Handle;

    use super::*;

    /// Takes connections, says these words on each, and nothing more. Gives its address, and how many there were.
    async fn peer(words: &'static [u8]) -> (ServiceAddress, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                stream.write_all(words).await.unwrap();
                open.push(stream);
            }
        });
        (address, taken)
    }

    fn surroundings() -> Surroundings {
        let handle = Handle::current();
        Surroundings::new(move || Ok(handle.clone()), || 0)
    }

    async fn unwrap(service: &Arc<KeyService>) -> Result<SecretBytes, KeyServiceError> {
        service.unwrap(&KeyName::Age("age1".to_owned()), &WrappedKey::new("x")).await
    }

    #[tokio::test]
    async fn whoever_takes_a_connection_and_says_nothing_is_waited_for_once() {
        let (address, taken) = peer(b"").await;
        let longest = Duration::from_millis(100);
        let service = Arc::new(KeyService { longest, ..KeyService::quiet(address, surroundings()) });
        for _ in 0..3 {
            let outcome = tokio::time::timeout(Duration::from_secs(30), unwrap(&service)).await.expect("it ends");
            assert_eq!(outcome.map(drop), Err(KeyServiceError::Unreachable("no answer in 0 s".to_owned())));
        }
        assert_eq!(taken.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_answer_that_takes_its_time_is_waited_for_and_that_is_told() {
        // Its SETTINGS, as a server has that asks a person.
        let (address, _) = peer(b"\0\0\0\x04\0\0\0\0\0").await;
        let (said, mut told) = tokio::sync::mpsc::unbounded_channel();
        let waiting = move |address: &ServiceAddress| said.send(address.to_string()).unwrap();
        let longest = Duration::from_millis(500);
        let service = KeyService {
            longest,
            waiting: Some(Box::new(waiting)),
            ..KeyService::quiet(address.clone(), surroundings())
        };
        let service = Arc::new(service);
        let answer = unwrap(&service);
        let told = async {
            let told = told.recv().await;
            tokio::time::sleep(longest * 2).await;
            told
        };
        tokio::select! {
            outcome = answer => panic!("{:?}", outcome.map(drop)),
            told = told => assert_eq!(told, Some(address.to_string())),
        }
    }
}
