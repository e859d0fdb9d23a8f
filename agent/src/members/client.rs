//! Asks another member.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use hyper::body::Bytes;
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Members;
use crate::http_client::Session;
use crate::trust::Refusal;

/// For connecting, and for each answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Who is there has another cluster secret, or takes this node for somebody who has.
    #[error("it has another cluster secret")]
    OtherSecret,
    /// Anything else.
    #[error("{0:#}")]
    Failed(anyhow::Error),
}

/// A connection to a member, for several questions.
#[derive(Debug)]
pub struct Connection(Session);

impl Members {
    /// Connects to a member, through one interface only.
    ///
    /// # Errors
    /// When it cannot be reached in time, or is no member of this cluster.
    pub async fn connect(&self, address: SocketAddrV4, interface: &str) -> Result<Connection, AskError> {
        let identity = self.identity().await.map_err(AskError::Failed)?;
        let connect = async {
            let socket = TcpSocket::new_v4()?;
            // On an uplink with the same subnet, another machine would answer.
            socket.bind_device(Some(interface.as_bytes()))?;
            let stream = socket.connect(SocketAddr::V4(address)).await?;
            stream.set_nodelay(true)?;
            let connector = TlsConnector::from(Arc::clone(&identity.client));
            connector.connect(identity.name.clone(), stream).await
        };
        let stream = in_time(connect)
            .await?
            .map_err(|error| failed(error.into(), address))?;
        let session = in_time(Session::start(stream)).await?;
        Ok(Connection(session.map_err(|error| failed(error, address))?))
    }

    /// Asks one question.
    ///
    /// # Errors
    /// See [`Members::connect`] and [`Connection::get`].
    pub async fn get(&self, address: SocketAddrV4, interface: &str, path: &str) -> Result<Bytes, AskError> {
        let mut connection = self.connect(address, interface).await?;
        connection.get(path).await
    }
}

impl Connection {
    /// The body of the answer, which is bounded.
    ///
    /// # Errors
    /// When there is none in time, or it is no success. The connection is of no use then.
    pub async fn get(&mut self, path: &str) -> Result<Bytes, AskError> {
        let answer = in_time(self.0.get(path)).await?;
        answer.map_err(AskError::of)
    }
}

impl AskError {
    fn of(error: anyhow::Error) -> Self {
        match Refusal::of(error.as_ref()) {
            Refusal::OtherSecret => Self::OtherSecret,
            Refusal::NoCertificate | Refusal::Failed(_) => Self::Failed(error),
        }
    }
}

fn failed(error: anyhow::Error, address: SocketAddrV4) -> AskError {
    AskError::of(error.context(format!("connecting to {address}")))
}

async fn in_time<T>(work: impl Future<Output = T>) -> Result<T, AskError> {
    let done = timeout(TIMEOUT, work).await;
    done.context("waiting")
        .map_err(|_| AskError::Failed(anyhow!("no answer within {} s", TIMEOUT.as_secs())))
}
