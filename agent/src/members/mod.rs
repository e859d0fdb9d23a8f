//! The members' channel: HTTP over mutual TLS between agents of one cluster, on the cluster network only. What is
//! served here only members learn; what others may see is on port 80.

mod client;
mod server;

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::OnceCell;

pub use client::{AskError, Connection, Way};
pub use server::Server;

use crate::trust::{Identity, Seal, Trust};

/// TCP port of the channel: the one below Docker's (2375 to 2378 are its engine, its API with TLS, Swarm and the
/// cluster-wide endpoint). None of the cluster's other services has it, and the kernel never takes it for a port of an
/// outgoing connection. IANA lists a protocol for it (Hydra RPC) that no Pi is known to speak.
pub const PORT: u16 = 2374;

/// This node's side of the channel.
#[derive(Clone)]
pub struct Members(Arc<Node>);

struct Node {
    trust: Trust,
    hostname: String,
    identity: OnceCell<Identity>,
}

impl Members {
    /// For a node of this name.
    pub fn new(trust: Trust, hostname: &str) -> Self {
        Self(Arc::new(Node {
            trust,
            hostname: hostname.to_owned(),
            identity: OnceCell::new(),
        }))
    }

    /// What marks this cluster's announcements.
    pub fn seal(&self) -> Seal {
        self.0.trust.seal()
    }

    /// What this node shares with the other members.
    pub fn trust(&self) -> &Trust {
        &self.0.trust
    }

    /// The node's certificate, made when it is first needed. In another thread: the kernel may have no random numbers
    /// yet, and the node takes its role meanwhile.
    async fn identity(&self) -> anyhow::Result<&Identity> {
        let node = Arc::clone(&self.0);
        let make = || async move {
            let made = tokio::task::spawn_blocking(move || node.trust.identity(&node.hostname)).await;
            made.context("making this node's certificate")?
        };
        self.0.identity.get_or_try_init(make).await
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Members(..)")
    }
}
