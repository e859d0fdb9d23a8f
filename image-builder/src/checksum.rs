//! SHA-256, by which everything is named: bases, files, results.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

const BLOCK: usize = 1 << 20;

/// A checksum as 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(try_from = "String")]
pub struct Checksum(String);

impl Checksum {
    /// Of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = Hash::default();
        hash.update(bytes);
        hash.finish()
    }

    /// Of everything that is still to be read.
    ///
    /// # Errors
    /// When reading fails.
    pub fn of_reader(reader: &mut impl Read) -> io::Result<Self> {
        let mut hashing = Hashing::new(reader);
        let mut block = vec![0; BLOCK];
        while hashing.read(&mut block)? > 0 {}
        Ok(hashing.finish())
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Checksum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Checksum {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(format!("'{text}' is not a SHA-256: it has 64 hexadecimal digits"))
        }
    }
}

/// A checksum in the making.
#[derive(Clone, Default)]
pub(crate) struct Hash(Sha256);

impl Hash {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Checksum {
        Checksum(
            self.0
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        )
    }
}

/// A reader that computes the checksum of what goes through it.
pub(crate) struct Hashing<R> {
    inner: R,
    hash: Hash,
}

impl<R> Hashing<R> {
    pub(crate) fn new(inner: R) -> Self {
        let hash = Hash::default();
        Self { inner, hash }
    }

    pub(crate) fn inner(&self) -> &R {
        &self.inner
    }

    /// Of everything that was read until now.
    pub(crate) fn finish(self) -> Checksum {
        self.hash.finish()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_sha256sum() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Checksum::of(b"abc").to_string(), abc);
        assert_eq!(Checksum::of_reader(&mut &b"abc"[..]).unwrap().to_string(), abc);
        assert_eq!(abc.to_uppercase().parse::<Checksum>().unwrap().to_string(), abc);
        assert_eq!(
            "abc".parse::<Checksum>().unwrap_err(),
            "'abc' is not a SHA-256: it has 64 hexadecimal digits"
        );
    }
}
