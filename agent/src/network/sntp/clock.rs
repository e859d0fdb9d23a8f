//! The kernel's clock: read, asked whether anybody keeps it right, and stepped. The only file that touches it here.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

/// How sure the clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A time daemon keeps it synchronised; at most so far off.
    Synchronised(Duration),
    /// Nobody does.
    Unsynchronised,
}

/// A clock. The tests have one that they can turn.
pub trait Clock: Send + Sync {
    /// Time since 1970.
    fn now(&self) -> Duration;
    /// How sure that is.
    fn trust(&self) -> Trust;
    /// Sets the time since 1970.
    ///
    /// # Errors
    /// When the kernel refuses (CAP_SYS_TIME).
    fn set(&self, time: Duration) -> Result<()>;
}

/// The running kernel's.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelClock;

impl Clock for KernelClock {
    fn now(&self) -> Duration {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.unwrap_or_default()
    }

    fn trust(&self) -> Trust {
        // SAFETY: `timex` is a struct of integers, for which all zeros is a value.
        let mut state: libc::timex = unsafe { std::mem::zeroed() };
        // SAFETY: with `modes` 0 the kernel only writes into the struct, which is there for the whole call.
        let code = unsafe { libc::adjtimex(&raw mut state) };
        if code < 0 || code == libc::TIME_ERROR || state.status & libc::STA_UNSYNC != 0 {
            return Trust::Unsynchronised;
        }
        Trust::Synchronised(Duration::from_micros(u64::try_from(state.maxerror).unwrap_or(0)))
    }

    fn set(&self, time: Duration) -> Result<()> {
        // 32 bits on the ARM target: this fails from 2038 on instead of setting a wrong time.
        let seconds = time
            .as_secs()
            .try_into()
            .context("a time that this system cannot hold")?;
        // Below a thousand million, so it fits.
        let nanos = time.subsec_nanos() as libc::c_long;
        clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(seconds, nanos)).context("setting the clock")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A clock that stands still until it is turned.
    #[derive(Debug)]
    pub(in super::super) struct StillClock(pub(in super::super) Mutex<Duration>, pub(in super::super) Trust);

    impl StillClock {
        pub(in super::super) fn at(seconds: u64, trust: Trust) -> Self {
            Self(Mutex::new(Duration::from_secs(seconds)), trust)
        }
    }

    impl Clock for StillClock {
        fn now(&self) -> Duration {
            *self.0.lock().unwrap()
        }

        fn trust(&self) -> Trust {
            self.1
        }

        fn set(&self, time: Duration) -> Result<()> {
            *self.0.lock().unwrap() = time;
            Ok(())
        }
    }

    #[test]
    fn the_kernel_tells_its_time_and_how_sure_it_is() {
        assert!(KernelClock.now() > Duration::from_secs(1_700_000_000));
        if let Trust::Synchronised(error) = KernelClock.trust() {
            assert!(
                error < Duration::from_secs(20),
                "the kernel gives up at 16 s: {error:?}"
            );
        }
    }
}
