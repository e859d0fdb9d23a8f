//! The start of an image in memory, as a disk that can be tried out: settings are made there first, so that what an
//! image cannot take is known before the card is touched.
//!
//! The image is unpacked as far as it is looked at, and not further. Blocks of zeros take no memory.

use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::hash::{STEP as BLOCK, is_zero};

/// A boot partition holds a tenth of this. What is made to fill memory stops here.
const HELD_MAX: usize = 1024 * 1024 * 1024 / BLOCK;

/// An image of which only what was looked at is in memory. What is written stays in memory.
pub struct Peek<R> {
    image: R,
    blocks: Vec<Option<Box<[u8]>>>,
    held: usize,
    position: u64,
}

impl<R: Read> Peek<R> {
    /// A disk over an image that is read from its start.
    pub fn new(image: R) -> Self {
        Self {
            image,
            blocks: Vec::new(),
            held: 0,
            position: 0,
        }
    }

    /// Makes the block at the position available; its index, and the offset in it.
    fn load(&mut self) -> io::Result<(usize, usize)> {
        let block = BLOCK as u64;
        let index = usize::try_from(self.position / block).map_err(io::Error::other)?;
        let offset = usize::try_from(self.position % block).map_err(io::Error::other)?;
        while self.blocks.len() <= index {
            let mut bytes = vec![0; BLOCK];
            let mut filled = 0;
            while filled < BLOCK {
                match self.image.read(&mut bytes[filled..])? {
                    // What is beyond the end of the image is not there to be looked at.
                    0 if filled == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    0 => break,
                    count => filled += count,
                }
            }
            let block = (!is_zero(&bytes)).then(|| bytes.into_boxed_slice());
            self.held += usize::from(block.is_some());
            if self.held > HELD_MAX {
                return Err(io::Error::other("there is more on it than fits into memory"));
            }
            self.blocks.push(block);
        }
        Ok((index, offset))
    }
}

impl<R: Read> Read for Peek<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (index, offset) = self.load()?;
        let count = buffer.len().min(BLOCK - offset);
        match &self.blocks[index] {
            Some(block) => buffer[..count].copy_from_slice(&block[offset..offset + count]),
            None => buffer[..count].fill(0),
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl<R: Read> Write for Peek<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (index, offset) = self.load()?;
        let count = bytes.len().min(BLOCK - offset);
        let block = self.blocks[index].get_or_insert_with(|| vec![0; BLOCK].into_boxed_slice());
        block[offset..offset + count].copy_from_slice(&bytes[..count]);
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R> Seek for Peek<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(_) => None,
        };
        self.position = position.ok_or(io::ErrorKind::Unsupported)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_no_further_than_needed_and_keeps_what_is_written() {
        let mut image = vec![0; 10 * BLOCK];
        image[3 * BLOCK + 5] = 1;
        let mut rest = image.as_slice();
        let mut peek = Peek::new(&mut rest);
        peek.seek(SeekFrom::Start(3 * BLOCK as u64 + 4)).unwrap();
        let mut bytes = [9; 3];
        peek.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, [0, 1, 0]);
        peek.seek(SeekFrom::Start(BLOCK as u64 - 1)).unwrap();
        peek.write_all(&[7, 8]).unwrap();
        peek.seek(SeekFrom::Current(-2)).unwrap();
        peek.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, [7, 8, 0]);
        assert_eq!(rest.len(), 6 * BLOCK);
    }

    #[test]
    fn there_is_nothing_after_the_end() {
        let mut peek = Peek::new(&[1_u8, 2][..]);
        peek.seek(SeekFrom::Start(BLOCK as u64)).unwrap();
        assert_eq!(
            peek.read(&mut [0]).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
