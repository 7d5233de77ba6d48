//! The writer's layout is go-yaml's, as SOPS uses it.

use bulla_testkit::needs_peers;
use bulla_testkit::oracle::{Branch, Format, Oracle, TreeItem};
use bulla_yaml::Writer;

/// Writes SOPS' tree with our writer.
fn write(branches: &[Branch], step: usize) -> String {
    let mut writer = Writer::new(step);
    for branch in branches {
        writer.start_document();
        let mut items = branch[1..].iter();
        for _ in 0..branch[0].length {
            write_item(&mut items, &mut writer);
        }
        writer.end_document();
    }
    writer.finish().to_string()
}

fn write_item<'a>(items: &mut impl Iterator<Item = &'a TreeItem>, writer: &mut Writer) {
    let item = items.next().unwrap();
    let text = std::str::from_utf8(&item.text).unwrap();
    if let Some(key) = &item.key {
        writer.key(std::str::from_utf8(key).unwrap());
    }
    match item.kind.as_str() {
        "comment" if item.inline => writer.inline_comment(text),
        "comment" => writer.comment(text),
        "map" | "list" => {
            if item.kind == "map" {
                writer.start_mapping();
            } else {
                writer.start_sequence();
            }
            for _ in 0..item.length {
                write_item(items, writer);
            }
            writer.end();
        }
        "str" => writer.string(text),
        "null" => writer.plain("null"),
        "bool" => writer.plain(&text.to_lowercase()),
        _ => writer.plain(text),
    }
}

#[test]
fn what_we_write_is_what_sops_writes() {
    needs_peers!();
    for document in [
        "a: 1\nb: x\nc:\n  d: [1, 2, {e: f}]\n  g: {}\n  h: []\n",
        "# head\na: b # inline\n# foot\n",
        "a:\n  # first\n  b: 1\n  # last\nc: 2\n",
        "l:\n  # first\n  - a # one\n  - b: 1\n    c: 2\n  - - x\n    - y\n  # last\n",
        "l:\n  - # of the mapping\n    a: 1\n",
        "s: |\n  two\n  lines\nt: |-\n  no end\n  here\nu: \"x \\n y\"\nv: |+\n  kept\n\n",
        "q: 'yes'\nr: \"12:30:45\"\ns: 'a: b'\nt: \"\"\nu: ' x'\nv: '@'\nw: \"\\t\"\nx: \"1\"\ny: \"😀\"\n",
        "\"key: with\": 1\n\"yes\": 2\n\"\": 3\n",
        "a: 1\n---\nb: 2\n---\n{}\n",
        "l:\n  - |\n    a\n    b\n  - x\n",
        "a: {b: {c: {d: [[1], [2, [3]]]}}}\n",
    ] {
        for step in [2, 4] {
            let tree = Oracle::shared().sops_tree(document.as_bytes(), Format::Yaml).unwrap();
            let indent = i32::try_from(step).unwrap();
            let theirs = Oracle::shared().sops_emit(&tree, Format::Yaml, indent).unwrap();
            assert_eq!(write(&tree, step), String::from_utf8_lossy(&theirs), "{document}");
        }
    }
}

#[test]
fn real_manifests_are_written_as_sops_writes_them() {
    needs_peers!();
    let mut written = 0;
    for file in bulla_testkit::corpus::yaml().into_iter().step_by(5) {
        let text = std::fs::read(&file.path).unwrap();
        let Ok(tree) = Oracle::shared().sops_tree(&text, Format::Yaml) else { continue };
        // Keys that SOPS cannot encrypt, keys over several lines (ours stay on one), and bytes, which the writer is not given.
        let left_out = |item: &TreeItem| {
            item.key_type.is_some()
                || item.kind == "uint64"
                || item.key.as_deref().is_some_and(|key| key.contains(&b'\n'))
                || std::str::from_utf8(&item.text).is_err()
        };
        // SOPS loses the place of a comment where it breaks a line inside of braces, or puts one container's to the next.
        let misplaced = |branch: &Branch| has_only_comments(branch) || has_container_with_inline_comment(branch);
        if tree.iter().any(|branch| branch.iter().any(left_out) || misplaced(branch)) {
            continue;
        }
        let theirs = Oracle::shared().sops_emit(&tree, Format::Yaml, 4).unwrap();
        assert_eq!(write(&tree, 4), String::from_utf8_lossy(&theirs), "{}", file.name);
        written += 1;
    }
    assert!(written > 400, "only {written} manifests were written");
}

/// Is there a container with comments and nothing else?
fn has_only_comments(branch: &Branch) -> bool {
    (0..branch.len()).any(|place| {
        let length = branch[place].length;
        let content = branch.get(place + 1..=place + length);
        length > 0 && content.is_some_and(|items| items.iter().all(|item| item.kind == "comment"))
    })
}

/// Does a comment stand on the line of an alias that stands for a container?
fn has_container_with_inline_comment(branch: &Branch) -> bool {
    branch.windows(2).any(|items| items[0].inline && matches!(items[1].kind.as_str(), "map" | "list"))
}
