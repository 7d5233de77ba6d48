//! Tables that Go made: what it reads as base64, as PEM, and as an encrypted value.

use std::fs;

use bulla_crypto::{EncryptedValue, encoding, pem};

/// The lines of a table: the input, and the outcome as Go has it.
fn table(name: &str, at_least: usize) -> Vec<(String, String)> {
    let path = bulla_testkit::workspace().join("tests/vectors/crypto").join(name);
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let cases: Vec<_> = lines
        .map(|line| {
            let (input, outcome) = line.split_once('\t').expect("input, tab, outcome");
            (serde_json::from_str(input).expect("a JSON string"), outcome.to_owned())
        })
        .collect();
    assert!(cases.len() >= at_least, "cases went missing: {} left in {name}", cases.len());
    cases
}

/// The bytes that a string stands for, one a character.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).expect("Latin-1")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn base64_is_read_as_go_reads_it() {
    for (input, expected) in table("base64.txt", 1000) {
        let outcome = match encoding::decode_go(&latin1(&input)) {
            Ok(bytes) => format!("ok {}", hex(&bytes)),
            Err(error) => format!("error {}", error.offset),
        };
        assert_eq!(outcome, expected, "{input:?}");
    }
}

#[test]
fn pem_is_read_as_go_reads_it() {
    for (input, expected) in table("pem.txt", 900) {
        let input_bytes = latin1(&input);
        let found: Vec<String> = pem::blocks(&input_bytes)
            .map(|block| {
                let label = String::from_utf8(block.label.to_vec()).unwrap();
                format!("{label:?} {} {}", block.has_headers, hex(block.content.expose_secret()))
            })
            .collect();
        assert_eq!(found.join("; "), expected, "{input:?}");
    }
}

#[test]
fn an_encrypted_value_is_found_as_the_regular_expression_of_sops_finds_it() {
    let cases = table("grammar.txt", 700);
    let found = cases.iter().filter(|(_, expected)| expected != "null").count();
    assert!(found >= 150, "{found} cases match");
    for (input, expected) in cases {
        let parts =
            EncryptedValue::parse(&input).map(|value| [value.data, value.iv, value.tag, value.type_name, value.rest]);
        let expected: Option<[String; 5]> = serde_json::from_str(&expected).unwrap();
        assert_eq!(parts.map(|parts| parts.map(str::to_owned)), expected, "{input:?}");
    }
}
