//! How a new file is encrypted: for whom, and what of it. The command line counts first, then the first rule that matches the file in the
//! `.sops.yaml` of its directory or of one above.
//!
//! SOPS looks from the current directory upwards; the file's own directory gives the same from everywhere (`docs/differences.md`).

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bulla_doc::{Format, Layout};
use bulla_keys::age::AgeIdentities;
use bulla_keys::aws::read_context;
use bulla_keys::{KeyName, KeyNameError, KeySources, MasterKey, Source};
use bulla_services::NamedBy;
use bulla_sops::rules::{FILE_NAME, RuleError, Rules, Stores, UnknownKeys};
use bulla_sops::{
    EncryptError, Encrypted, KeyGroups, Metadata, NothingSelected, Recipe, Selector, SelectorKind, encrypt_binary,
};
use rand::CryptoRng;

use crate::context::Context;
use crate::error::{CommandError, InFile as _};
use crate::exit::Exit;
use crate::files::read_file;
use crate::services::{self, KeyServiceArgs};
use crate::terminal::Terminal;
use crate::wait::block_on;

/// For whom, and what.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct RecipeArgs {
    /// Recipients of age who can open it, separated by commas; keys named here replace those of the rule
    #[arg(
        short,
        long,
        value_name = "RECIPIENT",
        value_delimiter = ',',
        env = "SOPS_AGE_RECIPIENTS",
        hide_env_values = true
    )]
    age: Vec<String>,

    /// Transit keys of Vault that can open it, separated by commas: https://HOST:8200/v1/ENGINE/keys/NAME
    #[arg(long, value_name = "URI", value_delimiter = ',', env = "SOPS_VAULT_URIS", hide_env_values = true)]
    hc_vault_transit: Vec<String>,

    /// Keys of AWS KMS that can open it, separated by commas: an ARN, or ARN+ROLE with the role that is assumed for it
    #[arg(short, long, value_name = "ARN", value_delimiter = ',', env = "SOPS_KMS_ARN", hide_env_values = true)]
    kms: Vec<String>,

    /// Fingerprints of OpenPGP keys that can open it, separated by commas
    #[arg(short, long, value_name = "FINGERPRINT", value_delimiter = ',', env = "SOPS_PGP_FP", hide_env_values = true)]
    pgp: Vec<String>,

    /// Keys of Google Cloud KMS that can open it, separated by commas: projects/P/locations/L/keyRings/R/cryptoKeys/K
    #[arg(long, value_name = "ID", value_delimiter = ',', env = "SOPS_GCP_KMS_IDS", hide_env_values = true)]
    gcp_kms: Vec<String>,

    /// Keys of Huawei Cloud KMS that can open it, separated by commas: REGION:ID
    #[arg(long, value_name = "KEY", value_delimiter = ',', env = "SOPS_HUAWEICLOUD_KMS_IDS", hide_env_values = true)]
    hckms: Vec<String>,

    /// Keys of Azure Key Vault that can open it, separated by commas: https://NAME.vault.azure.net/keys/NAME/VERSION
    #[arg(long, value_name = "URL", value_delimiter = ',', env = "SOPS_AZURE_KEYVAULT_URLS", hide_env_values = true)]
    azure_kv: Vec<String>,

    /// Profile whose credentials are used for the keys of --kms
    #[arg(long, value_name = "NAME")]
    aws_profile: Option<String>,

    /// What the data key is bound to by keys of AWS KMS: NAME:VALUE,NAME:VALUE. It is no secret; AWS writes it to its log
    #[arg(long, value_name = "CONTEXT")]
    encryption_context: Option<String>,

    /// How many groups of keys are needed to open it, where the rule has several; all of them if nothing is said
    #[arg(long, visible_alias = "shamir-threshold", value_name = "NUMBER")]
    shamir_secret_sharing_threshold: Option<usize>,

    /// Take the rule from this file and not from the .sops.yaml above the file
    #[arg(long, value_name = "FILE", env = "SOPS_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,

    #[command(flatten)]
    selector: SelectorArgs,
}

/// What is encrypted: at most one of the six.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "What is encrypted")]
struct SelectorArgs {
    /// Only values below keys that match this regular expression (Go's syntax)
    #[arg(long, value_name = "REGEX", group = "selector")]
    encrypted_regex: Option<String>,

    /// Everything but values below keys that match this regular expression
    #[arg(long, value_name = "REGEX", group = "selector")]
    unencrypted_regex: Option<String>,

    /// Only values below keys that end so
    #[arg(long, value_name = "SUFFIX", group = "selector")]
    encrypted_suffix: Option<String>,

    /// Everything but values below keys that end so; `_unencrypted` if nothing else is said
    #[arg(long, value_name = "SUFFIX", group = "selector")]
    unencrypted_suffix: Option<String>,

    /// Only values whose comment matches this regular expression
    #[arg(long, value_name = "REGEX", group = "selector")]
    encrypted_comment_regex: Option<String>,

    /// Everything but values whose comment matches this regular expression
    #[arg(long, value_name = "REGEX", group = "selector")]
    unencrypted_comment_regex: Option<String>,

    /// Let values that are not encrypted be changed by hand: the MAC does not cover them
    #[arg(long)]
    mac_only_encrypted: bool,

    /// Go on if the selector leaves every value readable
    #[arg(long)]
    allow_unencrypted: bool,
}

/// The command line, and the rules read so far. Shared by the threads of a command.
pub(crate) struct Recipients<'a> {
    args: &'a RecipeArgs,
    selector: Option<Selector>,
    /// What keys wrap with.
    sources: KeySources<'a>,
    /// Whom the command line names.
    named: Vec<KeyName>,
    /// The encryption context of the command line.
    context: Vec<(String, String)>,
    rules: Mutex<HashMap<PathBuf, Arc<Rules>>>,
}

/// Keys by group, made of their names.
pub(crate) struct MasterKeys {
    groups: Vec<Vec<Box<dyn MasterKey>>>,
    /// How many of several groups are needed to open a file; 0 for all.
    pub(crate) threshold: usize,
}

impl MasterKeys {
    /// The keys of these names, which the command line or a rule gave; or the file itself, where `of_file` has them: what a file names
    /// is trusted with less.
    ///
    /// # Errors
    /// The kind of a key that cannot be used.
    pub(crate) fn of(sources: &KeySources<'_>, groups: &KeyGroups, of_file: Option<&Metadata>) -> Result<Self, Source> {
        let named_by = |name: &KeyName| {
            let is_of_file = of_file.is_some_and(|file| file.keys().any(|entry| entry.name() == name));
            if is_of_file { NamedBy::File } else { NamedBy::Configuration }
        };
        let key = |name: &KeyName| sources.key(name, named_by(name)).ok_or_else(|| name.source());
        let made = groups.groups.iter().map(|group| group.iter().map(key).collect()).collect::<Result<_, _>>()?;
        Ok(Self { groups: made, threshold: groups.threshold })
    }

    /// In the form in which `bulla_sops` takes them.
    pub(crate) fn by_group(&self) -> Vec<Vec<&dyn MasterKey>> {
        self.groups.iter().map(|group| group.iter().map(|key| &**key).collect()).collect()
    }
}

/// How one file is encrypted.
pub(crate) struct FileRecipe {
    keys: MasterKeys,
    /// If somebody named one.
    selector: Option<Selector>,
    mac_only_encrypted: bool,
    nothing_selected: NothingSelected,
    /// How what is printed anew is indented.
    pub(crate) layout: Layout,
}

impl FileRecipe {
    /// Encrypts a new file.
    ///
    /// # Errors
    /// As [`bulla_sops::encrypt`].
    pub(crate) fn encrypt(
        &self,
        cx: &Context,
        plain: &[u8],
        format: Format,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Encrypted, EncryptError> {
        self.with(cx, |recipe| match format {
            Format::Binary => block_on(encrypt_binary(plain, self.layout.json_binary, recipe, rng)),
            format => block_on(bulla_sops::encrypt(plain, format, recipe, rng)),
        })
    }

    /// The same for a file that is encrypted already: what nobody names stays as it is there.
    pub(crate) fn for_encrypted(mut self, metadata: &Metadata) -> Self {
        let selector = self.selector.get_or_insert_with(|| metadata.selector.clone());
        if *selector == metadata.selector {
            self.nothing_selected = NothingSelected::Allow;
        }
        self.mac_only_encrypted |= metadata.mac_only_encrypted;
        self
    }

    /// Calls `use_it` with the recipe in the form in which `bulla_sops` takes it.
    pub(crate) fn with<T>(&self, cx: &Context, use_it: impl FnOnce(&Recipe<'_>) -> T) -> T {
        let selector = self.selector.clone().unwrap_or_default();
        use_it(&Recipe {
            groups: &self.keys.by_group(),
            threshold: self.keys.threshold,
            selector: &selector,
            mac_only_encrypted: self.mac_only_encrypted,
            nothing_selected: self.nothing_selected,
            now: cx.now(),
        })
    }
}

/// Why a file cannot be encrypted.
pub(crate) enum NoRecipe {
    /// There are rules, and none is for this file.
    NoRuleMatches(CommandError),
    Failed(CommandError),
}

impl From<NoRecipe> for CommandError {
    fn from(error: NoRecipe) -> Self {
        match error {
            NoRecipe::NoRuleMatches(error) | NoRecipe::Failed(error) => error,
        }
    }
}

impl From<CommandError> for NoRecipe {
    fn from(error: CommandError) -> Self {
        Self::Failed(error)
    }
}

impl RecipeArgs {
    /// What the rules say, and nothing else; `config` in place of the `.sops.yaml` above the file.
    pub(crate) fn of_rules(config: Option<PathBuf>) -> Self {
        Self { config, ..Self::default() }
    }

    /// The keys named, with this encryption context, in SOPS' order. A comma at the end adds none, and neither does a variable that is
    /// empty.
    fn named(&self, context: &[(String, String)]) -> Result<Vec<KeyName>, KeyNameError> {
        let lists = [
            (Source::Kms, &self.kms),
            (Source::GcpKms, &self.gcp_kms),
            (Source::HcKms, &self.hckms),
            (Source::AzureKv, &self.azure_kv),
            (Source::HcVault, &self.hc_vault_transit),
            (Source::Pgp, &self.pgp),
            (Source::Age, &self.age),
        ];
        let texts = lists.into_iter().flat_map(|(source, texts)| texts.iter().map(move |text| (source, text.as_str())));
        KeyName::from_texts(texts, context, self.aws_profile.as_deref().unwrap_or_default())
    }

    /// Checks what the command line says.
    ///
    /// # Errors
    /// [`Exit::Usage`] for a recipient that is none, or an expression that does not compile.
    pub(crate) fn check<'a>(&'a self, cx: &'a Context) -> Result<Recipients<'a>, CommandError> {
        let context = read_context(self.encryption_context.as_deref().unwrap_or_default())?;
        let named = self.named(&context)?;
        let given = &self.selector;
        let given = [
            (SelectorKind::EncryptedRegex, &given.encrypted_regex),
            (SelectorKind::UnencryptedRegex, &given.unencrypted_regex),
            (SelectorKind::EncryptedSuffix, &given.encrypted_suffix),
            (SelectorKind::UnencryptedSuffix, &given.unencrypted_suffix),
            (SelectorKind::EncryptedCommentRegex, &given.encrypted_comment_regex),
            (SelectorKind::UnencryptedCommentRegex, &given.unencrypted_comment_regex),
        ];
        let given = given.into_iter().filter_map(|(kind, text)| Some((kind, text.as_deref()?)));
        Ok(Recipients {
            args: self,
            selector: Selector::choose(given)?,
            // No identity wraps. But plugins of age may ask.
            sources: services::key_sources(cx, Arc::new(AgeIdentities::new(Vec::new(), Arc::new(Terminal)))),
            named,
            context,
            rules: Mutex::default(),
        })
    }
}

impl Recipients<'_> {
    /// The same, where these key services may wrap, too.
    ///
    /// # Errors
    /// As [`KeyServiceArgs::join`].
    pub(crate) fn with_services(mut self, services: &KeyServiceArgs, cx: &Context) -> Result<Self, CommandError> {
        self.sources = services.join(self.sources, cx)?;
        Ok(self)
    }

    /// How the file of this name is encrypted; without a name, how something in the current directory is.
    ///
    /// # Errors
    /// [`NoRecipe`].
    pub(crate) fn for_file(&self, name: Option<&Path>) -> Result<FileRecipe, NoRecipe> {
        let file = absolute(name.unwrap_or(Path::new("standard input")))?;
        let Some((path, rules)) = self.rules_for(&file)? else {
            return Ok(self.without_rule()?);
        };
        let layout = layout_of(rules.stores());
        let rule = match rules.rule_for(&file) {
            Err(RuleError::NoRules | RuleError::NoMatch { .. }) if !self.named.is_empty() => {
                return Ok(FileRecipe { layout, ..self.without_rule()? });
            }
            Err(error @ RuleError::NoMatch { .. }) => {
                return Err(NoRecipe::NoRuleMatches(CommandError::from(error).at(path.display())));
            }
            rule => rule.in_file(&path)?,
        };
        let mut groups = if self.named.is_empty() { rule.key_groups(&self.context) } else { self.one_group() };
        if let Some(empty) = groups.groups.iter().position(Vec::is_empty) {
            let message = match rule.groups.as_slice() {
                [group] => format!("{}: the rule for this file names no key", group.position),
                groups => format!("{}: a group of the rule for this file names no key", groups[empty].position),
            };
            return Err(CommandError::new(Exit::NoRecipient, message).at(path.display()).into());
        }
        groups.threshold = self.args.shamir_secret_sharing_threshold.unwrap_or(groups.threshold);
        let selector = self.selector.clone().or_else(|| rule.selector.clone());
        Ok(FileRecipe { layout, ..self.recipe(&groups, selector, rule.mac_only_encrypted)? })
    }

    fn without_rule(&self) -> Result<FileRecipe, CommandError> {
        if self.named.is_empty() {
            return Err(CommandError::new(
                Exit::NoRecipient,
                format!("nobody to encrypt for: no `--age`, no other key, and no `{FILE_NAME}` above the file"),
            )
            .hint(format!("name recipients with `--age`, or once and for all in a rule in `{FILE_NAME}`")));
        }
        self.recipe(&self.one_group(), self.selector.clone(), false)
    }

    /// The keys that the command line names. They are one group, so a threshold that it names can only be wrong.
    fn one_group(&self) -> KeyGroups {
        let threshold = self.args.shamir_secret_sharing_threshold.unwrap_or_default();
        KeyGroups { groups: vec![self.named.clone()], threshold }
    }

    fn recipe(
        &self,
        groups: &KeyGroups,
        selector: Option<Selector>,
        mac_only_encrypted: bool,
    ) -> Result<FileRecipe, CommandError> {
        check_threshold(groups)?;
        let given = &self.args.selector;
        let keys = MasterKeys::of(&self.sources, groups, None).map_err(|kind| {
            CommandError::new(Exit::NoRecipient, format!("keys of the kind `{kind}` cannot be used"))
        })?;
        Ok(FileRecipe {
            keys,
            selector,
            mac_only_encrypted: mac_only_encrypted || given.mac_only_encrypted,
            nothing_selected: if given.allow_unencrypted { NothingSelected::Allow } else { NothingSelected::Refuse },
            layout: Layout::default(),
        })
    }

    /// The rules that count for `file`, which is absolute, and where they stand.
    fn rules_for(&self, file: &Path) -> Result<Option<(PathBuf, Arc<Rules>)>, CommandError> {
        let Some(path) = configuration_for(file, self.args.config.as_deref()) else { return Ok(None) };
        // A panic elsewhere leaves at worst an entry out, which is read again.
        let mut known = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rules) = known.get(&path) {
            return Ok(Some((path, Arc::clone(rules))));
        }
        let rules = Arc::new(read_rules(&path)?);
        known.insert(path.clone(), Arc::clone(&rules));
        Ok(Some((path, rules)))
    }
}

/// The configuration that counts for `file`, which is absolute: the one that is named, else that of its directory or of one above.
fn configuration_for(file: &Path, named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(path) if !path.as_os_str().is_empty() => Some(path.to_path_buf()),
        _ => file.ancestors().skip(1).map(|directory| directory.join(FILE_NAME)).find(|path| path.is_file()),
    }
}

fn read_rules(path: &Path) -> Result<Rules, CommandError> {
    let text = read_file(path).map_err(|error| error.with_exit(Exit::Configuration))?;
    let directory = absolute(path)?.parent().map(Path::to_path_buf).unwrap_or_default();
    Rules::read(&text.bytes, directory, UnknownKeys::Refuse).in_file(path)
}

/// How the configuration for `file` has what is printed anew indented; as SOPS does, if there is none.
///
/// # Errors
/// What is wrong with the configuration.
pub(crate) fn layout_for(cx: &Context, file: Option<&Path>) -> Result<Layout, CommandError> {
    let file = absolute(file.unwrap_or(Path::new("standard input")))?;
    let named = cx.variable("SOPS_CONFIG").map(PathBuf::from);
    let path = configuration_for(&file, named.as_deref());
    path.map_or(Ok(Layout::default()), |path| Ok(layout_of(read_rules(&path)?.stores())))
}

/// What a configuration says of indentation: 0 blanks of YAML are SOPS' own 4, and a number below 0 is a tab of JSON.
fn layout_of(stores: Stores) -> Layout {
    let blanks = |number: i64| usize::try_from(number).ok();
    Layout {
        yaml: blanks(stores.yaml).filter(|blanks| *blanks > 0),
        json: blanks(stores.json),
        json_binary: blanks(stores.json_binary),
    }
}

/// Refuses a threshold that means something else than whoever wrote it may think.
fn check_threshold(groups: &KeyGroups) -> Result<(), CommandError> {
    let (threshold, groups) = (groups.threshold, groups.groups.len());
    let message = match (threshold, groups) {
        (0, _) | (1, 1) => return Ok(()),
        (threshold, 1) => format!(
            "{threshold} groups of keys are to be needed to open the file, and there is one, each of whose keys opens it by itself"
        ),
        (1, _) => {
            "one group of keys cannot be enough where there are several: put their keys into one group".to_owned()
        }
        (threshold, groups) if threshold > groups => {
            format!("{threshold} groups of keys are to be needed to open the file, and there are {groups}")
        }
        _ => return Ok(()),
    };
    Err(CommandError::new(Exit::Usage, message).hint("groups stand in a rule, as `key_groups`"))
}

/// The path from the root, without `.` and `..`. Links are not resolved: a rule is about the name that the user sees.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    let absolute =
        std::path::absolute(path).map_err(|error| CommandError::new(Exit::Input, error).at(path.display()))?;
    let mut clean = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            component => clean.push(component),
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cleaned_without_looking_at_the_files() {
        for (path, expected) in [("/a/./b/../c", "/a/c"), ("/../a", "/a"), ("/a/b/", "/a/b")] {
            assert_eq!(absolute(Path::new(path)).unwrap(), Path::new(expected));
        }
        assert!(absolute(Path::new("x")).unwrap().is_absolute());
    }
}
