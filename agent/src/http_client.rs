//! HTTP as a client, on any stream; and the status of this node's daemon through its Unix socket.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::Method;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use crate::status::Status;
use crate::trust::PersonFiles;

/// A status of 250 nodes has some 25 KiB.
const BODY_MAX: usize = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(3);

/// A connection that requests are sent on, one after the other; closed when this is dropped.
#[derive(Debug)]
pub struct Session {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Session {
    /// Begins on a stream that is connected.
    ///
    /// # Errors
    /// When the stream is broken.
    pub async fn start(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> anyhow::Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        Ok(Self { sender, driver })
    }

    /// The body of the answer to a GET; a longer one than 256 KiB is an error.
    ///
    /// # Errors
    /// When there is no answer or no success.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Bytes> {
        self.ask(Method::GET, path).await
    }

    /// The same of a request with another method, without a body.
    ///
    /// # Errors
    /// When there is no answer or no success.
    pub async fn ask(&mut self, method: Method, path: &str) -> anyhow::Result<Bytes> {
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "cluster-lab")
            .body(Full::default())?;
        let response = self.send(request).await?;
        if !response.status().is_success() {
            bail!("the answer was {}", response.status());
        }
        match Limited::new(response.into_body(), BODY_MAX).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) => bail!("receiving the answer: {error}"),
        }
    }
}

impl Session {
    /// Sends a request; the answer's body is still to be read, and ends when this is dropped.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn send(
        &mut self,
        request: hyper::Request<Full<Bytes>>,
    ) -> anyhow::Result<hyper::Response<Incoming>> {
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The status of the daemon that listens on a Unix socket.
///
/// # Errors
/// When nothing listens there or answers in time.
pub async fn status_of_daemon(socket: &Path) -> anyhow::Result<Status> {
    let ask = async {
        let stream = UnixStream::connect(socket)
            .await
            .with_context(|| format!("connecting to {}", socket.display()))?;
        let body = Session::start(stream).await?.get("/api/v1/status").await?;
        serde_json::from_slice(&body).context("reading the status")
    };
    match tokio::time::timeout(TIMEOUT, ask).await {
        Ok(result) => result,
        Err(_) => bail!("no answer within {} s", TIMEOUT.as_secs()),
    }
}

/// A new certificate from the cluster-wide Docker endpoint that listens on a Unix socket.
///
/// # Errors
/// When nothing listens there or answers in time, or the node has no cluster secret.
pub async fn certificate_of_endpoint(socket: &Path) -> anyhow::Result<PersonFiles> {
    let ask = async {
        let stream = UnixStream::connect(socket).await?;
        let body = Session::start(stream)
            .await?
            .ask(Method::POST, "/cluster-lab/v1/certificate")
            .await?;
        serde_json::from_slice(&body).context("reading the certificate")
    };
    match tokio::time::timeout(TIMEOUT, ask).await {
        Ok(result) => result,
        Err(_) => bail!("no answer within {} s", TIMEOUT.as_secs()),
    }
}
