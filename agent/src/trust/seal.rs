//! A mark of the cluster on messages that everybody on the cluster network may read: who has the cluster's secret knows
//! it from the mark, and nobody else can make one. HMAC-SHA256, cut to the room that the messages have.

use ring::hmac;
use subtle::ConstantTimeEq;

/// Length of a mark: 96 bits, as in IPsec (RFC 4868 cuts no further than to half; an ARP frame's padding has no more
/// room), and each guess needs a frame of its own.
pub const LENGTH: usize = 12;

/// What a mark is on, so that none is good for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A master's announcement by ARP.
    Announcement,
    /// A master's service by DNS-SD.
    Service,
    /// A DHCP message of a node.
    DhcpRequest,
    /// A DHCP message of a master.
    DhcpReply,
}

/// What a mark says about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has the secret.
    Member,
    /// It has another one.
    Other,
    /// It has not marked its message.
    Unmarked,
}

/// The key that marks are made and checked with.
#[derive(Clone)]
pub struct Seal {
    key: hmac::Key,
    is_open: bool,
}

impl Seal {
    pub(super) fn new(key: &[u8; 32], is_open: bool) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            is_open,
        }
    }

    /// Whether an unmarked message of a master is taken: in an open lab, where a mark proves nothing either.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// The mark on these parts of a message, in this order.
    pub fn mark(&self, subject: Subject, parts: &[&[u8]]) -> [u8; LENGTH] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&[match subject {
            Subject::Announcement => 1,
            Subject::Service => 2,
            Subject::DhcpRequest => 3,
            Subject::DhcpReply => 4,
        }]);
        for part in parts {
            // With their lengths: no two messages are the same run of bytes.
            context.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            context.update(part);
        }
        let mut mark = [0; LENGTH];
        mark.copy_from_slice(&context.sign().as_ref()[..LENGTH]);
        mark
    }

    /// What the mark says; in constant time.
    pub fn standing(&self, subject: Subject, parts: &[&[u8]], mark: Option<&[u8]>) -> Standing {
        let Some(mark) = mark else {
            return Standing::Unmarked;
        };
        if bool::from(self.mark(subject, parts).ct_eq(mark)) {
            Standing::Member
        } else {
            Standing::Other
        }
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_message_and_subject_give_the_same_mark() {
        let seal = Seal::new(&[1; 32], false);
        let mark = seal.mark(Subject::Announcement, &[b"a", b"bc"]);
        let standing =
            |seal: &Seal, subject, parts: &[&[u8]], mark: &[u8]| seal.standing(subject, parts, Some(mark));
        let announcement = Subject::Announcement;
        assert_eq!(
            standing(&seal, announcement, &[b"a", b"bc"], &mark),
            Standing::Member
        );
        for other in [
            standing(&Seal::new(&[2; 32], false), announcement, &[b"a", b"bc"], &mark),
            standing(&seal, Subject::Service, &[b"a", b"bc"], &mark),
            standing(&seal, announcement, &[b"ab", b"c"], &mark),
            standing(&seal, announcement, &[b"a", b"bc"], &mark[1..]),
            standing(&seal, announcement, &[b"a", b"bc"], &[]),
        ] {
            assert_eq!(other, Standing::Other);
        }
        assert_eq!(seal.standing(announcement, &[b"a"], None), Standing::Unmarked);
    }

    #[test]
    fn the_marks_of_cards_that_are_out_there_do_not_change() {
        let mark = Seal::new(&[7; 32], false).mark(Subject::DhcpReply, &[b"cluster"]);
        let hex: String = mark.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "1a1c9f8b2718f211f3c12e0d");
    }
}
