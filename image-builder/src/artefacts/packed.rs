//! The image as a zip archive, the form that people download. Same image, same bytes: the entry's time is fixed.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Speed over size: the difference to the best level is a few per cent of the archive and minutes of a build.
const LEVEL: i64 = 4;
/// From here on an entry needs the 64-bit form.
const LARGE: u64 = u32::MAX as u64;

/// Packs `image`, of `length` bytes, under the last component of `name`.
pub(super) fn write(name: &Path, length: u64, image: &mut File, archive: &mut File) -> Result<()> {
    let entry = name
        .file_name()
        .and_then(|name| name.to_str())
        .context("the image has no name")?;
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .large_file(length >= LARGE)
        .unix_permissions(0o644)
        .last_modified_time(DateTime::default());
    let mut writer = ZipWriter::new(BufWriter::with_capacity(1 << 20, archive));
    writer
        .start_file(entry, options)
        .context("starting the archive")?;
    std::io::copy(image, &mut BufWriter::with_capacity(1 << 20, &mut writer)).context("packing the image")?;
    let mut buffer = writer.finish().context("ending the archive")?;
    buffer.flush().context("writing the archive")
}
