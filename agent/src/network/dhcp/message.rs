//! DHCP messages (RFC 2131, RFC 2132) as far as the cluster network needs them. The only file that imports dhcproto.
//!
//! Bytes from the network are hostile. Before dhcproto decodes them, every option that we do not use is left out: that
//! one odd option does not cost a client its address, and that no rarely used decoder is reachable from outside.

use std::net::Ipv4Addr;
use std::time::Duration;

use boot_config::{Domain, Hostname};
use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable, Encoder, Name};

use crate::network::mac::Mac;

/// Option 60 of our own client: with it the master tells cluster nodes from all other machines on an untagged network.
pub const VENDOR_CLASS: &[u8] = b"cluster-lab";

/// Bytes before the options, with the magic cookie.
const FIXED: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// BOOTP's least message size; some clients drop shorter ones.
const LEAST: usize = 300;
/// Options that are read, with the length that they must have if it is fixed.
const READ: [(u8, Option<usize>); 14] = [
    (1, Some(4)),
    (12, None),
    (28, Some(4)),
    (43, None),
    (50, Some(4)),
    (51, Some(4)),
    (53, Some(1)),
    (54, Some(4)),
    (55, None),
    (56, None),
    (58, Some(4)),
    (59, Some(4)),
    (60, None),
    (61, None),
];

/// Kind of a message (option 53).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of RFC 2131")]
pub enum Kind {
    Discover,
    Offer,
    Request,
    Decline,
    Ack,
    Nak,
    Release,
    Inform,
}

/// One message, of a client or a server. A field that is absent on the wire is `None` or unspecified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Kind.
    pub kind: Kind,
    /// Transaction number, chosen by the client.
    pub xid: u32,
    /// Whether the client can only receive broadcasts.
    pub broadcast: bool,
    /// Address that the client has and can answer from.
    pub ciaddr: Ipv4Addr,
    /// Address that the server gives.
    pub yiaddr: Ipv4Addr,
    /// Address of a relay.
    pub giaddr: Ipv4Addr,
    /// The client's hardware address.
    pub chaddr: Mac,
    /// Option 12. A name that is none is taken as absent.
    pub hostname: Option<Hostname>,
    /// Option 50.
    pub requested: Option<Ipv4Addr>,
    /// Option 54.
    pub server: Option<Ipv4Addr>,
    /// Option 60.
    pub vendor_class: Option<Box<[u8]>>,
    /// Option 61; empty is taken as absent.
    pub client_id: Option<Vec<u8>>,
    /// Option 43.
    pub vendor: Option<Box<[u8]>>,
    /// Option 1.
    pub mask: Option<Ipv4Addr>,
    /// Option 28.
    pub broadcast_address: Option<Ipv4Addr>,
    /// Option 51, whole seconds.
    pub lease: Option<Duration>,
    /// Option 58 (T1), whole seconds.
    pub renew: Option<Duration>,
    /// Option 59 (T2), whole seconds.
    pub rebind: Option<Duration>,
    /// What else a server gives. Apart, because no message of a client has it.
    pub network: Box<Network>,
}

/// What a server tells of the network besides addresses. Our own client needs none of it: a node knows its master, and
/// its router and DNS server are the uplink's. So it is written and never read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Option 3.
    pub router: Option<Ipv4Addr>,
    /// Option 6.
    pub dns: Option<Ipv4Addr>,
    /// Option 42.
    pub ntp: Option<Ipv4Addr>,
    /// Options 15 and 119.
    pub domain: Option<Domain>,
}

impl Packet {
    /// A message with nothing but the fields that all have.
    pub fn new(kind: Kind, xid: u32, chaddr: Mac) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self {
            kind,
            xid,
            broadcast: false,
            ciaddr: none,
            yiaddr: none,
            giaddr: none,
            chaddr,
            hostname: None,
            requested: None,
            server: None,
            vendor_class: None,
            client_id: None,
            vendor: None,
            mask: None,
            broadcast_address: None,
            lease: None,
            renew: None,
            rebind: None,
            network: Box::default(),
        }
    }

    /// Whether a server sends such a message.
    pub fn from_server(&self) -> bool {
        matches!(self.kind, Kind::Offer | Kind::Ack | Kind::Nak)
    }

    /// Reads a UDP payload. `None` when it is no sound DHCP message for Ethernet.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let message = Message::decode(&mut Decoder::new(&sound_part(bytes)?)).ok()?;
        let chaddr = Mac::try_from(message.chaddr())
            .ok()
            .filter(|mac| mac.is_station())?;
        let kind = kind_of(message.opts().msg_type()?)?;
        let mut packet = Self::new(kind, message.xid(), chaddr);
        let from_server = message.opcode() == Opcode::BootReply;
        if packet.from_server() != from_server {
            return None;
        }
        packet.broadcast = message.flags().broadcast();
        packet.ciaddr = message.ciaddr();
        packet.yiaddr = message.yiaddr();
        packet.giaddr = message.giaddr();
        let seconds = |seconds: &u32| Some(Duration::from_secs(u64::from(*seconds)));
        for (_, option) in message.opts().iter() {
            match option {
                DhcpOption::Hostname(name) => packet.hostname = first_label(name),
                DhcpOption::RequestedIpAddress(address) => packet.requested = Some(*address),
                DhcpOption::ServerIdentifier(address) => packet.server = Some(*address),
                DhcpOption::ClassIdentifier(class) => packet.vendor_class = Some(class.as_slice().into()),
                DhcpOption::ClientIdentifier(id) if !id.is_empty() => packet.client_id = Some(id.clone()),
                DhcpOption::VendorExtensions(bytes) => packet.vendor = Some(bytes.as_slice().into()),
                DhcpOption::SubnetMask(mask) => packet.mask = Some(*mask),
                DhcpOption::BroadcastAddr(address) => packet.broadcast_address = Some(*address),
                DhcpOption::AddressLeaseTime(time) => packet.lease = seconds(time),
                DhcpOption::Renewal(time) => packet.renew = seconds(time),
                DhcpOption::Rebinding(time) => packet.rebind = seconds(time),
                _ => {}
            }
        }
        Some(packet)
    }

    /// The UDP payload.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self {
            kind,
            xid,
            broadcast,
            ciaddr,
            yiaddr,
            giaddr,
            chaddr,
            hostname,
            requested,
            server,
            ..
        } = self;
        let Self {
            vendor_class,
            client_id,
            vendor,
            mask,
            broadcast_address,
            lease,
            renew,
            rebind,
            network,
            ..
        } = self;
        let Network {
            router,
            dns,
            ntp,
            domain,
        } = &**network;
        let search = domain
            .as_ref()
            .and_then(|domain| Name::from_ascii(domain.as_str()).ok());
        let Some(mut message) = blank() else {
            return Vec::new();
        };
        message
            .set_opcode(if self.from_server() {
                Opcode::BootReply
            } else {
                Opcode::BootRequest
            })
            .set_xid(*xid)
            .set_flags(if *broadcast {
                Flags::default().set_broadcast()
            } else {
                Flags::default()
            })
            .set_ciaddr(*ciaddr)
            .set_yiaddr(*yiaddr)
            .set_giaddr(*giaddr)
            .set_chaddr(&chaddr.octets());
        let seconds = |time: &Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let options = [
            Some(DhcpOption::MessageType(type_of(*kind))),
            hostname
                .as_ref()
                .map(|name| DhcpOption::Hostname(name.as_str().to_owned())),
            requested.map(DhcpOption::RequestedIpAddress),
            server.map(DhcpOption::ServerIdentifier),
            vendor_class
                .as_deref()
                .map(|class| DhcpOption::ClassIdentifier(class.to_vec())),
            client_id.clone().map(DhcpOption::ClientIdentifier),
            vendor
                .as_deref()
                .map(|bytes| DhcpOption::VendorExtensions(bytes.to_vec())),
            mask.map(DhcpOption::SubnetMask),
            broadcast_address.map(DhcpOption::BroadcastAddr),
            lease.as_ref().map(seconds).map(DhcpOption::AddressLeaseTime),
            renew.as_ref().map(seconds).map(DhcpOption::Renewal),
            rebind.as_ref().map(seconds).map(DhcpOption::Rebinding),
            router.map(|address| DhcpOption::Router(vec![address])),
            dns.map(|address| DhcpOption::DomainNameServer(vec![address])),
            ntp.map(|address| DhcpOption::NtpServers(vec![address])),
            domain
                .as_ref()
                .map(|domain| DhcpOption::DomainName(domain.as_str().to_owned())),
            search.map(|name| DhcpOption::DomainSearch(vec![name])),
            matches!(kind, Kind::Discover | Kind::Request).then(|| {
                let wanted = [1, 28, 51, 54, 58, 59].map(OptionCode::from);
                DhcpOption::ParameterRequestList(wanted.to_vec())
            }),
        ];
        for option in options.into_iter().flatten() {
            message.opts_mut().insert(option);
        }
        let mut bytes = Vec::with_capacity(LEAST);
        // Cannot fail: a vector takes all that is written.
        let _ = message.encode(&mut Encoder::new(&mut bytes));
        bytes.resize(bytes.len().max(LEAST), 0);
        bytes
    }
}

/// The fixed part and those options that we read, in a form that is safe to decode.
fn sound_part(bytes: &[u8]) -> Option<Vec<u8>> {
    let (fixed, mut options) = bytes.split_at_checked(FIXED)?;
    let [_op, hardware_type, hardware_length, ..] = fixed else {
        return None;
    };
    // dhcproto slices the address by the length byte, which it does not check.
    if (*hardware_type, *hardware_length) != (1, 6) || !fixed.ends_with(&COOKIE) {
        return None;
    }
    let mut sound = fixed.to_vec();
    loop {
        match options {
            [] | [255, ..] => break,
            [0, rest @ ..] => options = rest,
            [code, length, rest @ ..] => {
                let (value, after) = rest.split_at_checked(usize::from(*length))?;
                let wanted = READ
                    .iter()
                    .any(|(c, fixed)| c == code && fixed.is_none_or(|n| n == value.len()));
                if wanted && !value.is_empty() {
                    sound.extend([*code, *length]);
                    sound.extend(value);
                }
                options = after;
            }
            [_] => return None,
        }
    }
    sound.push(255);
    Some(sound)
}

/// An empty message. Not `Message::default()`: that draws a number from the kernel, which may block at early boot.
fn blank() -> Option<Message> {
    let mut zeros = [0; FIXED + 1];
    zeros[..3].copy_from_slice(&[1, 1, 6]);
    zeros[FIXED - 4..FIXED].copy_from_slice(&COOKIE);
    zeros[FIXED] = 255;
    Message::decode(&mut Decoder::new(&zeros)).ok()
}

/// Clients may send a full domain name, or one with a NUL at its end.
fn first_label(name: &str) -> Option<Hostname> {
    name.trim_end_matches('\0').split('.').next()?.parse().ok()
}

fn kind_of(kind: MessageType) -> Option<Kind> {
    Some(match kind {
        MessageType::Discover => Kind::Discover,
        MessageType::Offer => Kind::Offer,
        MessageType::Request => Kind::Request,
        MessageType::Decline => Kind::Decline,
        MessageType::Ack => Kind::Ack,
        MessageType::Nak => Kind::Nak,
        MessageType::Release => Kind::Release,
        MessageType::Inform => Kind::Inform,
        _ => return None,
    })
}

fn type_of(kind: Kind) -> MessageType {
    match kind {
        Kind::Discover => MessageType::Discover,
        Kind::Offer => MessageType::Offer,
        Kind::Request => MessageType::Request,
        Kind::Decline => MessageType::Decline,
        Kind::Ack => MessageType::Ack,
        Kind::Nak => MessageType::Nak,
        Kind::Release => MessageType::Release,
        Kind::Inform => MessageType::Inform,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, proptest};

    fn full(kind: Kind) -> Packet {
        let address = |last| Some(Ipv4Addr::new(192, 168, 200, last));
        let mut packet = Packet::new(kind, 0xdead_beef, Mac::from([0xb8, 0x27, 0xeb, 0, 0, 1]));
        packet.broadcast = true;
        packet.ciaddr = Ipv4Addr::new(192, 168, 200, 20);
        packet.hostname = Some("cl-node-1".parse().unwrap());
        packet.requested = address(20);
        packet.server = address(1);
        packet.vendor_class = Some(VENDOR_CLASS.into());
        packet.client_id = Some(vec![1, 2, 3]);
        packet.mask = Some(Ipv4Addr::new(255, 255, 255, 0));
        packet.broadcast_address = address(255);
        packet.lease = Some(Duration::from_secs(600));
        packet.renew = Some(Duration::from_secs(300));
        packet.rebind = Some(Duration::from_secs(525));
        packet
    }

    #[test]
    fn what_is_written_is_read() {
        for kind in [
            Kind::Discover,
            Kind::Offer,
            Kind::Request,
            Kind::Ack,
            Kind::Nak,
            Kind::Release,
        ] {
            let bytes = full(kind).to_bytes();
            assert!(bytes.len() >= LEAST);
            assert_eq!(Packet::parse(&bytes), Some(full(kind)));
        }
    }

    /// An option that makes dhcproto fail or worse, before the ones that count.
    #[test]
    fn odd_options_do_not_cost_a_client_its_address() {
        let good = full(Kind::Discover).to_bytes();
        let fqdn_too_short: &[u8] = &[81, 0];
        let time_offset_too_short: &[u8] = &[2, 1, 0];
        let slaac: &[u8] = &[116, 1, 9];
        let mask_too_short: &[u8] = &[1, 1, 255];
        for odd in [fqdn_too_short, time_offset_too_short, slaac, mask_too_short] {
            let mut bytes = good[..FIXED].to_vec();
            bytes.extend(odd);
            bytes.extend(&good[FIXED..]);
            assert_eq!(Packet::parse(&bytes), Some(full(Kind::Discover)), "{odd:?}");
        }
    }

    #[test]
    fn unsound_messages_are_refused() {
        let good = full(Kind::Offer).to_bytes();
        for (at, byte, why) in [
            (0, 1, "an offer from a client"),
            (1, 6, "not Ethernet"),
            (2, 255, "a hardware address of 255 bytes"),
            (28, 0xff, "a group address"),
            (239, 0, "no cookie"),
        ] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            assert_eq!(Packet::parse(&bytes), None, "{why}");
        }
        assert_eq!(Packet::parse(&good[..FIXED]), None, "no kind");
    }

    #[test]
    fn a_name_is_reduced_to_its_first_label_or_left_out() {
        for (sent, expected) in [
            ("n1.example.org", Some("n1")),
            ("n1\0", Some("n1")),
            ("böse", None),
            ("", None),
        ] {
            assert_eq!(first_label(sent).as_ref().map(Hostname::as_str), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        #[test]
        fn no_bytes_make_it_panic(noise: Vec<u8>, at in 0usize..300, byte: u8) {
            Packet::parse(&noise);
            let mut bytes = full(Kind::Request).to_bytes();
            bytes[at] = byte;
            Packet::parse(&bytes);
            let mut bytes = full(Kind::Request).to_bytes()[..FIXED].to_vec();
            bytes.extend(noise);
            Packet::parse(&bytes);
        }
    }
}
