//! Which format a file is in: what the user says, else its suffix, else (standard input) how it begins.

use std::path::Path;

use bulla_doc::Format;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::files::Source;

/// A format, as it is named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FormatName {
    Yaml,
    Json,
    Dotenv,
    Ini,
    Binary,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Yaml => Self::Yaml,
            FormatName::Json => Self::Json,
            FormatName::Dotenv => Self::Dotenv,
            FormatName::Ini => Self::Ini,
            FormatName::Binary => Self::Binary,
        }
    }
}

/// A format of Kubernetes' manifests, as it is named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ManifestFormatName {
    Yaml,
    Json,
}

impl From<ManifestFormatName> for Format {
    fn from(name: ManifestFormatName) -> Self {
        match name {
            ManifestFormatName::Yaml => Self::Yaml,
            ManifestFormatName::Json => Self::Json,
        }
    }
}

/// The format that the suffix of `path` tells. Case counts, as it does to SOPS.
pub(crate) fn format_of_name(path: &Path) -> Option<Format> {
    // `.env` by itself is a suffix, too.
    let name = path.file_name()?.to_str()?;
    let suffixes = [
        (".yaml", Format::Yaml),
        (".yml", Format::Yaml),
        (".json", Format::Json),
        (".env", Format::Dotenv),
        (".ini", Format::Ini),
    ];
    suffixes.into_iter().find(|(suffix, _)| name.ends_with(suffix)).map(|(_, format)| format)
}

/// The format that the suffix tells, of a file that may hold objects of Kubernetes.
pub(crate) fn manifest_format_of_name(path: &Path) -> Option<Format> {
    format_of_name(path).filter(|format| matches!(format, Format::Yaml | Format::Json))
}

/// The format of a file with objects of Kubernetes.
///
/// # Errors
/// [`Exit::Usage`] for a file whose suffix does not tell it.
pub(crate) fn manifest_format_of(source: &Source) -> Result<Format, CommandError> {
    match source.origin.path() {
        Some(path) => manifest_format_of_name(path).ok_or_else(|| {
            CommandError::new(Exit::Usage, "its name does not tell its format: `.yaml`, `.yml` and `.json` do")
                .hint("give it to standard input, where its content tells")
                .at(&source.origin)
        }),
        None => Ok(format_of_content(&source.bytes)),
    }
}

/// The format of `source`. `name` is what it is called if that is not its own name.
///
/// # Errors
/// [`Exit::Usage`] for a file whose suffix says nothing.
pub(crate) fn format_of(
    source: &Source,
    stated: Option<FormatName>,
    name: Option<&Path>,
) -> Result<Format, CommandError> {
    if let Some(stated) = stated {
        return Ok(stated.into());
    }
    match name.or(source.origin.path()) {
        Some(path) => format_of_name(path).ok_or_else(|| {
            CommandError::new(
                Exit::Usage,
                "its name does not tell its format: `.yaml`, `.yml`, `.json`, `.env` and `.ini` do",
            )
            .hint(
                "say it: `--input-type yaml`, or json, dotenv, ini; `--input-type binary` takes any file as one value",
            )
            .at(&source.origin)
        }),
        None => Ok(format_of_content(&source.bytes)),
    }
}

/// The format that content of no telling name is in. An object of JSON begins with a brace; YAML rarely does.
pub(crate) fn format_of_content(bytes: &[u8]) -> Format {
    match bytes.trim_ascii_start().first() {
        Some(b'{') => Format::Json,
        _ => Format::Yaml,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Origin;
    use bulla_wipe::Wiping;

    #[test]
    fn the_format_is_what_is_said_then_the_suffix_then_the_beginning() {
        use FormatName::{Binary, Json, Yaml};
        let source = |path: Option<&str>, text: &str| Source {
            origin: path.map_or(Origin::Stdin, |path| Origin::File(path.into())),
            bytes: Wiping::new(text.as_bytes().to_vec()),
        };
        for (path, text, stated, name, expected) in [
            (Some("a.yaml"), "{}", None, None, Some(Format::Yaml)),
            (Some("a.yml"), "{}", Some(Json), None, Some(Format::Json)),
            (Some("a.txt"), "{}", None, Some("b.json"), Some(Format::Json)),
            (Some("a.txt"), "{}", None, None, None),
            (Some("a.YAML"), "{}", None, None, None),
            (Some(".env"), "A=1", None, None, Some(Format::Dotenv)),
            (Some("d/production.env"), "A=1", None, None, Some(Format::Dotenv)),
            (Some(".env.local"), "A=1", None, None, None),
            (Some("a.ini"), "", None, None, Some(Format::Ini)),
            (Some("a.key"), "", Some(Binary), None, Some(Format::Binary)),
            (Some("a"), "a: 1", Some(Yaml), None, Some(Format::Yaml)),
            (None, " \n{}", None, None, Some(Format::Json)),
            (None, "a: 1", None, None, Some(Format::Yaml)),
            (None, "", None, Some("a.json"), Some(Format::Json)),
        ] {
            let format = format_of(&source(path, text), stated, name.map(Path::new));
            assert_eq!(format.ok(), expected, "{path:?} {text}");
        }
    }
}
