//! The image that is to be written, from wherever it comes: checked, and open for as long as it is needed, so that what
//! was checked is what is written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use disk_image::source::{Source, SourceError};

use crate::cache;
use crate::download::{self, Patience};
use crate::report::Voice;
use crate::trust::Checks;

/// An image file.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    file: Arc<File>,
}

impl Image {
    /// Opens a file, `-` for standard input, or a URL; downloads what is not there yet.
    ///
    /// # Errors
    /// When it cannot be had, or is not what `checks` expect.
    pub fn get(place: &str, checks: &Checks, patience: Patience, voice: Voice) -> Result<Self> {
        if download::is_url(place) {
            let file = download::get(place, checks, patience, voice)?;
            return Ok(Self::new(place, file));
        }
        let (name, file) = match place {
            "-" => ("standard input", standard_input()?),
            name => {
                let file = File::open(name).map_err(|error| SourceError::Io {
                    name: name.to_owned(),
                    error,
                })?;
                (name, file)
            }
        };
        checks.check(name, &file, || {
            std::fs::read_to_string(format!("{place}.minisig")).map_err(Into::into)
        })?;
        Ok(Self::new(name, file))
    }

    /// What was downloaded and is damaged must not be taken for good the next time.
    pub fn forget_if_damaged(&self, error: &anyhow::Error) {
        if error.is::<SourceError>() {
            self.forget();
        }
    }

    /// As [`Image::forget_if_damaged`], when it is known.
    pub fn forget(&self) {
        if download::is_url(&self.name) {
            // The failure itself is what the user is told.
            let _ = download::forget(&self.name);
        }
    }

    fn new(name: &str, file: File) -> Self {
        Self {
            name: name.to_owned(),
            file: Arc::new(file),
        }
    }

    /// As users know it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that holds it.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its unpacked bytes, from the start.
    ///
    /// # Errors
    /// When it is no card image.
    pub fn source(&self) -> Result<Source, SourceError> {
        let reader = Reader {
            file: Arc::clone(&self.file),
            position: 0,
        };
        Source::from_reader(&self.name, reader)
    }
}

/// A file as it is, or a copy of what a pipe gives: an image is looked at before it is written, and zip archives and
/// lengths are read from their end.
fn standard_input() -> Result<File> {
    // Opened anew, so that reading starts at its start.
    let this = File::open("/proc/self/fd/0").or_else(|_| File::open("/dev/stdin"));
    let mut this = this.context("reading standard input")?;
    if this.metadata().context("reading standard input")?.is_file() {
        return Ok(this);
    }
    let folder = cache::folder()?;
    let mut copy = tempfile::tempfile_in(&folder)
        .with_context(|| format!("making a copy of standard input in {}", folder.display()))?;
    io::copy(&mut this, &mut copy).with_context(|| {
        let folder = folder.display();
        format!("copying standard input to {folder}: give it as a file, or set XDG_CACHE_HOME to where there is room")
    })?;
    Ok(copy)
}

/// Reads a file at a position of its own.
struct Reader {
    file: Arc<File>,
    position: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => (&*self.file).seek(SeekFrom::End(0))?.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// Whether two files are the same one.
pub(crate) fn is_same(file: &File, other: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (this, other) = (file.metadata()?, std::fs::metadata(other)?);
    Ok((this.dev(), this.ino()) == (other.dev(), other.ino()))
}
