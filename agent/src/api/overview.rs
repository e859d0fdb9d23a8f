//! The swarm at one look, for those who watch: asked for once, however many watch.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::pass_on::{Target, target};
use super::routes::PASSED_ON;
use super::{App, Problem};
use crate::members::Way;
use crate::services::Overview;

/// Watchers get what is no older than this.
pub(super) const AGE: Duration = Duration::from_secs(2);

/// The last look, and the way to the master.
#[derive(Clone, Debug, Default)]
pub struct Looked(Arc<Mutex<Last>>);

#[derive(Debug, Default)]
struct Last {
    at: Option<Instant>,
    overview: Option<Arc<Overview>>,
    way: Option<(SocketAddrV4, Way)>,
}

pub(super) async fn give(State(app): State<App>) -> Result<Json<Overview>, Problem> {
    Ok(Json(app.swarm.overview().await?.of_now()))
}

impl App {
    /// What there is to see; nothing while there is no swarm.
    pub(super) async fn overview(&self) -> Option<Arc<Overview>> {
        let mut last = self.looked.0.lock().await;
        if last.at.is_some_and(|at| at.elapsed() < AGE) {
            return last.overview.clone();
        }
        let target = target(&self.status.borrow());
        let overview = match target {
            Target::Here => self.swarm.overview().await.ok().map(Overview::of_now),
            Target::Nowhere(_) => None,
            Target::There(to, interface) => self.ask_master(&mut last, to, interface).await,
        };
        last.at = Some(Instant::now());
        last.overview = overview.map(Arc::new);
        last.overview.clone()
    }

    async fn ask_master(&self, last: &mut Last, to: SocketAddrV4, interface: String) -> Option<Overview> {
        let same = |(old, way): &(SocketAddrV4, Way)| *old == to && way.interface() == interface;
        if !last.way.as_ref().is_some_and(same) {
            last.way = Some((to, Way::new(self.members.clone()?, to, interface)));
        }
        let (_, way) = last.way.as_mut()?;
        way.ask(&format!("{PASSED_ON}/api/v1/overview")).await.ok()
    }
}
