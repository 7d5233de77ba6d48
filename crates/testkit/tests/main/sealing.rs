use bulla_testkit::needs_peers;
use bulla_testkit::oracle::Refusal;
use bulla_testkit::process::Program;
use bulla_testkit::sealing::SealingOracle;

#[test]
fn what_the_oracle_seals_it_opens_with_the_same_key_and_label_only() {
    needs_peers!();
    let folder = tempfile::tempdir().unwrap();
    let make = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out certificate.pem -subj /CN=test -days 1";
    let _made = Program::new("openssl").args(make.split(' ')).current_dir(folder.path()).run().unwrap().success();
    let pem = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let (certificate, key) = (pem("certificate.pem"), pem("key.pem"));

    let oracle = SealingOracle::shared();
    for plaintext in [b"".as_slice(), b"text", b"\0\xFF"] {
        let sealed = oracle.seal(&certificate, plaintext, b"namespace/name").unwrap();
        assert_eq!(sealed[..2], [1, 0], "the length of what RSA made, in two bytes");
        assert_eq!(oracle.open(&key, &sealed, b"namespace/name").unwrap(), plaintext);
        let refused = oracle.open(&key, &sealed, b"namespace/other").unwrap_err();
        assert_eq!(refused, Refusal::Error("no key could decrypt secret".to_owned()));
    }
}
