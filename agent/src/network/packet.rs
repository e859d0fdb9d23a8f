//! Raw Ethernet frames of one interface (AF_PACKET): for ARP, and for DHCP while the interface has no address, when the
//! kernel's reverse path filter drops what UDP sockets would receive.

use std::io;

use socket2::{Domain, Protocol, SockAddr, SockFilter, Socket, Type};
use tokio::io::unix::AsyncFd;

/// Longest frame that matters: ARP and DHCP messages are far shorter.
const FRAME_MAX: usize = 2048;

/// What a socket receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// ARP packets.
    Arp,
    /// Messages to a DHCP client: unfragmented UDP to port 68.
    DhcpClient,
}

/// A socket for whole frames of one interface.
#[derive(Debug)]
pub struct PacketSocket(AsyncFd<Socket>);

impl PacketSocket {
    /// Opens a socket on the interface with this index.
    ///
    /// # Errors
    /// When there is no such interface or no permission (CAP_NET_RAW).
    pub fn open(index: u32, wanted: Wanted) -> io::Result<Self> {
        let protocol = match wanted {
            Wanted::Arp => libc::ETH_P_ARP,
            Wanted::DhcpClient => libc::ETH_P_IP,
        };
        // With protocol 0 nothing is received before the filter and the interface are set.
        let socket = Socket::new(
            Domain::PACKET,
            Type::RAW.nonblocking().cloexec(),
            Some(Protocol::from(0)),
        )?;
        socket.attach_filter(&filter(wanted))?;
        bind(&socket, index, u16::try_from(protocol).map_err(io::Error::other)?)?;
        // SAFETY: a `Socket` owns its descriptor, which stays the same and open as long as the `AsyncFd` has it.
        Ok(Self(unsafe { AsyncFd::register(socket)? }))
    }

    /// Waits for a frame. `Err` when the interface went down or away.
    ///
    /// # Errors
    /// As the kernel reports them.
    pub async fn receive(&self) -> io::Result<Vec<u8>> {
        self.0
            .async_io(tokio::io::Interest::READABLE, |socket| {
                let mut frame = vec![0; FRAME_MAX];
                let length = io::Read::read(&mut &*socket, &mut frame)?;
                frame.truncate(length);
                Ok(frame)
            })
            .await
    }

    /// Sends a frame. A full queue is an error: what is sent here is sent again by whoever decided it.
    ///
    /// # Errors
    /// As the kernel reports them.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.get_ref().send(frame).map(|_| ())
    }
}

fn bind(socket: &Socket, index: u32, protocol: u16) -> io::Result<()> {
    let index = i32::try_from(index).map_err(io::Error::other)?;
    let fill = |storage: *mut socket2::SockAddrStorage, length: *mut libc::socklen_t| {
        let address = storage.cast::<libc::sockaddr_ll>();
        // SAFETY: socket2 gives zeroed storage as large as `sockaddr_storage`, which is larger than and aligned for
        // `sockaddr_ll`, all of whose bit patterns are valid; nobody else has the pointers.
        unsafe {
            (*address).sll_family = libc::AF_PACKET as u16;
            (*address).sll_protocol = protocol.to_be();
            (*address).sll_ifindex = index;
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        }
        Ok(())
    };
    // SAFETY: `fill` initialises the whole address and sets its true length.
    let ((), address) = unsafe { SockAddr::try_init(fill)? };
    socket.bind(&address)
}

/// A classic BPF program. It leaves out what is not for this interface:
/// - frames for other stations (the interface may be promiscuous),
/// - frames of a VLAN that nobody here has made: the kernel strips their tag and hands them to the parent's sockets.
fn filter(wanted: Wanted) -> Vec<SockFilter> {
    // Offsets of the kernel's extra data about a frame, see linux/filter.h.
    const EXTRA: u32 = 0xffff_f000;
    const PACKET_TYPE: u32 = EXTRA + 4;
    const VLAN_TAG_PRESENT: u32 = EXTRA + 48;
    const OTHER_HOST: u32 = 3;
    const LOAD_WORD: u16 = 0x20;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF_INDEXED: u16 = 0x48;
    const LOAD_IP_HEADER_LENGTH: u16 = 0xb1;
    const JUMP_EQUAL: u16 = 0x15;
    const JUMP_BITS: u16 = 0x45;
    const RETURN: u16 = 0x06;
    let dhcp: &[(u16, u8, u8, u32)] = &[
        (LOAD_BYTE, 0, 0, 23), // protocol: UDP
        (JUMP_EQUAL, 0, 255, 17),
        (LOAD_HALF, 0, 0, 20), // no fragment but a first one
        (JUMP_BITS, 255, 0, 0x1fff),
        (LOAD_IP_HEADER_LENGTH, 0, 0, 14),
        (LOAD_HALF_INDEXED, 0, 0, 16), // destination port, behind the IP header
        (JUMP_EQUAL, 0, 255, 68),
    ];
    let mut program = vec![
        (LOAD_WORD, 0, 0, PACKET_TYPE),
        (JUMP_EQUAL, 255, 0, OTHER_HOST),
        (LOAD_WORD, 0, 0, VLAN_TAG_PRESENT),
        (JUMP_EQUAL, 255, 0, 1),
    ];
    if wanted == Wanted::DhcpClient {
        program.extend(dhcp);
    }
    program.push((RETURN, 0, 0, FRAME_MAX as u32));
    let refuse = program.len();
    program.push((RETURN, 0, 0, 0));
    // 255 stands for "refuse": jumps count from the next instruction.
    let distance = |at: usize, jump: u8| {
        if jump == 255 {
            (refuse - at - 1) as u8
        } else {
            jump
        }
    };
    let instruction = |(at, (code, yes, no, value)): (usize, &(u16, u8, u8, u32))| {
        SockFilter::new(*code, distance(at, *yes), distance(at, *no), *value)
    };
    program.iter().enumerate().map(instruction).collect()
}
