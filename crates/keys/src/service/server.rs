//! The server: wraps and unwraps with the keys of whoever started it, for whoever reaches it.
//!
//! ```text
//! peer ─ connection ─ request ─ read whole, within limits ─ allowed? (asked before anything is done) ─ MasterKey ─ answer
//!        so many      so large, so long to send               sops asks afterwards
//! ```
//! Keys block: age computes, gpg runs, a person thinks. So each request is done on a thread that may wait, a few at once.

use std::convert::Infallible;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::body::Body;
use tonic::server::{Grpc, UnaryService};
use tonic::{Response, Status};

use super::listen::{Kind, Listener};
use super::messages::{Answer, DECRYPT, ENCRYPT, Protobuf, Request};
use crate::{KeyName, MasterKey, WrappedKey};

/// What a key service does its work with.
pub trait Served: fmt::Debug + Send + Sync + 'static {
    /// The key of this name, which a peer gave; `None` for a kind that cannot be used.
    fn key(&self, name: &KeyName) -> Option<Box<dyn MasterKey>>;

    /// May it be done? Asked before anything is; may take its time.
    fn allows(&self, asked: &Asked<'_>) -> bool;

    /// It was done, or why not.
    fn ended(&self, asked: &Asked<'_>, outcome: Result<(), &str>);
}

/// What a peer asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// To wrap or to unwrap.
    pub operation: Operation,
    /// With which key.
    pub key: &'a KeyName,
}

/// What is done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Wrap a data key.
    Encrypt,
    /// Unwrap one.
    Decrypt,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        })
    }
}

/// What a peer may take of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; one more is closed.
    pub connections: usize,
    /// Requests of one connection at once.
    pub streams: u32,
    /// Requests that are worked on at once, of all connections; others wait.
    pub at_once: usize,
    /// The longest request in bytes.
    pub message: usize,
    /// How long a connection may take to its first request, and a request to be sent.
    pub patience: Duration,
    /// How long a connection may be without a request.
    pub idle: Duration,
    /// How long requests may take to end when the service does.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            streams: 32,
            at_once: 8,
            message: 1 << 18,
            patience: Duration::from_secs(10),
            idle: Duration::from_mins(10),
            farewell: Duration::from_secs(5),
        }
    }
}

/// Serves until `end`. What is under way then is ended, as long as that does not take too long.
pub async fn serve(listener: Listener, served: Arc<dyn Served>, limits: Limits, end: impl Future<Output = ()>) {
    let shared = Arc::new(Shared { served, limits, at_once: Semaphore::new(limits.at_once) });
    let (over, is_over) = watch::channel(());
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let mut end = pin!(end);
    loop {
        while connections.try_join_next().is_some() {}
        tokio::select! {
            () = &mut end => break,
            accepted = accept(&listener) => match (accepted, Arc::clone(&places).try_acquire_owned()) {
                (Ok(stream), Ok(place)) => {
                    let (shared, is_over) = (Arc::clone(&shared), is_over.clone());
                    connections.spawn(async move {
                        let _place = place;
                        connection(stream, shared, is_over).await;
                    });
                }
                // One too many: it is closed.
                (Ok(_), Err(_)) => {}
                // Mostly too many open files: some are closed soon.
                (Err(_), _) => sleep(Duration::from_millis(100)).await,
            },
        }
    }
    // Nobody new.
    drop(listener);
    drop(is_over);
    let _ = over.send(());
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(limits.farewell, all).await;
}

/// What bytes come and go through.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn accept(listener: &Listener) -> std::io::Result<Box<dyn Stream>> {
    Ok(match &listener.0 {
        Kind::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Kind::Unix(listener, _) => Box::new(listener.accept().await?.0),
    })
}

/// What the requests of all connections share.
#[derive(Debug)]
struct Shared {
    served: Arc<dyn Served>,
    limits: Limits,
    at_once: Semaphore,
}

/// Requests of one connection: how many came, and how many of them are not answered yet.
#[derive(Debug, Default)]
struct Activity {
    came: AtomicUsize,
    open: AtomicUsize,
}

/// One request, as long as it is not answered.
struct Open(Arc<Activity>);

impl Open {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.came.fetch_add(1, Ordering::SeqCst);
        activity.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(activity))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn connection(stream: Box<dyn Stream>, shared: Arc<Shared>, mut is_over: watch::Receiver<()>) {
    let limits = shared.limits;
    let activity = Arc::new(Activity::default());
    let counted = Arc::clone(&activity);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (shared, open) = (Arc::clone(&shared), Open::new(&counted));
        async move {
            let answer = answer(shared, request).await;
            drop(open);
            Ok::<_, Infallible>(answer)
        }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(1 << 14)
        .max_send_buf_size(1 << 16)
        // A peer that is gone without a word.
        .keep_alive_interval(Duration::from_mins(1))
        .keep_alive_timeout(Duration::from_secs(20));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut wait = limits.patience;
    let mut came = 0;
    loop {
        tokio::select! {
            // What went wrong is the peer's to know.
            _ = &mut connection => return,
            _ = is_over.changed() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
                return;
            }
            () = sleep(wait) => {
                let now = activity.came.load(Ordering::SeqCst);
                if now == came && activity.open.load(Ordering::SeqCst) == 0 {
                    return;
                }
                (came, wait) = (now, limits.idle);
            }
        }
    }
}

async fn answer(shared: Arc<Shared>, request: http::Request<Incoming>) -> http::Response<Body> {
    let operation = match request.uri().path() {
        ENCRYPT => Operation::Encrypt,
        DECRYPT => Operation::Decrypt,
        _ => {
            return Status::unimplemented("this is a key service of SOPS: /KeyService/Encrypt, /KeyService/Decrypt")
                .into_http();
        }
    };
    let limits = shared.limits;
    let (head, body) = request.into_parts();
    // gRPC puts five bytes before a message.
    let body = match timeout(limits.patience, Limited::new(body, limits.message + 5).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Status::resource_exhausted(format!("the request is longer than {} bytes", limits.message))
                .into_http();
        }
        Ok(Err(_)) => return Status::aborted("the request was not sent to its end").into_http(),
        Err(_) => return Status::deadline_exceeded("the request took too long to be sent").into_http(),
    };
    let request = http::Request::from_parts(head, Full::new(body));
    let codec = Protobuf::<Answer, Request>::default();
    Grpc::new(codec).max_decoding_message_size(limits.message).unary(Call { shared, operation }, request).await
}

/// One of the two methods.
struct Call {
    shared: Arc<Shared>,
    operation: Operation,
}

impl UnaryService<Request> for Call {
    type Response = Answer;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Request>) -> Self::Future {
        let (shared, operation) = (Arc::clone(&self.shared), self.operation);
        Box::pin(async move {
            // It is never closed.
            let _one = shared.at_once.acquire().await.ok();
            let (served, runtime) = (Arc::clone(&shared.served), Handle::current());
            let work = move || perform(&*served, operation, request.into_inner(), &runtime);
            match tokio::task::spawn_blocking(work).await {
                Ok(outcome) => outcome.map(Response::new),
                Err(_) => Err(Status::internal("the request was not done to its end")),
            }
        })
    }
}

/// Does it, on a thread that may wait.
fn perform(
    served: &dyn Served,
    operation: Operation,
    mut request: Request,
    runtime: &Handle,
) -> Result<Answer, Status> {
    let Some(name) = request.key() else { return Err(Status::not_found("the request names no key of a known kind")) };
    let asked = Asked { operation, key: &name };
    let outcome = allowed(served, asked, &mut request, runtime);
    served.ended(&asked, outcome.as_ref().map(drop).map_err(Status::message));
    outcome
}

fn allowed(served: &dyn Served, asked: Asked<'_>, request: &mut Request, runtime: &Handle) -> Result<Answer, Status> {
    if !served.allows(&asked) {
        return Err(Status::permission_denied("Request rejected by user"));
    }
    let Some(key) = served.key(asked.key) else {
        return Err(Status::unimplemented(format!("keys of the kind `{}` cannot be used here", asked.key.source())));
    };
    let bytes = request.take();
    match asked.operation {
        Operation::Encrypt => match runtime.block_on(key.wrap(&bytes)) {
            Ok(wrapped) => Ok(Answer::new(wrapped.as_str().as_bytes())),
            Err(error) => Err(Status::unknown(error.to_string())),
        },
        Operation::Decrypt => {
            let Ok(wrapped) = std::str::from_utf8(bytes.expose_secret()) else {
                return Err(Status::invalid_argument("the wrapped key is not text"));
            };
            match runtime.block_on(key.unwrap(&WrappedKey::new(wrapped))) {
                Ok(Some(secret)) => Ok(Answer::new(secret.expose_secret())),
                Ok(None) => Err(Status::unknown("no identity here fits it")),
                Err(error) => Err(Status::unknown(error.to_string())),
            }
        }
    }
}
