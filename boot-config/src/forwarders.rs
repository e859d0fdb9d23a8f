//! DNS servers that the master asks for names that are not the cluster's.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// As the C library: more are not asked.
const FORWARDERS_MAX: usize = 3;

/// One to three DNS servers, best first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Forwarders(Vec<IpAddr>);

/// Why these are no DNS servers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardersError {
    /// One is no address.
    #[error("'{0}' is not the address of a DNS server: IPv4 or IPv6, such as \"9.9.9.9\"")]
    NoAddress(String),
    /// Too many or none.
    #[error(
        "{0} DNS servers: one to {FORWARDERS_MAX} are allowed; leave dns-forwarders out to use the uplink's"
    )]
    Number(usize),
}

impl Forwarders {
    /// The servers, best first.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for Forwarders {
    type Error = ForwardersError;

    fn try_from(texts: Vec<String>) -> Result<Self, ForwardersError> {
        let parse = |text: &String| {
            let address = text.trim().parse::<IpAddr>().ok();
            let usable = address.filter(|address| !address.is_unspecified() && !address.is_multicast());
            usable.ok_or_else(|| ForwardersError::NoAddress(text.clone()))
        };
        match texts.len() {
            1..=FORWARDERS_MAX => Ok(Self(texts.iter().map(parse).collect::<Result<_, _>>()?)),
            number => Err(ForwardersError::Number(number)),
        }
    }
}

impl From<Forwarders> for Vec<String> {
    fn from(forwarders: Forwarders) -> Self {
        forwarders.0.iter().map(IpAddr::to_string).collect()
    }
}

impl std::str::FromStr for Forwarders {
    type Err = ForwardersError;

    /// Separated by commas, as on the kernel command line.
    fn from_str(text: &str) -> Result<Self, ForwardersError> {
        text.split(',').map(str::to_owned).collect::<Vec<_>>().try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_addresses_only() {
        let two: Forwarders = "9.9.9.9,2620:fe::fe".parse().unwrap();
        assert_eq!(two.addresses().len(), 2);
        for (text, expected) in [
            (
                "dns.quad9.net",
                "'dns.quad9.net' is not the address of a DNS server",
            ),
            ("", "'' is not the address"),
            ("0.0.0.0", "'0.0.0.0' is not the address"),
            (
                "1.1.1.1,2.2.2.2,3.3.3.3,4.4.4.4",
                "4 DNS servers: one to 3 are allowed",
            ),
        ] {
            let message = text.parse::<Forwarders>().unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
