//! A node's regular look at the master's clock. Only ever forward: see `step`.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::clock::Clock;
use super::packet::{self, LENGTH};
use super::server::PORT;
use super::step::{self, Seen};
use crate::network::jitter::Jitter;

/// Between two looks; at 100 nodes one every six seconds reaches the master.
const EVERY: Duration = Duration::from_secs(600);
/// While the master is not sure of its time.
const SOON: Duration = Duration::from_secs(30);
/// After a look without an answer.
const AGAIN: Duration = Duration::from_secs(5);
const WAIT: Duration = Duration::from_secs(1);
/// An answer that took longer is no good as time: its way back may have taken all of it.
const SLOW: Duration = Duration::from_millis(500);

/// A running look-out; it ends when this is dropped.
#[derive(Debug)]
pub struct TimeFollower(JoinHandle<()>);

impl TimeFollower {
    /// Follows the clock of the master at this address, through this interface. `built`: when the node's image was
    /// built, since 1970.
    pub fn start(
        master: Ipv4Addr,
        interface: String,
        clock: Arc<dyn Clock>,
        built: Duration,
        mut jitter: Jitter,
    ) -> Self {
        Self(tokio::spawn(async move {
            loop {
                let mark = jitter.number();
                let wait = match look(&interface, SocketAddrV4::new(master, PORT), &*clock, built, mark).await
                {
                    Ok(true) => EVERY,
                    // Who woke up with us may hear the right time any moment.
                    Ok(false) => SOON,
                    Err(error) => {
                        tracing::debug!(%error, "the master's time");
                        AGAIN
                    }
                };
                tokio::time::sleep(jitter.between(&(wait * 8 / 10..wait * 12 / 10))).await;
            }
        }))
    }
}

impl Drop for TimeFollower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks once, and takes the master's time if it is time to; whether the master is sure of it.
async fn look(
    interface: &str,
    master: SocketAddrV4,
    clock: &dyn Clock,
    built: Duration,
    mark: u64,
) -> std::io::Result<bool> {
    let socket = Socket::new(
        Domain::IPV4,
        Type::DGRAM.nonblocking().cloexec(),
        Some(Protocol::UDP),
    )?;
    // On an uplink with the same subnet, another machine would answer.
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.connect(&master.into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    let asked = Instant::now();
    socket.send(&packet::question(mark)).await?;
    let answered = async {
        let mut answer = [0; 2 * LENGTH];
        loop {
            let length = socket.recv(&mut answer).await?;
            if let Some(time) = packet::time(&answer[..length], mark) {
                return Ok::<_, std::io::Error>((time, packet::is_sure(&answer[..length])));
            }
        }
    };
    let (sent, sure) = timeout(WAIT, answered).await??;
    let way = asked.elapsed();
    if way > SLOW {
        return Err(std::io::Error::other("its answer took too long"));
    }
    let own = clock.now();
    let seen = Seen {
        own,
        trust: clock.trust(),
        master: sent + way / 2,
        built,
    };
    if let Some(time) = step::plan(seen) {
        match clock.set(time) {
            Ok(()) => tracing::info!(
                "the clock was {} s behind the master's: set",
                (time - own).as_secs()
            ),
            Err(error) => tracing::warn!("the clock is behind the master's and cannot be set: {error:#}"),
        }
    }
    Ok(sure)
}

#[cfg(test)]
mod tests {
    use super::super::clock::Trust;
    use super::super::clock::tests::StillClock;
    use super::super::server::serve;
    use super::*;

    const BUILT: u64 = 1_790_000_000;

    /// A node and a master on loopback, with clocks of their own; the node's time after a look.
    async fn after(own: u64, trust: Trust, master: u64) -> u64 {
        let clock: Arc<dyn Clock> = Arc::new(StillClock::at(master, Trust::Unsynchronised));
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let std::net::SocketAddr::V4(address) = socket.local_addr().unwrap() else {
            unreachable!()
        };
        let server = tokio::spawn(serve(socket, |_| true, clock, false));
        let node = StillClock::at(own, trust);
        look("lo", address, &node, Duration::from_secs(BUILT), 77)
            .await
            .unwrap();
        server.abort();
        node.now().as_secs()
    }

    #[tokio::test]
    async fn a_node_that_woke_up_in_the_past_takes_the_masters_time_even_of_an_unsure_master() {
        let kept = Trust::Synchronised(Duration::ZERO);
        let later = BUILT + 5000;
        assert_eq!(after(0, Trust::Unsynchronised, later).await, later);
        assert_eq!(after(0, kept, later).await, later, "before its image was built");
        assert_eq!(after(BUILT + 1, Trust::Unsynchronised, later).await, later);
        assert_eq!(
            after(BUILT + 1, kept, later).await,
            BUILT + 1,
            "a time daemon keeps it"
        );
        assert_eq!(
            after(later + 9, Trust::Unsynchronised, later).await,
            later + 9,
            "never back"
        );
    }

    #[tokio::test]
    async fn a_master_that_does_not_answer_changes_nothing() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let std::net::SocketAddr::V4(address) = silent.local_addr().unwrap() else {
            unreachable!()
        };
        let node = StillClock::at(5, Trust::Unsynchronised);
        assert!(look("lo", address, &node, Duration::ZERO, 77).await.is_err());
        assert_eq!(node.now(), Duration::from_secs(5));
    }
}
