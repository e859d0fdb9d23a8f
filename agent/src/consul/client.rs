//! Consul's HTTP API on this node's loopback address: the only file that speaks to it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::members::Member;
use super::services::Service;

/// Where Consul's own HTTP listens.
pub(super) const ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8500);
/// Consul waits for its servers for up to 7 s.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A member has some 500 bytes, a service too.
const BODY_MAX: usize = 4 << 20;

/// The version of the Consul that answers.
pub(super) async fn version() -> anyhow::Result<String> {
    let own: Value = get("/v1/agent/self").await?;
    let version = own["Config"]["Version"].as_str();
    Ok(version.context("Consul does not tell its version")?.to_owned())
}

/// How many servers this server's own Raft knows of; 0 in one that has never been in a cluster.
pub(super) async fn raft_servers() -> anyhow::Result<usize> {
    let raft: Value = get("/v1/operator/raft/configuration?stale").await?;
    Ok(raft["Servers"].as_array().map_or(0, Vec::len))
}

/// The address of the server that leads; `None` when none does.
pub(super) async fn leader() -> anyhow::Result<Option<Ipv4Addr>> {
    let leader: String = get("/v1/status/leader").await?;
    Ok(leader.split(':').next().and_then(|address| address.parse().ok()))
}

pub(crate) async fn members() -> anyhow::Result<Vec<Member>> {
    get("/v1/agent/members").await
}

pub(super) async fn join(address: Ipv4Addr) -> anyhow::Result<()> {
    put(&format!("/v1/agent/join/{address}"), Vec::new()).await
}

/// Leaves the others in order; Consul ends then.
pub(super) async fn leave() -> anyhow::Result<()> {
    put("/v1/agent/leave", Vec::new()).await
}

/// Makes all forget a failed member.
pub(super) async fn force_leave(name: &str) -> anyhow::Result<()> {
    put(&format!("/v1/agent/force-leave/{name}?prune"), Vec::new()).await
}

/// Makes it read the settings again, as far as it can without a restart.
pub(super) async fn reload() -> anyhow::Result<()> {
    put("/v1/agent/reload", Vec::new()).await
}

/// The services of this node.
pub(super) async fn services() -> anyhow::Result<Vec<Service>> {
    let services: BTreeMap<String, Service> = get("/v1/agent/services").await?;
    Ok(services.into_values().collect())
}

pub(super) async fn register(service: &Service) -> anyhow::Result<()> {
    put("/v1/agent/service/register", serde_json::to_vec(service)?).await
}

pub(super) async fn deregister(id: &str) -> anyhow::Result<()> {
    put(&format!("/v1/agent/service/deregister/{id}"), Vec::new()).await
}

async fn get<T: DeserializeOwned>(path: &str) -> anyhow::Result<T> {
    let body = send(Method::GET, path, Vec::new()).await?;
    serde_json::from_slice(&body).with_context(|| format!("reading Consul's answer to {path}"))
}

async fn put(path: &str, body: Vec<u8>) -> anyhow::Result<()> {
    send(Method::PUT, path, body).await.map(drop)
}

async fn send(method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Bytes> {
    let ask = async {
        let stream = TcpStream::connect(ADDRESS).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .body(Full::new(Bytes::from(body)))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_MAX).collect().await;
        driver.abort();
        let body = match body {
            Ok(body) => body.to_bytes(),
            Err(error) => bail!("{error}"),
        };
        if !status.is_success() {
            bail!("{status}: {}", String::from_utf8_lossy(&body).trim());
        }
        Ok(body)
    };
    match timeout(TIMEOUT, ask).await {
        Ok(answer) => answer.with_context(|| format!("asking Consul for {path}")),
        Err(_) => bail!("Consul has not answered {path} within {} s", TIMEOUT.as_secs()),
    }
}
