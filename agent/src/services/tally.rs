//! Keeps the counters in the swarm, and counts while this node leads it.

use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters::UpdateSwarmOptions;
use tokio::sync::watch;

use super::counters::Counters;
use super::docker::{Failure, Swarm};
use super::seen::Overview;
use super::spec::epoch_seconds;
use crate::engine::run::SwarmPart;
use crate::events::{self, Events};
use crate::status::Status;

/// The swarm's label.
const LABEL: &str = "cluster-lab.counters";
/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(5);
/// Somebody else wrote in between.
const TRIES: usize = 4;

/// The counters, and since when there is a swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The counters.
    pub counters: Counters,
    /// Seconds since 1970.
    pub since: u64,
}

impl Swarm {
    /// The counters.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn tally(&self) -> Result<Tally, Failure> {
        let docker = self.client().await?;
        let swarm = docker.inspect_swarm().await?;
        let labels = swarm.spec.and_then(|spec| spec.labels).unwrap_or_default();
        Ok(Tally {
            counters: labels.get(LABEL).map(|text| parse(text)).unwrap_or_default(),
            since: swarm
                .created_at
                .as_deref()
                .and_then(epoch_seconds)
                .unwrap_or_default(),
        })
    }

    /// Changes the counters, unless they stay the same.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn count(&self, count: impl Fn(&mut Counters)) -> Result<(), Failure> {
        let docker = self.client().await?;
        let mut tries = TRIES;
        loop {
            let swarm = docker.inspect_swarm().await?;
            let mut spec = swarm.spec.unwrap_or_default();
            let labels = spec.labels.get_or_insert_default();
            let old = labels.get(LABEL).map(|text| parse(text)).unwrap_or_default();
            let mut new = old.clone();
            count(&mut new);
            if new == old {
                return Ok(());
            }
            let text = serde_json::to_string(&new).map_err(|error| Failure::Docker(error.to_string()))?;
            labels.insert(LABEL.to_owned(), text);
            let version = swarm
                .version
                .and_then(|version| version.index)
                .unwrap_or_default();
            let options = UpdateSwarmOptions {
                version: i64::try_from(version).unwrap_or(i64::MAX),
                ..UpdateSwarmOptions::default()
            };
            tries -= 1;
            match docker.update_swarm(spec, options).await {
                Ok(()) => return Ok(()),
                Err(error) if tries == 0 => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

fn parse(text: &str) -> Counters {
    serde_json::from_str(text).unwrap_or_default()
}

/// Counts and tells what happens, for ever, while this node leads the swarm.
pub async fn watch(swarm: Swarm, status: watch::Receiver<Arc<Status>>, happened: Events) {
    let mut before: Option<Overview> = None;
    loop {
        tokio::time::sleep(INTERVAL).await;
        if status.borrow().engine.swarm != SwarmPart::Leader {
            before = None;
            continue;
        }
        let look = async {
            let now = swarm.overview().await?;
            swarm
                .count(|counters| counters.observe(&now.nodes, &now.tasks))
                .await?;
            Ok::<_, Failure>(now)
        };
        match look.await {
            Ok(now) => {
                if let Some(before) = &before {
                    happened.add(events::of_swarm(before, &now));
                }
                before = Some(now);
            }
            Err(error) => tracing::debug!("counting: {error}"),
        }
    }
}
