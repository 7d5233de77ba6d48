//! No output of `bulla check` holds a value, its base64, or the first or last six characters of either: in no format, with `--fix` or
//! without, of what is fixed, left, broken or cannot be read.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use bulla_crypto::encoding::encode;

use crate::fixture::{Keys, Place};

/// Values with a mark of their own, made as they are asked for.
#[derive(Default)]
struct Values(Vec<String>);

impl Values {
    /// A value that looks random, begins and ends with characters that no other has, and stands in no message.
    fn plain(&mut self) -> String {
        let number = self.0.len();
        let value = format!("q{number:02}Zx9vWk4Lm7Tj2Rb8Np{number:02}Qy");
        self.0.push(value.clone());
        value
    }

    fn base64(&mut self) -> String {
        encode(self.plain().as_bytes())
    }

    /// A private key of this kind that opens nothing.
    fn pem(&mut self, kind: &str) -> String {
        let lines: Vec<String> = (0..4).map(|_| format!("{}{}", self.plain(), "Uv3Hs6Gf".repeat(4))).collect();
        format!("-----BEGIN {kind}PRIVATE KEY-----\n{}\n-----END {kind}PRIVATE KEY-----\n", lines.join("\n"))
    }

    /// All that must not be seen.
    fn needles(&self) -> Vec<String> {
        let mut needles = Vec::new();
        for value in &self.0 {
            let shifted = encode(format!("x{value}").as_bytes());
            for text in [value.clone(), encode(value.as_bytes()), shifted[4..].trim_end_matches('=').to_owned()] {
                needles.push(text[..6].to_owned());
                needles.push(text[text.len() - 6..].to_owned());
                needles.push(text);
            }
        }
        needles
    }
}

fn indent(text: &str, spaces: usize) -> String {
    text.lines().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{:spaces$}{line}", "");
        all
    })
}

/// A repository with a value in every place that a rule knows, and in many that none does.
fn plant(values: &mut Values) -> Place {
    let place = Place::new();
    place.does("git init -q .");
    let alice = &Keys::shared().alice;
    place.write(
        ".sops.yaml",
        format!("creation_rules:\n- path_regex: ^fixed/\n  encrypted_regex: ^(data|stringData)$\n  age: {alice}\n- path_regex: ^late/\n  encrypted_regex: ^nothing$\n  age: {alice}\n"),
    );
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\n";
    let login = encode(format!("app:{}", values.plain()).as_bytes());
    let docker = format!(
        "{{\"auths\":{{\"registry.example.org\":{{\"auth\":\"{login}\",\"password\":\"{}\"}}}}}}",
        values.plain()
    );
    // What a rule is for, what is sealed, and what neither mends, are the same kinds of files.
    for folder in ["fixed", "sealed", "late"] {
        let write = |name: &str, text: String| place.write(&format!("{folder}/{name}"), text);
        write("data.yaml", format!("{head}data:\n  a: {}\n  b: \"{}\"\n", values.base64(), values.base64()));
        write(
            "string.yaml",
            format!(
                "{head}stringData:\n  a: {} # {}\n  # {}\n  b: '{}'\n",
                values.plain(),
                values.plain(),
                values.plain(),
                values.plain()
            ),
        );
        write(
            "block.yaml",
            format!(
                "{head}stringData:\n  a: |\n{}  b: >-\n{}",
                indent(&format!("user=x\npassword={}", values.plain()), 4),
                indent(&values.plain(), 4)
            ),
        );
        write(
            "docker.yaml",
            format!(
                "{head}type: kubernetes.io/dockerconfigjson\ndata:\n  .dockerconfigjson: {}\n---\n{head}stringData:\n  .dockerconfigjson: '{docker}'\n",
                encode(docker.as_bytes())
            ),
        );
        write("url.yaml", format!("{head}stringData: {{url: 'postgres://app:{}@db/x'}}\n", values.plain()));
        write(
            "key.yaml",
            format!(
                "{head}stringData:\n  tls.key: |\n{}data:\n  other.key: {}\n",
                indent(&values.pem(""), 4),
                encode(values.pem("RSA ").as_bytes())
            ),
        );
        write("twice.yaml", format!("{head}data: {{a: {}}}\n", encode(values.base64().as_bytes())));
        write(
            "list.json",
            format!(
                "{{\"kind\": \"List\", \"items\": [{{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {{\"name\": \"a\", \"namespace\": \"b\"}}, \"stringData\": {{\"a\": \"{}\"}}}}]}}\n",
                values.plain()
            ),
        );
        write(
            "map.yaml",
            format!(
                "kind: ConfigMap\ndata:\n  x: |\n{}",
                indent(&format!("{head}stringData:\n  a: {}", values.plain()), 4)
            ),
        );
        write("applied.yaml", format!("{head}data: {{a: {}}}\n", values.base64()).replace("namespace: shop", &format!("namespace: shop, annotations: {{kubectl.kubernetes.io/last-applied-configuration: '{{\"kind\":\"Secret\",\"data\":{{\"a\":\"{}\"}}}}'}}", values.base64())));
        write(
            "values.yaml",
            format!(
                "auth: {{password: {}}}\nurl: https://u:{}@example.org\ntext: |\n  TOKEN={}\n",
                values.plain(),
                values.plain(),
                values.plain()
            ),
        );
        write(
            "kustomization.yaml",
            format!(
                "secretGenerator:\n- name: a\n  literals: [password={}]\npatches:\n- target: {{kind: Secret}}\n  patch: |\n    - {{op: add, path: /data/a, value: {}}}\n",
                values.plain(),
                values.base64()
            ),
        );
        write(
            "templates/secret.yaml",
            format!(
                "kind: Secret\nstringData:\n  a: {{{{ \"{}\" | quote }}}}\n  b: {}\n",
                values.plain(),
                values.plain()
            ),
        );
        write(
            "sealed.yaml",
            format!(
                "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {{name: a}}\nspec:\n  encryptedData: {{a: {}}}\n  template: {{data: {{password: {}}}}}\n",
                values.plain(),
                values.plain()
            ),
        );
        write(
            "kubeconfig",
            format!(
                "kind: Config\nclusters: [{{name: a}}]\nusers: [{{name: a, user: {{token: {}, client-key-data: {}}}}}]\n",
                values.plain(),
                encode(values.pem("").as_bytes())
            ),
        );
        write(".env", format!("API_TOKEN={}\nURL=redis://:{}@r\n", values.plain(), values.plain()));
        write(".npmrc", format!("//registry.example.org/:_authToken={}\n", values.plain()));
        write(".netrc", format!("machine h login l password {}\n", values.plain()));
        write(".pgpass", format!("h:1:d:u:{}\n", values.plain()));
        write("config.json", docker.clone());
        write("id_rsa", values.pem("RSA "));
        write(
            "broken-sops.yaml",
            format!(
                "a: {}\nb: ENC[AES256_GCM,data:{},iv:x]\nsops: {{mac: '{}', lastmodified: '{}', version: 3.9.0, age: []}}\n",
                values.plain(),
                values.plain(),
                values.plain(),
                values.plain()
            ),
        );
        write("half-sops.yaml", format!("a: {}\n---\nb: c\nsops: {{mac: x, version: 3.9.0}}\n", values.plain()));
        write("x.dec.yaml", format!("password: {}\n", values.plain()));
        write("x.enc.yaml", "password: ENC[AES256_GCM,data:YQ==,iv:x]\n".to_owned());
        // What cannot be read as what it says it is.
        for (number, text) in [
            format!("{head}stringData:\n  a: [{}\n", values.plain()),
            format!("{head}stringData:\n  a: *{}\n", values.plain()),
            format!("{head}stringData:\n  a: \"{}\n", values.plain()),
            format!("{head}stringData:\n  a: {}\n a: {}\n", values.plain(), values.plain()),
            format!("{head}stringData:\n\ta: {}\n", values.plain()),
            format!("{head}stringData:\n  a: !<{} {}\n", values.plain(), values.plain()),
            format!("{head}stringData:\n  a: {}\n  a: {}\n", values.plain(), values.plain()),
            format!("%{}\n---\n{head}", values.plain()),
            format!("{head}stringData: {}{}\n", "[".repeat(20_000), values.plain()),
            format!(
                "{head}a: {}b{}\nstringData: {{a: {}}}\n",
                "{a: ".repeat(12_000),
                "}".repeat(12_000),
                values.plain()
            ),
        ]
        .into_iter()
        .enumerate()
        {
            write(&format!("broken-{number}.yaml"), text);
        }
        write(
            "broken.json",
            format!("{{\"kind\": \"Secret\", \"data\": {{\"a\": \"{}\" \"{}\"}}}}", values.plain(), values.plain()),
        );
        fs::write(
            place.file(&format!("{folder}/bytes.yaml")),
            [format!("{head}stringData:\n  a: {}", values.plain()).as_bytes(), b"\xff\xfe"].concat(),
        )
        .unwrap();
        if folder == "fixed" {
            let large = format!("{head}stringData:\n  a: {}\n# {}\n", values.plain(), "x".repeat(17 << 20));
            place.write(&format!("{folder}/large.yaml"), large);
        }
        place.write(&format!("{folder}/unreadable.yaml"), format!("{head}stringData: {{a: {}}}\n", values.plain()));
        fs::set_permissions(place.file(&format!("{folder}/unreadable.yaml")), fs::Permissions::from_mode(0o000))
            .unwrap();
    }
    place
}

/// Runs a line as somebody who cannot read everything.
fn run(place: &Place, line: &str) -> String {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let line =
        if is_root { format!("setpriv --bounding-set -all --inh-caps -all sh -c '{line}'") } else { line.to_owned() };
    let finished = place.run(&line);
    assert!(matches!(finished.code(), Some(0..=2)), "{line}: {}", finished.stderr_text());
    finished.stdout_text() + &finished.stderr_text()
}

#[test]
fn no_output_holds_a_value_whatever_is_asked_and_whatever_happens() {
    let mut values = Values::default();
    let place = plant(&mut values);
    let needles = values.needles();
    assert!(needles.len() > 900);
    let mut length = 0;
    let mut see = |name: &str, text: &str| {
        length += text.len();
        for needle in &needles {
            assert!(
                !text.contains(needle.as_str()),
                "{name}: a part of a value is in the output: {:?}",
                text.lines().find(|line| line.contains(needle.as_str()))
            );
        }
    };
    let all = place.run("cat fixed/[a-k]*.yaml fixed/.e* late/[a-k]*.yaml").stdout_text();
    assert!(
        needles.iter().filter(|needle| all.contains(needle.as_str())).count() > 150,
        "the values are not where they should be"
    );
    for format in ["text", "json", "sarif", "github"] {
        for arguments in ["", "--fix --plan --cert $KEYS/sealing.pem"] {
            see(arguments, &run(&place, &format!("bulla check --strict --format {format} {arguments}")));
        }
    }
    // Files that are named are read however large they are; and options that lead to files with values.
    for line in [
        "--fix --plan . fixed/large.yaml",
        "--no-ignore --fix --plan",
        "--fix --config fixed/broken-1.yaml",
        "--fix --config fixed/values.yaml",
        "--fix --plan --cert fixed/id_rsa",
        "--fix --cert fixed/key.yaml",
    ] {
        see(line, &run(&place, &format!("bulla check {line}")));
    }
    place.run("git add --ignore-errors . 2>/dev/null; git add sealed fixed late 2>/dev/null");
    for format in ["text", "json", "sarif", "github"] {
        see("staged", &run(&place, &format!("bulla check --format {format} --staged")));
        see(
            "staged, plan",
            &run(&place, &format!("bulla check --format {format} --staged --fix --plan --cert $KEYS/sealing.pem")),
        );
    }
    // What is fixed is not found any more, so that this comes last, and once.
    let told = run(&place, "bulla check --staged --fix fixed");
    assert!(told.contains("fixed/data.yaml: encrypted") && told.contains("fixed/block.yaml: encrypted"), "{told}");
    see("staged, fixed", &told);
    let told = run(&place, "bulla check --fix --format json --cert $KEYS/sealing.pem");
    assert!(told.contains("sealed/data.yaml: sealed: `db`"), "{told}");
    see("fixed", &told);
    assert!(length > 250_000, "{length} bytes of output");
    let left: Vec<_> = fs::read_dir(place.root().join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "temporary files: {left:?}");
    let beside = place.does("git ls-files --others --exclude-standard | grep -v unreadable || true");
    assert_eq!(beside, "", "files that were not there before");
}
