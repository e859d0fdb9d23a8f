//! Who may join: the cluster secret, what is derived from it, and TLS between those who have it.
//!
//! Every member derives the same certificate authority from the secret and issues itself a certificate, so joining
//! needs no enrolment. It follows that every member can pass for every other: a member that is not trusted any more is
//! shut out by a new secret on all other cards. Nothing here depends on the clock: a Pi may start in 1970.

mod authority;
mod keys;
mod person;
mod refusals;
mod seal;
mod tls;

use std::net::Ipv4Addr;
use std::sync::Arc;

use boot_config::{Cluster, ClusterSecret};
use zeroize::Zeroizing;

pub use person::PersonFiles;
pub use refusals::Refusals;
pub use seal::{LENGTH as MARK_LENGTH, Seal, Standing, Subject};
pub use tls::{Identity, Refusal, is_member};

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

    /// What Consul's RPC needs for TLS; nothing in an open lab. The same every time: files that are rewritten do not
    /// change, and who could guess the key could issue it as well.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn consul(&self) -> anyhow::Result<Option<ConsulKeys>> {
        if self.is_open {
            return Ok(None);
        }
        let seed = keys::derive(&self.secret, keys::Purpose::Authority);
        let own = keys::derive(&self.secret, keys::Purpose::ConsulCertificate);
        let (authority, certificate, key) = authority::issue_for_consul(&seed, &own)?;
        Ok(Some(ConsulKeys {
            gossip: self.gossip_key(),
            authority: pem("CERTIFICATE", &authority),
            certificate: pem("CERTIFICATE", &certificate),
            key: pem("PRIVATE KEY", &key[..]),
        }))
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

    /// For a server of this node that programs ask for by one of these names or addresses.
    ///
    /// # Errors
    /// When the kernel gives no random numbers, or a name is none.
    pub fn server(
        &self,
        hostname: &str,
        names: &[String],
        addresses: &[Ipv4Addr],
    ) -> anyhow::Result<Arc<rustls::ServerConfig>> {
        let seed = keys::derive(&self.secret, keys::Purpose::Authority);
        let (authority, certificate, key) = authority::issue_named(&seed, hostname, names, addresses)?;
        Ok(Identity::new(authority, certificate, key)?.server)
    }

    /// A new certificate with which a person's programs ask members.
    ///
    /// # Errors
    /// When the kernel gives no random numbers.
    pub fn person(&self) -> anyhow::Result<PersonFiles> {
        let seed = keys::derive(&self.secret, keys::Purpose::Authority);
        let (authority, certificate, key) = authority::issue_person(&seed)?;
        Ok(PersonFiles::new(&authority, &certificate, key.secret_der()))
    }
}

/// What Consul encrypts with.
pub struct ConsulKeys {
    /// Key of its gossip, as its option `encrypt` takes it.
    pub gossip: Zeroizing<String>,
    /// The authority's certificate (PEM).
    pub authority: Zeroizing<String>,
    /// A certificate for all members (PEM).
    pub certificate: Zeroizing<String>,
    /// Its key (PEM).
    pub key: Zeroizing<String>,
}

impl std::fmt::Debug for ConsulKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConsulKeys(..)")
    }
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    use base64::Engine as _;
    let text = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(der));
    let mut pem = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    for (at, letter) in text.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    pem.push_str(&format!("\n-----END {label}-----\n"));
    pem
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
    fn openssl_takes_consuls_certificate_for_the_name_that_consul_asks_for() {
        let trust = Trust::decide(Some(ClusterSecret::from_bytes([1; 32])), &cluster(false)).unwrap();
        let keys = trust.consul().unwrap().unwrap();
        assert_eq!(keys.certificate, trust.consul().unwrap().unwrap().certificate);
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("ca", &keys.authority),
            ("cert", &keys.certificate),
            ("key", &keys.key),
        ] {
            std::fs::write(folder.path().join(name), text.as_bytes()).unwrap();
        }
        let openssl = |arguments: &str| {
            let mut command = std::process::Command::new("openssl");
            let output = command
                .args(arguments.split(' '))
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert!(output.status.success(), "{arguments}: {output:?}");
            output.stdout
        };
        openssl("verify -x509_strict -CAfile ca -verify_hostname server.dc1.consul cert");
        assert_eq!(
            openssl("pkey -in key -pubout"),
            openssl("x509 -in cert -noout -pubkey")
        );
        let open = Trust::decide(None, &cluster(true)).unwrap();
        assert!(open.consul().unwrap().is_none());
    }

    #[test]
    fn debug_shows_no_secret() {
        let trust = Trust::decide(Some(ClusterSecret::from_bytes([1; 32])), &cluster(false));
        let shown = format!("{trust:?}");
        assert_eq!(shown, "Some(Trust { secret: ClusterSecret(..), is_open: false })");
    }
}
