//! The DNS domain of the cluster network.

use serde::{Deserialize, Serialize};

use crate::Hostname;

/// Longest domain: a host name of 63 characters and a dot before it still make a name that DNS can carry.
const LENGTH_MAX: usize = 189;
/// Ends of names that belong to somebody else: multicast DNS, Consul, this machine, addresses, the Tor network.
const TAKEN: [&str; 7] = ["local", "consul", "localhost", "arpa", "invalid", "onion", "alt"];

/// A domain such as `cluster.internal`: labels joined by dots, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

/// Why a text is not a domain for the cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// It is no domain.
    #[error(
        "'{0}' is not a domain: labels of 1 to 63 letters, digits and inner hyphens, joined by dots, at most {LENGTH_MAX} characters, such as cluster.internal"
    )]
    NoDomain(String),
    /// It is a domain that others answer for.
    #[error(
        "domain '{domain}' ends with '{end}', which is not the cluster's to answer for: choose another, such as cluster.internal"
    )]
    Taken {
        /// The domain asked for.
        domain: String,
        /// Its end.
        end: &'static str,
    },
}

impl Domain {
    /// The domain as text, without a dot at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Domain {
    type Error = DomainError;

    fn try_from(text: String) -> Result<Self, DomainError> {
        let is_label = |label: &str| label.parse::<Hostname>().is_ok();
        if text.len() > LENGTH_MAX || !text.split('.').all(is_label) {
            return Err(DomainError::NoDomain(text));
        }
        let domain = text.to_ascii_lowercase();
        let last = domain.rsplit('.').next().unwrap_or_default();
        match TAKEN.into_iter().find(|end| *end == last) {
            Some(end) => Err(DomainError::Taken { domain, end }),
            None => Ok(Self(domain)),
        }
    }
}

impl std::str::FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        text.to_owned().try_into()
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

impl std::fmt::Display for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_labels_joined_by_dots() {
        for (text, expected) in [
            ("cluster.internal", "cluster.internal"),
            ("LAB.Example.ORG", "lab.example.org"),
            ("lab", "lab"),
        ] {
            assert_eq!(text.parse::<Domain>().unwrap().as_str(), expected);
        }
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(61)].join(".");
        assert!(long.parse::<Domain>().is_ok() && format!("{long}d").parse::<Domain>().is_err());
        for (text, expected) in [
            ("", "'' is not a domain: labels of"),
            (".", "'.' is not a domain"),
            ("lab.", "'lab.' is not a domain"),
            ("a_b.internal", "'a_b.internal' is not a domain"),
            (
                "cluster.local",
                "domain 'cluster.local' ends with 'local', which is not",
            ),
            ("Consul", "domain 'consul' ends with 'consul'"),
            ("10.in-addr.arpa", "domain '10.in-addr.arpa' ends with 'arpa'"),
        ] {
            let message = text.parse::<Domain>().unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
