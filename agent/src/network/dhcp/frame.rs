//! Ethernet frames around DHCP messages of the client, which has no address of its own yet.

use std::net::Ipv4Addr;

use etherparse::{LaxNetSlice, LaxSlicedPacket, PacketBuilder, TransportSlice};

use super::message::Packet;
use crate::network::mac::Mac;

/// Where a message of the client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// To every server of the link, from no address.
    All,
    /// To one server, from the client's address.
    Server {
        /// The client's address.
        from: Ipv4Addr,
        /// The server's address.
        address: Ipv4Addr,
        /// The server's hardware address.
        mac: Mac,
    },
}

/// The frame that carries a client's message.
pub fn wrap(sender: Mac, to: To, packet: &Packet) -> Vec<u8> {
    let (from, address, mac) = match to {
        To::All => (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, Mac::BROADCAST),
        To::Server { from, address, mac } => (from, address, mac),
    };
    let payload = packet.to_bytes();
    let builder = PacketBuilder::ethernet2(sender.octets(), mac.octets())
        .ipv4(from.octets(), address.octets(), 64)
        .udp(68, 67);
    let mut frame = Vec::with_capacity(builder.size(payload.len()));
    // Cannot fail: the payload is far below 64 KiB, and a vector takes all that is written.
    let _ = builder.write(&mut frame, &payload);
    frame
}

/// A server's message to a client, and the hardware address that it came from.
pub fn unwrap(frame: &[u8]) -> Option<(Mac, Packet)> {
    let sliced = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let sender = Mac::try_from(frame.get(6..12)?).ok()?;
    // A cut-off packet is parsed laxly but not believed.
    let (Some(LaxNetSlice::Ipv4(_)), None) = (&sliced.net, &sliced.stop_err) else {
        return None;
    };
    let Some(TransportSlice::Udp(udp)) = sliced.transport else {
        return None;
    };
    if (udp.source_port(), udp.destination_port()) != (67, 68) {
        return None;
    }
    Packet::parse(udp.payload())
        .filter(Packet::from_server)
        .map(|packet| (sender, packet))
}

#[cfg(test)]
mod tests {
    use super::super::message::Kind;
    use super::*;
    use proptest::prelude::{ProptestConfig, proptest};

    fn server_frame() -> Vec<u8> {
        let packet = Packet::new(Kind::Offer, 7, Mac::from([2, 0, 0, 0, 0, 1]));
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [0xff; 6])
            .ipv4([192, 168, 200, 1], [255; 4], 64)
            .udp(67, 68)
            .write(&mut frame, &packet.to_bytes())
            .unwrap();
        frame
    }

    #[test]
    fn a_discover_is_a_broadcast_from_nowhere() {
        let mac = Mac::from([2, 0, 0, 0, 0, 1]);
        let frame = wrap(mac, To::All, &Packet::new(Kind::Discover, 7, mac));
        assert_eq!(frame[..6], [0xff; 6]);
        assert_eq!(frame[26..34], [0, 0, 0, 0, 255, 255, 255, 255]);
        assert_eq!(frame[34..38], [0, 68, 0, 67]);
        assert_eq!(unwrap(&frame), None, "a client's message is nothing for a client");
    }

    #[test]
    fn an_offer_is_read_with_its_sender() {
        let (sender, packet) = unwrap(&server_frame()).unwrap();
        assert_eq!(
            (sender, packet.kind),
            (Mac::from([2, 0, 0, 0, 0, 9]), Kind::Offer)
        );
        assert_eq!(unwrap(&server_frame()[..200]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn no_frame_makes_it_panic(noise: Vec<u8>, at in 0usize..300, byte: u8) {
            unwrap(&noise);
            let mut frame = server_frame();
            frame[at] = byte;
            unwrap(&frame);
        }
    }
}
