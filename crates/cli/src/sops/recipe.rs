//! How a new file is encrypted: for the keys of flags, else of the rule; by the selector of flags, of the rule, or of both together.

use std::path::Path;
use std::sync::Arc;

use bulla_crypto::shamir::SplitError;
use bulla_doc::{Format, Tree};
use bulla_keys::age::AgeIdentities;
use bulla_keys::aws::read_context;
use bulla_keys::{KeyName, KeyNameError, KeySources, Source};
use bulla_sops::rules::{Rule, RuleError};
use bulla_sops::{
    ConvertError, EncryptError, KeyGroups, Metadata, NothingSelected, Recipe, Selector, SelectorError, SelectorKind,
    Summary, WrapKeysError,
};
use bulla_wipe::Wiping;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::recipients::MasterKeys;
use crate::services;
use crate::terminal::Terminal;
use crate::wait::block_on;

use super::Run;
use super::decrypt::undumpable;
use super::failure::{Failure, code};
use super::file::{Target, key_services, layout, unparsable};
use super::go::{Level, quoted};
use super::rules::configuration;

const CONFLICT: &str = "Error: cannot use more than one of encrypted_suffix, unencrypted_suffix, encrypted_regex, unencrypted_regex, encrypted_comment_regex, or unencrypted_comment_regex in the same file";

/// How one new file is encrypted.
pub(super) struct NewFile {
    keys: MasterKeys,
    selector: Selector,
    mac_only_encrypted: bool,
}

impl NewFile {
    /// What flags and the rule for the file say.
    ///
    /// # Errors
    /// In the words of sops: no rule, no keys, keys that are none, selectors that exclude each other.
    pub(super) fn of(run: &Run<'_>, target: &Target) -> Result<Self, Failure> {
        let context = context(run)?;
        let named = keys_of_flags(run, "", &context)?;
        let configuration = configuration(run)?;
        let rule = match &configuration {
            Some(configuration) => match configuration.rules.rule_for(&target.name) {
                Ok(rule) => Some(rule),
                Err(RuleError::NoRules) => None,
                Err(error) => return Err(no_rule(error, &configuration.path)),
            },
            None => None,
        };
        let (selector, mac_only_encrypted) = selector(run, rule, target.input)?;
        let mut groups = match rule {
            _ if !named.is_empty() => {
                KeyGroups { groups: vec![named], threshold: rule.map_or(0, |rule| rule.threshold) }
            }
            Some(rule) => rule.key_groups(&context),
            None => {
                return Err(Failure::new(
                    code::FAILED,
                    "config file not found, or has no creation rules, and no keys provided through command line options",
                ));
            }
        };
        // No identity wraps. But plugins of age may ask.
        let asking = Arc::new(AgeIdentities::new(Vec::new(), Arc::new(Terminal)));
        groups.threshold = threshold(run)?.unwrap_or(groups.threshold);
        let sources = key_services(run).join(services::key_sources(run.cx, asking), run.cx)?;
        let keys = master_keys(&sources, &groups, None)?;
        Ok(Self { keys, selector, mac_only_encrypted })
    }

    /// `text`, be it a document or not, encrypted for whoever will be able to open the file at `path`.
    ///
    /// # Errors
    /// If it is no text, or a key fails.
    pub(super) fn keep(
        &self,
        run: &Run<'_>,
        path: Option<&Path>,
        text: &[u8],
    ) -> Result<Wiping<Vec<u8>>, CommandError> {
        let text =
            std::str::from_utf8(text).map_err(|_| CommandError::new(Exit::Input, "the edited text is not UTF-8"))?;
        let file = path.unwrap_or(Path::new("")).display().to_string();
        let entries = [("file", file.as_str()), ("of", ""), ("text", text)];
        let document = Tree::mapping(entries.map(|(name, text)| (name, Tree::string(text))));
        let document = bulla_doc::write(&[document], Format::Json, None);
        let recipe = Recipe {
            groups: &self.keys.by_group(),
            threshold: self.keys.threshold,
            selector: &Selector::default(),
            mac_only_encrypted: false,
            nothing_selected: NothingSelected::Allow,
            now: run.cx.now(),
        };
        Ok(block_on(bulla_sops::encrypt(&document, Format::Json, &recipe, &mut run.cx.rng()?))?.bytes)
    }

    /// Encrypts `plain`, which is in the input's format, in the output's.
    ///
    /// # Errors
    /// In the words of sops.
    pub(super) fn encrypt(&self, run: &Run<'_>, target: &Target, plain: &[u8]) -> Result<Wiping<Vec<u8>>, Failure> {
        let recipe = Recipe {
            groups: &self.keys.by_group(),
            threshold: self.keys.threshold,
            selector: &self.selector,
            mac_only_encrypted: self.mac_only_encrypted,
            nothing_selected: NothingSelected::Allow,
            now: run.cx.now(),
        };
        let converted = converted(plain, target)?;
        let plain = converted.as_ref().map_or(plain, |converted| converted);
        let mut rng = run.cx.rng().map_err(Failure::from)?;
        let encrypted = match target.output {
            Format::Binary => block_on(bulla_sops::encrypt_binary(plain, target.indent, &recipe, &mut rng)),
            format => block_on(bulla_sops::encrypt(plain, format, &recipe, &mut rng)),
        };
        let encrypted = encrypted.map_err(|error| unencryptable(error, target.output))?;
        tell(run, &encrypted.summary);
        Ok(encrypted.bytes)
    }
}

/// Says what of a file is plain text now, though one may not expect it.
pub(super) fn tell(run: &Run<'_>, summary: &Summary) {
    if summary.encrypted == 0 && summary.plain > 0 {
        run.warn("no value is encrypted: the selector leaves all of them readable");
    }
    for place in &summary.plain_copies {
        run.warn(&format!(
            "the alias at {place} stood for something that is encrypted now; it is a copy in plain text"
        ));
    }
}

/// `plain` in the format of the output; `None` if it is in that already.
///
/// # Errors
/// If it is no document of its format, or more than the other can hold.
pub(super) fn converted(plain: &[u8], target: &Target) -> Result<Option<Wiping<Vec<u8>>>, Failure> {
    if target.input == target.output {
        return Ok(None);
    }
    convert(plain, target.input, target.output, target.indent).map(Some)
}

/// A plain document in another format.
///
/// # Errors
/// If it is no document of its format, or more than the other can hold.
pub(super) fn convert(
    plain: &[u8],
    input: Format,
    output: Format,
    indent: Option<usize>,
) -> Result<Wiping<Vec<u8>>, Failure> {
    bulla_sops::convert(plain, input, output, &layout(indent)).map_err(|error| match error {
        ConvertError::Parse(error) => unparsable(error, input),
        error => undumpable(error),
    })
}

/// The encryption context that flags give.
///
/// # Errors
/// Code 6.
pub(super) fn context(run: &Run<'_>) -> Result<Vec<(String, String)>, Failure> {
    read_context(&run.flags.text("encryption-context")).map_err(|error| {
        run.log_as(
            "AWSKMS",
            Level::Warning,
            "Encryption context contains a non-string value, context will not be used",
            &[],
        );
        Failure::above(code::CONTEXT, "Invalid KMS encryption context format", error)
    })
}

/// The keys that the flags name which begin with `prefix`, in sops' order.
pub(super) fn keys_of_flags(
    run: &Run<'_>,
    prefix: &str,
    context: &[(String, String)],
) -> Result<Vec<KeyName>, Failure> {
    let of = |kind: &str| run.flags.text(&format!("{prefix}{kind}"));
    let lists = Lists {
        kms: of("kms"),
        gcp: of("gcp-kms"),
        huawei: of("hckms"),
        azure: of("azure-kv"),
        vault: of("hc-vault-transit"),
        pgp: of("pgp"),
        age: of("age"),
    };
    lists.read(context, &run.flags.text("aws-profile"))
}

/// Names of keys, separated by commas.
#[derive(Clone, Default)]
pub(super) struct Lists {
    pub(super) kms: String,
    pub(super) gcp: String,
    pub(super) huawei: String,
    pub(super) azure: String,
    pub(super) vault: String,
    pub(super) pgp: String,
    pub(super) age: String,
}

impl Lists {
    /// The keys, each once, in the order in which a new file gets them.
    ///
    /// # Errors
    /// A name that is none.
    pub(super) fn read(&self, context: &[(String, String)], profile: &str) -> Result<Vec<KeyName>, Failure> {
        self.names(context, profile).map_err(|error| Failure::of(code::FAILED, "", error))
    }

    fn names(&self, context: &[(String, String)], profile: &str) -> Result<Vec<KeyName>, KeyNameError> {
        let texts = [
            (Source::Kms, &*self.kms),
            (Source::GcpKms, &self.gcp),
            (Source::HcKms, &self.huawei),
            (Source::AzureKv, &self.azure),
            (Source::Pgp, &self.pgp),
            (Source::HcVault, &self.vault),
            (Source::Age, &self.age),
        ];
        let mut once: Vec<KeyName> = Vec::new();
        for name in KeyName::from_texts(texts, context, profile)? {
            if !once.contains(&name) {
                once.push(name);
            }
        }
        Ok(once)
    }
}

/// The keys of these names.
///
/// # Errors
/// A kind that cannot be used.
pub(super) fn master_keys(
    sources: &KeySources<'_>,
    groups: &KeyGroups,
    of_file: Option<&Metadata>,
) -> Result<MasterKeys, Failure> {
    MasterKeys::of(sources, groups, of_file).map_err(|kind| {
        let message = format!("Could not generate data key: keys of the kind `{kind}` cannot be used");
        Failure::new(code::FAILED, message)
    })
}

/// How many groups of keys are to be needed, if a flag says so.
///
/// # Errors
/// A number below 0.
pub(super) fn threshold(run: &Run<'_>) -> Result<Option<usize>, Failure> {
    match usize::try_from(run.flags.number("shamir-secret-sharing-threshold")) {
        Ok(threshold) => Ok(Some(threshold).filter(|threshold| *threshold > 0)),
        Err(_) => Err(Failure::new(
            code::FAILED,
            "Could not generate data key: [could not split data key into parts for Shamir: threshold must be at least 2]",
        )),
    }
}

/// Why there is no rule for a file.
pub(super) fn no_rule(error: RuleError, path: &Path) -> Failure {
    match error {
        RuleError::NoMatch { .. } => Failure::above(
            code::FAILED,
            "error loading config: no matching creation rules found",
            CommandError::from(error).at(path.display()),
        ),
        error => Failure::of(code::FAILED, "error loading config", CommandError::from(error).at(path.display())),
    }
}

/// Is there a rule for the file, if there are rules at all?
///
/// # Errors
/// If none matches, or the configuration is broken.
pub(super) fn check_rule(run: &Run<'_>, target: &Target) -> Result<(), Failure> {
    let Some(configuration) = configuration(run)? else { return Ok(()) };
    match configuration.rules.rule_for(&target.name) {
        Ok(_) | Err(RuleError::NoRules) => Ok(()),
        Err(error) => Err(no_rule(error, &configuration.path)),
    }
}

/// What is encrypted, and whether the MAC covers that only.
fn selector(run: &Run<'_>, rule: Option<&Rule>, input: Format) -> Result<(Selector, bool), Failure> {
    let mut given: Vec<(SelectorKind, String)> = Vec::new();
    for kind in SelectorKind::ALL {
        let text = run.flags.text(&kind.as_str().replace('_', "-"));
        let of_rule = rule.and_then(|rule| rule.selector.as_ref()).filter(|selector| selector.kind() == kind);
        if !text.is_empty() {
            given.push((kind, text));
        } else if let Some(selector) = of_rule {
            given.push((kind, selector.text().to_owned()));
        }
    }
    let mac_only_encrypted = run.global.is("mac-only-encrypted") || rule.is_some_and(|rule| rule.mac_only_encrypted);
    if input == Format::Binary {
        for (kind, _) in &given {
            let kind = kind.as_str().replace('_', " ");
            run.warn(&format!(
                "Using an {kind} does not make sense with the input store (the binary store produces one key that should always be encrypted) and will be ignored."
            ));
        }
        return Ok((Selector::default(), false));
    }
    let selector =
        Selector::choose(given.iter().map(|(kind, text)| (*kind, text.as_str()))).map_err(|error| match error {
            SelectorError::Conflict(..) => Failure::new(code::CONFLICT, CONFLICT),
            error => Failure::of(code::FAILED, "", error),
        })?;
    Ok((selector.unwrap_or_default(), mac_only_encrypted))
}

/// Why a document cannot be encrypted.
pub(super) fn unencryptable(error: EncryptError, format: Format) -> Failure {
    match error {
        EncryptError::Parse(error) => unparsable(error, format),
        EncryptError::Empty => {
            Failure::new(code::EMPTY, "File cannot be completely empty, it must contain at least one document")
        }
        EncryptError::AlreadyEncrypted(_) => already_encrypted(error),
        EncryptError::Keys(error) => without_data_key(error),
        EncryptError::Seal(error) => Failure::of(code::ENCRYPTING, "Error encrypting tree: Error walking tree", error),
        error => Failure::of(code::FAILED, "", error),
    }
}

/// Why the data key could not be wrapped for all who are to have it.
pub(super) fn without_data_key(error: WrapKeysError) -> Failure {
    match error {
        WrapKeysError::NoKeys | WrapKeysError::EmptyGroup { .. } => {
            Failure::new(code::FAILED, "Could not generate data key: [empty key group provided]")
        }
        WrapKeysError::Split { source, .. } => {
            let reason = match source {
                SplitError::TooFewShares { .. } => "parts cannot be less than threshold",
                SplitError::TooManyShares(_) => "parts cannot exceed 255",
                _ => "threshold must be at least 2",
            };
            let message =
                format!("Could not generate data key: [could not split data key into parts for Shamir: {reason}]");
            Failure::new(code::FAILED, message)
        }
        WrapKeysError::Wrap { id, source } => {
            let words = format!("failed to encrypt new data key with master key {}", quoted(&id.name));
            let failure = Failure::of(code::FAILED, &words, WrapKeysError::Wrap { id, source });
            failure.within("Could not generate data key: [", "]")
        }
        error => Failure::of(code::FAILED, "", error),
    }
}

/// The first line is that of sops, which goes on for a paragraph.
pub(super) fn already_encrypted(error: impl Into<CommandError>) -> Failure {
    Failure::above(
        code::ENCRYPTED,
        "The file you have provided contains a top-level entry called 'sops', or for",
        error,
    )
}
