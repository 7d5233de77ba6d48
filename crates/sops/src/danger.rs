//! What a reviewer must see twice.

use bulla_crypto::DataKey;

use crate::decrypt::{DecryptError, Opened};
use crate::file::EncryptedFile;

/// Opens a file though its MAC is missing or wrong: values may have been removed, added, copied, or taken from an older version, and
/// plain values may be anything. Each encrypted value by itself is still authentic under its path.
///
/// Gives what the MAC's check said, `Ok` if it passed.
///
/// # Errors
/// [`DecryptError::Value`] and [`DecryptError::Unsupported`] as ever.
pub fn open_ignoring_mac<'e>(
    file: &'e EncryptedFile,
    key: &DataKey,
) -> Result<(Opened<'e>, Result<(), DecryptError>), DecryptError> {
    Opened::decrypt(file, key)
}
