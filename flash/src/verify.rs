//! Reads back what was written. Counterfeit cards take every write and keep a part.

use std::io::{self, Read, Seek, SeekFrom};

use crate::hash::CardHash;
use crate::write::{BLOCK, Watch, Written};

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
    let mut at = written.head.len() as u64;
    let fail = |at| move |error| VerifyError::Card { at, error };
    card.seek(SeekFrom::Start(at)).map_err(fail(at))?;
    let mut hash = CardHash::default();
    let mut block = vec![0; BLOCK];
    while at < written.length {
        if watch.interrupted() {
            return Err(VerifyError::Interrupted);
        }
        // Pieces as they were written: their ends are multiples of a block.
        let until = (at + 1).next_multiple_of(BLOCK as u64).min(written.length);
        let length = usize::try_from(until - at).unwrap_or(BLOCK);
        let part = &mut block[..length];
        card.read_exact(part).map_err(fail(at))?;
        hash.update(&*part);
        at += part.len() as u64;
        watch.advance(part.len() as u64);
    }
    if hash.finish() == written.hash {
        Ok(())
    } else {
        Err(VerifyError::Differs)
    }
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
    use crate::write::{Extent, write_body};
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
        let written = write_body(&mut card.as_slice(), &mut copy, extent, &Patient).unwrap();
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
