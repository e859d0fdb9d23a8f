//! Which interface is the wired one: a name or a pattern of names.

use serde::{Deserialize, Serialize};

/// A kernel interface name (1 to 15 bytes, IFNAMSIZ less its NUL; no `/`, no blank), in which `*` stands for any run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfacePattern(String);

/// Why a text is not an interface name or pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an interface: a name of 1 to 15 characters such as eth0, or a pattern such as en*")]
pub struct InterfaceError(String);

impl InterfacePattern {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an interface of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let mut parts: Vec<&str> = parts.collect();
        let Some(last) = parts.pop() else {
            return rest.is_empty();
        };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl TryFrom<String> for InterfacePattern {
    type Error = InterfaceError;

    fn try_from(text: String) -> Result<Self, InterfaceError> {
        let allowed = |c: char| c.is_ascii_graphic() && c != '/';
        let sound =
            (1..=15).contains(&text.len()) && text.chars().all(allowed) && text != "." && text != "..";
        if sound {
            Ok(Self(text))
        } else {
            Err(InterfaceError(text))
        }
    }
}

impl std::str::FromStr for InterfacePattern {
    type Err = InterfaceError;

    fn from_str(text: &str) -> Result<Self, InterfaceError> {
        text.to_owned().try_into()
    }
}

impl From<InterfacePattern> for String {
    fn from(pattern: InterfacePattern) -> Self {
        pattern.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_a_shell_would() {
        for (pattern, name, expected) in [
            ("eth0", "eth0", true),
            ("eth0", "eth01", false),
            ("en*", "enxb827eb000001", true),
            ("en*", "eth0", false),
            ("*", "anything", true),
            ("e*0", "eth0", true),
            ("e*0", "eth1", false),
            ("a*b*a", "aba", true),
            ("a*a", "a", false),
        ] {
            let pattern: InterfacePattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(name), expected, "{} {name}", pattern.as_str());
        }
    }

    #[test]
    fn refuses_what_no_interface_is_called() {
        for bad in ["", "a/b", "a b", "sixteen-letters-", ".."] {
            assert!(bad.parse::<InterfacePattern>().is_err(), "{bad}");
        }
    }
}
