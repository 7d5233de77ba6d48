//! What encryption and decryption do to a document, without the cryptography. The fuzz target uses it too.

use bulla_doc::{
    Document, Edits, Format, Kind, Scalar, Step, Tree, Value, comment_reads, reads_as, with_metadata, without_metadata,
};

const ENCRYPTED: &str =
    "ENC[AES256_GCM,data:Yg==,iv:pfeyOJxyjYcmCS1nWTtTcdDcVFCA5TckZ9EqLnJLeLk=,tag:Wp9TbJEKyGOJLfbM02IadQ==,type:str]";

/// Replaces every value and comment as encryption would, reads the result, and restores everything.
pub(crate) fn round_trip(input: &[u8], format: Format) -> Result<usize, String> {
    let Ok(document) = Document::parse(input, format) else { return Ok(0) };
    let key = format.metadata_key();
    if document.branches().any(|branch| branch.get(key).is_some()) {
        return Ok(0);
    }
    let metadata = Tree::mapping([("mac", Tree::string("x")), ("age", Tree::sequence([Tree::string("a\nb\n")]))]);
    let prepared = with_metadata(&document, key, &metadata).map_err(|error| format!("with metadata: {error}"))?;
    // Aliases must be expanded, so they do not come back.
    if prepared
        .branches()
        .any(|branch| branch.walk().any(|step| matches!(step, Step::Leaf(node) | Step::Enter(node) if node.is_alias())))
    {
        return Ok(0);
    }

    let mut kept = Vec::new();
    let mut edits = Edits::new(&prepared);
    for node in leaves(&prepared) {
        match node.kind() {
            Kind::Comment if !node.comment().is_empty() => {
                let spelling = node.comment_spelling();
                if spelling.as_ref().is_some_and(|spelling| !comment_reads(spelling, node.comment())) {
                    return Err(format!("{}: the spelling does not read as the comment", node.position()));
                }
                kept.push(Kept::Comment(node.comment().to_owned(), spelling));
                edits.set_comment(node, ENCRYPTED);
            }
            Kind::Scalar if !is_empty(&node.value()) => {
                let value = node.value();
                let spelling = (!node.restores(&value)).then(|| node.spelling().into_owned());
                if let Some(spelling) = &spelling
                    && !reads_as(spelling, &value, format)
                {
                    return Err(format!("{}: the spelling does not read as the value", node.position()));
                }
                kept.push(Kept::Value(Scalar::from(&value), spelling));
                edits.set_encrypted(node, ENCRYPTED);
            }
            _ => {}
        }
    }
    let encrypted = edits.apply();
    let document = Document::parse(&encrypted, format)
        .map_err(|error| format!("encrypted: {error}\n{}", String::from_utf8_lossy(&encrypted)))?;

    let mut edits = Edits::new(&document);
    let mut next = kept.iter();
    for node in leaves(&document) {
        let text = match node.kind() {
            Kind::Comment => node.comment().as_bytes().to_vec(),
            _ => match node.value() {
                Value::String(bytes) => bytes.to_vec(),
                _ => continue,
            },
        };
        if !text.starts_with(b"ENC[") {
            continue;
        }
        match next.next().ok_or("more values than before")? {
            Kept::Comment(_, Some(spelling)) => edits.set_comment_spelling(node, spelling),
            Kept::Comment(text, None) => edits.set_comment(node, text),
            Kept::Value(_, Some(spelling)) => edits.set_spelling(node, spelling),
            Kept::Value(value, None) => edits.restore_value(node, &value.as_value()),
        }
    }
    if next.next().is_some() {
        return Err(format!("fewer values than before:\n{}", String::from_utf8_lossy(&encrypted)));
    }
    without_metadata(&mut edits, key);
    let restored = edits.apply();
    if restored.as_slice() != input {
        let place = restored.iter().zip(input).position(|(a, b)| a != b).unwrap_or(restored.len().min(input.len()));
        let from = place.saturating_sub(60);
        let show = |bytes: &[u8]| {
            String::from_utf8_lossy(&bytes[from.min(bytes.len())..(place + 60).min(bytes.len())]).into_owned()
        };
        return Err(format!("byte {place} differs:\n  before {:?}\n  after  {:?}", show(input), show(&restored)));
    }
    Ok(kept.len())
}

enum Kept {
    Comment(String, Option<String>),
    Value(Scalar, Option<String>),
}

fn leaves(document: &Document) -> impl Iterator<Item = bulla_doc::Node<'_>> {
    let key = document.format().metadata_key();
    document.branches().flat_map(move |branch| {
        branch.children().filter(move |child| child.key() != Some(key)).flat_map(|child| {
            child.walk().filter_map(|step| match step {
                Step::Leaf(node) | Step::Comment(node) => Some(node),
                _ => None,
            })
        })
    })
}

fn is_empty(value: &Value<'_>) -> bool {
    match value {
        Value::Null | Value::Unsigned(_) => true,
        Value::String(bytes) => bytes.is_empty(),
        _ => false,
    }
}
