//! Asks another member.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use serde::de::DeserializeOwned;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

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

/// The way to one member, for questions again and again. The connection is kept: a new one costs a Pi 1 some 20 ms of
/// computing on either side.
#[derive(Debug)]
pub struct Way {
    members: Members,
    to: SocketAddrV4,
    interface: String,
    connection: Option<Connection>,
}

impl Members {
    /// Connects to a member, through one interface only.
    ///
    /// # Errors
    /// When it cannot be reached in time, or is no member of this cluster.
    pub async fn connect(&self, address: SocketAddrV4, interface: &str) -> Result<Connection, AskError> {
        let stream = self.dial(address, interface, TIMEOUT).await?;
        let session = in_time(Session::start(stream)).await?;
        Ok(Connection(session.map_err(|error| failed(error, address))?))
    }

    /// A stream to a member, through one interface only, within a time.
    ///
    /// # Errors
    /// When it cannot be reached in time, or is no member of this cluster.
    pub async fn dial(
        &self,
        address: SocketAddrV4,
        interface: &str,
        limit: Duration,
    ) -> Result<TlsStream<TcpStream>, AskError> {
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
        within(limit, connect)
            .await?
            .map_err(|error| failed(error.into(), address))
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

impl Connection {
    /// Sends a request of any kind. The caller bounds how long it takes and how much of the answer is read.
    ///
    /// # Errors
    /// When the connection breaks. It is of no use then.
    pub async fn send(
        &mut self,
        request: hyper::Request<Full<Bytes>>,
    ) -> Result<hyper::Response<Incoming>, AskError> {
        self.0.send(request).await.map_err(AskError::of)
    }
}

impl Way {
    /// The way to the member at this address, through one interface only. Nothing is sent yet.
    pub fn new(members: Members, to: SocketAddrV4, interface: String) -> Self {
        Self {
            members,
            to,
            interface,
            connection: None,
        }
    }

    /// The interface that it goes through.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Asks one question, whose answer is JSON.
    ///
    /// # Errors
    /// See [`Members::connect`] and [`Connection::get`]; the next question goes over a new connection then.
    pub async fn ask<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, AskError> {
        // Put back only when it has answered: what failed once is not asked again.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.members.connect(self.to, &self.interface).await?,
        };
        let answer = connection.get(path).await?;
        let answer = serde_json::from_slice(&answer).map_err(|error| AskError::Failed(error.into()))?;
        self.connection = Some(connection);
        Ok(answer)
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
    within(TIMEOUT, work).await
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, AskError> {
    let done = timeout(limit, work).await;
    done.map_err(|_| AskError::Failed(anyhow!("no answer within {} s", limit.as_secs())))
}
