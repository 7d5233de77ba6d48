//! JSON and paths against the real `encoding/json` and GJSON, over generated documents: keys that come twice, escapes, surrogates,
//! bytes that are no UTF-8, numbers of all sizes, blanks everywhere; and documents that are broken.

use std::collections::BTreeMap;

use bulla_services::vault::{Login, Settings};
use bulla_stores::fake::{Fake, Verdict};
use bulla_stores::json::{Escapes, Json, Numbers, Reader};
use bulla_stores::vault::{Engine, Vault};
use bulla_stores::{Payload, Remote, SelectError, Store as _, path};
use bulla_testkit::mutate::{Random, mutate};
use bulla_testkit::needs_peers;
use bulla_testkit::oracle::{Oracle, Text};
use bulla_testkit::server::Server as Loopback;
use bulla_wipe::Wiping;

use crate::{secret, surroundings};

const KEYS: &[&str] = &[
    "a", "b", "ab", "a.b", "user", "@type", "@keys", "*", "#", "0", "1", "", "é", "x y", "a|b", "!true", "\\", "\"",
    "😀",
];
const SCALARS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-7",
    "1.50",
    "0.1",
    "1e2",
    "1E+2",
    "1e21",
    "1e20",
    "123456789012345678901234567890",
    "1e-6",
    "1e-7",
    "9007199254740993",
    "5e-324",
    "1.7976931348623157e308",
    "1e999",
    "-1e999",
    "0.30000000000000004",
    "100e-2",
];
/// What strings are made of. No brackets: GJSON looks for them also within a string that it was to look into, and we do not.
const PIECES: &[&[u8]] = &[
    b"a",
    b"user",
    b" ",
    b"<",
    b">",
    b"&",
    b"'",
    b"/",
    b"\\/",
    b"\\\\",
    b"\\\"",
    b"\\n",
    b"\\b",
    b"\\f",
    b"\\u0000",
    b"\\u001f",
    b"\\u003c",
    b"\\u2028",
    b"\xe2\x80\xa9",
    b"\x7f",
    b"\xc3\xa9",
    b"\\u00e9",
    b"\\ud83d\\ude00",
    b"\\ud83d",
    b"\\ude00",
    b"\\ud83d\\u0041",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"}",
    b":",
    b",",
    b"0",
];

fn blanks(random: &mut Random, out: &mut Vec<u8>) {
    while random.once_in(6) {
        out.push(random.pick(b" \t\r\n"));
    }
}

fn string(random: &mut Random, out: &mut Vec<u8>) {
    out.push(b'"');
    for _ in 0..random.below(4) {
        out.extend(random.pick(PIECES));
    }
    out.push(b'"');
}

fn key(random: &mut Random, out: &mut Vec<u8>) {
    if random.once_in(8) {
        return string(random, out);
    }
    let mut quoted = Wiping::default();
    bulla_stores::json::quote(random.pick(KEYS).as_bytes(), Escapes::Html, &mut quoted);
    out.extend(&*quoted);
}

fn value(random: &mut Random, depth: usize, out: &mut Vec<u8>) {
    blanks(random, out);
    match random.below(if depth == 0 { 2 } else { 5 }) {
        0 => out.extend(random.pick(SCALARS).as_bytes()),
        1 => string(random, out),
        2 => container(random, depth, *b"[]", out),
        _ => container(random, depth, *b"{}", out),
    }
    blanks(random, out);
}

fn container(random: &mut Random, depth: usize, [open, close]: [u8; 2], out: &mut Vec<u8>) {
    out.push(open);
    for index in 0..random.below(5) {
        if index > 0 {
            out.push(b',');
        }
        if open == b'{' {
            blanks(random, out);
            key(random, out);
            blanks(random, out);
            out.push(b':');
        }
        value(random, depth - 1, out);
    }
    blanks(random, out);
    out.push(close);
}

fn document(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    if random.once_in(5) {
        value(random, 4, &mut out);
    } else {
        container(random, 4, *b"{}", &mut out);
    }
    out
}

fn some_path(random: &mut Random) -> String {
    const PARTS: &[&str] = &[
        "a",
        "b",
        "ab",
        "user",
        "0",
        "1",
        "2",
        "00",
        "-1",
        "99999999999999999999",
        "#",
        "#.a",
        "*",
        "a*",
        "*b",
        "?",
        "??",
        "a?",
        "é",
        "",
        "@type",
        "@keys",
        "@x",
        r"a\.b",
        r"\*",
        r"\?",
        r"a\*",
        r"*\.*",
        r"\\",
        r"\",
        "x y",
        "a#",
        "#(a)",
        "!true",
        "!",
        "{a",
        "[0",
        "a|b",
        r"a\|b",
        "😀",
        "*é*",
        "\"",
    ];
    let part = |random: &mut Random| if random.once_in(3) { random.pick(PARTS) } else { random.pick(&PARTS[..7]) };
    let parts: Vec<&str> = (0..=random.below(3)).map(|_| part(random)).collect();
    parts.join(".")
}

/// A path that leads to something, most of the time: names from the document, escaped where that is needed, or patterns.
fn leading_path(random: &mut Random, json: Json<'_>) -> String {
    let (mut parts, mut json) = (Vec::new(), json);
    loop {
        let (members, elements): (Vec<_>, Vec<_>) = (json.members().collect(), json.elements().collect());
        let (part, next) = if !members.is_empty() {
            let (name, value) = members[random.below(members.len())];
            let name = String::from_utf8_lossy(&name.text(Reader::Gjson)).into_owned();
            let escaped =
                |letter: char| if r"\.*?|".contains(letter) { format!("\\{letter}") } else { letter.to_string() };
            let shortened: String = name.chars().take(1).map(escaped).collect();
            match random.below(6) {
                0 => (format!("{shortened}*"), value),
                1 => ("*".to_owned(), value),
                _ => (name.chars().map(escaped).collect(), value),
            }
        } else if !elements.is_empty() {
            let index = random.below(elements.len());
            (if random.once_in(4) { "#".to_owned() } else { index.to_string() }, elements[index])
        } else {
            break;
        };
        parts.push(part);
        json = next;
        if random.once_in(4) {
            break;
        }
    }
    parts.join(".")
}

fn written(json: Json<'_>, numbers: Numbers, escapes: Escapes) -> Option<Vec<u8>> {
    let mut out = Wiping::default();
    json.write(numbers, escapes, &mut out).ok().map(|()| out.to_vec())
}

fn members(payload: &Payload) -> Result<BTreeMap<String, Text>, SelectError> {
    let entries = payload.entries(None)?;
    Ok(entries.into_iter().map(|(name, value)| (name, Text(value.expose_secret().to_vec()))).collect())
}

#[tokio::test]
async fn json_is_read_and_written_as_go_does() {
    needs_peers!();
    let mut random = Random::new(4);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..6000 {
        let mut document = document(&mut random);
        if random.once_in(3) {
            let other = self::document(&mut random);
            document = mutate(&mut random, &document, &other);
        }
        let shown = document.escape_ascii();
        let (ours, go) = (Json::read(&document), Oracle::shared().json(&document));
        let (Ok(ours), Ok(go)) = (&ours, &go) else {
            assert!(ours.is_err() && go.is_err(), "{shown}: {ours:?} {go:?}");
            refused += 1;
            continue;
        };
        accepted += 1;
        assert_eq!(written(*ours, Numbers::Spelt, Escapes::Html).as_ref(), Some(&go.spelt), "{shown}");
        // Where a number is too large under a name that comes twice, Go refuses all, also if the other one counts.
        if go.float.is_some() || !document.windows(5).any(|bytes| bytes == b"1e999") {
            assert_eq!(written(*ours, Numbers::Float, Escapes::Html), go.float, "{shown}");
            assert_eq!(written(*ours, Numbers::Float, Escapes::Plain), go.plain, "{shown}");
        }
        let fake = Fake::new([(Remote::current("a"), secret(&document))], Verdict::Ready);
        let payload = fake.fetch(&Remote::current("a")).await.unwrap();
        match (members(&payload), &go.raw) {
            (Ok(ours), Some(go)) => assert_eq!(ours, *go, "{shown}"),
            (Err(SelectError::NoObject { .. }), None) => {}
            (ours, go) => panic!("{shown}: {ours:?} {go:?}"),
        }
    }
    assert!(accepted > 4000 && refused > 500, "{accepted} accepted, {refused} refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_vault_are_what_go_makes_of_them() {
    needs_peers!();
    let mut random = Random::new(5);
    let mut documents = Vec::new();
    while documents.len() < 400 {
        let mut document = Vec::new();
        container(&mut random, 4, *b"{}", &mut document);
        // The server's answers are text.
        if let Ok(document) = String::from_utf8(document) {
            documents.push(document);
        }
    }
    let answers = documents.clone();
    let server = Loopback::start(move |number| {
        (200, String::new(), format!(r#"{{"data": {{"data": {}, "metadata": {{}}}}}}"#, answers[number]))
    });
    let login = Login::Token { token: secret("t"), place: "test".to_owned() };
    let vault = Vault::new(&server.address(), Engine::default(), Settings::new(login), surroundings()).unwrap();
    for document in &documents {
        let payload = vault.fetch(&Remote::current("secret/a")).await.unwrap();
        let go = Oracle::shared().json(document.as_bytes()).unwrap();
        assert_eq!(payload.whole().unwrap().expose_secret(), go.spelt, "{document}");
        // External Secrets reads what it wrote, in which no name comes twice.
        let go = Oracle::shared().json(&go.spelt).unwrap();
        match (members(&payload), &go.values) {
            (Ok(ours), Some(go)) => assert_eq!(ours, *go, "{document}"),
            (Err(SelectError::Number { .. }), None) => {}
            (ours, go) => panic!("{document}: {ours:?} {go:?}"),
        }
    }
}

#[test]
fn a_path_leads_where_gjson_says_or_is_refused_by_name() {
    needs_peers!();
    let mut random = Random::new(6);
    let (mut found, mut missing, mut refused) = (0, 0, 0);
    for _ in 0..4000 {
        let document = document(&mut random);
        let json = Json::read(&document).unwrap();
        let mut paths: Vec<String> = (0..15).map(|_| some_path(&mut random)).collect();
        paths.extend((0..10).map(|_| leading_path(&mut random, json)));
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let answers = Oracle::shared().gjson(&document, &paths).unwrap();
        for (path, gjson) in paths.into_iter().zip(answers) {
            let place = || format!("`{path}` in {}", document.escape_ascii());
            match path::find(json, path) {
                Err(_) => refused += 1,
                Ok(None) => {
                    missing += 1;
                    assert!(!gjson.exists, "{}: GJSON finds {}", place(), gjson.text.escape_ascii());
                }
                Ok(Some(ours)) => {
                    found += 1;
                    assert!(gjson.exists, "{}: GJSON finds nothing", place());
                    let ours = ours.text();
                    assert_eq!(ours.escape_ascii().to_string(), gjson.text.escape_ascii().to_string(), "{}", place());
                }
            }
        }
    }
    assert!(found > 5000 && missing > 20_000 && refused > 2000, "{found} found, {missing} missing, {refused} refused");
}
