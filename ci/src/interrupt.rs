//! Whether the person at the terminal wants the program to stop: checked where the lab waits, so that it can clean up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Set by SIGINT, SIGTERM and SIGHUP.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the signals set this instead of ending the program.
    ///
    /// # Errors
    /// When the program listens to them already.
    pub fn on_signals() -> Result<Self> {
        let interrupt = Self::default();
        let set = interrupt.0.clone();
        ctrlc::set_handler(move || set.store(true, Ordering::Relaxed)).context("listening to Ctrl-C")?;
        Ok(interrupt)
    }

    /// Whether it was set.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// When it was set.
    pub fn check(&self) -> Result<()> {
        if self.is_set() {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Sleeps, not longer than until it is set.
    ///
    /// # Errors
    /// When it was set.
    pub fn sleep(&self, time: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.check()?;
            std::thread::sleep(Duration::from_millis(50).min(time));
        }
        self.check()
    }
}
