//! Whether an image is the one that its makers published: its SHA-256 and its minisign signature, checked before the
//! first look into it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use minisign_verify::{PublicKey, Signature};
use sha2::{Digest, Sha256};

const BUFFER_LEN: usize = 1024 * 1024;

/// SHA-256 of a file, written as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha256Sum([u8; 32]);

impl FromStr for Sha256Sum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("'{text}' is not a SHA-256: it has 64 hexadecimal digits");
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(error());
        }
        let mut sum = [0; 32];
        for (byte, at) in sum.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| error())?;
        }
        Ok(Self(sum))
    }
}

impl std::fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Sha256Sum {
    /// Of a whole file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let mut hash = Sha256::new();
        read(file, |bytes| hash.update(bytes))?;
        Ok(Self(hash.finalize().into()))
    }

    /// From the text of a `.sha256` file: one sum, or lines `SUM  NAME` as sha256sum writes them.
    pub(crate) fn in_list(text: &str, name: &str) -> Option<Self> {
        let lines: Vec<(Self, &str)> = text
            .lines()
            .filter_map(|line| {
                let (sum, rest) = line
                    .trim()
                    .split_once(char::is_whitespace)
                    .unwrap_or((line.trim(), ""));
                Some((sum.parse().ok()?, rest.trim_start_matches([' ', '*'])))
            })
            .collect();
        let named = lines
            .iter()
            .find(|(_, entry)| entry.rsplit('/').next() == Some(name));
        match (named, lines.as_slice()) {
            (Some((sum, _)), _) | (None, [(sum, _)]) => Some(*sum),
            _ => None,
        }
    }
}

/// What an image must be.
#[derive(Clone, Default)]
pub struct Checks {
    /// Its SHA-256.
    pub sha256: Option<Sha256Sum>,
    /// Who must have signed it.
    pub minisign: Option<PublicKey>,
}

impl std::fmt::Debug for Checks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checks")
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

impl Checks {
    /// Checks a file; `signature` gives the text of its `.minisig`.
    ///
    /// # Errors
    /// When it is another file than expected.
    pub(crate) fn check(
        &self,
        name: &str,
        file: &File,
        signature: impl FnOnce() -> Result<String>,
    ) -> Result<()> {
        if let Some(expected) = self.sha256 {
            let found = Sha256Sum::of(file).with_context(|| format!("reading {name}"))?;
            check_sum(name, found, expected)?;
        }
        let Some(key) = &self.minisign else {
            return Ok(());
        };
        let text = signature().with_context(|| format!("{name}: reading its signature {name}.minisig"))?;
        let refused =
            |error| anyhow!("{name} is not signed with the key of --minisign-key ({error}): do not use it");
        let signature = Signature::decode(&text).map_err(refused)?;
        let mut verifier = key.verify_stream(&signature).map_err(refused)?;
        read(file, |bytes| verifier.update(bytes)).with_context(|| format!("reading {name}"))?;
        verifier.finalize().map_err(refused)
    }
}

/// Compares two sums.
///
/// # Errors
/// When they differ.
pub(crate) fn check_sum(name: &str, found: Sha256Sum, expected: Sha256Sum) -> Result<()> {
    if found != expected {
        bail!(
            "{name} has the SHA-256 {found}, expected was {expected}: it is damaged or another file; nothing was written"
        );
    }
    Ok(())
}

/// A key, or a file that holds one.
///
/// # Errors
/// When it is neither.
pub(crate) fn minisign_key(text: &str) -> Result<PublicKey> {
    let key = match Path::new(text).exists() {
        true => PublicKey::from_file(text),
        false => PublicKey::from_base64(text),
    };
    key.map_err(|error| {
        anyhow!("--minisign-key {text}: not a minisign public key ({error}); it starts with RW")
    })
}

fn read(file: &File, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let (mut buffer, mut at) = (vec![0; BUFFER_LEN], 0);
    loop {
        match file.read_at(&mut buffer, at)? {
            0 => return Ok(()),
            count => {
                each(&buffer[..count]);
                at += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_from_lists() {
        let (a, b) = ("0a".repeat(32), "B1".repeat(32));
        for (text, expected) in [
            (a.clone(), Some(&a)),
            (format!("{a}  other\n"), Some(&a)),
            (format!("{a}  other\n{b} *./x.img.xz\n"), Some(&b)),
            (format!("{a}  other\n{b}  another\n"), None),
            ("<html>not found</html>".to_owned(), None),
        ] {
            let found = Sha256Sum::in_list(&text, "x.img.xz").map(|sum| sum.to_string());
            assert_eq!(found, expected.map(|sum| sum.to_lowercase()), "{text}");
        }
        for bad in ["", "0a", &"g".repeat(64), &"ä".repeat(32)] {
            assert!(
                bad.parse::<Sha256Sum>()
                    .unwrap_err()
                    .contains("64 hexadecimal digits")
            );
        }
    }
}
