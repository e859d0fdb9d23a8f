//! Where the card will be: its time zone, its language, and its address there.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// A time zone of the tz database, such as `Europe/Berlin`. Whether the image has it is the image's to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZone(String);

/// A locale as glibc names it, such as `de_DE.UTF-8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locale(String);

/// A fixed address of the wired interface in the home network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Address and length of the prefix.
    pub address: Ipv4Net,
    /// The router to the internet.
    pub gateway: Option<Ipv4Addr>,
    /// DNS servers.
    pub dns: Vec<Ipv4Addr>,
}

/// Why it is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegionError {
    /// Not the name of a time zone.
    #[error("'{0}' is no time zone: say for example Europe/Berlin or UTC")]
    TimeZone(String),
    /// Not a locale.
    #[error("'{0}' is no locale: say for example de_DE.UTF-8")]
    Locale(String),
    /// Not an address of a host.
    #[error("'{0}' is no address of a node: say for example 192.168.1.20/24")]
    Address(String),
    /// A router that cannot be reached.
    #[error("the gateway {gateway} is not in the network of {address}")]
    Gateway {
        /// The router.
        gateway: Ipv4Addr,
        /// The node's address.
        address: Ipv4Net,
    },
}

impl TimeZone {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Locale {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for TimeZone {
    type Err = RegionError;

    fn from_str(text: &str) -> Result<Self, RegionError> {
        let part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic())
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c))
        };
        if text.len() <= 64 && text.split('/').all(part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RegionError::TimeZone(text.to_owned()))
        }
    }
}

impl std::str::FromStr for Locale {
    type Err = RegionError;

    fn from_str(text: &str) -> Result<Self, RegionError> {
        let sound = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.@-".contains(c));
        if sound {
            Ok(Self(text.to_owned()))
        } else {
            Err(RegionError::Locale(text.to_owned()))
        }
    }
}

impl Uplink {
    /// An address such as `192.168.1.20/24`, with the router and the DNS servers there.
    ///
    /// # Errors
    /// When it is no host's address, or the router is elsewhere.
    pub fn new(address: &str, gateway: Option<Ipv4Addr>, dns: Vec<Ipv4Addr>) -> Result<Self, RegionError> {
        let wrong = || RegionError::Address(address.to_owned());
        let net: Ipv4Net = address.parse().map_err(|_| wrong())?;
        let is_host = net.prefix_len() >= 31 || net.addr() != net.network() && net.addr() != net.broadcast();
        if net.prefix_len() < 1 || !is_host || net.addr().is_unspecified() || net.addr().is_loopback() {
            return Err(wrong());
        }
        if let Some(gateway) = gateway.filter(|gateway| !net.contains(gateway)) {
            return Err(RegionError::Gateway {
                gateway,
                address: net,
            });
        }
        Ok(Self {
            address: net,
            gateway,
            dns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_not_paths_or_programs() {
        for good in [
            "UTC",
            "Europe/Berlin",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+1",
        ] {
            assert!(good.parse::<TimeZone>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "Europe/",
            "a b",
            "$(id)",
            "Europe/../x",
        ] {
            assert!(bad.parse::<TimeZone>().is_err(), "{bad}");
        }
        for good in ["C.UTF-8", "de_DE.UTF-8", "de_DE@euro", "en"] {
            assert!(good.parse::<Locale>().is_ok(), "{good}");
        }
        for bad in ["", "de DE", "de/DE", "$x"] {
            assert!(bad.parse::<Locale>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_that_a_node_can_have() {
        let gateway = Some(Ipv4Addr::new(192, 168, 1, 1));
        assert!(Uplink::new("192.168.1.20/24", gateway, vec![]).is_ok());
        for (address, expected) in [
            ("192.168.1.0/24", "'192.168.1.0/24' is no address"),
            ("192.168.1.255/24", "'192.168.1.255/24' is no"),
            ("192.168.1.20", "'192.168.1.20' is no"),
            (
                "10.0.0.2/8",
                "the gateway 192.168.1.1 is not in the network of 10.0.0.2/8",
            ),
        ] {
            let message = Uplink::new(address, gateway, vec![]).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
