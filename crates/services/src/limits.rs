//! How long a service is waited for, and how often it is asked.

use std::time::Duration;

/// What a client waits for, and for how long. The default is that of a command, whose user sits there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How often a question is asked.
    pub attempts: u32,
    /// How often it is asked if no answer comes: whoever mistyped an address is not kept waiting.
    pub silent_attempts: u32,
    /// How often it is asked if it was asked too often.
    pub throttled_attempts: u32,
    /// The longest first wait; each next one is twice as long.
    pub first_wait: Duration,
    /// No wait is longer, whatever the server asks for.
    pub longest_wait: Duration,
    /// How long one attempt may take.
    pub attempt: Duration,
    /// How many calls are under way at once.
    pub calls: usize,
    /// The longest answer in bytes.
    pub answer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempts: 5,
            silent_attempts: 3,
            throttled_attempts: 5,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(10),
            attempt: Duration::from_secs(30),
            calls: 8,
            // Those with a wrapped key have some hundred.
            answer: 1 << 20,
        }
    }
}
