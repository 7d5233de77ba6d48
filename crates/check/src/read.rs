//! From a file to its documents, and which rules look at them.

use bulla_doc::Format;
use bulla_wipe::Wiping;
use bulla_yaml::{ParseError, Stream};
use memchr::memmem;

use crate::context::Context;
use crate::finding::Unread;
use crate::object::{is_secret, objects};
use crate::place::Place;
use crate::rule::Rule;
use crate::rules::{embedded, encrypted, files, helm, kustomize, patch, sealed, secret};
use crate::template::Template;
use crate::text::Text;

/// A broken stream is read document by document, up to this many.
const MOST_PARTS: usize = 64;

/// Is it YAML or JSON by its name?
pub(crate) fn is_document(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    kustomize::is_kustomization(path)
        || files::is_docker_configuration(path)
        || matches!(name, "kubeconfig" | "config")
        || name.split('.').skip(1).any(|part| matches!(part, "yaml" | "yml" | "json" | "kubeconfig"))
}

/// Can any rule about documents find something? Most files of a repository need not be parsed.
pub(crate) fn may_hold_something(path: &str, bytes: &[u8]) -> bool {
    const MARKS: &[&[u8]] = &[
        b"Secret",
        b"sops",
        b"ENC[AES256",
        b"stringData",
        b"secretGenerator",
        b"HelmRelease",
        b"argoproj.io",
        b"helm.cattle.io",
        b"helmCharts",
        b"client-key-data",
    ];
    let has = |mark: &[u8]| memmem::find(bytes, mark).is_some();
    // In UTF-16, as Windows' shells write it, the marks are spelt otherwise.
    let is_wide = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    is_wide
        || helm::is_values_file(path)
        || MARKS.iter().any(|mark| has(mark))
        || (has(b"clusters") && has(b"users"))
        || (files::is_docker_configuration(path) && has(b"auths"))
}

/// Is there an object that a rule is about, and not only its name?
fn is_about_secrets(bytes: &[u8]) -> bool {
    const MARKS: &[&[u8]] = &[
        b"kind: Secret",
        b"kind: \"Secret",
        b"stringData",
        b"SealedSecret",
        b"secretGenerator",
        b"HelmRelease",
        b"argoproj.io",
        b"sops:",
    ];
    MARKS.iter().any(|mark| memmem::find(bytes, mark).is_some())
}

/// Reads YAML.
pub(crate) fn read(bytes: Wiping<Vec<u8>>) -> Result<Stream, ParseError> {
    bulla_yaml::parse_owned(bytes)
}

/// Looks at the documents of a file. Says where it is broken; what can be read of it was looked at.
pub(crate) fn documents(cx: &mut Context<'_>, bytes: &[u8]) -> Option<Unread> {
    // A stream's places count from behind the byte order mark.
    let text = std::str::from_utf8(bytes).ok().map(|text| text.strip_prefix('\u{feff}').unwrap_or(text));
    let has_actions = memmem::find(bytes, b"{{").is_some();
    let is_chart = text.is_some() && has_actions && cx.file.split('/').rev().skip(1).any(|part| part == "templates");
    let plain = if is_chart { None } else { Some(read(Wiping::new(bytes.to_vec()))) };
    let error = match plain {
        Some(Ok(stream)) => {
            stream_of(cx, &stream, None, bytes);
            return None;
        }
        Some(Err(error)) => Some(error),
        None => None,
    };
    if has_actions && let Some((template, covered)) = text.and_then(Template::cover) {
        let error = parts_of(cx, &covered, Some(&template), bytes)?;
        // Both branches of a condition need not make YAML together. Where nothing in the file could be found, nothing is missed.
        return is_about_secrets(bytes).then(|| unread(cx, &error));
    }
    if is_json(cx.file)
        && let Some(stream) = text.and_then(|text| read(with_known_escapes(text)).ok())
    {
        stream_of(cx, &stream, None, bytes);
        return None;
    }
    let error = error?;
    parts_of(cx, bytes, None, bytes);
    Some(unread(cx, &error))
}

fn unread(cx: &Context<'_>, error: &ParseError) -> Unread {
    Unread { file: cx.file.to_owned(), position: error.position, expected: error.expected.to_string() }
}

fn is_json(path: &str) -> bool {
    path.ends_with(".json") || files::is_docker_configuration(path)
}

/// Two escapes of JSON are none of this YAML: halves of characters beyond 16 bits, and `\/`. Others of the same length keep every
/// place; what they spell is no part of a credential.
fn with_known_escapes(text: &str) -> Wiping<Vec<u8>> {
    let mut bytes = Wiping::new(text.as_bytes().to_vec());
    let mut place = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[place..]) {
        place += found;
        match bytes.get(place + 1) {
            Some(b'/') => bytes[place] = b'/',
            Some(b'u') => {
                let digits = bytes.get_mut(place + 2..place + 6).filter(|digits| digits[0].eq_ignore_ascii_case(&b'd'));
                if let Some(digits) = digits.filter(|digits| !digits[1].is_ascii_digit() || digits[1] >= b'8') {
                    digits.copy_from_slice(b"003f");
                }
            }
            _ => {}
        }
        place += 2;
        if place >= bytes.len() {
            break;
        }
    }
    bytes
}

/// Reads a stream, or each of its documents by itself where it is broken; gives the first fault of those.
fn parts_of(cx: &mut Context<'_>, text: &[u8], template: Option<&Template<'_>>, bytes: &[u8]) -> Option<ParseError> {
    let whole = Wiping::new(text.to_vec());
    let error = match read(whole) {
        Ok(stream) => {
            stream_of(cx, &stream, template, bytes);
            return None;
        }
        Err(error) => error,
    };
    let mut starts: Vec<usize> = memmem::find_iter(text, b"\n---").map(|place| place + 1).collect();
    starts.insert(0, 0);
    starts.truncate(MOST_PARTS);
    if starts.len() == 1 {
        return Some(error);
    }
    let mut fault = None;
    for (place, start) in starts.iter().enumerate() {
        let end = starts.get(place + 1).copied().unwrap_or(text.len());
        // Everything else becomes empty, so that this part keeps its place.
        let mut part = Wiping::new(text[..end].to_vec());
        part[..*start].iter_mut().filter(|byte| !matches!(**byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        match read(part) {
            Ok(stream) => stream_of(cx, &stream, template, bytes),
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    fault.or(Some(error))
}

fn stream_of(cx: &mut Context<'_>, stream: &Stream, template: Option<&Template<'_>>, bytes: &[u8]) {
    let text = Text::new(stream, template, None);
    let tops = Place::tops(stream);
    let format = if is_json(cx.file) { Format::Json } else { Format::Yaml };
    let skipped = if template.is_none() { encrypted::check(cx, &text, &tops, bytes, format) } else { Vec::new() };
    for top in tops.iter().filter(|top| !skipped.contains(&top.branch)) {
        document(cx, &text, top);
    }
}

fn document<'s>(cx: &mut Context<'_>, text: &Text<'s>, top: &Place<'s>) {
    let rule = if text.template.is_some() { Rule::KS005 } else { Rule::KS001 };
    let objects = objects(top);
    for object in &objects {
        if is_secret(object) {
            secret::check(cx, text, object, rule);
        }
        kustomize::check(cx, text, object);
        helm::check_object(cx, text, object);
        sealed::check(cx, text, object);
        embedded::check_external(cx, text, object);
        files::check_object(cx, text, object);
    }
    if helm::is_values_file(cx.file) {
        helm::check_file(cx, text, top);
    }
    patch::check(cx, text, top);
    embedded::check(cx, text, top, &objects);
}
