//! IEEE 802.1Q VLAN of the cluster network.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An 802.1Q VLAN identifier that may carry traffic: 1 to 4094 (0 is a priority tag, 4095 is reserved).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanId(u16);

/// Where the cluster network runs: tagged, or untagged on the interface itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vlan {
    /// Untagged, beside the uplink: for Wi-Fi and for switches that drop tags.
    Off,
    /// Tagged with this identifier.
    Id(VlanId),
}

/// Why a value is not a VLAN setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a VLAN: a number from 1 to 4094, or \"off\"")]
pub struct VlanError(String);

impl VlanId {
    /// The identifier as a number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for VlanId {
    type Error = VlanError;

    fn try_from(number: i64) -> Result<Self, VlanError> {
        match u16::try_from(number) {
            Ok(id @ 1..=4094) => Ok(Self(id)),
            _ => Err(VlanError(number.to_string())),
        }
    }
}

impl std::str::FromStr for Vlan {
    type Err = VlanError;

    fn from_str(text: &str) -> Result<Self, VlanError> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let number: i64 = text.parse().map_err(|_| VlanError(format!("'{text}'")))?;
        Ok(Self::Id(number.try_into()?))
    }
}

impl std::fmt::Display for Vlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Id(id) => write!(f, "{}", id.0),
        }
    }
}

impl Serialize for Vlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Id(id) => serializer.serialize_u16(id.0),
        }
    }
}

impl<'de> Deserialize<'de> for Vlan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(i64),
            Text(String),
        }
        let parsed = match Raw::deserialize(deserializer) {
            Ok(Raw::Number(number)) => VlanId::try_from(number).map(Self::Id),
            Ok(Raw::Text(text)) => text.parse(),
            Err(_) => Err(VlanError("this value".to_owned())),
        };
        parsed.map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_identifiers_and_off() {
        assert_eq!("off".parse(), Ok(Vlan::Off));
        for (text, id) in [("1", 1), ("200", 200), ("4094", 4094)] {
            assert_eq!(text.parse(), Ok(Vlan::Id(VlanId(id))));
        }
        for bad in ["0", "4095", "-1", "on", "", "99999"] {
            let message = bad.parse::<Vlan>().unwrap_err().to_string();
            assert!(
                message.ends_with("is not a VLAN: a number from 1 to 4094, or \"off\""),
                "{message}"
            );
        }
    }
}
