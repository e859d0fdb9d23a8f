//! The master's time server: UDP port 123 of its address on the cluster interface, so that nobody on the uplink is ever
//! answered.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ipnet::Ipv4Net;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::clock::Clock;
use super::packet::{self, Quality};

/// Port of NTP.
pub const PORT: u16 = 123;
/// Longest message that is read: with extensions and a signature, which are passed over.
const MESSAGE_MAX: usize = 512;
/// After an error of the socket.
const PAUSE: Duration = Duration::from_millis(100);

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct TimeServer(JoinHandle<()>);

impl TimeServer {
    /// Serves the clock's time on one address of one interface, to who is in the subnet. `alone`: see [`Quality`].
    ///
    /// # Errors
    /// When the port is taken, or the address not there.
    pub fn serve(
        interface: &str,
        address: Ipv4Addr,
        subnet: Ipv4Net,
        clock: Arc<dyn Clock>,
        alone: bool,
    ) -> anyhow::Result<Self> {
        let address = SocketAddrV4::new(address, PORT);
        let open = || {
            let kind = Type::DGRAM.nonblocking().cloexec();
            let socket = Socket::new(Domain::IPV4, kind, Some(Protocol::UDP))?;
            // Bound to the interface before the port: not for one moment is anything of the uplink received.
            socket.bind_device(Some(interface.as_bytes()))?;
            socket.bind(&address.into())?;
            UdpSocket::from_std(socket.into())
        };
        let socket = open().with_context(|| format!("binding UDP {address} of {interface}"))?;
        let known = move |from: Ipv4Addr| subnet.contains(&from);
        Ok(Self(tokio::spawn(serve(socket, known, clock, alone))))
    }
}

impl Drop for TimeServer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers for ever.
pub(super) async fn serve(
    socket: UdpSocket,
    known: impl Fn(Ipv4Addr) -> bool,
    clock: Arc<dyn Clock>,
    alone: bool,
) {
    let mut message = [0; MESSAGE_MAX];
    loop {
        let (length, from) = match socket.recv_from(&mut message).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "time server");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let received = clock.now();
        if !matches!(from, SocketAddr::V4(from) if known(*from.ip())) {
            continue;
        }
        let quality = Quality {
            trust: clock.trust(),
            alone,
        };
        // The answer is never longer than the question. What cannot be sent now is asked for again.
        if let Some(answer) = packet::answer(&message[..length], quality, received, clock.now()) {
            let _ = socket.try_send_to(&answer, from);
        }
    }
}
