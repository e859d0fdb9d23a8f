//! The sockets: UDP and TCP port 53 of the master's address on the cluster interface, so that nobody on the uplink is
//! ever answered.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hickory_proto::op::ResponseCode;
use ipnet::Ipv4Net;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::answer::{self, Decision, Whom, decide};
use super::forward::{Forwarder, Places};
use super::query::{self, HEADER, Heard, Query};
use super::reply;
use super::zone::Zone;

/// Port of DNS.
pub const PORT: u16 = 53;
/// Longest query that is read.
const QUERY_MAX: usize = 4096;
/// Most queries that wait for others' answers; more are told to try again.
const WAITING_MAX: usize = 1024;
/// Most connections, and how long one may be silent (RFC 7766 section 6.2.3).
const CONNECTIONS_MAX: usize = 64;
const IDLE: Duration = Duration::from_secs(5);
/// A connection ends after so long, however busy.
const LIFE: Duration = Duration::from_secs(60);
/// After so many messages others get their turn.
const BATCH: usize = 64;
/// After an error of a socket, such as an interface that is down for a moment.
const PAUSE: Duration = Duration::from_millis(100);

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct DnsServer {
    zone: watch::Sender<Arc<Zone>>,
    tasks: [JoinHandle<()>; 2],
}

/// What every query needs.
#[derive(Clone, Debug)]
struct Desk {
    zone: watch::Receiver<Arc<Zone>>,
    forwarder: Arc<Forwarder>,
    subnet: Ipv4Net,
}

/// What a query leads to.
enum Outcome {
    Send(Vec<u8>),
    Ask(Whom, Box<Query>),
    Nothing,
}

impl DnsServer {
    /// Serves the zone on one address of one interface.
    ///
    /// # Errors
    /// When a port is taken, or the address not there.
    pub fn serve(
        interface: &str,
        address: Ipv4Addr,
        subnet: Ipv4Net,
        zone: Arc<Zone>,
        places: Places,
    ) -> anyhow::Result<Self> {
        let address = SocketAddrV4::new(address, PORT);
        let udp = udp(interface, address).with_context(|| format!("binding UDP {address} of {interface}"))?;
        let tcp = tcp(interface, address).with_context(|| format!("binding TCP {address} of {interface}"))?;
        let (zone, receiver) = watch::channel(zone);
        let desk = Desk {
            zone: receiver,
            forwarder: Arc::new(Forwarder::new(places, subnet)),
            subnet,
        };
        Ok(Self {
            zone,
            tasks: [
                tokio::spawn(serve_udp(Arc::new(udp), desk.clone())),
                tokio::spawn(serve_tcp(tcp, desk)),
            ],
        })
    }

    /// Answers from this zone from now on.
    pub fn set_zone(&self, zone: Arc<Zone>) {
        self.zone.send_replace(zone);
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Desk {
    /// What can be said at once; `most`: longest answer, as the query allows when `None`.
    fn take(&self, bytes: &[u8], from: SocketAddr, most: Option<usize>) -> Outcome {
        let query = match query::parse(bytes) {
            Heard::Query(query) => query,
            Heard::Wrong(answer) => return Outcome::Send(answer),
            Heard::Nothing => return Outcome::Nothing,
        };
        let known = matches!(from, SocketAddr::V4(from) if self.subnet.contains(from.ip()));
        let zone = Arc::clone(&self.zone.borrow());
        match decide(&zone, &query, known) {
            Decision::Answer(message) => {
                let most = most.unwrap_or_else(|| query.udp_max());
                answer::encode(&message, most).map_or(Outcome::Nothing, Outcome::Send)
            }
            Decision::Ask(whom) => match self.forwarder.known(&reply::key(&query)) {
                Some((reply, age)) => {
                    Outcome::Send(reply.answer(&query, age, most.unwrap_or_else(|| query.udp_max())))
                }
                None => Outcome::Ask(whom, Box::new(query)),
            },
        }
    }

    /// What others say.
    async fn ask(&self, whom: Whom, query: Query, most: Option<usize>) -> Option<Vec<u8>> {
        let most = most.unwrap_or_else(|| query.udp_max());
        match self.forwarder.ask(whom, query.clone()).await {
            Some((reply, age)) => Some(reply.answer(&query, age, most)),
            None => failed(&query),
        }
    }
}

fn failed(query: &Query) -> Option<Vec<u8>> {
    answer::encode(&answer::failure(query, ResponseCode::ServFail), usize::MAX)
}

async fn serve_udp(socket: Arc<UdpSocket>, desk: Desk) {
    // Those who wait end with this, and with them their hold on the socket.
    let mut waiting = JoinSet::new();
    let mut message = vec![0; QUERY_MAX];
    loop {
        tokio::select! {
            ready = socket.readable() => {
                let read = match ready {
                    Ok(()) => take_batch(&socket, &desk, &mut message, &mut waiting),
                    Err(error) => Err(error),
                };
                match read {
                    // Trying to receive costs nothing of the runtime's budget: without this, a flood of queries would
                    // stop everything else that the agent does.
                    Ok(()) => tokio::task::yield_now().await,
                    Err(error) => {
                        tracing::debug!(%error, "DNS by UDP");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
            Some(_) = waiting.join_next() => {}
        }
    }
}

fn take_batch(
    socket: &Arc<UdpSocket>,
    desk: &Desk,
    message: &mut [u8],
    waiting: &mut JoinSet<()>,
) -> io::Result<()> {
    for _ in 0..BATCH {
        let (length, from) = match socket.try_recv_from(message) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            received => received?,
        };
        // What cannot be sent now is asked for again.
        let answer = match desk.take(&message[..length], from, None) {
            Outcome::Send(answer) => Some(answer),
            Outcome::Nothing => None,
            Outcome::Ask(_, query) if waiting.len() >= WAITING_MAX => failed(&query),
            Outcome::Ask(whom, query) => {
                let (desk, socket) = (desk.clone(), Arc::clone(socket));
                waiting.spawn(async move {
                    if let Some(answer) = desk.ask(whom, *query, None).await {
                        let _ = socket.send_to(&answer, from).await;
                    }
                });
                None
            }
        };
        if let Some(answer) = answer {
            let _ = socket.try_send_to(&answer, from);
        }
    }
    Ok(())
}

async fn serve_tcp(listener: TcpListener, desk: Desk) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, from)) => {
                    let desk = desk.clone();
                    connections.spawn(async move {
                        // A connection that breaks is over, and one that is held on to makes room for others.
                        let _ = timeout(LIFE, converse(stream, from, &desk)).await;
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "DNS by TCP");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers one query after the other.
async fn converse(mut stream: TcpStream, from: SocketAddr, desk: &Desk) -> io::Result<()> {
    const MOST: usize = u16::MAX as usize;
    loop {
        let length = usize::from(timeout(IDLE, stream.read_u16()).await??);
        if !(HEADER..=QUERY_MAX).contains(&length) {
            return Ok(());
        }
        let mut message = vec![0; length];
        timeout(IDLE, stream.read_exact(&mut message)).await??;
        let answer = match desk.take(&message, from, Some(MOST)) {
            Outcome::Send(answer) => Some(answer),
            Outcome::Nothing => None,
            Outcome::Ask(whom, query) => desk.ask(whom, *query, Some(MOST)).await,
        };
        let Some(answer) = answer else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes(), &answer[..]].concat();
        timeout(IDLE, stream.write_all(&framed)).await??;
    }
}

fn udp(interface: &str, address: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = socket(Type::DGRAM, Protocol::UDP, interface, address)?;
    UdpSocket::from_std(socket.into())
}

fn tcp(interface: &str, address: SocketAddrV4) -> io::Result<TcpListener> {
    let socket = socket(Type::STREAM, Protocol::TCP, interface, address)?;
    socket.listen(CONNECTIONS_MAX as i32)?;
    TcpListener::from_std(socket.into())
}

fn socket(kind: Type, protocol: Protocol, interface: &str, address: SocketAddrV4) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, kind.nonblocking().cloexec(), Some(protocol))?;
    // Bound to the interface before the port: not for one moment is anything of the uplink received.
    socket.bind_device(Some(interface.as_bytes()))?;
    if kind == Type::STREAM {
        // Not with UDP: there it would let two servers take the port.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}
