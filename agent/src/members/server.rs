//! Serves the members' routes to those who prove that they have the secret.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Members;
use crate::http_server::{self, Limits};
use crate::trust::{Refusal, Refusals};

/// Each node of the largest pool keeps a connection; `head` is longer than it waits between two requests.
const LIMITS: Limits = Limits {
    connections: 512,
    per_address: 8,
    greeting: Duration::from_secs(5),
    head: Duration::from_secs(20),
    life: Duration::from_secs(3600),
};
/// Longest body of a request.
const BODY_MAX: usize = 64 * 1024;
/// The certificate could not be made.
const RETRY: Duration = Duration::from_secs(5);

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddrV4,
    task: JoinHandle<()>,
}

impl Members {
    /// Serves these routes to members on one address of one interface.
    ///
    /// # Errors
    /// When the port is taken, or the address not there.
    pub fn serve(&self, interface: &str, address: SocketAddrV4, routes: Router) -> anyhow::Result<Server> {
        let listener = http_server::listen(interface, address)?;
        let address = match listener.local_addr()? {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(_) => address,
        };
        let members = self.clone();
        let routes = routes.layer(DefaultBodyLimit::max(BODY_MAX));
        let task = tokio::spawn(async move {
            let acceptor = members.acceptor().await;
            let refusals = Arc::new(Mutex::new(Refusals::default()));
            let greet = |stream, peer| greet(acceptor.clone(), Arc::clone(&refusals), stream, peer);
            http_server::serve(listener, routes, LIMITS, greet).await;
        });
        Ok(Server { address, task })
    }

    async fn acceptor(&self) -> TlsAcceptor {
        loop {
            match self.identity().await {
                Ok(identity) => return TlsAcceptor::from(Arc::clone(&identity.server)),
                Err(error) => tracing::warn!("no members' channel yet: {error:#}"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

async fn greet(
    acceptor: TlsAcceptor,
    refusals: Arc<Mutex<Refusals>>,
    stream: TcpStream,
    peer: IpAddr,
) -> Option<TlsStream<TcpStream>> {
    match acceptor.accept(stream).await {
        Ok(stream) => Some(stream),
        Err(error) => {
            let refusal = Refusal::of(&error);
            let mut refusals = refusals.lock().unwrap_or_else(PoisonError::into_inner);
            if refusals.is_due(Instant::now(), peer) {
                tracing::warn!("{peer} was refused as a member: {refusal}");
            }
            None
        }
    }
}

impl Server {
    /// What it is bound to.
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// The address it is bound to.
    pub fn ip(&self) -> Ipv4Addr {
        *self.address.ip()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
