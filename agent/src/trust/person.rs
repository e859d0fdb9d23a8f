//! A person's certificate as the files that Docker's command line reads from `DOCKER_CERT_PATH`.

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::pem;

/// The text of `ca.pem`, `cert.pem` and `key.pem`. Holds a secret: for its owner only.
#[derive(Serialize, Deserialize)]
pub struct PersonFiles {
    /// Whom to believe.
    pub ca: String,
    /// Who it is.
    pub cert: String,
    /// What proves it.
    pub key: String,
}

impl PersonFiles {
    pub(super) fn new(authority: &[u8], certificate: &[u8], key: &[u8]) -> Self {
        Self {
            ca: pem("CERTIFICATE", authority).to_string(),
            cert: pem("CERTIFICATE", certificate).to_string(),
            key: pem("PRIVATE KEY", key).to_string(),
        }
    }
}

impl Drop for PersonFiles {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl std::fmt::Debug for PersonFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PersonFiles(..)")
    }
}

#[cfg(test)]
mod tests {
    use boot_config::{ClusterSecret, Settings};

    use super::super::{Trust, is_member};

    #[test]
    fn openssl_takes_a_persons_files_for_a_client_and_for_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let secret = ClusterSecret::from_bytes([1; 32]);
        let trust = Trust::decide(Some(secret), &Settings::default().cluster).unwrap();
        let files = trust.person().unwrap();
        assert_eq!(format!("{files:?}"), "PersonFiles(..)");
        for (name, text) in [("ca", &files.ca), ("cert", &files.cert), ("key", &files.key)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let openssl = |words: &str| {
            let mut command = std::process::Command::new("openssl");
            command.args(words.split(' ')).current_dir(folder.path());
            command.output().unwrap().status.success()
        };
        assert!(openssl("verify -x509_strict -CAfile ca -purpose sslclient cert"));
        assert!(!openssl("verify -x509_strict -CAfile ca -purpose sslserver cert"));
        assert!(openssl("pkey -in key -noout"));
        assert!(openssl("x509 -in cert -outform DER -out cert.der"));
        let der = std::fs::read(folder.path().join("cert.der")).unwrap();
        assert!(!is_member(&der.into()));
    }
}
