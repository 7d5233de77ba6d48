//! The variables that our own credentials come from: a program that runs as another user is not given them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// Names that begin so. What only says where a service is, or which key is meant, is none of them.
const CREDENTIALS: [&str; 19] = [
    "SOPS_AGE_KEY",
    "SOPS_AGE_SSH_PRIVATE_KEY",
    // Vault and OpenBao.
    "VAULT_TOKEN",
    "VAULT_SECRET_ID",
    "VAULT_HEADERS",
    "VAULT_CLIENT_KEY",
    "BAO_TOKEN",
    // AWS, by the names of all its SDKs.
    "AWS_ACCESS_KEY",
    "AWS_SECRET_",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN",
    "AWS_CONTAINER_",
    // Google Cloud.
    "GOOGLE_",
    "CLOUDSDK_AUTH_",
    // Azure; what `IDENTITY_HEADER` holds opens the endpoint of a managed identity.
    "AZURE_",
    "IDENTITY_HEADER",
    "MSI_SECRET",
    "HUAWEICLOUD_SDK_",
];

/// Does a credential come from the variable of this name, or the place of one?
pub(super) fn is_credential(name: &OsStr) -> bool {
    CREDENTIALS.iter().any(|start| name.as_bytes().starts_with(start.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_from_addresses() {
        for (name, expected) in [
            ("SOPS_AGE_KEY", true),
            ("SOPS_AGE_KEY_CMD", true),
            ("SOPS_AGE_SSH_PRIVATE_KEY_CMD", true),
            ("VAULT_TOKEN", true),
            ("AWS_ACCESS_KEY_ID", true),
            ("AWS_SECRET_ACCESS_KEY", true),
            ("AWS_SECRET_KEY", true),
            ("AWS_SESSION_TOKEN", true),
            ("GOOGLE_CREDENTIALS", true),
            ("GOOGLE_OAUTH_ACCESS_TOKEN", true),
            ("AZURE_CLIENT_SECRET", true),
            ("HUAWEICLOUD_SDK_SK", true),
            ("VAULT_ADDR", false),
            ("AWS_REGION", false),
            ("SOPS_AGE_RECIPIENTS", false),
            ("SOPS_KMS_ARN", false),
            ("PATH", false),
        ] {
            assert_eq!(is_credential(OsStr::new(name)), expected, "{name}");
        }
    }
}
