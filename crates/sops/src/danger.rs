//! What a reviewer must see twice.

use bulla_crypto::DataKey;
use bulla_doc::Edits;
use bulla_wipe::Wiping;
use rand_core::CryptoRng;

use crate::decrypt::{DecryptError, Opened};
use crate::file::EncryptedFile;
use crate::metadata::{self, LastModified};
use crate::wrap::{Groups, WrapKeysError, wrap};

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
    let (opened, outcome) = Opened::decrypt(file, key)?;
    let outcome = outcome.and_then(|()| opened.check_coverage());
    Ok((opened, outcome))
}

/// Opens a file as SOPS does: its MAC is checked, and what the MAC leaves out is not. What [`EncryptedFile::open`] would have said of that
/// comes beside it.
///
/// # Errors
/// [`DecryptError`]
pub fn open_as_sops<'e>(
    file: &'e EncryptedFile,
    key: &DataKey,
) -> Result<(Opened<'e>, Result<(), DecryptError>), DecryptError> {
    let (opened, outcome) = Opened::decrypt(file, key)?;
    outcome?;
    let whole = opened.check_coverage();
    Ok((opened, whole))
}

/// What becomes of the dates of keys that a file has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dates {
    /// They stay: `sops groups`.
    Keep,
    /// They are the moment of the change: `sops updatekeys`.
    Renew,
}

/// The same file, opened by the keys of `groups` from now on, and the data key stays the same: what `sops updatekeys` and `sops groups` do.
///
/// Whoever could open the file has its data key, and opens with it whatever is written into the file later, too. That is why there is
/// nothing of the kind under bulla's own name: [`Opened::rotate`] makes a new one. `key` must be the data key of `file`, else nobody opens
/// it afterwards. Values, MAC and date of the file stay; no byte outside of the metadata changes. `rng` gives the shares of groups.
///
/// # Errors
/// [`WrapKeysError`]
pub async fn wrap_data_key_again(
    file: &EncryptedFile,
    key: &DataKey,
    groups: &Groups<'_>,
    threshold: usize,
    (now, dates): (jiff::Timestamp, Dates),
    rng: &mut (dyn CryptoRng + Send),
) -> Result<Wiping<Vec<u8>>, WrapKeysError> {
    let mut wrapped = wrap(key, groups, threshold, LastModified::from(now), rng).await?;
    if dates == Dates::Keep {
        wrapped.keep_dates(file.metadata());
    }
    let mut edits = Edits::new(file.document());
    metadata::replace_keys(&mut edits, file.document(), &wrapped);
    Ok(edits.apply())
}
