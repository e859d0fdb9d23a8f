//! What the system asks of the daemon by signals.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Ended;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// SIGTERM, SIGINT.
    End,
    /// SIGHUP: take the settings as they are now.
    Reload,
}

impl From<Wish> for Ended {
    fn from(wish: Wish) -> Self {
        match wish {
            Wish::End => Self::BySignal,
            Wish::Reload => Self::Reload,
        }
    }
}

/// The signals that are listened to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("waiting for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }
}
