//! Where the endpoint listens: a Unix socket, and TLS on this node's cluster addresses and on loopback. Bounded in all
//! that somebody without a certificate can make it hold; who has one may keep streams for days.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::{Endpoint, Options, Origin, PORT};
use crate::http_server;
use crate::trust::{Refusal, Refusals, is_member};

/// Of a request's head, with the credentials for registries in it, and of what is read ahead.
const BUFFER_MAX: usize = 64 * 1024;
/// For TLS.
const GREETING: Duration = Duration::from_secs(5);
/// Connections that are in TLS's greeting at once; more wait.
const GREETINGS: usize = 64;
/// Connections at once, of all addresses.
const CONNECTIONS: usize = 2048;
/// Until a request's head is there, also the next one on a connection that is kept.
const HEAD: Duration = Duration::from_secs(60);
/// After something that did not work.
const RETRY: Duration = Duration::from_secs(2);
/// The group whose members may use Docker, and so are root on the node.
const GROUP: &str = "docker";

/// Serves for ever. Ends with all connections when it is dropped.
pub async fn run(options: Options) {
    let endpoint = Arc::new(Endpoint::new(&options));
    let unix = serve_unix(Arc::clone(&endpoint), &options.socket);
    let tls = serve_tls(&endpoint, &options);
    tokio::join!(unix, tls);
}

async fn serve_unix(endpoint: Arc<Endpoint>, socket: &Path) {
    let listener = loop {
        match unix_listener(socket) {
            Ok(listener) => break listener,
            Err(error) => tracing::warn!("no cluster-wide Docker endpoint on this node's socket: {error:#}"),
        }
        sleep(RETRY).await;
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(attend(Arc::clone(&endpoint), stream, Origin::Socket));
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    sleep(RETRY).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// For root and the group `docker`; for root alone where there is no such group.
fn unix_listener(path: &Path) -> anyhow::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    let listen = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Nobody can connect before the mode is right.
        let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(path);
        nix::sys::stat::umask(before);
        let listener = listener?;
        if let Ok(Some(group)) = nix::unistd::Group::from_name(GROUP) {
            std::os::unix::fs::chown(path, None, Some(group.gid.as_raw()))?;
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
        Ok(listener)
    };
    listen().with_context(|| format!("listening on {}", path.display()))
}

/// Listeners come and go with this node's addresses.
async fn serve_tls(endpoint: &Arc<Endpoint>, options: &Options) {
    let Some(members) = &options.members else { return };
    let mut nodes = options.nodes.clone();
    let mut running: HashMap<SocketAddrV4, Listening> = HashMap::new();
    let mut known = Vec::new();
    let mut acceptor = None;
    let guard = Arc::new(Guard::default());
    loop {
        let (interface, reached_at) = {
            let nodes = nodes.borrow_and_update();
            (nodes.interface.clone(), nodes.reached_at.clone())
        };
        let mut wanted = vec![("lo".to_owned(), Ipv4Addr::LOCALHOST)];
        if let Some(interface) = interface {
            wanted.extend(reached_at.iter().map(|address| (interface.clone(), *address)));
        }
        let wanted: HashMap<_, _> = wanted
            .into_iter()
            .map(|(interface, address)| (SocketAddrV4::new(address, PORT), interface))
            .collect();
        if acceptor.is_none() || known != reached_at {
            let mut addresses = vec![Ipv4Addr::LOCALHOST, options.master_address];
            addresses.extend(
                reached_at
                    .iter()
                    .filter(|address| **address != options.master_address),
            );
            let trust = members.trust().clone();
            let (hostname, names) = (options.hostname.clone(), options.names.clone());
            // In another thread: the kernel may have no random numbers yet.
            let made = tokio::task::spawn_blocking(move || trust.server(&hostname, &names, &addresses)).await;
            match made.context("making a certificate").flatten() {
                Ok(config) => acceptor = Some(TlsAcceptor::from(config)),
                Err(error) => tracing::warn!("no cluster-wide Docker endpoint yet: {error:#}"),
            }
            known = reached_at;
            let mut current = guard.acceptor.lock().unwrap_or_else(PoisonError::into_inner);
            current.clone_from(&acceptor);
        }
        running.retain(|address, listening| wanted.get(address) == Some(&listening.interface));
        let mut complete = acceptor.is_some();
        if acceptor.is_some() {
            for (address, interface) in &wanted {
                if running.contains_key(address) {
                    continue;
                }
                match http_server::listen(interface, *address) {
                    Ok(listener) => {
                        let accept = accept(Arc::clone(endpoint), listener, Arc::clone(&guard));
                        let listening = Listening {
                            interface: interface.clone(),
                            task: tokio::spawn(accept),
                        };
                        running.insert(*address, listening);
                    }
                    Err(error) => {
                        tracing::debug!("docker endpoint: {error:#}");
                        complete = false;
                    }
                }
            }
        }
        tokio::select! {
            changed = nodes.changed() => if changed.is_err() { return },
            () = sleep(RETRY), if !complete => {}
        }
    }
}

struct Listening {
    interface: String,
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What bounds strangers.
struct Guard {
    greetings: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    refusals: Mutex<Refusals>,
    /// With the newest certificate, which has the addresses of now.
    acceptor: Mutex<Option<TlsAcceptor>>,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            greetings: Arc::new(Semaphore::new(GREETINGS)),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            refusals: Mutex::default(),
            acceptor: Mutex::default(),
        }
    }
}

async fn accept(endpoint: Arc<Endpoint>, listener: TcpListener, guard: Arc<Guard>) {
    loop {
        let Ok(room) = Arc::clone(&guard.connections).acquire_owned().await else {
            return;
        };
        let (stream, peer) = match listener.accept().await {
            Ok((stream, peer)) => (stream, peer.ip()),
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                sleep(RETRY).await;
                continue;
            }
        };
        let acceptor = guard
            .acceptor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(acceptor) = acceptor else { continue };
        let (endpoint, guard) = (Arc::clone(&endpoint), Arc::clone(&guard));
        // Streams outlive the listener: an address that goes breaks them by itself.
        tokio::spawn(async move {
            let _room = room;
            greet(endpoint, acceptor, guard, stream, peer).await;
        });
    }
}

async fn greet(
    endpoint: Arc<Endpoint>,
    acceptor: TlsAcceptor,
    guard: Arc<Guard>,
    stream: TcpStream,
    peer: IpAddr,
) {
    let _ = stream.set_nodelay(true);
    let greeting = Arc::clone(&guard.greetings).acquire_owned().await;
    let greeted = timeout(GREETING, acceptor.accept(stream)).await;
    drop(greeting);
    match greeted {
        Ok(Ok(stream)) => {
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let origin = if certificate.is_some_and(is_member) {
                Origin::Member
            } else {
                Origin::Person
            };
            attend(endpoint, stream, origin).await;
        }
        Ok(Err(error)) => {
            let refusal = Refusal::of(&error);
            let mut refusals = guard.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            if refusals.is_due(Instant::now(), peer) {
                tracing::warn!("{peer} was refused by the Docker endpoint: {refusal}");
            }
        }
        Err(_) => {}
    }
}

async fn attend(
    endpoint: Arc<Endpoint>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    origin: Origin,
) {
    let service = service_fn(move |request| {
        let endpoint = Arc::clone(&endpoint);
        async move { Ok::<_, std::convert::Infallible>(endpoint.answer(request, origin).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "docker endpoint: a connection broke");
    }
}
