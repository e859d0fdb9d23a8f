//! A card image as a stream of its uncompressed bytes, whatever it is packed in.
//!
//! What a file is, its content says, not its name: a raw image, a zip archive with one `.img` in it, or gzip, xz, zstd
//! or bzip2 (of any number of members, streams or frames). A file that is damaged or cut short gives an error before
//! the end, never a short success; checksums are compared at the end, so only who reads to the end may trust what was
//! read. Memory is bounded whatever a file says; how much comes out is for the reader to bound.

mod packed;
mod packing;
mod xz;
mod xz_index;
mod zipped;
mod zstd_frames;

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use crate::mbr::Sector;
use packing::Packing;

/// What is accepted, as said in errors.
const ACCEPTED: &str = "a raw .img, or one packed as .zip, .xz, .gz, .zst or .bz2";
const BUFFER_LEN: usize = 256 * 1024;

/// Why a file is not taken as a card image.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be opened or read.
    #[error("reading {name}: {error}")]
    Io {
        /// The file.
        name: String,
        /// What failed.
        error: io::Error,
    },
    /// Packed in a way that is not read here.
    #[error(
        "{name} is packed with {format}, which is not read here: unpack it first; what is taken is {ACCEPTED}"
    )]
    Format {
        /// The file.
        name: String,
        /// Name of the format.
        format: &'static str,
    },
    /// Neither packed nor with a partition table.
    #[error(
        "{name} is not a card image: there is no partition table at its start; what is taken is {ACCEPTED}"
    )]
    NotAnImage {
        /// The file.
        name: String,
    },
    /// A broken archive, or one whose entry cannot be read.
    #[error("{name} cannot be unpacked ({reason}): it is damaged or cut short; download it again")]
    Damaged {
        /// The file.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An archive without an image.
    #[error("there is no .img file in {name}")]
    NoImage {
        /// The file.
        name: String,
    },
    /// An archive with more than one image.
    #[error("there are several images in {name} ({entries}): unpack the one you want")]
    SeveralImages {
        /// The file.
        name: String,
        /// Their names.
        entries: String,
    },
    /// An archive packed in a way that is not read here.
    #[error("{entry} in {name} is {how}: pack it anew with zip's defaults")]
    Entry {
        /// The file.
        name: String,
        /// The image in it.
        entry: String,
        /// What is special about it.
        how: &'static str,
    },
}

/// The uncompressed bytes of a card image, from its start.
pub struct Source {
    name: String,
    inner: Box<dyn Read + Send>,
    first_sector: Sector,
    length: Option<u64>,
    done: u64,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("length", &self.length)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Opens an image file.
    ///
    /// # Errors
    /// When it cannot be read or is no card image, see [`SourceError`].
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::from_reader(&name, file),
            Err(error) => Err(SourceError::Io { name, error }),
        }
    }

    /// As [`Source::open`], for a file that is open already. `name` is for errors.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn from_reader(name: &str, mut file: impl Read + Seek + Send + 'static) -> Result<Self, SourceError> {
        let io_error = |error| SourceError::Io {
            name: name.to_owned(),
            error,
        };
        let mut start = Vec::new();
        file.by_ref().take(8).read_to_end(&mut start).map_err(io_error)?;
        let length = file.seek(SeekFrom::End(0)).map_err(io_error)?;
        file.seek(SeekFrom::Start(0)).map_err(io_error)?;
        let packing = Packing::of(&start);
        let damaged = |error: io::Error| SourceError::Damaged {
            name: name.to_owned(),
            reason: error.to_string(),
        };
        let (inner, length): (Box<dyn Read + Send>, _) = match packing {
            Packing::None => (Box::new(file), Some(length)),
            Packing::Zip => {
                let (reader, length) = zipped::open(name, file)?;
                (Box::new(reader), Some(length))
            }
            Packing::Stream(format) => {
                let length = packed::length(format, &mut file, length).map_err(damaged)?;
                file.seek(SeekFrom::Start(0)).map_err(io_error)?;
                (packed::open(format, file).map_err(damaged)?, length)
            }
            Packing::Other(format) => {
                let name = name.to_owned();
                return Err(SourceError::Format { name, format });
            }
        };
        Self::start(name, inner, length)
    }

    /// Reads the first sector, which must be a partition table, and puts it back.
    fn start(name: &str, mut inner: Box<dyn Read + Send>, length: Option<u64>) -> Result<Self, SourceError> {
        let mut first_sector: Sector = [0; 512];
        let read = inner.read_exact(&mut first_sector);
        let name = name.to_owned();
        match read {
            Ok(()) if first_sector.ends_with(&[0x55, 0xaa]) => Ok(Self {
                inner: Box::new(Cursor::new(first_sector).chain(inner)),
                name,
                first_sector,
                length,
                done: 0,
            }),
            Ok(()) => Err(SourceError::NotAnImage { name }),
            Err(error) if length.is_some_and(|length| length < 512) => {
                drop(error);
                Err(SourceError::NotAnImage { name })
            }
            Err(error) => Err(SourceError::Damaged {
                name,
                reason: error.to_string(),
            }),
        }
    }

    /// The length of the unpacked image in bytes. `None` for bzip2, for zstd that was packed from a pipe, and for gzip,
    /// whose trailer says it modulo 4 GiB only.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The sector that holds the partition table; reading the source gives it once more.
    pub fn first_sector(&self) -> &Sector {
        &self.first_sector
    }

    fn damaged(&self, kind: io::ErrorKind, reason: &str) -> io::Error {
        let name = self.name.clone();
        let reason = reason.to_owned();
        io::Error::new(kind, SourceError::Damaged { name, reason })
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.inner.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(self.damaged(error.kind(), &error.to_string())),
        };
        self.done += count as u64;
        let at_end = count == 0 && !buffer.is_empty();
        match self.length {
            Some(length) if self.done > length || (at_end && self.done < length) => {
                let reason = format!("{} of {length} bytes", self.done);
                Err(self.damaged(io::ErrorKind::UnexpectedEof, &reason))
            }
            _ => Ok(count),
        }
    }
}
