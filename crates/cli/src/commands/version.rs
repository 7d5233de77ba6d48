//! `bulla version`

use serde_json::json;

use crate::context::Context;
use crate::error::CommandError;

/// The versions whose files, objects and behaviour this one matches.
const MATCHES: [(&str, &str); 3] = [("sops", "3.13.3"), ("sealed-secrets", "0.38.4"), ("age", "1.3.1")];

/// Show the version, and which versions of others it matches
#[derive(Debug, clap::Args)]
pub(crate) struct VersionArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn version(cx: &Context, args: &VersionArgs) -> Result<(), CommandError> {
    let own = env!("CARGO_PKG_VERSION");
    if args.json {
        let matches: serde_json::Map<_, _> =
            MATCHES.iter().map(|(name, version)| ((*name).to_owned(), json!(version))).collect();
        return cx.print(format!("{}\n", json!({ "version": own, "matches": matches })).as_bytes());
    }
    let matches: Vec<String> = MATCHES.iter().map(|(name, version)| format!("{name} {version}")).collect();
    cx.print(format!("bulla {own}\nmatches {}\n", matches.join(", ")).as_bytes())
}
