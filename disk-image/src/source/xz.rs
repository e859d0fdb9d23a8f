//! The streams of an .xz file one after the other, the blocks of each unpacked on all processors.

use std::io::{self, BufRead, Read};

use liblzma::bufread::XzDecoder;
use liblzma::stream::MtStreamBuilder;

/// The most that one thread of the xz decoder may take: four times what files packed with `xz -9` need. A file that
/// asks for more was made to exhaust memory.
const XZ_MEMORY_MAX: u64 = 256 * 1024 * 1024;
/// With more than this, xz unpacks fewer blocks at once. `xz -T0` makes blocks of 24 MiB, which take some 40 MB each.
const XZ_MEMORY_PARALLEL: u64 = 256 * 1024 * 1024;
/// Reads all streams. The parallel decoder of the library ends after the first one.
pub(super) struct Streams<R> {
    state: State<R>,
}

enum State<R> {
    Between(R),
    In(XzDecoder<R>),
    /// After an error.
    Broken,
}

impl<R: BufRead> Streams<R> {
    /// `file` is at its start.
    pub(super) fn new(file: R) -> Self {
        let state = State::Between(file);
        Self { state }
    }
}

impl<R: BufRead> Read for Streams<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Broken) {
                State::Between(mut file) => {
                    if !skip_padding(&mut file)? {
                        self.state = State::Between(file);
                        return Ok(0);
                    }
                    self.state = State::In(XzDecoder::new_stream(file, decoder()?));
                }
                State::In(mut stream) => {
                    let count = stream.read(buffer)?;
                    if count > 0 {
                        self.state = State::In(stream);
                        return Ok(count);
                    }
                    self.state = State::Between(stream.into_inner());
                }
                State::Broken => return Err(io::Error::other("it was damaged before")),
            }
        }
    }
}

fn decoder() -> io::Result<liblzma::stream::Stream> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let decoder = MtStreamBuilder::new()
        .threads(u32::try_from(threads).unwrap_or(1))
        .memlimit_threading(XZ_MEMORY_PARALLEL)
        .memlimit_stop(XZ_MEMORY_MAX)
        .decoder()?;
    Ok(decoder)
}

/// Zeros may stand between streams. Whether anything follows.
fn skip_padding(file: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = file.fill_buf()?;
        let (zeros, all) = (bytes.iter().take_while(|&&byte| byte == 0).count(), bytes.len());
        file.consume(zeros);
        if all == 0 || zeros < all {
            return Ok(all != 0);
        }
    }
}
