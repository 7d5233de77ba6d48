//! A payload that is one text, JSON or not: what AWS Secrets Manager and the fake store give.

use std::collections::BTreeMap;

use bulla_crypto::SecretBytes;
use bulla_wipe::Wiping;

use crate::json::{Json, Kind, Reader};
use crate::{Content, SelectError, path};

/// How such a store reads `property`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// As a path. What it does not lead to is missing, as a secret that is not there is.
    Path,
    /// With its dots as part of a name, else as a path.
    NameOrPath,
}

/// The text, and the store's rule.
pub(crate) struct Text {
    pub(crate) bytes: SecretBytes,
    pub(crate) rule: Rule,
}

impl Content for Text {
    fn whole(&self) -> Result<SecretBytes, SelectError> {
        Ok(copy(self.bytes.expose_secret()))
    }

    fn property(&self, path: &str) -> Result<SecretBytes, SelectError> {
        let json = Json::read(self.bytes.expose_secret());
        let json = json.map_err(|error| SelectError::of_json(error, "the secret"))?;
        match self.rule {
            Rule::Path => {
                let found = path::find(json, path)?.ok_or_else(|| SelectError::Missing(path.to_owned()))?;
                Ok(found.text().into())
            }
            Rule::NameOrPath => {
                let mut found = None;
                if path.contains('.') {
                    found = path::find(json, &path.replace('.', "\\."))?;
                }
                if found.is_none() {
                    found = path::find(json, path)?;
                }
                Ok(found.ok_or_else(|| SelectError::NoProperty(path.to_owned()))?.text().into())
            }
        }
    }

    fn entries(&self, property: Option<&str>) -> Result<BTreeMap<String, SecretBytes>, SelectError> {
        match property {
            None => entries(self.bytes.expose_secret(), "the secret"),
            Some(property) => {
                let object = self.property(property)?;
                entries(object.expose_secret(), &format!("the property `{property}`"))
            }
        }
    }
}

/// The members of a JSON object: strings as their text, null as nothing, everything else as it is spelt. `of` names it in errors.
fn entries(text: &[u8], of: &str) -> Result<BTreeMap<String, SecretBytes>, SelectError> {
    let json = Json::read(text).map_err(|error| SelectError::of_json(error, of))?;
    // Go reads null as no members.
    if !matches!(json.kind(), Kind::Object | Kind::Null) {
        return Err(SelectError::NoObject { of: of.to_owned() });
    }
    let entry = |(name, value): (Wiping<Vec<u8>>, Json<'_>)| {
        let value = match value.kind() {
            Kind::Null | Kind::Text => value.text(Reader::Go).into(),
            _ => copy(value.raw()),
        };
        (String::from_utf8_lossy(&name).into_owned(), value)
    };
    Ok(json.sorted().into_iter().map(entry).collect())
}

/// The same bytes once more, for somebody who keeps them longer than the payload.
pub(crate) fn copy(bytes: &[u8]) -> SecretBytes {
    SecretBytes::new(bytes.to_vec())
}
