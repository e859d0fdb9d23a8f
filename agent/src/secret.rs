//! The cluster secret's file: brought on the boot partition, kept in the state folder, for root only.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use boot_config::ClusterSecret;
use zeroize::Zeroizing;

/// Longer than any text form with blanks around it; more is not read.
const LENGTH_MAX: usize = 512;

/// What a file that may hold a secret has.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// There is no such file.
    Nothing,
    /// A secret.
    Secret(ClusterSecret),
    /// Something else; why it is of no use, on one line without any of its content.
    Damaged(String),
}

/// Reads the file. No copy of its text is left in memory.
pub fn read(file: &Path) -> Found {
    let shown = file.display();
    let mut bytes = Zeroizing::new([0; LENGTH_MAX]);
    let length = match File::open(file).and_then(|file| fill(file, &mut bytes[..])) {
        Ok(length) => length,
        Err(error) if error.kind() == ErrorKind::NotFound => return Found::Nothing,
        Err(error) => return Found::Damaged(format!("{shown} cannot be read: {error}")),
    };
    let text = std::str::from_utf8(&bytes[..length]).unwrap_or_default();
    match ClusterSecret::parse(text) {
        Ok(secret) => Found::Secret(secret),
        Err(error) => Found::Damaged(format!("{shown}: {error}")),
    }
}

/// The bytes of its file.
pub fn render(secret: &ClusterSecret) -> Vec<u8> {
    format!("{}\n", *secret.render()).into_bytes()
}

fn fill(mut file: impl Read, bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    loop {
        match file.read(&mut bytes[length..])? {
            0 => return Ok(length),
            count => length += count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_a_secret_or_says_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        assert_eq!(read(&file), Found::Nothing);
        let secret = ClusterSecret::from_bytes([7; 32]);
        std::fs::write(&file, render(&secret)).unwrap();
        assert_eq!(read(&file), Found::Secret(secret));
        for damage in [&b""[..], b"\0\xff", b"hunter2\n", &[b'a'; 10_000]] {
            std::fs::write(&file, damage).unwrap();
            let Found::Damaged(line) = read(&file) else {
                panic!("{damage:?}")
            };
            assert!(
                line.contains("this is not a cluster secret") && !line.contains("hunter2"),
                "{line}"
            );
        }
        let Found::Damaged(line) = read(folder.path()) else {
            panic!("a folder")
        };
        assert!(
            line.ends_with("cannot be read: Is a directory (os error 21)"),
            "{line}"
        );
    }
}
