//! Who reads the files without calling `sops`: controllers of a cluster, which look for marks first, and programs built with SOPS' library.

use bulla_testkit::needs_peers;
use bulla_testkit::oracle::{Format, Oracle, WholeFile};

use crate::fixture::{Keys, Place};

use super::places;

/// Files as users have them: name, format, content.
const FILES: [(&str, Format, &str); 5] = [
    (
        "secret.yaml",
        Format::Yaml,
        "# about\napiVersion: v1\nkind: Secret\nmetadata:\n    name: db\nstringData:\n    password: hunter2 # kept\n    empty: \"\"\n",
    ),
    ("secret.json", Format::Json, "{\n\t\"a\": {\n\t\t\"b\": \"c\"\n\t},\n\t\"n\": 7\n}\n"),
    ("secret.env", Format::Dotenv, "# about\nA=b\nEMPTY=\n"),
    ("secret.ini", Format::Ini, "[db]\npassword = hunter2\nuser     = admin\n"),
    ("secret.txt", Format::Binary, "text\nof two lines"),
];

fn identity() -> String {
    std::fs::read_to_string(Keys::shared().path("alice.key")).unwrap()
}

/// The files, encrypted by both.
fn encrypted() -> Vec<(&'static str, Place, &'static str, Format, &'static str)> {
    let mut files = Vec::new();
    for (file, format, plain) in FILES {
        for (name, place) in places() {
            place.write(file, plain);
            place.does(&format!("sops encrypt -i {file}"));
            files.push((name, place, file, format, plain));
        }
    }
    files
}

/// Flux looks for these before it decrypts what it finds in a Secret. Source: kustomize-controller, `internal/decryptor`.
#[test]
fn the_marks_that_flux_looks_for_are_there() {
    needs_peers!();
    for (name, place, file, format, _) in encrypted() {
        let mark = match format {
            Format::Json | Format::Binary => "\"mac\": \"ENC[",
            Format::Yaml => "mac: ENC[",
            Format::Dotenv => "sops_mac=ENC[",
            Format::Ini => "[sops]",
        };
        let content = place.read(file);
        assert_eq!(content.matches(mark).count(), 1, "{name}: {file}:\n{content}");
    }
}

/// Flux decrypts a manifest after kustomize made JSON with sorted keys of it, and overlooks the MAC; and so do the controllers that have
/// a SopsSecret.
#[test]
fn a_manifest_is_decrypted_in_a_cluster() {
    needs_peers!();
    let plain = "apiVersion: v1\nkind: Secret\nmetadata:\n    name: db\n    labels: {b: c}\nstringData:\n    password: hunter2\n    a: \"\"\n    number: \"7\"\ndata:\n    k: dg==\n";
    for (name, place) in places() {
        place.write("secret.yaml", plain);
        place.does("sops encrypt -i --encrypted-regex '^(data|stringData)$' secret.yaml");
        let content = place.read("secret.yaml");
        let identities = identity();
        let file = WholeFile { identities: &identities, ..WholeFile::new(content.as_bytes(), Format::Yaml) };
        let resource = String::from_utf8(Oracle::shared().sops_resource(&file).unwrap()).unwrap();
        let resource: String = resource.split_whitespace().collect();
        let expected = r#"{"apiVersion":"v1","data":{"k":"dg=="},"kind":"Secret","metadata":{"labels":{"b":"c"},"name":"db"},"stringData":{"a":"","number":"7","password":"hunter2"}}"#;
        assert_eq!(resource, expected, "{name}");
    }
}

/// KSOPS, the provider for Terraform, sops-nix and others are built with SOPS' library, which checks the MAC.
#[test]
fn the_library_of_sops_reads_the_files() {
    needs_peers!();
    let identities = identity();
    let mut outputs = Vec::new();
    for (name, place, file, format, plain) in encrypted() {
        let content = place.read(file);
        let request = WholeFile { identities: &identities, ..WholeFile::new(content.as_bytes(), format) };
        let output = Oracle::shared()
            .sops_library(&request)
            .unwrap_or_else(|error| panic!("{name}: {file}: {error}\n{content}"));
        let output = String::from_utf8(output).unwrap();
        if format != Format::Yaml {
            assert_eq!(output, plain, "{name}: {file}");
        }
        outputs.push((file, output));
    }
    for pair in outputs.chunks(2) {
        assert_eq!(pair[0], pair[1], "what sops wrote, and what bulla wrote");
    }
}
