//! Every template in `vectors/results` ends as it does in Go: the same bytes, or an error at the same stage and line.
//!
//! The results are made by `vectors/make`, which says how.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulla_template::{Language, MissingKey, Options, Reason, Stage, Template, TemplateError, Value};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    template: String,
    default: Expected,
    #[serde(rename = "missingkey=error")]
    strict: Expected,
}

#[derive(Deserialize)]
struct Expected {
    output: Option<String>,
    base64: Option<String>,
    error: Option<String>,
    #[serde(default)]
    line: usize,
}

impl Expected {
    fn bytes(&self) -> Option<Vec<u8>> {
        let decoded = self.base64.as_ref().map(|text| STANDARD.decode(text).unwrap());
        decoded.or_else(|| self.output.as_ref().map(|text| text.clone().into_bytes()))
    }
}

/// Data as `vectors/make` reads it.
pub(crate) fn data() -> Value {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/data.json")).unwrap();
    typed(&serde_json::from_str(&text).unwrap())
}

fn typed(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(bool) => Value::Bool(*bool),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => Value::Int(integer),
            None => Value::Float(number.as_f64().unwrap()),
        },
        serde_json::Value::String(text) => Value::string(text.as_bytes()),
        serde_json::Value::Array(items) => Value::List(items.iter().map(typed).collect()),
        serde_json::Value::Object(entries) => {
            if let Some(encoded) = entries.get("$bytes").and_then(|text| text.as_str()) {
                return Value::string(STANDARD.decode(encoded).unwrap());
            }
            let typed = |entries: &serde_json::Map<String, serde_json::Value>| -> BTreeMap<String, Value> {
                entries.iter().map(|(key, value)| (key.clone(), typed(value))).collect()
            };
            match entries.get("$strings").and_then(|entries| entries.as_object()) {
                Some(entries) => Value::Strings(
                    typed(entries)
                        .into_iter()
                        .map(|(key, value)| match value {
                            Value::String(text) => (key, text),
                            _ => panic!("{key} is no string"),
                        })
                        .collect(),
                ),
                None => Value::Map(typed(entries)),
            }
        }
    }
}

fn run(template: &str, options: Options, data: &Value) -> Result<Vec<u8>, TemplateError> {
    Ok(Template::parse("case", template.as_bytes(), options)?.execute(data)?.to_vec())
}

/// What differs, or nothing.
fn difference(expected: &Expected, result: &Result<Vec<u8>, TemplateError>) -> Option<String> {
    match (expected.bytes(), result) {
        (Some(expected), Ok(bytes)) if expected == *bytes => None,
        (Some(expected), Ok(bytes)) => {
            Some(format!("expected {}\n     got {}", expected.escape_ascii(), bytes.escape_ascii()))
        }
        (Some(expected), Err(error)) => Some(format!("expected {}\n     got {error}", expected.escape_ascii())),
        (None, Ok(bytes)) => Some(format!("expected an error\n     got {}", bytes.escape_ascii())),
        (None, Err(TemplateError { reason: Reason::Refused { .. }, .. })) => None,
        (None, Err(error)) => {
            let stage = if error.stage == Stage::Parse { "parse" } else { "execute" };
            let same_line = expected.line == error.line || error.stage == Stage::Parse;
            let same = expected.error.as_deref() == Some(stage) && same_line;
            (!same).then(|| {
                format!("expected an error: {:?} in line {}\n     got {stage}: {error}", expected.error, expected.line)
            })
        }
    }
}

#[test]
fn every_template_ends_as_in_go() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/results");
    let data = data();
    let (mut count, mut differences) = (0, Vec::new());
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let language = match name.split('-').next() {
            Some("go") => Language::Go,
            Some("sealed") => Language::SealedSecrets,
            _ => Language::ExternalSecrets,
        };
        let vectors: Vec<Vector> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for vector in vectors {
            for (missing_key, expected) in [(MissingKey::NoValue, &vector.default), (MissingKey::Error, &vector.strict)]
            {
                count += 1;
                let options = Options { language, missing_key, ..Options::go() };
                let result = run(&vector.template, options, &data);
                if let Some(difference) = difference(expected, &result) {
                    differences.push(format!("{name}, {missing_key:?}: {}\n{difference}", vector.template));
                }
            }
        }
    }
    assert!(count >= 2_900, "vectors went missing: {count} left");
    assert!(differences.is_empty(), "{} of {count} differ:\n\n{}", differences.len(), differences.join("\n\n"));
}
