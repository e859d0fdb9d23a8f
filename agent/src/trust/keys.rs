//! One key per purpose from the cluster secret: HKDF-SHA256 (RFC 5869).

use boot_config::{ClusterSecret, Hostname};
use ring::hkdf;
use zeroize::Zeroizing;

/// What a key is for. The labels are part of what all members of a cluster must agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Seed of the certificate authority's Ed25519 key.
    Authority,
    /// Consul's gossip.
    Gossip,
    /// Marks on what is announced on the cluster network.
    Announcements,
    /// Seed of the Ed25519 key of the certificate that all of Consul's members share.
    ConsulCertificate,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Authority => b"certificate authority",
            Self::Gossip => b"consul gossip",
            Self::Announcements => b"announcements",
            Self::ConsulCertificate => b"consul certificate",
        }
    }
}

/// The key for a purpose.
pub(super) fn derive(secret: &ClusterSecret, purpose: Purpose) -> Zeroizing<[u8; 32]> {
    expand(b"cluster-lab secret 1", secret.as_bytes(), purpose.label())
}

/// The secret that is none: of an open lab, from its name.
pub(super) fn open_lab(name: &Hostname) -> ClusterSecret {
    ClusterSecret::from_bytes(*expand(
        b"cluster-lab open lab 1",
        name.as_str().as_bytes(),
        b"secret",
    ))
}

#[expect(clippy::expect_used, reason = "HKDF fails only for more than 255 blocks")]
fn expand(salt: &[u8], material: &[u8], label: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(material)
        .expand(&[label], hkdf::HKDF_SHA256)
        .and_then(|expanded| expanded.fill(&mut key[..]))
        .expect("one block");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_cards_that_are_out_there_do_not_change() {
        let secret = ClusterSecret::from_bytes([7; 32]);
        for (purpose, expected) in [
            (
                Purpose::Authority,
                "d2ffc24328fc448e62eb6ed84dc4522e25d1cd762d791a16557064618cd3102f",
            ),
            (
                Purpose::Gossip,
                "b7b85804a35ff0e762f836a33b6a09bbed587570c0d4565cc95c0e4a5f712817",
            ),
            (
                Purpose::Announcements,
                "109fd8de3ce2abd37c7c6a5cfe404308d068110a34b29679f49dc62b99d7bbbd",
            ),
        ] {
            assert_eq!(hex(&*derive(&secret, purpose)), expected, "{purpose:?}");
        }
        let name = "cluster-lab".parse().unwrap();
        assert_eq!(
            hex(open_lab(&name).as_bytes()),
            "13115cfa52f938bc014a119b5dd567a2ac049ca59bba59fde4e90f676f118694"
        );
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
