//! What a card is to the code that writes it: a device, a file, or in tests one that fails as devices do.

use std::io::{self, Read, Seek, Write};

use anyhow::Result;

/// A card that is written to and read back. [`Write::flush`] brings everything to the card, not only to the system.
pub trait Medium: Read + Write + Seek {
    /// Whether it reads as zeros all over.
    fn is_blank(&self) -> bool;

    /// Gives a file the length of what was written, where none was settled before.
    ///
    /// # Errors
    /// When the file system refuses.
    fn settle(&mut self, size: u64) -> io::Result<()>;

    /// Writes out what is in the system's cache, and drops it, so that the next read asks the card.
    ///
    /// # Errors
    /// When the card did not take what was written.
    fn sync_and_forget(&mut self) -> Result<()>;
}
