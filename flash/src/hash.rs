//! The hash by which what was read back is compared with what was written.

use sha2::{Digest, Sha256};

/// Zeros are looked for in steps of this size.
pub(crate) const STEP: usize = 64 * 1024;

/// SHA-256 over what is not zero, and over which steps are: half of a card image is zeros, and hashing them would
/// take longer than reading them. Both sides must give the same pieces.
#[derive(Debug, Default)]
pub(crate) struct CardHash(Sha256);

impl CardHash {
    /// Takes the next piece.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        for step in piece.chunks(STEP) {
            if is_zero(step) {
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
        pieces.iter().for_each(|piece| hash.update(piece));
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
}
