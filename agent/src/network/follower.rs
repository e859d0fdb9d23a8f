//! A node's regular look at the master's status: who is master, who are the other nodes.

use std::net::SocketAddrV4;
use std::time::Duration;

use boot_config::Hostname;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::jitter::Jitter;
use crate::http_client;
use crate::status::{Peer, Role};

/// Between two looks; at 100 nodes some 20 a second reach the master.
const EVERY: Duration = Duration::from_secs(5);
/// After a failed look.
const AGAIN: Duration = Duration::from_secs(1);
/// More peers than any pool of a /22 has are not believed.
const PEERS_MAX: usize = 1024;

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
    news: mpsc::Receiver<News>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Follows the master at this address, through this interface.
    pub fn start(master: SocketAddrV4, interface: String, mut jitter: Jitter) -> Self {
        let (sender, news) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            loop {
                let wait = match http_client::status_of_agent(master, &interface).await {
                    Ok(status) if status.role == Role::Master => {
                        let mut peers = status.peers;
                        peers.truncate(PEERS_MAX);
                        let master: Option<Hostname> = status.hostname.parse().ok();
                        let own = status.node_address.zip(status.mac);
                        let news = News {
                            master_node: own.map(|(address, mac)| Peer {
                                hostname: master.clone(),
                                address,
                                mac,
                            }),
                            master,
                            peers,
                        };
                        if sender.send(news).await.is_err() {
                            return;
                        }
                        EVERY
                    }
                    Ok(status) => {
                        tracing::debug!(role = %status.role, "who answers at the master's address is no master");
                        AGAIN
                    }
                    Err(error) => {
                        tracing::debug!("the master's status: {error:#}");
                        AGAIN
                    }
                };
                tokio::time::sleep(jitter.between(&(wait * 8 / 10..wait * 12 / 10))).await;
            }
        });
        Self { news, task }
    }

    /// Waits for the next news.
    pub async fn news(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}
