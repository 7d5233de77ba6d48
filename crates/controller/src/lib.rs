//! The controller: SealedSecrets of a cluster become Secrets, and stay what they say.
//!
//! ```text
//!  watch SealedSecrets ─┐
//!  watch Secrets (meta) ┼─▶ index ── what changed? ──▶ queue ──▶ reconcile, many at once
//!  watch key Secrets ───┘      ▲                                   │ plan   pure: may it, and what should the Secret be
//!       │                      │                                   │ apply  create or replace, only what differs
//!       ▼                      └── what was found ─────────────────┤ status, event: only what changed
//!   key ring ──▶ server: /v1/cert.pem, /healthz, /readyz, /metrics ▼
//! ```
//!
//! An idle cluster is silent: no write, no event and no private-key operation when nothing changed, a restart included, because what was
//! checked is recorded beside the status under a keyed digest ([`record`]).
//!
//! Permissions: `deploy/kustomize/base/rbac.yaml`. The verbs are those of upstream's chart (no `patch` but for events), so this runs under
//! the RBAC of an installed Sealed Secrets. Every write is a create or a replacement under optimistic lock.
//!
//! Environment and clock are met in [`options`] and [`run`]; plan, record, status, index and queue are pure.

pub mod apply;
pub mod connection;
pub mod event;
mod external;
mod follow;
pub mod index;
pub mod key_secrets;
pub mod metrics;
pub mod name;
pub mod options;
pub mod plan;
pub mod queue;
pub mod reconcile;
pub mod record;
pub mod run;
pub mod secrets;
pub mod server;
pub mod statistics;
pub mod status;

pub use options::{Drift, ExternalOptions, KeyOptions, Namespaces, Options};
pub use run::{RunError, Running, run, start};
pub use statistics::{Counts, Statistics};
