//! The master's DHCP server (RFC 2131 section 4.3): message in, message out; pure, time passed in.
//!
//! Unless the settings say otherwise it gives neither router nor name server: those are the uplink's, on another
//! interface. It serves no relays.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use ipnet::Ipv4Net;

use super::lease_table::{Client, ClientKey, LeaseTable};
use super::mark;
use super::message::{Kind, Network, Packet, VENDOR_CLASS};
use super::rival::Rival;
use crate::network::mac::Mac;
use crate::trust::{Seal, Standing};

/// Whom the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every client: the network is the cluster's own (a VLAN).
    Everyone,
    /// Agents only, known by their vendor class: the network is untagged, so it may be the home network as well, where
    /// our answer would cost a laptop (or a node's own uplink) its router.
    Agents,
}

/// The server of one master.
#[derive(Debug)]
pub struct Server {
    /// The master's address.
    pub address: Ipv4Addr,
    /// The cluster network.
    pub subnet: Ipv4Net,
    /// How long a lease is.
    pub lease: Duration,
    /// Whom it answers.
    pub audience: Audience,
    /// What every client is told besides its address.
    pub network: Network,
    /// What tells nodes of this cluster from all other clients, and this server from other clusters'.
    pub seal: Seal,
    /// Other servers on the same network.
    pub rival: Rival,
    /// Who has what.
    pub table: LeaseTable,
}

impl Server {
    /// The card of another cluster that sent this message, if one did: it is answered by its own master only.
    pub fn stranger(&self, packet: &Packet) -> Option<Mac> {
        (!packet.from_server() && mark::standing(packet, &self.seal) == Standing::Other)
            .then_some(packet.chaddr)
    }

    /// The address that was to be offered turned out to be somebody else's.
    pub fn conflict(&mut self, now: Duration, request: &Packet, address: Ipv4Addr) {
        let member = self.is_member(request);
        self.table.decline(now, &client_of(request, member), address);
    }

    /// Whether a message is a node's of this cluster.
    pub fn is_member(&self, packet: &Packet) -> bool {
        mark::standing(packet, &self.seal) == Standing::Member
    }

    /// Takes one message. What to send, and where to.
    pub fn answer(&mut self, now: Duration, packet: &Packet) -> Option<(Packet, SocketAddrV4)> {
        let agent = packet.vendor_class.as_deref() == Some(VENDOR_CLASS);
        let standing = mark::standing(packet, &self.seal);
        if packet.from_server()
            || standing == Standing::Other
            || !packet.giaddr.is_unspecified()
            || (self.audience == Audience::Agents && !agent)
            || (standing != Standing::Member && self.rival.is_there(now))
        {
            return None;
        }
        let client = client_of(packet, standing == Standing::Member);
        let mut reply = match packet.kind {
            Kind::Discover => {
                let offered = self.table.offer(now, &client, packet.requested)?;
                self.reply(packet, Kind::Offer, Some(offered))
            }
            Kind::Request => self.request(now, packet, &client)?,
            Kind::Decline => {
                self.table.decline(now, &client, packet.requested?);
                return None;
            }
            Kind::Release => {
                self.table.release(now, &client, packet.ciaddr);
                return None;
            }
            Kind::Inform => self.reply(packet, Kind::Ack, None),
            Kind::Offer | Kind::Ack | Kind::Nak => return None,
        };
        // Also for those who cannot read it: another master of this cluster that overhears it must not take it for a rival's.
        mark::put(&mut reply, &self.seal);
        // A client that has an address in this network gets its answer there, any other by broadcast (section 4.1).
        let has_address = reply.kind != Kind::Nak && self.subnet.contains(&packet.ciaddr);
        let to = if has_address {
            packet.ciaddr
        } else {
            Ipv4Addr::BROADCAST
        };
        Some((reply, SocketAddrV4::new(to, 68)))
    }

    fn request(&mut self, now: Duration, packet: &Packet, client: &Client) -> Option<Packet> {
        if let Some(server) = packet.server
            && server != self.address
        {
            self.table.refused(client);
            return None;
        }
        let held = Some(packet.ciaddr).filter(|address| !address.is_unspecified());
        let address = packet.requested.or(held)?;
        // We are the only server of this network (authoritative), so what we do not know of is free to confirm.
        if self.table.confirm(now, client, address) {
            Some(self.reply(packet, Kind::Ack, Some(address)))
        } else {
            Some(self.reply(packet, Kind::Nak, None))
        }
    }

    fn reply(&self, request: &Packet, kind: Kind, given: Option<Ipv4Addr>) -> Packet {
        let mut reply = Packet::new(kind, request.xid, request.chaddr);
        reply.broadcast = request.broadcast;
        reply.server = Some(self.address);
        if kind == Kind::Nak {
            return reply;
        }
        reply.ciaddr = request.ciaddr;
        reply.mask = Some(self.subnet.netmask());
        reply.broadcast_address = Some(self.subnet.broadcast());
        reply.hostname.clone_from(&request.hostname);
        reply.network = Box::new(self.network.clone());
        if let Some(address) = given {
            reply.yiaddr = address;
            reply.lease = Some(self.lease);
            reply.renew = Some(self.lease / 2);
            reply.rebind = Some(self.lease * 7 / 8);
        }
        reply
    }
}

fn client_of(packet: &Packet, node: bool) -> Client {
    let id = packet.client_id.clone();
    Client {
        key: id.map_or(ClientKey::Mac(packet.chaddr), ClientKey::Id),
        mac: packet.chaddr,
        hostname: packet.hostname.clone(),
        node,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::Trust;
    use boot_config::Pool;

    const MASTER: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 1);

    fn address(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(192, 168, 200, last)
    }

    fn server(audience: Audience) -> Server {
        let lease = Duration::from_secs(600);
        let table = LeaseTable::new(
            Pool::new(address(20), address(29)).unwrap(),
            boot_config::Reservations::default(),
            lease,
        );
        Server {
            address: MASTER,
            subnet: "192.168.200.0/24".parse().unwrap(),
            lease,
            audience,
            network: Network {
                ntp: Some(MASTER),
                ..Network::default()
            },
            seal: seal(1),
            rival: Rival::new(Duration::ZERO),
            table,
        }
    }

    fn seal(byte: u8) -> Seal {
        let cluster = boot_config::Settings::default().cluster;
        let secret = boot_config::ClusterSecret::from_bytes([byte; 32]);
        Trust::decide(Some(secret), &cluster).unwrap().seal()
    }

    fn ask(kind: Kind, number: u8) -> Packet {
        Packet::new(kind, u32::from(number), Mac::from([2, 0, 0, 0, 0, number]))
    }

    fn answer(server: &mut Server, packet: &Packet) -> Option<(Kind, Ipv4Addr, Ipv4Addr)> {
        let (reply, to) = server.answer(Duration::ZERO, packet)?;
        Some((reply.kind, reply.yiaddr, *to.ip()))
    }

    fn lease(server: &mut Server, number: u8) -> Ipv4Addr {
        let (offer, _) = server
            .answer(Duration::ZERO, &ask(Kind::Discover, number))
            .unwrap();
        let mut request = ask(Kind::Request, number);
        request.requested = Some(offer.yiaddr);
        request.server = offer.server;
        let (ack, _) = server.answer(Duration::ZERO, &request).unwrap();
        assert_eq!(ack.kind, Kind::Ack);
        ack.yiaddr
    }

    #[test]
    fn an_offer_has_what_a_node_needs_and_no_router() {
        let mut discover = ask(Kind::Discover, 1);
        discover.hostname = Some("n1".parse().unwrap());
        let (offer, to) = server(Audience::Everyone)
            .answer(Duration::ZERO, &discover)
            .unwrap();
        assert_eq!(to, SocketAddrV4::new(Ipv4Addr::BROADCAST, 68));
        let mut expected = ask(Kind::Offer, 1);
        expected.yiaddr = address(20);
        expected.server = Some(MASTER);
        expected.mask = Some(Ipv4Addr::new(255, 255, 255, 0));
        expected.broadcast_address = Some(address(255));
        expected.hostname = discover.hostname;
        expected.lease = Some(Duration::from_secs(600));
        expected.renew = Some(Duration::from_secs(300));
        expected.rebind = Some(Duration::from_secs(525));
        expected.network.ntp = Some(MASTER);
        mark::put(&mut expected, &seal(1));
        assert_eq!(offer, expected);
    }

    #[test]
    fn requests_are_answered_as_rfc_2131_says() {
        let none = Ipv4Addr::UNSPECIFIED;
        // Client 1 holds .20, client 2 holds .21; who asks, ciaddr, requested, server -> kind, yiaddr, sent to
        for (who, ciaddr, requested, chosen, expected) in [
            (
                1,
                none,
                Some(address(20)),
                None,
                Some((Kind::Ack, address(20), Ipv4Addr::BROADCAST)),
            ),
            (
                1,
                address(20),
                None,
                None,
                Some((Kind::Ack, address(20), address(20))),
            ),
            (
                1,
                none,
                Some(address(21)),
                None,
                Some((Kind::Nak, none, Ipv4Addr::BROADCAST)),
            ),
            (
                1,
                address(21),
                None,
                None,
                Some((Kind::Nak, none, Ipv4Addr::BROADCAST)),
            ),
            (
                1,
                none,
                Some(Ipv4Addr::new(10, 0, 0, 9)),
                None,
                Some((Kind::Nak, none, Ipv4Addr::BROADCAST)),
            ),
            (
                3,
                none,
                Some(address(25)),
                None,
                Some((Kind::Ack, address(25), Ipv4Addr::BROADCAST)),
            ),
            (3, none, Some(address(22)), Some(address(2)), None),
            (3, none, None, None, None),
        ] {
            let mut server = server(Audience::Everyone);
            assert_eq!(
                [lease(&mut server, 1), lease(&mut server, 2)],
                [address(20), address(21)]
            );
            let mut request = ask(Kind::Request, who);
            (request.ciaddr, request.requested, request.server) = (ciaddr, requested, chosen);
            assert_eq!(answer(&mut server, &request), expected, "{request:?}");
        }
    }

    #[test]
    fn on_an_untagged_network_only_agents_are_answered() {
        let mut server = server(Audience::Agents);
        let mut discover = ask(Kind::Discover, 1);
        assert_eq!(answer(&mut server, &discover), None);
        discover.vendor_class = Some(b"udhcp 1.35".as_slice().into());
        assert_eq!(answer(&mut server, &discover), None);
        discover.vendor_class = Some(VENDOR_CLASS.into());
        assert_eq!(
            answer(&mut server, &discover),
            Some((Kind::Offer, address(20), Ipv4Addr::BROADCAST))
        );
    }

    #[test]
    fn only_who_has_the_secret_is_a_node_and_who_has_another_gets_nothing() {
        let mut server = server(Audience::Everyone);
        for (number, marked_with, expected) in [
            (1, None, Some(false)),
            (2, Some(1), Some(true)),
            (3, Some(2), None),
        ] {
            let mut discover = ask(Kind::Discover, number);
            if let Some(byte) = marked_with {
                mark::put(&mut discover, &seal(byte));
            }
            assert_eq!(server.stranger(&discover).is_some(), expected.is_none());
            let offer = server.answer(Duration::ZERO, &discover);
            assert_eq!(offer.is_some(), expected.is_some());
            if let Some(node) = expected {
                assert_eq!(server.is_member(&discover), node, "client {number}");
            }
        }
    }

    #[test]
    fn where_another_server_answers_only_nodes_are_served() {
        let mut server = server(Audience::Everyone);
        let (subnet, mac) = (server.subnet, Mac::from([2, 0, 0, 0, 0, 9]));
        let mut offer = ask(Kind::Offer, 9);
        offer.yiaddr = address(25);
        server
            .rival
            .heard(Duration::ZERO, mac, &offer, Audience::Everyone, subnet);
        let mut discover = ask(Kind::Discover, 1);
        assert_eq!(answer(&mut server, &discover), None);
        mark::put(&mut discover, &seal(1));
        assert!(answer(&mut server, &discover).is_some());
    }

    #[test]
    fn relays_and_other_servers_get_no_answer() {
        let mut server = server(Audience::Everyone);
        let mut relayed = ask(Kind::Discover, 1);
        relayed.giaddr = address(2);
        assert_eq!(answer(&mut server, &relayed), None);
        assert_eq!(answer(&mut server, &ask(Kind::Offer, 1)), None);
    }

    #[test]
    fn a_decline_leads_to_another_address_and_a_release_to_the_same() {
        let mut server = server(Audience::Everyone);
        lease(&mut server, 1);
        let mut decline = ask(Kind::Decline, 1);
        decline.requested = Some(address(20));
        assert_eq!(answer(&mut server, &decline), None);
        assert_eq!(lease(&mut server, 1), address(21));
        let mut release = ask(Kind::Release, 1);
        release.ciaddr = address(21);
        assert_eq!(answer(&mut server, &release), None);
        assert_eq!(server.table.active(Duration::ZERO).count(), 0);
        assert_eq!(lease(&mut server, 1), address(21));
    }
}
