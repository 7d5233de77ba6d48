//! JSON Schema, as far as the schema of SARIF uses it: a keyword that is not known here ends the test, so that nothing is passed over.

use std::fs;

use bulla_testkit::workspace;
use serde_json::Value;

/// The schema of SARIF 2.1.0.
pub(crate) fn sarif() -> Value {
    let path = workspace().join("tests/vectors/sarif/sarif-schema-2.1.0.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Every place where `value` is not what the schema asks for.
pub(crate) fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    validate(schema, schema, value, "$", &mut faults);
    faults
}

fn validate(root: &Value, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
    let fields = schema.as_object().unwrap_or_else(|| panic!("{place}: a schema is an object"));
    if let Some(name) = fields.get("$ref").and_then(Value::as_str) {
        let target = name.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return validate(root, target.unwrap_or_else(|| panic!("no {name}")), value, place, faults);
    }
    let mut fault = |what: &str| faults.push(format!("{place}: {what}"));
    for (keyword, wanted) in fields {
        match keyword.as_str() {
            "$schema"
            | "$id"
            | "title"
            | "description"
            | "default"
            | "definitions"
            | "properties"
            | "additionalProperties"
            | "items"
            | "anyOf"
            | "oneOf" => {}
            "type" => {
                let is_type = |name: &Value| match name.as_str() {
                    Some("object") => value.is_object(),
                    Some("array") => value.is_array(),
                    Some("string") => value.is_string(),
                    Some("boolean") => value.is_boolean(),
                    Some("number") => value.is_number(),
                    Some("integer") => value.is_i64() || value.is_u64(),
                    Some("null") => value.is_null(),
                    other => panic!("no type {other:?}"),
                };
                if !wanted.as_array().map_or_else(|| is_type(wanted), |all| all.iter().any(is_type)) {
                    fault(&format!("not of type {wanted}"));
                }
            }
            "enum" => {
                if !wanted.as_array().unwrap().contains(value) {
                    fault("none of the values that are allowed");
                }
            }
            "required" => {
                for name in wanted.as_array().unwrap().iter().filter_map(Value::as_str) {
                    if value.as_object().is_some_and(|object| !object.contains_key(name)) {
                        fault(&format!("`{name}` is missing"));
                    }
                }
            }
            "minItems" => {
                if value.as_array().is_some_and(|items| (items.len() as u64) < wanted.as_u64().unwrap()) {
                    fault("too few items");
                }
            }
            "uniqueItems" => {
                let twice = |items: &Vec<Value>| items.iter().enumerate().any(|(at, item)| items[..at].contains(item));
                if wanted == true && value.as_array().is_some_and(twice) {
                    fault("an item comes twice");
                }
            }
            "minimum" | "maximum" => {
                let (limit, number) = (wanted.as_f64().unwrap(), value.as_f64());
                if number.is_some_and(|number| if keyword == "minimum" { number < limit } else { number > limit }) {
                    fault("out of range");
                }
            }
            "format" => {
                let is_one = |text: &str| match wanted.as_str() {
                    Some("uri") => text.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty()) && is_uri(text),
                    Some("uri-reference") => is_uri(text),
                    other => panic!("{place}: the format {other:?} is used for the first time"),
                };
                if value.as_str().is_some_and(|text| !is_one(text)) {
                    fault(&format!("not of the format {wanted}"));
                }
            }
            other => panic!("{place}: the keyword `{other}` is used for the first time"),
        }
    }
    for (keyword, wants_one) in [("anyOf", false), ("oneOf", true)] {
        let Some(choices) = fields.get(keyword).and_then(Value::as_array) else { continue };
        let fits = |choice: &&Value| {
            let mut inner = Vec::new();
            validate(root, choice, value, place, &mut inner);
            inner.is_empty()
        };
        let count = choices.iter().filter(fits).count();
        if count == 0 || (wants_one && count > 1) {
            faults.push(format!("{place}: {count} of `{keyword}` fit"));
        }
    }
    if let Some(items) = value.as_array()
        && let Some(schema) = fields.get("items")
    {
        for (index, item) in items.iter().enumerate() {
            validate(root, schema, item, &format!("{place}[{index}]"), faults);
        }
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        match (fields.get("properties").and_then(|properties| properties.get(name)), fields.get("additionalProperties"))
        {
            (Some(schema), _) => validate(root, schema, inner, &place, faults),
            (None, Some(Value::Bool(false))) => faults.push(format!("{place}: no such property")),
            (None, Some(schema)) if schema.is_object() => validate(root, schema, inner, &place, faults),
            (None, _) => {}
        }
    }
}

/// RFC 3986's characters, and escapes that are whole.
fn is_uri(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let mut parts = text.split('%').skip(1);
    text.bytes().all(allowed)
        && parts.all(|part| part.len() >= 2 && part.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit))
}

#[test]
fn the_validator_sees_what_is_wrong() {
    let schema = sarif();
    let log = serde_json::json!({ "version": "2.1.0", "runs": [{ "tool": { "driver": { "name": "x", "rules": [] } }, "results": [] }] });
    assert_eq!(faults(&schema, &log), Vec::<String>::new());
    for (pointer, value, expected) in [
        ("/version", serde_json::json!("2.0.0"), "$.version: none of the values"),
        ("/runs/0/tool/driver", serde_json::json!({}), "$.runs[0].tool.driver: `name` is missing"),
        (
            "/runs/0/results",
            serde_json::json!([{ "message": { "text": 1 } }]),
            "$.runs[0].results[0].message.text: not of type",
        ),
        ("/runs/0/results", serde_json::json!([{ "message": {} }]), "`anyOf` fit"),
        (
            "/runs/0/results",
            serde_json::json!([{ "message": { "text": "a" }, "x": 1 }]),
            "$.runs[0].results[0].x: no such property",
        ),
        ("/runs/0/results", serde_json::json!([{ "message": { "text": "a" }, "ruleIndex": -2 }]), "out of range"),
        ("/runs/0/tool/driver", serde_json::json!({ "name": "x", "informationUri": "a b" }), "not of the format"),
    ] {
        let mut broken = log.clone();
        *broken.pointer_mut(pointer).unwrap() = value;
        let found = faults(&schema, &broken).join("\n");
        assert!(found.contains(expected), "{expected}: {found}");
    }
}
