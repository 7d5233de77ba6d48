//! No pattern makes the parser or the engine panic.
#![no_main]

use bulla_pattern::Pattern;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (pattern, text) = input;
    if let Ok(pattern) = Pattern::new(pattern) {
        assert_eq!(pattern.is_match(text), pattern.find(text).is_some());
    }
});
