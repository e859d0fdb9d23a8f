//! One image, unpacked once, for several cards.
//!
//! Each card has a queue of its own. A slow one makes the others wait only when it is [`QUEUE`] blocks behind; blocks are
//! shared, so all queues together hold at most so many blocks and two more. A card that fails drops its queue and the
//! others go on.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::write::BLOCK;

/// Blocks of 4 MiB that the fastest card may be ahead of the slowest: half a minute of a slow card's writing.
pub(crate) const QUEUE: usize = 8;

/// The end of the image is an empty block.
type Piece = Result<Arc<[u8]>, (io::ErrorKind, String)>;

/// Reads the image for all cards.
pub(crate) struct Pump(Vec<SyncSender<Piece>>);

/// The image, as one card reads it.
pub(crate) struct Tap {
    queue: Receiver<Piece>,
    block: Arc<[u8]>,
    position: usize,
    /// The end was told: it stays the end, however often it is asked for.
    ended: bool,
}

/// One pump with a tap for each of `count` cards.
pub(crate) fn split(count: usize) -> (Pump, Vec<Tap>) {
    let (senders, taps) = std::iter::repeat_with(|| {
        let (sender, queue) = sync_channel(QUEUE);
        let tap = Tap {
            queue,
            block: Arc::new([]),
            position: 0,
            ended: false,
        };
        (sender, tap)
    })
    .take(count)
    .unzip();
    (Pump(senders), taps)
}

impl Pump {
    /// Reads to the end of the image, or until no card is left.
    ///
    /// # Errors
    /// When the image cannot be read, which all cards are told.
    pub(crate) fn run(mut self, image: &mut impl Read) -> Result<(), io::ErrorKind> {
        while !self.0.is_empty() {
            let mut block = Vec::with_capacity(BLOCK);
            let piece: Piece = match image.by_ref().take(BLOCK as u64).read_to_end(&mut block) {
                Ok(_) => Ok(block.into()),
                Err(error) => Err((error.kind(), error.to_string())),
            };
            let last = !matches!(&piece, Ok(block) if !block.is_empty());
            self.0.retain(|card| card.send(piece.clone()).is_ok());
            if last {
                return piece.map(drop).map_err(|(kind, _)| kind);
            }
        }
        Ok(())
    }
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        if self.position == self.block.len() {
            match self.queue.recv() {
                Ok(Ok(block)) if block.is_empty() => {
                    self.ended = true;
                    return Ok(0);
                }
                Ok(Ok(block)) => (self.block, self.position) = (block, 0),
                Ok(Err((kind, reason))) => return Err(io::Error::new(kind, reason)),
                Err(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = buffer.len().min(self.block.len() - self.position);
        buffer[..count].copy_from_slice(&self.block[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Counts the bytes that were read from it, and breaks after so many.
    struct Counted<'a>(&'a AtomicUsize, usize);

    impl Read for Counted<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let left = self.1 - self.0.load(Ordering::SeqCst);
            if left == 0 {
                return Err(io::Error::other("x.xz is damaged"));
            }
            let count = buffer.len().min(left);
            buffer[..count].fill(1);
            self.0.fetch_add(count, Ordering::SeqCst);
            Ok(count)
        }
    }

    #[test]
    fn the_end_is_the_end_however_often_it_is_asked_for() {
        let image = vec![7; BLOCK + 512];
        let (pump, mut taps) = split(1);
        let mut tap = taps.pop().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| pump.run(&mut &image[..]));
            let mut bytes = Vec::new();
            tap.read_to_end(&mut bytes).unwrap();
            assert!(bytes == image);
            assert_eq!(tap.read_to_end(&mut bytes).unwrap(), 0);
        });
    }

    #[test]
    fn a_slow_card_holds_up_the_others_when_its_queue_is_full_and_not_when_it_is_gone() {
        let read = AtomicUsize::new(0);
        let (pump, mut taps) = split(2);
        let (slow, mut fast) = (taps.pop().unwrap(), taps.pop().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| pump.run(&mut Counted(&read, 40 * BLOCK)));
            let reader = scope.spawn(move || {
                let mut bytes = vec![0; BLOCK];
                let mut count = 0;
                loop {
                    match fast.read_exact(&mut bytes) {
                        Ok(()) => count += 1,
                        Err(error) => return (count, error.to_string()),
                    }
                }
            });
            std::thread::sleep(Duration::from_millis(1500));
            assert_eq!(read.load(Ordering::SeqCst), (QUEUE + 1) * BLOCK);
            drop(slow);
            assert_eq!(reader.join().unwrap(), (40, "x.xz is damaged".to_owned()));
        });
    }
}
