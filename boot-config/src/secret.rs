//! The cluster secret: 32 random bytes that all members of a cluster share, and its form as one line of text.
//!
//! The text is `cluster-secret-1:` and seven groups of eight characters of Crockford's base32 (no letters that are
//! taken for digits): 32 bytes and a check of 3 bytes, so that a line that was typed or cut wrong is noticed.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Name of the secret's file on the boot partition. Not a key of `cluster-lab.toml`: the agent takes this file away,
/// as every user of a node may read its boot partition.
pub const SECRET_FILE: &str = "cluster-lab.secret";

const PREFIX: &str = "cluster-secret-1:";
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 32;
const CHECK: usize = 3;
/// Characters after the prefix, without the hyphens.
const CHARACTERS: usize = (LENGTH + CHECK) * 8 / 5;

/// What makes a node a member of its cluster. Never shown by `Debug`, compared in constant time, wiped when dropped.
#[derive(Clone)]
pub struct ClusterSecret(Zeroizing<[u8; LENGTH]>);

/// Why a text is not a cluster secret. The text is not repeated: it may be one but for a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Something else, or cut short.
    #[error("this is not a cluster secret: one line, {PREFIX} and then {CHARACTERS} letters and digits")]
    Shape,
    /// The check does not fit.
    #[error("this cluster secret has a mistake in it: copy it again from where it was made")]
    Check,
}

impl ClusterSecret {
    /// The secret of these bytes, which must be random.
    pub fn from_bytes(bytes: [u8; LENGTH]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, to derive keys from.
    pub fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// Reads the text form. Upper case, blanks around it, and letters in the place of the digits that they look like
    /// are taken.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.trim_start_matches('\u{feff}').trim();
        let head = text.get(..PREFIX.len()).ok_or(SecretError::Shape)?;
        if !head.eq_ignore_ascii_case(PREFIX) {
            return Err(SecretError::Shape);
        }
        let mut digits = Zeroizing::new([0_u8; CHARACTERS]);
        let mut count = 0;
        for character in text.bytes().skip(PREFIX.len()).filter(|&byte| byte != b'-') {
            let digit = digit_of(character).ok_or(SecretError::Shape)?;
            *digits.get_mut(count).ok_or(SecretError::Shape)? = digit;
            count += 1;
        }
        if count != CHARACTERS {
            return Err(SecretError::Shape);
        }
        let mut all = Zeroizing::new([0_u8; LENGTH + CHECK]);
        for (bytes, digits) in all.chunks_exact_mut(5).zip(digits.chunks_exact(8)) {
            let mut bits = digits
                .iter()
                .fold(0_u64, |bits, &digit| bits << 5 | u64::from(digit));
            bytes.copy_from_slice(&bits.to_be_bytes()[3..]);
            bits.zeroize();
        }
        let mut secret = Self::from_bytes([0; LENGTH]);
        secret.0.copy_from_slice(&all[..LENGTH]);
        if bool::from(secret.check().ct_eq(&all[LENGTH..])) {
            Ok(secret)
        } else {
            Err(SecretError::Check)
        }
    }

    /// The text form, without a line end.
    pub fn render(&self) -> Zeroizing<String> {
        let mut all = Zeroizing::new([0_u8; LENGTH + CHECK]);
        all[..LENGTH].copy_from_slice(&*self.0);
        all[LENGTH..].copy_from_slice(&self.check());
        // Room for all of it from the start: growing would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + CHARACTERS + CHARACTERS / 8));
        text.push_str(PREFIX);
        for (i, bytes) in all.chunks_exact(5).enumerate() {
            if i > 0 {
                text.push('-');
            }
            let bits = bytes
                .iter()
                .fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte));
            for place in (0..8).rev() {
                text.push(char::from(ALPHABET[(bits >> (5 * place)) as usize % 32]));
            }
        }
        text
    }

    /// CRC-24 (RFC 9580 section 6.1.1): finds every wrong character, and every two neighbours that changed places.
    fn check(&self) -> [u8; CHECK] {
        let mut crc = 0x00b7_04ce_u32;
        for &byte in self.0.iter() {
            crc ^= u32::from(byte) << 16;
            for _ in 0..8 {
                crc <<= 1;
                if crc & 0x0100_0000 != 0 {
                    crc ^= 0x0186_4cfb;
                }
            }
        }
        let [_, check @ ..] = crc.to_be_bytes();
        check
    }
}

fn digit_of(character: u8) -> Option<u8> {
    let character = match character.to_ascii_lowercase() {
        b'o' => b'0',
        b'i' | b'l' => b'1',
        other => other,
    };
    let place = ALPHABET.iter().position(|&digit| digit == character)?;
    u8::try_from(place).ok()
}

impl PartialEq for ClusterSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }
}

impl Eq for ClusterSecret {}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(..)")
    }
}

impl std::str::FromStr for ClusterSecret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, prop_assume, proptest};

    const EXAMPLE: &str = "cluster-secret-1:000g40r4-0m30e209-185gr38e-1w8124gk-2gahc5rr-34d1p70x-3rft5wf7";

    fn example() -> ClusterSecret {
        ClusterSecret::from_bytes(std::array::from_fn(|i| u8::try_from(i).unwrap()))
    }

    #[test]
    fn the_text_form_stays_what_it_is_on_cards() {
        assert_eq!(&**example().render(), EXAMPLE);
        assert_eq!(EXAMPLE.parse(), Ok(example()));
    }

    #[test]
    fn what_people_and_editors_do_to_a_line_is_taken() {
        for text in [
            format!("\u{feff}{EXAMPLE}\r\n"),
            format!("  {}\n\n", EXAMPLE.to_uppercase()),
            EXAMPLE.replacen("000g", "oOog", 1),
            EXAMPLE.replacen("6g1", "6gI", 1),
            format!("{PREFIX}{}", EXAMPLE[PREFIX.len()..].replace('-', "")),
        ] {
            assert_eq!(ClusterSecret::parse(&text), Ok(example()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_without_repeating_it() {
        for text in [
            "",
            "\u{feff}",
            "cluster-secret-1:",
            "password",
            &EXAMPLE[..EXAMPLE.len() - 1],
            &format!("{EXAMPLE}0"),
            &format!("{EXAMPLE}\n{EXAMPLE}"),
            &EXAMPLE.replace("-1:", "-2:"),
            &EXAMPLE.replace("000g", "000u"),
            &EXAMPLE.replace("000g", "00\u{e4}g"),
        ] {
            assert_eq!(ClusterSecret::parse(text), Err(SecretError::Shape), "{text:?}");
        }
        let message = SecretError::Shape.to_string();
        assert!(
            message.ends_with("cluster-secret-1: and then 56 letters and digits"),
            "{message}"
        );
        let message = EXAMPLE.replace("000g", "100g").parse::<ClusterSecret>();
        assert_eq!(message, Err(SecretError::Check));
    }

    #[test]
    fn debug_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", Some(example())), "Some(ClusterSecret(..))");
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read_back(bytes in any::<[u8; 32]>()) {
            let secret = ClusterSecret::from_bytes(bytes);
            prop_assert_eq!(ClusterSecret::parse(&secret.render()), Ok(secret));
        }

        #[test]
        fn one_wrong_character_is_always_noticed(bytes in any::<[u8; 32]>(), at in 0..70_usize, to in 0..32_usize) {
            let secret = ClusterSecret::from_bytes(bytes);
            let mut text = secret.render().as_bytes()[PREFIX.len()..].to_vec();
            let at = at % text.len();
            prop_assume!(text[at] != b'-' && text[at] != ALPHABET[to]);
            text[at] = ALPHABET[to];
            let text = format!("{PREFIX}{}", String::from_utf8(text).unwrap());
            prop_assert_eq!(ClusterSecret::parse(&text), Err(SecretError::Check));
        }

        #[test]
        fn two_neighbours_in_each_others_place_are_always_noticed(bytes in any::<[u8; 32]>(), at in 0..55_usize) {
            let secret = ClusterSecret::from_bytes(bytes);
            let mut text = secret.render().as_bytes()[PREFIX.len()..].to_vec();
            text.retain(|&byte| byte != b'-');
            prop_assume!(text[at] != text[at + 1]);
            text.swap(at, at + 1);
            let text = format!("{PREFIX}{}", String::from_utf8(text).unwrap());
            prop_assert_eq!(ClusterSecret::parse(&text), Err(SecretError::Check));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*", tail in "[0-9a-z\u{e4}-]{50,70}") {
            let _ = ClusterSecret::parse(&text);
            let _ = ClusterSecret::parse(&format!("{PREFIX}{tail}"));
        }
    }
}
