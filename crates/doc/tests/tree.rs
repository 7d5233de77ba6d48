//! Our tree and that of SOPS' own stores, side by side.

use bulla_doc::{Document, Format, Kind, Node, Step, Value};
use bulla_testkit::oracle::{self, Oracle, TreeItem};

/// Whether SOPS and we read the same from `input`; `Ok(false)` if both refuse it, or we refuse what SOPS would lose.
pub(crate) fn compare(input: &[u8], format: Format) -> Result<bool, String> {
    let their_format = match format {
        Format::Yaml => oracle::Format::Yaml,
        Format::Json => oracle::Format::Json,
    };
    let theirs = Oracle::shared().sops_tree(input, their_format);
    let ours = Document::parse(input, format);
    let (theirs, ours) = match (theirs, ours) {
        (Err(_), Err(_)) => return Ok(false),
        (Err(refusal), Ok(_)) => return Err(format!("SOPS refuses it ({refusal:?}), we read it")),
        (Ok(_), Err(error)) => return Err(format!("we refuse what SOPS reads: {error}")),
        (Ok(theirs), Ok(ours)) => (theirs, ours),
    };
    if ours.to_bytes().as_slice() != input {
        return Err("our bytes are not those of the input".to_owned());
    }
    let branches: Vec<_> = ours.branches().map(items).collect();
    for (number, (ours, theirs)) in branches.iter().zip(&theirs).enumerate() {
        for (place, (our, their)) in ours.iter().zip(theirs).enumerate() {
            if our != their {
                return Err(format!("branch {number}, entry {place}:\n  we   {our:?}\n  SOPS {their:?}"));
            }
        }
        if ours.len() != theirs.len() {
            return Err(format!("branch {number}: SOPS has {} entries, we {}", theirs.len(), ours.len()));
        }
    }
    if branches.len() != theirs.len() {
        return Err(format!("SOPS has {} branches, we {}", theirs.len(), branches.len()));
    }
    Ok(true)
}

fn items(branch: Node<'_>) -> Vec<TreeItem> {
    branch
        .walk()
        .filter_map(|step| match step {
            Step::Leave(_) => None,
            Step::Enter(node) | Step::Leaf(node) | Step::Comment(node) => Some(item(node)),
        })
        .collect()
}

fn item(node: Node<'_>) -> TreeItem {
    let (kind, text) = match node.kind() {
        Kind::Mapping => ("map", Vec::new()),
        // An empty list is nil in SOPS' tree only inside Go.
        Kind::Sequence => ("list", Vec::new()),
        Kind::Comment => ("comment", node.comment().as_bytes().to_vec()),
        Kind::Scalar => match node.value() {
            Value::Null => ("null", Vec::new()),
            Value::Bool(value) => ("bool", if value { b"True".to_vec() } else { b"False".to_vec() }),
            Value::Int(value) => ("int", value.to_string().into_bytes()),
            Value::Unsigned(_) => ("uint64", Vec::new()),
            Value::Float(value) => ("float", go_float(value).into_bytes()),
            Value::Time(value) => ("time", value.to_string().into_bytes()),
            Value::String(bytes) => ("str", bytes.to_vec()),
        },
    };
    TreeItem {
        kind: kind.to_owned(),
        text,
        key: node.key().map(|key| key.as_bytes().to_vec()),
        key_type: None,
        inline: node.is_inline(),
        length: node.children().count(),
    }
}

fn go_float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

#[test]
fn adhoc() {
    let (mut read, mut refused, mut differ) = (0, 0, 0);
    for line in std::fs::read_to_string(std::env::var("ADHOC").unwrap()).unwrap().lines() {
        let format = if line.ends_with(".json") { Format::Json } else { Format::Yaml };
        match compare(&std::fs::read(line).unwrap(), format) {
            Ok(true) => read += 1,
            Ok(false) => refused += 1,
            Err(difference) => {
                differ += 1;
                if differ < 40 {
                    println!("{line}: {difference}");
                }
            }
        }
    }
    println!("read {read} refused {refused} differ {differ}");
}
