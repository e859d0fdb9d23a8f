//! Reads back what was written. Counterfeit cards take every write and keep a part.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::mpsc::{channel, sync_channel};

use crate::hash::{CardHash, STEP};
use crate::stream::runs;
use crate::write::{BLOCK, Watch, Written};

/// Read at once: small enough that many cards fit into memory.
const PART: usize = 1024 * 1024;
/// In a block.
const PARTS: usize = BLOCK / PART;

/// Why what was read back does not count as written.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The card cannot be read.
    #[error("reading back at byte {at} of the card failed: {error}; the card is defective")]
    Card {
        /// Where.
        at: u64,
        /// What the system says.
        error: io::Error,
    },
    /// The card does not have what was written to it.
    #[error(
        "what was read back from the card is not what was written: the card is defective or a counterfeit"
    )]
    Differs,
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// Compares the card with all that [`crate::write::write_body`] wrote. The caller has dropped the system's caches.
///
/// # Errors
/// See [`VerifyError`].
pub fn body(card: &mut (impl Read + Seek), written: &Written, watch: &dyn Watch) -> Result<(), VerifyError> {
    let head = written.head.len();
    // Hashing takes as long as reading on a small computer, so it has a thread of its own.
    let (blocks, to_hash) = sync_channel::<(u64, Vec<u8>, u64)>(1);
    let (used, for_use) = channel::<Vec<u8>>();
    std::thread::scope(|scope| {
        let hashing = scope.spawn(move || {
            let mut hash = CardHash::default();
            for (at, block, free) in to_hash {
                hash.update(at, &block, head, free);
                // The reader may be gone.
                let _ = used.send(block);
            }
            hash.finish()
        });
        let parts = written
            .free
            .iter()
            .flat_map(|&free| (0..PARTS).map(move |part| free >> (part * PART / STEP)));
        let mut at = 0;
        for free in parts {
            if at >= written.length {
                break;
            }
            if watch.interrupted() {
                return Err(VerifyError::Interrupted);
            }
            let length = usize::try_from(written.length - at).unwrap_or(PART).min(PART);
            let mut block = for_use.try_recv().unwrap_or_else(|_| vec![0; PART]);
            block.resize(length, 0);
            for (from, until) in runs(length, free) {
                let from =
                    usize::try_from((head as u64).saturating_sub(at)).map_or(until, |head| from.max(head));
                if from < until {
                    let start = at + from as u64;
                    card.seek(SeekFrom::Start(start))
                        .and_then(|_| card.read_exact(&mut block[from..until]))
                        .map_err(|error| VerifyError::Card { at: start, error })?;
                }
            }
            let counted = length as u64 - (head as u64).saturating_sub(at).min(length as u64);
            if blocks.send((at, block, free)).is_err() {
                return Err(VerifyError::Differs);
            }
            at += length as u64;
            watch.advance(counted);
        }
        drop(blocks);
        match hashing.join() {
            Ok(hash) if hash == written.hash => Ok(()),
            _ => Err(VerifyError::Differs),
        }
    })
}

/// Compares the start of the card with what [`crate::write::finish`] wrote.
///
/// # Errors
/// See [`VerifyError`].
pub fn head(card: &mut (impl Read + Seek), head: &[u8]) -> Result<(), VerifyError> {
    let mut found = vec![0; head.len()];
    card.seek(SeekFrom::Start(0))
        .and_then(|_| card.read_exact(&mut found))
        .map_err(|error| VerifyError::Card { at: 0, error })?;
    if found == head {
        Ok(())
    } else {
        Err(VerifyError::Differs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Unpacked;
    use crate::write::{Extent, write_body};
    use disk_image::free::FreeMap;
    use std::io::Cursor;

    struct Patient;

    impl Watch for Patient {
        fn advance(&self, _: u64) {}

        fn interrupted(&self) -> bool {
            false
        }
    }

    #[test]
    fn one_wrong_bit_is_found() {
        let card = vec![7; BLOCK + 5000];
        let extent = Extent {
            card: None,
            head: 512,
            longest: u64::MAX,
            blank: false,
        };
        let mut copy = Cursor::new(Vec::new());
        let written = write_body(
            &mut Unpacked::new(card.as_slice(), 512, FreeMap::none()),
            &mut copy,
            extent,
            &Patient,
        )
        .unwrap();
        body(&mut Cursor::new(&card), &written, &Patient).unwrap();
        head(&mut Cursor::new(&card), &written.head).unwrap();
        for at in [0, 512, card.len() - 1] {
            let mut wrong = card.clone();
            wrong[at] ^= 0x10;
            let mut wrong = Cursor::new(wrong);
            let result = body(&mut wrong, &written, &Patient).and_then(|()| head(&mut wrong, &written.head));
            let message = result.unwrap_err().to_string();
            assert!(
                message.contains("not what was written: the card is defective or a counterfeit"),
                "{message}"
            );
        }
        let message = body(&mut Cursor::new(&card[1..]), &written, &Patient)
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("reading back at byte 4194304 of the card failed: "),
            "{message}"
        );
    }
}
