//! Our tree and go-yaml's, side by side.

use bulla_testkit::oracle::{NodeKind, Oracle, Style as Flags, YamlNode};
use bulla_yaml::{Comments, Document, Kind, Node, Stream, Style};

/// What both readers made of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The same tree.
    Read,
    /// Both refused it.
    Refused,
}

/// Compares what we read from `input` with what go-yaml reads.
///
/// # Errors
/// The difference.
pub(crate) fn compare(input: &[u8]) -> Result<Outcome, String> {
    let theirs = Oracle::shared().yaml(input);
    let ours = bulla_yaml::parse(input);
    let (theirs, ours) = match (theirs, ours) {
        // A panic of go-yaml is a refusal.
        (Err(refusal), Ok(_)) => return Err(format!("go-yaml panics ({refusal:?}), we read it")),
        (Ok(theirs), Err(error)) if theirs.error.is_none() => {
            return Err(format!("go-yaml reads {} documents, we say: {error}", theirs.documents.len()));
        }
        (_, Err(_)) => return Ok(Outcome::Refused),
        (Ok(theirs), Ok(ours)) => match theirs.error {
            Some(error) => return Err(format!("go-yaml says: {error}; we read it")),
            None => (theirs.documents, ours),
        },
    };
    if ours.to_bytes().as_slice() != input {
        return Err("our bytes are not those of the input".to_owned());
    }
    let documents: Vec<_> = ours.documents().map(|document| nodes(&ours, document)).collect();
    if documents.len() != theirs.len() {
        return Err(format!("go-yaml reads {} documents, we {}", theirs.len(), documents.len()));
    }
    for (number, (ours, theirs)) in documents.iter().zip(&theirs).enumerate() {
        for (place, (our, their)) in ours.iter().zip(theirs).enumerate() {
            let their = comparable(their);
            if *our != their {
                return Err(format!("document {number}, node {place}:\n  we      {our:?}\n  go-yaml {their:?}"));
            }
        }
        if ours.len() != theirs.len() {
            return Err(format!("document {number}: go-yaml has {} nodes, we {}", theirs.len(), ours.len()));
        }
    }
    check_spans(&ours)?;
    Ok(Outcome::Read)
}

fn comparable(node: &YamlNode) -> YamlNode {
    YamlNode { line: 0, column: 0, resolved: None, ..node.clone() }
}

/// Every span must spell what it is said to spell.
fn check_spans(stream: &Stream) -> Result<(), String> {
    for document in stream.documents() {
        let (mut next, end) = (document.root().id(), document.root().end());
        let mut open: Vec<Node<'_>> = Vec::new();
        while next < end {
            let node = stream.node(next);
            let span = node.span();
            while open.last().is_some_and(|parent| parent.end() <= next) {
                open.pop();
            }
            if let Some(parent) = open.last()
                && (span.start < parent.span().start || span.end > parent.span().end)
            {
                return Err(format!("{node:?} at {span:?} lies outside of its parent {:?}", parent.span()));
            }
            let content = &stream.text()[node.content_span().range()];
            let fits = match (node.kind(), node.style()) {
                (Kind::Alias, _) => content.starts_with('*') && content.ends_with(node.value()),
                (Kind::Scalar, Style::SingleQuoted) => {
                    content.len() >= 2 && content.starts_with('\'') && content.ends_with('\'')
                }
                (Kind::Scalar, Style::DoubleQuoted) => {
                    content.len() >= 2 && content.starts_with('"') && content.ends_with('"')
                }
                (Kind::Scalar, Style::Literal) => content.starts_with('|'),
                (Kind::Scalar, Style::Folded) => content.starts_with('>'),
                (Kind::Scalar, _) if !node.is_decoded() => content == node.value(),
                // A flow mapping may also be a single pair without braces.
                (Kind::Sequence, Style::Flow) => content.starts_with('[') && content.ends_with(']'),
                _ => true,
            };
            if !fits {
                return Err(format!("{node:?} at {span:?} is not what lies there"));
            }
            for comment in node.head().chain(node.line()).chain(node.foot()) {
                if !comment.text.is_empty() && !comment.text.starts_with('#') {
                    return Err(format!("no comment lies at {:?}", comment.span));
                }
            }
            if node.kind() != Kind::Scalar {
                open.push(node);
            }
            next = if node.children().next().is_none() { node.end() } else { node.children().next().unwrap().id() };
        }
    }
    Ok(())
}

fn nodes(stream: &Stream, document: Document<'_>) -> Vec<YamlNode> {
    let root = document.root();
    let mut nodes = vec![YamlNode {
        kind: NodeKind::Document,
        head_comment: text(document.head()),
        foot_comment: text(document.foot()),
        length: 1,
        ..YamlNode::default()
    }];
    let mut next = root.id();
    let mut places = Vec::new();
    while next < root.end() {
        let node = stream.node(next);
        places.push(next);
        nodes.push(convert(node, &places));
        next = node.children().next().map_or(node.end(), |child| child.id());
    }
    nodes
}

fn convert(node: Node<'_>, places: &[bulla_yaml::NodeId]) -> YamlNode {
    let mut flags = match node.style() {
        Style::Plain | Style::Block => Flags(0),
        Style::SingleQuoted => Flags::SINGLE_QUOTED,
        Style::DoubleQuoted => Flags::DOUBLE_QUOTED,
        Style::Literal => Flags::LITERAL,
        Style::Folded => Flags::FOLDED,
        Style::Flow => Flags::FLOW,
    };
    if node.tag().is_some() {
        flags = flags | Flags::TAGGED;
    }
    let kind = match node.kind() {
        Kind::Mapping => NodeKind::Mapping,
        Kind::Sequence => NodeKind::Sequence,
        Kind::Scalar => NodeKind::Scalar,
        Kind::Alias => NodeKind::Alias,
    };
    let target = match node.kind() {
        // The document node comes first; a target in an earlier document is not in the list.
        Kind::Alias => places.binary_search(&node.target().id()).map_or(0, |place| place + 1),
        _ => 0,
    };
    YamlNode {
        kind,
        tag: tag(node),
        value: node.value().as_bytes().to_vec(),
        anchor: node.anchor().unwrap_or_default().to_owned(),
        target,
        style: flags,
        head_comment: text(node.head()),
        line_comment: text(node.line()),
        foot_comment: text(node.foot()),
        length: node.children().count(),
        ..YamlNode::default()
    }
}

fn tag(node: Node<'_>) -> String {
    use bulla_yaml::Resolved;
    let tag = match node.kind() {
        _ if node.tag().is_some() => node.tag().unwrap_or_default(),
        Kind::Mapping => "!!map",
        Kind::Sequence => "!!seq",
        Kind::Alias => "",
        Kind::Scalar => match node.resolved() {
            Resolved::Null => "!!null",
            Resolved::Bool(_) => "!!bool",
            Resolved::Int(_) | Resolved::Unsigned(_) => "!!int",
            Resolved::Float(_) => "!!float",
            Resolved::Timestamp(_) => "!!timestamp",
            Resolved::Merge => "!!merge",
            Resolved::String => "!!str",
        },
    };
    tag.to_owned()
}

fn text(comments: Comments<'_>) -> Vec<u8> {
    comments.map(|comment| comment.text).collect::<Vec<_>>().join("\n").into_bytes()
}
