//! `bulla check --fix`: afterwards the check is clean, and who holds the key has the original back.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use bulla_testkit::{needs_peers, peers};

use crate::fixture::{Keys, Place};

const SECRET: &str = "apiVersion: v1\nkind: Secret # comment\nmetadata:\n    name: db\n    namespace: shop\nstringData:\n    password: 'hunter2'\n";

/// Alice opens everything below `secrets`; of other Secrets, what lies in their two fields; nothing is for `plain`.
fn rules() -> String {
    let alice = &Keys::shared().alice;
    format!(
        "creation_rules:\n  - path_regex: ^plain/never\\.yaml$\n    age: {alice}\n  - path_regex: values.*\\.yaml$\n    age: {alice}\n  \
         - path_regex: ^(secrets|more)/\n    encrypted_regex: ^(data|stringData|users)$\n    age: {alice}\n"
    )
}

/// A repository with these rules.
fn repository() -> Place {
    let place = Place::new();
    place.does("git init -q .");
    place.write(".sops.yaml", rules());
    place
}

fn stderr(place: &Place, line: &str, code: i32) -> String {
    let finished = place.run(line);
    assert_eq!(finished.code(), Some(code), "{}{}", finished.stdout_text(), finished.stderr_text());
    finished.stderr_text()
}

/// Files that encryption mends, one for each rule that it mends.
fn mendable() -> Vec<(&'static str, String)> {
    vec![
        ("secrets/ks001.yaml", format!("# head\n---\nkind: ConfigMap\ndata: {{a: b}}\n---\n{SECRET}")),
        ("secrets/ks001.json", "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Secret\",\n\t\"data\": {\"password\": \"aHVudGVyMg==\"}\n}\n".to_owned()),
        ("secrets/ks002.yaml", format!("kind: ConfigMap\ndata:\n  secret.yaml: |\n{}", indented(SECRET))),
        ("chart/values.yaml", "auth:\n  password: hunter2 # this one\n  existingSecret: ''\n".to_owned()),
        ("secrets/kubeconfig.yaml", "apiVersion: v1\nkind: Config\nclusters: [{name: a}]\nusers:\n- name: a\n  user:\n    token: hunter2hunter2\n".to_owned()),
    ]
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "    {line}");
        all
    })
}

#[test]
fn what_a_rule_is_for_is_encrypted_and_the_check_is_clean() {
    let place = repository();
    let files = mendable();
    for (name, text) in &files {
        place.write(name, text);
    }
    place.write("plain/deployment.yaml", "kind: Deployment\n");
    let before = fs::metadata(place.file("plain/deployment.yaml")).unwrap();
    assert_eq!(place.run("bulla check --quiet").code(), Some(1));

    let plan = stderr(&place, "bulla check --fix --plan", 1);
    for (name, text) in &files {
        assert!(plan.contains(&format!("{name}: to be encrypted\n")), "{plan}");
        assert_eq!(&place.read(name), text);
    }
    let told = stderr(&place, "bulla check --fix", 0);
    assert!(told.ends_with("7 files checked, 5 findings fixed, 0 left\n"), "{told}");
    assert_eq!(stderr(&place, "bulla check", 0), "7 files checked, 0 findings\n");
    for (name, text) in &files {
        assert!(place.read(name).contains("ENC["), "{name}");
        assert!(!place.read(name).contains("hunter2"), "{name}");
        assert_eq!(&place.does(&format!("bulla decrypt {name}")), text, "{name}");
    }
    // Nothing else was touched.
    let after = fs::metadata(place.file("plain/deployment.yaml")).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    assert_eq!(place.run("git ls-files --others | wc -l").stdout_text().trim(), "7");
}

#[test]
fn sops_opens_what_was_fixed() {
    needs_peers!();
    let place = repository().with_program(&peers::sops());
    for (name, text) in mendable() {
        place.write(name, &text);
        place.write(&format!("original/{name}"), text);
    }
    place.does("bulla check --fix secrets chart");
    for (name, _) in mendable() {
        // Laid out by the same program, it is what `bulla encrypt` makes.
        let opened = place.does(&format!("sops --disable-version-check decrypt {name}"));
        assert!(opened.contains("hunter2") || opened.contains("aHVudGVyMg=="), "{opened}");
        let selector = if name.starts_with("secrets") { "--encrypted-regex '^(data|stringData|users)$'" } else { "" };
        place.does(&format!("bulla encrypt --age $ALICE {selector} --in-place original/{name}"));
        assert_eq!(opened, place.does(&format!("sops --disable-version-check decrypt original/{name}")), "{name}");
    }
}

#[test]
fn what_cannot_be_fixed_stays_as_it_is_and_is_said() {
    let place = repository();
    let identity = fs::read_to_string(Keys::shared().path("alice.key")).unwrap();
    let identity = identity.lines().last().unwrap();
    for (name, text, said) in [
        ("plain/secret.yaml", SECRET.to_owned(), "not fixed: no rule in `.sops.yaml` is for it\nhint: write one"),
        (
            "secrets/patch/kustomization.yaml",
            "secretGenerator:\n- name: a\n  literals: [password=hunter2]\n".to_owned(),
            "KS003 is left: kustomize reads this file as it is",
        ),
        (
            "secrets/both.yaml",
            format!("{SECRET}---\npatches:\n- target: {{kind: Secret}}\n  patch: |\n    - {{op: add, path: /data/a, value: aHVudGVyMg==}}\n"),
            "secrets/both.yaml: not fixed: kustomize reads this file as it is",
        ),
        (
            "chart/templates/secret.yaml",
            "kind: Secret\ndata:\n  a: {{ \"hunter2\" | b64enc }}\n".to_owned(),
            "KS005 is left: a template cannot be encrypted",
        ),
        ("secrets/.env", "PASSWORD=hunter2\n".to_owned(), "not fixed: only files named `.yaml`, `.yml` and `.json`"),
        (
            "secrets/identity.yaml",
            format!("kind: Secret\nstringData:\n  a: hunter2\n  age.agekey: {identity}\n"),
            "secrets/identity.yaml: not fixed: a key that opens what is encrypted is to be replaced",
        ),
        (
            "secrets/annotation.yaml",
            "kind: Secret\nmetadata:\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: |\n      {\"kind\":\"Secret\",\"data\":{\"a\":\"aHVudGVyMg==\"}}\ndata: {a: aHVudGVyMg==}\n".to_owned(),
            "not fixed: the rule in `.sops.yaml` for it leaves KS002 readable at ",
        ),
        ("secrets/twice.yaml", "kind: Secret\nstringData:\n  a: hunter2\n  a: hunter3\n".to_owned(), "secrets/twice.yaml: line 4, column 3"),
        ("secrets/dec.yaml.enc.yaml", "kind: Secret\nsops: {mac: x}\nstringData: {a: hunter2}\n".to_owned(), "the file is encrypted already"),
    ] {
        place.write(name, &text);
        let told = stderr(&place, &format!("bulla check --fix {name}"), 1);
        assert!(told.contains(said), "{name}: {told}");
        assert!(!told.contains("hunter") && !told.contains("aHVudGVy"), "{told}");
        assert_eq!(place.read(name), text, "{name}");
        fs::remove_file(place.file(name)).unwrap();
    }
}

#[test]
fn one_file_that_stays_does_not_keep_others_from_being_fixed() {
    let place = repository();
    place.write("secrets/a.yaml", SECRET);
    place.write("plain/b.yaml", SECRET);
    place.write("secrets/k/kustomization.yaml", "secretGenerator:\n- name: a\n  files: [x=../a.yaml]\n");
    let told = stderr(&place, "bulla check --fix", 1);
    // With the file that it names, the generator's finding is gone, too.
    assert!(told.ends_with("4 files checked, 2 findings fixed, 1 left\n"), "{told}");
    assert_eq!(place.does("bulla decrypt secrets/a.yaml"), SECRET);
    assert_eq!(place.read("plain/b.yaml"), SECRET);
}

#[test]
fn of_two_that_fix_a_file_one_is_late_and_nothing_is_encrypted_twice() {
    let place = repository();
    let files: Vec<String> = (0..20).map(|number| format!("secrets/{number}.yaml")).collect();
    for file in &files {
        place.write(file, SECRET);
    }
    let codes: Vec<Option<i32>> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..3).map(|_| scope.spawn(|| place.run("bulla check --fix").code())).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(codes.contains(&Some(0)), "{codes:?}");
    for file in &files {
        assert_eq!(place.does(&format!("bulla decrypt {file}")), SECRET);
    }
    assert_eq!(place.run("bulla check").code(), Some(0));
}

#[test]
fn a_file_that_cannot_be_written_is_left_and_said() {
    let place = repository();
    place.write("secrets/a.yaml", SECRET);
    fs::set_permissions(place.file("secrets"), fs::Permissions::from_mode(0o555)).unwrap();
    let line = if fs::metadata("/proc/self").unwrap().uid() == 0 {
        // Root may write everywhere but where nothing can be written.
        "mount -t tmpfs -o size=16k tmpfs secrets && cp original secrets/a.yaml && head -c 12k /dev/zero > secrets/rest; bulla check --fix secrets/a.yaml"
    } else {
        "bulla check --fix secrets/a.yaml"
    };
    place.write("original", SECRET);
    let finished = place.run(&format!("unshare --mount sh -c '{line}; echo code $?; sha256sum < secrets/a.yaml' 2>&1"));
    let text = finished.stdout_text();
    if text.contains("unshare") || text.contains("mount:") {
        return;
    }
    assert!(text.contains("code 1\n") && text.contains("error: secrets/a.yaml: "), "{text}");
    assert!(text.contains(&place.does("sha256sum < original")), "{text}");
}

// Sealing

/// A stream in which two of four documents are Secrets.
const STREAM: &str = "# licence\n---\n# above\napiVersion: v1\nkind: Secret # inline\nmetadata:\n  name: db\n  namespace: shop\n  labels: {app: shop}\nstringData:\n  password: hunter2\n  # within\n---\nkind:   ConfigMap   # as it is\ndata: {'a': \"b\"}\n---\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: api, namespace: shop}\ndata: {token: aHVudGVyMg==}\n...\n# end\n";

#[test]
fn secrets_of_a_stream_are_sealed_and_the_rest_keeps_its_bytes() {
    let place = repository();
    place.write("plain/stream.yaml", STREAM);
    let told = stderr(&place, "bulla check --fix --cert $KEYS/sealing.pem", 0);
    assert!(told.starts_with("plain/stream.yaml: sealed: `db`, `api`\n"), "{told}");
    let sealed = place.read("plain/stream.yaml");
    assert!(sealed.starts_with(
        "# licence\n---\n# above\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: db\n"
    ));
    assert!(
        sealed.contains(
            "\n---\nkind:   ConfigMap   # as it is\ndata: {'a': \"b\"}\n---\n---\napiVersion: bitnami.com/v1alpha1\n"
        ),
        "{sealed}"
    );
    assert!(
        sealed.ends_with("\n...\n# end\n") && !sealed.contains("hunter2") && !sealed.contains("aHVudGVyMg=="),
        "{sealed}"
    );
    let opened = place.does(
        "awk 'BEGIN { RS = \"---\\n\" } /SealedSecret/ { print \"---\\n\" $0 }' plain/stream.yaml | sed '/^[.#]/d' > sealed.yaml; \
         bulla unseal --private-key $KEYS/sealing.key sealed.yaml; rm sealed.yaml",
    );
    assert!(
        opened.contains("password: aHVudGVyMg==")
            && opened.contains("token: aHVudGVyMg==")
            && opened.contains("app: shop"),
        "{opened}"
    );
    assert_eq!(stderr(&place, "bulla check", 0), "2 files checked, 0 findings\n");
}

#[test]
fn the_real_kubeseal_opens_what_was_sealed_in_place() {
    needs_peers!();
    let place = repository().with_program(&peers::kubeseal());
    let json = |name: &str| {
        format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {{\"name\": \"{name}\", \"namespace\": \"shop\"}}, \"stringData\": {{\"k\": \"hunter2\"}}}}"
        )
    };
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n# first\n- apiVersion: v1\n  kind: Secret\n  metadata:\n    name: db\n    namespace: shop\n  type: kubernetes.io/basic-auth\n  stringData:\n    username: shop\n    password: |\n      hunter2\n      two lines\n# second\n- {}\n# third\n",
        json("flow")
    );
    for (file, text) in [
        ("one.yaml", SECRET.to_owned()),
        ("list.yaml", list),
        (
            "list.json",
            format!(
                "{{\n  \"kind\": \"List\",\n  \"items\": [\n    {},\n    {}\n  ]\n}}\n",
                json("db"),
                json("other").replace("\"stringData\": {", "\"stringData\": {\n        ")
            ),
        ),
        ("flow.yml", json("db")),
        ("windows.yaml", SECRET.replace('\n', "\r\n")),
        ("end.yaml", SECRET.trim_end().to_owned()),
    ] {
        place.write(&format!("original/{file}"), &text);
        place.write(file, &text);
        place.does(&format!("bulla check --fix --cert $KEYS/sealing.pem {file}"));
        assert!(!place.read(file).contains("hunter2"));
        if file.starts_with("windows") {
            assert!(!place.read(file).replace("\r\n", "").contains('\n'));
        }
        let opened = recovered(&place, file);
        let original = place.does(&format!("bulla seal --cert $KEYS/sealing.pem --format json original/{file} > o.json; bulla unseal --private-key $KEYS/sealing.key --format json o.json"));
        assert_eq!(opened, original, "{file}");
    }
}

/// What kubeseal makes of every SealedSecret of a file, in the form of ours.
fn recovered(place: &Place, file: &str) -> String {
    let own = place.does(&format!("bulla unseal --private-key $KEYS/sealing.key --format json {file}"));
    let count = own.matches("\"kind\": \"Secret\"").count();
    assert!(count > 0, "{own}");
    // kubeseal takes one object at a time.
    if count == 1 {
        let theirs = place
            .does(&format!("kubeseal --recovery-unseal --recovery-private-key $KEYS/sealing.key -o yaml < {file}"));
        assert!(theirs.contains(": aHVudGVyMg==\n") && theirs.contains("namespace: shop\n"), "{file}: {theirs}");
    }
    own
}

#[test]
fn what_cannot_be_sealed_stays_as_it_is_and_is_said() {
    let place = repository();
    for (name, text, said) in [
        ("namespace.yaml", SECRET.replace("    namespace: shop\n", ""), "secret must declare a namespace\nhint: write `metadata.namespace`"),
        ("name.yaml", SECRET.replace("    name: db\n", ""), "missing metadata.name"),
        ("placeholder.yaml", format!("{SECRET}    user: ${{USER}}\n"), "not fixed: `stringData.user` is filled in elsewhere"),
        ("values.yaml", "auth: {password: hunter2}\n".to_owned(), "values.yaml: to be encrypted"),
        ("base64.yaml", SECRET.replace("stringData", "data"), "`data.password` is not base64"),
        ("anchor.yaml", "kind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: a, namespace: &n shop}\n  stringData: {a: hunter2}\n- {kind: ConfigMap, metadata: {namespace: *n}}\n".to_owned(), "used elsewhere in the file, by an alias"),
        ("alias.yaml", "kind: List\na: &s {apiVersion: v1, kind: Secret, metadata: {name: a, namespace: b}, stringData: {a: hunter2}}\nitems: [*s]\n".to_owned(), "not fixed: "),
    ] {
        place.write(name, &text);
        let plan = if said.contains("to be") { "--plan" } else { "" };
        let told = stderr(&place, &format!("bulla check --fix {plan} --cert $KEYS/sealing.pem {name}"), 1);
        assert!(told.contains(said), "{name}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
        assert_eq!(place.read(name), text, "{name}");
        fs::remove_file(place.file(name)).unwrap();
    }
    place.write("a.yaml", SECRET);
    let told = stderr(&place, "bulla check --fix --cert $KEYS/expired.pem a.yaml", 1);
    assert!(told.contains("expired certificate"), "{told}");
    let told = stderr(&place, "bulla check --fix --cert nowhere.pem a.yaml", 1);
    assert!(told.contains("error: nowhere.pem: cannot be read"), "{told}");
    assert_eq!(place.read("a.yaml"), SECRET);
}

// What is staged

#[test]
fn what_is_staged_is_fixed_in_the_file_and_in_the_index() {
    let place = repository();
    place.write("secrets/a.yaml", SECRET);
    place.write("secrets/run\n 'x'.yaml", SECRET);
    place.does("chmod +x secrets/run*; git add .; mkdir sub");
    // From anywhere below.
    place.does("cd sub && bulla check --staged --fix");
    assert_eq!(place.does("git diff --name-only; git diff --cached --name-only | wc -l").trim(), "3");
    assert!(place.does("git ls-files --stage secrets | grep ^100755").contains("run"));
    place.does("git commit -qm encrypted");
    for name in ["secrets/a.yaml", "secrets/run\n 'x'.yaml"] {
        assert!(place.read(name).contains("ENC["));
    }
    assert_eq!(place.does("git show HEAD:secrets/a.yaml | bulla decrypt -"), SECRET);
    assert_eq!(place.does("git grep -c hunter2 $(git rev-list --all) -- secrets || true"), "");
}

#[test]
fn changes_that_are_not_staged_are_never_lost() {
    let place = repository();
    place.write("secrets/a.yaml", SECRET);
    place.write("secrets/b.yaml", SECRET);
    place.write("secrets/gone.yaml", SECRET);
    place.does("git add . && rm secrets/gone.yaml");
    let newer = format!("{SECRET}    more: hunter3\n");
    place.write("secrets/b.yaml", &newer);
    let staged = place.does("git ls-files --stage secrets/b.yaml secrets/gone.yaml");
    let told = stderr(&place, "bulla check --staged --fix", 1);
    assert!(
        told.contains(
            "error: secrets/b.yaml: not fixed: what is staged is not what is in the file\nhint: stage all of it"
        ),
        "{told}"
    );
    assert!(told.contains("error: secrets/gone.yaml: not fixed: it is not in the work tree"), "{told}");
    assert_eq!(place.read("secrets/b.yaml"), newer);
    assert_eq!(place.does("git ls-files --stage secrets/b.yaml secrets/gone.yaml"), staged);
    assert!(place.read("secrets/a.yaml").contains("ENC["));
    // Staged as a whole, it is fixed.
    place.does("git rm -q --cached secrets/gone.yaml && git add . && bulla check --staged --fix");
    assert_eq!(place.does("git show :secrets/b.yaml | bulla decrypt -"), newer);

    let plan = repository();
    plan.write("secrets/a.yaml", SECRET);
    plan.does("git add .");
    let objects = plan.does("git count-objects; git ls-files --stage");
    assert!(stderr(&plan, "bulla check --staged --fix --plan", 1).contains("secrets/a.yaml: to be encrypted"));
    assert_eq!(plan.does("git count-objects; git ls-files --stage"), objects);
    assert_eq!(plan.read("secrets/a.yaml"), SECRET);
}

#[test]
fn filters_of_git_are_applied() {
    let place = repository();
    let windows = SECRET.replace('\n', "\r\n");
    place.write(".gitattributes", "*.yaml text eol=crlf\n");
    place.write("secrets/a.yaml", &windows);
    place.does("git add . && bulla check --staged --fix");
    assert_eq!(place.does("bulla decrypt secrets/a.yaml"), windows);
    assert!(!place.does("git show :secrets/a.yaml").contains('\r'));
    assert_eq!(place.does("git show :secrets/a.yaml | bulla decrypt -"), SECRET);
    assert_eq!(place.does("git diff --stat"), "");
}
