//! Who may join: the cluster secret, what is derived from it, and TLS between those who have it.
//!
//! Every member derives the same certificate authority from the secret and issues itself a certificate, so joining
//! needs no enrolment. It follows that every member can pass for every other: a member that is not trusted any more is
//! shut out by a new secret on all other cards. Nothing here depends on the clock: a Pi may start in 1970.

mod authority;
mod keys;
mod refusals;
mod seal;
mod tls;

use boot_config::{Cluster, ClusterSecret};
use zeroize::Zeroizing;

pub use refusals::Refusals;
pub use seal::{LENGTH as MARK_LENGTH, Seal, Standing, Subject};
pub use tls::{Identity, Refusal};

/// What a node shares with the other members.
#[derive(Clone, Debug)]
pub struct Trust {
    secret: ClusterSecret,
    is_open: bool,
}

impl Trust {
    /// From the node's secret; without one, and only where the settings allow it, from the name that everybody knows.
    pub fn decide(secret: Option<ClusterSecret>, cluster: &Cluster) -> Option<Self> {
        let Cluster { name, open_lab } = cluster;
        match (secret, open_lab) {
            (Some(secret), _) => Some(Self {
                secret,
                is_open: false,
            }),
            (None, true) => Some(Self {
                secret: keys::open_lab(name),
                is_open: true,
            }),
            (None, false) => None,
        }
    }

    /// Whether whoever knows the cluster's name may join.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// The key of Consul's gossip, as its option `encrypt` takes it.
    pub fn gossip_key(&self) -> Zeroizing<String> {
        use base64::Engine as _;
        let key = keys::derive(&self.secret, keys::Purpose::Gossip);
        Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(key.as_slice()))
    }

    /// What marks this cluster's announcements.
    pub fn seal(&self) -> Seal {
        Seal::new(
            &keys::derive(&self.secret, keys::Purpose::Announcements),
            self.is_open,
        )
    }

    /// A new certificate for this node, and what TLS needs besides. Waits for the kernel's first random numbers, which
    /// takes seconds right after power-on.
    ///
    /// # Errors
    /// When the kernel gives no random numbers.
    pub fn identity(&self, hostname: &str) -> anyhow::Result<Identity> {
        let seed = keys::derive(&self.secret, keys::Purpose::Authority);
        let (authority, certificate, key) = authority::issue(&seed, hostname)?;
        Ok(Identity::new(authority, certificate, key)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(open_lab: bool) -> Cluster {
        Cluster {
            name: "lab".parse().unwrap(),
            open_lab,
        }
    }

    #[test]
    fn a_secret_decides_and_only_without_one_the_lab_may_be_open() {
        let secret = || Some(ClusterSecret::from_bytes([1; 32]));
        for (secret, open_lab, expected) in [
            (secret(), false, Some(false)),
            (secret(), true, Some(false)),
            (None, true, Some(true)),
            (None, false, None),
        ] {
            let trust = Trust::decide(secret, &cluster(open_lab));
            assert_eq!(trust.map(|trust| trust.is_open()), expected);
        }
    }

    #[test]
    fn the_gossip_key_is_what_consul_takes() {
        let trust =
            |byte| Trust::decide(Some(ClusterSecret::from_bytes([byte; 32])), &cluster(false)).unwrap();
        let key = trust(1).gossip_key();
        assert_eq!(key.len(), 44, "32 bytes in base64");
        assert_eq!(key, trust(1).gossip_key());
        assert_ne!(key, trust(2).gossip_key());
    }

    #[test]
    fn debug_shows_no_secret() {
        let trust = Trust::decide(Some(ClusterSecret::from_bytes([1; 32])), &cluster(false));
        let shown = format!("{trust:?}");
        assert_eq!(shown, "Some(Trust { secret: ClusterSecret(..), is_open: false })");
    }
}
