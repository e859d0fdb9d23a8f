//! Before an address is offered to a machine that is no node it is probed by ARP: somebody may use it without asking.
//! Nodes are not made to wait, they probe for themselves. Pure, time passed in; many checks run side by side.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::message::Packet;
use crate::network::mac::Mac;

/// So long an answer is waited for: far longer than a switched network takes, far shorter than clients wait.
const WAIT: Duration = Duration::from_millis(300);
/// More are not checked at once: they are offered at once instead, as nobody shall go without.
const RUNNING_MAX: usize = 256;
/// Addresses that are tried for one request.
const TRIES: u8 = 4;

#[derive(Debug)]
struct Check {
    request: Packet,
    address: Ipv4Addr,
    until: Duration,
    tries: u8,
    taken: bool,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody has the address: offer it.
    Free(Packet),
    /// Somebody has it: offer another, which is the try of this number.
    Taken(Packet, Ipv4Addr, u8),
}

/// The checks that run.
#[derive(Debug, Default)]
pub struct Checks(Vec<Check>);

impl Checks {
    /// Begins a check; `false` when the address is to be offered without. `tries`: how many came before it.
    pub fn begin(&mut self, now: Duration, request: &Packet, address: Ipv4Addr, tries: u8) -> bool {
        if self.0.len() >= RUNNING_MAX || tries >= TRIES {
            return false;
        }
        self.0.push(Check {
            request: request.clone(),
            address,
            until: now + WAIT,
            tries,
            taken: false,
        });
        true
    }

    /// Whether one runs for this client; what it repeats meanwhile needs no answer.
    pub fn is_running(&self, client: Mac) -> bool {
        self.0.iter().any(|check| check.request.chaddr == client)
    }

    /// A station was seen to use an address.
    pub fn in_use(&mut self, address: Ipv4Addr, by: Mac) {
        let taken = |check: &&mut Check| check.address == address && check.request.chaddr != by;
        for check in self.0.iter_mut().filter(taken) {
            (check.taken, check.until) = (true, Duration::ZERO);
        }
    }

    /// When `due` is to be called.
    pub fn deadline(&self) -> Option<Duration> {
        self.0.iter().map(|check| check.until).min()
    }

    /// The checks that are over.
    pub fn due(&mut self, now: Duration) -> Vec<Outcome> {
        let over = self.0.extract_if(.., |check| now >= check.until);
        over.map(|check| match check.taken {
            false => Outcome::Free(check.request),
            true => Outcome::Taken(check.request, check.address, check.tries + 1),
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Kind;
    use super::*;

    fn discover(last: u8) -> Packet {
        Packet::new(Kind::Discover, last.into(), Mac::from([2, 0, 0, 0, 0, last]))
    }

    #[test]
    fn an_address_is_free_when_nobody_else_answers_for_it() {
        let (mut checks, ms) = (Checks::default(), Duration::from_millis);
        let address = |last| Ipv4Addr::new(192, 168, 200, last);
        for last in [1, 2] {
            assert!(checks.begin(ms(0), &discover(last), address(20 + last), 0));
        }
        assert!(checks.is_running(discover(1).chaddr) && !checks.is_running(discover(3).chaddr));
        checks.in_use(address(21), discover(1).chaddr);
        checks.in_use(address(22), discover(1).chaddr);
        assert_eq!(checks.due(ms(1)), [Outcome::Taken(discover(2), address(22), 1)]);
        assert_eq!(checks.deadline(), Some(WAIT));
        assert_eq!(checks.due(WAIT), [Outcome::Free(discover(1))]);
        assert_eq!(checks.deadline(), None);
        assert!(!checks.begin(ms(0), &discover(1), address(21), TRIES));
    }

    #[test]
    fn a_flood_is_not_checked_but_answered() {
        let mut checks = Checks::default();
        let address = Ipv4Addr::new(192, 168, 200, 20);
        let begun = (0..1000).filter(|_| checks.begin(Duration::ZERO, &discover(1), address, 0));
        assert_eq!(begun.count(), RUNNING_MAX);
    }
}
