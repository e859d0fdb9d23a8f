//! Packed streams: their decoders, and how long what they hold is.

use std::io::{self, BufReader, Read, Seek};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;

use super::BUFFER_LEN;
use super::packing::Format;
use super::{xz, xz_index, zstd_frames};

/// 128 MiB of window, the most that `zstd -d` takes without being told.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Length of what is unpacked, where the format says it; an error if the file is cut short.
pub(super) fn length(format: Format, file: &mut (impl Read + Seek), length: u64) -> io::Result<Option<u64>> {
    match format {
        Format::Gzip | Format::Bzip2 => Ok(None),
        Format::Xz => xz_index::length(file, length).map(Some),
        Format::Zstd => zstd_frames::length(file, length),
    }
}

/// The decoder. `file` is at its start.
pub(super) fn open(format: Format, file: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let file = BufReader::with_capacity(BUFFER_LEN, file);
    Ok(match format {
        Format::Gzip => Box::new(MultiGzDecoder::new(file)),
        Format::Bzip2 => Box::new(MultiBzDecoder::new(file)),
        Format::Xz => Box::new(xz::Streams::new(file)),
        Format::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(file)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}
