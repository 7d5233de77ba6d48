//! Sealing one Secret, beside kubeseal.

use std::path::Path;
use std::process::Command;

use bulla_testkit::peers;

use crate::measure::{compare, run};
use crate::table::{Row, Target};
use crate::{inputs, say};

pub(crate) fn measure(bulla: &Path, folder: &Path, rows: &mut Vec<Row>) {
    const REPETITIONS: usize = 21;
    say("sealing a Secret");
    let (secret, certificate, key) = (folder.join("secret.yaml"), folder.join("cert.pem"), folder.join("key.pem"));
    inputs::secret(&secret).expect("the input can be written");
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:4096",
            "-sha256",
            "-nodes",
            "-days",
            "3650",
            "-subj",
            "/CN=bench",
            "-keyout",
        ])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));

    let (by_kubeseal, by_bulla) = (folder.join("by-kubeseal.yaml"), folder.join("by-bulla.yaml"));
    let command = |program: &Path| {
        let mut command = Command::new(program);
        command.current_dir(folder).env_clear().env("HOME", folder);
        command
    };
    let (theirs, ours) = compare(
        REPETITIONS,
        || {
            let mut command = command(&peers::kubeseal());
            command.args(["--format", "yaml", "--cert"]).arg(&certificate);
            run(command, Some(&secret), &by_kubeseal)
        },
        || {
            let mut command = command(bulla);
            command.args(["seal", "--cert"]).arg(&certificate).arg(&secret);
            run(command, None, &by_bulla)
        },
    );
    rows.push(Row {
        work: "seal a Secret of three items".to_owned(),
        peer: "kubeseal",
        repetitions: REPETITIONS,
        theirs,
        ours,
        target: Target { times_faster: 15.0, ..Target::default() },
    });

    // kubeseal opens what bulla sealed.
    let mut command = command(&peers::kubeseal());
    command.arg("--recovery-unseal").arg("--recovery-private-key").arg(&key);
    let opened = folder.join("opened.json");
    run(command, Some(&by_bulla), &opened);
    let opened = std::fs::read_to_string(opened).expect("kubeseal wrote the Secret");
    assert!(opened.contains("\"password\""), "kubeseal did not open what bulla sealed");
}
