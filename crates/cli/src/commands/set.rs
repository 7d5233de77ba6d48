//! `bulla set`

use std::ffi::OsString;
use std::path::PathBuf;

use bulla_crypto::{SecretBytes, encoding};
use bulla_doc::{DEPTH_LIMIT, Document, Format, Tree};
use bulla_sops::{Change, KeyPath, NewValue};
use bulla_wipe::Wiping;

use crate::app::Failure;
use crate::commands::change::{ChangeArgs, change};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::key_path::PathText;
use crate::secret_data::is_encoded;
use crate::value::{ValueArgs, refuse_on_command_line};

/// Set one value of encrypted files, in place
///
/// The value comes from standard input, a file or a generator, or is asked for without echo, twice. Where a number, boolean or date stands
/// now it must be one, too; otherwise it becomes a text. Under `data` of a Kubernetes Secret it is stored in base64. Only its line, the MAC
/// and the date change. What does not exist yet is made; in a directory, files that do not have it are passed over.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  bulla set shop.yaml db.password                       asks for it
  bulla set --generate 32 shop.yaml db.password
  openssl rand -base64 24 | bulla set shop.yaml db.password
  bulla set --value-file tls.key secret.yaml data.tls.key
  bulla set --generate 32 secrets/ db.password          wherever there is one
  echo '{\"host\": \"a\", \"port\": 1}' | bulla set --json-value shop.yaml db.hosts[0]")]
pub(crate) struct SetArgs {
    /// Encrypted file; a pattern or a directory for several, which all get the same value
    file: PathBuf,

    /// Where: keys and indices, such as `db.hosts[0]`, or as SOPS writes them
    path: String,

    // Taken only to say why it is not.
    #[arg(hide = true)]
    on_the_command_line: Option<OsString>,

    /// The value is JSON: a number, true, null, a list, an object
    #[arg(long)]
    json_value: bool,

    /// The value is base64 already, for `data` of a Kubernetes Secret
    #[arg(long, conflicts_with = "json_value")]
    encoded: bool,

    #[command(flatten)]
    value: ValueArgs,

    #[command(flatten)]
    change: ChangeArgs,
}

pub(crate) fn set(cx: &Context, args: &SetArgs) -> Result<(), Failure> {
    if args.on_the_command_line.is_some() {
        return Err(refuse_on_command_line().into());
    }
    let path: PathText = args.path.parse()?;
    let value = args.value.read(&format!("Value for {}", args.path), cx)?;
    if args.json_value {
        // Before any file is opened.
        from_json(value.expose_secret())?;
    }
    change(cx, &args.file, &args.change, &[path], |document, mut paths| {
        let path = paths.remove(0);
        let value = if args.json_value {
            from_json(value.expose_secret())?
        } else if is_encoded(document, &path) {
            for_secret(&value, args.encoded, &path)?
        } else if args.encoded {
            return Err(CommandError::new(Exit::Usage, format!("`{path}` is not under `data` of a Secret"))
                .hint("leave out `--encoded`"));
        } else {
            from_text(value.expose_secret())?
        };
        Ok(vec![Change::Set { path, value }])
    })
}

/// What is stored under `data` of a Secret.
fn for_secret(value: &SecretBytes, is_encoded: bool, path: &KeyPath) -> Result<NewValue, CommandError> {
    if !is_encoded {
        return Ok(NewValue::Text(Wiping::new(encoding::encode(value.expose_secret()))));
    }
    // What is decoded is a secret, too.
    let decoded = encoding::decode_go(value.expose_secret()).map(SecretBytes::new);
    decoded.map_err(|error| {
        CommandError::new(Exit::Input, error)
            .at(format_args!("the value for `{path}`"))
            .hint("without `--encoded` it is encoded here")
    })?;
    from_text(value.expose_secret())
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
    let wrong =
        || CommandError::new(Exit::Input, "the value is not JSON").hint("without `--json-value` it is taken as text");
    let document = Document::parse(&object, Format::Json).map_err(|_| wrong())?;
    let root = document.branches().next().ok_or_else(wrong)?;
    // More than one entry: the value had a comma of its own.
    match (root.get("value"), root.children().count()) {
        (Some(node), 1) if node.is_deeper_than(DEPTH_LIMIT) => {
            Err(CommandError::new(Exit::Input, "the value nests deeper than 1,000 levels"))
        }
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
        let deep = format!("{}1{}", "[".repeat(9_990), "]".repeat(9_990));
        for text in ["", "hunter2", "1,\"b\":2", "1}{", "{\"a\":1", "'x'", &deep] {
            let error = from_json(text.as_bytes()).unwrap_err();
            assert_eq!(error.exit(), Exit::Input, "{text}");
        }
    }
}
