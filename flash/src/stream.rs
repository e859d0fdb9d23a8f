//! The image on its way to the cards: unpacked, hashed and looked through once, in blocks that all cards share.

use std::io::{self, Read};
use std::sync::Arc;

use disk_image::free::FreeMap;

use crate::hash::{CardHash, STEP};
use crate::write::BLOCK;

/// Shorter gaps are written: one large write is faster than two small ones.
const GAP_MIN: u32 = 4;

/// A part of the image.
#[derive(Clone, Debug)]
pub struct Block {
    /// Where it starts: a multiple of [`BLOCK`].
    pub at: u64,
    /// [`BLOCK`] bytes, fewer at the end of the image.
    pub bytes: Arc<[u8]>,
    /// A bit for each step of 64 KiB: whether the file system that it belongs to calls it free.
    pub free: u64,
}

/// What comes next.
#[derive(Clone, Debug)]
pub enum Piece {
    /// More of the image.
    Block(Block),
    /// Its end, and the [`CardHash`] of all of it but its head.
    End([u8; 32]),
}

/// Where a card's pieces come from.
pub trait Blocks {
    /// The next piece. After the end there is none.
    ///
    /// # Errors
    /// When the image cannot be read.
    fn next_piece(&mut self) -> io::Result<Piece>;
}

/// An image as it is unpacked.
pub struct Unpacked<R> {
    image: R,
    at: u64,
    head: usize,
    free: FreeMap,
    hash: CardHash,
}

impl<R: Read> Unpacked<R> {
    /// From the start of an image, whose first `head` bytes do not count for the hash. `free` is new.
    pub fn new(image: R, head: usize, free: FreeMap) -> Self {
        Self {
            image,
            at: 0,
            head,
            free,
            hash: CardHash::default(),
        }
    }
}

impl<R: Read> Blocks for Unpacked<R> {
    fn next_piece(&mut self) -> io::Result<Piece> {
        let mut bytes = Vec::with_capacity(BLOCK);
        self.image.by_ref().take(BLOCK as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(Piece::End(std::mem::take(&mut self.hash).finish()));
        }
        let at = self.at;
        self.free.observe(at, &bytes);
        let free = mask(&self.free, at, bytes.len());
        self.hash.update(at, &bytes, self.head, free);
        self.at += bytes.len() as u64;
        Ok(Piece::Block(Block {
            at,
            bytes: bytes.into(),
            free,
        }))
    }
}

/// Which steps of a block are free, of gaps that are worth it.
pub(crate) fn mask(free: &FreeMap, at: u64, length: usize) -> u64 {
    let mut mask = 0_u64;
    for (step, start) in (0..length).step_by(STEP).enumerate() {
        let end = (start + STEP).min(length);
        if free.is_free(at + start as u64, at + end as u64) {
            mask |= 1 << step;
        }
    }
    // Keeps runs of at least GAP_MIN bits.
    let starts = (1..GAP_MIN).fold(mask, |runs, by| runs & (mask >> by));
    (1..GAP_MIN).fold(starts, |runs, by| runs | (starts << by))
}

/// The runs of bytes of a block that are written: (from, until).
pub(crate) fn runs(length: usize, free: u64) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (step, start) in (0..length).step_by(STEP).enumerate() {
        if free >> step & 1 == 1 {
            continue;
        }
        let end = (start + STEP).min(length);
        match runs.last_mut() {
            Some((_, until)) if *until == start => *until = end,
            _ => runs.push((start, end)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_gaps_are_written() {
        let keep = |mask: u64| {
            let starts = (1..GAP_MIN).fold(mask, |runs, by| runs & (mask >> by));
            (1..GAP_MIN).fold(starts, |runs, by| runs | (starts << by))
        };
        for (mask, expected) in [
            (0b0111, 0),
            (0b1111, 0b1111),
            (0b1_1111_0110, 0b1_1111_0000),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(keep(mask), expected, "{mask:b}");
        }
        assert_eq!(runs(3 * STEP, 0), [(0, 3 * STEP)]);
        assert_eq!(runs(3 * STEP + 5, 0b0010), [(0, STEP), (2 * STEP, 3 * STEP + 5)]);
        assert_eq!(runs(STEP, 1), []);
    }

    #[test]
    fn the_end_has_the_hash_of_all() {
        let image = vec![7; BLOCK + 512];
        let mut unpacked = Unpacked::new(image.as_slice(), 512, FreeMap::none());
        let mut length = 0;
        loop {
            match unpacked.next_piece().unwrap() {
                Piece::Block(block) => {
                    assert_eq!((block.at, block.free), (length, 0));
                    length += block.bytes.len() as u64;
                }
                Piece::End(hash) => {
                    let mut expected = CardHash::default();
                    expected.update(0, &image[..BLOCK], 512, 0);
                    expected.update(BLOCK as u64, &image[BLOCK..], 512, 0);
                    assert_eq!((hash, length), (expected.finish(), image.len() as u64));
                    return;
                }
            }
        }
    }
}
