//! A part of a document as a tree of its own: what an alias stands for, and what is printed in another format.

use bulla_doc::{Item, Kind, Node, Scalar, Step, Tree};

use crate::walk::{Plan, Role};

/// The text of a comment by its number in the plan, and whether it is on the line of a value.
pub(crate) type Comments<'c> = dyn Fn(usize) -> (String, bool) + 'c;

/// The content of `node`; with its comments, if `comments` tells them. `replace` gives what stands for a leaf, by its number in `plan`;
/// `None` leaves it as it is.
pub(crate) fn tree_of<'d>(
    node: Node<'d>,
    plan: &Plan<'d>,
    replace: &mut dyn FnMut(usize) -> Option<Tree>,
    comments: Option<&Comments<'_>>,
) -> Tree {
    let mut next = plan.leaves.partition_point(|leaf| leaf.node.id() < node.id());
    let mut open: Vec<(Node<'d>, Vec<Item>)> = Vec::new();
    for step in node.walk() {
        // Null has no number, and the metadata none at all.
        let leaf = |node: Node<'_>| plan.leaves.get(next).filter(|leaf| leaf.node.id() == node.id());
        let (number, is_comment) = match step {
            Step::Comment(line) => (leaf(line).map(|_| next), true),
            Step::Leaf(scalar) => {
                let is_item = leaf(scalar).is_some_and(|leaf| leaf.role == Role::CommentItem);
                // One that is asked for by itself is what it is.
                (leaf(scalar).map(|_| next), is_item && (comments.is_none() || !open.is_empty()))
            }
            Step::Enter(_) | Step::Leave(_) => (None, false),
        };
        next += usize::from(number.is_some());
        let (done, tree) = match step {
            Step::Enter(container) => {
                open.push((container, Vec::new()));
                continue;
            }
            Step::Leave(container) => {
                let items = open.pop().map(|(_, items)| items).unwrap_or_default();
                let is_mapping = container.kind() == Kind::Mapping;
                (container, if is_mapping { Tree::Mapping(items) } else { Tree::Sequence(items) })
            }
            Step::Comment(_) | Step::Leaf(_) if is_comment => {
                if let (Some(number), Some(comments), Some((_, items))) = (number, comments, open.last_mut()) {
                    let (text, inline) = comments(number);
                    items.push(Item::Comment { text, inline });
                }
                continue;
            }
            Step::Comment(scalar) | Step::Leaf(scalar) => {
                let replaced = number.and_then(&mut *replace);
                (scalar, replaced.unwrap_or_else(|| Tree::Scalar(Scalar::from(&scalar.value()))))
            }
        };
        match open.last_mut() {
            None => return tree,
            Some((_, items)) => items.push(match done.key() {
                Some(key) => Item::Entry { key: key.to_owned(), value: tree },
                None => Item::Element(tree),
            }),
        }
    }
    // A walk over a scalar or container ends with it; only comments come to this.
    Tree::Scalar(Scalar::Null)
}

/// Do containers lie in each other there more often than can be printed anew?
pub(crate) fn is_too_deep(node: Node<'_>) -> bool {
    node.is_deeper_than(bulla_doc::DEPTH_LIMIT + 1)
}

#[cfg(test)]
mod tests {
    use bulla_doc::{Document, Format};

    use super::*;
    use crate::selector::Selector;
    use crate::walk;

    #[test]
    fn a_subtree_is_copied_with_other_leaves() {
        let text = b"before: 0\nm:\n    # c\n    a: 1\n    l: [x, {y: null}, []]\n    # d\n    z: true\nafter: 2\n";
        let document = Document::parse(text, Format::Yaml).unwrap();
        let plan = Plan::new(&document, &Selector::default(), walk::NO_COMMENT_ITEMS).unwrap();
        let node = document.branches().next().unwrap().get("m").unwrap();
        let tree = tree_of(
            node,
            &plan,
            &mut |leaf| (plan.leaves[leaf].node.key() == Some("a")).then(|| Tree::string("A")),
            None,
        );
        let written = bulla_doc::write(&[tree], Format::Json, Some(0));
        let expected = "{\n\"a\": \"A\",\n\"l\": [\n\"x\",\n{\n\"y\": null\n},\n[]\n],\n\"z\": true\n}\n";
        assert_eq!(std::str::from_utf8(&written).unwrap(), expected);
        let comments = |number: usize| (format!("comment {number}"), false);
        let tree = tree_of(node, &plan, &mut |_| None, Some(&comments));
        let written = bulla_doc::write(&[tree], Format::Yaml, None);
        let expected = "#comment 1\na: 1\nl:\n    - x\n    - \"y\": null\n    - []\n#comment 4\nz: true\n";
        assert_eq!(std::str::from_utf8(&written).unwrap(), expected);
    }
}
