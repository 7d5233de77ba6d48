//! What two runs of a line have in common, and what not.

use super::Aspect;
use super::setting::{Done, Setting};

/// How `ours` differs from `theirs`.
pub(crate) fn differences(theirs: &Done, ours: &Done) -> Vec<(Aspect, String)> {
    let mut found = Vec::new();
    if theirs.code != ours.code {
        found.push((Aspect::Code, format!("{:?}, ours {:?}", theirs.code, ours.code)));
    }
    if let Some(difference) = content(&theirs.stdout, &ours.stdout) {
        found.push((Aspect::Out, difference));
    }
    if theirs.stderr != ours.stderr {
        found.push((Aspect::Err, format!("\n    {}\n    {}", theirs.stderr, ours.stderr)));
    }
    let names = |done: &Done| done.files.keys().cloned().collect::<Vec<_>>();
    if names(theirs) == names(ours) {
        for (name, bytes) in &theirs.files {
            if let Some(difference) = content(bytes, &ours.files[name]) {
                found.push((Aspect::Files, format!("{name}: {difference}")));
            }
        }
    } else {
        let only = |these: &Done, those: &Done| {
            these.files.keys().filter(|name| !those.files.contains_key(*name)).cloned().collect::<Vec<_>>().join(" ")
        };
        found
            .push((Aspect::Files, format!("theirs alone: {}; ours alone: {}", only(theirs, ours), only(ours, theirs))));
    }
    found
}

/// `None` if both are the same, or open as the same.
fn content(theirs: &[u8], ours: &[u8]) -> Option<String> {
    if theirs == ours {
        return None;
    }
    let (shown_theirs, shown_ours) = (String::from_utf8_lossy(theirs), String::from_utf8_lossy(ours));
    let difference = || Some(format!("\n---\n{shown_theirs}\n---\n{shown_ours}\n---"));
    let (Some(format), Some(format_of_ours)) = (format_of(&shown_theirs), format_of(&shown_ours)) else {
        return difference();
    };
    if format != format_of_ours {
        return difference();
    }
    let setting = Setting::shared();
    let (theirs, ours) = (setting.decrypted(theirs, format), setting.decrypted(ours, format));
    if theirs.is_none() || theirs != ours {
        let show = |bytes: Option<Vec<u8>>| {
            bytes.map_or("does not open".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        return Some(format!("decrypted:\n---\n{}\n---\n{}\n---", show(theirs), show(ours)));
    }
    let names = |text: &str| -> Vec<String> {
        let fields = [
            "unencrypted_suffix",
            "encrypted_suffix",
            "unencrypted_regex",
            "encrypted_regex",
            "mac_only_encrypted",
            "recipient",
            "shamir_threshold",
        ];
        text.lines()
            .filter(|line| fields.iter().any(|field| line.contains(field)))
            .map(|line| line.trim().to_owned())
            .collect()
    };
    if names(&shown_theirs) == names(&shown_ours) { None } else { difference() }
}

/// The format of an encrypted file.
fn format_of(text: &str) -> Option<&'static str> {
    if text.contains("\"sops\": {") {
        Some(if text.contains("\"data\": \"ENC[") && !text.contains("\"db\"") { "binary" } else { "json" })
    } else if text.contains("\nsops:\n") {
        Some("yaml")
    } else if text.contains("sops_mac=") {
        Some("dotenv")
    } else if text.contains("[sops]") {
        Some("ini")
    } else {
        None
    }
}
