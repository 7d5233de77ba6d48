//! Which key of AWS KMS, as whom: as `--kms` and creation rules spell it, and as the fields of the metadata.

use crate::one_line::OneLine;
use std::fmt;

use bulla_services::aws::is_region;

/// A key of KMS. The texts are kept as they are spelt: they are what the metadata holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AwsKeyName {
    /// `arn:aws:kms:eu-west-1:123456789012:key/…`, or `…:alias/…`.
    pub arn: String,
    /// The role that is assumed to use it; empty for none.
    pub role: String,
    /// What the wrapped key is bound to: KMS unwraps it with the same pairs only, and writes them to its log. Sorted.
    pub context: Vec<(String, String)>,
    /// The profile whose credentials count; empty for those of the environment.
    pub profile: String,
}

/// Why a text names no key of KMS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsNameError {
    /// It is no ARN of a key.
    #[error(
        "`{arn}` is not the ARN of a key, like `arn:aws:kms:eu-west-1:123456789012:key/…` or `…:alias/…`: {reason}"
    )]
    Arn {
        /// The text, shortened.
        arn: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The role is none.
    #[error("`{}` is not the ARN of a role, like `arn:aws:iam::123456789012:role/name`", OneLine(role))]
    Role {
        /// The text, shortened.
        role: String,
    },
    /// The encryption context is none.
    #[error("`{}` is not an encryption context, like `app:shop,stage:production`", OneLine(text))]
    Context {
        /// The text, shortened.
        text: String,
    },
}

/// The parts of a key's ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arn {
    partition: String,
    pub(super) region: String,
    account: String,
    /// `key/…`, `alias/…`
    key: String,
}

impl AwsKeyName {
    /// Reads `ARN` or `ARN+ROLE`, as `--kms` and a rule's `kms` have it.
    ///
    /// # Errors
    /// [`AwsNameError`]
    pub fn from_argument(text: &str, context: &[(String, String)], profile: &str) -> Result<Self, AwsNameError> {
        let name = Self::split(text, context, profile);
        name.check()?;
        Ok(name)
    }

    /// Takes the same text apart, whatever its parts are.
    pub fn split(text: &str, context: &[(String, String)], profile: &str) -> Self {
        let text = text.replace(' ', "");
        // An ARN may have a plus sign, but no colon after its fifth.
        let (arn, role) = match text.find("+arn:") {
            Some(plus) if plus > 0 => (&text[..plus], &text[plus + 1..]),
            _ => (text.as_str(), ""),
        };
        Self { arn: arn.to_owned(), role: role.to_owned(), context: context.to_vec(), profile: profile.to_owned() }
    }

    /// Whether requests can be made for it.
    ///
    /// # Errors
    /// [`AwsNameError`]
    pub fn check(&self) -> Result<(), AwsNameError> {
        self.arn().map(drop)
    }

    /// The parts of its ARN. A file's texts become a part of a host's name and what is signed, so nothing but an ARN passes.
    pub(super) fn arn(&self) -> Result<Arn, AwsNameError> {
        let refuse = |reason| AwsNameError::Arn { arn: short(&self.arn), reason };
        let parts: Vec<&str> = self.arn.splitn(6, ':').collect();
        let ["arn", partition, service, region, account, key] = parts.as_slice() else {
            return Err(refuse("it has too few parts"));
        };
        let is_lower = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        if !partition.starts_with("aws") || !is_lower(partition) {
            return Err(refuse("it does not begin with `arn:aws`"));
        }
        if *service != "kms" {
            return Err(refuse("it is of another service"));
        }
        if !is_region(region) {
            return Err(refuse("its region is none"));
        }
        if account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refuse("its account is none"));
        }
        let name = key.strip_prefix("key/").or_else(|| key.strip_prefix("alias/")).unwrap_or_default();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b":/_-".contains(&byte);
        if name.is_empty() || key.len() > 300 || !name.bytes().all(is_name) {
            return Err(refuse("it names neither `key/…` nor `alias/…`"));
        }
        if !self.role.is_empty() && !is_role(&self.role) {
            return Err(AwsNameError::Role { role: short(&self.role) });
        }
        let text = |text: &&str| (*text).to_owned();
        Ok(Arn { partition: text(partition), region: text(region), account: text(account), key: text(key) })
    }
}

impl Arn {
    /// Is it a multi-Region key? Its replicas have the same id in other regions, and open what any of them wrapped.
    pub(super) fn is_multi_region(&self) -> bool {
        self.key.starts_with("key/mrk-")
    }

    /// What all its replicas have in common.
    pub(super) fn without_region(&self) -> (String, String, String) {
        (self.partition.clone(), self.account.clone(), self.key.clone())
    }

    /// The replica in `region`.
    pub(super) fn in_region(&self, region: &str) -> String {
        format!("arn:{}:kms:{region}:{}:{}", self.partition, self.account, self.key)
    }
}

/// As SOPS identifies it: `ARN+ROLE|name:value,…|PROFILE`.
impl fmt::Display for AwsKeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)?;
        if !self.role.is_empty() {
            write!(f, "+{}", self.role)?;
        }
        let pairs: Vec<String> = self.context.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        if !pairs.is_empty() || !self.profile.is_empty() {
            write!(f, "|{}", pairs.join(","))?;
        }
        if !self.profile.is_empty() {
            write!(f, "|{}", self.profile)?;
        }
        Ok(())
    }
}

/// Reads `name:value,name:value`, as `--encryption-context` has it. An empty text is an empty context.
///
/// # Errors
/// [`AwsNameError::Context`]
pub fn read_context(text: &str) -> Result<Vec<(String, String)>, AwsNameError> {
    let refuse = || AwsNameError::Context { text: short(text) };
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in text.split(',').filter(|_| !text.is_empty()) {
        let (name, value) = pair.split_once(':').ok_or_else(refuse)?;
        if value.contains(':') || pairs.iter().any(|(known, _)| known == name) {
            return Err(refuse());
        }
        pairs.push((name.to_owned(), value.to_owned()));
    }
    pairs.sort();
    Ok(pairs)
}

fn is_role(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, role] = parts.as_slice() else { return false };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_/-".contains(&byte);
    partition.starts_with("aws")
        && !account.is_empty()
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && role.strip_prefix("role/").is_some_and(|name| !name.is_empty() && name.bytes().all(is_name))
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_kms::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/612d5f0b-aaaa-45e6-aca6-a5b005693a48";

    #[test]
    fn an_argument_is_taken_apart_as_sops_does() {
        let role = "arn:aws:iam::927034868273:role/sops-dev";
        for (text, arn, of_role) in [
            (KEY.to_owned(), KEY, ""),
            (format!(" {KEY} + {role}"), KEY, role),
            (
                "arn:aws-us-gov:kms:us-gov-west-1:1:alias/a/b_c-d".to_owned(),
                "arn:aws-us-gov:kms:us-gov-west-1:1:alias/a/b_c-d",
                "",
            ),
        ] {
            let name = AwsKeyName::from_argument(&text, &[], "").unwrap();
            assert_eq!((&*name.arn, &*name.role), (arn, of_role));
        }
        for (text, reason) in [
            ("", "too few parts"),
            ("alias/shop", "too few parts"),
            ("arn:aws:s3:eu-west-1:1:key/k", "of another service"),
            ("arn:aws:kms:eu-west-1:1:grant/k", "neither `key/…` nor"),
            ("arn:aws:kms:eu-west-1:1:key/", "neither `key/…` nor"),
            ("arn:aws:kms:eu-west-1:x:key/k", "its account is none"),
            ("arn:aws:kms:eu-west-1:1:key/k+arn:aws:iam::1:user/u", "is not the ARN of a role"),
        ] {
            let error = AwsKeyName::from_argument(text, &[], "").unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_cannot_make_us_ask_another_host() {
        for region in [
            "eu-west-1.evil.example",
            "eu-west-1/",
            "evil.example/x",
            "eu-west-1@evil.example",
            "eu-west-1#",
            "eu-west-1?",
            "eu-west-1%2f",
            "eu-west-1\n",
            "EU-WEST-1",
            "",
            "..",
            "localhost",
            "127.0.0.1",
        ] {
            let arn = format!("arn:aws:kms:{region}:123456789012:key/k");
            let name = AwsKeyName { arn, role: String::new(), context: Vec::new(), profile: String::new() };
            assert!(name.check().is_err(), "{region:?}");
        }
        for arn in [
            "arn:evil:kms:eu-west-1:1:key/k",
            "arn:aws.evil:kms:eu-west-1:1:key/k",
            "arn:aws:kms:eu-west-1:1:key/k\r\nHost: evil",
            "arn:aws:kms:eu-west-1:1:key/k?x",
            "arn:aws:kms:eu-west-1:1/x:key/k",
        ] {
            assert!(AwsKeyName::from_argument(arn, &[], "").is_err(), "{arn:?}");
        }
    }

    #[test]
    fn keys_are_told_apart_as_by_sops() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let name = |role: &str, context: &[(String, String)], profile: &str| {
            AwsKeyName { arn: "A".into(), role: role.into(), context: context.to_vec(), profile: profile.into() }
                .to_string()
        };
        assert_eq!(name("", &[], ""), "A");
        assert_eq!(name("R", &[], ""), "A+R");
        assert_eq!(name("", &[pair("a", "1"), pair("b", "2")], ""), "A|a:1,b:2");
        assert_eq!(name("", &[], "P"), "A||P");
        assert_eq!(name("R", &[pair("a", "1")], "P"), "A+R|a:1|P");
    }

    #[test]
    fn an_encryption_context_is_read_or_refused() {
        assert_eq!(read_context("").unwrap(), []);
        let pairs = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())];
        assert_eq!(read_context("b:,a:1").unwrap(), pairs);
        for text in ["a", "a:1,", "a:b:c", "a:1,a:2", ","] {
            assert!(read_context(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_replica_has_the_same_name_elsewhere() {
        let key = |arn: &str| AwsKeyName::from_argument(arn, &[], "").unwrap().arn().unwrap();
        let arn = key("arn:aws:kms:us-east-1:1:key/mrk-0123");
        assert!(arn.is_multi_region());
        assert_eq!(arn.in_region("eu-west-1"), "arn:aws:kms:eu-west-1:1:key/mrk-0123");
        assert_eq!(arn.without_region(), key("arn:aws:kms:eu-west-1:1:key/mrk-0123").without_region());
        assert!(!key(KEY).is_multi_region() && !key("arn:aws:kms:us-east-1:1:alias/mrk-0123").is_multi_region());
    }

    proptest! {
        /// Whatever stands for a region: either it is refused, or the SDK asks AWS.
        #[test]
        fn what_passes_for_a_region_leads_to_aws(
            region in prop_oneof![
                "\\PC{0,45}",
                "[a-z0-9.@/#?%:-]{1,45}",
                "(us|cn|eu-isoe|us-gov|evil)-[a-z]{1,9}-[0-9]{1,3}",
                "(us|cn|evil)-[a-z]{1,9}-[0-9]{1,3}[.@/#?%:-][a-z.]{0,20}",
            ]
        ) {
            let name = AwsKeyName::split(&format!("arn:aws:kms:{region}:123456789012:key/k"), &[], "");
            if let Ok(arn) = name.arn() {
                let params = Params::builder().region(&arn.region).build().unwrap();
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let url = runtime.block_on(DefaultResolver::new().resolve_endpoint(&params)).unwrap().url().to_owned();
                let rest = url.strip_prefix(&format!("https://kms.{}.", arn.region)).unwrap();
                let of_aws = ["amazonaws.com", "amazonaws.com.cn", "c2s.ic.gov", "sc2s.sgov.gov", "cloud.adc-e.uk", "csp.hci.ic.gov", "amazonaws.eu"];
                prop_assert!(of_aws.contains(&rest.trim_end_matches('/')), "{url}");
            }
        }
    }
}
