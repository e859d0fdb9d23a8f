//! A secret that is given out once and kept only as its hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// As long as the hash: nobody guesses it.
const LENGTH: usize = 32;
/// Of its text, in characters.
const TEXT: usize = 43;

/// A token as its owner has it.
pub struct Token(String);

/// What is kept of a token. Its owner proves that he has it; nobody gets it back from this.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Hash(String);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// When the kernel gives no random numbers.
    pub(super) fn make() -> anyhow::Result<Self> {
        let mut bytes = [0; LENGTH];
        let filled = SystemRandom::new().fill(&mut bytes);
        filled.map_err(|_| anyhow::anyhow!("the kernel gives no random numbers"))?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// What somebody sent as a token; `None` when it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let sound = text.len() == TEXT
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        sound.then(|| Self(text.to_owned()))
    }

    /// Its text, for its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn hash(&self) -> Hash {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.0.as_bytes());
        Hash(URL_SAFE_NO_PAD.encode(digest.as_ref()))
    }
}

impl Hash {
    /// In constant time.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// Without the secret.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_only() {
        let (one, other) = (Token::make().unwrap(), Token::make().unwrap());
        let again = Token::parse(one.reveal()).unwrap();
        assert!(one.hash().is_of(&again.hash()) && !one.hash().is_of(&other.hash()));
        let kept = serde_json::to_string(&one.hash()).unwrap();
        assert!(!kept.contains(one.reveal()));
        assert_eq!(format!("{one:?}"), "Token(..)");
        for wrong in ["", "short", &"a".repeat(44), &"/".repeat(43)] {
            assert!(Token::parse(wrong).is_none(), "{wrong}");
        }
    }
}
