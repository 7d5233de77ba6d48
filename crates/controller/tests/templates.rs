//! `spec.template.data` beside the controller of Sealed Secrets: the same Secret, or neither makes one; and what templates may not do.

use std::time::{Duration, Instant};

use bulla_sealed::Scope;
use bulla_testkit::control_plane::wait_for;
use bulla_testkit::needs_peers;
use serde_json::{Value, json};

use crate::fixture::{Fixture, Key, PATIENCE, condition, seal_manifest, status_of};
use crate::peers::Upstream;

/// Each becomes a key of one Secret.
const TEMPLATES: &[&str] = &[
    "plain text, }} and { too",
    "{{ .password }}",
    "postgres://{{ .user }}:{{ .password | urlquery }}@{{ .host }}/db",
    "{{ .missing }}|{{ index . \"missing\" }}|{{ .missing | default \"d\" }}",
    "{{ .user | upper }} {{ .password | title }} {{ \"ABC\" | lower }}",
    "{{ .password | b64enc }} {{ \"aHVudGVyMg==\" | b64dec }}",
    "{{ .password | quote }} {{ .user | squote }} {{ .json | quote }}",
    "a  {{- \" b \" -}}  c\n{{- /* nothing */ -}}\nd",
    "{{ range $key, $value := . }}{{ if not (hasPrefix \"case\" $key) }}{{ $key }}={{ len $value }};{{ end }}{{ end }}",
    "{{ toJson (dict \"user\" .user \"list\" (list 1 2 \"x\") \"html\" \"<&>\") }}",
    "{{ (fromJson .json).a }} {{ index (fromJson .json).b 1 }} {{ (.json | fromJson).c.d }}",
    "{{ printf \"%q %x %05d %v %s\" .user .user 42 true .password }}",
    "{{ if eq .user \"app\" }}yes{{ else if .empty }}no{{ else }}never{{ end }}",
    "{{ with .user }}{{ . }}{{ else }}none{{ end }} {{ with .empty }}x{{ else }}none{{ end }}",
    "{{ define \"part\" }}[{{ . }}]{{ end }}{{ template \"part\" .user }}{{ template \"part\" .password }}",
    "{{ block \"inner\" .user }}<{{ . }}>{{ end }}",
    "{{ $x := .user }}{{ range $i, $e := list \"a\" \"b\" }}{{ $x = printf \"%s%d%s\" $x $i $e }}{{ end }}{{ $x }}",
    "{{ range splitList \",\" \"a,b,c\" }}{{ if eq . \"b\" }}{{ continue }}{{ end }}{{ . }}{{ end }}",
    "{{ range until 5 }}{{ if gt . 2 }}{{ break }}{{ end }}{{ . }}{{ end }} {{ range 3 }}{{ . }}{{ end }}",
    "{{ join \"-\" (list .user .password) }} {{ \"a-b\" | replace \"-\" \"_\" }} {{ trunc 3 .password }}",
    "{{ regexReplaceAll \"(h)(u)\" .password \"${2}-$1\" }} {{ regexFind \"[0-9]+\" .password }}",
    "{{ regexReplaceAll \"(?P<first>\\\\w)\\\\w*\" \"two words\" \"$first.\" }} {{ regexFindAll \"\\\\b[a-z]\" \"ab cd\" -1 }}",
    "{{ .password | sha256sum }} {{ .user | adler32sum }}",
    "{{ .lines | indent 2 }}|{{ .lines | nindent 4 }}|{{ .lines | trim }}",
    "{{ .bytes | b64enc }}",
    "{{ .bytes }}",
    "{{ .user | html }} {{ \"<a href='x'>\" | html }} {{ \"it's \\\"x\\\"\" | js }}",
    "{{ add 1 2 3 }} {{ sub 5 2 }} {{ mul 2 3 }} {{ div 7 2 }} {{ mod 7 2 }} {{ max 1 5 2 }} {{ len .password | add1 }}",
    "{{ ternary \"a\" \"b\" (eq .user \"app\") }} {{ coalesce .empty .missing .user }} {{ empty .empty }}",
    "{{ (dict \"a\" 1 \"b\" 2) | keys | sortAlpha | join \",\" }} {{ get (dict \"k\" .user) \"k\" }}",
    "{{ .host }}",
    "{{ substr 1 3 .password }} {{ .user | repeat 3 }} {{ contains \"app\" .user }} {{ .user | nospace | trimPrefix \"a\" }}",
    "{{ and .user .empty }}|{{ or .empty .user }}|{{ not .empty }}|{{ ne .user \"x\" }}|{{ lt 1 2 }}",
    "{{ \"1.2.3\" | splitList \".\" | last | int }} {{ atoi \"7\" }} {{ \"3.5\" | float64 }} {{ toString 1 | kindOf }}",
    "{{ len . | gt 1000 }} {{ hasKey (dict \"a\" 1) \"a\" }} {{ list 3 1 2 | sortAlpha }} {{ uniq (list 1 1 2) }}",
    "{{`{{ .password }}`}} {{ \"{{\" }}",
    "é{{ \"ü\" | upper }}{{ printf \"%c\" 128273 }}{{ \"日本\" | len }}",
];

/// Neither controller makes a Secret of these.
const BROKEN: &[&str] = &[
    "{{ .password",
    "{{ nosuch }}",
    "{{ if }}x{{ end }}",
    "{{ if .password }}",
    "{{ end }}",
    "{{ .password.x }}",
    "{{ index .password \"a\" }}",
    "{{ fail .password }}",
    "{{ env \"HOME\" }}",
    "{{ getHostByName \"localhost\" }}",
    "{{ template \"other\" . }}",
    "{{ len 3 }}",
    "{{ mustFromJson .password }}",
    "{{ call .password }}",
    "{{ required \"no\" .missing }}",
    "{{ $undeclared }}",
];

fn object(name: &str, fixture: &Fixture, key: &Key, templates: &Value) -> Value {
    let mut secret = fixture.secret(
        name,
        &json!({
            "password": "hunter2", "user": "app", "empty": "", "both": "sealed", "lines": " one\ntwo ",
            "json": r#"{"a": "x", "b": [1, 2], "c": {"d": true}}"#,
        }),
    );
    secret["data"] = json!({"bytes": "AP+AwyhAYQo="});
    // Upstream writes a Secret that has no type at each pass.
    secret["type"] = json!("Opaque");
    let mut sealed = seal_manifest(key, &secret, Some(Scope::ClusterWide));
    sealed["spec"]["template"]["data"] = templates.clone();
    sealed
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_become_the_same_secret_as_in_the_controller_of_sealed_secrets() {
    needs_peers!();
    let theirs = Fixture::new("templates-upstream");
    let ours = Fixture::new("templates");
    let key = Key::new("key-1", jiff::Timestamp::now());
    for fixture in [&theirs, &ours] {
        fixture.keys.apply(&key.manifest().to_string());
    }
    let upstream = Upstream::start_with(&theirs, &["--kubeclient-qps=-1"]);
    let running = ours.start().await;

    let cases = TEMPLATES.iter().enumerate();
    let mut templates: serde_json::Map<String, Value> =
        cases.map(|(index, template)| (format!("case-{index:02}"), json!(template))).collect();
    templates.insert("host".to_owned(), json!("db.{{ .user }}"));
    templates.insert("both".to_owned(), json!("rendered, and not taken: {{ .user }}"));
    let templates = Value::Object(templates);
    // Sealed once: both open the same ciphertexts.
    let sealed = object("db", &ours, &key, &templates);
    ours.apply(&sealed);
    let mut same = sealed;
    same["metadata"]["namespace"] = json!(theirs.namespace.name());
    theirs.apply(&same);
    let reported = ours.reported("db");
    assert_eq!(status_of(&reported, "Synced"), "True", "{}", condition(&reported, "Synced")["message"]);
    let made = |fixture: &Fixture| wait_for("the Secret", PATIENCE, || fixture.get("secret", "db"))["data"].clone();
    let (by_us, by_them) = (made(&ours), made(&theirs));
    for (index, template) in TEMPLATES.iter().enumerate() {
        let name = format!("case-{index:02}");
        assert_eq!(by_us[&name], by_them[&name], "{template}");
    }
    assert_eq!(by_us, by_them);
    assert_eq!(by_us["both"], "c2VhbGVk");

    for (index, template) in BROKEN.iter().enumerate() {
        let name = format!("broken-{index:02}");
        for fixture in [&ours, &theirs] {
            fixture.apply(&object(&name, fixture, &key, &json!({"bad": template, "good": "{{ .user }}"})));
        }
    }
    for (index, template) in BROKEN.iter().enumerate() {
        let name = format!("broken-{index:02}");
        let message = ours.refused(&name);
        assert!(message.starts_with("cannot render the template (bad): line 1, column "), "{template}: {message}");
        assert!(!message.contains("hunter2"), "{template}: {message}");
        let event = ours.wait_for_event(&name, "ErrUnsealFailed");
        assert!(event.starts_with("Failed to unseal: cannot render the template (bad)"), "{event}");
        assert!(!event.contains("hunter2"), "{event}");
        wait_for(&format!("upstream to refuse `{template}`"), PATIENCE, || {
            theirs.get("sealedsecret", &name).filter(|sealed| status_of(sealed, "Synced") == "False")
        });
        for fixture in [&ours, &theirs] {
            assert!(fixture.get("secret", &name).is_none(), "{template}");
        }
    }
    running.stop().await;
    upstream.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rendered_secret_is_left_alone_until_its_object_changes() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("rendered");
    let running = fixture.start().await;
    fixture.apply(&object("db", &fixture, &key, &json!({"url": "https://{{ .user }}:{{ .password }}@shop"})));
    // What would be another one at each pass is refused, and by name.
    for (name, template) in [("number", "{{ randAlphaNum 8 }}"), ("time", "{{ now }}"), ("id", "{{ uuidv4 }}")] {
        fixture.apply(&object(name, &fixture, &key, &json!({"url": template})));
        let message = fixture.refused(name);
        assert!(message.contains("is not available: it"), "{message}");
    }
    fixture.synced("db");
    let made = fixture.get("secret", "db").unwrap();
    let before = running.counts();
    running.stop().await;

    // A restart, and a key more: those that were refused are tried with it, the others are as they should be.
    let running = fixture.start().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let restarted = running.counts();
    let idle = (restarted.reconciliations, restarted.private_key_operations, restarted.status_writes);
    assert_eq!(idle, (0, 0, 0), "{before:?}");
    let other = Key::new("key-2", jiff::Timestamp::now());
    fixture.keys.apply(&other.manifest().to_string());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = running.counts();
    assert_eq!((after.secret_writes, after.events), (0, 0), "{before:?}");
    assert_eq!(fixture.get("secret", "db").unwrap(), made);

    // Another template is another Secret.
    fixture.apply(&object("db", &fixture, &key, &json!({"url": "http://{{ .user }}"})));
    fixture.synced("db");
    wait_for("the new Secret", PATIENCE, || {
        (fixture.value("db", "url").as_deref() == Some("http://app")).then_some(())
    });
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_template_ends_and_stops_no_other() {
    needs_peers!();
    let (fixture, key) = Fixture::with_key("hostile");
    let running = fixture.start().await;
    let started = Instant::now();
    for (index, template) in [
        "{{ range 1000000000000 }}{{ end }}",
        "{{ $x := .user }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}{{ $x }}",
        "{{ template \"bad\" . }}",
        "{{ range 1000000 }}{{ printf \"%1000d\" 1 }}{{ end }}",
        "{{ regexMatch \"(?:a?){1000}a{1000}b\" (repeat 1000000 \"a\") }}{{ range 1000000 }}{{ repeat 100000 \"a\" }}{{ end }}",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("bomb-{index}");
        let many: serde_json::Map<String, Value> =
            (0..50).map(|index| (format!("bad-{index:02}"), json!(template))).chain([("bad".to_owned(), json!(template))]).collect();
        fixture.apply(&object(&name, &fixture, &key, &Value::Object(many)));
    }
    fixture.apply(&object("good", &fixture, &key, &json!({"url": "https://{{ .user }}"})));
    fixture.synced("good");
    for index in 0..5 {
        let message = fixture.refused(&format!("bomb-{index}"));
        assert!(message.starts_with("cannot render the template ("), "{message}");
    }
    assert!(started.elapsed() < Duration::from_mins(1), "it took {:?}", started.elapsed());
    let before = running.counts();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(running.counts(), before, "nothing is tried again");
    running.stop().await;
}
