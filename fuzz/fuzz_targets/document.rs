//! Whatever is encrypted and restored comes back byte for byte. The first byte chooses the format.
#![no_main]

use bulla_doc::Format;
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/doc/tests/main/round_trip.rs"]
mod round_trip;

fuzz_target!(|input: &[u8]| {
    let Some((first, text)) = input.split_first() else { return };
    let format = [Format::Yaml, Format::Json, Format::Dotenv, Format::Ini][usize::from(first % 4)];
    if let Err(difference) = round_trip::round_trip(text, format) {
        panic!("{difference}");
    }
});
