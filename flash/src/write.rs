//! Image to card: everything but the partition table, with its hash.
//!
//! The start of the card, where the table is, is cleared first and kept back until [`finish`]: whatever happens in
//! between, the card does not boot and nobody takes it for a good one.

use std::io::{self, Seek, SeekFrom, Write};

use crate::hash::{STEP, is_zero};
use crate::stream::{Block, Blocks, Piece, runs};

/// Bytes of one write. Cards erase in blocks of this size.
pub const BLOCK: usize = 4 * 1024 * 1024;

/// Whoever looks on: is told of progress, and may say stop.
pub trait Watch {
    /// So many more bytes are done.
    fn advance(&self, bytes: u64);
    /// Whether the user wants to stop.
    fn interrupted(&self) -> bool;
}

/// What a card that is written to has of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Size of the card; `None` for a file that grows as needed.
    pub card: Option<u64>,
    /// Bytes at the start that are kept back.
    pub head: usize,
    /// Longest image that makes sense for its partition table: what unpacks to more is no card image.
    pub longest: u64,
    /// Whether the card reads as zeros already, so that zeros need not be written. Never so on a used card.
    pub blank: bool,
}

/// What was written, and what is still to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The start of the image, kept back.
    pub head: Vec<u8>,
    /// Length of the image.
    pub length: u64,
    /// Hash of the image without `head`.
    pub hash: [u8; 32],
    /// What was left out, for each block: see [`Block::free`].
    pub free: Vec<u64>,
}

/// Why writing stopped.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The image cannot be read.
    #[error("{0}")]
    Image(io::Error),
    /// The card cannot be written.
    #[error("writing at byte {at} of the card failed: {error}; try another reader or card")]
    Card {
        /// Where.
        at: u64,
        /// What the system says.
        error: io::Error,
    },
    /// There is no room behind a virtual card.
    #[error("no space left at byte {0} of the card: use a larger card, or make room where its file is")]
    Full(u64),
    /// What is unpacked does not end where its partitions do.
    #[error("the image goes on far behind its last partition, past byte {0}: it is damaged or no card image")]
    Endless(u64),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl WriteError {
    fn at(at: u64) -> impl Fn(io::Error) -> Self {
        move |error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::WriteZero | io::ErrorKind::FileTooLarge => {
                Self::Full(at)
            }
            _ => Self::Card { at, error },
        }
    }
}

/// Zeros over the place of the partition table.
///
/// # Errors
/// [`WriteError::Card`].
pub fn clear_head(card: &mut (impl Write + Seek), head: usize) -> Result<(), WriteError> {
    card.seek(SeekFrom::Start(0))
        .and_then(|_| card.write_all(&vec![0; head]))
        .and_then(|()| card.flush())
        .map_err(WriteError::at(0))
}

/// Writes the image except for its first [`Extent::head`] bytes, and what its file systems call free.
///
/// # Errors
/// On the first failure of either side, or when the image is larger than the card.
pub fn write_body(
    image: &mut impl Blocks,
    card: &mut (impl Write + Seek),
    extent: Extent,
    watch: &dyn Watch,
) -> Result<Written, WriteError> {
    let mut written = Written {
        head: Vec::new(),
        length: 0,
        hash: [0; 32],
        free: Vec::new(),
    };
    loop {
        let Block { at, bytes, free } = match image.next_piece().map_err(WriteError::Image)? {
            Piece::Block(block) => block,
            Piece::End(hash) => {
                card.flush().map_err(WriteError::at(written.length))?;
                return Ok(Written { hash, ..written });
            }
        };
        if watch.interrupted() {
            return Err(WriteError::Interrupted);
        }
        written.length = at + bytes.len() as u64;
        if let Some(card) = extent.card.filter(|&card| card < written.length) {
            return Err(WriteError::Full(card));
        }
        if written.length > extent.longest {
            return Err(WriteError::Endless(extent.longest));
        }
        let head = (extent.head - written.head.len()).min(bytes.len());
        written.head.extend(&bytes[..head]);
        // Nobody gains from free bytes of a card that is zero there.
        let left_out = if extent.blank { 0 } else { free };
        for (from, until) in runs(bytes.len(), left_out) {
            let from = from.max(head);
            if from < until {
                put(card, at + from as u64, &bytes[from..until], extent.blank)?;
            }
        }
        written.free.push(free);
        watch.advance(bytes.len() as u64);
    }
}

/// Writes what was kept back, its first sector last: with that, the card is whole.
///
/// # Errors
/// When the card fails. It has no partition table then, as far as it can be told to.
pub fn finish(card: &mut (impl Write + Seek), head: &[u8]) -> Result<(), WriteError> {
    let (first, rest) = head.split_at(512.min(head.len()));
    put(card, 512, rest, false)?;
    card.flush().map_err(WriteError::at(512))?;
    put(card, 0, first, false)?;
    card.flush().map_err(WriteError::at(0))
}

fn put(card: &mut (impl Write + Seek), at: u64, bytes: &[u8], blank: bool) -> Result<(), WriteError> {
    let step = if blank { STEP } else { BLOCK };
    let mut at = at;
    for part in bytes.chunks(step) {
        if !blank || !is_zero(part) {
            card.seek(SeekFrom::Start(at))
                .and_then(|_| card.write_all(part))
                .map_err(WriteError::at(at))?;
        }
        at += part.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Unpacked;
    use disk_image::free::FreeMap;
    use std::io::{Cursor, Read};
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Looker {
        done: AtomicU64,
        stop_after: u64,
    }

    impl Watch for Looker {
        fn advance(&self, bytes: u64) {
            self.done.fetch_add(bytes, Ordering::Relaxed);
        }

        fn interrupted(&self) -> bool {
            self.done.load(Ordering::Relaxed) >= self.stop_after
        }
    }

    fn looker(stop_after: u64) -> Looker {
        Looker {
            done: AtomicU64::new(0),
            stop_after,
        }
    }

    fn blocks<R: Read>(image: R) -> Unpacked<R> {
        Unpacked::new(image, HEAD, FreeMap::none())
    }

    fn image(length: usize) -> Vec<u8> {
        (0..length)
            .map(|i| {
                if i / 100_000 % 3 == 1 {
                    0
                } else {
                    (i % 251).to_le_bytes()[0]
                }
            })
            .collect()
    }

    const HEAD: usize = 1024 * 1024;

    fn extent(card: u64, blank: bool) -> Extent {
        Extent {
            card: Some(card),
            head: HEAD,
            longest: u64::MAX,
            blank,
        }
    }

    #[test]
    fn a_used_card_is_overwritten_and_has_its_table_last() {
        let image = image(2 * BLOCK + 1234);
        let mut card = Cursor::new(vec![0xaa; 3 * BLOCK]);
        clear_head(&mut card, HEAD).unwrap();
        let extent = extent(3 * BLOCK as u64, false);
        let looker = looker(u64::MAX);
        let written = write_body(&mut blocks(image.as_slice()), &mut card, extent, &looker).unwrap();
        assert_eq!(written.length, image.len() as u64);
        assert_eq!(looker.done.into_inner(), written.length);
        assert!(
            card.get_ref()[..HEAD].iter().all(|&byte| byte == 0),
            "the table came too early"
        );
        crate::verify::body(&mut Cursor::new(&image), &written, &self::looker(u64::MAX)).unwrap();
        finish(&mut card, &written.head).unwrap();
        assert!(card.get_ref()[..image.len()] == image);
        assert!(card.get_ref()[image.len()..].iter().all(|&byte| byte == 0xaa));
    }

    #[test]
    fn zeros_are_left_out_on_a_blank_card_only() {
        let image = image(BLOCK);
        for (before, blank, same) in [(0, true, true), (0xaa, false, true), (0xaa, true, false)] {
            let mut card = Cursor::new(vec![before; BLOCK]);
            let extent = extent(BLOCK as u64, blank);
            let written = write_body(
                &mut blocks(image.as_slice()),
                &mut card,
                extent,
                &looker(u64::MAX),
            )
            .unwrap();
            finish(&mut card, &written.head).unwrap();
            assert_eq!(*card.get_ref() == image, same, "{before} {blank}");
        }
    }

    #[test]
    fn a_card_whose_writing_stopped_has_no_table() {
        struct Fails<'a>(&'a [u8]);
        impl Read for Fails<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                match self.0.read(buffer)? {
                    0 => Err(io::Error::other("x.zip cannot be unpacked")),
                    count => Ok(count),
                }
            }
        }
        let image = image(4 * BLOCK);
        let whole = image.len() as u64;
        for (size, stop_after, fails, expected) in [
            (whole, BLOCK as u64, false, "interrupted"),
            (whole, u64::MAX, true, "x.zip cannot be unpacked"),
            (
                whole - 1,
                u64::MAX,
                false,
                "no space left at byte 16777215 of the card: use a larger card",
            ),
        ] {
            let mut card = Cursor::new(vec![0xaa; image.len()]);
            clear_head(&mut card, HEAD).unwrap();
            let mut reader: Box<dyn Read + Send> = if fails {
                Box::new(Fails(&image))
            } else {
                Box::new(image.as_slice())
            };
            let error = write_body(
                &mut blocks(&mut reader),
                &mut card,
                extent(size, false),
                &looker(stop_after),
            )
            .unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
            assert!(card.get_ref()[..HEAD].iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn an_image_that_never_ends_is_given_up() {
        let mut card = Cursor::new(Vec::new());
        let extent = Extent {
            card: None,
            longest: 2 * BLOCK as u64,
            ..extent(0, true)
        };
        let error = write_body(&mut blocks(io::repeat(0)), &mut card, extent, &looker(u64::MAX)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the image goes on far behind its last partition, past byte 8388608: it is damaged or no card image"
        );
    }

    #[test]
    fn a_failing_card_is_said_with_its_place() {
        let mut card = Cursor::new([0_u8; 100]);
        let message = clear_head(&mut card, 512).unwrap_err().to_string();
        assert!(
            message.starts_with("no space left at byte 0 of the card"),
            "{message}"
        );
    }
}
