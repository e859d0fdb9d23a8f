//! The one `.img` of a zip archive, as a reader that owns its file (those of the `zip` crate borrow the archive).

use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};

use flate2::bufread::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::{BUFFER_LEN, SourceError};

type Packed<R> = Take<BufReader<R>>;

/// Reads an entry; at its end, its checksum must be right.
pub(super) struct ZippedImage<R: Read> {
    data: Data<R>,
    found: crc32fast::Hasher,
    expected: u32,
}

enum Data<R: Read> {
    Stored(Packed<R>),
    Deflated(DeflateDecoder<BufReader<Packed<R>>>),
}

/// Finds the image in an archive; gives its reader and its unpacked length.
pub(super) fn open<R: Read + Seek>(name: &str, file: R) -> Result<(ZippedImage<R>, u64), SourceError> {
    let damaged = |error: zip::result::ZipError| SourceError::Damaged {
        name: name.to_owned(),
        reason: error.to_string(),
    };
    let io_error = |error| SourceError::Io {
        name: name.to_owned(),
        error,
    };
    let mut archive = ZipArchive::new(file).map_err(damaged)?;
    let index = image_in(name, &archive)?;
    let entry = archive.by_index_raw(index).map_err(damaged)?;
    let special = |how| SourceError::Entry {
        name: name.to_owned(),
        entry: String::from_utf8_lossy(entry.name_raw()).into_owned(),
        how,
    };
    if entry.encrypted() {
        return Err(special("encrypted"));
    }
    let (method, length, packed) = (entry.compression(), entry.size(), entry.compressed_size());
    let (Some(start), expected) = (entry.data_start(), entry.crc32()) else {
        return Err(special("without data"));
    };
    let deflated = match method {
        CompressionMethod::Stored => false,
        CompressionMethod::Deflated => true,
        _ => return Err(special("neither stored nor deflated")),
    };
    drop(entry);
    let mut file = archive.into_inner();
    file.seek(SeekFrom::Start(start)).map_err(io_error)?;
    let packed = BufReader::with_capacity(BUFFER_LEN, file).take(packed);
    let data = if deflated {
        Data::Deflated(DeflateDecoder::new(BufReader::with_capacity(BUFFER_LEN, packed)))
    } else {
        Data::Stored(packed)
    };
    let image = ZippedImage {
        data,
        found: crc32fast::Hasher::new(),
        expected,
    };
    Ok((image, length))
}

fn image_in<R: Read + Seek>(name: &str, archive: &ZipArchive<R>) -> Result<usize, SourceError> {
    let images: Vec<(usize, String)> = archive
        .file_names_raw()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .enumerate()
        .filter(|(_, entry)| is_image(entry))
        .collect();
    let name = name.to_owned();
    match images.as_slice() {
        [] => Err(SourceError::NoImage { name }),
        [(index, _)] => Ok(*index),
        several => {
            let entries: Vec<&str> = several.iter().map(|(_, entry)| entry.as_str()).collect();
            let entries = entries.join(", ");
            Err(SourceError::SeveralImages { name, entries })
        }
    }
}

/// macOS adds a `._` file with attributes for each file that it packs.
fn is_image(entry: &str) -> bool {
    let base = entry.rsplit('/').next().unwrap_or_default();
    base.to_ascii_lowercase().ends_with(".img") && !base.starts_with("._")
}

impl<R: Read> Read for ZippedImage<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.data {
            Data::Stored(data) => data.read(buffer)?,
            Data::Deflated(data) => data.read(buffer)?,
        };
        self.found.update(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && self.found.clone().finalize() != self.expected {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its checksum is wrong",
            ));
        }
        Ok(count)
    }
}
