//! What is promised, proved: results against Go's own, limits against templates that are made to break them.

mod limits;
mod mutated;
mod vectors;
