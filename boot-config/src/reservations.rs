//! Addresses that certain machines always get.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::Hostname;

/// Most reservations: as many as a pool may have addresses.
const RESERVATIONS_MAX: usize = 1024;

/// Whose an address is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reserved {
    /// The machine with this hardware address.
    Mac([u8; 6]),
    /// The machine with this name, as it tells it.
    Hostname(String),
}

/// Reserved addresses by hardware address or host name; no address twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Reservations(BTreeMap<Reserved, Ipv4Addr>);

/// Why reservations are not sound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReservationsError {
    /// A key is neither.
    #[error(
        "'{0}' is no machine to reserve an address for: a hardware address such as \"b8:27:eb:00:00:01\", or a host name"
    )]
    NoMachine(String),
    /// A value is no address.
    #[error("'{address}' is not an address to reserve for {machine}: such as \"192.168.200.11\"")]
    NoAddress {
        /// The key.
        machine: String,
        /// The value.
        address: String,
    },
    /// An address is there twice.
    #[error("address {0} is reserved twice: give each machine one of its own")]
    Twice(Ipv4Addr),
    /// There are too many.
    #[error("{0} reservations: at most {RESERVATIONS_MAX} are allowed")]
    TooMany(usize),
}

impl Reservations {
    /// The address of a machine. Its hardware address counts for more than its name, which anybody can tell.
    pub fn address(&self, mac: [u8; 6], hostname: Option<&Hostname>) -> Option<Ipv4Addr> {
        let by_mac = self.0.get(&Reserved::Mac(mac));
        let by_name = || self.0.get(&Reserved::Hostname(hostname?.as_str().to_lowercase()));
        by_mac.or_else(by_name).copied()
    }

    /// Whether an address is somebody's.
    pub fn is_reserved(&self, address: Ipv4Addr) -> bool {
        self.0.values().any(|reserved| *reserved == address)
    }

    /// All reserved addresses.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.0.values().copied()
    }
}

impl std::str::FromStr for Reserved {
    type Err = ReservationsError;

    fn from_str(text: &str) -> Result<Self, ReservationsError> {
        let error = || ReservationsError::NoMachine(text.to_owned());
        if !text.contains(':') {
            let name: Hostname = text.parse().map_err(|_| error())?;
            return Ok(Self::Hostname(name.as_str().to_lowercase()));
        }
        let mut mac = [0; 6];
        let mut pairs = text.split(':');
        for octet in &mut mac {
            let is_pair = |pair: &&str| pair.len() == 2 && pair.chars().all(|c| c.is_ascii_hexdigit());
            let pair = pairs.next().filter(is_pair).ok_or_else(error)?;
            *octet = u8::from_str_radix(pair, 16).map_err(|_| error())?;
        }
        if pairs.next().is_some() {
            return Err(error());
        }
        Ok(Self::Mac(mac))
    }
}

impl std::fmt::Display for Reserved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mac([a, b, c, d, e, last]) => {
                write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{last:02x}")
            }
            Self::Hostname(name) => f.write_str(name),
        }
    }
}

impl TryFrom<BTreeMap<String, String>> for Reservations {
    type Error = ReservationsError;

    fn try_from(texts: BTreeMap<String, String>) -> Result<Self, ReservationsError> {
        if texts.len() > RESERVATIONS_MAX {
            return Err(ReservationsError::TooMany(texts.len()));
        }
        let mut all = Self::default();
        for (machine, address) in texts {
            let reserved: Reserved = machine.parse()?;
            let address: Ipv4Addr = address
                .parse()
                .map_err(|_| ReservationsError::NoAddress { machine, address })?;
            if all.is_reserved(address) {
                return Err(ReservationsError::Twice(address));
            }
            all.0.insert(reserved, address);
        }
        Ok(all)
    }
}

impl From<Reservations> for BTreeMap<String, String> {
    fn from(all: Reservations) -> Self {
        let text = |(machine, address): (Reserved, Ipv4Addr)| (machine.to_string(), address.to_string());
        all.0.into_iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reservations(texts: &[(&str, &str)]) -> Result<Reservations, String> {
        let texts: BTreeMap<String, String> = texts
            .iter()
            .map(|(machine, address)| ((*machine).to_owned(), (*address).to_owned()))
            .collect();
        texts
            .try_into()
            .map_err(|error: ReservationsError| error.to_string())
    }

    #[test]
    fn a_machine_is_known_by_hardware_address_and_else_by_name() {
        let all = reservations(&[
            ("B8:27:EB:00:00:01", "192.168.200.11"),
            ("CL-node-2", "192.168.200.12"),
        ])
        .unwrap();
        let address = |last| Some(Ipv4Addr::new(192, 168, 200, last));
        let name = |name: &str| name.parse::<Hostname>().unwrap();
        let known = [0xb8, 0x27, 0xeb, 0, 0, 1];
        assert_eq!(all.address(known, None), address(11));
        assert_eq!(all.address(known, Some(&name("cl-node-2"))), address(11));
        assert_eq!(all.address([2; 6], Some(&name("cl-Node-2"))), address(12));
        assert_eq!(all.address([2; 6], Some(&name("other"))), None);
        assert!(all.is_reserved(Ipv4Addr::new(192, 168, 200, 12)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (texts, expected) in [
            (
                vec![("b8:27", "192.168.200.11")],
                "'b8:27' is no machine to reserve",
            ),
            (vec![("a b", "192.168.200.11")], "'a b' is no machine"),
            (
                vec![("n1", "200.11")],
                "'200.11' is not an address to reserve for n1",
            ),
            (
                vec![("n1", "192.168.200.11"), ("n2", "192.168.200.11")],
                "address 192.168.200.11 is reserved twice",
            ),
        ] {
            let message = reservations(&texts).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
