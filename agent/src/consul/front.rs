//! Port 8500 on the cluster network: passes reading on to Consul on the loopback address, and refuses all else. What may
//! be read is what describes the cluster: nodes, services, health, and the web page that shows them. Not the key-value
//! store, which people keep passwords in, and nothing that holds keys (`/v1/operator/keyring`, `/v1/snapshot`).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::client::ADDRESS;
use crate::http_server::{self, Limits};

const PORT: u16 = 8500;
/// A browser opens six connections, and Consul's page asks and waits for up to ten minutes on several.
const LIMITS: Limits = Limits {
    connections: 128,
    per_address: 16,
    greeting: Duration::from_secs(1),
    head: Duration::from_secs(30),
    life: Duration::from_secs(660),
};
/// What may be read: these and all below them, where they end with a slash.
const READABLE: [&str; 10] = [
    "/",
    "/ui",
    "/ui/",
    "/v1/agent/members",
    "/v1/catalog/",
    "/v1/coordinate/",
    "/v1/health/",
    "/v1/internal/ui/",
    "/v1/session/",
    "/v1/status/",
];
const REFUSED: &str = "Consul is read-only on the cluster network, and its key-value store is not shown here: log in to a \
                       node, where http://127.0.0.1:8500 does everything\n";

/// A running front; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) interface: String,
    pub(super) address: Ipv4Addr,
    task: JoinHandle<()>,
}

impl Front {
    /// Serves on one address of one interface.
    pub(super) fn serve(interface: &str, address: Ipv4Addr) -> anyhow::Result<Self> {
        let listener = http_server::listen(interface, SocketAddrV4::new(address, PORT))?;
        let plain = |stream, _| std::future::ready(Some(stream));
        let router = Router::new().fallback(pass);
        Ok(Self {
            interface: interface.to_owned(),
            address,
            task: tokio::spawn(http_server::serve(listener, router, LIMITS, plain)),
        })
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether this may be read by everybody. Paths that Consul would understand in another way than they look do not pass.
fn is_readable(method: &Method, path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let odd = ["..", "//", "%2e", "%2f", "%5c", "\\"]
        .iter()
        .any(|sign| lower.contains(sign));
    let open =
        |entry: &str| path == entry || entry.len() > 1 && entry.ends_with('/') && path.starts_with(entry);
    (method == Method::GET || method == Method::HEAD) && !odd && READABLE.iter().any(|entry| open(entry))
}

async fn pass(request: Request) -> Response {
    if !is_readable(request.method(), request.uri().path()) {
        return (StatusCode::FORBIDDEN, REFUSED).into_response();
    }
    match ask(request).await {
        Ok(response) => response,
        Err(error) => {
            let text =
                format!("Consul does not answer on this node: {error:#}; see `cluster-lab status` there\n");
            (StatusCode::BAD_GATEWAY, text).into_response()
        }
    }
}

async fn ask(request: Request) -> anyhow::Result<Response> {
    let stream = TcpStream::connect(ADDRESS).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself with the answer, or when nobody waits for it any more.
    tokio::spawn(connection);
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut to_consul = hyper::Request::builder()
        .method(request.method().clone())
        .uri(target)
        .header(header::HOST, "localhost");
    // Nothing else of a stranger's head: no token, no connection options.
    for name in [
        header::ACCEPT,
        header::ACCEPT_ENCODING,
        header::IF_NONE_MATCH,
        header::RANGE,
    ] {
        if let Some(value) = request.headers().get(&name) {
            to_consul = to_consul.header(name, value);
        }
    }
    let response = sender
        .send_request(to_consul.body(Empty::<Bytes>::new())?)
        .await?;
    let (mut head, body) = response.into_parts();
    for name in [header::CONNECTION, header::TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    Ok(Response::from_parts(head, Body::new(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_read_what_describes_the_cluster_and_nothing_else() {
        for path in [
            "/",
            "/ui",
            "/ui/dc1/nodes",
            "/v1/catalog/nodes",
            "/v1/health/service/web",
            "/v1/agent/members",
        ] {
            assert!(is_readable(&Method::GET, path), "{path}");
            assert!(is_readable(&Method::HEAD, path), "{path}");
            assert!(
                !is_readable(&Method::PUT, path) && !is_readable(&Method::DELETE, path),
                "{path}"
            );
        }
        for path in [
            "/v1/kv/secret",
            "/v1/operator/keyring",
            "/v1/snapshot",
            "/v1/agent/self",
            "/v1/agent/members/x",
            "/v1/agent/leave",
            "/ui/../v1/kv/secret",
            "/ui/%2e%2E/v1/kv/secret",
            "//v1/kv/secret",
            "/v1/catalog/..%2fkv",
            "/v1",
        ] {
            assert!(!is_readable(&Method::GET, path), "{path}");
        }
    }
}
