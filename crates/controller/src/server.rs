//! The HTTP servers: the certificate to seal with, and the health; on another port the metrics. No endpoint decrypts.
//!
//! ```text
//! :8080  GET /v1/cert.pem   200 application/x-pem-file, one certificate; 500 while there is no key
//!        GET /healthz       200 ok
//!        GET /readyz        200 ok; 503 not ready until every object was seen once
//! :8081  GET /metrics       200 application/openmetrics-text
//! ```
//! Two ports, as upstream: the first is for everybody who may seal, the second tells names of objects and is for the monitoring.
//!
//! Source: sealed-secrets 0.38.4 `pkg/controller/server.go`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bulla_sealed::KeyRing;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::metrics::exposition::{Exposition, MEDIA_TYPE};
use crate::statistics::Statistics;

/// What the server shows.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The key ring, whose active key's certificate is handed out.
    pub ring: watch::Receiver<Arc<KeyRing>>,
    /// Whether every object was seen once.
    pub ready: watch::Receiver<bool>,
    /// Where requests are counted.
    pub statistics: Arc<Statistics>,
}

/// Serves until `stop` ends, and then until the last answer is given.
pub async fn serve(listener: TcpListener, shown: Shown, stop: impl Future<Output = ()> + Send + 'static) {
    run(listener, router(shown), stop).await;
}

/// Serves the metrics at `address` on a task of their own. Where that is not possible the log says so and the controller works on, as
/// upstream's does.
pub async fn serve_metrics(
    address: SocketAddr,
    exposition: Exposition,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Option<(SocketAddr, JoinHandle<()>)> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok::<_, std::io::Error>((listener, address))
    };
    let (listener, address) = match bound.await {
        Ok(bound) => bound,
        Err(error) => {
            tracing::error!(%address, %error, "metrics are not served");
            return None;
        }
    };
    let router = Router::new().route("/metrics", get(metrics)).with_state(Arc::new(exposition));
    Some((address, tokio::spawn(run(listener, router, stop))))
}

async fn run(listener: TcpListener, router: Router, stop: impl Future<Output = ()> + Send + 'static) {
    let served = axum::serve(listener, router).with_graceful_shutdown(stop).await;
    if let Err(error) = served {
        tracing::error!(%error, "HTTP server failed");
    }
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/v1/cert.pem", get(certificate))
        .route_layer(from_fn_with_state(shown.clone(), counted))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .with_state(shown)
}

async fn metrics(State(exposition): State<Arc<Exposition>>) -> Response {
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], exposition.text()).into_response()
}

/// Counts a request for the certificate; probes are not counted, as upstream.
async fn counted(State(shown): State<Shown>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = match *request.method() {
        Method::GET => "get",
        Method::HEAD => "head",
        // Whatever a client makes up would be a series of its own.
        _ => "unknown",
    };
    let response = next.run(request).await;
    shown.statistics.metrics.answered("/v1/cert.pem", method, response.status().as_u16(), started.elapsed());
    response
}

async fn certificate(State(shown): State<Shown>) -> Response {
    let pem = shown.ring.borrow().active().and_then(|key| Some(key.certificate().ok()?.to_pem()));
    match pem {
        Some(pem) => ([(header::CONTENT_TYPE, "application/x-pem-file")], pem).into_response(),
        None => (StatusCode::INTERNAL_SERVER_ERROR, "cannot get certificate\n").into_response(),
    }
}

async fn readiness(State(shown): State<Shown>) -> Response {
    if *shown.ready.borrow() {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}
