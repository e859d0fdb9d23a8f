//! Progress lines of long work, on stderr: seconds since the start, then what is being done.

use std::time::Instant;

/// Prints progress lines.
#[derive(Clone, Debug)]
pub struct Progress {
    started: Instant,
}

impl Progress {
    /// Counts from now.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// Says what begins now.
    pub fn say(&self, what: impl std::fmt::Display) {
        eprintln!("[{:4} s] {what}", self.started.elapsed().as_secs());
    }
}
