//! `spec.template.data`: texts that are Go templates, in which the opened items are at hand under their keys.
//!
//! ```text
//! opened items ──────────────────┬─▶ data ─▶ template of each key ─▶ value of that key
//! the texts themselves, as they ─┘                                   (an item of the same key stays what it is)
//! are written; an item wins
//! ```
//! So `{{ .password }}` is what was sealed under `password`, and `{{ .host }}` the text `host`, not rendered. The functions are
//! those of sprig without the environment and the network, as upstream has them, and without those whose result is another one at
//! each call: a Secret is the same as long as its SealedSecret is (`docs/decisions/0009-templates-are-deterministic.md`).
//!
//! Source: sealed-secrets 0.38.4 `sealedsecret_expansion.go`. Beyond upstream: the templates of an object share `LIMITS`, and
//! errors name key, line and column, and show no data. Invariant: what is rendered lies in memory that wipes itself.

use std::collections::BTreeMap;

use bulla_crypto::SecretBytes;
use bulla_template::{Limits, Options, Template, TemplateError, Value};
use bulla_wipe::Wiping;

/// What all templates of one object may take together: a Secret has a mebibyte at most, and a hundred thousand steps make one.
const LIMITS: Limits = Limits { template: 1 << 20, output: 4 << 20, steps: 1_000_000, memory: 16 << 20, depth: 100 };

/// Renders `texts` with the opened `items`. The result has the keys that are not in `items`.
///
/// # Errors
/// For each key whose template cannot be read or executed, why not.
pub(crate) fn render(
    texts: &BTreeMap<String, String>,
    items: &BTreeMap<String, SecretBytes>,
) -> Result<BTreeMap<String, SecretBytes>, Vec<(String, TemplateError)>> {
    if texts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let data = data(texts, items);
    let mut left = LIMITS;
    let mut rendered = BTreeMap::new();
    let mut errors = Vec::new();
    for (key, text) in texts {
        // As upstream, also where an item wins: whether an object is whole does not depend on what is sealed in it.
        match read(key, text).and_then(|template| template.execute_within(&data, &mut left)) {
            Ok(value) if !items.contains_key(key) => drop(rendered.insert(key.clone(), SecretBytes::from(value))),
            Ok(_) => {}
            Err(error) => errors.push((key.clone(), error)),
        }
    }
    if errors.is_empty() { Ok(rendered) } else { Err(errors) }
}

/// The templates that cannot be read, whatever they would be given.
pub(crate) fn unreadable(texts: &BTreeMap<String, String>) -> impl Iterator<Item = (String, TemplateError)> {
    texts.iter().filter_map(|(key, text)| Some((key.clone(), read(key, text).err()?)))
}

fn read(key: &str, text: &str) -> Result<Template, TemplateError> {
    Template::parse(key, text.as_bytes(), Options { limits: LIMITS, ..Options::sealed_secrets() })
}

fn data(texts: &BTreeMap<String, String>, items: &BTreeMap<String, SecretBytes>) -> Value {
    let mut data: BTreeMap<String, Wiping<Vec<u8>>> =
        texts.iter().map(|(key, text)| (key.clone(), Wiping::new(text.clone().into_bytes()))).collect();
    for (key, value) in items {
        data.insert(key.clone(), Wiping::new(value.expose_secret().to_vec()));
    }
    Value::Strings(data)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use bulla_template::{Limit, Reason, Stage};

    use super::*;

    fn texts(texts: &[(&str, &str)]) -> BTreeMap<String, String> {
        texts.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
    }

    fn items(items: &[(&str, &[u8])]) -> BTreeMap<String, SecretBytes> {
        items.iter().map(|(key, value)| ((*key).to_owned(), SecretBytes::new(value.to_vec()))).collect()
    }

    fn rendered(of: &[(&str, &str)], with: &[(&str, &[u8])]) -> Result<Vec<(String, Vec<u8>)>, Vec<String>> {
        match render(&texts(of), &items(with)) {
            Ok(all) => Ok(all.into_iter().map(|(key, value)| (key, value.expose_secret().to_vec())).collect()),
            Err(errors) => Err(errors.into_iter().map(|(key, error)| format!("{key}: {error}")).collect()),
        }
    }

    #[test]
    fn items_and_the_texts_themselves_are_at_hand_and_an_item_wins() {
        let all = rendered(
            &[
                ("both", "never {{ .user }}"),
                ("host", "db.{{ .user }}"),
                ("self", "{{ .self | len }}"),
                ("url", "postgres://{{ .user }}:{{ .both }}@{{ .host }}/{{ .nothing }}{{ index . \"nothing\" }}"),
                ("bytes", "{{ .binary }}"),
            ],
            &[("user", b"app"), ("both", b"sealed"), ("binary", b"\xFF\x00")],
        );
        let expected = [
            ("bytes", &b"\xFF\x00"[..]),
            ("host", b"db.app"),
            ("self", b"17"),
            ("url", b"postgres://app:sealed@db.{{ .user }}/<no value>"),
        ];
        assert_eq!(all.unwrap(), expected.map(|(key, value)| (key.to_owned(), value.to_vec())));
    }

    #[test]
    fn a_template_calls_itself_by_its_key_and_no_other() {
        assert_eq!(
            rendered(
                &[("a", "{{ if .x }}{{ else }}{{ template \"a\" . }}{{ end }}"), ("b", "{{ template \"a\" . }}")],
                &[]
            ),
            Err(vec![
                "a: line 1, column 38: it is nested too deeply".to_owned(),
                "b: line 1, column 4: there is no template of the name that is given here".to_owned(),
            ])
        );
    }

    #[test]
    fn an_error_names_key_and_place_and_shows_no_value() {
        let of = [
            ("fails", "a\n{{ fail .password }}"),
            ("number", "{{ index .password .password }}"),
            ("password", "{{ nosuch }}"),
            ("random", "{{ randAlphaNum 8 }}"),
            ("unfinished", "{{ if .password }}"),
        ];
        let errors = rendered(&of, &[("password", b"hunter2")]).unwrap_err();
        assert_eq!(
            errors,
            [
                "fails: line 2, column 4: `fail`: the template calls it to end",
                "number: line 1, column 4: `index`: an argument should be of type int, and is of type string",
                "password: line 1, column 4: there is no function `nosuch`",
                "random: line 1, column 4: the function `randAlphaNum` is not available: it draws random numbers",
                "unfinished: line 1, column 19: an `end` is missing",
            ]
        );
        let unreadable: Vec<_> = unreadable(&texts(&of)).map(|(key, error)| (key, error.stage)).collect();
        assert_eq!(unreadable, ["password", "random", "unfinished"].map(|key| (key.to_owned(), Stage::Parse)));
    }

    #[test]
    fn the_templates_of_an_object_share_what_they_may_take() {
        let limits = |count: usize, text: &str, item: &[u8]| -> Vec<Limit> {
            let of: BTreeMap<_, _> = (0..count).map(|index| (format!("key-{index:05}"), text.to_owned())).collect();
            let started = Instant::now();
            let errors = render(&of, &items(&[("item", item)])).expect_err("it is too much");
            assert!(started.elapsed() < Duration::from_mins(1), "it took {:?}", started.elapsed());
            let reached = errors.into_iter().map(|(_, error)| match error.reason {
                Reason::Limit(limit) => limit,
                reason => panic!("{reason}"),
            });
            reached.collect()
        };
        // Each would do by itself.
        let loops = limits(50, "{{ range 100000 }}{{ end }}", b"");
        assert!(loops.len() > 30 && loops.iter().all(|limit| *limit == Limit::Steps), "{loops:?}");
        let outputs = limits(50, "{{ .item }}", &vec![b'a'; 200_000]);
        assert!(outputs.len() == 30 && outputs.iter().all(|limit| *limit == Limit::Output), "{outputs:?}");
        // Nor do many small ones fill the memory with what they are given.
        assert!(limits(20_000, "{{ len . }}", b"").contains(&Limit::Steps));
        let one = format!("{{{{ range 2 }}}}{{{{ range {} }}}}{{{{ end }}}}{{{{ end }}}}", LIMITS.steps);
        assert_eq!(limits(1, &one, b""), [Limit::Steps]);
    }
}
