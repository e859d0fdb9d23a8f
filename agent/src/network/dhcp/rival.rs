//! Another DHCP server on the cluster network: found by asking as a client does, and by what is overheard. Pure, time
//! passed in.
//!
//! As long as one answers, machines that are no nodes are left to it: two servers with one pool give one address twice.
//! Nodes take nothing from it, so they are served on. On an untagged network the home router is no rival, as long as it
//! gives no addresses of the cluster's.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::message::{Kind, Packet};
use super::server::Audience;
use crate::network::mac::Mac;

/// A rival that was silent for so long is gone. Longer than between two questions.
const GONE_AFTER: Duration = Duration::from_secs(150);
/// Between two questions, and before the first.
const ASK_EVERY: Duration = Duration::from_secs(60);
const ASK_FIRST: Duration = Duration::from_secs(1);

/// What is known of other servers.
#[derive(Debug)]
pub struct Rival {
    seen: Option<(Duration, Ipv4Addr, Mac)>,
    ask: Duration,
}

impl Rival {
    /// Nothing is known yet.
    pub fn new(now: Duration) -> Self {
        Self {
            seen: None,
            ask: now + ASK_FIRST,
        }
    }

    /// When the next question is due.
    pub fn deadline(&self) -> Duration {
        self.ask
    }

    /// The question, when it is due: a DISCOVER, which whoever is no rival answers with this cluster's mark or not at all.
    pub fn ask(&mut self, now: Duration, own: Mac, xid: u32) -> Option<Packet> {
        if now < self.ask {
            return None;
        }
        self.ask = now + ASK_EVERY;
        let mut packet = Packet::new(Kind::Discover, xid, own);
        // What it gives must reach this machine, which has other addresses.
        packet.broadcast = true;
        Some(packet)
    }

    /// A server's message was heard that has no cluster's mark.
    pub fn heard(&mut self, now: Duration, from: Mac, packet: &Packet, audience: Audience, subnet: Ipv4Net) {
        let gives = packet.kind != Kind::Nak && subnet.contains(&packet.yiaddr);
        if audience == Audience::Everyone || gives {
            let server = packet.server.unwrap_or(Ipv4Addr::UNSPECIFIED);
            self.seen = Some((now, server, from));
        }
    }

    /// Whether there is one.
    pub fn is_there(&self, now: Duration) -> bool {
        self.seen.is_some_and(|(at, ..)| now < at + GONE_AFTER)
    }

    /// A line about it.
    pub fn line(&self, now: Duration) -> Option<String> {
        let (_, server, mac) = self.seen.filter(|_| self.is_there(now))?;
        Some(format!(
            "another DHCP server ({server}, {mac}) answers on the cluster network: machines that are no nodes are left to \
             it; switch it off there"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rival_is_who_gives_addresses_on_the_clusters_own_network() {
        let secs = Duration::from_secs;
        let mac = Mac::from([2, 0, 0, 0, 0, 9]);
        let subnet = "192.168.200.0/24".parse().unwrap();
        let offer = |address: &str| {
            let mut packet = Packet::new(Kind::Offer, 1, mac);
            packet.yiaddr = address.parse().unwrap();
            packet.server = Some(Ipv4Addr::new(192, 168, 1, 1));
            packet
        };
        for (audience, address, expected) in [
            (Audience::Everyone, "192.168.200.30", true),
            (Audience::Everyone, "192.168.1.30", true),
            (Audience::Agents, "192.168.200.30", true),
            (Audience::Agents, "192.168.1.30", false),
        ] {
            let mut rival = Rival::new(secs(0));
            rival.heard(secs(0), mac, &offer(address), audience, subnet);
            assert_eq!(rival.is_there(secs(149)), expected, "{audience:?} {address}");
            assert_eq!(rival.line(secs(149)).is_some(), expected);
            assert!(!rival.is_there(secs(150)));
        }
    }

    #[test]
    fn it_asks_once_a_minute() {
        let mut rival = Rival::new(Duration::ZERO);
        let mac = Mac::from([2, 0, 0, 0, 0, 9]);
        let asked = (0..1800).filter(|tenth| rival.ask(Duration::from_millis(tenth * 100), mac, 1).is_some());
        assert_eq!(asked.count(), 3);
    }
}
