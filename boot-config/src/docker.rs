//! What Docker Engine is to be told. Checked here, because an engine that does not understand its configuration does not
//! start.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Key of a label of an engine and its node, such as `room`: letters, digits, `.`, `_` and `-`. Docker refuses to start
/// with keys of its own namespaces, and `hypriot.` is the agent's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabelKey(String);

/// Value of a label: one line of at most 255 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabelValue(String);

/// A mirror of Docker's own registry: `http://HOST[:PORT]` or `https://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegistryMirror(String);

/// A registry without TLS that is known: `HOST[:PORT]` or a network such as `10.0.0.0/8`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InsecureRegistry(String);

/// What a value is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DockerError {
    /// No label key.
    #[error("{0:?} is no label key: letters, digits, '.', '_' and '-', such as \"room\"")]
    Key(String),
    /// Somebody else's namespace.
    #[error(
        "the label {0:?} is not free: keys that begin with hypriot., com.docker., io.docker. or org.dockerproject. are not yours to set"
    )]
    Reserved(String),
    /// No label value.
    #[error("{0:?} is no label value: one line of at most 255 characters")]
    Value(String),
    /// No mirror.
    #[error("{0:?} is no registry mirror: a URL without path, such as \"http://192.168.1.5:5000\"")]
    Mirror(String),
    /// No registry.
    #[error("{0:?} is no registry: HOST, HOST:PORT or a network such as \"10.0.0.0/8\", without http://")]
    Registry(String),
}

const RESERVED: [&str; 4] = ["hypriot.", "com.docker.", "io.docker.", "org.dockerproject."];

/// `HOST` or `HOST:PORT`; an IPv6 address has brackets.
fn is_host_and_port(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_name = |host: &str| {
        let is_label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        host.len() <= 253 && host.split('.').all(is_label)
    };
    let is_address = host
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_ipv4() || text.starts_with('['));
    (is_address || (!text.starts_with('[') && is_name(host)))
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

impl TryFrom<String> for LabelKey {
    type Error = DockerError;

    fn try_from(key: String) -> Result<Self, DockerError> {
        let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if key.is_empty() || key.len() > 128 || !key.bytes().all(is_sound) {
            return Err(DockerError::Key(key));
        }
        if RESERVED.iter().any(|prefix| key.starts_with(prefix)) {
            return Err(DockerError::Reserved(key));
        }
        Ok(Self(key))
    }
}

impl TryFrom<String> for LabelValue {
    type Error = DockerError;

    fn try_from(value: String) -> Result<Self, DockerError> {
        if value.chars().count() > 255 || value.chars().any(char::is_control) {
            return Err(DockerError::Value(value));
        }
        Ok(Self(value))
    }
}

impl TryFrom<String> for RegistryMirror {
    type Error = DockerError;

    fn try_from(url: String) -> Result<Self, DockerError> {
        let host = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"));
        match host.map(|host| host.strip_suffix('/').unwrap_or(host)) {
            Some(host) if is_host_and_port(host) => Ok(Self(url)),
            _ => Err(DockerError::Mirror(url)),
        }
    }
}

impl TryFrom<String> for InsecureRegistry {
    type Error = DockerError;

    fn try_from(registry: String) -> Result<Self, DockerError> {
        let is_network = registry.contains('/') && registry.parse::<ipnet::IpNet>().is_ok();
        if is_network || is_host_and_port(&registry) {
            Ok(Self(registry))
        } else {
            Err(DockerError::Registry(registry))
        }
    }
}

macro_rules! text {
    ($($name:ident),+) => {$(
        impl $name {
            /// Its text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    )+};
}

text!(LabelKey, LabelValue, RegistryMirror, InsecureRegistry);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_keys_are_the_users_own() {
        for key in ["room", "a.b-c_d", "9"] {
            assert_eq!(LabelKey::try_from(key.to_owned()).unwrap().as_str(), key);
        }
        for (key, expected) in [
            ("", "\"\" is no label key"),
            ("a=b", "\"a=b\" is no label key"),
            ("a b", "\"a b\" is no label key"),
            ("hypriot.arch", "the label \"hypriot.arch\" is not free"),
            ("com.docker.x", "the label \"com.docker.x\" is not free"),
        ] {
            let error = LabelKey::try_from(key.to_owned()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(LabelValue::try_from("attic, left = 1".to_owned()).is_ok());
        assert!(LabelValue::try_from("a\nb".to_owned()).is_err());
    }

    #[test]
    fn registries_are_what_docker_starts_with() {
        for url in [
            "http://10.0.0.5:5000",
            "https://mirror.example.com/",
            "http://pi:80",
        ] {
            assert!(RegistryMirror::try_from(url.to_owned()).is_ok(), "{url}");
        }
        for url in [
            "10.0.0.5:5000",
            "http://",
            "http://a/b",
            "http://u@a",
            "ftp://a",
            "http://a:0",
            "http://a?b",
        ] {
            assert!(RegistryMirror::try_from(url.to_owned()).is_err(), "{url}");
        }
        for registry in ["pi:5000", "10.0.0.5", "10.0.0.0/8", "[::1]:5000", "fd00::/8"] {
            assert!(
                InsecureRegistry::try_from(registry.to_owned()).is_ok(),
                "{registry}"
            );
        }
        for registry in ["", "-a", "http://a", "a/b", "a:b", "10.0.0.0/99", "[pi]", "::1"] {
            assert!(
                InsecureRegistry::try_from(registry.to_owned()).is_err(),
                "{registry}"
            );
        }
    }
}
