//! Commands in containers: an engine makes one and gives it an identifier, which then is asked for without its container.

use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use serde_json::Value;

use super::call::Call;
use super::find::one;
use super::message::{Body, Fault, REQUEST_MAX, encode, full, read};
use super::nodes::Node;

/// Passes on what is asked of one, its start and its stream among them.
pub(super) async fn pass_on(
    call: &Call,
    id: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Fault> {
    if let Some(node) = call.remembered(id) {
        return call.pass(node, request, None).await;
    }
    let answers = call
        .of(&call.nodes.all, &format!("/exec/{}/json", encode(id)))
        .await;
    let (node, _) = one(answers, id, "exec instance", |_| 0)?;
    call.engines().remember(id, &node);
    call.pass(&node, request, None).await
}

/// Remembers the node of one that an engine has just made.
pub(super) async fn made(
    call: &Call,
    node: &Node,
    response: Response<Body>,
) -> Result<Response<Body>, Fault> {
    let (parts, body) = response.into_parts();
    let body: Bytes = read(body, REQUEST_MAX).await?;
    let id = serde_json::from_slice::<Value>(&body).ok();
    if let Some(id) = id.as_ref().and_then(|answer| answer["Id"].as_str()) {
        call.engines().remember(id, node);
    }
    Ok(Response::from_parts(parts, full(body)))
}
