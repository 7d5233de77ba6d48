//! Twins that differ in one value only; real manifests and files of the real programs; outputs that hold no value; speed.

mod corpus;
mod output;
mod schema;
mod speed;
mod twins;
