//! A plugin, driven by us and by the real age: a shell script that "encrypts" by writing the file key down.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use bulla_keys::age::{AgeIdentities, AgeKey};
use bulla_keys::{UnwrapError, WrapError, WrappedKey};
use bulla_testkit::peers;
use bulla_testkit::process::Program;
use tempfile::TempDir;

use crate::person::Person;
use crate::{age_source, secret};

/// `bullatest` as recipient and identity, with five bytes in each.
const RECIPIENT: &str = "age1bullatest1qqqsyqcy8eqdpv";
const IDENTITY: &str = "AGE-PLUGIN-BULLATEST-1QQQSYQCYJ74KY2";
const MISSING: &str = "age1bullanone1qqqsyqcyx6ld6c";

/// The state machines of c2sp.org/age-plugin. Asks for a PIN before it gives a key back: `1234`.
const PLUGIN: &str = r#"#!/bin/sh
stanza() {
    read -r line || exit 1
    set -- ${line#-> }
    type=$1; shift; args=$*; body=
    while read -r line; do body=$body$line; [ ${#line} -lt 64 ] && break; done
}
key=
case $1 in
--age-plugin=recipient-v1)
    while stanza; [ "$type" != done ]; do
        [ "$type" = wrap-file-key ] && key=$body
    done
    printf -- '-> recipient-stanza 0 bullatest written-down\n%s\n' "$key"; stanza
    ;;
--age-plugin=identity-v1)
    while stanza; [ "$type" != done ]; do
        set -- $args
        [ "$type" = recipient-stanza ] && [ "$2" = bullatest ] && key=$body
    done
    if [ -n "$key" ]; then
        printf -- '-> msg\nVG91Y2ggaXQ\n'; stanza
        printf -- '-> request-secret\nUElOPw\n'; stanza
        if [ "$body" = MTIzNA ]; then printf -- '-> file-key 0\n%s\n' "$key"; stanza
        else printf -- '-> error identity 0\nd3JvbmcgUElO\n'; stanza
        fi
    fi
    ;;
esac
printf -- '-> done\n\n'
"#;

/// Runs `test` again in a process that finds the plugin in `PATH`, which cannot be changed for this one. True in that process.
fn with_plugin(test: &str) -> bool {
    if std::env::var_os("BULLA_PLUGIN_TEST").is_some() {
        return true;
    }
    let folder = TempDir::new().unwrap();
    install(folder.path());
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let again = Program::new(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let again = again.env("PATH", path).env("BULLA_PLUGIN_TEST", "1").run().unwrap().success();
    assert!(again.stdout_text().contains("1 passed"), "{}", again.stdout_text());
    false
}

fn install(folder: &Path) {
    let file = folder.join("age-plugin-bullatest");
    fs::write(&file, PLUGIN).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

fn key(recipient: &str, person: &Arc<Person>) -> AgeKey {
    let identities = AgeIdentities::new(vec![age_source("keys.txt", IDENTITY)], Arc::clone(person) as _);
    AgeKey::new(recipient, Arc::new(identities))
}

#[test]
fn a_plugin_wraps_asks_and_unwraps() {
    if !with_plugin("plugin::a_plugin_wraps_asks_and_unwraps") {
        return;
    }
    let person = Arc::new(Person::answering(Some("1234")));
    let key_ = key(RECIPIENT, &person);
    let wrapped = key_.wrap_blocking(&secret([6; 32])).unwrap();
    assert_eq!(person.asked(), [""; 0]);
    assert_eq!(key_.unwrap_blocking(&wrapped).unwrap().unwrap().expose_secret(), [6; 32]);
    assert_eq!(person.asked(), ["message bullatest: Touch it", "plugin bullatest: PIN? (1)"]);

    let wrong = key(RECIPIENT, &Arc::new(Person::answering(Some("0000"))));
    match wrong.unwrap_blocking(&wrapped) {
        Err(UnwrapError::NoIdentity(tried)) => {
            assert_eq!(tried[0].place, "keys.txt");
            assert!(
                tried[0].outcome.contains("age-plugin-bullatest") && tried[0].outcome.contains("wrong PIN"),
                "{tried:?}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn age_with_the_same_plugin_opens_ours_and_we_open_its() {
    bulla_testkit::needs_peers!();
    if !with_plugin("plugin::age_with_the_same_plugin_opens_ours_and_we_open_its") {
        return;
    }
    let key = key(RECIPIENT, &Arc::new(Person::answering(Some("1234"))));
    let encrypted = Program::new(peers::age()).args(["-a", "-r", RECIPIENT]).stdin([6; 32]).run();
    let wrapped = WrappedKey::new(encrypted.unwrap().success().stdout_text());
    assert_eq!(key.unwrap_blocking(&wrapped).unwrap().unwrap().expose_secret(), [6; 32]);

    // Age would ask for the PIN on a terminal, so it is only shown a file of ours: the stanza is the plugin's.
    let ours = key.wrap_blocking(&secret([6; 32])).unwrap();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("identity");
    fs::write(&file, IDENTITY).unwrap();
    let refused = Program::new(peers::age()).arg("-d").arg("-i").arg(&file).stdin(ours.as_str()).run().unwrap();
    assert_ne!(refused.code(), Some(0));
    let said = refused.stderr_text();
    assert!(said.contains("Touch it"), "age reached the plugin with our file: {said}");
}

#[test]
fn a_missing_plugin_is_named() {
    let person = Arc::new(Person::default());
    match key(MISSING, &person).wrap_blocking(&secret([6; 32])) {
        Err(WrapError::Plugin { program, reason }) => {
            assert_eq!((program.as_str(), reason.as_str()), ("age-plugin-bullanone", "not found in PATH"));
        }
        other => panic!("{other:?}"),
    }
}
