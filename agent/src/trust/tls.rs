//! TLS 1.3 between members: each side demands a certificate of the cluster's authority and takes no other.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::{Resumption, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore, ServerConfig};

/// The name that all members' certificates have: a member is asked for by address.
pub(super) const MEMBER_NAME: &str = "cluster-lab-agent";

/// What a node needs for TLS with other members.
#[derive(Clone, Debug)]
pub struct Identity {
    /// For connections that it accepts.
    pub server: Arc<ServerConfig>,
    /// For connections that it makes.
    pub client: Arc<ClientConfig>,
    /// The name that the certificate of whoever answers must have.
    pub name: ServerName<'static>,
}

/// Why TLS with somebody did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A certificate of another authority.
    OtherSecret,
    /// No certificate.
    NoCertificate,
    /// Anything else: no TLS 1.3, a connection that broke.
    Failed(String),
}

/// Certificates are looked at as of this moment, whatever the clock says: they are valid always.
#[derive(Debug)]
struct AlwaysThen;

impl TimeProvider for AlwaysThen {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000)))
    }
}

impl Identity {
    pub(super) fn new(
        authority: CertificateDer<'static>,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, rustls::Error> {
        let name =
            ServerName::try_from(MEMBER_NAME).map_err(|error| rustls::Error::General(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority)?;
        let roots = Arc::new(roots);
        let provider = Arc::new(provider());
        let chain = vec![certificate];
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let clients = clients
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let mut server = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::new(AlwaysThen))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.clone(), key.clone_key())?;
        // Nothing that outlives a connection, and nothing whose age would be read from the clock.
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        let mut client = ClientConfig::builder_with_details(provider, Arc::new(AlwaysThen))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        client.resumption = Resumption::disabled();
        Ok(Self {
            server: Arc::new(server),
            client: Arc::new(client),
            name,
        })
    }
}

/// Whether a certificate of the authority, which has been checked, is an agent's and not a person's.
pub fn is_member(certificate: &CertificateDer<'_>) -> bool {
    let name = ServerName::try_from(MEMBER_NAME);
    let parsed = ParsedCertificate::try_from(certificate);
    matches!((parsed, name), (Ok(parsed), Ok(name)) if verify_server_name(&parsed, &name).is_ok())
}

/// All peers speak TLS 1.3, so one suite is enough: the one that is fast and constant-time on processors without
/// AES instructions, which no Pi before the 5 has.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256],
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    }
}

impl Refusal {
    /// Reads it from an error of TLS, or one that has such an error among its causes.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let Some(tls) = tls_error(error) else {
            return Self::Failed(error.to_string());
        };
        match tls {
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )
            | rustls::Error::AlertReceived(
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::DecryptError,
            ) => Self::OtherSecret,
            rustls::Error::NoCertificatesPresented
            | rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => Self::NoCertificate,
            other => Self::Failed(other.to_string()),
        }
    }
}

/// `io::Error` does not name what it wraps as its source, so it is looked into.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OtherSecret => f.write_str("it has another cluster secret"),
            Self::NoCertificate => f.write_str("it has no cluster secret"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}
