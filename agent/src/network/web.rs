//! The HTTP API on the cluster address: bound to that address and interface, so that the uplink never reaches it.

use std::future::ready;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use axum::Router;
use tokio::task::JoinHandle;

use crate::http_server::{self, Limits};

/// A browser opens six connections at once.
const LIMITS: Limits = Limits {
    connections: 128,
    per_address: 16,
    greeting: Duration::from_secs(1),
    head: Duration::from_secs(10),
    life: Duration::from_secs(300),
};

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Web {
    /// What it is bound to.
    pub address: SocketAddrV4,
    task: JoinHandle<()>,
}

impl Web {
    /// Serves these routes on one address of one interface.
    ///
    /// # Errors
    /// When the port is taken, or the address not there.
    pub fn serve(interface: &str, address: SocketAddrV4, routes: Router) -> anyhow::Result<Self> {
        let listener = http_server::listen(interface, address)?;
        let plain = |stream, _| ready(Some(stream));
        let task = tokio::spawn(http_server::serve(listener, routes, LIMITS, plain));
        Ok(Self { address, task })
    }

    /// The address it is bound to.
    pub fn ip(&self) -> Ipv4Addr {
        *self.address.ip()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}
