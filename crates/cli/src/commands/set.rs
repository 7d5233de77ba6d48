//! `bulla set`

use std::path::PathBuf;

use bulla_doc::{Document, Format, Tree};
use bulla_sops::{Change, KeyPath, NewValue};
use bulla_wipe::Wiping;

use crate::commands::change::{ChangeArgs, change};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::value::ValueArgs;

/// Set one value of an encrypted file, in place
///
/// The value comes from standard input, or is asked for without echo. Where a number, boolean or date stands now it must be one, too;
/// otherwise it becomes a text. Only its line, the MAC and the date change. What does not exist yet is made.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla set shop.yaml '[\"db\"][\"password\"]'                       asks for it
  openssl rand -base64 24 | bulla set shop.yaml '[\"db\"][\"password\"]'
  bulla set --value-file tls.key shop.yaml '[\"tls\"][\"key\"]'
  echo '{\"host\": \"a\", \"port\": 1}' | bulla set --json shop.yaml '[\"db\"][\"hosts\"][0]'")]
pub(crate) struct SetArgs {
    /// Encrypted file
    file: PathBuf,

    /// Where: keys in quotes and indices, each in brackets
    path: String,

    /// The value is JSON: a number, true, null, a list, an object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    value: ValueArgs,

    #[command(flatten)]
    change: ChangeArgs,
}

pub(crate) fn set(cx: &Context, args: &SetArgs) -> Result<(), CommandError> {
    let path: KeyPath = args.path.parse()?;
    let value = args.value.read(&format!("Value for {path}"), cx)?;
    let value = if args.json { from_json(value.expose_secret())? } else { from_text(value.expose_secret())? };
    change(cx, &args.file, &args.change, vec![Change::Set { path, value }])
}

fn from_text(value: &[u8]) -> Result<NewValue, CommandError> {
    let text = std::str::from_utf8(value).map_err(|_| {
        CommandError::new(Exit::Input, "the value is not UTF-8 text")
            .hint("encode it in base64, as Kubernetes does under `data`")
    })?;
    Ok(NewValue::Text(Wiping::new(text.to_owned())))
}

fn from_json(value: &[u8]) -> Result<NewValue, CommandError> {
    const BEFORE: &[u8] = b"{\"value\":";
    let mut object = Wiping::new(Vec::with_capacity(BEFORE.len() + value.len() + 1));
    object.extend_from_slice(BEFORE);
    object.extend_from_slice(value);
    object.push(b'}');
    let wrong = || CommandError::new(Exit::Input, "the value is not JSON").hint("without `--json` it is taken as text");
    let document = Document::parse(&object, Format::Json).map_err(|_| wrong())?;
    let root = document.branches().next().ok_or_else(wrong)?;
    // More than one entry: the value had a comma of its own.
    match (root.get("value"), root.children().count()) {
        (Some(node), 1) => Ok(NewValue::Tree(Tree::copy_of(node))),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulla_doc::Scalar;

    #[test]
    fn json_keeps_its_types() {
        for (text, expected) in [
            ("42\n", Tree::Scalar(Scalar::Int(42))),
            ("4.5", Tree::Scalar(Scalar::Float(4.5))),
            ("\"42\"", Tree::string("42")),
            (" true ", Tree::Scalar(Scalar::Bool(true))),
            ("null", Tree::Scalar(Scalar::Null)),
            ("[1]", Tree::sequence([Tree::Scalar(Scalar::Int(1))])),
            ("{\"a\":{}}", Tree::mapping([("a", Tree::Mapping(Vec::new()))])),
        ] {
            let Ok(NewValue::Tree(tree)) = from_json(text.as_bytes()) else { panic!("{text}") };
            assert_eq!(tree, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_value_is_refused() {
        for text in ["", "hunter2", "1,\"b\":2", "1}{", "{\"a\":1", "'x'"] {
            let error = from_json(text.as_bytes()).unwrap_err();
            assert_eq!(error.exit(), Exit::Input, "{text}");
        }
    }
}
