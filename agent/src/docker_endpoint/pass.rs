//! Passes a request on to one engine and its answer back, untouched: bodies flow as they come, and a connection that is
//! upgraded (attach, exec, BuildKit's sessions) becomes a plain stream both ways, each way ended by its own side.

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::link::Links;
use super::message::{Body, Fault, boxed, empty};
use super::nodes::Node;

/// Passes it on with another path and query, if one is given.
///
/// # Errors
/// When the engine cannot be reached.
pub(super) async fn pass(
    links: &Links,
    node: &Node,
    interface: Option<&str>,
    mut request: Request<Incoming>,
    path: Option<String>,
) -> Result<Response<Body>, Fault> {
    let upgrade = request
        .headers()
        .contains_key(UPGRADE)
        .then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    pass_with(links, node, interface, parts, boxed(body), path, upgrade).await
}

/// The same with a body of ours.
///
/// # Errors
/// When the engine cannot be reached.
pub(super) async fn pass_with(
    links: &Links,
    node: &Node,
    interface: Option<&str>,
    mut parts: hyper::http::request::Parts,
    body: Body,
    path: Option<String>,
    upgrade: Option<OnUpgrade>,
) -> Result<Response<Body>, Fault> {
    let path = path.unwrap_or_else(|| {
        parts
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned()
    });
    parts.uri = path
        .parse::<Uri>()
        .map_err(|error| Fault::bad(format!("the path {path}: {error}")))?;
    let headers = &mut parts.headers;
    if upgrade.is_none() {
        headers.remove(CONNECTION);
    }
    // One of them frames the body; which one, is decided anew from what was understood, so that nobody understands it
    // differently.
    if headers.remove(TRANSFER_ENCODING).is_some() {
        headers.remove(CONTENT_LENGTH);
    }
    let response = links
        .send(node, interface, Request::from_parts(parts, body))
        .await?;
    Ok(answer(response, upgrade))
}

fn answer(mut response: Response<Incoming>, upgrade: Option<OnUpgrade>) -> Response<Body> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let engine = hyper::upgrade::on(&mut response);
        if let Some(client) = upgrade {
            tokio::spawn(join(client, engine));
        }
        return response.map(|_| empty());
    }
    let headers = response.headers_mut();
    headers.remove(CONNECTION);
    headers.remove(TRANSFER_ENCODING);
    response.map(boxed)
}

async fn join(client: OnUpgrade, engine: OnUpgrade) {
    let (client, engine) = match tokio::try_join!(client, engine) {
        Ok(ends) => ends,
        Err(error) => return tracing::debug!(%error, "a connection could not be handed over"),
    };
    let (mut client, mut engine) = (TokioIo::new(client), TokioIo::new(engine));
    if let Err(error) = copy_bidirectional(&mut client, &mut engine).await {
        tracing::debug!(%error, "a stream between a client and an engine broke");
    }
}
