//! A part of a document as a tree of its own, for places that cannot be edited value by value: what an alias stands for.

use bulla_doc::{Item, Kind, Node, Scalar, Step, Tree};

use crate::walk::{Plan, Role};

/// The content of `node` without comments. `replace` gives what stands for a leaf, by its number in `plan`; `None` leaves it as it is.
pub(crate) fn tree_of<'d>(node: Node<'d>, plan: &Plan<'d>, replace: &mut dyn FnMut(usize) -> Option<Tree>) -> Tree {
    let mut next = plan.leaves.partition_point(|leaf| leaf.node.id() < node.id());
    let mut open: Vec<(Node<'d>, Vec<Item>)> = Vec::new();
    for step in node.walk() {
        let (done, tree) = match step {
            Step::Enter(container) => {
                open.push((container, Vec::new()));
                continue;
            }
            Step::Comment(_) => {
                next += 1;
                continue;
            }
            Step::Leave(container) => {
                let items = open.pop().map(|(_, items)| items).unwrap_or_default();
                let is_mapping = container.kind() == Kind::Mapping;
                (container, if is_mapping { Tree::Mapping(items) } else { Tree::Sequence(items) })
            }
            Step::Leaf(scalar) => {
                let leaf = plan.leaves.get(next).filter(|leaf| leaf.node.id() == scalar.id());
                let number = next;
                next += usize::from(leaf.is_some());
                if leaf.is_some_and(|leaf| leaf.role == Role::CommentItem) {
                    continue;
                }
                let replaced = leaf.and_then(|_| replace(number));
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
        let tree =
            tree_of(node, &plan, &mut |leaf| (plan.leaves[leaf].node.key() == Some("a")).then(|| Tree::string("A")));
        let written = bulla_doc::write(&[tree], Format::Json, Some(0));
        let expected = "{\n\"a\": \"A\",\n\"l\": [\n\"x\",\n{\n\"y\": null\n},\n[]\n],\n\"z\": true\n}\n";
        assert_eq!(std::str::from_utf8(&written).unwrap(), expected);
    }
}
