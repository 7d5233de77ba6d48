//! Values that are found nowhere else are put into files, and every command is run over them, also where it fails. None of the values is
//! in what a command says, nor in a file that it leaves behind. (`check` has a test of its own; so has the controller.)

use std::fs;
use std::path::Path;

use bulla_crypto::encoding;

use crate::fixture::Place;

const PLANTED: [&str; 5] = [
    "hunter2-planted-4f81c3",
    "pl4nted: with {yaml} \"quotes\" 77ac",
    "-----planted-pem-9d02e1-----",
    "planted-in-a-comment-5b6e",
    "9007199254740993",
];

fn manifest() -> String {
    format!(
        "# {3}\napiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: shop\nstringData:\n  password: {0}\n  odd: {1:?}\n  block: |\n    {2}\n    second line\n  number: \"{4}\"\n",
        PLANTED[0], PLANTED[1], PLANTED[2], PLANTED[3], PLANTED[4]
    )
}

/// Everything below a folder, but for what lies in plain text on purpose.
fn files_below(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
        }
    }
}

fn shows_nothing(what: &str, text: &[u8]) {
    for planted in PLANTED {
        let encoded = encoding::encode(planted.as_bytes());
        // In base64, whatever stands before it: without what the ends have in common with their neighbours.
        let middle = &encoded[..encoded.len() - 4];
        for trace in [planted, middle, planted.get(..10).unwrap()] {
            let found = text.windows(trace.len()).any(|window| window == trace.as_bytes());
            assert!(!found, "{what} shows `{trace}`:\n{}", String::from_utf8_lossy(text));
        }
    }
}

#[test]
fn no_command_says_a_value_whether_it_works_or_fails() {
    let place = Place::new();
    place.write("plain.yaml", manifest());
    place.write(".sops.yaml", "creation_rules:\n- encrypted_regex: ^(data|stringData)$\n  age: $ALICE\n");
    place.does("sed -i \"s/\\$ALICE/$ALICE/\" .sops.yaml");
    // The comment at the top is not among what is encrypted: it may be shown by nothing but `decrypt`.
    let commands = [
        // Standard error of what works; standard output is data, but for those that tell.
        "bulla encrypt plain.yaml > encrypted.yaml",
        "cp encrypted.yaml other.yaml; bulla decrypt encrypted.yaml > /dev/null",
        "printf '%s' 'hunter2-planted-4f81c3' | bulla set other.yaml '[\"stringData\"][\"new\"]'",
        "bulla unset other.yaml '[\"stringData\"][\"new\"]'",
        "printf '%s' 'hunter2-planted-4f81c3' | bulla set --json other.yaml stringData.new",
        "bulla set --generate 16 other.yaml stringData.made; bulla unset --json other.yaml stringData.made",
        "bulla verify --json encrypted.yaml; bulla verify --json --mac other.yaml; bulla status --json . ; bulla status .",
        "bulla exec encrypted.yaml -- true; bulla exec --as files encrypted.yaml -- true; bulla exec --as document encrypted.yaml -- true",
        "EDITOR='sed -i s/password:/pass:/' bulla edit other.yaml; EDITOR='sed -i s/pass:/password:/' bulla edit other.yaml",
        "EDITOR='sh -c \"echo x >> $0; kill -9 $$\"' bulla edit other.yaml; EDITOR='sed -i s/kind/[/' bulla edit other.yaml",
        "bulla rotate --plan --all other.yaml",
        "bulla rotate --json --all other.yaml",
        "bulla rotate --check --age $BOB other.yaml",
        "bulla rotate --age $BOB other.yaml",
        "bulla seal --cert $KEYS/sealing.pem plain.yaml > sealed.yaml",
        "bulla reseal --plan --cert $KEYS/other-sealing.pem --private-key $KEYS/sealing.key sealed.yaml",
        "bulla reseal --cert $KEYS/other-sealing.pem --private-key $KEYS/sealing.key sealed.yaml",
        "bulla unseal --private-key $KEYS/other-sealing.key sealed.yaml > /dev/null",
        // What fails.
        "bulla decrypt other.yaml",
        "bulla set other.yaml '[\"stringData\"][\"password\"]' < plain.yaml",
        "bulla unseal --private-key $KEYS/sealing.key sealed.yaml",
        "bulla set other.yaml stringData.password hunter2-planted-4f81c3",
        "bulla get encrypted.yaml stringData.nothing; bulla get --json encrypted.yaml data",
        "bulla exec --name x encrypted.yaml -- true; bulla exec --at stringData.nothing encrypted.yaml -- true",
        "sed 's/password: ENC.*/password: hunter2-planted-4f81c3/' encrypted.yaml > leftover.yaml; bulla verify --json --mac leftover.yaml; rm leftover.yaml",
        "sed 's/\\(password: ENC.AES256_GCM,data:\\)./\\1_/' encrypted.yaml > damaged.yaml; bulla decrypt damaged.yaml",
        "sed 's/,type:str/,type:int/' encrypted.yaml > retyped.yaml; bulla decrypt retyped.yaml",
        "sed 's/mac: ENC/mac: XNC/' encrypted.yaml > macless.yaml; bulla decrypt macless.yaml",
        "sed 's/name: db/name: other/' sealed.yaml | bulla unseal --private-key $KEYS/other-sealing.key",
        "(cat plain.yaml; echo ' - ] {'; cat plain.yaml) > broken.yaml; bulla encrypt broken.yaml",
        "bulla seal --cert $KEYS/sealing.pem broken.yaml",
        "(cat plain.yaml; cat plain.yaml) > twice.yaml; bulla encrypt twice.yaml",
        "bulla encrypt --encrypted-regex '(' plain.yaml",
        "bulla encrypt --age hunter2-planted-4f81c3 plain.yaml",
        "bulla encrypt plain.yaml > /dev/full",
        "bulla seal --cert $KEYS/expired.pem plain.yaml > /dev/null",
        "bulla seal --cert plain.yaml plain.yaml",
        "bulla encrypt --age $ALICE --config plain.yaml plain.yaml",
        "SOPS_AGE_KEY_FILE=plain.yaml bulla decrypt encrypted.yaml",
        "SOPS_AGE_KEY=\"$(cat plain.yaml)\" SOPS_AGE_KEY_FILE= bulla decrypt encrypted.yaml",
        "bulla decrypt plain.yaml",
        "tail -n 8 plain.yaml | bulla decrypt --input-type json",
        "cp plain.yaml plain.json; bulla encrypt plain.json",
    ];
    let mut ran = 0;
    for command in commands {
        // The recipient that is a value is what the user typed: it is shown back to them.
        let finished = place.run(command);
        if !command.contains("--age hunter2") {
            shows_nothing(command, finished.stdout_text().as_bytes());
            shows_nothing(command, finished.stderr_text().as_bytes());
        }
        ran += 1;
    }
    assert_eq!(ran, commands.len());

    // What is left: the files that were there in plain text, and none besides.
    let mut left = Vec::new();
    files_below(place.root(), &mut left);
    let on_purpose = ["plain.yaml", "broken.yaml", "twice.yaml", "plain.json"];
    let mut looked_at = 0;
    for (name, content) in left {
        if on_purpose.iter().any(|plain| name.ends_with(&format!("/{plain}"))) {
            continue;
        }
        let text = String::from_utf8_lossy(&content).replace(PLANTED[3], "");
        shows_nothing(&name, text.replace("planted-in", "").as_bytes());
        looked_at += 1;
    }
    assert!(looked_at >= 7, "{looked_at}");
}
