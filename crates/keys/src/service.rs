//! The key service of SOPS: a program that holds keys wraps and unwraps for others, by gRPC.
//!
//! ```text
//! a file's key ─▶ FirstOf ─┬─ here: the key itself          whoever does it first; each one's reason if nobody does
//!                          ├─ unix:///run/keys.sock ─┐
//!                          └─ tcp://10.0.0.7:5000 ───┤ client ── /KeyService/Encrypt {key, plaintext} ─▶ server ─ asks a person? ─▶ MasterKey
//!                                                                /KeyService/Decrypt {key, ciphertext}
//!
//! address    where a service is         messages   protocol buffers, to and from `KeyName`
//! client     one connection a service   listen     a socket that is nobody else's
//! server     peers are limited in number, size and time
//! ```
//! The transport is plain HTTP/2, without TLS and without any login: whoever reaches a service by TCP has what its keys open. That is the
//! protocol. On a Unix socket, the file's mode says who may; ours is its owner's alone.
//!
//! What passes lies for a moment in buffers of hyper and tonic, which nobody wipes; our own messages are wiped.
//!
//! Source: sops 3.13.3 `keyservice/keyservice.proto`, `keyservice/server.go`, `cmd/sops/main.go`.

mod address;
mod client;
mod first;
mod listen;
mod messages;
mod server;

pub use address::{ServiceAddress, ServiceAddressError};
pub use client::{KeyService, KeyServiceError};
pub use first::{FirstOf, NobodyDid};
pub use listen::{ListenError, Listener};
pub use server::{Asked, Limits, Operation, Served, serve};
