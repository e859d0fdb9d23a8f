//! HTTP for other machines: bound to one address of one interface, and bounded in all that a stranger can make it hold.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddrV4};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Of a request's head, and of what is read ahead.
const BUFFER_MAX: usize = 16 * 1024;
/// After a connection that could not be accepted, for want of file descriptors for example.
const PAUSE: Duration = Duration::from_secs(1);

/// What clients may take up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; others wait.
    pub connections: usize,
    /// Connections of one address at once; more are closed.
    pub per_address: usize,
    /// For what comes before HTTP, such as TLS.
    pub greeting: Duration,
    /// Until a request's head is there, also the next one on a connection that is kept.
    pub head: Duration,
    /// A connection of this age is closed after the present request, and soon in any case: who asks and does not read
    /// the answer ends here.
    pub life: Duration,
}

/// Listens on one address of one interface, so that others never reach it.
///
/// # Errors
/// When the port is taken, or the address not there.
pub fn listen(interface: &str, address: SocketAddrV4) -> anyhow::Result<TcpListener> {
    let open = || {
        let socket = Socket::new(
            Domain::IPV4,
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(128)?;
        TcpListener::from_std(socket.into())
    };
    open().with_context(|| format!("binding {address} of {interface}"))
}

/// Serves for ever. `greet` makes of a connection what HTTP is spoken on, or nothing. When this is dropped, all
/// connections end.
pub async fn serve<G, F, S>(listener: TcpListener, router: Router, limits: Limits, greet: G)
where
    G: Fn(TcpStream, IpAddr) -> F,
    F: Future<Output = Option<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let guests = Guests::default();
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= limits.connections {
            connections.join_next().await;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok((stream, peer)) => (stream, peer.ip()),
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Some(guest) = guests.admit(peer, limits.per_address) else {
            tracing::debug!(%peer, "too many connections");
            continue;
        };
        let greeting = greet(stream, peer);
        let router = router.clone();
        connections.spawn(async move {
            let _guest = guest;
            if let Ok(Some(stream)) = timeout(limits.greeting, greeting).await {
                attend(stream, router, limits).await;
            }
        });
    }
}

async fn attend(stream: impl AsyncRead + AsyncWrite + Unpin + Send, router: Router, limits: Limits) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(BUFFER_MAX);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = sleep(limits.life) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits.head, connection).await;
}

/// How many connections each address has.
#[derive(Clone, Default)]
struct Guests(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection; counted until it is dropped.
struct Guest {
    guests: Guests,
    address: IpAddr,
}

impl Guests {
    fn admit(&self, address: IpAddr, most: usize) -> Option<Guest> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Guest {
            guests: self.clone(),
            address,
        })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}
