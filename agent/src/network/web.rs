//! The HTTP API on the cluster address: bound to that address and interface, so that the uplink never reaches it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api;
use crate::status::Status;

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Web {
    /// What it is bound to.
    pub address: SocketAddrV4,
    task: JoinHandle<()>,
}

impl Web {
    /// Serves the status on one address of one interface.
    ///
    /// # Errors
    /// When the port is taken, or the address not there.
    pub fn serve(
        interface: &str,
        address: SocketAddrV4,
        status: watch::Receiver<Arc<Status>>,
    ) -> anyhow::Result<Self> {
        let open = || {
            let socket = Socket::new(
                Domain::IPV4,
                Type::STREAM.nonblocking().cloexec(),
                Some(Protocol::TCP),
            )?;
            socket.bind_device(Some(interface.as_bytes()))?;
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(64)?;
            TcpListener::from_std(socket.into())
        };
        let listener = open().with_context(|| format!("binding {address} of {interface}"))?;
        let router: Router = api::router(status);
        let task = tokio::spawn(async move {
            // Ends only by being aborted: axum goes on after every failed connection.
            let _ = axum::serve(listener, router).await;
        });
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
