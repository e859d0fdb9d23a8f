//! The user account that a card gets: only what the person flashing it asked for, never a default password.

use serde::{Deserialize, Serialize};

/// A login name that `useradd` of every Debian takes: 1 to 32 of `a-z`, `0-9`, `_`, `-`, first a letter or `_`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

/// A password as crypt(5) hashes it, such as `$6$...` or `$y$...`. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PasswordHash(String);

/// The account made at first boot, a member of `sudo` and `docker` where those groups exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct User {
    /// Login name.
    pub name: UserName,
    /// Hash of the password; without one the account has no password login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<PasswordHash>,
    /// Lines for `authorized_keys`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_authorized_keys: Vec<String>,
}

/// Why a user setting is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// Not a login name.
    #[error("'{0}' is not a user name: 1 to 32 of a-z, 0-9, _ and -, the first a letter or _, and not root")]
    Name(String),
    /// Not a crypt(5) hash. The text is not repeated: it may be the password itself.
    #[error(
        "the password hash is not one that crypt(5) knows: it must start with $ (make one with `openssl passwd -6`)"
    )]
    PasswordHash,
}

impl UserName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PasswordHash {
    /// The hash as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserName {
    type Error = UserError;

    fn try_from(text: String) -> Result<Self, UserError> {
        let first = |c: char| c.is_ascii_lowercase() || c == '_';
        let other = |c: char| first(c) || c.is_ascii_digit() || c == '-';
        let sound = text.len() <= 32 && text.starts_with(first) && text.chars().all(other) && text != "root";
        if sound {
            Ok(Self(text))
        } else {
            Err(UserError::Name(text))
        }
    }
}

impl TryFrom<String> for PasswordHash {
    type Error = UserError;

    fn try_from(text: String) -> Result<Self, UserError> {
        let sound = text.len() > 8
            && text.starts_with('$')
            && text[1..].contains('$')
            && text.chars().all(|c| c.is_ascii_graphic() && c != ':');
        if sound {
            Ok(Self(text))
        } else {
            Err(UserError::PasswordHash)
        }
    }
}

impl std::str::FromStr for UserName {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Self, UserError> {
        text.to_owned().try_into()
    }
}

impl std::str::FromStr for PasswordHash {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Self, UserError> {
        text.to_owned().try_into()
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0
    }
}

impl From<PasswordHash> for String {
    fn from(hash: PasswordHash) -> Self {
        hash.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_that_useradd_would() {
        for good in ["pi", "_x", "user-1"] {
            assert_eq!(good.parse::<UserName>().unwrap().as_str(), good);
        }
        for bad in ["", "root", "1a", "Pi", "a b", "a:b", "-a"] {
            assert!(
                bad.parse::<UserName>()
                    .unwrap_err()
                    .to_string()
                    .contains("is not a user name"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_clear_password_is_refused_and_not_repeated() {
        let message = "secret word".parse::<PasswordHash>().unwrap_err().to_string();
        assert!(
            message.contains("openssl passwd -6") && !message.contains("secret"),
            "{message}"
        );
        let hash: PasswordHash = "$6$salt$hash".parse().unwrap();
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
    }
}
