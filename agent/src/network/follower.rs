//! A node's regular look at the master's status: who is master, who are the other nodes.

use std::net::SocketAddrV4;
use std::time::Duration;

use boot_config::Hostname;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::jitter::Jitter;
use crate::api::MEMBER_STATUS;
use crate::members::{AskError, Members, Way};
use crate::status::{Peer, Role, Status};

/// Between two looks; at 100 nodes some 20 a second reach the master.
const EVERY: Duration = Duration::from_secs(5);
/// After a failed look.
const AGAIN: Duration = Duration::from_secs(1);
/// More peers than any pool of a /22 has are not believed.
const PEERS_MAX: usize = 1024;

/// What came of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The master's own words.
    News(News),
    /// Who holds the master's address is no member of this node's cluster.
    OtherSecret,
}

/// What the master said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Its name, if it is one.
    pub master: Option<Hostname>,
    /// It itself with its own address, once it has one.
    pub master_node: Option<Peer>,
    /// The nodes that it knows of, this one among them.
    pub peers: Vec<Peer>,
}

/// A running follower; it ends when this is dropped.
#[derive(Debug)]
pub struct Follower {
    heard: mpsc::Receiver<Heard>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Follows the master at this address, through this interface.
    pub fn start(members: Members, master: SocketAddrV4, interface: String, mut jitter: Jitter) -> Self {
        let (sender, heard) = mpsc::channel(1);
        let mut way = Way::new(members, master, interface);
        let task = tokio::spawn(async move {
            loop {
                let (told, wait) = match way.ask::<Status>(MEMBER_STATUS).await {
                    Ok(status) if status.role == Role::Master => (Some(Heard::News(news(status))), EVERY),
                    Ok(status) => {
                        tracing::debug!(role = %status.role, "who answers at the master's address is no master");
                        (None, AGAIN)
                    }
                    Err(AskError::OtherSecret) => (Some(Heard::OtherSecret), EVERY),
                    Err(AskError::Failed(error)) => {
                        tracing::debug!("the master's status: {error:#}");
                        (None, AGAIN)
                    }
                };
                if let Some(told) = told
                    && sender.send(told).await.is_err()
                {
                    return;
                }
                tokio::time::sleep(jitter.between(&(wait * 8 / 10..wait * 12 / 10))).await;
            }
        });
        Self { heard, task }
    }

    /// Waits for what comes of the next look.
    pub async fn heard(&mut self) -> Heard {
        match self.heard.recv().await {
            Some(heard) => heard,
            None => std::future::pending().await,
        }
    }
}

fn news(status: Status) -> News {
    let mut peers = status.peers;
    peers.truncate(PEERS_MAX);
    let master: Option<Hostname> = status.hostname.parse().ok();
    let own = status.node_address.zip(status.mac);
    News {
        master_node: own.map(|(address, mac)| Peer {
            hostname: master.clone(),
            address,
            mac,
        }),
        master,
        peers,
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}
