//! Whoever of another cluster is on the same switch: said once, and as long as it is there. Pure, time passed in.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::mac::Mac;

/// Who was silent for so long is gone. Cards that ask for an address do it at least every 9 s.
const GONE_AFTER: Duration = Duration::from_secs(60);
/// More are not remembered: hardware addresses are easily made up.
const KNOWN_MAX: usize = 32;

/// Stations that have shown that they have another cluster's secret.
#[derive(Debug, Default)]
pub struct Foreign {
    masters: BTreeMap<Mac, Duration>,
    cards: BTreeMap<Mac, Duration>,
}

impl Foreign {
    /// A master was heard.
    pub fn master(&mut self, now: Duration, mac: Mac) {
        note(&mut self.masters, now, mac);
    }

    /// A card asked for an address.
    pub fn card(&mut self, now: Duration, mac: Mac) {
        note(&mut self.cards, now, mac);
    }

    /// Whether this one is another cluster's master.
    pub fn is_master(&self, now: Duration, mac: Mac) -> bool {
        self.masters.get(&mac).is_some_and(|at| now < *at + GONE_AFTER)
    }

    /// Whether any other cluster's master is there.
    pub fn has_master(&self, now: Duration) -> bool {
        self.masters.values().any(|at| now < *at + GONE_AFTER)
    }

    /// At most a line each about masters and cards.
    pub fn lines(&mut self, now: Duration, address: Ipv4Addr) -> Vec<String> {
        for known in [&mut self.masters, &mut self.cards] {
            known.retain(|_, at| now < *at + GONE_AFTER);
        }
        let master = self.masters.keys().next().map(|mac| {
            format!(
                "the master of another cluster ({mac}) is on this switch and has {address} too, with another cluster \
                 secret: give each cluster a vlan of its own, or flash this card again for that cluster"
            )
        });
        let card = self.cards.keys().next().map(|mac| {
            format!(
                "a card with another cluster secret ({mac}) is on this switch and gets no address here: flash it again \
                 for this cluster, or give each cluster a vlan of its own"
            )
        });
        master.into_iter().chain(card).collect()
    }
}

fn note(known: &mut BTreeMap<Mac, Duration>, now: Duration, mac: Mac) {
    if known.len() < KNOWN_MAX || known.contains_key(&mac) {
        known.insert(mac, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_there_is_told_of_in_one_line_and_forgotten_when_gone() {
        let (mut foreign, secs) = (Foreign::default(), Duration::from_secs);
        let mac = |last| Mac::from([2, 0, 0, 0, 0, last]);
        let address = Ipv4Addr::new(192, 168, 200, 1);
        assert_eq!(foreign.lines(secs(0), address), [""; 0]);
        for last in 0..100 {
            foreign.card(secs(0), mac(last));
        }
        assert_eq!(foreign.cards.len(), KNOWN_MAX);
        foreign.master(secs(30), mac(9));
        let lines = foreign.lines(secs(59), address);
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].starts_with("the master of another cluster (02:00:00:00:00:09)"),
            "{lines:?}"
        );
        assert!(foreign.is_master(secs(89), mac(9)) && !foreign.is_master(secs(90), mac(9)));
        assert_eq!(foreign.lines(secs(60), address).len(), 1);
        assert_eq!(foreign.lines(secs(90), address), [""; 0]);
    }
}
