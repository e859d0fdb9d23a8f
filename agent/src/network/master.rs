//! What only a master runs: the DHCP server on UDP port 67 of the cluster interface, its lease file, the DNS and time
//! servers, and the announcement by DNS-SD. Dropping it ends them all.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use boot_config::{Domain as DomainName, Hostname};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::dhcp::checks::{Checks, Outcome};
use super::dhcp::lease_table::Lease;
use super::dhcp::message::{Kind, Packet};
use super::dhcp::server::Server;
use super::discovery::Discovery;
use super::dns::forward::Places;
use super::dns::server::DnsServer;
use super::dns::zone::{About as AboutZone, Zone};
use super::link::Interface;
use super::mac::Mac;
use super::memory::Memory;
use super::names::Names;
use super::sntp::clock::KernelClock;
use super::sntp::server::TimeServer;

/// A port or thread that could not be had is tried again so often.
const RETRY: Duration = Duration::from_secs(5);
/// Changed leases are written together, after so long.
const SAVE_AFTER: Duration = Duration::from_secs(1);
/// Names of leases that ran out are given up within so long.
const NAMES_EVERY: Duration = Duration::from_secs(5);
/// Longest DHCP message that is read.
const MESSAGE_MAX: usize = 1500;

/// What the services are about.
#[derive(Clone, Debug)]
pub struct About {
    /// Where they run.
    pub interface: Interface,
    /// The master's name.
    pub hostname: String,
    /// The system, for the announcement.
    pub os: String,
    /// Where leases are kept.
    pub memory: Memory,
    /// The DNS domain.
    pub domain: DomainName,
    /// Who is asked for other names.
    pub places: Places,
    /// Whether this machine's clock counts as right when nothing keeps it so.
    pub time_alone: bool,
}

/// The running services.
#[derive(Debug)]
pub struct Services {
    about: About,
    server: Server,
    checks: Checks,
    probes: Vec<Ipv4Addr>,
    socket: Option<UdpSocket>,
    announcement: Option<Discovery>,
    dns: Option<DnsServer>,
    time: Option<TimeServer>,
    names: Names,
    retry: Option<Duration>,
    save: Option<Duration>,
    look: Duration,
    wrong: Vec<String>,
}

impl Services {
    /// Services that start with the next `tick`.
    pub fn new(about: About, server: Server, now: Duration) -> Self {
        Self {
            about,
            server,
            checks: Checks::default(),
            probes: Vec::new(),
            socket: None,
            announcement: None,
            dns: None,
            time: None,
            names: Names::default(),
            retry: Some(now),
            save: None,
            look: now,
            wrong: Vec::new(),
        }
    }

    /// When a `tick` is due.
    pub fn deadline(&self) -> Option<Duration> {
        let times = [self.retry, self.save, self.checks.deadline()];
        let times = times.into_iter().flatten();
        times.chain([self.look, self.server.rival.deadline()]).min()
    }

    /// Starts what does not run and saves what has changed; a line for each thing that is wrong.
    pub fn tick(&mut self, now: Duration) -> Vec<String> {
        if now >= self.look {
            self.look = now + NAMES_EVERY;
            self.follow_leases(now);
        }
        if self.retry.is_some_and(|at| now >= at) {
            let mut wrong = Vec::new();
            self.start(&mut wrong);
            self.retry = (!wrong.is_empty()).then_some(now + RETRY);
            self.wrong = wrong;
        }
        if self.save.is_some_and(|at| now >= at) {
            self.save = None;
            let leases: Vec<Lease> = self.server.table.leases().collect();
            self.about
                .memory
                .later(move |memory| memory.save_leases(leases.into_iter()));
        }
        self.offer_checked(now);
        let rival = self.server.rival.line(now);
        let lines = self.wrong.iter().chain(&self.names.clashes).cloned();
        lines.chain(rival).collect()
    }

    /// Waits for a message to the server.
    pub async fn receive(&self) -> io::Result<Vec<u8>> {
        let Some(socket) = &self.socket else {
            return std::future::pending().await;
        };
        let mut message = vec![0; MESSAGE_MAX];
        let length = socket.recv(&mut message).await?;
        message.truncate(length);
        Ok(message)
    }

    /// The answer to a request, and where it goes to.
    pub fn reply(&mut self, now: Duration, request: &Packet) -> Option<(Packet, SocketAddrV4)> {
        let answer = self.server.answer(now, request);
        if self.server.table.take_changed() {
            self.save = self.save.or(Some(now + SAVE_AFTER));
            // A node is known by its name from its first moment on.
            self.look = now;
        }
        answer
    }

    /// Answers a message; the card that sent it, when it is another cluster's.
    pub fn answer(&mut self, now: Duration, message: &[u8]) -> Option<Mac> {
        let request = Packet::parse(message)?;
        let stranger = self.server.stranger(&request);
        if stranger.is_none() && !self.checks.is_running(request.chaddr) {
            self.answer_request(now, &request, 0);
        }
        stranger
    }

    /// Answers at once, or after a check of the address. `tries`: how many were checked for it already.
    fn answer_request(&mut self, now: Duration, request: &Packet, tries: u8) {
        let Some((reply, to)) = self.reply(now, request) else {
            return;
        };
        let is_offer = reply.kind == Kind::Offer && !self.server.is_member(request);
        if is_offer && self.checks.begin(now, request, reply.yiaddr, tries) {
            self.probes.push(reply.yiaddr);
            return;
        }
        self.send(request, &reply, to);
    }

    fn offer_checked(&mut self, now: Duration) {
        for outcome in self.checks.due(now) {
            match outcome {
                Outcome::Free(request) => {
                    if let Some((reply, to)) = self.reply(now, &request) {
                        self.send(&request, &reply, to);
                    }
                }
                Outcome::Taken(request, address, tries) => {
                    tracing::warn!(
                        "{address} is in use by somebody who was not given it; {} gets another",
                        request.chaddr
                    );
                    self.server.conflict(now, &request, address);
                    self.answer_request(now, &request, tries);
                }
            }
        }
    }

    /// A station was seen to use an address.
    pub fn in_use(&mut self, now: Duration, address: Ipv4Addr, by: Mac) {
        self.checks.in_use(address, by);
        self.server.table.seen(now, address, by);
    }

    /// The addresses that are to be probed by ARP.
    pub fn take_probes(&mut self) -> Vec<Ipv4Addr> {
        std::mem::take(&mut self.probes)
    }

    fn send(&self, request: &Packet, reply: &Packet, to: SocketAddrV4) {
        let Some(socket) = &self.socket else { return };
        tracing::debug!(request = ?request.kind, from = %request.chaddr, reply = ?reply.kind, address = %reply.yiaddr, %to, "DHCP");
        // What cannot be sent now is asked for again by the client.
        if let Err(error) = send_from(socket, self.server.address, &reply.to_bytes(), to) {
            tracing::debug!(%error, %to, "DHCP reply not sent");
        }
    }

    /// The server.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    /// The leases in use.
    pub fn active(&self, now: Duration) -> impl Iterator<Item = Lease> {
        self.server.table.active(now)
    }

    /// Makes the names anew when a lease came or went. Nodes come first: no guest takes a node's name.
    fn follow_leases(&mut self, now: Duration) {
        let (nodes, guests): (Vec<Lease>, Vec<Lease>) = self.active(now).partition(|lease| lease.client.node);
        let (own, nodes): (Vec<Lease>, Vec<Lease>) = nodes
            .into_iter()
            .partition(|lease| lease.client.mac == self.about.interface.mac);
        // Until it has an address of its own, its name leads to the master's.
        let address = own.first().map_or(self.server.address, |lease| lease.address);
        let leader = self.about.hostname.parse::<Hostname>().ok();
        let told = |lease: Lease| (lease.client.hostname, lease.address);
        let names = Names::new(
            leader.map(|name| (name, address)),
            nodes.into_iter().chain(guests).map(told),
        );
        if names == self.names {
            return;
        }
        self.names = names;
        if let Some(dns) = &self.dns {
            match self.zone() {
                Ok(zone) => dns.set_zone(zone),
                Err(error) => tracing::warn!("the nodes' names are not up to date: {error:#}"),
            }
        }
    }

    fn zone(&self) -> anyhow::Result<Arc<Zone>> {
        let about = AboutZone {
            domain: self.about.domain.clone(),
            subnet: self.server.subnet,
            master: self.server.address,
            os: self.about.os.clone(),
        };
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // Serial numbers go round (RFC 1982).
        let serial = time.unwrap_or_default().as_secs() as u32;
        let zone = Zone::new(&about, &self.names, serial).context("making the cluster's DNS zone")?;
        Ok(Arc::new(zone))
    }

    fn start(&mut self, wrong: &mut Vec<String>) {
        let About {
            interface,
            hostname,
            os,
            places,
            time_alone,
            ..
        } = &self.about;
        if self.socket.is_none() {
            match server_socket(&interface.name) {
                Ok(socket) => self.socket = Some(socket),
                Err(error) => wrong.push(format!(
                    "nodes get no addresses: {error:#}; is another DHCP server running here?"
                )),
            }
        }
        let Server { address, subnet, .. } = self.server;
        if self.time.is_none() {
            let clock = Arc::new(KernelClock);
            match TimeServer::serve(&interface.name, address, subnet, clock, *time_alone) {
                Ok(time) => self.time = Some(time),
                Err(error) => wrong.push(format!(
                    "no time on the cluster network: {error:#}; is another time server running here?"
                )),
            }
        }
        if self.dns.is_none() {
            let served = self
                .zone()
                .and_then(|zone| DnsServer::serve(&interface.name, address, subnet, zone, places.clone()));
            match served {
                Ok(dns) => self.dns = Some(dns),
                Err(error) => wrong.push(format!(
                    "no DNS on the cluster network: {error:#}; is another DNS server running here?"
                )),
            }
        }
        if self.announcement.is_none() {
            match Discovery::announce(
                &interface.name,
                hostname,
                self.server.address,
                os,
                &self.server.seal,
            ) {
                Ok(announcement) => self.announcement = Some(announcement),
                Err(error) => wrong.push(format!("the master is not announced: {error:#}")),
            }
        }
    }
}

/// Sends from the master's address, which clients expect, and not from the node's own, which the kernel would take.
fn send_from(socket: &UdpSocket, source: Ipv4Addr, message: &[u8], to: SocketAddrV4) -> io::Result<()> {
    let info = libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr {
            s_addr: u32::from(source).to_be(),
        },
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    let control = [ControlMessage::Ipv4PacketInfo(&info)];
    let message = [IoSlice::new(message)];
    socket.try_io(Interest::WRITABLE, || {
        sendmsg(
            socket.as_raw_fd(),
            &message,
            &control,
            MsgFlags::empty(),
            Some(&SockaddrIn::from(to)),
        )?;
        Ok(())
    })
}

fn server_socket(interface: &str) -> anyhow::Result<UdpSocket> {
    let open = || {
        let socket = Socket::new(
            Domain::IPV4,
            Type::DGRAM.nonblocking().cloexec(),
            Some(Protocol::UDP),
        )?;
        // Bound to the interface before the port: not for one moment is anything of the uplink received.
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 67).into())?;
        UdpSocket::from_std(socket.into())
    };
    open().with_context(|| format!("binding UDP port 67 of {interface}"))
}
