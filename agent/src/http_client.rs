//! Gets a status over HTTP: from the daemon of this node through its Unix socket, or from the master.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, UnixStream};

use crate::status::Status;

/// A status of 250 nodes has some 25 KiB.
const BODY_MAX: usize = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(3);

/// The status of the daemon that listens on a Unix socket.
///
/// # Errors
/// When nothing listens there or answers in time.
pub async fn status_of_daemon(socket: &Path) -> anyhow::Result<Status> {
    in_time(async {
        let stream = UnixStream::connect(socket)
            .await
            .with_context(|| format!("connecting to {}", socket.display()))?;
        get_status(stream).await
    })
    .await
}

/// The status of another agent, asked through one interface only.
///
/// # Errors
/// When it cannot be reached or does not answer in time with a status.
pub async fn status_of_agent(address: SocketAddrV4, interface: &str) -> anyhow::Result<Status> {
    in_time(async {
        let socket = TcpSocket::new_v4()?;
        // On an uplink with the same subnet, another machine would answer.
        socket.bind_device(Some(interface.as_bytes()))?;
        let stream = socket
            .connect(SocketAddr::V4(address))
            .await
            .with_context(|| format!("connecting to {address}"))?;
        get_status(stream).await
    })
    .await
}

async fn in_time(request: impl Future<Output = anyhow::Result<Status>>) -> anyhow::Result<Status> {
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(result) => result,
        Err(_) => bail!("no answer within {} s", TIMEOUT.as_secs()),
    }
}

async fn get_status(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> anyhow::Result<Status> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = hyper::Request::get("/api/v1/status")
        .header("host", "cluster-lab")
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        if !response.status().is_success() {
            bail!("the answer was {}", response.status());
        }
        match Limited::new(response.into_body(), BODY_MAX).collect().await {
            Ok(body) => serde_json::from_slice(&body.to_bytes()).context("reading the status"),
            Err(error) => bail!("receiving the status: {error}"),
        }
    };
    let result = exchange.await;
    driver.abort();
    result
}
