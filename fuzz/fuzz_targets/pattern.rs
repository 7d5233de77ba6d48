//! Go's regular expressions: refused or compiled, and then matched, in bounded time and memory.
#![no_main]

use bulla_pattern::Pattern;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (pattern, text) = input;
    let Ok(pattern) = Pattern::new(pattern) else { return };
    assert_eq!(pattern.find(text).is_some(), pattern.is_match(text));
});
