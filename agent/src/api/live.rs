//! Live updates: the status, the swarm and what happens, as server-sent events for browsers and as lines for programs.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::overview::AGE;
use super::{App, Problem};
use crate::events::Event;
use crate::services::Overview;
use crate::status::Status;

/// The query of `events`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventQuery {
    #[serde(default)]
    follow: bool,
}

/// Somebody who watches.
struct Watcher {
    app: App,
    status: watch::Receiver<Arc<Status>>,
    happened: watch::Receiver<u64>,
    look: Interval,
    shown: Option<Option<Arc<Overview>>>,
    number: u64,
    queue: VecDeque<Sent>,
}

/// `status` (as `GET /api/v1/status`), `overview` (as `GET /api/v1/overview`, null without a swarm), `happened`.
pub(super) async fn live(State(app): State<App>) -> Sse<impl Stream<Item = Result<Sent, Infallible>>> {
    let mut look = interval(AGE);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut status = app.status.clone();
    status.mark_changed();
    let mut happened = app.events.last();
    happened.mark_changed();
    let watcher = Watcher {
        status,
        happened,
        look,
        shown: None,
        number: 0,
        queue: VecDeque::new(),
        app,
    };
    let events = stream::unfold(watcher, |mut watcher| async move {
        loop {
            if let Some(event) = watcher.queue.pop_front() {
                return Some((Ok(event), watcher));
            }
            watcher.wait().await?;
        }
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

impl Watcher {
    /// Waits for something to send; `None` when the agent ends.
    async fn wait(&mut self) -> Option<()> {
        tokio::select! {
            changed = self.status.changed() => {
                changed.ok()?;
                let status = Arc::clone(&self.status.borrow_and_update());
                self.push("status", &*status);
            }
            changed = self.happened.changed() => {
                changed.ok()?;
                let last = *self.happened.borrow_and_update();
                for event in self.app.events.after(self.number) {
                    self.push("happened", &event);
                }
                self.number = last;
            }
            _ = self.look.tick() => {
                let seen = self.app.overview().await;
                if self.shown.as_ref() != Some(&seen) {
                    self.push("overview", &seen.as_deref());
                    self.shown = Some(seen);
                }
            }
        }
        Some(())
    }

    fn push(&mut self, name: &str, value: &impl Serialize) {
        if let Ok(event) = Sent::default().event(name).json_data(value) {
            self.queue.push_back(event);
        }
    }
}

/// What happened, a JSON value per line; with `follow` also what happens.
pub(super) async fn events(
    State(app): State<App>,
    query: Result<Query<EventQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::Invalid(error.body_text()))?;
    let mut last = app.events.last();
    last.mark_changed();
    let lines = stream::unfold(
        (app, last, 0, true),
        move |(app, mut last, number, first)| async move {
            if !first && !query.follow {
                return None;
            }
            last.changed().await.ok()?;
            let now = *last.borrow_and_update();
            let line = |event: &Event| serde_json::to_string(event).unwrap_or_default() + "\n";
            let text: String = app.events.after(number).iter().map(line).collect();
            Some((Ok::<_, Infallible>(text), (app, last, now, false)))
        },
    );
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}
