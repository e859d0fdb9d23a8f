//! The range of addresses that the master leases to nodes.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// Most addresses of a pool: as many nodes as one cluster network is made for. Every address costs the master memory,
/// a line in its lease file and time for each new lease.
pub const ADDRESSES_MAX: u32 = 1024;

/// An inclusive range of at most [`ADDRESSES_MAX`] IPv4 addresses, written `192.168.200.20-192.168.200.249`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pool {
    first: Ipv4Addr,
    last: Ipv4Addr,
}

/// Why a text is not a pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It is no range at all.
    #[error(
        "'{0}' is not an address pool: FIRST-LAST, such as 192.168.200.20-192.168.200.249, FIRST not above LAST"
    )]
    NoRange(String),
    /// It has more than [`ADDRESSES_MAX`] addresses.
    #[error(
        "pool {pool} has {size} addresses: at most {ADDRESSES_MAX} are allowed, such as {first}-{example}"
    )]
    TooLarge {
        /// The pool asked for.
        pool: String,
        /// How many it has.
        size: u64,
        /// Its first address.
        first: Ipv4Addr,
        /// A last address that would do.
        example: Ipv4Addr,
    },
}

impl Pool {
    /// A pool from its first to its last address, both included.
    ///
    /// # Errors
    /// When `first` is above `last`, or there are more than [`ADDRESSES_MAX`] addresses.
    pub fn new(first: Ipv4Addr, last: Ipv4Addr) -> Result<Self, PoolError> {
        let text = || format!("{first}-{last}");
        let Some(distance) = u32::from(last).checked_sub(u32::from(first)) else {
            return Err(PoolError::NoRange(text()));
        };
        if distance >= ADDRESSES_MAX {
            return Err(PoolError::TooLarge {
                pool: text(),
                size: u64::from(distance) + 1,
                first,
                example: Ipv4Addr::from(u32::from(first) + ADDRESSES_MAX - 1),
            });
        }
        Ok(Self { first, last })
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
            Some((first, last)) => Self::new(first, last),
            None => Err(PoolError::NoRange(text)),
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

    #[test]
    fn a_pool_that_is_too_large_is_refused_with_one_that_is_not() {
        assert_eq!(
            "10.0.0.0-10.0.3.255".parse::<Pool>().unwrap().addresses().count(),
            1024
        );
        for (text, size) in [
            ("10.0.0.0-10.0.4.0", "1025"),
            ("0.0.0.0-255.255.255.255", "4294967296"),
        ] {
            let message = text.parse::<Pool>().unwrap_err().to_string();
            let start = format!("pool {text} has {size} addresses: at most 1024 are allowed, such as ");
            assert!(message.starts_with(&start), "{message}");
            let example = message.rsplit(' ').next().unwrap();
            assert!(example.parse::<Pool>().is_ok(), "{example}");
        }
    }
}
