//! HTTP for other machines: bound to one address of one interface, and bounded in all that a stranger can make it hold.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddrV4};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::access::Origin;

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
                attend(stream, peer, router, limits).await;
            }
        });
    }
}

async fn attend(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    peer: IpAddr,
    router: Router,
    limits: Limits,
) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(BUFFER_MAX);
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Origin::Network(peer));
        inner.call(request)
    });
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

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::net::Ipv4Addr;
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const LIMITS: Limits = Limits {
        connections: 3,
        per_address: 3,
        greeting: Duration::from_millis(300),
        head: Duration::from_millis(300),
        life: Duration::from_millis(1500),
    };

    /// A server whose answers are longer than what the kernel takes of one that nobody reads.
    fn start() -> SocketAddrV4 {
        let listener = listen("lo", SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/long", get(|| async { "x".repeat(64 << 20) }));
        tokio::spawn(serve(listener, router, LIMITS, |stream, _| ready(Some(stream))));
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
    }

    /// Sends these pieces, 100 ms apart, and waits until the server ends the connection; what it said, and when.
    async fn talk(address: SocketAddrV4, pieces: &[&str]) -> (String, Duration) {
        let start = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        for piece in pieces {
            if stream.write_all(piece.as_bytes()).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        (String::from_utf8_lossy(&heard).into_owned(), start.elapsed())
    }

    #[tokio::test]
    async fn a_slow_client_is_dropped_whatever_it_is_slow_with() {
        let address = start();
        let soon = Duration::from_secs(1);
        let (heard, after) = talk(address, &[]).await;
        assert!(heard.is_empty() && after < soon, "silence: {after:?}");
        let drops = ["G", "E", "T", " ", "/", " ", "H", "T", "T", "P"];
        let (heard, after) = talk(address, &drops).await;
        assert!(
            !heard.contains("hello") && after < 2 * soon,
            "a head in drops: {after:?}"
        );
        let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let (heard, after) = talk(address, &[request, request]).await;
        assert_eq!(heard.matches("hello").count(), 2, "{heard}");
        assert!(after < soon, "kept without a request: {after:?}");
        let endless = [request; 40];
        let (heard, after) = talk(address, &endless).await;
        assert!(
            heard.contains("hello") && after < Duration::from_secs(5),
            "for ever: {after:?}"
        );
    }

    #[tokio::test]
    async fn who_never_reads_the_answer_frees_its_place() {
        let address = start();
        let mut greedy = Vec::new();
        for _ in 0..LIMITS.connections {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream
                .write_all(b"GET /long HTTP/1.1\r\nhost: a\r\n\r\n")
                .await
                .unwrap();
            greedy.push(stream);
        }
        let waiting = talk(
            address,
            &["GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"],
        );
        let (heard, after) = timeout(Duration::from_secs(10), waiting).await.unwrap();
        assert!(heard.ends_with("hello"), "after {after:?}: {heard}");
    }
}
