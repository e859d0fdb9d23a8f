//! The hash by which what was read back is compared with what was written.

use sha2::{Digest, Sha256};

/// Zeros are looked for in steps of this size.
pub(crate) const STEP: usize = 64 * 1024;

/// SHA-256 over what is neither zero nor free, and over which steps are: half of a card image is zeros, and hashing them would
/// take longer than reading them. Both sides must give the same pieces.
#[derive(Debug, Default)]
pub(crate) struct CardHash(Sha256);

impl CardHash {
    /// Takes the next block, which starts at `at` of the image. What lies before `head` does not count, and of what is
    /// `free` (a bit for each step) only that it is.
    pub(crate) fn update(&mut self, at: u64, block: &[u8], head: usize, free: u64) {
        for (number, step) in block.chunks(STEP).enumerate() {
            let start = at + (number * STEP) as u64;
            let skipped = (head as u64).saturating_sub(start);
            let Some(step) = usize::try_from(skipped)
                .ok()
                .and_then(|skipped| step.get(skipped..))
            else {
                continue;
            };
            if free >> number & 1 == 1 {
                self.0.update([2]);
            } else if is_zero(step) {
                self.0.update([0]);
            } else {
                self.0.update([1]);
                self.0.update(step);
            }
        }
    }

    /// The hash of all pieces.
    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// Whether these bytes, at most [`STEP`], are all zero. One comparison of memory, which is fast in every build.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; STEP] = [0; STEP];
    ZEROS.get(..bytes.len()) == Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(pieces: &[&[u8]]) -> [u8; 32] {
        let mut hash = CardHash::default();
        let mut at = 0;
        for piece in pieces {
            hash.update(at, piece, 0, 0);
            at += piece.len() as u64;
        }
        hash.finish()
    }

    #[test]
    fn every_change_of_the_same_pieces_is_seen() {
        let zeros = [0; 3 * STEP];
        let mut other = zeros;
        for at in [0, STEP, 3 * STEP - 1] {
            other[at] = 1;
            assert_ne!(hash(&[&zeros]), hash(&[&other]), "{at}");
            other[at] = 0;
        }
        other[STEP] = 1;
        let mut moved = zeros;
        moved[2 * STEP] = 1;
        assert_ne!(hash(&[&moved]), hash(&[&other]));
        assert_eq!(hash(&[&other, &zeros]), hash(&[&other, &zeros]));
    }

    #[test]
    fn the_head_and_what_is_free_do_not_count() {
        let hash = |block: &[u8], free| {
            let mut hash = CardHash::default();
            hash.update(0, block, 100, free);
            hash.finish()
        };
        let (plain, mut other) = (vec![7; 3 * STEP], vec![7; 3 * STEP]);
        other[99] = 1;
        assert_eq!(hash(&plain, 0), hash(&other, 0));
        other[STEP + 5] = 1;
        assert_ne!(hash(&plain, 0), hash(&other, 0));
        assert_eq!(hash(&plain, 0b10), hash(&other, 0b10));
        assert_ne!(hash(&plain, 0b10), hash(&plain, 0));
    }
}
