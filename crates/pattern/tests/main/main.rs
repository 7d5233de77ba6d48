//! Go's regular expressions, proved against Go.

mod classes;
mod compare;
mod limits;
mod probes;
mod random;
