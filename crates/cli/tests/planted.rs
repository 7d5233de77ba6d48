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

/// Runs every command line; none of them may say a value, but for those whose business that is.
fn run_all(place: &Place, commands: &[&str]) {
    for command in commands {
        let finished = place.run(command);
        shows_nothing(command, finished.stdout_text().as_bytes());
        shows_nothing(command, finished.stderr_text().as_bytes());
    }
}

#[test]
fn no_call_under_the_name_sops_says_or_leaves_a_value() {
    let place = Place::new();
    // Not in the place itself: all that lies there is looked through.
    let beside = tempfile::tempdir().unwrap();
    let link = beside.path().join("sops");
    std::os::unix::fs::symlink(crate::fixture::bulla(), &link).unwrap();
    let place = place.with_program(&link);
    place.write("plain.yaml", manifest());
    place.write("plain.json", serde_json::json!({"a": PLANTED[0], "b": [PLANTED[1], PLANTED[2]]}).to_string());
    place.does("echo \"creation_rules: [{age: $ALICE, encrypted_regex: '^(data|stringData|a|b)$'}]\" > .sops.yaml");
    run_all(
        &place,
        &[
            "sops encrypt plain.yaml > encrypted.yaml; cp encrypted.yaml other.yaml; sops -e plain.json > encrypted.json",
            "sops -d encrypted.yaml > /dev/null; sops decrypt --output-type json encrypted.yaml > /dev/null",
            "sops decrypt --extract '[\"stringData\"]' encrypted.yaml > /dev/null; sops filestatus encrypted.yaml",
            "sops set other.yaml '[\"stringData\"][\"new\"]' '\"hunter2-planted-4f81c3\"'",
            "printf '\"hunter2-planted-4f81c3\"' | sops set --value-stdin other.yaml '[\"stringData\"][\"new\"]'",
            "sops unset other.yaml '[\"stringData\"][\"new\"]'; sops unset other.yaml '[\"stringData\"][\"new\"]'",
            "sops --set '[\"stringData\"][\"new\"] \"hunter2-planted-4f81c3\"' other.yaml",
            "EDITOR='sed -i s/password:/pass:/' sops edit other.yaml; EDITOR='sed -i s/pass:/password:/' sops other.yaml",
            "EDITOR=true sops other.yaml; EDITOR=false sops other.yaml; EDITOR=missing sops other.yaml",
            // Nothing to be read afterwards, and an editor that is killed, or kills.
            "EDITOR='sed -i s/kind/[/' sops edit other.yaml < /dev/null",
            "EDITOR='sh -c \"kill -9 $$\"' sops edit other.yaml < /dev/null",
            "ulimit -c unlimited; EDITOR='sh -c \"kill -TERM $PPID\"' sops edit other.yaml < /dev/null",
            "ulimit -c unlimited; EDITOR='sh -c \"kill -ABRT $PPID; sleep 1\"' sops edit other.yaml < /dev/null",
            "sops exec-env encrypted.json true; sops exec-env encrypted.yaml 'echo no'; sops exec-env encrypted.json 'exit 3'",
            "sops exec-file encrypted.yaml 'test -n {}'; sops exec-file --no-fifo encrypted.yaml 'grep -q planted {}'",
            "sops exec-file --no-fifo encrypted.yaml 'kill -TERM $PPID; sleep 1'; sops exec-file --no-fifo encrypted.yaml 'kill -9 $$'",
            "sops exec-file --no-fifo --filename x.yaml encrypted.yaml 'test -f {}'; sops exec-file --background encrypted.yaml true",
            "sops rotate -i --add-age $BOB other.yaml; sops -r -i --rm-age $BOB other.yaml; sops rotate other.yaml > /dev/null",
            "sops updatekeys -y other.yaml; sops groups add -f other.yaml --age $BOB > /dev/null; sops groups delete -f other.yaml 0 > /dev/null",
            "sops publish -y encrypted.yaml; sops completion bash > /dev/null; sops --version --disable-version-check",
            // What fails.
            "SOPS_AGE_KEY_FILE=$KEYS/bob.key sops -d encrypted.yaml; sops -d plain.yaml; sops -e encrypted.yaml",
            "sops set other.yaml '[\"stringData\"][\"password\"]' hunter2-planted-4f81c3-no-json",
            "sops set other.yaml 'stringData' '\"x\"'; sops set other.yaml '[\"stringData\"][\"password\"][\"x\"]' '\"y\"'",
            "sops decrypt --extract '[\"stringData\"][\"password\"][\"x\"]' encrypted.yaml; sops decrypt --extract '[]' encrypted.yaml",
            "sed 's/\\(password: ENC.AES256_GCM,data:\\)./\\1_/' encrypted.yaml > damaged.yaml; sops -d damaged.yaml",
            "sed 's/,type:str/,type:int/' encrypted.yaml > retyped.yaml; sops -d retyped.yaml",
            "sed 's/mac: ENC/mac: XNC/' encrypted.yaml > macless.yaml; sops -d macless.yaml",
            "sed 's/kind: Secret/kind: Other/' encrypted.yaml > changed.yaml; sops -d changed.yaml; sops set changed.yaml '[\"a\"]' 1",
            "(cat plain.yaml; echo ' - ] {'; cat plain.yaml) > broken.yaml; sops encrypt broken.yaml; sops -d broken.yaml",
            "(cat plain.yaml; cat plain.yaml) > twice.yaml; sops encrypt twice.yaml",
            "sops encrypt --encrypted-regex '(' plain.yaml; sops encrypt plain.yaml > /dev/full; sops -d encrypted.yaml > /dev/full",
            "sops encrypt --config plain.yaml plain.yaml; SOPS_AGE_KEY=\"$(cat plain.yaml)\" SOPS_AGE_KEY_FILE= sops -d encrypted.yaml",
            "sops encrypt --input-type json plain.yaml; sops -d --input-type json encrypted.yaml; sops -d --output-type dotenv encrypted.yaml",
            "sops exec-env encrypted.yaml true; sops exec-env plain.yaml true; sops exec-file plain.yaml true",
        ],
    );

    // What is left: the files that were there in plain text, and none besides.
    let mut left = Vec::new();
    files_below(place.root(), &mut left);
    files_below(Path::new("/dev/shm"), &mut left);
    let on_purpose = ["plain.yaml", "plain.json", "broken.yaml", "twice.yaml"];
    let left = left.iter().filter(|(name, _)| !on_purpose.iter().any(|plain| name.ends_with(&format!("/{plain}"))));
    let mut looked_at = 0;
    for (name, content) in left {
        let content = String::from_utf8_lossy(content).replace(PLANTED[3], "").replace("planted-in", "");
        shows_nothing(name, content.as_bytes());
        looked_at += 1;
    }
    assert!(looked_at >= 8, "{looked_at}");
    // Of what an editor or a program was given, not even the folders.
    let names: Vec<String> = place.names().into_iter().filter(|name| name.starts_with("core")).collect();
    assert!(names.is_empty(), "{names:?}");
    let left_over =
        fs::read_dir(place.root().join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert!(left_over.is_empty(), "{left_over:?}");
}
