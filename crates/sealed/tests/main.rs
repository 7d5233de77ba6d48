//! `bulla-sealed` against the programs it must agree with.
