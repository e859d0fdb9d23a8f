//! What the uplink's router tells its DHCP clients: a node's uplink address, read from the frames that pass.

use std::net::Ipv4Addr;

use dhcproto::v4::{Message, MessageType};
use dhcproto::{Decodable, Decoder};
use etherparse::{SlicedPacket, TransportSlice};

use super::frame::Mac;

const CLIENT_PORT: u16 = 68;

/// The client and the address of a DHCP ACK, if the frame is one and is not tagged (the cluster network's own DHCP is).
pub fn granted(frame: &[u8]) -> Option<(Mac, Ipv4Addr)> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(TransportSlice::Udp(datagram)) = &packet.transport else {
        return None;
    };
    if !packet.link_exts.is_empty() || datagram.destination_port() != CLIENT_PORT {
        return None;
    }
    let message = Message::decode(&mut Decoder::new(datagram.payload())).ok()?;
    let client = Mac(*message.chaddr().first_chunk()?);
    (message.opts().msg_type() == Some(MessageType::Ack)).then(|| (client, message.yiaddr()))
}

#[cfg(test)]
mod tests {
    use dhcproto::Encodable;
    use dhcproto::v4::{DhcpOption, Opcode};
    use etherparse::{EtherType, PacketBuilder, SingleVlanHeader, VlanId};

    use super::*;

    const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 7];

    fn reply(kind: MessageType) -> Vec<u8> {
        let [client, relay, server] = [[0, 0, 0, 0], [0, 0, 0, 0], [10, 0, 76, 1]].map(Ipv4Addr::from);
        let mut message = Message::new(client, Ipv4Addr::new(10, 0, 76, 20), server, relay, &CLIENT);
        message.set_opcode(Opcode::BootReply);
        message.opts_mut().insert(DhcpOption::MessageType(kind));
        message.to_vec().unwrap()
    }

    fn frame(payload: &[u8], to: u16) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], CLIENT)
            .ipv4([10, 0, 76, 1], [10, 0, 76, 20], 64)
            .udp(67, to)
            .write(&mut frame, payload)
            .unwrap();
        frame
    }

    fn tagged(frame: &[u8]) -> Vec<u8> {
        let tag = SingleVlanHeader {
            vlan_id: VlanId::try_new(200).unwrap(),
            ether_type: EtherType::IPV4,
            ..SingleVlanHeader::default()
        };
        [&frame[..12], &[0x81, 0], &tag.to_bytes(), &frame[14..]].concat()
    }

    #[test]
    fn only_an_untagged_ack_to_a_client_grants() {
        let ack = frame(&reply(MessageType::Ack), 68);
        assert_eq!(granted(&ack), Some((Mac(CLIENT), Ipv4Addr::new(10, 0, 76, 20))));
        assert_eq!(granted(&tagged(&ack)), None);
        assert_eq!(granted(&frame(&reply(MessageType::Offer), 68)), None);
        assert_eq!(granted(&frame(&reply(MessageType::Ack), 67)), None);
        assert_eq!(granted(&frame(b"no message", 68)), None);
        assert_eq!(granted(&ack[..30]), None);
    }
}
