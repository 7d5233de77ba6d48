//! What the real libraries make of an input: go-yaml, the stores of SOPS, Go's regular expressions and JSON, GJSON.
//!
//! ```no_run
//! use bulla_testkit::oracle::{NodeKind, Oracle};
//! let answer = Oracle::shared().yaml(b"a: 1 # one\n").unwrap();
//! let value = &answer.documents[0][3];
//! assert_eq!((value.kind, value.tag.as_str(), &value.line_comment[..]), (NodeKind::Scalar, "!!int", &b"# one"[..]));
//! ```
//!
//! Documents and trees are flat lists in the order in which their nodes begin, each with the number of its children: a
//! document may be ten thousand levels deep. Source of the answers: `tests/peers/oracle`.

mod config;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::base64_text;
use crate::lines::Lines;
pub use crate::lines::Refusal;
use crate::peers;
pub use config::{Decision, Indents};

/// The running oracle; answers come from any number of threads.
pub struct Oracle(Lines);

/// What kind of node this is in go-yaml.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// The root; its only child is the document's content.
    Document,
    /// A list.
    Sequence,
    /// Keys and values, one after the other.
    Mapping,
    /// A text.
    #[default]
    Scalar,
    /// A reference to an anchor.
    Alias,
}

/// go-yaml's `yaml.Style`: how a node is spelled. Several may be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Style(pub u32);

impl Style {
    /// With a written tag.
    pub const TAGGED: Self = Self(1);
    /// `"…"`.
    pub const DOUBLE_QUOTED: Self = Self(2);
    /// `'…'`.
    pub const SINGLE_QUOTED: Self = Self(4);
    /// `|`.
    pub const LITERAL: Self = Self(8);
    /// `>`.
    pub const FOLDED: Self = Self(16);
    /// `[…]` or `{…}`.
    pub const FLOW: Self = Self(32);

    /// Whether everything in `other` is set here too.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for Style {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// go-yaml's `yaml.Node`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct YamlNode {
    /// What it is.
    pub kind: NodeKind,
    /// `Node.Tag`: the written tag in its short form if `style` has [`Style::TAGGED`], else the resolved one (`!!str`).
    /// Bytes that are not UTF-8 come as U+FFFD.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// `Node.ShortTag()`, where it is another than `tag`; see [`YamlNode::resolved_tag`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
    /// Of a scalar, its text; of an alias, the anchor's name.
    #[serde(with = "base64_text", skip_serializing_if = "Vec::is_empty")]
    pub value: Vec<u8>,
    /// The anchor set here, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub anchor: String,
    /// Of an alias: the place in this document's list of the node that it stands for.
    #[serde(skip_serializing_if = "is_zero")]
    pub target: usize,
    /// How it is spelled.
    pub style: Style,
    /// Where it begins, from 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub line: usize,
    /// Where it begins, in characters from 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub column: usize,
    /// The comment above, its lines with their `#`.
    #[serde(rename = "head", with = "base64_text", skip_serializing_if = "Vec::is_empty")]
    pub head_comment: Vec<u8>,
    /// The comment on the line.
    #[serde(rename = "inline", with = "base64_text", skip_serializing_if = "Vec::is_empty")]
    pub line_comment: Vec<u8>,
    /// The comment below.
    #[serde(rename = "foot", with = "base64_text", skip_serializing_if = "Vec::is_empty")]
    pub foot_comment: Vec<u8>,
    /// The number of children, which follow in the list, each with its own.
    #[serde(skip_serializing_if = "is_zero")]
    pub length: usize,
}

impl YamlNode {
    /// The tag that decides the type of the value, in its short form.
    pub fn resolved_tag(&self) -> &str {
        self.resolved.as_deref().unwrap_or(&self.tag)
    }
}

/// A document: its nodes in the order in which they begin, the document node first.
pub type YamlDocument = Vec<YamlNode>;

/// What go-yaml reads from a stream of documents.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct YamlAnswer {
    /// The documents up to the end or the error.
    pub documents: Vec<YamlDocument>,
    /// Why it did not read further.
    pub error: Option<String>,
}

/// The formats whose stores the oracle has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// SOPS' YAML store.
    Yaml,
    /// SOPS' JSON store.
    Json,
    /// Its store for dotenv files.
    Dotenv,
    /// Its store for INI files.
    Ini,
    /// Its store for whole files as one value.
    Binary,
}

/// A plain or encrypted file, and how SOPS is to go about it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct WholeFile<'a> {
    /// Its content.
    #[serde(with = "base64_text")]
    pub input: &'a [u8],
    /// The format that it is read in.
    pub from: Format,
    /// The format that it is written in.
    pub to: Format,
    /// Recipients of age, a list for each group of keys.
    pub groups: &'a [Vec<String>],
    /// How many groups are needed; all, if 0.
    pub threshold: u32,
    /// The selector's name in the metadata and its text; SOPS' default without.
    #[serde(flatten)]
    pub selector: Option<NamedSelector<'a>>,
    /// Whether the MAC is over encrypted values only.
    pub mac_only_encrypted: bool,
    /// The identities of age to decrypt with, a line each.
    pub identities: &'a str,
    /// Whether a wrong MAC is to be overlooked.
    pub ignore_mac: bool,
}

/// A selector as the metadata have it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NamedSelector<'a> {
    /// `encrypted_regex`, …
    pub selector: &'a str,
    /// Its text.
    pub pattern: &'a str,
}

impl<'a> WholeFile<'a> {
    /// A file that stays in its format, with SOPS' defaults, for nobody.
    pub fn new(input: &'a [u8], format: Format) -> Self {
        Self {
            input,
            from: format,
            to: format,
            groups: &[],
            threshold: 0,
            selector: None,
            mac_only_encrypted: false,
            identities: "",
            ignore_mac: false,
        }
    }
}

/// One entry of SOPS' tree: of a map (with a key), of a list (without), a comment in either, or the map that is a whole
/// document.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TreeItem {
    /// `str`, `int`, `float`, `bool`, `time`, `null`, `comment`, `map`, `list`, or the Go type of a value that SOPS cannot
    /// encrypt (`uint64`, …).
    #[serde(rename = "type")]
    pub kind: String,
    /// The bytes that SOPS encrypts and hashes (its `ToBytes`); of a comment, the text after the first `#`.
    #[serde(with = "base64_text", skip_serializing_if = "Vec::is_empty")]
    pub text: Vec<u8>,
    /// The key, if this is the entry of a map and no comment.
    #[serde(with = "base64_text::optional", skip_serializing_if = "Option::is_none")]
    pub key: Option<Vec<u8>>,
    /// The type of a key that is not a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// Of a comment: whether it stands on the line of the value that follows it here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub inline: bool,
    /// Of a map or list: the number of its entries, comments included, which follow in the list, each with its own.
    #[serde(skip_serializing_if = "is_zero")]
    pub length: usize,
}

/// A document as SOPS sees it: its entries in order, the map that they are in first.
pub type Branch = Vec<TreeItem>;

/// Whether and where a regular expression was found in one text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Found {
    /// `Regexp.MatchString`.
    #[serde(rename = "match")]
    pub is_match: bool,
    /// `Regexp.FindStringIndex`: start and end of the first match, in bytes.
    pub span: Option<(usize, usize)>,
    /// `Regexp.FindAllStringSubmatchIndex`: of each match, start and end of the whole and of each group; -1 where it took no part.
    pub all: Option<Vec<Vec<i64>>>,
}

/// What a path of GJSON leads to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Selected {
    /// `Result.Exists`.
    pub exists: bool,
    /// `Result.String`.
    #[serde(with = "base64_text")]
    pub text: Vec<u8>,
}

/// How `encoding/json` writes again what it read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Rewritten {
    /// `json.Marshal`, numbers as they are spelt.
    #[serde(with = "base64_text")]
    pub spelt: Vec<u8>,
    /// `json.Marshal`, numbers as `float64`; nothing where one is too large.
    #[serde(with = "base64_text::optional")]
    pub float: Option<Vec<u8>>,
    /// The same with `SetEscapeHTML(false)`.
    #[serde(with = "base64_text::optional")]
    pub plain: Option<Vec<u8>>,
    /// Of an object, or null: its members, strings unquoted and everything else as it was.
    pub raw: Option<BTreeMap<String, Text>>,
    /// Of an object: its members, strings, numbers and booleans as text and everything else as in `float`.
    pub values: Option<BTreeMap<String, Text>>,
}

/// Bytes that came as base64.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Text(#[serde(with = "base64_text")] pub Vec<u8>);

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.0.escape_ascii())
    }
}

#[derive(Deserialize)]
struct Tree {
    branches: Vec<Branch>,
}

#[derive(Deserialize)]
struct Output {
    /// An empty file is null.
    #[serde(with = "base64_text::optional")]
    output: Option<Vec<u8>>,
}

impl Output {
    fn bytes(self) -> Vec<u8> {
        self.output.unwrap_or_default()
    }
}

impl Oracle {
    /// The oracle of this process.
    ///
    /// # Panics
    /// If the set `tools` has not been built.
    pub fn shared() -> &'static Self {
        static ORACLE: LazyLock<Oracle> = LazyLock::new(|| Oracle(Lines::new(peers::oracle())));
        &ORACLE
    }

    /// Every document of `input`, as go-yaml decodes it into a `yaml.Node`, and why it stopped if it did. Decoding into
    /// nodes checks no duplicate keys.
    ///
    /// # Errors
    /// [`Refusal::Panic`] if go-yaml panicked; an error is part of the answer.
    pub fn yaml(&self, input: &[u8]) -> Result<YamlAnswer, Refusal> {
        self.0.ask("yaml", &Input { input })
    }

    /// `documents` as go-yaml's encoder writes them, with `indent` spaces.
    ///
    /// # Errors
    /// go-yaml's own.
    pub fn yaml_encode(&self, documents: &[YamlDocument], indent: u32) -> Result<Vec<u8>, Refusal> {
        #[derive(Serialize)]
        struct Encode<'a> {
            documents: &'a [YamlDocument],
            indent: u32,
        }
        self.0.ask("yaml-encode", &Encode { documents, indent }).map(Output::bytes)
    }

    /// The tree that SOPS reads from a plain file, a branch a document.
    ///
    /// # Errors
    /// SOPS' own. [`Refusal::Panic`] also where SOPS would never end: aliases that expand without bound.
    pub fn sops_tree(&self, input: &[u8], format: Format) -> Result<Vec<Branch>, Refusal> {
        #[derive(Serialize)]
        struct Load<'a> {
            #[serde(with = "base64_text")]
            input: &'a [u8],
            format: Format,
        }
        self.0.ask("sops-tree", &Load { input, format }).map(|Tree { branches }| branches)
    }

    /// The plain file that SOPS writes for `branches`. `indent` is that of its configuration: for YAML 0 means its
    /// default, for JSON -1 a tab.
    ///
    /// # Errors
    /// SOPS' own; [`Refusal::Panic`] for a tree that it cannot write.
    pub fn sops_emit(&self, branches: &[Branch], format: Format, indent: i32) -> Result<Vec<u8>, Refusal> {
        self.emit(branches, format, indent, false)
    }

    /// What `sops decrypt --extract` prints of `value`.
    ///
    /// # Errors
    /// SOPS' own; [`Refusal::Panic`] for a value that it cannot write.
    pub fn sops_emit_value(&self, value: &Branch, format: Format, indent: i32) -> Result<Vec<u8>, Refusal> {
        self.emit(std::slice::from_ref(value), format, indent, true)
    }

    fn emit(&self, branches: &[Branch], format: Format, indent: i32, value: bool) -> Result<Vec<u8>, Refusal> {
        #[derive(Serialize)]
        struct Emit<'a> {
            branches: &'a [Branch],
            format: Format,
            indent: i32,
            value: bool,
        }
        self.0.ask("sops-emit", &Emit { branches, format, indent, value }).map(Output::bytes)
    }

    /// What `sops encrypt` would print.
    ///
    /// # Errors
    /// SOPS' own; [`Refusal::Panic`] where it would crash.
    pub fn sops_encrypt(&self, file: &WholeFile<'_>) -> Result<Vec<u8>, Refusal> {
        self.0.ask("sops-encrypt", file).map(Output::bytes)
    }

    /// What `sops decrypt` would print.
    ///
    /// # Errors
    /// As [`Oracle::sops_encrypt`].
    pub fn sops_decrypt(&self, file: &WholeFile<'_>) -> Result<Vec<u8>, Refusal> {
        self.0.ask("sops-decrypt", file).map(Output::bytes)
    }

    /// The tree of an encrypted file, decrypted, before SOPS prints it: its printer loses comments.
    ///
    /// # Errors
    /// As [`Oracle::sops_encrypt`].
    pub fn sops_open(&self, file: &WholeFile<'_>) -> Result<Vec<Branch>, Refusal> {
        self.0.ask("sops-open", file).map(|Tree { branches }| branches)
    }

    /// What `decrypt.Data` of SOPS' library returns: how other Go programs read its files.
    ///
    /// # Errors
    /// As [`Oracle::sops_encrypt`].
    pub fn sops_library(&self, file: &WholeFile<'_>) -> Result<Vec<u8>, Refusal> {
        self.0.ask("sops-library", file).map(Output::bytes)
    }

    /// What a controller of a cluster makes of a manifest in YAML that went through kustomize: JSON with sorted keys, its MAC overlooked.
    ///
    /// # Errors
    /// As [`Oracle::sops_encrypt`].
    pub fn sops_resource(&self, file: &WholeFile<'_>) -> Result<Vec<u8>, Refusal> {
        self.0.ask("sops-resource", file).map(Output::bytes)
    }

    /// What each of `paths` leads to in `input` by GJSON.
    ///
    /// # Errors
    /// [`Refusal::Panic`] if it panicked.
    pub fn gjson(&self, input: &[u8], paths: &[&str]) -> Result<Vec<Selected>, Refusal> {
        #[derive(Serialize)]
        struct Select<'a> {
            #[serde(with = "base64_text")]
            input: &'a [u8],
            paths: &'a [&'a str],
        }
        #[derive(Deserialize)]
        struct All {
            found: Vec<Selected>,
        }
        self.0.ask("gjson", &Select { input, paths }).map(|All { found }| found)
    }

    /// How Go writes the JSON in `input` again.
    ///
    /// # Errors
    /// Go's own, where it is none.
    pub fn json(&self, input: &[u8]) -> Result<Rewritten, Refusal> {
        self.0.ask("json", &Input { input })
    }

    /// Whether and where Go finds `pattern` in each of `haystacks`.
    ///
    /// # Errors
    /// [`Refusal::Error`] if Go refuses the pattern.
    pub fn regex(&self, pattern: &[u8], haystacks: &[&[u8]]) -> Result<Vec<Found>, Refusal> {
        #[derive(Serialize)]
        struct Match<'a> {
            #[serde(with = "base64_text")]
            pattern: &'a [u8],
            haystacks: Vec<Bytes<'a>>,
        }
        #[derive(Serialize)]
        struct Bytes<'a>(#[serde(with = "base64_text")] &'a [u8]);
        #[derive(Deserialize)]
        struct Matches {
            haystacks: Vec<Found>,
        }
        let haystacks = haystacks.iter().map(|haystack| Bytes(haystack)).collect();
        self.0.ask("regex", &Match { pattern, haystacks }).map(|Matches { haystacks }| haystacks)
    }
}

// Differences are read by people: texts are shown as such, and what is empty is left out.
impl fmt::Debug for YamlNode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} {}:{} {}", self.kind, self.line, self.column, self.tag)?;
        if let Some(resolved) = &self.resolved {
            write!(formatter, " resolved {resolved}")?;
        }
        show(formatter, "", &self.value)?;
        show(formatter, "&", self.anchor.as_bytes())?;
        for (bit, name) in [
            (Style::TAGGED, "tagged"),
            (Style::DOUBLE_QUOTED, "double quoted"),
            (Style::SINGLE_QUOTED, "single quoted"),
            (Style::LITERAL, "literal"),
            (Style::FOLDED, "folded"),
            (Style::FLOW, "flow"),
        ] {
            if self.style.contains(bit) {
                write!(formatter, " {name}")?;
            }
        }
        if self.kind == NodeKind::Alias {
            write!(formatter, " target {}", self.target)?;
        }
        show(formatter, "head comment ", &self.head_comment)?;
        show(formatter, "line comment ", &self.line_comment)?;
        show(formatter, "foot comment ", &self.foot_comment)?;
        show_length(formatter, self.length)
    }
}

impl fmt::Debug for TreeItem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.kind)?;
        if let Some(key) = &self.key {
            write!(formatter, " key \"{}\"", key.escape_ascii())?;
        }
        if let Some(key_type) = &self.key_type {
            write!(formatter, " ({key_type})")?;
        }
        show(formatter, "", &self.text)?;
        if self.inline {
            formatter.write_str(" inline")?;
        }
        show_length(formatter, self.length)
    }
}

fn show(formatter: &mut fmt::Formatter<'_>, name: &str, text: &[u8]) -> fmt::Result {
    if text.is_empty() {
        return Ok(());
    }
    match str::from_utf8(text) {
        Ok(text) => write!(formatter, " {name}{text:?}"),
        Err(_) => write!(formatter, " {name}\"{}\"", text.escape_ascii()),
    }
}

fn show_length(formatter: &mut fmt::Formatter<'_>, length: usize) -> fmt::Result {
    if length > 0 {
        write!(formatter, " length {length}")?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Input<'a> {
    #[serde(with = "base64_text")]
    input: &'a [u8],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
