//! Against the real SOPS stores: the same tree, in the same order; and edits that leave the rest alone.

mod edits;
mod flat;
mod round_trip;
mod tree;
