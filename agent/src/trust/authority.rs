//! The certificate authority that every member derives, and the certificate that it issues itself with it.

use std::net::Ipv4Addr;

use anyhow::{Context, anyhow};
use boot_config::Hostname;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType, date_time_ymd,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::{Zeroize, Zeroizing};

use super::tls::MEMBER_NAME;

/// `PrivateKeyInfo` of an Ed25519 key up to its seed (RFC 8410 section 7).
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The name that Consul's `verify_server_hostname` asks for (data centre `dc1`).
const CONSUL_SERVER: &str = "server.dc1.consul";

/// The authority's certificate, and a new one for this node with its key.
type Issued = (
    CertificateDer<'static>,
    CertificateDer<'static>,
    PrivateKeyDer<'static>,
);

/// Issues a member's certificate with the authority of this seed.
///
/// # Errors
/// When the kernel gives no random numbers.
pub(super) fn issue(seed: &[u8; 32], hostname: &str) -> anyhow::Result<Issued> {
    issue_for(seed, member(hostname, &[], &[])?)
}

/// Issues a member's certificate that programs which ask for it by one of these names or addresses take, too.
///
/// # Errors
/// When the kernel gives no random numbers.
pub(super) fn issue_named(
    seed: &[u8; 32],
    hostname: &str,
    names: &[String],
    addresses: &[Ipv4Addr],
) -> anyhow::Result<Issued> {
    issue_for(seed, member(hostname, names, addresses)?)
}

/// Issues a person's certificate: it asks, it never answers, and nobody takes it for a member's.
///
/// # Errors
/// When the kernel gives no random numbers.
pub(super) fn issue_person(seed: &[u8; 32]) -> anyhow::Result<Issued> {
    let mut params = params("Cluster Lab user");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    issue_for(seed, params)
}

fn issue_for(seed: &[u8; 32], params: CertificateParams) -> anyhow::Result<Issued> {
    let mut authority_key = key_pair(&pkcs8(seed)[..]).context("deriving the authority")?;
    let authority_params = authority();
    let authority = authority_params.self_signed(&authority_key)?;

    // The form with the seed alone: OpenSSL before 3.4 does not read the one that has the public key, too.
    let mut own = Zeroizing::new([0; 32]);
    let random = SystemRandom::new().fill(&mut own[..]);
    random.map_err(|_| anyhow!("the kernel gives no random numbers"))?;
    let own = pkcs8(&own);
    let mut key = key_pair(&own[..]).context("making a key")?;
    let issuer = Issuer::from_params(&authority_params, &authority_key);
    let certificate = params.signed_by(&key, &issuer)?;
    authority_key.zeroize();
    key.zeroize();
    let key = PrivatePkcs8KeyDer::from(own.to_vec());
    Ok((authority.der().clone(), certificate.der().clone(), key.into()))
}

/// The authority's certificate, one for Consul with the key of `own`, and that key (PKCS #8).
type IssuedForConsul = (
    CertificateDer<'static>,
    CertificateDer<'static>,
    Zeroizing<[u8; PKCS8_HEAD.len() + 32]>,
);

/// Issues a certificate for Consul's RPC, the same for the same seeds.
///
/// # Errors
/// When a certificate cannot be made.
pub(super) fn issue_for_consul(seed: &[u8; 32], own: &[u8; 32]) -> anyhow::Result<IssuedForConsul> {
    let mut authority_key = key_pair(&pkcs8(seed)[..]).context("deriving the authority")?;
    let authority_params = authority();
    let authority = authority_params.self_signed(&authority_key)?;
    let own = pkcs8(own);
    let mut key = key_pair(&own[..]).context("deriving Consul's key")?;
    let mut params = member(CONSUL_SERVER, &[], &[])?;
    params.subject_alt_names = vec![
        SanType::DnsName(CONSUL_SERVER.try_into()?),
        SanType::DnsName("localhost".try_into()?),
    ];
    let issuer = Issuer::from_params(&authority_params, &authority_key);
    let certificate = params.signed_by(&key, &issuer)?;
    authority_key.zeroize();
    key.zeroize();
    Ok((authority.der().clone(), certificate.der().clone(), own))
}

fn pkcs8(seed: &[u8; 32]) -> Zeroizing<[u8; PKCS8_HEAD.len() + 32]> {
    let mut pkcs8 = Zeroizing::new([0; PKCS8_HEAD.len() + 32]);
    pkcs8[..PKCS8_HEAD.len()].copy_from_slice(&PKCS8_HEAD);
    pkcs8[PKCS8_HEAD.len()..].copy_from_slice(seed);
    pkcs8
}

fn key_pair(pkcs8: &[u8]) -> Result<KeyPair, rcgen::Error> {
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8), &PKCS_ED25519)
}

fn authority() -> CertificateParams {
    let mut params = params("Cluster Lab");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn member(
    hostname: &str,
    more_names: &[String],
    addresses: &[Ipv4Addr],
) -> anyhow::Result<CertificateParams> {
    let mut names = vec![SanType::DnsName(MEMBER_NAME.try_into()?)];
    // A name that no certificate can hold is nobody's concern: members are not told apart by it.
    let hostname = hostname.parse::<Hostname>();
    if let Ok(hostname) = &hostname {
        names.push(SanType::DnsName(hostname.as_str().try_into()?));
    }
    for name in more_names {
        names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    names.extend(
        addresses
            .iter()
            .map(|address| SanType::IpAddress((*address).into())),
    );
    let common = hostname.as_ref().map_or(MEMBER_NAME, Hostname::as_str);
    let mut params = params(common);
    params.subject_alt_names = names;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(params)
}

/// Valid always: a Pi has no clock that runs while it is off, and RFC 5280 section 4.1.2.5 has this year for "no end".
fn params(common_name: &str) -> CertificateParams {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    params.distinguished_name = name;
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_the_secrets_and_the_certificate_the_nodes() {
        let (first, certificate, _) = issue(&[1; 32], "cl-node-1").unwrap();
        let (second, other, _) = issue(&[1; 32], "cl-node-1").unwrap();
        assert_eq!(first, second, "every member derives the same");
        assert_ne!(certificate, other, "each has a key of its own");
        assert_ne!(first, issue(&[2; 32], "cl-node-1").unwrap().0);
        for name in ["", "a b", "\u{0}", "localhost"] {
            issue(&[1; 32], name).unwrap();
        }
    }

    #[test]
    fn openssl_finds_it_valid_in_1970_and_in_9999_and_as_client_and_server() {
        let folder = tempfile::tempdir().unwrap();
        let (authority, certificate, _) = issue(&[1; 32], "cl-node-1").unwrap();
        let openssl = |arguments: &[&str]| {
            let output = std::process::Command::new("openssl")
                .args(arguments)
                .current_dir(folder.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{arguments:?}: {said}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        for (name, der) in [("authority", &authority), ("certificate", &certificate)] {
            std::fs::write(folder.path().join("der"), der).unwrap();
            openssl(&["x509", "-inform", "DER", "-in", "der", "-out", name]);
        }
        for purpose in ["sslclient", "sslserver"] {
            for time in ["1", "1700000000", "253370764800"] {
                let mut arguments = vec!["verify", "-x509_strict", "-CAfile", "authority"];
                arguments.extend(["-purpose", purpose, "-attime", time, "certificate"]);
                openssl(&arguments);
            }
        }
        let names = openssl(&["x509", "-in", "certificate", "-noout", "-ext", "subjectAltName"]);
        assert!(names.contains("DNS:cluster-lab-agent, DNS:cl-node-1"), "{names}");
    }
}
