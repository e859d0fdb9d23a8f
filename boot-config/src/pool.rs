//! The range of addresses that the master leases to nodes.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// An inclusive range of IPv4 addresses, written `192.168.200.20-192.168.200.249`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pool {
    first: Ipv4Addr,
    last: Ipv4Addr,
}

/// Why a text is not a pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not an address pool: FIRST-LAST, such as 192.168.200.20-192.168.200.249, FIRST not above LAST"
)]
pub struct PoolError(String);

impl Pool {
    /// A pool from its first to its last address, both included.
    ///
    /// # Errors
    /// When `first` is above `last`.
    pub fn new(first: Ipv4Addr, last: Ipv4Addr) -> Result<Self, PoolError> {
        if first <= last {
            Ok(Self { first, last })
        } else {
            Err(PoolError(format!("{first}-{last}")))
        }
    }

    /// The lowest address.
    pub fn first(&self) -> Ipv4Addr {
        self.first
    }

    /// The highest address.
    pub fn last(&self) -> Ipv4Addr {
        self.last
    }

    /// Whether the address lies in the pool.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// All addresses, lowest first.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        (u32::from(self.first)..=u32::from(self.last)).map(Ipv4Addr::from)
    }
}

impl TryFrom<String> for Pool {
    type Error = PoolError;

    fn try_from(text: String) -> Result<Self, PoolError> {
        let ends = text
            .split_once('-')
            .and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
        match ends {
            Some((first, last)) if first <= last => Ok(Self { first, last }),
            _ => Err(PoolError(text)),
        }
    }
}

impl std::str::FromStr for Pool {
    type Err = PoolError;

    fn from_str(text: &str) -> Result<Self, PoolError> {
        text.to_owned().try_into()
    }
}

impl From<Pool> for String {
    fn from(pool: Pool) -> Self {
        pool.to_string()
    }
}

impl std::fmt::Display for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ranges() {
        let pool: Pool = "10.0.0.2-10.0.0.4".parse().unwrap();
        assert_eq!(
            pool.addresses().map(|a| a.octets()[3]).collect::<Vec<_>>(),
            [2, 3, 4]
        );
        assert!(pool.contains(Ipv4Addr::new(10, 0, 0, 4)) && !pool.contains(Ipv4Addr::new(10, 0, 0, 5)));
        for bad in ["", "10.0.0.2", "10.0.0.4-10.0.0.2", "a-b", "10.0.0.2-10.0.0.256"] {
            assert!(bad.parse::<Pool>().is_err(), "{bad}");
        }
    }
}
