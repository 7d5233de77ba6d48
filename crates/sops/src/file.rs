//! An encrypted file that was read, and not opened yet.

use bulla_crypto::DataKey;
use bulla_doc::{Document, Format};
use bulla_wipe::Wiping;

use crate::binary;
use crate::decrypt::{DecryptError, Opened, ReadError};
use crate::keyring::{self, DataKeyError, KeyRing};
use crate::metadata::Metadata;

/// An encrypted document with its metadata.
#[derive(Debug)]
pub struct EncryptedFile {
    document: Document,
    metadata: Metadata,
    format: Format,
}

impl EncryptedFile {
    /// Reads `bytes`.
    ///
    /// # Errors
    /// [`ReadError`] if they are no document, or not an encrypted one.
    pub fn read(bytes: &[u8], format: Format) -> Result<Self, ReadError> {
        Self::read_owned(Wiping::new(bytes.to_vec()), format)
    }

    /// [`EncryptedFile::read`] that takes over the bytes, to spare a copy.
    ///
    /// # Errors
    /// As [`EncryptedFile::read`].
    pub fn read_owned(bytes: Wiping<Vec<u8>>, format: Format) -> Result<Self, ReadError> {
        let document = match format {
            Format::Binary => binary::read(bytes)?,
            _ => Document::parse_owned(bytes, format)?,
        };
        let metadata = Metadata::read(&document)?;
        Ok(Self { document, metadata, format })
    }

    /// The format of the plain document. Of a binary file [`EncryptedFile::document`] is the JSON that it is wrapped in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The document as it was read.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// What its `sops` entry says. Not authenticated.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Unwraps the data key with what `ring` has.
    ///
    /// # Errors
    /// [`DataKeyError`]
    pub async fn data_key(&self, ring: &dyn KeyRing) -> Result<DataKey, DataKeyError> {
        keyring::data_key(&self.metadata, ring).await
    }

    /// Decrypts every value and checks the MAC, and in a file that was written here what the MAC leaves out, comments included. Nothing is
    /// given out that did not pass.
    ///
    /// # Errors
    /// [`DecryptError`]; never one about the data key.
    pub fn open(&self, key: &DataKey) -> Result<Opened<'_>, DecryptError> {
        let (opened, outcome) = Opened::decrypt(self, key)?;
        outcome?;
        opened.check_coverage()?;
        Ok(opened)
    }
}
