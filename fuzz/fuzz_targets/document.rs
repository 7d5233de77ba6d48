//! Documents: whatever is accepted keeps its bytes, also through metadata that comes and goes, and every string can be
//! replaced by ciphertext and back.
#![no_main]

use bulla_doc::{Document, Edits, Format, Kind, Scalar, Step, Tree, Value, with_metadata, without_metadata};
use libfuzzer_sys::fuzz_target;

const CIPHERTEXT: &str = "ENC[AES256_GCM,data:eA==,iv:eA==,tag:eA==,type:str]";

fuzz_target!(|input: &[u8]| {
    let [format, input @ ..] = input else { return };
    let format = if format.is_multiple_of(2) { Format::Yaml } else { Format::Json };
    let Ok(document) = Document::parse(input, format) else { return };
    assert_eq!(*document.to_bytes(), input, "the bytes are kept");

    // SOPS refuses such documents before it comes to this.
    if document.branches().any(|branch| branch.get("sops").is_some()) {
        return;
    }
    let metadata = Tree::Scalar(Scalar::Null);
    let Ok(with) = with_metadata(&document, "sops", &metadata) else { return };
    let mut edits = Edits::new(&with);
    without_metadata(&mut edits, "sops");
    assert_eq!(*edits.apply(), input, "the metadata leaves no trace");

    let mut edits = Edits::new(&document);
    let mut replaced = 0_usize;
    for branch in document.branches() {
        for step in branch.walk() {
            let Step::Leaf(node) = step else { continue };
            // An empty string is never encrypted.
            let has_text = matches!(node.value(), Value::String(text) if !text.is_empty());
            if node.kind() == Kind::Scalar && !node.is_alias() && !node.is_expanded() && has_text {
                edits.set_encrypted(node, CIPHERTEXT);
                replaced += 1;
            }
        }
    }
    let encrypted = edits.apply();
    let read = Document::parse(&encrypted, format).expect("ciphertext in place of strings is a document");
    let found = read
        .branches()
        .flat_map(|branch| branch.walk())
        .filter(|step| matches!(step, Step::Leaf(node) if !node.is_expanded() && !node.is_alias() && node.kind() == Kind::Scalar && matches!(node.value(), Value::String(text) if text.trim_ascii_end() == CIPHERTEXT.as_bytes())))
        .count();
    assert!(found >= replaced, "{found} of {replaced} ciphertexts are read back");
});
