//! The HTTP API: for users on the cluster network and on the node's Unix socket, and for members. Handlers are thin: they
//! show the status, and change what Swarm is to run; each stands behind a guard.

mod body;
mod dashboard;
mod live;
mod login;
mod metrics;
mod mycluster;
mod node;
mod openapi;
mod overview;
mod pass_on;
mod problem;
mod routes;
mod services;
mod status;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use axum::serve::IncomingStream;
use axum::{Json, Router};
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::access::{Access, Origin};
use crate::engine::swarm::Invitation;
use crate::events::Events;
use crate::members::Members;
use crate::services::Swarm;
use crate::status::Status;

pub use login::{Begin, Given, LinkWish, Me, TokenWish};
pub use node::{Exec, LIMIT_MAX};
pub use overview::Looked;
pub use problem::{Problem, Told};
pub use routes::router;
pub use services::{Move, Scale};

/// Where a member gives its status.
pub const MEMBER_STATUS: &str = "/members/v1/status";
/// Where a member gives its invitation to the swarm: null unless it is a manager.
pub const MEMBER_SWARM: &str = "/members/v1/swarm";

/// What the routes work with.
#[derive(Clone, Debug)]
pub struct App {
    /// What is shown.
    pub status: watch::Receiver<Arc<Status>>,
    /// The channel to other nodes.
    pub members: Option<Members>,
    /// The services, while this node is a manager.
    pub swarm: Swarm,
    /// Who may do what.
    pub access: Access,
    /// What happened.
    pub events: Events,
    /// The last look at the swarm.
    pub looked: Looked,
}

/// The routes that only members reach.
pub fn member_router(app: &App, invitation: watch::Receiver<Option<Invitation>>) -> Router {
    let status = Router::new()
        .route(MEMBER_STATUS, get(status::give))
        .with_state(app.clone());
    let swarm = Router::new()
        .route(MEMBER_SWARM, get(give_invitation))
        .with_state(invitation);
    status.merge(swarm).merge(routes::passed_on(app))
}

async fn give_invitation(
    State(invitation): State<watch::Receiver<Option<Invitation>>>,
) -> Json<Option<Invitation>> {
    Json(invitation.borrow().clone())
}

/// What every answer says to browsers.
async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Who connected to the Unix socket.
#[derive(Clone, Copy, Debug)]
struct Caller(Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().map(|credentials| credentials.uid()))
    }
}

/// Serves on a Unix socket, for ever.
///
/// # Errors
/// When the socket fails.
pub async fn serve_local(listener: UnixListener, router: Router) -> std::io::Result<()> {
    let mark = |ConnectInfo(Caller(uid)): ConnectInfo<Caller>, mut request: Request, next: Next| async move {
        if let Some(uid) = uid {
            request.extensions_mut().insert(Origin::Local { uid });
        }
        next.run(request).await
    };
    let router = router.layer(from_fn(mark));
    axum::serve(listener, router.into_make_service_with_connect_info::<Caller>()).await
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
