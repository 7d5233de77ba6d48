//! Against the real SOPS, both ways; on real manifests; on files that were tampered with.

mod at_scale;
mod ciphertexts;
mod configurations;
mod conversions;
mod edits;
mod faults;
mod flat;
mod generate;
mod groups;
mod groups_at_scale;
mod interop;
mod old_versions;
mod rotation;
mod round_trip;
mod support;
mod tampering;
mod vectors;
