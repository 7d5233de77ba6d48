//! The peers answer as they should, so that a test that compares with them compares with something.

mod control_plane;
mod corpus;
mod oracle;
mod programs;
mod sealing;
