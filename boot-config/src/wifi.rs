//! The wireless network that a card is to use, as its user knows it.

/// Name, key and country of a wireless network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wifi {
    /// Its name.
    pub ssid: Ssid,
    /// Its key; none for an open network.
    pub key: Option<WifiKey>,
}

/// Name of a wireless network: 1 to 32 bytes (IEEE 802.11), no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssid(String);

/// A passphrase of 8 to 63 characters, or a key of 64 hexadecimal digits. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct WifiKey(String);

/// Two letters (ISO 3166-1): which channels may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Country(String);

/// Why a wireless setting is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WifiError {
    /// Too long, empty, or with control characters.
    #[error("'{0}' is no name of a wireless network: 1 to 32 bytes without control characters")]
    Ssid(String),
    /// The key is not repeated.
    #[error("the key of a wireless network has 8 to 63 characters, or 64 hexadecimal digits")]
    Key,
    /// No country.
    #[error("'{0}' is no country code: two letters such as DE, GB or US")]
    Country(String),
}

impl Ssid {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl WifiKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the key itself, not a passphrase from which it is made.
    pub fn is_raw(&self) -> bool {
        self.0.len() == 64
    }
}

impl Country {
    /// In upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Ssid {
    type Err = WifiError;

    fn from_str(text: &str) -> Result<Self, WifiError> {
        if (1..=32).contains(&text.len()) && !text.contains(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(WifiError::Ssid(text.to_owned()))
        }
    }
}

impl std::str::FromStr for WifiKey {
    type Err = WifiError;

    fn from_str(text: &str) -> Result<Self, WifiError> {
        let raw = text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
        let phrase = (8..=63).contains(&text.len()) && !text.contains(char::is_control);
        if raw || phrase {
            Ok(Self(text.to_owned()))
        } else {
            Err(WifiError::Key)
        }
    }
}

impl std::str::FromStr for Country {
    type Err = WifiError;

    fn from_str(text: &str) -> Result<Self, WifiError> {
        if text.len() == 2 && text.chars().all(|c| c.is_ascii_alphabetic()) {
            Ok(Self(text.to_ascii_uppercase()))
        } else {
            Err(WifiError::Country(text.to_owned()))
        }
    }
}

impl std::fmt::Debug for WifiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WifiKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_access_points_take_and_nothing_else() {
        assert!("Käptn's \"net\"".parse::<Ssid>().is_ok());
        for bad in ["", "a\n", &"x".repeat(33)] {
            assert!(bad.parse::<Ssid>().is_err(), "{bad:?}");
        }
        for (key, raw) in [("pä'ss\"w&o", false), (&"0f".repeat(32)[..], true)] {
            assert_eq!(key.parse::<WifiKey>().unwrap().is_raw(), raw);
        }
        for bad in ["short", &"x".repeat(64)] {
            let message = bad.parse::<WifiKey>().unwrap_err().to_string();
            assert!(
                message.starts_with("the key of") && !message.contains(bad),
                "{message}"
            );
        }
        assert_eq!("de".parse::<Country>().unwrap().as_str(), "DE");
        assert!("DEU".parse::<Country>().is_err() && "D1".parse::<Country>().is_err());
    }
}
