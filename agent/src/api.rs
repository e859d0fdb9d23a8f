//! The agent's HTTP API: for everybody on the cluster network, and for members. It reads the status and changes nothing.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::engine::swarm::Invitation;
use crate::status::Status;

/// Where a member gives its status.
pub const MEMBER_STATUS: &str = "/members/v1/status";
/// Where a member gives its invitation to the swarm: null unless it is a manager.
pub const MEMBER_SWARM: &str = "/members/v1/swarm";

/// The API's routes.
pub fn router(status: watch::Receiver<Arc<Status>>) -> Router {
    Router::new()
        .route("/api/v1/status", get(give_status))
        .with_state(status)
}

/// The routes that only members reach.
pub fn member_router(
    status: watch::Receiver<Arc<Status>>,
    invitation: watch::Receiver<Option<Invitation>>,
) -> Router {
    let status = Router::new()
        .route(MEMBER_STATUS, get(give_status))
        .with_state(status);
    let swarm = Router::new()
        .route(MEMBER_SWARM, get(give_invitation))
        .with_state(invitation);
    status.merge(swarm)
}

async fn give_invitation(
    State(invitation): State<watch::Receiver<Option<Invitation>>>,
) -> Json<Option<Invitation>> {
    Json(invitation.borrow().clone())
}

async fn give_status(State(status): State<watch::Receiver<Arc<Status>>>) -> Json<Status> {
    Json(Status::clone(&status.borrow()))
}

/// A listener on a Unix socket that every user may read from. One left over from an agent that was killed is replaced.
///
/// # Errors
/// When the socket or its folder cannot be made.
pub fn unix_listener(path: &Path) -> anyhow::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    let listen = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        Ok(listener)
    };
    listen().with_context(|| format!("listening on {}", path.display()))
}
