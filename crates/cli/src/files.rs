//! Files: read whole into memory that wipes itself, written whole or not at all, found in directories.

mod format;
mod read;
mod walk;
mod write;

pub(crate) use format::{
    FormatName, ManifestFormatName, format_of, format_of_content, manifest_format_of, manifest_format_of_name,
};
pub(crate) use read::{Origin, Source, read_all, read_bytes, read_file, read_selected};
pub(crate) use walk::{Selected, WalkArgs, select};
pub(crate) use write::{Readers, create, create_new, fresh_name, replace, replace_or_overwrite};
