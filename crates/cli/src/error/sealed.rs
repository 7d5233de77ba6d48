//! Errors of Sealed Secrets: certificates, sealing, unsealing, the controller.

use bulla_api::{DecodeError, SealedSecret};
use bulla_controller::RunError;
use bulla_crypto::KeyError;
use bulla_sealed::{CertificateError, ItemError, KeySecretError, MergeError, ResealError, SealError, UnsealError};

use crate::error::CommandError;
use crate::exit::Exit;

impl From<KeyError> for CommandError {
    fn from(error: KeyError) -> Self {
        Self::new(Exit::Input, error)
    }
}

impl From<CertificateError> for CommandError {
    fn from(error: CertificateError) -> Self {
        let hint = match &error {
            CertificateError::NotRsa { .. } => Some("Sealed Secrets work with RSA keys only"),
            CertificateError::Absent => Some("`bulla cert` fetches the certificate of a cluster"),
            _ => None,
        };
        hint.into_iter().fold(Self::new(Exit::Input, error), Self::hint)
    }
}

impl From<KeySecretError> for CommandError {
    fn from(error: KeySecretError) -> Self {
        Self::new(Exit::Input, error).hint("a key Secret has its private key as PEM in `data` under `tls.key`")
    }
}

impl From<DecodeError> for CommandError {
    fn from(error: DecodeError) -> Self {
        Self::new(Exit::Input, error)
    }
}

impl From<SealError> for CommandError {
    fn from(error: SealError) -> Self {
        let hint = match &error {
            SealError::Kind { found: Some(found), .. } if found == "SealedSecret" => {
                Some("it is sealed already; `bulla unseal` opens it")
            }
            SealError::NoNamespace => Some(
                "name it in the Secret or with `--namespace`; or let the values open everywhere with `--scope cluster-wide`",
            ),
            SealError::NoName => Some("name it in the Secret or with `--name`"),
            SealError::Type { .. } => Some("numbers, dates and words such as `yes` must be quoted to be text"),
            SealError::NamespaceMismatch { .. } => {
                Some("the values would open in that namespace only; change one of the two")
            }
            _ => None,
        };
        hint.into_iter().fold(Self::new(Exit::Input, error), Self::hint)
    }
}

impl From<MergeError> for CommandError {
    fn from(error: MergeError) -> Self {
        let hint = match error {
            MergeError::Secret(error) => return error.into(),
            MergeError::NoSealedSecret(_) | MergeError::Ambiguous(_) => Some("`--name` says which one is meant"),
            MergeError::Mismatch { .. } => {
                Some("values of different places or scopes in one SealedSecret could not be opened together")
            }
            _ => None,
        };
        hint.into_iter().fold(Self::new(Exit::Input, error), Self::hint)
    }
}

impl From<ResealError> for CommandError {
    fn from(error: ResealError) -> Self {
        let items = match error {
            ResealError::Field(error) => return error.into(),
            ResealError::Items(items) => items,
            error => return Self::new(Exit::Input, error),
        };
        let exit = items.iter().map(|(_, error)| exit_of(error)).reduce(|a, b| if a == b { a } else { Exit::Value });
        let failed = format!("{} of its items cannot be opened, so nothing was sealed again", items.len());
        let mut failed = Self::new(exit.unwrap_or(Exit::Value), failed);
        for (item, error) in &items {
            failed = failed.detail(format!("`{item}`: {error}"));
        }
        match items.iter().find_map(|(_, error)| hint_of(error)) {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }
}

impl From<RunError> for CommandError {
    fn from(error: RunError) -> Self {
        let (exit, hint) = match &error {
            RunError::NotInCluster(_) => (Exit::Cluster, Some("name a kubeconfig with `--kubeconfig`")),
            RunError::Kubeconfig { .. } | RunError::Client(_) => (Exit::Cluster, None),
            RunError::Listen { .. } => (Exit::Failed, Some("choose another address with `--listen`")),
            RunError::Keys(_) => (
                Exit::Cluster,
                Some("its service account must be able to list, get and create Secrets in its namespace"),
            ),
            _ => (Exit::Failed, None),
        };
        hint.into_iter().fold(Self::new(exit, error), Self::hint)
    }
}

impl CommandError {
    /// Why `sealed` did not open: one line for each item.
    pub(crate) fn from_unseal(error: UnsealError, sealed: &SealedSecret) -> Self {
        let name = format!(
            "{}/{}",
            sealed.metadata.namespace.as_deref().unwrap_or_default(),
            sealed.metadata.name.as_deref().unwrap_or_default()
        );
        let UnsealError::Items(items) = error else {
            let exit = if error.may_lack_a_key() { Exit::NoKey } else { Exit::Input };
            return Self::new(exit, error);
        };
        let exit = items.iter().map(|(_, error)| exit_of(error)).reduce(|a, b| if a == b { a } else { Exit::Value });
        let all = sealed.spec.encrypted_data.len() + sealed.spec.template.data.len();
        let mut failed = Self::new(
            exit.unwrap_or(Exit::Value),
            format!("{} of the {} items of `{name}` cannot be opened", items.len(), all),
        );
        for (key, error) in &items {
            let field = if matches!(error, ItemError::Template(_)) { "template.data" } else { "encryptedData" };
            failed = failed.detail(format!("`spec.{field}.{key}`: {error}"));
        }
        match items.iter().find_map(|(_, error)| hint_of(error)) {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }
}

fn exit_of(error: &ItemError) -> Exit {
    match error {
        ItemError::NoKey { opens_as: None, .. } | ItemError::NoKeyOfSize { .. } | ItemError::EmptyRing => Exit::NoKey,
        ItemError::Template(_) => Exit::Input,
        _ => Exit::Value,
    }
}

fn hint_of(error: &ItemError) -> Option<String> {
    match error {
        ItemError::NoKey { opens_as: Some(scope), .. } => Some(match scope.annotation() {
            Some(annotation) => format!("it was sealed {scope}: give it the annotation `{annotation}: \"true\"`"),
            None => "it was sealed strict: take its scope annotation away".to_owned(),
        }),
        ItemError::NoKey { .. } => Some(
            "either the private key is missing here, or it was sealed for another namespace or name than it has now"
                .to_owned(),
        ),
        ItemError::NoKeyOfSize { .. } | ItemError::EmptyRing => {
            Some("give the private key of the cluster that it was sealed for with `--private-key`".to_owned())
        }
        ItemError::Truncated | ItemError::Damaged { .. } => {
            Some("restore it from Git, or seal the value anew".to_owned())
        }
        _ => None,
    }
}
