//! Any node serves the whole API: what needs a manager is passed on to the master, which is one, over the members'
//! channel. The node that was asked has looked at who asks.

use std::net::SocketAddrV4;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use super::routes::PASSED_ON;
use super::{App, Problem};
use crate::engine::run::SwarmPart;
use crate::members::{self, Connection};
use crate::status::{Role, Status};

/// A manager may take its time to write to its card.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest body that is passed on.
const BODY_MAX: usize = 256 * 1024;

/// Serves a request here, if this node is a manager, or passes it on to the master.
pub(super) async fn at_manager(State(app): State<App>, request: Request, next: Next) -> Response {
    let target = target(&app.status.borrow());
    match target {
        Target::Here => next.run(request).await,
        Target::Nowhere(reason) => Problem::Unavailable(reason.to_owned()).into_response(),
        Target::There(address, interface) => pass_on(&app, address, &interface, request)
            .await
            .unwrap_or_else(IntoResponse::into_response),
    }
}

/// Counts requests that change something, on the manager that serves them.
pub(super) async fn counted(State(app): State<App>, request: Request, next: Next) -> Response {
    let changes = request.method() != Method::GET;
    let response = next.run(request).await;
    if changes
        && response.status().is_success()
        && let Err(error) = app.swarm.count(|counters| counters.requests += 1).await
    {
        tracing::debug!("counting a request: {error}");
    }
    response
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Here,
    There(SocketAddrV4, String),
    Nowhere(&'static str),
}

/// Where a request for a manager goes.
pub(super) fn target(status: &Status) -> Target {
    match (
        status.engine.swarm,
        status.role,
        &status.master,
        &status.interface,
    ) {
        (SwarmPart::Manager | SwarmPart::Leader, ..) => Target::Here,
        (_, Role::Node, Some(master), Some(interface)) => Target::There(
            SocketAddrV4::new(master.address, members::PORT),
            interface.clone(),
        ),
        (_, Role::Master, ..) => Target::Nowhere("the swarm is not there yet; `cluster-lab status` says why"),
        _ => Target::Nowhere("this node has no role yet; `cluster-lab status` says what it waits for"),
    }
}

/// Lets another member answer.
pub(super) async fn pass_on(
    app: &App,
    to: SocketAddrV4,
    interface: &str,
    request: Request,
) -> Result<Response, Problem> {
    let members = app.members.as_ref();
    let members =
        members.ok_or_else(|| Problem::Unavailable("this node has no cluster secret".to_owned()))?;
    let unreachable = |error: &dyn std::fmt::Display| Problem::Upstream(format!("asking {to}: {error}"));
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX)
        .await
        .map_err(|error| Problem::Invalid(error.to_string()))?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut out = hyper::Request::new(Full::new(body));
    *out.method_mut() = parts.method;
    *out.uri_mut() = format!("{PASSED_ON}{path}")
        .parse()
        .map_err(|error| unreachable(&error))?;
    out.headers_mut()
        .insert(HOST, hyper::http::HeaderValue::from_static("cluster-lab"));
    if let Some(kind) = parts.headers.get(CONTENT_TYPE) {
        out.headers_mut().insert(CONTENT_TYPE, kind.clone());
    }
    let mut connection = members
        .connect(to, interface)
        .await
        .map_err(|error| unreachable(&error))?;
    let answer = tokio::time::timeout(TIMEOUT, connection.send(out)).await;
    let answer = answer
        .map_err(|_| unreachable(&"it does not answer"))?
        .map_err(|error| unreachable(&error))?;
    let (parts, body) = answer.into_parts();
    let mut response = Response::new(streamed(body, connection));
    *response.status_mut() = parts.status;
    if let Some(kind) = parts.headers.get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, kind.clone());
    }
    Ok(response)
}

/// A body that goes on for as long as somebody reads it; the connection ends with it.
fn streamed(body: Incoming, connection: Connection) -> Body {
    let parts = stream::unfold((body, connection), |(mut body, connection)| async move {
        loop {
            match body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some((Ok(data), (body, connection)));
                    }
                }
                Err(error) => return Some((Err(error), (body, connection))),
            }
        }
    });
    Body::from_stream(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::example;

    #[test]
    fn a_manager_serves_and_others_pass_on() {
        let mut status = example();
        let master = SocketAddrV4::new([192, 168, 200, 1].into(), members::PORT);
        assert_eq!(target(&status), Target::There(master, "eth0.200".to_owned()));
        status.engine.swarm = SwarmPart::Manager;
        assert_eq!(target(&status), Target::Here);
        status.engine.swarm = SwarmPart::None;
        status.role = Role::Master;
        assert!(
            matches!(target(&status), Target::Nowhere(why) if why.starts_with("the swarm is not there yet"))
        );
        status.role = Role::Listening;
        assert!(matches!(target(&status), Target::Nowhere(why) if why.contains("no role yet")));
    }
}
