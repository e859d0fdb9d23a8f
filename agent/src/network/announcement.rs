//! A master's announcement by ARP, marked with the cluster's secret: which of those that are heard count.
//!
//! A recorded announcement is of no use to whoever plays it back to somebody who has heard a later one: each carries the
//! number of its master's term and how long that term has lasted. Who has just started can be shown an old one; then the
//! master's other signs (DHCP, the members' channel) are missing, and it is given up.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::arp::{self, Announced, Proof};
use super::mac::Mac;
use crate::trust::{Seal, Standing, Subject};

/// Most masters that are remembered, and most terms of each: far more than a cluster has while a recording is of use.
const MASTERS_MAX: usize = 64;
const TERMS_MAX: usize = 32;

/// What an announcement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Of this cluster's master, for so long master.
    Ours(Duration),
    /// Of another cluster's.
    Other,
    /// An old one, played back.
    Old,
}

/// The terms that were heard of, with the latest age of each.
type Terms = Vec<([u8; 4], Duration)>;

/// Makes announcements and judges those of others.
#[derive(Debug)]
pub struct Announcements {
    seal: Seal,
    term: [u8; 4],
    heard: BTreeMap<Mac, Terms>,
}

impl Announcements {
    /// With the cluster's key.
    pub fn new(seal: Seal) -> Self {
        Self {
            seal,
            term: [0; 4],
            heard: BTreeMap::new(),
        }
    }

    /// Begins a term of this node's own as master, under a number that it had never before.
    pub fn begin(&mut self, term: u32) {
        self.term = term.to_be_bytes();
    }

    /// The frame that says that this node holds `address` as master, for so long.
    pub fn frame(&self, sender: Mac, address: Ipv4Addr, age: Duration) -> Vec<u8> {
        let age = arp::on_the_wire(age);
        let mark = self.seal.mark(
            Subject::Announcement,
            &parts(&sender.octets(), &address.octets(), &tenths(age), &self.term),
        );
        let proof = Some(Proof {
            term: self.term,
            mark,
        });
        arp::announcement(sender, address, Some(Announced { age, proof }))
    }

    /// Judges what was heard.
    pub fn judge(&mut self, sender: Mac, address: Ipv4Addr, announced: Announced) -> Verdict {
        let Announced { age, proof } = announced;
        let Some(Proof { term, mark }) = proof else {
            return if self.seal.is_open() {
                Verdict::Ours(age)
            } else {
                Verdict::Other
            };
        };
        let (sender_bytes, address, tenths) = (sender.octets(), address.octets(), tenths(age));
        let parts = parts(&sender_bytes, &address, &tenths, &term);
        if self.seal.standing(Subject::Announcement, &parts, Some(&mark)) != Standing::Member {
            return Verdict::Other;
        }
        if !self.heard.contains_key(&sender) && self.heard.len() >= MASTERS_MAX {
            self.heard.pop_first();
        }
        let terms = self.heard.entry(sender).or_default();
        let last = terms.last().map(|(last, _)| *last);
        match terms.iter_mut().find(|(known, _)| *known == term) {
            // Doubled on its way, or overtaken by the next.
            Some((_, latest)) if age + Duration::from_secs(1) >= *latest && last == Some(term) => {
                *latest = age.max(*latest)
            }
            Some(_) => return Verdict::Old,
            None => {
                if terms.len() >= TERMS_MAX {
                    terms.remove(0);
                }
                terms.push((term, age));
            }
        }
        Verdict::Ours(age)
    }
}

fn parts<'a>(sender: &'a [u8], address: &'a [u8], tenths: &'a [u8], term: &'a [u8]) -> [&'a [u8]; 4] {
    [sender, address, tenths, term]
}

fn tenths(age: Duration) -> [u8; 4] {
    u32::try_from(age.as_millis() / 100)
        .unwrap_or(u32::MAX)
        .to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::arp::Says;
    use crate::trust::Trust;
    use boot_config::{Cluster, ClusterSecret};

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 1);

    fn announcements(secret: Option<u8>) -> Announcements {
        let cluster = Cluster {
            name: "lab".parse().unwrap(),
            open_lab: true,
        };
        let secret = secret.map(|byte| ClusterSecret::from_bytes([byte; 32]));
        Announcements::new(Trust::decide(secret, &cluster).unwrap().seal())
    }

    fn mac(last: u8) -> Mac {
        Mac::from([2, 0, 0, 0, 0, last])
    }

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn judge(by: &mut Announcements, frame: &[u8]) -> Verdict {
        let heard = arp::parse(frame).unwrap();
        let Says::Holds(address, Some(announced)) = heard.says else {
            panic!("{heard:?}")
        };
        by.judge(heard.sender, address, announced)
    }

    #[test]
    fn only_members_announcements_count() {
        let (mut member, mut master, mut other) = (
            announcements(Some(1)),
            announcements(Some(1)),
            announcements(Some(2)),
        );
        master.begin(7);
        let frame = master.frame(mac(1), ADDRESS, secs(1.25));
        assert_eq!(frame.len(), 60, "no longer than the shortest frame of Ethernet");
        assert_eq!(judge(&mut member, &frame), Verdict::Ours(secs(1.2)));
        assert_eq!(judge(&mut other, &frame), Verdict::Other);
        for at in [11, 27, 37, 44, 59] {
            let mut forged = frame.clone();
            forged[at] ^= 1;
            // The sender's address stands twice; only that inside the packet counts.
            let expected = if at == 11 {
                Verdict::Ours(secs(1.2))
            } else {
                Verdict::Other
            };
            assert_eq!(judge(&mut member, &forged), expected, "byte {at}");
        }
        let unmarked = arp::announcement(
            mac(1),
            ADDRESS,
            Some(Announced {
                age: secs(1.0),
                proof: None,
            }),
        );
        assert_eq!(judge(&mut member, &unmarked), Verdict::Other);
        assert_eq!(
            judge(&mut announcements(None), &unmarked),
            Verdict::Ours(secs(1.0))
        );
    }

    #[test]
    fn what_is_played_back_is_old() {
        let (mut member, mut master) = (announcements(Some(1)), announcements(Some(1)));
        master.begin(7);
        let [first, second, third] = [1.0, 3.0, 5.0].map(|age| master.frame(mac(1), ADDRESS, secs(age)));
        for (frame, expected) in [
            (&first, Verdict::Ours(secs(1.0))),
            (&third, Verdict::Ours(secs(5.0))),
            (&third, Verdict::Ours(secs(5.0))),
            (&second, Verdict::Old),
        ] {
            assert_eq!(judge(&mut member, frame), expected);
        }
        master.begin(8);
        assert_eq!(
            judge(&mut member, &master.frame(mac(1), ADDRESS, secs(0.0))),
            Verdict::Ours(secs(0.0))
        );
        assert_eq!(judge(&mut member, &third), Verdict::Old, "of an earlier term");
    }
}
