//! What can be said: the flags of the old style, and the commands with theirs. The names are those of sops 3.13.3, the texts are ours.

use super::flags::{Flag, Kind};
use super::{
    Action, completion, decrypt, edit, encrypt, exec, filestatus, groups, keyservice, publish, rotate, set, updatekeys,
};

/// A command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// What it does.
    pub(super) help: &'static str,
    /// What it takes besides flags; empty if that goes without saying.
    pub(super) arguments: &'static str,
    /// Its flags, in parts that commands share.
    pub(super) flags: &'static [&'static [Flag]],
    pub(super) action: Action,
}

impl Command {
    /// Its flags.
    pub(super) fn all_flags(&self) -> Vec<Flag> {
        self.flags.concat()
    }
}

pub(super) const HELP: Flag = Flag::new(&["help", "h"], Kind::Switch, "show this");
pub(super) const VERSION: Flag = Flag::new(&["version", "v"], Kind::Switch, "print the version");

const KEY_SERVICES: &[Flag] = &[
    Flag::new(&["enable-local-keyservice"], Kind::SwitchOn, "use the keys and credentials of this machine")
        .or("SOPS_ENABLE_LOCAL_KEYSERVICE"),
    Flag::new(&["keyservice"], Kind::List, "key service to ask as well: tcp://HOST:PORT or unix:///PATH; repeatable")
        .or("SOPS_KEYSERVICE"),
];

const DECRYPTION_ORDER: Flag =
    Flag::new(&["decryption-order"], Kind::Text, "kinds of keys to try first, separated by commas: age,pgp,kms")
        .or("SOPS_DECRYPTION_ORDER");

const KEYS: &[Flag] = &[
    Flag::new(&["kms", "k"], Kind::Text, "ARNs of keys of AWS KMS, separated by commas").or("SOPS_KMS_ARN"),
    Flag::new(&["aws-profile"], Kind::Text, "profile whose credentials are used for AWS"),
    Flag::new(&["gcp-kms"], Kind::Text, "resource names of keys of GCP KMS, separated by commas")
        .or("SOPS_GCP_KMS_IDS"),
    Flag::new(&["hckms"], Kind::Text, "keys of Huawei Cloud KMS, REGION:ID, separated by commas")
        .or("SOPS_HUAWEICLOUD_KMS_IDS"),
    Flag::new(&["azure-kv"], Kind::Text, "URLs of keys of Azure Key Vault, separated by commas")
        .or("SOPS_AZURE_KEYVAULT_URLS"),
    Flag::new(
        &["hc-vault-transit"],
        Kind::Text,
        "transit keys of Vault, https://HOST:8200/v1/ENGINE/keys/NAME, separated by commas",
    )
    .or("SOPS_VAULT_URIS"),
    Flag::new(&["pgp", "p"], Kind::Text, "fingerprints of PGP keys, separated by commas").or("SOPS_PGP_FP"),
    Flag::new(&["age", "a"], Kind::Text, "recipients of age, separated by commas").or("SOPS_AGE_RECIPIENTS"),
];

const INPUT_TYPE: Flag = Flag::new(
    &["input-type"],
    Kind::Text,
    "format of the input: yaml, json, dotenv, ini or binary; else its name tells",
);
const OUTPUT_TYPE: Flag = Flag::new(
    &["output-type"],
    Kind::Text,
    "format of the output: yaml, json, dotenv, ini or binary; else the name of the input tells",
);
const IN_PLACE: Flag =
    Flag::new(&["in-place", "i"], Kind::Switch, "write to the file itself and not to standard output");
const OUTPUT: Flag = Flag::new(&["output"], Kind::Text, "write to this file and not to standard output");
const EXTRACT: Flag = Flag::new(&["extract"], Kind::Text, "only what is at this path: '[\"db\"][\"hosts\"][0]'");
const IGNORE_MAC: Flag = Flag::new(&["ignore-mac"], Kind::Switch, "do not check whether the file was changed");
const FILENAME_OVERRIDE: Flag = Flag::new(
    &["filename-override"],
    Kind::Text,
    "name that decides about rule and format, in place of the file's own",
);
const SHOW_MASTER_KEYS: Flag =
    Flag::new(&["show-master-keys", "s"], Kind::Switch, "show the metadata in the editor, too");
const YES: Flag = Flag::new(&["yes", "y"], Kind::Switch, "do not ask");
const VERBOSE: Flag = Flag::new(&["verbose"], Kind::Switch, "tell more");

const SELECTORS: &[Flag] = &[
    Flag::new(&["unencrypted-suffix"], Kind::Text, "encrypt everything but values below keys that end so"),
    Flag::new(&["encrypted-suffix"], Kind::Text, "encrypt only values below keys that end so"),
    Flag::new(&["unencrypted-regex"], Kind::Text, "encrypt everything but values below keys that match"),
    Flag::new(&["encrypted-regex"], Kind::Text, "encrypt only values below keys that match"),
];
const COMMENT_SELECTORS: &[Flag] = &[
    Flag::new(&["unencrypted-comment-regex"], Kind::Text, "encrypt everything but values whose comment matches"),
    Flag::new(&["encrypted-comment-regex"], Kind::Text, "encrypt only values whose comment matches"),
];
const ENCRYPTION_CONTEXT: Flag =
    Flag::new(&["encryption-context"], Kind::Text, "what AWS KMS binds the data key to: NAME:VALUE,NAME:VALUE");
const THRESHOLD: Flag = Flag::new(
    &["shamir-secret-sharing-threshold"],
    Kind::Number,
    "how many groups of keys are needed to open the file",
);

const ADD_AND_REMOVE: &[Flag] = &[
    Flag::new(&["add-gcp-kms"], Kind::Text, "add keys of GCP KMS, separated by commas"),
    Flag::new(&["rm-gcp-kms"], Kind::Text, "remove keys of GCP KMS, separated by commas"),
    Flag::new(&["add-hckms"], Kind::Text, "add keys of Huawei Cloud KMS, separated by commas"),
    Flag::new(&["rm-hckms"], Kind::Text, "remove keys of Huawei Cloud KMS, separated by commas"),
    Flag::new(&["add-azure-kv"], Kind::Text, "add keys of Azure Key Vault, separated by commas"),
    Flag::new(&["rm-azure-kv"], Kind::Text, "remove keys of Azure Key Vault, separated by commas"),
    Flag::new(&["add-kms"], Kind::Text, "add keys of AWS KMS, separated by commas"),
    Flag::new(&["rm-kms"], Kind::Text, "remove keys of AWS KMS, separated by commas"),
    Flag::new(&["add-hc-vault-transit"], Kind::Text, "add transit keys of Vault, separated by commas"),
    Flag::new(&["rm-hc-vault-transit"], Kind::Text, "remove transit keys of Vault, separated by commas"),
    Flag::new(&["add-age"], Kind::Text, "add recipients of age, separated by commas"),
    Flag::new(&["rm-age"], Kind::Text, "remove recipients of age, separated by commas"),
    Flag::new(&["add-pgp"], Kind::Text, "add PGP keys, separated by commas"),
    Flag::new(&["rm-pgp"], Kind::Text, "remove PGP keys, separated by commas"),
];

/// The flags in front of a file or of a command.
pub(super) const ROOT: &[&[Flag]] = &[
    &[
        Flag::new(&["decrypt", "d"], Kind::Switch, "decrypt a file to standard output"),
        Flag::new(&["encrypt", "e"], Kind::Switch, "encrypt a file to standard output"),
        Flag::new(&["rotate", "r"], Kind::Switch, "give a file a new data key"),
        Flag::new(&["disable-version-check"], Kind::Switch, "with --version: print nothing else")
            .or("SOPS_DISABLE_VERSION_CHECK"),
        Flag::new(&["check-for-updates"], Kind::Switch, "with --version: accepted; nothing is asked of the network"),
    ],
    KEYS,
    &[IN_PLACE, EXTRACT, INPUT_TYPE, OUTPUT_TYPE, SHOW_MASTER_KEYS],
    ADD_AND_REMOVE,
    &[IGNORE_MAC, Flag::new(&["mac-only-encrypted"], Kind::Switch, "let the MAC cover encrypted values only")],
    SELECTORS,
    COMMENT_SELECTORS,
    &[
        Flag::new(&["config"], Kind::Text, "take rules from this file and not from the .sops.yaml above")
            .or("SOPS_CONFIG"),
        ENCRYPTION_CONTEXT,
        Flag::new(&["set"], Kind::Text, "set a value: '[\"db\"][\"port\"] 5432'"),
        THRESHOLD,
        Flag::new(&["indent"], Kind::Number, "columns to indent by in what is printed anew"),
        VERBOSE,
        OUTPUT,
        FILENAME_OVERRIDE,
        DECRYPTION_ORDER,
    ],
    KEY_SERVICES,
    &[HELP, VERSION],
];

/// The commands, in the order in which help lists them.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "completion",
        help: "print a script that completes command lines in a shell",
        arguments: "",
        flags: &[],
        action: Action::Commands(&[
            Command {
                name: "bash",
                help: "for bash: source <(sops completion bash)",
                arguments: "",
                flags: &[],
                action: Action::Run(completion::bash),
            },
            Command {
                name: "zsh",
                help: "for zsh: source <(sops completion zsh)",
                arguments: "",
                flags: &[],
                action: Action::Run(completion::zsh),
            },
        ]),
    },
    Command {
        name: "exec-env",
        help: "run a command with the values of a file in its environment",
        arguments: "[file to decrypt] [command to run]",
        flags: &[
            &[
                Flag::new(&["background"], Kind::Switch, "do not wait for it (deprecated)"),
                Flag::new(&["pristine"], Kind::Switch, "give it nothing else of the environment"),
                Flag::new(&["user"], Kind::Text, "run it as this user"),
                Flag::new(&["same-process"], Kind::Switch, "let it take the place of this process"),
                DECRYPTION_ORDER,
            ],
            KEY_SERVICES,
        ],
        action: Action::Run(exec::env),
    },
    Command {
        name: "exec-file",
        help: "run a command with the decrypted file in a temporary one, whose path stands for {}",
        arguments: "[file to decrypt] [command to run]",
        flags: &[
            &[
                Flag::new(&["background"], Kind::Switch, "do not wait for it (deprecated)"),
                Flag::new(&["no-fifo"], Kind::Switch, "use a file that can be read more than once, and not a pipe"),
                Flag::new(&["user"], Kind::Text, "run it as this user"),
                INPUT_TYPE,
                OUTPUT_TYPE,
                Flag::new(&["filename"], Kind::Text, "name of the temporary file; tmp-file if none is given"),
                DECRYPTION_ORDER,
            ],
            KEY_SERVICES,
        ],
        action: Action::Run(exec::file),
    },
    Command {
        name: "publish",
        help: "bring encrypted files to where a rule of destination_rules says",
        arguments: "file",
        flags: &[
            &[
                YES,
                Flag::new(&["omit-extensions"], Kind::Switch, "leave suffixes out of the names there"),
                Flag::new(&["recursive"], Kind::Switch, "everything below a directory"),
                VERBOSE,
                DECRYPTION_ORDER,
            ],
            KEY_SERVICES,
        ],
        action: Action::Run(publish::publish),
    },
    Command {
        name: "keyservice",
        help: "serve the keys and credentials of this machine to other sops",
        arguments: "",
        flags: &[&[
            Flag::new(&["network", "net"], Kind::TextOr("tcp"), "tcp or unix"),
            Flag::new(&["address", "addr"], Kind::TextOr("127.0.0.1:5000"), "where to listen: HOST:PORT, or a path"),
            Flag::new(&["prompt"], Kind::Switch, "ask before each request"),
            VERBOSE,
        ]],
        action: Action::Run(keyservice::keyservice),
    },
    Command {
        name: "filestatus",
        help: "tell as JSON whether a file is encrypted",
        arguments: "file",
        flags: &[&[INPUT_TYPE]],
        action: Action::Run(filestatus::filestatus),
    },
    Command {
        name: "groups",
        help: "change the groups of keys of a file",
        arguments: "",
        flags: &[],
        action: Action::Commands(&[
            Command {
                name: "add",
                help: "add a group of keys",
                arguments: "",
                flags: &[
                    &[
                        Flag::new(&["file", "f"], Kind::Text, "the file"),
                        Flag::new(&["pgp"], Kind::List, "fingerprint of a PGP key; repeatable"),
                        Flag::new(&["kms"], Kind::List, "ARN of a key of AWS KMS; repeatable"),
                        Flag::new(&["aws-profile"], Kind::Text, "profile whose credentials are used for AWS"),
                        Flag::new(&["gcp-kms"], Kind::List, "resource name of a key of GCP KMS; repeatable"),
                        Flag::new(&["hckms"], Kind::List, "key of Huawei Cloud KMS, REGION:ID; repeatable"),
                        Flag::new(&["azure-kv"], Kind::List, "URL of a key of Azure Key Vault; repeatable"),
                        Flag::new(
                            &["hc-vault-transit"],
                            Kind::List,
                            "transit key of Vault, https://HOST:8200/v1/ENGINE/keys/NAME; repeatable",
                        ),
                        Flag::new(&["age"], Kind::List, "recipient of age; repeatable"),
                        IN_PLACE,
                        THRESHOLD,
                        ENCRYPTION_CONTEXT,
                    ],
                    KEY_SERVICES,
                ],
                action: Action::Run(groups::add),
            },
            Command {
                name: "delete",
                help: "remove a group of keys",
                arguments: "[index]",
                flags: &[&[Flag::new(&["file", "f"], Kind::Text, "the file"), IN_PLACE, THRESHOLD], KEY_SERVICES],
                action: Action::Run(groups::delete),
            },
        ]),
    },
    Command {
        name: "updatekeys",
        help: "give files the keys that the rules in .sops.yaml name",
        arguments: "file",
        flags: &[&[YES, INPUT_TYPE], KEY_SERVICES],
        action: Action::Run(updatekeys::updatekeys),
    },
    Command {
        name: "decrypt",
        help: "decrypt a file, or standard input if none is named, to standard output",
        arguments: "[file]",
        flags: &[
            &[IN_PLACE, EXTRACT, OUTPUT, INPUT_TYPE, OUTPUT_TYPE, IGNORE_MAC, FILENAME_OVERRIDE, DECRYPTION_ORDER],
            KEY_SERVICES,
        ],
        action: Action::Run(decrypt::decrypt),
    },
    Command {
        name: "encrypt",
        help: "encrypt a file, or standard input if none is named, to standard output",
        arguments: "[file]",
        flags: &[
            &[IN_PLACE, OUTPUT],
            KEYS,
            &[INPUT_TYPE, OUTPUT_TYPE],
            SELECTORS,
            &[ENCRYPTION_CONTEXT, THRESHOLD, FILENAME_OVERRIDE],
            KEY_SERVICES,
        ],
        action: Action::Run(encrypt::encrypt),
    },
    Command {
        name: "rotate",
        help: "give a file a new data key",
        arguments: "file",
        flags: &[
            &[IN_PLACE, OUTPUT, INPUT_TYPE, OUTPUT_TYPE, ENCRYPTION_CONTEXT],
            ADD_AND_REMOVE,
            &[FILENAME_OVERRIDE, DECRYPTION_ORDER],
            KEY_SERVICES,
        ],
        action: Action::Run(rotate::rotate),
    },
    Command {
        name: "edit",
        help: "edit an encrypted file, or a new one",
        arguments: "file",
        flags: &[
            KEYS,
            &[INPUT_TYPE, OUTPUT_TYPE],
            SELECTORS,
            &[ENCRYPTION_CONTEXT, THRESHOLD, SHOW_MASTER_KEYS, IGNORE_MAC, DECRYPTION_ORDER],
            KEY_SERVICES,
        ],
        action: Action::Run(edit::edit),
    },
    Command {
        name: "set",
        help: "set a value, given as JSON: sops set shop.yaml '[\"db\"][\"port\"]' 5432",
        arguments: "file index [ value ]",
        flags: &[
            &[
                INPUT_TYPE,
                OUTPUT_TYPE,
                Flag::new(&["value-file"], Kind::Switch, "`value` names a file that holds it"),
                Flag::new(&["value-stdin"], Kind::Switch, "read it from standard input"),
                THRESHOLD,
                IGNORE_MAC,
                DECRYPTION_ORDER,
                Flag::new(&["idempotent"], Kind::Switch, "write nothing if it is that already"),
            ],
            KEY_SERVICES,
        ],
        action: Action::Run(set::set),
    },
    Command {
        name: "unset",
        help: "remove a value",
        arguments: "file index",
        flags: &[
            &[
                INPUT_TYPE,
                OUTPUT_TYPE,
                THRESHOLD,
                IGNORE_MAC,
                DECRYPTION_ORDER,
                Flag::new(&["idempotent"], Kind::Switch, "do nothing if it is not there"),
            ],
            KEY_SERVICES,
        ],
        action: Action::Run(set::unset),
    },
];
