//! The client: one connection a service, made with the first call and again when it was closed.
//!
//! Who serves may ask a person, so an answer is waited for without a limit; for a connection, ten seconds.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bulla_crypto::SecretBytes;
use bulla_services::{ServiceError, Surroundings};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::{Code, Status};

use super::address::ServiceAddress;
use super::messages::{Answer, DECRYPT, ENCRYPT, Protobuf, Request};
use crate::{KeyName, Tried, WrappedKey};

/// Longest answer in bytes. A wrapped key has some thousand at most.
const LONGEST_ANSWER: usize = 1 << 20;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// A service that is gone is noticed so: asked whether it is there, no more often than Go's servers stand.
const STILL_THERE: Duration = Duration::from_secs(301);

/// A key service, as one command uses it.
pub struct KeyService {
    address: ServiceAddress,
    surroundings: Surroundings,
    connection: Mutex<Option<SendRequest<Body>>>,
}

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
        Arc::new(Self { address, surroundings, connection: Mutex::default() })
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
        match send(sender, method, request.clone()).await {
            // It was closed between two calls: both kinds of requests can be sent again.
            Err(status) if !is_new && is_of_the_connection(&status) => {
                *self.connection.lock().await = None;
                let (sender, _) = self.connected().await?;
                send(sender, method, request).await
            }
            outcome => outcome,
        }
        .map_err(|status| explain(&status))
    }

    /// A connection, and whether it was made for this.
    async fn connected(&self) -> Result<(SendRequest<Body>, bool), KeyServiceError> {
        let mut connection = self.connection.lock().await;
        if let Some(sender) = connection.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((sender.clone(), false));
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
        let made = tokio::time::timeout(CONNECT, made).await;
        let sender = match made {
            Ok(Ok(sender)) => sender,
            Ok(Err(error)) => return Err(KeyServiceError::Unreachable(said(&error, &self.address))),
            Err(_) => return Err(KeyServiceError::Unreachable(format!("no answer in {} s", CONNECT.as_secs()))),
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
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with the last sender; what went wrong in it is told to whoever waits for an answer.
    tokio::spawn(connection);
    Ok(sender)
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
