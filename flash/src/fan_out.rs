//! One image, unpacked once, for several cards.
//!
//! Each card has a queue of its own, and all of them share the blocks. A card for which the others have waited too long
//! is left behind: it empties its queue, then unpacks the image for itself. One that fails drops its queue. So none holds
//! up the others.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use crate::stream::{Blocks, Piece, Unpacked};

/// Blocks of 4 MiB that the fastest card may be ahead of the slowest: half a minute of a slow card's writing.
pub(crate) const QUEUE: usize = 8;
/// How often a full queue is looked at.
const STEP: Duration = Duration::from_millis(2);

type Queued = Result<Piece, (io::ErrorKind, String)>;

/// How long the others starve, in sum, before a card is left behind.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// An image that is unpacked from its start.
pub(crate) type Opened = Unpacked<Box<dyn Read + Send>>;

/// Reads the image for all cards.
pub(crate) struct Pump {
    lanes: Vec<Lane>,
    patience: Duration,
}

/// What the pump knows of a card.
struct Lane {
    queue: SyncSender<Queued>,
    waiting: Arc<AtomicUsize>,
    /// How long others starved because of it.
    held_up: Duration,
}

/// The image, as one card reads it.
pub(crate) struct Tap<'a> {
    queue: Receiver<Queued>,
    waiting: Arc<AtomicUsize>,
    /// Where the next block starts.
    at: u64,
    reopen: &'a (dyn Fn() -> io::Result<Opened> + Sync),
    own: Option<Opened>,
}

/// One pump with a tap for each of `count` cards. `reopen` opens the image once more, for a card that is left behind.
pub(crate) fn split(
    count: usize,
    patience: Duration,
    reopen: &(dyn Fn() -> io::Result<Opened> + Sync),
) -> (Pump, Vec<Tap<'_>>) {
    let (lanes, taps) = std::iter::repeat_with(|| {
        let (sender, queue) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let lane = Lane {
            queue: sender,
            waiting: Arc::clone(&waiting),
            held_up: Duration::ZERO,
        };
        let tap = Tap {
            queue,
            waiting,
            at: 0,
            reopen,
            own: None,
        };
        (lane, tap)
    })
    .take(count)
    .unzip();
    (Pump { lanes, patience }, taps)
}

impl Pump {
    /// Reads to the end of the image, or until no card is left.
    ///
    /// # Errors
    /// When the image cannot be read, which all cards are told.
    pub(crate) fn run(mut self, image: &mut impl Blocks) -> Result<(), io::ErrorKind> {
        while !self.lanes.is_empty() {
            let piece = image
                .next_piece()
                .map_err(|error| (error.kind(), error.to_string()));
            let last = !matches!(piece, Ok(Piece::Block(_)));
            self.send(&piece);
            if last {
                return piece.map(drop).map_err(|(kind, _)| kind);
            }
        }
        Ok(())
    }

    /// Gives a piece to all cards.
    fn send(&mut self, piece: &Queued) {
        let mut left: Vec<Lane> = std::mem::take(&mut self.lanes);
        while !left.is_empty() {
            let mut full = Vec::new();
            for lane in left {
                lane.waiting.fetch_add(1, Ordering::SeqCst);
                match lane.queue.try_send(piece.clone()) {
                    Ok(()) => self.lanes.push(lane),
                    Err(TrySendError::Full(_)) => {
                        lane.waiting.fetch_sub(1, Ordering::SeqCst);
                        full.push(lane);
                    }
                    // Its card has failed.
                    Err(TrySendError::Disconnected(_)) => {}
                }
            }
            let started = Instant::now();
            if !full.is_empty() {
                std::thread::sleep(STEP);
            }
            let starving = self
                .lanes
                .iter()
                .any(|lane| lane.waiting.load(Ordering::SeqCst) == 0);
            for lane in full.iter_mut().filter(|_| starving) {
                lane.held_up += started.elapsed();
            }
            full.retain(|lane| lane.held_up < self.patience);
            left = full;
        }
    }
}

impl Blocks for Tap<'_> {
    fn next_piece(&mut self) -> io::Result<Piece> {
        let piece = match &mut self.own {
            Some(own) => own.next_piece(),
            None => match self.queue.recv() {
                Ok(piece) => {
                    self.waiting.fetch_sub(1, Ordering::SeqCst);
                    piece.map_err(|(kind, reason)| io::Error::new(kind, reason))
                }
                Err(_) => self.go_on_alone(),
            },
        }?;
        if let Piece::Block(block) = &piece {
            self.at = block.at + block.bytes.len() as u64;
        }
        Ok(piece)
    }
}

impl Tap<'_> {
    /// Left behind: unpacks the image anew, up to where this card is.
    fn go_on_alone(&mut self) -> io::Result<Piece> {
        let mut own = (self.reopen)()?;
        loop {
            match own.next_piece()? {
                Piece::Block(block) if block.at < self.at => {}
                piece => {
                    self.own = Some(own);
                    return Ok(piece);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::BLOCK;
    use disk_image::free::FreeMap;
    use std::sync::mpsc::channel;

    const LENGTH: usize = 3 * QUEUE * BLOCK + 512;

    /// Blocks of which each is filled with its number, and at the end perhaps a damage.
    struct Image(usize, bool);

    impl Read for Image {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == LENGTH && self.1 {
                return Err(io::Error::other("x.xz is damaged"));
            }
            let count = buffer.len().min(LENGTH - self.0).min(BLOCK - self.0 % BLOCK);
            buffer[..count].fill((self.0 / BLOCK).to_le_bytes()[0]);
            self.0 += count;
            Ok(count)
        }
    }

    fn open() -> io::Result<Opened> {
        Ok(Unpacked::new(Box::new(Image(0, false)), 512, FreeMap::none()))
    }

    /// Reads to the end: length and hash.
    fn drain(tap: &mut Tap<'_>) -> io::Result<(u64, [u8; 32])> {
        loop {
            match tap.next_piece()? {
                Piece::Block(block) => assert_eq!(u64::from(block.bytes[0]), block.at / BLOCK as u64),
                Piece::End(hash) => return Ok((tap.at, hash)),
            }
        }
    }

    #[test]
    fn a_card_that_stands_still_is_left_behind_and_goes_on_by_itself() {
        let (pump, mut taps) = split(2, Duration::from_millis(50), &open);
        let (mut slow, mut fast) = (taps.pop().unwrap(), taps.pop().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| pump.run(&mut open().unwrap()));
            // The fast one ends, though nobody has read from the slow one.
            let fast = drain(&mut fast).unwrap();
            assert_eq!(fast.0, LENGTH as u64);
            assert!(slow.own.is_none());
            assert_eq!(drain(&mut slow).unwrap(), fast);
            assert!(slow.own.is_some());
        });
    }

    #[test]
    fn a_card_that_is_gone_is_not_waited_for_and_a_damage_is_told() {
        let (pump, mut taps) = split(2, Duration::from_secs(3600), &open);
        let (gone, mut other) = (taps.pop().unwrap(), taps.pop().unwrap());
        let (told, result) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut image = Unpacked::new(Image(0, true), 512, FreeMap::none());
                told.send(pump.run(&mut image)).unwrap();
            });
            drop(gone);
            assert_eq!(drain(&mut other).unwrap_err().to_string(), "x.xz is damaged");
        });
        assert_eq!(result.recv().unwrap(), Err(io::ErrorKind::Other));
    }
}
