//! The HTTP server: the certificate to seal with, and the health. No endpoint decrypts.
//!
//! ```text
//! GET /v1/cert.pem   200 application/x-pem-file, one certificate; 500 while there is no key
//! GET /healthz       200 ok
//! GET /readyz        200 ok; 503 not ready until every object was seen once
//! ```
//!
//! Source: sealed-secrets 0.38.4 `pkg/controller/server.go`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bulla_sealed::KeyRing;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the server shows.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The key ring, whose active key's certificate is handed out.
    pub ring: watch::Receiver<Arc<KeyRing>>,
    /// Whether every object was seen once.
    pub ready: watch::Receiver<bool>,
}

/// Serves until `stop` ends, and then until the last answer is given.
pub async fn serve(listener: TcpListener, shown: Shown, stop: impl Future<Output = ()> + Send + 'static) {
    let served = axum::serve(listener, router(shown)).with_graceful_shutdown(stop).await;
    if let Err(error) = served {
        tracing::error!(%error, "HTTP server failed");
    }
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/v1/cert.pem", get(certificate))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .with_state(shown)
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
