//! The cluster's mark on DHCP messages: in option 43, which is for what vendor and client make out among themselves.
//!
//! It covers the transaction number, which the client chooses: a recorded answer fits no other question. A recorded
//! question brings whoever plays it back nothing but an answer to the one who asked it first.

use super::message::{Kind, Packet};
use crate::trust::{Seal, Standing, Subject};

/// Code of the mark within option 43.
const CODE: u8 = 193;

/// Marks a message.
pub fn put(packet: &mut Packet, seal: &Seal) {
    let mark = marked(packet, |subject, parts| seal.mark(subject, parts));
    let mut option = vec![CODE, mark.len() as u8];
    option.extend(mark);
    packet.vendor = Some(option.into());
}

/// What a message's mark says.
pub fn standing(packet: &Packet, seal: &Seal) -> Standing {
    let mark = match packet.vendor.as_deref() {
        Some([CODE, length, mark @ ..]) if usize::from(*length) == mark.len() => Some(mark),
        _ => None,
    };
    marked(packet, |subject, parts| seal.standing(subject, parts, mark))
}

/// What of a message is marked: all that its receiver acts on.
fn marked<T>(packet: &Packet, act: impl FnOnce(Subject, &[&[u8]]) -> T) -> T {
    let subject = if packet.from_server() {
        Subject::DhcpReply
    } else {
        Subject::DhcpRequest
    };
    let kind = match packet.kind {
        Kind::Discover => 1,
        Kind::Offer => 2,
        Kind::Request => 3,
        Kind::Decline => 4,
        Kind::Ack => 5,
        Kind::Nak => 6,
        Kind::Release => 7,
        Kind::Inform => 8,
    };
    let optional = |address: Option<std::net::Ipv4Addr>| address.map_or(Vec::new(), |a| a.octets().to_vec());
    let seconds = packet.lease.map_or(0, |lease| lease.as_secs());
    act(
        subject,
        &[
            &[kind],
            &packet.xid.to_be_bytes(),
            &packet.chaddr.octets(),
            &packet.ciaddr.octets(),
            &packet.yiaddr.octets(),
            &optional(packet.requested),
            &optional(packet.server),
            &seconds.to_be_bytes(),
            packet
                .hostname
                .as_ref()
                .map_or("", |name| name.as_str())
                .as_bytes(),
            packet.client_id.as_deref().unwrap_or_default(),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::mac::Mac;
    use crate::trust::Trust;
    use boot_config::{Cluster, ClusterSecret};

    fn seal(byte: u8) -> Seal {
        let cluster = Cluster {
            name: "lab".parse().unwrap(),
            open_lab: false,
        };
        let secret = ClusterSecret::from_bytes([byte; 32]);
        Trust::decide(Some(secret), &cluster).unwrap().seal()
    }

    #[test]
    fn a_mark_survives_the_wire_and_no_change_of_what_counts() {
        let mut packet = Packet::new(Kind::Ack, 7, Mac::from([2, 0, 0, 0, 0, 1]));
        packet.hostname = "N1".parse().ok();
        packet.yiaddr = "192.168.200.20".parse().unwrap();
        assert_eq!(standing(&packet, &seal(1)), Standing::Unmarked);
        put(&mut packet, &seal(1));
        let read = Packet::parse(&packet.to_bytes()).unwrap();
        assert_eq!(standing(&read, &seal(1)), Standing::Member);
        assert_eq!(standing(&read, &seal(2)), Standing::Other);
        for change in [
            |packet: &mut Packet| packet.xid += 1,
            |packet: &mut Packet| packet.chaddr = Mac::from([2, 0, 0, 0, 0, 2]),
            |packet: &mut Packet| packet.kind = Kind::Offer,
            |packet: &mut Packet| packet.hostname = None,
        ] {
            let mut changed = read.clone();
            change(&mut changed);
            assert_eq!(standing(&changed, &seal(1)), Standing::Other);
        }
    }
}
