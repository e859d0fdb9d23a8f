//! ARP packets with which the master's address is looked for, claimed and defended (RFC 826, RFC 5227). Bytes only; the
//! decisions are in `role`, the socket in `packet`.
//!
//! Two uses of the target hardware address, which no receiver looks at in these packets:
//! - a *query* ("is there a master?") sets it to ones, a *claim* (the ARP probe of RFC 5227) to zeros as the RFC says;
//! - an announcement carries there for how long its sender has been master, so that a master that was cut off for a
//!   while gives way to the older one.
//!
//! The bytes that fill an announcement up to the shortest Ethernet frame carry its proof (see `announcement`).

use std::net::Ipv4Addr;
use std::time::Duration;

use etherparse::{
    ArpEthIpv4Packet, ArpHardwareId, ArpOperation, ArpPacket, EtherType, LaxNetSlice, LaxSlicedPacket,
    PacketBuilder,
};

use super::mac::Mac;
use crate::trust::MARK_LENGTH;

/// Marks an age in an announcement: a locally administered address that no vendor gives to a card.
const AGE_MARK: [u8; 2] = [0x02, 0xc1];

/// Length of an ARP packet with its Ethernet header, and of the shortest frame.
const PACKET: usize = 42;
const FRAME: usize = 60;
/// Marks a proof behind a packet: most systems fill up with zeros.
const PROOF_MARK: [u8; 2] = [0xc1, 0x01];

/// What a master's agent announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// For how long it has been master, to tenths of a second.
    pub age: Duration,
    /// What shows whose master it is.
    pub proof: Option<Proof>,
}

/// What shows whose master somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Number of the master's term.
    pub term: [u8; 4],
    /// The cluster's mark.
    pub mark: [u8; MARK_LENGTH],
}

/// An ARP packet, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Who sent it.
    pub sender: Mac,
    /// What it says.
    pub says: Says,
}

/// What an ARP packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// The sender is about to use this address (ARP probe).
    Claims(Ipv4Addr),
    /// The sender looks for the holder of this address, and has none itself.
    Seeks(Ipv4Addr),
    /// The sender uses this address; with what it says as a master's agent.
    Holds(Ipv4Addr, Option<Announced>),
}

/// Reads an Ethernet frame. `None` for all that is no sound ARP packet for IPv4 on Ethernet.
pub fn parse(frame: &[u8]) -> Option<Arp> {
    let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let Some(LaxNetSlice::Arp(arp)) = packet.net else {
        return None;
    };
    let arp: ArpEthIpv4Packet = arp.to_packet().try_eth_ipv4().ok()?;
    let (sender_address, target) = (Ipv4Addr::from(arp.sender_ipv4), Ipv4Addr::from(arp.target_ipv4));
    let sender = Mac::from(arp.sender_mac);
    if !sender.is_station() {
        return None;
    }
    let request = arp.operation == ArpOperation::REQUEST;
    let says = if sender_address.is_unspecified() {
        match (request, Mac::from(arp.target_mac)) {
            (false, _) => return None,
            (true, Mac::BROADCAST) => Says::Seeks(target),
            (true, _) => Says::Claims(target),
        }
    } else {
        let age = (request && sender_address == target)
            .then(|| age_in(arp.target_mac))
            .flatten();
        let proof = frame.get(PACKET..FRAME).and_then(proof_in);
        Says::Holds(sender_address, age.map(|age| Announced { age, proof }))
    };
    Some(Arp { sender, says })
}

/// The frame that asks who holds `address`, from a station without an address.
pub fn query(sender: Mac, address: Ipv4Addr) -> Vec<u8> {
    request(sender, Ipv4Addr::UNSPECIFIED, Mac::BROADCAST, address)
}

/// The frame that probes `address` before its use (RFC 5227 section 2.1.1).
pub fn claim(sender: Mac, address: Ipv4Addr) -> Vec<u8> {
    request(sender, Ipv4Addr::UNSPECIFIED, Mac::ZERO, address)
}

/// The frame that says that `address` is in use here (RFC 5227 section 2.3); a master adds for how long, and its proof.
pub fn announcement(sender: Mac, address: Ipv4Addr, announced: Option<Announced>) -> Vec<u8> {
    let target = announced.map_or(Mac::ZERO, |announced| age_out(announced.age));
    let mut frame = request(sender, address, target, address);
    if let Some(Proof { term, mark }) = announced.and_then(|announced| announced.proof) {
        frame.extend(PROOF_MARK);
        frame.extend(term);
        frame.extend(mark);
    }
    frame
}

/// The age as an announcement can say it.
pub fn on_the_wire(age: Duration) -> Duration {
    let tenths = u32::try_from(age.as_millis() / 100).unwrap_or(u32::MAX);
    Duration::from_millis(u64::from(tenths) * 100)
}

fn proof_in(filling: &[u8]) -> Option<Proof> {
    let rest = filling.strip_prefix(&PROOF_MARK)?;
    let (term, mark) = rest.split_first_chunk()?;
    Some(Proof {
        term: *term,
        mark: mark.try_into().ok()?,
    })
}

fn request(sender: Mac, sender_address: Ipv4Addr, target: Mac, target_address: Ipv4Addr) -> Vec<u8> {
    let arp = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        ArpOperation::REQUEST,
        &sender.octets(),
        &sender_address.octets(),
        &target.octets(),
        &target_address.octets(),
    );
    let mut frame = Vec::with_capacity(60);
    // Neither can fail: the lengths fit together, and a vector takes all that is written.
    if let Ok(arp) = arp {
        let builder = PacketBuilder::ethernet2(sender.octets(), Mac::BROADCAST.octets()).arp(arp);
        let _ = builder.write(&mut frame);
    }
    frame
}

/// Tenths of a second: as far as 13 years, and fine enough to order two masters.
fn age_out(age: Duration) -> Mac {
    let tenths = u32::try_from(age.as_millis() / 100)
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    Mac::from([
        AGE_MARK[0],
        AGE_MARK[1],
        tenths[0],
        tenths[1],
        tenths[2],
        tenths[3],
    ])
}

fn age_in(target: [u8; 6]) -> Option<Duration> {
    let [mark_0, mark_1, tenths @ ..] = target;
    ([mark_0, mark_1] == AGE_MARK).then(|| Duration::from_millis(u64::from(u32::from_be_bytes(tenths)) * 100))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, proptest};

    const ME: [u8; 6] = [0xb8, 0x27, 0xeb, 0, 0, 1];
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 1);

    #[test]
    fn what_is_written_is_read() {
        let me = Mac::from(ME);
        let age = Duration::from_millis(123_400);
        let unproven = Announced { age, proof: None };
        for (frame, says) in [
            (query(me, ADDRESS), Says::Seeks(ADDRESS)),
            (claim(me, ADDRESS), Says::Claims(ADDRESS)),
            (announcement(me, ADDRESS, None), Says::Holds(ADDRESS, None)),
            (
                announcement(me, ADDRESS, Some(unproven)),
                Says::Holds(ADDRESS, Some(unproven)),
            ),
        ] {
            assert_eq!(frame.len(), 42);
            assert_eq!(frame[..6], [0xff; 6]);
            assert_eq!(parse(&frame), Some(Arp { sender: me, says }));
            let mut padded = frame.clone();
            padded.resize(60, 0);
            assert_eq!(parse(&padded), Some(Arp { sender: me, says }));
            for cut in 0..frame.len() {
                assert_eq!(parse(&frame[..cut]), None, "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_reply_shows_its_sender_and_no_age() {
        let age = Duration::from_secs(9);
        let mut frame = announcement(Mac::from(ME), ADDRESS, Some(Announced { age, proof: None }));
        frame[21] = 2;
        assert_eq!(
            parse(&frame).map(|arp| arp.says),
            Some(Says::Holds(ADDRESS, None))
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn no_frame_makes_it_panic(noise: Vec<u8>, at in 0usize..42, byte: u8) {
            parse(&noise);
            let mut frame = query(Mac::from(ME), ADDRESS);
            frame[at] = byte;
            parse(&frame);
        }
    }

    #[test]
    fn a_group_address_is_nobody() {
        assert_eq!(parse(&query(Mac::BROADCAST, ADDRESS)), None);
    }
}
