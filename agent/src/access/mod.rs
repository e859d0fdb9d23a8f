//! Who may do what over HTTP. Reading the status needs nothing on the cluster network; every change needs a login, which
//! root on a node gives out: a link for a browser, or a token for scripts. The guard stands in front of every route.

mod change_log;
mod guard;
mod limiter;
mod token;
mod vault;

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use change_log::{Change, ChangeLog};
pub use guard::{COOKIE, CSRF_HEADER, Gate, guard};
pub(crate) use guard::{session, too_many};
pub use token::Token;
pub use vault::{Grant, Listed, Vault};

use limiter::Limiter;

/// What somebody may do; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Whoever reaches the cluster network: sees the status.
    Anybody,
    /// Sees logs and the list of changes too.
    Reader,
    /// Changes the cluster.
    Administrator,
    /// Root on this node, through the Unix socket: gives out logins, runs commands.
    Root,
}

/// Where a request comes from; the server that took it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The Unix socket, and the user there.
    Local {
        /// The kernel's word for who connected.
        uid: u32,
    },
    /// The cluster network.
    Network(IpAddr),
}

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// For the list of changes.
    pub name: String,
    /// What they may do.
    pub level: Level,
}

/// All that is remembered about logins.
#[derive(Clone, Debug)]
pub struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    vault: Mutex<Vault>,
    limiter: Mutex<Limiter>,
    log: Mutex<ChangeLog>,
}

impl Access {
    /// With the tokens and changes that the state folder holds.
    pub fn open(state: &Path) -> Self {
        Self(Arc::new(Inner {
            vault: Mutex::new(Vault::open(state.join("tokens.json"))),
            limiter: Mutex::new(Limiter::default()),
            log: Mutex::new(ChangeLog::open(state.join("changes.json"))),
        }))
    }

    /// The links, sessions and tokens.
    pub fn vault(&self) -> MutexGuard<'_, Vault> {
        self.0.vault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who changed what.
    pub fn log(&self) -> MutexGuard<'_, ChangeLog> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.0.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many more wrong tries somebody has; an error says for how many seconds there are none.
    ///
    /// # Errors
    /// After too many wrong tries.
    pub fn may_try(&self, from: Option<Origin>) -> Result<(), u64> {
        match from {
            Some(Origin::Network(ip)) => self.limiter().may_try(Instant::now(), ip),
            Some(Origin::Local { .. }) | None => Ok(()),
        }
    }

    /// Notes a wrong try.
    pub fn note_wrong(&self, from: Option<Origin>) {
        if let Some(Origin::Network(ip)) = from {
            self.limiter().note(Instant::now(), ip);
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anybody => "anybody",
            Self::Reader => "reader",
            Self::Administrator => "administrator",
            Self::Root => "root",
        })
    }
}
