//! Whatever is read comes back byte for byte, and every span and node can be walked.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(stream) = bulla_yaml::parse(input) else { return };
    assert_eq!(stream.to_bytes().as_slice(), input);
    for number in 0..stream.node_count() {
        let node = stream.node_by_number(number);
        let _ = &stream.text()[node.span().range()];
        let _ = &stream.text()[node.content_span().range()];
        let _ = (node.value(), node.resolved(), node.children().count());
        for comment in node.head().chain(node.line()).chain(node.foot()) {
            assert!(comment.text.is_empty() || comment.text.starts_with('#'));
        }
    }
});
