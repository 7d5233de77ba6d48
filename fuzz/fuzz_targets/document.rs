//! Whatever is encrypted and restored comes back byte for byte. The first byte chooses the format.
#![no_main]

use bulla_doc::Format;
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/doc/tests/main/round_trip.rs"]
mod round_trip;

fuzz_target!(|input: &[u8]| {
    let Some((first, text)) = input.split_first() else { return };
    let format = if first % 2 == 0 { Format::Yaml } else { Format::Json };
    if let Err(difference) = round_trip::round_trip(text, format) {
        panic!("{difference}");
    }
});
