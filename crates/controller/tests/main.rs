//! The controller against a real control plane and the real programs of Sealed Secrets.
//!
//! Every test has namespaces of its own, one for the objects and one for the keys, and a controller that looks at those only.

mod fixture;

mod external;
mod install;
mod keys;
mod metrics;
mod ownership;
mod peers;
mod restart;
mod templates;
mod throughput;
mod unsealing;
