//! ExternalSecrets: values of external stores become Secrets, and stay what the stores say.
//!
//! ```text
//!  watch ExternalSecrets ─┐
//!  watch stores ──────────┼─▶ index ── whom does it concern? ──▶ queue ──▶ reconcile ─┬─ refresh   is it due?
//!  watch Secrets (meta) ──┘                                                           ├─ fetch ─ pool ─ broker ─▶ store
//!                                                                                     ├─ plan      what should the Secret be?
//!                                                     queue ──▶ stores: can it be used?└─ write, status, event
//! ```
//! Refresh, plan, status, index and breaker are pure. A value is in memory from its fetch until it is written, and in the broker for as long
//! as others may ask for it. Source: external-secrets 2.9.0; what differs is in `docs/differences.md`.

mod breaker;
mod broker;
mod fetch;
mod hash;
mod index;
mod objects;
mod open;
mod plan;
mod pool;
mod reconcile;
mod refresh;
mod status;
mod stores;
mod token;
mod validate;
mod values;
mod watch;

pub(crate) use pool::locked;
pub(crate) use reconcile::External;
pub(crate) use watch::start;
