//! Ethernet hardware addresses.

use serde::{Deserialize, Serialize};

/// A 48-bit Ethernet address, written `b8:27:eb:00:00:01`. Ordered by its bytes: the order that settles equal claims.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

/// Why a text is not a hardware address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a hardware address: six pairs of hexadecimal digits, such as b8:27:eb:00:00:01")]
pub struct MacError(String);

impl Mac {
    /// The address that every station of a link listens to.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// Nobody's address.
    pub const ZERO: Self = Self([0; 6]);

    /// The bytes as they go over the wire.
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Whether one single station may have this address: neither a group address nor all zeros.
    pub fn is_station(self) -> bool {
        self.0[0] & 1 == 0 && self != Self::ZERO
    }
}

impl From<[u8; 6]> for Mac {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl TryFrom<&[u8]> for Mac {
    type Error = std::array::TryFromSliceError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self)
    }
}

impl std::str::FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let error = || MacError(text.to_owned());
        let mut octets = [0; 6];
        let mut pairs = text.split(':');
        for octet in &mut octets {
            let plain = |pair: &&str| pair.len() == 2 && pair.chars().all(|c| c.is_ascii_hexdigit());
            let pair = pairs.next().filter(plain).ok_or_else(error)?;
            *octet = u8::from_str_radix(pair, 16).map_err(|_| error())?;
        }
        if pairs.next().is_some() {
            return Err(error());
        }
        Ok(Self(octets))
    }
}

impl TryFrom<String> for Mac {
    type Error = MacError;

    fn try_from(text: String) -> Result<Self, MacError> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl std::fmt::Debug for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_refuses_the_rest() {
        let mac: Mac = "B8:27:eb:00:0a:01".parse().unwrap();
        assert_eq!(mac.to_string(), "b8:27:eb:00:0a:01");
        assert!(mac.is_station() && !Mac::BROADCAST.is_station() && !Mac::ZERO.is_station());
        for bad in [
            "",
            "b8:27:eb:00:0a",
            "b8:27:eb:00:0a:01:02",
            "b8:27:eb:00:0a:1",
            "b8:27:eb:00:0a:+1",
        ] {
            let message = bad
                .parse::<Mac>()
                .map(|mac| mac.to_string())
                .unwrap_err()
                .to_string();
            assert!(
                message.starts_with(&format!("'{bad}' is not a hardware address")),
                "{message}"
            );
        }
    }
}
