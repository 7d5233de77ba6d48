//! Values of SOPS: whatever is read as one is written back as the same, and nothing that was not encrypted opens.
#![no_main]

use bulla_crypto::{DataKey, EncryptedValue, ValueCipher};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let Some(value) = EncryptedValue::parse(input) else { return };
    let cipher = ValueCipher::new(&DataKey::init_with(|key| key.fill(7)));
    assert!(cipher.decrypt(&value, b"db:password:").is_err());
});
