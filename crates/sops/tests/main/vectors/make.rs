//! Makes the vectors with the real SOPS.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulla_doc::Format;
use bulla_sops::SelectorKind;
use bulla_testkit::needs_peers;

use super::DIRECTORY;
use crate::support::{IDENTITY, RECIPIENT, Rule, Sops};

/// A document and how it is encrypted.
struct Case {
    name: &'static str,
    plain: &'static str,
    rule: Rule,
    comment: &'static str,
}

fn case(name: &'static str, plain: &'static str, comment: &'static str) -> Case {
    Case { name, plain, rule: Rule::DEFAULT, comment }
}

fn with(kind: SelectorKind, text: &str, name: &'static str, plain: &'static str, comment: &'static str) -> Case {
    Case { name, plain, rule: Rule::new(kind, text), comment }
}

fn mac_only(case: Case) -> Case {
    Case { rule: Rule { mac_only_encrypted: true, ..case.rule }, ..case }
}

const SECRETS: &str = "metadata:\n    name: app\ndata:\n    user: admin\n    deep:\n        token: t\nother_secret: s\nlist_secret:\n    - 1\n    - [2]\n";

fn good() -> Vec<Case> {
    use SelectorKind::{
        EncryptedCommentRegex, EncryptedRegex, EncryptedSuffix, UnencryptedCommentRegex, UnencryptedRegex,
        UnencryptedSuffix,
    };
    let commented = "# public\na: 1\n# other\nb: 2\n# public\nc:\n    d: 3\n    e: [4]\nf: 5\n";
    let marked = "# sops:enc\n# a second line\na: 1\nb: 2\nc:\n    # sops:enc\n    d: {x: 3, y: [4]}\n    e: 5\nf: 6 # sops:enc\n";
    vec![
        case("types/string.yaml", "a: text\nb: two words\nc: 'yes'\nd: '12:30:45'\n", "strings, plain and not"),
        case(
            "types/unicode.yaml",
            "a: é\nb: 日本語\nc: \"\\U0001F600\"\nd: \"\\x07\\u2028\"\n",
            "characters of all sizes",
        ),
        case(
            "types/lines.yaml",
            "a: |\n    one\n    two\nb: |-\n    one\n\n    two\nc: >\n    folded\n    text\n",
            "several lines",
        ),
        case("types/trailing-blanks.yaml", "a: \"ends in a blank \\nsecond\"\nb: ' padded '\n", "blanks at the ends"),
        case(
            "types/integer.yaml",
            "a: 0\nb: -7\nc: 0x1F\nd: 0755\ne: 1_000\nf: 9223372036854775807\n",
            "integers in all bases",
        ),
        case(
            "types/float.yaml",
            "a: 1.5\nb: 1.50\nc: 1e3\nd: -0.25\ne: 1e100\nf: 1e-7\ng: .5\n",
            "floating point numbers",
        ),
        case("types/float-special.yaml", "a: .inf\nb: -.inf\nc: .nan\n", "infinite, and not a number"),
        case("types/float-negative-zero.yaml", "a: -0.0\n", "zero with a sign"),
        case("types/boolean.yaml", "a: true\nb: False\nc: TRUE\n", "booleans; `yes` is none"),
        case(
            "types/time.yaml",
            "a: 2024-01-01\nb: 2001-12-14 21:59:43.10\nc: 2006-01-02T15:04:05.123456789+07:06\n",
            "dates and times",
        ),
        case("types/null.yaml", "a: null\nb: ~\nc:\nd: x\n", "null is never encrypted"),
        case("types/empty.yaml", "a: ''\nb: {}\nc: []\nd: x\n", "nor are empty texts and containers"),
        case("types/binary.yaml", "a: !!binary aGVsbG8=\nb: !!binary /w==\n", "bytes, one of them no text"),
        case("types/tags.yaml", "a: !!str 7\nb: !!int \"3\"\nc: !custom x\nd: !!float 1\n", "tags decide the type"),
        case(
            "types/all.json",
            "{\"s\": \"x\", \"i\": -7, \"f\": 1.50, \"e\": 1e21, \"t\": true, \"n\": null, \"z\": \"\", \"u\": \"\\u00e9\\ud83d\\ude00\"}\n",
            "what JSON has",
        ),
        case("types/escapes.json", "{\"a\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001<&>\\u2028\"}\n", "escapes of JSON"),
        case(
            "types/looks-encrypted.yaml",
            "a: ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:str]\nb:\n    - ENC[AES256_GCM,data:YQ==,iv:YQ==,tag:YQ==,type:comment]\n",
            "plain text that looks encrypted is encrypted once more",
        ),
        case("structure/nested.yaml", "a:\n    b:\n        c:\n            d: x\n", "paths of several keys"),
        case(
            "structure/lists.yaml",
            "l:\n    - a\n    - - b\n      - - c\n    - d: e\n      f: [g, {h: i}]\n",
            "indices are not part of the path",
        ),
        case("structure/equal-items.yaml", "l: [x, x, x]\n", "equal values of one path"),
        case(
            "structure/keys.yaml",
            "\"co:lon\": 1\n\"\": 2\n\"with space\": 3\né: 4\n\"a\\nb\": 5\n'7': 6\n",
            "keys of all kinds",
        ),
        case("structure/same-path.yaml", "\"a:b\":\n    c: 1\na:\n    \"b:c\": 2\n", "two values with one path"),
        case("structure/nested-sops.yaml", "a:\n    sops: x\n", "`sops` below the top means nothing"),
        case("structure/duplicate-keys.json", "{\"a\": 1, \"b\": 2}\n", "order of keys is kept"),
        case(
            "structure/nested.json",
            "{\"a\": {\"b\": [1, [2, {\"c\": 3}]]}, \"d\": {}, \"e\": []}\n",
            "containers of JSON",
        ),
        case(
            "structure/flow.yaml",
            "a: {b: 1, c: [x, 'y', {d: null}]}\n",
            "flow collections, which SOPS writes as blocks",
        ),
        case("structure/alias.yaml", "a: &a {x: 1}\nb: *a\nc: [*a]\n", "aliases, which SOPS writes out"),
        case(
            "structure/merge.yaml",
            "base: &b\n    x: 1\nderived:\n    <<: *b\n    y: 2\n",
            "a merge key; `<<` is part of the path",
        ),
        case("structure/documents.yaml", "a: 1\n---\nb: 2\n---\nc: [3]\n", "several documents, one MAC"),
        case("structure/empty-document.yaml", "a: 1\n---\n---\nb: 2\n", "an empty document in the middle"),
        case(
            "structure/long-key.yaml",
            "? aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n: x\n",
            "a key of more than 128 bytes",
        ),
        case(
            "comments/everywhere.yaml",
            "# top\n\n# second\na: 1 # inline\n# before b\nb:\n    # in b\n    c: 2\n    # end of b\n# end\n",
            "comments in mappings",
        ),
        case(
            "comments/in-lists.yaml",
            "l:\n    # head\n    - a # inline\n    # between\n    - b\n    # end\nm: x\n",
            "comments in lists, which SOPS writes as items",
        ),
        case("comments/empty.yaml", "#\na: 1\n#\n#x\nb: 2\n", "empty comments are not encrypted"),
        case(
            "comments/under-plain-key.yaml",
            "a_unencrypted:\n    # plain\n    b: 1\n# encrypted\nc: 2\n",
            "comments follow the rule of their container",
        ),
        case(
            "comments/only-in-second-document.yaml",
            "a: 1\n---\n# here\nb: 2\n",
            "a comment at the top of the second document",
        ),
        with(
            UnencryptedSuffix,
            "_plain",
            "selectors/unencrypted-suffix.yaml",
            "a_plain:\n    b: 1\nc: 2\na_plain_not: 3\n",
            "a suffix counts for the subtree",
        ),
        with(EncryptedSuffix, "_secret", "selectors/encrypted-suffix.yaml", SECRETS, "only what ends so"),
        with(EncryptedRegex, "^(data|stringData)$", "selectors/encrypted-regex.yaml", SECRETS, "each key by itself"),
        with(
            EncryptedRegex,
            "data",
            "selectors/encrypted-regex-unanchored.yaml",
            SECRETS,
            "`data` also matches `metadata`",
        ),
        with(EncryptedRegex, r"^\w+$", "selectors/encrypted-regex-ascii.yaml", "é: 1\ne: 2\n", r"Go's `\w` is ASCII"),
        with(
            UnencryptedRegex,
            "^(metadata|user)$",
            "selectors/unencrypted-regex.yaml",
            SECRETS,
            "all but what matches",
        ),
        with(
            EncryptedCommentRegex,
            "sops:enc",
            "selectors/encrypted-comment-regex.yaml",
            marked,
            "what follows a comment",
        ),
        with(
            UnencryptedCommentRegex,
            "public$",
            "selectors/unencrypted-comment-regex.yaml",
            commented,
            "all but what follows a comment",
        ),
        with(
            UnencryptedCommentRegex,
            "public$",
            "selectors/unencrypted-comment-regex-in-list.yaml",
            "l:\n    # public\n    - a\n    # other\n    - b\n",
            "the same in a list",
        ),
        mac_only(with(
            EncryptedRegex,
            "^data$",
            "selectors/mac-only-encrypted.yaml",
            SECRETS,
            "the MAC covers encrypted values only",
        )),
        mac_only(case(
            "selectors/mac-only-encrypted-all.yaml",
            "a: 1\nb: [x]\n",
            "the same where all are encrypted: another MAC",
        )),
        mac_only(with(
            EncryptedSuffix,
            "_secret",
            "selectors/mac-only-encrypted.json",
            "{\"a\": 1, \"b_secret\": 2}\n",
            "the same in JSON",
        )),
        with(
            EncryptedRegex,
            "^nothing$",
            "selectors/nothing-selected.yaml",
            "a: 1\n",
            "a file of plain text with a MAC",
        ),
    ]
}

/// A change of an encrypted file, and what must come of it.
struct Fault {
    name: &'static str,
    expect: &'static str,
    comment: &'static str,
    change: fn(&str) -> String,
}

const BASE: &str = "\
# about
db:
    user: admin
    password: hunter2
    port: 5432
    hosts:
        - one
        - two
plain_unencrypted: x
last: y
";

fn line<'t>(text: &'t str, start: &str) -> &'t str {
    text.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_else(|| panic!("no {start}"))
}

fn without_line(text: &str, start: &str) -> String {
    text.replacen(&format!("{}\n", line(text, start)), "", 1)
}

/// Another base64 digit in the middle of a part of the value on the line that starts so.
fn flip(text: &str, start: &str, part: &str) -> String {
    let line = line(text, start);
    let from = line.find(&format!("{part}:")).unwrap() + part.len() + 1;
    let to = from + line[from..].find([',', ']']).unwrap();
    let at = from + (to - from) / 2;
    let digit = if &line[at..=at] == "A" { "B" } else { "A" };
    text.replacen(line, &format!("{}{digit}{}", &line[..at], &line[at + 1..]), 1)
}

/// The text from `ENC[` of two lines exchanged.
fn swap(text: &str, first: &str, second: &str) -> String {
    let value = |start| {
        let line = line(text, start);
        line[line.find("ENC[").unwrap()..].to_owned()
    };
    let (first, second) = (value(first), value(second));
    text.replacen(&first, "@", 1).replacen(&second, &first, 1).replacen('@', &second, 1)
}

fn retype(text: &str, start: &str, kind: &str) -> String {
    let line = line(text, start);
    let at = line.rfind("type:").unwrap() + 5;
    text.replacen(line, &format!("{}{kind}]", &line[..at]), 1)
}

fn faults() -> Vec<Fault> {
    let fault = |name, expect, comment, change| Fault { name, expect, comment, change };
    vec![
        fault("flipped-data", "value at [\"db\"][\"user\"]", "a bit of the ciphertext", |t| flip(t, "user:", "data")),
        fault("flipped-iv", "value at [\"db\"][\"user\"]", "a bit of the nonce", |t| flip(t, "user:", "iv")),
        fault("flipped-tag", "value at [\"db\"][\"user\"]", "a bit of the tag", |t| flip(t, "user:", "tag")),
        fault("retyped-int", "value at [\"db\"][\"user\"]", "a text becomes a number", |t| retype(t, "user:", "int")),
        fault("retyped-bool", "value at [\"db\"][\"port\"]", "a number becomes a boolean", |t| {
            retype(t, "port:", "bool")
        }),
        fault(
            "retyped-str",
            "success",
            "a number becomes a text: the type is not authenticated, and the MAC is the same",
            |t| retype(t, "port:", "str"),
        ),
        fault("retyped-bytes", "success", "the same with a type that SOPS panics at", |t| retype(t, "user:", "bytes")),
        fault("retyped-comment", "value at [\"db\"][\"user\"]", "a value becomes a comment", |t| {
            retype(t, "user:", "comment")
        }),
        fault("retyped-item-comment", "mac mismatch", "an item becomes a comment", |t| retype(t, "- ENC", "comment")),
        fault("retyped-unknown", "value at [\"db\"][\"user\"]", "a type that does not exist", |t| {
            retype(t, "user:", "text")
        }),
        fault("swapped-values", "value at [\"db\"][\"user\"]", "two values of one mapping", |t| {
            swap(t, "user:", "password:")
        }),
        fault("moved-value", "value at [\"db\"][\"login\"]", "another key", |t| t.replacen("user:", "login:", 1)),
        fault("copied-value", "value at [\"last\"]", "a value of another key", |t| {
            let user = line(t, "user:").trim_start().trim_start_matches("user: ");
            t.replacen(line(t, "last:"), &format!("last: {user}"), 1)
        }),
        fault("swapped-items", "mac mismatch", "two items of a list have one path", |t| {
            let items: Vec<&str> = t.lines().filter(|line| line.trim_start().starts_with("- ENC")).collect();
            t.replacen(items[0], "@", 1).replacen(items[1], items[0], 1).replacen('@', items[1], 1)
        }),
        fault("removed-item", "mac mismatch", "an item less", |t| without_line(t, "- ENC")),
        fault("doubled-item", "mac mismatch", "an item twice", |t| {
            let item = line(t, "- ENC");
            t.replacen(item, &format!("{item}\n{item}"), 1)
        }),
        fault("removed-key", "mac mismatch", "a value less", |t| without_line(t, "user:")),
        fault("added-plain-key", "mac mismatch", "a plain value more", |t| {
            t.replacen("last:", "new_unencrypted: z\nlast:", 1)
        }),
        fault("added-key", "value at [\"new\"]", "a value more that should be encrypted", |t| {
            t.replacen("last:", "new: z\nlast:", 1)
        }),
        fault("added-null", "success", "null is not hashed: SOPS cannot see this either", |t| {
            t.replacen("last:", "new: null\nlast:", 1)
        }),
        fault("added-comment", "success", "nor are comments", |t| t.replacen("last:", "# new\nlast:", 1)),
        fault("removed-comment", "success", "nor that they are gone", |t| without_line(t, "#ENC")),
        fault("moved-comment", "success", "a comment under another path stays as it is", |t| {
            let comment = line(t, "#ENC");
            without_line(t, "#ENC").replacen("    port:", &format!("    {comment}\n    port:"), 1)
        }),
        fault("changed-plain-value", "mac mismatch", "a value that is not encrypted", |t| {
            t.replacen("plain_unencrypted: x", "plain_unencrypted: z", 1)
        }),
        fault("renamed-plain-key", "success", "names of plain values are not authenticated", |t| {
            t.replacen("plain_unencrypted", "other_unencrypted", 1)
        }),
        fault("plain-value", "value at [\"db\"][\"user\"]", "plain text where it should be encrypted", |t| {
            t.replacen(line(t, "user:"), "    user: admin", 1)
        }),
        fault("plain-number", "value at [\"db\"][\"port\"]", "a number where it should be encrypted", |t| {
            t.replacen(line(t, "port:"), "    port: 5432", 1)
        }),
        fault("other-order", "mac mismatch", "values in another order", |t| {
            let (user, password) = (line(t, "user:"), line(t, "password:"));
            t.replacen(user, "@", 1).replacen(password, user, 1).replacen('@', password, 1)
        }),
        fault("no-mac", "no mac", "no MAC", |t| without_line(t, "mac:")),
        fault("empty-mac", "no mac", "an empty MAC", |t| t.replacen(line(t, "mac:"), "    mac: \"\"", 1)),
        fault("flipped-mac", "unreadable mac", "a bit of the MAC", |t| flip(t, "mac:", "data")),
        fault("mac-is-a-value", "unreadable mac", "a value in the place of the MAC", |t| {
            let user = line(t, "user:").trim_start().trim_start_matches("user: ");
            t.replacen(line(t, "mac:"), &format!("    mac: {user}"), 1)
        }),
        fault("other-date", "unreadable mac", "another second", |t| {
            t.replacen(line(t, "lastmodified:"), "    lastmodified: \"2020-01-01T00:00:00Z\"", 1)
        }),
        fault("date-with-fraction", "success", "a fraction of a second, which SOPS drops", |t| {
            let date = line(t, "lastmodified:");
            t.replacen(date, &date.replace("Z\"", ".5Z\""), 1)
        }),
        fault("plain-date", "broken metadata", "a date without quotes", |t| {
            let date = line(t, "lastmodified:");
            t.replacen(date, &date.replace('"', ""), 1)
        }),
        fault("no-date", "broken metadata", "no date", |t| without_line(t, "lastmodified:")),
        fault("no-version", "broken metadata", "no version", |t| without_line(t, "version:")),
        fault("broken-version", "broken metadata", "a version that is none", |t| {
            t.replacen(line(t, "version:"), "    version: new", 1)
        }),
        fault("newer-version", "success", "a version to come", |t| {
            t.replacen(line(t, "version:"), "    version: 4.0.0-rc.1", 1)
        }),
        fault("two-selectors", "broken metadata", "two rules", |t| {
            t.replacen("    version:", "    encrypted_regex: a\n    version:", 1)
        }),
        fault("broken-regex", "broken metadata", "a rule that does not compile", |t| {
            t.replacen(line(t, "unencrypted_suffix:"), "    encrypted_regex: (", 1)
        }),
        fault("other-selector", "value at [\"plain_unencrypted\"]", "another rule", |t| {
            t.replacen("unencrypted_suffix: _unencrypted", "unencrypted_suffix: _plain", 1)
        }),
        fault("no-selector", "success", "no rule is the default one", |t| without_line(t, "unencrypted_suffix:")),
        fault("mac-only-encrypted", "mac mismatch", "the other kind of MAC", |t| {
            t.replacen("    unencrypted_suffix", "    mac_only_encrypted: true\n    unencrypted_suffix", 1)
        }),
        fault("no-keys", "broken metadata", "no keys", |t| {
            let (from, to) = (t.find("    age:").unwrap(), t.find("    lastmodified:").unwrap());
            format!("{}{}", &t[..from], &t[to..])
        }),
        fault("damaged-enc", "no key", "a damaged data key", |t| {
            let enc: Vec<&str> = t.lines().filter(|line| line.trim_start().len() == 64).collect();
            t.replacen(enc[0], &enc[0].replace(|c: char| c.is_ascii_lowercase(), "A"), 1)
        }),
        fault("no-enc", "no key", "no data key", |t| {
            let (from, to) = (t.find("enc: |").unwrap(), t.find("          recipient:").unwrap());
            format!("{}{}", &t[..from], t[to..].trim_start())
        }),
        fault("several-groups", "too few groups", "shares for two groups", |t| {
            t.replacen("    age:", "    key_groups:\n        - age: [{recipient: a, enc: x}]\n        - age: [{recipient: b, enc: x}]\n    unused:", 1)
        }),
        fault("other-names", "success", "names of fields in other case", |t| {
            t.replacen("    age:", "    AGE:", 1).replacen("    mac:", "    Mac:", 1).replacen(
                "recipient:",
                "RECIPIENT:",
                1,
            )
        }),
        fault("weak-types", "success", "texts where booleans and numbers belong", |t| {
            t.replacen(
                "    version:",
                "    mac_only_encrypted: \"false\"\n    shamir_threshold: \"0\"\n    version:",
                1,
            )
        }),
        fault("unknown-fields", "success", "fields of a version to come, and comments", |t| {
            t.replacen("    version:", "    # a comment\n    future: {x: [1]}\n    version:", 1)
        }),
        fault("empty-lists", "success", "empty lists of keys, as older versions wrote them", |t| {
            t.replacen(
                "    age:",
                "    kms: []\n    gcp_kms: []\n    azure_kv: []\n    hc_vault: []\n    pgp: []\n    age:",
                1,
            )
        }),
        fault("junk-behind-value", "success", "text behind the bracket, behind which SOPS does not look", |t| {
            let user = line(t, "user:");
            t.replacen(user, &format!("{user}~junk"), 1)
        }),
        fault("no-metadata", "not encrypted", "no metadata", |t| t[..t.find("sops:").unwrap()].to_owned()),
        fault("metadata-is-text", "broken metadata", "`sops` is a text", |t| {
            format!("{}sops: x\n", &t[..t.find("sops:").unwrap()])
        }),
        fault("cut-in-metadata", "broken metadata", "cut in the metadata", |t| {
            t[..t.find("    mac:").unwrap()].to_owned()
        }),
        fault("cut-in-value", "not encrypted", "cut in a value", |t| t[..t.find("password:").unwrap() + 40].to_owned()),
        fault("metadata-first", "success", "the metadata before the values", |t| {
            let at = t.find("sops:").unwrap();
            format!("{}{}", &t[at..], &t[..at])
        }),
        fault("more-documents", "mac mismatch", "a document more", |t| format!("{t}---\nnew_unencrypted: z\n")),
        fault("broken-syntax", "no document", "no YAML any more", |t| t.replacen("db:", "db: [", 1)),
    ]
}

fn write(name: &str, headers: &[(&str, &str)], body: &[u8]) {
    let path: PathBuf = bulla_testkit::workspace().join(DIRECTORY).join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut text: Vec<u8> = headers.iter().flat_map(|(key, value)| format!("{key}: {value}\n").into_bytes()).collect();
    text.push(b'\n');
    text.extend_from_slice(body);
    fs::write(path, text).unwrap();
}

fn command(rule: &Rule, name: &str) -> String {
    let flags: Vec<String> = rule
        .flags()
        .iter()
        .map(|flag| if flag.starts_with("--") { flag.clone() } else { format!("'{flag}'") })
        .collect();
    let flags = if flags.is_empty() { String::new() } else { format!("{} ", flags.join(" ")) };
    format!("sops 3.13.3: sops --encrypt --age {RECIPIENT} {flags}{name}")
}

fn format_of(name: &str) -> (Format, &'static str) {
    if name.ends_with(".json") { (Format::Json, "json") } else { (Format::Yaml, "yaml") }
}

#[test]
#[ignore = "makes the vectors anew; every run gives other ciphertext"]
fn make_the_vectors() {
    needs_peers!();
    let sops = Sops::new();
    for Case { name, plain, rule, comment } in good() {
        let (format, format_name) = format_of(name);
        let encrypted = sops.encrypt(plain.as_bytes(), format, &rule).unwrap_or_else(|error| panic!("{name}: {error}"));
        sops.decrypt(&encrypted, format)
            .unwrap_or_else(|error| panic!("{name}: SOPS does not open its own file: {error}"));
        let headers = [
            ("expect", "success"),
            ("comment", comment),
            ("format", format_name),
            ("made by", &command(&rule, name.rsplit('/').next().unwrap())),
            ("identity", IDENTITY),
            ("plain", &STANDARD.encode(plain)),
        ];
        write(name, &headers, &encrypted);
    }
    make_changed(&sops);
    let encrypted = String::from_utf8(sops.encrypt(BASE.as_bytes(), Format::Yaml, &Rule::DEFAULT).unwrap()).unwrap();
    for Fault { name, expect, comment, change } in faults() {
        let changed = change(&encrypted);
        assert_ne!(changed, encrypted, "{name}: nothing was changed");
        let plain = match name {
            "added-null" => BASE.replace("last:", "new: null\nlast:"),
            "added-comment" => BASE.replace("last:", "# new\nlast:"),
            "removed-comment" => BASE.replace("# about\n", ""),
            "moved-comment" => BASE
                .replace("# about\n", "")
                .replace("    port:", &format!("    {}\n    port:", line(&encrypted, "#ENC"))),
            "renamed-plain-key" => BASE.replace("plain_unencrypted", "other_unencrypted"),
            "retyped-str" => BASE.replace("5432", "'5432'"),
            _ => BASE.to_owned(),
        };
        // What SOPS says to it, but where it panics or minds a comment that it should not.
        let differs = ["retyped-bytes"].contains(&name);
        let opens = sops.decrypt(changed.as_bytes(), Format::Yaml).is_ok();
        assert!(
            differs || opens == (expect == "success"),
            "{name}: SOPS {}",
            if opens { "opens it" } else { "refuses it" }
        );
        let made = format!("{}, then changed by hand", command(&Rule::DEFAULT, "base.yaml"));
        let mut headers = vec![
            ("expect", expect),
            ("comment", comment),
            ("format", "yaml"),
            ("made by", &made),
            ("identity", IDENTITY),
        ];
        let plain = STANDARD.encode(plain);
        if expect == "success" {
            headers.push(("plain", &plain));
        }
        write(&format!("changed/{name}.yaml"), &headers, changed.as_bytes());
    }
    make_without_key(&encrypted);
}

/// What SOPS makes of its own files, and what other keys do.
fn make_changed(sops: &Sops) {
    let encrypted = sops.encrypt(BASE.as_bytes(), Format::Yaml, &Rule::DEFAULT).unwrap();
    for (name, command, further, plain) in [
        ("set", &["set"][..], &[r#"["db"]["user"]"#, "\"root\""][..], BASE.replace("admin", "root")),
        ("set-new", &["set"], &[r#"["new"]["deep"]"#, "{\"x\": 1}"], format!("{BASE}new:\n    deep: {{x: 1}}\n")),
        ("unset", &["unset"], &[r#"["db"]["port"]"#], BASE.replace("    port: 5432\n", "")),
        ("rotate", &["rotate", "-i"], &[], BASE.to_owned()),
        (
            "two-recipients",
            &["rotate", "-i", "--add-age", "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"],
            &[],
            BASE.to_owned(),
        ),
    ] {
        let changed =
            sops.change(command, further, &encrypted, Format::Yaml).unwrap_or_else(|error| panic!("{name}: {error}"));
        let made = format!("sops 3.13.3: sops {} base.yaml {}", command.join(" "), further.join(" "));
        let headers = [
            ("expect", "success"),
            ("comment", "a file that SOPS changed"),
            ("format", "yaml"),
            ("made by", made.trim_end()),
            ("identity", IDENTITY),
            ("plain", &STANDARD.encode(plain)),
        ];
        write(&format!("by-sops/{name}.yaml"), &headers, &changed);
    }
}

fn make_without_key(encrypted: &str) {
    let other = "AGE-SECRET-KEY-1AX56H6Z7ZCMJGX3L8453Z5LUUUFXDHPD8LDNN9GVJRNAEH4LPFQSM26ZMM";
    let made = command(&Rule::DEFAULT, "base.yaml");
    let headers = [
        ("expect", "no key"),
        ("comment", "an identity that is not that of the file"),
        ("format", "yaml"),
        ("made by", made.as_str()),
        ("identity", other),
    ];
    write("changed/other-identity.yaml", &headers, encrypted.as_bytes());
}
