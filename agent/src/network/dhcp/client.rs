//! The nodes' DHCP client (RFC 2131 section 4.4): events in, messages out; pure, time passed in.
//!
//! It speaks with the master only: what another DHCP server of an untagged network offers is left alone. It asks for its
//! last address first (INIT-REBOOT), and probes every address before its use.

use std::net::Ipv4Addr;
use std::time::Duration;

use boot_config::Hostname;
use ipnet::Ipv4Net;

use super::frame::To;
use super::message::{Kind, Packet, VENDOR_CLASS};
use crate::network::jitter::Jitter;
use crate::network::mac::Mac;

/// Times a request is sent before the client starts over.
const TRIES: u32 = 3;
/// Shortest and longest wait for an answer.
const WAIT: (Duration, Duration) = (Duration::from_millis(1000), Duration::from_secs(8));
/// Shortest wait between two renewals.
const RENEW_WAIT: Duration = Duration::from_secs(10);
/// ARP probes of a new address, and the time that each may be answered.
const PROBES: u32 = 2;
const PROBE_WAIT: Duration = Duration::from_millis(200);
/// Pause after a declined address (RFC 2131 section 3.1 step 5 asks for 10 s).
const DECLINE_WAIT: Duration = Duration::from_secs(10);

/// Who this client is and whom it asks.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its hardware address.
    pub mac: Mac,
    /// Its name, told to the master.
    pub hostname: Option<Hostname>,
    /// The master's address: the only server it listens to.
    pub master: Ipv4Addr,
    /// The cluster network: the only one it takes an address of.
    pub subnet: Ipv4Net,
}

/// What it holds. Times are on the clock of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Where the server's messages come from.
    pub server: Mac,
    renew: Duration,
    rebind: Duration,
    expire: Duration,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a message.
    Send(To, Packet),
    /// Send an ARP probe for the address.
    Probe(Ipv4Addr),
    /// Use the address now.
    Bound(Ipv4Addr),
    /// Use it no longer.
    Lost(Ipv4Addr),
    /// A server answered from the master's address.
    MasterSeen,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Stopped,
    Paused {
        until: Duration,
    },
    Rebooting {
        address: Ipv4Addr,
        tries: u32,
        next: Duration,
    },
    Selecting {
        tries: u32,
        next: Duration,
    },
    Requesting {
        address: Ipv4Addr,
        tries: u32,
        next: Duration,
    },
    Checking {
        lease: Lease,
        probes: u32,
        next: Duration,
    },
    Bound {
        lease: Lease,
        next: Duration,
    },
}

/// The client of one interface.
#[derive(Debug)]
pub struct Client {
    who: Identity,
    jitter: Jitter,
    xid: u32,
    last: Option<Ipv4Addr>,
    state: State,
}

impl Client {
    /// A stopped client. `last`: the address that an earlier run had.
    pub fn new(who: Identity, jitter: Jitter, last: Option<Ipv4Addr>) -> Self {
        Self {
            who,
            jitter,
            xid: 0,
            last,
            state: State::Stopped,
        }
    }

    /// Begins to ask, unless it already does.
    pub fn start(&mut self, now: Duration) -> Vec<Output> {
        match (self.state, self.last.filter(|last| self.usable(*last))) {
            (State::Stopped, Some(address)) => {
                self.xid = self.new_xid();
                self.state = State::Rebooting {
                    address,
                    tries: 0,
                    next: now,
                };
                self.tick(now)
            }
            (State::Stopped, None) => self.select(now),
            _ => Vec::new(),
        }
    }

    /// Ends; the address, if any, is used no longer, and not given back: it is asked for again later.
    pub fn stop(&mut self) -> Vec<Output> {
        let lost = self.address().map(Output::Lost);
        self.state = State::Stopped;
        lost.into_iter().collect()
    }

    /// The address in use.
    pub fn address(&self) -> Option<Ipv4Addr> {
        match self.state {
            State::Bound { lease, .. } => Some(lease.address),
            _ => None,
        }
    }

    /// The address had last, to be remembered.
    pub fn last(&self) -> Option<Ipv4Addr> {
        self.last
    }

    /// When a `tick` is due.
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Stopped => None,
            State::Paused { until } => Some(until),
            State::Rebooting { next, .. }
            | State::Selecting { next, .. }
            | State::Requesting { next, .. }
            | State::Checking { next, .. }
            | State::Bound { next, .. } => Some(next),
        }
    }

    /// A master is known to be there, perhaps a new one: asks at once instead of waiting on.
    pub fn hurry(&mut self, now: Duration) -> Vec<Output> {
        match &mut self.state {
            State::Selecting { tries, next } | State::Rebooting { tries, next, .. } => {
                (*tries, *next) = (0, now);
            }
            // By broadcast: the lease's server may be the one that is gone.
            State::Bound { lease, next } => {
                (lease.renew, lease.rebind, *next) = (now, now, now);
            }
            _ => return Vec::new(),
        }
        self.tick(now)
    }

    /// Takes the passing of time.
    pub fn tick(&mut self, now: Duration) -> Vec<Output> {
        match self.state {
            State::Paused { until } if now >= until => self.select(now),
            State::Rebooting { address, tries, next } if now >= next => {
                if tries >= TRIES {
                    return self.select(now);
                }
                self.state = State::Rebooting {
                    address,
                    tries: tries + 1,
                    next: now + self.wait(0),
                };
                let mut packet = self.packet(Kind::Request);
                packet.requested = Some(address);
                vec![Output::Send(To::All, packet)]
            }
            State::Selecting { tries, next } if now >= next => {
                self.state = State::Selecting {
                    tries: tries + 1,
                    next: now + self.wait(tries),
                };
                vec![Output::Send(To::All, self.packet(Kind::Discover))]
            }
            State::Requesting { address, tries, next } if now >= next => {
                if tries >= TRIES {
                    return self.select(now);
                }
                self.state = State::Requesting {
                    address,
                    tries: tries + 1,
                    next: now + self.wait(tries),
                };
                let mut packet = self.packet(Kind::Request);
                (packet.requested, packet.server) = (Some(address), Some(self.who.master));
                vec![Output::Send(To::All, packet)]
            }
            State::Checking { lease, probes, next } if now >= next => {
                if probes >= PROBES {
                    self.last = Some(lease.address);
                    self.state = State::Bound {
                        lease,
                        next: lease.renew,
                    };
                    return vec![Output::Bound(lease.address)];
                }
                self.state = State::Checking {
                    lease,
                    probes: probes + 1,
                    next: now + PROBE_WAIT,
                };
                vec![Output::Probe(lease.address)]
            }
            State::Bound { lease, next } if now >= next => self.renew(now, lease),
            _ => Vec::new(),
        }
    }

    /// Takes a server's message, which came from the hardware address `from`.
    pub fn receive(&mut self, now: Duration, from: Mac, packet: &Packet) -> Vec<Output> {
        let ours =
            (packet.chaddr, packet.xid, packet.server) == (self.who.mac, self.xid, Some(self.who.master));
        if !ours || matches!(self.state, State::Stopped) {
            return Vec::new();
        }
        let mut outputs = vec![Output::MasterSeen];
        outputs.extend(match (packet.kind, self.state) {
            (Kind::Offer, State::Selecting { .. }) if self.usable(packet.yiaddr) => {
                self.state = State::Requesting {
                    address: packet.yiaddr,
                    tries: 0,
                    next: now,
                };
                self.tick(now)
            }
            (Kind::Ack, State::Rebooting { address, .. } | State::Requesting { address, .. }) => {
                match self
                    .lease(now, from, packet)
                    .filter(|lease| lease.address == address)
                {
                    Some(lease) => {
                        self.state = State::Checking {
                            lease,
                            probes: 0,
                            next: now,
                        };
                        self.tick(now)
                    }
                    None => Vec::new(),
                }
            }
            (Kind::Ack, State::Bound { lease: old, .. }) => {
                if let Some(lease) = self
                    .lease(now, from, packet)
                    .filter(|lease| lease.address == old.address)
                {
                    self.state = State::Bound {
                        lease,
                        next: lease.renew,
                    };
                }
                Vec::new()
            }
            (Kind::Nak, State::Rebooting { .. } | State::Requesting { .. } | State::Bound { .. }) => {
                let lost = self.address().map(Output::Lost);
                self.last = None;
                lost.into_iter().chain(self.select(now)).collect()
            }
            _ => Vec::new(),
        });
        outputs
    }

    /// An ARP packet shows `by` to hold or probe `address`.
    pub fn in_use(&mut self, now: Duration, address: Ipv4Addr, by: Mac) -> Vec<Output> {
        let State::Checking { lease, .. } = self.state else {
            return Vec::new();
        };
        if lease.address != address || by == self.who.mac {
            return Vec::new();
        }
        self.last = None;
        self.state = State::Paused {
            until: now + DECLINE_WAIT,
        };
        let mut packet = self.packet(Kind::Decline);
        (packet.requested, packet.server) = (Some(address), Some(self.who.master));
        vec![Output::Send(To::All, packet)]
    }

    fn renew(&mut self, now: Duration, lease: Lease) -> Vec<Output> {
        if now >= lease.expire {
            let mut outputs = vec![Output::Lost(lease.address)];
            outputs.extend(self.select(now));
            return outputs;
        }
        let rebinding = now >= lease.rebind;
        let (to, end) = if rebinding {
            (To::All, lease.expire)
        } else {
            let to = To::Server {
                from: lease.address,
                address: self.who.master,
                mac: lease.server,
            };
            (to, lease.rebind)
        };
        let next = (now + ((end - now) / 2).max(RENEW_WAIT)).min(end);
        self.state = State::Bound { lease, next };
        self.xid = self.new_xid();
        let mut packet = self.packet(Kind::Request);
        packet.ciaddr = lease.address;
        vec![Output::Send(to, packet)]
    }

    fn select(&mut self, now: Duration) -> Vec<Output> {
        self.xid = self.new_xid();
        self.state = State::Selecting { tries: 0, next: now };
        self.tick(now)
    }

    /// What an ACK gives; `None` when it is unsound. A server's times are bounded: a lease of no time would make this
    /// client flood the network.
    fn lease(&self, now: Duration, from: Mac, packet: &Packet) -> Option<Lease> {
        let length = packet.lease?.max(Duration::from_secs(60));
        let rebind = packet
            .rebind
            .filter(|time| *time < length)
            .unwrap_or(length * 7 / 8);
        let renew = packet
            .renew
            .filter(|time| *time < rebind)
            .unwrap_or(length / 2)
            .max(Duration::from_secs(30));
        self.usable(packet.yiaddr).then(|| Lease {
            address: packet.yiaddr,
            server: from,
            renew: now + renew,
            rebind: now + rebind.max(renew),
            expire: now + length,
        })
    }

    fn usable(&self, address: Ipv4Addr) -> bool {
        let Identity { master, subnet, .. } = &self.who;
        subnet.contains(&address) && ![*master, subnet.network(), subnet.broadcast()].contains(&address)
    }

    fn packet(&self, kind: Kind) -> Packet {
        let mut packet = Packet::new(kind, self.xid, self.who.mac);
        packet.hostname.clone_from(&self.who.hostname);
        packet.vendor_class = Some(VENDOR_CLASS.into());
        packet
    }

    fn new_xid(&mut self) -> u32 {
        // The upper half: the better mixed one.
        (self.jitter.number() >> 32) as u32
    }

    /// Twice as long each time, give or take a tenth.
    fn wait(&mut self, tries: u32) -> Duration {
        let (shortest, longest) = WAIT;
        let wait = shortest.saturating_mul(1 << tries.min(8)).min(longest);
        self.jitter.between(&(wait * 9 / 10..wait * 11 / 10))
    }
}

#[cfg(test)]
mod tests;
