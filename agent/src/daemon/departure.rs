//! A node that is stopped leaves its cluster in order, before its network ends.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{sleep, timeout};

use crate::consul::run as consul;
use crate::engine::docker::Engine;
use crate::engine::run::Left;
use crate::stopped::Marker;

/// For Consul to leave and its container to go; a Pi takes some seconds.
const CONSUL_END: Duration = Duration::from_secs(45);
/// It is looked so often whether the node is to stop.
const LOOK_FOR_STOP: Duration = Duration::from_millis(500);

/// What it takes to leave.
pub(super) struct Departure {
    pub(super) engine: JoinHandle<Left>,
    /// Tells the engine's loop to end.
    pub(super) leave: watch::Sender<bool>,
    pub(super) consul: Option<AbortHandle>,
    pub(super) docker: Engine,
}

impl Departure {
    /// Leaves as soon as the node is stopped; a line for each thing that a user must know.
    pub(super) async fn when_stopped(self, marker: Marker) -> Vec<String> {
        while marker.read().is_none() {
            sleep(LOOK_FOR_STOP).await;
        }
        tracing::info!("this node is stopped: leaving the cluster");
        let mut notes = Vec::new();
        // First: Docker may end with the swarm.
        if let Some(task) = self.consul {
            task.abort();
            match timeout(CONSUL_END, consul::end(&self.docker)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::info!("consul: {error:#}"),
                Err(_) => notes
                    .push("Consul's container is still there: Docker did not remove it in time".to_owned()),
            }
        }
        self.leave.send_replace(true);
        if let Ok(left) = self.engine.await {
            notes.extend(left.leave().await);
        }
        notes
    }
}
