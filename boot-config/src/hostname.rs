//! Host names as RFC 1123 section 2.1 allows them for a single label.

use serde::{Deserialize, Serialize};

/// One label of a DNS name: 1 to 63 of `a-z`, `0-9` and `-`, neither first nor last a `-`. Upper case is folded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hostname(String);

/// Why a text is not a host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a host name: 1 to 63 letters (a-z), digits or hyphens, with no hyphen at either end")]
pub struct HostnameError(String);

impl Hostname {
    /// The name as text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Hostname {
    type Error = HostnameError;

    fn try_from(text: String) -> Result<Self, HostnameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let sound = (1..=63).contains(&text.len())
            && text.chars().all(allowed)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if sound {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(HostnameError(text))
        }
    }
}

impl std::str::FromStr for Hostname {
    type Err = HostnameError;

    fn from_str(text: &str) -> Result<Self, HostnameError> {
        text.to_owned().try_into()
    }
}

impl From<Hostname> for String {
    fn from(name: Hostname) -> Self {
        name.0
    }
}

impl std::fmt::Display for Hostname {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_labels_and_refuses_the_rest() {
        for good in ["a", "cl-node-1", "0", "CL-Master", &"x".repeat(63)] {
            assert_eq!(good.parse::<Hostname>().unwrap().as_str(), good.to_lowercase());
        }
        for bad in ["", "-a", "a-", "a.b", "a b", "a_b", "ä", "a\n", &"x".repeat(64)] {
            let message = bad.parse::<Hostname>().unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("'{bad}' is not a host name: 1 to 63 letters")),
                "{message}"
            );
        }
    }
}
